use super::*;
use proptest::prelude::*;

/// One well-formed text of each kind.
const SAMPLES: [(&str, Scheme); 13] = [
    ("$2b$05$Iy563YQvBgn6WYzqkWISZuzPLDWWdsrSmZrDhgRu5ZR638kWhVAha", Scheme::Bcrypt),
    ("{CRYPT}$2y$04$KMUo1Ricrt/XMeHrQWDoDu5x/q7JcHYprxK6OvOHY8FPZRPGubrPa", Scheme::Bcrypt),
    ("bcrypt_sha256$$2b$04$0V1uEFqcn4cBSj8kBOdWJuh5bQY.KDYU1Q.uo2P8Mj2WrSfPGPHWu", Scheme::BcryptSha256),
    ("$5$pSVcDjOg6fkHvsYT$K0/OOWHDUInLEyF1Z1yR6segJUaNmEj9ZPlVVpmdL80", Scheme::ShaCrypt),
    ("$5$rounds=1234$dxk9Htryb8e0VCse$lW2ZGqsWVqaEzENYS./VXGVHgL6jpiG7ZyNSs1cS3z7", Scheme::ShaCrypt),
    (
        "$scrypt$ln=8,r=8,p=2$OwegdO6913qPEYLQes9ZCw$/KILgUVDI+zuPiWkkAzyo9gJMyKTgPtMkUzA0ubxZgs",
        Scheme::Scrypt,
    ),
    ("scrypt$1024$aBcDeFgHiJkL$8$5$GCliE+aWwG6bkxBCL/dRUNCopeeTbrUKAcMHrcgd5M8=", Scheme::Scrypt),
    ("$pbkdf2$1200$ntM6p3SO8Z6zNsaYMwZAaA$z2.7eSmqosmjWiV9yC8IY1S6Mc0", Scheme::Pbkdf2),
    (
        "$pbkdf2-sha256$i=1500,l=32$rD2zUlEp52q6XsEcNmfQpQ$wlVyhiP37eloknra2JugISNLeYD2U2HndT7wre6A7yI",
        Scheme::Pbkdf2,
    ),
    ("pbkdf2_sha1$1500$aBcDeFgHiJkL$9HF/OVk6ZHRbSbZWTGwVHwxmvBE=", Scheme::Pbkdf2),
    (
        r#"{keycloak}{"algorithm":"pbkdf2-sha256","hashIterations":1,"salt":"AAAA","value":"AAAAAAAAAAAAAAAAAAAAAA=="}"#,
        Scheme::Pbkdf2,
    ),
    ("{SSHA}eyOPpb8nt6Yup54Q/UAcwr5YTeN9U68KgKR1AQ==", Scheme::SaltedSha),
    (
        "$argon2id$v=19$m=128,t=2,p=1$lrmcmN7NKp0isoAqX5O8DQ$88gErwK4Vo5M4LCOi1QZ1dnWIim9dB5X3iTRo8N3IsE",
        Scheme::Argon2,
    ),
];

#[test]
fn each_kind_is_recognised() {
    for (text, scheme) in SAMPLES {
        assert_eq!(recognise(text), Some(scheme), "{text}");
    }
}

#[test]
fn what_is_stored_is_the_text_itself_but_for_foreign_argon2() {
    for (text, scheme) in SAMPLES {
        let adopted = adopt(text).unwrap();
        let expected = if scheme == Scheme::Argon2 { format!("{{raw}}{text}") } else { text.to_owned() };
        assert_eq!(adopted.as_str(), expected);
        assert_eq!(recognise(adopted.as_str()), Some(scheme));
        // Adopting twice changes nothing.
        assert_eq!(adopt(adopted.as_str()).unwrap().as_str(), adopted.as_str());
    }
    assert_eq!(adopt("plaintext"), Err(Unrecognised));
}

#[test]
fn what_is_no_known_hash_is_refused() {
    let refused = [
        "",
        "$",
        "password",
        "5f4dcc3b5aa765d61d8327deb882cf99",
        "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
        "{SSHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
        "{MD5}X03MO1qnZdYdgyfeuILPmQ==",
        "$1$salt$qJH7.N4xYta3aEG/dfqo/0",
        "$2x$05$Iy563YQvBgn6WYzqkWISZuzPLDWWdsrSmZrDhgRu5ZR638kWhVAha",
        "$2b$5$Iy563YQvBgn6WYzqkWISZuzPLDWWdsrSmZrDhgRu5ZR638kWhVAha",
        "$2b$05$Iy563YQvBgn6WYzqkWISZuzPLDWWdsrSmZrDhgRu5ZR638kWhVAh",
        "$2b$05$Iy563YQvBgn6WYzqkWISZuzPLDWWdsrSmZrDhgRu5ZR638kWhVAhaa",
        "$5$$K0/OOWHDUInLEyF1Z1yR6segJUaNmEj9ZPlVVpmdL80",
        "$argon2id$v=18$m=128,t=2,p=1$lrmcmN7NKp0isoAqX5O8DQ$88gErwK4Vo5M4LCOi1QZ1dnWIim9dB5X3iTRo8N3IsE",
        "$argon2id$v=19$m=128,t=2$lrmcmN7NKp0isoAqX5O8DQ$88gErwK4Vo5M4LCOi1QZ1dnWIim9dB5X3iTRo8N3IsE",
        "$pbkdf2-sha256$i=1500,l=33$rD2zUlEp52q6XsEcNmfQpQ$wlVyhiP37eloknra2JugISNLeYD2U2HndT7wre6A7yI",
        "{keycloak}{}",
        "{keycloak}",
        "{raw}",
        "{raw}$2b$05$Iy563YQvBgn6WYzqkWISZuzPLDWWdsrSmZrDhgRu5ZR638kWhVAha",
        "{CRYPT}{CRYPT}$2b$05$Iy563YQvBgn6WYzqkWISZuzPLDWWdsrSmZrDhgRu5ZR638kWhVAha",
    ];
    for text in refused {
        assert_eq!(recognise(text), None, "{text}");
    }
}

#[test]
fn what_would_cost_too_much_is_refused() {
    let scrypt = |ln: u32, r: u32, p: u32| {
        format!(
            "$scrypt$ln={ln},r={r},p={p}$OwegdO6913qPEYLQes9ZCw$/KILgUVDI+zuPiWkkAzyo9gJMyKTgPtMkUzA0ubxZgs"
        )
    };
    let argon = |m: u32, t: u32, p: u32| {
        format!(
            "$argon2id$v=19$m={m},t={t},p={p}$lrmcmN7NKp0isoAqX5O8DQ$88gErwK4Vo5M4LCOi1QZ1dnWIim9dB5X3iTRo8N3IsE"
        )
    };
    let pbkdf2 = |i: u32| {
        format!("$pbkdf2-sha256${i}$LGUshVBK6f0fo/Teu/e.Vw$yD43KluGIAPTrnGWJ52dbW/Ocvuo0S8f57xZS1DRGWM")
    };
    let bcrypt = |cost: &str| format!("$2b${cost}$Iy563YQvBgn6WYzqkWISZuzPLDWWdsrSmZrDhgRu5ZR638kWhVAha");
    let sha = |rounds: u32| {
        format!("$5$rounds={rounds}$dxk9Htryb8e0VCse$lW2ZGqsWVqaEzENYS./VXGVHgL6jpiG7ZyNSs1cS3z7")
    };
    let allowed = [scrypt(17, 8, 4), argon(262_144, 8, 1), pbkdf2(5_000_000), bcrypt("15"), sha(1_000_000)];
    for text in allowed {
        assert!(recognise(&text).is_some(), "{text}");
    }
    let refused = [
        scrypt(18, 8, 1),
        scrypt(17, 8, 5),
        scrypt(1, u32::MAX, u32::MAX),
        scrypt(64, 1, 1),
        scrypt(u32::MAX, 1, 1),
        scrypt(0, 1, 1),
        scrypt(10, 0, 1),
        scrypt(10, 1, 0),
        argon(262_145, 1, 1),
        argon(262_144, 9, 1),
        argon(u32::MAX, u32::MAX, 1),
        argon(128, 65, 1),
        argon(128, 1, 17),
        argon(7, 1, 1),
        argon(128, 0, 1),
        pbkdf2(5_000_001),
        pbkdf2(0),
        bcrypt("16"),
        bcrypt("31"),
        bcrypt("03"),
        sha(1_000_001),
        sha(999),
        format!("{}{}", "$2b$", "x".repeat(2000)),
    ];
    for text in refused {
        assert_eq!(recognise(&text), None, "{text}");
    }
}

#[test]
fn a_salt_with_spare_bits_is_read_as_crypt_reads_it() {
    let text = "$2b$05$Iy563YQvBgn6WYzqkWISZuzPLDWWdsrSmZrDhgRu5ZR638kWhVAha";
    // The 22nd character of the salt holds two bits; `v` has the same two as `u`.
    let odd = text.replacen("ISZuz", "ISZvz", 1);
    assert_ne!(text, odd);
    let mut arena = Arena::default();
    for text in [text, &odd] {
        let stored = Stored::parse(text).unwrap();
        assert_eq!(stored.verify(b"correct horse battery staple", &mut arena), Some(true), "{text}");
    }
}

#[test]
fn a_zero_byte_does_not_end_a_password() {
    let mut arena = Arena::default();
    let bcrypt = Stored::parse(SAMPLES[0].0).unwrap();
    assert_eq!(bcrypt.verify(b"correct horse battery staple\0x", &mut arena), Some(false));
    assert_eq!(bcrypt.verify(b"correct horse battery staple\0", &mut arena), Some(false));
    let sha_crypt = Stored::parse(SAMPLES[3].0).unwrap();
    assert_eq!(sha_crypt.verify(b"correct horse battery staple", &mut arena), Some(true));
    assert_eq!(sha_crypt.verify(b"correct horse battery staple\0", &mut arena), Some(false));
}

#[test]
fn keycloak_texts_are_refused_when_they_are_not_keycloaks() {
    let credential = r#"{"hashIterations":1700,"algorithm":"pbkdf2","additionalParameters":{}}"#;
    let secret = r#"{"value":"AAAAAAAAAAAAAAAAAAAAAA==","salt":"AAAA","additionalParameters":{}}"#;
    assert!(from_keycloak(credential, secret).is_ok());
    let refused = [
        (credential.replace("pbkdf2", "md5"), secret.to_owned()),
        (credential.replace("1700", "-1"), secret.to_owned()),
        (credential.replace("1700", "99999999"), secret.to_owned()),
        (credential.to_owned(), secret.replace("AAAA\"", "AA A\"")),
        (credential.to_owned(), "{}".to_owned()),
        ("[]".to_owned(), secret.to_owned()),
        (credential.replace("pbkdf2", "argon2"), secret.to_owned()),
        (credential.to_owned(), format!("{secret}{}", " ".repeat(5000))),
    ];
    for (credential, secret) in refused {
        assert_eq!(from_keycloak(&credential, &secret), Err(Unrecognised), "{credential} {secret}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,120}") {
        let _ = recognise(&text);
    }

    #[test]
    fn no_near_miss_makes_the_parser_panic(
        text in r"(\$|\{)?(2b|5|6|argon2id|scrypt|pbkdf2-sha256|pbkdf2_sha256|SSHA|CRYPT|keycloak|raw|bcrypt_sha256)(\$|\})[a-z0-9=,$./é+\-]{0,40}"
    ) {
        let _ = recognise(&text);
    }

    /// A text with one character changed is refused, or verifies without a panic where that is cheap enough to try.
    #[test]
    fn a_damaged_text_never_panics(sample in 0usize..13, at in 0usize..200, to in prop::char::range(' ', '~')) {
        let text = SAMPLES[sample].0;
        let at = at % text.len();
        let damaged: String =
            text.chars().enumerate().map(|(place, from)| if place == at { to } else { from }).collect();
        let Some(stored) = Stored::parse(&damaged) else { return Ok(()) };
        let cheap = match &stored {
            Stored::SaltedSha(_) => true,
            Stored::Bcrypt(_) => damaged.contains("$04$") || damaged.contains("$05$"),
            Stored::Pbkdf2(_) => !damaged.contains("$9") && damaged.len() < 120,
            _ => false,
        };
        if cheap {
            prop_assert!(stored.verify(b"some password", &mut Arena::default()).is_some());
        }
    }
}

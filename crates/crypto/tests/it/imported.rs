//! Hashes made by passlib, bcrypt, argon2-cffi, Django, OpenSSL and hashlib (Python) verify here.

use crate::{SMALL, block_on, hasher};
use keyreeve_crypto::Secret;
use keyreeve_crypto::password::imported::{Scheme, adopt, from_keycloak, recognise};
use keyreeve_crypto::password::{HashError, Verified};

const PLAIN: &str = "correct horse battery staple";
/// Not in NFKC: the vulgar fraction and the ligature would change. The makers of these hashes did not normalise.
const TYPED: &str = "Grüße ½ ﬁn";
/// Longer than the 72 bytes that bcrypt looks at.
const LONG: &str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxtail";

/// Who made it, the password, the stored text.
#[rustfmt::skip]
const VECTORS: &[(&str, &str, &str)] = &[
    ("bcrypt_2b", PLAIN, r#"$2b$05$Iy563YQvBgn6WYzqkWISZuzPLDWWdsrSmZrDhgRu5ZR638kWhVAha"#),
    ("bcrypt_2a_utf8", TYPED, r#"$2a$05$nP20zmSJ4pHtDSGP0kl36.cln33tMV1Roug/uiIaJTdXXQZoPK4Ky"#),
    ("bcrypt_2y", PLAIN, r#"$2y$04$KMUo1Ricrt/XMeHrQWDoDu5x/q7JcHYprxK6OvOHY8FPZRPGubrPa"#),
    ("bcrypt_long", LONG, r#"$2b$04$MKeyxJnfARuQKSkDoR8olO2NRGqCdJawB3s2BPCb8SVDGPNMJWLTy"#),
    ("pbkdf2_sha1_passlib", PLAIN, r#"$pbkdf2$1200$ntM6p3SO8Z6zNsaYMwZAaA$z2.7eSmqosmjWiV9yC8IY1S6Mc0"#),
    ("pbkdf2_sha256_passlib", PLAIN, r#"$pbkdf2-sha256$1300$LGUshVBK6f0fo/Teu/e.Vw$yD43KluGIAPTrnGWJ52dbW/Ocvuo0S8f57xZS1DRGWM"#),
    ("pbkdf2_sha512_passlib", TYPED, r#"$pbkdf2-sha512$1400$DAFg7F1LaW3tXSullBJCyA$E4HqGcggorz8ZfNVItbXThdkh/023SG79aXhtP0qJgcaMP99.qhorf3YiPB9oBwkITBS8J1ceJLjyHTxG9ZfHw"#),
    ("pbkdf2_sha256_ldap", PLAIN, r#"{PBKDF2-SHA256}1300$rTXGWGsNoXRuzVmrFcLYuw$kHb83OPd7yrqPsljtdE2lMJJrCsJkaGiRVSGofskBf8"#),
    ("pbkdf2_sha256_phc", PLAIN, r#"$pbkdf2-sha256$i=1500,l=32$rD2zUlEp52q6XsEcNmfQpQ$wlVyhiP37eloknra2JugISNLeYD2U2HndT7wre6A7yI"#),
    ("pbkdf2_sha512_phc", PLAIN, r#"$pbkdf2-sha512$i=1500$rD2zUlEp52q6XsEcNmfQpQ$NrbrpqdPYedmHJnbu9Ee8lqsArcD5Te/0Vd4sXEcB79q5ovo4vhQaqUrmZvGmrNVaWNm858epnksZKDEKBFPGw"#),
    ("scrypt_passlib", PLAIN, r#"$scrypt$ln=8,r=8,p=2$OwegdO6913qPEYLQes9ZCw$/KILgUVDI+zuPiWkkAzyo9gJMyKTgPtMkUzA0ubxZgs"#),
    ("scrypt_phc", TYPED, r#"$scrypt$ln=10,r=4,p=1$sA8tQg8v7VExr7dxOabrgA$tKB5IptSw2vKcCx83H29/d4AF9AlJ3DRv3Yn1nuF30j0bEtZn1Id257v3lM3WrNTHepnP2ZR8Gc2lWMzZK8A0Q"#),
    ("sha256_crypt_passlib", PLAIN, r#"$5$rounds=1234$dxk9Htryb8e0VCse$lW2ZGqsWVqaEzENYS./VXGVHgL6jpiG7ZyNSs1cS3z7"#),
    ("sha512_crypt_passlib", TYPED, r#"$6$rounds=1234$eFFECXLdwZ0Aankb$LjO/HVj27n4c3oO0CGjHkbfrAASFx.RpCoIyntU1oEILx49AaiRr4kxry932jY1LFSvKXLw7dUc2j2LWaTCvP."#),
    ("sha512_crypt_openssl", PLAIN, r#"$6$IcvLuzFyWTwxPwlP$aiKYf8cbMcHpVIVcv22wKpwUTe.tOd.BkhAeBa3slY5G173OHGhe2F6BD/C73xN.9sgzPYyFdHKMT4b4giOgG/"#),
    ("sha256_crypt_openssl", PLAIN, r#"$5$pSVcDjOg6fkHvsYT$K0/OOWHDUInLEyF1Z1yR6segJUaNmEj9ZPlVVpmdL80"#),
    ("sha512_crypt_ldap", PLAIN, r#"{CRYPT}$6$gsC9sdMeAJzLlKR1$XpkpujazmduKc7KB3klmgFT1FIUPtqvwAWxdA79wSHOwsvtdJsrWNE.vBUD.g/e1EyZmRJ4KndflBQfit7ahm1"#),
    ("bcrypt_ldap", PLAIN, r#"{crypt}$2b$04$rYWLkk1LoBk1rkWJqKRJKOXJQixpWgFqMWSR4DmCtmUgHC2R84ynq"#),
    ("ssha", TYPED, r#"{SSHA}eyOPpb8nt6Yup54Q/UAcwr5YTeN9U68KgKR1AQ=="#),
    ("ssha256", TYPED, r#"{SSHA256}G67Lq043Q2nNrr61EAr3/pN+PpPmslTIecfNxFjUfdJxEjqHa+Ig7A=="#),
    ("ssha512", TYPED, r#"{SSHA512}WrRnPP6Ni5os3PdFxzVNeVn7yi/oDJWYPwsU5i6tVnzPbRIlMM+o/z24/UCu+JfeSAoitx3kxtLRJAFSmSUD/2gv5y/FRA5aCd3QTyavj3w="#),
    ("django_pbkdf2_sha256", PLAIN, r#"pbkdf2_sha256$1500$aBcDeFgHiJkL$lWXQBYiyrSCU4pUe08rtkccOp0/+wyiUlHlDBWdf+IY="#),
    ("django_pbkdf2_sha1", TYPED, r#"pbkdf2_sha1$1500$aBcDeFgHiJkL$9HF/OVk6ZHRbSbZWTGwVHwxmvBE="#),
    ("django_bcrypt_sha256", LONG, r#"bcrypt_sha256$$2b$04$0V1uEFqcn4cBSj8kBOdWJuh5bQY.KDYU1Q.uo2P8Mj2WrSfPGPHWu"#),
    ("django_bcrypt", PLAIN, r#"bcrypt$$2b$04$U/nJ7Q7XLOp2nHaLkISKpe4YYHowazp35cE6x3sCN0zRRza9kORsK"#),
    ("django_scrypt", PLAIN, r#"scrypt$1024$aBcDeFgHiJkL$8$5$GCliE+aWwG6bkxBCL/dRUNCopeeTbrUKAcMHrcgd5M8/tav8C43SiH0+f3iUzROEHkhGOBaQsU8tsrmk9vNXWw=="#),
    ("django_argon2", TYPED, r#"argon2$argon2id$v=19$m=64,t=1,p=2$YUJjRGVGZ0hpSmtM$oziGZ9vAidbD/cDajh6ocfDXew0qHDyPY8SW+Zm6V18"#),
    ("argon2id_cffi", PLAIN, r#"$argon2id$v=19$m=128,t=2,p=1$lrmcmN7NKp0isoAqX5O8DQ$88gErwK4Vo5M4LCOi1QZ1dnWIim9dB5X3iTRo8N3IsE"#),
    ("argon2i_cffi", PLAIN, r#"$argon2i$v=19$m=64,t=3,p=1$twzE4i5Dfiv3RbdX0149/w$35tQpEwuMqmJm+qD74kcu57V/2OCGJ5NcX02/4+ttjw"#),
    ("argon2id_raw", TYPED, r#"{raw}$argon2id$v=19$m=64,t=1,p=1$iNRFg60I3ZfjdvpQm1jBSw$jQEsv3GuCXn63Sb8iRHlKbF0kl84Lb5KyAvnvCJoL8g"#),
];

/// Keycloak's algorithm, `credentialData`, `secretData`; the password is [`TYPED`].
#[rustfmt::skip]
const KEYCLOAK: &[(&str, &str, &str)] = &[
    ("pbkdf2", r#"{"hashIterations":1700,"algorithm":"pbkdf2","additionalParameters":{}}"#, r#"{"value":"ECw/SBcSnxFG9I7nko3+9Y5Ee+aHqkirzx+8iHBOiRVr5ddthk9jzl3rAbOeicvVYrAOodpZ+9wSuCnpAPEJVA==","salt":"NwuZOQ2EUnA43U9TBWXm6Q==","additionalParameters":{}}"#),
    ("pbkdf2-sha256", r#"{"hashIterations":1700,"algorithm":"pbkdf2-sha256","additionalParameters":{}}"#, r#"{"value":"f0Oj/FZj1kXH4Z+bdQRe5hBOjWRRu4TIB0ClzZ7BLP9TMx7/AFsJLX5rZX9+A9dorwSoOm1XNXz2oigmtsS5IQ==","salt":"3NI4W8r1r1tyqjNyHtQ59Q==","additionalParameters":{}}"#),
    ("pbkdf2-sha512", r#"{"hashIterations":1700,"algorithm":"pbkdf2-sha512","additionalParameters":{}}"#, r#"{"value":"xUwxXqftFmLZ3K4WVGoeXWtf/9G07UJOB3hfvREZ7geSCbRGc7LWMN03UGvB6Nqj5GMFev4R6SaWmLTO8IoWQQ==","salt":"5gfAAcnmri4MOVPmaVL1mg==","additionalParameters":{}}"#),
    ("argon2", r#"{"hashIterations":2,"algorithm":"argon2","additionalParameters":{"hashLength":["32"],"memory":["64"],"type":["id"],"version":["1.3"],"parallelism":["1"]}}"#, r#"{"value":"OGYkK/L/fvczW2Ky84mgiQX+r1tvF2bYLvIaIv3dZGg=","salt":"0Z/ueAZHkVT+jsY0U4RG1w==","additionalParameters":{}}"#),
];

fn verify(password: &str, stored: &str) -> Result<Verified, HashError> {
    block_on(hasher(SMALL).verify("test", &Secret::new(password), stored))
}

#[test]
fn hashes_of_other_systems_verify_as_adopted() {
    for (name, password, text) in VECTORS {
        let stored = adopt(text).unwrap();
        let right = Verified { ok: true, needs_rehash: true };
        assert_eq!(verify(password, stored.as_str()), Ok(right), "{name}");
        let wrong = format!("w{password}");
        assert_eq!(verify(&wrong, stored.as_str()), Ok(Verified { ok: false, needs_rehash: true }), "{name}");
    }
}

#[test]
fn keycloaks_credentials_become_one_text_and_verify() {
    for (name, credential, secret) in KEYCLOAK {
        let stored = from_keycloak(credential, secret).unwrap();
        let expected = if *name == "argon2" {
            "{raw}$argon2id$v=19$m=64,t=2,p=1$"
        } else {
            "{keycloak}{\"algorithm\":\""
        };
        assert!(stored.as_str().starts_with(expected), "{name}");
        assert_eq!(verify(TYPED, stored.as_str()), Ok(Verified { ok: true, needs_rehash: true }), "{name}");
        assert!(!verify(PLAIN, stored.as_str()).unwrap().ok, "{name}");
        assert_eq!(adopt(stored.as_str()).unwrap(), stored);
    }
}

#[test]
fn bcrypt_looks_at_72_bytes_as_its_makers_do() {
    let (_, _, text) = VECTORS.iter().find(|(name, ..)| *name == "bcrypt_long").unwrap();
    assert!(verify(&LONG[..72], text).unwrap().ok);
    assert!(verify(&format!("{}other", &LONG[..72]), text).unwrap().ok);
    assert!(!verify(&LONG[..71], text).unwrap().ok);
    // Django's pre-hashed form looks at all of it.
    let (_, _, text) = VECTORS.iter().find(|(name, ..)| *name == "django_bcrypt_sha256").unwrap();
    assert_eq!(recognise(text), Some(Scheme::BcryptSha256));
    assert!(!verify(&LONG[..72], text).unwrap().ok);
}

#[test]
fn any_change_of_the_hash_is_noticed() {
    for (name, password, text) in VECTORS {
        // The character before the last holds no spare bits in any of the encodings, and `=` ends some texts.
        let end = text.trim_end_matches('=').len();
        let place = end - 3;
        let from = text.as_bytes()[place];
        let to = if from == b'a' { 'b' } else { 'a' };
        let changed = format!("{}{to}{}", &text[..place], &text[place + 1..]);
        assert!(!verify(password, &changed).unwrap().ok, "{name}: {changed}");
    }
}

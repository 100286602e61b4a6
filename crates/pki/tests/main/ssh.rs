//! Key pairs, certificates and their formats, with `ssh-keygen` as the judge.

use crate::foreign::{Bench, world};
use keyreeve_base::Timestamp;
use keyreeve_crypto::Secret;
use keyreeve_pki::ssh::{
    CertificateError, CertificateKind, Options, OptionsError, Permission, Restrictions, SshCertificate,
    SshKeyPair, SshKeyType, SshPublicKey, Terms, random_serial,
};
use keyreeve_pki::{KeyError, KeyPair, NewKey};
use std::time::Duration;

#[test]
fn ssh_keygen_reads_every_kind_with_and_without_a_passphrase() {
    let (bench, world) = (Bench::new(), world());
    for kind in NewKey::ALL {
        let pair = SshKeyPair::generate(kind, "it's me @ home").unwrap();
        for (passphrase, given) in [(None, ""), (Some(Secret::new("correct horse")), "correct horse")] {
            let text = pair.to_openssh(&world, passphrase.as_ref()).unwrap();
            bench.write("id", text.expose());
            let public = bench.ok("ssh-keygen", &["-y", "-P", given, "-f", "id"]);
            assert_eq!(public.trim(), pair.public().to_string(), "{kind}");
            bench.write("id.pub", pair.public().to_string());
            let told = bench.ok("ssh-keygen", &["-l", "-f", "id.pub"]);
            assert!(told.contains(&pair.public().fingerprint()), "{told}");
            if passphrase.is_some() {
                bench.fails("ssh-keygen", &["-y", "-P", "incorrect horse", "-f", "id"]);
            }
            let again = SshKeyPair::import(&text, passphrase.as_ref()).unwrap();
            assert_eq!(again.public(), pair.public());
        }
    }
}

#[test]
fn keys_of_ssh_keygen_are_read_in_all_its_formats() {
    let bench = Bench::new();
    let kinds = [
        ("ed25519", "256", SshKeyType::Ed25519),
        ("ecdsa", "256", SshKeyType::EcdsaP256),
        ("ecdsa", "384", SshKeyType::EcdsaP384),
        ("rsa", "2048", SshKeyType::Rsa),
    ];
    for (name, bits, kind) in kinds {
        for (passphrase, cipher) in [
            ("", ""),
            ("open", "aes256-ctr"),
            ("open", "aes128-ctr"),
            ("open", "aes192-cbc"),
            ("open", "aes256-cbc"),
        ] {
            let _ = std::fs::remove_file(bench.path("id"));
            let mut arguments =
                vec!["-q", "-t", name, "-b", bits, "-N", passphrase, "-C", "a comment", "-f", "id"];
            if !cipher.is_empty() {
                arguments.extend(["-Z", cipher, "-a", "4"]);
            }
            bench.ok("ssh-keygen", &arguments);
            let (text, secret) = (Secret::from(bench.read("id")), Secret::new(passphrase));
            let pair = SshKeyPair::import(&text, Some(&secret)).unwrap();
            let public = SshPublicKey::parse(&bench.read("id.pub")).unwrap();
            assert_eq!(pair.public(), public);
            assert_eq!(public.key_type(), kind);
            pair.check_public(&public).unwrap();
            if !cipher.is_empty() {
                assert_eq!(SshKeyPair::import(&text, None).err(), Some(KeyError::Encrypted));
                let wrong = SshKeyPair::import(&text, Some(&Secret::new("shut"))).err();
                assert_eq!(wrong, Some(KeyError::Passphrase));
            }
        }
        // The same key in PEM: PKCS#1 or SEC 1, and PKCS#8. `ssh-keygen` writes Ed25519 in its own format only.
        for format in ["PEM", "PKCS8"] {
            if kind == SshKeyType::Ed25519 {
                continue;
            }
            bench.ok("ssh-keygen", &["-q", "-p", "-P", "open", "-N", "", "-m", format, "-f", "id"]);
            let pair = SshKeyPair::import(&Secret::from(bench.read("id")), None).unwrap();
            assert!(
                pair.public().same_key(&SshPublicKey::parse(&bench.read("id.pub")).unwrap()),
                "{name} {format}"
            );
            bench.ok("ssh-keygen", &["-q", "-p", "-P", "", "-N", "open", "-f", "id"]);
        }
    }
}

#[test]
fn weak_and_strange_keys_are_refused_with_their_reason() {
    let bench = Bench::new();
    let rsa = |bits: &str| {
        bench.ok("openssl", &["genrsa", "-traditional", "-out", "weak.pem", bits]);
        let text = bench.read("weak.pem");
        let _ = std::fs::remove_file(bench.path("weak.pem"));
        SshKeyPair::import(&Secret::from(text), None).err().unwrap().to_string()
    };
    assert_eq!(rsa("1024"), "is an RSA key of 1024 bits: too weak, 2048 are the least");
    bench.ok("ssh-keygen", &["-q", "-t", "rsa", "-b", "1024", "-N", "", "-f", "short"]);
    assert_eq!(SshPublicKey::parse(&bench.read("short.pub")).err(), Some(KeyError::Weak { bits: 1024 }));
    let imported = SshKeyPair::import(&Secret::from(bench.read("short")), None);
    assert_eq!(imported.err(), Some(KeyError::Weak { bits: 1024 }));
    let cases = [
        ("", "holds no public key"),
        ("ssh-dss AAAAB3NzaC1kc3MAAACBAA==", "is a DSA key: too weak, and no longer taken by OpenSSH"),
        ("ssh-ed25519", "is not well formed: nothing follows its type"),
        ("ssh-ed25519 ****", "is not well formed: what follows its type is not Base64"),
        ("command=\"ls\" ssh-ed25519 AAAA", "is of a kind that is not supported: command=\"ls\""),
        ("a\nb", "is not well formed: it has more than one line"),
    ];
    for (line, expected) in cases {
        assert_eq!(SshPublicKey::parse(line).err().unwrap().to_string(), expected);
    }
    let ed25519 = SshKeyPair::generate(NewKey::Ed25519, "").unwrap().public().to_string();
    let renamed = ed25519.replacen("ssh-ed25519", "ssh-rsa", 1);
    let error = SshPublicKey::parse(&renamed).err().unwrap().to_string();
    assert_eq!(error, "is not well formed: its line names another type than the key itself");
    assert!(SshKeyPair::generate(NewKey::Ed25519, "two\nlines").is_err());
}

#[test]
fn a_pair_whose_halves_are_of_two_keys_is_refused() {
    let world = world();
    let blob = |pair: &SshKeyPair| pair.public().blob().to_vec();
    for kind in [NewKey::Ed25519, NewKey::EcdsaP256, NewKey::EcdsaP384, NewKey::Rsa3072] {
        let (one, other) = (SshKeyPair::generate(kind, "").unwrap(), SshKeyPair::generate(kind, "").unwrap());
        assert_eq!(one.check_public(&other.public()), Err(KeyError::Mismatch));
        let text = one.to_openssh(&world, None).unwrap();
        let mut bytes =
            keyreeve_pki::key::pem::parse(text.expose()).unwrap().remove(0).bytes.expose().to_vec();
        let (from, to) = (blob(&one), blob(&other));
        // In the outer copy alone; then in the inner one, too.
        for _ in 0..2 {
            let tail = &from[from.len() - 24..];
            let Some(at) = bytes.windows(24).position(|window| window == tail) else { break };
            bytes[at..at + 24].copy_from_slice(&to[to.len() - 24..]);
            let forged = keyreeve_pki::key::pem::encode("OPENSSH PRIVATE KEY", &bytes);
            assert!(SshKeyPair::import(&forged, None).is_err(), "{kind}");
        }
    }
}

fn terms(kind: CertificateKind) -> Terms {
    let now = world().now();
    Terms {
        kind,
        key_id: "alice@example".to_owned(),
        serial: 42,
        principals: vec!["alice".to_owned(), "ops".to_owned()],
        not_before: now.minus(Duration::from_secs(60)),
        not_after: now.plus(Duration::from_secs(3600)),
        restrictions: Restrictions::default(),
        permissions: Options::default(),
    }
}

#[test]
fn ssh_keygen_reads_certificates_of_every_authority_about_every_key() {
    let (bench, world) = (Bench::new(), world());
    let subjects: Vec<SshPublicKey> =
        NewKey::ALL.into_iter().map(|kind| SshKeyPair::generate(kind, "c").unwrap().public()).collect();
    for kind in NewKey::ALL {
        let authority = KeyPair::generate(kind).unwrap();
        for subject in &subjects {
            let mut permissions = Options::of(&[Permission::Pty, Permission::X11Forwarding]);
            permissions.allow("login@github.com", "alice").unwrap();
            let restrictions = Restrictions {
                force_command: Some("/bin/true".to_owned()),
                source_addresses: vec!["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()],
                verify_required: false,
            };
            let terms = Terms { restrictions, permissions, ..terms(CertificateKind::User) };
            let certificate = SshCertificate::sign(&world, &authority, subject, &terms).unwrap();
            let authority_key = SshPublicKey::of(authority.public());
            certificate.check(world.now(), CertificateKind::User, "alice", &authority_key).unwrap();
            bench.write("c-cert.pub", certificate.to_string());
            let told = bench.ok("ssh-keygen", &["-L", "-f", "c-cert.pub"]);
            let expected = [
                "user certificate",
                &subject.fingerprint(),
                &authority_key.fingerprint(),
                "Key ID: \"alice@example\"",
                "Serial: 42",
                "                alice\n                ops\n",
                "force-command /bin/true",
                "source-address 10.0.0.0/8,::1/128",
                "permit-X11-forwarding\n                permit-pty\n",
                "login@github.com",
            ];
            for text in expected {
                assert!(told.contains(text), "{text} is not in {told}");
            }
            if kind == NewKey::Rsa3072 {
                assert!(told.contains("using rsa-sha2-512"), "{told}");
            }
            assert_eq!(SshCertificate::parse(&certificate.to_string()).unwrap(), certificate);
        }
    }
}

#[test]
fn certificates_of_ssh_keygen_are_read_and_checked() {
    let (bench, world) = (Bench::new(), world());
    for kind in ["ed25519", "ecdsa", "rsa"] {
        for name in ["ca", "id"] {
            let _ = std::fs::remove_file(bench.path(name));
            bench.ok("ssh-keygen", &["-q", "-t", kind, "-N", "", "-f", name]);
        }
        let options = ["-n", "web.test", "-V", "-1m:+1h", "-z", "7", "-I", "host of tests"];
        let arguments = ["-q", "-s", "ca", "-h", "id.pub"];
        bench.ok("ssh-keygen", &[&arguments[..3], &options[..], &arguments[3..]].concat());
        let certificate = SshCertificate::parse(&bench.read("id-cert.pub")).unwrap();
        let authority = SshPublicKey::parse(&bench.read("ca.pub")).unwrap();
        let (now, host) = (world.now(), CertificateKind::Host);
        assert_eq!((certificate.serial, certificate.key_id.as_str()), (7, "host of tests"));
        certificate.check(now, host, "web.test", &authority).unwrap();
        let refusal = |now, kind, name, by| certificate.check(now, kind, name, by).unwrap_err();
        let later = now.plus(Duration::from_secs(3700));
        let earlier = now.minus(Duration::from_secs(3600));
        let other = SshPublicKey::parse(&bench.read("id.pub")).unwrap();
        assert_eq!(refusal(later, host, "web.test", &authority), CertificateError::Expired);
        assert_eq!(refusal(earlier, host, "web.test", &authority), CertificateError::NotYet);
        assert_eq!(refusal(now, host, "web", &authority), CertificateError::OtherPrincipal);
        assert_eq!(refusal(now, CertificateKind::User, "web.test", &authority), CertificateError::OtherKind);
        assert_eq!(refusal(now, host, "web.test", &other), CertificateError::OtherAuthority);
    }
}

#[test]
fn a_changed_byte_anywhere_is_seen() {
    let world = world();
    for kind in [NewKey::Ed25519, NewKey::EcdsaP384] {
        let authority = KeyPair::generate(kind).unwrap();
        let by = SshPublicKey::of(authority.public());
        let subject = SshKeyPair::generate(NewKey::Ed25519, "").unwrap().public();
        let signed =
            SshCertificate::sign(&world, &authority, &subject, &terms(CertificateKind::User)).unwrap();
        for at in 0..signed.as_bytes().len() {
            let mut bytes = signed.as_bytes().to_vec();
            bytes[at] ^= 1;
            let taken = SshCertificate::from_bytes(&bytes)
                .and_then(|changed| changed.check(world.now(), CertificateKind::User, "alice", &by));
            assert!(taken.is_err(), "byte {at} of {}", bytes.len());
        }
    }
}

#[test]
fn ac_54_principals_are_plain_names() {
    let world = world();
    let authority = KeyPair::generate(NewKey::Ed25519).unwrap();
    let subject = SshKeyPair::generate(NewKey::Ed25519, "").unwrap().public();
    let sign = |terms: &Terms| SshCertificate::sign(&world, &authority, &subject, terms);
    for name in [
        "*",
        "al?ce",
        "!bob",
        "alice,root",
        "root ",
        "a\nroot",
        "a\0",
        "\"x\"",
        "%u",
        "#",
        "",
        "\u{a0}",
        &"x".repeat(257),
    ] {
        let mut terms = terms(CertificateKind::User);
        terms.principals.push(name.to_owned());
        assert!(matches!(sign(&terms), Err(CertificateError::Principal { number: 3, .. })), "{name:?}");
    }
    for name in ["alice", "svc-1_2.x@example.org", "+ops", "a/b", "žluťák"] {
        let certificate = sign(&Terms { principals: vec![name.to_owned()], ..terms(CertificateKind::User) });
        assert_eq!(certificate.unwrap().principals, [name]);
    }
    let none = Terms { principals: Vec::new(), ..terms(CertificateKind::Host) };
    assert_eq!(sign(&none), Err(CertificateError::NoPrincipal));
}

#[test]
fn terms_that_cannot_stand_are_refused_one_by_one() {
    let world = world();
    let authority = KeyPair::generate(NewKey::Ed25519).unwrap();
    let subject = SshKeyPair::generate(NewKey::Ed25519, "").unwrap().public();
    let base = || terms(CertificateKind::User);
    let forced =
        |command: &str| Restrictions { force_command: Some(command.to_owned()), ..Restrictions::default() };
    let many: Vec<String> = (0..257).map(|number| format!("p{number}")).collect();
    let cases = [
        (Terms { principals: many, ..base() }, CertificateError::TooManyPrincipals),
        (Terms { key_id: String::new(), ..base() }, CertificateError::KeyId),
        (Terms { key_id: "a\nb".to_owned(), ..base() }, CertificateError::KeyId),
        (Terms { serial: 0, ..base() }, CertificateError::Serial),
        (Terms { not_after: base().not_before, ..base() }, CertificateError::Lifetime),
        (Terms { not_before: Timestamp::from_seconds(-1), ..base() }, CertificateError::Lifetime),
        (Terms { restrictions: forced(" "), ..base() }, OptionsError::Command.into()),
        (Terms { restrictions: forced("a\nb"), ..base() }, OptionsError::Command.into()),
        (
            Terms { kind: CertificateKind::Host, permissions: Options::of(&[Permission::Pty]), ..base() },
            OptionsError::Host.into(),
        ),
    ];
    for (terms, expected) in cases {
        assert_eq!(SshCertificate::sign(&world, &authority, &subject, &terms), Err(expected));
    }
    let mut own = Options::default();
    for name in ["permit-everything", "@x", "x@", "a b@c", "force-command"] {
        assert!(matches!(own.allow(name, ""), Err(OptionsError::Name(_))), "{name}");
    }
    assert!(own.is_empty());
    assert!((0..1000).all(|_| (1..1 << 63).contains(&random_serial(&world))));
}

use super::*;

/// A key of each kind, made once for a test.
fn every_kind() -> Vec<(NewKey, KeyPair)> {
    NewKey::ALL.into_iter().map(|kind| (kind, KeyPair::generate(kind).unwrap())).collect()
}

#[test]
fn every_kind_survives_pkcs8() {
    for (kind, pair) in every_kind() {
        let again = KeyPair::from_pem(pair.to_pem().unwrap().expose()).unwrap();
        assert_eq!(again.public(), pair.public(), "{kind}");
        assert_eq!(PublicKey::from_spki(&pair.public().to_spki()).as_ref(), Ok(pair.public()), "{kind}");
        assert_eq!(kind.as_str().parse(), Ok(kind));
        let expected = match kind {
            NewKey::Ed25519 | NewKey::EcdsaP256 => 256,
            NewKey::EcdsaP384 => 384,
            NewKey::Rsa3072 => 3072,
            NewKey::Rsa4096 => 4096,
        };
        assert_eq!(pair.public().bits(), expected);
    }
    assert_eq!("rsa-1024".parse::<NewKey>(), Err(KeyError::UnknownName));
}

#[test]
fn a_changed_byte_is_a_mistake_and_never_another_key() {
    for kind in [NewKey::Ed25519, NewKey::EcdsaP256, NewKey::Rsa3072] {
        let pair = KeyPair::generate(kind).unwrap();
        let bytes = pair.to_pkcs8().unwrap();
        let step = if kind == NewKey::Rsa3072 { 97 } else { 1 };
        for at in (0..bytes.len()).step_by(step) {
            let mut changed = bytes.expose().to_vec();
            changed[at] ^= 1;
            // What is read of Ed25519 without its public half is another key, and a good one.
            if let Ok(other) = KeyPair::from_pkcs8(&changed) {
                assert!(kind == NewKey::Ed25519 || other.public() == pair.public(), "{kind} byte {at}");
            }
            let _ = PublicKey::from_spki(&changed);
        }
        for length in (0..bytes.len()).step_by(step) {
            assert!(KeyPair::from_pkcs8(&bytes.expose()[..length]).is_err(), "{kind} cut to {length}");
        }
    }
}

#[test]
fn what_cannot_be_read_says_why() {
    let block = |label: &str, bytes: &[u8]| pem::encode(label, bytes).expose().to_owned();
    let key = KeyPair::generate(NewKey::Ed25519).unwrap().to_pem().unwrap();
    let two = format!("{0}{0}", key.expose());
    let legacy = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----";
    let cases = [
        (String::new(), "holds no private key in PEM"),
        (two, "holds more than one private key"),
        (legacy.to_owned(), "is encrypted in a form that is not supported (PEM of RFC 1421)"),
        (block("ENCRYPTED PRIVATE KEY", &[0]), "is encrypted in a form that is not supported (PKCS#8)"),
        (block("DSA PRIVATE KEY", &[0]), "is a DSA key"),
        (block("PRIVATE KEY", &[0x30, 0x80]), "is not well formed"),
        (block("TSS2 PRIVATE KEY", &[0]), "is of a kind that is not supported: TSS2 PRIVATE KEY"),
    ];
    for (text, expected) in cases {
        let error = KeyPair::from_pem(&text).err().unwrap().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn weak_rsa_keys_are_refused_by_their_size() {
    // The modulus alone decides, before anything else is looked at.
    let mut modulus = vec![0xc1; 128];
    let short = der::sequence(&[&der::unsigned(&[0]), &der::unsigned(&modulus)]);
    assert_eq!(KeyPair::from_pkcs1(&short).err(), Some(KeyError::Weak { bits: 1024 }));
    modulus.resize(1025, 1);
    let long = der::sequence(&[&der::unsigned(&[0]), &der::unsigned(&modulus)]);
    assert_eq!(KeyPair::from_pkcs1(&long).err(), Some(KeyError::TooLarge { bits: 8200 }));
}

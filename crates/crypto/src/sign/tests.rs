use super::*;

fn every_key() -> Vec<SigningKey> {
    Algorithm::ALL.into_iter().map(|algorithm| SigningKey::generate(algorithm).unwrap()).collect()
}

#[test]
fn each_algorithm_signs_and_verifies_and_notices_changes() {
    for key in every_key() {
        let verifying = key.verifying_key().unwrap();
        let mut signature = key.sign(b"message").unwrap();
        assert!(verifying.verify(b"message", &signature), "{key:?}");
        assert!(!verifying.verify(b"massage", &signature));
        assert!(!verifying.verify(b"message", &[]));
        assert!(!verifying.verify(b"message", &signature[1..]));
        signature[10] ^= 1;
        assert!(!verifying.verify(b"message", &signature));
        let other = SigningKey::generate(key.algorithm()).unwrap().sign(b"message").unwrap();
        assert!(!verifying.verify(b"message", &other));
    }
}

#[test]
fn signatures_have_joses_lengths() {
    let lengths: Vec<usize> = every_key().iter().map(|key| key.sign(b"").unwrap().len()).collect();
    assert_eq!(lengths, [64, 64, 256]);
    let larger = SigningKey::generate_rsa(RsaBits::Bits3072).unwrap();
    assert_eq!(larger.sign(b"").unwrap().len(), 384);
}

#[test]
fn a_key_comes_back_from_pkcs8() {
    for key in every_key() {
        let der = key.to_pkcs8().unwrap();
        let again = SigningKey::from_pkcs8(key.algorithm(), der.expose()).unwrap();
        assert_eq!(again.public_jwk(), key.public_jwk());
        assert!(key.verifying_key().unwrap().verify(b"m", &again.sign(b"m").unwrap()));
        for other in Algorithm::ALL.into_iter().filter(|other| *other != key.algorithm()) {
            assert_eq!(SigningKey::from_pkcs8(other, der.expose()).err(), Some(KeyError::Malformed));
        }
        assert!(SigningKey::from_pkcs8(key.algorithm(), &der.expose()[1..]).is_err());
        assert!(SigningKey::from_pkcs8(key.algorithm(), b"").is_err());
    }
}

#[test]
fn the_published_key_says_what_it_is_and_nothing_private() {
    for key in every_key() {
        let json = serde_json::to_value(key.public_jwk()).unwrap();
        assert_eq!(json["kid"], key.kid());
        assert_eq!(json["alg"], key.algorithm().as_str());
        assert_eq!(json["use"], "sig");
        assert_eq!(key.kid().len(), 43);
        let members: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        let expected: &[&str] = match key.algorithm() {
            Algorithm::EdDsa => &["alg", "crv", "kid", "kty", "use", "x"],
            Algorithm::Es256 => &["alg", "crv", "kid", "kty", "use", "x", "y"],
            Algorithm::Rs256 => &["alg", "e", "kid", "kty", "n", "use"],
        };
        let mut sorted = members.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, expected);
        let read: Jwk = serde_json::from_value(json).unwrap();
        assert_eq!(&read, key.public_jwk());
        assert_eq!(VerifyingKey::from_jwk(&read).unwrap().kid(), key.kid());
    }
}

#[test]
fn keys_that_are_for_something_else_are_refused() {
    let jwk = SigningKey::generate(Algorithm::Es256).unwrap().public_jwk().clone();
    let refusal = |change: &dyn Fn(&mut Jwk)| {
        let mut jwk = jwk.clone();
        change(&mut jwk);
        VerifyingKey::from_jwk(&jwk).err()
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(refusal(&|_| {}), None);
    assert_eq!(refusal(&|jwk| jwk.alg = None), None);
    assert_eq!(refusal(&|jwk| jwk.key_ops = Some(vec!["sign".into(), "verify".into()])), None);
    assert_eq!(refusal(&|jwk| jwk.alg = text("ES384")), Some(KeyError::OtherUse));
    assert_eq!(refusal(&|jwk| jwk.key_use = text("enc")), Some(KeyError::OtherUse));
    assert_eq!(refusal(&|jwk| jwk.key_ops = Some(vec!["encrypt".into()])), Some(KeyError::OtherUse));
    assert_eq!(refusal(&|jwk| jwk.crv = text("P-384")), Some(KeyError::UnsupportedKey));
    assert_eq!(refusal(&|jwk| jwk.crv = text("secp256k1")), Some(KeyError::UnsupportedKey));
    assert_eq!(refusal(&|jwk| jwk.kty = "oct".into()), Some(KeyError::UnsupportedKey));
    assert_eq!(refusal(&|jwk| jwk.y = None), Some(KeyError::Malformed));
    assert_eq!(refusal(&|jwk| jwk.y = jwk.x.clone()), Some(KeyError::Malformed), "not on the curve");
    assert_eq!(refusal(&|jwk| jwk.x = text("AA")), Some(KeyError::Malformed));
    assert_eq!(refusal(&|jwk| jwk.x = jwk.x.clone().map(|x| x + "=")), Some(KeyError::Malformed));
}

#[test]
fn private_and_symmetric_keys_are_refused_and_not_kept() {
    let jwk = SigningKey::generate(Algorithm::EdDsa).unwrap().public_jwk().clone();
    let mut json = serde_json::to_value(&jwk).unwrap();
    json["d"] = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A".into();
    let read: Jwk = serde_json::from_value(json).unwrap();
    assert_eq!(VerifyingKey::from_jwk(&read).err(), Some(KeyError::Private));
    assert!(!format!("{read:?}{}", serde_json::to_string(&read).unwrap()).contains("nWGxne"));
    let symmetric: Jwk = serde_json::from_str(r#"{"kty":"oct","k":"AAAA"}"#).unwrap();
    assert_eq!(VerifyingKey::from_jwk(&symmetric).err(), Some(KeyError::UnsupportedKey));
}

#[test]
fn rsa_keys_are_of_sound_size_and_canonical() {
    let jwk = SigningKey::generate(Algorithm::Rs256).unwrap().public_jwk().clone();
    let modulus = crate::base64url::decode(jwk.n.as_ref().unwrap()).unwrap();
    let with = |n: &[u8], e: &[u8]| {
        let jwk = Jwk::rsa(n, e);
        VerifyingKey::from_jwk(&jwk).err()
    };
    assert_eq!(with(&modulus, &[1, 0, 1]), None);
    assert_eq!(with(&modulus[..255], &[1, 0, 1]), Some(KeyError::UnsupportedKey), "2040 bits");
    let mut short = modulus.clone();
    short[0] = 0x7f;
    assert_eq!(with(&short, &[1, 0, 1]), Some(KeyError::UnsupportedKey), "2047 bits");
    assert_eq!(
        with(&[&[0], modulus.as_slice()].concat(), &[1, 0, 1]),
        Some(KeyError::Malformed),
        "leading zero"
    );
    assert_eq!(with(&modulus.repeat(4), &[1, 0, 1]), Some(KeyError::UnsupportedKey), "8192 bits");
    assert_eq!(with(&modulus, &[]), Some(KeyError::Malformed));
    assert_eq!(with(&modulus, &[1]), Some(KeyError::Malformed), "an exponent of one verifies everything");
    assert_eq!(with(&modulus, &[2]), Some(KeyError::Malformed));
    assert_eq!(with(&modulus, &[0, 3]), Some(KeyError::Malformed));
    assert_eq!(with(&modulus, &[1, 0, 0, 0, 1]), Some(KeyError::UnsupportedKey));
}

#[test]
fn algorithms_have_their_jose_names() {
    for algorithm in Algorithm::ALL {
        assert_eq!(algorithm.as_str().parse(), Ok(algorithm));
        assert_eq!(serde_json::to_value(algorithm).unwrap(), algorithm.as_str());
    }
    for name in ["none", "None", "HS256", "eddsa", "ES384", "PS256", "RS512", ""] {
        assert_eq!(name.parse::<Algorithm>(), Err(KeyError::UnsupportedAlgorithm), "{name}");
    }
}

#[test]
fn a_key_prints_its_name_alone() {
    let key = SigningKey::generate(Algorithm::EdDsa).unwrap();
    assert_eq!(format!("{key:?}"), format!("SigningKey(EdDSA {})", key.kid()));
}

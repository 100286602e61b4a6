use super::*;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn key(algorithm: Algorithm) -> (SigningKey, VerifyingKey) {
    let key = SigningKey::generate(algorithm).unwrap();
    let verifying = key.verifying_key().unwrap();
    (key, verifying)
}

/// A token out of a header, a payload and this key's true signature of the two.
fn forge(key: &SigningKey, header: &str, payload: &str) -> String {
    let input = format!("{}.{}", base64url::encode(header), base64url::encode(payload));
    let signature = key.sign(input.as_bytes()).unwrap();
    format!("{input}.{}", base64url::encode(signature))
}

fn refusal(token: &str, key: &VerifyingKey) -> Option<JwsError> {
    Unverified::parse(token).and_then(|token| token.verify::<Map<String, Value>>(key)).err()
}

#[test]
fn what_is_signed_verifies() {
    for algorithm in Algorithm::ALL {
        let (key, verifying) = key(algorithm);
        let claims = json!({"iss": "https://id.example", "sub": "ü", "exp": 1_700_000_000, "nested": {"a": [1, null]}});
        for typ in ["JWT", "at+jwt", "something-else+jwt"] {
            let token = sign_compact(&key, &Header::of_type(typ), &claims).unwrap();
            let read = Unverified::parse(&token).unwrap();
            assert_eq!((read.algorithm(), read.kid(), read.typ()), (algorithm, Some(key.kid()), Some(typ)));
            assert_eq!(read.verify::<Value>(&verifying).unwrap(), claims);
        }
    }
}

#[test]
fn another_key_identifier_can_be_written() {
    let (key, verifying) = key(Algorithm::EdDsa);
    let token = sign_compact(&key, &Header { typ: "JWT", kid: Some("other\"") }, &json!({})).unwrap();
    let read = Unverified::parse(&token).unwrap();
    assert_eq!(read.kid(), Some("other\""));
    assert!(read.verify::<Value>(&verifying).is_ok());
}

#[test]
fn a_token_is_made_without_growing() {
    for algorithm in Algorithm::ALL {
        let (key, _) = key(algorithm);
        let token = sign_compact(&key, &Header::of_type("JWT"), &json!({"sub": "x".repeat(500)})).unwrap();
        let spare = token.capacity() - token.len();
        assert!(spare < 400, "{algorithm}: {spare}");
    }
}

#[test]
fn claims_that_are_no_object_are_not_believed() {
    let (key, verifying) = key(Algorithm::EdDsa);
    for payload in
        ["[]", "1", "\"x\"", "null", "", "{", r#"{"a":1,"a":2}"#, r#"{"a":{"b":1,"\u0062":2}}"#, "{}{}"]
    {
        let token = forge(&key, r#"{"alg":"EdDSA"}"#, payload);
        assert!(
            matches!(refusal(&token, &verifying), Some(JwsError::BadClaims | JwsError::Malformed)),
            "{payload}"
        );
    }
    #[derive(serde::Deserialize, Debug)]
    struct Typed {
        #[expect(dead_code, reason = "read by serde only")]
        exp: i64,
    }
    let token = forge(&key, r#"{"alg":"EdDSA"}"#, r#"{"exp":"soon"}"#);
    let read = Unverified::parse(&token).unwrap();
    assert_eq!(read.verify::<Typed>(&verifying).err(), Some(JwsError::BadClaims));
}

#[test]
fn ac_30_algorithms_that_are_not_ours_are_refused() {
    let (key, verifying) = key(Algorithm::Rs256);
    for alg in [
        "none", "None", "nOnE", "HS256", "HS512", "RS1", "RS512", "PS256", "ES384", "ES256K", "dir",
        "A256GCM", "",
    ] {
        let header = json!({"alg": alg}).to_string();
        for token in [
            forge(&key, &header, "{}"),
            format!("{}.{}.", base64url::encode(&header), base64url::encode("{}")),
        ] {
            assert_eq!(refusal(&token, &verifying), Some(JwsError::UnsupportedAlgorithm), "{alg}");
        }
    }
    for header in [
        r#"{}"#,
        r#"{"alg":null}"#,
        r#"{"alg":["RS256"]}"#,
        r#"{"alg":"RS256","alg":"RS256"}"#,
        r#"{"ALG":"RS256"}"#,
    ] {
        assert_eq!(refusal(&forge(&key, header, "{}"), &verifying), Some(JwsError::Malformed), "{header}");
    }
}

#[test]
fn ac_30_the_algorithm_is_the_keys_and_not_the_tokens() {
    let keys: Vec<_> = Algorithm::ALL.into_iter().map(key).collect();
    for (signing, _) in &keys {
        let token = sign_compact(signing, &Header::of_type("JWT"), &json!({})).unwrap();
        for (other, verifying) in &keys {
            let expected = (signing.algorithm() != other.algorithm()).then_some(JwsError::OtherAlgorithm);
            assert_eq!(refusal(&token, verifying), expected);
        }
    }
}

#[test]
fn ac_30_headers_that_change_the_reading_are_refused() {
    let (key, verifying) = key(Algorithm::EdDsa);
    let members = [
        r#""crit":["exp"]"#,
        r#""crit":[]"#,
        r#""b64":false"#,
        r#""zip":"DEF""#,
        r#""enc":"A256GCM""#,
        r#""jwk":{"kty":"OKP"}"#,
        r#""jku":"https://evil.example/jwks""#,
        r#""x5u":"https://evil.example/cert""#,
        r#""\u0063rit":["exp"]"#,
    ];
    for member in members {
        let token = forge(&key, &format!(r#"{{"alg":"EdDSA",{member}}}"#), "{}");
        assert_eq!(refusal(&token, &verifying), Some(JwsError::ForbiddenHeader), "{member}");
    }
    // A null is as good as absent to some readers, and a value to others.
    for name in ["crit", "b64", "jwk", "jku"] {
        let token = forge(&key, &format!(r#"{{"alg":"EdDSA","{name}":null}}"#), "{}");
        assert_eq!(refusal(&token, &verifying), Some(JwsError::ForbiddenHeader), "{name}");
    }
    // What other readers may use and this one does not look at.
    let token = forge(&key, r#"{"alg":"EdDSA","x5t":"AA","cty":"x","unknown":{"deep":[1]}}"#, "{}");
    assert_eq!(refusal(&token, &verifying), None);
}

#[test]
fn ac_30_a_key_identifier_is_only_ever_text() {
    let (key, verifying) = key(Algorithm::EdDsa);
    let token = forge(&key, r#"{"alg":"EdDSA","kid":"../../etc/passwd' OR 1=1 --"}"#, "{}");
    assert_eq!(Unverified::parse(&token).unwrap().kid(), Some("../../etc/passwd' OR 1=1 --"));
    assert_eq!(refusal(&token, &verifying), None);
    assert_eq!(
        refusal(&forge(&key, r#"{"alg":"EdDSA","kid":1}"#, "{}"), &verifying),
        Some(JwsError::Malformed)
    );
}

#[test]
fn rfc9864_2_2_the_name_that_says_the_curve_means_the_same() {
    let (key, verifying) = key(Algorithm::EdDsa);
    let token = forge(&key, r#"{"alg":"Ed25519"}"#, "{}");
    assert_eq!(Unverified::parse(&token).unwrap().algorithm(), Algorithm::EdDsa);
    assert_eq!(refusal(&token, &verifying), None);
    let mut jwk = key.public_jwk().clone();
    jwk.alg = Some("Ed25519".to_owned());
    assert_eq!(VerifyingKey::from_jwk(&jwk).unwrap().kid(), key.kid());
    jwk.alg = Some("Ed448".to_owned());
    assert!(VerifyingKey::from_jwk(&jwk).is_err());
    for other in ["Ed448", "ed25519", "EDDSA", "ESP256", "ES256K"] {
        let token = forge(&key, &format!(r#"{{"alg":"{other}"}}"#), "{}");
        assert_eq!(refusal(&token, &verifying), Some(JwsError::UnsupportedAlgorithm), "{other}");
    }
    // What is signed here bears the name that everybody knows.
    assert_eq!(Algorithm::EdDsa.as_str(), "EdDSA");
}

#[test]
fn tokens_of_another_shape_are_refused() {
    let (key, verifying) = key(Algorithm::EdDsa);
    let token = sign_compact(&key, &Header::of_type("JWT"), &json!({"a": 1})).unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("three parts") };
    let malformed = [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        header.to_owned(),
        format!("{header}.{payload}"),
        format!("{header}..{signature}"),
        format!("{token}.x"),
        format!("{header}.{payload}.{payload}.{payload}.{signature}"),
        format!("{header}.{payload}.{signature}="),
        format!("{header}=.{payload}.{signature}"),
        format!(" {token}"),
        format!("{token}\n"),
        format!("{header}.{payload}.{}", signature.replace(['-', '_'], "+")) + "+",
    ];
    for token in malformed {
        assert_eq!(refusal(&token, &verifying), Some(JwsError::Malformed), "{token}");
    }
    assert_eq!(refusal(&format!("{header}.{payload}."), &verifying), Some(JwsError::BadSignature));
    // 64 bytes end in a character with four spare bits: the same bytes in a second spelling are another token.
    let last = signature.chars().last().unwrap();
    let twin = char::from(u8::try_from(last).unwrap() + 1);
    let spelled = format!("{header}.{payload}.{}{twin}", &signature[..signature.len() - 1]);
    assert_eq!(refusal(&spelled, &verifying), Some(JwsError::Malformed));
}

#[test]
fn a_long_token_is_not_looked_at() {
    let (key, verifying) = key(Algorithm::EdDsa);
    let of = |length: usize| {
        sign_compact(&key, &Header::of_type("JWT"), &json!({"a": "x".repeat(length)})).unwrap()
    };
    let (fits, long) = (of(11_000), of(13_000));
    assert!(fits.len() < MAX_TOKEN_BYTES && long.len() > MAX_TOKEN_BYTES);
    assert_eq!(refusal(&fits, &verifying), None);
    assert_eq!(refusal(&long, &verifying), Some(JwsError::TooLong));
}

#[test]
fn types_compare_as_the_rfc_says() {
    let (key, _) = key(Algorithm::EdDsa);
    let is = |typ: &str, asked: &str| {
        let token = forge(&key, &json!({"alg": "EdDSA", "typ": typ}).to_string(), "{}");
        Unverified::parse(&token).unwrap().is_type(asked)
    };
    assert!(is("at+jwt", "at+jwt") && is("AT+JWT", "at+jwt") && is("application/at+jwt", "at+jwt"));
    assert!(!is("JWT", "at+jwt") && !is("", "at+jwt") && !is("text/at+jwt", "at+jwt"));
    assert!(!Unverified::parse(&forge(&key, r#"{"alg":"EdDSA"}"#, "{}")).unwrap().is_type("JWT"));
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "[A-Za-z0-9._=\\-]{0,80}|\\PC{0,40}") {
        prop_assert!(Unverified::parse(&text).is_err());
    }

    #[test]
    fn no_header_makes_the_parser_panic(header in r#"\{"(alg|crit|kid)":[\["a-zA-Z0-9\]{},:]{0,30}\}"#) {
        let token = format!("{}.e30.AA", base64url::encode(&header));
        let _ = Unverified::parse(&token);
    }
}

/// Every change of one character of a token is noticed.
#[test]
fn no_character_of_a_token_can_be_changed() {
    for algorithm in [Algorithm::EdDsa, Algorithm::Es256] {
        let (key, verifying) = key(algorithm);
        let token = sign_compact(&key, &Header::of_type("JWT"), &json!({"sub": "ada"})).unwrap();
        for place in 0..token.len() {
            for to in ['A', '_', '.', '='] {
                let mut changed: Vec<char> = token.chars().collect();
                if changed[place] != to {
                    changed[place] = to;
                    let changed: String = changed.into_iter().collect();
                    assert!(refusal(&changed, &verifying).is_some(), "{changed}");
                }
            }
        }
    }
}

//! The examples of RFC 7515, RFC 7638 and RFC 8037.

use keyreeve_crypto::base64url;
use keyreeve_crypto::jws::{JwsError, Unverified};
use keyreeve_crypto::sign::{Algorithm, Jwk, SigningKey, VerifyingKey};
use serde_json::{Map, Value, json};

fn jwk(json: Value) -> Jwk {
    serde_json::from_value(json).unwrap()
}

/// PKCS#8 (RFC 8410 section 7) around an Ed25519 seed.
fn ed25519_pkcs8(seed: &str) -> Vec<u8> {
    let header =
        [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    [&header[..], &base64url::decode(seed).unwrap()].concat()
}

#[test]
fn rfc_8037_appendix_a() {
    let der = ed25519_pkcs8("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
    let key = SigningKey::from_pkcs8(Algorithm::EdDsa, &der).unwrap();
    // A.2: the public half. A.3: its thumbprint.
    assert_eq!(key.public_jwk().x.as_deref(), Some("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"));
    assert_eq!(key.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    // A.4: signing.
    let input = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    assert_eq!(base64url::encode(key.sign(input.as_bytes()).unwrap()), signature);
    // A.5: validation.
    let verifying = key.verifying_key().unwrap();
    assert!(verifying.verify(input.as_bytes(), &base64url::decode(signature).unwrap()));
    // The example's payload is a sentence and not claims; only the claims are refused.
    let token = format!("{input}.{signature}");
    let verified = Unverified::parse(&token).unwrap().verify::<Map<String, Value>>(&verifying);
    assert_eq!(verified.err(), Some(JwsError::BadClaims));
}

#[test]
fn rfc_7638_section_3_1() {
    let key = jwk(json!({
        "kty": "RSA",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV\
              4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d\
              0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44\
              -csFCur-kEgU8awapJzKnqDKgw",
        "e": "AQAB",
        "alg": "RS256",
        "kid": "2011-04-29"
    }));
    let verifying = VerifyingKey::from_jwk(&key).unwrap();
    assert_eq!(verifying.kid(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

/// The payload of RFC 7515's examples.
fn joe() -> Map<String, Value> {
    let claims = json!({"iss": "joe", "exp": 1_300_819_380, "http://example.com/is_root": true});
    claims.as_object().unwrap().clone()
}

#[test]
fn rfc_7515_appendix_a_2() {
    let key = VerifyingKey::from_jwk(&jwk(json!({
        "kty": "RSA",
        "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd\
              2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WT\
              BEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91\
              kzk2PAcDTW9gb54h4FRWyuXpoQ",
        "e": "AQAB"
    })))
    .unwrap();
    let token = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb2\
                 90Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5\
                 jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0Gar\
                 ZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rq\
                 Vt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    let claims = Unverified::parse(token).unwrap().verify::<Map<String, Value>>(&key).unwrap();
    assert_eq!(claims, joe());
}

#[test]
fn rfc_7515_appendix_a_3() {
    let key = VerifyingKey::from_jwk(&jwk(json!({
        "kty": "EC",
        "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
    })))
    .unwrap();
    let token = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb2\
                 90Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    let claims = Unverified::parse(token).unwrap().verify::<Map<String, Value>>(&key).unwrap();
    assert_eq!(claims, joe());
}

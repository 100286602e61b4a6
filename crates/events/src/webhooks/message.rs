//! Messages, signed as the Standard Webhooks specification has it (standardwebhooks.com, version 1).

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyreeve_audit::Entry;
use keyreeve_base::{Timestamp, World};
use keyreeve_crypto::{Secret, SecretBytes};
use keyreeve_fetch::{HeaderName, HeaderValue, Request};
use serde::Serialize;
use serde_json::value::RawValue;
use std::time::Duration;
use uuid::Uuid;

/// How long a receiver may take with its answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The bytes of a secret; the specification asks for 24 to 64.
pub(crate) const SECRET_BYTES: usize = 32;

/// How secrets begin, so that they are known for what they are.
const PREFIX: &str = "whsec_";

/// A secret that this server and one receiver share, in the form in which receivers' libraries take it.
pub struct SharedSecret(pub Secret);

impl SharedSecret {
    pub(crate) fn generate(world: &World) -> (SecretBytes, Self) {
        let bytes = world.random_bytes::<SECRET_BYTES>();
        let text = format!("{PREFIX}{}", STANDARD.encode(bytes));
        (SecretBytes::from(bytes.to_vec()), Self(Secret::from(text)))
    }
}

impl std::fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SharedSecret(…)")
    }
}

/// A message on its way: the same identifier and body however often it is sent.
pub(crate) struct Message {
    pub(crate) id: Uuid,
    pub(crate) seq: Option<i64>,
    pub(crate) action: String,
    body: String,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'a str,
    timestamp: String,
    data: Box<RawValue>,
}

impl Message {
    /// An entry of the log.
    pub(crate) fn of_entry(entry: &Entry) -> Self {
        let data = serde_json::value::to_raw_value(&entry.public()).unwrap_or_default();
        Self::new((entry.id.uuid(), entry.seq), &entry.action, entry.at, data)
    }

    /// A message that says nothing but that messages arrive.
    pub(crate) fn ping(id: Uuid, at: Timestamp) -> Self {
        Self::new((id, None), "webhook.ping", at, Box::default())
    }

    fn new((id, seq): (Uuid, Option<i64>), action: &str, at: Timestamp, data: Box<RawValue>) -> Self {
        let body = Body { r#type: action, timestamp: at.to_string(), data };
        // Texts and JSON that was checked always print.
        let body = serde_json::to_string(&body).unwrap_or_default();
        Self { id, seq, action: action.to_owned(), body }
    }

    /// The request that carries it, signed for this moment with each of the secrets.
    pub(crate) fn request(&self, url: &str, now: Timestamp, secrets: &[SecretBytes]) -> Request {
        let (id, seconds) = (self.id.to_string(), now.seconds());
        let signatures: Vec<String> =
            secrets.iter().map(|secret| sign(secret.expose(), &id, seconds, &self.body)).collect();
        let mut request =
            Request::post(url, "application/json", self.body.clone()).timeout(PATIENCE).status_only();
        let headers = [
            ("webhook-id", id),
            ("webhook-timestamp", seconds.to_string()),
            ("webhook-signature", signatures.join(" ")),
        ];
        for (name, value) in headers {
            // Digits, hexadecimal and base64 are what headers may hold.
            if let Ok(value) = HeaderValue::try_from(value) {
                request = request.header(HeaderName::from_static(name), value);
            }
        }
        request
    }
}

/// The signature of a message: `v1,` and the HMAC-SHA256 over `ID.TIMESTAMP.BODY` under the secret's bytes, in base64.
#[must_use]
pub fn sign(secret: &[u8], id: &str, seconds: i64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let tag = hmac::sign(&key, format!("{id}.{seconds}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's libraries.
    #[test]
    fn signs_as_the_specification_does() {
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature =
            sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_shows_what_it_is_and_not_itself() {
        let (world, _) = keyreeve_testkit::test_world();
        let (bytes, text) = SharedSecret::generate(&world);
        let encoded = text.0.expose().strip_prefix("whsec_").expect("its prefix");
        assert_eq!(STANDARD.decode(encoded).unwrap(), bytes.expose());
        assert_eq!(format!("{text:?}"), "SharedSecret(…)");
    }
}

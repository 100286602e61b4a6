//! The service that takes messages over HTTP, for installations without an SMTP server.
//!
//! It gets a POST for each message: JSON with `type` (`mail`), `id`, `timestamp` and `data`, an object of `from`, `to`,
//! `subject`, `text` and `html`. The request is signed as the conventions of Standard Webhooks have it: `webhook-id`,
//! `webhook-timestamp` and `webhook-signature`, which is `v1,` and the base64 of the HMAC-SHA256 over
//! `ID.TIMESTAMP.BODY`. A message that is tried again has the same `webhook-id`: whoever remembers it sends nothing twice.
//! An answer of 2xx means that the service has the message.

use crate::mailer::SendError;
use crate::message::Message;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyreeve_base::Timestamp;
use keyreeve_crypto::{Secret, SecretBytes};
use keyreeve_fetch::{FetchError, Fetcher, HeaderName, HeaderValue, Request};
use serde::Serialize;
use uuid::Uuid;

/// What a secret of the conventions begins with; base64 follows.
const SECRET_PREFIX: &str = "whsec_";
/// The shortest secret, in bytes.
const MIN_SECRET_BYTES: usize = 16;

/// The secret that both sides know.
pub struct WebhookSecret(SecretBytes);

impl WebhookSecret {
    /// Reads it: `whsec_` and base64, or any text, whose bytes it then is.
    ///
    /// # Errors
    /// A sentence, as it reads on from the name of the setting, without the secret.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bytes = match text.strip_prefix(SECRET_PREFIX) {
            Some(encoded) => {
                STANDARD.decode(encoded).map_err(|_| "has no base64 behind whsec_".to_owned())?
            }
            None => text.as_bytes().to_vec(),
        };
        if bytes.len() < MIN_SECRET_BYTES {
            return Err(format!("is shorter than {MIN_SECRET_BYTES} bytes"));
        }
        Ok(Self(SecretBytes::from(bytes)))
    }

    fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.expose());
        let mut context = hmac::Context::with_key(&key);
        context.update(format!("{id}.{seconds}.").as_bytes());
        context.update(body);
        format!("v1,{}", STANDARD.encode(context.sign()))
    }
}

/// The service.
pub struct Webhook {
    fetcher: Fetcher,
    url: Secret,
    secret: WebhookSecret,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    id: &'a str,
    timestamp: String,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    from: &'a str,
    to: &'a str,
    subject: &'a str,
    text: &'a str,
    html: &'a str,
}

impl Webhook {
    /// The service at this URL, which may hold a key of its own in its query.
    #[must_use]
    pub const fn new(fetcher: Fetcher, url: Secret, secret: WebhookSecret) -> Self {
        Self { fetcher, url, secret }
    }

    pub(crate) fn check(&self) -> Result<(), SendError> {
        self.fetcher.check(self.url.expose()).map(drop).map_err(|error| unsent(&error))
    }

    pub(crate) async fn send(
        &self,
        (id, at): (Uuid, Timestamp),
        from: &str,
        message: &Message,
    ) -> Result<(), SendError> {
        let id = id.to_string();
        let body = Body {
            r#type: "mail",
            id: &id,
            timestamp: at.to_string(),
            data: Data {
                from,
                to: &message.to,
                subject: &message.subject,
                text: message.text.expose(),
                html: message.html.expose(),
            },
        };
        let body = serde_json::to_vec(&body)
            .map_err(|_| SendError::Permanent("the message cannot be written".to_owned()))?;
        let seconds = at.seconds();
        let headers = [
            ("webhook-id", id.clone()),
            ("webhook-timestamp", seconds.to_string()),
            ("webhook-signature", self.secret.sign(&id, seconds, &body)),
        ];
        let mut request = Request::post(self.url.expose(), "application/json", body).status_only();
        for (name, value) in headers {
            let value = HeaderValue::try_from(value)
                .map_err(|_| SendError::Permanent("the message cannot be signed".to_owned()))?;
            request = request.header(HeaderName::from_static(name), value);
        }
        let response = self.fetcher.send(request).await.map_err(|error| unsent(&error))?;
        let words = format!("the mail service answered {}", response.status.as_u16());
        match response.status.as_u16() {
            200..=299 => Ok(()),
            // About this message; everything else is something that an operator can mend, or that passes.
            400 | 413 | 422 => Err(SendError::Permanent(words)),
            _ => Err(SendError::Temporary(words)),
        }
    }
}

fn unsent(error: &FetchError) -> SendError {
    SendError::Temporary(format!("the mail service cannot be asked: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_conventions() {
        // Made with Python: hmac.new(b"0123456789abcdef", b"m.1.{}", "sha256")
        let secret = WebhookSecret::parse("0123456789abcdef").unwrap();
        assert_eq!(secret.sign("m", 1, b"{}"), "v1,BLqcBKrzX/LZcLCKH+YuLiF2mmsud2n7cYsfWQ/dQ7Y=");
        let encoded = WebhookSecret::parse("whsec_MDEyMzQ1Njc4OWFiY2RlZg==").unwrap();
        assert_eq!(encoded.sign("m", 1, b"{}"), secret.sign("m", 1, b"{}"));
    }

    #[test]
    fn a_weak_or_garbled_secret_is_refused_and_not_repeated() {
        for bad in ["", "hunter2", "whsec_hunter2!!", "whsec_c2hvcnQ="] {
            let problem = WebhookSecret::parse(bad).err().unwrap_or_else(|| panic!("{bad} is accepted"));
            assert!(!problem.contains("hunter2"), "{problem}");
        }
    }
}

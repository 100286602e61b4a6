//! What travels through the browser while its user signs in or decides: sealed, so that it can be neither read nor
//! changed, and bound to that browser. Nothing of it is stored, so that requests by nobody cost no write.

use crate::error::Error;
use crate::service::Tokens;
use keyreeve_base::{TenantId, Timestamp};
use keyreeve_crypto::{base64url, constant_time_eq, sha256};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// How long a person may take from the first page to the last.
const LIFETIME: Duration = Duration::from_secs(1_800);
/// The longest sealed text that is opened, in bytes.
const MAX_SEALED_BYTES: usize = 16_384;

/// What is sealed.
#[derive(serde::Serialize, serde::Deserialize)]
struct Envelope<T> {
    content: T,
    sealed_at: Timestamp,
    /// The digest of the cookie of the browser that it was given to (AC-06).
    browser: String,
}

/// What came back, and when it was sealed.
pub(crate) struct Opened<T> {
    pub(crate) content: T,
    pub(crate) sealed_at: Timestamp,
}

fn browser_digest(cookie: &str) -> String {
    base64url::encode(sha256(cookie.as_bytes()))
}

impl Tokens {
    /// Seals `content` for the browser that holds this cookie.
    pub(crate) async fn seal_for_browser<T: Serialize + Sync>(
        &self,
        tenant: TenantId,
        purpose: &'static str,
        content: &T,
        cookie: &str,
    ) -> Result<String, Error> {
        #[derive(Serialize)]
        struct Borrowed<'a, T> {
            content: &'a T,
            sealed_at: Timestamp,
            browser: String,
        }
        let envelope = Borrowed { content, sealed_at: self.now(), browser: browser_digest(cookie) };
        let text = serde_json::to_vec(&envelope).map_err(|e| Error::corrupt(purpose, e))?;
        Ok(self.0.identity.tenants().seal_text(tenant, &[purpose.as_bytes()], &text).await?)
    }

    /// Opens what [`Tokens::seal_for_browser`] sealed for this browser. None when it is no such thing, was sealed for
    /// another tenant, purpose or browser, or too long ago.
    pub(crate) async fn open_from_browser<T: DeserializeOwned>(
        &self,
        tenant: TenantId,
        purpose: &'static str,
        sealed: &str,
        cookie: &str,
    ) -> Result<Option<Opened<T>>, Error> {
        if sealed.len() > MAX_SEALED_BYTES {
            return Ok(None);
        }
        let opened = self.0.identity.tenants().open_text(tenant, &[purpose.as_bytes()], sealed).await;
        let text = match opened {
            Ok(text) => text,
            Err(keyreeve_identity::Error::Seal(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let Ok(envelope) = serde_json::from_slice::<Envelope<T>>(text.expose()) else { return Ok(None) };
        let here = constant_time_eq(envelope.browser.as_bytes(), browser_digest(cookie).as_bytes());
        let in_time = self.now().since(envelope.sealed_at) < LIFETIME;
        Ok((here && in_time).then_some(Opened { content: envelope.content, sealed_at: envelope.sealed_at }))
    }
}

//! The keys of trusted issuers: those that were registered, or those that the issuer publishes, which are fetched through
//! the guarded client (AC-50) and kept for a while.

use super::model::TrustedIssuer;
use crate::error::Error;
use crate::service::Tokens;
use keyreeve_base::Timestamp;
use keyreeve_crypto::sign::{Jwk, VerifyingKey};
use keyreeve_fetch::Request;
use quick_cache::sync::Cache;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// For how long fetched keys are used without asking again.
const FRESH: Duration = Duration::from_secs(300);
/// For how long they are used when the issuer does not answer.
const STALE: Duration = Duration::from_secs(3_600);
/// How often an issuer is asked at most, because of a key that is not known or an answer that failed.
const PAUSE: Duration = Duration::from_secs(30);
/// The largest set that is read, in bytes, and how many keys of it.
const MAX_SET_BYTES: usize = 64 * 1024;
const MAX_KEYS: usize = 50;
/// How many issuers' keys are kept.
const CACHED: usize = 500;

/// The keys of an issuer, each with its `kid`.
pub(crate) type IssuerKeys = Arc<Vec<(Option<String>, VerifyingKey)>>;

/// Fetched keys, and when the issuer was last asked.
#[derive(Clone)]
struct Kept {
    keys: Option<(IssuerKeys, Timestamp)>,
    asked_at: Timestamp,
}

/// What was fetched, by issuer and by the version of its settings.
pub(crate) struct KeyCache(Cache<(Uuid, i64), Kept>);

impl Default for KeyCache {
    fn default() -> Self {
        Self(Cache::new(CACHED))
    }
}

fn usable(jwks: &[Jwk]) -> IssuerKeys {
    let keys = jwks.iter().take(MAX_KEYS).filter_map(|jwk| {
        // A set may hold keys for other purposes and of kinds that are not supported.
        VerifyingKey::from_jwk(jwk).ok().map(|key| (jwk.kid.clone(), key))
    });
    Arc::new(keys.collect())
}

impl Tokens {
    /// The keys of an issuer; `kid` is the one that an assertion names. Empty where none can be had.
    pub(crate) async fn issuer_keys(
        &self,
        issuer: &TrustedIssuer,
        kid: Option<&str>,
    ) -> Result<IssuerKeys, Error> {
        let Some(uri) = &issuer.settings.jwks_uri else { return Ok(usable(&issuer.settings.jwks)) };
        let (at, now) = ((issuer.id, issuer.version), self.now());
        let kept = self.0.issuer_keys.0.get(&at);
        let fetched = kept.as_ref().and_then(|kept| kept.keys.clone());
        let knows = |keys: &IssuerKeys| {
            kid.is_none_or(|kid| keys.iter().any(|(known, _)| known.as_deref() == Some(kid)))
        };
        let fresh = fetched.as_ref().is_some_and(|(keys, at)| now.since(*at) < FRESH && knows(keys));
        let too_soon = kept.as_ref().is_some_and(|kept| now.since(kept.asked_at) < PAUSE);
        let usable_still = fetched.filter(|(_, at)| now.since(*at) < STALE);
        if fresh || too_soon {
            return Ok(usable_still.map(|(keys, _)| keys).unwrap_or_default());
        }
        // Noted before the answer, so that many assertions at once ask once.
        self.0.issuer_keys.0.insert(at, Kept { keys: usable_still.clone(), asked_at: now });
        match self.fetch_keys(uri).await {
            Ok(keys) => {
                let kept = Kept { keys: Some((Arc::clone(&keys), now)), asked_at: now };
                self.0.issuer_keys.0.insert(at, kept);
                Ok(keys)
            }
            Err(problem) => {
                tracing::warn!(issuer = %issuer.issuer, %problem, "the keys of a trusted issuer cannot be had");
                Ok(usable_still.map(|(keys, _)| keys).unwrap_or_default())
            }
        }
    }

    async fn fetch_keys(&self, uri: &str) -> Result<IssuerKeys, String> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<serde_json::Value>,
        }
        let fetcher = self.0.fetcher.as_ref().ok_or("nothing is fetched here")?;
        let request = Request::get(uri).max_body(MAX_SET_BYTES);
        let response = fetcher.send(request).await.map_err(|error| error.to_string())?;
        if response.status != keyreeve_fetch::StatusCode::OK {
            return Err(format!("the answer is {}", response.status));
        }
        let set: Set = serde_json::from_slice(&response.body).map_err(|_| "it is no set of keys")?;
        let jwks: Vec<Jwk> =
            set.keys.into_iter().filter_map(|value| serde_json::from_value(value).ok()).collect();
        Ok(usable(&jwks))
    }
}

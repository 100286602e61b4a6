//! Asking a store: by the guarded client, with a token of its own. Tokens of logins are held in memory until they end.

use super::wire;
use crate::{Error, Method as By, SecretStore, Secrets, ServiceAuthentication, StoreId};
use bytes::{Bytes, BytesMut};
use keyreeve_base::Timestamp;
use keyreeve_crypto::Secret as SecretText;
use keyreeve_fetch::{ErrorClass, FetchError, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use zeroize::Zeroize as _;

const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
/// Proxies in front of such servers ask for it, so that no browser's request passes.
const REQUEST: HeaderName = HeaderName::from_static("x-vault-request");
const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";
/// The most tokens that are held.
const MAX_SESSIONS: usize = 10_000;
/// How long a token is held that does not end by itself.
const ENDLESS: u64 = 3_600;
/// How much longer than the longest value an answer may be: what is around it, and spaces in it.
const AROUND_BYTES: usize = 64 * 1_024;

/// A store, and all that it takes to ask it.
pub(crate) struct Reach {
    pub(super) store: SecretStore,
    pub(super) authentication: ServiceAuthentication,
    pub(super) credential: SecretText,
}

/// What it is asked.
pub(super) struct Ask {
    method: Method,
    parts: Vec<String>,
    query: Option<String>,
    body: Option<(Bytes, &'static str)>,
    /// Whether what it says of its failure may be repeated: not where a value was sent, which it might repeat.
    repeats: bool,
}

/// What it answered. The body is wiped.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    body: BytesMut,
    repeats: bool,
    /// What must not be repeated.
    token: Option<Arc<SecretText>>,
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.body.as_mut().zeroize();
    }
}

impl Answer {
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }
}

impl Ask {
    fn new(method: Method, path: &[&str]) -> Self {
        let parts = path.iter().flat_map(|part| part.split('/')).map(str::to_owned).collect();
        Self { method, parts, query: None, body: None, repeats: true }
    }

    pub(super) fn get(path: &[&str]) -> Self {
        Self::new(Method::GET, path)
    }

    pub(super) fn post(path: &[&str], document: &serde_json::Value) -> Self {
        Self { body: Some((Bytes::from(document.to_string()), JSON)), ..Self::new(Method::POST, path) }
    }

    /// Writes a value, or merges a patch.
    pub(super) fn write(path: &[&str], document: Bytes, merges: bool) -> Self {
        let (method, kind) = if merges { (Method::PATCH, MERGE) } else { (Method::POST, JSON) };
        Self { body: Some((document, kind)), repeats: false, ..Self::new(method, path) }
    }

    pub(super) fn query(self, query: String) -> Self {
        Self { query: Some(query), ..self }
    }
}

impl Reach {
    /// An error that says this of the store.
    pub(super) fn said(&self, said: &str) -> Error {
        self.error(said.to_owned(), None)
    }

    /// The answer is none of this API.
    pub(super) fn garbled(&self, status: StatusCode) -> Error {
        self.error(format!("answered {} with what is none of its API", status.as_u16()), Some(status))
    }

    /// It answered, but did not do it.
    pub(super) fn refused(&self, answer: &Answer) -> Error {
        let (status, mut said) = (answer.status, String::new());
        if status.is_redirection() {
            return self
                .error(format!("answered {}: redirects are not followed", status.as_u16()), Some(status));
        }
        if answer.repeats {
            said = wire::said(&answer.body);
            let token = answer.token.as_ref().is_some_and(|token| said.contains(token.expose()));
            if token || said.contains(self.credential.expose()) {
                said.clear();
            }
        }
        let colon = if said.is_empty() { "" } else { ": " };
        self.error(format!("answered {}{colon}{said}", status.as_u16()), Some(status))
    }

    fn error(&self, said: String, status: Option<StatusCode>) -> Error {
        let status = status.map(|status| status.as_u16());
        Error::Elsewhere { store: self.store.name.clone(), said, status, late: false }
    }

    /// There was no answer. What a name of the inner network means is not told.
    fn silent(&self, error: &FetchError) -> Error {
        tracing::warn!(store = %self.store.id, %error, "a secret store did not answer");
        let said = match error.class() {
            ErrorClass::Refused => "has an address that requests may not go to",
            ErrorClass::Resolve => "has a name that cannot be resolved",
            ErrorClass::Connect => "cannot be connected to",
            ErrorClass::Tls => "has no certificate that is trusted",
            ErrorClass::Timeout => "did not answer in time",
            ErrorClass::Answer => "answered with what cannot be read",
            ErrorClass::Internal => "could not be asked: too much leaves this server",
        };
        let late = error.class() == ErrorClass::Timeout;
        Error::Elsewhere { store: self.store.name.clone(), said: said.to_owned(), status: None, late }
    }
}

/// Tokens of logins, each for the store, the service authentication and their versions that it was given by.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<StoreId, Session>>);

struct Session {
    of: (i64, i64, i64),
    token: Arc<SecretText>,
    until: Timestamp,
}

impl Sessions {
    fn held(&self) -> MutexGuard<'_, HashMap<StoreId, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, reach: &Reach, now: Timestamp) -> Option<Arc<SecretText>> {
        let held = self.held();
        let session = held.get(&reach.store.id)?;
        (session.of == of(reach) && now < session.until).then(|| Arc::clone(&session.token))
    }

    fn keep(&self, reach: &Reach, session: Session, now: Timestamp) {
        let mut held = self.held();
        if held.len() >= MAX_SESSIONS {
            held.retain(|_, session| now < session.until);
        }
        if held.len() >= MAX_SESSIONS {
            held.clear();
        }
        held.insert(reach.store.id, session);
    }

    /// Forgets this token, unless another has taken its place.
    fn forget(&self, reach: &Reach, token: &Arc<SecretText>) {
        let mut held = self.held();
        if held.get(&reach.store.id).is_some_and(|session| Arc::ptr_eq(&session.token, token)) {
            held.remove(&reach.store.id);
        }
    }
}

fn of(reach: &Reach) -> (i64, i64, i64) {
    (reach.store.version, reach.authentication.key, reach.authentication.version)
}

impl Secrets {
    /// Asks a store; signs in first where that is needed, and once more where it lets nobody in with the token of before.
    pub(super) async fn ask(&self, reach: &Reach, ask: &Ask) -> Result<Answer, Error> {
        let (token, held) = self.token(reach).await?;
        let answer = self.send(reach, Some(&token), ask).await?;
        if answer.status != StatusCode::FORBIDDEN || !held {
            return Ok(answer);
        }
        self.sessions().forget(reach, &token);
        let (token, _) = self.token(reach).await?;
        self.send(reach, Some(&token), ask).await
    }

    /// A token, and whether it was held from a login of before.
    async fn token(&self, reach: &Reach) -> Result<(Arc<SecretText>, bool), Error> {
        let By::AppRole { mount, role_id } = &reach.authentication.method else {
            return Ok((Arc::new(reach.credential.duplicate()), false));
        };
        let now = self.world().now();
        if let Some(token) = self.sessions().find(reach, now) {
            return Ok((token, true));
        }
        let mut ask = Ask::new(Method::POST, &["auth", mount, "login"]);
        ask.body = Some((wire::logging_in(role_id, &reach.credential), JSON));
        let answer = self.send(reach, None, &ask).await?;
        if answer.status != StatusCode::OK {
            return Err(reach.refused(&answer));
        }
        let (token, seconds) = wire::login(answer.body()).ok_or_else(|| reach.garbled(answer.status))?;
        let seconds = if seconds == 0 { ENDLESS } else { seconds };
        // A little early, so that it does not end on its way.
        let until = now.plus(Duration::from_secs(seconds.saturating_sub((seconds / 10).clamp(1, 30))));
        let token = Arc::new(token);
        let session = Session { of: of(reach), token: Arc::clone(&token), until };
        self.sessions().keep(reach, session, now);
        Ok((token, false))
    }

    async fn send(&self, reach: &Reach, token: Option<&Arc<SecretText>>, ask: &Ask) -> Result<Answer, Error> {
        let Some(fetcher) = &self.options().fetcher else {
            return Err(reach.said("cannot be reached: this server sends no requests"));
        };
        // To the server that the credential is sealed with, whatever the store's own row says.
        let base = fetcher.check(&reach.authentication.url).map_err(|error| reach.silent(&error))?;
        let mut url = base.url().clone();
        let unfit = || reach.said("has an address that nothing can be put behind");
        url.path_segments_mut().map_err(|()| unfit())?.pop_if_empty().push("v1").extend(&ask.parts);
        url.set_query(ask.query.as_deref());
        let most = self.options().max_value_bytes.saturating_mul(2).saturating_add(AROUND_BYTES);
        let mut request = Request::new(ask.method.clone(), url.as_str())
            .timeout(Duration::from_millis(u64::from(reach.store.timeout_ms)))
            .max_body(most)
            .header(REQUEST, HeaderValue::from_static("true"))
            .header(header::ACCEPT, HeaderValue::from_static(JSON));
        if let Some(namespace) = &reach.store.namespace {
            let value = HeaderValue::from_str(namespace).map_err(|_| unfit())?;
            request = request.header(NAMESPACE, value);
        }
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(token.expose()).map_err(|_| unfit())?;
            value.set_sensitive(true);
            request = request.header(TOKEN, value);
        }
        if let Some((body, kind)) = &ask.body {
            request = request.header(header::CONTENT_TYPE, HeaderValue::from_static(kind)).body(body.clone());
        }
        let answer = fetcher.send(request).await.map_err(|error| reach.silent(&error))?;
        let body = answer.body.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        let token = token.map(Arc::clone);
        Ok(Answer { status: answer.status, body, repeats: ask.repeats, token })
    }
}

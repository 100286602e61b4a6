//! Who calls, and with what.

use crate::answer::{self, Refused};
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use keyreeve_base::{Origin, Presentation, World};
use keyreeve_crypto::Secret as SecretText;
use keyreeve_http::origin::ClientOrigin;
use keyreeve_http::rate::Limiter;
use keyreeve_http::route::TenantName;
use keyreeve_identity::{Authority, Cause, Tenant};
use keyreeve_secrets::{KeyValues, Kind, Place, Secret, Secrets};
use keyreeve_tokens::scope::{SECRETS_READ, SECRETS_WRITE};
use keyreeve_tokens::{Caller, Tokens};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::Arc;

/// Where tokens stand.
const TOKEN: &str = "x-vault-token";
/// Mounts that are none: other parts of this API begin so.
const RESERVED: [&str; 4] = ["auth", "sys", "identity", "cubbyhole"];

/// The state of this door's handlers. Cheap to clone.
#[derive(Clone)]
pub struct KvState {
    pub(crate) tokens: Tokens,
    pub(crate) secrets: Secrets,
    world: World,
    limiter: Limiter,
}

impl KvState {
    /// The door to these rooms, and who counts those who come to it.
    #[must_use]
    pub const fn new(tokens: Tokens, secrets: Secrets, world: World, limiter: Limiter) -> Self {
        Self { tokens, secrets, world, limiter }
    }
}

/// The tenant that a path names, and where the request comes from. One that does not exist and one that is disabled are both
/// simply not there.
pub(crate) struct Arrival {
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) origin: Origin,
}

impl FromRequestParts<KvState> for Arrival {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &KvState) -> Result<Self, Refused> {
        let name = TenantName::from_request_parts(parts, state).await.map_err(|_| Refused::nothing())?;
        let tenant = state.tokens.identity().tenants().at_path(name.0.as_deref()).await?;
        let tenant = tenant.ok_or_else(Refused::nothing)?;
        let asks = |name: &str| parts.headers.get(name).is_some_and(|value| !value.is_empty());
        if asks("x-vault-namespace") {
            return Err(Refused::bad("namespaces are not supported: a tenant has a path of its own"));
        }
        if asks("x-vault-wrap-ttl") {
            return Err(Refused::bad("response wrapping is not supported"));
        }
        let origin = ClientOrigin::from_request_parts(parts, state).await;
        let ClientOrigin(origin) =
            origin.map_err(|_| Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error"))?;
        Ok(Self { tenant, origin })
    }
}

/// A request of somebody whose access token is good.
pub(crate) struct Call {
    pub(crate) state: KvState,
    pub(crate) caller: Caller,
    /// The token, for what a token says of itself.
    pub(crate) token: SecretText,
    pub(crate) headers: HeaderMap,
    /// Whether it was sent with the method LIST.
    lists: bool,
    pub(crate) query: Vec<(String, String)>,
}

impl FromRequestParts<KvState> for Call {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &KvState) -> Result<Self, Refused> {
        let Arrival { tenant, origin } = Arrival::from_request_parts(parts, state).await?;
        let token = token_of(&parts.headers)?.ok_or_else(Refused::stranger)?;
        let caller = state.tokens.caller(&tenant, Presentation::Bearer(token), &origin).await?;
        let caller = caller.ok_or_else(Refused::stranger)?;
        if let Some(holder) = caller.holder() {
            state.limiter.count(tenant.id, holder).map_err(|allowance| Refused::busy(allowance.wait()))?;
        }
        let query: Vec<(String, String)> = axum::extract::Query::try_from_uri(&parts.uri)
            .map_err(|_| Refused::bad("the query cannot be read"))?
            .0;
        for (at, (name, _)) in query.iter().enumerate() {
            if query.iter().skip(at.saturating_add(1)).any(|(other, _)| other == name) {
                return Err(Refused::bad(format!("the parameter {name:?} stands twice")));
            }
        }
        let (token, headers) = (SecretText::new(token), parts.headers.clone());
        let lists = parts.extensions.get::<crate::Lists>().is_some();
        Ok(Self { state: state.clone(), caller, token, headers, lists, query })
    }
}

/// The one token of a request.
fn token_of(headers: &HeaderMap) -> Result<Option<&str>, Refused> {
    let mut found: Option<&str> = None;
    let own = headers.get_all(TOKEN).iter().map(|value| value.to_str().ok());
    let bearer = headers.get_all(header::AUTHORIZATION).iter().map(|value| {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    for token in own.chain(bearer) {
        let token = token.ok_or_else(Refused::stranger)?;
        if found.is_some_and(|found| found != token) {
            return Err(Refused::bad("two tokens were given"));
        }
        found = Some(token);
    }
    Ok(found.filter(|token| !token.is_empty()))
}

impl Call {
    pub(crate) fn kv(&self) -> KeyValues<'_> {
        self.state.secrets.kv()
    }

    pub(crate) fn authority(&self) -> &Authority {
        self.caller.authority()
    }

    pub(crate) fn cause(&self) -> &Cause {
        self.caller.cause()
    }

    /// # Errors
    /// 403 unless the token's scope opens reading secrets.
    pub(crate) fn reads(&self) -> Result<(), Refused> {
        if self.caller.allows(SECRETS_READ) { Ok(()) } else { Err(Refused::denied()) }
    }

    /// # Errors
    /// 403 unless the token's scope opens changing secrets.
    pub(crate) fn writes(&self) -> Result<(), Refused> {
        if self.caller.allows(SECRETS_WRITE) { Ok(()) } else { Err(Refused::denied()) }
    }

    /// The key/value secret at a place, without its value.
    pub(crate) async fn find(&self, place: &Place) -> Result<Secret, Refused> {
        let found = self.kv().find(self.authority(), place).await?;
        if found.kind == Kind::KeyValue {
            Ok(found)
        } else {
            Err(Refused::bad("the secret at this path is not a key/value secret"))
        }
    }

    /// A parameter of the query.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A whole number among the parameters; 0 and its absence are the same here.
    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>, Refused> {
        let Some(text) = self.parameter(name).filter(|text| !text.is_empty()) else { return Ok(None) };
        match text.parse::<u32>() {
            Ok(0) => Ok(None),
            Ok(number) => Ok(Some(i64::from(number))),
            Err(_) => Err(Refused::bad(format!("{name} is not a whole number"))),
        }
    }

    pub(crate) fn is_list(&self) -> bool {
        self.lists || self.parameter("list") == Some("true")
    }

    /// A good answer.
    pub(crate) fn ok(&self, data: Value) -> Response {
        let mut body = answer::envelope(data);
        self.sign(&mut body);
        answer::plain(&body)
    }

    /// Says in an answer which request it belongs to.
    pub(crate) fn sign(&self, body: &mut Value) {
        if let (Some(id), Some(body)) = (self.request_id(), body.as_object_mut()) {
            body.insert("request_id".to_owned(), Value::String(id));
        }
    }

    /// The moment, in seconds of Unix time.
    pub(crate) fn now(&self) -> i64 {
        self.state.world.now().seconds()
    }

    pub(crate) fn request_id(&self) -> Option<String> {
        self.cause().origin.request_id.clone()
    }
}

/// The mount and the path of a request.
pub(crate) struct At {
    pub(crate) mount: String,
    pub(crate) path: String,
}

impl FromRequestParts<KvState> for At {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &KvState) -> Result<Self, Refused> {
        let named = Path::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let Path(named) = named.map_err(|_| Refused::nothing())?;
        let of = |name: &str| named.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        let mount = of("mount").unwrap_or_default();
        if RESERVED.contains(&mount.as_str()) {
            return Err(Refused::nothing());
        }
        Ok(Self { mount, path: of("path").unwrap_or_default() })
    }
}

impl At {
    pub(crate) fn place(&self) -> Result<Place, Refused> {
        Ok(Place::new(&self.mount, &self.path)?)
    }
}

/// A JSON document that was sent. Nothing counts as an empty one.
pub(crate) struct Sent<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<KvState> for Sent<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &KvState) -> Result<Self, Refused> {
        let bytes = Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|rejection| Refused::new(rejection.status(), "the body cannot be read"))?;
        let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        // The parser's own words may quote what was sent.
        let read = serde_json::from_slice(bytes);
        read.map(Self).map_err(|error| {
            let at = format!("line {}, column {}", error.line(), error.column());
            Refused::bad(format!("failed to parse JSON input: it is not what is wanted at {at}"))
        })
    }
}

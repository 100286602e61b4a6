//! One call of an operation: what is done before its handler, the same for all, and what the handler asks of it.

use crate::body;
use crate::operation::{Operation, QueryKind};
use crate::paging::{Paging, number, strict_uuid};
use crate::refused::{INVALID_BODY, Refused};
use crate::reply::Reply;
use crate::state::ApiState;
use axum::extract::{FromRequestParts, RawPathParams, Request};
use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, header};
use keyreeve_base::id::Id;
use keyreeve_base::{Origin, TenantId};
use keyreeve_http::body::BodyError;
use keyreeve_http::front::REQUEST_ID;
use keyreeve_http::limits::MAX_JSON_BYTES;
use keyreeve_http::origin::ClientOrigin;
use keyreeve_http::params::Params;
use keyreeve_http::possession::Described;
use keyreeve_http::presented::{Challenge, Scheme, presented};
use keyreeve_http::rate::Allowance;
use keyreeve_http::route::TenantName;
use keyreeve_identity::{Cause, DEFAULT_SLUG, Identity, RequestKey, Tenant};
use keyreeve_sharing::Sharing;
use keyreeve_tokens::Caller;
use serde::de::DeserializeOwned;
use std::sync::{Arc, Mutex, PoisonError};
use uuid::Uuid;

/// The header by which a caller names a request, so that it makes what it makes once.
pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The longest such name, in bytes.
const MAX_KEY_BYTES: usize = 255;

/// One call, by a caller who was identified and whose token has the scope.
pub(crate) struct Call {
    state: ApiState,
    operation: Arc<Operation>,
    caller: Caller,
    path: Vec<(String, String)>,
    query: Params,
    headers: HeaderMap,
    /// The request's own path, as it was sent.
    target: String,
    body: Bytes,
    /// The body of an operation that reads it as it comes, until it is taken.
    stream: Mutex<axum::body::Body>,
}

/// What a request that makes something comes to.
pub(crate) enum Made<T> {
    /// It was made now.
    Now(T),
    /// The same request has made it before.
    Before(Uuid),
}

/// Answers one request.
pub(crate) async fn answer<F, Fut>(
    state: ApiState,
    operation: Arc<Operation>,
    request: Request,
    handler: F,
) -> Response
where
    F: Fn(Call) -> Fut,
    Fut: Future<Output = Result<Reply, Refused>>,
{
    let (mut parts, body) = request.into_parts();
    let origin = match ClientOrigin::from_request_parts(&mut parts, &()).await {
        Ok(ClientOrigin(origin)) => origin,
        Err(problem) => return axum::response::IntoResponse::into_response(problem),
    };
    let request_id = origin.request_id.clone();
    let request_id = request_id.as_deref();
    let identified = match parts.extensions.get::<Operator>().copied() {
        Some(operator) => operator.identify(&state, &mut parts).await,
        None => identify(&state, &mut parts, &origin).await,
    };
    let (tenant, caller) = match identified {
        Ok(identified) => identified,
        Err(refused) => return refused.answer(request_id),
    };
    // The operator of the machine is not counted.
    let counted = caller.holder().map(|holder| state.limiter().count(tenant.id, holder));
    let allowance = match counted.unwrap_or(Ok(None)) {
        Ok(allowance) => allowance,
        Err(allowance) => {
            let refused = Refused::too_many(allowance.wait());
            return limited(refused.answer(request_id), Some(allowance));
        }
    };
    let asked = parts.headers.clone();
    let own_id = asked
        .get(REQUEST_ID)
        .filter(|id| operation.authzen && id.len() <= MAX_KEY_BYTES && id.to_str().is_ok())
        .cloned();
    let (tokens, method) = (state.tokens().clone(), operation.method.clone());
    let scheme = Scheme::of(caller.is_bound());
    let replied = match prepare(state, operation, caller, (parts, body)).await {
        Ok(call) => handler(call).await,
        Err(refused) => Err(refused),
    };
    let mut response = match replied {
        Ok(reply) => reply.answer(&method, &asked, || tokens.issuer(&tenant)),
        Err(refused) => refused.by(scheme).answer(request_id),
    };
    if let Some(id) = own_id {
        // Section 10.1.3 of the Authorization API. The log has the server's own.
        response.headers_mut().insert(REQUEST_ID, id);
    }
    limited(response, allowance)
}

fn limited(mut response: Response, allowance: Option<Allowance>) -> Response {
    if let Some(allowance) = allowance {
        allowance.write(response.headers_mut());
    }
    response
}

/// The operator of the machine, who needs no token. A request bears it as an extension, which nothing that comes over the
/// network can: whoever has the process hands it in.
#[derive(Debug, Clone, Copy)]
pub struct Operator(());

impl Operator {
    /// To be used where a command runs on the machine, in the data directory or the database of its own.
    #[must_use]
    pub const fn of_the_machine() -> Self {
        Self(())
    }

    /// The tenant that is called, also one that is disabled: it is the operator who puts things right.
    async fn identify(self, state: &ApiState, parts: &mut Parts) -> Result<(Arc<Tenant>, Caller), Refused> {
        let name =
            TenantName::from_request_parts(parts, &()).await.map_err(|_| Refused::not_found("tenant"))?;
        let slug = name.0.as_deref().unwrap_or(DEFAULT_SLUG);
        let tenant = state.identity().tenants().by_slug(slug).await?;
        let tenant = tenant.ok_or_else(|| Refused::not_found("tenant"))?;
        let caller = state.tokens().operator(&tenant).await?;
        Ok((tenant, caller))
    }
}

/// The tenant that is called, and who calls.
async fn identify(
    state: &ApiState,
    parts: &mut Parts,
    origin: &Origin,
) -> Result<(Arc<Tenant>, Caller), Refused> {
    let name = TenantName::from_request_parts(parts, &()).await.map_err(|_| Refused::not_found("tenant"))?;
    let tenant = state.tenant(&name).await?;
    let described = Described::new(&parts.method, parts.uri.path(), &parts.headers);
    let presented = presented(&parts.headers, &described)?;
    match state.tokens().caller(&tenant, presented, origin).await? {
        Some(caller) => Ok((tenant, caller)),
        None => Err(Challenge::InvalidToken(Scheme::of(presented.is_proven())).into()),
    }
}

/// Checks scope and tenant-wide authority, and reads what was sent.
async fn prepare(
    state: ApiState,
    operation: Arc<Operation>,
    caller: Caller,
    (mut parts, body): (Parts, axum::body::Body),
) -> Result<Call, Refused> {
    if !caller.allows(operation.scope) {
        return Err(Refused::insufficient_scope(operation.scope));
    }
    operation.asks.at_the_door(&caller)?;
    let query = Params::parse(parts.uri.query().unwrap_or_default())?;
    check_query(&operation, &query)?;
    let path = match RawPathParams::from_request_parts(&mut parts, &()).await {
        Ok(params) => params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        Err(_) => return Err(Refused::not_found("resource")),
    };
    let mut stream = axum::body::Body::empty();
    let body = match operation.body {
        None => {
            if let Some(kind) = operation.stream {
                keyreeve_http::body::check_kind(&parts.headers, &[kind])?;
                stream = body;
            }
            Bytes::new()
        }
        Some(_) => {
            let kinds: &[&str] = if operation.method == Method::PATCH {
                &["application/merge-patch+json", "application/json"]
            } else {
                &["application/json"]
            };
            let read = keyreeve_http::body::read(&parts.headers, body, kinds, MAX_JSON_BYTES).await;
            read.map_err(|error| match error {
                // The Authorization API has one status for whatever cannot be read.
                BodyError::ContentType if operation.authzen => {
                    Refused::of(INVALID_BODY).detail(error.to_string())
                }
                error => error.into(),
            })?
        }
    };
    let target = parts.uri.path().to_owned();
    let stream = Mutex::new(stream);
    Ok(Call { state, operation, caller, path, query, headers: parts.headers, target, body, stream })
}

fn check_query(operation: &Operation, query: &Params) -> Result<(), Refused> {
    for (name, value) in query.iter() {
        let Some(known) = operation.query.iter().find(|known| known.name == name) else {
            let shown: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
            return Err(Refused::parameter(&shown, "is not a parameter of this operation"));
        };
        let problem = match known.kind {
            QueryKind::Text => None,
            QueryKind::Count { least, most } => {
                let sound = number(value).is_some_and(|number| (least..=most).contains(&number));
                (!sound).then(|| format!("must be a number from {least} to {most}"))
            }
            QueryKind::OneOf(all) => {
                (!all.contains(&value)).then(|| format!("must be one of {}", all.join(", ")))
            }
        };
        if let Some(problem) = problem {
            return Err(Refused::parameter(known.name, problem));
        }
    }
    Ok(())
}

impl Call {
    pub(crate) fn state(&self) -> &ApiState {
        &self.state
    }

    pub(crate) fn operation(&self) -> &Operation {
        &self.operation
    }

    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    pub(crate) fn identity(&self) -> &Identity {
        self.state.identity()
    }

    pub(crate) fn sharing(&self) -> &Sharing {
        self.state.sharing()
    }

    pub(crate) fn tenant(&self) -> &Arc<Tenant> {
        self.caller.tenant()
    }

    pub(crate) fn tenant_id(&self) -> TenantId {
        self.caller.tenant().id
    }

    pub(crate) const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Whether the token and its holder are at this moment still what the operation asks for; for answers that go on after
    /// they were begun. What cannot be found out counts as no: the client comes again.
    pub(crate) async fn still_holds(&self) -> bool {
        let sent = self.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = sent.and_then(|text| text.split_once(' ')).map(|(_, token)| token.trim());
        match self.state.tokens().caller_again(&self.caller, token).await {
            Ok(Some(caller)) => {
                caller.allows(self.operation.scope) && self.operation.asks.at_the_door(&caller).is_ok()
            }
            Ok(None) => false,
            Err(error) => {
                tracing::warn!(%error, "a caller could not be looked up again");
                false
            }
        }
    }

    pub(crate) fn query(&self) -> &Params {
        &self.query
    }

    /// A part of the path, percent-decoded.
    pub(crate) fn part(&self, name: &str) -> &str {
        self.path.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// An identifier in the path.
    pub(crate) fn id<T: Id>(&self, name: &'static str) -> Result<T, Refused> {
        let id = strict_uuid(self.part(name));
        id.map(T::from_uuid).ok_or_else(|| {
            Refused::parameter(
                name,
                "must be a UUID in lower case, such as 0190f0f0-0000-7000-8000-000000000001",
            )
        })
    }

    /// The document that was sent.
    pub(crate) fn body<T: DeserializeOwned>(&self) -> Result<T, Refused> {
        body::read(&self.body)
    }

    /// The body of an operation that takes a stream; empty the second time.
    pub(crate) fn take_stream(&self) -> axum::body::Body {
        std::mem::take(&mut *self.stream.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the caller asks for this media type by name.
    pub(crate) fn accepts(&self, kind: &str) -> bool {
        let values = self.headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        values
            .flat_map(|list| list.split(','))
            .any(|one| one.split(';').next().is_some_and(|name| name.trim().eq_ignore_ascii_case(kind)))
    }

    pub(crate) fn paging(&self) -> Result<Paging, Refused> {
        Paging::read(&self.query, self.own_path())
    }

    /// The request's own path, below the root of the tenant.
    fn own_path(&self) -> &str {
        let begin = self.target.find(crate::ROOT).unwrap_or_default();
        self.target.get(begin..).unwrap_or_default()
    }

    /// The version that `If-Match` names; none where it is absent or `*`.
    pub(crate) fn if_match(&self) -> Result<Option<i64>, Refused> {
        let mut values = self.headers.get_all(header::IF_MATCH).iter();
        let text = match (values.next(), values.next()) {
            (None, _) => return Ok(None),
            (Some(value), None) => value.to_str().unwrap_or_default().trim(),
            (Some(_), Some(_)) => "",
        };
        if text == "*" {
            return Ok(None);
        }
        let version = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).and_then(|text| {
            let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
            text.parse().ok().filter(|_| plain)
        });
        version
            .map(Some)
            .ok_or_else(|| Refused::parameter("If-Match", "must be one ETag of this server, such as \"3\""))
    }

    /// Who causes the change; for an operation that makes something with the name that the request was given.
    pub(crate) async fn cause(&self) -> Result<Cause, Refused> {
        let cause = self.caller.cause().clone();
        if !self.operation.creates {
            return Ok(cause);
        }
        let mut values = self.headers.get_all(IDEMPOTENCY_KEY).iter();
        let key = match (values.next(), values.next()) {
            (None, _) => return Ok(cause),
            (Some(value), None) => value.to_str().unwrap_or_default(),
            (Some(_), Some(_)) => "",
        };
        if key.is_empty() || key.len() > MAX_KEY_BYTES || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            let rule = format!("must be one text of 1 to {MAX_KEY_BYTES} visible ASCII characters");
            return Err(Refused::parameter("Idempotency-Key", rule));
        }
        let request =
            [self.operation.id.as_bytes(), b"\n", self.target.as_bytes(), b"\n", &self.body].concat();
        let request = RequestKey::new(self.identity(), self.tenant_id(), key, &request).await?;
        Ok(cause.of_request(request))
    }
}

impl<T> Made<T> {
    /// What became of making something.
    pub(crate) fn of<E: Into<Refused>>(result: Result<T, E>) -> Result<Self, Refused> {
        match result.map_err(Into::into) {
            Ok(made) => Ok(Self::Now(made)),
            Err(refused) => refused.repeated().map(Self::Before).ok_or(refused),
        }
    }

    /// Its identifier, and whether it was made before.
    pub(crate) fn id(&self, of: impl Fn(&T) -> Uuid) -> (Uuid, bool) {
        match self {
            Self::Now(made) => (of(made), false),
            Self::Before(id) => (*id, true),
        }
    }
}

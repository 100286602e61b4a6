//! What every request goes through before its operation, in the original's order: method, signature of a service, credential,
//! permit, level; parameters are the operation's own.

use super::catalogue::{Effective, permission};
use super::credential::{self, Basic};
use super::failure::{DISABLED, Failure, NOT_ADMIN};
use super::people::Person;
use super::reply::{Answer, Reply};
use super::{Imqs, sign_in};
use crate::mount::Verb;
use axum::extract::{FromRequestParts as _, Request};
use axum::handler::Handler;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{HeaderMap, Method, header};
use http_body_util::{BodyExt as _, Limited};
use keyreeve_base::{Origin, SessionId, TenantId, UserId};
use keyreeve_http::limits::FORM_READ_TIME;
use keyreeve_http::origin::ClientOrigin;
use keyreeve_identity::{Cause, Subject, User};
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;

/// The longest body that is read, in bytes: an export of a large installation.
const MAX_BODY: usize = 1024 * 1024;
/// The most parameters of a query or form.
const MAX_PARAMETERS: usize = 64;

/// What a caller must show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// Nothing.
    None,
    /// A cookie or Basic credential with a permit.
    Token,
    /// The same with permissions 1 and 2.
    Admin,
    /// A signature.
    Service,
}

/// Somebody whose credential is good.
#[derive(Clone)]
pub(super) struct Actor {
    pub(super) user: Arc<User>,
    pub(super) person: Arc<Person>,
    pub(super) effective: Effective,
    /// The session of the cookie; none for Basic.
    pub(super) session: Option<SessionId>,
}

/// A request that may go on to its operation.
pub(super) struct Call {
    pub(super) imqs: Imqs,
    /// The method that the path wants.
    pub(super) verb: Verb,
    pub(super) headers: HeaderMap,
    pub(super) origin: Origin,
    /// The whole body.
    pub(super) body: Bytes,
    /// Whose credential it is; none where nobody's is asked for, and for services.
    pub(super) actor: Option<Actor>,
    query: HashMap<String, String>,
}

/// Parameters, decoded and trimmed; the first of a name counts.
fn parameters(text: &[u8]) -> HashMap<String, String> {
    let mut found = HashMap::new();
    for (name, value) in url::form_urlencoded::parse(text).take(MAX_PARAMETERS) {
        found.entry(name.into_owned()).or_insert_with(|| value.trim().to_owned());
    }
    found
}

impl Call {
    /// A parameter of the query; empty where it is absent.
    pub(super) fn query(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    /// A header as text, trimmed; empty where it is absent.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().trim()
    }

    /// The fields of a form body; none where the body is none.
    pub(super) fn form(&self) -> HashMap<String, String> {
        let kind = self.header("content-type");
        let is_form = kind
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .eq_ignore_ascii_case("application/x-www-form-urlencoded");
        if is_form { parameters(&self.body) } else { HashMap::new() }
    }

    /// The number of a user (contract 1.4).
    pub(super) fn user_id(&self) -> Result<i64, String> {
        parse_user_id(self.query("userid"))
    }

    /// Whoever is behind the credential, whom the level demands.
    pub(super) fn actor(&self) -> Result<&Actor, Reply> {
        self.actor.as_ref().ok_or_else(|| Failure::NoCredential.of_credential())
    }

    /// Who makes a change.
    pub(super) fn cause(&self) -> Cause {
        match &self.actor {
            Some(actor) => Cause::user(actor.user.id, self.origin.clone()),
            None => Cause::new(keyreeve_audit::Actor::System, self.origin.clone()),
        }
    }

    /// The number of who makes a change: 0 for services.
    pub(super) fn serial(&self) -> i64 {
        self.actor.as_ref().map_or(0, |actor| actor.person.serial)
    }

    /// The tenant.
    pub(super) async fn tenant(&self) -> Result<TenantId, Reply> {
        self.imqs.tenant().await.map_err(|failure| failure.reply(500))
    }

    /// Refuses to touch a user who administers the tenant, unless the caller does: permission 1 is no power over those who
    /// have given it.
    pub(super) async fn may_touch(&self, tenant: TenantId, target: UserId) -> Result<(), Reply> {
        if self.actor.as_ref().is_some_and(|actor| actor.user.id == target) {
            return Ok(());
        }
        let identity = self.imqs.identity();
        let administers = async |user| {
            let authority = identity.authority_of_bearer(tenant, Subject::User(user)).await?;
            Ok::<_, Reply>(authority.may_manage_tenant())
        };
        if !administers(target).await? {
            return Ok(());
        }
        match &self.actor {
            Some(actor) if administers(actor.user.id).await? => Ok(()),
            Some(_) | None => Err(Reply::text(403, NOT_ADMIN)),
        }
    }
}

/// The number of a user, or what is wrong with it, in the words of the original's language.
pub(super) fn parse_user_id(raw: &str) -> Result<i64, String> {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    if raw.is_empty() {
        return Err("No userid specified".to_owned());
    }
    raw.parse::<i64>().map_err(|error| {
        let problem = match error.kind() {
            PosOverflow | NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        format!("Invalid userid '{raw}': strconv.ParseInt: parsing \"{raw}\": {problem}")
    })
}

/// An operation behind what every request goes through.
#[derive(Clone)]
pub(super) struct Entry<F> {
    verb: Verb,
    level: Level,
    operation: F,
}

impl<F> Entry<F> {
    pub(super) const fn new(verb: Verb, level: Level, operation: F) -> Self {
        Self { verb, level, operation }
    }
}

impl<F, Fut> Handler<(), Imqs> for Entry<F>
where
    F: Fn(Call) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Answer> + Send,
{
    type Future = Pin<Box<dyn Future<Output = Response> + Send>>;

    fn call(self, request: Request, imqs: Imqs) -> Self::Future {
        Box::pin(async move {
            let answer = match admitted(request, imqs, self.verb, self.level).await {
                Ok(call) => (self.operation)(call).await,
                Err(reply) => Err(reply),
            };
            answer.unwrap_or_else(|reply| reply).into_response()
        })
    }
}

/// Everything that stands before the operation.
async fn admitted(request: Request, imqs: Imqs, verb: Verb, level: Level) -> Result<Call, Reply> {
    let (mut parts, body) = request.into_parts();
    // Wherever GET is answered, HEAD would be as well.
    if verb == Verb::Get && parts.method == Method::HEAD {
        return Err(Reply::text(400, "API must be accessed using an HTTP GET method"));
    }
    let origin = match ClientOrigin::from_request_parts(&mut parts, &()).await {
        Ok(ClientOrigin(origin)) => origin,
        Err(_) => return Err(Reply::text(500, "Internal error")),
    };
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str()).to_owned();
    let query = parameters(parts.uri.query().unwrap_or_default().as_bytes());
    let mut call =
        Call { imqs, verb, headers: parts.headers, origin, body: Bytes::new(), actor: None, query };
    let signed = credential::bears_signature(&call.headers);
    if signed || level == Level::Service || call.headers.contains_key(header::CONTENT_TYPE) {
        call.body = read(body).await?;
    }
    if level == Level::None {
        return Ok(call);
    }
    let secret = call.imqs.options().service_secret.as_ref().filter(|_| signed);
    let now = call.imqs.world().now();
    if secret.is_some_and(|secret| {
        credential::is_signed(secret, (&parts.method, &target), (&call.headers, &call.body), now)
    }) {
        call.imqs.ready_tenant().await.map_err(|failure| failure.reply(500))?;
        return Ok(call);
    }
    if level == Level::Service {
        return Err(Reply::text(500, "API requires interservice permissions"));
    }
    let actor = identified(&call, parts.method != Method::GET).await?;
    if level == Level::Admin {
        if !actor.effective.has(permission::ADMIN) {
            return Err(Reply::text(403, NOT_ADMIN));
        }
        if !actor.effective.has(permission::ENABLED) {
            return Err(Reply::text(403, DISABLED));
        }
    }
    call.actor = Some(actor);
    Ok(call)
}

async fn read(body: axum::body::Body) -> Result<Bytes, Reply> {
    let reading = Limited::new(body, MAX_BODY).collect();
    match tokio::time::timeout(FORM_READ_TIME, reading).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(_)) => Err(Reply::text(413, "The request body is too long, or broke off")),
        Err(_) => Err(Reply::text(408, "The request body did not arrive in time")),
    }
}

/// Who a cookie, or else a Basic credential, is.
async fn identified(call: &Call, changes: bool) -> Result<Actor, Reply> {
    let imqs = &call.imqs;
    let tenant = imqs.ready_tenant().await.map_err(|failure| failure.reply(500))?;
    let actor = match credential::cookie(&call.headers, &imqs.options().cookie_name) {
        Some(cookie) => {
            // Browsers say so of themselves; a page of another site must not use the cookie to change anything (AC-60).
            if changes && call.header("sec-fetch-site") == "cross-site" {
                return Err(Reply::text(403, "Cross-site request refused"));
            }
            imqs.of_cookie(tenant, cookie).await
        }
        None if !call.headers.contains_key(header::AUTHORIZATION) => Err(Failure::NoCredential),
        None => match credential::basic(&call.headers) {
            Ok(Basic { identity, password }) => {
                let attempt =
                    sign_in::Attempt { tenant, identity: &identity, password, origin: &call.origin };
                imqs.once(attempt).await
            }
            Err(failure) => Err(failure),
        },
    };
    let actor = actor.map_err(Failure::of_credential)?;
    if !actor.effective.has_permit {
        return Err(Failure::NoPermit.of_credential());
    }
    Ok(actor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_parameter_of_a_name_counts_and_is_trimmed() {
        let found = parameters(b"a=+1+&a=2&b=%20x%26y&c");
        assert_eq!(found.get("a").map(String::as_str), Some("1"));
        assert_eq!(found.get("b").map(String::as_str), Some("x&y"));
        assert_eq!(found.get("c").map(String::as_str), Some(""));
    }

    #[test]
    fn a_number_that_is_none_is_told_as_the_original_does() {
        assert_eq!(parse_user_id("-7"), Ok(-7));
        assert_eq!(parse_user_id("").unwrap_err(), "No userid specified");
        let told = "Invalid userid '1x': strconv.ParseInt: parsing \"1x\": invalid syntax";
        assert_eq!(parse_user_id("1x").unwrap_err(), told);
        assert!(parse_user_id("9223372036854775808").unwrap_err().ends_with(": value out of range"));
    }
}

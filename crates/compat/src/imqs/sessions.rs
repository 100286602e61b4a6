//! Signing in and out, and who somebody is.

use super::call::{Actor, Call};
use super::catalogue::permission;
use super::credential::{self, Basic, http_date};
use super::failure::{DISABLED, Failure};
use super::people::kind;
use super::reply::{Answer, Reply};
use super::sign_in::{Attempt, OpenFailure};
use http::{HeaderValue, header};
use keyreeve_base::{TenantId, Timestamp};
use keyreeve_identity::{Cause, Method};
use serde::Serialize;

/// Who somebody is, and what they may.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Token<'a> {
    user_id: i64,
    identity: &'a str,
    email: &'a str,
    username: &'a str,
    roles: Vec<String>,
    #[serde(rename = "InternalUUID")]
    internal_uuid: String,
}

impl<'a> Token<'a> {
    fn of(actor: &'a Actor, with_names: bool) -> Self {
        let (profile, person) = (&actor.user.profile, &actor.person);
        let named = |name: &'a str| if with_names { name } else { "" };
        Self {
            user_id: person.serial,
            identity: person.identity_of(profile),
            email: named(person.email_of(profile)),
            username: named(person.username_of(profile)),
            roles: actor.effective.permissions.iter().map(ToString::to_string).collect(),
            internal_uuid: person.internal_uuid.to_string(),
        }
    }
}

impl Call {
    /// The cookie: with a value until then, or cleared.
    fn cookie(&self, value: &str, until: Timestamp) -> Result<HeaderValue, Reply> {
        let options = self.imqs.options();
        let secure = if options.cookie_secure { "; Secure" } else { "" };
        let http_only = if options.cookie_http_only { "; HttpOnly" } else { "" };
        let text = format!(
            "{}={value}; Path=/; Expires={}{secure}{http_only}",
            options.cookie_name,
            http_date(until)
        );
        let mut header = HeaderValue::try_from(text).map_err(|error| Reply::internal(&error))?;
        header.set_sensitive(true);
        Ok(header)
    }
}

pub(super) async fn login(call: Call) -> Answer {
    let Basic { identity, password } =
        credential::basic(&call.headers).map_err(|failure| failure.reply(400))?;
    if identity.is_empty() {
        return Err(Failure::EmptyIdentity.reply(401));
    }
    let form = call.form();
    let field = |name: &str| form.get(name).map_or_else(|| call.query(name), String::as_str);
    let tenant = call.imqs.ready_tenant().await.map_err(|failure| failure.reply(500))?;
    match (field("client_id"), field("login_type")) {
        ("", "") => {}
        ("", _) | (_, "") => return Err(Reply::text(400, "Malformed login form data.")),
        (client, _) => return pass_through(&call, tenant, &identity, client).await,
    }
    let refused = call.imqs.options().refused_status;
    let attempt = Attempt { tenant, identity: &identity, password, origin: &call.origin };
    let proved =
        call.imqs.prove(attempt, Method::Password).await.map_err(|failure| failure.reply(refused))?;
    let opened = call.imqs.open(tenant, proved, &call.origin).await.map_err(|failure| match failure {
        OpenFailure::Disabled => Reply::text(403, DISABLED),
        OpenFailure::Failure(failure) => failure.reply(refused),
    })?;
    let cookie = call.cookie(opened.cookie.expose(), opened.expires_at)?;
    Ok(Reply::json(&Token::of(&opened.actor, true)).with(header::SET_COOKIE, cookie))
}

/// The sign-in by a directory, as an installation without one answers it.
async fn pass_through(call: &Call, tenant: TenantId, identity: &str, client: &str) -> Answer {
    let options = call.imqs.options();
    let found = call.imqs.resolve(tenant, identity).await.map_err(|failure| failure.reply(500))?;
    let known = options.passthrough_clients.iter().any(|known| known == client);
    let refusal = match found {
        // Nobody has proved anything yet.
        None if !options.discreet => return Err(Failure::NoSuchUser.reply(401)),
        _ if !known => {
            let text = format!("Passthrough auth: client_id specified [{client}] is not whitelisted. \n");
            return Err(Reply::text(403, text));
        }
        Some((_, person)) if person.kind == kind::MSAAD => "OAuth provider 'msaad' not configured",
        _ => "Not an MSAAD user.",
    };
    Err(Reply::text(401, refusal))
}

pub(super) async fn logout(call: Call) -> Answer {
    let tenant = call.tenant().await?;
    let cleared = call.cookie("", Timestamp::from_seconds(0))?;
    let imqs = &call.imqs;
    let actor = match credential::cookie(&call.headers, &imqs.options().cookie_name) {
        Some(cookie) => imqs.of_cookie(tenant, cookie).await,
        None => match credential::basic(&call.headers) {
            Ok(Basic { identity, password }) => {
                imqs.once(Attempt { tenant, identity: &identity, password, origin: &call.origin }).await
            }
            Err(failure) => Err(failure),
        },
    };
    let reply = match actor {
        Ok(actor) => {
            if let Some(session) = actor.session {
                let (user, cause) = (actor.user.id, Cause::user(actor.user.id, call.origin.clone()));
                imqs.identity().sessions().end(tenant, user, session, &cause).await?;
            }
            Reply::empty()
        }
        Err(failure @ (Failure::Internal(_) | Failure::Wait(_))) => failure.reply(500),
        Err(_) => Failure::EmptyIdentity.reply(401),
    };
    Ok(reply.with(header::SET_COOKIE, cleared))
}

pub(super) async fn check(call: Call) -> Answer {
    let actor = call.actor()?;
    if !actor.effective.has(permission::ENABLED) {
        return Err(Reply::text(403, DISABLED));
    }
    Ok(Reply::json(&Token::of(actor, actor.session.is_some())))
}

//! Signing in and out with a cookie, for what a token does not open. It is not among the original's interface, which leaves
//! it to its pages.

use super::call::{Call, Caller, same_site};
use super::failure::Failure;
use super::reply::{Answer, JSON, Reply};
use super::{COOKIE, Insight};
use http::{HeaderValue, header};
use keyreeve_base::TenantId;
use keyreeve_crypto::Secret;
use keyreeve_crypto::strict_json::is_object_without_repetition;
use keyreeve_identity::{FinishSecondFactor, Method, PasswordAttempt, SignIn};
use serde::Deserialize;

const FORM: &str = "application/x-www-form-urlencoded";
const MALFORMED: &str = "The body must have username and password, each once, and may have code";

/// Who wants to sign in.
#[derive(Deserialize)]
struct Given {
    username: String,
    password: Secret,
    #[serde(default)]
    code: Option<Secret>,
}

impl Given {
    fn of_json(body: &[u8]) -> Option<Self> {
        is_object_without_repetition(body).then(|| serde_json::from_slice(body).ok()).flatten()
    }

    fn of_form(body: &[u8]) -> Option<Self> {
        let (mut username, mut password, mut code) = (None, None, None);
        for (name, value) in url::form_urlencoded::parse(body).take(16) {
            let former = match &*name {
                "username" => username.replace(value.into_owned()).is_some(),
                "password" => password.replace(Secret::new(&value)).is_some(),
                "code" => code.replace(Secret::new(&value)).is_some(),
                _ => false,
            };
            if former {
                return None;
            }
        }
        Some(Self { username: username?, password: password?, code })
    }
}

pub(super) async fn login(mut call: Call) -> Answer {
    same_site(&call.headers)?;
    let is_form = keyreeve_http::body::check_kind(&call.headers, &[FORM]).is_ok();
    let body = call.body(&[JSON, FORM]).await?;
    let given = if is_form { Given::of_form(&body) } else { Given::of_json(&body) };
    let Given { username, password, code } = given.ok_or(Failure::BadRequest(MALFORMED.into()))?;
    let (admission, tenant) = (call.insight.identity().admission(), call.tenant);
    let attempt = PasswordAttempt {
        tenant,
        identifier: &username,
        password,
        origin: call.origin.clone(),
        method: Method::Password,
        device: None,
    };
    let old_cookie = call.cookie();
    let mut outcome = admission.sign_in(attempt, old_cookie).await?;
    if let (SignIn::NeedsCode { ticket }, Some(code)) = (&outcome, code) {
        let origin = call.origin.clone();
        let finish = FinishSecondFactor { tenant, ticket, code, old_cookie, origin };
        outcome = admission.finish_second_factor(finish).await?;
    }
    match outcome {
        SignIn::SignedIn { cookie, admitted, .. } => {
            let user = admitted.user().ok_or(Failure::Unauthenticated)?;
            let reply = call.insight.profile(tenant, user, JSON).await?;
            Ok(reply.with(header::SET_COOKIE, call.insight.set_cookie(cookie.expose(), "")?))
        }
        SignIn::NeedsCode { .. } => Err(Failure::NeedsCode),
        SignIn::MustChangePassword { .. } => {
            Err(Failure::Forbidden("The password must be changed first, on the sign-in page"))
        }
        SignIn::Refused(refusal) => Err(refusal.into()),
    }
}

pub(super) async fn logout(call: Call) -> Answer {
    let caller = call.caller()?;
    let of = (call.tenant, caller.user.id, caller.session);
    call.insight.identity().sessions().end(of.0, of.1, of.2, &call.cause()?).await?;
    Ok(Reply::empty().with(header::SET_COOKIE, call.insight.set_cookie("", "; Max-Age=0")?))
}

impl Insight {
    /// Whoever a session cookie stands for.
    pub(super) async fn of_cookie(&self, tenant: TenantId, cookie: &str) -> Result<Option<Caller>, Failure> {
        let Some(admitted) = self.identity().admission().session(tenant, cookie).await? else {
            return Ok(None);
        };
        let both = admitted.user().cloned().zip(admitted.session());
        Ok(both.map(|(user, session)| Caller { user, session, token_until: None }))
    }

    /// The `Set-Cookie` of a session. No page of another site has any business with it, not even by a link.
    fn set_cookie(&self, value: &str, age: &str) -> Result<HeaderValue, Failure> {
        let (name, secure) =
            (self.cookies().name(COOKIE), if self.cookies().secure { "; Secure" } else { "" });
        let text = format!("{name}={value}; Path=/{secure}; HttpOnly; SameSite=Strict{age}");
        let mut header = HeaderValue::try_from(text).map_err(|_| Failure::Internal)?;
        header.set_sensitive(true);
        Ok(header)
    }
}

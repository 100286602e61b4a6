//! Links by mail: asking for one, choosing a new password with it, confirming an address with it.
//!
//! The token of a link is in a URL only once: the first GET seals it into a cookie of this browser and leads on to the same
//! path without it, so that it stays in no history, no `Referer` and no screenshot (ABUSE-CASES AC-29). That GET uses
//! nothing up, since scanners of mail make it too.

use super::forms::Purpose;
use super::password::{self, Trouble, Typed};
use super::stop::{self, Stop};
use super::visit::Visit;
use super::{ACCOUNT, FORGOT, FORGOT_SENT, RESET_DONE, RESET_PATH, VERIFY_DONE, VERIFY_PATH};
use crate::pages::{
    ChangePassword, Forgot, ForgotProblem, Form, LinkNews, News, Obstacle, VerifyEmail, fields,
};
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use keyreeve_http::browser::path;
use keyreeve_http::params::{ParamError, StrictForm, StrictQuery};
use keyreeve_identity::recovery::Pending;
use keyreeve_identity::{Error, LinkKind, Refusal, ResetRequest};
use std::time::Duration;

/// The parameter of a link that holds its token.
const TOKEN: &str = "token";
/// The longest token that is looked at, in bytes.
const MAX_TOKEN_BYTES: usize = 128;
/// For how long a browser keeps the token of a link; the link itself may live longer, and leads here again.
const KEPT: Duration = Duration::from_secs(3_600);

/// The name of the cookie that keeps the token of a link.
fn cookie_name(visit: &Visit, kind: LinkKind) -> String {
    match kind {
        LinkKind::PasswordReset => visit.cookies.reset(),
        LinkKind::EmailVerification => visit.cookies.verify(),
    }
}

const fn path_of(kind: LinkKind) -> &'static str {
    match kind {
        LinkKind::PasswordReset => RESET_PATH,
        LinkKind::EmailVerification => VERIFY_PATH,
    }
}

/// `GET /forgot`.
pub(crate) async fn forgot(visit: Visit) -> Response {
    let outcome = forgot_page(&visit, StatusCode::OK, ("", None), None).await;
    visit.settle(outcome)
}

async fn forgot_page(
    visit: &Visit,
    status: StatusCode,
    (username, problem): (&str, Option<ForgotProblem>),
    wait: Option<Duration>,
) -> Result<Response, Stop> {
    if !visit.state.identity().recovery().is_available() {
        return Err(Stop::NotFound);
    }
    let csrf = visit.form_token(Purpose::Forgot).await?;
    let page = Forgot {
        chrome: visit.chrome(),
        form: Form { action: &visit.path(FORGOT), csrf: &csrf, hidden: &[] },
        username,
        cancel_url: &visit.path(path::SIGN_IN),
        problem,
    };
    let mut response = visit.page(status, &page, None);
    if let Some(wait) = wait {
        stop::retry_after(&mut response, wait);
    }
    Ok(response)
}

/// `POST /forgot`.
pub(crate) async fn ask(visit: Visit, form: Result<StrictForm, ParamError>) -> Response {
    let outcome = ask_for_reset(&visit, form).await;
    visit.settle(outcome)
}

async fn ask_for_reset(visit: &Visit, form: Result<StrictForm, ParamError>) -> Result<Response, Stop> {
    visit.check_origin()?;
    let StrictForm(params) = form?;
    let username = params.get(fields::USERNAME);
    let again = async |status, problem, wait| {
        forgot_page(visit, status, (username.unwrap_or_default(), Some(problem)), wait).await
    };
    if !visit.is_own_form(Purpose::Forgot, params.get(fields::CSRF)).await? {
        let expired = ForgotProblem::Obstacle(Obstacle::Expired);
        return again(StatusCode::BAD_REQUEST, expired, None).await;
    }
    let Some(identifier) = username else {
        return again(StatusCode::BAD_REQUEST, ForgotProblem::Missing, None).await;
    };
    let request = ResetRequest {
        tenant: visit.tenant.id,
        identifier,
        language: Some(visit.chrome().locale.tag()),
        origin: visit.origin.clone(),
    };
    match visit.state.identity().recovery().request_password_reset(request).await {
        // It says the same whether or not there is such an account.
        Ok(Ok(()) | Err(Refusal::Denied)) => visit.go(&visit.path(FORGOT_SENT)),
        Ok(Err(Refusal::Throttled { retry_after })) => {
            let problem = ForgotProblem::Obstacle(Obstacle::TooMany { retry_after });
            again(StatusCode::TOO_MANY_REQUESTS, problem, Some(retry_after)).await
        }
        Ok(Err(Refusal::Busy { retry_after })) => {
            let problem = ForgotProblem::Obstacle(Obstacle::Busy);
            again(StatusCode::SERVICE_UNAVAILABLE, problem, Some(retry_after)).await
        }
        Err(Error::Invalid { field: "mail", .. }) => Err(Stop::NotFound),
        Err(error) => Err(error.into()),
    }
}

/// `GET /forgot/sent`.
pub(crate) async fn forgot_sent(visit: Visit) -> Response {
    let response = news(&visit, StatusCode::OK, News::Asked);
    visit.settle(Ok(response))
}

fn news(visit: &Visit, status: StatusCode, news: News) -> Response {
    let action = match news {
        News::Asked | News::PasswordChosen => path::SIGN_IN,
        News::ResetDead if visit.state.identity().recovery().is_available() => FORGOT,
        News::ResetDead => path::SIGN_IN,
        News::VerifyDead | News::AddressConfirmed => ACCOUNT,
    };
    let page = LinkNews { chrome: visit.chrome(), news, action_url: &visit.path(action) };
    visit.page(status, &page, None)
}

/// The page for a link that does not work, and the cookie gone.
fn dead(visit: &Visit, kind: LinkKind) -> Result<Response, Stop> {
    let what = match kind {
        LinkKind::PasswordReset => News::ResetDead,
        LinkKind::EmailVerification => News::VerifyDead,
    };
    let mut response = news(visit, StatusCode::GONE, what);
    forget(visit, kind, &mut response)?;
    Ok(response)
}

/// What the token in the cookie is bound to, beside the tenant.
fn bound_to(visit: &Visit, kind: LinkKind) -> [&[u8]; 3] {
    [b"web/link", kind.text().as_bytes(), visit.browser_mark().as_bytes()]
}

/// Keeps the token of a link in the browser, and leads on to where the URL has none.
async fn keep(visit: &Visit, kind: LinkKind, token: &str) -> Result<Response, Stop> {
    if token.len() > MAX_TOKEN_BYTES {
        return dead(visit, kind);
    }
    let tenants = visit.state.identity().tenants();
    let sealed = tenants.seal_text(visit.tenant.id, &bound_to(visit, kind), token.as_bytes()).await?;
    let mut response = visit.go(&visit.path(path_of(kind)))?;
    let cookie = visit.cookies.names().set(&cookie_name(visit, kind), &sealed, Some(KEPT));
    stop::set_cookie(&mut response, cookie.map_err(|_| Stop::Internal("a cookie cannot be set"))?);
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}

/// The token that this browser keeps.
async fn kept(visit: &Visit, kind: LinkKind) -> Result<Option<keyreeve_crypto::Secret>, Stop> {
    let Some(sealed) = visit.cookies.read(&visit.headers, &cookie_name(visit, kind)) else { return Ok(None) };
    let tenants = visit.state.identity().tenants();
    match tenants.open_text(visit.tenant.id, &bound_to(visit, kind), sealed).await {
        Ok(opened) => Ok(opened.into_text().ok()),
        Err(Error::Seal(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn forget(visit: &Visit, kind: LinkKind, response: &mut Response) -> Result<(), Stop> {
    let cookie = visit.cookies.names().clear(&cookie_name(visit, kind));
    stop::set_cookie(response, cookie.map_err(|_| Stop::Internal("a cookie cannot be removed"))?);
    Ok(())
}

/// What the link that this browser keeps leads to, if it works.
async fn pending(visit: &Visit, kind: LinkKind) -> Result<Option<Pending>, Stop> {
    let Some(token) = kept(visit, kind).await? else { return Ok(None) };
    Ok(visit.state.identity().recovery().look(visit.tenant.id, kind, token.expose()).await?)
}

/// `GET /reset`.
pub(crate) async fn reset_page(visit: Visit, query: Result<StrictQuery, ParamError>) -> Response {
    let outcome = show(&visit, LinkKind::PasswordReset, query).await;
    visit.settle(outcome)
}

/// `GET /verify`.
pub(crate) async fn verify_page(visit: Visit, query: Result<StrictQuery, ParamError>) -> Response {
    let outcome = show(&visit, LinkKind::EmailVerification, query).await;
    visit.settle(outcome)
}

async fn show(
    visit: &Visit,
    kind: LinkKind,
    query: Result<StrictQuery, ParamError>,
) -> Result<Response, Stop> {
    let StrictQuery(params) = query?;
    if let Some(token) = params.get(TOKEN) {
        return keep(visit, kind, token).await;
    }
    let Some(pending) = pending(visit, kind).await? else { return dead(visit, kind) };
    match kind {
        LinkKind::PasswordReset => choose(visit, &pending, Trouble::none()).await,
        LinkKind::EmailVerification => confirm(visit, &pending, StatusCode::OK).await,
    }
}

/// The page on which the password is chosen.
async fn choose(visit: &Visit, pending: &Pending, trouble: Trouble) -> Result<Response, Stop> {
    let csrf = visit.form_token(Purpose::Reset).await?;
    let page = ChangePassword {
        chrome: visit.chrome(),
        form: Form { action: &visit.path(RESET_PATH), csrf: &csrf, hidden: &[] },
        username: &pending.account,
        forced: false,
        by_link: true,
        ask_current: false,
        cancel_url: None,
        rules: &password::rules(&visit.tenant.settings.password),
        problems: trouble.problems,
    };
    Ok(password::waiting(visit.page(trouble.status, &page, None), trouble.wait))
}

/// `POST /reset`.
pub(crate) async fn reset(visit: Visit, form: Result<StrictForm, ParamError>) -> Response {
    let outcome = reset_password(&visit, form).await;
    visit.settle(outcome)
}

async fn reset_password(visit: &Visit, form: Result<StrictForm, ParamError>) -> Result<Response, Stop> {
    visit.check_origin()?;
    let StrictForm(mut params) = form?;
    let typed = Typed::take(&mut params, false);
    let kind = LinkKind::PasswordReset;
    let (Some(token), Some(pending)) = (kept(visit, kind).await?, pending(visit, kind).await?) else {
        return dead(visit, kind);
    };
    if !visit.is_own_form(Purpose::Reset, params.get(fields::CSRF)).await? {
        return choose(visit, &pending, Trouble::expired()).await;
    }
    let password = match typed.checked(false) {
        Ok((_, new)) => new,
        Err(trouble) => return choose(visit, &pending, trouble).await,
    };
    let recovery = visit.state.identity().recovery();
    match recovery.reset_password(visit.tenant.id, token.expose(), password, &visit.origin).await {
        Ok(Ok(_)) => {
            let mut response = visit.go(&visit.path(RESET_DONE))?;
            forget(visit, kind, &mut response)?;
            Ok(response)
        }
        Ok(Err(_)) => dead(visit, kind),
        Err(error) => choose(visit, &pending, Trouble::of_room(error)?).await,
    }
}

/// `GET /reset/done`.
pub(crate) async fn reset_done(visit: Visit) -> Response {
    let response = news(&visit, StatusCode::OK, News::PasswordChosen);
    visit.settle(Ok(response))
}

/// The page on which the address is confirmed.
async fn confirm(visit: &Visit, pending: &Pending, status: StatusCode) -> Result<Response, Stop> {
    let csrf = visit.form_token(Purpose::Verify).await?;
    let page = VerifyEmail {
        chrome: visit.chrome(),
        form: Form { action: &visit.path(VERIFY_PATH), csrf: &csrf, hidden: &[] },
        address: &pending.address,
    };
    Ok(visit.page(status, &page, None))
}

/// `POST /verify`.
pub(crate) async fn verify(visit: Visit, form: Result<StrictForm, ParamError>) -> Response {
    let outcome = verify_email(&visit, form).await;
    visit.settle(outcome)
}

async fn verify_email(visit: &Visit, form: Result<StrictForm, ParamError>) -> Result<Response, Stop> {
    visit.check_origin()?;
    let StrictForm(params) = form?;
    let kind = LinkKind::EmailVerification;
    let (Some(token), Some(pending)) = (kept(visit, kind).await?, pending(visit, kind).await?) else {
        return dead(visit, kind);
    };
    if !visit.is_own_form(Purpose::Verify, params.get(fields::CSRF)).await? {
        return confirm(visit, &pending, StatusCode::BAD_REQUEST).await;
    }
    let recovery = visit.state.identity().recovery();
    match recovery.verify_email(visit.tenant.id, token.expose(), &visit.origin).await? {
        Ok(_) => {
            let mut response = visit.go(&visit.path(VERIFY_DONE))?;
            forget(visit, kind, &mut response)?;
            Ok(response)
        }
        Err(_) => dead(visit, kind),
    }
}

/// `GET /verify/done`.
pub(crate) async fn verify_done(visit: Visit) -> Response {
    let response = news(&visit, StatusCode::OK, News::AddressConfirmed);
    visit.settle(Ok(response))
}

//! Signing in: the page, and the attempt.

use super::forms::Purpose;
use super::password::{self, Ticket};
use super::stop::{self, Stop};
use super::visit::{Visit, application};
use super::{ACCOUNT, FORGOT, code};
use crate::pages::{self, Form, Obstacle, SignInProblem, fields};
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use keyreeve_crypto::Secret;
use keyreeve_http::browser::path;
use keyreeve_http::params::{ParamError, Params, StrictForm, StrictQuery};
use keyreeve_identity::{Method, PasswordAttempt, Refusal, SignIn};
use keyreeve_tokens::{Next, Preview};
use std::time::Duration;

/// The parameter by which somebody who is signed in asks for the page all the same: to be somebody else.
const OTHER: &str = "other";

/// What the answer to a refused attempt says of how to do better (RFC 9110 section 15.5.2 demands the header). Browsers
/// know no such scheme, and show the page.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Form");

/// The page, as far as it differs from one showing to the next.
#[derive(Default)]
struct Showing<'a> {
    request: Option<&'a str>,
    preview: Option<&'a Preview>,
    /// What was typed.
    username: Option<&'a str>,
    problem: Option<SignInProblem>,
}

/// The path of the page for a request, for somebody who wants to be somebody else.
pub(crate) fn other_account_path(visit: &Visit, request: &str) -> String {
    format!("{}&{OTHER}=1", visit.path_with(path::SIGN_IN, request))
}

/// `GET /signin`.
pub(crate) async fn show(mut visit: Visit, query: Result<StrictQuery, ParamError>) -> Response {
    let outcome = show_page(&mut visit, query).await;
    visit.settle(outcome)
}

async fn show_page(visit: &mut Visit, query: Result<StrictQuery, ParamError>) -> Result<Response, Stop> {
    let StrictQuery(params) = query?;
    let request = params.get(path::REQUEST);
    let preview = visit.preview(request).await?;
    let asked_for = params.get(OTHER).is_some();
    match (&preview, request) {
        _ if asked_for => {}
        (None, None) if visit.session.is_some() => return visit.go(&visit.path(ACCOUNT)),
        (None, Some(request)) if visit.session.is_some() => {
            return visit.go(&visit.path_with(path::RESUME, request));
        }
        (Some(Preview { next: Next::Consent | Next::Answer, .. }), Some(request)) => {
            return visit.go(&visit.path_with(path::RESUME, request));
        }
        _ => {}
    }
    page(visit, StatusCode::OK, Showing { request, preview: preview.as_ref(), ..Showing::default() }).await
}

async fn page(visit: &Visit, status: StatusCode, showing: Showing<'_>) -> Result<Response, Stop> {
    let Showing { request, preview, username, problem } = showing;
    let csrf = visit.form_token(Purpose::SignIn).await?;
    let hidden: Vec<(&str, &str)> = request.map(|request| (path::REQUEST, request)).into_iter().collect();
    let hint = preview.and_then(|preview| preview.login_hint.as_deref());
    let known = visit.session.as_ref().and_then(|session| session.user());
    // Whoever must sign in again should not have to type who they are.
    let again = preview.filter(|preview| preview.next == Next::SignIn).and(known);
    let own = again.and_then(|user| user.username.as_deref().or(user.email.as_deref()));
    let forgot = visit.state.identity().recovery().is_available().then(|| visit.path(FORGOT));
    let page = pages::SignIn {
        chrome: visit.chrome(),
        form: Form { action: &visit.path(path::SIGN_IN), csrf: &csrf, hidden: &hidden },
        application: preview.map(|preview| application(&preview.client)),
        username: username.or(hint).or(own).unwrap_or_default(),
        again: again.is_some(),
        forgot_url: forgot.as_deref(),
        problem,
    };
    Ok(visit.page(status, &page, preview.map(|preview| preview.redirect_uri.as_str())))
}

/// `POST /signin`.
pub(crate) async fn submit(mut visit: Visit, form: Result<StrictForm, ParamError>) -> Response {
    let outcome = sign_in(&mut visit, form).await;
    visit.settle(outcome)
}

async fn sign_in(visit: &mut Visit, form: Result<StrictForm, ParamError>) -> Result<Response, Stop> {
    visit.check_origin()?;
    let StrictForm(mut params) = form?;
    let password = params.take(fields::PASSWORD);
    let request = params.get(path::REQUEST);
    // Before the attempt: a password should not be spent on a request that leads nowhere.
    let preview = visit.preview(request).await?;
    let username = params.get(fields::USERNAME);
    let showing = |problem| Showing { request, preview: preview.as_ref(), username, problem: Some(problem) };
    if !visit.is_own_form(Purpose::SignIn, params.get(fields::CSRF)).await? {
        let problem = SignInProblem::Obstacle(Obstacle::Expired);
        return page(visit, StatusCode::BAD_REQUEST, showing(problem)).await;
    }
    let (Some(username), Some(password)) = (username, &password) else {
        let problem = SignInProblem::Missing { username: username.is_none(), password: password.is_none() };
        return page(visit, StatusCode::BAD_REQUEST, showing(problem)).await;
    };
    let attempt = PasswordAttempt {
        tenant: visit.tenant.id,
        identifier: username,
        password: Secret::new(password),
        origin: visit.origin.clone(),
        method: Method::Password,
        device: visit.cookies.read(&visit.headers, &visit.cookies.device()),
    };
    match visit.state.identity().admission().sign_in(attempt, visit.session_cookie()).await? {
        SignIn::MustChangePassword { ticket } => {
            let ticket = Ticket { text: &ticket, username, request };
            password::choose(visit, preview.as_ref(), ticket).await
        }
        SignIn::NeedsCode { ticket } => {
            let ticket = Ticket { text: &ticket, username, request };
            code::ask(visit, preview.as_ref(), ticket).await
        }
        SignIn::Refused(refusal) => refused(visit, showing, refusal).await,
        done @ SignIn::SignedIn { .. } => signed_in(visit, &done, request),
    }
}

/// The page once more. It says the same whatever the reason was (ABUSE-CASES AC-21).
async fn refused<'a>(
    visit: &Visit,
    showing: impl FnOnce(SignInProblem) -> Showing<'a>,
    refusal: Refusal,
) -> Result<Response, Stop> {
    let (status, problem, wait) = refusal_words(refusal);
    let mut response = page(visit, status, showing(problem)).await?;
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, CHALLENGE);
    }
    if let Some(wait) = wait {
        stop::retry_after(&mut response, wait);
    }
    Ok(response)
}

fn refusal_words(refusal: Refusal) -> (StatusCode, SignInProblem, Option<Duration>) {
    match refusal {
        Refusal::Denied => (StatusCode::UNAUTHORIZED, SignInProblem::Refused, None),
        Refusal::Throttled { retry_after } => {
            let problem = SignInProblem::Obstacle(Obstacle::TooMany { retry_after });
            (StatusCode::TOO_MANY_REQUESTS, problem, Some(retry_after))
        }
        Refusal::Busy { retry_after } => {
            let problem = SignInProblem::Obstacle(Obstacle::Busy);
            (StatusCode::SERVICE_UNAVAILABLE, problem, Some(retry_after))
        }
    }
}

/// Gives the browser its cookies and sends it on: to its request, or to the account page.
pub(crate) fn signed_in(visit: &Visit, done: &SignIn, request: Option<&str>) -> Result<Response, Stop> {
    let SignIn::SignedIn { cookie, device_cookie, .. } = done else {
        return Err(Stop::Internal("a sign-in that did not succeed was taken for one that did"));
    };
    let mut response = match request {
        Some(request) => visit.go(&visit.path_with(path::RESUME, request))?,
        None => visit.go(&visit.path(ACCOUNT))?,
    };
    let (names, cookies) = (visit.cookies.names(), &visit.cookies);
    let unfit = |_| Stop::Internal("a cookie cannot be set");
    let days = u64::from(visit.tenant.settings.throttle.device_days);
    let device_lasts = Duration::from_secs(86_400 * days);
    stop::set_cookie(&mut response, names.set(&cookies.session(), cookie.expose(), None).map_err(unfit)?);
    let device = names.set(&cookies.device(), device_cookie, Some(device_lasts)).map_err(unfit)?;
    stop::set_cookie(&mut response, device);
    Ok(response)
}

/// The sign-in page for somebody whose ticket to choose a password is no longer good.
pub(crate) async fn start_over(
    visit: &Visit,
    preview: Option<&Preview>,
    params: &Params,
) -> Result<Response, Stop> {
    let showing = Showing {
        request: params.get(path::REQUEST),
        preview,
        username: params.get(fields::USERNAME),
        problem: Some(SignInProblem::Obstacle(Obstacle::Expired)),
    };
    page(visit, StatusCode::BAD_REQUEST, showing).await
}

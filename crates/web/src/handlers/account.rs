//! The account page: who one is, and where one is signed in.

use super::forms::Purpose;
use super::stop::Stop;
use super::visit::Visit;
use super::{ACCOUNT, END_OTHERS, END_SESSION, PASSWORD, SEND_VERIFICATION, TWO_STEP};
use crate::pages::{self, Form, Notice, Person, fields};
use axum::response::Response;
use http::StatusCode;
use keyreeve_base::SessionId;
use keyreeve_http::browser::path;
use keyreeve_http::params::{ParamError, StrictForm, StrictQuery};
use keyreeve_identity::{Cause, Error, Refusal};

/// The parameter that names what has just been done.
const DONE: &str = "done";

const fn notice_name(notice: Notice) -> &'static str {
    match notice {
        Notice::PasswordChanged => "password",
        Notice::SessionEnded => "session",
        Notice::OthersEnded => "others",
        Notice::VerificationSent => "mail",
    }
}

fn notice_of(name: &str) -> Option<Notice> {
    let all = [Notice::PasswordChanged, Notice::SessionEnded, Notice::OthersEnded, Notice::VerificationSent];
    all.into_iter().find(|notice| notice_name(*notice) == name)
}

/// Sends the browser to the account page, to be told what was done.
pub(crate) fn told(visit: &Visit, notice: Notice) -> Result<Response, Stop> {
    visit.go(&format!("{}?{DONE}={}", visit.path(ACCOUNT), notice_name(notice)))
}

/// `GET /account`.
pub(crate) async fn show(visit: Visit, query: Result<StrictQuery, ParamError>) -> Response {
    let outcome = page(&visit, query).await;
    visit.settle(outcome)
}

async fn page(visit: &Visit, query: Result<StrictQuery, ParamError>) -> Result<Response, Stop> {
    let StrictQuery(params) = query?;
    let (here, user) = visit.signed_in(None)?;
    let mut sessions = visit.state.identity().sessions().list(visit.tenant.id, user.id).await?;
    sessions.sort_by_key(|session| (Some(session.id) != here.session(), -session.last_seen_at.micros()));
    let sessions: Vec<pages::Session<'_>> = sessions
        .iter()
        .map(|session| pages::Session {
            id: session.id,
            user_agent: session.user_agent.as_deref(),
            address: session.address.as_deref().and_then(|address| address.parse().ok()),
            last_seen: session.last_seen_at,
            current: Some(session.id) == here.session(),
        })
        .collect();
    let end_session = visit.form_token(Purpose::EndSession).await?;
    let end_others = visit.form_token(Purpose::EndOthers).await?;
    let sign_out = visit.form_token(Purpose::SignOut).await?;
    let send_verification = match &user.email {
        Some(_) if !user.email_verified && visit.state.identity().recovery().is_available() => {
            Some((visit.path(SEND_VERIFICATION), visit.form_token(Purpose::SendVerification).await?))
        }
        _ => None,
    };
    let name = full_name(user);
    let page = pages::Account {
        chrome: visit.chrome(),
        person: Person {
            name: name.as_deref(),
            username: user.username.as_deref(),
            email: user.email.as_deref().map(|email| (email, user.email_verified)),
        },
        now: visit.state.world().now(),
        sessions: &sessions,
        end_session: Form { action: &visit.path(END_SESSION), csrf: &end_session, hidden: &[] },
        end_others: Form { action: &visit.path(END_OTHERS), csrf: &end_others, hidden: &[] },
        sign_out: Form { action: &visit.path(path::SIGN_OUT), csrf: &sign_out, hidden: &[] },
        send_verification: send_verification.as_ref().map(|(action, csrf)| Form {
            action,
            csrf,
            hidden: &[],
        }),
        change_password_url: Some(&visit.path(PASSWORD)),
        two_step_url: &visit.path(TWO_STEP),
        notice: params.get(DONE).and_then(notice_of),
    };
    Ok(visit.page(StatusCode::OK, &page, None))
}

/// The display name, else given and family name.
fn full_name(user: &keyreeve_identity::User) -> Option<String> {
    user.display_name.clone().or_else(|| {
        let parts = [user.given_name.as_deref(), user.family_name.as_deref()];
        let name = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
        (!name.is_empty()).then_some(name)
    })
}

/// `POST /account/email/verify`.
pub(crate) async fn send_verification(visit: Visit, form: Result<StrictForm, ParamError>) -> Response {
    let outcome = send_link(&visit, form).await;
    visit.settle(outcome)
}

async fn send_link(visit: &Visit, form: Result<StrictForm, ParamError>) -> Result<Response, Stop> {
    visit.check_origin()?;
    let StrictForm(params) = form?;
    let (_, user) = visit.signed_in(None)?;
    check_form(visit, Purpose::SendVerification, params.get(fields::CSRF)).await?;
    let (recovery, of) = (visit.state.identity().recovery(), (visit.tenant.id, user.id));
    let language = visit.chrome().locale.tag();
    match recovery.request_email_verification(of, Some(language), &visit.origin).await {
        Ok(Ok(())) => told(visit, Notice::VerificationSent),
        Ok(Err(Refusal::Throttled { retry_after } | Refusal::Busy { retry_after })) => {
            Err(Stop::TooMany(retry_after))
        }
        Ok(Err(Refusal::Denied)) | Err(Error::Invalid { .. }) => Err(Stop::NotFound),
        Err(error) => Err(error.into()),
    }
}

/// `POST /account/sessions/end`.
pub(crate) async fn end_session(visit: Visit, form: Result<StrictForm, ParamError>) -> Response {
    let outcome = end_one(&visit, form).await;
    visit.settle(outcome)
}

async fn end_one(visit: &Visit, form: Result<StrictForm, ParamError>) -> Result<Response, Stop> {
    visit.check_origin()?;
    let StrictForm(params) = form?;
    let (here, user) = visit.signed_in(None)?;
    check_form(visit, Purpose::EndSession, params.get(fields::CSRF)).await?;
    let id: SessionId = params
        .require(fields::SESSION)?
        .parse()
        .map_err(|_| Stop::Malformed("the session is not named by its identifier"))?;
    let cause = Cause::user(user.id, visit.origin.clone());
    // The room ends only what is this user's own. One that is over already is what was wanted.
    visit.state.identity().sessions().end(visit.tenant.id, user.id, id, &cause).await?;
    if here.session() == Some(id) {
        let mut response = visit.go(&visit.path(path::SIGNED_OUT))?;
        visit.forget_session(&mut response)?;
        return Ok(response);
    }
    told(visit, Notice::SessionEnded)
}

/// `POST /account/sessions/end-others`.
pub(crate) async fn end_others(visit: Visit, form: Result<StrictForm, ParamError>) -> Response {
    let outcome = end_all_others(&visit, form).await;
    visit.settle(outcome)
}

async fn end_all_others(visit: &Visit, form: Result<StrictForm, ParamError>) -> Result<Response, Stop> {
    visit.check_origin()?;
    let StrictForm(params) = form?;
    let (here, user) = visit.signed_in(None)?;
    check_form(visit, Purpose::EndOthers, params.get(fields::CSRF)).await?;
    let cause = Cause::user(user.id, visit.origin.clone());
    visit.state.identity().sessions().end_all(visit.tenant.id, user.id, here.session(), &cause).await?;
    told(visit, Notice::OthersEnded)
}

async fn check_form(visit: &Visit, purpose: Purpose, token: Option<&str>) -> Result<(), Stop> {
    if visit.is_own_form(purpose, token).await? { Ok(()) } else { Err(Stop::StaleForm) }
}

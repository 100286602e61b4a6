//! The second step of a sign-in: a one-time code.

use super::forms::Purpose;
use super::password::{self, TICKET, Ticket};
use super::stop::{self, Stop};
use super::visit::Visit;
use super::{CODE, sign_in};
use crate::pages::{Code, CodeProblem, Form, Obstacle, fields};
use axum::response::Response;
use http::StatusCode;
use keyreeve_crypto::Secret;
use keyreeve_http::browser::path;
use keyreeve_http::params::{ParamError, StrictForm};
use keyreeve_identity::{FinishSecondFactor, Refusal, SignIn};
use keyreeve_tokens::Preview;
use std::time::Duration;

/// The page that asks for a code, as the answer to the password.
pub(crate) async fn ask(
    visit: &Visit,
    preview: Option<&Preview>,
    ticket: Ticket<'_>,
) -> Result<Response, Stop> {
    page(visit, preview, ticket, (StatusCode::OK, None, None)).await
}

async fn page(
    visit: &Visit,
    preview: Option<&Preview>,
    ticket: Ticket<'_>,
    (status, problem, wait): (StatusCode, Option<CodeProblem>, Option<Duration>),
) -> Result<Response, Stop> {
    let csrf = visit.form_token(Purpose::Code).await?;
    let mut hidden = vec![(TICKET, ticket.text), (fields::USERNAME, ticket.username)];
    hidden.extend(ticket.request.map(|request| (path::REQUEST, request)));
    let page = Code {
        chrome: visit.chrome(),
        form: Form { action: &visit.path(CODE), csrf: &csrf, hidden: &hidden },
        problem,
    };
    let target = preview.map(|preview| preview.redirect_uri.as_str());
    let mut response = visit.page(status, &page, target);
    if let Some(wait) = wait {
        stop::retry_after(&mut response, wait);
    }
    Ok(response)
}

/// `POST /signin/code`.
pub(crate) async fn submit(mut visit: Visit, form: Result<StrictForm, ParamError>) -> Response {
    let outcome = show_code(&mut visit, form).await;
    visit.settle(outcome)
}

async fn show_code(visit: &mut Visit, form: Result<StrictForm, ParamError>) -> Result<Response, Stop> {
    visit.check_origin()?;
    let StrictForm(mut params) = form?;
    let code = params.take(fields::CODE).map(|text| Secret::new(&text));
    let ticket = Ticket {
        text: params.require(TICKET)?,
        username: params.get(fields::USERNAME).unwrap_or_default(),
        request: params.get(path::REQUEST),
    };
    let preview = visit.preview(ticket.request).await?;
    if !visit.is_own_form(Purpose::Code, params.get(fields::CSRF)).await? {
        return sign_in::start_over(visit, preview.as_ref(), &params).await;
    }
    let Some(code) = code.filter(|code| !code.is_empty()) else {
        let trouble = (StatusCode::BAD_REQUEST, Some(CodeProblem::Missing), None);
        return page(visit, preview.as_ref(), ticket, trouble).await;
    };
    let finish = FinishSecondFactor {
        tenant: visit.tenant.id,
        ticket: ticket.text,
        code,
        old_cookie: visit.session_cookie(),
        origin: visit.origin.clone(),
    };
    let refusal = match visit.state.identity().admission().finish_second_factor(finish).await? {
        done @ SignIn::SignedIn { .. } => return sign_in::signed_in(visit, &done, ticket.request),
        SignIn::MustChangePassword { ticket: next } => {
            return password::choose(visit, preview.as_ref(), Ticket { text: &next, ..ticket }).await;
        }
        SignIn::NeedsCode { .. } => return sign_in::start_over(visit, preview.as_ref(), &params).await,
        SignIn::Refused(refusal) => refusal,
    };
    let obstacle = |status, obstacle, wait| (status, Some(CodeProblem::Obstacle(obstacle)), Some(wait));
    let trouble = match refusal {
        Refusal::Denied => (StatusCode::BAD_REQUEST, Some(CodeProblem::Wrong), None),
        Refusal::Throttled { retry_after } => {
            obstacle(StatusCode::TOO_MANY_REQUESTS, Obstacle::TooMany { retry_after }, retry_after)
        }
        Refusal::Busy { retry_after } => {
            obstacle(StatusCode::SERVICE_UNAVAILABLE, Obstacle::Busy, retry_after)
        }
    };
    page(visit, preview.as_ref(), ticket, trouble).await
}

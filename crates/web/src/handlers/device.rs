//! The page of the device grant: type the code that a device shows, and decide (RFC 8628 section 3.3).

use super::DEVICE_DECISION;
use super::consent::in_order;
use super::forms::Purpose;
use super::stop::{self, Stop};
use super::visit::{Visit, application};
use crate::pages::{
    DeviceCode, DeviceCodeProblem, DeviceConfirm, DeviceDone, DeviceOutcome, Form, Obstacle, fields,
};
use axum::response::Response;
use http::StatusCode;
use keyreeve_http::browser::path;
use keyreeve_http::params::{ParamError, StrictForm, StrictQuery};
use keyreeve_tokens::{DeviceDecision, DeviceLookup, DevicePreview};

/// The longest text that is put back into the field, in characters.
const MAX_SHOWN: usize = 20;

/// `GET /device`: asks for the code. One that is in the link is filled in, and not looked up before its user says so.
pub(crate) async fn show(visit: Visit, query: Result<StrictQuery, ParamError>) -> Response {
    let outcome = show_page(&visit, query).await;
    visit.settle(outcome)
}

async fn show_page(visit: &Visit, query: Result<StrictQuery, ParamError>) -> Result<Response, Stop> {
    let StrictQuery(params) = query?;
    let user_code = params.get(path::USER_CODE);
    if visit.session.is_none() {
        let tokens = visit.state.tokens();
        let request = tokens.device_visit(&visit.tenant, user_code, visit.browser_mark()).await?;
        return visit.to_sign_in(Some(&request));
    }
    page(visit, StatusCode::OK, user_code, None).await
}

async fn page(
    visit: &Visit,
    status: StatusCode,
    user_code: Option<&str>,
    problem: Option<DeviceCodeProblem>,
) -> Result<Response, Stop> {
    let (_, user) = visit.signed_in(None)?;
    let csrf = visit.form_token(Purpose::DeviceCode).await?;
    let shown: String = user_code.unwrap_or_default().chars().take(MAX_SHOWN).collect();
    let page = DeviceCode {
        chrome: visit.chrome(),
        form: Form { action: &visit.path(path::DEVICE), csrf: &csrf, hidden: &[] },
        user_code: &shown,
        user: &user.greeting(),
        problem,
    };
    Ok(visit.page(status, &page, None))
}

/// `POST /device`: looks for the device.
pub(crate) async fn submit(visit: Visit, form: Result<StrictForm, ParamError>) -> Response {
    let outcome = find(&visit, form).await;
    visit.settle(outcome)
}

async fn find(visit: &Visit, form: Result<StrictForm, ParamError>) -> Result<Response, Stop> {
    visit.check_origin()?;
    let StrictForm(params) = form?;
    visit.signed_in(None)?;
    let typed = params.get(fields::USER_CODE);
    let problem = |problem| page(visit, StatusCode::BAD_REQUEST, typed, Some(problem));
    if !visit.is_own_form(Purpose::DeviceCode, params.get(fields::CSRF)).await? {
        return problem(DeviceCodeProblem::Obstacle(Obstacle::Expired)).await;
    }
    let Some(code) = typed else { return problem(DeviceCodeProblem::Missing).await };
    match visit.state.tokens().find_device(&visit.tenant, code, visit.browser()).await? {
        DeviceLookup::Found(preview) => confirm(visit, &preview).await,
        DeviceLookup::Unknown => problem(DeviceCodeProblem::Unknown).await,
        DeviceLookup::Throttled { retry_after } => {
            let obstacle = DeviceCodeProblem::Obstacle(Obstacle::TooMany { retry_after });
            let mut response = page(visit, StatusCode::TOO_MANY_REQUESTS, typed, Some(obstacle)).await?;
            stop::retry_after(&mut response, retry_after);
            Ok(response)
        }
    }
}

async fn confirm(visit: &Visit, preview: &DevicePreview) -> Result<Response, Stop> {
    let (_, user) = visit.signed_in(None)?;
    let csrf = visit.form_token(Purpose::Device).await?;
    let page = DeviceConfirm {
        chrome: visit.chrome(),
        form: Form {
            action: &visit.path(DEVICE_DECISION),
            csrf: &csrf,
            hidden: &[(path::REQUEST, &preview.request)],
        },
        application: application(&preview.client),
        user_code: &preview.user_code,
        address: preview.address.as_deref(),
        user: &user.greeting(),
        scopes: &in_order(&preview.scope),
    };
    Ok(visit.page(StatusCode::OK, &page, None))
}

/// `POST /device/decision`: takes the user's word.
pub(crate) async fn decide(visit: Visit, form: Result<StrictForm, ParamError>) -> Response {
    let outcome = settle(&visit, form).await;
    visit.settle(outcome)
}

async fn settle(visit: &Visit, form: Result<StrictForm, ParamError>) -> Result<Response, Stop> {
    visit.check_origin()?;
    let StrictForm(params) = form?;
    visit.signed_in(None)?;
    if !visit.is_own_form(Purpose::Device, params.get(fields::CSRF)).await? {
        // Whoever is signed in now has not been asked yet.
        return page(
            visit,
            StatusCode::BAD_REQUEST,
            None,
            Some(DeviceCodeProblem::Obstacle(Obstacle::Expired)),
        )
        .await;
    }
    let request = params.require(path::REQUEST)?;
    let allow = match params.get(fields::DECISION) {
        Some(fields::ALLOW) => true,
        Some(fields::DENY) => false,
        // Neither button was pressed: that is no answer (ABUSE-CASES AC-11).
        Some(_) | None => return Err(Stop::Malformed("neither Allow nor Deny was chosen")),
    };
    let again = visit.path(path::DEVICE);
    let decided = visit.state.tokens().decide_device(&visit.tenant, request, allow, visit.browser()).await?;
    let (status, outcome, again_url) = match decided {
        DeviceDecision::Allowed => (StatusCode::OK, DeviceOutcome::Allowed, None),
        DeviceDecision::Denied => (StatusCode::OK, DeviceOutcome::Denied, None),
        DeviceDecision::Expired => (StatusCode::BAD_REQUEST, DeviceOutcome::Expired, Some(again.as_str())),
    };
    let page = DeviceDone { chrome: visit.chrome(), outcome, again_url };
    Ok(visit.page(status, &page, None))
}

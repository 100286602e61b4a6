//! The second factor of whoever is signed in: devices are added and removed, recovery codes made anew.

use super::forms::Purpose;
use super::stop::{self, Stop};
use super::visit::Visit;
use super::{ACCOUNT, TWO_STEP};
use crate::pages::{
    CodeDevice, CodeProblem, Form, Obstacle, RecoveryCodes, TwoStep, TwoStepAdd, TwoStepProblem, fields,
};
use axum::response::Response;
use http::StatusCode;
use keyreeve_base::TotpId;
use keyreeve_crypto::Secret;
use keyreeve_http::params::{ParamError, Params, StrictForm};
use keyreeve_identity::{Error, Refusal};
use std::time::Duration;

/// The hidden field that names the device that is being added.
const DEVICE: &str = "device";

/// Why nothing was changed: the status, what the page says, and when to try again.
type Trouble = (StatusCode, TwoStepProblem, Option<Duration>);

/// `GET /account/two-step`.
pub(crate) async fn show(visit: Visit) -> Response {
    let outcome = overview(&visit, None).await;
    visit.settle(outcome)
}

async fn overview(visit: &Visit, trouble: Option<Trouble>) -> Result<Response, Stop> {
    let (_, user) = visit.signed_in(None)?;
    let factors = visit.state.identity().second_factors().of(visit.tenant.id, user.id).await?;
    let csrf = visit.form_token(Purpose::TwoStep).await?;
    let devices: Vec<CodeDevice<'_>> = factors
        .devices
        .iter()
        .map(|device| CodeDevice { id: device.id, name: &device.name, last_used: device.last_used_at })
        .collect();
    let (status, problem, wait) = match trouble {
        Some((status, problem, wait)) => (status, Some(problem), wait),
        None => (StatusCode::OK, None, None),
    };
    let page = TwoStep {
        chrome: visit.chrome(),
        form: Form { action: &visit.path(TWO_STEP), csrf: &csrf, hidden: &[] },
        now: visit.state.world().now(),
        devices: &devices,
        recovery_codes: factors.recovery_codes.try_into().unwrap_or_default(),
        back_url: &visit.path(ACCOUNT),
        problem,
    };
    let mut response = visit.page(status, &page, None);
    if let Some(wait) = wait {
        stop::retry_after(&mut response, wait);
    }
    Ok(response)
}

/// `POST /account/two-step`.
pub(crate) async fn submit(visit: Visit, form: Result<StrictForm, ParamError>) -> Response {
    let outcome = change(&visit, form).await;
    visit.settle(outcome)
}

async fn change(visit: &Visit, form: Result<StrictForm, ParamError>) -> Result<Response, Stop> {
    visit.check_origin()?;
    let StrictForm(params) = form?;
    visit.signed_in(None)?;
    if !visit.is_own_form(Purpose::TwoStep, params.get(fields::CSRF)).await? {
        return Err(Stop::StaleForm);
    }
    match params.require(fields::ACTION)? {
        "confirm" => confirm(visit, params).await,
        "add" => add(visit, params).await,
        "codes" => renew(visit, params).await,
        action => match action.strip_prefix("remove ").and_then(|id| id.parse().ok()) {
            Some(device) => remove(visit, params, device).await,
            None => Err(Stop::Malformed("the button is not one of this page")),
        },
    }
}

fn password(params: &mut Params) -> Result<Secret, Trouble> {
    let typed = params.take(fields::PASSWORD).map(|text| Secret::new(&text));
    typed.filter(|password| !password.is_empty()).ok_or((
        StatusCode::BAD_REQUEST,
        TwoStepProblem::PasswordMissing,
        None,
    ))
}

fn of_refusal(refusal: Refusal) -> Trouble {
    match refusal {
        Refusal::Denied => (StatusCode::BAD_REQUEST, TwoStepProblem::PasswordWrong, None),
        Refusal::Throttled { retry_after } => (
            StatusCode::TOO_MANY_REQUESTS,
            TwoStepProblem::Obstacle(Obstacle::TooMany { retry_after }),
            Some(retry_after),
        ),
        Refusal::Busy { retry_after } => {
            (StatusCode::SERVICE_UNAVAILABLE, TwoStepProblem::Obstacle(Obstacle::Busy), Some(retry_after))
        }
    }
}

/// What a failure of the room means on this page.
fn of_room(error: Error) -> Result<Trouble, Stop> {
    match error {
        Error::Invalid { .. } => Ok((StatusCode::BAD_REQUEST, TwoStepProblem::Name, None)),
        // It is gone already, here or in another window.
        Error::NotFound("device") => {
            Ok((StatusCode::CONFLICT, TwoStepProblem::Obstacle(Obstacle::Expired), None))
        }
        other => Err(other.into()),
    }
}

async fn add(visit: &Visit, mut params: Params) -> Result<Response, Stop> {
    let (admitted, _) = visit.signed_in(None)?;
    let password = match password(&mut params) {
        Ok(password) => password,
        Err(trouble) => return overview(visit, Some(trouble)).await,
    };
    let name = params.get(fields::NAME).unwrap_or_default();
    let factors = visit.state.identity().second_factors();
    let trouble = match factors.begin(admitted, name, password, &visit.origin).await {
        Ok(Ok(begun)) => {
            let secret = Some((begun.secret.expose(), begun.uri.expose()));
            return adding(visit, begun.id, secret, None).await;
        }
        Ok(Err(refusal)) => of_refusal(refusal),
        Err(error) => of_room(error)?,
    };
    overview(visit, Some(trouble)).await
}

async fn adding(
    visit: &Visit,
    device: TotpId,
    secret: Option<(&str, &str)>,
    problem: Option<CodeProblem>,
) -> Result<Response, Stop> {
    let csrf = visit.form_token(Purpose::TwoStep).await?;
    let device = device.to_string();
    let page = TwoStepAdd {
        chrome: visit.chrome(),
        form: Form { action: &visit.path(TWO_STEP), csrf: &csrf, hidden: &[(DEVICE, &device)] },
        secret,
        back_url: &visit.path(TWO_STEP),
        problem,
    };
    let status = if problem.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    Ok(visit.page(status, &page, None))
}

async fn confirm(visit: &Visit, mut params: Params) -> Result<Response, Stop> {
    let (admitted, _) = visit.signed_in(None)?;
    let device: TotpId = params
        .require(DEVICE)?
        .parse()
        .map_err(|_| Stop::Malformed("the device is not named by its identifier"))?;
    let code = params.take(fields::CODE).map(|text| Secret::new(&text));
    let Some(code) = code.filter(|code| !code.is_empty()) else {
        return adding(visit, device, None, Some(CodeProblem::Missing)).await;
    };
    let factors = visit.state.identity().second_factors();
    match factors.confirm(admitted, device, &code, &visit.origin).await {
        Ok(Ok(Some(codes))) => recovery_codes(visit, &codes.0),
        Ok(Ok(None)) => visit.go(&visit.path(TWO_STEP)),
        Ok(Err(_)) => adding(visit, device, None, Some(CodeProblem::Wrong)).await,
        Err(error) => overview(visit, Some(of_room(error)?)).await,
    }
}

async fn renew(visit: &Visit, mut params: Params) -> Result<Response, Stop> {
    let (admitted, _) = visit.signed_in(None)?;
    let password = match password(&mut params) {
        Ok(password) => password,
        Err(trouble) => return overview(visit, Some(trouble)).await,
    };
    let factors = visit.state.identity().second_factors();
    let trouble = match factors.renew_codes(admitted, password, &visit.origin).await {
        Ok(Ok(codes)) => return recovery_codes(visit, &codes.0),
        Ok(Err(refusal)) => of_refusal(refusal),
        Err(error) => of_room(error)?,
    };
    overview(visit, Some(trouble)).await
}

async fn remove(visit: &Visit, mut params: Params, device: TotpId) -> Result<Response, Stop> {
    let (admitted, _) = visit.signed_in(None)?;
    let password = match password(&mut params) {
        Ok(password) => password,
        Err(trouble) => return overview(visit, Some(trouble)).await,
    };
    let factors = visit.state.identity().second_factors();
    let trouble = match factors.remove(admitted, device, password, &visit.origin).await {
        Ok(Ok(())) => return visit.go(&visit.path(TWO_STEP)),
        Ok(Err(refusal)) => of_refusal(refusal),
        Err(error) => of_room(error)?,
    };
    overview(visit, Some(trouble)).await
}

fn recovery_codes(visit: &Visit, codes: &[Secret]) -> Result<Response, Stop> {
    let codes: Vec<&str> = codes.iter().map(Secret::expose).collect();
    let page = RecoveryCodes { chrome: visit.chrome(), codes: &codes, back_url: &visit.path(TWO_STEP) };
    Ok(visit.page(StatusCode::OK, &page, None))
}

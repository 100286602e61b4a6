//! Signing out.

use super::ACCOUNT;
use super::forms::Purpose;
use super::stop::{Stop, see_other};
use super::visit::{Visit, application};
use crate::pages::{Form, SignOut, SignedOut, fields};
use axum::response::Response;
use http::StatusCode;
use keyreeve_http::browser::path;
use keyreeve_http::params::{ParamError, StrictForm, StrictQuery};
use keyreeve_identity::Cause;
use keyreeve_tokens::logout::Logout;

/// `GET /signout`: asks.
pub(crate) async fn show(visit: Visit, query: Result<StrictQuery, ParamError>) -> Response {
    let outcome = page(&visit, query).await;
    visit.settle(outcome)
}

async fn page(visit: &Visit, query: Result<StrictQuery, ParamError>) -> Result<Response, Stop> {
    let StrictQuery(params) = query?;
    ask(visit, StatusCode::OK, params.get(path::REQUEST)).await
}

async fn ask(visit: &Visit, status: StatusCode, request: Option<&str>) -> Result<Response, Stop> {
    let Some(user) = visit.session.as_ref().and_then(|session| session.user()) else {
        return visit.go(&visit.path(path::SIGNED_OUT));
    };
    let preview = match request {
        Some(request) => {
            let found = visit.state.tokens().preview_logout(&visit.tenant, request, visit.browser()).await?;
            Some(found.ok_or(Stop::Expired)?)
        }
        None => None,
    };
    let csrf = visit.form_token(Purpose::SignOut).await?;
    let hidden: Vec<(&str, &str)> = request.map(|request| (path::REQUEST, request)).into_iter().collect();
    let (client, redirect) = match &preview {
        Some(preview) => (preview.client.as_deref(), preview.redirect.as_deref()),
        None => (None, None),
    };
    let page = SignOut {
        chrome: visit.chrome(),
        form: Form { action: &visit.path(path::SIGN_OUT), csrf: &csrf, hidden: &hidden },
        application: client.map(application),
        user: &user.greeting(),
        stay_url: &visit.path(ACCOUNT),
    };
    Ok(visit.page(status, &page, redirect))
}

/// `POST /signout`: ends the session.
pub(crate) async fn submit(visit: Visit, form: Result<StrictForm, ParamError>) -> Response {
    let outcome = sign_out(&visit, form).await;
    visit.settle(outcome)
}

async fn sign_out(visit: &Visit, form: Result<StrictForm, ParamError>) -> Result<Response, Stop> {
    visit.check_origin()?;
    let StrictForm(params) = form?;
    let request = params.get(path::REQUEST);
    if !visit.is_own_form(Purpose::SignOut, params.get(fields::CSRF)).await? {
        // Asks again, or says that there is nobody to sign out (ABUSE-CASES AC-19).
        return ask(visit, StatusCode::BAD_REQUEST, request).await;
    }
    let redirect = match request {
        Some(request) => {
            match visit.state.tokens().finish_logout(&visit.tenant, request, visit.browser()).await? {
                Logout::Done { redirect } => redirect,
                Logout::Confirm { .. } | Logout::Fail { .. } => return Err(Stop::Expired),
            }
        }
        None => {
            end(visit).await?;
            None
        }
    };
    let mut response = match redirect {
        Some(redirect) => see_other(&redirect)?,
        None => visit.go(&visit.path(path::SIGNED_OUT))?,
    };
    visit.forget_session(&mut response)?;
    Ok(response)
}

/// Ends the session of this browser.
async fn end(visit: &Visit) -> Result<(), Stop> {
    let (session, user) = visit.signed_in(None)?;
    if let Some(id) = session.session() {
        let cause = Cause::user(user.id, visit.origin.clone());
        visit.state.identity().sessions().end(visit.tenant.id, user.id, id, &cause).await?;
    }
    Ok(())
}

/// `GET /signout/done`.
pub(crate) async fn done(visit: Visit) -> Response {
    let outcome = signed_out(&visit);
    visit.settle(outcome)
}

fn signed_out(visit: &Visit) -> Result<Response, Stop> {
    if visit.session.is_some() {
        // It would not be true.
        return visit.go(&visit.path(ACCOUNT));
    }
    let page = SignedOut { chrome: visit.chrome(), return_to: None, sign_in_url: &visit.path(path::SIGN_IN) };
    Ok(visit.page(StatusCode::OK, &page, None))
}

//! Consent: what an application asks for, and the answer.

use super::for_doors;
use super::forms::Purpose;
use super::sign_in::other_account_path;
use super::stop::{Stop, see_other};
use super::visit::{Visit, application};
use crate::pages::{Consent, Form, fields};
use axum::response::Response;
use http::StatusCode;
use keyreeve_http::browser::{self, path};
use keyreeve_http::params::{ParamError, StrictForm, StrictQuery};
use keyreeve_tokens::{Authorize, Next, Redirect, ResponseMode, ScopeSet};

/// `GET /consent`.
pub(crate) async fn show(mut visit: Visit, query: Result<StrictQuery, ParamError>) -> Response {
    let outcome = page(&mut visit, query).await;
    visit.settle(outcome)
}

async fn page(visit: &mut Visit, query: Result<StrictQuery, ParamError>) -> Result<Response, Stop> {
    let StrictQuery(params) = query?;
    let request = params.get(path::REQUEST);
    visit.signed_in(request)?;
    let request = request.ok_or(Stop::Malformed("the request is missing"))?;
    let preview = visit.preview(Some(request)).await?.ok_or(Stop::Expired)?;
    if preview.next != Next::Consent {
        return visit.go(&visit.path_with(path::RESUME, request));
    }
    let (_, user) = visit.signed_in(Some(request))?;
    let csrf = visit.form_token(Purpose::Consent).await?;
    let scopes = in_order(&preview.scope);
    let page = Consent {
        chrome: visit.chrome(),
        form: Form { action: &visit.path(path::CONSENT), csrf: &csrf, hidden: &[(path::REQUEST, request)] },
        application: application(&preview.client),
        user: &user.greeting(),
        other_account_url: Some(&other_account_path(visit, request)),
        scopes: &scopes,
    };
    Ok(visit.page(StatusCode::OK, &page, Some(&preview.redirect_uri)))
}

/// Scopes as they are shown.
pub(crate) fn in_order(scope: &ScopeSet) -> Vec<&str> {
    let mut scopes: Vec<&str> = scope.iter().collect();
    scopes.sort_by_key(|scope| rank(scope));
    scopes
}

/// The order in which scopes are shown: from who one is to what is known of one, then the application's own.
fn rank(scope: &str) -> usize {
    const KNOWN: [&str; 6] = ["openid", "profile", "email", "phone", "address", "offline_access"];
    KNOWN.iter().position(|known| *known == scope).unwrap_or(KNOWN.len())
}

/// `POST /consent`.
pub(crate) async fn submit(visit: Visit, form: Result<StrictForm, ParamError>) -> Response {
    let outcome = decide(&visit, form).await;
    visit.settle(outcome)
}

async fn decide(visit: &Visit, form: Result<StrictForm, ParamError>) -> Result<Response, Stop> {
    visit.check_origin()?;
    let StrictForm(params) = form?;
    let request = params.require(path::REQUEST)?;
    if !visit.is_own_form(Purpose::Consent, params.get(fields::CSRF)).await? {
        // Whoever is signed in now has not been asked yet.
        return visit.go(&visit.path_with(path::CONSENT, request));
    }
    let allow = match params.get(fields::DECISION) {
        Some(fields::ALLOW) => true,
        Some(fields::DENY) => false,
        // Neither button was pressed: that is no answer (ABUSE-CASES AC-11).
        Some(_) | None => return Err(Stop::Malformed("neither Allow nor Deny was chosen")),
    };
    match visit.state.tokens().decide(&visit.tenant, request, allow, visit.browser()).await? {
        Authorize::Redirect(redirect) => respond(visit, &redirect),
        Authorize::SignIn { request, .. } => visit.to_sign_in(Some(&request)),
        Authorize::Consent { request, .. } => visit.go(&visit.path_with(path::CONSENT, &request)),
        Authorize::Device { .. } | Authorize::Fail { .. } => Err(Stop::Expired),
    }
}

/// Sends the authorization response.
fn respond(visit: &Visit, redirect: &Redirect) -> Result<Response, Stop> {
    match redirect.mode {
        ResponseMode::Query => see_other(&redirect.location()),
        ResponseMode::FormPost => {
            let page =
                browser::FormPost { prefix: &visit.prefix, action: &redirect.uri, fields: &redirect.params };
            Ok(for_doors::form_post(visit.chrome(), &page))
        }
    }
}

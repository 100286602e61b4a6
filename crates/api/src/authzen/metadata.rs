//! What a policy enforcement point can find out (AuthZEN section 9).

use crate::authzen::{EVALUATION, EVALUATIONS, SEARCH_ACTION, SEARCH_RESOURCE, SEARCH_SUBJECT};
use crate::state::ApiState;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use keyreeve_http::route::TenantName;
use serde_json::json;

/// Below the root of a tenant.
pub(crate) const WELL_KNOWN: &str = "/.well-known/authzen-configuration";
/// Before the path of a tenant's root, where the specification has it (section 9.2).
pub(crate) const WELL_KNOWN_OF_TENANT: &str = "/.well-known/authzen-configuration/t/{tenant}";

/// The metadata of the tenant.
pub(crate) async fn configuration(State(state): State<ApiState>, name: TenantName) -> Response {
    let tenant = match state.tenant(&name).await {
        Ok(tenant) => tenant,
        Err(refused) => return refused.answer(None),
    };
    let root = state.tokens().issuer(&tenant);
    let at = |path: &str| format!("{root}{path}");
    let document = json!({
        "policy_decision_point": root,
        "access_evaluation_endpoint": at(EVALUATION),
        "access_evaluations_endpoint": at(EVALUATIONS),
        "search_subject_endpoint": at(SEARCH_SUBJECT),
        "search_resource_endpoint": at(SEARCH_RESOURCE),
        "search_action_endpoint": at(SEARCH_ACTION),
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300")),
    ];
    (headers, document.to_string()).into_response()
}

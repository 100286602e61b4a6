//! The device authorization endpoint (RFC 8628 section 3.1).

use crate::answer;
use crate::token::ClientRequest;
use axum::response::Response;
use http::StatusCode;

/// `POST /device_authorization`.
pub(crate) async fn begin(request: ClientRequest) -> Response {
    let begun = async {
        let client = request.authenticate().await?;
        let scope = request.params.get("scope");
        request.state.tokens().authorize_device(&request.tenant, &client, scope, &request.origin).await
    };
    match begun.await {
        Ok(device) => answer::json(StatusCode::OK, &device),
        Err(error) => request.refuse(&error),
    }
}

//! The device authorization endpoint (RFC 8628 section 3.1).

use crate::answer;
use crate::token::ClientRequest;
use axum::response::Response;
use http::StatusCode;

/// `POST /device_authorization`.
pub(crate) async fn begin(request: ClientRequest) -> Response {
    let begun = async {
        let client = request.authenticate().await?;
        let resources: Vec<&str> = request.params.all("resource").collect();
        let asked = (request.params.get("scope"), resources.as_slice());
        request.state.tokens().authorize_device(&request.tenant, &client, asked, &request.origin).await
    };
    match begun.await {
        Ok(device) => answer::json(StatusCode::OK, &device),
        Err(error) => request.refuse(&error),
    }
}

//! The endpoint for pushed authorization requests (RFC 9126).

use crate::answer;
use crate::params::Given;
use crate::token::ClientRequest;
use axum::response::Response;
use http::StatusCode;
use keyreeve_tokens::Targets;

/// `POST /par`.
pub(crate) async fn push(request: ClientRequest) -> Response {
    let pushed = async {
        let client = request.authenticate().await?;
        // A proof beside the request binds its code (RFC 9449 section 10.1); none is demanded before there are tokens.
        let client = if request.shows_proof() {
            request.bind(client, Targets::Registered(&[])).await?
        } else {
            client
        };
        request.state.tokens().push(&request.tenant, &client, &Given(&request.params)).await
    };
    match pushed.await {
        Ok(reference) => request.with_nonce(answer::json(StatusCode::CREATED, &reference)).await,
        Err(error) => request.refuse(&error),
    }
}

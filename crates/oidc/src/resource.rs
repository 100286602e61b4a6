//! What is done with tokens: userinfo (OpenID Connect Core section 5.3), introspection (RFC 7662), revocation
//! (RFC 7009).

use crate::answer;
use crate::state::OidcState;
use crate::token::ClientRequest;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode, Uri};
use keyreeve_base::Presentation;
use keyreeve_http::params::{ParamError, Params, StrictForm};
use keyreeve_http::possession::Described;
use keyreeve_http::presented::{Challenge, Scheme, presented};
use keyreeve_http::route::TenantName;
use keyreeve_tokens::{Error, scope};

/// `GET /userinfo`.
pub(crate) async fn userinfo_get(
    State(state): State<OidcState>,
    name: TenantName,
    request: Request,
) -> Response {
    // A token in a URL ends in logs and histories, so it is not even looked at (RFC 9700 section 4.3.2).
    let query = Params::parse(request.uri().query().unwrap_or_default());
    if query.is_ok_and(|params| params.get("access_token").is_some()) {
        return answer::challenged(&Challenge::InvalidRequest);
    }
    let described = Described::new(request.method(), request.uri().path(), request.headers());
    userinfo(&state, &name, (request.headers(), &described), None).await
}

/// `POST /userinfo`, with the token in the header or in the form (RFC 6750 section 2.2).
pub(crate) async fn userinfo_post(
    State(state): State<OidcState>,
    name: TenantName,
    (method, uri, headers): (Method, Uri, HeaderMap),
    form: Result<StrictForm, ParamError>,
) -> Response {
    let described = Described::new(&method, uri.path(), &headers);
    match form {
        Ok(StrictForm(params)) => userinfo(&state, &name, (&headers, &described), Some(&params)).await,
        Err(_) => answer::challenged(&Challenge::InvalidRequest),
    }
}

async fn userinfo(
    state: &OidcState,
    name: &TenantName,
    (headers, described): (&HeaderMap, &Described),
    form: Option<&Params>,
) -> Response {
    let tenant = match state.tenant(name).await {
        Ok(tenant) => tenant,
        Err(response) => return response,
    };
    let in_form = form.and_then(|params| params.get("access_token"));
    let presented = match one_of(presented(headers, described), in_form) {
        Ok(presented) => presented,
        Err(challenge) => return answer::challenged(&challenge),
    };
    let scheme = Scheme::of(presented.is_proven());
    match state.tokens().verify_presented(&tenant, presented).await {
        Ok(Some(access)) => match state.tokens().userinfo(&access).await {
            Ok(Some(claims)) => answer::json(StatusCode::OK, &claims),
            Ok(None) => answer::challenged(&Challenge::InsufficientScope(scheme, scope::OPENID.into())),
            Err(error) => answer::room(&error),
        },
        Ok(None) => answer::challenged(&Challenge::InvalidToken(scheme)),
        Err(Error::UseDpopNonce { nonce }) => answer::challenged(&Challenge::UseNonce(nonce)),
        Err(error) => answer::room(&error),
    }
}

/// The one access token of a request: in the header or in the form, not in both. A token in a form is a bearer's.
fn one_of<'r>(
    in_header: Result<Presentation<'r>, Challenge>,
    in_form: Option<&'r str>,
) -> Result<Presentation<'r>, Challenge> {
    match (in_header, in_form) {
        (Err(Challenge::Missing), Some(token)) => Ok(Presentation::Bearer(token)),
        (_, Some(_)) => Err(Challenge::InvalidRequest),
        (in_header, None) => in_header,
    }
}

/// `POST /introspect`.
pub(crate) async fn introspect(request: ClientRequest) -> Response {
    let told = async {
        let client = request.authenticate().await?;
        request.state.tokens().introspect(&request.tenant, &client, request.subject_token()?).await
    };
    match told.await {
        Ok(introspection) => answer::json(StatusCode::OK, &introspection),
        Err(error) => request.refuse(&error),
    }
}

/// `POST /revoke`. An unknown token is no error (RFC 7009 section 2.2).
pub(crate) async fn revoke(request: ClientRequest) -> Response {
    let done = async {
        if let Some(account) = request.service() {
            let token = request.subject_token()?;
            let tokens = request.state.tokens();
            return tokens.revoke_as_service(&request.tenant, account, token, &request.origin).await;
        }
        let client = request.authenticate().await?;
        request
            .state
            .tokens()
            .revoke(&request.tenant, &client, request.subject_token()?, &request.origin)
            .await
    };
    match done.await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(error) => request.refuse(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_token_is_taken_and_two_are_refused() {
        let (a, b) = (Presentation::Bearer("a"), Presentation::Bearer("b"));
        assert_eq!(one_of(Ok(a), None), Ok(a));
        assert_eq!(one_of(Err(Challenge::Missing), Some("b")), Ok(b));
        assert_eq!(one_of(Err(Challenge::Missing), None), Err(Challenge::Missing));
        for beside in [Ok(a), Err(Challenge::InvalidRequest), Err(Challenge::InvalidToken(Scheme::Dpop))] {
            assert_eq!(one_of(beside, Some("b")), Err(Challenge::InvalidRequest));
        }
    }
}

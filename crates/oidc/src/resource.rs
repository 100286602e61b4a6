//! What is done with tokens: userinfo (OpenID Connect Core section 5.3), introspection (RFC 7662), revocation
//! (RFC 7009).

use crate::answer::{self, BearerError, Scheme};
use crate::state::OidcState;
use crate::token::ClientRequest;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode, Uri, header};
use keyreeve_http::params::{ParamError, Params, StrictForm};
use keyreeve_http::possession::{Described, Shown};
use keyreeve_http::route::TenantName;
use keyreeve_tokens::caller::Presentation;
use keyreeve_tokens::{Error, ShownProof};

/// `GET /userinfo`.
pub(crate) async fn userinfo_get(
    State(state): State<OidcState>,
    name: TenantName,
    request: Request,
) -> Response {
    // A token in a URL ends in logs and histories, so it is not even looked at (RFC 9700 section 4.3.2).
    let query = Params::parse(request.uri().query().unwrap_or_default());
    if query.is_ok_and(|params| params.get("access_token").is_some()) {
        return BearerError::InvalidRequest.into_response();
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
        Err(_) => BearerError::InvalidRequest.into_response(),
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
    let (scheme, token) = match bearer(headers, form.and_then(|params| params.get("access_token"))) {
        Ok(presented) => presented,
        Err(error) => return error.into_response(),
    };
    let presented = match (scheme, described.shown()) {
        (Scheme::Bearer, _) => Presentation::Bearer(token),
        (Scheme::Dpop, Ok(Some(Shown { proof, method, path }))) => {
            Presentation::Dpop { token, shown: ShownProof { proof, method, path } }
        }
        (Scheme::Dpop, Ok(None) | Err(_)) => return BearerError::InvalidToken(scheme).into_response(),
    };
    match state.tokens().verify_presented(&tenant, presented).await {
        Ok(Some(access)) => match state.tokens().userinfo(&access).await {
            Ok(Some(claims)) => answer::json(StatusCode::OK, &claims),
            Ok(None) => BearerError::InsufficientScope(scheme).into_response(),
            Err(error) => answer::room(&error),
        },
        Ok(None) => BearerError::InvalidToken(scheme).into_response(),
        Err(Error::UseDpopNonce { nonce }) => BearerError::UseNonce(nonce).into_response(),
        Err(error) => answer::room(&error),
    }
}

/// The one access token of a request: in the header or in the form, not in both. A token in a form is a bearer's.
fn bearer<'r>(headers: &'r HeaderMap, form: Option<&'r str>) -> Result<(Scheme, &'r str), BearerError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    match (values.next(), values.next(), form) {
        (None, _, None) => Err(BearerError::Missing),
        (None, _, Some(token)) => Ok((Scheme::Bearer, token)),
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) => Err(BearerError::InvalidRequest),
        (Some(value), None, None) => {
            let text = value.to_str().map_err(|_| BearerError::InvalidRequest)?;
            match text.split_once(' ') {
                Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                    Ok((Scheme::Bearer, token.trim()))
                }
                Some((scheme, token)) if scheme.eq_ignore_ascii_case("dpop") => {
                    Ok((Scheme::Dpop, token.trim()))
                }
                _ => Err(BearerError::Missing),
            }
        }
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

    fn headers(values: &[&str]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for value in values {
            map.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        map
    }

    #[test]
    fn one_token_is_taken_and_two_are_refused() {
        assert_eq!(bearer(&headers(&["Bearer abc"]), None), Ok((Scheme::Bearer, "abc")));
        assert_eq!(bearer(&headers(&["bearer abc"]), None), Ok((Scheme::Bearer, "abc")));
        assert_eq!(bearer(&headers(&[]), Some("abc")), Ok((Scheme::Bearer, "abc")));
        assert_eq!(bearer(&headers(&["DPoP abc"]), None), Ok((Scheme::Dpop, "abc")));
        assert_eq!(bearer(&headers(&[]), None), Err(BearerError::Missing));
        assert_eq!(bearer(&headers(&["Basic abc"]), None), Err(BearerError::Missing));
        assert_eq!(bearer(&headers(&["Bearer abc"]), Some("abc")), Err(BearerError::InvalidRequest));
        assert_eq!(bearer(&headers(&["DPoP abc"]), Some("abc")), Err(BearerError::InvalidRequest));
        assert_eq!(bearer(&headers(&["Bearer a", "DPoP b"]), None), Err(BearerError::InvalidRequest));
        assert_eq!(bearer(&headers(&["Bearer a", "Bearer b"]), None), Err(BearerError::InvalidRequest));
    }
}

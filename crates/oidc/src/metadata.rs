//! What the server says about itself: OpenID Connect Discovery 1.0 section 3, RFC 8414 section 2, and the keys.

use crate::answer;
use crate::state::OidcState;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use keyreeve_crypto::sign::Algorithm;
use keyreeve_crypto::{base64url, sha256};
use keyreeve_http::front::ADDED_HEADERS;
use keyreeve_http::route::TenantName;
use keyreeve_tokens::TokenPolicy;
use keyreeve_tokens::claims::Claim;
use keyreeve_tokens::clients::GrantType;
use keyreeve_tokens::registration::REGISTRATION_PATH;
use serde_json::{Value, json};

/// Clients may keep these documents for five minutes; keys are published well ahead of their first use.
const CACHEABLE: HeaderValue = HeaderValue::from_static("public, max-age=300");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const JWK_SET: HeaderValue = HeaderValue::from_static("application/jwk-set+json");

/// `/.well-known/openid-configuration`.
pub(crate) async fn openid(State(state): State<OidcState>, name: TenantName, request: Request) -> Response {
    document(&state, &name, request.headers(), openid_document).await
}

/// `/.well-known/oauth-authorization-server`.
pub(crate) async fn oauth(State(state): State<OidcState>, name: TenantName, request: Request) -> Response {
    document(&state, &name, request.headers(), oauth_document).await
}

async fn document(
    state: &OidcState,
    name: &TenantName,
    headers: &HeaderMap,
    write: fn(&str, &TokenPolicy) -> Value,
) -> Response {
    let tenant = match state.tenant(name).await {
        Ok(tenant) => tenant,
        Err(response) => return response,
    };
    match state.tokens().policy(tenant.id).await {
        Ok(policy) => {
            let text = write(&state.tokens().issuer(&tenant), &policy).to_string();
            let digest = base64url::encode(sha256(text.as_bytes()));
            cacheable(text.into(), digest.as_bytes(), JSON, headers)
        }
        Err(error) => answer::room(&error),
    }
}

/// `/jwks`: the public keys of the tenant (RFC 7517 section 5).
pub(crate) async fn jwks(State(state): State<OidcState>, name: TenantName, request: Request) -> Response {
    let tenant = match state.tenant(&name).await {
        Ok(tenant) => tenant,
        Err(response) => return response,
    };
    match state.tokens().keys().jwks(tenant.id).await {
        Ok(keys) => cacheable(keys.json, &keys.digest, JWK_SET, request.headers()),
        Err(error) => answer::room(&error),
    }
}

/// The characters of a digest that tell one state of a document from another: 72 bits.
const TAG_CHARACTERS: usize = 12;

/// A document that may be kept, or 304 for a reader who has it. `digest` is that of the body, in base64url.
fn cacheable(body: Bytes, digest: &[u8], kind: HeaderValue, headers: &HeaderMap) -> Response {
    let digest = digest.get(..TAG_CHARACTERS).unwrap_or(digest);
    let tag = [b"\"", digest, b"\""].concat();
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let unchanged = known.is_some_and(|tags| {
        tags.split(',').any(|known| known.trim().trim_start_matches("W/").as_bytes() == tag)
    });
    let mut response = Response::new(Body::empty());
    response.headers_mut().reserve(3 + ADDED_HEADERS);
    if unchanged {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        *response.body_mut() = Body::from(body);
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, CACHEABLE);
    if let Ok(tag) = HeaderValue::from_maybe_shared(Bytes::from(tag)) {
        headers.insert(header::ETAG, tag);
    }
    response
}

/// The members that both documents share.
fn oauth_document(issuer: &str, policy: &TokenPolicy) -> Value {
    let at = |path: &str| format!("{issuer}{path}");
    let mut grants: Vec<&str> = GrantType::ALL.iter().map(|grant| grant.as_str()).collect();
    grants.retain(|grant| policy.password_grant || *grant != GrantType::Password.as_str());
    let methods = ["client_secret_basic", "client_secret_post", "private_key_jwt"];
    let with_none = ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"];
    let algorithms = algorithms(policy.default_alg);
    let mut document = json!({
        "issuer": issuer,
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at(crate::TOKEN_PATH),
        "jwks_uri": at("/jwks"),
        "introspection_endpoint": at("/introspect"),
        "device_authorization_endpoint": at("/device_authorization"),
        "revocation_endpoint": at("/revoke"),
        "pushed_authorization_request_endpoint": at(crate::PUSHED_PATH),
        "require_pushed_authorization_requests": false,
        "request_parameter_supported": true,
        "request_uri_parameter_supported": false,
        "require_signed_request_object": false,
        "request_object_signing_alg_values_supported": algorithms,
        "dpop_signing_alg_values_supported": algorithms,
        "scopes_supported": ["openid", "profile", "email", "address", "phone", "offline_access"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "form_post"],
        "grant_types_supported": grants,
        "token_endpoint_auth_methods_supported": with_none,
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "introspection_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_signing_alg_values_supported": algorithms,
        "revocation_endpoint_auth_methods_supported": with_none,
        "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "ui_locales_supported": ["en", "de"],
    });
    if let (true, Value::Object(document)) = (policy.registration.is_offered(), &mut document) {
        document.insert("registration_endpoint".to_owned(), at(REGISTRATION_PATH).into());
    }
    document
}

fn openid_document(issuer: &str, policy: &TokenPolicy) -> Value {
    let at = |path: &str| format!("{issuer}{path}");
    let mut document = oauth_document(issuer, policy);
    let claims: Vec<&str> =
        TOKEN_CLAIMS.iter().copied().chain(Claim::ALL.iter().map(|claim| claim.name())).collect();
    let more = json!({
        "userinfo_endpoint": at("/userinfo"),
        "end_session_endpoint": at("/end-session"),
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": algorithms(policy.default_alg),
        "claim_types_supported": ["normal"],
        "claims_supported": claims,
        "claims_parameter_supported": true,
        "require_request_uri_registration": false,
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
    });
    if let (Value::Object(document), Value::Object(more)) = (&mut document, more) {
        document.extend(more);
    }
    document
}

/// Claims of every ID token, beside those about the user.
const TOKEN_CLAIMS: [&str; 11] =
    ["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "acr", "amr", "sid"];

/// All algorithms, the tenant's own first.
fn algorithms(first: Algorithm) -> Vec<Algorithm> {
    let mut all = vec![Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256];
    all.sort_by_key(|alg| *alg != first);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_promise_only_what_is_there() {
        let closed = openid_document("https://id.example", &TokenPolicy::default());
        assert_eq!(closed["issuer"], "https://id.example");
        assert_eq!(closed["token_endpoint"], "https://id.example/token");
        assert_eq!(closed["id_token_signing_alg_values_supported"][0], "EdDSA");
        assert!(!closed["grant_types_supported"].to_string().contains("password"));
        let open =
            TokenPolicy { password_grant: true, default_alg: Algorithm::Rs256, ..TokenPolicy::default() };
        let open = openid_document("https://id.example/t/acme", &open);
        assert!(open["grant_types_supported"].to_string().contains("password"));
        assert_eq!(open["id_token_signing_alg_values_supported"][0], "RS256");
        assert_eq!(open["jwks_uri"], "https://id.example/t/acme/jwks");
    }

    #[test]
    fn a_known_document_is_not_sent_again() {
        let of =
            |digest: &[u8], headers: &HeaderMap| cacheable(Bytes::from_static(b"{}"), digest, JSON, headers);
        let first = of(b"digest-of-one-text", &HeaderMap::new());
        let tag = first.headers()[header::ETAG].clone();
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, tag);
        assert_eq!(of(b"digest-of-one-text", &headers).status(), StatusCode::NOT_MODIFIED);
        assert_eq!(of(b"digest-xx-one-text", &headers).status(), StatusCode::OK);
    }
}

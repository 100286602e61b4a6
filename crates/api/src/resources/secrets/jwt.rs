//! Tokens that are signed for others, and the keys to check them by.

use super::issuing::{CACHED, Parts};
use super::secrets;
use crate::call::Call;
use crate::operation::{Operation, Table};
use crate::policy::Asks;
use crate::refused::Refused;
use crate::reply::Reply;
use crate::state::ApiState;
use crate::when::When;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, header};
use keyreeve_http::route::{Guard, Routes, TenantName};
use keyreeve_secrets::{JwtRules, JwtWanted};
use keyreeve_tokens::scope::SECRETS_WRITE;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// RFC 7517 section 8.5.2.
const JWK_SET: HeaderValue = HeaderValue::from_static("application/jwk-set+json");

pub(super) fn table() -> Table {
    Table::new("Signed tokens").add(
        Operation::post("/api/v1/jwt/sign", "sign_jwt")
            .says(
                "Have a token signed",
                "A JWT, by a policy that is open to the caller and says who issues it, about whom and for whom it may be, and what \
                 else it may say. `iss`, `iat`, `exp` and `jti` are set here, the algorithm is that of the key. It is recorded before \
                 it is handed out, and nobody can take it back. Whoever checks it finds the key at `/api/v1/secrets/jwks`, or only \
                 those of one secret at `/api/v1/secrets/{id}/jwks`.",
            )
            .needs(SECRETS_WRITE, Asks::Visible)
            .takes::<SignDoc>()
            .answers::<SignedDoc>("The token."),
        sign,
    )
}

/// The public keys. Anybody may read them.
pub(super) fn public(routes: Routes<ApiState>) -> Routes<ApiState> {
    routes.get("/api/v1/secrets/jwks", Guard::Public, "secrets_jwks", all).get(
        "/api/v1/secrets/{id}/jwks",
        Guard::Public,
        "secret_jwks",
        one,
    )
}

fn plain() -> String {
    "JWT".to_owned()
}

/// What the tokens of a policy say.
#[derive(Serialize, Deserialize, ToSchema)]
#[schema(as = JwtRules)]
#[serde(deny_unknown_fields)]
pub(super) struct JwtRulesDoc {
    /// Who says it (`iss`), exactly. No address of this server.
    issuer: String,
    /// For whom it may be (`aud`), exactly.
    audiences: Vec<String>,
    /// The type in the header. Not one of the server's own tokens.
    #[serde(default = "plain")]
    typ: String,
    /// Claims that every token has.
    #[serde(default)]
    #[schema(value_type = Object)]
    fixed: Map<String, Value>,
    /// Claims that the caller may give, each with the values that it may have; any, where there are none.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, Vec<Object>>)]
    claims: BTreeMap<String, Vec<Value>>,
}

impl From<JwtRulesDoc> for JwtRules {
    fn from(doc: JwtRulesDoc) -> Self {
        let JwtRulesDoc { issuer, audiences, typ, fixed, claims } = doc;
        Self { issuer, audiences, typ, fixed, claims }
    }
}

impl From<JwtRules> for JwtRulesDoc {
    fn from(rules: JwtRules) -> Self {
        let JwtRules { issuer, audiences, typ, fixed, claims } = rules;
        Self { issuer, audiences, typ, fixed, claims }
    }
}

/// A token to sign.
#[derive(Deserialize, ToSchema)]
#[schema(as = JwtSigning)]
#[serde(deny_unknown_fields)]
struct SignDoc {
    /// The name of the policy.
    policy: String,
    /// Whom it is about (`sub`); may be left out where the policy allows one.
    #[serde(default)]
    subject: Option<String>,
    /// For whom it is (`aud`); may be left out where the policy allows one.
    #[serde(default)]
    audience: Vec<String>,
    /// What else it says.
    #[serde(default)]
    #[schema(value_type = Object)]
    claims: Map<String, Value>,
    /// For how long; as long as the policy allows, where it is not said.
    #[serde(default)]
    seconds: Option<u64>,
}

/// A token that was signed now.
#[derive(Serialize, ToSchema)]
#[schema(as = SignedJwt)]
struct SignedDoc {
    /// A JWT in the compact form (RFC 7515).
    token: String,
    /// The key that signed it: its thumbprint (RFC 7638).
    kid: String,
    /// Its identifier, under which it is in the audit log.
    jti: String,
    expires_at: When,
}

async fn sign(call: Call) -> Result<Reply, Refused> {
    let SignDoc { policy, subject, audience, claims, seconds } = call.body()?;
    let wanted = JwtWanted { subject, audience, claims, seconds };
    let signed = secrets(&call).sign_jwt(call.authority(), &policy, &wanted, &call.cause().await?).await?;
    Reply::ok(&SignedDoc {
        token: signed.token.expose().to_owned(),
        kid: signed.kid,
        jti: signed.jti,
        expires_at: signed.expires_at.into(),
    })
}

async fn keys(state: &ApiState, name: &TenantName, id: Option<&str>) -> Result<String, Refused> {
    let tenant = state.tenant(name).await?;
    let id = id.map(|text| text.parse().map_err(|_| Refused::not_found("signing key"))).transpose()?;
    Ok(state.secrets().jwks(tenant.id, id).await?)
}

fn answer(found: Result<String, Refused>) -> Response {
    match found {
        Ok(set) => ([(header::CONTENT_TYPE, JWK_SET), (header::CACHE_CONTROL, CACHED)], set).into_response(),
        Err(refused) => refused.answer(None),
    }
}

async fn all(State(state): State<ApiState>, name: TenantName) -> Response {
    answer(keys(&state, &name, None).await)
}

async fn one(State(state): State<ApiState>, name: TenantName, parts: Parts) -> Response {
    let id = parts.get("id").map(String::as_str).unwrap_or_default();
    answer(keys(&state, &name, Some(id)).await)
}

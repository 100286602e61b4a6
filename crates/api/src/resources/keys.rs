//! Signing keys: what may be known of them, and their rotation.

use crate::call::Call;
use crate::operation::{Operation, Table};
use crate::policy::Asks;
use crate::refused::Refused;
use crate::reply::Reply;
use crate::when::When;
use keyreeve_crypto::sign::Algorithm;
use keyreeve_tokens::keys::{KeyInfo, KeyState};
use keyreeve_tokens::scope::{KEYS_READ, KEYS_WRITE};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

pub(super) fn table() -> Table {
    Table::new("Signing keys")
        .add(
            Operation::get("/api/v1/keys", "list_keys")
                .says(
                    "List signing keys",
                    "Those that sign, those that will, and those that are published still.",
                )
                .needs(KEYS_READ, Asks::Tenant)
                .answers::<KeysDoc>("The keys."),
            list,
        )
        .add(
            Operation::post("/api/v1/keys/rotate", "rotate_key")
                .says(
                    "Let a new key sign at once",
                    "The present one stays published until every token that it signed has expired.",
                )
                .needs(KEYS_WRITE, Asks::Tenant)
                .takes::<RotationDoc>()
                .answers::<KeyDoc>("The key that signs now."),
            rotate,
        )
}

/// What a key signs with.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[schema(as = Algorithm)]
enum AlgorithmDoc {
    #[serde(rename = "EdDSA")]
    EdDsa,
    #[serde(rename = "ES256")]
    Es256,
    #[serde(rename = "RS256")]
    Rs256,
}

impl From<Algorithm> for AlgorithmDoc {
    fn from(alg: Algorithm) -> Self {
        match alg {
            Algorithm::EdDsa => Self::EdDsa,
            Algorithm::Es256 => Self::Es256,
            Algorithm::Rs256 => Self::Rs256,
        }
    }
}

impl From<AlgorithmDoc> for Algorithm {
    fn from(alg: AlgorithmDoc) -> Self {
        match alg {
            AlgorithmDoc::EdDsa => Self::EdDsa,
            AlgorithmDoc::Es256 => Self::Es256,
            AlgorithmDoc::Rs256 => Self::Rs256,
        }
    }
}

/// Where a key is in its life.
#[derive(Serialize, ToSchema)]
#[schema(as = KeyState)]
#[serde(rename_all = "snake_case")]
enum KeyStateDoc {
    /// Published, does not sign yet.
    Next,
    /// Signs.
    Signing,
    /// Published, does not sign any more.
    Retired,
}

/// What may be known of a signing key.
#[derive(Serialize, ToSchema)]
#[schema(as = Key)]
struct KeyDoc {
    id: Uuid,
    alg: AlgorithmDoc,
    /// Its name in token headers and in the JWKS: the RFC 7638 thumbprint.
    kid: String,
    state: KeyStateDoc,
    created_at: When,
    signing_since: Option<When>,
    retired_at: Option<When>,
    /// When it leaves the JWKS.
    publish_until: Option<When>,
}

impl From<&KeyInfo> for KeyDoc {
    fn from(info: &KeyInfo) -> Self {
        Self {
            id: info.id.uuid(),
            alg: info.alg.into(),
            kid: info.kid.clone(),
            state: match info.state {
                KeyState::Next => KeyStateDoc::Next,
                KeyState::Signing => KeyStateDoc::Signing,
                KeyState::Retired => KeyStateDoc::Retired,
            },
            created_at: info.created_at.into(),
            signing_since: info.signing_since.map(When::from),
            retired_at: info.retired_at.map(When::from),
            publish_until: info.publish_until.map(When::from),
        }
    }
}

/// The signing keys of a tenant.
#[derive(Serialize, ToSchema)]
#[schema(as = Keys)]
struct KeysDoc {
    items: Vec<KeyDoc>,
}

/// Which key to replace.
#[derive(Deserialize, ToSchema)]
#[schema(as = Rotation)]
#[serde(deny_unknown_fields)]
struct RotationDoc {
    /// The tenant's default where it is not said.
    #[serde(default)]
    alg: Option<AlgorithmDoc>,
}

async fn list(call: Call) -> Result<Reply, Refused> {
    let found = call.state().tokens().keys().list(call.tenant_id()).await?;
    Reply::ok(&KeysDoc { items: found.iter().map(KeyDoc::from).collect() })
}

async fn rotate(call: Call) -> Result<Reply, Refused> {
    let doc: RotationDoc = call.body()?;
    let tokens = call.state().tokens();
    let alg = match doc.alg {
        Some(alg) => alg.into(),
        None => tokens.policy(call.tenant_id()).await?.default_alg,
    };
    let key = tokens.keys().rotate(call.tenant_id(), alg, &call.cause().await?).await?;
    Reply::ok(&KeyDoc::from(&key))
}

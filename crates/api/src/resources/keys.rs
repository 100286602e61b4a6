//! Signing keys: what may be known of them, and their rotation.

use crate::call::Call;
use crate::operation::{Operation, Table};
use crate::policy::Asks;
use crate::refused::Refused;
use crate::reply::Reply;
use crate::when::When;
use keyreeve_crypto::sign::Algorithm;
use keyreeve_identity::Rotation;
use keyreeve_tokens::DataKey;
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
        .add(
            Operation::get("/api/v1/keys/data", "list_data_keys")
                .says(
                    "List data keys",
                    "What the tenant keeps secret is sealed under them; and how far the last change of them is.",
                )
                .needs(KEYS_READ, Asks::Tenant)
                .answers::<DataKeysDoc>("The keys."),
            data_keys,
        )
        .add(
            Operation::post("/api/v1/keys/data/rotate", "rotate_data_key")
                .says(
                    "Let a new data key seal at once",
                    "What lies under older ones is sealed anew in the background. An older key opens what browsers and \
                     clients hold until that has expired; then it is destroyed.",
                )
                .needs(KEYS_WRITE, Asks::Tenant)
                .answers::<DataKeysDoc>("The keys, and how far it is."),
            rotate_data,
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

/// Where a data key is in its life.
#[derive(Serialize, ToSchema)]
#[schema(as = DataKeyState)]
#[serde(rename_all = "snake_case")]
enum DataKeyStateDoc {
    /// Seals and opens.
    Sealing,
    /// Opens what it sealed.
    Opening,
}

/// What may be known of a data key.
#[derive(Serialize, ToSchema)]
#[schema(as = DataKey)]
struct DataKeyDoc {
    id: Uuid,
    state: DataKeyStateDoc,
    created_at: When,
    /// When a newer one took its place.
    retired_at: Option<When>,
    /// Until when browsers and clients may hold what it sealed. It is destroyed afterwards.
    needed_until: Option<When>,
}

impl From<&DataKey> for DataKeyDoc {
    fn from(key: &DataKey) -> Self {
        Self {
            id: key.info.id,
            state: match key.info.retired_at {
                None => DataKeyStateDoc::Sealing,
                Some(_) => DataKeyStateDoc::Opening,
            },
            created_at: key.info.created_at.into(),
            retired_at: key.info.retired_at.map(When::from),
            needed_until: key.needed_until.map(When::from),
        }
    }
}

/// How far the values of a tenant are sealed anew.
#[derive(Serialize, ToSchema)]
#[schema(as = DataKeyRotation)]
struct DataKeyRotationDoc {
    /// The key that they are sealed under.
    data_key: Uuid,
    /// How many are.
    resealed: u64,
    /// How many did not open, and were left as they are; the server's log names them.
    failed: u64,
    /// How many there were; absent until they are counted.
    total: Option<u64>,
    started_at: When,
    /// When all of them were.
    finished_at: Option<When>,
}

impl From<Rotation> for DataKeyRotationDoc {
    fn from(rotation: Rotation) -> Self {
        Self {
            data_key: rotation.data_key,
            resealed: rotation.resealed,
            failed: rotation.failed,
            total: rotation.total,
            started_at: rotation.started_at.into(),
            finished_at: rotation.finished_at.map(When::from),
        }
    }
}

/// The data keys of a tenant.
#[derive(Serialize, ToSchema)]
#[schema(as = DataKeys)]
struct DataKeysDoc {
    /// The newest first.
    items: Vec<DataKeyDoc>,
    /// The last change; none if there was none.
    rotation: Option<DataKeyRotationDoc>,
}

async fn data_keys(call: Call) -> Result<Reply, Refused> {
    let (keys, rotation) = call.state().tokens().data_keys(call.tenant_id()).await?;
    let items = keys.iter().map(DataKeyDoc::from).collect();
    Reply::ok(&DataKeysDoc { items, rotation: rotation.map(DataKeyRotationDoc::from) })
}

async fn rotate_data(call: Call) -> Result<Reply, Refused> {
    let cause = call.cause().await?;
    call.state().tokens().identity().tenants().rotate_data_key(call.tenant_id(), &cause).await?;
    data_keys(call).await
}

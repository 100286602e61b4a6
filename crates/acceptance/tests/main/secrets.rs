//! Secrets over the native API: made, read, written, shared, rotated, removed; certificates and leases.

mod certificates;
pub mod sshd;
pub mod stores;
mod tokens;
mod values;

use keyreeve::App;
use keyreeve_acceptance::{Api, Mount, TestUser};
use keyreeve_base::TenantId;
use keyreeve_crypto::SecretBytes;
use keyreeve_crypto::seal::{ValueKey, aad};
use keyreeve_store::{Statement, Tx, params};
use serde_json::{Value, json};
use uuid::Uuid;

/// Somebody who keeps secrets.
pub async fn keeper(mount: &Mount, name: &str) -> (TestUser, Api) {
    let user = mount.user(name).create().await;
    let api = mount.api_of(&user, "keyreeve:secrets:write keyreeve:sharing:write").await;
    (user, api)
}

/// Makes a secret; answers it.
pub async fn make(api: &Api, new: Value) -> Value {
    api.post("/secrets", &new).send().await.expect(201).json()
}

/// Makes a password; answers the path of the secret.
pub async fn password(api: &Api, text: &str) -> String {
    let made =
        make(api, json!({"kind": "password", "name": "a password", "value": {"password": text}})).await;
    format!("/secrets/{}", made["id"].as_str().unwrap())
}

/// Grants a permission on a secret.
pub async fn share(api: &Api, path: &str, permission: &str, to: &TestUser) {
    let resource = path.strip_prefix("/secrets/").unwrap();
    let subject = json!({"kind": "user", "id": to.sub()});
    let grant = json!({"resource": resource, "permission": permission, "subject": subject});
    api.post("/sharing/grants", &grant).send().await.check(201);
}

static SEALED: Statement = Statement::new(
    "sealed values",
    "SELECT s.id, s.kind, v.number, v.wrapped, x.sealed FROM secret s JOIN secret_version v ON v.secret_key = s.key \
     JOIN secret_value x ON x.version_key = v.key WHERE s.tenant_id = $1 ORDER BY v.key",
);

/// A version as it is stored, opened beside the room that keeps it.
pub struct Kept {
    pub kind: String,
    pub number: i64,
    /// The name of the data key that wraps its key.
    pub under: Vec<u8>,
    pub value: SecretBytes,
}

/// Every version that a tenant keeps, authorities with them: each opens, bound to its tenant, secret, kind and number.
pub async fn kept(app: &App, tenant: TenantId) -> Vec<Kept> {
    let sealer = app.identity.tenants().sealer(tenant).await.unwrap();
    let all = async move |tx: &mut Tx<'_>| {
        tx.query(&SEALED, &params![tenant], |row| {
            let names: (Uuid, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok((names, row.get::<Vec<u8>>(3)?, row.get::<Vec<u8>>(4)?))
        })
        .await
    };
    let rows: Vec<_> = app.store.scan::<_, keyreeve_store::Error, _>(all).await.unwrap();
    let open = |((id, kind, number), wrapped, sealed): ((Uuid, String, i64), Vec<u8>, Vec<u8>)| {
        let (tenant, counted) = (tenant.uuid(), number.to_be_bytes());
        let bound = |label| [label, &tenant.as_bytes()[..], id.as_bytes(), kind.as_bytes(), &counted];
        let key = sealer.open(&bound(b"secret value key"), &wrapped).unwrap();
        let value = ValueKey::from_bytes(&key).unwrap().open(&sealed, &aad(&bound(b"secret value"))).unwrap();
        Kept { under: wrapped[1..9].to_vec(), kind, number, value }
    };
    rows.into_iter().map(open).collect()
}

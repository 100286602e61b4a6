//! Secrets over the native API: made, read, written, shared, rotated, removed; certificates and leases.

mod certificates;
pub mod sshd;
pub mod stores;
mod tokens;
mod values;

use keyreeve_acceptance::{Api, Mount, TestUser};
use serde_json::{Value, json};

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

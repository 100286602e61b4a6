//! The key/value door: clients of HashiCorp Vault's and OpenBao's KV engine (version 2) read and write Keyreeve's key/value
//! secrets through it, unchanged, below `/vault/v1` (and `/t/{tenant}/vault/v1`).
//!
//! | module | what |
//! |---|---|
//! | `data` | values: read, write, patch, delete; their keys without values |
//! | `fate` | deleting versions, having them back, destroying them |
//! | `metadata` | what is known of a secret without its value; lists |
//! | `auth` | AppRole, and what a token says of itself |
//! | `sys` | what clients ask before they begin: health, mounts |
//! | `call`, `answer`, `duration` | HTTP: who calls, the shapes of answers and refusals, Go's spans of time |
//!
//! A token is an access token of the tenant with the scopes of secrets, in `X-Vault-Token` or `Authorization: Bearer`. An
//! AppRole is a service account: `role_id` is its identifier, `secret_id` one of its secrets. Paths are opaque; whoever may not
//! see the secret at one is answered as if there were none.
//!
//! What it is not: it holds no rule and keeps nothing; each operation is a use case of the secrets room. It has no engines but
//! this one, no policies, no namespaces, no wrapping.
//!
//! To add an operation: a line in [`routes`], a handler, and a case in the acceptance tests, which walk the same table.

mod answer;
mod auth;
mod call;
mod data;
mod duration;
mod fate;
mod metadata;
mod sys;

pub use call::KvState;

use http::{Method, Request, Uri};
use keyreeve_http::route::{Guard, Routes};

/// The route table of this door, each route at both mounts.
#[must_use]
pub fn routes(state: KvState) -> Routes {
    let of_values = Routes::new()
        .get("/vault/v1/{mount}/data/{*path}", Guard::Bearer, "kv_data", data::read)
        .post("/vault/v1/{mount}/data/{*path}", Guard::Bearer, "kv_data", data::write)
        .put("/vault/v1/{mount}/data/{*path}", Guard::Bearer, "kv_data", data::write)
        .patch("/vault/v1/{mount}/data/{*path}", Guard::Bearer, "kv_data", data::patch)
        .delete("/vault/v1/{mount}/data/{*path}", Guard::Bearer, "kv_data", data::delete)
        .get("/vault/v1/{mount}/subkeys/{*path}", Guard::Bearer, "kv_subkeys", data::subkeys)
        .post("/vault/v1/{mount}/delete/{*path}", Guard::Bearer, "kv_delete", fate::delete)
        .put("/vault/v1/{mount}/delete/{*path}", Guard::Bearer, "kv_delete", fate::delete)
        .post("/vault/v1/{mount}/undelete/{*path}", Guard::Bearer, "kv_undelete", fate::undelete)
        .put("/vault/v1/{mount}/undelete/{*path}", Guard::Bearer, "kv_undelete", fate::undelete)
        .post("/vault/v1/{mount}/destroy/{*path}", Guard::Bearer, "kv_destroy", fate::destroy)
        .put("/vault/v1/{mount}/destroy/{*path}", Guard::Bearer, "kv_destroy", fate::destroy);
    let of_metadata = Routes::new()
        .get("/vault/v1/{mount}/metadata", Guard::Bearer, "kv_list", metadata::list_mount)
        .get("/vault/v1/{mount}/metadata/", Guard::Bearer, "kv_list", metadata::list_mount)
        .get("/vault/v1/{mount}/metadata/{*path}", Guard::Bearer, "kv_metadata", metadata::read)
        .post("/vault/v1/{mount}/metadata/{*path}", Guard::Bearer, "kv_metadata", metadata::write)
        .put("/vault/v1/{mount}/metadata/{*path}", Guard::Bearer, "kv_metadata", metadata::write)
        .patch("/vault/v1/{mount}/metadata/{*path}", Guard::Bearer, "kv_metadata", metadata::patch)
        .delete("/vault/v1/{mount}/metadata/{*path}", Guard::Bearer, "kv_metadata", metadata::delete)
        .get("/vault/v1/{mount}/config", Guard::Bearer, "kv_config", metadata::config);
    let of_clients = Routes::new()
        .post("/vault/v1/auth/approle/login", Guard::Public, "kv_login", auth::login)
        .put("/vault/v1/auth/approle/login", Guard::Public, "kv_login", auth::login)
        .get("/vault/v1/auth/token/lookup-self", Guard::Bearer, "kv_lookup_self", auth::lookup)
        .post("/vault/v1/auth/token/lookup-self", Guard::Bearer, "kv_lookup_self", auth::lookup)
        .post("/vault/v1/auth/token/renew-self", Guard::Bearer, "kv_renew_self", auth::renew)
        .put("/vault/v1/auth/token/renew-self", Guard::Bearer, "kv_renew_self", auth::renew)
        .post("/vault/v1/auth/token/revoke-self", Guard::Bearer, "kv_revoke_self", auth::revoke)
        .put("/vault/v1/auth/token/revoke-self", Guard::Bearer, "kv_revoke_self", auth::revoke)
        .get("/vault/v1/sys/health", Guard::Public, "kv_health", sys::health)
        .get("/vault/v1/sys/init", Guard::Public, "kv_init", sys::init)
        .get("/vault/v1/sys/seal-status", Guard::Public, "kv_seal_status", sys::seal_status)
        .get("/vault/v1/sys/mounts", Guard::Bearer, "kv_mounts", sys::mounts)
        .get("/vault/v1/sys/internal/ui/mounts", Guard::Bearer, "kv_mounts", sys::mounts_of_ui)
        .get("/vault/v1/sys/internal/ui/mounts/{*path}", Guard::Bearer, "kv_mount", sys::mount);
    of_values.merge(of_metadata).merge(of_clients).tenanted().with_state(state)
}

/// What marks a GET that was sent with the method LIST.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lists;

/// Makes a GET of a request with the method LIST, which these clients use and no router knows. For the front, which sees
/// requests first.
pub fn understand<B>(request: &mut Request<B>) {
    if request.method().as_str() == "LIST" && is_ours(request.uri()) {
        *request.method_mut() = Method::GET;
        request.extensions_mut().insert(Lists);
    }
}

fn is_ours(uri: &Uri) -> bool {
    let path = uri.path();
    let below_tenant =
        || path.strip_prefix("/t/").and_then(|rest| rest.split_once('/')).map(|(_, rest)| rest);
    path.starts_with("/vault/v1/") || below_tenant().is_some_and(|rest| rest.starts_with("vault/v1/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_is_understood_below_this_door_alone() {
        let after = |method: &str, uri: &str| {
            let mut request = Request::builder().method(method).uri(uri).body(()).unwrap();
            understand(&mut request);
            (request.method().to_string(), request.extensions().get::<Lists>().is_some())
        };
        assert_eq!(after("LIST", "/vault/v1/secret/metadata/a"), ("GET".to_owned(), true));
        assert_eq!(after("LIST", "/t/acme/vault/v1/secret/metadata"), ("GET".to_owned(), true));
        for uri in ["/api/v1/users", "/vault", "/t/acme/api/v1/vault/v1/", "/t/vault/v1"] {
            assert_eq!(after("LIST", uri), ("LIST".to_owned(), false), "{uri}");
        }
        assert_eq!(after("GET", "/vault/v1/secret/data/a"), ("GET".to_owned(), false));
    }
}

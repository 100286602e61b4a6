//! Stores elsewhere, and what they are reached with.

use keyreeve_store::{Migration, statements};

/// A credential is bound to the server that it is for: a changed `url` opens nothing.
pub(super) const STORES: Migration = Migration {
    id: "secrets/0004_stores",
    sql: "
CREATE TABLE service_authentication (
    key {serial},
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    id {uuid} NOT NULL,
    name {text} NOT NULL,
    method {text} NOT NULL,
    url {text} NOT NULL,
    mount {text},
    role_id {text},
    sealed_credential {blob} NOT NULL,
    created_at {time} NOT NULL,
    updated_at {time} NOT NULL,
    version {int} NOT NULL
) {strict};
CREATE UNIQUE INDEX service_authentication_id ON service_authentication (tenant_id, id);
CREATE UNIQUE INDEX service_authentication_name ON service_authentication (tenant_id, name);

CREATE TABLE secret_store (
    key {serial},
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    id {uuid} NOT NULL,
    name {text} NOT NULL,
    kind {text} NOT NULL,
    url {text} NOT NULL,
    mount {text} NOT NULL,
    namespace {text},
    authentication_key {int} NOT NULL REFERENCES service_authentication (key),
    timeout_ms {int} NOT NULL,
    created_at {time} NOT NULL,
    updated_at {time} NOT NULL,
    version {int} NOT NULL
) {strict};
CREATE UNIQUE INDEX secret_store_id ON secret_store (id);
CREATE UNIQUE INDEX secret_store_name ON secret_store (tenant_id, name);
CREATE INDEX secret_store_by ON secret_store (authentication_key);

ALTER TABLE secret ADD COLUMN store_id {uuid} REFERENCES secret_store (id);
ALTER TABLE secret ADD COLUMN store_path {text};
CREATE INDEX secret_elsewhere ON secret (store_id) WHERE store_id IS NOT NULL;
",
};

/// The columns of a service authentication, without its credential.
macro_rules! authentication {
    ($after:literal) => {
        concat!(
            "SELECT key, id, name, method, url, mount, role_id, created_at, updated_at, version FROM service_authentication ",
            $after
        )
    };
}

/// The columns of a store.
macro_rules! store {
    ($after:literal) => {
        concat!(
            "SELECT t.key, t.id, t.name, t.url, t.mount, t.namespace, a.id, t.timeout_ms, t.created_at, t.updated_at, t.version \
             FROM secret_store t JOIN service_authentication a ON a.key = t.authentication_key ",
            $after
        )
    };
}

statements! {
    /// A service authentication.
    pub(crate) AUTHENTICATION = authentication!("WHERE tenant_id = $1 AND id = $2");
    /// A tenant's service authentications.
    pub(crate) AUTHENTICATIONS = authentication!("WHERE tenant_id = $1 ORDER BY key LIMIT $2");
    /// One, held until the transaction ends.
    pub(crate) HOLD_AUTHENTICATION = authentication!("WHERE tenant_id = $1 AND id = $2 {for_update}");
    /// How many a tenant has.
    pub(crate) COUNT_AUTHENTICATIONS = "SELECT COUNT(*) FROM service_authentication WHERE tenant_id = $1";
    /// A new one.
    pub(crate) INSERT_AUTHENTICATION = "INSERT INTO service_authentication (tenant_id, id, name, method, url, mount, role_id, \
        sealed_credential, created_at, updated_at, version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, 1)";
    /// What can change of one; its credential, where there is another.
    pub(crate) UPDATE_AUTHENTICATION = "UPDATE service_authentication SET name = $2, mount = $3, role_id = $4, \
        sealed_credential = COALESCE($5, sealed_credential), updated_at = $6, version = version + 1 WHERE key = $1";
    /// Removes one.
    pub(crate) DELETE_AUTHENTICATION = "DELETE FROM service_authentication WHERE key = $1";
    /// A store that is reached with it.
    pub(crate) STORE_BY = "SELECT key FROM secret_store WHERE authentication_key = $1 LIMIT 1";
    /// Credentials that another data key sealed.
    pub(crate) CREDENTIALS_TO_RESEAL = "SELECT id, url, sealed_credential FROM service_authentication WHERE tenant_id = $1 \
        AND id > $2 AND substr(sealed_credential, 2, 8) <> $3 ORDER BY id LIMIT $4";
    /// Seals one anew, if it is still the same.
    pub(crate) RESEAL_CREDENTIAL = "UPDATE service_authentication SET sealed_credential = $4 WHERE tenant_id = $1 AND id = $2 \
        AND sealed_credential = $3";
    /// How many there are, up to a bound.
    pub(crate) CREDENTIALS_LEFT = "SELECT COUNT(*) FROM (SELECT 1 FROM service_authentication WHERE tenant_id = $1 \
        AND substr(sealed_credential, 2, 8) <> $2 LIMIT $3) AS found";
    /// A store.
    pub(crate) STORE = store!("WHERE t.tenant_id = $1 AND t.id = $2");
    /// A tenant's stores.
    pub(crate) STORES_OF = store!("WHERE t.tenant_id = $1 ORDER BY t.key LIMIT $2");
    /// A store's row, held until the transaction ends.
    pub(crate) HOLD_STORE = "SELECT key FROM secret_store WHERE tenant_id = $1 AND id = $2 {for_update}";
    /// How many a tenant has.
    pub(crate) COUNT_STORES = "SELECT COUNT(*) FROM secret_store WHERE tenant_id = $1";
    /// A new one.
    pub(crate) INSERT_STORE = "INSERT INTO secret_store (tenant_id, id, name, kind, url, mount, namespace, authentication_key, \
        timeout_ms, created_at, updated_at, version) VALUES ($1, $2, $3, 'kv2', $4, $5, $6, $7, $8, $9, $9, 1)";
    /// What can change of one.
    pub(crate) UPDATE_STORE = "UPDATE secret_store SET name = $2, url = $3, mount = $4, namespace = $5, authentication_key = $6, \
        timeout_ms = $7, updated_at = $8, version = version + 1 WHERE key = $1";
    /// Removes one.
    pub(crate) DELETE_STORE = "DELETE FROM secret_store WHERE key = $1";
    /// A secret whose value it keeps.
    pub(crate) SECRET_IN = "SELECT key FROM secret WHERE store_id = $1 LIMIT 1";
    /// The credential of a service authentication.
    pub(crate) CREDENTIAL = "SELECT sealed_credential FROM service_authentication WHERE tenant_id = $1 AND id = $2";
}

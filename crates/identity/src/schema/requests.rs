//! Requests that are made once, however often they are sent.

use keyreeve_store::{Migration, statements};

pub(super) const MIGRATION: Migration = Migration {
    id: "identity/0021_request_key",
    sql: "
CREATE TABLE request_key (
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    caller {text} NOT NULL,
    request_key {text} NOT NULL,
    fingerprint {blob} NOT NULL,
    target_kind {text} NOT NULL,
    target_id {uuid} NOT NULL,
    created_at {time} NOT NULL,
    PRIMARY KEY (tenant_id, caller, request_key)
) {strict};
CREATE INDEX request_key_age ON request_key (created_at);
",
};

statements! {
    /// Notes what a request makes; zero rows mean that a request of the same key made something since `$8`.
    pub(crate) CLAIM_REQUEST = "INSERT INTO request_key (tenant_id, caller, request_key, fingerprint, target_kind, \
        target_id, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (tenant_id, caller, request_key) \
        DO UPDATE SET fingerprint = excluded.fingerprint, target_kind = excluded.target_kind, \
        target_id = excluded.target_id, created_at = excluded.created_at WHERE request_key.created_at < $8";
    /// What a request of this key made.
    pub(crate) CLAIMED_REQUEST = "SELECT fingerprint, target_kind, target_id FROM request_key \
        WHERE tenant_id = $1 AND caller = $2 AND request_key = $3";
    /// Forgets what is older, a bounded number at a time.
    pub(crate) PRUNE_REQUESTS = "DELETE FROM request_key WHERE (tenant_id, caller, request_key) IN (SELECT tenant_id, \
        caller, request_key FROM request_key WHERE created_at < $1 LIMIT $2)";
}

//! Tables and statements of the audit room.

use keyreeve_store::{Migration, statements};

/// The room's tables. `seq`, `previous` and `hash` are empty until the entry is sealed; nothing else is ever updated.
pub const MIGRATIONS: &[Migration] = &[Migration {
    id: "audit/0001_log",
    sql: "
CREATE TABLE audit_entry (
    id {uuid} PRIMARY KEY,
    tenant_id {uuid} NOT NULL,
    at {time} NOT NULL,
    actor_kind {text} NOT NULL,
    actor_id {text},
    action {text} NOT NULL,
    target_kind {text},
    target_id {text},
    outcome {text} NOT NULL,
    reason {text},
    address {text},
    user_agent {text},
    request_id {text},
    detail {text},
    seq {int},
    previous {blob},
    hash {blob}
) {strict};
CREATE UNIQUE INDEX audit_entry_chain ON audit_entry (tenant_id, seq) WHERE seq IS NOT NULL;
CREATE INDEX audit_entry_unsealed ON audit_entry (id) WHERE seq IS NULL;
CREATE TABLE audit_head (
    tenant_id {uuid} PRIMARY KEY,
    seq {int} NOT NULL,
    hash {blob} NOT NULL
) {strict};
",
}];

statements! {
    /// Appends an entry, with its place in the chain or without.
    pub(crate) INSERT = "INSERT INTO audit_entry (id, tenant_id, at, actor_kind, actor_id, action, target_kind, target_id, \
        outcome, reason, address, user_agent, request_id, detail, seq, previous, hash) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";
    /// The oldest entries without a place in their chain.
    pub(crate) UNSEALED = "SELECT id, tenant_id, at, actor_kind, actor_id, action, target_kind, target_id, outcome, reason, \
        address, user_agent, request_id, detail, seq, previous, hash FROM audit_entry WHERE seq IS NULL ORDER BY id LIMIT $1";
    /// A tenant's chain head.
    pub(crate) HEAD = "SELECT seq, hash FROM audit_head WHERE tenant_id = $1";
    /// Starts a tenant's chain; one of two racing sealers gets zero rows.
    pub(crate) START_HEAD = "INSERT INTO audit_head (tenant_id, seq, hash) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    /// Moves the head on, if nobody else has.
    pub(crate) MOVE_HEAD = "UPDATE audit_head SET seq = $3, hash = $4 WHERE tenant_id = $1 AND seq = $2";
    /// Gives an entry its place.
    pub(crate) PLACE = "UPDATE audit_entry SET seq = $2, previous = $3, hash = $4 WHERE id = $1 AND seq IS NULL";
    /// A page of a chain, oldest first.
    pub(crate) PAGE = "SELECT id, tenant_id, at, actor_kind, actor_id, action, target_kind, target_id, outcome, reason, \
        address, user_agent, request_id, detail, seq, previous, hash FROM audit_entry \
        WHERE tenant_id = $1 AND seq > $2 ORDER BY seq LIMIT $3";
    /// How many entries of a tenant wait for their place.
    pub(crate) WAITING = "SELECT COUNT(*) FROM audit_entry WHERE seq IS NULL AND tenant_id = $1";
}

//! Tables and statements of the audit room.

use keyreeve_store::{Migration, statements};

/// The room's tables. `seq`, `previous` and `hash` are empty until the entry is sealed; nothing else is ever updated.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
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
    },
    // One index for each way in which entries are looked for; within each, the order in which they are read.
    Migration {
        id: "audit/0002_reading",
        sql: "
CREATE INDEX audit_entry_time ON audit_entry (tenant_id, at);
CREATE INDEX audit_entry_actor ON audit_entry (tenant_id, actor_id, at) WHERE actor_id IS NOT NULL;
CREATE INDEX audit_entry_action ON audit_entry (tenant_id, action, at);
CREATE INDEX audit_entry_target ON audit_entry (tenant_id, target_id, at) WHERE target_id IS NOT NULL;
CREATE INDEX audit_entry_refused ON audit_entry (tenant_id, at) WHERE outcome = 'refused';
CREATE INDEX audit_entry_request ON audit_entry (tenant_id, request_id) WHERE request_id IS NOT NULL;
",
    },
];

/// Entries of tenant `$1` in one of the two directions of time, beyond the position (`$2`, `$3`) and up to the bound
/// `$4`, at most `$5`; `$6` is what the condition looks for.
macro_rules! beyond {
    (newest $condition:literal) => {
        beyond!($condition "at <= $2 AND (at < $2 OR id < $3) AND at >= $4 ORDER BY at DESC, id DESC LIMIT $5")
    };
    (oldest $condition:literal) => {
        beyond!($condition "at >= $2 AND (at > $2 OR id > $3) AND at < $4 ORDER BY at, id LIMIT $5")
    };
    ($condition:literal $rest:literal) => {
        concat!(
            "SELECT id, tenant_id, at, actor_kind, actor_id, action, target_kind, target_id, outcome, reason, \
             address, user_agent, request_id, detail, seq, previous, hash FROM audit_entry WHERE tenant_id = $1 AND ",
            $condition,
            $rest
        )
    };
}

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
    /// The distinct actions from `$2` on and before `$3`, found by leaping through the index.
    pub(crate) ACTIONS = "WITH RECURSIVE found (action) AS (\
        SELECT MIN(action) FROM audit_entry WHERE tenant_id = $1 AND action >= $2 AND action < $3 \
        UNION ALL SELECT (SELECT MIN(e.action) FROM audit_entry e WHERE e.tenant_id = $1 AND e.action > found.action \
        AND e.action < $3) FROM found WHERE found.action IS NOT NULL) \
        SELECT action FROM found WHERE action IS NOT NULL LIMIT $4";
    /// Entries by time alone, newest first.
    pub(crate) NEWEST = beyond!(newest "");
    /// The same, oldest first.
    pub(crate) OLDEST = beyond!(oldest "");
    /// Refusals, newest first.
    pub(crate) NEWEST_REFUSED = beyond!(newest "outcome = 'refused' AND ");
    /// The same, oldest first.
    pub(crate) OLDEST_REFUSED = beyond!(oldest "outcome = 'refused' AND ");
    /// What one actor did, newest first.
    pub(crate) NEWEST_BY_ACTOR = beyond!(newest "actor_id = $6 AND ");
    /// The same, oldest first.
    pub(crate) OLDEST_BY_ACTOR = beyond!(oldest "actor_id = $6 AND ");
    /// Entries of one action, newest first.
    pub(crate) NEWEST_BY_ACTION = beyond!(newest "action = $6 AND ");
    /// The same, oldest first.
    pub(crate) OLDEST_BY_ACTION = beyond!(oldest "action = $6 AND ");
    /// What was done to one thing, newest first.
    pub(crate) NEWEST_BY_TARGET = beyond!(newest "target_id = $6 AND ");
    /// The same, oldest first.
    pub(crate) OLDEST_BY_TARGET = beyond!(oldest "target_id = $6 AND ");
    /// What one request did, newest first.
    pub(crate) NEWEST_BY_REQUEST = beyond!(newest "request_id = $6 AND ");
    /// The same, oldest first.
    pub(crate) OLDEST_BY_REQUEST = beyond!(oldest "request_id = $6 AND ");
}

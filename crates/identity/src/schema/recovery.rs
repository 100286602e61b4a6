//! One-time links by mail, and the mail itself until it is sent.

use keyreeve_store::{Migration, statements};

/// Rows of both tables are also written for nobody, so that asking costs the same whether or not there is an account: so
/// `user_id` refers to no row.
pub(super) const MIGRATION: Migration = Migration {
    id: "identity/0003_recovery",
    sql: "
CREATE TABLE recovery_token (
    user_id {uuid} NOT NULL,
    kind {text} NOT NULL,
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    digest {blob} NOT NULL UNIQUE,
    address {text} NOT NULL,
    password_version {int} NOT NULL,
    expires_at {time} NOT NULL,
    used_at {time},
    PRIMARY KEY (user_id, kind)
) {strict};
CREATE INDEX recovery_token_expiry ON recovery_token (expires_at);

CREATE TABLE outgoing_mail (
    id {uuid} PRIMARY KEY,
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    user_id {uuid} NOT NULL,
    kind {text} NOT NULL,
    state {text} NOT NULL,
    sealed {blob},
    queued_at {time} NOT NULL,
    next_at {time} NOT NULL,
    expires_at {time} NOT NULL,
    attempts {int} NOT NULL,
    problem {text},
    done_at {time}
) {strict};
CREATE INDEX outgoing_mail_due ON outgoing_mail (next_at) WHERE state = 'queued';
CREATE INDEX outgoing_mail_user ON outgoing_mail (user_id, id);
CREATE INDEX outgoing_mail_expiry ON outgoing_mail (expires_at);
",
};

/// When an account was regained, or given a password by somebody else: what was granted before is over.
pub(super) const GRANTS_FROM: Migration = Migration {
    id: "identity/0023_grants_from",
    sql: "ALTER TABLE user_account ADD COLUMN grants_from {time};",
};

statements! {
    // ── one-time links ──

    /// A new link; the one before it of the same kind is dead.
    pub(crate) PUT_RECOVERY = "INSERT INTO recovery_token (user_id, kind, tenant_id, digest, address, password_version, \
        expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (user_id, kind) DO UPDATE SET \
        digest = excluded.digest, address = excluded.address, password_version = excluded.password_version, \
        expires_at = excluded.expires_at, used_at = NULL";
    /// What a link stands for.
    pub(crate) RECOVERY_BY_DIGEST = "SELECT user_id, address, password_version, expires_at, used_at FROM recovery_token \
        WHERE tenant_id = $1 AND kind = $2 AND digest = $3";
    /// Uses a link up, if nobody else has: of two who come with it one gets a row.
    pub(crate) USE_RECOVERY = "UPDATE recovery_token SET used_at = $4 WHERE tenant_id = $1 AND kind = $2 AND digest = $3 \
        AND used_at IS NULL AND expires_at > $4 RETURNING user_id, address, password_version, expires_at, used_at";
    /// Kills a user's links.
    pub(crate) KILL_RECOVERY = "DELETE FROM recovery_token WHERE tenant_id = $1 AND user_id = $2";
    /// Kills a user's links that went to another address than this one.
    pub(crate) KILL_OTHER_RECOVERY = "DELETE FROM recovery_token WHERE tenant_id = $1 AND user_id = $2 \
        AND address IS DISTINCT FROM $3";
    /// Forgets links whose time is over.
    pub(crate) PRUNE_RECOVERY = "DELETE FROM recovery_token WHERE expires_at < $1";

    /// Ends what a user granted before a moment, also what outlives the browser session.
    pub(crate) END_GRANTS = "UPDATE user_account SET grants_from = $3 WHERE tenant_id = $1 AND id = $2";

    // ── outgoing mail ──

    /// A new message; for nobody, it is void from the start.
    pub(crate) QUEUE_MAIL = "INSERT INTO outgoing_mail (id, tenant_id, user_id, kind, state, sealed, queued_at, next_at, \
        expires_at, attempts) VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, 0)";
    /// Drops what waits to be sent to a user of this kind: its link is dead.
    pub(crate) DROP_MAIL = "UPDATE outgoing_mail SET state = 'dropped', sealed = NULL, done_at = $4 \
        WHERE tenant_id = $1 AND user_id = $2 AND kind = $3 AND state = 'queued'";
    /// Drops everything that waits to be sent to a user.
    pub(crate) DROP_ALL_MAIL = "UPDATE outgoing_mail SET state = 'dropped', sealed = NULL, done_at = $3 \
        WHERE tenant_id = $1 AND user_id = $2 AND state = 'queued'";
    /// What is to be sent now.
    pub(crate) DUE_MAIL = "SELECT id, attempts FROM outgoing_mail WHERE state = 'queued' AND next_at <= $1 \
        AND expires_at > $1 ORDER BY next_at, id LIMIT $2";
    /// Takes a message to send it, for so long that nobody else does meanwhile; no row means that somebody else did.
    pub(crate) CLAIM_MAIL = "UPDATE outgoing_mail SET attempts = attempts + 1, next_at = $4 \
        WHERE id = $1 AND attempts = $2 AND state = 'queued' AND next_at <= $3 \
        RETURNING tenant_id, user_id, kind, attempts, sealed, expires_at";
    /// A message is sent, or given up, by whoever has it: its content is erased.
    pub(crate) FINISH_MAIL = "UPDATE outgoing_mail SET state = $3, sealed = NULL, problem = $4, done_at = $5 \
        WHERE id = $1 AND attempts = $2 AND state = 'queued'";
    /// A message was not taken this time.
    pub(crate) PUT_OFF_MAIL = "UPDATE outgoing_mail SET next_at = $3, problem = $4 \
        WHERE id = $1 AND attempts = $2 AND state = 'queued'";
    /// How much waits to be sent.
    pub(crate) WAITING_MAIL = "SELECT COUNT(*) FROM outgoing_mail WHERE state = 'queued'";
    /// A user's mail, newest first.
    pub(crate) MAIL_OF = "SELECT id, kind, state, queued_at, next_at, attempts, problem, done_at FROM outgoing_mail \
        WHERE tenant_id = $1 AND user_id = $2 ORDER BY id DESC LIMIT $3";
    /// Gives up what was not sent while its link lived.
    pub(crate) EXPIRE_MAIL = "UPDATE outgoing_mail SET state = 'failed', sealed = NULL, done_at = $1 WHERE id IN \
        (SELECT id FROM outgoing_mail WHERE state = 'queued' AND expires_at <= $1 LIMIT $2) AND state = 'queued' \
        RETURNING id, tenant_id, user_id, kind, attempts";
    /// Forgets mail that was done with long ago.
    pub(crate) PRUNE_MAIL = "DELETE FROM outgoing_mail WHERE id IN \
        (SELECT id FROM outgoing_mail WHERE expires_at < $1 AND state <> 'queued' LIMIT $2)";
}

//! Sessions that have ended and whose end others have not been told of yet.

use keyreeve_store::{Migration, statements};

/// One row for each session that was ended before its time, written in the transaction that ended it, and taken out by
/// whoever tells others. Sessions that lapse by themselves leave none.
pub(super) const MIGRATION: Migration = Migration {
    id: "identity/0010_session_ends",
    sql: "
CREATE TABLE session_end (
    id {uuid} PRIMARY KEY,
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    user_id {uuid} NOT NULL,
    session_id {uuid} NOT NULL,
    ended_at {time} NOT NULL
) {strict};
",
};

statements! {
    /// A session has ended.
    pub(crate) INSERT_SESSION_END = "INSERT INTO session_end (id, tenant_id, user_id, session_id, ended_at) \
        VALUES ($1, $2, $3, $4, $5)";
    /// The oldest ends, which nobody else is taking at this moment.
    pub(crate) SESSION_ENDS = "SELECT id, tenant_id, user_id, session_id, ended_at FROM session_end ORDER BY id LIMIT $1 \
        {skip_locked}";
    /// Whether there is any.
    pub(crate) ANY_SESSION_END = "SELECT COUNT(*) FROM (SELECT 1 FROM session_end LIMIT 1) AS one";
    /// Takes one out.
    pub(crate) DELETE_SESSION_END = "DELETE FROM session_end WHERE id = $1";
}

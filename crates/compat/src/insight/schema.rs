//! Side tables of Xpress Insight: the pairs that users give to programs, and the tokens that are made of them.

use keyreeve_store::{Migration, statements};

/// The side tables. Rows hang on the rooms' and go with them.
///
/// A user's row in `compat_insight_credential` stays when the pair is revoked: `credentials_id` never goes back. A token is a
/// representation of a session of the identity room.
pub const MIGRATIONS: &[Migration] = &[Migration {
    id: "compat_insight/0001_tables",
    sql: "
CREATE TABLE compat_insight_credential (
    user_id {uuid} PRIMARY KEY REFERENCES user_account (id) ON DELETE CASCADE,
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    credentials_id {int} NOT NULL,
    client_id {uuid},
    secret_digest {blob},
    created_at {time} NOT NULL,
    CHECK ((client_id IS NULL) = (secret_digest IS NULL))
) {strict};
CREATE UNIQUE INDEX compat_insight_credential_client ON compat_insight_credential (tenant_id, client_id)
    WHERE client_id IS NOT NULL;

CREATE TABLE compat_insight_token (
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    digest {blob} NOT NULL,
    user_id {uuid} NOT NULL REFERENCES user_account (id) ON DELETE CASCADE,
    session_id {uuid} NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    expires_at {time} NOT NULL,
    PRIMARY KEY (tenant_id, digest)
) {strict};
CREATE INDEX compat_insight_token_user ON compat_insight_token (user_id, expires_at);
CREATE INDEX compat_insight_token_session ON compat_insight_token (session_id);
",
}];

statements! {
    /// A user's pair, or what is left of it.
    pub(crate) INFO = "SELECT credentials_id, created_at FROM compat_insight_credential \
        WHERE tenant_id = $1 AND user_id = $2 AND client_id IS NOT NULL";
    /// The pair of an identifier.
    pub(crate) BY_CLIENT = "SELECT user_id, secret_digest, credentials_id FROM compat_insight_credential \
        WHERE tenant_id = $1 AND client_id = $2";
    /// Holds a user's pair as long as it is the one of this number.
    pub(crate) HOLD = "SELECT credentials_id FROM compat_insight_credential \
        WHERE tenant_id = $1 AND user_id = $2 AND credentials_id = $3 AND client_id IS NOT NULL {for_update}";
    /// Writes a new pair in place of a former one, and answers its number.
    pub(crate) PUT = "INSERT INTO compat_insight_credential (user_id, tenant_id, credentials_id, client_id, secret_digest, created_at) \
        VALUES ($2, $1, 1, $3, $4, $5) ON CONFLICT (user_id) DO UPDATE SET \
        credentials_id = compat_insight_credential.credentials_id + 1, client_id = excluded.client_id, \
        secret_digest = excluded.secret_digest, created_at = excluded.created_at RETURNING credentials_id";
    /// Revokes a pair.
    pub(crate) REVOKE = "UPDATE compat_insight_credential SET client_id = NULL, secret_digest = NULL \
        WHERE tenant_id = $1 AND user_id = $2 AND client_id IS NOT NULL RETURNING credentials_id";

    /// A new token.
    pub(crate) INSERT_TOKEN = "INSERT INTO compat_insight_token (tenant_id, digest, user_id, session_id, expires_at) \
        VALUES ($1, $2, $3, $4, $5)";
    /// How many tokens a user has.
    pub(crate) COUNT_TOKENS = "SELECT count(*) FROM compat_insight_token WHERE user_id = $1";
    /// A token.
    pub(crate) TOKEN = "SELECT session_id, expires_at FROM compat_insight_token WHERE tenant_id = $1 AND digest = $2";
    /// Forgets a user's tokens that are over.
    pub(crate) FORGET_TOKENS = "DELETE FROM compat_insight_token WHERE user_id = $1 AND expires_at <= $2";
    /// Takes a user's tokens away, with the sessions that they stood for.
    pub(crate) TAKE_TOKENS = "DELETE FROM compat_insight_token WHERE tenant_id = $1 AND user_id = $2 RETURNING session_id, expires_at";
}

//! Clients that registered themselves (RFC 7591, RFC 7592), and the tokens that let them.

use keyreeve_store::{Migration, statements};

/// Both kinds of token are kept as digests only.
pub(super) const MIGRATION: Migration = Migration {
    id: "tokens/0011_client_registration",
    sql: "
CREATE TABLE initial_access_token (
    id {uuid} PRIMARY KEY,
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    name {text} NOT NULL,
    digest {blob} NOT NULL,
    uses_left {int},
    created_at {time} NOT NULL,
    expires_at {time}
) {strict};
CREATE UNIQUE INDEX initial_access_token_digest ON initial_access_token (tenant_id, digest);

CREATE TABLE client_registration (
    client {uuid} PRIMARY KEY REFERENCES oauth_client (id) ON DELETE CASCADE,
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    digest {blob} NOT NULL,
    initial_token {uuid},
    created_at {time} NOT NULL,
    updated_at {time} NOT NULL
) {strict};
CREATE INDEX client_registration_tenant ON client_registration (tenant_id, client);
",
};

statements! {
    /// A new initial access token.
    pub(crate) INSERT_INITIAL = "INSERT INTO initial_access_token (id, tenant_id, name, digest, uses_left, created_at, \
        expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)";
    /// How many of them there are.
    pub(crate) COUNT_INITIAL = "SELECT COUNT(*) FROM initial_access_token WHERE tenant_id = $1";
    /// A tenant's initial access tokens, in the order of their making.
    pub(crate) INITIAL_TOKENS = "SELECT id, name, uses_left, created_at, expires_at FROM initial_access_token \
        WHERE tenant_id = $1 ORDER BY id LIMIT $2";
    /// Forgets one.
    pub(crate) DELETE_INITIAL = "DELETE FROM initial_access_token WHERE tenant_id = $1 AND id = $2";
    /// Uses one: of any number of attempts, as many get the row as it has uses left.
    pub(crate) USE_INITIAL = "UPDATE initial_access_token SET uses_left = uses_left - 1 WHERE tenant_id = $1 AND digest = $2 \
        AND (uses_left IS NULL OR uses_left > 0) AND (expires_at IS NULL OR expires_at > $3) RETURNING id";
    /// Forgets those that have expired or are used up.
    pub(crate) PRUNE_INITIAL = "DELETE FROM initial_access_token WHERE expires_at <= $1 OR uses_left <= 0";

    /// A client registered itself.
    pub(crate) INSERT_REGISTRATION = "INSERT INTO client_registration (client, tenant_id, digest, initial_token, created_at, \
        updated_at) VALUES ($1, $2, $3, $4, $5, $5)";
    /// How many clients have.
    pub(crate) COUNT_REGISTRATIONS = "SELECT COUNT(*) FROM client_registration WHERE tenant_id = $1";
    /// The digest of a client's registration access token.
    pub(crate) REGISTRATION = "SELECT digest FROM client_registration WHERE tenant_id = $1 AND client = $2";
    /// Replaces it, if it still is the expected one: of any number of attempts, one succeeds.
    pub(crate) ROTATE_REGISTRATION = "UPDATE client_registration SET digest = $4, updated_at = $5 \
        WHERE tenant_id = $1 AND client = $2 AND digest = $3";
    /// Forgets all of a client's secrets.
    pub(crate) CLEAR_SECRETS = "DELETE FROM client_secret WHERE client = $1";
}

//! Tables and statements of the tokens room.

mod bound;
pub(crate) mod device;
pub(crate) mod issuers;
pub(crate) mod logout;
mod mappers;
pub(crate) mod registration;
mod sealed;

pub(crate) use bound::*;
pub(crate) use mappers::*;
pub(crate) use sealed::*;

use keyreeve_store::{Migration, Statement, count_statements, joined_statements, statements};

/// The room's tables. Secrets, codes and refresh tokens are kept as digests only; private keys are sealed.
///
/// A grant is one row from the moment its code is made: redeeming the code and rotating the refresh token are each one
/// conditional update of that row, found by its identifier, which touches no index and answers all that the new tokens
/// need.
pub const MIGRATIONS: &[Migration] = &[
    FOUNDATION,
    mappers::MIGRATION,
    bound::MIGRATION,
    device::MIGRATION,
    registration::MIGRATION,
    logout::MIGRATION,
    issuers::MIGRATION,
    device::RESOURCES,
];

const PARTS: &[&[&Statement]] = &[
    STATEMENTS,
    mappers::STATEMENTS,
    bound::STATEMENTS,
    device::STATEMENTS,
    registration::STATEMENTS,
    issuers::STATEMENTS,
    logout::STATEMENTS,
    sealed::STATEMENTS,
];

/// Every statement of the room, for the test that prepares them all on both engines.
pub static EVERY_STATEMENT: &[&Statement] = &joined_statements::<{ count_statements(PARTS) }>(PARTS);

const FOUNDATION: Migration = Migration {
    id: "tokens/0001_clients_and_grants",
    sql: "
CREATE TABLE token_policy (
    tenant_id {uuid} PRIMARY KEY REFERENCES tenant (id),
    policy {json} NOT NULL,
    updated_at {time} NOT NULL
) {strict};

CREATE TABLE signing_key (
    id {uuid} PRIMARY KEY,
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    alg {text} NOT NULL,
    kid {text} NOT NULL,
    slot {text} CHECK (slot IN ('next', 'signing')),
    public_jwk {json} NOT NULL,
    sealed_private {blob} NOT NULL,
    created_at {time} NOT NULL,
    signing_since {time},
    retired_at {time},
    publish_until {time}
) {strict};
CREATE UNIQUE INDEX signing_key_slot ON signing_key (tenant_id, alg, slot);
CREATE UNIQUE INDEX signing_key_kid ON signing_key (tenant_id, kid);

CREATE TABLE oauth_client (
    id {uuid} PRIMARY KEY,
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    client_id {text} NOT NULL,
    settings {json} NOT NULL,
    created_at {time} NOT NULL,
    updated_at {time} NOT NULL,
    version {int} NOT NULL
) {strict};
CREATE UNIQUE INDEX oauth_client_name ON oauth_client (tenant_id, client_id);

CREATE TABLE client_secret (
    id {uuid} PRIMARY KEY,
    client {uuid} NOT NULL REFERENCES oauth_client (id) ON DELETE CASCADE,
    digest {blob} NOT NULL,
    created_at {time} NOT NULL,
    expires_at {time}
) {strict};
CREATE INDEX client_secret_client ON client_secret (client, id);

CREATE TABLE used_jti (
    client {uuid} NOT NULL REFERENCES oauth_client (id) ON DELETE CASCADE,
    jti_digest {blob} NOT NULL,
    expires_at {time} NOT NULL,
    PRIMARY KEY (client, jti_digest)
) {strict};
CREATE INDEX used_jti_expiry ON used_jti (expires_at);

CREATE TABLE consent (
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    user_id {uuid} NOT NULL REFERENCES user_account (id),
    client {uuid} NOT NULL REFERENCES oauth_client (id) ON DELETE CASCADE,
    scope {text} NOT NULL,
    created_at {time} NOT NULL,
    updated_at {time} NOT NULL,
    PRIMARY KEY (tenant_id, user_id, client)
) {strict};

CREATE TABLE oauth_grant (
    id {uuid} PRIMARY KEY,
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    client {uuid} NOT NULL REFERENCES oauth_client (id) ON DELETE CASCADE,
    user_id {uuid} NOT NULL REFERENCES user_account (id),
    session_id {uuid},
    offline {bool} NOT NULL,
    scope {text} NOT NULL,
    claims {json},
    nonce {text},
    auth_time {time} NOT NULL,
    amr {json} NOT NULL,
    acr {text},
    created_at {time} NOT NULL,
    expires_at {time} NOT NULL,
    revoked_at {time},
    code_digest {blob},
    code_expires_at {time},
    redirect_uri {text},
    challenge {text},
    redeemed_at {time},
    refresh_digest {blob},
    refresh_expires_at {time}
) {strict};
CREATE INDEX oauth_grant_user ON oauth_grant (user_id, client);
CREATE INDEX oauth_grant_expiry ON oauth_grant (expires_at);

CREATE TABLE revoked_access_token (
    tenant_id {uuid} NOT NULL,
    jti {uuid} NOT NULL,
    expires_at {time} NOT NULL,
    PRIMARY KEY (tenant_id, jti)
) {strict};
CREATE INDEX revoked_access_token_expiry ON revoked_access_token (expires_at);
",
};

statements! {
    // ── policy ──

    /// A tenant's policy.
    pub(crate) POLICY = "SELECT policy FROM token_policy WHERE tenant_id = $1";
    /// Writes a tenant's policy.
    pub(crate) SET_POLICY = "INSERT INTO token_policy (tenant_id, policy, updated_at) VALUES ($1, $2, $3) \
        ON CONFLICT (tenant_id) DO UPDATE SET policy = excluded.policy, updated_at = excluded.updated_at";

    // ── signing keys ──

    /// A new key in a slot; zero rows mean that the slot is taken.
    pub(crate) INSERT_KEY = "INSERT INTO signing_key (id, tenant_id, alg, kid, slot, public_jwk, sealed_private, created_at, \
        signing_since) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (tenant_id, alg, slot) DO NOTHING";
    /// A tenant's keys, in the order of their making.
    pub(crate) KEYS = "SELECT id, alg, kid, slot, public_jwk, sealed_private, created_at, signing_since, retired_at, \
        publish_until FROM signing_key WHERE tenant_id = $1 ORDER BY created_at, id";
    /// Takes the signing key out of service, if it still is the expected one.
    pub(crate) RETIRE_KEY = "UPDATE signing_key SET slot = NULL, retired_at = $4, publish_until = $5 \
        WHERE tenant_id = $1 AND alg = $2 AND id = $3 AND slot = 'signing'";
    /// Puts the next key into service.
    pub(crate) PROMOTE_KEY = "UPDATE signing_key SET slot = 'signing', signing_since = $3 \
        WHERE tenant_id = $1 AND alg = $2 AND slot = 'next'";
    /// Forgets a retired key whose time is over.
    pub(crate) DROP_KEY = "DELETE FROM signing_key WHERE tenant_id = $1 AND id = $2 AND publish_until <= $3";

    // ── clients ──

    /// A new client; zero rows mean that its name is taken.
    pub(crate) INSERT_CLIENT = "INSERT INTO oauth_client (id, tenant_id, client_id, settings, created_at, updated_at, version) \
        VALUES ($1, $2, $3, $4, $5, $5, 1) ON CONFLICT (tenant_id, client_id) DO NOTHING";
    /// The client of a name.
    pub(crate) CLIENT_BY_NAME = "SELECT id, tenant_id, client_id, settings, created_at, updated_at, version \
        FROM oauth_client WHERE tenant_id = $1 AND client_id = $2";
    /// One client.
    pub(crate) CLIENT_BY_ID = "SELECT id, tenant_id, client_id, settings, created_at, updated_at, version \
        FROM oauth_client WHERE tenant_id = $1 AND id = $2";
    /// A page of a tenant's clients in the order of their identifiers.
    pub(crate) CLIENT_PAGE = "SELECT id, tenant_id, client_id, settings, created_at, updated_at, version \
        FROM oauth_client WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3";
    /// Writes a client's settings, if nobody else has since.
    pub(crate) UPDATE_CLIENT = "UPDATE oauth_client SET settings = $4, updated_at = $5, version = version + 1 \
        WHERE tenant_id = $1 AND id = $2 AND version = $3";
    /// Forgets a client with all that hangs on it.
    pub(crate) DELETE_CLIENT = "DELETE FROM oauth_client WHERE tenant_id = $1 AND id = $2";
    /// A further secret.
    pub(crate) INSERT_SECRET = "INSERT INTO client_secret (id, client, digest, created_at, expires_at) \
        VALUES ($1, $2, $3, $4, $5)";
    /// A client's secrets, oldest first.
    pub(crate) SECRETS = "SELECT id, digest, created_at, expires_at FROM client_secret WHERE client = $1 ORDER BY id";
    /// Lets a client's other secrets end at a moment, where they do not end sooner.
    pub(crate) EXPIRE_SECRETS = "UPDATE client_secret SET expires_at = $3 WHERE client = $1 AND id <> $2 \
        AND (expires_at IS NULL OR expires_at > $3)";
    /// Forgets one secret.
    pub(crate) DELETE_SECRET = "DELETE FROM client_secret WHERE client = $1 AND id = $2";
    /// Forgets a client's secrets whose time is over.
    pub(crate) PRUNE_SECRETS = "DELETE FROM client_secret WHERE client = $1 AND expires_at <= $2";
    /// Notes that an assertion was used; zero rows mean that it was used before.
    pub(crate) USE_JTI = "INSERT INTO used_jti (client, jti_digest, expires_at) VALUES ($1, $2, $3) \
        ON CONFLICT (client, jti_digest) DO NOTHING";

    // ── consent ──

    /// What a user has agreed to for a client.
    pub(crate) CONSENT = "SELECT scope FROM consent WHERE tenant_id = $1 AND user_id = $2 AND client = $3";
    /// Notes what a user has agreed to.
    pub(crate) SET_CONSENT = "INSERT INTO consent (tenant_id, user_id, client, scope, created_at, updated_at) \
        VALUES ($1, $2, $3, $4, $5, $5) ON CONFLICT (tenant_id, user_id, client) DO UPDATE SET scope = excluded.scope, \
        updated_at = excluded.updated_at";
    /// What a user has agreed to, for each client.
    pub(crate) CONSENTS_OF = "SELECT c.client_id, c.settings, k.scope, k.created_at, k.updated_at \
        FROM consent k JOIN oauth_client c ON c.id = k.client WHERE k.tenant_id = $1 AND k.user_id = $2 \
        ORDER BY k.client LIMIT $3";
    /// Forgets what a user has agreed to.
    pub(crate) DELETE_CONSENT = "DELETE FROM consent WHERE tenant_id = $1 AND user_id = $2 AND client = $3";

    // ── grants ──

    /// A grant with a code that waits to be redeemed.
    pub(crate) INSERT_CODE = "INSERT INTO oauth_grant (id, tenant_id, client, user_id, session_id, offline, scope, claims, \
        nonce, auth_time, amr, acr, created_at, expires_at, code_digest, code_expires_at, redirect_uri, challenge, \
        resources, code_jkt) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)";
    /// A grant that needs no code.
    pub(crate) INSERT_GRANT = "INSERT INTO oauth_grant (id, tenant_id, client, user_id, session_id, offline, scope, \
        auth_time, amr, acr, created_at, expires_at, redeemed_at, refresh_digest, refresh_expires_at, resources, \
        refresh_jkt) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $11, $13, $14, $15, $16)";
    /// Redeems a code: of any number of attempts, one gets the row.
    pub(crate) REDEEM_CODE = "UPDATE oauth_grant SET redeemed_at = $4, expires_at = $5, refresh_digest = $6, \
        refresh_expires_at = $7, refresh_jkt = $8 WHERE tenant_id = $1 AND id = $2 AND code_digest = $3 \
        AND redeemed_at IS NULL AND revoked_at IS NULL RETURNING id, client, user_id, session_id, offline, scope, claims, \
        nonce, auth_time, amr, acr, expires_at, resources, code_expires_at, redirect_uri, challenge, code_jkt";
    /// Whether there still is a grant.
    pub(crate) GRANT_EXISTS = "SELECT COUNT(*) FROM oauth_grant WHERE tenant_id = $1 AND id = $2";
    /// Rotates a refresh token: of any number of attempts, one gets the row.
    pub(crate) ROTATE = "UPDATE oauth_grant SET refresh_digest = $6, refresh_expires_at = $7 \
        WHERE tenant_id = $1 AND id = $2 AND client = $3 AND refresh_digest = $4 AND revoked_at IS NULL \
        AND expires_at > $5 AND refresh_expires_at > $5 AND (refresh_jkt IS NULL OR refresh_jkt = $8) \
        RETURNING id, client, user_id, session_id, offline, scope, claims, nonce, auth_time, amr, acr, expires_at, resources";
    /// Undoes a rotation of the same transaction.
    pub(crate) UNROTATE = "UPDATE oauth_grant SET refresh_digest = $3, refresh_expires_at = $4 WHERE tenant_id = $1 AND id = $2";
    /// Whose a refresh token is, and which one of the grant's is the present one.
    pub(crate) GRANT_OWNER = "SELECT client, scope, revoked_at, refresh_digest, resources, refresh_jkt FROM oauth_grant \
        WHERE tenant_id = $1 AND id = $2";
    /// Ends a grant.
    pub(crate) REVOKE_GRANT = "UPDATE oauth_grant SET revoked_at = $3 WHERE tenant_id = $1 AND id = $2 AND revoked_at IS NULL";
    /// Ends all of a user's grants to a client.
    pub(crate) REVOKE_GRANTS_TO = "UPDATE oauth_grant SET revoked_at = $4 WHERE tenant_id = $1 AND user_id = $2 \
        AND client = $3 AND revoked_at IS NULL RETURNING id";
    /// What a token's use asks of its grant.
    pub(crate) GRANT_STATE = "SELECT user_id, session_id, offline, client, claims, revoked_at FROM oauth_grant \
        WHERE tenant_id = $1 AND id = $2";
    /// What introspection tells of a refresh token.
    pub(crate) GRANT_BY_REFRESH = "SELECT id, client, user_id, session_id, offline, scope, claims, nonce, auth_time, amr, \
        acr, expires_at, resources, refresh_expires_at, refresh_jkt FROM oauth_grant \
        WHERE tenant_id = $1 AND id = $2 AND refresh_digest = $3 AND revoked_at IS NULL";
    /// A user's redeemed and living grants, newest first.
    pub(crate) GRANTS_OF = "SELECT g.id, c.client_id, c.settings, g.scope, g.offline, g.session_id, g.created_at, g.expires_at \
        FROM oauth_grant g JOIN oauth_client c ON c.id = g.client WHERE g.tenant_id = $1 AND g.user_id = $2 \
        AND g.revoked_at IS NULL AND g.redeemed_at IS NOT NULL AND g.expires_at > $3 ORDER BY g.id DESC LIMIT $4";

    // ── single access tokens ──

    /// Revokes one access token.
    pub(crate) REVOKE_JTI = "INSERT INTO revoked_access_token (tenant_id, jti, expires_at) VALUES ($1, $2, $3) \
        ON CONFLICT (tenant_id, jti) DO NOTHING";
    /// Whether one access token was revoked.
    pub(crate) IS_REVOKED = "SELECT COUNT(*) FROM revoked_access_token WHERE tenant_id = $1 AND jti = $2";

    // ── pruning ──

    /// Forgets grants that are long over.
    pub(crate) PRUNE_GRANTS = "DELETE FROM oauth_grant WHERE id IN (SELECT id FROM oauth_grant WHERE expires_at < $1 LIMIT $2)";
    /// Forgets assertions that would be refused as expired.
    pub(crate) PRUNE_JTIS = "DELETE FROM used_jti WHERE expires_at < $1";
    /// Forgets revocations of tokens that have expired.
    pub(crate) PRUNE_REVOKED = "DELETE FROM revoked_access_token WHERE expires_at < $1";
}

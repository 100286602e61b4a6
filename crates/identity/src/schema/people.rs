//! Tenants, users, passwords, sessions, the throttle.

use keyreeve_store::{Migration, statements};

/// A tenant's slug is never given out twice, since issuers are made from it, and neither is an identifier of a user;
/// what an archived user was called may be.
pub(super) const MIGRATION: Migration = Migration {
    id: "identity/0001_people",
    sql: "
CREATE TABLE tenant (
    id {uuid} PRIMARY KEY,
    slug {text} NOT NULL UNIQUE,
    name {text} NOT NULL,
    enabled {bool} NOT NULL,
    archived_at {time},
    settings {json} NOT NULL,
    created_at {time} NOT NULL,
    updated_at {time} NOT NULL,
    version {int} NOT NULL
) {strict};

CREATE TABLE tenant_data_key (
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    id {uuid} NOT NULL,
    wrapped {blob} NOT NULL,
    created_at {time} NOT NULL,
    PRIMARY KEY (tenant_id, id)
) {strict};

CREATE TABLE user_account (
    id {uuid} PRIMARY KEY,
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    username {text},
    email {text},
    email_verified {bool} NOT NULL,
    given_name {text},
    family_name {text},
    display_name {text},
    phone_number {text},
    locale {text},
    zoneinfo {text},
    attributes {json} NOT NULL,
    enabled {bool} NOT NULL,
    locked {bool} NOT NULL,
    must_change_password {bool} NOT NULL,
    archived_at {time},
    created_at {time} NOT NULL,
    updated_at {time} NOT NULL,
    version {int} NOT NULL
) {strict};
CREATE INDEX user_account_tenant ON user_account (tenant_id, id);

CREATE TABLE user_identifier (
    tenant_id {uuid} NOT NULL,
    canonical {text} NOT NULL,
    user_id {uuid} NOT NULL REFERENCES user_account (id),
    kind {text} NOT NULL,
    PRIMARY KEY (tenant_id, canonical)
) {strict};
CREATE INDEX user_identifier_user ON user_identifier (user_id);

CREATE TABLE user_password (
    user_id {uuid} PRIMARY KEY REFERENCES user_account (id),
    hash {text} NOT NULL,
    version {int} NOT NULL,
    changed_at {time} NOT NULL
) {strict};

CREATE TABLE user_password_history (
    user_id {uuid} NOT NULL REFERENCES user_account (id),
    version {int} NOT NULL,
    hash {text} NOT NULL,
    PRIMARY KEY (user_id, version)
) {strict};

CREATE TABLE session (
    id {uuid} PRIMARY KEY,
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    user_id {uuid} NOT NULL REFERENCES user_account (id),
    token_digest {blob} NOT NULL UNIQUE,
    created_at {time} NOT NULL,
    last_seen_at {time} NOT NULL,
    auth_time {time} NOT NULL,
    expires_at {time} NOT NULL,
    idle_expires_at {time} NOT NULL,
    amr {json} NOT NULL,
    acr {text},
    address {text},
    user_agent {text},
    ended_at {time}
) {strict};
CREATE INDEX session_of_user ON session (user_id, id);
CREATE INDEX session_expiry ON session (expires_at);

CREATE TABLE throttle (
    tenant_id {uuid} NOT NULL,
    scope {text} NOT NULL,
    key {blob} NOT NULL,
    failures {int} NOT NULL,
    forget_at {time} NOT NULL,
    blocked_until {time} NOT NULL,
    PRIMARY KEY (tenant_id, scope, key)
) {strict};
CREATE INDEX throttle_forget ON throttle (forget_at);
",
};

statements! {
    // ── tenants ──

    /// A new tenant.
    pub(crate) INSERT_TENANT = "INSERT INTO tenant (id, slug, name, enabled, settings, created_at, updated_at, version) \
        VALUES ($1, $2, $3, $4, $5, $6, $6, 1) ON CONFLICT (slug) DO NOTHING";
    /// One tenant.
    pub(crate) TENANT_BY_ID = "SELECT id, slug, name, enabled, archived_at, settings, created_at, updated_at, version \
        FROM tenant WHERE id = $1";
    /// A slug's tenant.
    pub(crate) TENANT_BY_SLUG = "SELECT id FROM tenant WHERE slug = $1";
    /// A page of tenants in the order of their identifiers.
    pub(crate) TENANT_PAGE = "SELECT id, slug, name, enabled, archived_at, settings, created_at, updated_at, version \
        FROM tenant WHERE id > $1 ORDER BY id LIMIT $2";
    /// Writes what can change of a tenant, if nobody else has since.
    pub(crate) UPDATE_TENANT = "UPDATE tenant SET name = $3, enabled = $4, archived_at = $5, settings = $6, updated_at = $7, \
        version = version + 1 WHERE id = $1 AND version = $2";
    /// What admission asks of a tenant.
    pub(crate) TENANT_STATE = "SELECT enabled, archived_at FROM tenant WHERE id = $1";

    // ── data keys ──

    /// A new data key; the newest one seals.
    pub(crate) INSERT_DATA_KEY = "INSERT INTO tenant_data_key (tenant_id, id, wrapped, created_at) VALUES ($1, $2, $3, $4)";
    /// A tenant's data keys, newest first.
    pub(crate) DATA_KEYS = "SELECT id, wrapped FROM tenant_data_key WHERE tenant_id = $1 ORDER BY (retired_at IS NOT NULL), \
        created_at DESC, id DESC";
    /// A page of all data keys.
    pub(crate) DATA_KEY_PAGE = "SELECT tenant_id, id, wrapped FROM tenant_data_key WHERE (tenant_id, id) > ($1, $2) \
        ORDER BY tenant_id, id LIMIT $3";
    /// Replaces a wrapping, if nobody else has since.
    pub(crate) REWRAP_DATA_KEY = "UPDATE tenant_data_key SET wrapped = $4 WHERE tenant_id = $1 AND id = $2 AND wrapped = $3";

    // ── users ──

    /// A new user.
    pub(crate) INSERT_USER = "INSERT INTO user_account (id, tenant_id, username, email, email_verified, given_name, \
        family_name, display_name, phone_number, locale, zoneinfo, attributes, enabled, locked, must_change_password, \
        created_at, updated_at, version, username_key, email_key, given_name_key, family_name_key, display_name_key, \
        key_form) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $16, 1, $17, $18, $19, \
        $20, $21, $22)";
    /// One user.
    pub(crate) USER_BY_ID = "SELECT id, tenant_id, username, email, email_verified, given_name, family_name, display_name, \
        phone_number, locale, zoneinfo, attributes, enabled, locked, must_change_password, archived_at, created_at, \
        updated_at, version FROM user_account WHERE tenant_id = $1 AND id = $2";
    /// One user, held until the transaction ends: what follows depends on the state that it read.
    pub(crate) HOLD_USER = "SELECT id, tenant_id, username, email, email_verified, given_name, family_name, display_name, \
        phone_number, locale, zoneinfo, attributes, enabled, locked, must_change_password, archived_at, created_at, \
        updated_at, version FROM user_account WHERE tenant_id = $1 AND id = $2 {for_update}";
    /// Whether a user is active, which stays so until the transaction ends.
    pub(crate) SHARE_USER = "SELECT (enabled AND NOT locked) FROM user_account \
        WHERE tenant_id = $1 AND id = $2 AND archived_at IS NULL {for_share}";
    /// The user whom an identifier names.
    pub(crate) USER_BY_IDENTIFIER = "SELECT u.id, u.tenant_id, u.username, u.email, u.email_verified, u.given_name, \
        u.family_name, u.display_name, u.phone_number, u.locale, u.zoneinfo, u.attributes, u.enabled, u.locked, \
        u.must_change_password, u.archived_at, u.created_at, u.updated_at, u.version \
        FROM user_identifier i JOIN user_account u ON u.id = i.user_id WHERE i.tenant_id = $1 AND i.canonical = $2";
    /// A page of a tenant's users in the order of their identifiers.
    pub(crate) USER_PAGE = "SELECT id, tenant_id, username, email, email_verified, given_name, family_name, display_name, \
        phone_number, locale, zoneinfo, attributes, enabled, locked, must_change_password, archived_at, created_at, \
        updated_at, version FROM user_account WHERE tenant_id = $1 AND id > $2 AND archived_at IS NULL ORDER BY id LIMIT $3";
    /// Writes a user's profile, if nobody else has since.
    pub(crate) UPDATE_PROFILE = "UPDATE user_account SET username = $4, email = $5, email_verified = $6, given_name = $7, \
        family_name = $8, display_name = $9, phone_number = $10, locale = $11, zoneinfo = $12, attributes = $13, \
        updated_at = $14, username_key = $15, email_key = $16, given_name_key = $17, family_name_key = $18, \
        display_name_key = $19, key_form = $20, version = version + 1 WHERE tenant_id = $1 AND id = $2 AND version = $3";
    /// Writes a user's state.
    pub(crate) UPDATE_STATE = "UPDATE user_account SET enabled = $3, locked = $4, must_change_password = $5, \
        archived_at = $6, updated_at = $7, version = version + 1 WHERE tenant_id = $1 AND id = $2";
    /// Claims an identifier; zero rows mean that it is taken.
    pub(crate) CLAIM_IDENTIFIER = "INSERT INTO user_identifier (tenant_id, canonical, user_id, kind) \
        VALUES ($1, $2, $3, $4) ON CONFLICT (tenant_id, canonical) DO NOTHING";
    /// Whether somebody has an identifier.
    pub(crate) IDENTIFIER_TAKEN = "SELECT 1 FROM user_identifier WHERE tenant_id = $1 AND canonical = $2";
    /// Gives a user's identifiers back.
    pub(crate) RELEASE_IDENTIFIERS = "DELETE FROM user_identifier WHERE tenant_id = $1 AND user_id = $2";

    // ── passwords ──

    /// What an identifier's owner is verified against.
    pub(crate) PASSWORD_BY_IDENTIFIER = "SELECT i.user_id, p.hash, p.version FROM user_identifier i \
        LEFT JOIN user_password p ON p.user_id = i.user_id WHERE i.tenant_id = $1 AND i.canonical = $2";
    /// A user's present password.
    pub(crate) PASSWORD_OF = "SELECT p.hash, p.version FROM user_password p JOIN user_account u ON u.id = p.user_id \
        WHERE u.tenant_id = $1 AND u.id = $2";
    /// A user's earlier passwords, newest first.
    pub(crate) PASSWORD_HISTORY = "SELECT h.hash FROM user_password_history h JOIN user_account u ON u.id = h.user_id \
        WHERE u.tenant_id = $1 AND u.id = $2 ORDER BY h.version DESC LIMIT $3";
    /// A first password; zero rows mean that there is one already.
    pub(crate) FIRST_PASSWORD = "INSERT INTO user_password (user_id, hash, version, changed_at) VALUES ($1, $2, 1, $3) \
        ON CONFLICT (user_id) DO NOTHING";
    /// Moves the present password into the history, if it is still the expected one.
    pub(crate) REMEMBER_PASSWORD = "INSERT INTO user_password_history (user_id, version, hash) \
        SELECT user_id, version, hash FROM user_password WHERE user_id = $1 AND version = $2 \
        ON CONFLICT (user_id, version) DO NOTHING";
    /// Replaces the password, if nobody else has since: of two parallel changes one wins.
    pub(crate) REPLACE_PASSWORD = "UPDATE user_password SET hash = $3, version = version + 1, changed_at = $4 \
        WHERE user_id = $1 AND version = $2";
    /// The same password under better parameters: no new version, since it is not a change of the password.
    pub(crate) REHASH_PASSWORD = "UPDATE user_password SET hash = $3 WHERE user_id = $1 AND version = $2";
    /// Forgets all earlier passwords up to a version.
    pub(crate) TRIM_HISTORY = "DELETE FROM user_password_history WHERE user_id = $1 AND version <= $2";

    // ── sessions ──

    /// A new session.
    pub(crate) INSERT_SESSION = "INSERT INTO session (id, tenant_id, user_id, token_digest, created_at, last_seen_at, \
        auth_time, expires_at, idle_expires_at, amr, acr, address, user_agent) \
        VALUES ($1, $2, $3, $4, $5, $5, $5, $6, $7, $8, $9, $10, $11)";
    /// One session.
    pub(crate) SESSION_BY_ID = "SELECT id, tenant_id, user_id, token_digest, created_at, last_seen_at, auth_time, expires_at, \
        idle_expires_at, amr, acr, address, user_agent, ended_at FROM session WHERE tenant_id = $1 AND id = $2";
    /// A cookie's session.
    pub(crate) SESSION_BY_DIGEST = "SELECT id, tenant_id, user_id, token_digest, created_at, last_seen_at, auth_time, \
        expires_at, idle_expires_at, amr, acr, address, user_agent, ended_at FROM session \
        WHERE tenant_id = $1 AND token_digest = $2";
    /// A user's live sessions, newest first.
    pub(crate) SESSIONS_OF = "SELECT id, tenant_id, user_id, token_digest, created_at, last_seen_at, auth_time, expires_at, \
        idle_expires_at, amr, acr, address, user_agent, ended_at FROM session WHERE tenant_id = $1 AND user_id = $2 \
        AND ended_at IS NULL AND expires_at > $3 AND idle_expires_at > $3 ORDER BY id DESC LIMIT $4";
    /// A new cookie and new times for a session whose user proved themselves again.
    pub(crate) RENEW_SESSION = "UPDATE session SET token_digest = $3, last_seen_at = $4, auth_time = $4, expires_at = $5, \
        idle_expires_at = $6, amr = $7, acr = $8, address = $9, user_agent = $10 \
        WHERE tenant_id = $1 AND id = $2 AND token_digest = $11 AND ended_at IS NULL";
    /// Notes that a session is in use.
    pub(crate) TOUCH_SESSION = "UPDATE session SET last_seen_at = $3, idle_expires_at = $4 \
        WHERE tenant_id = $1 AND id = $2 AND ended_at IS NULL AND last_seen_at < $3";
    /// Ends one session.
    pub(crate) END_SESSION = "UPDATE session SET ended_at = $4 WHERE tenant_id = $1 AND user_id = $2 AND id = $3 \
        AND ended_at IS NULL";
    /// Ends all sessions of a user but one.
    pub(crate) END_SESSIONS = "UPDATE session SET ended_at = $4 WHERE tenant_id = $1 AND user_id = $2 AND id <> $3 \
        AND ended_at IS NULL AND expires_at > $4 RETURNING id";
    /// Forgets sessions that are long over.
    pub(crate) PRUNE_SESSIONS = "DELETE FROM session WHERE id IN (SELECT id FROM session WHERE expires_at < $1 LIMIT $2)";

    // ── admission ──

    /// The state of a password.
    pub(crate) PASSWORD_STATE = "SELECT version, changed_at FROM user_password WHERE user_id = $1";
    /// The state by which the owner of a redeemed code or refresh token is admitted.
    pub(crate) REDEEM_STATE = "SELECT t.enabled, t.archived_at, u.enabled, u.archived_at, u.locked, \
        u.must_change_password, u.version, s.ended_at, s.expires_at, s.idle_expires_at, s.last_seen_at, \
        u.grants_from FROM user_account u JOIN tenant t ON t.id = u.tenant_id \
        LEFT JOIN session s ON s.id = $3 AND s.tenant_id = u.tenant_id AND s.user_id = u.id \
        WHERE u.tenant_id = $1 AND u.id = $2";

    // ── throttle ──

    /// A counter.
    pub(crate) COUNTER = "SELECT failures, forget_at, blocked_until FROM throttle \
        WHERE tenant_id = $1 AND scope = $2 AND key = $3";
    /// Counts one attempt: $4 is now, $5 when a fresh count is forgotten, $6 when a running one is at the earliest. A
    /// blocked counter stays as it is, so that hammering on it prolongs nothing.
    pub(crate) COUNT_ATTEMPT = "INSERT INTO throttle (tenant_id, scope, key, failures, forget_at, blocked_until) \
        VALUES ($1, $2, $3, 1, $5, 0) ON CONFLICT (tenant_id, scope, key) DO UPDATE SET \
        failures = CASE WHEN throttle.blocked_until > $4 THEN throttle.failures \
            WHEN throttle.forget_at <= $4 THEN 1 ELSE throttle.failures + 1 END, \
        forget_at = CASE WHEN throttle.blocked_until > $4 THEN throttle.forget_at \
            WHEN throttle.forget_at <= $4 THEN $5 WHEN throttle.forget_at < $6 THEN $6 ELSE throttle.forget_at END \
        RETURNING failures, forget_at, blocked_until";
    /// Blocks a counter.
    pub(crate) BLOCK_COUNTER = "UPDATE throttle SET blocked_until = $4, forget_at = CASE WHEN forget_at < $4 THEN $4 \
        ELSE forget_at END WHERE tenant_id = $1 AND scope = $2 AND key = $3";
    /// Takes one counted attempt back, because it was none; and the block, if it was this attempt that caused it.
    pub(crate) UNCOUNT_ATTEMPT = "UPDATE throttle SET failures = failures - 1, \
        blocked_until = CASE WHEN failures - 1 < $4 THEN 0 ELSE blocked_until END \
        WHERE tenant_id = $1 AND scope = $2 AND key = $3 AND failures > 0";
    /// Forgets a counter.
    pub(crate) CLEAR_COUNTER = "DELETE FROM throttle WHERE tenant_id = $1 AND scope = $2 AND key = $3";
    /// Forgets counters whose time is over.
    pub(crate) PRUNE_COUNTERS = "DELETE FROM throttle WHERE forget_at < $1";
}

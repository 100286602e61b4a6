//! Tables and statements of the secrets room.

mod stores;

use keyreeve_store::{Migration, Statement, joined_statements, statements};

/// The room's tables. A value stands apart from its version, so that its key is wrapped anew without a page of it being
/// touched.
pub const MIGRATIONS: &[Migration] = &[TABLES, ISSUED, SIGNING, stores::STORES, AGED_VERSIONS];

/// When the oldest version of a secret has been kept long enough.
const AGED_VERSIONS: Migration = Migration {
    id: "secrets/0005_aged",
    sql: "
ALTER TABLE secret ADD COLUMN prune_at {time};
CREATE INDEX secret_prune ON secret (prune_at) WHERE prune_at IS NOT NULL;
",
};

/// The keys of a tenant that sign tokens are looked for by whoever checks one.
const SIGNING: Migration = Migration {
    id: "secrets/0003_signing",
    sql: "
CREATE INDEX secret_signing ON secret (tenant_id, key) WHERE kind = 'signing_key';
",
};

/// What authorities issue, by which policies, and leases.
const ISSUED: Migration = Migration {
    id: "secrets/0002_issued",
    sql: "
CREATE TABLE secret_policy (
    key {serial},
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    name {text} NOT NULL,
    secret_key {int} NOT NULL REFERENCES secret (key),
    rules {json} NOT NULL,
    created_at {time} NOT NULL,
    updated_at {time} NOT NULL,
    version {int} NOT NULL
) {strict};
CREATE UNIQUE INDEX secret_policy_name ON secret_policy (tenant_id, name);
CREATE INDEX secret_policy_secret ON secret_policy (secret_key);

CREATE TABLE secret_certificate (
    key {serial},
    tenant_id {uuid} NOT NULL,
    id {uuid} NOT NULL,
    secret_key {int} NOT NULL REFERENCES secret (key),
    number {int} NOT NULL,
    serial {text} NOT NULL,
    names {json} NOT NULL,
    policy {text} NOT NULL,
    fingerprint {text} NOT NULL,
    not_before {time} NOT NULL,
    not_after {time} NOT NULL,
    issued_by {text} NOT NULL,
    created_at {time} NOT NULL,
    revoked_at {time},
    reason {text}
) {strict};
CREATE UNIQUE INDEX secret_certificate_id ON secret_certificate (tenant_id, id);
CREATE INDEX secret_certificate_tenant ON secret_certificate (tenant_id, key);
CREATE INDEX secret_certificate_by ON secret_certificate (tenant_id, issued_by, key);
CREATE INDEX secret_certificate_end ON secret_certificate (not_after, key);
CREATE INDEX secret_certificate_of ON secret_certificate (secret_key, not_after);
CREATE INDEX secret_certificate_revoked ON secret_certificate (secret_key, not_after) WHERE revoked_at IS NOT NULL;

CREATE TABLE secret_lease (
    key {serial},
    tenant_id {uuid} NOT NULL,
    id {uuid} NOT NULL,
    secret_key {int} NOT NULL REFERENCES secret (key),
    number {int} NOT NULL,
    certificate_key {int},
    holder {text} NOT NULL,
    created_at {time} NOT NULL,
    expires_at {time} NOT NULL,
    max_at {time} NOT NULL,
    revoked_at {time}
) {strict};
CREATE UNIQUE INDEX secret_lease_id ON secret_lease (tenant_id, id);
CREATE INDEX secret_lease_secret ON secret_lease (secret_key, key);
CREATE INDEX secret_lease_live ON secret_lease (secret_key, expires_at) WHERE revoked_at IS NULL;
CREATE INDEX secret_lease_end ON secret_lease (expires_at, key);

CREATE INDEX secret_announce ON secret (announced, expires_at) WHERE expires_at IS NOT NULL;
",
};

const TABLES: Migration = Migration {
    id: "secrets/0001_tables",
    sql: "
CREATE TABLE secret (
    key {serial},
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    id {uuid} NOT NULL,
    kind {text} NOT NULL,
    resource_key {int} NOT NULL,
    owner {text},
    parent {text},
    name {text} NOT NULL,
    description {text},
    labels {json},
    mount {text},
    path {text},
    settings {json} NOT NULL,
    current {int} NOT NULL,
    expires_at {time},
    announced {int} NOT NULL,
    created_at {time} NOT NULL,
    created_by {text} NOT NULL,
    updated_at {time} NOT NULL,
    version {int} NOT NULL
) {strict};
CREATE UNIQUE INDEX secret_id ON secret (tenant_id, id);
CREATE UNIQUE INDEX secret_path ON secret (tenant_id, mount, path);
CREATE INDEX secret_tenant ON secret (tenant_id, key);
CREATE INDEX secret_name ON secret (tenant_id, name, key);
CREATE INDEX secret_owner ON secret (tenant_id, owner, key);
CREATE INDEX secret_expiry ON secret (expires_at, key) WHERE expires_at IS NOT NULL;
CREATE INDEX secret_below ON secret (key) WHERE parent IS NOT NULL;

CREATE TABLE secret_version (
    key {serial},
    tenant_id {uuid} NOT NULL,
    secret_key {int} NOT NULL REFERENCES secret (key),
    number {int} NOT NULL,
    key_name {blob},
    wrapped {blob},
    facts {json} NOT NULL,
    created_at {time} NOT NULL,
    created_by {text} NOT NULL,
    deleted_at {time},
    destroyed {bool} NOT NULL
) {strict};
CREATE UNIQUE INDEX secret_version_number ON secret_version (secret_key, number);
CREATE INDEX secret_version_wrapped ON secret_version (tenant_id, key_name, key);

CREATE TABLE secret_value (
    version_key {int} PRIMARY KEY REFERENCES secret_version (key),
    sealed {blob} NOT NULL
) {strict};
",
};

/// The columns of a secret, in the order in which they are read.
macro_rules! secret {
    ($after:literal) => {
        concat!(
            "SELECT s.key, s.id, s.kind, s.resource_key, s.owner, s.parent, s.name, s.description, s.labels, s.mount, s.path, \
             s.settings, s.current, s.expires_at, s.created_at, s.created_by, s.updated_at, s.version, v.facts, \
             s.store_id, s.store_path \
             FROM secret s LEFT JOIN secret_version v ON v.secret_key = s.key AND v.number = s.current ",
            $after
        )
    };
}

mod main {
    use super::statements;

    statements! {
        /// A secret.
        pub(crate) SECRET = secret!("WHERE s.tenant_id = $1 AND s.id = $2");
        /// The secret at a path.
        pub(crate) SECRET_AT = secret!("WHERE s.tenant_id = $1 AND s.mount = $2 AND s.path = $3");
        /// A tenant's secrets behind a key.
        pub(crate) SECRETS_AFTER = secret!("WHERE s.tenant_id = $1 AND s.key > $2 ORDER BY s.key LIMIT $3");
        /// A tenant's secrets before a key, newest first.
        pub(crate) SECRETS_BEFORE = secret!("WHERE s.tenant_id = $1 AND s.key < $2 ORDER BY s.key DESC LIMIT $3");
        /// A tenant's secrets by name.
        pub(crate) SECRETS_BY_NAME = secret!("WHERE s.tenant_id = $1 AND (s.name, s.key) > ($2, $3) \
            ORDER BY s.name, s.key LIMIT $4");
        /// The same from the last.
        pub(crate) SECRETS_BY_NAME_DOWN = secret!("WHERE s.tenant_id = $1 AND (s.name, s.key) < ($2, $3) \
            ORDER BY s.name DESC, s.key DESC LIMIT $4");
        /// Paths of a mount between two.
        pub(crate) PATHS = "SELECT id, path FROM secret WHERE tenant_id = $1 AND mount = $2 AND path > $3 AND path < $4 \
            ORDER BY path LIMIT $5";
        /// A secret, held until the transaction ends.
        pub(crate) HOLD = "SELECT key, version, current, settings, resource_key, kind FROM secret \
            WHERE tenant_id = $1 AND id = $2 {for_update}";
        /// How many secrets an owner has, up to a bound.
        pub(crate) COUNT_OF_OWNER = "SELECT COUNT(*) FROM (SELECT key FROM secret WHERE tenant_id = $1 AND owner = $2 LIMIT $3) o";
        /// How many secrets a tenant has.
        pub(crate) COUNT = "SELECT COUNT(*) FROM secret WHERE tenant_id = $1";
        /// A tenant's keys that sign tokens, with their versions, newest first.
        pub(crate) SIGNING_KEYS = "SELECT s.id, s.parent, s.settings, v.number, v.facts, v.created_at, v.created_by, v.deleted_at, \
            v.destroyed FROM secret s JOIN secret_version v ON v.secret_key = s.key \
            WHERE s.tenant_id = $1 AND s.kind = 'signing_key' ORDER BY s.key, v.number DESC LIMIT $2";
        /// How many a tenant has, up to a bound.
        pub(crate) COUNT_SIGNING = "SELECT COUNT(*) FROM (SELECT key FROM secret WHERE tenant_id = $1 AND kind = 'signing_key' \
            LIMIT $2) o";
        /// A new secret.
        pub(crate) INSERT = "INSERT INTO secret (tenant_id, id, kind, resource_key, owner, parent, name, description, labels, \
            mount, path, settings, current, expires_at, announced, created_at, created_by, updated_at, version, \
            store_id, store_path) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 0, $15, $16, $15, 1, \
            $17, $18) RETURNING key";
        /// Writes what can change of a secret's description.
        pub(crate) UPDATE = "UPDATE secret SET name = $3, description = $4, labels = $5, settings = $6, updated_at = $7, \
            version = version + 1 WHERE tenant_id = $1 AND key = $2";
        /// Gives it to another owner.
        pub(crate) TRANSFER = "UPDATE secret SET owner = $3, updated_at = $4, version = version + 1 \
            WHERE tenant_id = $1 AND key = $2";
        /// Notes its newest version.
        pub(crate) ADVANCE = "UPDATE secret SET current = $3, expires_at = $4, announced = 0, updated_at = $5, \
            version = version + 1 WHERE tenant_id = $1 AND key = $2";
        /// Notes that something of its versions changed.
        pub(crate) TOUCH = "UPDATE secret SET updated_at = $3, version = version + 1 WHERE tenant_id = $1 AND key = $2";
        /// Removes it.
        pub(crate) DELETE = "DELETE FROM secret WHERE tenant_id = $1 AND key = $2";
        /// Secrets below a resource, behind a key.
        pub(crate) BELOW = "SELECT key, tenant_id, id FROM secret WHERE parent IS NOT NULL AND key > $1 ORDER BY key LIMIT $2";
    }
}

mod versions {
    use super::statements;

    statements! {
        /// What is read of a value, with its secret.
        pub(crate) READ = "SELECT s.key, s.id, s.kind, s.name, s.settings, s.current, v.number, v.facts, v.created_at, \
            v.created_by, v.deleted_at, v.destroyed, v.wrapped, x.sealed, (SELECT n.created_at FROM secret_version n \
            WHERE n.secret_key = s.key AND n.number = v.number + 1 AND v.number < s.current) FROM secret s \
            JOIN secret_version v ON v.secret_key = s.key AND v.number = COALESCE(CAST($3 AS BIGINT), s.current) \
            LEFT JOIN secret_value x ON x.version_key = v.key WHERE s.tenant_id = $1 AND s.id = $2";
        /// A new version.
        pub(crate) INSERT_VERSION = "INSERT INTO secret_version (tenant_id, secret_key, number, key_name, wrapped, facts, \
            created_at, created_by, deleted_at, destroyed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING key";
        /// Its value.
        pub(crate) INSERT_VALUE = "INSERT INTO secret_value (version_key, sealed) VALUES ($1, $2)";
        /// A secret's versions before a number, newest first.
        pub(crate) VERSIONS = "SELECT number, facts, created_at, created_by, deleted_at, destroyed FROM secret_version \
            WHERE secret_key = $1 AND number < $2 ORDER BY number DESC LIMIT $3";
        /// One version.
        pub(crate) VERSION = "SELECT number, facts, created_at, created_by, deleted_at, destroyed FROM secret_version \
            WHERE secret_key = $1 AND number = $2";
        /// Deletes a version, to be had back.
        pub(crate) DELETE_VERSION = "UPDATE secret_version SET deleted_at = $3 WHERE secret_key = $1 AND number = $2 \
            AND NOT destroyed AND (deleted_at IS NULL OR deleted_at > $3)";
        /// Takes that back.
        pub(crate) UNDELETE_VERSION = "UPDATE secret_version SET deleted_at = NULL WHERE secret_key = $1 AND number = $2 \
            AND NOT destroyed AND deleted_at IS NOT NULL";
        /// Removes the value of a version for good.
        pub(crate) DESTROY_VALUE = "DELETE FROM secret_value WHERE version_key IN \
            (SELECT key FROM secret_version WHERE secret_key = $1 AND number = $2)";
        /// Notes it.
        pub(crate) DESTROY_VERSION = "UPDATE secret_version SET destroyed = $3, wrapped = NULL, key_name = NULL \
            WHERE secret_key = $1 AND number = $2 AND NOT destroyed";
        /// Removes the values of all versions up to a number.
        pub(crate) DROP_VALUES = "DELETE FROM secret_value WHERE version_key IN \
            (SELECT key FROM secret_version WHERE secret_key = $1 AND number <= $2)";
        /// Removes all versions up to a number.
        pub(crate) DROP_VERSIONS = "DELETE FROM secret_version WHERE secret_key = $1 AND number <= $2";
        /// The newest version up to a number that had come by a moment: those before it had been replaced by then.
        pub(crate) AGED = "SELECT MAX(number) FROM secret_version WHERE secret_key = $1 AND number <= $2 AND created_at <= $3";
        /// When the oldest version was replaced by the next.
        pub(crate) REPLACED = "SELECT MIN(created_at) FROM secret_version WHERE secret_key = $1 AND number > \
            (SELECT MIN(number) FROM secret_version WHERE secret_key = $1)";
        /// Notes when the oldest version is to go.
        pub(crate) SCHEDULE = "UPDATE secret SET prune_at = $2 WHERE key = $1";
        /// Secrets that have a version which is to go.
        pub(crate) DUE = "SELECT tenant_id, id FROM secret WHERE prune_at <= $1 ORDER BY prune_at LIMIT $2";
        /// The oldest version.
        pub(crate) OLDEST = "SELECT MIN(number) FROM secret_version WHERE secret_key = $1";
        /// Versions whose keys are wrapped by a data key whose name comes before another's.
        pub(crate) WRAPPED_BELOW = "SELECT v.key, v.wrapped, v.number, s.id, s.kind FROM secret_version v \
            JOIN secret s ON s.key = v.secret_key WHERE v.tenant_id = $1 AND v.key_name < $2 \
            ORDER BY v.key_name, v.key LIMIT $3";
        /// The same of names behind it.
        pub(crate) WRAPPED_ABOVE = "SELECT v.key, v.wrapped, v.number, s.id, s.kind FROM secret_version v \
            JOIN secret s ON s.key = v.secret_key WHERE v.tenant_id = $1 AND v.key_name > $2 \
            ORDER BY v.key_name, v.key LIMIT $3";
        /// Wraps a version's key anew, if nobody else has meanwhile.
        pub(crate) REWRAP = "UPDATE secret_version SET wrapped = $3, key_name = $4 WHERE key = $1 AND wrapped = $2";
        /// The same up to a bound: two ranges of the index, so that nothing left is found at once.
        pub(crate) WRAPPED_LEFT = "SELECT COUNT(*) FROM (SELECT 1 FROM secret_version WHERE tenant_id = $1 \
            AND key_name < $2 UNION ALL SELECT 1 FROM secret_version WHERE tenant_id = $1 AND key_name > $2 LIMIT $3) AS found";
        /// How many versions are wrapped by another data key than this.
        pub(crate) COUNT_WRAPPED = "SELECT COUNT(*) FROM secret_version WHERE tenant_id = $1 AND key_name <> $2";
    }
}

/// The columns of a certificate that was issued.
macro_rules! certificate {
    ($after:literal) => {
        concat!(
            "SELECT c.key, c.id, s.id, s.kind, c.serial, c.names, c.policy, c.fingerprint, c.not_before, c.not_after, \
             c.issued_by, c.revoked_at, c.reason FROM secret_certificate c JOIN secret s ON s.key = c.secret_key ",
            $after
        )
    };
}

/// The columns of a lease.
macro_rules! lease {
    ($after:literal) => {
        concat!(
            "SELECT l.key, l.id, s.id, l.number, c.id, l.holder, l.created_at, l.expires_at, l.max_at, l.revoked_at \
             FROM secret_lease l JOIN secret s ON s.key = l.secret_key \
             LEFT JOIN secret_certificate c ON c.key = l.certificate_key ",
            $after
        )
    };
}

/// The columns of a signing policy.
macro_rules! policy {
    ($after:literal) => {
        concat!(
            "SELECT p.key, p.name, s.id, s.kind, p.rules, p.created_at, p.updated_at, p.version \
             FROM secret_policy p JOIN secret s ON s.key = p.secret_key ",
            $after
        )
    };
}

mod issued {
    use super::statements;

    statements! {
        /// A signing policy.
        pub(crate) POLICY = policy!("WHERE p.tenant_id = $1 AND p.name = $2");
        /// A tenant's signing policies behind a name.
        pub(crate) POLICIES = policy!("WHERE p.tenant_id = $1 AND p.name > $2 ORDER BY p.name LIMIT $3");
        /// A new signing policy.
        pub(crate) INSERT_POLICY = "INSERT INTO secret_policy (tenant_id, name, secret_key, rules, created_at, updated_at, version) \
            VALUES ($1, $2, $3, $4, $5, $5, 1)";
        /// Other rules for one, if it still is at a version.
        pub(crate) UPDATE_POLICY = "UPDATE secret_policy SET rules = $2, updated_at = $3, version = version + 1 \
            WHERE key = $1 AND version = COALESCE(CAST($4 AS BIGINT), version)";
        /// Removes one.
        pub(crate) DELETE_POLICY = "DELETE FROM secret_policy WHERE key = $1";
        /// Removes those of an authority.
        pub(crate) DROP_POLICIES = "DELETE FROM secret_policy WHERE secret_key = $1";
        /// A new certificate.
        pub(crate) INSERT_CERTIFICATE = "INSERT INTO secret_certificate (tenant_id, id, secret_key, number, serial, names, policy, \
            fingerprint, not_before, not_after, issued_by, created_at) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING key";
        /// One certificate.
        pub(crate) CERTIFICATE = certificate!("WHERE c.tenant_id = $1 AND c.id = $2");
        /// Its key.
        pub(crate) CERTIFICATE_KEY = "SELECT key FROM secret_certificate WHERE tenant_id = $1 AND id = $2";
        /// A tenant's certificates before a key, newest first.
        pub(crate) CERTIFICATES = certificate!("WHERE c.tenant_id = $1 AND c.key < $2 ORDER BY c.key DESC LIMIT $3");
        /// The same of who had them issued.
        pub(crate) CERTIFICATES_BY = certificate!("WHERE c.tenant_id = $1 AND c.issued_by = $2 AND c.key < $3 \
            ORDER BY c.key DESC LIMIT $4");
        /// Revokes a certificate that is not revoked.
        pub(crate) REVOKE_CERTIFICATE = "UPDATE secret_certificate SET revoked_at = $2, reason = $3 \
            WHERE key = $1 AND revoked_at IS NULL";
        /// What is revoked of an authority and would still be valid.
        pub(crate) REVOKED = "SELECT number, serial, revoked_at, reason FROM secret_certificate \
            WHERE secret_key = $1 AND not_after > $2 AND revoked_at IS NOT NULL ORDER BY not_after LIMIT $3";
        /// A certificate of an authority that is still valid.
        pub(crate) STILL_VALID = "SELECT key FROM secret_certificate WHERE secret_key = $1 AND not_after > $2 \
            AND revoked_at IS NULL LIMIT 1";
        /// Removes the certificates of an authority.
        pub(crate) DROP_CERTIFICATES = "DELETE FROM secret_certificate WHERE secret_key = $1";
        /// Forgets certificates that expired before a moment.
        pub(crate) PRUNE_CERTIFICATES = "DELETE FROM secret_certificate WHERE key IN \
            (SELECT key FROM secret_certificate WHERE not_after < $1 ORDER BY not_after, key LIMIT $2)";
        /// How many leases of a secret are not over, up to a bound.
        pub(crate) COUNT_LEASES = "SELECT COUNT(*) FROM (SELECT key FROM secret_lease WHERE secret_key = $1 AND expires_at > $2 \
            AND revoked_at IS NULL LIMIT $3) o";
        /// A new lease.
        pub(crate) INSERT_LEASE = "INSERT INTO secret_lease (tenant_id, id, secret_key, number, certificate_key, holder, created_at, \
            expires_at, max_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        /// One lease.
        pub(crate) LEASE = lease!("WHERE l.tenant_id = $1 AND l.id = $2");
        /// A secret's leases before a key, newest first; those of one holder, where one is named.
        pub(crate) LEASES = lease!("WHERE l.secret_key = $1 AND l.key < $2 \
            AND l.holder = COALESCE(CAST($4 AS TEXT), l.holder) ORDER BY l.key DESC LIMIT $3");
        /// Makes a lease longer that is not over.
        pub(crate) RENEW_LEASE = "UPDATE secret_lease SET expires_at = $2 WHERE key = $1 AND revoked_at IS NULL AND expires_at > $3";
        /// Ends a lease.
        pub(crate) REVOKE_LEASE = "UPDATE secret_lease SET revoked_at = $2 WHERE key = $1 AND revoked_at IS NULL";
        /// Removes the leases of a secret.
        pub(crate) DROP_LEASES = "DELETE FROM secret_lease WHERE secret_key = $1";
        /// Forgets leases that ended before a moment.
        pub(crate) PRUNE_LEASES = "DELETE FROM secret_lease WHERE key IN \
            (SELECT key FROM secret_lease WHERE expires_at < $1 ORDER BY expires_at, key LIMIT $2)";
        /// Secrets that end before a moment, and were announced for a threshold.
        pub(crate) EXPIRING = "SELECT key, tenant_id, id FROM secret WHERE announced = $1 AND expires_at < $2 \
            ORDER BY expires_at LIMIT $3";
        /// Notes that one was announced.
        pub(crate) ANNOUNCE = "UPDATE secret SET announced = $3 WHERE key = $1 AND announced = $2";
    }
}

pub(crate) use issued::*;
pub(crate) use main::*;
pub(crate) use stores::*;
pub(crate) use versions::*;

const COUNT_ALL: usize =
    main::STATEMENTS.len() + versions::STATEMENTS.len() + issued::STATEMENTS.len() + stores::STATEMENTS.len();
static ALL: [&Statement; COUNT_ALL] =
    joined_statements(&[main::STATEMENTS, versions::STATEMENTS, issued::STATEMENTS, stores::STATEMENTS]);

/// Every statement of the room, for the test that prepares them all on both engines.
pub static STATEMENTS: &[&Statement] = &ALL;

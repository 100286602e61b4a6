//! Tables and statements of the secrets room.

use keyreeve_store::{Migration, Statement, joined_statements, statements};

/// The room's tables. A value stands apart from its version, so that its key is wrapped anew without a page of it being
/// touched.
pub const MIGRATIONS: &[Migration] = &[Migration {
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
}];

/// The columns of a secret, in the order in which they are read.
macro_rules! secret {
    ($after:literal) => {
        concat!(
            "SELECT s.key, s.id, s.kind, s.resource_key, s.owner, s.parent, s.name, s.description, s.labels, s.mount, s.path, \
             s.settings, s.current, s.expires_at, s.created_at, s.created_by, s.updated_at, s.version, v.facts \
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
        /// A new secret.
        pub(crate) INSERT = "INSERT INTO secret (tenant_id, id, kind, resource_key, owner, parent, name, description, labels, \
            mount, path, settings, current, expires_at, announced, created_at, created_by, updated_at, version) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 0, $15, $16, $15, 1) RETURNING key";
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
            v.created_by, v.deleted_at, v.destroyed, v.wrapped, x.sealed FROM secret s \
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
        /// The newest version that is older than a moment, of those before a number.
        pub(crate) AGED = "SELECT MAX(number) FROM secret_version WHERE secret_key = $1 AND number < $2 AND created_at < $3";
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

pub(crate) use main::*;
pub(crate) use versions::*;

const COUNT_ALL: usize = main::STATEMENTS.len() + versions::STATEMENTS.len();
static ALL: [&Statement; COUNT_ALL] = joined_statements(&[main::STATEMENTS, versions::STATEMENTS]);

/// Every statement of the room, for the test that prepares them all on both engines.
pub static STATEMENTS: &[&Statement] = &ALL;

//! How SQLite keeps what each user has several rows of.

use keyreeve_store::Migration;

/// Names, passwords and attributes become the trees of their primary keys. Beside a table of its own, each primary key
/// was a second tree to write to: four of nineteen for each new user. PostgreSQL keeps a heap in any case.
pub(super) const MIGRATION: Migration = Migration {
    id: "identity/0030_clustered",
    sql: "{sqlite_only}
CREATE TABLE new_user_identifier (
    tenant_id {uuid} NOT NULL,
    canonical {text} NOT NULL,
    user_id {uuid} NOT NULL REFERENCES user_account (id),
    kind {text} NOT NULL,
    PRIMARY KEY (tenant_id, canonical)
) {clustered};
INSERT INTO new_user_identifier (tenant_id, canonical, user_id, kind)
    SELECT tenant_id, canonical, user_id, kind FROM user_identifier ORDER BY tenant_id, canonical;
DROP TABLE user_identifier;
ALTER TABLE new_user_identifier RENAME TO user_identifier;
CREATE INDEX user_identifier_user ON user_identifier (user_id);

CREATE TABLE new_user_password (
    user_id {uuid} PRIMARY KEY REFERENCES user_account (id),
    hash {text} NOT NULL,
    version {int} NOT NULL,
    changed_at {time} NOT NULL
) {clustered};
INSERT INTO new_user_password (user_id, hash, version, changed_at)
    SELECT user_id, hash, version, changed_at FROM user_password ORDER BY user_id;
DROP TABLE user_password;
ALTER TABLE new_user_password RENAME TO user_password;

CREATE TABLE new_user_attribute (
    tenant_id {uuid} NOT NULL,
    name {text} NOT NULL,
    value_key {text} NOT NULL,
    user_id {uuid} NOT NULL REFERENCES user_account (id),
    PRIMARY KEY (tenant_id, name, value_key, user_id)
) {clustered};
INSERT INTO new_user_attribute (tenant_id, name, value_key, user_id)
    SELECT tenant_id, name, value_key, user_id FROM user_attribute ORDER BY tenant_id, name, value_key, user_id;
DROP TABLE user_attribute;
ALTER TABLE new_user_attribute RENAME TO user_attribute;
CREATE INDEX user_attribute_user ON user_attribute (user_id);
{end_sqlite_only}",
};

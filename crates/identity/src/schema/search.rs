//! The keys by which users and groups are found and ordered.

use keyreeve_store::{Migration, statements};

/// Keys are derived by the program, not by SQL, which cannot fold; rows of before get theirs by [`crate::Users::refresh`].
/// U+10FFFF stands for no value: it comes behind every key, so that one row comparison finds the place of a cursor.
pub(super) const MIGRATION: Migration = Migration {
    id: "identity/0004_search",
    sql: "
ALTER TABLE user_account ADD COLUMN username_key {text} NOT NULL DEFAULT '\u{10FFFF}';
ALTER TABLE user_account ADD COLUMN email_key {text} NOT NULL DEFAULT '\u{10FFFF}';
ALTER TABLE user_account ADD COLUMN given_name_key {text} NOT NULL DEFAULT '\u{10FFFF}';
ALTER TABLE user_account ADD COLUMN family_name_key {text} NOT NULL DEFAULT '\u{10FFFF}';
ALTER TABLE user_account ADD COLUMN display_name_key {text} NOT NULL DEFAULT '\u{10FFFF}';
ALTER TABLE user_account ADD COLUMN key_form {int} NOT NULL DEFAULT 0;
CREATE INDEX user_account_username ON user_account (tenant_id, username_key, id) WHERE archived_at IS NULL;
CREATE INDEX user_account_email ON user_account (tenant_id, email_key, id) WHERE archived_at IS NULL;
CREATE INDEX user_account_family_name ON user_account (tenant_id, family_name_key, id) WHERE archived_at IS NULL;
CREATE INDEX user_account_display_name ON user_account (tenant_id, display_name_key, id) WHERE archived_at IS NULL;
CREATE INDEX user_account_created ON user_account (tenant_id, created_at, id) WHERE archived_at IS NULL;
CREATE INDEX user_account_old_form ON user_account (id) WHERE key_form < 1;

CREATE TABLE group_attribute (
    tenant_id {uuid} NOT NULL,
    name {text} NOT NULL,
    value_key {text} NOT NULL,
    group_id {uuid} NOT NULL REFERENCES directory_group (id),
    PRIMARY KEY (tenant_id, name, value_key, group_id)
) {strict};
CREATE INDEX group_attribute_group ON group_attribute (group_id);
ALTER TABLE directory_group ADD COLUMN key_form {int} NOT NULL DEFAULT 0;
CREATE INDEX directory_group_old_form ON directory_group (id) WHERE key_form < 1;
",
};

statements! {
    /// Users whose keys are of an earlier form, held until the transaction ends.
    pub(crate) USERS_OF_OLD_FORM = "SELECT id, tenant_id, username, email, email_verified, given_name, family_name, \
        display_name, phone_number, locale, zoneinfo, attributes, enabled, locked, must_change_password, archived_at, \
        created_at, updated_at, version FROM user_account WHERE key_form < 1 ORDER BY id LIMIT $1 {for_update}";
    /// Writes a user's keys.
    pub(crate) UPDATE_KEYS = "UPDATE user_account SET username_key = $3, email_key = $4, given_name_key = $5, \
        family_name_key = $6, display_name_key = $7, key_form = $8 WHERE tenant_id = $1 AND id = $2";
    /// Groups whose attributes are not indexed, held until the transaction ends.
    pub(crate) GROUPS_OF_OLD_FORM = "SELECT id, tenant_id, name, description, attributes, created_at, updated_at, version \
        FROM directory_group WHERE key_form < 1 ORDER BY id LIMIT $1 {for_update}";
    /// Notes that a group's attributes are indexed.
    pub(crate) GROUP_INDEXED = "UPDATE directory_group SET key_form = $3 WHERE tenant_id = $1 AND id = $2";
    /// Indexes one value of a group's attribute.
    pub(crate) INDEX_GROUP_ATTRIBUTE = "INSERT INTO group_attribute (tenant_id, name, value_key, group_id) \
        VALUES ($1, $2, $3, $4) ON CONFLICT (tenant_id, name, value_key, group_id) DO NOTHING";
    /// Forgets all attributes of a group.
    pub(crate) FORGET_GROUP_ATTRIBUTES = "DELETE FROM group_attribute WHERE tenant_id = $1 AND group_id = $2";
}

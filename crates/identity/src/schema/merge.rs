//! Merging two accounts of one person.

use keyreeve_store::{Migration, statements};

pub(super) const MIGRATION: Migration = Migration {
    id: "identity/0022_merge",
    sql: "
ALTER TABLE user_account ADD COLUMN merged_into {uuid};
",
};

statements! {
    /// Notes where an archived user went.
    pub(crate) NOTE_MERGE = "UPDATE user_account SET merged_into = $3 WHERE tenant_id = $1 AND id = $2";
    /// Where a user went.
    pub(crate) MERGED_INTO = "SELECT merged_into FROM user_account WHERE tenant_id = $1 AND id = $2 AND merged_into IS NOT NULL";
    /// Raises the memberships of $2 to those of $3 in the groups that hold both.
    pub(crate) RAISE_MEMBERSHIPS = "UPDATE group_member SET kind = 'owner' WHERE tenant_id = $1 AND party_id = $2 \
        AND kind <> 'owner' AND group_id IN (SELECT o.group_id FROM group_member o WHERE o.tenant_id = $1 \
        AND o.party_id = $3 AND o.kind = 'owner')";
    /// The same of those who administer.
    pub(crate) RAISE_TO_ADMIN = "UPDATE group_member SET kind = 'admin' WHERE tenant_id = $1 AND party_id = $2 \
        AND kind = 'member' AND group_id IN (SELECT o.group_id FROM group_member o WHERE o.tenant_id = $1 \
        AND o.party_id = $3 AND o.kind = 'admin')";
    /// Makes $2 a member of the groups that hold $3.
    pub(crate) COPY_MEMBERSHIPS = "INSERT INTO group_member (group_id, party_id, party_kind, kind, tenant_id, added_at) \
        SELECT o.group_id, CAST($2 AS {uuid}), o.party_kind, o.kind, o.tenant_id, o.added_at FROM group_member o \
        WHERE o.tenant_id = $1 AND o.party_id = $3 ON CONFLICT (group_id, party_id) DO NOTHING";
    /// Gives $2 the roles of $3.
    pub(crate) COPY_ROLES = "INSERT INTO role_holder (role_id, party_id, party_kind, tenant_id, given_at) \
        SELECT o.role_id, CAST($2 AS {uuid}), o.party_kind, o.tenant_id, CAST($4 AS {int}) FROM role_holder o \
        WHERE o.tenant_id = $1 AND o.party_id = $3 ON CONFLICT (role_id, party_id) DO NOTHING";
    /// Makes $2 answer for the service accounts of $3.
    pub(crate) MOVE_SERVICES = "UPDATE service_account SET owner_id = $2, updated_at = $4, version = version + 1 \
        WHERE tenant_id = $1 AND owner_id = $3 AND owner_kind = 'user' RETURNING id";
}

//! Statements of bulk changes, run for many rows at a time.

use keyreeve_store::statements;

statements! {
    /// Who has an identifier, and as what.
    pub(crate) OWNER_OF_IDENTIFIER = "SELECT user_id, kind FROM user_identifier WHERE tenant_id = $1 AND canonical = $2";
    /// Whose an identifier of a user is, in whichever tenant; archived users among them.
    pub(crate) OWNER_OF_USER_ID = "SELECT tenant_id, archived_at FROM user_account WHERE id = $1";
    /// Whose an identifier of a group is.
    pub(crate) OWNER_OF_GROUP_ID = "SELECT tenant_id FROM directory_group WHERE id = $1";
    /// Whose an identifier of a role is.
    pub(crate) OWNER_OF_ROLE_ID = "SELECT tenant_id FROM directory_role WHERE id = $1";
    /// The user whom an identifier names, held until the transaction ends.
    pub(crate) HOLD_BY_IDENTIFIER = "SELECT u.id FROM user_identifier i JOIN user_account u ON u.id = i.user_id \
        WHERE i.tenant_id = $1 AND i.canonical = $2 {for_update}";
    /// A user who is not archived, held until the transaction ends.
    pub(crate) HOLD_USER_ID = "SELECT id FROM user_account WHERE tenant_id = $1 AND id = $2 AND archived_at IS NULL \
        {for_update}";
    /// The identifier of a group by its canonical name.
    pub(crate) GROUP_ID_BY_NAME = "SELECT id FROM directory_group WHERE tenant_id = $1 AND canonical = $2";
    /// The same of a group of this identifier, if there is one.
    pub(crate) GROUP_ID_BY_ID = "SELECT id FROM directory_group WHERE tenant_id = $1 AND id = $2";
    /// The same of a service account.
    pub(crate) SERVICE_ID_BY_ID = "SELECT id FROM service_account WHERE tenant_id = $1 AND id = $2";
    /// The groups that are nested directly in a group.
    pub(crate) NESTED_IN = "SELECT child_id FROM group_nest WHERE tenant_id = $1 AND parent_id = $2 LIMIT $3";
    /// A page of a group's own users and service accounts with their names.
    pub(crate) MEMBER_PAGE = "SELECT m.party_id, m.party_kind, m.kind, m.added_at, u.username, u.email, s.name FROM group_member m \
        LEFT JOIN user_account u ON u.id = m.party_id AND m.party_kind = 'user' \
        LEFT JOIN service_account s ON s.id = m.party_id AND m.party_kind = 'service' \
        WHERE m.group_id = $2 AND m.tenant_id = $1 AND m.party_id > $3 ORDER BY m.party_id LIMIT $4";
    /// A page of what is nested directly in a group.
    pub(crate) NEST_PAGE = "SELECT n.child_id, g.name, n.added_at FROM group_nest n \
        JOIN directory_group g ON g.id = n.child_id \
        WHERE n.tenant_id = $1 AND n.parent_id = $2 AND n.child_id > $3 ORDER BY n.child_id LIMIT $4";
    /// A page of a role's holders with their names.
    pub(crate) NAMED_HOLDER_PAGE = "SELECT h.party_id, h.party_kind, h.given_at, u.username, u.email, s.name, g.name \
        FROM role_holder h LEFT JOIN user_account u ON u.id = h.party_id AND h.party_kind = 'user' \
        LEFT JOIN service_account s ON s.id = h.party_id AND h.party_kind = 'service' \
        LEFT JOIN directory_group g ON g.id = h.party_id AND h.party_kind = 'group' \
        WHERE h.tenant_id = $1 AND h.role_id = $2 AND h.party_id > $3 ORDER BY h.party_id LIMIT $4";
    /// The devices in use of the users between two, the users among them.
    pub(crate) TOTP_BETWEEN = "SELECT id, name, algorithm, digits, period_s, created_at, confirmed_at, last_used_at, \
        sealed_secret, user_id FROM totp_device WHERE tenant_id = $1 AND user_id >= $2 AND user_id <= $3 \
        AND confirmed_at IS NOT NULL ORDER BY user_id, id";
}

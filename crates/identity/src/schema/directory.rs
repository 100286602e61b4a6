//! Groups, roles, service accounts, and the index over users' attributes.

use keyreeve_store::{Migration, statements};

/// Members of groups and holders of roles are of several kinds, so their identifiers refer to no one table; whoever
/// removes such a party removes its rows. Nesting has a table of its own: it is small, and recursion walks it alone.
pub(super) const MIGRATION: Migration = Migration {
    id: "identity/0002_directory",
    sql: "
CREATE TABLE directory_epoch (
    tenant_id {uuid} PRIMARY KEY REFERENCES tenant (id),
    epoch {int} NOT NULL
) {strict};

CREATE TABLE directory_group (
    id {uuid} PRIMARY KEY,
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    name {text} NOT NULL,
    canonical {text} NOT NULL,
    description {text},
    attributes {json} NOT NULL,
    created_at {time} NOT NULL,
    updated_at {time} NOT NULL,
    version {int} NOT NULL
) {strict};
CREATE UNIQUE INDEX directory_group_name ON directory_group (tenant_id, canonical);
CREATE INDEX directory_group_tenant ON directory_group (tenant_id, id);

CREATE TABLE group_member (
    group_id {uuid} NOT NULL REFERENCES directory_group (id),
    party_id {uuid} NOT NULL,
    party_kind {text} NOT NULL,
    kind {text} NOT NULL,
    tenant_id {uuid} NOT NULL,
    added_at {time} NOT NULL,
    PRIMARY KEY (group_id, party_id)
) {strict};
CREATE INDEX group_member_party ON group_member (party_id, group_id);

CREATE TABLE group_nest (
    parent_id {uuid} NOT NULL REFERENCES directory_group (id),
    child_id {uuid} NOT NULL REFERENCES directory_group (id),
    tenant_id {uuid} NOT NULL,
    added_at {time} NOT NULL,
    PRIMARY KEY (parent_id, child_id)
) {strict};
CREATE INDEX group_nest_child ON group_nest (child_id, parent_id);

CREATE TABLE directory_role (
    id {uuid} PRIMARY KEY,
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    client_id {uuid},
    name {text} NOT NULL,
    canonical {text} NOT NULL,
    description {text},
    created_at {time} NOT NULL,
    updated_at {time} NOT NULL,
    version {int} NOT NULL
) {strict};
CREATE UNIQUE INDEX directory_role_of_tenant ON directory_role (tenant_id, canonical) WHERE client_id IS NULL;
CREATE UNIQUE INDEX directory_role_of_client ON directory_role (tenant_id, client_id, canonical)
    WHERE client_id IS NOT NULL;
CREATE INDEX directory_role_tenant ON directory_role (tenant_id, id);

CREATE TABLE role_holder (
    role_id {uuid} NOT NULL REFERENCES directory_role (id),
    party_id {uuid} NOT NULL,
    party_kind {text} NOT NULL,
    tenant_id {uuid} NOT NULL,
    given_at {time} NOT NULL,
    PRIMARY KEY (role_id, party_id)
) {strict};
CREATE INDEX role_holder_party ON role_holder (party_id, role_id);

CREATE TABLE service_account (
    id {uuid} PRIMARY KEY,
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    name {text} NOT NULL,
    canonical {text} NOT NULL,
    description {text},
    attributes {json} NOT NULL,
    enabled {bool} NOT NULL,
    expires_at {time},
    owner_kind {text},
    owner_id {uuid},
    token_lifetime_s {int},
    created_at {time} NOT NULL,
    updated_at {time} NOT NULL,
    version {int} NOT NULL
) {strict};
CREATE UNIQUE INDEX service_account_name ON service_account (tenant_id, canonical);
CREATE INDEX service_account_tenant ON service_account (tenant_id, id);
CREATE INDEX service_account_owner ON service_account (owner_id) WHERE owner_id IS NOT NULL;

CREATE TABLE service_secret (
    id {uuid} PRIMARY KEY,
    service_account_id {uuid} NOT NULL REFERENCES service_account (id),
    digest {blob} NOT NULL,
    created_at {time} NOT NULL,
    expires_at {time},
    last_used_at {time}
) {strict};
CREATE INDEX service_secret_account ON service_secret (service_account_id, id);

CREATE TABLE user_attribute (
    tenant_id {uuid} NOT NULL,
    name {text} NOT NULL,
    value_key {text} NOT NULL,
    user_id {uuid} NOT NULL REFERENCES user_account (id),
    PRIMARY KEY (tenant_id, name, value_key, user_id)
) {strict};
CREATE INDEX user_attribute_user ON user_attribute (user_id);
",
};

statements! {
    // ── the shape of a tenant's directory ──

    /// Raises the tenant's epoch and holds its row until the transaction ends: of those who change the shape, one works.
    pub(crate) RAISE_EPOCH = "INSERT INTO directory_epoch (tenant_id, epoch) VALUES ($1, 1) \
        ON CONFLICT (tenant_id) DO UPDATE SET epoch = directory_epoch.epoch + 1";
    /// The tenant's epoch.
    pub(crate) EPOCH = "SELECT epoch FROM directory_epoch WHERE tenant_id = $1";
    /// The same, which nobody raises until the transaction ends.
    pub(crate) SHARE_EPOCH = "SELECT epoch FROM directory_epoch WHERE tenant_id = $1 {for_share}";

    // ── groups ──

    /// A new group; zero rows mean that the name is taken.
    pub(crate) INSERT_GROUP = "INSERT INTO directory_group (id, tenant_id, name, canonical, description, attributes, \
        created_at, updated_at, version, key_form) VALUES ($1, $2, $3, $4, $5, $6, $7, $7, 1, $8) ON CONFLICT DO NOTHING";
    /// One group.
    pub(crate) GROUP_BY_ID = "SELECT id, tenant_id, name, description, attributes, created_at, updated_at, version \
        FROM directory_group WHERE tenant_id = $1 AND id = $2";
    /// One group, held until the transaction ends.
    pub(crate) HOLD_GROUP = "SELECT id, tenant_id, name, description, attributes, created_at, updated_at, version \
        FROM directory_group WHERE tenant_id = $1 AND id = $2 {for_update}";
    /// Whether a group is there, and stays until the transaction ends.
    pub(crate) SHARE_GROUP = "SELECT id FROM directory_group WHERE tenant_id = $1 AND id = $2 {for_share}";
    /// The group of a canonical name.
    pub(crate) GROUP_BY_NAME = "SELECT id, tenant_id, name, description, attributes, created_at, updated_at, version \
        FROM directory_group WHERE tenant_id = $1 AND canonical = $2";
    /// A page of a tenant's groups in the order of their identifiers.
    pub(crate) GROUP_PAGE = "SELECT id, tenant_id, name, description, attributes, created_at, updated_at, version \
        FROM directory_group WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3";
    /// Writes what can change of a group, which the transaction holds.
    pub(crate) UPDATE_GROUP = "UPDATE directory_group SET name = $3, canonical = $4, description = $5, attributes = $6, \
        updated_at = $7, version = version + 1 WHERE tenant_id = $1 AND id = $2";
    /// Removes a group's members.
    pub(crate) CLEAR_MEMBERS = "DELETE FROM group_member WHERE tenant_id = $1 AND group_id = $2";
    /// Takes a group out of every nest.
    pub(crate) CLEAR_NESTS = "DELETE FROM group_nest WHERE tenant_id = $1 AND (parent_id = $2 OR child_id = $2)";
    /// Removes a group.
    pub(crate) DELETE_GROUP = "DELETE FROM directory_group WHERE tenant_id = $1 AND id = $2";

    // ── members ──

    /// A new member; zero rows mean that it is one already.
    pub(crate) INSERT_MEMBER = "INSERT INTO group_member (group_id, party_id, party_kind, kind, tenant_id, added_at) \
        VALUES ($2, $3, $4, $5, $1, $6) ON CONFLICT (group_id, party_id) DO NOTHING";
    /// Another kind of membership; zero rows mean that there is no such member, or that it has this kind.
    pub(crate) CHANGE_KIND = "UPDATE group_member SET kind = $4 WHERE tenant_id = $1 AND group_id = $2 AND party_id = $3 \
        AND kind <> $4";
    /// The kind of a membership.
    pub(crate) KIND_OF = "SELECT kind FROM group_member WHERE tenant_id = $1 AND group_id = $2 AND party_id = $3";
    /// Removes a member.
    pub(crate) DELETE_MEMBER = "DELETE FROM group_member WHERE tenant_id = $1 AND group_id = $2 AND party_id = $3";
    /// Removes a party from every group.
    pub(crate) LEAVE_GROUPS = "DELETE FROM group_member WHERE tenant_id = $1 AND party_id = $2";
    /// Nests a group in another; zero rows mean that it is nested there already.
    pub(crate) INSERT_NEST = "INSERT INTO group_nest (parent_id, child_id, tenant_id, added_at) VALUES ($2, $3, $1, $4) \
        ON CONFLICT (parent_id, child_id) DO NOTHING";
    /// Takes a group out of another.
    pub(crate) DELETE_NEST = "DELETE FROM group_nest WHERE tenant_id = $1 AND parent_id = $2 AND child_id = $3";
    /// The nesting above a group: each child with its parent.
    pub(crate) NESTS_ABOVE = "WITH RECURSIVE up (child, parent) AS ( \
        SELECT child_id, parent_id FROM group_nest WHERE tenant_id = $1 AND child_id = $2 \
        UNION SELECT n.child_id, n.parent_id FROM up JOIN group_nest n ON n.child_id = up.parent) \
        SELECT child, parent FROM up LIMIT $3";
    /// The nesting below a group: each parent with its child.
    pub(crate) NESTS_BELOW = "WITH RECURSIVE down (parent, child) AS ( \
        SELECT parent_id, child_id FROM group_nest WHERE tenant_id = $1 AND parent_id = $2 \
        UNION SELECT n.parent_id, n.child_id FROM down JOIN group_nest n ON n.parent_id = down.child) \
        SELECT parent, child FROM down LIMIT $3";
    /// A page of a group's direct members, groups among them, in the order of their identifiers.
    pub(crate) DIRECT_MEMBERS = "SELECT party_id, party_kind, kind, added_at FROM ( \
        SELECT * FROM (SELECT party_id, party_kind, kind, added_at FROM group_member \
            WHERE tenant_id = $1 AND group_id = $2 AND party_id > $3 ORDER BY party_id LIMIT $4) AS parties \
        UNION ALL \
        SELECT * FROM (SELECT child_id AS party_id, 'group' AS party_kind, 'member' AS kind, added_at FROM group_nest \
            WHERE tenant_id = $1 AND parent_id = $2 AND child_id > $3 ORDER BY child_id LIMIT $4) AS nested \
        ) AS direct ORDER BY party_id LIMIT $4";
    /// A page of all that a group transitively holds, each once; kind and time are those of a direct membership.
    pub(crate) EFFECTIVE_MEMBERS = "WITH RECURSIVE down (id) AS (SELECT id FROM directory_group \
            WHERE tenant_id = $1 AND id = $2 \
            UNION SELECT n.child_id FROM down JOIN group_nest n ON n.parent_id = down.id) \
        SELECT party_id, MAX(party_kind), MAX(CASE WHEN group_id = $2 THEN kind END), \
            MAX(CASE WHEN group_id = $2 THEN added_at END) FROM ( \
        SELECT m.party_id, m.party_kind, m.group_id, m.kind, m.added_at FROM down \
            JOIN group_member m ON m.group_id = down.id WHERE m.party_id > $3 \
        UNION ALL \
        SELECT n.child_id AS party_id, 'group' AS party_kind, n.parent_id AS group_id, 'member' AS kind, n.added_at \
            FROM down JOIN group_nest n ON n.parent_id = down.id WHERE n.child_id > $3 \
        ) AS held GROUP BY party_id ORDER BY party_id LIMIT $4";
    /// The groups that hold a user or service account directly.
    pub(crate) GROUPS_OF_PRINCIPAL = "SELECT group_id, kind FROM group_member WHERE tenant_id = $1 AND party_id = $2 \
        ORDER BY group_id";
    /// The same, out of which nobody is taken until the transaction ends.
    pub(crate) SHARE_GROUPS_OF = "SELECT group_id FROM group_member WHERE tenant_id = $1 AND party_id = $2 \
        ORDER BY group_id {for_share}";
    /// The groups that hold a group directly.
    pub(crate) GROUPS_OF_GROUP = "SELECT parent_id, 'member' AS kind FROM group_nest WHERE tenant_id = $1 AND child_id = $2 \
        ORDER BY parent_id";
    /// All groups that transitively hold a user or service account.
    pub(crate) ABOVE_PRINCIPAL = "WITH RECURSIVE up (id) AS ( \
        SELECT group_id FROM group_member WHERE tenant_id = $1 AND party_id = $2 \
        UNION SELECT n.parent_id FROM up JOIN group_nest n ON n.child_id = up.id) SELECT id FROM up ORDER BY id";
    /// All groups that transitively hold a group.
    pub(crate) ABOVE_GROUP = "WITH RECURSIVE up (id) AS ( \
        SELECT parent_id FROM group_nest WHERE tenant_id = $1 AND child_id = $2 \
        UNION SELECT n.parent_id FROM up JOIN group_nest n ON n.child_id = up.id) SELECT id FROM up ORDER BY id";
    /// All groups that a user or service account administers, by a membership there or above.
    pub(crate) ADMINISTERED = "WITH RECURSIVE down (id, kind) AS ( \
        SELECT group_id, kind FROM group_member WHERE tenant_id = $1 AND party_id = $2 AND kind <> 'member' \
        UNION SELECT n.child_id, down.kind FROM down JOIN group_nest n ON n.parent_id = down.id) SELECT id, kind FROM down";

    // ── roles ──

    /// A new role; zero rows mean that the name is taken.
    pub(crate) INSERT_ROLE = "INSERT INTO directory_role (id, tenant_id, client_id, name, canonical, description, \
        created_at, updated_at, version) VALUES ($1, $2, $3, $4, $5, $6, $7, $7, 1) ON CONFLICT DO NOTHING";
    /// One role.
    pub(crate) ROLE_BY_ID = "SELECT id, tenant_id, client_id, name, canonical, description, created_at, updated_at, version \
        FROM directory_role WHERE tenant_id = $1 AND id = $2";
    /// One role, held until the transaction ends.
    pub(crate) HOLD_ROLE = "SELECT id, tenant_id, client_id, name, canonical, description, created_at, updated_at, version \
        FROM directory_role WHERE tenant_id = $1 AND id = $2 {for_update}";
    /// The role of a canonical name, of the tenant or of a client.
    pub(crate) ROLE_BY_NAME = "SELECT id, tenant_id, client_id, name, canonical, description, created_at, updated_at, version \
        FROM directory_role WHERE tenant_id = $1 AND client_id IS NOT DISTINCT FROM $2 AND canonical = $3";
    /// A page of all roles of a tenant, its clients' among them, in the order of their identifiers.
    pub(crate) ROLE_PAGE = "SELECT id, tenant_id, client_id, name, canonical, description, created_at, updated_at, version \
        FROM directory_role WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3";
    /// A page of the tenant's own roles (no client), or of one client's.
    pub(crate) ROLE_PAGE_OF = "SELECT id, tenant_id, client_id, name, canonical, description, created_at, updated_at, version \
        FROM directory_role WHERE tenant_id = $1 AND client_id IS NOT DISTINCT FROM $4 AND id > $2 ORDER BY id LIMIT $3";
    /// Writes what can change of a role, which the transaction holds.
    pub(crate) UPDATE_ROLE = "UPDATE directory_role SET name = $3, canonical = $4, description = $5, updated_at = $6, \
        version = version + 1 WHERE tenant_id = $1 AND id = $2";
    /// Takes a role from everyone.
    pub(crate) CLEAR_HOLDERS = "DELETE FROM role_holder WHERE tenant_id = $1 AND role_id = $2";
    /// Removes a role.
    pub(crate) DELETE_ROLE = "DELETE FROM directory_role WHERE tenant_id = $1 AND id = $2";
    /// Gives a role; zero rows mean that the party has it already.
    pub(crate) INSERT_HOLDER = "INSERT INTO role_holder (role_id, party_id, party_kind, tenant_id, given_at) \
        VALUES ($2, $3, $4, $1, $5) ON CONFLICT (role_id, party_id) DO NOTHING";
    /// Takes a role.
    pub(crate) DELETE_HOLDER = "DELETE FROM role_holder WHERE tenant_id = $1 AND role_id = $2 AND party_id = $3";
    /// Takes every role from a party.
    pub(crate) DROP_ROLES = "DELETE FROM role_holder WHERE tenant_id = $1 AND party_id = $2";
    /// A page of a role's direct holders in the order of their identifiers.
    pub(crate) HOLDER_PAGE = "SELECT party_id, party_kind, given_at FROM role_holder \
        WHERE tenant_id = $1 AND role_id = $2 AND party_id > $3 ORDER BY party_id LIMIT $4";
    /// The roles that were given to a party itself.
    pub(crate) ROLES_OF = "SELECT r.id, r.tenant_id, r.client_id, r.name, r.canonical, r.description, r.created_at, \
        r.updated_at, r.version FROM role_holder h JOIN directory_role r ON r.id = h.role_id \
        WHERE h.tenant_id = $1 AND h.party_id = $2 ORDER BY r.id";
    /// The roles of a user or service account, by itself and by its groups.
    pub(crate) EFFECTIVE_ROLES_OF_PRINCIPAL = "WITH RECURSIVE up (id) AS ( \
        SELECT group_id FROM group_member WHERE tenant_id = $1 AND party_id = $2 \
        UNION SELECT n.parent_id FROM up JOIN group_nest n ON n.child_id = up.id) \
        SELECT r.id, r.client_id, r.name FROM role_holder h JOIN directory_role r ON r.id = h.role_id \
            WHERE h.tenant_id = $1 AND h.party_id = $2 \
        UNION SELECT r.id, r.client_id, r.name FROM up JOIN role_holder h ON h.party_id = up.id \
            JOIN directory_role r ON r.id = h.role_id ORDER BY 1";
    /// The roles of a group, by itself and by the groups that hold it.
    pub(crate) EFFECTIVE_ROLES_OF_GROUP = "WITH RECURSIVE up (id) AS ( \
        SELECT parent_id FROM group_nest WHERE tenant_id = $1 AND child_id = $2 \
        UNION SELECT n.parent_id FROM up JOIN group_nest n ON n.child_id = up.id) \
        SELECT r.id, r.client_id, r.name FROM role_holder h JOIN directory_role r ON r.id = h.role_id \
            WHERE h.tenant_id = $1 AND h.party_id = $2 \
        UNION SELECT r.id, r.client_id, r.name FROM up JOIN role_holder h ON h.party_id = up.id \
            JOIN directory_role r ON r.id = h.role_id ORDER BY 1";
    /// The identifiers of a client's roles.
    pub(crate) ROLES_OF_CLIENT = "SELECT id FROM directory_role WHERE tenant_id = $1 AND client_id = $2 ORDER BY id";

    // ── service accounts ──

    /// A new service account; zero rows mean that the name is taken.
    pub(crate) INSERT_SERVICE = "INSERT INTO service_account (id, tenant_id, name, canonical, description, attributes, \
        enabled, expires_at, owner_kind, owner_id, token_lifetime_s, created_at, updated_at, version) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12, 1) ON CONFLICT DO NOTHING";
    /// One service account.
    pub(crate) SERVICE_BY_ID = "SELECT id, tenant_id, name, description, attributes, enabled, expires_at, owner_kind, \
        owner_id, token_lifetime_s, created_at, updated_at, version FROM service_account \
        WHERE tenant_id = $1 AND id = $2";
    /// One service account, held until the transaction ends.
    pub(crate) HOLD_SERVICE = "SELECT id, tenant_id, name, description, attributes, enabled, expires_at, owner_kind, \
        owner_id, token_lifetime_s, created_at, updated_at, version FROM service_account \
        WHERE tenant_id = $1 AND id = $2 {for_update}";
    /// What says whether a service account is active, which stays so until the transaction ends.
    pub(crate) SHARE_SERVICE = "SELECT enabled, expires_at, owner_kind, owner_id FROM service_account \
        WHERE tenant_id = $1 AND id = $2 {for_share}";
    /// The service account of a canonical name.
    pub(crate) SERVICE_BY_NAME = "SELECT id FROM service_account WHERE tenant_id = $1 AND canonical = $2";
    /// A page of a tenant's service accounts in the order of their identifiers.
    pub(crate) SERVICE_PAGE = "SELECT id, tenant_id, name, description, attributes, enabled, expires_at, owner_kind, \
        owner_id, token_lifetime_s, created_at, updated_at, version FROM service_account \
        WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3";
    /// Writes what can change of a service account, which the transaction holds.
    pub(crate) UPDATE_SERVICE = "UPDATE service_account SET name = $3, canonical = $4, description = $5, attributes = $6, \
        enabled = $7, expires_at = $8, owner_kind = $9, owner_id = $10, token_lifetime_s = $11, updated_at = $12, \
        version = version + 1 WHERE tenant_id = $1 AND id = $2";
    /// Removes a service account.
    pub(crate) DELETE_SERVICE = "DELETE FROM service_account WHERE tenant_id = $1 AND id = $2";
    /// A new secret.
    pub(crate) INSERT_SECRET = "INSERT INTO service_secret (id, service_account_id, digest, created_at, expires_at) \
        VALUES ($1, $2, $3, $4, $5)";
    /// The secrets of a service account, oldest first.
    pub(crate) SECRETS_OF = "SELECT id, digest, created_at, expires_at, last_used_at FROM service_secret \
        WHERE service_account_id = $1 ORDER BY id";
    /// Removes a secret.
    pub(crate) DELETE_SECRET = "DELETE FROM service_secret WHERE service_account_id = $1 AND id = $2";
    /// Removes all secrets of a service account.
    pub(crate) CLEAR_SECRETS = "DELETE FROM service_secret WHERE service_account_id = $1";
    /// Removes the secrets of a service account that are over.
    pub(crate) DROP_EXPIRED_SECRETS = "DELETE FROM service_secret WHERE service_account_id = $1 AND expires_at <= $2";
    /// Notes that a secret is in use, at most once in a while: $3 is now, $4 the latest note that is due again.
    pub(crate) TOUCH_SECRET = "UPDATE service_secret SET last_used_at = $3 WHERE service_account_id = $1 AND id = $2 \
        AND (last_used_at IS NULL OR last_used_at <= $4)";
    /// The state by which a service account is admitted: the account, its secret, its tenant, its owner.
    pub(crate) SERVICE_STATE = "SELECT s.id, s.tenant_id, s.name, s.description, s.attributes, s.enabled, s.expires_at, \
        s.owner_kind, s.owner_id, s.token_lifetime_s, s.created_at, s.updated_at, s.version, \
        t.enabled, t.archived_at, c.id, c.expires_at, u.enabled, u.locked, u.archived_at, g.id \
        FROM service_account s JOIN tenant t ON t.id = s.tenant_id \
        LEFT JOIN service_secret c ON c.service_account_id = s.id AND c.id = $3 \
        LEFT JOIN user_account u ON u.id = s.owner_id AND u.tenant_id = s.tenant_id AND s.owner_kind = 'user' \
        LEFT JOIN directory_group g ON g.id = s.owner_id AND g.tenant_id = s.tenant_id AND s.owner_kind = 'group' \
        WHERE s.tenant_id = $1 AND s.id = $2";

    // ── users by attribute ──

    /// Indexes one value of an attribute.
    pub(crate) INDEX_ATTRIBUTE = "INSERT INTO user_attribute (tenant_id, name, value_key, user_id) VALUES ($1, $2, $3, $4) \
        ON CONFLICT (tenant_id, name, value_key, user_id) DO NOTHING";
    /// Forgets one value of an attribute.
    pub(crate) FORGET_ATTRIBUTE = "DELETE FROM user_attribute WHERE tenant_id = $1 AND name = $2 AND value_key = $3 \
        AND user_id = $4";
    /// Forgets all attributes of a user.
    pub(crate) FORGET_ATTRIBUTES = "DELETE FROM user_attribute WHERE tenant_id = $1 AND user_id = $2";
    /// A page of the users who have this value of an attribute, in the order of their identifiers.
    pub(crate) USERS_BY_ATTRIBUTE = "SELECT u.id, u.tenant_id, u.username, u.email, u.email_verified, u.given_name, \
        u.family_name, u.display_name, u.phone_number, u.locale, u.zoneinfo, u.attributes, u.enabled, u.locked, \
        u.must_change_password, u.archived_at, u.created_at, u.updated_at, u.version \
        FROM user_attribute a JOIN user_account u ON u.id = a.user_id \
        WHERE a.tenant_id = $1 AND a.name = $2 AND a.value_key = $3 AND a.user_id > $4 ORDER BY a.user_id LIMIT $5";
}

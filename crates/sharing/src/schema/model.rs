//! Statements over types and permissions, and the row that whoever changes a tenant's shape holds.

use keyreeve_store::statements;

statements! {
    /// Raises the tenant's epoch and holds its row until the transaction ends: of those who move resources or change types
    /// and permissions, one works.
    pub(crate) RAISE_EPOCH = "INSERT INTO sharing_tree (tenant_id, epoch) VALUES ($1, 1) \
        ON CONFLICT (tenant_id) DO UPDATE SET epoch = sharing_tree.epoch + 1 RETURNING epoch";
    /// The tenant's epoch.
    pub(crate) EPOCH = "SELECT epoch FROM sharing_tree WHERE tenant_id = $1";
    /// The same, which nobody raises until the transaction ends.
    pub(crate) SHARE_EPOCH = "SELECT epoch FROM sharing_tree WHERE tenant_id = $1 {for_share}";
    /// A tenant's types.
    pub(crate) TYPES = "SELECT key, id, name, description, created_at, updated_at, version FROM sharing_type \
        WHERE tenant_id = $1 ORDER BY id";
    /// A tenant's permissions.
    pub(crate) PERMISSIONS = "SELECT key, type_key, id, name, description, shares, created_at, updated_at, version \
        FROM sharing_permission WHERE tenant_id = $1 ORDER BY id";
    /// Which permission implies which, in a tenant.
    pub(crate) IMPLICATIONS = "SELECT i.permission_key, i.implied_key FROM sharing_permission p \
        JOIN sharing_implication i ON i.permission_key = p.key WHERE p.tenant_id = $1 ORDER BY i.permission_key, i.implied_key";
    /// A new type.
    pub(crate) INSERT_TYPE = "INSERT INTO sharing_type (tenant_id, id, name, description, created_at, updated_at, version) \
        VALUES ($1, $2, $3, $4, $5, $5, 1) RETURNING key";
    /// Writes what can change of a type.
    pub(crate) UPDATE_TYPE = "UPDATE sharing_type SET name = $3, description = $4, updated_at = $5, version = version + 1 \
        WHERE tenant_id = $1 AND key = $2";
    /// Removes a type.
    pub(crate) DELETE_TYPE = "DELETE FROM sharing_type WHERE tenant_id = $1 AND key = $2";
    /// Whether there is a resource of the type.
    pub(crate) TYPE_IN_USE = "SELECT key FROM sharing_resource WHERE type_key = $1 ORDER BY key LIMIT 1";
    /// A new permission.
    pub(crate) INSERT_PERMISSION = "INSERT INTO sharing_permission (tenant_id, type_key, id, name, description, shares, \
        created_at, updated_at, version) VALUES ($1, $2, $3, $4, $5, $6, $7, $7, 1) RETURNING key";
    /// Writes what can change of a permission.
    pub(crate) UPDATE_PERMISSION = "UPDATE sharing_permission SET name = $3, description = $4, shares = $5, updated_at = $6, \
        version = version + 1 WHERE tenant_id = $1 AND key = $2";
    /// Removes a permission.
    pub(crate) DELETE_PERMISSION = "DELETE FROM sharing_permission WHERE tenant_id = $1 AND key = $2";
    /// Notes an implication.
    pub(crate) INSERT_IMPLICATION = "INSERT INTO sharing_implication (permission_key, implied_key) VALUES ($1, $2)";
    /// Forgets what a permission implies.
    pub(crate) CLEAR_IMPLIED = "DELETE FROM sharing_implication WHERE permission_key = $1";
    /// Forgets what implies a permission.
    pub(crate) CLEAR_IMPLYING = "DELETE FROM sharing_implication WHERE implied_key = $1";
    /// Removes a type's permissions, which imply nothing any more.
    pub(crate) DELETE_PERMISSIONS_OF = "DELETE FROM sharing_permission WHERE tenant_id = $1 AND type_key = $2";
}

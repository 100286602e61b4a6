//! Statements over resources and grants, whole.

use keyreeve_store::statements;

/// The columns of a resource, in the order in which they are read.
macro_rules! resource {
    ($after:literal) => {
        concat!(
            "SELECT r.key, r.id, r.type_key, r.parent_key, p.id, r.owner_kind, r.owner_id, r.created_at, r.updated_at, \
             r.version, r.name, r.description, r.full_text, r.attributes, r.metadata \
             FROM sharing_resource r LEFT JOIN sharing_resource p ON p.key = r.parent_key ",
            $after
        )
    };
}

statements! {
    /// One resource.
    pub(crate) RESOURCE = resource!("WHERE r.tenant_id = $1 AND r.key = $2 AND r.id IS NOT NULL");
    /// A resource's children behind a key.
    pub(crate) RESOURCES_BELOW = resource!("WHERE r.parent_key = $1 AND r.key > $2 AND r.id IS NOT NULL \
        ORDER BY r.key LIMIT $3");
    /// A resource's children before a key, newest first.
    pub(crate) RESOURCES_BELOW_DOWN = resource!("WHERE r.parent_key = $1 AND r.key < $2 AND r.id IS NOT NULL \
        ORDER BY r.key DESC LIMIT $3");
    /// A tenant's resources behind a key.
    pub(crate) RESOURCES_AFTER = resource!("WHERE r.tenant_id = $1 AND r.key > $2 AND r.id IS NOT NULL \
        ORDER BY r.key LIMIT $3");
    /// A tenant's resources before a key, newest first.
    pub(crate) RESOURCES_BEFORE = resource!("WHERE r.tenant_id = $1 AND r.key < $2 AND r.id IS NOT NULL \
        ORDER BY r.key DESC LIMIT $3");
    /// A type's resources behind a key.
    pub(crate) RESOURCES_OF_TYPE = resource!("WHERE r.type_key = $1 AND r.key > $2 AND r.id IS NOT NULL \
        ORDER BY r.key LIMIT $3");
    /// A type's resources before a key, newest first.
    pub(crate) RESOURCES_OF_TYPE_DOWN = resource!("WHERE r.type_key = $1 AND r.key < $2 AND r.id IS NOT NULL \
        ORDER BY r.key DESC LIMIT $3");
    /// A resource, held until the transaction ends.
    pub(crate) HOLD_RESOURCE = "SELECT id, type_key, parent_key, owner_kind, owner_id, version FROM sharing_resource \
        WHERE tenant_id = $1 AND key = $2 AND id IS NOT NULL {for_update}";
    /// The same, but that others may rely on it as well.
    pub(crate) SHARE_RESOURCE = "SELECT id, type_key, parent_key, owner_kind, owner_id, version FROM sharing_resource \
        WHERE tenant_id = $1 AND key = $2 AND id IS NOT NULL {for_share}";
    /// A new resource; no row where the identifier is taken.
    pub(crate) INSERT_RESOURCE = "INSERT INTO sharing_resource (tenant_id, id, type_key, parent_key, owner_kind, owner_id, \
        created_at, updated_at, version, name, description, full_text, attributes, metadata) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $7, 1, $8, $9, $10, $11, $12) ON CONFLICT (tenant_id, id) DO NOTHING RETURNING key";
    /// Writes what can change of a resource.
    pub(crate) UPDATE_RESOURCE = "UPDATE sharing_resource SET name = $3, description = $4, full_text = $5, attributes = $6, \
        metadata = $7, updated_at = $8, version = version + 1 WHERE tenant_id = $1 AND key = $2";
    /// Gives a resource that another room keeps another name.
    pub(crate) RENAME_RESOURCE = "UPDATE sharing_resource SET name = $3, updated_at = $4, version = version + 1 \
        WHERE tenant_id = $1 AND key = $2";
    /// Puts a resource below another, or below none.
    pub(crate) MOVE_RESOURCE = "UPDATE sharing_resource SET parent_key = $3, updated_at = $4, version = version + 1 \
        WHERE tenant_id = $1 AND key = $2";
    /// Gives a resource to another owner.
    pub(crate) TRANSFER_RESOURCE = "UPDATE sharing_resource SET owner_kind = $3, owner_id = $4, updated_at = $5, \
        version = version + 1 WHERE tenant_id = $1 AND key = $2";
    /// Whether a resource has children.
    pub(crate) FIRST_CHILD = "SELECT key FROM sharing_resource WHERE parent_key = $1 AND id IS NOT NULL ORDER BY key LIMIT 1";
    /// Removes a resource: it and all below it are gone; what is left of them is swept up later.
    pub(crate) BURY_RESOURCE = "UPDATE sharing_resource SET id = NULL, parent_key = NULL, full_text = NULL, \
        attributes = NULL, metadata = NULL, description = NULL, name = '' WHERE tenant_id = $1 AND key = $2";
    /// Frees the identifier of a resource that is gone with what lay above it.
    pub(crate) RELEASE_ID = "UPDATE sharing_resource SET id = NULL WHERE tenant_id = $1 AND key = $2";
    /// A grant, about to be written anew.
    pub(crate) HOLD_GRANT = "SELECT cascades, expires_at, created_at FROM sharing_grant WHERE resource_key = $1 \
        AND party_id = $2 AND permission_key = $3 {for_update}";
    /// A grant that somebody relies on until the transaction ends.
    pub(crate) SHARE_GRANT = "SELECT cascades, expires_at FROM sharing_grant WHERE resource_key = $1 \
        AND party_id = $2 AND permission_key = $3 {for_share}";
    /// Writes a grant.
    pub(crate) WRITE_GRANT = "INSERT INTO sharing_grant (resource_key, party_id, permission_key, party_kind, cascades, \
        expires_at, granted_kind, granted_id, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
        ON CONFLICT (resource_key, party_id, permission_key) DO UPDATE SET cascades = excluded.cascades, \
        expires_at = excluded.expires_at, granted_kind = excluded.granted_kind, granted_id = excluded.granted_id, \
        created_at = excluded.created_at";
    /// Some of what a party was granted on the resources of one block, whole.
    pub(crate) GRANTS_IN_BLOCK = "SELECT resource_key, party_id, permission_key, party_kind, cascades, expires_at, granted_kind, \
        granted_id, created_at FROM sharing_grant WHERE (resource_key >> 14) = $1 AND party_id = $2 \
        ORDER BY resource_key, permission_key LIMIT $3";
    /// Gives what a party owns of the resources of one block to another of the same kind.
    pub(crate) CARRY_OWNED = "UPDATE sharing_resource SET owner_id = $3, updated_at = $4, version = version + 1 \
        WHERE (key >> 14) = $1 AND owner_id = $2 RETURNING key";
    /// Removes a grant.
    pub(crate) DELETE_GRANT = "DELETE FROM sharing_grant WHERE resource_key = $1 AND party_id = $2 AND permission_key = $3";
    /// Removes what a party was granted on a resource.
    pub(crate) DELETE_GRANTS_TO = "DELETE FROM sharing_grant WHERE resource_key = $1 AND party_id = $2";

    // ── sweeping ──

    /// Resources that were removed.
    pub(crate) GONE = "SELECT key, tenant_id FROM sharing_resource WHERE id IS NULL ORDER BY key LIMIT $1";
    /// Children of one of them, buried or not.
    pub(crate) CHILDREN_OF_GONE = "SELECT key FROM sharing_resource WHERE parent_key = $1 ORDER BY key LIMIT $2";
    /// Some grants of a resource, to be removed.
    pub(crate) SWEEP_GRANTS = "DELETE FROM sharing_grant WHERE resource_key = $1 AND (party_id, permission_key) IN \
        (SELECT party_id, permission_key FROM sharing_grant WHERE resource_key = $1 \
        ORDER BY party_id, permission_key LIMIT $2)";
    /// Removes the row of a resource that was removed and has nothing left.
    pub(crate) DELETE_RESOURCE = "DELETE FROM sharing_resource WHERE key = $1 AND id IS NULL";
    /// Removes a grant that has ended, or is not newer than a moment.
    pub(crate) SWEEP_GRANT = "DELETE FROM sharing_grant WHERE resource_key = $1 AND party_id = $2 AND permission_key = $3 \
        AND (expires_at <= $4 OR created_at <= $5)";
    /// Grants in their order, from one on. A cross join, whose order SQLite keeps; PostgreSQL, if it merges the
    /// two, is to begin with both there.
    pub(crate) GRANTS_FROM = "SELECT g.resource_key, g.party_id, g.permission_key, g.party_kind, g.expires_at, r.tenant_id, \
        g.created_at \
        FROM sharing_grant g CROSS JOIN sharing_resource r WHERE r.key = g.resource_key \
        AND (g.resource_key, g.party_id, g.permission_key) > ($1, $2, $3) AND r.key >= $1 \
        ORDER BY g.resource_key, g.party_id, g.permission_key LIMIT $4";
}

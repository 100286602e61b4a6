//! Statements that questions run.

use keyreeve_store::statements;

/// The resource `$2` of the tenant `$1` and what is above it, at most `$3` more.
macro_rules! up {
    ($after:literal) => {
        concat!(
            "WITH RECURSIVE up (key, alive, type_key, parent_key, owner_kind, owner_id, level) AS ( \
                SELECT key, (id IS NOT NULL), type_key, parent_key, owner_kind, owner_id, CAST(0 AS BIGINT) \
                    FROM sharing_resource WHERE tenant_id = $1 AND key = $2 \
                UNION ALL SELECT r.key, (r.id IS NOT NULL), r.type_key, r.parent_key, r.owner_kind, r.owner_id, \
                    up.level + 1 FROM up JOIN sharing_resource r ON r.key = up.parent_key WHERE up.level < $3) ",
            $after
        )
    };
}

statements! {
    /// The key of an identifier.
    pub(crate) KEY_OF = "SELECT key FROM sharing_resource WHERE tenant_id = $1 AND id = $2";
    /// The identifier of a key.
    pub(crate) ID_OF = "SELECT id, type_key FROM sharing_resource WHERE tenant_id = $1 AND key = $2";
    /// One resource as the engine sees it, in as many rows as there are grants on it, so many; in one where there are none.
    pub(crate) NODE = "SELECT r.key, (r.id IS NOT NULL), r.type_key, r.parent_key, r.owner_kind, r.owner_id, g.party_id, \
        g.permission_key, g.cascades, g.expires_at, g.party_kind FROM sharing_resource r \
        LEFT JOIN sharing_grant g ON g.resource_key = r.key WHERE r.tenant_id = $1 AND r.key = $2 LIMIT $3";
    /// The same of everything above one, itself included. Joined by a range of one: PostgreSQL, where it knows nothing of the
    /// tables yet, would rather read all grants once than look for those of each resource, if it could.
    pub(crate) NODES_UP = up!("SELECT up.key, up.alive, up.type_key, up.parent_key, up.owner_kind, up.owner_id, g.party_id, \
        g.permission_key, g.cascades, g.expires_at, g.party_kind FROM up \
        LEFT JOIN sharing_grant g ON g.resource_key BETWEEN up.key AND up.key LIMIT $4");
    /// A resource and everything above it, without grants.
    pub(crate) UP = up!("SELECT key, alive, type_key, parent_key, owner_kind, owner_id FROM up ORDER BY level");
    /// The grants on a resource, so many.
    pub(crate) GRANTS_ON = "SELECT resource_key, party_id, permission_key, cascades, expires_at, party_kind FROM sharing_grant \
        WHERE resource_key = $1 ORDER BY party_id, permission_key LIMIT $2";
    /// The grants on a resource behind one, so many.
    pub(crate) HELD_PAGE = "SELECT resource_key, party_id, permission_key, cascades, expires_at, party_kind FROM sharing_grant \
        WHERE resource_key = $1 AND (party_id, permission_key) > ($2, $3) ORDER BY party_id, permission_key LIMIT $4";
    /// What one party was granted on a resource.
    pub(crate) GRANTS_TO = "SELECT resource_key, party_id, permission_key, cascades, expires_at, party_kind FROM sharing_grant \
        WHERE resource_key = $1 AND party_id = $2 ORDER BY permission_key";
    /// The grants on a resource, a page of them, whole.
    pub(crate) GRANT_PAGE = "SELECT resource_key, party_id, permission_key, party_kind, cascades, expires_at, granted_kind, \
        granted_id, created_at FROM sharing_grant WHERE resource_key = $1 AND (party_id, permission_key) > ($2, $3) \
        ORDER BY party_id, permission_key LIMIT $4";
    /// One grant, whole.
    pub(crate) GRANT = "SELECT resource_key, party_id, permission_key, party_kind, cascades, expires_at, granted_kind, \
        granted_id, created_at FROM sharing_grant WHERE resource_key = $1 AND party_id = $2 AND permission_key = $3";
    /// What a party was granted on the resources of one block, behind a key.
    pub(crate) GRANTED_IN_BLOCK = "SELECT resource_key, permission_key, cascades, expires_at FROM sharing_grant \
        WHERE (resource_key >> 14) = $1 AND party_id = $2 AND resource_key > $3 ORDER BY resource_key LIMIT $4";
    /// What a party owns of the resources of one block, behind a key.
    pub(crate) OWNED_IN_BLOCK = "SELECT key FROM sharing_resource \
        WHERE (key >> 14) = $1 AND owner_id = $2 AND key > $3 ORDER BY key LIMIT $4";
    /// The tenant's next resource, from a key on.
    pub(crate) NEXT_KEY = "SELECT key FROM sharing_resource WHERE tenant_id = $1 AND key >= $2 ORDER BY key LIMIT 1";
    /// The children of a resource behind a key, as a walk down sees them, and whether each has children.
    pub(crate) CHILD_PAGE = "SELECT r.key, r.id, r.type_key, \
        EXISTS (SELECT 1 FROM sharing_resource c WHERE c.parent_key = r.key) FROM sharing_resource r \
        WHERE r.parent_key = $1 AND r.key > $2 AND r.id IS NOT NULL ORDER BY r.key LIMIT $3";
    /// How many rows a listing shows as shared: grants without those that have ended.
    pub(crate) COUNT_GRANTS = "SELECT COUNT(*) FROM (SELECT 1 AS one FROM sharing_grant WHERE resource_key = $1 \
        AND (expires_at IS NULL OR expires_at > $2) LIMIT 1000000) AS counted";
    /// How many levels there are below a resource, itself counted.
    pub(crate) HEIGHT = "WITH RECURSIVE down (key, level) AS (SELECT CAST($1 AS BIGINT), CAST(1 AS BIGINT) \
        UNION ALL SELECT r.key, down.level + 1 FROM down JOIN sharing_resource r ON r.parent_key = down.key \
        WHERE down.level < $2) SELECT MAX(level) FROM down";
}

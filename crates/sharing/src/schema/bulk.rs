//! Statements of loads and exports.

use keyreeve_store::statements;

statements! {
    /// A new grant; no row where it is there already.
    pub(crate) LOAD_GRANT = "INSERT INTO sharing_grant (resource_key, party_id, permission_key, party_kind, cascades, \
        expires_at, granted_kind, granted_id, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
        ON CONFLICT (resource_key, party_id, permission_key) DO NOTHING";
    /// The key and the type of an identifier.
    pub(crate) KEY_AND_TYPE_OF = "SELECT key, type_key FROM sharing_resource WHERE tenant_id = $1 AND id = $2";
    /// Whether something of the tenant was removed that is not swept away yet.
    pub(crate) GONE_IN = "SELECT key FROM sharing_resource WHERE id IS NULL AND tenant_id = $1 LIMIT 1";
    /// A tenant's resources without a parent behind a key.
    pub(crate) ROOTS = "SELECT r.key, r.id, r.type_key, r.parent_key, CAST(NULL AS TEXT), r.owner_kind, r.owner_id, \
        r.created_at, r.updated_at, r.version, r.name, r.description, r.full_text, r.attributes, r.metadata \
        FROM sharing_resource r WHERE r.tenant_id = $1 AND r.key > $2 AND r.id IS NOT NULL AND r.parent_key IS NULL \
        ORDER BY r.key LIMIT $3";
    /// Grants of a tenant's resources in their order, behind one, with the resource's identifier. Read in
    /// the order of the grants: see [`super::GRANTS_FROM`].
    pub(crate) EXPORT_GRANTS = "SELECT g.resource_key, g.party_id, g.permission_key, g.party_kind, g.cascades, g.expires_at, \
        g.granted_kind, g.granted_id, g.created_at, r.id FROM sharing_grant g \
        CROSS JOIN sharing_resource r WHERE r.key = g.resource_key AND r.tenant_id = $1 AND r.id IS NOT NULL AND r.key >= $2 \
        AND (g.resource_key, g.party_id, g.permission_key) > ($2, $3, $4) \
        ORDER BY g.resource_key, g.party_id, g.permission_key LIMIT $5";
}

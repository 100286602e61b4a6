//! Statements of loads and exports.

use keyreeve_store::statements;

statements! {
    /// A new grant; no row where it is there already.
    pub(crate) LOAD_GRANT = "INSERT INTO sharing_grant (resource_key, party_id, permission_key, party_kind, cascades, \
        expires_at, granted_kind, granted_id, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
        ON CONFLICT (resource_key, party_id, permission_key) DO NOTHING";
    /// Grants of a tenant's resources in their order, behind one, with the resource's identifier.
    pub(crate) EXPORT_GRANTS = "SELECT g.resource_key, g.party_id, g.permission_key, g.party_kind, g.cascades, g.expires_at, \
        g.granted_kind, g.granted_id, g.created_at, r.id FROM sharing_grant g \
        JOIN sharing_resource r ON r.key = g.resource_key \
        WHERE r.tenant_id = $1 AND r.id IS NOT NULL AND (g.resource_key, g.party_id, g.permission_key) > ($2, $3, $4) \
        ORDER BY g.resource_key, g.party_id, g.permission_key LIMIT $5";
}

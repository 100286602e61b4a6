//! The table of protocol mappers.

use keyreeve_store::{Migration, statements};

/// A mapper belongs to a tenant, or to one client of it.
pub(super) const MIGRATION: Migration = Migration {
    id: "tokens/0002_mappers",
    sql: "
CREATE TABLE claim_mapper (
    id {uuid} PRIMARY KEY,
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    client {uuid} REFERENCES oauth_client (id) ON DELETE CASCADE,
    settings {json} NOT NULL,
    created_at {time} NOT NULL,
    updated_at {time} NOT NULL,
    version {int} NOT NULL
) {strict};
CREATE INDEX claim_mapper_owner ON claim_mapper (tenant_id, client, id);
",
};

statements! {
    /// A new mapper.
    pub(crate) INSERT_MAPPER = "INSERT INTO claim_mapper (id, tenant_id, client, settings, created_at, updated_at, version) \
        VALUES ($1, $2, $3, $4, $5, $5, 1)";
    /// One mapper.
    pub(crate) MAPPER = "SELECT id, tenant_id, client, settings, created_at, updated_at, version FROM claim_mapper \
        WHERE tenant_id = $1 AND id = $2";
    /// A tenant's own mappers, oldest first.
    pub(crate) TENANT_MAPPERS = "SELECT id, tenant_id, client, settings, created_at, updated_at, version FROM claim_mapper \
        WHERE tenant_id = $1 AND client IS NULL ORDER BY id";
    /// A client's mappers, oldest first.
    pub(crate) CLIENT_MAPPERS = "SELECT id, tenant_id, client, settings, created_at, updated_at, version FROM claim_mapper \
        WHERE tenant_id = $1 AND client = $2 ORDER BY id";
    /// Writes a mapper's settings, if nobody else has since.
    pub(crate) UPDATE_MAPPER = "UPDATE claim_mapper SET settings = $4, updated_at = $5, version = version + 1 \
        WHERE tenant_id = $1 AND id = $2 AND version = $3";
    /// Forgets a mapper.
    pub(crate) DELETE_MAPPER = "DELETE FROM claim_mapper WHERE tenant_id = $1 AND id = $2";
    /// Holds whoever's mappers are to change, so that two who add one count each other's: the tenant.
    pub(crate) HOLD_TENANT = "SELECT id FROM tenant WHERE id = $1 {for_update}";
    /// The same, for a client.
    pub(crate) HOLD_CLIENT = "SELECT id FROM oauth_client WHERE tenant_id = $1 AND id = $2 {for_update}";
}

//! What grants and requests are bound to: resources, keys of which possession is proven, requests that were pushed.

use keyreeve_store::{Migration, statements};

/// A grant remembers for which resources it was made (RFC 8707) and to which key its code and its refresh token are
/// bound (RFC 9449 sections 10 and 5): thumbprints, nothing secret. A pushed request is sealed. Of a proof that was
/// seen, a digest is kept for as long as the proof could be shown again.
pub(super) const MIGRATION: Migration = Migration {
    id: "tokens/0003_bound_grants",
    sql: "
ALTER TABLE oauth_grant ADD COLUMN resources {json};
ALTER TABLE oauth_grant ADD COLUMN code_jkt {text};
ALTER TABLE oauth_grant ADD COLUMN refresh_jkt {text};

CREATE TABLE client_resource (
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    resource {text} NOT NULL,
    client {uuid} NOT NULL REFERENCES oauth_client (id) ON DELETE CASCADE,
    PRIMARY KEY (tenant_id, resource, client)
) {strict};
CREATE INDEX client_resource_client ON client_resource (client);

CREATE TABLE pushed_request (
    id {uuid} PRIMARY KEY,
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    client {uuid} NOT NULL REFERENCES oauth_client (id) ON DELETE CASCADE,
    sealed {blob} NOT NULL,
    expires_at {time} NOT NULL
) {strict};
CREATE INDEX pushed_request_expiry ON pushed_request (expires_at);

CREATE TABLE seen_proof (
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    digest {blob} NOT NULL,
    expires_at {time} NOT NULL,
    PRIMARY KEY (tenant_id, digest)
) {strict};
CREATE INDEX seen_proof_expiry ON seen_proof (expires_at);
",
};

statements! {
    /// A client answers for a resource.
    pub(crate) INSERT_RESOURCE = "INSERT INTO client_resource (tenant_id, resource, client) VALUES ($1, $2, $3) \
        ON CONFLICT (tenant_id, resource, client) DO NOTHING";
    /// Forgets for which resources a client answers.
    pub(crate) CLEAR_RESOURCES = "DELETE FROM client_resource WHERE client = $1";
    /// Whether somebody answers for a resource.
    pub(crate) RESOURCE_EXISTS = "SELECT COUNT(*) FROM client_resource WHERE tenant_id = $1 AND resource = $2";

    /// A request that was pushed.
    pub(crate) INSERT_PUSHED = "INSERT INTO pushed_request (id, tenant_id, client, sealed, expires_at) \
        VALUES ($1, $2, $3, $4, $5)";
    /// Takes a pushed request out: of any number of attempts, one gets it.
    pub(crate) TAKE_PUSHED = "DELETE FROM pushed_request WHERE tenant_id = $1 AND id = $2 AND client = $3 \
        RETURNING sealed, expires_at";
    /// Forgets pushed requests that nobody came for.
    pub(crate) PRUNE_PUSHED = "DELETE FROM pushed_request WHERE expires_at < $1";

    /// Notes that a proof was shown; zero rows mean that it was shown before.
    pub(crate) SEE_PROOF = "INSERT INTO seen_proof (tenant_id, digest, expires_at) VALUES ($1, $2, $3) \
        ON CONFLICT (tenant_id, digest) DO NOTHING";
    /// Forgets proofs that are too old to be shown again.
    pub(crate) PRUNE_PROOFS = "DELETE FROM seen_proof WHERE expires_at < $1";
}

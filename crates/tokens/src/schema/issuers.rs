//! Issuers whose assertions a tenant trusts (RFC 7523 section 2.1).

use keyreeve_store::{Migration, statements};

/// Of an assertion that was used, the digest of its `jti` is kept for as long as the assertion could be shown again.
pub(super) const MIGRATION: Migration = Migration {
    id: "tokens/0012_trusted_issuers",
    sql: "
CREATE TABLE trusted_issuer (
    id {uuid} PRIMARY KEY,
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    issuer {text} NOT NULL,
    settings {json} NOT NULL,
    created_at {time} NOT NULL,
    updated_at {time} NOT NULL,
    version {int} NOT NULL
) {strict};
CREATE UNIQUE INDEX trusted_issuer_name ON trusted_issuer (tenant_id, issuer);

CREATE TABLE used_issuer_jti (
    issuer {uuid} NOT NULL REFERENCES trusted_issuer (id) ON DELETE CASCADE,
    jti_digest {blob} NOT NULL,
    expires_at {time} NOT NULL,
    PRIMARY KEY (issuer, jti_digest)
) {strict};
CREATE INDEX used_issuer_jti_expiry ON used_issuer_jti (expires_at);
",
};

statements! {
    /// A new issuer; zero rows mean that it is trusted already.
    pub(crate) INSERT_ISSUER = "INSERT INTO trusted_issuer (id, tenant_id, issuer, settings, created_at, updated_at, version) \
        VALUES ($1, $2, $3, $4, $5, $5, 1) ON CONFLICT (tenant_id, issuer) DO NOTHING";
    /// A tenant's issuers, in the order of their making.
    pub(crate) ISSUERS = "SELECT id, tenant_id, issuer, settings, created_at, updated_at, version FROM trusted_issuer \
        WHERE tenant_id = $1 ORDER BY id LIMIT $2";
    /// One issuer.
    pub(crate) ISSUER = "SELECT id, tenant_id, issuer, settings, created_at, updated_at, version FROM trusted_issuer \
        WHERE tenant_id = $1 AND id = $2";
    /// How many there are.
    pub(crate) COUNT_ISSUERS = "SELECT COUNT(*) FROM trusted_issuer WHERE tenant_id = $1";
    /// Writes an issuer's settings, if nobody else has since.
    pub(crate) UPDATE_ISSUER = "UPDATE trusted_issuer SET settings = $4, updated_at = $5, version = version + 1 \
        WHERE tenant_id = $1 AND id = $2 AND version = $3";
    /// Forgets an issuer.
    pub(crate) DELETE_ISSUER = "DELETE FROM trusted_issuer WHERE tenant_id = $1 AND id = $2";
    /// Notes that an assertion was used; zero rows mean that it was used before.
    pub(crate) USE_ISSUER_JTI = "INSERT INTO used_issuer_jti (issuer, jti_digest, expires_at) VALUES ($1, $2, $3) \
        ON CONFLICT (issuer, jti_digest) DO NOTHING";
    /// Forgets assertions that would be refused as expired.
    pub(crate) PRUNE_ISSUER_JTIS = "DELETE FROM used_issuer_jti WHERE expires_at < $1";
}

//! Everything that is kept sealed, of all rooms, and the work of sealing it anew after a change of a tenant's data key.
//!
//! A room that keeps something sealed has a list of its own; it comes into [`columns`]. A test compares them with the
//! tables: every column of bytes is on a list, or said to hold nothing sealed.

use crate::{App, Error};
use keyreeve_base::TenantId;
use keyreeve_identity::{Cause, DEFAULT_SLUG, SealedColumn};
use serde_json::Value;
use std::sync::LazyLock;

/// Batches that one round makes for each tenant.
const BATCHES: usize = 50;

/// How many keys of secrets' versions are wrapped anew at a time.
const WRAPPED_AT_A_TIME: u16 = 500;

/// The sealed columns of every room, ordered by name.
#[must_use]
pub fn columns() -> &'static [&'static SealedColumn] {
    static ALL: LazyLock<Vec<&SealedColumn>> = LazyLock::new(|| {
        let rooms = [
            keyreeve_identity::SEALED,
            keyreeve_tokens::SEALED,
            keyreeve_events::SEALED,
            keyreeve_secrets::SEALED,
        ];
        let mut all: Vec<&SealedColumn> = rooms.into_iter().flatten().collect();
        all.sort_by_key(|column| column.name);
        all
    });
    &ALL
}

impl App {
    /// Writes into the audit log of the default tenant what was done with the master key.
    ///
    /// # Errors
    /// Those of the identity room.
    pub async fn note_master_key(
        &self,
        action: &'static str,
        detail: Value,
        cause: &Cause,
    ) -> Result<(), Error> {
        let tenants = self.identity.tenants();
        let Some(tenant) = tenants.by_slug(DEFAULT_SLUG).await? else { return Ok(()) };
        Ok(tenants.data_keys().note_master_key(tenant.id, action, detail, cause).await?)
    }

    /// Seals one batch of a tenant's values anew; answers whether there is more to do.
    ///
    /// # Errors
    /// Those of the rooms.
    pub async fn reseal(&self, tenant: TenantId) -> Result<bool, Error> {
        let tenants = self.identity.tenants();
        tenants.data_keys().prepare(tenant, columns()).await?;
        if self.secrets.rewrap(tenant, WRAPPED_AT_A_TIME).await? > 0 {
            return Ok(true);
        }
        Ok(tenants.data_keys().reseal(tenant, columns()).await?)
    }

    /// One bounded round for all tenants; answers whether there is more to do.
    ///
    /// # Errors
    /// Those of the identity room.
    pub async fn reseal_all(&self) -> Result<bool, Error> {
        let mut more = false;
        for tenant in self.identity.tenants().data_keys().unfinished().await? {
            more = true;
            for _ in 0..BATCHES {
                if !self.reseal(tenant).await? {
                    break;
                }
            }
        }
        Ok(more)
    }

    /// Destroys data keys that nothing needs any more, of all tenants; answers how many.
    ///
    /// # Errors
    /// Those of the tokens room.
    pub async fn destroy_data_keys(&self) -> Result<u64, Error> {
        let (mut after, mut destroyed) = (None, 0_u64);
        loop {
            let page = self.identity.tenants().data_keys().with_retired(after).await?;
            let Some(last) = page.last() else { return Ok(destroyed) };
            after = Some(*last);
            for tenant in page {
                destroyed = destroyed.saturating_add(self.tokens.destroy_data_keys(tenant, columns()).await?);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Columns of bytes that hold nothing sealed: digests, hashes of the audit chain, keys of counters, and data keys,
    /// which the master key wraps.
    const NOT_SEALED: &[&str] = &[
        "audit_entry.hash",
        "audit_entry.previous",
        "audit_head.hash",
        "client_registration.digest",
        "client_secret.digest",
        "compat_imqs_reset.digest",
        "compat_imqs_session.digest",
        "compat_insight_credential.secret_digest",
        "compat_insight_token.digest",
        "device_request.device_digest",
        "device_request.user_digest",
        "import_run.digest",
        "initial_access_token.digest",
        "oauth_grant.code_digest",
        "oauth_grant.refresh_digest",
        "recovery_code.digest",
        "secret_version.key_name",
        "recovery_token.digest",
        "seen_proof.digest",
        "service_secret.digest",
        "session.token_digest",
        "sharing_resource.metadata",
        "tenant_data_key.wrapped",
        "throttle.key",
        "used_issuer_jti.jti_digest",
        "used_jti.jti_digest",
    ];

    /// Sealed by keys that are wrapped themselves.
    const BY_OTHER_KEYS: &[&str] = &["secret_value.sealed"];

    /// Every column of bytes that the migrations make.
    fn columns_of_bytes() -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for migration in crate::migrations() {
            let mut table = "";
            for line in migration.sql.lines().map(str::trim) {
                let words: Vec<&str> = line.split_whitespace().collect();
                match words.as_slice() {
                    ["CREATE", "TABLE", name, ..] => table = name.trim_end_matches('('),
                    ["ALTER", "TABLE", name, "ADD", "COLUMN", column, kind, ..]
                        if kind.starts_with("{blob}") =>
                    {
                        found.insert(format!("{name}.{column}"));
                    }
                    [column, kind, ..] if kind.starts_with("{blob}") => {
                        found.insert(format!("{table}.{column}"));
                    }
                    _ => assert!(!line.contains("{blob}"), "{}: {line:?} is not understood", migration.id),
                }
            }
        }
        found
    }

    #[test]
    fn every_column_of_bytes_is_sealed_anew_or_said_to_hold_nothing_sealed() {
        let listed: BTreeSet<String> = columns().iter().map(|column| column.name.to_owned()).collect();
        let plain: BTreeSet<String> =
            NOT_SEALED.iter().chain(BY_OTHER_KEYS).map(|&name| name.to_owned()).collect();
        assert!(listed.is_disjoint(&plain));
        let known: BTreeSet<String> = listed.union(&plain).cloned().collect();
        assert_eq!(columns_of_bytes(), known);
        for name in columns_of_bytes().iter().filter(|name| name.contains("seal")) {
            assert!(
                listed.contains(name) || BY_OTHER_KEYS.contains(&name.as_str()),
                "{name} says itself that it is sealed"
            );
        }
    }
}

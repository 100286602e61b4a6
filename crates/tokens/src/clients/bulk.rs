//! Clients within an import's or export's transaction; see [`keyreeve_identity::bulk`], whose words these are.

use super::model::{Client, ClientSettings, check_client_id};
use super::service::{MAX_SECRETS, announce, client_from_row, secret_from_row, settings_to_text};
use crate::error::Error;
use crate::schema;
use keyreeve_base::{ClientId, TenantId, Timestamp};
use keyreeve_crypto::{Secret, TokenDigest};
use keyreeve_identity::bulk::{Fate, How, Mode, Outcome, Problem};
use keyreeve_store::{Tx, params};
use std::sync::Arc;
use uuid::Uuid;

/// The shortest secret that another server made and that is taken over, in bytes. What is stored of a secret is one
/// SHA-256, which a secret that could be guessed would not survive.
pub const MIN_SECRET_BYTES: usize = 24;

/// A secret as an import has it: only its digest, which opens nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRow {
    /// The digest.
    pub digest: TokenDigest,
    /// Until when it is good; none for ever.
    pub expires_at: Option<Timestamp>,
}

/// A client as an import has it.
#[derive(Debug, Clone)]
pub struct ClientRow {
    /// Its name on the wire.
    pub client_id: String,
    /// Everything that an operator sets.
    pub settings: ClientSettings,
    /// Its secrets; none leaves those of an existing client alone.
    pub secrets: Vec<SecretRow>,
}

/// What is stored of a secret that another server made.
///
/// # Errors
/// What is wrong with it: it is so short that it could be guessed.
pub fn adopt_secret(secret: &Secret) -> Result<TokenDigest, String> {
    if secret.expose().len() < MIN_SECRET_BYTES {
        return Err(format!("is shorter than {MIN_SECRET_BYTES} bytes, and could be guessed"));
    }
    Ok(TokenDigest::of(secret.expose()))
}

impl super::Clients<'_> {
    /// Looks at a row.
    ///
    /// # Errors
    /// What is wrong with it in any case.
    pub fn check_row(&self, row: &ClientRow) -> Result<(), Problem> {
        let named = |error| match error {
            Error::Invalid { field: field @ "client_id", problem } => Problem::new(field, problem),
            Error::Invalid { field, problem } => Problem::new(&format!("settings/{field}"), problem),
            other => Problem::new("settings", other.to_string()),
        };
        check_client_id(&row.client_id).map_err(named)?;
        row.settings.validate().map_err(named)?;
        if row.secrets.len() > MAX_SECRETS {
            return Err(Problem::new("secrets", format!("are more than {MAX_SECRETS}")));
        }
        if !row.secrets.is_empty() && !row.settings.auth_method.uses_secret() {
            return Err(Problem::new("secrets", "are for clients that authenticate by one"));
        }
        Ok(())
    }

    /// Applies one row that was looked at. A client that is new or changes has an entry of its own in the audit log.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn apply_row(&self, tx: &mut Tx<'_>, row: &ClientRow, how: &How) -> Result<Outcome, Error> {
        let name = params![how.tenant, row.client_id];
        let found = tx.query_opt(&schema::CLIENT_BY_NAME, &name, client_from_row).await?;
        let Some(before) = found else {
            let client = self.make(tx, row, how).await?;
            return Ok(Outcome { fate: Fate::Created, id: Some(client.id.uuid()) });
        };
        let of = |fate| Outcome { fate, id: Some(before.id.uuid()) };
        if how.mode == Mode::Create {
            return Ok(of(Fate::Skipped));
        }
        let stored = tx.query(&schema::SECRETS, &params![before.id], secret_from_row).await?;
        let held = |row: &SecretRow| {
            let same = |stored: &super::service::StoredSecret| {
                stored.digest == row.digest && stored.info.expires_at == row.expires_at
            };
            stored.iter().any(same)
        };
        let same_secrets =
            row.secrets.is_empty() || (row.secrets.len() == stored.len() && row.secrets.iter().all(held));
        if before.settings == row.settings && same_secrets {
            return Ok(of(Fate::Unchanged));
        }
        if how.trial {
            return Ok(of(Fate::Updated));
        }
        let now = self.0.now();
        let after = Client { settings: row.settings.clone(), updated_at: now, ..before.clone() };
        let text = settings_to_text(&after.settings)?;
        let values = params![how.tenant, after.id, before.version, text, now];
        if tx.execute(&schema::UPDATE_CLIENT, &values).await? == 0 {
            return Err(Error::VersionConflict);
        }
        if !same_secrets {
            for secret in &stored {
                tx.execute(&schema::DELETE_SECRET, &params![after.id, secret.info.id]).await?;
            }
            self.insert_secrets(tx, after.id, &row.secrets).await?;
        }
        announce(tx, self.0, &how.cause, &after, "client.update").await?;
        Ok(of(Fate::Updated))
    }

    async fn make(&self, tx: &mut Tx<'_>, row: &ClientRow, how: &How) -> Result<Arc<Client>, Error> {
        let now = self.0.now();
        let client = Arc::new(Client {
            id: self.0.0.world.new_id(),
            tenant_id: how.tenant,
            client_id: row.client_id.clone(),
            settings: row.settings.clone(),
            created_at: now,
            updated_at: now,
            version: 1,
        });
        if how.trial {
            return Ok(client);
        }
        let text = settings_to_text(&client.settings)?;
        let values = params![client.id, client.tenant_id, client.client_id, text, now];
        if tx.execute(&schema::INSERT_CLIENT, &values).await? == 0 {
            return Err(Error::Taken("client_id"));
        }
        self.insert_secrets(tx, client.id, &row.secrets).await?;
        announce(tx, self.0, &how.cause, &client, "client.create").await?;
        Ok(client)
    }

    async fn insert_secrets(
        &self,
        tx: &mut Tx<'_>,
        client: ClientId,
        secrets: &[SecretRow],
    ) -> Result<(), Error> {
        for secret in secrets {
            let id = self.0.0.world.new_uuid();
            let digest = secret.digest.as_bytes();
            let now = self.0.now();
            let row = params![id, client, digest, now, secret.expires_at];
            tx.execute(&schema::INSERT_SECRET, &row).await?;
        }
        Ok(())
    }

    /// The client of this name, in the caller's transaction.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn id_of(
        &self,
        tx: &mut Tx<'_>,
        tenant: TenantId,
        client_id: &str,
    ) -> Result<Option<ClientId>, Error> {
        if check_client_id(client_id).is_err() {
            return Ok(None);
        }
        let name = params![tenant, client_id];
        let found = tx.query_opt(&schema::CLIENT_BY_NAME, &name, client_from_row).await?;
        Ok(found.map(|client| client.id))
    }

    /// A page of the tenant's clients in the caller's transaction, with the digests of their secrets if these are asked
    /// for.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn page(
        &self,
        tx: &mut Tx<'_>,
        tenant: TenantId,
        (after, limit): (Uuid, i64),
        with_secrets: bool,
    ) -> Result<Vec<(Client, Vec<SecretRow>)>, Error> {
        let after = ClientId::from_uuid(after);
        let clients = tx.query(&schema::CLIENT_PAGE, &params![tenant, after, limit], client_from_row).await?;
        let mut page = Vec::with_capacity(clients.len());
        for client in clients {
            let mut secrets = Vec::new();
            if with_secrets {
                let stored = tx.query(&schema::SECRETS, &params![client.id], secret_from_row).await?;
                let row = |stored: super::service::StoredSecret| SecretRow {
                    digest: stored.digest,
                    expires_at: stored.info.expires_at,
                };
                secrets = stored.into_iter().map(row).collect();
            }
            page.push((client, secrets));
        }
        Ok(page)
    }
}

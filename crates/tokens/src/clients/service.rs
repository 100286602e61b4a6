//! The use cases of whoever manages clients, and the look-up by which every request finds its client.

use super::model::{Client, ClientSettings, NewClient, SecretInfo, check_client_id};
use crate::error::Error;
use crate::schema;
use crate::service::{Tokens, topic};
use keyreeve_base::{ClientId, TenantId, Timestamp, World};
use keyreeve_crypto::sign::VerifyingKey;
use keyreeve_crypto::{Alphabet, OpaqueToken, TokenDigest, random_text};
use keyreeve_identity::Cause;
use keyreeve_store::{Row, Tx, params};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// What client secrets begin with, so that scanners recognise a leaked one.
pub(crate) const SECRET_PREFIX: &str = "kr_cs_";
/// The most secrets that a client may have at a time: enough for an overlap, too few to hide a forgotten one.
pub(super) const MAX_SECRETS: usize = 5;
const MAX_PAGE: u16 = 500;

/// A stored secret.
pub(crate) struct StoredSecret {
    pub(crate) info: SecretInfo,
    pub(crate) digest: TokenDigest,
}

/// A client with what its authentication needs. Never leaves the room.
pub(crate) struct ClientRecord {
    pub(crate) client: Arc<Client>,
    pub(crate) secrets: Vec<StoredSecret>,
    pub(crate) keys: Vec<(Option<String>, VerifyingKey)>,
}

pub(super) fn client_from_row(row: &Row<'_>) -> Result<Client, keyreeve_store::Error> {
    let settings: String = row.get(3)?;
    Ok(Client {
        id: row.get(0)?,
        tenant_id: row.get(1)?,
        client_id: row.get(2)?,
        settings: settings_from_text(&settings)?,
        created_at: row.get(4)?,
        updated_at: row.get(5)?,
        version: row.get(6)?,
    })
}

pub(crate) fn settings_from_text(text: &str) -> Result<ClientSettings, keyreeve_store::Error> {
    serde_json::from_str(text).map_err(|e| keyreeve_store::Error::corrupt(format!("client settings: {e}")))
}

pub(super) fn settings_to_text(settings: &ClientSettings) -> Result<String, Error> {
    serde_json::to_string(settings).map_err(|e| Error::corrupt("client settings", e))
}

pub(super) fn secret_from_row(row: &Row<'_>) -> Result<StoredSecret, keyreeve_store::Error> {
    Ok(StoredSecret {
        info: SecretInfo { id: row.get(0)?, created_at: row.get(2)?, expires_at: row.get(3)? },
        digest: TokenDigest::from_bytes(row.get(1)?),
    })
}

impl Tokens {
    /// One client, as the transaction sees it.
    pub(crate) async fn client_in(
        &self,
        tx: &mut Tx<'_>,
        tenant: TenantId,
        id: ClientId,
    ) -> Result<Option<Client>, keyreeve_store::Error> {
        tx.query_opt(&schema::CLIENT_BY_ID, &params![tenant, id], client_from_row).await
    }
}

/// The use cases of clients.
#[derive(Clone, Copy)]
pub struct Clients<'a>(pub(crate) &'a Tokens);

impl Clients<'_> {
    /// Registers a client. Answers its secret, if it authenticates by one: this once, and never again.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the setting that is not acceptable; [`Error::Taken`] for the `client_id`.
    pub async fn create(
        &self,
        new: NewClient,
        cause: &Cause,
    ) -> Result<(Arc<Client>, Option<OpaqueToken>), Error> {
        new.settings.validate()?;
        let world = &self.0.0.world;
        let client_id = match new.client_id {
            Some(text) => {
                check_client_id(&text)?;
                text
            }
            None => random_text(world, Alphabet::Readable, 24).expose().to_owned(),
        };
        let now = self.0.now();
        let client = Arc::new(Client {
            id: world.new_id(),
            tenant_id: new.tenant_id,
            client_id,
            settings: new.settings,
            created_at: now,
            updated_at: now,
            version: 1,
        });
        let by_secret = client.settings.auth_method.uses_secret();
        let secret = by_secret.then(|| new_secret(world));
        let digest = secret.as_ref().map(OpaqueToken::digest);
        let (room, cause, made) = (self.0.clone(), cause.clone(), client.clone());
        self.0
            .0
            .store
            .write(async move |tx: &mut Tx<'_>| {
                cause.claim(tx, &room.0.world, ("client", made.id.uuid())).await?;
                insert_client(tx, &room, &made, digest.as_ref(), (&cause, "client.create")).await
            })
            .await?;
        Ok((client, secret))
    }

    /// The client of this name, from memory where that is allowed. A disabled client is answered, too.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn by_client_id(
        &self,
        tenant: TenantId,
        client_id: &str,
    ) -> Result<Option<Arc<Client>>, Error> {
        Ok(self.record(tenant, client_id).await?.map(|record| record.client.clone()))
    }

    pub(crate) async fn record(
        &self,
        tenant: TenantId,
        client_id: &str,
    ) -> Result<Option<Arc<ClientRecord>>, Error> {
        let name = client_id.to_owned();
        // Only what exists is remembered: nobody fills the cache by asking for names.
        let found = self.0.0.clients.get_with(tenant, &name, || self.load(tenant, name.clone())).await;
        match found {
            Ok(record) => Ok(Some(record)),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn load(&self, tenant: TenantId, name: String) -> Result<Arc<ClientRecord>, Error> {
        let (client, secrets) = self
            .0
            .0
            .store
            .read(async move |tx: &mut Tx<'_>| {
                let found =
                    tx.query_opt(&schema::CLIENT_BY_NAME, &params![tenant, &name], client_from_row).await?;
                let client = found.ok_or(Error::NotFound("client"))?;
                let secrets = tx.query(&schema::SECRETS, &params![client.id], secret_from_row).await?;
                Ok::<_, Error>((client, secrets))
            })
            .await?;
        let mut keys = Vec::with_capacity(client.settings.jwks.len());
        for jwk in &client.settings.jwks {
            keys.push((
                jwk.kid.clone(),
                VerifyingKey::from_jwk(jwk).map_err(|e| Error::corrupt("client key", e))?,
            ));
        }
        Ok(Arc::new(ClientRecord { client: Arc::new(client), secrets, keys }))
    }

    /// One client, by its row.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn get(&self, tenant: TenantId, id: ClientId) -> Result<Client, Error> {
        self.0
            .0
            .store
            .read(async move |tx: &mut Tx<'_>| {
                let found =
                    tx.query_opt(&schema::CLIENT_BY_ID, &params![tenant, id], client_from_row).await?;
                found.ok_or(Error::NotFound("client"))
            })
            .await
    }

    /// A page of a tenant's clients in the order of their making, those after `after`; at most 500.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn list(
        &self,
        tenant: TenantId,
        after: Option<ClientId>,
        limit: u16,
    ) -> Result<Vec<Client>, Error> {
        let after = after.unwrap_or(ClientId::from_uuid(Uuid::nil()));
        let limit = i64::from(limit.clamp(1, MAX_PAGE));
        self.0
            .0
            .store
            .read(async move |tx: &mut Tx<'_>| {
                Ok(tx.query(&schema::CLIENT_PAGE, &params![tenant, after, limit], client_from_row).await?)
            })
            .await
    }

    /// Replaces a client's settings, if it still is at `version`.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::VersionConflict`], [`Error::Invalid`].
    pub async fn update(
        &self,
        client: &Client,
        settings: ClientSettings,
        cause: &Cause,
    ) -> Result<Client, Error> {
        settings.validate()?;
        let (room, cause, before) = (self.0.clone(), cause.clone(), client.clone());
        self.0
            .0
            .store
            .write(async move |tx: &mut Tx<'_>| {
                update_client(tx, &room, &before, settings.clone(), (&cause, "client.update")).await
            })
            .await
    }

    /// Removes a client with its secrets, grants, consents and roles. Its tokens end with it.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn delete(&self, tenant: TenantId, id: ClientId, cause: &Cause) -> Result<(), Error> {
        let (room, cause) = (self.0.clone(), cause.clone());
        self.0
            .0
            .store
            .write(async move |tx: &mut Tx<'_>| {
                let found =
                    tx.query_opt(&schema::CLIENT_BY_ID, &params![tenant, id], client_from_row).await?;
                let client = found.ok_or(Error::NotFound("client"))?;
                tx.execute(&schema::DELETE_CLIENT, &params![tenant, id]).await?;
                room.0.identity.roles().remove_application(tx, tenant, id, &cause).await?;
                let target = ("client", id.to_string());
                let detail = json!({"client_id": client.client_id});
                room.record(tx, &cause, tenant, "client.delete", target, detail).await?;
                tx.changed(Some(tenant), topic::CLIENT, &client.client_id).await?;
                Ok(())
            })
            .await
    }

    /// What may be known of a client's secrets, oldest first.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn secrets(&self, client: &Client) -> Result<Vec<SecretInfo>, Error> {
        let id = client.id;
        self.0
            .0
            .store
            .read(async move |tx: &mut Tx<'_>| {
                let secrets = tx.query(&schema::SECRETS, &params![id], secret_from_row).await?;
                Ok(secrets.into_iter().map(|secret| secret.info).collect())
            })
            .await
    }

    /// Makes a further secret. The others go on working for `overlap`, so that the application can be changed over
    /// without an interruption.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a client that does not authenticate by a secret, or has too many.
    pub async fn add_secret(
        &self,
        client: &Client,
        overlap: Duration,
        cause: &Cause,
    ) -> Result<(SecretInfo, OpaqueToken), Error> {
        if !client.settings.auth_method.uses_secret() {
            return Err(Error::invalid("auth_method", "is not one that uses a secret"));
        }
        let secret = OpaqueToken::generate_with_prefix(&self.0.0.world, SECRET_PREFIX);
        let digest = secret.digest();
        let (id, until) = (self.0.0.world.new_uuid(), self.0.now().plus(overlap));
        let (room, cause, client) = (self.0.clone(), cause.clone(), client.clone());
        let info = self
            .0
            .0
            .store
            .write(async move |tx: &mut Tx<'_>| {
                cause.claim(tx, &room.0.world, ("client_secret", id)).await?;
                tx.execute(&schema::PRUNE_SECRETS, &params![client.id, room.now()]).await?;
                let others = tx.query(&schema::SECRETS, &params![client.id], secret_from_row).await?;
                if others.len() >= MAX_SECRETS {
                    return Err(Error::invalid(
                        "secrets",
                        format!("are {MAX_SECRETS} already; revoke one first"),
                    ));
                }
                let info = insert_secret_of(tx, &room, (client.id, id), &digest).await?;
                tx.execute(&schema::EXPIRE_SECRETS, &params![client.id, info.id, until]).await?;
                announce_secret(tx, &room, &cause, &client, "client.secret.create", info.id).await?;
                Ok(info)
            })
            .await?;
        Ok((info, secret))
    }

    /// Ends one secret at once.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn revoke_secret(&self, client: &Client, secret: Uuid, cause: &Cause) -> Result<(), Error> {
        let (room, cause, client) = (self.0.clone(), cause.clone(), client.clone());
        self.0
            .0
            .store
            .write(async move |tx: &mut Tx<'_>| {
                if tx.execute(&schema::DELETE_SECRET, &params![client.id, secret]).await? == 0 {
                    return Err(Error::NotFound("secret"));
                }
                announce_secret(tx, &room, &cause, &client, "client.secret.revoke", secret).await?;
                Ok(())
            })
            .await
    }
}

/// Notes for which resources the client answers, so that a request can name them.
async fn insert_resources(tx: &mut Tx<'_>, client: &Client) -> Result<(), keyreeve_store::Error> {
    for resource in &client.settings.resources {
        let row = params![client.tenant_id, resource, client.id];
        tx.execute(&schema::INSERT_RESOURCE, &row).await?;
    }
    Ok(())
}

/// A new secret of a client.
pub(crate) fn new_secret(world: &World) -> OpaqueToken {
    OpaqueToken::generate_with_prefix(world, SECRET_PREFIX)
}

/// Stores a client in the caller's transaction.
pub(crate) async fn insert_client(
    tx: &mut Tx<'_>,
    room: &Tokens,
    client: &Client,
    secret: Option<&TokenDigest>,
    (cause, action): (&Cause, &'static str),
) -> Result<(), Error> {
    let text = settings_to_text(&client.settings)?;
    let row = params![client.id, client.tenant_id, client.client_id, text, client.created_at];
    if tx.execute(&schema::INSERT_CLIENT, &row).await? == 0 {
        return Err(Error::Taken("client_id"));
    }
    insert_resources(tx, client).await?;
    if let Some(digest) = secret {
        insert_secret(tx, room, client.id, digest).await?;
    }
    announce(tx, room, cause, client, action).await
}

/// Replaces a client's settings in the caller's transaction, if it still is at the version that was read.
pub(crate) async fn update_client(
    tx: &mut Tx<'_>,
    room: &Tokens,
    client: &Client,
    settings: ClientSettings,
    (cause, action): (&Cause, &'static str),
) -> Result<Client, Error> {
    let (tenant, id, version) = (client.tenant_id, client.id, client.version);
    let changed =
        Client { settings, updated_at: room.now(), version: version.saturating_add(1), ..client.clone() };
    let text = settings_to_text(&changed.settings)?;
    let row = params![tenant, id, version, text, changed.updated_at];
    if tx.execute(&schema::UPDATE_CLIENT, &row).await? == 0 {
        let found = tx.query_opt(&schema::CLIENT_BY_ID, &params![tenant, id], client_from_row).await?;
        return Err(found.map_or(Error::NotFound("client"), |_| Error::VersionConflict));
    }
    tx.execute(&schema::CLEAR_RESOURCES, &params![id]).await?;
    insert_resources(tx, &changed).await?;
    announce(tx, room, cause, &changed, action).await?;
    Ok(changed)
}

pub(crate) async fn insert_secret(
    tx: &mut Tx<'_>,
    room: &Tokens,
    client: ClientId,
    digest: &TokenDigest,
) -> Result<SecretInfo, keyreeve_store::Error> {
    insert_secret_of(tx, room, (client, room.0.world.new_uuid()), digest).await
}

async fn insert_secret_of(
    tx: &mut Tx<'_>,
    room: &Tokens,
    (client, id): (ClientId, Uuid),
    digest: &TokenDigest,
) -> Result<SecretInfo, keyreeve_store::Error> {
    let info = SecretInfo { id, created_at: room.now(), expires_at: None };
    let expires_at: Option<Timestamp> = None;
    tx.execute(
        &schema::INSERT_SECRET,
        &params![info.id, client, digest.as_bytes(), info.created_at, expires_at],
    )
    .await?;
    Ok(info)
}

pub(super) async fn announce(
    tx: &mut Tx<'_>,
    room: &Tokens,
    cause: &Cause,
    client: &Client,
    action: &'static str,
) -> Result<(), Error> {
    let settings =
        serde_json::to_value(&client.settings).map_err(|e| Error::corrupt("client settings", e))?;
    let detail = json!({"client_id": client.client_id, "settings": settings});
    let target = ("client", client.id.to_string());
    room.record(tx, cause, client.tenant_id, action, target, detail).await?;
    tx.changed(Some(client.tenant_id), topic::CLIENT, &client.client_id).await?;
    Ok(())
}

#[allow(clippy::too_many_arguments, reason = "the two callers differ in the last two")]
async fn announce_secret(
    tx: &mut Tx<'_>,
    room: &Tokens,
    cause: &Cause,
    client: &Client,
    action: &'static str,
    secret: Uuid,
) -> Result<(), Error> {
    let target = ("client", client.id.to_string());
    let detail = json!({"client_id": client.client_id, "secret": secret});
    room.record(tx, cause, client.tenant_id, action, target, detail).await?;
    tx.changed(Some(client.tenant_id), topic::CLIENT, &client.client_id).await?;
    Ok(())
}

//! The use cases of whoever manages mappers, and the facts that mappers are evaluated with.

use super::evaluate::{Facts, GroupFact, Mapped, Wanted, evaluate};
use super::model::{MAX_MAPPERS, Mapper, MapperSettings, Membership, Source};
use crate::error::Error;
use crate::schema;
use crate::service::{Tokens, topic};
use keyreeve_base::{ClientId, TenantId};
use keyreeve_identity::{Cause, EffectiveRoles, Party};
use keyreeve_store::{Tx, params};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// The change feed's key for the mappers of a tenant, which concern all of its clients.
const EVERY_CLIENT: &str = "*";

/// The use cases of mappers.
#[derive(Clone, Copy)]
pub struct Mappers<'a>(pub(crate) &'a Tokens);

fn settings_text(settings: &MapperSettings) -> Result<String, Error> {
    serde_json::to_string(settings).map_err(|e| Error::corrupt("mapper settings", e))
}

impl Mappers<'_> {
    /// Makes a mapper for the tokens of one client, or of all clients of the tenant.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the setting that is not acceptable, `mappers` when there are [`MAX_MAPPERS`] already;
    /// [`Error::Taken`] for the name; [`Error::NotFound`] for the client, or for the client whose roles are meant.
    pub async fn create(
        &self,
        (tenant, client): (TenantId, Option<ClientId>),
        settings: MapperSettings,
        cause: &Cause,
    ) -> Result<Mapper, Error> {
        settings.validate()?;
        let now = self.0.now();
        let mapper = Mapper {
            id: self.0.0.world.new_uuid(),
            tenant_id: tenant,
            client,
            settings,
            created_at: now,
            updated_at: now,
            version: 1,
        };
        let (room, cause, made) = (self.0.clone(), cause.clone(), mapper.clone());
        self.0
            .0
            .store
            .write(async move |tx: &mut Tx<'_>| {
                cause.claim(tx, &room.0.world, ("mapper", made.id)).await?;
                hold_owner(tx, tenant, client).await?;
                check_against_others(tx, &made).await?;
                let text = settings_text(&made.settings)?;
                let row = params![made.id, tenant, client, text, made.created_at];
                tx.execute(&schema::INSERT_MAPPER, &row).await?;
                announce(tx, &room, &cause, &made, "mapper.create").await
            })
            .await?;
        Ok(mapper)
    }

    /// One mapper.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn get(&self, tenant: TenantId, id: Uuid) -> Result<Mapper, Error> {
        self.0
            .0
            .store
            .read(async move |tx: &mut Tx<'_>| {
                let found = tx.query_opt(&schema::MAPPER, &params![tenant, id], Mapper::from_row).await?;
                found.ok_or(Error::NotFound("mapper"))
            })
            .await
    }

    /// The mappers of a tenant, or those of one client: all of them, oldest first, which is the order in which they are
    /// evaluated. At most [`MAX_MAPPERS`].
    ///
    /// # Errors
    /// [`Error::NotFound`] for the client.
    pub async fn list(&self, tenant: TenantId, client: Option<ClientId>) -> Result<Vec<Mapper>, Error> {
        if let Some(client) = client {
            self.0.clients().get(tenant, client).await?;
        }
        self.0.0.store.read(async move |tx: &mut Tx<'_>| Ok(of_owner(tx, tenant, client).await?)).await
    }

    /// Replaces a mapper's settings, if it still is at its version.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::VersionConflict`], [`Error::Invalid`], [`Error::Taken`].
    pub async fn update(
        &self,
        mapper: &Mapper,
        settings: MapperSettings,
        cause: &Cause,
    ) -> Result<Mapper, Error> {
        settings.validate()?;
        let version = mapper.version;
        let changed = Mapper {
            settings,
            updated_at: self.0.now(),
            version: version.saturating_add(1),
            ..mapper.clone()
        };
        let (room, cause, after) = (self.0.clone(), cause.clone(), changed.clone());
        self.0
            .0
            .store
            .write(async move |tx: &mut Tx<'_>| {
                let tenant = after.tenant_id;
                hold_owner(tx, tenant, after.client).await?;
                check_against_others(tx, &after).await?;
                let text = settings_text(&after.settings)?;
                let row = params![tenant, after.id, version, text, after.updated_at];
                if tx.execute(&schema::UPDATE_MAPPER, &row).await? == 0 {
                    let found =
                        tx.query_opt(&schema::MAPPER, &params![tenant, after.id], Mapper::from_row).await?;
                    return Err(found.map_or(Error::NotFound("mapper"), |_| Error::VersionConflict));
                }
                announce(tx, &room, &cause, &after, "mapper.update").await
            })
            .await?;
        Ok(changed)
    }

    /// Removes a mapper, if it is at `version` where one is named. Tokens that were issued keep what they say.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::VersionConflict`].
    pub async fn delete(
        &self,
        (tenant, id): (TenantId, Uuid),
        version: Option<i64>,
        cause: &Cause,
    ) -> Result<(), Error> {
        let (room, cause) = (self.0.clone(), cause.clone());
        self.0
            .0
            .store
            .write(async move |tx: &mut Tx<'_>| {
                let found = tx.query_opt(&schema::MAPPER, &params![tenant, id], Mapper::from_row).await?;
                let mapper = found.ok_or(Error::NotFound("mapper"))?;
                if version.is_some_and(|version| version != mapper.version) {
                    return Err(Error::VersionConflict);
                }
                if tx.execute(&schema::DELETE_MAPPER, &params![tenant, id]).await? == 0 {
                    return Err(Error::NotFound("mapper"));
                }
                announce(tx, &room, &cause, &mapper, "mapper.delete").await
            })
            .await
    }
}

async fn of_owner(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    client: Option<ClientId>,
) -> Result<Vec<Mapper>, keyreeve_store::Error> {
    match client {
        Some(client) => tx.query(&schema::CLIENT_MAPPERS, &params![tenant, client], Mapper::from_row).await,
        None => tx.query(&schema::TENANT_MAPPERS, &params![tenant], Mapper::from_row).await,
    }
}

/// Keeps whoever the mapper belongs to until the transaction ends, so that of two who add one, the second sees the first.
async fn hold_owner(tx: &mut Tx<'_>, tenant: TenantId, client: Option<ClientId>) -> Result<(), Error> {
    let (found, what) = match client {
        Some(client) => (
            tx.query_opt(&schema::HOLD_CLIENT, &params![tenant, client], |row| row.get::<Uuid>(0)).await?,
            "client",
        ),
        None => {
            (tx.query_opt(&schema::HOLD_TENANT, &params![tenant], |row| row.get::<Uuid>(0)).await?, "tenant")
        }
    };
    found.map(drop).ok_or(Error::NotFound(what))
}

async fn check_against_others(tx: &mut Tx<'_>, mapper: &Mapper) -> Result<(), Error> {
    let tenant = mapper.tenant_id;
    let others = of_owner(tx, tenant, mapper.client).await?;
    let others: Vec<&Mapper> = others.iter().filter(|other| other.id != mapper.id).collect();
    if others.len() >= MAX_MAPPERS {
        return Err(Error::invalid("mappers", format!("are {MAX_MAPPERS} already; remove one first")));
    }
    if others.iter().any(|other| other.settings.name == mapper.settings.name) {
        return Err(Error::Taken("name"));
    }
    if let Source::ClientRoles { client: Some(client) } = &mapper.settings.source {
        let row = params![tenant, *client];
        let found = tx.query_opt(&schema::HOLD_CLIENT, &row, |row| row.get::<Uuid>(0)).await?;
        found.ok_or_else(|| Error::invalid("source.client", "is no client of this tenant"))?;
    }
    Ok(())
}

async fn announce(
    tx: &mut Tx<'_>,
    room: &Tokens,
    cause: &Cause,
    mapper: &Mapper,
    action: &'static str,
) -> Result<(), Error> {
    let settings =
        serde_json::to_value(&mapper.settings).map_err(|e| Error::corrupt("mapper settings", e))?;
    let detail = json!({"client": mapper.client, "settings": settings});
    let tenant = mapper.tenant_id;
    room.record(tx, cause, tenant, action, ("mapper", mapper.id.to_string()), detail).await?;
    let key = mapper.client.map_or_else(|| EVERY_CLIENT.to_owned(), |client| client.to_string());
    tx.changed(Some(tenant), topic::MAPPER, &key).await?;
    Ok(())
}

/// Of whom claims are to tell.
#[derive(Clone, Copy)]
pub(crate) struct About<'a> {
    pub(crate) tenant: TenantId,
    /// Its place in the directory; an OAuth client has none.
    pub(crate) party: Option<Party>,
    pub(crate) attributes: Option<&'a BTreeMap<String, Vec<String>>>,
    /// The client that the token is issued to; none for a service account, which is its own.
    pub(crate) client: Option<ClientId>,
}

/// The mappers of a client's tokens, and what they need to be evaluated.
#[derive(Default)]
pub(crate) struct Known<'a> {
    mappers: Option<Arc<[Mapper]>>,
    facts: Facts<'a>,
}

impl Known<'_> {
    /// What the mappers say here and now.
    pub(crate) fn say(&self, wanted: &Wanted<'_>) -> Mapped {
        let Some(mappers) = &self.mappers else { return Mapped::default() };
        let mapped = evaluate(mappers, &self.facts, wanted);
        for mapper in &mapped.left_out {
            metrics::counter!("keyreeve_claims_left_out_total").increment(1);
            tracing::warn!(mapper, "a mapped claim would be too large and is left out");
        }
        mapped
    }
}

impl Tokens {
    /// The use cases of mappers.
    #[must_use]
    pub const fn mappers(&self) -> Mappers<'_> {
        Mappers(self)
    }

    /// The mappers of a client's tokens, the tenant's first; from memory where that is allowed.
    async fn mappers_of(&self, tenant: TenantId, client: Option<ClientId>) -> Result<Arc<[Mapper]>, Error> {
        let store = &self.0.store;
        let key = client.unwrap_or(ClientId::from_uuid(Uuid::nil()));
        self.0
            .mappers
            .get_with(tenant, &key, || async move {
                let all = store
                    .read(async move |tx: &mut Tx<'_>| {
                        let mut all = of_owner(tx, tenant, None).await?;
                        if client.is_some() {
                            all.extend(of_owner(tx, tenant, client).await?);
                        }
                        Ok::<_, keyreeve_store::Error>(all)
                    })
                    .await?;
                Ok(all.into())
            })
            .await
    }

    /// What is known of whom tokens tell. Nothing is looked up that no mapper asks for.
    pub(crate) async fn known<'a>(&self, about: About<'a>) -> Result<Known<'a>, Error> {
        let mappers = self.mappers_of(about.tenant, about.client).await?;
        if mappers.is_empty() {
            return Ok(Known::default());
        }
        let asks = |ask: fn(&Source) -> bool| mappers.iter().any(|mapper| ask(&mapper.settings.source));
        let of_roles = asks(|source| matches!(source, Source::TenantRoles {} | Source::ClientRoles { .. }));
        let roles = match about.party.filter(|_| of_roles) {
            Some(party) => self.0.identity.roles().effective_of(about.tenant, party).await?,
            None => Arc::<EffectiveRoles>::default(),
        };
        let groups = match about.party.filter(|_| asks(|source| matches!(source, Source::Groups { .. }))) {
            Some(party) => {
                let direct =
                    asks(|source| matches!(source, Source::Groups { membership: Membership::Direct, .. }));
                self.groups_of(about.tenant, party, direct).await?
            }
            None => Vec::new(),
        };
        Ok(Known { facts: Facts { attributes: about.attributes, roles, groups }, mappers: Some(mappers) })
    }

    async fn groups_of(&self, tenant: TenantId, party: Party, direct: bool) -> Result<Vec<GroupFact>, Error> {
        let groups = self.0.identity.groups();
        let own = if direct { groups.direct_of(tenant, party).await? } else { Vec::new() };
        let ids = groups.of_party(tenant, party).await?;
        let mut facts = Vec::with_capacity(ids.len());
        for id in ids.iter().copied() {
            // One that was removed in the meantime holds nobody any more.
            if let Some(group) = groups.by_id(tenant, id).await? {
                let direct = own.iter().any(|(member_of, _)| *member_of == id);
                facts.push(GroupFact { id, name: group.name.clone(), direct });
            }
        }
        Ok(facts)
    }
}

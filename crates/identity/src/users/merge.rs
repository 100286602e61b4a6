//! Merging two accounts of one person into one.

use super::model::{Patch, Profile, ProfilePatch, User};
use super::service::{self, StateChange, Users};
use crate::directory::{self, Party};
use crate::{Authority, Cause, Error, schema, service_accounts};
use keyreeve_base::{ServiceAccountId, TenantId, UserId};
use keyreeve_store::{Tx, params};
use serde_json::json;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};

/// A field that the kept account can take over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MergeField {
    /// The name to sign in with.
    Username,
    /// The e-mail address, and whether it was verified.
    Email,
    /// Given name.
    GivenName,
    /// Family name.
    FamilyName,
    /// The name as it is shown.
    DisplayName,
    /// Phone number.
    PhoneNumber,
    /// Language.
    Locale,
    /// Time zone.
    Zoneinfo,
    /// Those attributes that the kept account does not have.
    Attributes,
}

/// What else goes from one account to the other, in rooms above this one.
///
/// It is asked within the transaction of the merge, so that whoever asks sees all of it or nothing.
pub trait Carry: Send + Sync {
    /// Gives what is `absorb`'s to `keep`, and announces that; answers how much of what it was, for the audit log.
    fn carry<'t>(&'t self, tx: &'t mut Tx<'_>, tenant: TenantId, merge: (UserId, UserId)) -> Carried<'t>;
}

/// What [`Carry::carry`] answers, later: names with numbers.
pub type Carried<'t> = Pin<Box<dyn Future<Output = Result<Vec<(&'static str, u64)>, Error>> + 't>>;

/// Two accounts that become one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merge {
    /// The account that goes on.
    pub keep: UserId,
    /// The account that goes up in it.
    pub absorb: UserId,
    /// What the kept account takes from the other, where that has it. All else stays as the kept account has it.
    pub take: Vec<MergeField>,
    /// The version that the kept account is expected to be at.
    pub version: Option<i64>,
}

impl Users<'_> {
    /// Merges two accounts of the authority's tenant: the kept one gets the memberships (of each group the stronger), the
    /// roles and the service accounts of the other, and the fields that were chosen. The other is archived, with a note
    /// of where it went ([`Users::merged_into`]). Rooms above give the kept account what they hold of the other's in the
    /// same transaction ([`Users::carry_on_merge`]).
    ///
    /// The sessions and grants of the absorbed account end, and its password and second factors go: they were proofs
    /// and permissions of another subject, whose identifier stands in every token that was issued to it. Whoever owns
    /// both signs in to the kept one.
    ///
    /// It takes the authority over the whole tenant, since roles are given on the way: so nobody gains what whoever
    /// merges could not give.
    ///
    /// # Errors
    /// [`Error::NotFound`] for either user, also where they are archived, of another tenant, or the authority is not
    /// over the whole tenant; [`Error::Invalid`] for an account and itself; [`Error::VersionConflict`].
    pub async fn merge(self, authority: &Authority, merge: Merge, cause: &Cause) -> Result<Arc<User>, Error> {
        let tenant = authority.tenant();
        if !authority.may_manage_tenant() {
            return Err(Error::NotFound("user"));
        }
        if merge.keep == merge.absorb {
            return Err(Error::invalid("absorb", "is the account that is kept"));
        }
        let (identity, cause) = (self.0.clone(), cause.clone());
        let kept = self
            .0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                // In the order of identifiers, so that two who merge the same accounts do not wait for each other.
                let first = service::hold_user(tx, tenant, merge.keep.min(merge.absorb)).await?;
                let second = service::hold_user(tx, tenant, merge.keep.max(merge.absorb)).await?;
                let (keep, absorb) =
                    if first.id == merge.keep { (first, second) } else { (second, first) };
                crate::check_version(merge.version, keep.version)?;
                let patch = taken(&keep.profile, &absorb.profile, &merge.take);
                let moved = move_holdings(tx, (tenant, keep.id, absorb.id), identity.world().now()).await?;
                // Its names are free once it is archived.
                let gone = absorb.id;
                service::change_held(tx, &identity, absorb, StateChange::Archive, &cause).await?;
                tx.execute(&schema::NOTE_MERGE, &params![tenant, gone, keep.id]).await?;
                let kept = match patch.apply(keep.profile.clone())?.0 == keep.profile {
                    true => keep,
                    false => service::update_held(tx, &identity, keep, &patch, &cause).await?,
                };
                let mut carried = BTreeMap::new();
                for carrier in identity.carriers() {
                    carried.extend(carrier.carry(tx, tenant, (kept.id, gone)).await?);
                }
                let detail = json!({
                    "carried": carried, "absorbed": gone, "fields": merge.take,
                    "memberships": moved.memberships, "roles": moved.roles, "service_accounts": moved.services,
                });
                let event = cause.done(tenant, "user.merge", ("user", kept.id.to_string()), detail);
                keyreeve_audit::record(tx, identity.world(), &event).await?;
                Ok::<_, Error>(kept)
            })
            .await?;
        Ok(Arc::new(kept))
    }

    /// Has something more go along whenever two accounts are merged. For rooms above, when they are set up.
    pub fn carry_on_merge(self, carrier: Arc<dyn Carry>) {
        self.0.0.carriers.write().unwrap_or_else(PoisonError::into_inner).push(carrier);
    }

    /// The account that an archived one went up in.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn merged_into(self, tenant: TenantId, id: UserId) -> Result<Option<UserId>, Error> {
        let read = async move |tx: &mut Tx<'_>| {
            Ok(tx.query_opt(&schema::MERGED_INTO, &params![tenant, id], |row| row.get(0)).await?)
        };
        self.0.store().read(read).await
    }
}

/// How much went from one account to the other.
struct Moved {
    memberships: u64,
    roles: u64,
    services: usize,
}

async fn move_holdings(
    tx: &mut Tx<'_>,
    (tenant, keep, absorb): (TenantId, UserId, UserId),
    now: keyreeve_base::Timestamp,
) -> Result<Moved, Error> {
    let of = params![tenant, keep, absorb];
    let mut memberships = 0_u64;
    for statement in [&schema::RAISE_MEMBERSHIPS, &schema::RAISE_TO_ADMIN, &schema::COPY_MEMBERSHIPS] {
        memberships = memberships.saturating_add(held(tx.execute(statement, &of).await)?);
    }
    let given = tx.execute(&schema::COPY_ROLES, &params![tenant, keep, absorb, now]).await;
    let roles = held(given)?;
    directory::party_changed(tx, tenant, Party::User(keep)).await?;
    let services = tx
        .query(&schema::MOVE_SERVICES, &params![tenant, keep, absorb, now], |row| {
            row.get::<ServiceAccountId>(0)
        })
        .await?;
    for service in &services {
        tx.changed(Some(tenant), service_accounts::TOPIC, &service.to_string()).await?;
    }
    Ok(Moved { memberships, roles, services: services.len() })
}

/// A group or role that was removed at this moment: whoever asks again finds it gone.
fn held(written: Result<u64, keyreeve_store::Error>) -> Result<u64, Error> {
    match written {
        Err(keyreeve_store::Error::ForeignKey) => Err(Error::VersionConflict),
        written => Ok(written?),
    }
}

/// What changes of the kept profile.
fn taken(keep: &Profile, absorb: &Profile, take: &[MergeField]) -> ProfilePatch {
    let mut patch = ProfilePatch::default();
    for field in take {
        let (to, from) = match field {
            MergeField::Username => (&mut patch.username, &absorb.username),
            MergeField::Email => {
                if absorb.email.is_some() {
                    patch.email_verified = Some(absorb.email_verified);
                }
                (&mut patch.email, &absorb.email)
            }
            MergeField::GivenName => (&mut patch.given_name, &absorb.given_name),
            MergeField::FamilyName => (&mut patch.family_name, &absorb.family_name),
            MergeField::DisplayName => (&mut patch.display_name, &absorb.display_name),
            MergeField::PhoneNumber => (&mut patch.phone_number, &absorb.phone_number),
            MergeField::Locale => (&mut patch.locale, &absorb.locale),
            MergeField::Zoneinfo => (&mut patch.zoneinfo, &absorb.zoneinfo),
            MergeField::Attributes => {
                let mut all = absorb.attributes.clone();
                all.extend(keep.attributes.clone());
                patch.attributes = Some(all);
                continue;
            }
        };
        if let Some(text) = from {
            *to = Patch::Set(text.clone());
        }
    }
    patch
}

//! A subject, with all groups that hold it.

use crate::{Error, Sharing};
use keyreeve_base::{GroupId, TenantId};
use keyreeve_identity::Party;
use std::sync::Arc;
use uuid::Uuid;

/// A subject that is there and active.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    pub(crate) party: Party,
    uuid: Uuid,
    /// In the order of their identifiers.
    groups: Arc<[GroupId]>,
    /// When it was looked up, in microseconds since 1970: what has ended by then is over.
    pub(crate) now: i64,
}

impl Who {
    /// Whether what this party was given, the subject has.
    pub(crate) fn has(&self, party: Uuid) -> bool {
        party == self.uuid || self.groups.binary_search(&GroupId::from_uuid(party)).is_ok()
    }

    /// The parties whose rights it has: itself first.
    pub(crate) fn parties(&self) -> impl Iterator<Item = Uuid> {
        std::iter::once(self.uuid).chain(self.groups.iter().map(|group| group.uuid()))
    }

    pub(crate) fn len(&self) -> usize {
        self.groups.len().saturating_add(1)
    }
}

impl Sharing {
    /// The subject; none where it is not there, disabled, locked or archived. From memory where that is allowed.
    pub(crate) async fn who(&self, tenant: TenantId, party: Party) -> Result<Option<Who>, Error> {
        if !self.is_active(tenant, party).await? {
            return Ok(None);
        }
        let groups = self.identity().groups().of_party(tenant, party).await?;
        Ok(Some(Who { party, uuid: party.uuid(), groups, now: self.world().now().micros() }))
    }

    /// Whether a subject is there and active.
    pub(crate) async fn is_active(&self, tenant: TenantId, party: Party) -> Result<bool, Error> {
        let identity = self.identity();
        Ok(match party {
            Party::User(id) => identity.users().by_id(tenant, id).await?.is_some_and(|user| user.is_active()),
            Party::Service(id) => identity.service_accounts().active(tenant, id).await?.is_some(),
            Party::Group(id) => identity.groups().by_id(tenant, id).await?.is_some(),
        })
    }

    /// Whether a subject is there, if only disabled.
    pub(crate) async fn exists(&self, tenant: TenantId, party: Party) -> Result<bool, Error> {
        let identity = self.identity();
        Ok(match party {
            Party::User(id) => {
                identity.users().by_id(tenant, id).await?.is_some_and(|user| user.archived_at.is_none())
            }
            Party::Service(id) => identity.service_accounts().by_id(tenant, id).await?.is_some(),
            Party::Group(id) => identity.groups().by_id(tenant, id).await?.is_some(),
        })
    }
}

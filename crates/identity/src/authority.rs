//! Delegated administration: what an admitted principal may change of others.
//!
//! A tenant's administrators ([`crate::TENANT_ADMIN`]) may change all of it. The owners and admins of a group may change
//! that group, the groups nested below it, and the users who are there and nowhere else. An [`Authority`] is what was
//! found out about one principal; its questions are answered without I/O, by the rules below and nothing else:
//!
//! - Nobody changes who has more power: a user who administers what the asker does not, or owns what the asker only
//!   administers, is out of reach.
//! - Nobody extends their own reach: only who is within reach already can be added to a group, and only groups within reach
//!   can be nested; a user with one membership elsewhere can be seen, not changed.
//! - A group's admins may not touch its owners, nor end it.
//! - A service account makes no service accounts, whatever its roles (ABUSE-CASES AC-77).

use crate::admission::{Admitted, Subject};
use crate::directory::{self, Party};
use crate::groups::MembershipKind;
use crate::tenants::DEFAULT_SLUG;
use crate::{Error, Identity, schema};
use keyreeve_base::{GroupId, TenantId};
use keyreeve_store::{Tx, params};
use std::collections::HashMap;
use std::sync::Arc;

/// The groups that somebody administers, by a membership there or in a group above: each with the strongest kind.
pub(crate) type GroupReach = HashMap<GroupId, MembershipKind>;

/// What one principal may change of others, all of it in its own tenant but for [`Authority::may_manage_tenants`]: who asks
/// about a group or a user has found them there.
#[derive(Debug, Clone)]
pub struct Authority {
    tenant: TenantId,
    /// None for the operator of the machine.
    subject: Option<Subject>,
    over: Over,
}

#[derive(Debug, Clone)]
enum Over {
    Groups(Arc<GroupReach>),
    Tenant {
        /// The tenant is the one whose administrators look after all tenants.
        first: bool,
    },
}

/// A user or service account as others see it who want to change it.
#[derive(Debug, Clone)]
pub struct Standing {
    /// What it may change itself.
    pub authority: Authority,
    /// The groups that hold it directly.
    pub groups: Arc<[GroupId]>,
}

impl Authority {
    /// Whose it is; nobody's in the directory when it is that of the operator of the machine.
    #[must_use]
    pub const fn subject(&self) -> Option<Subject> {
        self.subject
    }

    /// The tenant in which it holds.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Whether it is over all of the tenant: settings, clients, keys, roles.
    #[must_use]
    pub const fn may_manage_tenant(&self) -> bool {
        matches!(self.over, Over::Tenant { .. })
    }

    /// Whether it is over all tenants: it is that of an administrator of the default tenant.
    #[must_use]
    pub const fn may_manage_tenants(&self) -> bool {
        matches!(self.over, Over::Tenant { first: true })
    }

    /// Whose groups limit it; none where it is over the whole tenant.
    pub(crate) const fn limited_to(&self) -> Option<Party> {
        match self.over {
            Over::Tenant { .. } => None,
            Over::Groups(_) => match self.subject {
                Some(subject) => subject.party(),
                None => None,
            },
        }
    }

    /// Whether it is over anything at all.
    #[must_use]
    pub fn is_some(&self) -> bool {
        match &self.over {
            Over::Tenant { .. } => true,
            Over::Groups(reach) => !reach.is_empty(),
        }
    }

    /// Whether it may make, change, remove, give and take roles.
    #[must_use]
    pub const fn may_manage_roles(&self) -> bool {
        self.may_manage_tenant()
    }

    /// Whether it may see and change this group and its members.
    #[must_use]
    pub fn may_manage_group(&self, group: GroupId) -> bool {
        self.kind_in(group).is_some()
    }

    /// Whether it may remove this group.
    #[must_use]
    pub fn may_delete_group(&self, group: GroupId) -> bool {
        self.kind_in(group) == Some(MembershipKind::Owner)
    }

    /// Whether it may make a group, nested in `parent` where one is named.
    #[must_use]
    pub fn may_create_group(&self, parent: Option<GroupId>) -> bool {
        match parent {
            None => self.may_manage_tenant(),
            Some(parent) => self.may_manage_group(parent),
        }
    }

    /// Whether it may nest `child` in `parent`, or take it out.
    #[must_use]
    pub fn may_nest(&self, parent: GroupId, child: GroupId) -> bool {
        self.may_manage_group(parent) && self.may_manage_group(child)
    }

    /// Whether it may see this user's or service account's profile, memberships and roles.
    #[must_use]
    pub fn may_see(&self, other: &Standing) -> bool {
        self.may_manage_tenant()
            || (self.subject.is_some() && self.subject == other.authority.subject)
            || other.groups.iter().any(|group| self.may_manage_group(*group))
    }

    /// Whether it may change this user: profile, password, state, sessions. What users change of themselves is not asked
    /// here.
    #[must_use]
    pub fn may_manage_user(&self, other: &Standing) -> bool {
        self.may_manage_tenant()
            || (!other.groups.is_empty()
                && other.groups.iter().all(|group| self.may_manage_group(*group))
                && self.is_at_least(&other.authority))
    }

    /// Whether it may make a user in this group, or, without a group, in the tenant.
    #[must_use]
    pub fn may_create_user(&self, group: Option<GroupId>) -> bool {
        self.may_create_group(group)
    }

    /// Whether it may add a user or service account to a group as a member of this kind.
    #[must_use]
    pub fn may_add_member(&self, group: GroupId, other: &Standing, kind: MembershipKind) -> bool {
        self.may_manage_tenant() || (self.may_see(other) && self.may_change_member(group, None, Some(kind)))
    }

    /// Whether it may turn a membership `from` one kind `to` another; none before it is added and after it is removed.
    #[must_use]
    pub fn may_change_member(
        &self,
        group: GroupId,
        from: Option<MembershipKind>,
        to: Option<MembershipKind>,
    ) -> bool {
        let strongest = from.max(to).unwrap_or(MembershipKind::Member);
        self.kind_in(group).is_some_and(|own| own >= strongest)
    }

    /// Whether it may make, change or remove a service account of this owner, and its secrets. The owner of one that is
    /// changed is asked for before and after.
    #[must_use]
    pub fn may_manage_service_account(&self, owner: Option<Party>) -> bool {
        match (self.subject, owner) {
            (Some(Subject::Service(_)), _) => false,
            (_, Some(Party::Group(group))) => self.may_manage_group(group),
            (_, Some(Party::User(_) | Party::Service(_)) | None) => self.may_manage_tenant(),
        }
    }

    /// The kind in which it administers a group; everything in the tenant is a tenant administrator's own.
    fn kind_in(&self, group: GroupId) -> Option<MembershipKind> {
        match &self.over {
            Over::Tenant { .. } => Some(MembershipKind::Owner),
            Over::Groups(reach) => reach.get(&group).copied(),
        }
    }

    /// Whether all that the other may change is its to change too.
    fn is_at_least(&self, other: &Self) -> bool {
        match (&self.over, &other.over) {
            (Over::Tenant { .. }, _) => true,
            (Over::Groups(_), Over::Tenant { .. }) => false,
            (Over::Groups(own), Over::Groups(others)) => {
                others.iter().all(|(group, kind)| own.get(group).is_some_and(|own| own >= kind))
            }
        }
    }
}

impl Identity {
    /// What whoever was admitted may change of others. From memory where that is allowed. An OAuth client has no
    /// authority of its own; see [`Identity::authority_by_scope`].
    ///
    /// # Errors
    /// Those of the store.
    pub async fn authority_of(&self, admitted: &Admitted) -> Result<Authority, Error> {
        self.authority_of_subject(admitted.tenant(), admitted.subject()).await
    }

    /// The authority over the whole tenant of whoever was admitted. To be asked for only where it was verified that an
    /// administrator had granted it: by the administrative scope of a client's token.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the tenant.
    pub async fn authority_by_scope(&self, admitted: &Admitted) -> Result<Authority, Error> {
        let over = self.over_tenant(admitted.tenant()).await?;
        Ok(Authority { tenant: admitted.tenant(), subject: Some(admitted.subject()), over })
    }

    /// [`Identity::authority_of`] of whom a token speaks for that was issued to somebody admitted, and was verified just
    /// now.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn authority_of_bearer(&self, tenant: TenantId, subject: Subject) -> Result<Authority, Error> {
        self.authority_of_subject(tenant, subject).await
    }

    /// [`Identity::authority_by_scope`] of whom such a token speaks for.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the tenant.
    pub async fn authority_of_bearer_by_scope(
        &self,
        tenant: TenantId,
        subject: Subject,
    ) -> Result<Authority, Error> {
        Ok(Authority { tenant, subject: Some(subject), over: self.over_tenant(tenant).await? })
    }

    /// The authority over the whole tenant of the operator of the machine, who has its data directory or its database and
    /// needs no account.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the tenant.
    pub async fn authority_of_operator(&self, tenant: TenantId) -> Result<Authority, Error> {
        Ok(Authority { tenant, subject: None, over: self.over_tenant(tenant).await? })
    }

    /// How a user or service account stands towards those who want to change it. Whether there is such a one, the
    /// caller knows.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn standing_of(&self, tenant: TenantId, subject: Subject) -> Result<Standing, Error> {
        let authority = self.authority_of_subject(tenant, subject).await?;
        let groups = match subject.party() {
            Some(party) => self.groups().direct_of(tenant, party).await?,
            None => Vec::new(),
        };
        Ok(Standing { authority, groups: groups.into_iter().map(|(group, _)| group).collect() })
    }

    async fn authority_of_subject(&self, tenant: TenantId, subject: Subject) -> Result<Authority, Error> {
        let over = if self.roles().effective(tenant, subject).await?.is_tenant_admin() {
            self.over_tenant(tenant).await?
        } else {
            match subject.party() {
                Some(party) => Over::Groups(self.reach_of(tenant, party).await?),
                None => Over::Groups(Arc::default()),
            }
        };
        Ok(Authority { tenant, subject: Some(subject), over })
    }

    async fn over_tenant(&self, tenant: TenantId) -> Result<Over, Error> {
        let first = self.tenants().get(tenant).await?.slug == DEFAULT_SLUG;
        Ok(Over::Tenant { first })
    }

    async fn reach_of(&self, tenant: TenantId, party: Party) -> Result<Arc<GroupReach>, Error> {
        let store = self.store();
        let load = || async move {
            let read = async move |tx: &mut Tx<'_>| {
                tx.query(&schema::ADMINISTERED, &params![tenant, party.uuid()], |row| {
                    Ok((row.get::<GroupId>(0)?, row.get::<MembershipKind>(1)?))
                })
                .await
            };
            let mut reach = GroupReach::new();
            for (group, kind) in store.read(read).await? {
                let strongest = reach.entry(group).or_insert(kind);
                *strongest = kind.max(*strongest);
            }
            Ok::<_, Error>(Arc::new(reach))
        };
        directory::derive(self, (tenant, party), |held| &held.reach, load).await
    }
}

#[cfg(test)]
#[path = "authority_tests.rs"]
mod tests;

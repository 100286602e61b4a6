//! Who may do what. Each operation names its scope and one of these questions; here they are answered, and nowhere else
//! in this door. What the rules are, the identity room says ([`keyreeve_identity::authority`]).
//!
//! A token that lacks [`scope::ADMIN`] is less than its holder: it changes nothing about those who administer the tenant,
//! and gives nobody what would make them do so. Otherwise whoever may write users could become an administrator by
//! setting one's password.

use crate::call::Call;
use crate::refused::Refused;
use keyreeve_base::{GroupId, ServiceAccountId, UserId};
use keyreeve_identity::{
    Authority, Group, MembershipKind, Party, Role, ServiceAccount, Standing, Subject, User,
};
use keyreeve_tokens::{Caller, ScopeSet, scope};
use std::sync::Arc;

/// What an operation asks of the holder's authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asks {
    /// Nothing: it is about the caller.
    Own,
    /// Nothing: it answers what the caller may see of it.
    Visible,
    /// To look after all tenants.
    Tenants,
    /// To administer the tenant.
    Tenant,
    /// To see the user.
    SeeUser,
    /// To change the user.
    ManageUser,
    /// To make a user in the group that is named, or in the tenant.
    CreateUser,
    /// To administer the group.
    ManageGroup,
    /// To own the group.
    DeleteGroup,
    /// To make a group in the one that is named, or in the tenant.
    CreateGroup,
    /// To see the service account.
    SeeServiceAccount,
    /// To manage the service accounts of this owner.
    ManageServiceAccount,
    /// To manage the service accounts of the owner that is named.
    CreateServiceAccount,
    /// To have some permission on the resource.
    SeeResource,
    /// To make a resource below another, or anywhere.
    CreateResource,
    /// To own the resource, or something above it.
    OwnResource,
    /// To be allowed to share the resource.
    ShareResource,
    /// To make a secret of this owner.
    CreateSecret,
    /// To have the permission on the secret that the operation names.
    UseSecret,
    /// To ask about oneself, about a resource that one may share, or about everything.
    AskAbout,
}

impl Asks {
    /// The sentence of the reference.
    pub(crate) const fn told(self) -> &'static str {
        match self {
            Self::Own => "The token must speak for a user.",
            Self::Visible => "Answers what the caller may see.",
            Self::Tenants => "Only administrators of the default tenant may.",
            Self::Tenant => "Only administrators of the tenant may.",
            Self::SeeUser => {
                "Administrators of the tenant and of a group that holds the user may, and the user."
            }
            Self::ManageUser => {
                "Administrators of the tenant may, and of all groups that hold the user, if the user has no more power."
            }
            Self::CreateUser => {
                "Administrators of the tenant may, and those of the group that the user is made in."
            }
            Self::ManageGroup => "Administrators of the tenant and of the group may.",
            Self::DeleteGroup => "Administrators of the tenant and owners of the group may.",
            Self::CreateGroup => {
                "Administrators of the tenant may, and those of the group that it is nested in."
            }
            Self::SeeServiceAccount => {
                "Administrators of the tenant may, of the owning group and of a group that holds the account, and itself."
            }
            Self::ManageServiceAccount | Self::CreateServiceAccount => {
                "Administrators of the tenant and of the owning group may; a service account may not."
            }
            Self::SeeResource => {
                "Administrators of the tenant may, its own clients, and whoever has some permission on the resource."
            }
            Self::CreateResource => {
                "Administrators of the tenant and its own clients may. Everybody else below a resource that they may share: \
                 the new one is then their own, and its identifier is generated."
            }
            Self::OwnResource => {
                "Administrators of the tenant may, its own clients, and the owner of the resource or of one above it."
            }
            Self::ShareResource => {
                "Administrators of the tenant may, its own clients, the owner of the resource or of one above it, and whoever \
                 has a permission on it that lets its holder share."
            }
            Self::CreateSecret => {
                "Administrators of the tenant and its own clients may. Everybody else for themselves and for groups that they administer."
            }
            Self::UseSecret => {
                "Administrators of the tenant may, its own clients, the owner of the secret, and whoever was granted the permission."
            }
            Self::AskAbout => {
                "Administrators of the tenant and its own clients may ask about everybody; everybody about themselves, and \
                 about others on resources that they may share."
            }
        }
    }

    /// The part of the question that needs no target.
    pub(crate) fn at_the_door(self, caller: &Caller) -> Result<(), Refused> {
        let authority = caller.authority();
        let allowed = match self {
            Self::Tenants => authority.may_manage_tenants(),
            Self::Tenant => authority.may_manage_tenant(),
            Self::Own => matches!(authority.subject(), Some(Subject::User(_))),
            Self::Visible
            | Self::SeeUser
            | Self::ManageUser
            | Self::CreateUser
            | Self::ManageGroup
            | Self::DeleteGroup
            | Self::CreateGroup
            | Self::SeeServiceAccount
            | Self::ManageServiceAccount
            | Self::CreateServiceAccount
            | Self::SeeResource
            | Self::CreateResource
            | Self::OwnResource
            | Self::ShareResource
            | Self::CreateSecret
            | Self::UseSecret
            | Self::AskAbout => true,
        };
        if allowed { Ok(()) } else { Err(Refused::not_allowed(self.told())) }
    }
}

impl Call {
    pub(crate) fn authority(&self) -> &Authority {
        self.caller().authority()
    }

    /// The user whom the path names, of whom the caller may do what the operation asks for.
    pub(crate) async fn user(&self) -> Result<Arc<User>, Refused> {
        self.user_of(self.id("id")?).await
    }

    /// The same of a user whom something else names.
    pub(crate) async fn user_of(&self, id: UserId) -> Result<Arc<User>, Refused> {
        let user = self.identity().users().by_id(self.tenant_id(), id).await?;
        let user =
            user.filter(|user| user.archived_at.is_none()).ok_or_else(|| Refused::not_found("user"))?;
        // Over all of the tenant, no group of the user's changes the answer. What power the user has concerns those who
        // want to change it with less than all scopes.
        let manages = self.operation().asks == Asks::ManageUser;
        if self.authority().may_manage_tenant() && (!manages || self.caller().is_unlimited()) {
            return Ok(user);
        }
        let standing = self.identity().standing_of(self.tenant_id(), Subject::User(id)).await?;
        if !self.authority().may_see(&standing) {
            return Err(Refused::not_found("user"));
        }
        if manages {
            if !self.authority().may_manage_user(&standing) {
                return Err(Refused::not_allowed(Asks::ManageUser.told()));
            }
            self.outranks(&standing)?;
        }
        Ok(user)
    }

    /// The group that the path names, of which the caller may do what the operation asks for.
    pub(crate) async fn group(&self) -> Result<Arc<Group>, Refused> {
        let id: GroupId = self.id("id")?;
        let found = self.identity().groups().by_id(self.tenant_id(), id).await?;
        let group = found.filter(|_| self.authority().may_manage_group(id));
        let group = group.ok_or_else(|| Refused::not_found("group"))?;
        if self.operation().asks == Asks::DeleteGroup && !self.authority().may_delete_group(id) {
            return Err(Refused::not_allowed(Asks::DeleteGroup.told()));
        }
        Ok(group)
    }

    /// Whether the caller may make something in this group, or in the tenant.
    pub(crate) async fn may_create_in(&self, group: Option<GroupId>, asks: Asks) -> Result<(), Refused> {
        match group {
            Some(id) if !self.authority().may_create_group(group) => {
                // A group of no concern to the caller is none.
                Err(Refused::not_found("group").detail(format!("there is no group {id}")))
            }
            Some(id) => self.may_fill(id).await,
            None if !self.authority().may_create_group(None) => Err(Refused::not_allowed(asks.told())),
            None => Ok(()),
        }
    }

    /// Whether there is such a party, as far as the caller may see.
    pub(crate) async fn may_see_party(&self, party: Party) -> Result<(), Refused> {
        let subject = match party {
            Party::Group(group) if self.authority().may_manage_group(group) => return Ok(()),
            Party::Group(_) => return Err(Refused::not_found("group")),
            Party::User(id) => Subject::User(id),
            Party::Service(id) => Subject::Service(id),
        };
        if self.authority().may_manage_tenant() {
            return Ok(());
        }
        let standing = self.identity().standing_of(self.tenant_id(), subject).await?;
        if self.authority().may_see(&standing) { Ok(()) } else { Err(Refused::not_found("user")) }
    }

    /// Whether the token may bring anyone into this group: not into one of administrators, without [`scope::ADMIN`].
    pub(crate) async fn may_fill(&self, group: GroupId) -> Result<(), Refused> {
        if self.caller().is_unlimited() {
            return Ok(());
        }
        let roles = self.identity().roles().effective_of(self.tenant_id(), Party::Group(group)).await?;
        if roles.is_tenant_admin() { Err(Refused::insufficient_scope(scope::ADMIN)) } else { Ok(()) }
    }

    /// Whether the caller may add, change or remove this member of a group that it may manage. Whom it does not see is not
    /// there.
    pub(crate) async fn may_change_member(
        &self,
        group: GroupId,
        party: Party,
        (from, to): (Option<MembershipKind>, Option<MembershipKind>),
    ) -> Result<(), Refused> {
        self.may_fill(group).await?;
        let refuse = || Refused::not_allowed(Asks::ManageGroup.told());
        let subject = match party {
            Party::Group(child) => {
                let there = self.identity().groups().by_id(self.tenant_id(), child).await?.is_some();
                return match there && self.authority().may_manage_group(child) {
                    true if self.authority().may_nest(group, child) => Ok(()),
                    true => Err(refuse()),
                    false => Err(Refused::not_found("group")),
                };
            }
            Party::User(id) => Subject::User(id),
            Party::Service(id) => Subject::Service(id),
        };
        let standing = self.identity().standing_of(self.tenant_id(), subject).await?;
        if !self.authority().may_see(&standing) {
            return Err(Refused::not_found("member"));
        }
        let allowed = match (from, to) {
            (None, Some(kind)) => self.authority().may_add_member(group, &standing, kind),
            (from, to) => self.authority().may_change_member(group, from, to),
        };
        if allowed { Ok(()) } else { Err(refuse()) }
    }

    /// Whether the caller may give these scopes: those of this server's own interfaces if its token has them.
    pub(crate) fn may_open(&self, scopes: &ScopeSet) -> Result<(), Refused> {
        let lacking =
            scopes.iter().find(|scope| scope.starts_with("keyreeve:") && !self.caller().allows(scope));
        lacking.map_or(Ok(()), |scope| Err(Refused::insufficient_scope(scope)))
    }

    /// Whether the token may give or take this role.
    pub(crate) fn may_give(&self, role: &Role) -> Result<(), Refused> {
        if role.is_reserved() && !self.caller().is_unlimited() {
            return Err(Refused::insufficient_scope(scope::ADMIN));
        }
        Ok(())
    }

    /// The service account that the path names, of which the caller may do what the operation asks for.
    pub(crate) async fn service_account(&self) -> Result<Arc<ServiceAccount>, Refused> {
        let id: ServiceAccountId = self.id("id")?;
        let found = self.identity().service_accounts().by_id(self.tenant_id(), id).await?;
        let account = found.ok_or_else(|| Refused::not_found("service account"))?;
        let standing = self.identity().standing_of(self.tenant_id(), Subject::Service(id)).await?;
        let manages = self.authority().may_manage_service_account(account.owner);
        if !manages && !self.authority().may_see(&standing) {
            return Err(Refused::not_found("service account"));
        }
        if self.operation().asks == Asks::ManageServiceAccount {
            if !manages {
                return Err(Refused::not_allowed(Asks::ManageServiceAccount.told()));
            }
            self.outranks(&standing)?;
        }
        Ok(account)
    }

    /// Whether the caller may make service accounts of this owner, or give one away to it.
    pub(crate) fn may_own(&self, owner: Option<Party>) -> Result<(), Refused> {
        if self.authority().may_manage_service_account(owner) {
            return Ok(());
        }
        Err(Refused::not_allowed(Asks::CreateServiceAccount.told()))
    }

    fn outranks(&self, other: &Standing) -> Result<(), Refused> {
        if other.authority.may_manage_tenant() && !self.caller().is_unlimited() {
            return Err(Refused::insufficient_scope(scope::ADMIN));
        }
        Ok(())
    }
}

//! The room under test: steps as its use cases, in a tenant of their own.

use crate::house::{House, by as cause};
use crate::oracle::{Answer, Oracle};
use crate::steps::{Asker, CHOSEN, GROUPS, PARTIES, Step, USERS};
use keyreeve_base::{GroupId, TenantId};
use keyreeve_identity::groups::MembershipKind;
use keyreeve_identity::users::StateChange;
use keyreeve_identity::{
    Authority, Credential, Identity, NewGroup, NewServiceAccount, NewTenant, NewUser, Party, Profile,
    ServiceAccountPatch, Subject, TenantSettings,
};
use keyreeve_sharing::{
    Delete, Error, NewGrant, NewPermission, NewResource, NewType, PermissionPatch, ResourcePatch, Revision,
    ShareId, Sharing,
};
use std::sync::Mutex;
use std::time::Duration;

pub struct Room<'a> {
    pub house: &'a House,
    pub tenant: TenantId,
    pub parties: Vec<Party>,
    pub admin: Authority,
    /// Of users and service accounts, made before anything happened to them.
    pub authorities: Vec<Option<Authority>>,
    shares: Mutex<Vec<ShareId>>,
}

fn answer_of<T>(done: Result<T, Error>) -> Result<T, Answer> {
    done.map_err(|error| match error {
        Error::NotFound(_) => Answer::NotFound,
        Error::Denied(_) => Answer::Denied,
        Error::Taken(_) => Answer::Taken,
        Error::InUse(_) => Answer::InUse,
        Error::Invalid { .. } => Answer::Invalid,
        error => panic!("{error:?}"),
    })
}

fn answer_of_identity<T>(done: Result<T, keyreeve_identity::Error>) -> Result<T, Answer> {
    done.map_err(|error| match error {
        keyreeve_identity::Error::NotFound(_) => Answer::NotFound,
        keyreeve_identity::Error::Invalid { .. } => Answer::Invalid,
        error => panic!("{error:?}"),
    })
}

/// Sweeps until nothing is left to sweep.
async fn sweep(sharing: &Sharing) -> Result<u64, Answer> {
    loop {
        let swept = sharing.sweep().await.unwrap();
        if swept.complete && !swept.more {
            return Ok(1);
        }
    }
}

impl<'a> Room<'a> {
    pub async fn new(house: &'a House) -> Self {
        let identity = &house.identity;
        let slug = house.test.world.new_uuid().simple().to_string();
        let new = NewTenant { slug, name: "Proof".to_owned(), settings: TenantSettings::default() };
        let tenant = identity.tenants().create(new, &cause()).await.unwrap().id;
        let (mut parties, mut authorities) = (Vec::new(), Vec::new());
        for number in 0..PARTIES {
            let name = format!("party-{number}");
            let (party, subject) = if number < GROUPS {
                let new = NewGroup { name, ..NewGroup::default() };
                (Party::Group(identity.groups().create(tenant, new, &cause()).await.unwrap().id), None)
            } else if number < GROUPS + USERS {
                let profile = Profile { username: Some(name), ..Profile::default() };
                let new = NewUser { profile, credential: Credential::None, ..NewUser::default() };
                let id = identity.users().create(tenant, new, &cause()).await.unwrap().id;
                (Party::User(id), Some(Subject::User(id)))
            } else {
                let new = NewServiceAccount { name, ..NewServiceAccount::default() };
                let id = identity.service_accounts().create(tenant, new, &cause()).await.unwrap().id;
                (Party::Service(id), Some(Subject::Service(id)))
            };
            parties.push(party);
            authorities.push(match subject {
                Some(subject) => Some(identity.authority_of_bearer(tenant, subject).await.unwrap()),
                None => None,
            });
        }
        let admin = identity.authority_of_operator(tenant).await.unwrap();
        Self { house, tenant, parties, admin, authorities, shares: Mutex::default() }
    }

    pub fn number(&self, party: Party) -> usize {
        self.parties.iter().position(|known| *known == party).expect("a party of this tenant")
    }

    pub fn authority(&self, by: Asker) -> &Authority {
        match by {
            Asker::Admin => &self.admin,
            Asker::Party(number) => self.authorities[number].as_ref().expect("somebody who can ask"),
        }
    }

    fn group(&self, number: usize) -> (TenantId, GroupId) {
        match self.parties[number] {
            Party::Group(id) => (self.tenant, id),
            other => panic!("{other} is no group"),
        }
    }

    /// Does a step on this node; answers also the identifier of a new resource that had none, and the revision.
    pub async fn apply(
        &self,
        (identity, sharing): (&Identity, &Sharing),
        step: &Step,
        oracle: &Oracle,
    ) -> (Answer, Option<String>, Revision) {
        let mut generated = None;
        let done = match step {
            Step::CreateType(_)
            | Step::DeleteType(_)
            | Step::Declare { .. }
            | Step::Redeclare { .. }
            | Step::Undeclare { .. } => self.model(sharing, step).await,
            Step::Create { .. } => self.create(sharing, step, oracle).await.map(|made| {
                generated = made;
                1
            }),
            Step::Update { .. } | Step::Move { .. } | Step::Transfer { .. } | Step::Delete { .. } => {
                self.resource(sharing, step, oracle).await
            }
            Step::Share { .. }
            | Step::Revoke { .. }
            | Step::RevokeFrom { .. }
            | Step::RevokeOn { .. }
            | Step::RevokeOf { .. } => self.grant(sharing, step, oracle).await,
            Step::Join { .. }
            | Step::Leave { .. }
            | Step::Disable(_)
            | Step::Enable(_)
            | Step::Remove(_)
            | Step::Wait(_) => self.directory(identity, step).await,
            Step::Sweep => sweep(sharing).await,
        };
        let revision = sharing.revision().await.unwrap();
        (done.map_or_else(|refused| refused, Answer::Done), generated, revision)
    }

    async fn model(&self, sharing: &Sharing, step: &Step) -> Result<u64, Answer> {
        let (types, permissions, admin, by) = (sharing.types(), sharing.permissions(), &self.admin, cause());
        answer_of(match step.clone() {
            Step::CreateType(id) => {
                let new = NewType { id: id.to_owned(), name: id.to_owned(), description: None };
                types.create(admin, new, &by).await.map(|_| 1)
            }
            Step::DeleteType(id) => types.delete(admin, id.into(), &by).await.map(|_| 1),
            Step::Declare { of, id, shares, implies } => {
                let new = NewPermission {
                    resource_type: of.map(str::to_owned),
                    id: id.to_owned(),
                    name: id.to_owned(),
                    description: None,
                    shares,
                    implies: implies.into_iter().map(str::to_owned).collect(),
                };
                permissions.create(admin, new, &by).await.map(|_| 1)
            }
            Step::Redeclare { of, id, shares, implies } => {
                let implies = Some(implies.into_iter().map(str::to_owned).collect());
                let patch = PermissionPatch { shares, implies, ..PermissionPatch::default() };
                permissions.update(admin, (of, id).into(), patch, &by).await.map(|_| 1)
            }
            Step::Undeclare { of, id } => permissions.delete(admin, (of, id).into(), &by).await.map(|_| 1),
            other => panic!("{other:?}"),
        })
    }

    async fn create(
        &self,
        sharing: &Sharing,
        step: &Step,
        oracle: &Oracle,
    ) -> Result<Option<String>, Answer> {
        let Step::Create { by, slot, of, owner, parent } = *step else { panic!("{step:?}") };
        assert!(slot < CHOSEN);
        let admin = by == Asker::Admin;
        let new = NewResource {
            id: admin.then(|| oracle.id(slot)),
            resource_type: of.to_owned(),
            owner: admin.then(|| self.parties[owner]),
            parent: parent.map(|parent| oracle.id(parent)),
            name: format!("a {of}"),
            ..NewResource::default()
        };
        let made = answer_of(sharing.resources().create(self.authority(by), new, &cause()).await)?;
        Ok((!admin).then_some(made.value.id))
    }

    async fn resource(&self, sharing: &Sharing, step: &Step, oracle: &Oracle) -> Result<u64, Answer> {
        let resources = sharing.resources();
        answer_of(match *step {
            Step::Update { by, slot } => {
                let patch = ResourcePatch { name: Some("another".to_owned()), ..ResourcePatch::default() };
                let (by, id) = (self.authority(by), oracle.id(slot));
                resources.update(by, id.as_str().into(), patch, &cause()).await.map(|_| 1)
            }
            Step::Move { by, slot, to } => {
                let (by, id, to) = (self.authority(by), oracle.id(slot), to.map(|to| oracle.id(to)));
                let moved = resources.move_to(by, id.as_str().into(), to.as_deref(), &cause()).await;
                moved.map(|moved| u64::from(!moved.repeated))
            }
            Step::Transfer { by, slot, owner } => {
                let (by, id) = (self.authority(by), oracle.id(slot));
                let given = resources.transfer(by, id.as_str().into(), self.parties[owner], &cause()).await;
                given.map(|given| u64::from(!given.repeated))
            }
            Step::Delete { by, slot, with_children } => {
                let delete = if with_children { Delete::WithChildren } else { Delete::Alone };
                resources
                    .delete(self.authority(by), oracle.id(slot).as_str().into(), delete, &cause())
                    .await
                    .map(|_| 1)
            }
            _ => panic!("{step:?}"),
        })
    }

    async fn grant(&self, sharing: &Sharing, step: &Step, oracle: &Oracle) -> Result<u64, Answer> {
        let grants = sharing.grants();
        answer_of(match *step {
            Step::Share { by, slot, permission, to, cascade, lasts_s } => {
                let now = self.house.test.world.now();
                let new = NewGrant {
                    resource: oracle.id(slot),
                    permission: permission.to_owned(),
                    subject: self.parties[to],
                    cascade,
                    expires_at: lasts_s.map(|seconds| now.plus(Duration::from_secs(seconds))),
                };
                grants.share(self.authority(by), new, &cause()).await.map(|made| {
                    self.shares.lock().unwrap().push(made.value.id);
                    u64::from(!made.repeated)
                })
            }
            Step::Revoke { by, share } => {
                let share = {
                    let shares = self.shares.lock().unwrap();
                    shares.get(share % shares.len().max(1)).copied()
                };
                match share {
                    Some(share) => grants.revoke(self.authority(by), share, &cause()).await.map(|_| 1),
                    None => Ok(0),
                }
            }
            Step::RevokeFrom { by, slot, from, permission } => {
                let of = (&*oracle.id(slot), self.parties[from]);
                grants.revoke_from(self.authority(by), of, permission, &cause()).await.map(|done| done.grants)
            }
            Step::RevokeOn { by, slot } => {
                let on = oracle.id(slot);
                grants.revoke_all_on(self.authority(by), &on, &cause()).await.map(|done| done.grants)
            }
            Step::RevokeOf { by, from } => {
                let of = self.parties[from];
                grants.revoke_all_of(self.authority(by), of, &cause()).await.map(|done| done.grants)
            }
            _ => panic!("{step:?}"),
        })
    }

    async fn directory(&self, identity: &Identity, step: &Step) -> Result<u64, Answer> {
        let (groups, tenant, by) = (identity.groups(), self.tenant, cause());
        answer_of_identity(match *step {
            Step::Join { group, party } => {
                let (group, party) = (self.group(group), self.parties[party]);
                groups.add(group, party, MembershipKind::Member, &by).await.map(u64::from)
            }
            Step::Leave { group, party } => {
                groups.remove(self.group(group), self.parties[party], &by).await.map(u64::from)
            }
            Step::Disable(number) | Step::Enable(number) => {
                let enabled = matches!(step, Step::Enable(_));
                match self.parties[number] {
                    Party::User(id) => {
                        let change = if enabled { StateChange::Enable } else { StateChange::Disable };
                        identity.users().change_state((tenant, id), change, None, &by).await.map(|_| 1)
                    }
                    Party::Service(id) => {
                        let patch =
                            ServiceAccountPatch { enabled: Some(enabled), ..ServiceAccountPatch::default() };
                        identity.service_accounts().update((tenant, id), patch, None, &by).await.map(|_| 1)
                    }
                    Party::Group(_) => panic!("{step:?}"),
                }
            }
            Step::Remove(number) => match self.parties[number] {
                Party::User(id) => {
                    let users = identity.users();
                    users.change_state((tenant, id), StateChange::Archive, None, &by).await.map(|_| 1)
                }
                Party::Service(id) => {
                    identity.service_accounts().delete((tenant, id), None, &by).await.map(|()| 1)
                }
                Party::Group(id) => groups.delete((tenant, id), None, &by).await.map(|()| 1),
            },
            Step::Wait(seconds) => {
                self.house.test.clock.advance(Duration::from_secs(seconds));
                Ok(1)
            }
            _ => panic!("{step:?}"),
        })
    }
}

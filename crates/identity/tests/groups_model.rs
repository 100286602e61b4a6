//! Random histories of groups, members and roles, beside a model that is slow and obviously right: sets, and walks over
//! all of them. After each step the room answers everything as the model does, with its caches warm from the step before.

use crate::house::{House, house_with};
use keyreeve_base::id::Id;
use keyreeve_base::{GroupId, RoleId, TenantId};
use keyreeve_identity::{
    Cause, Credential, Error, MembershipKind, NewGroup, NewRole, NewServiceAccount, NewTenant, NewUser,
    Party, Profile, Reach, Subject, TenantSettings,
};
use keyreeve_testkit::Engine;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::{BTreeMap, BTreeSet};

const GROUPS: usize = 6;
const PRINCIPALS: usize = 4;
const ROLES: usize = 3;
const MAX_DEPTH: usize = 4;

use MembershipKind::{Admin, Member, Owner};

/// Parties and roles by number: groups first, then users and service accounts.
#[derive(Debug, Clone, Copy)]
enum Step {
    Add(usize, usize, MembershipKind),
    Remove(usize, usize),
    ChangeKind(usize, usize, MembershipKind),
    Delete(usize),
    Assign(usize, usize),
    Unassign(usize, usize),
    DeleteRole(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (group, party, role) = (0..GROUPS, 0..GROUPS + PRINCIPALS, 0..ROLES);
    let kind = prop_oneof![Just(Member), Just(Admin), Just(Owner)];
    let step = prop_oneof![
        10 => (group.clone(), 0..GROUPS).prop_map(|(group, child)| Step::Add(group, child, Member)),
        6 => (group.clone(), party.clone(), kind.clone()).prop_map(|(g, p, k)| Step::Add(g, p, k)),
        3 => (group.clone(), party.clone()).prop_map(|(g, p)| Step::Remove(g, p)),
        2 => (group.clone(), party.clone(), kind).prop_map(|(g, p, k)| Step::ChangeKind(g, p, k)),
        1 => group.prop_map(Step::Delete),
        4 => (role.clone(), party.clone()).prop_map(|(r, p)| Step::Assign(r, p)),
        1 => (role.clone(), party).prop_map(|(r, p)| Step::Unassign(r, p)),
        1 => role.prop_map(Step::DeleteRole),
    ];
    proptest::collection::vec(step, 1..24)
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Done(bool),
    NotFound,
    Invalid,
}

impl Answer {
    fn of(answer: Result<bool, Error>) -> Self {
        match answer {
            Ok(done) => Self::Done(done),
            Err(Error::NotFound(_)) => Self::NotFound,
            Err(Error::Invalid { .. }) => Self::Invalid,
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[derive(Default)]
struct Model {
    gone: BTreeSet<usize>,
    gone_roles: BTreeSet<usize>,
    members: BTreeMap<(usize, usize), MembershipKind>,
    holders: BTreeSet<(usize, usize)>,
}

impl Model {
    fn apply(&mut self, step: Step) -> Answer {
        match step {
            Step::Add(group, party, kind) => {
                if party < GROUPS && kind != Member {
                    return Answer::Invalid;
                }
                if self.gone.contains(&group) || self.gone.contains(&party) {
                    return Answer::NotFound;
                }
                if party < GROUPS && (group == party || self.above(group).contains(&party)) {
                    return Answer::Invalid;
                }
                let new = !self.members.contains_key(&(group, party));
                if new {
                    self.members.insert((group, party), kind);
                }
                if (0..GROUPS).any(|group| self.depth(group) > MAX_DEPTH) {
                    self.members.remove(&(group, party));
                    return Answer::Invalid;
                }
                Answer::Done(new)
            }
            Step::Remove(group, party) => Answer::Done(self.members.remove(&(group, party)).is_some()),
            Step::ChangeKind(group, party, kind) => {
                if party < GROUPS {
                    return Answer::Invalid;
                }
                match self.members.get_mut(&(group, party)) {
                    None => Answer::NotFound,
                    Some(former) => Answer::Done(std::mem::replace(former, kind) != kind),
                }
            }
            Step::Delete(group) => {
                if !self.gone.insert(group) {
                    return Answer::NotFound;
                }
                self.members.retain(|(holder, party), _| *holder != group && *party != group);
                self.holders.retain(|(_, party)| *party != group);
                Answer::Done(true)
            }
            Step::Assign(role, party) => {
                if self.gone_roles.contains(&role) || self.gone.contains(&party) {
                    return Answer::NotFound;
                }
                Answer::Done(self.holders.insert((role, party)))
            }
            Step::Unassign(role, party) => Answer::Done(self.holders.remove(&(role, party))),
            Step::DeleteRole(role) => {
                if !self.gone_roles.insert(role) {
                    return Answer::NotFound;
                }
                self.holders.retain(|(held, _)| *held != role);
                Answer::Done(true)
            }
        }
    }

    /// The groups that transitively hold a party.
    fn above(&self, party: usize) -> BTreeSet<usize> {
        let direct = self.members.keys().filter(|(_, member)| *member == party).map(|(group, _)| *group);
        direct.flat_map(|group| self.above(group).into_iter().chain([group])).collect()
    }

    /// The number of groups in the longest chain above and with a group.
    fn depth(&self, group: usize) -> usize {
        let parents = self.members.keys().filter(|(_, member)| *member == group);
        1 + parents.map(|(parent, _)| self.depth(*parent)).max().unwrap_or(0)
    }

    fn effective_members(&self, group: usize) -> BTreeSet<usize> {
        (0..GROUPS + PRINCIPALS).filter(|party| self.above(*party).contains(&group)).collect()
    }

    fn effective_roles(&self, party: usize) -> BTreeSet<usize> {
        let mut holders = self.above(party);
        holders.insert(party);
        self.holders.iter().filter(|(_, holder)| holders.contains(holder)).map(|(role, _)| *role).collect()
    }

    fn administers(&self, party: usize, group: usize) -> bool {
        let mut around = self.above(group);
        around.insert(group);
        around.iter().any(|group| self.members.get(&(*group, party)).is_some_and(|kind| *kind > Member))
    }
}

/// The same things in a tenant of the room.
struct Room<'a> {
    house: &'a House,
    tenant: TenantId,
    parties: Vec<Party>,
    roles: Vec<RoleId>,
}

impl<'a> Room<'a> {
    async fn new(house: &'a House) -> Self {
        let (identity, cause) = (&house.identity, Cause::operator());
        let slug = house.test.world.new_uuid().simple().to_string();
        let mut settings = TenantSettings::default();
        settings.directory.max_depth = u16::try_from(MAX_DEPTH).unwrap();
        let new = NewTenant { slug, name: "Model".to_owned(), settings };
        let tenant = identity.tenants().create(new, &cause).await.unwrap().id;
        let mut parties = Vec::new();
        for number in 0..GROUPS {
            let new = NewGroup { name: format!("group {number}"), ..NewGroup::default() };
            parties.push(Party::Group(identity.groups().create(tenant, new, &cause).await.unwrap().id));
        }
        for number in 0..PRINCIPALS {
            let name = format!("principal-{number}");
            parties.push(if number % 2 == 0 {
                let profile = Profile { username: Some(name), ..Profile::default() };
                let new = NewUser { profile, credential: Credential::None, ..NewUser::default() };
                Party::User(identity.users().create(tenant, new, &cause).await.unwrap().id)
            } else {
                let new = NewServiceAccount { name, ..NewServiceAccount::default() };
                Party::Service(identity.service_accounts().create(tenant, new, &cause).await.unwrap().id)
            });
        }
        let mut roles = Vec::new();
        for number in 0..ROLES {
            let new = NewRole { name: format!("role {number}"), ..NewRole::default() };
            roles.push(identity.roles().create(tenant, new, &cause).await.unwrap().id);
        }
        Self { house, tenant, parties, roles }
    }

    fn group(&self, number: usize) -> (TenantId, GroupId) {
        (self.tenant, Id::from_uuid(self.parties[number].uuid()))
    }

    fn number(&self, party: Party) -> usize {
        self.parties.iter().position(|known| *known == party).unwrap()
    }

    async fn apply(&self, step: Step) -> Answer {
        let (groups, roles) = (self.house.identity.groups(), self.house.identity.roles());
        let cause = Cause::operator();
        Answer::of(match step {
            Step::Add(group, party, kind) => {
                groups.add(self.group(group), self.parties[party], kind, &cause).await
            }
            Step::Remove(group, party) => groups.remove(self.group(group), self.parties[party], &cause).await,
            Step::ChangeKind(group, party, kind) => {
                groups.change_kind(self.group(group), self.parties[party], kind, &cause).await
            }
            Step::Delete(group) => groups.delete(self.group(group), None, &cause).await.map(|()| true),
            Step::Assign(role, party) => {
                roles.assign((self.tenant, self.roles[role]), self.parties[party], &cause).await
            }
            Step::Unassign(role, party) => {
                roles.unassign((self.tenant, self.roles[role]), self.parties[party], &cause).await
            }
            Step::DeleteRole(role) => {
                roles.delete((self.tenant, self.roles[role]), None, &cause).await.map(|()| true)
            }
        })
    }

    async fn compare(&self, model: &Model) {
        let identity = &self.house.identity;
        for (number, party) in self.parties.iter().enumerate() {
            let above = identity.groups().of_party(self.tenant, *party).await.unwrap();
            let above: BTreeSet<usize> = above.iter().map(|id| self.number(Party::Group(*id))).collect();
            assert_eq!(above, model.above(number), "the groups of {number}");
            let roles = identity.roles().effective_of(self.tenant, *party).await.unwrap();
            let roles: BTreeSet<usize> = roles
                .iter()
                .map(|held| self.roles.iter().position(|role| *role == held.id).unwrap())
                .collect();
            assert_eq!(roles, model.effective_roles(number), "the roles of {number}");
            let subject = match party {
                Party::User(user) => Subject::User(*user),
                Party::Service(account) => Subject::Service(*account),
                Party::Group(_) => continue,
            };
            let standing = identity.standing_of(self.tenant, subject).await.unwrap();
            for group in 0..GROUPS {
                let expected = model.administers(number, group);
                let (_, id) = self.group(group);
                assert_eq!(standing.authority.may_manage_group(id), expected, "{number} over {group}");
            }
        }
        for group in (0..GROUPS).filter(|group| !model.gone.contains(group)) {
            let members = identity.groups().members(self.group(group), Reach::Effective, None, 500).await;
            let members: BTreeSet<usize> =
                members.unwrap().iter().map(|member| self.number(member.party)).collect();
            assert_eq!(members, model.effective_members(group), "the members of {group}");
        }
    }
}

fn run(engine: Engine, cases: u32) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let house = runtime.block_on(house_with(engine, TenantSettings::default()));
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let history = |steps: Vec<Step>| {
        runtime.block_on(async {
            let (room, mut model) = (Room::new(&house).await, Model::default());
            for step in steps {
                assert_eq!(room.apply(step).await, model.apply(step), "{step:?}");
                room.compare(&model).await;
            }
        });
        Ok(())
    };
    TestRunner::new(config).run(&steps(), history).unwrap();
    runtime.block_on(house.check());
}

#[test]
fn every_history_is_that_of_the_model_on_sqlite() {
    run(Engine::Sqlite, 40);
}

#[test]
fn every_history_is_that_of_the_model_on_postgres() {
    run(Engine::Postgres, 12);
}

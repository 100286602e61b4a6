//! A house to test in: a tenant with some people and groups, and the room over it.

use keyreeve_audit::Entry;
use keyreeve_base::{GroupId, TenantId};
use keyreeve_crypto::password::{HashPolicy, PoolSize};
use keyreeve_crypto::seal::MasterKey;
use keyreeve_identity::groups::MembershipKind;
use keyreeve_identity::{
    Authority, Cause, Identity, IdentityOptions, NewGroup, NewTenant, NewUser, Party, Profile, Subject,
    TenantSettings,
};
use keyreeve_sharing::{
    Check, Error, Freshness, Grant, NewGrant, NewPermission, NewResource, NewType, Sharing, SharingOptions,
};
use keyreeve_store::{Migration, Store, Tx, params, statements};
use keyreeve_testkit::{Engine, TestStore, store};

pub fn migrations() -> Vec<Migration> {
    [keyreeve_audit::MIGRATIONS, keyreeve_identity::MIGRATIONS, keyreeve_sharing::MIGRATIONS].concat()
}

pub struct House {
    pub sharing: Sharing,
    pub identity: Identity,
    pub tenant: TenantId,
    /// Over the whole tenant.
    pub admin: Authority,
    pub test: TestStore,
    master: String,
}

fn rooms(store: &Store, test: &TestStore, master: &str, options: &SharingOptions) -> (Identity, Sharing) {
    let identity_options = IdentityOptions {
        hash_policy: HashPolicy { memory_kib: 64, iterations: 1, parallelism: 1 },
        hash_pool: PoolSize { workers: 1, queue: 4 },
        ..IdentityOptions::default()
    };
    let master = MasterKey::from_text(master).expect("a key");
    let identity =
        Identity::new(store.clone(), test.world.clone(), master.into(), &identity_options).expect("a room");
    let sharing = Sharing::new(store.clone(), test.world.clone(), identity.clone(), options);
    (identity, sharing)
}

pub async fn house(engine: Engine) -> House {
    house_with(engine, SharingOptions::default()).await
}

pub async fn house_with(engine: Engine, options: SharingOptions) -> House {
    let test = store(engine, &migrations()).await;
    let master = MasterKey::generate(&test.world).to_text().expose().to_owned();
    let (identity, sharing) = rooms(&test.store, &test, &master, &options);
    let tenant = make_tenant(&identity, "default").await;
    let admin = identity.authority_of_operator(tenant).await.expect("an authority");
    House { sharing, identity, tenant, admin, test, master }
}

async fn make_tenant(identity: &Identity, slug: &str) -> TenantId {
    let settings = TenantSettings::default();
    let new = NewTenant { slug: slug.to_owned(), name: slug.to_owned(), settings };
    identity.tenants().create(new, &Cause::operator()).await.expect("a tenant").id
}

pub fn by() -> Cause {
    Cause::operator()
}

impl House {
    /// Another node on the same database; on SQLite, where there is one, the same store.
    pub async fn second(&self) -> (Identity, Sharing) {
        let store = match self.test.store.engine() {
            Engine::Sqlite => self.test.store.clone(),
            Engine::Postgres => self.test.open_again(&migrations()).await.expect("a second node"),
        };
        rooms(&store, &self.test, &self.master, &SharingOptions::default())
    }

    /// Another tenant, and the authority over it.
    pub async fn other_tenant(&self) -> Authority {
        let tenant = make_tenant(&self.identity, "other").await;
        self.identity.authority_of_operator(tenant).await.expect("an authority")
    }

    pub async fn user(&self, name: &str) -> Party {
        let profile = Profile { username: Some(name.to_owned()), ..Profile::default() };
        let new = NewUser { profile, ..NewUser::default() };
        Party::User(self.identity.users().create(self.tenant, new, &by()).await.expect("a user").id)
    }

    pub async fn group(&self, name: &str, members: &[Party]) -> Party {
        let new = NewGroup { name: name.to_owned(), ..NewGroup::default() };
        let group = self.identity.groups().create(self.tenant, new, &by()).await.expect("a group").id;
        for member in members {
            self.join(group, *member).await;
        }
        Party::Group(group)
    }

    pub async fn join(&self, group: GroupId, member: Party) {
        let kind = MembershipKind::Member;
        self.identity.groups().add((self.tenant, group), member, kind, &by()).await.expect("a member");
    }

    pub async fn leave(&self, group: Party, member: Party) {
        let Party::Group(group) = group else { panic!("{group} is no group") };
        assert!(self.identity.groups().remove((self.tenant, group), member, &by()).await.expect("no member"));
    }

    /// What this party may do by itself.
    pub async fn as_party(&self, party: Party) -> Authority {
        let subject = match party {
            Party::User(id) => Subject::User(id),
            Party::Service(id) => Subject::Service(id),
            Party::Group(_) => panic!("a group does nothing"),
        };
        self.identity.authority_of_bearer(self.tenant, subject).await.expect("an authority")
    }

    /// The types FOLDER and FILE with READ, WRITE (implies READ) and SHARE.
    pub async fn model(&self) {
        for id in ["FOLDER", "FILE"] {
            self.new_type(id).await.unwrap();
            for (name, shares, implies) in
                [("READ", false, vec![]), ("WRITE", false, vec!["READ"]), ("SHARE", true, vec![])]
            {
                self.permission(Some(id), name, shares, &implies).await.unwrap();
            }
        }
    }

    pub async fn new_type(&self, id: &str) -> Result<(), Error> {
        let new = NewType { id: id.to_owned(), name: id.to_lowercase(), description: None };
        self.sharing.types().create(&self.admin, new, &by()).await.map(drop)
    }

    pub async fn permission(
        &self,
        of: Option<&str>,
        id: &str,
        shares: bool,
        implies: &[&str],
    ) -> Result<(), Error> {
        let new = NewPermission {
            resource_type: of.map(str::to_owned),
            id: id.to_owned(),
            name: id.to_lowercase(),
            description: None,
            shares,
            implies: implies.iter().map(ToString::to_string).collect(),
        };
        self.sharing.permissions().create(&self.admin, new, &by()).await.map(drop)
    }

    pub async fn try_resource(
        &self,
        (kind, id): (&str, &str),
        owner: Party,
        parent: Option<&str>,
    ) -> Result<(), Error> {
        let new = NewResource {
            id: Some(id.to_owned()),
            resource_type: kind.to_owned(),
            owner: Some(owner),
            parent: parent.map(str::to_owned),
            name: format!("the {id}"),
            ..NewResource::default()
        };
        self.sharing.resources().create(&self.admin, new, &by()).await.map(drop)
    }

    pub async fn folder(&self, id: &str, owner: Party, parent: Option<&str>) {
        self.try_resource(("FOLDER", id), owner, parent).await.expect("a folder");
    }

    pub async fn file(&self, id: &str, owner: Party, parent: Option<&str>) {
        self.try_resource(("FILE", id), owner, parent).await.expect("a file");
    }

    pub async fn share(&self, resource: &str, permission: &str, subject: Party, cascade: bool) -> Grant {
        self.share_as(&self.admin, new_grant(resource, permission, subject, cascade)).await.expect("a grant")
    }

    pub async fn share_as(&self, authority: &Authority, new: NewGrant) -> Result<Grant, Error> {
        Ok(self.sharing.grants().share(authority, new, &by()).await?.value)
    }

    pub async fn may(&self, subject: Party, permission: &str, resource: &str) -> bool {
        may(&self.sharing, &self.admin, subject, permission, resource).await
    }

    pub async fn entries(&self) -> Vec<Entry> {
        let tenant = self.tenant;
        let seal = async |tx: &mut Tx<'_>| keyreeve_audit::seal(tx).await;
        while self.test.store.write(seal).await.expect("sealing") > 0 {}
        let list = async move |tx: &mut Tx<'_>| keyreeve_audit::list(tx, tenant, 0, 1_000).await;
        self.test.store.scan(list).await.expect("the log")
    }
}

pub fn new_grant(resource: &str, permission: &str, subject: Party, cascade: bool) -> NewGrant {
    NewGrant {
        resource: resource.to_owned(),
        permission: permission.to_owned(),
        subject,
        cascade,
        expires_at: None,
    }
}

pub async fn may(
    sharing: &Sharing,
    authority: &Authority,
    subject: Party,
    permission: &str,
    resource: &str,
) -> bool {
    let check = Check { subject, resource: resource.to_owned(), permission: permission.to_owned() };
    sharing.questions().check(authority, &check, Freshness::Bounded).await.expect("a decision").is_allowed()
}

statements! {
    /// Copies a grant to a party that is made up.
    CROWD = "INSERT INTO sharing_grant (resource_key, party_id, permission_key, party_kind, cascades, expires_at, \
        granted_kind, granted_id, created_at) SELECT resource_key, $2, permission_key, party_kind, cascades, expires_at, \
        granted_kind, granted_id, created_at FROM sharing_grant WHERE party_id = $1";
}

impl House {
    /// Has so many more grants on a resource, to nobody in particular.
    pub async fn crowd(&self, resource: &str, count: usize) {
        let first = self.group("crowd", &[]).await.uuid();
        self.share(resource, "READ", Party::Group(GroupId::from_uuid(first)), true).await;
        let (world, tenant) = (self.test.world.clone(), self.tenant);
        let write = async move |tx: &mut Tx<'_>| {
            let parties: Vec<_> = std::iter::repeat_with(|| world.new_uuid()).take(count).collect();
            let rows: Vec<_> = parties.iter().map(|party| params![first, *party]).collect();
            tx.execute_each(&CROWD, &rows).await?;
            tx.changed(Some(tenant), "sharing_node", "*").await
        };
        self.test.store.write(write).await.expect("a crowd");
    }
}

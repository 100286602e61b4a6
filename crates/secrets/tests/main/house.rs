//! A house to test in: a tenant with some people, and the room over it.

use keyreeve_audit::Entry;
use keyreeve_base::TenantId;
use keyreeve_crypto::Secret as SecretText;
use keyreeve_crypto::password::{HashPolicy, PoolSize};
use keyreeve_crypto::seal::MasterKey;
use keyreeve_fetch::{FetchOptions, Fetcher};
use keyreeve_identity::{
    Authority, Cause, Identity, IdentityOptions, NewGroup, NewTenant, NewUser, Profile, Subject,
    TenantSettings,
};
use keyreeve_secrets::{Content, Error, NewSecret, Party, Secret, SecretId, Secrets, SecretsOptions};
use keyreeve_sharing::{NewGrant, Sharing, SharingOptions};
use keyreeve_store::{Migration, Tx};
use keyreeve_testkit::{Engine, TestStore, store};

pub fn migrations() -> Vec<Migration> {
    [
        keyreeve_audit::MIGRATIONS,
        keyreeve_identity::MIGRATIONS,
        keyreeve_sharing::MIGRATIONS,
        keyreeve_secrets::MIGRATIONS,
    ]
    .concat()
}

pub struct House {
    pub secrets: Secrets,
    pub sharing: Sharing,
    pub identity: Identity,
    pub tenant: TenantId,
    /// Over the whole tenant.
    pub admin: Authority,
    pub test: TestStore,
}

pub async fn house(engine: Engine) -> House {
    let test = store(engine, &migrations()).await;
    let identity_options = IdentityOptions {
        hash_policy: HashPolicy { memory_kib: 64, iterations: 1, parallelism: 1 },
        hash_pool: PoolSize { workers: 1, queue: 4 },
        ..IdentityOptions::default()
    };
    let (store, world) = (test.store.clone(), test.world.clone());
    let master = MasterKey::generate(&world);
    let identity =
        Identity::new(store.clone(), world.clone(), master.into(), &identity_options).expect("a room");
    let sharing = Sharing::new(store.clone(), world.clone(), identity.clone(), &SharingOptions::default());
    let fetcher = Fetcher::new(FetchOptions { allow_private: true, ..FetchOptions::default() });
    let options = SecretsOptions {
        max_per_owner: 5,
        max_value_bytes: 65_536,
        fetcher: Some(fetcher.expect("a fetcher")),
        public_url: Some("https://id.example.org".parse().expect("an address")),
        ..SecretsOptions::default()
    };
    let secrets = Secrets::new(store, world, (identity.clone(), sharing.clone()), &options);
    let tenant = make_tenant(&identity, "default").await;
    let admin = identity.authority_of_operator(tenant).await.expect("an authority");
    House { secrets, sharing, identity, tenant, admin, test }
}

async fn make_tenant(identity: &Identity, slug: &str) -> TenantId {
    let settings = TenantSettings::default();
    let new = NewTenant { slug: slug.to_owned(), name: slug.to_owned(), settings };
    identity.tenants().create(new, &Cause::operator()).await.expect("a tenant").id
}

pub fn by() -> Cause {
    Cause::operator()
}

pub fn password(text: &str) -> Content {
    Content::Password(SecretText::new(text))
}

pub fn data(text: &str) -> Content {
    Content::KeyValue(SecretText::new(text))
}

impl House {
    pub async fn other_tenant(&self) -> Authority {
        let tenant = make_tenant(&self.identity, "other").await;
        self.identity.authority_of_operator(tenant).await.expect("an authority")
    }

    pub async fn user(&self, name: &str) -> Party {
        let profile = Profile { username: Some(name.to_owned()), ..Profile::default() };
        let new = NewUser { profile, ..NewUser::default() };
        Party::User(self.identity.users().create(self.tenant, new, &by()).await.expect("a user").id)
    }

    pub async fn group(&self, name: &str) -> Party {
        let new = NewGroup { name: name.to_owned(), ..NewGroup::default() };
        Party::Group(self.identity.groups().create(self.tenant, new, &by()).await.expect("a group").id)
    }

    pub async fn as_party(&self, party: Party) -> Authority {
        let subject = match party {
            Party::User(id) => Subject::User(id),
            Party::Service(id) => Subject::Service(id),
            Party::Group(_) => panic!("a group does nothing"),
        };
        self.identity.authority_of_bearer(self.tenant, subject).await.expect("an authority")
    }

    pub async fn make(&self, authority: &Authority, name: &str, content: Content) -> Secret {
        self.secrets.create(authority, NewSecret::of(name, content), &by()).await.expect("a secret")
    }

    pub async fn share(&self, secret: SecretId, permission: &str, subject: Party) {
        let new = NewGrant {
            resource: secret.to_string(),
            permission: permission.to_owned(),
            subject,
            cascade: false,
            expires_at: None,
        };
        self.sharing.grants().share(&self.admin, new, &by()).await.expect("a grant");
    }

    pub async fn open(&self, authority: &Authority, id: SecretId) -> Result<String, Error> {
        self.open_version(authority, id, None).await
    }

    pub async fn open_version(
        &self,
        authority: &Authority,
        id: SecretId,
        number: Option<i64>,
    ) -> Result<String, Error> {
        let opened = self.secrets.read(authority, id, number, &by()).await?;
        Ok(String::from_utf8(opened.value.expose().to_vec()).expect("text"))
    }

    pub async fn entries(&self) -> Vec<Entry> {
        let tenant = self.tenant;
        let seal = async |tx: &mut Tx<'_>| keyreeve_audit::seal(tx).await;
        while self.test.store.write(seal).await.expect("a seal") > 0 {}
        let list = async move |tx: &mut Tx<'_>| keyreeve_audit::list(tx, tenant, 0, 1_000).await;
        self.test.store.read(list).await.expect("entries")
    }

    /// How often the log has this action with this outcome.
    pub async fn told(&self, action: &str, outcome: &str) -> usize {
        let entries = self.entries().await;
        entries.iter().filter(|entry| entry.action == action && entry.outcome == outcome).count()
    }
}

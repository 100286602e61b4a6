//! A house to test in: a store, the rooms over it, two tenants.

use keyreeve_base::TenantId;
use keyreeve_crypto::password::{HashPolicy, PoolSize};
use keyreeve_crypto::seal::MasterKey;
use keyreeve_identity::{Cause, Identity, IdentityOptions, NewTenant, TenantSettings, User};
use keyreeve_store::{Migration, Tx};
use keyreeve_testkit::{Engine, TestStore, store};
use keyreeve_tokens::{Tokens, TokensOptions};
use keyreeve_transfer::{Begin, Error, Import, Line, LineResult, Mode, Right, Summary, Transfer, What};

/// A hash that an LDAP server made of `secret`.
pub const SSHA: &str = "{SSHA}kkH1bF2DYSGLTpH2w7ShdHhiqmFzYWx0c2FsdA==";

pub struct House {
    pub room: Transfer,
    pub identity: Identity,
    pub tenant: TenantId,
    pub other: TenantId,
    pub test: TestStore,
}

pub fn migrations() -> Vec<Migration> {
    [
        keyreeve_audit::MIGRATIONS,
        keyreeve_identity::MIGRATIONS,
        keyreeve_tokens::MIGRATIONS,
        keyreeve_transfer::MIGRATIONS,
    ]
    .concat()
}

pub async fn house(engine: Engine) -> House {
    let test = store(engine, &migrations()).await;
    let options = IdentityOptions {
        hash_policy: HashPolicy { memory_kib: 64, iterations: 1, parallelism: 1 },
        hash_pool: PoolSize { workers: 1, queue: 64 },
        ..IdentityOptions::default()
    };
    let master = MasterKey::generate(&test.world);
    let identity =
        Identity::new(test.store.clone(), test.world.clone(), master.into(), &options).expect("a room");
    let options = TokensOptions::new("https://id.example/".parse().expect("a URL"));
    let tokens = Tokens::new(test.store.clone(), test.world.clone(), identity.clone(), &options);
    let room = Transfer::new(test.store.clone(), test.world.clone(), identity.clone(), tokens);
    let tenant = new_tenant(&identity, "default").await;
    let other = new_tenant(&identity, "other").await;
    House { room, identity, tenant, other, test }
}

async fn new_tenant(identity: &Identity, slug: &str) -> TenantId {
    let mut settings = TenantSettings::default();
    settings.directory.max_depth = 30;
    let new = NewTenant { slug: slug.to_owned(), name: slug.to_owned(), settings };
    identity.tenants().create(new, &Cause::system()).await.expect("a tenant").id
}

/// Ways to begin.
pub fn upsert() -> Begin {
    Begin { mode: Mode::Upsert, source: "a test".to_owned(), ..Begin::default() }
}

pub fn create() -> Begin {
    Begin { source: "a test".to_owned(), ..Begin::default() }
}

pub fn dry(begin: Begin) -> Begin {
    Begin { dry_run: true, ..begin }
}

pub async fn feed(import: &mut Import, text: &str) -> Result<Vec<LineResult>, Error> {
    let mut results = Vec::new();
    for line in text.lines() {
        results.extend(import.line(&Line::Text(line.as_bytes().to_vec())).await?);
    }
    Ok(results)
}

impl House {
    pub async fn begin(&self, begin: Begin) -> Result<Import, Error> {
        self.room.begin(self.tenant, begin, Right::Operator, &Cause::operator()).await
    }

    pub async fn import(&self, begin: Begin, text: &str) -> (Vec<LineResult>, Summary) {
        let mut import = self.begin(begin).await.expect("an import");
        let mut results = feed(&mut import, text).await.expect("lines");
        let (rest, summary) = import.finish().await.expect("an end");
        results.extend(rest);
        (results, summary)
    }

    /// The words of the results, each with its problems.
    pub async fn words(&self, begin: Begin, text: &str) -> Vec<String> {
        self.import(begin, text).await.0.iter().map(word).collect()
    }

    pub async fn export(&self, what: What) -> String {
        self.export_of(self.tenant, what).await
    }

    pub async fn export_of(&self, tenant: TenantId, what: What) -> String {
        let mut export =
            self.room.export(tenant, what, Right::Operator, &Cause::operator()).await.expect("an export");
        let mut all = Vec::new();
        while let Some(piece) = export.next().await.expect("a piece") {
            all.extend(piece);
        }
        String::from_utf8(all).expect("text")
    }

    pub async fn user(&self, name: &str) -> User {
        self.identity.users().find(self.tenant, name).await.expect("a look").expect("a user")
    }

    /// The actions in the tenant's audit log, which is sound.
    pub async fn log(&self) -> Vec<String> {
        let seal = async |tx: &mut Tx<'_>| keyreeve_audit::seal(tx).await;
        self.test.store.write::<_, keyreeve_store::Error, _>(seal).await.expect("sealed");
        let tenant = self.tenant;
        let read = async move |tx: &mut Tx<'_>| keyreeve_audit::list(tx, tenant, 0, 1_000).await;
        let entries = self.test.store.read::<_, keyreeve_store::Error, _>(read).await.expect("entries");
        entries.into_iter().map(|entry| format!("{} {}", entry.action, entry.outcome)).collect()
    }

    pub async fn check(&self) {
        assert_eq!(self.test.store.integrity().await.expect("a check"), Vec::<String>::new());
    }
}

/// `created`, or `failed /username is taken`.
pub fn word(result: &LineResult) -> String {
    let status = serde_json::to_value(result.status).expect("a word");
    let problems: Vec<_> = result.errors.iter().map(|of| format!(" {} {}", of.pointer, of.detail)).collect();
    format!("{}{}", status.as_str().expect("a text"), problems.join(";"))
}

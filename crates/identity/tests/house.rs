//! A house to test in: a store, the room over it, one tenant.

use keyreeve_audit::Entry;
use keyreeve_base::{Origin, TenantId, UserId};
use keyreeve_crypto::password::{HashPolicy, PoolSize};
use keyreeve_crypto::seal::MasterKey;
use keyreeve_crypto::{OpaqueToken, Secret};
use keyreeve_identity::{
    Admitted, Cause, Credential, Group, Identity, IdentityOptions, MailLinks, Method, NewGroup, NewTenant,
    NewUser, PasswordAttempt, Profile, Refusal, Session, SignIn, Tenant, TenantSettings, User,
};
use keyreeve_store::{Migration, Statement, Store, Tx, params, statements};
use keyreeve_testkit::{Engine, TestStore, store};
use std::sync::Arc;
use std::time::Duration;

pub const PASSWORD: &str = "Wq7-tulip-oxcart";
pub const OTHER_PASSWORD: &str = "gK2-heron-basalt";

statements! {
    /// What is stored of a password.
    pub HASH_OF = "SELECT hash FROM user_password WHERE user_id = $1";
    /// Everything that is stored of a session's cookie.
    pub COOKIE_OF = "SELECT token_digest FROM session WHERE id = $1";
    /// How many members a group has, whether or not it exists.
    pub MEMBERS_OF = "SELECT COUNT(*) FROM group_member WHERE group_id = $1";
    /// How many rows the index of attributes has of a user.
    pub INDEXED_OF = "SELECT COUNT(*) FROM user_attribute WHERE user_id = $1";
    /// What a counter stands at, over all keys of a scope.
    pub FAILURES = "SELECT CAST(COALESCE(SUM(failures), 0) AS BIGINT) FROM throttle WHERE scope = $1";
}

pub fn migrations() -> Vec<Migration> {
    [keyreeve_audit::MIGRATIONS, keyreeve_identity::MIGRATIONS].concat()
}

/// Cheap hashes: what is tested here is not their strength.
pub fn options(memory_kib: u32) -> IdentityOptions {
    IdentityOptions {
        hash_policy: HashPolicy { memory_kib, iterations: 1, parallelism: 1 },
        hash_pool: PoolSize { workers: 2, queue: 256 },
        mail: Some(MailLinks {
            public_url: "https://id.example".to_owned(),
            reset_path: "/reset",
            verify_path: "/verify",
        }),
        ..IdentityOptions::default()
    }
}

pub fn origin(address: &str) -> Origin {
    Origin { address: address.parse().ok(), user_agent: Some("a browser".to_owned()), request_id: None }
}

pub struct House {
    pub identity: Identity,
    pub tenant: Arc<Tenant>,
    pub master_text: String,
    pub test: TestStore,
}

pub async fn house(engine: Engine) -> House {
    house_with(engine, TenantSettings::default()).await
}

pub async fn house_with(engine: Engine, settings: TenantSettings) -> House {
    house_on(store(engine, &migrations()).await, settings).await
}

/// A house as it was before this migration.
pub async fn house_before(engine: Engine, migration: &str) -> House {
    let before: Vec<_> = migrations().into_iter().take_while(|known| known.id != migration).collect();
    assert!(before.len() < migrations().len(), "there is no {migration}");
    house_on(store(engine, &before).await, TenantSettings::default()).await
}

async fn house_on(test: TestStore, settings: TenantSettings) -> House {
    let master_text = MasterKey::generate(&test.world).to_text().expose().to_owned();
    let identity = identity(&test, &master_text, 64);
    let new = NewTenant { slug: "default".to_owned(), name: "Example".to_owned(), settings };
    let tenant = identity.tenants().create(new, &Cause::system()).await.expect("a tenant");
    House { identity, tenant, master_text, test }
}

/// The room over this store.
pub fn identity(test: &TestStore, master_text: &str, memory_kib: u32) -> Identity {
    let master = MasterKey::from_text(master_text).expect("the key");
    Identity::new(test.store.clone(), test.world.clone(), master.into(), &options(memory_kib))
        .expect("a room")
}

/// What a successful sign-in gave.
pub struct SignedIn {
    pub cookie: String,
    pub device: String,
    pub session: Arc<Session>,
    pub admitted: Admitted,
}

impl House {
    pub fn id(&self) -> TenantId {
        self.tenant.id
    }

    pub fn advance(&self, seconds: u64) {
        self.test.clock.advance(Duration::from_secs(seconds));
    }

    /// Another node over the same database.
    pub async fn other_node(&self, memory_kib: u32) -> Identity {
        let store = self.test.open_again(&migrations()).await.expect("the same database");
        self.over(store, memory_kib)
    }

    /// Another room over this store.
    pub fn over(&self, store: Store, memory_kib: u32) -> Identity {
        let master = MasterKey::from_text(&self.master_text).expect("the key");
        Identity::new(store, self.test.world.clone(), master.into(), &options(memory_kib)).expect("a room")
    }

    pub async fn try_user(
        &self,
        username: Option<&str>,
        email: Option<&str>,
        credential: Credential,
    ) -> Result<Arc<User>, keyreeve_identity::Error> {
        let profile = Profile {
            username: username.map(Into::into),
            email: email.map(Into::into),
            given_name: Some("Augusta".to_owned()),
            ..Profile::default()
        };
        let new = NewUser { profile, credential, ..NewUser::default() };
        self.identity.users().create(self.id(), new, &Cause::operator()).await
    }

    /// Ada, who signs in with `ada` or `lovelace@example.org` and [`PASSWORD`].
    pub async fn ada(&self) -> Arc<User> {
        let password = Credential::Password(Secret::new(PASSWORD));
        self.try_user(Some("Ada"), Some("Lovelace@Example.org"), password).await.expect("a user")
    }

    pub async fn group(&self, name: &str) -> Arc<Group> {
        let new = NewGroup { name: name.to_owned(), ..NewGroup::default() };
        self.identity.groups().create(self.id(), new, &Cause::operator()).await.expect("a group")
    }

    /// How many rows of something belong to this identifier.
    pub async fn count(&self, statement: &'static Statement, id: uuid::Uuid) -> i64 {
        let store = &self.test.store;
        store
            .read(async move |tx: &mut Tx<'_>| tx.scalar(statement, &params![id]).await)
            .await
            .expect("a count")
    }

    pub fn attempt<'a>(&self, identifier: &'a str, password: &str) -> PasswordAttempt<'a> {
        PasswordAttempt {
            tenant: self.id(),
            identifier,
            password: Secret::new(password),
            origin: origin("192.0.2.1"),
            method: Method::Password,
            device: None,
        }
    }

    pub fn attempt_from<'a>(
        &self,
        address: &str,
        identifier: &'a str,
        password: &str,
    ) -> PasswordAttempt<'a> {
        PasswordAttempt { origin: origin(address), ..self.attempt(identifier, password) }
    }

    pub async fn try_sign_in(&self, identifier: &str, password: &str) -> SignIn {
        self.try_attempt(self.attempt(identifier, password)).await
    }

    pub async fn try_attempt(&self, attempt: PasswordAttempt<'_>) -> SignIn {
        self.identity.admission().sign_in(attempt, None).await.expect("an answer")
    }

    pub async fn sign_in(&self, identifier: &str, password: &str) -> SignedIn {
        signed_in(self.try_sign_in(identifier, password).await)
    }

    pub async fn change_state(&self, user: UserId, change: keyreeve_identity::StateChange) -> Arc<User> {
        let changed =
            self.identity.users().change_state((self.id(), user), change, None, &Cause::operator()).await;
        changed.expect("a change")
    }

    /// The session of a cookie, if it is let in.
    pub async fn session(&self, cookie: &str) -> Option<Admitted> {
        self.identity.admission().session(self.id(), cookie).await.expect("an answer")
    }

    /// The tenant's audit log, after the chain was found intact.
    pub async fn log(&self) -> Vec<Entry> {
        let (store, tenant) = (&self.test.store, self.id());
        while store.write(async |tx: &mut Tx<'_>| keyreeve_audit::seal(tx).await).await.expect("sealing") > 0
        {
        }
        store
            .scan(async move |tx: &mut Tx<'_>| {
                let report = keyreeve_audit::verify(tx, tenant, None).await?;
                assert_eq!(report.verdict, keyreeve_audit::Verdict::Intact);
                keyreeve_audit::list(tx, tenant, 0, 1_000).await
            })
            .await
            .expect("the log")
    }

    /// The same as lines: action, outcome, reason.
    pub async fn lines(&self) -> Vec<String> {
        self.log().await.iter().map(line).collect()
    }

    /// The lines that `work` adds.
    pub async fn lines_of<T>(&self, work: impl Future<Output = T>) -> (T, Vec<String>) {
        let before = self.lines().await.len();
        let done = work.await;
        (done, self.lines().await.split_off(before))
    }

    pub async fn hash_of(&self, user: UserId) -> String {
        let store = &self.test.store;
        store
            .read(async move |tx: &mut Tx<'_>| tx.scalar(&HASH_OF, &params![user]).await)
            .await
            .expect("a hash")
    }

    pub async fn failures(&self, scope: &'static str) -> i64 {
        let store = &self.test.store;
        store
            .read(async move |tx: &mut Tx<'_>| tx.scalar(&FAILURES, &params![scope]).await)
            .await
            .expect("a sum")
    }

    /// What must hold after every test.
    pub async fn check(&self) {
        assert_eq!(self.test.store.integrity().await.expect("a check"), Vec::<String>::new());
        self.log().await;
    }
}

fn line(entry: &Entry) -> String {
    let reason = entry.reason.as_deref().map(|reason| format!(" {reason}")).unwrap_or_default();
    format!("{} {}{reason}", entry.action, entry.outcome)
}

pub fn signed_in(answer: SignIn) -> SignedIn {
    match answer {
        SignIn::SignedIn { cookie, device_cookie, session, admitted } => {
            let cookie: OpaqueToken = cookie;
            SignedIn { cookie: cookie.expose().to_owned(), device: device_cookie, session, admitted }
        }
        other => panic!("not signed in: {other:?}"),
    }
}

pub fn ticket(answer: SignIn) -> String {
    match answer {
        SignIn::MustChangePassword { ticket } => ticket,
        other => panic!("no ticket: {other:?}"),
    }
}

pub fn refusal(answer: &SignIn) -> Refusal {
    match answer {
        SignIn::Refused(refusal) => *refusal,
        other => panic!("not refused: {other:?}"),
    }
}

pub fn is_throttled(answer: &SignIn) -> bool {
    matches!(answer, SignIn::Refused(Refusal::Throttled { .. }))
}

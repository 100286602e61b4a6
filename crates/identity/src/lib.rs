//! Tenants, users, groups, roles, service accounts, passwords, sessions, and admission: the one decision for every way in.
//!
//! | module | what |
//! |---|---|
//! | [`tenants`], [`settings`] | the outermost boundary, and what each tenant can set |
//! | [`sealing`] | data keys of tenants; sealing of values and of texts that travel through a browser |
//! | [`users`] | profiles, identifiers (unique across usernames and e-mail addresses), states |
//! | [`groups`], [`roles`] | nested groups and what their members are; roles, given to parties and their groups |
//! | [`service_accounts`] | what programs sign in as |
//! | [`directory`] | the parties of groups and roles, and what is kept of them in memory |
//! | [`authority`] | delegated administration: who may change what of others |
//! | [`bulk`] | many users, groups, members and roles in one transaction, for imports and exports |
//! | [`search`] | users, groups, roles and service accounts by filter, order and page |
//! | [`passwords`] | policy, history, setting and changing |
//! | [`second_factor`] | one-time codes and recovery codes |
//! | [`sessions`] | browser sessions |
//! | [`recovery`] | links by mail: a new password, a confirmed address; the mail that waits to be sent |
//! | [`admission`] | proofs, throttle, and the only maker of [`Admitted`] |
//!
//! What it is not: it knows no HTTP, no token and no OAuth client's registration. Rooms above (tokens, federation) prove things
//! of their own and have admission weigh them.
//!
//! How to add to it. A new way in is a variant of [`Method`] and a constructor of [`Proof`]; the compiler names every place
//! that must know it. A new use case is one method of one handle: read, decide and write in one transaction, record an
//! audit event in it, and announce on the change feed what a cache may hold. A refusal is an answer (`Ok(Err(refusal))`
//! inside a transaction), so that its audit entry is committed.

pub mod admission;
pub mod authority;
pub mod bulk;
mod cause;
pub mod directory;
mod error;
pub mod groups;
pub mod passwords;
pub mod recovery;
mod resealing;
pub mod roles;
mod schema;
pub mod sealing;
pub mod search;
pub mod second_factor;
pub mod service_accounts;
pub mod sessions;
pub mod settings;
pub mod tenants;
pub mod users;

pub use admission::{
    Admission, Admitted, ClientAttempt, CodeGuess, CredentialAttempt, FinishPasswordChange,
    FinishSecondFactor, Method, Opening, PasswordAttempt, Proof, Redeemed, Refusal, ServiceAttempt, SignIn,
    Subject, Weighed,
};
pub use authority::{Authority, Standing};
pub use bulk::Bulk;
pub use cause::{Cause, RequestKey};
pub use directory::Party;
pub use error::Error;
pub use groups::{
    Group, GroupPatch, GroupRevision, Groups, MemberChange, Membership, MembershipKind, NewGroup, Reach,
    ReadyGroup,
};
pub use passwords::{PasswordState, Passwords, PolicyViolation, ReadyPassword};
pub use recovery::{LinkKind, MailLinks, MailRecord, MailState, Recovery, ResetRequest, SendOutcome};
pub use resealing::{
    DataKeyInfo, DataKeys, MasterKeyUse, Renewal, Rotation, Rows, SEALED, SealedColumn, SealedRow,
};
pub use roles::{EffectiveRole, EffectiveRoles, NewRole, Role, RoleHolding, RolePatch, Roles, TENANT_ADMIN};
pub use schema::{MIGRATIONS, STATEMENTS};
pub use sealing::{MasterSource, Sealer};
pub use search::{Cursor, Direction, Found, GroupField, RoleField, Search, ServiceField, Start, UserField};
pub use second_factor::{
    Enrolment, Factors, ImportedTotp, PreparedTotp, RecoveryCodes, SecondFactors, TotpAlgorithm, TotpDevice,
    TotpParameters,
};
pub use service_accounts::{
    IssuedSecret, NewServiceAccount, SecretInfo, ServiceAccount, ServiceAccountPatch, ServiceAccounts,
};
pub use sessions::{EndedSession, Session, Sessions};
pub use settings::{
    DirectoryPolicy, PasswordPolicy, RecoveryPolicy, SessionPolicy, TenantSettings, ThrottlePolicy,
};
pub use tenants::{DEFAULT_SLUG, NewTenant, Tenant, TenantPatch, Tenants};
pub use users::{
    Carried, Carry, Credential, DuplicateBy, DuplicateSet, Merge, MergeField, NewUser, Patch, Profile,
    ProfilePatch, ReadyUser, Revision, StateChange, User, Users,
};

use admission::{CounterKey, Standing as CounterStanding};
use directory::Epochs;
use keyreeve_base::{GroupId, ServiceAccountId, SessionId, TenantId, UserId, World};
use keyreeve_crypto::TokenDigest;
use keyreeve_crypto::password::{HashPolicy, Hasher, PoolSize, SetupError};
use keyreeve_crypto::seal::MasterKeyring;
use keyreeve_store::{Cache, Store};
use sealing::{Keys, Master};
use std::sync::{Arc, PoisonError, RwLock};

/// How many entries each cache holds at most.
mod capacity {
    pub(crate) const TENANTS: usize = 1_024;
    pub(crate) const USERS: usize = 10_000;
    pub(crate) const SESSIONS: usize = 20_000;
    pub(crate) const COUNTERS: usize = 10_000;
    pub(crate) const GROUPS: usize = 5_000;
    pub(crate) const SERVICES: usize = 2_000;
    pub(crate) const PARTIES: usize = 20_000;
}

/// What the room is set up with.
#[derive(Debug, Clone, Default)]
pub struct IdentityOptions {
    /// The cost of new password hashes.
    pub hash_policy: HashPolicy,
    /// How many threads hash, and how many passwords may wait.
    pub hash_pool: PoolSize,
    /// Where links by mail lead; none where no mail can be sent.
    pub mail: Option<MailLinks>,
    /// Where the master key is read anew when another node has changed it.
    pub master_source: MasterSource,
}

/// The identity room. Cheap to clone.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    store: Store,
    world: World,
    hasher: Hasher,
    master: Master,
    mail: Option<MailLinks>,
    caches: Caches,
    /// What rooms above do when accounts are merged.
    carriers: RwLock<Vec<Arc<dyn Carry>>>,
}

/// What the room keeps in memory; the change feed keeps it right.
pub(crate) struct Caches {
    tenants: Arc<Cache<TenantId, Option<Arc<Tenant>>>>,
    users: Arc<Cache<UserId, Option<Arc<User>>>>,
    sessions: Arc<Cache<SessionId, Option<Arc<Session>>>>,
    sealers: Arc<Cache<TenantId, Arc<Sealer>>>,
    counters: Arc<Cache<CounterKey, Option<CounterStanding>>>,
    groups: Arc<Cache<GroupId, Option<Arc<Group>>>>,
    services: Arc<Cache<ServiceAccountId, Option<Arc<service_accounts::Credentials>>>>,
    directory: Epochs,
    /// Of large tenants, for half a minute each.
    totals: search::Totals,
    /// Facts that never change, and so need no change feed.
    slugs: quick_cache::sync::Cache<String, TenantId>,
    cookies: quick_cache::sync::Cache<(TenantId, TokenDigest), SessionId>,
}

impl Caches {
    fn new(store: &Store) -> Self {
        Self {
            tenants: Cache::new(store, tenants::TOPIC, capacity::TENANTS),
            users: Cache::new(store, users::TOPIC, capacity::USERS),
            sessions: Cache::new(store, sessions::TOPIC, capacity::SESSIONS),
            sealers: Cache::new(store, sealing::TOPIC, capacity::TENANTS),
            counters: Cache::new(store, admission::COUNTER_TOPIC, capacity::COUNTERS),
            groups: Cache::new(store, groups::TOPIC, capacity::GROUPS),
            services: Cache::new(store, service_accounts::TOPIC, capacity::SERVICES),
            directory: Epochs::new(store, capacity::TENANTS, capacity::PARTIES),
            totals: search::Totals::new(capacity::TENANTS),
            slugs: quick_cache::sync::Cache::new(capacity::TENANTS),
            cookies: quick_cache::sync::Cache::new(capacity::SESSIONS),
        }
    }
}

impl Identity {
    /// The room over this store, whose migrations ([`MIGRATIONS`] and the audit room's) have run. Starts the threads that
    /// hash passwords and registers the caches on the change feed.
    ///
    /// # Errors
    /// [`SetupError`] when the hash policy is out of bounds or no thread can be started.
    pub fn new(
        store: Store,
        world: World,
        master: MasterKeyring,
        options: &IdentityOptions,
    ) -> Result<Self, SetupError> {
        let hasher = Hasher::new(world.clone(), options.hash_policy, options.hash_pool)?;
        let caches = Caches::new(&store);
        let (master, mail) = (Master::new(master, options.master_source.clone()), options.mail.clone());
        let carriers = RwLock::default();
        Ok(Self(Arc::new(Inner { store, world, hasher, master, mail, caches, carriers })))
    }

    /// Tenants, and sealing for them.
    #[must_use]
    pub const fn tenants(&self) -> Tenants<'_> {
        Tenants(self)
    }

    /// Users.
    #[must_use]
    pub const fn users(&self) -> Users<'_> {
        Users(self)
    }

    /// Groups and who is in them.
    #[must_use]
    pub const fn groups(&self) -> Groups<'_> {
        Groups(self)
    }

    /// Roles and who has them.
    #[must_use]
    pub const fn roles(&self) -> Roles<'_> {
        Roles(self)
    }

    /// Service accounts.
    #[must_use]
    pub const fn service_accounts(&self) -> ServiceAccounts<'_> {
        ServiceAccounts(self)
    }

    /// Passwords, where they are set.
    #[must_use]
    pub const fn passwords(&self) -> Passwords<'_> {
        Passwords(self)
    }

    /// One-time codes beside the password.
    #[must_use]
    pub const fn second_factors(&self) -> SecondFactors<'_> {
        SecondFactors(self)
    }

    /// Browser sessions.
    #[must_use]
    pub const fn sessions(&self) -> Sessions<'_> {
        Sessions(self)
    }

    /// Links by mail.
    #[must_use]
    pub const fn recovery(&self) -> Recovery<'_> {
        Recovery(self)
    }

    /// Every way in.
    #[must_use]
    pub const fn admission(&self) -> Admission<'_> {
        Admission(self)
    }

    /// Many at a time.
    #[must_use]
    pub const fn bulk(&self) -> Bulk<'_> {
        Bulk(self)
    }

    /// The pool that hashes passwords.
    #[must_use]
    pub fn hasher(&self) -> &Hasher {
        &self.0.hasher
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(crate) fn world(&self) -> &World {
        &self.0.world
    }

    pub(crate) fn carriers(&self) -> Vec<Arc<dyn Carry>> {
        self.0.carriers.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn master(&self) -> &Master {
        &self.0.master
    }

    pub(crate) fn caches(&self) -> &Caches {
        &self.0.caches
    }

    pub(crate) const fn keys(&self) -> Keys<'_> {
        Keys(self)
    }
}

/// Whether what is at version `found` may be changed by whoever expects `wanted`, if anything.
pub(crate) fn check_version(wanted: Option<i64>, found: i64) -> Result<(), Error> {
    if wanted.is_some_and(|wanted| wanted != found) { Err(Error::VersionConflict) } else { Ok(()) }
}

/// The JSON text of a value that is stored.
pub(crate) fn write_json<T: serde::Serialize + ?Sized>(value: &T) -> Result<String, keyreeve_store::Error> {
    serde_json::to_string(value).map_err(|error| keyreeve_store::Error::internal(error.to_string()))
}

/// The value of a stored JSON text.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(
    what: &'static str,
    text: &str,
) -> Result<T, keyreeve_store::Error> {
    serde_json::from_str(text)
        .map_err(|error| keyreeve_store::Error::corrupt(format!("a {what} cannot be read: {error}")))
}

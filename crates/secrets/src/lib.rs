//! Secrets: kept sealed, handed only to whom they belong.
//!
//! | module | what |
//! |---|---|
//! | [`Secrets`] | making, describing, giving away, removing; new values, rotation, versions; **reading** |
//! | [`Content`], [`Recipe`] | values on their way in: brought, or made here |
//! | [`KeyValues`] | the same by path, as key/value stores have it |
//! | [`SigningPolicy`], [`Secrets::issue`] | SSH and X.509 certificates by authorities that never leave; what is revoked |
//! | [`JwtRules`], [`Secrets::sign_jwt`], [`Secrets::jwks`] | tokens signed for others by keys that never leave; the keys to check them by |
//! | [`Lease`] | readings and certificates for a time |
//! | [`SecretStore`], [`ServiceAuthentication`] | stores elsewhere that keep values, and what they are reached with |
//! | [`SecretSearch`] | lists by filter, order and page |
//! | [`Secrets::rewrap`] | the keys of versions under another data key, while serving |
//!
//! **Who may.** A secret is a resource of the sharing room, of the type [`RESOURCE_TYPE`], and its identifier is the
//! resource's. Grants on it are shared and revoked there: [`METADATA`], [`READ`], [`ROTATE`], [`WRITE`], [`DELETE`], and what
//! ownership gives. What it is changes here alone, in one transaction with its resource. Whoever administers the tenant may
//! do everything, and the log says so. An identifier cannot be guessed, and is no credential.
//!
//! **Sealing.** Each version is sealed by a key of its own, and that key by the tenant's data key. Both are bound to tenant,
//! secret, kind and version: a value that is copied to another row does not open, nor does one of which a bit was flipped.
//!
//! **Reading.** [`Secrets::read`] is the one way out: decided, recorded, on disk, and only then opened. Where it cannot be
//! recorded there is no value. The keys of authorities never leave.
//!
//! **Elsewhere.** A key/value secret can have its value in a store that speaks Vault's KV version 2 ([`Elsewhere`]). Then who may
//! is decided and recorded here as ever, and the value comes from there and goes there: nothing of it is kept.
//!
//! What it is not: it serves no HTTP, and sends none but by `keyreeve_fetch`. It makes no key and no certificate itself (that is `keyreeve_pki`), and decides nothing
//! about who a caller is: every use case is given an [`keyreeve_identity::Authority`].
//!
//! How to add to it. A kind of secret is a variant of [`Kind`] and of [`Content`]; the compiler names every place that must
//! know it. A use case is one method: [`Secrets`]' `require` first, then one transaction with its entry in the log. What may
//! be known without the value is a member of [`Facts`].

mod access;
mod aged;
mod authentications;
mod content;
mod elsewhere;
mod error;
mod id;
mod issue;
mod jwt;
mod kv;
mod leases;
mod lists;
mod model;
mod policies;
mod read;
mod records;
mod rewrap;
mod schema;
mod sealed;
mod search;
mod service;
mod signing;
mod ssh;
mod stores;
mod sweep;
mod versions;
mod watch;
mod workshop;
mod x509;

pub use access::{DELETE, METADATA, READ, RESOURCE_TYPE, ROTATE, WRITE};
pub use authentications::{
    AuthenticationPatch, MAX_AUTHENTICATIONS, MAX_CREDENTIAL_BYTES, Method, NewAuthentication,
    ServiceAuthentication,
};
pub use content::{Content, MAX_PASSWORD_BYTES, PasswordRecipe, Recipe};
pub use elsewhere::Finding;
pub use error::Error;
pub use id::{CertificateId, LeaseId, NoId, SecretId, ServiceAuthId, StoreId};
pub use issue::{HandedOut, Issued, Wanted};
pub use jwt::{JwtRules, JwtWanted, MAX_CLAIMS_BYTES, MAX_JWT_SECONDS, SignedJwt};
pub use keyreeve_identity::{Party, Patch};
pub use kv::{Entry, KeyValues};
pub use leases::{Lease, LeaseWish, MAX_LEASES};
pub use lists::Published;
pub use model::{
    DEFAULT_KEPT, Elsewhere, Facts, Kind, MAX_DESCRIPTION_BYTES, MAX_KEPT, MAX_LABEL_BYTES,
    MAX_LABEL_NAME_BYTES, MAX_LABELS, MAX_NAME_BYTES, MAX_PATH_BYTES, MAX_SECONDS, Place, Secret, Settings,
    Version,
};
pub use policies::{MAX_RULES, Rules, SigningPolicy, USERNAME};
pub use read::Opened;
pub use records::{FoundRecords, RecordField, RecordSearch};
pub use rewrap::{MAX_REWRAP, SEALED};
pub use schema::{MIGRATIONS, STATEMENTS};
pub use search::{FoundSecrets, SecretCursor, SecretField, SecretSearch, Sort};
pub use service::{NewSecret, Owner, SecretPatch};
pub use signing::{MAX_PUBLISHED, MAX_SIGNING_KEYS};
pub use stores::{DEFAULT_TIMEOUT_MS, MAX_STORES, MAX_TIMEOUT_MS, NewStore, SecretStore, StorePatch};
pub use versions::{Fate, MAX_NAMED};
pub use watch::THRESHOLD_DAYS;
pub use workshop::WorkshopSize;
pub use x509::{AuthorityRecipe, CertificateRecipe, MAX_AUTHORITY_SECONDS, MAX_CERTIFICATE_SECONDS};

use elsewhere::Sessions;
use keyreeve_base::World;
use keyreeve_fetch::Fetcher;
use keyreeve_identity::Identity;
use keyreeve_sharing::Sharing;
use keyreeve_store::{Cache, Store};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use url::Url;
use workshop::Workshop;

/// The most entries that a page of anything has.
pub const MAX_PAGE: u16 = 500;

/// What the room is set up with.
#[derive(Debug, Clone)]
pub struct SecretsOptions {
    /// The longest value, files among them, in bytes; up to 64 MiB.
    pub max_value_bytes: usize,
    /// How many secrets one owner has who does not administer the tenant.
    pub max_per_owner: u32,
    /// How much slow work is done at a time.
    pub workshop: WorkshopSize,
    /// Where the server is found: no token that is signed for others names an issuer there.
    pub public_url: Option<Url>,
    /// By what stores elsewhere are reached; without it there are none.
    pub fetcher: Option<Fetcher>,
}

impl Default for SecretsOptions {
    fn default() -> Self {
        Self {
            max_value_bytes: 1 << 20,
            max_per_owner: 10_000,
            workshop: WorkshopSize::default(),
            public_url: None,
            fetcher: None,
        }
    }
}

/// The secrets room. Cheap to clone.
#[derive(Clone)]
pub struct Secrets(Arc<Inner>);

struct Inner {
    store: Store,
    world: World,
    sharing: Sharing,
    identity: Identity,
    options: SecretsOptions,
    workshop: Workshop,
    /// The tokens by which stores elsewhere are asked.
    sessions: Sessions,
    /// What authorities publish.
    published: Arc<Cache<lists::ListKey, Arc<Published>>>,
    /// The keys of tenants that sign tokens.
    signing: Arc<Cache<keyreeve_base::TenantId, Arc<[signing::PublicKey]>>>,
    /// Where the last round of the sweep stopped.
    swept: AtomicI64,
}

impl Secrets {
    /// The room over this store, whose migrations ([`MIGRATIONS`], and those of audit, identity and sharing) have run.
    #[must_use]
    pub fn new(
        store: Store,
        world: World,
        (identity, sharing): (Identity, Sharing),
        options: &SecretsOptions,
    ) -> Self {
        let most = keyreeve_crypto::seal::MAX_PLAINTEXT_BYTES;
        let options =
            SecretsOptions { max_value_bytes: options.max_value_bytes.min(most), ..options.clone() };
        let workshop = Workshop::new(options.workshop);
        let (swept, published) = (AtomicI64::new(0), Cache::new(&store, lists::TOPIC, 256));
        let signing = Cache::new(&store, signing::TOPIC, 256);
        let sessions = Sessions::default();
        Self(Arc::new(Inner {
            store,
            world,
            sharing,
            identity,
            options,
            workshop,
            sessions,
            published,
            signing,
            swept,
        }))
    }

    /// Key/value secrets by path.
    #[must_use]
    pub const fn kv(&self) -> KeyValues<'_> {
        KeyValues(self)
    }

    /// What the room was set up with.
    #[must_use]
    pub fn options(&self) -> &SecretsOptions {
        &self.0.options
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(crate) fn world(&self) -> &World {
        &self.0.world
    }

    pub(crate) fn sharing(&self) -> &Sharing {
        &self.0.sharing
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.0.identity
    }

    pub(crate) fn workshop(&self) -> &Workshop {
        &self.0.workshop
    }

    pub(crate) fn sessions(&self) -> &Sessions {
        &self.0.sessions
    }

    pub(crate) fn published_lists(&self) -> &Cache<lists::ListKey, Arc<Published>> {
        &self.0.published
    }

    pub(crate) fn signing_keys(&self) -> &Cache<keyreeve_base::TenantId, Arc<[signing::PublicKey]>> {
        &self.0.signing
    }

    pub(crate) fn swept(&self) -> &AtomicI64 {
        &self.0.swept
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({})", self.0.store.engine())
    }
}

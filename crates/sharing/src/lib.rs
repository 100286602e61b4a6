//! Who may do what to which resource: types of resources, resources in a tree, permissions, grants, and the engine that
//! answers questions about them.
//!
//! | module | what |
//! |---|---|
//! | [`Types`], [`Permissions`] | a tenant's model: what kinds of resources there are, and what can be granted on them |
//! | [`Resources`] | resources: made, changed, moved, transferred, removed |
//! | [`Grants`] | sharing and revoking; the grants on a resource, direct and inherited |
//! | [`Questions`] | check one or many, subjects of a resource, resources of a subject, explain, search |
//! | [`Hosted`] | resources that are another room's: secrets |
//! | [`Bulk`] | many lines in, a result for each; everything out again |
//!
//! **The rules.** A grant is (resource, permission, subject, cascades?). It holds on the resource itself and, where it
//! cascades, on everything below it. A subject is a user, a service account or a group; what a group has, everybody has
//! who is in it, however indirectly. The owner of a resource has every permission on it and on everything below it. What a
//! permission that comes from above means on a resource is said by its name and the resource's own type, and so is what
//! it implies. A grant that has ended, and a subject that is disabled or gone, count for nothing.
//!
//! **Evaluated at read.** Nothing is stored for each descendant: to share or revoke a tree of a million is one row. The
//! engine walks up from the resource, past nodes that it keeps in memory with their grants, and holds them against the
//! groups that the identity room keeps. The change feed keeps both right (see [`Freshness`]).
//!
//! **Removal.** Removing a resource makes one row a tombstone; whatever has a tombstone above it is gone at that moment.
//! [`Sharing::sweep`] clears the rows away in bounded transactions.
//!
//! What it is not: it knows no HTTP, and it decides nothing about who a caller is: every use case is given an
//! [`keyreeve_identity::Authority`]. Whoever administers the tenant may ask and change everything in it; everybody else
//! what their ownership and permissions say.
//!
//! How to add to it. A new question is built on the engine's walk (`engine/`), so that it cannot disagree with the check. A
//! new use case is one method: decide, write and record in one transaction, and announce what caches may hold.

mod bulk;
mod carry;
mod claim;
mod cursor;
mod engine;
mod error;
mod freshness;
mod grants;
mod hosted;
mod model;
mod questions;
mod resources;
mod schema;
mod standing;
mod sweep;
mod wire;
mod write;

pub use bulk::{Bulk, Export, Line, LineError, LineOutcome, LineResult, Load, MAX_BATCH};
pub use cursor::ResourceCursor;
pub use error::Error;
pub use freshness::{Freshness, Revision};
pub use grants::{
    Grant, GrantCursor, GrantKind, GrantedBy, Grants, HeldGrant, NewGrant, RevokedMany, ShareId,
};
pub use hosted::{Access, Hosted, HostedPermission, HostedType, NewHosted, RESERVED};
pub use keyreeve_identity::{Party, Patch};
pub use model::{
    MAX_DESCRIPTION_BYTES, MAX_ID_BYTES, MAX_NAME_BYTES, MAX_PERMISSIONS, MAX_TYPES, NewPermission, NewType,
    OWNER, Permission, PermissionPatch, Permissions, ResourceType, TypePatch, Types,
};
pub use questions::{
    Check, Decision, Denial, Explanation, MAX_CHECKS, Order, Page, Questions, Reach, ResourceField,
    ResourcesOf, Search, SearchCursor, SubjectCursor, SubjectsOf, Via, VisibleResource,
};
pub use resources::{
    Delete, MAX_ATTRIBUTES, MAX_METADATA_BYTES, MAX_TEXT_BYTES, NewResource, Resource, ResourcePatch,
    Resources,
};
pub use schema::{MIGRATIONS, STATEMENTS, composed_statements};
pub use sweep::Swept;
pub use write::Target;

use engine::Engine;
use keyreeve_base::{TenantId, World};
use keyreeve_identity::Identity;
use keyreeve_store::{Cache, Store, Tx};
use model::Model;
use std::sync::Arc;

/// The most entries that a page of anything has.
pub const MAX_PAGE: u16 = 500;

/// What the room is set up with.
#[derive(Debug, Clone, Copy)]
pub struct SharingOptions {
    /// How many resources there are at most from one without a parent down to the lowest, from 1 to 10,000.
    pub max_depth: u16,
    /// How much memory the engine may keep nodes and grants in, in bytes.
    pub cache_bytes: u64,
}

impl Default for SharingOptions {
    fn default() -> Self {
        Self { max_depth: 1_024, cache_bytes: 96 << 20 }
    }
}

/// The sharing room. Cheap to clone.
#[derive(Clone)]
pub struct Sharing(Arc<Inner>);

struct Inner {
    store: Store,
    world: World,
    identity: Identity,
    options: SharingOptions,
    models: Arc<Cache<TenantId, Arc<Model>>>,
    engine: Engine,
    sweeper: sweep::Sweeper,
}

impl Sharing {
    /// The room over this store, whose migrations ([`MIGRATIONS`], and those of audit and identity) have run, and over that
    /// identity room, in whose merges of accounts it takes part from now on.
    #[must_use]
    pub fn new(store: Store, world: World, identity: Identity, options: &SharingOptions) -> Self {
        let options = SharingOptions { max_depth: options.max_depth.clamp(1, 10_000), ..*options };
        identity.users().carry_on_merge(Arc::new(carry::Carrier(world.clone())));
        let models = Cache::new(&store, model::TOPIC, 1_024);
        let engine = Engine::new(&store, &options);
        let sweeper = sweep::Sweeper::default();
        Self(Arc::new(Inner { store, world, identity, options, models, engine, sweeper }))
    }

    /// Types of resources.
    #[must_use]
    pub const fn types(&self) -> Types<'_> {
        Types(self)
    }

    /// Permissions of types.
    #[must_use]
    pub const fn permissions(&self) -> Permissions<'_> {
        Permissions(self)
    }

    /// Resources.
    #[must_use]
    pub const fn resources(&self) -> Resources<'_> {
        Resources(self)
    }

    /// Grants.
    #[must_use]
    pub const fn grants(&self) -> Grants<'_> {
        Grants(self)
    }

    /// Questions.
    #[must_use]
    pub const fn questions(&self) -> Questions<'_> {
        Questions(self)
    }

    /// Loads and exports.
    #[must_use]
    pub const fn bulk(&self) -> Bulk<'_> {
        Bulk(self)
    }

    /// Resources that another room keeps.
    #[must_use]
    pub const fn hosted(&self) -> Hosted<'_> {
        Hosted(self)
    }

    /// How deep a tree may be.
    #[must_use]
    pub fn max_depth(&self) -> u16 {
        self.0.options.max_depth
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(crate) fn world(&self) -> &World {
        &self.0.world
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.0.identity
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    pub(crate) fn sweeper(&self) -> &sweep::Sweeper {
        &self.0.sweeper
    }

    /// The tenant's model, from memory where that is allowed.
    pub(crate) async fn model(&self, tenant: TenantId) -> Result<Arc<Model>, Error> {
        let store = self.store();
        let load = || async move {
            let read = async move |tx: &mut Tx<'_>| model::load(tx, tenant).await;
            Ok::<_, Error>(Arc::new(store.read(read).await?))
        };
        self.0.models.get_with(tenant, &tenant, load).await
    }
}

impl std::fmt::Debug for Sharing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sharing({})", self.0.store.engine())
    }
}

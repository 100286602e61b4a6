//! Moving directories in and out: imports and exports of users, groups, members, roles and clients, as a stream of lines.
//!
//! | module | what |
//! |---|---|
//! | [`record`] | one line: what it can be, how it is read and written |
//! | [`lines`] | cutting a stream of bytes into lines, within bounds |
//! | [`import`] | lines in, a result for each out: batches, trials, resumption |
//! | [`export`] | everything out again, of one snapshot |
//! | [`keycloak`], [`ldif`] | what other systems export, turned into our records |
//!
//! An import is a row in `import_run`. Each batch of lines is one transaction, which also notes how far the import has
//! come and a digest of all that was read so far. Whoever is stopped, and be it by the loss of power, says the import's
//! identifier and sends the same lines again: what was done is skipped, exactly once.
//!
//! What it is not: it decides nothing about users, groups or clients. That is [`keyreeve_identity::bulk`]'s and the
//! tokens room's, which look at the rows that this room reads.
//!
//! How to add to it. A new kind of record is a variant of [`record::Record`], its reading in `import/item.rs`, and a page
//! of it in `export`. A new format to import from is a module that turns its bytes into records; it needs no database.

pub mod convert;
mod error;
pub mod export;

pub mod import;
pub mod keycloak;
pub mod ldif;
pub mod lines;
pub mod record;
mod schema;

pub use error::Error;
pub use export::{Export, What};

pub use import::{Begin, Import, ImportId, ImportStatus, LineResult, Status, Summary};
pub use keyreeve_identity::bulk::Mode;
pub use lines::{Line, Lines};
pub use record::Record;
pub use schema::{MIGRATIONS, STATEMENTS};

use keyreeve_base::{TenantId, World};
use keyreeve_identity::{Authority, Identity};
use keyreeve_store::Store;
use keyreeve_tokens::Tokens;
use std::sync::Arc;

/// The transfer room. Cheap to clone.
#[derive(Clone)]
pub struct Transfer(Arc<Inner>);

struct Inner {
    store: Store,
    world: World,
    identity: Identity,
    tokens: Tokens,
}

/// By which right somebody imports or exports.
#[derive(Debug, Clone, Copy)]
pub enum Right<'a> {
    /// An operator at the command line.
    Operator,
    /// Somebody's authority, which has to be over all of the tenant.
    Holder(&'a Authority),
}

impl Right<'_> {
    /// Whether it is over all of this tenant.
    fn covers(self, tenant: TenantId) -> bool {
        match self {
            Self::Operator => true,
            Self::Holder(authority) => authority.tenant() == tenant && authority.may_manage_tenant(),
        }
    }
}

impl Transfer {
    /// The room over this store, whose migrations ([`MIGRATIONS`] and those of the rooms below) have run.
    #[must_use]
    pub fn new(store: Store, world: World, identity: Identity, tokens: Tokens) -> Self {
        Self(Arc::new(Inner { store, world, identity, tokens }))
    }
}

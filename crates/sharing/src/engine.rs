//! The engine: nodes in memory, the walk up from a resource, and what a subject has there.
//!
//! Every question goes through here. [`Seen`] is a resource with everything above it, as one walk saw it; [`Who`] is a
//! subject with all groups that hold it; a [`Ground`] is one reason why the subject has something on the resource.

mod many;
mod node;
mod visible;
mod walk;
mod who;

pub(crate) use many::Batch;
pub(crate) use node::{Grants, Held, Node};
pub(crate) use visible::{Accept, Visible, composed};
pub(crate) use walk::{Ground, Seen};
pub(crate) use who::Who;

use crate::SharingOptions;
use keyreeve_base::TenantId;
use keyreeve_store::{Cache, Change, Store};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The change-feed topic of identifiers; the key is the identifier.
pub(crate) const ID_TOPIC: &str = "sharing_id";
/// The change-feed topic of nodes and the grants on them; the key is the resource's.
pub(crate) const NODE_TOPIC: &str = "sharing_node";
/// The change-feed topic of what one party was granted on one resource; the key is both of theirs.
pub(crate) const HELD_TOPIC: &str = "sharing_held";

const COUNTERS: usize = 256;

/// What the engine keeps in memory; the change feed keeps it right.
pub(crate) struct Engine {
    ids: Arc<Cache<String, Option<i64>>>,
    nodes: Arc<Cache<i64, Option<Arc<Node>>>>,
    held: Arc<Cache<node::HeldKey, Arc<[Held]>>>,
    /// Counts what the change feed says of each tenant (several share one).
    changes: Arc<[AtomicU64]>,
    /// How many resources above another are walked past; beyond, the tree is broken.
    pub(crate) walk_limit: usize,
}

impl Engine {
    pub(crate) fn new(store: &Store, options: &SharingOptions) -> Self {
        let changes: Arc<[AtomicU64]> = (0..COUNTERS).map(|_| AtomicU64::new(0)).collect();
        let counters = Arc::downgrade(&changes);
        store.on_change(Arc::new(move |change: &Change| {
            let Some(counters) = counters.upgrade() else { return };
            match change {
                Change::One { tenant: Some(tenant), .. } => count(&counters, *tenant),
                Change::One { tenant: None, .. } | Change::Everything => {
                    for counter in counters.iter() {
                        counter.fetch_add(1, Ordering::AcqRel);
                    }
                }
            }
        }));
        let bytes = options.cache_bytes.max(1 << 20);
        let nodes = usize::try_from(bytes / 512).unwrap_or(usize::MAX);
        Self {
            ids: Cache::weighted(store, ID_TOPIC, (nodes, bytes / 4), |_| 160),
            nodes: Cache::weighted(store, NODE_TOPIC, (nodes, bytes / 2), |node| {
                node.as_ref().map_or(96, |node| node.weight())
            }),
            held: Cache::weighted(store, HELD_TOPIC, (nodes, bytes / 4), |held| {
                let length = u64::try_from(held.len()).unwrap_or(u64::MAX);
                length.saturating_mul(40).saturating_add(144)
            }),
            changes,
            walk_limit: usize::from(options.max_depth).saturating_mul(2).saturating_add(64),
        }
    }

    /// How much the change feed has said of this tenant. What was worked out between two equal answers is of one moment.
    pub(crate) fn changes(&self, tenant: TenantId) -> u64 {
        self.changes.get(slot(tenant)).map_or(0, |counter| counter.load(Ordering::Acquire))
    }
}

fn count(counters: &[AtomicU64], tenant: TenantId) {
    if let Some(counter) = counters.get(slot(tenant)) {
        counter.fetch_add(1, Ordering::AcqRel);
    }
}

/// The last byte of the tenant's identifier is random.
fn slot(tenant: TenantId) -> usize {
    tenant.uuid().as_bytes().last().copied().map_or(0, usize::from)
}

/// How [`HELD_TOPIC`] names what a party was granted on a resource.
pub(crate) fn held_key(resource: i64, party: uuid::Uuid) -> String {
    node::HeldKey { resource, party }.to_string()
}

//! What hangs off the audit log: webhooks, which carry its entries to other systems, and the stream, which shows them
//! while they happen.
//!
//! Both follow the log by its numbers: an entry has one when it is in the chain, and numbers have no gaps. So whoever
//! remembers the last number has missed nothing, whichever node wrote the entries and however often it was killed.
//!
//! **Webhooks** ([`Events::webhooks`]). A subscription names an address, the actions that it wants, and remembers the
//! number that it has got to. [`Events::deliver`] is the background job: it takes the subscriptions that are behind,
//! under a lease, so that two nodes do not carry the same entries, and moves each number on when an entry was taken. That
//! is delivery *at least once*, in order of the numbers but for a few that travel together. Messages are signed as the
//! Standard Webhooks specification has it. What is not taken is tried again, at growing intervals; in the end the
//! subscription is marked as failing, stands where it stood, and waits for an administrator.
//!
//! **Streams** ([`Events::follow`]) wait for entries and answer them in batches; the door writes them out.
//!
//! What it is not: it decides nothing about who may subscribe (the door asks for the authority), and it adds nothing to
//! an entry: what leaves is [`keyreeve_audit::PublicEntry`].
//!
//! To add another way out of the log: follow the numbers as [`stream`](Follow) does; keep a number where something must
//! not be lost.

mod error;
mod schema;
mod stream;
mod webhooks;

pub use error::Error;
pub use schema::{EVERY_STATEMENT, MIGRATIONS};
pub use stream::{Batch, Follow, HEARTBEAT, STREAMS, STREAMS_PER_TENANT, Start};
pub use webhooks::{
    Delivery, DeliveryKind, DeliveryState, GIVE_UP_AFTER, KEPT_DAYS, KEPT_PER_WEBHOOK, MAX_OVERLAP,
    MAX_WEBHOOKS, NewWebhook, SEALED, SharedSecret, Skip, Webhook, WebhookPatch, WebhookState, Webhooks,
    sign,
};

use keyreeve_base::World;
use keyreeve_fetch::Fetcher;
use keyreeve_identity::Identity;
use keyreeve_store::Store;
use std::sync::Arc;
use tokio::sync::watch;
use uuid::Uuid;
use webhooks::Couriers;

/// The room. Cheap to clone.
#[derive(Clone)]
pub struct Events(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) world: World,
    pub(crate) identity: Identity,
    pub(crate) fetcher: Fetcher,
    /// This process among the nodes.
    pub(crate) node: Uuid,
    pub(crate) couriers: Couriers,
    pub(crate) streams: stream::Seats,
    /// True once the server ends.
    pub(crate) ending: watch::Sender<bool>,
}

impl Events {
    /// The room over this store, whose migrations ([`MIGRATIONS`], and those of audit and identity) have run.
    #[must_use]
    pub fn new(store: Store, world: World, identity: Identity, fetcher: Fetcher) -> Self {
        let node = world.new_uuid();
        Self(Arc::new(Inner {
            store,
            world,
            identity,
            fetcher,
            node,
            couriers: Couriers::default(),
            streams: stream::Seats::default(),
            ending: watch::Sender::new(false),
        }))
    }

    /// Subscriptions.
    #[must_use]
    pub const fn webhooks(&self) -> Webhooks<'_> {
        Webhooks(self)
    }

    /// Ends the streams, which would otherwise hold up a server that is asked to stop.
    pub fn end_streams(&self) {
        self.0.ending.send_replace(true);
    }

    /// Ends everything; deliveries under way are cut, and made again by whoever comes next.
    pub async fn stop(&self) {
        self.end_streams();
        self.0.couriers.stop().await;
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Events({})", self.0.node)
    }
}

//! What every handler of this door needs.

use crate::refused::Refused;
use keyreeve_base::World;
use keyreeve_events::Events;
use keyreeve_http::rate::Limiter;
use keyreeve_http::route::TenantName;
use keyreeve_identity::{Identity, Tenant};
use keyreeve_secrets::Secrets;
use keyreeve_sharing::Sharing;
use keyreeve_store::Store;
use keyreeve_tokens::Tokens;
use keyreeve_transfer::Transfer;
use std::sync::Arc;

/// The state of this door's handlers. Cheap to clone.
#[derive(Clone)]
pub struct ApiState(Arc<Inner>);

struct Inner {
    store: Store,
    tokens: Tokens,
    transfer: Transfer,
    events: Events,
    sharing: Sharing,
    secrets: Secrets,
    limiter: Limiter,
}

impl ApiState {
    /// The door to these rooms, and who counts those who come to it.
    #[must_use]
    pub fn new(
        store: Store,
        (tokens, events, sharing, secrets): (Tokens, Events, Sharing, Secrets),
        world: World,
        limiter: Limiter,
    ) -> Self {
        let transfer = Transfer::new(store.clone(), world, tokens.identity().clone(), tokens.clone());
        Self(Arc::new(Inner { store, tokens, transfer, events, sharing, secrets, limiter }))
    }

    /// Webhooks and streams of the audit log.
    pub(crate) fn events(&self) -> &Events {
        &self.0.events
    }

    /// Resources, grants, and who may do what.
    pub(crate) fn sharing(&self) -> &Sharing {
        &self.0.sharing
    }

    /// What is kept sealed.
    pub(crate) fn secrets(&self) -> &Secrets {
        &self.0.secrets
    }

    pub(crate) fn tokens(&self) -> &Tokens {
        &self.0.tokens
    }

    pub(crate) fn identity(&self) -> &Identity {
        self.0.tokens.identity()
    }

    pub(crate) fn transfer(&self) -> &Transfer {
        &self.0.transfer
    }

    /// The store, for the audit log, which is read by whoever may read it.
    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(crate) fn limiter(&self) -> &Limiter {
        &self.0.limiter
    }

    /// The tenant that the path names. One that does not exist and one that is disabled are both simply not there.
    pub(crate) async fn tenant(&self, name: &TenantName) -> Result<Arc<Tenant>, Refused> {
        let found = self.identity().tenants().at_path(name.0.as_deref()).await?;
        found.ok_or_else(|| Refused::not_found("tenant"))
    }
}

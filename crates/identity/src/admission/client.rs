//! The throttle of clients' secrets. Such a secret is 256 random bits, so that guessing is hopeless; what is counted is
//! the nuisance. A client is authenticated at nearly every request to the token endpoint, so that a success must cost no
//! write, and no read either: the counters' standing is kept in memory, where the change feed keeps it right.

use super::throttle::{self, Added, Counter, Scope, Standing};
use super::{Admission, Method, Refusal};
use crate::settings::ThrottlePolicy;
use crate::{Error, Identity, schema};
use keyreeve_audit::{Actor, Event, Outcome};
use keyreeve_base::{Origin, TenantId};
use keyreeve_crypto::base64url;
use keyreeve_store::{Tx, params};
use serde_json::json;
use std::str::FromStr;

/// The change-feed topic of clients' counters; the key is a [`CounterKey`].
pub(crate) const TOPIC: &str = "throttle";

/// The longest `client_id` that the audit log keeps, in characters.
const MAX_LOGGED: usize = 100;

/// The name of a counter in the cache and the change feed: scope and digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct CounterKey([u8; 32]);

impl FromStr for CounterKey {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        base64url::decode(text).ok().and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or(())
    }
}

impl std::fmt::Display for CounterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&base64url::encode(self.0))
    }
}

/// An attempt to authenticate as a client that may go on. Say how it ended.
#[must_use = "say how the attempt ended: `succeeded` or `failed`"]
pub struct ClientAttempt {
    identity: Identity,
    tenant: TenantId,
    client_key: String,
    origin: Origin,
    policy: ThrottlePolicy,
    counters: [Counter; 2],
    /// There are failures of this client from this address on record.
    tainted: bool,
}

impl Admission<'_> {
    /// Asks whether an attempt to authenticate as the client that calls itself `client_key` may go on.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the tenant; those of the store.
    pub async fn client_attempt(
        self,
        tenant: TenantId,
        client_key: &str,
        origin: &Origin,
    ) -> Result<Result<ClientAttempt, Refusal>, Error> {
        let address = origin.throttle_key();
        let counters = [
            Counter::new(Scope::Client, &[client_key.as_bytes(), address.as_bytes()]),
            Counter::new(Scope::ClientAddress, &[address.as_bytes()]),
        ];
        let [pair, any] = &counters;
        let pair = self.client_standing(tenant, pair).await?;
        let any = self.client_standing(tenant, any).await?;
        let now = self.0.world().now();
        let blocked_for =
            |standing: Option<Standing>| standing.and_then(|standing| standing.blocked_for(now));
        let attempt = ClientAttempt {
            identity: self.0.clone(),
            tenant,
            client_key: client_key.chars().take(MAX_LOGGED).collect(),
            origin: origin.clone(),
            policy: self.tenant(tenant).await?.settings.throttle.clone(),
            counters,
            tainted: pair.is_some(),
        };
        match blocked_for(pair).max(blocked_for(any)) {
            None => Ok(Ok(attempt)),
            Some(retry_after) => {
                attempt.record("throttled", Method::ClientSecret, false).await?;
                Ok(Err(Refusal::Throttled { retry_after }))
            }
        }
    }

    async fn client_standing(self, tenant: TenantId, counter: &Counter) -> Result<Option<Standing>, Error> {
        let (store, counter) = (self.0.store(), *counter);
        self.0
            .caches()
            .counters
            .get_with(tenant, &CounterKey(counter.key), || async move {
                store
                    .read(async move |tx: &mut Tx<'_>| Ok(throttle::standing(tx, tenant, &counter).await?))
                    .await
            })
            .await
    }
}

impl ClientAttempt {
    /// The credential was right. Writes only when there were failures to forget.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn succeeded(self) -> Result<(), Error> {
        if !self.tainted {
            return Ok(());
        }
        let (tenant, [pair, _]) = (self.tenant, self.counters);
        self.identity
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                tx.execute(&schema::CLEAR_COUNTER, &params![tenant, pair.scope.text(), pair.key]).await?;
                tx.changed(Some(tenant), TOPIC, &CounterKey(pair.key).to_string()).await?;
                Ok(())
            })
            .await
    }

    /// The credential was wrong, or there is no such client: counts it and records it, with the reason, before the caller
    /// is answered.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn failed(self, method: Method, reason: &'static str) -> Result<Refusal, Error> {
        self.record(reason, method, true).await?;
        Ok(Refusal::Denied)
    }

    async fn record(&self, reason: &'static str, method: Method, count: bool) -> Result<(), Error> {
        let (tenant, origin, policy) = (self.tenant, self.origin.clone(), self.policy.clone());
        let (world, counters) = (self.identity.world().clone(), self.counters);
        let client_key = self.client_key.clone();
        self.identity
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                let mut event = Event {
                    tenant,
                    actor: Actor::Anonymous,
                    action: method.action(),
                    target: Some(("client_id", client_key.clone())),
                    outcome: Outcome::Refused,
                    reason: Some(reason),
                    origin: &origin,
                    detail: json!({"method": method.text()}),
                };
                keyreeve_audit::record(tx, &world, &event).await?;
                for counter in counters.iter().filter(|_| count) {
                    let added = throttle::add(tx, tenant, counter, &policy, world.now()).await?;
                    tx.changed(Some(tenant), TOPIC, &CounterKey(counter.key).to_string()).await?;
                    if matches!(added, Added::NowBlocked) {
                        (event.actor, event.outcome, event.reason) = (Actor::System, Outcome::Success, None);
                        event.action = "throttle.lock";
                        event.detail = json!({"scope": counter.scope.text()});
                        keyreeve_audit::record(tx, &world, &event).await?;
                    }
                }
                Ok::<_, Error>(())
            })
            .await
    }
}

impl std::fmt::Debug for ClientAttempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientAttempt").field("client_key", &self.client_key).finish_non_exhaustive()
    }
}

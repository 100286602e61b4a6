//! The throttle of machines' secrets: those of OAuth clients, of service accounts, and those that users gave to programs. Such a secret is 256 random bits, so
//! that guessing is hopeless; what is counted is the nuisance. A client is authenticated at nearly every request to the
//! token endpoint, so that a success must cost no write, and no read either: the counters' standing is kept in memory,
//! where the change feed keeps it right.

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

/// What every secret that this server gives out begins with, before two letters that say which kind it is.
const SECRET_PREFIX: &str = "kr_";
/// How much of such a text is kept: enough to see what was mistaken for a name.
const SECRET_KIND: usize = 6;

/// The name that a client gave itself as the audit log keeps it: cut, on one line, and without the secret that was put
/// into the wrong field (AC-61).
fn logged(client_key: &str) -> String {
    if client_key.starts_with(SECRET_PREFIX) {
        return client_key.chars().take(SECRET_KIND).chain(['…']).collect();
    }
    client_key.chars().take(MAX_LOGGED).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

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

/// Whose secret is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Machine {
    Client,
    Service,
    Credential,
}

impl Machine {
    /// What is counted: one of them from one address, and any of them from it.
    const fn scopes(self) -> (Scope, Scope) {
        match self {
            Self::Client => (Scope::Client, Scope::ClientAddress),
            Self::Service => (Scope::Service, Scope::ServiceAddress),
            Self::Credential => (Scope::Credential, Scope::CredentialAddress),
        }
    }

    /// What the audit log calls the text that names one of them.
    const fn target(self) -> &'static str {
        match self {
            Self::Client => "client_id",
            Self::Service => "service_account",
            Self::Credential => "credential",
        }
    }

    const fn method(self) -> Method {
        match self {
            Self::Client => Method::ClientSecret,
            Self::Service => Method::ServiceSecret,
            Self::Credential => Method::Credential,
        }
    }
}

/// An attempt to authenticate as a client that may go on. Say how it ended.
#[must_use = "say how the attempt ended: `succeeded` or `failed`"]
pub struct ClientAttempt {
    identity: Identity,
    tenant: TenantId,
    machine: Machine,
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
        self.machine_attempt(Machine::Client, tenant, client_key, origin).await
    }

    /// The same for any kind of machine.
    pub(super) async fn machine_attempt(
        self,
        machine: Machine,
        tenant: TenantId,
        key: &str,
        origin: &Origin,
    ) -> Result<Result<ClientAttempt, Refusal>, Error> {
        let address = origin.throttle_key();
        let (one, any) = machine.scopes();
        let counters = [
            Counter::new(one, &[key.as_bytes(), address.as_bytes()]),
            Counter::new(any, &[address.as_bytes()]),
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
            machine,
            client_key: logged(key),
            origin: origin.clone(),
            policy: self.tenant(tenant).await?.settings.throttle.clone(),
            counters,
            tainted: pair.is_some(),
        };
        match blocked_for(pair).max(blocked_for(any)) {
            None => Ok(Ok(attempt)),
            Some(retry_after) => {
                attempt.record("throttled", machine.method(), false).await?;
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
        let store = self.identity.store().clone();
        store.write(async move |tx: &mut Tx<'_>| self.settle(tx).await).await
    }

    /// The same in the transaction that admits.
    pub(super) async fn settle(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        if !self.tainted {
            return Ok(());
        }
        let (tenant, [pair, _]) = (self.tenant, self.counters);
        tx.execute(&schema::CLEAR_COUNTER, &params![tenant, pair.scope.text(), pair.key]).await?;
        tx.changed(Some(tenant), TOPIC, &CounterKey(pair.key).to_string()).await?;
        Ok(())
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

    async fn record(self, reason: &'static str, method: Method, count: bool) -> Result<(), Error> {
        let store = self.identity.store().clone();
        store
            .write(async move |tx: &mut Tx<'_>| {
                let event = Event {
                    tenant: self.tenant,
                    actor: Actor::Anonymous,
                    action: method.action(),
                    target: Some((self.machine.target(), self.client_key.clone())),
                    outcome: Outcome::Refused,
                    reason: Some(reason),
                    origin: &self.origin,
                    detail: json!({"method": method.text()}),
                };
                keyreeve_audit::record(tx, self.identity.world(), &event).await?;
                if count { self.count(tx).await } else { Ok(()) }
            })
            .await
    }

    /// Counts a failure in the transaction that refuses.
    pub(super) async fn count(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let (tenant, world) = (self.tenant, self.identity.world());
        for counter in &self.counters {
            let added = throttle::add(tx, tenant, counter, &self.policy, world.now()).await?;
            tx.changed(Some(tenant), TOPIC, &CounterKey(counter.key).to_string()).await?;
            if matches!(added, Added::NowBlocked) {
                let event = Event {
                    tenant,
                    actor: Actor::System,
                    action: "throttle.lock",
                    target: Some((self.machine.target(), self.client_key.clone())),
                    outcome: Outcome::Success,
                    reason: None,
                    origin: &self.origin,
                    detail: json!({"scope": counter.scope.text()}),
                };
                keyreeve_audit::record(tx, world, &event).await?;
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for ClientAttempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientAttempt").field("client_key", &self.client_key).finish_non_exhaustive()
    }
}

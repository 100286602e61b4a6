//! Who makes a change, and from where: what every use case that changes something asks for, and the audit log keeps.

use crate::{Error, Identity, Sealer, schema};
use keyreeve_audit::{Actor, Event, Outcome};
use keyreeve_base::{Origin, TenantId, Timestamp, UserId, World};
use keyreeve_crypto::{constant_time_eq, sha256};
use keyreeve_store::{Tx, params};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// For how long a repeated request is recognised.
const REMEMBERED: Duration = Duration::from_secs(86_400);
/// Rows that one round of pruning forgets.
const PRUNE_BATCH: i64 = 1_000;

/// The name that a caller gave to a request, so that it makes what it makes once, however often it arrives.
#[derive(Clone)]
pub struct RequestKey {
    tenant: TenantId,
    key: String,
    fingerprint: [u8; 32],
    sealer: Arc<Sealer>,
}

impl RequestKey {
    /// The name `key`, which the door has bounded, of a request to this tenant. `request` is all that it asks for: the same
    /// name for something else is a mistake. It may hold a password, so its digest is kept sealed.
    ///
    /// # Errors
    /// Those of [`crate::Tenants::sealer`].
    pub async fn new(
        identity: &Identity,
        tenant: TenantId,
        key: &str,
        request: &[u8],
    ) -> Result<Self, Error> {
        let sealer = identity.tenants().sealer(tenant).await?;
        Ok(Self { tenant, key: key.to_owned(), fingerprint: sha256(request), sealer })
    }

    fn bound<'a>(&'a self, caller: &'a str) -> [&'a [u8]; 3] {
        [b"request key", caller.as_bytes(), self.key.as_bytes()]
    }
}

impl std::fmt::Debug for RequestKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RequestKey({})", self.key)
    }
}

/// Who makes a change, and from where.
#[derive(Debug, Clone)]
pub struct Cause {
    /// Who.
    pub actor: Actor,
    /// From where.
    pub origin: Origin,
    /// The name of the request, where it has one.
    request: Option<RequestKey>,
}

impl Cause {
    /// `actor`, at the other end of this request.
    #[must_use]
    pub const fn new(actor: Actor, origin: Origin) -> Self {
        Self { actor, origin, request: None }
    }

    /// The same, by a request of this name.
    #[must_use]
    pub fn of_request(self, request: RequestKey) -> Self {
        Self { request: Some(request), ..self }
    }

    /// Notes, in the transaction that makes `made`, that the request of this cause makes it. What makes something calls
    /// this first.
    ///
    /// # Errors
    /// [`Error::Repeated`] names what the same request has made before; [`Error::KeyReused`] for another request of the
    /// same name.
    pub async fn claim(
        &self,
        tx: &mut Tx<'_>,
        world: &World,
        (kind, made): (&'static str, Uuid),
    ) -> Result<(), Error> {
        let Some(request) = &self.request else { return Ok(()) };
        let (tenant, key, caller) = (request.tenant, &request.key, &self.caller());
        let sealed = request.sealer.seal(&request.bound(caller), &request.fingerprint)?;
        let (now, before) = (world.now(), world.now().minus(REMEMBERED));
        let sealed = sealed.as_slice();
        let row = params![tenant, caller, key, sealed, kind, made, now, before];
        if tx.execute(&schema::CLAIM_REQUEST, &row).await? == 1 {
            return Ok(());
        }
        let found = tx
            .query_opt(&schema::CLAIMED_REQUEST, &params![tenant, caller, key], |row| {
                Ok((row.get::<Vec<u8>>(0)?, row.get::<String>(1)?, row.get::<Uuid>(2)?))
            })
            .await?;
        let Some((sealed, of_kind, id)) = found else { return Err(Error::KeyReused) };
        let known = request.sealer.open(&request.bound(caller), &sealed)?;
        let same = constant_time_eq(known.expose(), &request.fingerprint);
        if same && of_kind == kind { Err(Error::Repeated { kind, id }) } else { Err(Error::KeyReused) }
    }

    fn caller(&self) -> String {
        match self.actor {
            Actor::System => "system".to_owned(),
            Actor::Operator => "operator".to_owned(),
            Actor::Anonymous => "anonymous".to_owned(),
            Actor::User(id) => format!("user:{id}"),
            Actor::Client(id) => format!("client:{id}"),
            Actor::Service(id) => format!("service:{id}"),
        }
    }

    /// An operator at the command line.
    #[must_use]
    pub fn operator() -> Self {
        Self::new(Actor::Operator, Origin::local())
    }

    /// Keyreeve itself.
    #[must_use]
    pub fn system() -> Self {
        Self::new(Actor::System, Origin { address: None, user_agent: None, request_id: None })
    }

    /// A user who acts for themselves.
    #[must_use]
    pub const fn user(user: UserId, origin: Origin) -> Self {
        Self::new(Actor::User(user), origin)
    }

    /// The event of a change that was made.
    pub(crate) fn done(
        &self,
        tenant: TenantId,
        action: &'static str,
        target: (&'static str, String),
        detail: serde_json::Value,
    ) -> Event<'_> {
        Event {
            tenant,
            actor: self.actor,
            action,
            target: Some(target),
            outcome: Outcome::Success,
            reason: None,
            origin: &self.origin,
            detail,
        }
    }
}

impl Identity {
    /// Forgets requests that are not recognised any more, a bounded number of them; answers how many.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn prune_requests(&self) -> Result<u64, Error> {
        let before: Timestamp = self.world().now().minus(REMEMBERED);
        self.store()
            .write(async move |tx: &mut Tx<'_>| {
                Ok(tx.execute(&schema::PRUNE_REQUESTS, &params![before, PRUNE_BATCH]).await?)
            })
            .await
    }
}

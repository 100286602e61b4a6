//! Admission: the one decision for every way in.
//!
//! Every attempt (a password, a redeemed code, a rotated refresh token, a client's or service account's own credential, a
//! session cookie) ends here, in two steps. First somebody *proves* something and gets a [`Proof`]: passwords are proved here
//! ([`Admission::prove_password`]); whoever redeems a one-time value makes a proof of that. Then [`Admission::admit`]
//! weighs it inside the transaction that acts upon it: is the tenant active, the user enabled, not locked, not archived,
//! the session live, the password still the one that was proved? It writes the audit entry, for success and refusal
//! alike, and only it can make an [`Admitted`], which every constructor of sessions and tokens asks for.
//!
//! A refusal tells the outside nothing but [`Refusal`]; the reason stands in the audit log.

mod ask;
mod client;
mod credential;
mod device;
mod guess;
mod mail;
mod password;
mod proof;
mod second;
mod service;
mod sign_in;
mod throttle;
mod ticket;
mod weigh;

pub use client::ClientAttempt;
pub use credential::CredentialAttempt;
pub use guess::CodeGuess;
pub use password::PasswordAttempt;
pub use proof::{Proof, Redeemed};
pub use second::FinishSecondFactor;
pub use service::ServiceAttempt;
pub use sign_in::{FinishPasswordChange, Opening, SignIn};

pub(crate) use client::{CounterKey, TOPIC as COUNTER_TOPIC};
pub(crate) use mail::{MailCount, MailCounters, forgive, obstacle_of};
pub(crate) use throttle::Standing;
pub use weigh::Weighed;
pub(crate) use weigh::{PasswordFate, Verdict};

use crate::directory::Party;
use crate::service_accounts::ServiceAccount;
use crate::sessions::{self, Session};
use crate::tenants::Tenant;
use crate::users::User;
use crate::{Error, Identity, schema};
use keyreeve_base::{ClientId, ServiceAccountId, SessionId, TenantId, Timestamp, UserId};
use keyreeve_store::{Tx, params};
use std::sync::Arc;
use std::time::Duration;

/// The longest cookie that is looked at, in bytes.
const MAX_COOKIE: usize = 128;

/// Who is admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A user.
    User(UserId),
    /// An OAuth client that acts for itself.
    Client(ClientId),
    /// A service account.
    Service(ServiceAccountId),
}

impl Subject {
    /// The subject as a member of groups and holder of roles; an OAuth client is none.
    #[must_use]
    pub const fn party(self) -> Option<Party> {
        match self {
            Self::User(user) => Some(Party::User(user)),
            Self::Service(account) => Some(Party::Service(account)),
            Self::Client(_) => None,
        }
    }
}

/// How someone came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// A password, on the sign-in page.
    Password,
    /// A password, at the token endpoint.
    PasswordGrant,
    /// The present password, to set a new one.
    PasswordChange,
    /// A session cookie.
    Session,
    /// An authorization code.
    Code,
    /// A refresh token.
    Refresh,
    /// A client's secret.
    ClientSecret,
    /// A client's signed assertion.
    ClientAssertion,
    /// A service account's secret.
    ServiceSecret,
    /// A credential that a user gave to a program.
    Credential,
    /// A device that its user has approved elsewhere.
    Device,
    /// An assertion of an issuer that the tenant trusts.
    Assertion,
    /// An access token, exchanged for another.
    Exchange,
}

impl Method {
    /// The action under which the audit log has it.
    #[must_use]
    pub const fn action(self) -> &'static str {
        match self {
            Self::Password | Self::PasswordGrant | Self::PasswordChange => "admission.password",
            Self::Session => "admission.session",
            Self::Code => "admission.code",
            Self::Refresh => "admission.refresh",
            Self::ClientSecret | Self::ClientAssertion => "admission.client",
            Self::ServiceSecret => "admission.service",
            Self::Credential => "admission.credential",
            Self::Device => "admission.device",
            Self::Assertion => "admission.assertion",
            Self::Exchange => "admission.exchange",
        }
    }

    /// Its name in the audit log's details.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::PasswordGrant => "password_grant",
            Self::PasswordChange => "password_change",
            Self::Session => "session",
            Self::Code => "code",
            Self::Refresh => "refresh",
            Self::ClientSecret => "client_secret",
            Self::ClientAssertion => "client_assertion",
            Self::ServiceSecret => "service_secret",
            Self::Credential => "credential",
            Self::Device => "device",
            Self::Assertion => "assertion",
            Self::Exchange => "exchange",
        }
    }
}

/// What the outside may learn of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No.
    Denied,
    /// Too many attempts under this name or from this address. Says nothing about whether there is such an account.
    Throttled {
        /// When the next attempt is looked at.
        retry_after: Duration,
    },
    /// The server has too many passwords to check.
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
}

/// A principal who was admitted. Only this module can make one; whoever makes a session or a token asks for it.
#[derive(Debug, Clone)]
pub struct Admitted {
    tenant: TenantId,
    subject: Subject,
    user: Option<Arc<User>>,
    service: Option<Arc<ServiceAccount>>,
    session: Option<SessionId>,
    auth_time: Timestamp,
    amr: Arc<[String]>,
    acr: Option<String>,
    method: Method,
}

impl Admitted {
    /// The tenant.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Who.
    #[must_use]
    pub const fn subject(&self) -> Subject {
        self.subject
    }

    /// The user as they were when admitted; none for a client or a service account.
    #[must_use]
    pub const fn user(&self) -> Option<&Arc<User>> {
        self.user.as_ref()
    }

    /// The service account as it was when admitted; none for anybody else.
    #[must_use]
    pub const fn service(&self) -> Option<&Arc<ServiceAccount>> {
        self.service.as_ref()
    }

    /// The browser session, where there is one.
    #[must_use]
    pub const fn session(&self) -> Option<SessionId> {
        self.session
    }

    /// When they last proved who they are.
    #[must_use]
    pub const fn auth_time(&self) -> Timestamp {
        self.auth_time
    }

    /// How they proved it (RFC 8176).
    #[must_use]
    pub fn amr(&self) -> &[String] {
        &self.amr
    }

    /// The same, shared.
    #[must_use]
    pub fn shared_amr(&self) -> Arc<[String]> {
        Arc::clone(&self.amr)
    }

    /// The authentication context class, where one was reached.
    #[must_use]
    pub fn acr(&self) -> Option<&str> {
        self.acr.as_deref()
    }

    /// The way in.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.method
    }
}

/// The use cases of admission.
#[derive(Clone, Copy)]
pub struct Admission<'a>(pub(crate) &'a Identity);

impl Admission<'_> {
    /// The principal behind a session cookie, if the session is live and nothing stands against its user. It is the way
    /// in of every page, so it is answered from memory where that is allowed, and writes at most once a minute. It is
    /// not in the audit log: the sign-in that made the session is.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn session(self, tenant: TenantId, cookie: &str) -> Result<Option<Admitted>, Error> {
        if cookie.is_empty() || cookie.len() > MAX_COOKIE {
            return Ok(None);
        }
        match self.0.sessions().of_cookie(tenant, cookie).await? {
            Some(session) => self.holder_of(session).await,
            None => Ok(None),
        }
    }

    /// The same for a session that is known by something else than its cookie: the representation of a session that a door
    /// keeps for its own contract. Whoever calls this has checked that representation.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn in_session(self, tenant: TenantId, session: SessionId) -> Result<Option<Admitted>, Error> {
        match self.0.sessions().live(tenant, session).await? {
            Some(session) => self.holder_of(session).await,
            None => Ok(None),
        }
    }

    async fn holder_of(self, session: Arc<Session>) -> Result<Option<Admitted>, Error> {
        let tenant = session.tenant_id;
        if !self.0.tenants().by_id(tenant).await?.is_some_and(|tenant| tenant.is_active()) {
            return Ok(None);
        }
        let Some(user) = self.0.users().by_id(tenant, session.user_id).await? else { return Ok(None) };
        if !user.is_active() || user.must_change_password {
            return Ok(None);
        }
        self.note_use(&session).await;
        Ok(Some(Admitted {
            tenant,
            subject: Subject::User(user.id),
            user: Some(user),
            service: None,
            session: Some(session.id),
            auth_time: session.auth_time,
            amr: Arc::clone(&session.amr),
            acr: session.acr.clone(),
            method: Method::Session,
        }))
    }

    async fn note_use(self, session: &Session) {
        let now = self.0.world().now();
        if now.since(session.last_seen_at) < sessions::TOUCH_EVERY {
            return;
        }
        let (of, idle) = ((session.tenant_id, session.id), session.idle_span());
        let noted =
            self.0.store().write(async move |tx: &mut Tx<'_>| sessions::touch(tx, of, now, idle).await).await;
        // Not worth refusing the request for: the next one tries again.
        if let Err(error) = noted {
            tracing::warn!(session = %session.id, %error, "the use of a session could not be noted");
        }
    }

    /// Forgets counters whose time is over; for a background job.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn prune(self) -> Result<u64, Error> {
        let now = self.0.world().now();
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                Ok(tx.execute(&schema::PRUNE_COUNTERS, &params![now]).await?)
            })
            .await
    }

    async fn tenant(self, id: TenantId) -> Result<Arc<Tenant>, Error> {
        self.0.tenants().get(id).await
    }
}

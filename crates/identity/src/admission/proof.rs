//! What an attempt proved. A proof is not an admission: the account may be locked, the tenant switched off, the session
//! over. Only [`super::Admission::admit`] weighs that.

use super::credential::CredentialProof;
use super::service::ServiceProof;
use super::throttle::Counted;
use super::{Method, Subject};
use crate::second_factor::Used;
use crate::settings::ThrottlePolicy;
use keyreeve_base::{ClientId, SessionId, TenantId, Timestamp, UserId};
use std::sync::Arc;
use std::time::Duration;

/// Proof of a password, of a one-time value that was redeemed, of a credential that a user gave to a program, or of a client's
/// or service account's own.
pub struct Proof {
    pub(super) tenant: TenantId,
    pub(super) method: Method,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Password(PasswordProof),
    Redeemed(Redeemed),
    Client(ClientId),
    Service(ServiceProof),
    Credential(CredentialProof),
}

pub(super) struct PasswordProof {
    pub(super) user: UserId,
    /// The version of the password that was proved; when it has changed since, the proof is void.
    pub(super) version: i64,
    /// The same password under better parameters.
    pub(super) rehashed: Option<String>,
    /// How old the password may be.
    pub(super) max_age: Option<Duration>,
    /// What there is to say of the second factor.
    pub(super) second: Second,
    /// What the attempt was counted under, to be taken back.
    pub(super) counted: Counted,
    pub(super) throttle: ThrottlePolicy,
}

/// How an attempt with a password stands to the second factor.
pub(super) enum Second {
    /// Not asked for: whoever is signed in types the password once more.
    NotAsked,
    /// Asked for where the user has one.
    Wanted,
    /// A code that fits; it is used up by the transaction that admits.
    Used(Used),
    /// It was shown in an earlier step of the same sign-in.
    Passed(Arc<[String]>),
}

/// What was redeemed (an authorization code, a refresh token, an approval, an assertion, an access token) stands for.
#[derive(Debug, Clone)]
pub struct Redeemed {
    /// The tenant of the value.
    pub tenant: TenantId,
    /// The user who gave it.
    pub user: UserId,
    /// The client that redeemed it.
    pub client: ClientId,
    /// The session that it depends on; none for what outlives the browser session (`offline_access`).
    pub session: Option<SessionId>,
    /// When the user had proved who they are.
    pub auth_time: Timestamp,
    /// How.
    pub amr: Arc<[String]>,
}

impl Proof {
    /// The proof of whoever redeemed an authorization code. To be made only where the code was consumed, in the same
    /// transaction.
    #[must_use]
    pub const fn code(redeemed: Redeemed) -> Self {
        Self { tenant: redeemed.tenant, method: Method::Code, kind: Kind::Redeemed(redeemed) }
    }

    /// The proof of whoever redeemed a refresh token. To be made only where the token was rotated, in the same
    /// transaction.
    #[must_use]
    pub const fn refresh(redeemed: Redeemed) -> Self {
        Self { tenant: redeemed.tenant, method: Method::Refresh, kind: Kind::Redeemed(redeemed) }
    }

    /// The proof of a device that its user has approved. To be made only where the approval was consumed, in the same
    /// transaction.
    #[must_use]
    pub const fn device(redeemed: Redeemed) -> Self {
        Self { tenant: redeemed.tenant, method: Method::Device, kind: Kind::Redeemed(redeemed) }
    }

    /// The proof of a user for whom an issuer that the tenant trusts has vouched. To be made only where the assertion was
    /// verified and noted as used, in the same transaction.
    #[must_use]
    pub const fn assertion(redeemed: Redeemed) -> Self {
        Self { tenant: redeemed.tenant, method: Method::Assertion, kind: Kind::Redeemed(redeemed) }
    }

    /// The proof of a user whose access token is exchanged for another. To be made only where that token was found good.
    #[must_use]
    pub const fn exchange(redeemed: Redeemed) -> Self {
        Self { tenant: redeemed.tenant, method: Method::Exchange, kind: Kind::Redeemed(redeemed) }
    }

    /// The proof of a client that acts for itself. To be made only where its credential was verified.
    #[must_use]
    pub const fn client(tenant: TenantId, client: ClientId, method: Method) -> Self {
        Self { tenant, method, kind: Kind::Client(client) }
    }

    /// The tenant.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Who is proved; whether they are let in is another question.
    #[must_use]
    pub const fn subject(&self) -> Subject {
        match &self.kind {
            Kind::Password(proof) => Subject::User(proof.user),
            Kind::Redeemed(redeemed) => Subject::User(redeemed.user),
            Kind::Client(client) => Subject::Client(*client),
            Kind::Service(proof) => Subject::Service(proof.account),
            Kind::Credential(proof) => Subject::User(proof.user),
        }
    }

    /// The user who is proved, if it is one.
    #[must_use]
    pub const fn user(&self) -> Option<UserId> {
        match self.subject() {
            Subject::User(user) => Some(user),
            Subject::Client(_) | Subject::Service(_) => None,
        }
    }

    pub(crate) const fn password_version(&self) -> Option<i64> {
        match &self.kind {
            Kind::Password(proof) => Some(proof.version),
            Kind::Redeemed(_) | Kind::Client(_) | Kind::Service(_) | Kind::Credential(_) => None,
        }
    }
}

//! Credentials that users give to programs: a pair of identifier and random secret, which a door keeps for its own contract
//! (with a digest of the secret) and proves here. What comes of it is the user, in whose name the program acts.

use super::client::{ClientAttempt, Machine};
use super::proof::{Kind, Proof};
use super::weigh::{Verdict, obstacle, tenant_is_active};
use super::{Admission, Admitted, Method, Refusal, Subject};
use crate::{Error, users};
use keyreeve_base::{Origin, TenantId, UserId};
use keyreeve_crypto::{TokenDigest, constant_time_eq};
use keyreeve_store::Tx;
use std::sync::Arc;

/// An attempt with such a credential that may go on.
#[must_use = "an attempt that is not shown a secret is not counted"]
pub struct CredentialAttempt {
    tenant: TenantId,
    attempt: ClientAttempt,
}

/// Proof of a user's credential.
pub(super) struct CredentialProof {
    pub(super) user: UserId,
    /// How it ended is known only when it is weighed, so that the counters of a user who is switched off run like those of a
    /// wrong secret.
    attempt: ClientAttempt,
}

impl Admission<'_> {
    /// Asks whether an attempt with the credential of this identifier may go on.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the tenant; those of the store.
    pub async fn credential_attempt(
        self,
        tenant: TenantId,
        identifier: &str,
        origin: &Origin,
    ) -> Result<Result<CredentialAttempt, Refusal>, Error> {
        let attempt = self.machine_attempt(Machine::Credential, tenant, identifier, origin).await?;
        Ok(attempt.map(|attempt| CredentialAttempt { tenant, attempt }))
    }

    pub(super) async fn weigh_credential(
        self,
        tx: &mut Tx<'_>,
        proof: &Proof,
        credential: &CredentialProof,
    ) -> Result<Verdict, Error> {
        let tenant = proof.tenant;
        // Held, so that a change of the state, which ends all sessions, cannot pass by the one that is made of this.
        let user = if tenant_is_active(tx, tenant).await? {
            match users::hold_user(tx, tenant, credential.user).await {
                Ok(user) if user.must_change_password => Err("password_change_required"),
                Ok(user) => obstacle(&user).map_or(Ok(user), Err),
                Err(Error::NotFound(_)) => Err("unknown_user"),
                Err(error) => return Err(error),
            }
        } else {
            Err("tenant_inactive")
        };
        let user = match user {
            Ok(user) => user,
            Err(reason) => {
                credential.attempt.count(tx).await?;
                return Ok(Verdict::Refused(reason));
            }
        };
        credential.attempt.settle(tx).await?;
        Ok(Verdict::Admitted(Box::new(Admitted {
            tenant,
            subject: Subject::User(user.id),
            user: Some(Arc::new(user)),
            service: None,
            session: None,
            auth_time: self.0.world().now(),
            amr: Arc::new([]),
            acr: None,
            method: proof.method,
        })))
    }
}

impl CredentialAttempt {
    /// Holds the secret that was presented against the one that is kept: whose it is and its digest, none where there is no
    /// credential of this identifier. A wrong one is counted and recorded before this answers.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn prove(
        self,
        presented: &str,
        kept: Option<(UserId, TokenDigest)>,
    ) -> Result<Result<Proof, Refusal>, Error> {
        let presented = TokenDigest::of(presented);
        // The same work whether there is one or not.
        let (user, kept) = match kept {
            Some((user, kept)) => (Some(user), kept),
            None => (None, TokenDigest::from_bytes([0; 32])),
        };
        let fits = constant_time_eq(presented.as_bytes(), kept.as_bytes());
        let (tenant, method) = (self.tenant, Method::Credential);
        match user {
            Some(user) if fits => {
                let kind = Kind::Credential(CredentialProof { user, attempt: self.attempt });
                Ok(Ok(Proof { tenant, method, kind }))
            }
            Some(_) => Ok(Err(self.attempt.failed(method, "wrong_secret").await?)),
            None => Ok(Err(self.attempt.failed(method, "unknown_credential").await?)),
        }
    }
}

//! Passwords: the policy, the history, and the use cases that set one. Proving one is [`crate::admission`]'s.

mod common;
pub(crate) mod credential;
mod policy;
mod ready;

pub use policy::PolicyViolation;
pub use ready::{PasswordState, ReadyPassword};

use crate::admission::{Admitted, Method, PasswordAttempt, PasswordFate, Proof, Refusal, Verdict};
use crate::settings::PasswordPolicy;
use crate::users::{self, User};
use crate::{Cause, Error, Identity, recovery, schema, sessions};
use keyreeve_base::{Origin, SessionId, TenantId, UserId};
use keyreeve_crypto::Secret;
use keyreeve_crypto::password::HashError;
use keyreeve_store::{Tx, params};
use serde_json::json;
use std::sync::Arc;

/// The use cases of passwords.
#[derive(Clone, Copy)]
pub struct Passwords<'a>(pub(crate) &'a Identity);

/// A new password on its way into the database, already hashed.
pub(crate) struct Change {
    pub(crate) hash: String,
    /// The version of the password that it replaces; none if there is no password yet.
    pub(crate) replaces: Option<i64>,
    pub(crate) history: u8,
    pub(crate) must_change: bool,
    /// The session that goes on; all others of the user end.
    pub(crate) except: Option<SessionId>,
    /// Whether what was granted before ends too, even where it outlives the session: when it is not the user who has
    /// proved the former password.
    pub(crate) ends_grants: bool,
}

impl Passwords<'_> {
    /// Sets a user's password, as an administrator does. Ends all sessions of the user. With `must_change`, the user must
    /// choose an own one at the next sign-in.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Policy`], [`Error::Busy`], [`Error::VersionConflict`] when it is changed at the same
    /// moment.
    pub async fn set(
        self,
        (tenant, id): (TenantId, UserId),
        password: Secret,
        must_change: bool,
        cause: &Cause,
    ) -> Result<(), Error> {
        let policy = self.0.tenants().get(tenant).await?.settings.password.clone();
        let (user, stored) = self
            .0
            .store()
            .read(async move |tx: &mut Tx<'_>| {
                let user = users::read_user(tx, tenant, id).await?;
                Ok::<_, Error>((user, credential::present(tx, tenant, id).await?))
            })
            .await?;
        let hash = self.check_and_hash(&policy, &user, &password).await?;
        let replaces = stored.map(|stored| stored.version);
        let change =
            Change { hash, replaces, history: policy.history, must_change, except: None, ends_grants: true };
        let (identity, cause) = (self.0.clone(), cause.clone());
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                identity.passwords().store_change(tx, (tenant, id), &change, &cause).await.map(|_| ())
            })
            .await
    }

    /// Changes the password of the user who is signed in, after the present one was proved again. Ends all other sessions
    /// of the user. Guessing here counts like guessing at the sign-in (ABUSE-CASES AC-22).
    ///
    /// # Errors
    /// [`Error::NotFound`] when a client is admitted, not a user; [`Error::Policy`], [`Error::Busy`],
    /// [`Error::VersionConflict`].
    pub async fn change_own(
        self,
        admitted: &Admitted,
        current: Secret,
        new: Secret,
        origin: &Origin,
    ) -> Result<Result<(), Refusal>, Error> {
        let user = admitted.user().ok_or(Error::NotFound("user"))?;
        self.change_own_of(user, admitted.session(), (current, new), origin).await
    }

    /// The same for a user who calls with a token, whose session `session` goes on.
    ///
    /// # Errors
    /// [`Error::Policy`], [`Error::Busy`], [`Error::VersionConflict`].
    pub async fn change_own_of(
        self,
        user: &User,
        session: Option<SessionId>,
        (current, new): (Secret, Secret),
        origin: &Origin,
    ) -> Result<Result<(), Refusal>, Error> {
        let (tenant, id) = (user.tenant_id, user.id);
        let identifier = user.profile.identifiers()?;
        let attempt = PasswordAttempt {
            tenant,
            identifier: identifier.first().map_or("", |i| i.canonical.as_str()),
            password: current,
            origin: origin.clone(),
            method: Method::PasswordChange,
            device: None,
        };
        let proof = match self.0.admission().prove_password(attempt).await? {
            Ok(proof) if proof.user() == Some(id) => proof,
            Ok(_) => return Ok(Err(Refusal::Denied)),
            Err(refusal) => return Ok(Err(refusal)),
        };
        let policy = self.0.tenants().get(tenant).await?.settings.password.clone();
        self.replace_proved((user, session), proof, (&new, &policy), origin).await
    }

    /// Replaces the password that was proved by one that meets `policy`; the user's session `session` goes on, all others
    /// end.
    ///
    /// # Errors
    /// As [`Passwords::change_own_of`].
    pub async fn replace_proved(
        self,
        (user, session): (&User, Option<SessionId>),
        proof: Proof,
        (new, policy): (&Secret, &PasswordPolicy),
        origin: &Origin,
    ) -> Result<Result<(), Refusal>, Error> {
        let (tenant, id) = (user.tenant_id, user.id);
        let hash = self.check_and_hash(policy, user, new).await?;
        let change = Change {
            hash,
            replaces: proof.password_version(),
            history: policy.history,
            must_change: false,
            except: session,
            ends_grants: false,
        };
        let (identity, cause) = (self.0.clone(), Cause::user(id, origin.clone()));
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                let admission = identity.admission();
                let verdict = admission.decide(tx, &proof, &cause.origin, PasswordFate::IsReplaced).await?;
                let Verdict::Admitted(_) = verdict else { return Ok(Err(Refusal::Denied)) };
                identity.passwords().store_change(tx, (tenant, id), &change, &cause).await?;
                Ok(Ok(()))
            })
            .await
    }

    /// Checks a new password against the policy and the history, and hashes it.
    pub(crate) async fn check_and_hash(
        self,
        policy: &PasswordPolicy,
        user: &User,
        password: &Secret,
    ) -> Result<String, Error> {
        credential::check(policy, &user.profile, password)?;
        let (tenant, id, history) = (user.tenant_id, user.id, policy.history);
        let former = self
            .0
            .store()
            .read(async move |tx: &mut Tx<'_>| credential::former(tx, tenant, id, history).await)
            .await?;
        let lane = tenant.to_string();
        for hash in former {
            match self.0.hasher().verify(&lane, password, &hash).await {
                Ok(verified) if verified.ok => {
                    return Err(Error::Policy(vec![PolicyViolation::Reused { last: history }]));
                }
                // What cannot be read cannot be matched either.
                Ok(_) | Err(HashError::Unrecognised) => {}
                Err(error) => return Err(hash_error(error)),
            }
        }
        self.hash(tenant, password).await
    }

    pub(crate) async fn hash(self, tenant: TenantId, password: &Secret) -> Result<String, Error> {
        let hash = self.0.hasher().hash(&tenant.to_string(), password).await.map_err(hash_error)?;
        Ok(hash.into_string())
    }

    /// Stores a new password with everything that goes with it; answers the user as it is then.
    pub(crate) async fn store_change(
        self,
        tx: &mut Tx<'_>,
        (tenant, id): (TenantId, UserId),
        change: &Change,
        cause: &Cause,
    ) -> Result<Arc<User>, Error> {
        let now = self.0.world().now();
        let mut user = users::hold_user(tx, tenant, id).await?;
        match change.replaces {
            None => credential::first(tx, id, &change.hash, now).await?,
            Some(version) => {
                credential::replace(tx, id, version, (&change.hash, change.history), now).await?;
            }
        }
        if user.must_change_password != change.must_change {
            user.must_change_password = change.must_change;
            user.updated_at = now;
            users::write_state(tx, &mut user).await?;
        }
        recovery::kill_links(tx, (tenant, id), now).await?;
        if change.ends_grants {
            tx.execute(&schema::END_GRANTS, &params![tenant, id, now]).await?;
        }
        let detail = json!({"must_change": change.must_change});
        let event = cause.done(tenant, "user.password.change", ("user", id.to_string()), detail);
        keyreeve_audit::record(tx, self.0.world(), &event).await?;
        sessions::end_all(tx, self.0, (tenant, id, change.except), "password_change", cause).await?;
        Ok(Arc::new(user))
    }
}

/// What a failure of the hasher means to a caller who sets a password.
pub(crate) fn hash_error(error: HashError) -> Error {
    match error {
        HashError::Busy { retry_after } => Error::Busy { retry_after },
        HashError::Empty => Error::invalid("password", "is empty"),
        HashError::TooLong => Error::invalid("password", "is longer than 1024 bytes"),
        HashError::Unrecognised | HashError::Unavailable => Error::Hash(error),
    }
}

//! The use cases of the second factor.

use super::codes::{self, Used};
use super::model::{Enrolment, Factors, ImportedTotp, RecoveryCodes, Stored, TotpParameters, check_name};
use crate::admission::{Admitted, Method, PasswordAttempt, PasswordFate, Proof, Refusal, Verdict};
use crate::sealing::Sealer;
use crate::users::{self, User};
use crate::{Cause, Error, Identity, schema};
use keyreeve_base::{Origin, TenantId, TotpId, UserId};
use keyreeve_crypto::{Secret, SecretBytes};
use keyreeve_store::{Tx, params};
use serde_json::json;
use std::sync::Arc;
use url::form_urlencoded::byte_serialize;

/// The most devices of one user.
const MAX_DEVICES: usize = 5;
/// RFC 4226 section 4 recommends 160 bits.
const SECRET_BYTES: usize = 20;

/// What a device's secret is sealed with: it opens for its own device of its own user only.
pub(crate) fn bound_to(user: UserId, device: TotpId) -> Vec<u8> {
    [b"totp", &user.uuid().as_bytes()[..], &device.uuid().as_bytes()[..]].concat()
}

/// The use cases of the second factor.
#[derive(Clone, Copy)]
pub struct SecondFactors<'a>(pub(crate) &'a Identity);

impl SecondFactors<'_> {
    /// What a user has.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn of(self, tenant: TenantId, user: UserId) -> Result<Factors, Error> {
        self.0
            .store()
            .read(async move |tx: &mut Tx<'_>| {
                let stored = tx.query(&schema::TOTP_OF, &params![tenant, user], Stored::from_row).await?;
                let devices = stored.into_iter().map(|stored| stored.device);
                Ok::<_, Error>(Factors {
                    devices: devices.filter(|device| device.confirmed_at.is_some()).collect(),
                    recovery_codes: tx.scalar(&schema::RECOVERY_CODES_LEFT, &params![tenant, user]).await?,
                })
            })
            .await
    }

    /// Adds a device of the user who is signed in and proves the password again. It is in use once
    /// [`SecondFactors::confirm`] has seen a code of it; one that was added before and never confirmed is forgotten.
    ///
    /// # Errors
    /// [`Error::Invalid`] for the name, and with five devices in use; [`Error::Busy`].
    pub async fn begin(
        self,
        admitted: &Admitted,
        name: &str,
        password: Secret,
        origin: &Origin,
    ) -> Result<Result<Enrolment, Refusal>, Error> {
        let name = check_name(name)?;
        let (user, proof) = match self.prove(admitted, password, origin).await? {
            Ok(proved) => proved,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let (tenant, id) = (user.tenant_id, user.id);
        let issuer = self.0.tenants().get(tenant).await?.name.clone();
        let (device, secret) = (self.0.world().new_id::<TotpId>(), self.new_secret());
        let sealed = self.0.tenants().seal(tenant, &[&bound_to(id, device)], secret.expose()).await?;
        let (identity, cause) = (self.0.clone(), Cause::user(id, origin.clone()));
        let done = self
            .0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                let verdict =
                    identity.admission().decide(tx, &proof, &cause.origin, PasswordFate::IsReplaced).await?;
                let Verdict::Admitted(_) = verdict else { return Ok(Err(Refusal::Denied)) };
                tx.execute(&schema::DROP_UNCONFIRMED_TOTP, &params![tenant, id]).await?;
                let present: i64 = tx.scalar(&schema::TOTP_IN_USE, &params![tenant, id]).await?;
                if usize::try_from(present).is_ok_and(|present| present >= MAX_DEVICES) {
                    return Err(Error::invalid(
                        "name",
                        format!("is one more than the {MAX_DEVICES} devices that a user can have"),
                    ));
                }
                let new =
                    New { id: device, name: &name, sealed: &sealed, parameters: TotpParameters::default() };
                insert(tx, &identity, (tenant, id), &new, false).await?;
                Ok(Ok(()))
            })
            .await?;
        let account = user.username.as_deref().or(user.email.as_deref()).unwrap_or_default();
        Ok(done.map(|()| enrolment(device, &secret, &issuer, account)))
    }

    /// Takes a device into use that shows a code. The first one brings recovery codes.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a device that is not waiting.
    pub async fn confirm(
        self,
        admitted: &Admitted,
        device: TotpId,
        code: &Secret,
        origin: &Origin,
    ) -> Result<Result<Option<RecoveryCodes>, Refusal>, Error> {
        let user = admitted.user().ok_or(Error::NotFound("user"))?;
        let (tenant, id) = (user.tenant_id, user.id);
        let devices = codes::stored(self.0, tenant, id).await?;
        if !devices.iter().any(|stored| stored.device.id == device && stored.device.confirmed_at.is_none()) {
            return Err(Error::NotFound("device"));
        }
        let typed = codes::plain(code);
        let found = codes::recognise_step(self.0, (tenant, id), &devices, &typed, |stored| {
            stored.device.id == device
        });
        let Some(Used::Step { step, .. }) = found.await? else { return Ok(Err(Refusal::Denied)) };
        let (identity, cause) = (self.0.clone(), Cause::user(id, origin.clone()));
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                users::hold_user(tx, tenant, id).await?;
                let now = identity.world().now();
                let first: i64 = tx.scalar(&schema::TOTP_IN_USE, &params![tenant, id]).await?;
                if tx.execute(&schema::CONFIRM_TOTP, &params![tenant, id, device, step, now]).await? == 0 {
                    return Err(Error::NotFound("device"));
                }
                let made = if first == 0 { Some(new_codes(tx, &identity, tenant, id).await?) } else { None };
                let detail = json!({"device": device});
                record(tx, &identity, (tenant, id), ("user.second_factor.add", detail), &cause).await?;
                Ok(Ok(made))
            })
            .await
    }

    /// Removes a device of the user who is signed in and proves the password again; with the last one go the recovery
    /// codes.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the device; [`Error::Busy`].
    pub async fn remove(
        self,
        admitted: &Admitted,
        device: TotpId,
        password: Secret,
        origin: &Origin,
    ) -> Result<Result<(), Refusal>, Error> {
        let (user, proof) = match self.prove(admitted, password, origin).await? {
            Ok(proved) => proved,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let (tenant, id) = (user.tenant_id, user.id);
        let (identity, cause) = (self.0.clone(), Cause::user(id, origin.clone()));
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                let verdict =
                    identity.admission().decide(tx, &proof, &cause.origin, PasswordFate::IsReplaced).await?;
                let Verdict::Admitted(_) = verdict else { return Ok(Err(Refusal::Denied)) };
                if tx.execute(&schema::DELETE_TOTP, &params![tenant, id, device]).await? == 0 {
                    return Err(Error::NotFound("device"));
                }
                if tx.scalar::<i64>(&schema::TOTP_IN_USE, &params![tenant, id]).await? == 0 {
                    tx.execute(&schema::DROP_RECOVERY_CODES, &params![tenant, id]).await?;
                }
                let detail = json!({"device": device});
                record(tx, &identity, (tenant, id), ("user.second_factor.remove", detail), &cause).await?;
                Ok(Ok(()))
            })
            .await
    }

    /// New recovery codes in place of the old ones, for the user who is signed in and proves the password again.
    ///
    /// # Errors
    /// [`Error::NotFound`] without a device in use; [`Error::Busy`].
    pub async fn renew_codes(
        self,
        admitted: &Admitted,
        password: Secret,
        origin: &Origin,
    ) -> Result<Result<RecoveryCodes, Refusal>, Error> {
        let (user, proof) = match self.prove(admitted, password, origin).await? {
            Ok(proved) => proved,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let (tenant, id) = (user.tenant_id, user.id);
        let (identity, cause) = (self.0.clone(), Cause::user(id, origin.clone()));
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                let verdict =
                    identity.admission().decide(tx, &proof, &cause.origin, PasswordFate::IsReplaced).await?;
                let Verdict::Admitted(_) = verdict else { return Ok(Err(Refusal::Denied)) };
                if !in_use(tx, tenant, id).await? {
                    return Err(Error::NotFound("device"));
                }
                let made = new_codes(tx, &identity, tenant, id).await?;
                let of = (tenant, id);
                record(tx, &identity, of, ("user.second_factor.codes", serde_json::Value::Null), &cause)
                    .await?;
                Ok(Ok(made))
            })
            .await
    }

    /// Removes every device and recovery code of a user, as an administrator does for somebody who lost them.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the user.
    pub async fn reset(self, (tenant, id): (TenantId, UserId), cause: &Cause) -> Result<(), Error> {
        let (identity, cause) = (self.0.clone(), cause.clone());
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                users::hold_user(tx, tenant, id).await?;
                forget_all(tx, tenant, id).await?;
                let of = (tenant, id);
                record(tx, &identity, of, ("user.second_factor.reset", serde_json::Value::Null), &cause).await
            })
            .await
    }

    /// Makes a device of another system ready to be stored; sealing is done here, outside of any transaction.
    ///
    /// # Errors
    /// [`Error::Invalid`] names what is not acceptable; those of sealing.
    pub fn prepare(
        self,
        sealer: &Sealer,
        user: UserId,
        device: &ImportedTotp,
    ) -> Result<PreparedTotp, Error> {
        let name = check_name(&device.name)?;
        device.parameters.machine(device.secret.expose())?;
        let id = self.0.world().new_id::<TotpId>();
        let sealed = sealer.seal(&[&bound_to(user, id)], device.secret.expose())?;
        Ok(PreparedTotp { id, user, name, sealed, parameters: device.parameters })
    }

    /// Takes a device over from another system, in the transaction that makes its user. It is in use at once.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn import(self, tx: &mut Tx<'_>, tenant: TenantId, device: &PreparedTotp) -> Result<(), Error> {
        let PreparedTotp { id, user, name, sealed, parameters } = device;
        let new = New { id: *id, name, sealed, parameters: *parameters };
        insert(tx, self.0, (tenant, *user), &new, true).await
    }

    /// What an export tells of a device in use, with its secret.
    ///
    /// # Errors
    /// Those of sealing.
    pub(crate) fn open(self, sealer: &Sealer, user: UserId, stored: Stored) -> Result<ImportedTotp, Error> {
        let secret = sealer.open(&[&bound_to(user, stored.device.id)], &stored.sealed)?;
        Ok(ImportedTotp { name: stored.device.name, secret, parameters: stored.device.parameters })
    }

    /// The user who is signed in, and the proof of the password that was typed once more.
    async fn prove(
        self,
        admitted: &Admitted,
        password: Secret,
        origin: &Origin,
    ) -> Result<Result<(Arc<User>, Proof), Refusal>, Error> {
        let user = admitted.user().ok_or(Error::NotFound("user"))?;
        let identifier = user.profile.identifiers()?;
        let attempt = PasswordAttempt {
            tenant: user.tenant_id,
            identifier: identifier.first().map_or("", |i| i.canonical.as_str()),
            password,
            origin: origin.clone(),
            method: Method::PasswordChange,
            device: None,
        };
        Ok(match self.0.admission().prove_password(attempt).await? {
            Ok(proof) if proof.user() == Some(user.id) => Ok((Arc::clone(user), proof)),
            Ok(_) => Err(Refusal::Denied),
            Err(refusal) => Err(refusal),
        })
    }

    fn new_secret(self) -> SecretBytes {
        SecretBytes::from(self.0.world().random_bytes::<SECRET_BYTES>().to_vec())
    }
}

/// Whether a user must show a code.
pub(crate) async fn in_use(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    user: UserId,
) -> Result<bool, keyreeve_store::Error> {
    Ok(tx.scalar::<i64>(&schema::TOTP_IN_USE, &params![tenant, user]).await? > 0)
}

/// Forgets everything that a user has.
pub(crate) async fn forget_all(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    user: UserId,
) -> Result<(), keyreeve_store::Error> {
    tx.execute(&schema::DROP_TOTP, &params![tenant, user]).await?;
    tx.execute(&schema::DROP_RECOVERY_CODES, &params![tenant, user]).await?;
    Ok(())
}

/// A device of another system, sealed for its user.
pub struct PreparedTotp {
    id: TotpId,
    user: UserId,
    name: String,
    sealed: Vec<u8>,
    parameters: TotpParameters,
}

/// A device to be stored.
struct New<'a> {
    id: TotpId,
    name: &'a str,
    sealed: &'a [u8],
    parameters: TotpParameters,
}

async fn insert(
    tx: &mut Tx<'_>,
    identity: &Identity,
    (tenant, user): (TenantId, UserId),
    new: &New<'_>,
    in_use: bool,
) -> Result<(), Error> {
    let TotpParameters { algorithm, digits, period_s } = new.parameters;
    let (digits, period_s) = (i64::from(digits), i64::from(period_s));
    let now = identity.world().now();
    let (algorithm, confirmed_at) = (algorithm.text(), in_use.then_some(now));
    let row =
        params![new.id, tenant, user, new.name, new.sealed, algorithm, digits, period_s, now, confirmed_at];
    tx.execute(&schema::INSERT_TOTP, &row).await?;
    Ok(())
}

async fn new_codes(
    tx: &mut Tx<'_>,
    identity: &Identity,
    tenant: TenantId,
    user: UserId,
) -> Result<RecoveryCodes, Error> {
    tx.execute(&schema::DROP_RECOVERY_CODES, &params![tenant, user]).await?;
    let (made, now) = (codes::make(identity.world()), identity.world().now());
    for code in &made {
        tx.execute(
            &schema::INSERT_RECOVERY_CODE,
            &params![tenant, user, codes::digest(code).as_bytes(), now],
        )
        .await?;
    }
    Ok(RecoveryCodes(made))
}

async fn record(
    tx: &mut Tx<'_>,
    identity: &Identity,
    (tenant, user): (TenantId, UserId),
    (action, detail): (&'static str, serde_json::Value),
    cause: &Cause,
) -> Result<(), Error> {
    let event = cause.done(tenant, action, ("user", user.to_string()), detail);
    keyreeve_audit::record(tx, identity.world(), &event).await?;
    Ok(())
}

/// The secret in the forms in which it is handed to an app (the key URI format of authenticator apps).
fn enrolment(id: TotpId, secret: &SecretBytes, issuer: &str, account: &str) -> Enrolment {
    let text = zeroize::Zeroizing::new(totp_rs::Secret::from(secret.expose().to_vec()).to_base32());
    let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20");
    let (issuer, account) = (encode(issuer), encode(account));
    let uri = zeroize::Zeroizing::new(format!(
        "otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}",
        *text
    ));
    Enrolment { id, secret: Secret::new(&text), uri: Secret::new(&uri) }
}

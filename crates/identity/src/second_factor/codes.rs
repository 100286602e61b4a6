//! Codes as they are typed: recognised outside of the transaction, used up inside.

use super::model::Stored;
use super::service::bound_to;
use crate::{Error, Identity, schema};
use keyreeve_base::{TenantId, Timestamp, TotpId, UserId, World};
use keyreeve_crypto::{Alphabet, Secret, TokenDigest, random_text};
use keyreeve_store::{Tx, params};

/// Recovery codes that a user is given at a time.
pub(super) const RECOVERY_CODES: usize = 10;
/// Twelve readable characters hold 70 bits, far from any guessing.
const RECOVERY_CHARACTERS: usize = 12;
/// The longest text that is looked at, in bytes.
const MAX_TYPED: usize = 64;

/// A code that fits, and has yet to be used up.
#[derive(Debug, Clone)]
pub(crate) enum Used {
    /// A step of a device's clock.
    Step { device: TotpId, step: i64 },
    /// A recovery code, if it is one.
    Recovery(TokenDigest),
}

impl Used {
    /// The methods it adds to the password (RFC 8176 section 2).
    pub(crate) const fn amr(&self) -> &'static [&'static str] {
        match self {
            Self::Step { .. } => &["pwd", "otp", "mfa"],
            Self::Recovery(_) => &["pwd", "mfa"],
        }
    }
}

/// What a typed code is good for; none when it fits nothing.
///
/// # Errors
/// Those of the store and of sealing.
pub(crate) async fn recognise(
    identity: &Identity,
    (tenant, user): (TenantId, UserId),
    typed: &Secret,
) -> Result<Option<Used>, Error> {
    if typed.expose().len() > MAX_TYPED {
        return Ok(None);
    }
    let text = plain(typed);
    if text.expose().bytes().all(|byte| byte.is_ascii_digit()) && text.expose().len() <= 8 {
        let devices = stored(identity, tenant, user).await?;
        return recognise_step(identity, (tenant, user), &devices, &text, |d| {
            d.device.confirmed_at.is_some()
        })
        .await;
    }
    Ok(Some(Used::Recovery(digest(&text))))
}

/// The device and step that a code of digits belongs to.
pub(super) async fn recognise_step(
    identity: &Identity,
    (tenant, user): (TenantId, UserId),
    devices: &[Stored],
    code: &Secret,
    wanted: impl Fn(&Stored) -> bool,
) -> Result<Option<Used>, Error> {
    let Ok(now) = u64::try_from(identity.world().now().seconds()) else { return Ok(None) };
    for stored in devices.iter().filter(|stored| wanted(stored)) {
        let device = stored.device.id;
        let secret = identity.tenants().open(tenant, &[&bound_to(user, device)], &stored.sealed).await?;
        let machine = stored.device.parameters.machine(secret.expose())?;
        if let Some(step) = machine.check(code.expose(), now).and_then(|step| i64::try_from(step).ok()) {
            return Ok(Some(Used::Step { device, step }));
        }
    }
    Ok(None)
}

pub(super) async fn stored(
    identity: &Identity,
    tenant: TenantId,
    user: UserId,
) -> Result<Vec<Stored>, Error> {
    let read = async move |tx: &mut Tx<'_>| {
        tx.query(&schema::TOTP_OF, &params![tenant, user], Stored::from_row).await
    };
    Ok(identity.store().read(read).await?)
}

/// Uses a code up, in the transaction that admits; whether it was still good.
///
/// # Errors
/// Those of the store.
pub(crate) async fn use_up(
    tx: &mut Tx<'_>,
    (tenant, user): (TenantId, UserId),
    used: &Used,
    now: Timestamp,
) -> Result<bool, keyreeve_store::Error> {
    let rows = match used {
        Used::Step { device, step } => {
            tx.execute(&schema::USE_TOTP_STEP, &params![tenant, user, *device, *step, now]).await?
        }
        Used::Recovery(digest) => {
            tx.execute(&schema::USE_RECOVERY_CODE, &params![tenant, user, digest.as_bytes()]).await?
        }
    };
    Ok(rows == 1)
}

/// New recovery codes, as they are shown: in groups of four.
pub(super) fn make(world: &World) -> Vec<Secret> {
    (0..RECOVERY_CODES)
        .map(|_| {
            let code = random_text(world, Alphabet::Readable, RECOVERY_CHARACTERS);
            let mut shown = zeroize::Zeroizing::new(String::with_capacity(16));
            for (at, character) in code.expose().chars().enumerate() {
                if at > 0 && at % 4 == 0 {
                    shown.push('-');
                }
                shown.push(character);
            }
            Secret::new(&shown)
        })
        .collect()
}

/// A code without what people put between its characters.
pub(super) fn plain(typed: &Secret) -> Secret {
    let kept = |c: &char| !c.is_whitespace() && !matches!(c, '-' | '\u{2010}'..='\u{2015}');
    let text: zeroize::Zeroizing<String> = typed.expose().chars().filter(kept).collect::<String>().into();
    Secret::new(&text)
}

/// What is kept of a recovery code. Random as it is, it needs no slow hash.
pub(super) fn digest(code: &Secret) -> TokenDigest {
    TokenDigest::of(plain(code).expose())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_same_however_they_are_spaced() {
        let plain = |text: &str| plain(&Secret::new(text)).expose().to_owned();
        assert_eq!(plain(" 123 456\t"), "123456");
        assert_eq!(plain("abcd-efgh\u{2013}ijkl"), "abcdefghijkl");
        assert_eq!(digest(&Secret::new("abcd-efgh")).as_bytes(), digest(&Secret::new("abcdefgh")).as_bytes());
    }
}

//! Codes and refresh tokens as they are handed out.
//!
//! The text is the grant's identifier, sealed under the tenant's data key with a random nonce of 192 bits, and what is
//! stored is its digest, in the grant. So it is found by the grant's primary key, without an index over random values
//! that every rotation would have to rewrite; it is good only as long as its digest stands there; and one that was
//! replaced, which names a grant and matches no digest, is known as a genuine one that comes again, without a list of
//! all that there ever were. Nobody can make one up: whoever knows the database lacks the key, whoever knows the key lacks
//! what the digest was made of.

use crate::clients::{Client, GrantType};
use crate::error::Error;
use crate::service::Tokens;
use keyreeve_base::{GrantId, TenantId};
use keyreeve_crypto::{Secret, TokenDigest};
use uuid::Uuid;

/// The longest text that is opened, in bytes.
const MAX_BYTES: usize = 256;

/// What a handle is for. One kind never passes for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An authorization code.
    Code,
    /// A refresh token.
    Refresh,
    /// A device code.
    Device,
}

impl Kind {
    /// What the text begins with, so that people and secret scanners recognise a leaked one.
    pub(crate) const fn prefix(self) -> &'static str {
        match self {
            Self::Code => "kr_ac_",
            Self::Refresh => "kr_rt_",
            Self::Device => "kr_dc_",
        }
    }

    const fn purpose(self) -> &'static [u8] {
        match self {
            Self::Code => b"tokens/authorization_code",
            Self::Refresh => b"tokens/refresh_token",
            Self::Device => b"tokens/device_code",
        }
    }
}

/// A new code or refresh token.
pub(crate) struct Handle {
    /// What goes to its holder, once.
    pub(crate) text: Secret,
    /// What is stored.
    pub(crate) digest: [u8; 32],
}

/// A code or refresh token that was presented, and that this tenant has once handed out. Whether it still counts is for
/// the grant to say.
#[derive(Clone, Copy)]
pub(crate) struct Presented {
    pub(crate) grant: GrantId,
    pub(crate) digest: [u8; 32],
}

impl Tokens {
    /// A new code or refresh token of this grant.
    pub(crate) async fn new_handle(
        &self,
        tenant: TenantId,
        kind: Kind,
        grant: GrantId,
    ) -> Result<Handle, Error> {
        let sealer = self.0.identity.tenants().sealer(tenant).await?;
        let sealed = Secret::from(sealer.seal_text(&[kind.purpose()], grant.uuid().as_bytes())?);
        let text = Secret::from([kind.prefix(), sealed.expose()].concat());
        let digest = *TokenDigest::of(text.expose()).as_bytes();
        Ok(Handle { text, digest })
    }

    /// The refresh token that a new grant begins with, if its client may use one.
    pub(crate) async fn first_refresh_token(
        &self,
        client: &Client,
        grant: GrantId,
    ) -> Result<Option<Handle>, Error> {
        if !client.settings.allows(GrantType::RefreshToken) {
            return Ok(None);
        }
        self.new_handle(client.tenant_id, Kind::Refresh, grant).await.map(Some)
    }

    /// What a presented text is; none for what this tenant never handed out as one of this kind.
    pub(crate) async fn read_handle(
        &self,
        tenant: TenantId,
        kind: Kind,
        presented: &str,
    ) -> Result<Option<Presented>, Error> {
        let Some(sealed) = presented.strip_prefix(kind.prefix()).filter(|text| text.len() <= MAX_BYTES)
        else {
            return Ok(None);
        };
        let sealer = self.0.identity.tenants().sealer(tenant).await?;
        let Ok(opened) = sealer.open_text(&[kind.purpose()], sealed) else { return Ok(None) };
        let Ok(grant) = Uuid::from_slice(opened.expose()) else { return Ok(None) };
        let digest = *TokenDigest::of(presented).as_bytes();
        Ok(Some(Presented { grant: GrantId::from_uuid(grant), digest }))
    }
}

//! Identifiers that nobody can guess: 128 random bits each. They are no credentials: who has one may do nothing by it.

use keyreeve_base::World;
use keyreeve_crypto::base64url;
use keyreeve_store::{FromColumn, Param, ToParam, Value};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// A text that is no identifier of the kind that it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not an identifier of this kind")]
pub struct NoId;

macro_rules! ids {
    ($($(#[$meta:meta])* $name:ident $prefix:literal;)*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// A new one.
            #[must_use]
            pub fn generate(world: &World) -> Self {
                Self(Uuid::from_bytes(world.random_bytes()))
            }

            /// The one with these bits.
            #[must_use]
            pub const fn from_uuid(bits: Uuid) -> Self {
                Self(bits)
            }

            /// Its bits, which are a UUID by their number alone.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", $prefix, base64url::encode(self.0.as_bytes()))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = NoId;

            fn from_str(text: &str) -> Result<Self, NoId> {
                let rest = text.strip_prefix($prefix).filter(|rest| rest.len() == 22).ok_or(NoId)?;
                let bytes = base64url::decode(rest).map_err(|_| NoId)?;
                Uuid::from_slice(&bytes).map(Self).map_err(|_| NoId)
            }
        }

        impl ToParam for $name {
            fn to_param(&self) -> Param<'_> {
                self.0.to_param()
            }
        }

        impl FromColumn for $name {
            fn from_column(value: Value<'_>) -> Result<Self, keyreeve_store::Error> {
                Uuid::from_column(value).map(Self)
            }
        }
    )*};
}

ids! {
    /// Names a secret: `sec_…`.
    SecretId "sec_";
    /// Names a lease: `lea_…`.
    LeaseId "lea_";
    /// Names a certificate that was issued here: `crt_…`.
    CertificateId "crt_";
    /// Names a store elsewhere: `sto_…`.
    StoreId "sto_";
    /// Names what such stores are reached with: `sau_…`.
    ServiceAuthId "sau_";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_has_one_spelling() {
        let id = SecretId::from_uuid(Uuid::from_u128(0x0123_4567_89ab_cdef));
        assert_eq!(id.to_string().parse::<SecretId>(), Ok(id));
        assert_eq!(id.to_string().len(), 26);
        for bad in [
            "",
            "sec_",
            "lea_AAAAAAAAAAAAAAAAAAAAAA",
            "sec_AAAAAAAAAAAAAAAAAAAAAB",
            "sec_AAAAAAAAAAAAAAAAAAAAA",
        ] {
            assert!(bad.parse::<SecretId>().is_err(), "{bad}");
        }
    }
}

//! X.509 (RFC 5280): certificates, authorities with their chains, requests, revocation lists.

mod authority;
mod certificate;
mod chain;
mod names;
mod profile;
mod request;
mod revocation;

pub use authority::{Authority, self_signed};
pub use certificate::{Certificate, Facts, MAX_CERTIFICATE_BYTES, Serial};
pub use chain::{MAX_CHAIN, check_chain, import};
pub use names::{AltName, MAX_ALT_NAMES, Subject};
pub use profile::{ExtendedKeyUsage, KeyUsage, Profile, Role};
pub use request::{Request, Requested};
pub use revocation::{Reason, RevocationList, Revoked};

use crate::key::KeyError;
use crate::key::pem::PemError;

/// Why something of X.509 cannot be made, or is not taken. The texts say what is wrong with *it*.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum X509Error {
    /// The text is not PEM.
    #[error("{0}")]
    Pem(#[from] PemError),
    /// The text holds none of what is wanted.
    #[error("holds no {0}")]
    None(&'static str),
    /// Not in the form that it claims.
    #[error("is not a well-formed {0}")]
    Malformed(&'static str),
    /// More certificates than [`MAX_CHAIN`].
    #[error("has a chain of more than {MAX_CHAIN} certificates")]
    LongChain,
    /// A key that cannot be used.
    #[error("has a key that {0}")]
    Key(#[from] KeyError),
    /// A name that cannot stand in a certificate.
    #[error("has a name that cannot stand in a certificate: {name:?} {reason}")]
    Name {
        /// The name, cut off when it is long.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Neither a common name nor an alternative one.
    #[error("has no name")]
    Nameless,
    /// More alternative names than [`MAX_ALT_NAMES`].
    #[error("has more than {MAX_ALT_NAMES} names")]
    TooManyNames,
    /// It ends before it begins, or lies outside the years 1970 to 9999.
    #[error("has a lifetime that is empty or lies outside the years 1970 to 9999")]
    Lifetime,
    /// It would be good for longer than the certificate of its authority.
    #[error("would outlive the authority's own certificate")]
    OutlivesAuthority,
    /// The authority may not make an authority, or not one of that depth.
    #[error("would make a chain longer than the authority's path length allows")]
    PathLength,
    /// The certificate is not about this key.
    #[error("is not about this key")]
    OtherKey,
    /// The certificate may not sign certificates.
    #[error("has a {place}. certificate that may not sign others")]
    NotAuthority {
        /// Its place in the chain, from 1.
        place: usize,
    },
    /// One of the chain was not issued by the next.
    #[error("has a {place}. certificate that is not issued by the one after it")]
    Unlinked {
        /// Its place in the chain, from 1.
        place: usize,
    },
    /// A signature is wrong.
    #[error("has a {place}. certificate whose signature is wrong, or by an algorithm that is not taken")]
    Signature {
        /// Its place in the chain, from 1.
        place: usize,
    },
    /// A certificate of the chain is no longer good.
    #[error("has a {place}. certificate that is no longer good")]
    Expired {
        /// Its place in the chain, from 1.
        place: usize,
    },
    /// A certificate of the chain is not good yet.
    #[error("has a {place}. certificate that is not good yet")]
    NotYet {
        /// Its place in the chain, from 1.
        place: usize,
    },
    /// The authority's name has a form that cannot be written again byte by byte.
    #[error("has an authority whose name has several parts of one kind, or a form that is not supported")]
    AuthorityName,
    /// A request asks for a name that it may not have.
    #[error("asks for a name that is not allowed: {0}")]
    NotAllowed(String),
    /// A request is not signed by the key that it is about.
    #[error("is not signed by the key that it is about")]
    Unproven,
    /// A list that ends before it begins, or has too many entries.
    #[error("is a list that ends before it begins, or with too many entries")]
    List,
    /// The library failed.
    #[error("could not be made: the library failed")]
    Library,
}

//! Issuers whose assertions a tenant trusts (RFC 7523 section 2.1): who they are, how their keys are found, and whom their
//! assertions are about.
//!
//! What an issuer says is believed as far as the operator has said: by the keys that were registered or are published at
//! the registered address, for the listed clients, within the listed scopes, about users who are found by one claim. An
//! assertion is good once, and not for long.

mod assertion;
mod keys;
mod model;
mod service;

pub(crate) use assertion::{Expected, VerifiedAssertion, claimed_issuer, verify};
pub(crate) use keys::KeyCache;
pub use model::{IssuerSettings, MAX_ISSUERS, SubjectField, SubjectMapping, TrustedIssuer};
pub use service::Issuers;

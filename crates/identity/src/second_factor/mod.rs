//! The second factor: one-time codes of an authenticator app (TOTP, RFC 6238), and recovery codes for the day on which
//! the device is lost.
//!
//! A user who has a device in use is admitted by a password only together with a code: [`crate::admission`] asks for it
//! and weighs it. A code is good once, and a wrong one is counted like a wrong password (ABUSE-CASES AC-17, AC-25). Whoever
//! adds or removes a device proves the password again.

mod codes;
mod model;
mod service;

pub use model::{Enrolment, Factors, ImportedTotp, RecoveryCodes, TotpAlgorithm, TotpDevice, TotpParameters};
pub use service::{PreparedTotp, SecondFactors};

pub(crate) use codes::{Used, recognise, use_up};
pub(crate) use model::Stored;
pub(crate) use service::{bound_to as totp_bound_to, forget_all, in_use};

//! Service accounts: what programs (agents, jobs, gateways) sign in as. Each has a name, attributes, roles and groups like
//! a user, an owner who answers for it, and secrets of its own; it has no password and no browser session.
//!
//! A secret is 256 random bits, told once; only its digest is stored. Several may be good at once, so that one can be
//! replaced without a moment in which neither works. How a secret is proved is [`crate::admission`]'s.

mod model;
mod secrets;
mod service;

pub use model::{NewServiceAccount, ServiceAccount, ServiceAccountPatch};
pub use secrets::{IssuedSecret, SecretInfo};

pub(crate) use secrets::{Credentials, SECRET_PREFIX};
pub(crate) use service::hold;

use crate::Identity;

/// The change-feed topic of service accounts and their secrets; the key is the account's identifier.
pub(crate) const TOPIC: &str = "service_account";

/// The use cases of service accounts.
#[derive(Clone, Copy)]
pub struct ServiceAccounts<'a>(pub(crate) &'a Identity);

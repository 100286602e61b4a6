//! The vocabulary that every room and door shares: typed identifiers, time and randomness as injected values,
//! canonical names, the origin of a request and the access token that it presents.
//!
//! What it is not: it holds no rule of any room, opens no file and no connection, and knows neither HTTP nor SQL.
//!
//! To add an identifier, add a line to [`id`]. A type belongs here only when two rooms need it.

pub mod id;
pub mod name;
pub mod origin;
pub mod presented;
pub mod time;
pub mod world;

pub use id::{
    ClientId, GrantId, GroupId, KeyId, MailId, RoleId, ServiceAccountId, SessionId, TenantId, TotpId, UserId,
};
pub use name::{CanonicalName, NameError};
pub use origin::Origin;
pub use presented::{Presentation, ShownProof};
pub use time::{Clock, SystemClock, Timestamp};
pub use world::{Random, World};

//! Grants: sharing, revoking, and who was granted what on a resource.

mod list;
mod model;
mod service;

pub use list::{GrantCursor, HeldGrant};
pub use model::{Grant, GrantKind, GrantedBy, NewGrant, ShareId};
pub use service::RevokedMany;

pub(crate) use model::{PartyKind, StoredGrant};
pub(crate) use service::{announce, held, permission_of, replace, united};

use crate::Sharing;

/// The use cases of grants.
#[derive(Clone, Copy)]
pub struct Grants<'a>(pub(crate) &'a Sharing);

//! Groups: named sets of users, service accounts and other groups, nested to any depth that the tenant allows.
//!
//! A group may be nested in several others, but never, however indirectly, in itself. Whoever is in a group is in every
//! group that holds it. [`Groups::of_subject`] answers that from memory; the recursion runs in the database, and what
//! is walked here is walked without recursion.

mod hold;
mod members;
mod model;
mod nest;
mod revise;
mod service;

pub use members::{Membership, Reach};
pub use model::{Group, GroupPatch, MembershipKind, NewGroup};
pub use revise::{GroupRevision, MemberChange};
pub use service::ReadyGroup;

pub(crate) use members::join;
pub(crate) use members::nest as nest_group;
pub(crate) use model::MAX_DESCRIPTION;
pub(crate) use nest::{MAX_WALK, Nesting, check as check_nesting};
pub(crate) use service::{hold, index, insert as insert_group, write as write_group};

use crate::Identity;

/// The change-feed topic of groups; the key is the group's identifier.
pub(crate) const TOPIC: &str = "group";

/// The use cases of groups.
#[derive(Clone, Copy)]
pub struct Groups<'a>(pub(crate) &'a Identity);

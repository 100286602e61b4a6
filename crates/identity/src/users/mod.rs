//! Users: who they are, what they are called, and in which state their account is. Their passwords are in
//! [`crate::passwords`].

mod attributes;
mod availability;
mod duplicates;
pub(crate) mod fields;
pub(crate) mod keys;
mod merge;
mod model;
mod refresh;
mod revise;
mod service;

pub use duplicates::{DuplicateBy, DuplicateSet};
pub use merge::{Carried, Carry, Merge, MergeField};
pub use model::{Credential, NewUser, Patch, Profile, ProfilePatch, User};
pub use revise::Revision;
pub use service::{ReadyUser, StateChange, Users};

pub(crate) use attributes::{index_of, reindex};
pub(crate) use model::Identifier;
pub(crate) use service::{
    Prepared, claim_identifiers, hold_user, insert_all, read_user, write_profile, write_state,
};

/// The change-feed topic of users; the key is the user's identifier.
pub(crate) const TOPIC: &str = "user";

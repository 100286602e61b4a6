//! Roles: names that say what someone may do, in the tenant or in one OAuth client, given to users, service accounts
//! and groups. Whoever is in a group, however deep, has its roles.
//!
//! What a role permits is for those to say who ask for it; the one that means something here is the reserved role
//! [`TENANT_ADMIN`], which [`crate::Authority`] reads.

mod assignments;
mod model;
mod service;

pub use assignments::RoleHolding;
pub use model::{EffectiveRole, EffectiveRoles, NewRole, Role, RolePatch, TENANT_ADMIN};

pub(crate) use assignments::{administrators_role, make_administrator};
pub(crate) use service::{by_name, insert as insert_role, write as write_role};

use crate::Identity;

/// The use cases of roles.
#[derive(Clone, Copy)]
pub struct Roles<'a>(pub(crate) &'a Identity);

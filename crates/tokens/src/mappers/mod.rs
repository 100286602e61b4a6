//! Protocol mappers: what a tenant, or one client of it, wants tokens to say beyond what the standards prescribe. A user's
//! attribute, the roles and groups that somebody has, a constant, a further audience: into a claim of the access token,
//! the ID token, the userinfo answer or the introspection answer.
//!
//! Without a mapper, tokens say nothing of roles and groups. What the server says itself (`iss`, `sub`, `scope`, …) no
//! mapper can say. They are evaluated from memory, with the roles and groups of the moment.

mod evaluate;
mod model;
mod service;

pub(crate) use evaluate::Wanted;
pub use evaluate::{MAX_CLAIMS_BYTES, MAX_VALUES};
pub use model::{
    ClaimPath, GroupValue, MAX_MAPPERS, MAX_PATH_SEGMENTS, Mapper, MapperSettings, Membership, Source,
    Target, ValueType,
};
pub(crate) use service::About;
pub use service::Mappers;

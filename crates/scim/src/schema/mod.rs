//! The one table from which everything about attributes follows: what `/Schemas` and `/ResourceTypes` say, what a
//! request may contain, what a PATCH may touch, and what an answer shows.

mod documents;
mod group;
mod model;
mod path;
mod user;

pub(crate) use documents::{resource_type, resource_types, schema, schemas, service_provider_config};
pub(crate) use group::GROUP;
pub(crate) use model::{Attribute, Kind, Mutability, Returned, Schema};
pub(crate) use path::{Named, Target, resolve, resolve_text};
#[cfg(test)]
pub(crate) use user::USER_URN;
pub(crate) use user::{ENTERPRISE, ENTERPRISE_URN, USER};

use model::named;

/// The kinds of resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resource {
    User,
    Group,
}

/// The attributes that every resource has (RFC 7643 section 3.1); they belong to no schema.
pub(crate) static COMMON: &[Attribute] = &[
    Attribute::text("id", "The identifier.").exact().read_only().always(),
    Attribute::text("externalId", "The identifier that the provisioning system uses.").exact(),
    Attribute::complex(
        "meta",
        "About the resource itself.",
        &[
            Attribute::text("resourceType", "The name of the resource type.").exact().read_only(),
            Attribute::new("created", Kind::DateTime, "When it was made.").read_only(),
            Attribute::new("lastModified", Kind::DateTime, "When it was last changed.").read_only(),
            Attribute::reference("location", "The resource's URI.", &["uri"]).read_only(),
            Attribute::text("version", "The entity tag.").exact().read_only(),
        ],
    )
    .read_only(),
    Attribute::reference("schemas", "The schemas of the resource.", &["uri"]).many().read_only().always(),
];

impl Resource {
    /// The name of the resource type.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Group => "Group",
        }
    }

    /// The path below the tenant's base.
    pub(crate) const fn endpoint(self) -> &'static str {
        match self {
            Self::User => "Users",
            Self::Group => "Groups",
        }
    }

    /// The core schema.
    pub(crate) fn core(self) -> &'static Schema {
        match self {
            Self::User => &USER,
            Self::Group => &GROUP,
        }
    }

    /// The extensions.
    pub(crate) fn extensions(self) -> &'static [&'static Schema] {
        static OF_USERS: [&Schema; 1] = [&ENTERPRISE];
        match self {
            Self::User => &OF_USERS,
            Self::Group => &[],
        }
    }

    /// The extension of this identifier, in any case.
    pub(crate) fn extension(self, urn: &str) -> Option<&'static Schema> {
        self.extensions().iter().copied().find(|schema| schema.id.eq_ignore_ascii_case(urn))
    }

    /// The attribute of this name, common or of the core schema, in any case.
    pub(crate) fn attribute(self, name: &str) -> Option<&'static Attribute> {
        named(COMMON, name).or_else(|| named(self.core().attributes, name))
    }
}

impl Schema {
    /// The attribute of this name, in any case.
    pub(crate) fn attribute(&self, name: &str) -> Option<&'static Attribute> {
        named(self.attributes, name)
    }
}

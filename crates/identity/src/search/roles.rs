//! What roles are searched by.

use super::compose::{Column, Field, Index, Link, Table};
use super::{Found, Search, run};
use crate::{Authority, Error, Role, Roles};

/// What roles are searched by and, but for those with a remark, ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RoleField {
    /// The identifier: `eq` and `ne`.
    Id,
    /// The name.
    Name,
    /// What it is for. Does not order.
    Description,
    /// The OAuth client that it is a role of, by its identifier: `eq`, `ne`, `pr`. Does not order.
    Application,
    /// Whom it was given to directly: `eq`, `ne`, `pr`. Does not order.
    Holder,
    /// When it was made: a moment as in RFC 3339.
    CreatedAt,
    /// When it was last changed.
    UpdatedAt,
}

static TABLE: Table = Table {
    name: "directory_role",
    columns: "r.id, r.tenant_id, r.client_id, r.name, r.canonical, r.description, r.created_at, r.updated_at, r.version",
    width: 9,
    archived: None,
    // Roles are the tenant's administrators' own.
    visible: None,
};

static HOLDERS: [Link; 1] = [Link { table: "role_holder", id: "role_id", key: "party_id" }];

impl Field for RoleField {
    fn column(&self) -> Column<'_> {
        match self {
            Self::Id => Column::Id,
            // Once in the tenant, and once in each of its clients.
            Self::Name => Column::Key("canonical", Index::None),
            Self::Description => Column::Plain("description"),
            Self::Application => Column::Reference("client_id"),
            Self::Holder => Column::Linked(&HOLDERS),
            Self::CreatedAt => Column::Time("created_at", Index::None),
            Self::UpdatedAt => Column::Time("updated_at", Index::None),
        }
    }

    fn label(&self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Name => "name",
            Self::Description => "description",
            Self::Application => "application",
            Self::Holder => "holder",
            Self::CreatedAt => "created_at",
            Self::UpdatedAt => "updated_at",
        }
    }

    fn tag(&self) -> u8 {
        match self {
            Self::Id => 0,
            Self::Name => 1,
            Self::CreatedAt => 2,
            Self::UpdatedAt => 3,
            // None of these orders.
            Self::Description | Self::Application | Self::Holder => u8::MAX,
        }
    }

    fn table() -> &'static Table {
        &TABLE
    }
}

impl Roles<'_> {
    /// The roles of the authority's tenant that match, its clients' among them. Whoever does not administer the tenant
    /// finds none.
    ///
    /// # Errors
    /// [`Error::Invalid`] for `filter` (a comparison that makes no sense), `sort`, `cursor` and `offset`.
    pub async fn search(
        self,
        authority: &Authority,
        search: Search<RoleField>,
    ) -> Result<Found<Role>, Error> {
        run::run(self.0, authority, search, Role::from_row).await
    }
}

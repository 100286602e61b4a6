//! What groups are searched by.

use super::compose::{Column, Field, Index, Link, Table};
use super::{Found, Search, run};
use crate::{Authority, Error, Group, Groups};

/// What groups are searched by and, but for those with a remark, ordered by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum GroupField {
    /// The identifier: `eq` and `ne`.
    Id,
    /// The name.
    Name,
    /// What it is for. Does not order.
    Description,
    /// When it was made: a moment as in RFC 3339.
    CreatedAt,
    /// When it was last changed.
    UpdatedAt,
    /// The values of an attribute, by its name. Does not order.
    Attribute(String),
    /// What it holds directly, by the identifier of the user, service account or group: `eq`, `ne`, `pr`. Does not order.
    Member,
}

static TABLE: Table = Table {
    name: "directory_group",
    columns: "r.id, r.tenant_id, r.name, r.description, r.attributes, r.created_at, r.updated_at, r.version",
    width: 8,
    archived: None,
    visible: Some(
        "WITH RECURSIVE reach (id) AS ( \
            SELECT group_id FROM group_member WHERE tenant_id = $1 AND party_id = {me} AND kind <> 'member' \
            UNION SELECT n.child_id FROM reach JOIN group_nest n ON n.parent_id = reach.id) \
        SELECT id FROM reach",
    ),
};

static ATTRIBUTES: Link = Link { table: "group_attribute", id: "group_id", key: "value_key" };
static MEMBERS: [Link; 2] = [
    Link { table: "group_member", id: "group_id", key: "party_id" },
    Link { table: "group_nest", id: "parent_id", key: "child_id" },
];

impl Field for GroupField {
    fn column(&self) -> Column<'_> {
        match self {
            Self::Id => Column::Id,
            Self::Name => Column::Key("canonical", Index::Unique),
            Self::Description => Column::Plain("description"),
            Self::CreatedAt => Column::Time("created_at", Index::None),
            Self::UpdatedAt => Column::Time("updated_at", Index::None),
            Self::Attribute(name) => Column::Attribute(&ATTRIBUTES, name),
            Self::Member => Column::Linked(&MEMBERS),
        }
    }

    fn label(&self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Name => "name",
            Self::Description => "description",
            Self::CreatedAt => "created_at",
            Self::UpdatedAt => "updated_at",
            Self::Attribute(_) => "an attribute",
            Self::Member => "member",
        }
    }

    fn tag(&self) -> u8 {
        match self {
            Self::Id => 0,
            Self::Name => 1,
            Self::CreatedAt => 2,
            Self::UpdatedAt => 3,
            // None of these orders.
            Self::Description | Self::Attribute(_) | Self::Member => u8::MAX,
        }
    }

    fn table() -> &'static Table {
        &TABLE
    }
}

impl Groups<'_> {
    /// The groups of the authority's tenant that match, of those that it may see.
    ///
    /// # Errors
    /// [`Error::Invalid`] for `filter` (a comparison that makes no sense), `sort`, `cursor` and `offset`.
    pub async fn search(
        self,
        authority: &Authority,
        search: Search<GroupField>,
    ) -> Result<Found<Group>, Error> {
        run::run(self.0, authority, search, Group::from_row).await
    }
}

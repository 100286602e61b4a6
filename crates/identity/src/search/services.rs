//! What service accounts are searched by.

use super::compose::{Column, Field, Index, Table};
use super::users::{GROUPS, ROLES};
use super::{Found, Search, run};
use crate::{Authority, Error, ServiceAccount, ServiceAccounts};

/// What service accounts are searched by and, but for those with a remark, ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ServiceField {
    /// The identifier: `eq` and `ne`.
    Id,
    /// The name.
    Name,
    /// What it is for. Does not order.
    Description,
    /// Whether it is in use. Does not order.
    Enabled,
    /// Who answers for it, by the identifier of the user or group: `eq`, `ne`, `pr`. Does not order.
    Owner,
    /// The groups that hold it directly: `eq`, `ne`, `pr`. Does not order.
    Group,
    /// The roles that were given to it directly: `eq`, `ne`, `pr`. Does not order.
    Role,
    /// When it was made: a moment as in RFC 3339.
    CreatedAt,
    /// When it was last changed.
    UpdatedAt,
}

static TABLE: Table = Table {
    name: "service_account",
    columns: "r.id, r.tenant_id, r.name, r.description, r.attributes, r.enabled, r.expires_at, r.owner_kind, \
        r.owner_id, r.token_lifetime_s, r.created_at, r.updated_at, r.version",
    width: 13,
    archived: None,
    visible: Some(
        "WITH RECURSIVE reach (id) AS ( \
            SELECT group_id FROM group_member WHERE tenant_id = $1 AND party_id = {me} AND kind <> 'member' \
            UNION SELECT n.child_id FROM reach JOIN group_nest n ON n.parent_id = reach.id) \
        SELECT m.party_id AS id FROM reach JOIN group_member m ON m.group_id = reach.id \
        UNION SELECT s.id FROM reach JOIN service_account s ON s.owner_id = reach.id WHERE s.owner_kind = 'group' \
        UNION SELECT {me} AS id",
    ),
};

impl Field for ServiceField {
    fn column(&self) -> Column<'_> {
        match self {
            Self::Id => Column::Id,
            Self::Name => Column::Key("canonical", Index::Unique),
            Self::Description => Column::Plain("description"),
            Self::Enabled => Column::Flag("enabled"),
            Self::Owner => Column::Reference("owner_id"),
            Self::Group => Column::Linked(&GROUPS),
            Self::Role => Column::Linked(&ROLES),
            Self::CreatedAt => Column::Time("created_at", Index::None),
            Self::UpdatedAt => Column::Time("updated_at", Index::None),
        }
    }

    fn label(&self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Name => "name",
            Self::Description => "description",
            Self::Enabled => "enabled",
            Self::Owner => "owner",
            Self::Group => "group",
            Self::Role => "role",
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
            Self::Description | Self::Enabled | Self::Owner | Self::Group | Self::Role => u8::MAX,
        }
    }

    fn table() -> &'static Table {
        &TABLE
    }
}

impl ServiceAccounts<'_> {
    /// The service accounts of the authority's tenant that match, of those that it may see.
    ///
    /// # Errors
    /// [`Error::Invalid`] for `filter` (a comparison that makes no sense), `sort`, `cursor` and `offset`.
    pub async fn search(
        self,
        authority: &Authority,
        search: Search<ServiceField>,
    ) -> Result<Found<ServiceAccount>, Error> {
        run::run(self.0, authority, search, ServiceAccount::from_row).await
    }
}

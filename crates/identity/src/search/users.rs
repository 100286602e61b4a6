//! What users are searched by.

use super::compose::{Column, Field, Index, Link, Table};
use super::{Found, Search, run};
use crate::{Authority, Error, User, Users};

/// What users are searched by and, but for those with a remark, ordered by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum UserField {
    /// The identifier: `eq` and `ne`.
    Id,
    /// The username.
    Username,
    /// The e-mail address.
    Email,
    /// Whether the address was proved. Does not order.
    EmailVerified,
    /// The given name.
    GivenName,
    /// The family name.
    FamilyName,
    /// The display name.
    DisplayName,
    /// The phone number, as it was given. Does not order.
    PhoneNumber,
    /// The language tag. Does not order.
    Locale,
    /// Whether the account is in use. Does not order.
    Enabled,
    /// Whether an administrator locked it. Does not order.
    Locked,
    /// When the account was made: a moment as in RFC 3339.
    CreatedAt,
    /// When it was last changed.
    UpdatedAt,
    /// The values of an attribute, by its name. Does not order.
    Attribute(String),
    /// The groups that hold the user directly, by their identifiers: `eq`, `ne`, `pr`. Does not order.
    Group,
    /// The roles that were given to the user directly: `eq`, `ne`, `pr`. Does not order.
    Role,
}

static TABLE: Table = Table {
    name: "user_account",
    columns: "r.id, r.tenant_id, r.username, r.email, r.email_verified, r.given_name, r.family_name, \
        r.display_name, r.phone_number, r.locale, r.zoneinfo, r.attributes, r.enabled, r.locked, \
        r.must_change_password, r.archived_at, r.created_at, r.updated_at, r.version",
    width: 19,
    archived: Some("archived_at"),
    visible: Some(
        "WITH RECURSIVE reach (id) AS ( \
            SELECT group_id FROM group_member WHERE tenant_id = $1 AND party_id = {me} AND kind <> 'member' \
            UNION SELECT n.child_id FROM reach JOIN group_nest n ON n.parent_id = reach.id) \
        SELECT m.party_id AS id FROM reach JOIN group_member m ON m.group_id = reach.id \
        UNION SELECT {me} AS id",
    ),
};

static ATTRIBUTES: Link = Link { table: "user_attribute", id: "user_id", key: "value_key" };
/// What holds a user or service account.
pub(super) static GROUPS: [Link; 1] = [Link { table: "group_member", id: "party_id", key: "group_id" }];
/// What was given to a party.
pub(super) static ROLES: [Link; 1] = [Link { table: "role_holder", id: "party_id", key: "role_id" }];

impl Field for UserField {
    fn column(&self) -> Column<'_> {
        match self {
            Self::Id => Column::Id,
            // Of one name, the number of one user; it may be another's e-mail address.
            Self::Username => Column::Key("username_key", Index::Unique),
            Self::Email => Column::Key("email_key", Index::Unique),
            Self::EmailVerified => Column::Flag("email_verified"),
            Self::GivenName => Column::Key("given_name_key", Index::None),
            Self::FamilyName => Column::Key("family_name_key", Index::Many),
            Self::DisplayName => Column::Key("display_name_key", Index::Many),
            Self::PhoneNumber => Column::Plain("phone_number"),
            Self::Locale => Column::Plain("locale"),
            Self::Enabled => Column::Flag("enabled"),
            Self::Locked => Column::Flag("locked"),
            Self::CreatedAt => Column::Time("created_at", Index::Many),
            Self::UpdatedAt => Column::Time("updated_at", Index::None),
            Self::Attribute(name) => Column::Attribute(&ATTRIBUTES, name),
            Self::Group => Column::Linked(&GROUPS),
            Self::Role => Column::Linked(&ROLES),
        }
    }

    fn label(&self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Username => "username",
            Self::Email => "email",
            Self::EmailVerified => "email_verified",
            Self::GivenName => "given_name",
            Self::FamilyName => "family_name",
            Self::DisplayName => "display_name",
            Self::PhoneNumber => "phone_number",
            Self::Locale => "locale",
            Self::Enabled => "enabled",
            Self::Locked => "locked",
            Self::CreatedAt => "created_at",
            Self::UpdatedAt => "updated_at",
            Self::Attribute(_) => "an attribute",
            Self::Group => "group",
            Self::Role => "role",
        }
    }

    fn tag(&self) -> u8 {
        match self {
            Self::Id => 0,
            Self::Username => 1,
            Self::Email => 2,
            Self::GivenName => 3,
            Self::FamilyName => 4,
            Self::DisplayName => 5,
            Self::CreatedAt => 6,
            Self::UpdatedAt => 7,
            // None of these orders.
            Self::EmailVerified
            | Self::PhoneNumber
            | Self::Locale
            | Self::Enabled
            | Self::Locked
            | Self::Attribute(_)
            | Self::Group
            | Self::Role => u8::MAX,
        }
    }

    fn table() -> &'static Table {
        &TABLE
    }
}

impl Users<'_> {
    /// The users of the authority's tenant that match, of those that it may see.
    ///
    /// # Errors
    /// [`Error::Invalid`] for `filter` (a comparison that makes no sense), `sort`, `cursor` and `offset`.
    pub async fn search(
        self,
        authority: &Authority,
        search: Search<UserField>,
    ) -> Result<Found<User>, Error> {
        run::run(self.0, authority, search, User::from_row).await
    }
}

//! What a group is, what a new one is made of, and what can be changed.

use crate::directory::Party;
use crate::directory::name::Name;
use crate::users::fields;
use crate::{Error, Patch};
use keyreeve_base::{GroupId, TenantId, Timestamp};
use keyreeve_store::{FromColumn, Param, Row, ToParam, Value};
use std::collections::BTreeMap;

/// The longest description, in characters.
pub(crate) const MAX_DESCRIPTION: usize = 1_000;

/// A group, as of one moment. Its members are not part of it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Group {
    /// The identifier; never given out again.
    pub id: GroupId,
    /// The tenant.
    pub tenant_id: TenantId,
    /// The name, as given; unique in the tenant in every spelling.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Whatever else the tenant keeps, each under a name with any number of values.
    pub attributes: BTreeMap<String, Vec<String>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Counts the changes; an update names the version that it changes. Members coming and going are none, unless they
    /// do so by [`crate::Groups::revise`].
    pub version: i64,
}

impl Group {
    pub(crate) fn from_row(row: &Row<'_>) -> Result<Self, keyreeve_store::Error> {
        let attributes: String = row.get(4)?;
        Ok(Self {
            id: row.get(0)?,
            tenant_id: row.get(1)?,
            name: row.get(2)?,
            description: row.get(3)?,
            attributes: crate::read_json("group's attributes", &attributes)?,
            created_at: row.get(5)?,
            updated_at: row.get(6)?,
            version: row.get(7)?,
        })
    }
}

/// What a member may do in a group. The order is that of their power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum MembershipKind {
    /// Belongs to it.
    Member,
    /// Administers it and what is nested below it; see [`crate::Authority`].
    Admin,
    /// The same, and decides who its owners are and whether it goes on.
    Owner,
}

impl MembershipKind {
    /// Its word in the database.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }
}

impl ToParam for MembershipKind {
    fn to_param(&self) -> Param<'_> {
        Value::Text(self.text())
    }
}

impl FromColumn for MembershipKind {
    fn from_column(value: Value<'_>) -> Result<Self, keyreeve_store::Error> {
        let text = String::from_column(value)?;
        [Self::Member, Self::Admin, Self::Owner]
            .into_iter()
            .find(|kind| kind.text() == text)
            .ok_or_else(|| keyreeve_store::Error::corrupt("a stored membership is of no known kind"))
    }
}

/// What a new group is made of.
#[derive(Debug, Clone, Default)]
pub struct NewGroup {
    /// The name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Attributes.
    pub attributes: BTreeMap<String, Vec<String>>,
    /// The user or service account that owns it from the start.
    pub owner: Option<Party>,
    /// The group that it is nested in from the start.
    pub parent: Option<GroupId>,
}

/// What to change of a group; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GroupPatch {
    /// A new name.
    pub name: Option<String>,
    /// See [`Group::description`].
    pub description: Patch<String>,
    /// All attributes anew.
    pub attributes: Option<BTreeMap<String, Vec<String>>>,
}

impl GroupPatch {
    /// The group after the patch, its name, and the names of the fields that it touches.
    pub(crate) fn apply(&self, group: &mut Group) -> Result<(Name, Vec<&'static str>), Error> {
        let mut touched = Vec::new();
        if let Some(name) = &self.name {
            group.name.clone_from(name);
            touched.push("name");
        }
        if self.description.apply(&mut group.description) {
            touched.push("description");
        }
        if let Some(attributes) = &self.attributes {
            group.attributes.clone_from(attributes);
            touched.push("attributes");
        }
        Ok((check(group)?, touched))
    }
}

/// Tidies a group's texts and checks them.
pub(super) fn check(group: &mut Group) -> Result<Name, Error> {
    let name = Name::parse("name", &group.name)?;
    group.name.clone_from(&name.shown);
    fields::tidy("description", &mut group.description, MAX_DESCRIPTION)?;
    fields::check_attributes(&group.attributes)?;
    Ok(name)
}

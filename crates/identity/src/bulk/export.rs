//! Pages of everything, in the caller's transaction, which should be one snapshot ([`keyreeve_store::Store::scan`]).

use super::Bulk;
use crate::directory::{Party, PartyKind};
use crate::groups::{Group, MembershipKind};
use crate::roles::Role;
use crate::{Error, User, schema};
use keyreeve_base::{GroupId, RoleId, TenantId, Timestamp, UserId};
use keyreeve_store::{Row, Tx, params};
use uuid::Uuid;

/// A user, and the hash of the password where one was asked for and there is one.
pub struct HashedUser {
    /// The user.
    pub user: User,
    /// The hash.
    pub hash: Option<String>,
}

/// A party with the name by which an import finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedParty {
    /// The party.
    pub party: Party,
    /// Its name; a user's is the username, or else the e-mail address.
    pub name: String,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedMember {
    /// Who.
    pub member: NamedParty,
    /// The kind.
    pub kind: MembershipKind,
    /// Since when.
    pub added_at: Timestamp,
}

/// A role in somebody's hands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedHolding {
    /// Who has it.
    pub holder: NamedParty,
    /// Since when.
    pub given_at: Timestamp,
}

impl Bulk<'_> {
    /// A page of the tenant's users who are not archived, those after `after`, with the hashes of their passwords if
    /// these are asked for.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn user_page(
        self,
        tx: &mut Tx<'_>,
        tenant: TenantId,
        (after, limit): (Uuid, i64),
        with_hashes: bool,
    ) -> Result<Vec<HashedUser>, Error> {
        let after = UserId::from_uuid(after);
        let users = tx.query(&schema::USER_PAGE, &params![tenant, after, limit], User::from_row).await?;
        let mut hashes = Vec::new();
        if with_hashes {
            let rows: Vec<_> = users.iter().map(|user| params![tenant, user.id]).collect();
            hashes = tx.query_each(&schema::PASSWORD_OF, &rows, |row| row.get::<String>(0)).await?;
        }
        let hashes = hashes.into_iter().chain(std::iter::repeat_with(|| None));
        Ok(users.into_iter().zip(hashes).map(|(user, hash)| HashedUser { user, hash }).collect())
    }

    /// A page of the tenant's groups.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn group_page(
        self,
        tx: &mut Tx<'_>,
        tenant: TenantId,
        (after, limit): (Uuid, i64),
    ) -> Result<Vec<Group>, Error> {
        let after = GroupId::from_uuid(after);
        Ok(tx.query(&schema::GROUP_PAGE, &params![tenant, after, limit], Group::from_row).await?)
    }

    /// A page of the tenant's roles, its clients' among them.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn role_page(
        self,
        tx: &mut Tx<'_>,
        tenant: TenantId,
        (after, limit): (Uuid, i64),
    ) -> Result<Vec<Role>, Error> {
        let after = RoleId::from_uuid(after);
        Ok(tx.query(&schema::ROLE_PAGE, &params![tenant, after, limit], Role::from_row).await?)
    }

    /// A page of a group's own users and service accounts.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn member_page(
        self,
        tx: &mut Tx<'_>,
        (tenant, group): (TenantId, GroupId),
        (after, limit): (Uuid, i64),
    ) -> Result<Vec<NamedMember>, Error> {
        let rows = params![tenant, group, after, limit];
        let page = tx.query(&schema::MEMBER_PAGE, &rows, |row| {
            Ok(NamedMember { member: party(row, 0, &[4, 5, 6])?, kind: row.get(2)?, added_at: row.get(3)? })
        });
        Ok(page.await?)
    }

    /// A page of the groups nested directly in a group.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn nest_page(
        self,
        tx: &mut Tx<'_>,
        (tenant, group): (TenantId, GroupId),
        (after, limit): (Uuid, i64),
    ) -> Result<Vec<NamedMember>, Error> {
        let rows = params![tenant, group, after, limit];
        let page = tx.query(&schema::NEST_PAGE, &rows, |row| {
            Ok(NamedMember {
                member: NamedParty { party: Party::Group(row.get(0)?), name: row.get(1)? },
                kind: MembershipKind::Member,
                added_at: row.get(2)?,
            })
        });
        Ok(page.await?)
    }

    /// A page of those to whom a role was given themselves.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn holder_page(
        self,
        tx: &mut Tx<'_>,
        (tenant, role): (TenantId, RoleId),
        (after, limit): (Uuid, i64),
    ) -> Result<Vec<NamedHolding>, Error> {
        let rows = params![tenant, role, after, limit];
        let page = tx.query(&schema::NAMED_HOLDER_PAGE, &rows, |row| {
            Ok(NamedHolding { holder: party(row, 0, &[3, 4, 5, 6])?, given_at: row.get(2)? })
        });
        Ok(page.await?)
    }
}

/// The party in the column `first` and the next, under the first name that there is.
fn party(row: &Row<'_>, first: usize, names: &[usize]) -> Result<NamedParty, keyreeve_store::Error> {
    let party = Party::new(row.get::<PartyKind>(first.saturating_add(1))?, row.get(first)?);
    for column in names {
        if let Some(name) = row.get::<Option<String>>(*column)? {
            return Ok(NamedParty { party, name });
        }
    }
    Err(keyreeve_store::Error::corrupt("a member or holder does not exist"))
}

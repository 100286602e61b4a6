//! Pages of everything, in the caller's transaction, which should be one snapshot ([`keyreeve_store::Store::scan`]).

use super::Bulk;
use crate::directory::{Party, PartyKind};
use crate::groups::{Group, MembershipKind};
use crate::roles::Role;
use crate::sealing::Sealer;
use crate::second_factor::{self, ImportedTotp};
use crate::{Error, User, schema};
use keyreeve_base::{GroupId, RoleId, TenantId, Timestamp, UserId};
use keyreeve_store::{Row, Tx, params};
use std::collections::BTreeMap;
use uuid::Uuid;

/// A user, and the hash of the password where one was asked for and there is one.
pub struct HashedUser {
    /// The user.
    pub user: User,
    /// The hash.
    pub hash: Option<String>,
    /// The second factors in use, where hashes were asked for.
    pub totp: Vec<ImportedTotp>,
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
    /// A page of the tenant's users who are not archived, those after `after`; with the hashes of their passwords
    /// and their second factors where the tenant's sealer is given, by which these open.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn user_page(
        self,
        tx: &mut Tx<'_>,
        tenant: TenantId,
        (after, limit): (Uuid, i64),
        sealer: Option<&Sealer>,
    ) -> Result<Vec<HashedUser>, Error> {
        let after = UserId::from_uuid(after);
        let users = tx.query(&schema::USER_PAGE, &params![tenant, after, limit], User::from_row).await?;
        let (mut hashes, mut factors) = (Vec::new(), BTreeMap::new());
        if let (Some(sealer), Some(first), Some(last)) = (sealer, users.first(), users.last()) {
            factors = self.factors(tx, tenant, (first.id, last.id), sealer).await?;
            let rows: Vec<_> = users.iter().map(|user| params![tenant, user.id]).collect();
            hashes = tx.query_each(&schema::PASSWORD_OF, &rows, |row| row.get::<String>(0)).await?;
        }
        let hashes = hashes.into_iter().chain(std::iter::repeat_with(|| None));
        let mut whole = |(user, hash): (User, _)| {
            let totp = factors.remove(&user.id).unwrap_or_default();
            HashedUser { user, hash, totp }
        };
        Ok(users.into_iter().zip(hashes).map(&mut whole).collect())
    }

    /// The second factors in use of the users between two.
    async fn factors(
        self,
        tx: &mut Tx<'_>,
        tenant: TenantId,
        (first, last): (UserId, UserId),
        sealer: &Sealer,
    ) -> Result<BTreeMap<UserId, Vec<ImportedTotp>>, Error> {
        let between = params![tenant, first, last];
        let stored = tx
            .query(&schema::TOTP_BETWEEN, &between, |row| {
                Ok((row.get::<UserId>(9)?, second_factor::Stored::from_row(row)?))
            })
            .await?;
        let mut factors: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (user, stored) in stored {
            let open = self.0.second_factors().open(sealer, user, stored)?;
            factors.entry(user).or_default().push(open);
        }
        Ok(factors)
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

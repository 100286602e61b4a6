//! Accounts that look like one person's.

use super::service::Users;
use crate::search::duplicates_statement;
use crate::{Authority, Error};
use keyreeve_base::UserId;
use keyreeve_store::{ToParam, Tx};

/// What accounts agree on that may be one person's. Usernames and e-mail addresses are not among it: no two accounts of a
/// tenant have the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DuplicateBy {
    /// The phone number, whatever spaces, hyphens, dots and brackets it is written with.
    PhoneNumber,
    /// The given and the family name, both in any spelling.
    FullName,
    /// The display name in any spelling.
    DisplayName,
    /// One of the values of the attribute of this name, in any spelling.
    Attribute(String),
}

/// Accounts that agree.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DuplicateSet {
    /// On what, in the order in which it was asked for, in the form in which it was compared. The set behind it is found
    /// by giving it as `after`.
    pub values: Vec<String>,
    /// Who, in the order of their making; at most 50.
    pub users: Vec<UserId>,
    /// How many they are.
    pub count: u64,
}

/// The most that accounts can be asked to agree on at once.
const MAX_BY: usize = 4;
/// The most sets of one page.
const MAX_SETS: u16 = 100;
/// The most users that are listed of one set.
const MAX_LISTED: usize = 50;

impl Users<'_> {
    /// A page of the sets of accounts that agree on all of `by`, those after the values `after`; at most 100. Archived
    /// accounts are in none. Runs beside the request threads: it reads the whole tenant.
    ///
    /// # Errors
    /// [`Error::NotFound`] where the authority is not over the whole tenant; [`Error::Invalid`] for `by` (nothing, or
    /// more than four) and `after`.
    pub async fn duplicates(
        self,
        authority: &Authority,
        by: &[DuplicateBy],
        after: Option<&[String]>,
        limit: u16,
    ) -> Result<Vec<DuplicateSet>, Error> {
        if !authority.may_manage_tenant() {
            return Err(Error::NotFound("tenant"));
        }
        if by.is_empty() || by.len() > MAX_BY {
            return Err(Error::invalid("by", format!("needs one to {MAX_BY} fields")));
        }
        if after.is_some_and(|after| after.len() != by.len() || after.iter().any(|text| text.contains('\0')))
        {
            return Err(Error::invalid("after", "needs the values of the set before, one for each field"));
        }
        let (statement, bounds) =
            duplicates_statement(authority.tenant(), by, after, limit.clamp(1, MAX_SETS))?;
        let width = by.len();
        let rows = self
            .0
            .store()
            .scan(async move |tx: &mut Tx<'_>| {
                let params: Vec<_> = bounds.iter().map(ToParam::to_param).collect();
                let rows = tx.query_composed(&statement, &params, |row| {
                    let values =
                        (0..width).map(|column| row.get::<String>(column)).collect::<Result<Vec<_>, _>>()?;
                    Ok((values, row.get::<u64>(width)?, row.get::<UserId>(width.saturating_add(1))?))
                });
                Ok::<_, Error>(rows.await?)
            })
            .await?;
        let mut sets: Vec<DuplicateSet> = Vec::new();
        for (values, count, user) in rows {
            match sets.last_mut().filter(|set| set.values == values) {
                Some(set) if set.users.len() < MAX_LISTED => set.users.push(user),
                Some(_) => {}
                None => sets.push(DuplicateSet { values, users: vec![user], count }),
            }
        }
        Ok(sets)
    }
}

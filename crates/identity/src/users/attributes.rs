//! The index by which users are found by what their attributes hold. It is kept in the transaction that writes the
//! profile.

use super::model::User;
use super::service::Users;
use crate::{Error, schema};
use keyreeve_base::name::fold;
use keyreeve_base::{TenantId, UserId};
use keyreeve_crypto::{base64url, sha256};
use keyreeve_store::{Tx, params};
use std::collections::{BTreeMap, BTreeSet};

/// How many bytes of a value the index holds; behind them, a longer value has a digest of the whole. An index entry has
/// to fit into a third of a page of PostgreSQL's.
const MAX_KEY: usize = 256;

/// The most users that a page has.
const MAX_PAGE: u16 = 500;

impl Users<'_> {
    /// A page of the users one of whose values of the attribute `name` is `value`, in any spelling (NFKC and case
    /// folding), in the order of their making, those after `after`; at most 500. Without archived ones.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn find_by_attribute(
        self,
        tenant: TenantId,
        (name, value): (&str, &str),
        after: Option<UserId>,
        limit: u16,
    ) -> Result<Vec<User>, Error> {
        // What no attribute can be called or hold, nobody has.
        if name.contains('\0') || value.contains('\0') {
            return Ok(Vec::new());
        }
        let (name, key) = (name.to_owned(), key_of(value));
        let after = after.unwrap_or(UserId::from_uuid(uuid::Uuid::nil()));
        let limit = i64::from(limit.clamp(1, MAX_PAGE));
        self.0
            .store()
            .read(async move |tx: &mut Tx<'_>| {
                Ok(tx
                    .query(
                        &schema::USERS_BY_ATTRIBUTE,
                        &params![tenant, &name, &key, after, limit],
                        User::from_row,
                    )
                    .await?)
            })
            .await
    }
}

/// Brings the index from what a user's attributes were to what they are.
pub(crate) async fn reindex(
    tx: &mut Tx<'_>,
    user: &User,
    former: &BTreeMap<String, Vec<String>>,
) -> Result<(), Error> {
    if *former == user.attributes {
        return Ok(());
    }
    let (before, after) = (entries(former), entries(&user.attributes));
    for (name, key) in before.difference(&after) {
        tx.execute(&schema::FORGET_ATTRIBUTE, &params![user.tenant_id, *name, key, user.id]).await?;
    }
    for (name, key) in after.difference(&before) {
        tx.execute(&schema::INDEX_ATTRIBUTE, &params![user.tenant_id, *name, key, user.id]).await?;
    }
    Ok(())
}

/// The index of a new user's attributes: names, each with the form of a value.
pub(super) fn index_of(attributes: &BTreeMap<String, Vec<String>>) -> Vec<(String, String)> {
    entries(attributes).into_iter().map(|(name, key)| (name.to_owned(), key)).collect()
}

fn entries(attributes: &BTreeMap<String, Vec<String>>) -> BTreeSet<(&str, String)> {
    attributes
        .iter()
        .flat_map(|(name, values)| values.iter().map(|value| (name.as_str(), key_of(value))))
        .collect()
}

/// The form of a value under which it is found.
fn key_of(value: &str) -> String {
    let mut folded = fold(value);
    if folded.len() > MAX_KEY {
        let digest = base64url::encode(sha256(folded.as_bytes()));
        folded.truncate(folded.floor_char_boundary(MAX_KEY.saturating_sub(digest.len())));
        folded.push_str(&digest);
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spellings_meet_and_long_values_stay_apart() {
        assert_eq!(key_of("Physics Dept."), key_of("ｐhysics dept."));
        assert_ne!(key_of("a"), key_of("b"));
        let long = |end: &str| key_of(&format!("{}{end}", "ä".repeat(1_000)));
        assert_ne!(long("a"), long("b"));
        assert_eq!(long("A"), long("a"));
        assert!(long("a").len() <= MAX_KEY);
    }

    proptest! {
        #[test]
        fn every_value_has_a_key_of_bounded_length(value in "\\PC{0,400}") {
            prop_assert!(key_of(&value).len() <= MAX_KEY);
        }
    }
}

//! The statement that finds users who agree on something.

use super::compose::{Bound, MISSING, Params};
use super::test::attribute_name;
use crate::Error;
use crate::users::DuplicateBy;
use keyreeve_base::TenantId;
use keyreeve_store::Statement;

/// Answers the values, how many agree, and each of them, of whole sets: as many rows as there are users in them.
pub(crate) fn duplicates_statement(
    tenant: TenantId,
    by: &[DuplicateBy],
    after: Option<&[String]>,
    limit: u16,
) -> Result<(Statement, Vec<Bound>), Error> {
    let mut params = Params::of(tenant);
    let mut from = "user_account r".to_owned();
    let mut conditions = vec!["r.tenant_id = $1".to_owned(), "r.archived_at IS NULL".to_owned()];
    let mut keys = Vec::new();
    for (index, by) in by.iter().enumerate() {
        keys.push(match by {
            DuplicateBy::PhoneNumber => {
                conditions.push("r.phone_number IS NOT NULL".to_owned());
                [" ", "-", ".", "(", ")"]
                    .iter()
                    .fold("r.phone_number".to_owned(), |text, mark| format!("replace({text}, '{mark}', '')"))
            }
            DuplicateBy::FullName => {
                conditions
                    .push(format!("r.given_name_key <> '{MISSING}' AND r.family_name_key <> '{MISSING}'"));
                "r.given_name_key || ' ' || r.family_name_key".to_owned()
            }
            DuplicateBy::DisplayName => {
                conditions.push(format!("r.display_name_key <> '{MISSING}'"));
                "r.display_name_key".to_owned()
            }
            DuplicateBy::Attribute(name) => {
                let name = attribute_name(name, &mut params)?;
                from.push_str(&format!(" JOIN user_attribute a{index} ON a{index}.user_id = r.id"));
                conditions.push(format!("a{index}.tenant_id = $1 AND a{index}.name = {name}"));
                format!("a{index}.value_key")
            }
        });
    }
    let named = keys.iter().enumerate().map(|(index, key)| format!("{key} AS k{index}")).collect::<Vec<_>>();
    let people =
        format!("SELECT {}, r.id AS id FROM {from} WHERE {}", named.join(", "), conditions.join(" AND "));
    let columns: Vec<_> = (0..keys.len()).map(|index| format!("k{index}")).collect();
    let list =
        |prefix: &str| columns.iter().map(|key| format!("{prefix}{key}")).collect::<Vec<_>>().join(", ");
    let behind = match after {
        Some(after) => {
            let values: Vec<_> = after.iter().map(|text| params.text(text.clone())).collect();
            format!(" WHERE ({}) > ({})", list(""), values.join(", "))
        }
        None => String::new(),
    };
    let limit = params.bind(Bound::Int(i64::from(limit)));
    let same = columns.iter().map(|key| format!("p.{key} = s.{key}")).collect::<Vec<_>>().join(" AND ");
    let sql = format!(
        "WITH people AS ({people}), \
         sets AS (SELECT {keys}, COUNT(*) AS many FROM people{behind} GROUP BY {keys} HAVING COUNT(*) > 1 \
            ORDER BY {keys} LIMIT {limit}) \
         SELECT {of}, s.many, p.id FROM sets s JOIN people p ON {same} ORDER BY {of}, p.id LIMIT 10000",
        keys = list(""),
        of = list("s."),
    );
    Ok((Statement::composed("identity::search::duplicates", sql), params.done()))
}

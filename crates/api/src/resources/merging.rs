//! Accounts that are one person's: found by what they agree on, and merged.
//!
//! To merge gives the kept account the other's memberships and roles, those of an administrator too: that takes the whole
//! scope of an administrator.

use crate::call::Call;
use crate::operation::{Operation, QueryKind, QueryParam, Table};
use crate::paging::PAGING;
use crate::policy::Asks;
use crate::refused::{Refused, UNACCEPTABLE};
use crate::reply::Reply;
use crate::resources::users::UserDoc;
use keyreeve_base::UserId;
use keyreeve_crypto::base64url;
use keyreeve_identity::{DuplicateBy, DuplicateSet, Error, Merge, MergeField};
use keyreeve_tokens::scope::{ADMIN, USERS_READ};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// The most sets of one page.
const MAX_SETS: u16 = 100;

const BY: QueryParam = QueryParam {
    name: "by",
    description: "On what they agree, in any spelling: up to four of `phone_number`, `full_name`, `display_name` and \
        `attributes.NAME`, between commas.",
    kind: QueryKind::Text,
};

pub(super) fn table() -> Table {
    Table::new("Users")
        .add(
            Operation::get("/api/v1/users/duplicates", "list_duplicate_users")
                .says(
                    "Find accounts that may be one person's",
                    "Sets of accounts that agree on all that `by` names, at most 100 on a page; archived ones are in none. It reads \
                     the whole tenant.",
                )
                .needs(USERS_READ, Asks::Tenant)
                .query(PAGING)
                .query(&[BY])
                .pages::<DuplicatesDoc>("A page of sets."),
            duplicates,
        )
        .add(
            Operation::post("/api/v1/users/{id}/merge", "merge_users")
                .says(
                    "Merge another account into this one",
                    "This one gets the other's memberships (of each group the stronger), roles and service accounts, what it owns and \
                     was granted, and those fields that `take` names, where the other has them. The other is archived; its sessions and tokens end, and \
                     its password and second factor are gone.",
                )
                .needs(ADMIN, Asks::Tenant)
                .takes::<MergeDoc>()
                .answers::<UserDoc>("The user as it is now.")
                .versioned()
                .conflicts(),
            merge,
        )
}

/// Accounts that agree.
#[derive(Serialize, ToSchema)]
#[schema(as = DuplicateUsers)]
struct DuplicatesDoc {
    /// On what, in the order of `by`, in the form in which it was compared.
    values: Vec<String>,
    /// Who, in the order of their making; at most 50.
    users: Vec<Uuid>,
    /// How many they are.
    count: u64,
}

impl From<&DuplicateSet> for DuplicatesDoc {
    fn from(set: &DuplicateSet) -> Self {
        Self {
            values: set.values.clone(),
            users: set.users.iter().map(|id| id.uuid()).collect(),
            count: set.count,
        }
    }
}

/// A field that the kept account can take over. `email` brings whether it was verified; `attributes` those that the kept
/// account does not have.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[schema(as = MergeField)]
#[serde(rename_all = "snake_case")]
enum FieldDoc {
    Username,
    Email,
    GivenName,
    FamilyName,
    DisplayName,
    PhoneNumber,
    Locale,
    Zoneinfo,
    Attributes,
}

impl From<FieldDoc> for MergeField {
    fn from(field: FieldDoc) -> Self {
        match field {
            FieldDoc::Username => Self::Username,
            FieldDoc::Email => Self::Email,
            FieldDoc::GivenName => Self::GivenName,
            FieldDoc::FamilyName => Self::FamilyName,
            FieldDoc::DisplayName => Self::DisplayName,
            FieldDoc::PhoneNumber => Self::PhoneNumber,
            FieldDoc::Locale => Self::Locale,
            FieldDoc::Zoneinfo => Self::Zoneinfo,
            FieldDoc::Attributes => Self::Attributes,
        }
    }
}

/// What to merge.
#[derive(Deserialize, ToSchema)]
#[schema(as = UserMerge)]
#[serde(deny_unknown_fields)]
struct MergeDoc {
    /// The account that goes up in this one.
    absorb: Uuid,
    /// What this one takes from it. All else stays.
    #[serde(default)]
    take: Vec<FieldDoc>,
}

/// What `by` names.
fn by(call: &Call) -> Result<Vec<DuplicateBy>, Refused> {
    let wrong = || {
        Refused::parameter("by", "must be some of phone_number, full_name, display_name and attributes.NAME")
    };
    let text = call.query().get("by").ok_or_else(wrong)?;
    let one = |name: &str| match name {
        "phone_number" => Some(DuplicateBy::PhoneNumber),
        "full_name" => Some(DuplicateBy::FullName),
        "display_name" => Some(DuplicateBy::DisplayName),
        name => {
            let attribute = name.strip_prefix("attributes.").filter(|name| !name.is_empty());
            attribute.map(|name| DuplicateBy::Attribute(name.to_owned()))
        }
    };
    text.split(',').map(one).collect::<Option<Vec<_>>>().ok_or_else(wrong)
}

/// The word behind which the list goes on: the values of a set.
fn place(set: &DuplicateSet) -> String {
    // Texts always print.
    base64url::encode(serde_json::to_vec(&set.values).unwrap_or_default())
}

fn read_place(text: &str) -> Option<Vec<String>> {
    serde_json::from_slice(&base64url::decode(text).ok()?).ok()
}

async fn duplicates(call: Call) -> Result<Reply, Refused> {
    let paging = call.paging()?;
    let by = by(&call)?;
    let wrong = || Refused::parameter("after", "is not the `next` of a page");
    let after = match &paging.after {
        None => None,
        Some(text) => Some(read_place(text).ok_or_else(wrong)?),
    };
    let limit = paging.limit.min(MAX_SETS);
    let users = call.identity().users();
    let found = users.duplicates(call.authority(), &by, after.as_deref(), limit).await;
    let found = found.map_err(|error| match error {
        Error::Invalid { field: field @ "by", problem } => Refused::parameter(field, problem),
        Error::Invalid { field: "after", .. } => wrong(),
        other => other.into(),
    })?;
    // A page that is full may be the last one: then the next is empty.
    let next = found.last().filter(|_| found.len() >= usize::from(limit)).map(place);
    let items: Vec<DuplicatesDoc> = found.iter().map(DuplicatesDoc::from).collect();
    paging.reply(&items, next.as_deref(), None)
}

async fn merge(call: Call) -> Result<Reply, Refused> {
    let doc: MergeDoc = call.body()?;
    let keep = call.user().await?.id;
    let absorb = UserId::from_uuid(doc.absorb);
    let other = call.identity().users().by_id(call.tenant_id(), absorb).await?;
    if other.is_none_or(|user| user.archived_at.is_some()) {
        return Err(Refused::of(UNACCEPTABLE).at("/absorb", "is no user of this tenant"));
    }
    let take = doc.take.into_iter().map(MergeField::from).collect();
    let merge = Merge { keep, absorb, take, version: call.if_match()? };
    let kept = call.identity().users().merge(call.authority(), merge, &call.cause().await?).await?;
    Ok(Reply::ok(&UserDoc::from(&*kept))?.version(kept.version))
}

//! Questions: who may do what.

use crate::call::Call;
use crate::operation::{Operation, QueryKind, QueryParam, Table};
use crate::paging::{PAGING, strict_uuid};
use crate::policy::Asks;
use crate::refused::Refused;
use crate::reply::Reply;
use crate::resources::sharing::grants::GrantDoc;
use crate::resources::sharing::resources::ResourceDoc;
use crate::resources::sharing::{freshness, named};
use crate::resources::{PartyKind, PartyRef};
use crate::search::{attribute, filter};
use keyreeve_base::GroupId;
use keyreeve_filter::Path;
use keyreeve_identity::Party;
use keyreeve_sharing::{
    Check, Decision, Denial, Error, Freshness, Order, Reach, ResourceField, ResourcesOf, Search, SubjectsOf,
    Via,
};
use keyreeve_tokens::scope::SHARING_READ;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

pub(super) fn table() -> Table {
    use Asks::{AskAbout, ShareResource};
    Table::new("Sharing")
        .add(
            Operation::post("/api/v1/sharing/check", "check")
                .says(
                    "Ask whether a subject has a permission on a resource",
                    "What there is not (a resource, a permission, a subject) is no error: the answer is no.",
                )
                .needs(SHARING_READ, AskAbout)
                .takes::<CheckDoc>()
                .answers::<DecisionDoc>("The answer."),
            check,
        )
        .add(
            Operation::post("/api/v1/sharing/checks", "check_many")
                .says(
                    "Ask many such questions",
                    "At most 1,000. The answers are of one moment, in the order of the questions.",
                )
                .needs(SHARING_READ, AskAbout)
                .takes::<ChecksDoc>()
                .answers::<DecisionsDoc>("The answers."),
            checks,
        )
        .add(
            Operation::post("/api/v1/sharing/explain", "explain")
                .says(
                    "Ask why a subject has a permission on a resource, or has not",
                    "The answer of a check, and what it stands on: the nearest of several grounds.",
                )
                .needs(SHARING_READ, AskAbout)
                .takes::<CheckDoc>()
                .answers::<ExplanationDoc>("The answer, and its ground."),
            explain,
        )
        .add(
            Operation::get("/api/v1/sharing/resources/{resource}/subjects", "list_subjects")
                .says(
                    "List who has a permission on a resource",
                    "In the order of their identifiers. Effective and expanded, they are exactly those for whom a check says yes. A \
                     page may hold fewer than `limit` and still have a next one.",
                )
                .needs(SHARING_READ, ShareResource)
                .query(PAGING)
                .query(&[PERMISSION, REACH, EXPAND, EXACT, AT_LEAST])
                .pages::<PartyRef>("A page of subjects."),
            subjects,
        )
        .add(
            Operation::get("/api/v1/sharing/subjects/{kind}/{member}/resources", "list_resources_of_subject")
                .says(
                    "List the resources of a type on which a subject has a permission",
                    "Exactly those for which a check says yes. A page looks at a bounded number of resources, so it may hold fewer \
                     than `limit` and still have a next one.",
                )
                .needs(SHARING_READ, AskAbout)
                .query(PAGING)
                .query(&[TYPE, PERMISSION, AT_LEAST])
                .pages::<ReachedDoc>("A page of resources."),
            resources,
        )
        .add(
            Operation::get("/api/v1/sharing/resources", "search_resources")
                .says(
                    "Search resources",
                    "By criteria, as far as the caller may see them. A page tests a bounded number of resources, so it may hold fewer \
                     than `limit`, or none, and still have a next one: equality of `id`, `parent` or `type` finds them at once.",
                )
                .needs(SHARING_READ, AskAbout)
                .query(PAGING)
                .query(&[FILTER, ORDER, VISIBLE_TO, AT_LEAST])
                .pages::<ResourceDoc>("A page of resources."),
            search,
        )
}

/// How current an answer has to be.
const AT_LEAST: QueryParam = QueryParam {
    name: "at_least",
    description: "A `Keyreeve-Revision`: the answer takes into account whatever was written before it.",
    kind: QueryKind::Text,
};

const PERMISSION: QueryParam = QueryParam {
    name: "permission",
    description: "The permission; `OWNER` asks for ownership. It has to be named.",
    kind: QueryKind::Text,
};

const TYPE: QueryParam =
    QueryParam { name: "type", description: "The type; it has to be named.", kind: QueryKind::Text };

const REACH: QueryParam = QueryParam {
    name: "reach",
    description: "`effective` (the default) for whoever has it, by whatever is above as well; `direct` for those who have it from \
        the resource itself.",
    kind: QueryKind::OneOf(&["direct", "effective"]),
};

const EXPAND: QueryParam = QueryParam {
    name: "expand",
    description: "`true` (the default) for users and service accounts one by one, those in groups included; `false` for groups \
        as such.",
    kind: QueryKind::OneOf(&["true", "false"]),
};

const EXACT: QueryParam = QueryParam {
    name: "exact",
    description: "`true` for only those who were granted this very permission: neither by another that implies it, nor by \
        ownership.",
    kind: QueryKind::OneOf(&["true", "false"]),
};

const FILTER: QueryParam = QueryParam {
    name: "filter",
    description: "What matches, in the filter language of SCIM (RFC 7644 section 3.4.2.2), by `id`, `type`, `owner`, `parent`, \
        `name`, `description`, `text`, `created_at`, `updated_at`, `shared_count` (grants on the resource itself), `permission` \
        (one that the subject has who is searched for), and `attributes.NAME`.",
    kind: QueryKind::Text,
};

const ORDER: QueryParam = QueryParam {
    name: "order",
    description: "`newest` (the default) or `oldest`: what is first.",
    kind: QueryKind::OneOf(&["newest", "oldest"]),
};

const VISIBLE_TO: QueryParam = QueryParam {
    name: "visible_to",
    description: "Only what this subject has some permission on: `user:`, `service_account:` or `group:` and its identifier. \
        Without one, administrators and the tenant's clients find everything, everybody else what they may see.",
    kind: QueryKind::Text,
};

/// A question.
#[derive(Deserialize, ToSchema)]
#[schema(as = Check)]
#[serde(deny_unknown_fields)]
struct CheckDoc {
    /// Who. What a group has is asked for by naming the group.
    subject: PartyRef,
    /// On which resource.
    resource: String,
    /// Which permission; `OWNER` asks for ownership, be it of something above.
    permission: String,
    /// A `Keyreeve-Revision`: the answer takes into account whatever was written before it.
    #[serde(default)]
    at_least: Option<String>,
}

/// One of many questions.
#[derive(Deserialize, ToSchema)]
#[schema(as = CheckItem)]
#[serde(deny_unknown_fields)]
struct ItemDoc {
    subject: PartyRef,
    resource: String,
    permission: String,
}

/// Questions.
#[derive(Deserialize, ToSchema)]
#[schema(as = Checks)]
#[serde(deny_unknown_fields)]
struct ChecksDoc {
    #[schema(max_items = 1000)]
    checks: Vec<ItemDoc>,
    /// A `Keyreeve-Revision`: the answers take into account whatever was written before it.
    #[serde(default)]
    at_least: Option<String>,
}

/// An answer.
#[derive(Serialize, ToSchema)]
#[schema(as = Decision)]
struct DecisionDoc {
    allowed: bool,
    /// Why not. Whoever has no authority over the tenant is always told `not_granted`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
}

/// Why a permission is not had.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Reason {
    /// There is no such resource.
    NoResource,
    /// Resources of this type have no such permission.
    NoPermission,
    /// There is no such subject, or it is disabled.
    NoSubject,
    /// Nothing grants it.
    NotGranted,
}

/// Answers, in the order of the questions.
#[derive(Serialize, ToSchema)]
#[schema(as = Decisions)]
struct DecisionsDoc {
    decisions: Vec<DecisionDoc>,
}

/// An answer, and what it stands on.
#[derive(Serialize, ToSchema)]
#[schema(as = Explanation)]
struct ExplanationDoc {
    allowed: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    /// What grants it, where it is a yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    via: Option<ViaDoc>,
}

/// What grants something.
#[derive(Serialize, ToSchema)]
#[schema(as = Via)]
struct ViaDoc {
    /// The way up: the resource that was asked about, and what lies above it up to where the right was given.
    resources: Vec<String>,
    /// The way to whoever was given it: the group that the subject is in, the group that this one is in, and so on.
    groups: Vec<Uuid>,
    /// The way from the permission that was given to the one that was asked for; `OWNER` first for ownership.
    permissions: Vec<String>,
    /// Who was given it.
    party: PartyRef,
    /// The grant; absent for ownership.
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<GrantDoc>,
}

impl From<&Via> for ViaDoc {
    fn from(via: &Via) -> Self {
        Self {
            resources: via.resources.clone(),
            groups: via.groups.iter().map(|group| group.uuid()).collect(),
            permissions: via.permissions.clone(),
            party: via.party.into(),
            grant: via.grant.as_ref().map(GrantDoc::from),
        }
    }
}

/// A resource that a subject can reach.
#[derive(Serialize, ToSchema)]
#[schema(as = ReachedResource)]
struct ReachedDoc {
    id: String,
    #[serde(rename = "type")]
    of: String,
}

impl From<Denial> for Reason {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::NoResource => Self::NoResource,
            Denial::NoPermission => Self::NoPermission,
            Denial::NoSubject => Self::NoSubject,
            Denial::NotGranted => Self::NotGranted,
        }
    }
}

impl From<Decision> for DecisionDoc {
    fn from(decision: Decision) -> Self {
        match decision {
            Decision::Allowed => Self { allowed: true, reason: None },
            Decision::Denied(why) => Self { allowed: false, reason: Some(why.into()) },
        }
    }
}

async fn check(call: Call) -> Result<Reply, Refused> {
    let doc: CheckDoc = call.body()?;
    let at = freshness(doc.at_least.as_deref())?;
    let check = Check { subject: doc.subject.into(), resource: doc.resource, permission: doc.permission };
    let decision = call.sharing().questions().check(call.authority(), &check, at).await.map_err(named)?;
    Reply::ok(&DecisionDoc::from(decision))
}

async fn explain(call: Call) -> Result<Reply, Refused> {
    let doc: CheckDoc = call.body()?;
    let at = freshness(doc.at_least.as_deref())?;
    let check = Check { subject: doc.subject.into(), resource: doc.resource, permission: doc.permission };
    let found = call.sharing().questions().explain(call.authority(), &check, at).await.map_err(named)?;
    let DecisionDoc { allowed, reason } = found.decision.into();
    Reply::ok(&ExplanationDoc { allowed, reason, via: found.via.as_ref().map(ViaDoc::from) })
}

/// A parameter that has to be there.
fn required<'a>(call: &'a Call, name: &'static str) -> Result<&'a str, Refused> {
    call.query().get(name).ok_or_else(|| Refused::parameter(name, "has to be named"))
}

/// The freshness that the query asks for.
fn asked_freshness(call: &Call) -> Result<Freshness, Refused> {
    freshness(call.query().get("at_least")).map_err(of_query)
}

/// A refusal of what the query names.
fn of_query(error: Error) -> Refused {
    match error {
        Error::Invalid { field: "revision", problem } => Refused::parameter("at_least", problem),
        Error::Invalid { field: field @ ("filter" | "visible_to"), problem } => {
            Refused::parameter(field, problem)
        }
        error => error.into(),
    }
}

async fn subjects(call: Call) -> Result<Reply, Refused> {
    let (paging, query) = (call.paging()?, call.query());
    let of = SubjectsOf {
        resource: call.part("resource").to_owned(),
        permission: required(&call, "permission")?.to_owned(),
        reach: if query.get("reach") == Some("direct") { Reach::Direct } else { Reach::Effective },
        expand: query.get("expand") != Some("false"),
        exact: query.get("exact") == Some("true"),
        after: paging.after.as_deref().map(str::parse).transpose()?,
        limit: paging.limit,
    };
    let questions = call.sharing().questions();
    let page =
        questions.subjects_of(call.authority(), &of, asked_freshness(&call)?).await.map_err(of_query)?;
    let items: Vec<PartyRef> = page.items.into_iter().map(PartyRef::from).collect();
    let next = page.next.map(|next| next.to_string());
    paging.reply(&items, next.as_deref(), None)
}

async fn resources(call: Call) -> Result<Reply, Refused> {
    let paging = call.paging()?;
    let id: GroupId = call.id("member")?;
    let of = ResourcesOf {
        subject: PartyKind::of(call.part("kind"))?.party(id.uuid()),
        resource_type: required(&call, "type")?.to_owned(),
        permission: required(&call, "permission")?.to_owned(),
        after: paging.after.as_deref().map(str::parse).transpose()?,
        limit: paging.limit,
    };
    let questions = call.sharing().questions();
    let page =
        questions.resources_of(call.authority(), &of, asked_freshness(&call)?).await.map_err(of_query)?;
    let reached = page.items.into_iter().map(|one| ReachedDoc { id: one.id, of: one.resource_type });
    let next = page.next.map(|next| next.to_string());
    paging.reply(&reached.collect::<Vec<_>>(), next.as_deref(), None)
}

fn field(path: &Path) -> Option<ResourceField> {
    if let Some(name) = attribute(path) {
        return Some(ResourceField::Attribute(name));
    }
    let known = [
        ("id", ResourceField::Id),
        ("type", ResourceField::Type),
        ("owner", ResourceField::Owner),
        ("parent", ResourceField::Parent),
        ("name", ResourceField::Name),
        ("description", ResourceField::Description),
        ("text", ResourceField::Text),
        ("created_at", ResourceField::CreatedAt),
        ("updated_at", ResourceField::UpdatedAt),
        ("shared_count", ResourceField::SharedCount),
        ("permission", ResourceField::Permission),
    ];
    known.into_iter().find(|(name, _)| path.is(name)).map(|(_, field)| field)
}

/// A subject as one text: its kind, a colon, its identifier.
fn party(text: &str) -> Option<Party> {
    let (kind, id) = text.split_once(':')?;
    Some(PartyKind::of(kind).ok()?.party(strict_uuid(id)?))
}

async fn search(call: Call) -> Result<Reply, Refused> {
    let (paging, query) = (call.paging()?, call.query());
    let visible_to = match query.get("visible_to") {
        None => None,
        Some(text) => Some(party(text).ok_or_else(|| {
            Refused::parameter("visible_to", "must be user:, service_account: or group: and a UUID")
        })?),
    };
    let search = Search {
        filter: query.get("filter").map(|text| filter(text, field)).transpose()?,
        visible_to,
        order: if query.get("order") == Some("oldest") { Order::Oldest } else { Order::Newest },
        after: paging.after.as_deref().map(str::parse).transpose()?,
        limit: paging.limit,
    };
    let questions = call.sharing().questions();
    let page =
        questions.search(call.authority(), &search, asked_freshness(&call)?).await.map_err(of_query)?;
    let items: Vec<ResourceDoc> = page.items.iter().map(ResourceDoc::from).collect();
    let next = page.next.map(|next| next.to_string());
    paging.reply(&items, next.as_deref(), None)
}

async fn checks(call: Call) -> Result<Reply, Refused> {
    let doc: ChecksDoc = call.body()?;
    let at = freshness(doc.at_least.as_deref())?;
    let checks: Vec<Check> = doc
        .checks
        .into_iter()
        .map(|item| Check {
            subject: item.subject.into(),
            resource: item.resource,
            permission: item.permission,
        })
        .collect();
    let decisions = call.sharing().questions().check_many(call.authority(), &checks, at).await?;
    Reply::ok(&DecisionsDoc { decisions: decisions.into_iter().map(DecisionDoc::from).collect() })
}

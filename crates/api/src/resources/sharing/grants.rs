//! Grants: sharing and revoking, and who was granted what on a resource.

use crate::call::Call;
use crate::operation::{Operation, QueryKind, QueryParam, Table};
use crate::paging::PAGING;
use crate::policy::Asks;
use crate::refused::Refused;
use crate::reply::Reply;
use crate::resources::sharing::named;
use crate::resources::{PartyKind, PartyRef};
use crate::when::When;
use keyreeve_base::GroupId;
use keyreeve_identity::Party;
use keyreeve_sharing::{Grant, GrantKind, GrantedBy, HeldGrant, NewGrant, Revision, RevokedMany, ShareId};
use keyreeve_tokens::scope::{SHARING_READ, SHARING_WRITE};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

const PATH: &str = "/api/v1/sharing/grants";
const ONE: &str = "/api/v1/sharing/grants/{grant}";
const ON: &str = "/api/v1/sharing/resources/{resource}/grants";

const INHERITED: QueryParam = QueryParam {
    name: "inherited",
    description: "`false` for the grants that were made on the resource itself; `true` (the default) for those as well that come \
        down from what is above it.",
    kind: QueryKind::OneOf(&["true", "false"]),
};

const PERMISSION: QueryParam = QueryParam {
    name: "permission",
    description: "The permission to revoke; all, where none is named.",
    kind: QueryKind::Text,
};

pub(super) fn table() -> Table {
    use Asks::{ShareResource, Tenant};
    Table::new("Sharing")
        .add(
            Operation::post(PATH, "create_grant")
                .says(
                    "Share a resource",
                    "What is granted already is kept: it holds for as long as the longer of the two, and goes down the tree if one of \
                     them does. To take something back, revoke it.",
                )
                .needs(SHARING_WRITE, ShareResource)
                .takes::<NewGrantDoc>()
                .creates::<GrantDoc>("The grant.")
                .revises(),
            create,
        )
        .add(
            Operation::get(ONE, "get_grant")
                .says("Read a grant", "")
                .needs(SHARING_READ, ShareResource)
                .answers::<GrantDoc>("The grant."),
            get,
        )
        .add(
            Operation::delete(ONE, "revoke_grant")
                .says("Revoke a grant", "What the subject has by a group, or from above, stays.")
                .needs(SHARING_WRITE, ShareResource)
                .revises(),
            revoke,
        )
        .add(
            Operation::get(ON, "list_grants")
                .says(
                    "List the grants that hold on a resource",
                    "Those made on it, then those that come down from above, the nearest first. Ownership is not a grant. A page may \
                     hold fewer than `limit` and still have a next one.",
                )
                .needs(SHARING_READ, ShareResource)
                .query(PAGING)
                .query(&[INHERITED])
                .pages::<HeldGrantDoc>("A page of grants."),
            list,
        )
        .add(
            Operation::delete(ON, "revoke_grants_on_resource")
                .says(
                    "Revoke everything that was granted on a resource",
                    "What comes down from above stays. It is done in steps: if one fails, send the request again.",
                )
                .needs(SHARING_WRITE, ShareResource)
                .answers::<RevokedDoc>("How many there were.")
                .revises(),
            revoke_on,
        )
        .add(
            Operation::delete(
                "/api/v1/sharing/resources/{resource}/grants/{kind}/{member}",
                "revoke_grants_from_subject",
            )
            .says("Revoke what a subject was granted on a resource", "Nothing to revoke is no error.")
            .needs(SHARING_WRITE, ShareResource)
            .query(&[PERMISSION])
            .answers::<RevokedDoc>("How many there were.")
            .revises(),
            revoke_from,
        )
        .add(
            Operation::delete("/api/v1/sharing/subjects/{kind}/{member}/grants", "revoke_grants_of_subject")
                .says(
                    "Revoke everything that a subject was granted",
                    "On every resource of the tenant. It is done in steps: if one fails, send the request again.",
                )
                .needs(SHARING_WRITE, Tenant)
                .answers::<RevokedDoc>("How many there were.")
                .revises(),
            revoke_of,
        )
}

/// A permission in the hands of a subject, on a resource and perhaps on everything below it.
#[derive(Serialize, ToSchema)]
#[schema(as = Grant)]
pub(super) struct GrantDoc {
    /// The identifier: the same whenever the same is granted to the same subject on the same resource.
    id: String,
    /// The resource that it was made on.
    resource: String,
    permission: String,
    /// Who has it.
    subject: PartyRef,
    /// Whether it holds on everything below the resource as well.
    cascade: bool,
    /// Who made it.
    granted_by: GrantorDoc,
    created_at: When,
    /// When it ends by itself.
    expires_at: Option<When>,
}

/// Who made a grant.
#[derive(Serialize, ToSchema)]
#[schema(as = Grantor)]
struct GrantorDoc {
    kind: GrantorKind,
    /// Absent for the system and the operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Uuid>,
}

/// What kind of somebody made a grant.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum GrantorKind {
    /// The server itself.
    System,
    /// The operator of the machine.
    Operator,
    User,
    /// An OAuth client for itself.
    Client,
    ServiceAccount,
}

impl From<&Grant> for GrantDoc {
    fn from(grant: &Grant) -> Self {
        let (kind, id) = match grant.granted_by {
            GrantedBy::System => (GrantorKind::System, None),
            GrantedBy::Operator => (GrantorKind::Operator, None),
            GrantedBy::User(id) => (GrantorKind::User, Some(id.uuid())),
            GrantedBy::Client(id) => (GrantorKind::Client, Some(id.uuid())),
            GrantedBy::Service(id) => (GrantorKind::ServiceAccount, Some(id.uuid())),
        };
        Self {
            id: grant.id.to_string(),
            resource: grant.resource.clone(),
            permission: grant.permission.clone(),
            subject: grant.subject.into(),
            cascade: grant.cascade,
            granted_by: GrantorDoc { kind, id },
            created_at: grant.created_at.into(),
            expires_at: grant.expires_at.map(When::from),
        }
    }
}

/// A grant as it holds on the resource that was asked about.
#[derive(Serialize, ToSchema)]
#[schema(as = HeldGrant)]
struct HeldGrantDoc {
    /// How it comes here.
    kind: HeldKind,
    grant: GrantDoc,
}

/// How a grant comes to a resource.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum HeldKind {
    /// Made on the resource, for it alone.
    Direct,
    /// Made on the resource, for everything below it as well.
    DirectCascading,
    /// Made on a resource above it.
    Inherited,
}

impl From<&HeldGrant> for HeldGrantDoc {
    fn from(held: &HeldGrant) -> Self {
        let kind = match held.kind {
            GrantKind::Direct => HeldKind::Direct,
            GrantKind::DirectCascading => HeldKind::DirectCascading,
            GrantKind::Inherited => HeldKind::Inherited,
        };
        Self { kind, grant: GrantDoc::from(&held.grant) }
    }
}

/// What to grant.
#[derive(Serialize, Deserialize, ToSchema)]
#[schema(as = NewGrant)]
#[serde(deny_unknown_fields)]
pub(super) struct NewGrantDoc {
    resource: String,
    /// One of the permissions of the resource's type; never `OWNER`.
    permission: String,
    subject: PartyRef,
    /// Whether it is to hold on everything below the resource as well.
    #[serde(default)]
    cascade: bool,
    /// When it is to end by itself; never, where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<When>,
}

impl From<NewGrantDoc> for NewGrant {
    fn from(doc: NewGrantDoc) -> Self {
        Self {
            resource: doc.resource,
            permission: doc.permission,
            subject: doc.subject.into(),
            cascade: doc.cascade,
            expires_at: doc.expires_at.map(|at| at.0),
        }
    }
}

impl From<NewGrant> for NewGrantDoc {
    fn from(new: NewGrant) -> Self {
        Self {
            resource: new.resource,
            permission: new.permission,
            subject: new.subject.into(),
            cascade: new.cascade,
            expires_at: new.expires_at.map(When::from),
        }
    }
}

/// What was revoked.
#[derive(Serialize, ToSchema)]
#[schema(as = Revoked)]
struct RevokedDoc {
    /// How many grants.
    grants: u64,
    /// What to name as `at_least` for an answer that takes this into account.
    revision: String,
}

fn revoked(RevokedMany { grants, revision }: RevokedMany) -> Result<Reply, Refused> {
    Ok(Reply::ok(&RevokedDoc { grants, revision: revision.to_string() })?.revision(revision))
}

/// The grant that the path names: what cannot be an identifier names none.
fn grant(call: &Call) -> Result<ShareId, Refused> {
    call.part("grant").parse().map_err(|_| Refused::not_found("grant"))
}

/// The subject that the path names.
fn subject(call: &Call) -> Result<Party, Refused> {
    let id: GroupId = call.id("member")?;
    Ok(PartyKind::of(call.part("kind"))?.party(id.uuid()))
}

async fn create(call: Call) -> Result<Reply, Refused> {
    let doc: NewGrantDoc = call.body()?;
    let made = call.sharing().grants().share(call.authority(), doc.into(), &call.cause().await?).await;
    let made = made.map_err(named)?;
    let reply = Reply::created(&GrantDoc::from(&made.value), format!("{PATH}/{}", made.value.id))?;
    Ok(reply.replayed(made.repeated).revision(made.revision))
}

async fn get(call: Call) -> Result<Reply, Refused> {
    let grant = call.sharing().grants().get(call.authority(), grant(&call)?).await?;
    Reply::ok(&GrantDoc::from(&grant))
}

async fn revoke(call: Call) -> Result<Reply, Refused> {
    let (id, cause) = (grant(&call)?, call.cause().await?);
    let revision: Revision = call.sharing().grants().revoke(call.authority(), id, &cause).await?;
    Ok(Reply::done().revision(revision))
}

async fn list(call: Call) -> Result<Reply, Refused> {
    let paging = call.paging()?;
    let inherited = call.query().get("inherited") != Some("false");
    let after = paging.after.as_deref().map(str::parse).transpose()?;
    let (grants, id) = (call.sharing().grants(), call.part("resource"));
    let page = grants.on(call.authority(), id, inherited, (after, paging.limit)).await?;
    let items: Vec<HeldGrantDoc> = page.items.iter().map(HeldGrantDoc::from).collect();
    let next = page.next.map(|next| next.to_string());
    paging.reply(&items, next.as_deref(), None)
}

async fn revoke_on(call: Call) -> Result<Reply, Refused> {
    let (grants, id, cause) = (call.sharing().grants(), call.part("resource"), call.cause().await?);
    revoked(grants.revoke_all_on(call.authority(), id, &cause).await?)
}

async fn revoke_from(call: Call) -> Result<Reply, Refused> {
    let which = (call.part("resource"), subject(&call)?);
    let (permission, cause) = (call.query().get("permission"), call.cause().await?);
    revoked(call.sharing().grants().revoke_from(call.authority(), which, permission, &cause).await?)
}

async fn revoke_of(call: Call) -> Result<Reply, Refused> {
    let (subject, cause) = (subject(&call)?, call.cause().await?);
    revoked(call.sharing().grants().revoke_all_of(call.authority(), subject, &cause).await?)
}

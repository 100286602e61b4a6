//! Groups, and who is in them.

use crate::call::{Call, Made};
use crate::operation::{Operation, QueryKind, QueryParam, Table};
use crate::paging::PAGING;
use crate::policy::Asks;
use crate::refused::Refused;
use crate::reply::Reply;
use crate::resources::users::{GroupsOfDoc, RolesOfDoc, groups_of, roles_of};
use crate::resources::{Kind, PartyKind, PartyRef};
use crate::search::{self, SEARCHING, attribute};
use crate::when::When;
use keyreeve_base::GroupId;
use keyreeve_filter::Path;
use keyreeve_identity::search::GroupField;
use keyreeve_identity::{Group, GroupPatch, Membership, MembershipKind, NewGroup, Party, Patch, Reach};
use keyreeve_tokens::scope::{GROUPS_READ, GROUPS_WRITE, ROLES_READ};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use uuid::Uuid;

const REACH: QueryParam = QueryParam {
    name: "reach",
    description: "`direct` (the default) for what is in the group itself; `effective` for what is in groups nested below, too.",
    kind: QueryKind::OneOf(&["direct", "effective"]),
};

pub(super) fn table() -> Table {
    use Asks::{CreateGroup, DeleteGroup, ManageGroup, Visible};
    let member = "/api/v1/groups/{id}/members/{kind}/{member}";
    Table::new("Groups")
        .add(
            Operation::get("/api/v1/groups", "list_groups")
                .says("Search groups", "In the order of their making where no other is asked for.")
                .needs(GROUPS_READ, Visible)
                .query(PAGING)
                .query(SEARCHING)
                .pages::<GroupDoc>("A page of groups."),
            list,
        )
        .add(
            Operation::post("/api/v1/groups", "create_group")
                .says(
                    "Make a group",
                    "With its first owner, and nested in `parent`, where these are given. Names are unique in every spelling.",
                )
                .needs(GROUPS_WRITE, CreateGroup)
                .takes::<NewGroupDoc>()
                .creates::<GroupDoc>("The new group."),
            create,
        )
        .add(
            Operation::get("/api/v1/groups/{id}", "get_group")
                .says("Read a group", "")
                .needs(GROUPS_READ, ManageGroup)
                .answers::<GroupDoc>("The group.")
                .versioned(),
            get,
        )
        .add(
            Operation::patch("/api/v1/groups/{id}", "update_group")
                .says("Change a group", "A JSON merge patch; `attributes` are replaced as a whole.")
                .needs(GROUPS_WRITE, ManageGroup)
                .takes::<GroupPatchDoc>()
                .answers::<GroupDoc>("The group as it is now.")
                .versioned()
                .conflicts(),
            update,
        )
        .add(
            Operation::delete("/api/v1/groups/{id}", "delete_group")
                .says("Remove a group", "Its members are in it no longer, nor in what held it; what was nested in it goes on.")
                .needs(GROUPS_WRITE, DeleteGroup)
                .versioned(),
            delete,
        )
        .add(
            Operation::get("/api/v1/groups/{id}/members", "list_members")
                .says("List the members of a group", "In the order of their identifiers.")
                .needs(GROUPS_READ, ManageGroup)
                .query(PAGING)
                .query(&[REACH])
                .pages::<MemberDoc>("A page of members."),
            members,
        )
        .add(
            Operation::put(member, "put_member")
                .says(
                    "Add a member, or change its kind",
                    "Users and service accounts are `MEMBER`, `ADMIN` or `OWNER`; a nested group is a `MEMBER`. A circle is refused.",
                )
                .needs(GROUPS_WRITE, ManageGroup)
                .takes::<MembershipDoc>(),
            put_member,
        )
        .add(
            Operation::delete(member, "delete_member")
                .says("Take a direct member out of a group", "")
                .needs(GROUPS_WRITE, ManageGroup),
            delete_member,
        )
        .add(
            Operation::get("/api/v1/groups/{id}/groups", "list_groups_of_group")
                .says("List the groups that hold a group", "")
                .needs(GROUPS_READ, ManageGroup)
                .answers::<GroupsOfDoc>("The groups."),
            groups,
        )
        .add(
            Operation::get("/api/v1/groups/{id}/roles", "list_roles_of_group")
                .says("List the roles of a group", "Those given to the group, and all that it has by groups above, too.")
                .needs(ROLES_READ, ManageGroup)
                .answers::<RolesOfDoc>("The roles."),
            roles,
        )
}

/// A group.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Group)]
struct GroupDoc {
    /// The identifier; never given out again.
    id: Uuid,
    /// The name; unique in the tenant in every spelling.
    name: String,
    /// What it is for.
    description: Option<String>,
    /// Whatever else the tenant keeps, each under a name with any number of values.
    attributes: BTreeMap<String, Vec<String>>,
    created_at: When,
    updated_at: When,
    /// Counts the changes; also the `ETag`. Members coming and going are none.
    version: i64,
}

impl From<&Group> for GroupDoc {
    fn from(group: &Group) -> Self {
        Self {
            id: group.id.uuid(),
            name: group.name.clone(),
            description: group.description.clone(),
            attributes: group.attributes.clone(),
            created_at: group.created_at.into(),
            updated_at: group.updated_at.into(),
            version: group.version,
        }
    }
}

/// A group to make.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewGroup)]
#[serde(deny_unknown_fields)]
struct NewGroupDoc {
    name: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    attributes: BTreeMap<String, Vec<String>>,
    /// The user or service account that owns it from the start.
    #[serde(default)]
    owner: Option<PartyRef>,
    /// The group that it is nested in from the start.
    #[serde(default)]
    parent: Option<Uuid>,
}

/// What to change of a group.
#[derive(Deserialize, ToSchema)]
#[schema(as = GroupPatch)]
#[serde(deny_unknown_fields)]
struct GroupPatchDoc {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    description: Patch<String>,
    #[serde(default)]
    attributes: Option<BTreeMap<String, Vec<String>>>,
}

/// How somebody is in a group.
#[derive(Deserialize, ToSchema)]
#[schema(as = Membership)]
#[serde(deny_unknown_fields)]
struct MembershipDoc {
    #[serde(default = "member")]
    kind: Kind,
}

const fn member() -> Kind {
    Kind::Member
}

/// A member of a group.
#[derive(Serialize, ToSchema)]
#[schema(as = Member)]
struct MemberDoc {
    /// Who.
    member: PartyRef,
    /// The kind of a direct membership; none where only a nested group holds the member.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<Kind>,
    /// When the member was added directly.
    #[serde(skip_serializing_if = "Option::is_none")]
    added_at: Option<When>,
}

impl From<&Membership> for MemberDoc {
    fn from(membership: &Membership) -> Self {
        Self {
            member: membership.party.into(),
            kind: membership.kind.map(Kind::from),
            added_at: membership.added_at.map(When::from),
        }
    }
}

fn reply(group: &Group) -> Result<Reply, Refused> {
    Ok(Reply::ok(&GroupDoc::from(group))?.version(group.version))
}

fn field(path: &Path) -> Option<GroupField> {
    if let Some(name) = attribute(path) {
        return Some(GroupField::Attribute(name));
    }
    let known = [
        ("id", GroupField::Id),
        ("name", GroupField::Name),
        ("description", GroupField::Description),
        ("created_at", GroupField::CreatedAt),
        ("updated_at", GroupField::UpdatedAt),
        ("member", GroupField::Member),
    ];
    known.into_iter().find(|(name, _)| path.is(name)).map(|(_, field)| field)
}

async fn list(call: Call) -> Result<Reply, Refused> {
    let (paging, search) = search::read(&call, field)?;
    search::reply::<_, GroupDoc>(&paging, call.identity().groups().search(call.authority(), search).await)
}

async fn create(call: Call) -> Result<Reply, Refused> {
    let doc: NewGroupDoc = call.body()?;
    let parent = doc.parent.map(GroupId::from_uuid);
    call.may_create_in(parent, Asks::CreateGroup).await?;
    let owner = doc.owner.map(Party::from);
    if let Some(owner) = owner {
        call.may_see_party(owner).await?;
    }
    let new =
        NewGroup { name: doc.name, description: doc.description, attributes: doc.attributes, owner, parent };
    let groups = call.identity().groups();
    let made = Made::of(groups.create(call.tenant_id(), new, &call.cause().await?).await)?;
    let (id, replayed) = made.id(|group| group.id.uuid());
    let group = groups.get(call.tenant_id(), GroupId::from_uuid(id)).await?;
    let reply = Reply::created(&GroupDoc::from(&*group), format!("/api/v1/groups/{id}"))?;
    Ok(reply.version(group.version).replayed(replayed))
}

async fn get(call: Call) -> Result<Reply, Refused> {
    reply(&*call.group().await?)
}

async fn update(call: Call) -> Result<Reply, Refused> {
    let doc: GroupPatchDoc = call.body()?;
    let group = call.group().await?;
    let patch = GroupPatch { name: doc.name, description: doc.description, attributes: doc.attributes };
    let (which, version) = ((call.tenant_id(), group.id), call.if_match()?);
    reply(&*call.identity().groups().update(which, patch, version, &call.cause().await?).await?)
}

async fn delete(call: Call) -> Result<Reply, Refused> {
    let group = call.group().await?;
    call.identity()
        .groups()
        .delete((call.tenant_id(), group.id), call.if_match()?, &call.cause().await?)
        .await?;
    Ok(Reply::done())
}

async fn members(call: Call) -> Result<Reply, Refused> {
    let group = call.group().await?;
    let paging = call.paging()?;
    let reach = if call.query().get("reach") == Some("effective") { Reach::Effective } else { Reach::Direct };
    let after = paging.after_uuid()?;
    let which = (call.tenant_id(), group.id);
    let found = call.identity().groups().members(which, reach, after, paging.with_one_more()).await?;
    paging.page::<_, MemberDoc>(found, |member| member.party.uuid().to_string())
}

/// The member that the path names, and how it is in the group now.
async fn named(call: &Call, group: GroupId) -> Result<(Party, Option<MembershipKind>), Refused> {
    let id: GroupId = call.id("member")?;
    let kind = PartyKind::of(call.part("kind"))?;
    let party = kind.party(id.uuid());
    let direct = call.identity().groups().direct_of(call.tenant_id(), party).await?;
    Ok((party, direct.into_iter().find(|(holder, _)| *holder == group).map(|(_, kind)| kind)))
}

async fn put_member(call: Call) -> Result<Reply, Refused> {
    let doc: MembershipDoc = call.body()?;
    let group = call.group().await?;
    let (party, present) = named(&call, group.id).await?;
    let kind = MembershipKind::from(doc.kind);
    call.may_change_member(group.id, party, (present, Some(kind))).await?;
    let (groups, which, cause) =
        (call.identity().groups(), (call.tenant_id(), group.id), call.cause().await?);
    match present {
        Some(_) if matches!(party, Party::Group(_)) && kind == MembershipKind::Member => {}
        Some(_) => {
            groups.change_kind(which, party, kind, &cause).await?;
        }
        None => {
            groups.add(which, party, kind, &cause).await?;
        }
    }
    Ok(Reply::done())
}

async fn delete_member(call: Call) -> Result<Reply, Refused> {
    let group = call.group().await?;
    let (party, present) = named(&call, group.id).await?;
    let Some(kind) = present else { return Err(Refused::not_found("member")) };
    call.may_change_member(group.id, party, (Some(kind), None)).await?;
    let which = (call.tenant_id(), group.id);
    if call.identity().groups().remove(which, party, &call.cause().await?).await? {
        Ok(Reply::done())
    } else {
        Err(Refused::not_found("member"))
    }
}

async fn groups(call: Call) -> Result<Reply, Refused> {
    let group = call.group().await?;
    Reply::ok(&groups_of(&call, Party::Group(group.id)).await?)
}

async fn roles(call: Call) -> Result<Reply, Refused> {
    let group = call.group().await?;
    Reply::ok(&roles_of(&call, Party::Group(group.id)).await?)
}

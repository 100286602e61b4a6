//! Users: who they are, what state their accounts are in, where they belong.

use crate::call::{Call, Made};
use crate::operation::{Operation, Table};
use crate::paging::PAGING;
use crate::policy::Asks;
use crate::refused::Refused;
use crate::reply::Reply;
use crate::resources::Kind;
use crate::search::{self, SEARCHING, attribute};
use crate::when::When;
use keyreeve_base::{GroupId, UserId};
use keyreeve_crypto::Secret;
use keyreeve_filter::Path;
use keyreeve_identity::search::UserField;
use keyreeve_identity::{
    Credential, EffectiveRole, MembershipKind, NewUser, Party, Patch, Profile, ProfilePatch, Role,
    StateChange, User,
};
use keyreeve_tokens::scope::{GROUPS_READ, ROLES_READ, USERS_READ, USERS_WRITE};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use uuid::Uuid;

pub(super) fn table() -> Table {
    use Asks::{CreateUser, ManageUser, SeeUser, Visible};
    let changed = "The user as it is now.";
    let state = |path, id, summary, description| {
        Operation::post(path, id)
            .says(summary, description)
            .needs(USERS_WRITE, ManageUser)
            .answers::<UserDoc>(changed)
            .versioned()
    };
    Table::new("Users")
        .add(
            Operation::get("/api/v1/users", "list_users")
                .says(
                    "Search users",
                    "Without archived ones, in the order of their making where no other is asked for.",
                )
                .needs(USERS_READ, Visible)
                .query(PAGING)
                .query(SEARCHING)
                .pages::<UserDoc>("A page of users."),
            list,
        )
        .add(
            Operation::post("/api/v1/users", "create_user")
                .says(
                    "Make a user",
                    "A username or an e-mail address is needed; both sign the user in and are unique in every spelling. Who \
                     administers a group alone names the `group` that the user is made in.",
                )
                .needs(USERS_WRITE, CreateUser)
                .takes::<NewUserDoc>()
                .creates::<UserDoc>("The new user."),
            create,
        )
        .add(
            Operation::get("/api/v1/users/{id}", "get_user")
                .says("Read a user", "")
                .needs(USERS_READ, SeeUser)
                .answers::<UserDoc>("The user.")
                .versioned(),
            get,
        )
        .add(
            Operation::patch("/api/v1/users/{id}", "update_user")
                .says(
                    "Change a user's profile",
                    "A JSON merge patch (RFC 7396): what is absent stays, `null` removes. `attributes` are replaced as a whole. \
                     A new e-mail address counts as not verified unless `email_verified` says otherwise.",
                )
                .needs(USERS_WRITE, ManageUser)
                .takes::<UserPatchDoc>()
                .answers::<UserDoc>(changed)
                .versioned()
                .conflicts(),
            update,
        )
        .add(
            Operation::delete("/api/v1/users/{id}", "archive_user")
                .says(
                    "Archive a user",
                    "For good: the user's sessions end, the names become free, memberships and roles are gone. The identifier is \
                     never given out again.",
                )
                .needs(USERS_WRITE, ManageUser)
                .versioned(),
            archive,
        )
        .add(state("/api/v1/users/{id}/enable", "enable_user", "Take an account into use", ""), |call| {
            change(call, StateChange::Enable)
        })
        .add(
            state("/api/v1/users/{id}/disable", "disable_user", "Take an account out of use", "Ends the user's sessions."),
            |call| change(call, StateChange::Disable),
        )
        .add(
            state("/api/v1/users/{id}/lock", "lock_user", "Lock an account until it is unlocked", "Ends the user's sessions."),
            |call| change(call, StateChange::Lock),
        )
        .add(state("/api/v1/users/{id}/unlock", "unlock_user", "Lift the lock of an account", ""), |call| {
            change(call, StateChange::Unlock)
        })
        .add(
            state(
                "/api/v1/users/{id}/require-password-change",
                "require_password_change",
                "Let the next sign-in choose a new password",
                "Ends the user's sessions.",
            ),
            |call| change(call, StateChange::RequirePasswordChange),
        )
        .add(
            Operation::put("/api/v1/users/{id}/password", "set_password")
                .says("Set a user's password", "It must meet the tenant's policy. Ends the user's sessions.")
                .needs(USERS_WRITE, ManageUser)
                .takes::<NewPasswordDoc>()
                .conflicts(),
            set_password,
        )
        .add(
            Operation::get("/api/v1/users/{id}/groups", "list_groups_of_user")
                .says(
                    "List the groups of a user",
                    "Each with the kind of the direct membership; without one where only a nested group holds the user.",
                )
                .needs(GROUPS_READ, SeeUser)
                .answers::<GroupsOfDoc>("The groups."),
            groups,
        )
        .add(
            Operation::get("/api/v1/users/{id}/roles", "list_roles_of_user")
                .says("List the roles of a user", "Those given to the user, and all that the user has by groups, too.")
                .needs(ROLES_READ, SeeUser)
                .answers::<RolesOfDoc>("The roles."),
            roles,
        )
        .add(
            Operation::get("/api/v1/usernames/{name}", "get_username_availability")
                .says(
                    "Ask whether a name is free",
                    "A username or e-mail address, in any spelling. Since the answer tells who has an account, a caller may ask \
                     only so often (`settings.throttle.availability_asks`).",
                )
                .needs(USERS_READ, Visible)
                .answers::<AvailabilityDoc>("Whether it is free."),
            availability,
        )
}

/// A user.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub(crate) struct UserDoc {
    /// The identifier; never given out again.
    id: Uuid,
    /// A name to sign in with.
    username: Option<String>,
    /// The e-mail address; also a name to sign in with.
    email: Option<String>,
    /// Whether it was proved that the address is the user's.
    email_verified: bool,
    given_name: Option<String>,
    family_name: Option<String>,
    /// The name as the user wants it shown.
    display_name: Option<String>,
    phone_number: Option<String>,
    /// Language tag (BCP 47).
    locale: Option<String>,
    /// Time zone name of the IANA database.
    zoneinfo: Option<String>,
    /// Whatever else the tenant keeps, each under a name with any number of values.
    attributes: BTreeMap<String, Vec<String>>,
    /// Whether the account is in use.
    enabled: bool,
    /// Whether an administrator locked it.
    locked: bool,
    /// Whether the next sign-in must choose a new password.
    must_change_password: bool,
    created_at: When,
    updated_at: When,
    /// Counts the changes; also the `ETag`.
    version: i64,
}

impl From<&User> for UserDoc {
    fn from(user: &User) -> Self {
        let profile = user.profile.clone();
        Self {
            id: user.id.uuid(),
            username: profile.username,
            email: profile.email,
            email_verified: profile.email_verified,
            given_name: profile.given_name,
            family_name: profile.family_name,
            display_name: profile.display_name,
            phone_number: profile.phone_number,
            locale: profile.locale,
            zoneinfo: profile.zoneinfo,
            attributes: profile.attributes,
            enabled: user.enabled,
            locked: user.locked,
            must_change_password: user.must_change_password,
            created_at: user.created_at.into(),
            updated_at: user.updated_at.into(),
            version: user.version,
        }
    }
}

const fn yes() -> bool {
    true
}

/// A user to make.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewUser)]
#[serde(deny_unknown_fields)]
struct NewUserDoc {
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    email_verified: bool,
    #[serde(default)]
    given_name: Option<String>,
    #[serde(default)]
    family_name: Option<String>,
    #[serde(default)]
    display_name: Option<String>,
    #[serde(default)]
    phone_number: Option<String>,
    #[serde(default)]
    locale: Option<String>,
    #[serde(default)]
    zoneinfo: Option<String>,
    #[serde(default)]
    attributes: BTreeMap<String, Vec<String>>,
    /// Whether the account is in use from the start.
    #[serde(default = "yes")]
    enabled: bool,
    /// Whether the first sign-in must choose a new password.
    #[serde(default)]
    must_change_password: bool,
    /// A password, which must meet the tenant's policy.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<Secret>,
    /// Or a hash that another system made, in its own form.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    imported_hash: Option<Secret>,
    /// The group that the user is made a member of.
    #[serde(default)]
    group: Option<Uuid>,
}

/// What to change of a user's profile.
#[derive(Deserialize, ToSchema)]
#[schema(as = UserPatch)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserPatchDoc {
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(crate) username: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(crate) email: Patch<String>,
    #[serde(default)]
    pub(crate) email_verified: Option<bool>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(crate) given_name: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(crate) family_name: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(crate) display_name: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(crate) phone_number: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(crate) locale: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(crate) zoneinfo: Patch<String>,
    #[serde(default)]
    pub(crate) attributes: Option<BTreeMap<String, Vec<String>>>,
}

impl From<UserPatchDoc> for ProfilePatch {
    fn from(doc: UserPatchDoc) -> Self {
        Self {
            username: doc.username,
            email: doc.email,
            email_verified: doc.email_verified,
            given_name: doc.given_name,
            family_name: doc.family_name,
            display_name: doc.display_name,
            phone_number: doc.phone_number,
            locale: doc.locale,
            zoneinfo: doc.zoneinfo,
            attributes: doc.attributes,
        }
    }
}

/// A password to set.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewPassword)]
#[serde(deny_unknown_fields)]
struct NewPasswordDoc {
    #[schema(value_type = String, format = Password)]
    password: Secret,
    /// Whether the next sign-in must choose another one.
    #[serde(default)]
    must_change: bool,
}

/// The groups that hold somebody.
#[derive(Serialize, ToSchema)]
#[schema(as = GroupsOf)]
pub(crate) struct GroupsOfDoc {
    items: Vec<GroupOfDoc>,
}

/// A group that holds somebody.
#[derive(Serialize, ToSchema)]
#[schema(as = GroupOf)]
struct GroupOfDoc {
    id: Uuid,
    name: String,
    /// The kind of the direct membership, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<Kind>,
}

/// The roles that somebody has.
#[derive(Serialize, ToSchema)]
#[schema(as = RolesOf)]
pub(crate) struct RolesOfDoc {
    /// Those that were given directly.
    direct: Vec<RoleOfDoc>,
    /// All of them, by groups too.
    effective: Vec<RoleOfDoc>,
}

/// A role that somebody has.
#[derive(Serialize, ToSchema)]
#[schema(as = RoleOf)]
struct RoleOfDoc {
    id: Uuid,
    name: String,
    /// The OAuth client that it is a role of; none for a role of the tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<Uuid>,
}

impl From<&Role> for RoleOfDoc {
    fn from(role: &Role) -> Self {
        Self { id: role.id.uuid(), name: role.name.clone(), client: role.application.map(|id| id.uuid()) }
    }
}

impl From<&EffectiveRole> for RoleOfDoc {
    fn from(role: &EffectiveRole) -> Self {
        Self { id: role.id.uuid(), name: role.name.clone(), client: role.application.map(|id| id.uuid()) }
    }
}

/// Whether a name is free.
#[derive(Serialize, ToSchema)]
#[schema(as = Availability)]
struct AvailabilityDoc {
    available: bool,
}

fn reply(user: &User) -> Result<Reply, Refused> {
    Ok(Reply::ok(&UserDoc::from(user))?.version(user.version))
}

fn field(path: &Path) -> Option<UserField> {
    if let Some(name) = attribute(path) {
        return Some(UserField::Attribute(name));
    }
    let known = [
        ("id", UserField::Id),
        ("username", UserField::Username),
        ("email", UserField::Email),
        ("email_verified", UserField::EmailVerified),
        ("given_name", UserField::GivenName),
        ("family_name", UserField::FamilyName),
        ("display_name", UserField::DisplayName),
        ("phone_number", UserField::PhoneNumber),
        ("locale", UserField::Locale),
        ("enabled", UserField::Enabled),
        ("locked", UserField::Locked),
        ("created_at", UserField::CreatedAt),
        ("updated_at", UserField::UpdatedAt),
        ("group", UserField::Group),
        ("role", UserField::Role),
    ];
    known.into_iter().find(|(name, _)| path.is(name)).map(|(_, field)| field)
}

async fn list(call: Call) -> Result<Reply, Refused> {
    let (paging, search) = search::read(&call, field)?;
    search::reply::<_, UserDoc>(&paging, call.identity().users().search(call.authority(), search).await)
}

async fn create(call: Call) -> Result<Reply, Refused> {
    let doc: NewUserDoc = call.body()?;
    let group = doc.group.map(GroupId::from_uuid);
    call.may_create_in(group, Asks::CreateUser).await?;
    let credential = match (doc.password, doc.imported_hash) {
        (None, None) => Credential::None,
        (Some(password), None) => Credential::Password(password),
        (None, Some(hash)) => Credential::ImportedHash(hash.expose().to_owned()),
        (Some(_), Some(_)) => {
            let refused = Refused::of(crate::refused::UNACCEPTABLE);
            return Err(refused.at("/imported_hash", "cannot stand beside a password"));
        }
    };
    let new = NewUser {
        profile: Profile {
            username: doc.username,
            email: doc.email,
            email_verified: doc.email_verified,
            given_name: doc.given_name,
            family_name: doc.family_name,
            display_name: doc.display_name,
            phone_number: doc.phone_number,
            locale: doc.locale,
            zoneinfo: doc.zoneinfo,
            attributes: doc.attributes,
        },
        credential,
        enabled: doc.enabled,
        must_change_password: doc.must_change_password,
        tenant_administrator: false,
        group: group.map(|group| (group, MembershipKind::Member)),
    };
    let users = call.identity().users();
    let made = Made::of(users.create(call.tenant_id(), new, &call.cause().await?).await)?;
    let (id, replayed) = made.id(|user| user.id.uuid());
    let user = users.get(call.tenant_id(), UserId::from_uuid(id)).await?;
    let reply = Reply::created(&UserDoc::from(&*user), format!("/api/v1/users/{id}"))?;
    Ok(reply.version(user.version).replayed(replayed))
}

async fn get(call: Call) -> Result<Reply, Refused> {
    reply(&*call.user().await?)
}

async fn update(call: Call) -> Result<Reply, Refused> {
    let doc: UserPatchDoc = call.body()?;
    let user = call.user().await?;
    let who = (call.tenant_id(), user.id);
    let version = call.if_match()?;
    let after = call.identity().users().update(who, doc.into(), version, &call.cause().await?).await?;
    reply(&after)
}

async fn archive(call: Call) -> Result<Reply, Refused> {
    let user = call.user().await?;
    let who = (call.tenant_id(), user.id);
    call.identity()
        .users()
        .change_state(who, StateChange::Archive, call.if_match()?, &call.cause().await?)
        .await?;
    Ok(Reply::done())
}

async fn change(call: Call, change: StateChange) -> Result<Reply, Refused> {
    let user = call.user().await?;
    let who = (call.tenant_id(), user.id);
    reply(&*call.identity().users().change_state(who, change, call.if_match()?, &call.cause().await?).await?)
}

async fn set_password(call: Call) -> Result<Reply, Refused> {
    let doc: NewPasswordDoc = call.body()?;
    let user = call.user().await?;
    let who = (call.tenant_id(), user.id);
    call.identity().passwords().set(who, doc.password, doc.must_change, &call.cause().await?).await?;
    Ok(Reply::done())
}

async fn groups(call: Call) -> Result<Reply, Refused> {
    let user = call.user().await?;
    Reply::ok(&groups_of(&call, Party::User(user.id)).await?)
}

/// The groups that hold a party, those alone that the caller may see; its own are all told.
pub(super) async fn groups_of(call: &Call, party: Party) -> Result<GroupsOfDoc, Refused> {
    let groups = call.identity().groups();
    let direct: BTreeMap<GroupId, MembershipKind> =
        groups.direct_of(call.tenant_id(), party).await?.into_iter().collect();
    let own = call.authority().subject().and_then(keyreeve_identity::Subject::party) == Some(party);
    let mut items = Vec::new();
    for id in groups.of_party(call.tenant_id(), party).await?.iter() {
        if !own && !call.authority().may_manage_group(*id) {
            continue;
        }
        if let Some(group) = groups.by_id(call.tenant_id(), *id).await? {
            let kind = direct.get(id).copied().map(Kind::from);
            items.push(GroupOfDoc { id: id.uuid(), name: group.name.clone(), kind });
        }
    }
    Ok(GroupsOfDoc { items })
}

async fn roles(call: Call) -> Result<Reply, Refused> {
    let user = call.user().await?;
    Reply::ok(&roles_of(&call, Party::User(user.id)).await?)
}

/// The roles of a party.
pub(super) async fn roles_of(call: &Call, party: Party) -> Result<RolesOfDoc, Refused> {
    let roles = call.identity().roles();
    let direct = roles.assigned_to(call.tenant_id(), party).await?;
    let effective = roles.effective_of(call.tenant_id(), party).await?;
    Ok(RolesOfDoc {
        direct: direct.iter().map(RoleOfDoc::from).collect(),
        effective: effective.iter().map(RoleOfDoc::from).collect(),
    })
}

async fn availability(call: Call) -> Result<Reply, Refused> {
    let cause = call.cause().await?;
    let asked = call.identity().users().is_available(
        call.tenant_id(),
        call.part("name"),
        call.authority(),
        &cause.origin,
    );
    let available = match asked.await {
        Err(keyreeve_identity::Error::Invalid { problem, .. }) => {
            return Err(Refused::parameter("name", problem));
        }
        answer => answer??,
    };
    Reply::ok(&AvailabilityDoc { available })
}

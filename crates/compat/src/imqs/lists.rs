//! Lists of users and groups.

use super::Imqs;
use super::call::{Call, parse_user_id};
use super::catalogue::Entry;
use super::failure::Failure;
use super::people::Person;
use super::reply::{Answer, Reply};
use keyreeve_base::{TenantId, Timestamp, UserId};
use keyreeve_identity::{Group, Reach, User};
use serde::Serialize;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The moment that stands for never.
const NEVER: &str = "0001-01-01T00:00:00Z";
/// Who acts where nobody does, by number.
const RESERVED: [(i64, &str); 4] =
    [(0, "Administrator"), (-2, "LDAP Merge"), (-3, "OAuth Sign-in"), (-4, "MSAAD Merge")];

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Brief<'a> {
    email: &'a str,
    user_name: &'a str,
    name: &'a str,
    surname: &'a str,
    groups: Vec<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Full<'a> {
    user_id: i64,
    email: &'a str,
    username: &'a str,
    name: &'a str,
    surname: &'a str,
    mobile: &'a str,
    telephone: &'a str,
    remarks: &'a str,
    created: String,
    created_by: String,
    modified: String,
    modified_by: String,
    groups: Vec<&'a str>,
    auth_user_type: i64,
    archived: bool,
    account_locked: bool,
    #[serde(rename = "InternalUUID")]
    internal_uuid: String,
    last_login: String,
    enabled_date: String,
    disabled_date: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GroupView<'a> {
    name: &'a str,
    roles: Vec<String>,
    #[serde(rename = "ID")]
    id: String,
}

/// Groups with who is in them.
struct Memberships {
    groups: Vec<(Entry, Arc<Group>, HashSet<UserId>)>,
}

impl Memberships {
    /// The names of a user's groups, in the order of the permit.
    fn names<'a>(&'a self, person: &Person) -> Vec<&'a str> {
        let permit = person.permit.as_deref().unwrap_or_default();
        let place = |serial: i64| permit.iter().position(|known| *known == serial).unwrap_or(usize::MAX);
        let mut held: Vec<_> =
            self.groups.iter().filter(|(.., users)| users.contains(&person.user)).collect();
        held.sort_by_key(|(entry, ..)| (place(entry.serial), entry.serial));
        held.into_iter().map(|(_, group, _)| group.name.as_str()).collect()
    }
}

impl Imqs {
    async fn memberships(&self, tenant: TenantId, reach: Reach) -> Result<Memberships, Failure> {
        let mut groups = Vec::new();
        for (entry, group) in self.named(tenant).await? {
            let users = self.members_by(tenant, entry.group, reach).await?.into_iter().collect();
            groups.push((entry, group, users));
        }
        Ok(Memberships { groups })
    }
}

fn moment(at: Option<Timestamp>) -> String {
    at.map_or_else(|| NEVER.to_owned(), |at| at.to_string())
}

/// How whoever acted is shown: empty for somebody who is not among those that are listed.
fn shown(by: i64, names: &HashMap<i64, String>) -> String {
    let reserved = RESERVED.iter().find(|(number, _)| *number == by).map(|(_, name)| (*name).to_owned());
    reserved.or_else(|| names.get(&by).cloned()).unwrap_or_default()
}

fn first_and_last(user: &User) -> String {
    format!(
        "{} {}",
        user.given_name.as_deref().unwrap_or_default(),
        user.family_name.as_deref().unwrap_or_default()
    )
}

fn full<'a>(
    (user, person): (&'a User, &'a Person),
    groups: Vec<&'a str>,
    names: &HashMap<i64, String>,
    with_dates: bool,
) -> Full<'a> {
    let dated = |at: Option<Timestamp>| moment(at.filter(|_| with_dates));
    Full {
        user_id: person.serial,
        email: person.email_of(&user.profile),
        username: person.username_of(&user.profile),
        name: user.given_name.as_deref().unwrap_or_default(),
        surname: user.family_name.as_deref().unwrap_or_default(),
        mobile: user.phone_number.as_deref().unwrap_or_default(),
        telephone: &person.telephone,
        remarks: &person.remarks,
        created: user.created_at.to_string(),
        created_by: shown(person.created_by, names),
        modified: user.updated_at.to_string(),
        modified_by: shown(person.modified_by, names),
        groups,
        auth_user_type: person.kind,
        archived: user.archived_at.is_some(),
        account_locked: user.locked,
        internal_uuid: person.internal_uuid.to_string(),
        last_login: dated(person.last_login_at),
        enabled_date: dated(person.enabled_at),
        disabled_date: dated(person.disabled_at),
    }
}

pub(super) async fn users(call: Call) -> Answer {
    let (imqs, tenant) = (&call.imqs, call.tenant().await?);
    let failed = |failure: Failure| failure.reply(500);
    let everyone = imqs.everyone(tenant, false).await.map_err(failed)?;
    let memberships = imqs.memberships(tenant, Reach::Direct).await.map_err(failed)?;
    let listed: Vec<Brief<'_>> = everyone
        .iter()
        .map(|(user, person)| Brief {
            email: person.email_of(&user.profile),
            user_name: person.username_of(&user.profile),
            name: user.given_name.as_deref().unwrap_or_default(),
            surname: user.family_name.as_deref().unwrap_or_default(),
            groups: memberships.names(person),
        })
        .collect();
    Ok(Reply::json(&listed))
}

pub(super) async fn user_objects(call: Call) -> Answer {
    let (imqs, tenant) = (&call.imqs, call.tenant().await?);
    let failed = |failure: Failure| failure.reply(500);
    let archived = matches!(call.query("archived"), "1" | "t" | "T" | "TRUE" | "true" | "True");
    let wanted = call.query("permission").parse::<u16>().ok().filter(|permission| *permission != 0);
    let mut everyone = imqs.everyone(tenant, archived).await.map_err(failed)?;
    if let Some(permission) = wanted {
        let reached = imqs.memberships(tenant, Reach::Effective).await.map_err(failed)?;
        let giving: Vec<_> =
            reached.groups.iter().filter(|(entry, ..)| entry.permissions.contains(&permission)).collect();
        everyone.retain(|(user, person)| {
            giving.iter().any(|(entry, _, users)| {
                // Who is archived is in no group any more; what is left is the permit.
                let by_permit = user.archived_at.is_some()
                    && person.permit.as_ref().is_some_and(|permit| permit.contains(&entry.serial));
                by_permit || users.contains(&user.id)
            })
        });
    }
    let memberships = imqs.memberships(tenant, Reach::Direct).await.map_err(failed)?;
    let names: HashMap<i64, String> =
        everyone.iter().map(|(user, person)| (person.serial, first_and_last(user))).collect();
    let listed: Vec<Full<'_>> = everyone
        .iter()
        .map(|(user, person)| full((user, person), memberships.names(person), &names, true))
        .collect();
    Ok(Reply::json(&listed))
}

pub(super) async fn user_object(call: Call) -> Answer {
    let (imqs, tenant) = (&call.imqs, call.tenant().await?);
    let failed = |failure: Failure| failure.reply(500);
    let found = match (call.query("userid"), call.query("identity")) {
        ("", "") => return Err(Reply::text(400, "No parameter given")),
        ("", identity) => {
            let found = imqs.resolve(tenant, identity).await.map_err(failed)?;
            found.map(|(user, person)| (user, (*person).clone()))
        }
        (raw, _) => {
            let serial =
                parse_user_id(raw).map_err(|_| Reply::text(400, format!("Invalid parameter: {raw}")))?;
            imqs.by_serial(tenant, serial).await.map_err(failed)?
        }
    };
    let (user, person) = found.ok_or_else(|| Failure::NoSuchUser.reply(404))?;
    let effective = imqs.effective(tenant, user.id, &person).await.map_err(failed)?;
    if !effective.has_permit {
        return Err(Failure::NoPermit.reply(500));
    }
    let groups = imqs.groups_of(tenant, &person).await.map_err(failed)?;
    let mut held = Vec::new();
    for entry in &groups {
        if let Some(group) = imqs.identity().groups().by_id(tenant, entry.group).await? {
            held.push(group);
        }
    }
    let names: HashMap<i64, String> = [(person.serial, first_and_last(&user))].into();
    let groups = held.iter().map(|group| group.name.as_str()).collect();
    Ok(Reply::json(&full((&user, &person), groups, &names, false)))
}

pub(super) async fn groups(call: Call) -> Answer {
    let (imqs, tenant) = (&call.imqs, call.tenant().await?);
    let named = imqs.named(tenant).await.map_err(|failure| failure.reply(500))?;
    let listed: Vec<GroupView<'_>> = named
        .iter()
        .map(|(entry, group)| GroupView {
            name: &group.name,
            roles: entry.permissions.iter().map(ToString::to_string).collect(),
            id: entry.serial.to_string(),
        })
        .collect();
    Ok(Reply::json(&listed))
}

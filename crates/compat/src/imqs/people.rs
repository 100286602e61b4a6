//! Users as the original knows them: a number, two names in any form, and what else the room does not have.

use super::failure::Failure;
use super::{Imqs, schema};
use keyreeve_base::{CanonicalName, TenantId, Timestamp, UserId};
use keyreeve_identity::{Profile, ProfilePatch, User};
use keyreeve_store::{Row, Tx, params};
use std::sync::Arc;
use uuid::Uuid;

/// The change-feed topic of side rows of users; the key is the user's identifier.
pub(super) const TOPIC: &str = "compat_imqs_user";
/// How many users one page of a list reads.
const PAGE: u16 = 500;
/// The most users that a list shows: without pages there has to be an end.
const MAX_LISTED: usize = 100_000;

/// The kinds of users of the original.
pub(super) mod kind {
    pub(in super::super) const DEFAULT: i64 = 0;
    pub(in super::super) const LDAP: i64 = 1;
    pub(in super::super) const MSAAD: i64 = 3;
}

/// The side row of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Person {
    /// The number on the wire.
    pub(super) serial: i64,
    pub(super) user: UserId,
    /// The e-mail, where it is no address and the room does not have it.
    pub(super) email: Option<String>,
    pub(super) internal_uuid: Uuid,
    pub(super) external_uuid: Option<Uuid>,
    pub(super) kind: i64,
    pub(super) telephone: String,
    pub(super) remarks: String,
    /// Numbers of groups in their order; none where no permit was ever set.
    pub(super) permit: Option<Vec<i64>>,
    pub(super) created_by: i64,
    pub(super) modified_by: i64,
    pub(super) enabled_at: Option<Timestamp>,
    pub(super) disabled_at: Option<Timestamp>,
    pub(super) last_login_at: Option<Timestamp>,
    pub(super) failures: i64,
}

impl Person {
    /// What stands of a user whom the dialect has not seen before.
    pub(super) fn new(user: UserId, by: i64) -> Self {
        Self {
            serial: 0,
            user,
            email: None,
            internal_uuid: user.uuid(),
            external_uuid: None,
            kind: kind::DEFAULT,
            telephone: String::new(),
            remarks: String::new(),
            permit: None,
            created_by: by,
            modified_by: by,
            enabled_at: None,
            disabled_at: None,
            last_login_at: None,
            failures: 0,
        }
    }

    fn from_row(row: &Row<'_>) -> Result<Self, keyreeve_store::Error> {
        let permit: Option<String> = row.get(8)?;
        let permit = permit.map(|text| serde_json::from_str(&text)).transpose();
        Ok(Self {
            serial: row.get(0)?,
            user: row.get(1)?,
            email: row.get(2)?,
            internal_uuid: row.get(3)?,
            external_uuid: row.get(4)?,
            kind: row.get(5)?,
            telephone: row.get(6)?,
            remarks: row.get(7)?,
            permit: permit.map_err(|_| keyreeve_store::Error::corrupt("Permit is not a list of numbers"))?,
            created_by: row.get(9)?,
            modified_by: row.get(10)?,
            enabled_at: row.get(11)?,
            disabled_at: row.get(12)?,
            last_login_at: row.get(13)?,
            failures: row.get(14)?,
        })
    }

    /// Stores it, under the next number where it has none; false where the user has a side row already.
    pub(super) async fn insert(
        &self,
        tx: &mut Tx<'_>,
        tenant: TenantId,
    ) -> Result<bool, keyreeve_store::Error> {
        let serial = match self.serial {
            0 => tx.scalar(&schema::NEXT, &params![tenant, "user"]).await?,
            given => {
                tx.execute(&schema::NUMBERS_BEHIND, &params![tenant, "user", given]).await?;
                given
            }
        };
        let permit = self.permit.as_ref().map(|permit| numbers(permit));
        let rows = tx
            .execute(
                &schema::INSERT_PERSON,
                &params![
                    tenant,
                    serial,
                    self.user,
                    &self.email,
                    &self.email.as_deref().and_then(key_of),
                    self.internal_uuid,
                    self.external_uuid,
                    self.kind,
                    &self.telephone,
                    &self.remarks,
                    &permit,
                    self.created_by,
                    self.modified_by,
                    self.enabled_at,
                    self.disabled_at,
                    self.last_login_at
                ],
            )
            .await?;
        changed(tx, tenant, self.user).await?;
        Ok(rows == 1)
    }

    /// The e-mail on the wire.
    pub(super) fn email_of<'a>(&'a self, profile: &'a Profile) -> &'a str {
        self.email.as_deref().or(profile.email.as_deref()).unwrap_or_default()
    }

    /// The user name on the wire: not the one under which the room keeps an e-mail that is no address.
    pub(super) fn username_of<'a>(&self, profile: &'a Profile) -> &'a str {
        let username = profile.username.as_deref().unwrap_or_default();
        if self.email.as_deref() == Some(username) { "" } else { username }
    }

    /// E-mail, else user name.
    pub(super) fn identity_of<'a>(&'a self, profile: &'a Profile) -> &'a str {
        match self.email_of(profile) {
            "" => self.username_of(profile),
            email => email,
        }
    }
}

/// A list of numbers, as it is stored.
pub(super) fn numbers<T: std::fmt::Display>(list: &[T]) -> String {
    let texts: Vec<String> = list.iter().map(ToString::to_string).collect();
    format!("[{}]", texts.join(","))
}

/// Announces that a side row has changed.
pub(super) async fn changed(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    user: UserId,
) -> Result<(), keyreeve_store::Error> {
    tx.changed(Some(tenant), TOPIC, &user.to_string()).await
}

/// How a name is compared.
pub(super) fn key_of(name: &str) -> Option<String> {
    CanonicalName::parse(name).ok().map(|name| name.as_str().to_owned())
}

/// Where a user's two names are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Names {
    /// The room's user name.
    pub(super) username: Option<String>,
    /// The room's e-mail address.
    pub(super) email: Option<String>,
    /// An e-mail that is no address.
    pub(super) plain: Option<String>,
}

impl Names {
    /// Of what was sent; empty texts are none.
    pub(super) fn of(email: &str, username: &str) -> Self {
        let some = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let (email, username) = (some(email), some(username));
        match email {
            Some(email) if !is_address(&email) => {
                Self { username: username.or_else(|| Some(email.clone())), email: None, plain: Some(email) }
            }
            email => Self { username, email, plain: None },
        }
    }

    /// Whether there is none.
    pub(super) const fn is_empty(&self) -> bool {
        self.username.is_none() && self.email.is_none()
    }

    /// What the room's profile becomes with these.
    pub(super) fn patch(&self) -> ProfilePatch {
        ProfilePatch {
            username: patch(self.username.clone()),
            email: patch(self.email.clone()),
            ..ProfilePatch::default()
        }
    }
}

/// A field that is set or cleared, not kept.
pub(super) fn patch(value: Option<String>) -> keyreeve_identity::Patch<String> {
    value.map_or(keyreeve_identity::Patch::Clear, keyreeve_identity::Patch::Set)
}

/// Whether the room would take it as an e-mail address.
fn is_address(text: &str) -> bool {
    match text.split_once('@') {
        Some((local, domain)) => {
            !local.is_empty()
                && local.len() <= 64
                && domain.split('.').all(|label| !label.is_empty())
                && !text.contains(['<', '>', '(', ')', ',', ';', ':', '\\', '"'])
                && !domain.contains('@')
        }
        None => false,
    }
}

impl Imqs {
    /// A user's side row, from memory where that is allowed; made where there is none yet.
    pub(super) async fn person(&self, tenant: TenantId, user: UserId) -> Result<Arc<Person>, Failure> {
        if let Some(found) = self.known_person(tenant, user).await? {
            return Ok(found);
        }
        self.adopt(tenant, vec![user]).await?;
        self.known_person(tenant, user).await?.ok_or(Failure::NoSuchUser)
    }

    async fn known_person(&self, tenant: TenantId, user: UserId) -> Result<Option<Arc<Person>>, Failure> {
        let store = self.store();
        self.0
            .people
            .get_with(tenant, &user, || async move {
                let read = async move |tx: &mut Tx<'_>| {
                    tx.query_opt(&schema::PERSON, &params![tenant, user], Person::from_row).await
                };
                Ok::<_, Failure>(store.read(read).await?.map(Arc::new))
            })
            .await
    }

    /// Gives numbers to users who were made by other doors, in the order in which they come.
    pub(super) async fn adopt(&self, tenant: TenantId, users: Vec<UserId>) -> Result<(), Failure> {
        self.store()
            .write(async move |tx: &mut Tx<'_>| {
                for user in &users {
                    let known =
                        tx.query_opt(&schema::PERSON, &params![tenant, *user], Person::from_row).await?;
                    if known.is_none() {
                        Person::new(*user, 0).insert(tx, tenant).await?;
                    }
                }
                Ok::<_, keyreeve_store::Error>(())
            })
            .await?;
        Ok(())
    }

    /// The user of a number, who is not archived.
    pub(super) async fn by_serial(
        &self,
        tenant: TenantId,
        serial: i64,
    ) -> Result<Option<(Arc<User>, Person)>, Failure> {
        let read = async move |tx: &mut Tx<'_>| {
            tx.query_opt(&schema::PERSON_OF_SERIAL, &params![tenant, serial], Person::from_row).await
        };
        let Some(person) = self.store().read(read).await? else { return Ok(None) };
        let user = self.identity().users().by_id(tenant, person.user).await?;
        Ok(user.filter(|user| user.archived_at.is_none()).map(|user| (user, person)))
    }

    /// The user whom an e-mail or user name means, who is not archived.
    pub(super) async fn resolve(
        &self,
        tenant: TenantId,
        identity: &str,
    ) -> Result<Option<(Arc<User>, Arc<Person>)>, Failure> {
        // An empty name would be everybody's who has none.
        let Some(key) = key_of(identity) else { return Ok(None) };
        if let Some(user) = self.identity().users().find(tenant, &key).await? {
            let person = self.person(tenant, user.id).await?;
            return Ok(Some((Arc::new(user), person)));
        }
        let read = async move |tx: &mut Tx<'_>| {
            tx.query_opt(&schema::PERSON_OF_EMAIL, &params![tenant, &key], Person::from_row).await
        };
        let Some(person) = self.store().read(read).await? else { return Ok(None) };
        let user = self.identity().users().by_id(tenant, person.user).await?;
        Ok(user.filter(|user| user.archived_at.is_none()).map(|user| (user, Arc::new(person))))
    }

    /// Whether somebody else has one of these names.
    pub(super) async fn is_taken(
        &self,
        tenant: TenantId,
        names: &Names,
        except: Option<UserId>,
    ) -> Result<bool, Failure> {
        for name in [&names.username, &names.email, &names.plain].into_iter().flatten() {
            if self.resolve(tenant, name).await?.is_some_and(|(user, _)| Some(user.id) != except) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Every user with the side row, in the order of their numbers; archived ones too where they are wanted.
    pub(super) async fn everyone(
        &self,
        tenant: TenantId,
        archived: bool,
    ) -> Result<Vec<(Arc<User>, Person)>, Failure> {
        let mut active = Vec::new();
        loop {
            let after = active.last().map(|user: &User| user.id);
            let page = self.identity().users().list(tenant, after, PAGE).await?;
            let last = page.len() < usize::from(PAGE);
            active.extend(page);
            if active.len() > MAX_LISTED {
                return Err(Failure::Invalid(format!("There are more than {MAX_LISTED} users")));
            }
            if last {
                break;
            }
        }
        let mut rows = self.rows(tenant).await?;
        let known: std::collections::HashSet<UserId> = rows.iter().map(|row| row.user).collect();
        let unknown: Vec<UserId> =
            active.iter().map(|user| user.id).filter(|id| !known.contains(id)).collect();
        if !unknown.is_empty() {
            for part in unknown.chunks(usize::from(PAGE)) {
                self.adopt(tenant, part.to_vec()).await?;
            }
            rows = self.rows(tenant).await?;
        }
        let mut users: std::collections::HashMap<UserId, Arc<User>> =
            active.into_iter().map(|user| (user.id, Arc::new(user))).collect();
        let mut found = Vec::with_capacity(rows.len());
        for row in rows {
            if let Some(user) = users.remove(&row.user) {
                found.push((user, row));
            } else if archived && let Some(user) = self.identity().users().by_id(tenant, row.user).await? {
                found.push((user, row));
            }
        }
        Ok(found)
    }

    async fn rows(&self, tenant: TenantId) -> Result<Vec<Person>, Failure> {
        let mut rows: Vec<Person> = Vec::new();
        loop {
            let after = rows.last().map_or(0, |row| row.serial);
            let read = async move |tx: &mut Tx<'_>| {
                tx.query(&schema::PEOPLE, &params![tenant, after, i64::from(PAGE)], Person::from_row).await
            };
            let page = self.store().read(read).await?;
            let last = page.len() < usize::from(PAGE);
            rows.extend(page);
            if last || rows.len() > 2 * MAX_LISTED {
                return Ok(rows);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_email_that_is_no_address_is_kept_beside_the_room() {
        let of = |email: &str, username: &str| {
            let names = Names::of(email, username);
            (names.username, names.email, names.plain)
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(of("a@b.c", "ann"), (some("ann"), some("a@b.c"), None));
        assert_eq!(of("joe", "joeUsername"), (some("joeUsername"), None, some("joe")));
        assert_eq!(of(" sam ", ""), (some("sam"), None, some("sam")));
        assert_eq!(of("", "ann"), (some("ann"), None, None));
        assert!(Names::of(" ", "").is_empty());
    }

    #[test]
    fn names_on_the_wire_are_those_that_were_sent() {
        for (email, username) in [("a@b.c", "ann"), ("joe", "joeUsername"), ("sam", ""), ("", "ann")] {
            let names = Names::of(email, username);
            let mut person = Person::new(UserId::from_uuid(Uuid::nil()), 0);
            person.email = names.plain;
            let profile = Profile { username: names.username, email: names.email, ..Profile::default() };
            assert_eq!((person.email_of(&profile), person.username_of(&profile)), (email, username));
            assert_eq!(person.identity_of(&profile), if email.is_empty() { username } else { email });
        }
    }
}

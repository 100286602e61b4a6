//! Moving from the original: its PostgreSQL tables, read once into the tenant. What is there already stays; running it again
//! takes over what was left.

use super::catalogue::TOPIC;
use super::exchange::{unpack, unpack_permit};
use super::failure::Failure;
use super::groups::By;
use super::people::{Names, Person, key_of};
use super::{Imqs, schema};
use keyreeve_base::{SessionId, TenantId, Timestamp, UserId};
use keyreeve_crypto::TokenDigest;
use keyreeve_crypto::password::imported::recognise;
use keyreeve_identity::{Cause, Credential, Error, Profile, StateChange, User};
use keyreeve_store::{Tx, params};
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

/// How many rows are read at a time.
const PAGE: i64 = 1_000;

/// What was taken over.
#[derive(Debug, Default, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Imported {
    /// Groups that were made, or got the permissions of the original.
    pub groups: u64,
    /// Users that were made.
    pub users: u64,
    /// Of them, those that were archived.
    pub archived: u64,
    /// Users with a password that was taken over as its hash.
    pub passwords: u64,
    /// Sessions that go on.
    pub sessions: u64,
    /// What was left out, and why; at most a thousand lines.
    pub left_out: Vec<String>,
}

impl Imported {
    fn leave(&mut self, what: String) {
        if self.left_out.len() < 1_000 {
            self.left_out.push(what);
        }
    }
}

/// Why an import ends early. What was taken over stays, and is not taken twice.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The original's database cannot be read.
    #[error("the database of the original cannot be read: {0}")]
    Source(#[from] tokio_postgres::Error),
    /// Something cannot be written.
    #[error("{0}")]
    Target(String),
}

impl From<Failure> for ImportError {
    fn from(failure: Failure) -> Self {
        Self::Target(match failure {
            Failure::Internal(error) => error.to_string(),
            other => other.text().into_owned(),
        })
    }
}

impl From<Error> for ImportError {
    fn from(error: Error) -> Self {
        Failure::from(error).into()
    }
}

const GROUPS: &str = "SELECT id::bigint, name::text, permlist::text FROM authgroup ORDER BY id";
const USERS: &str = "SELECT u.userid::bigint, u.email::text, u.username::text, u.firstname::text, u.lastname::text, \
    u.mobile::text, u.phone::text, u.remarks::text, COALESCE(u.archived, false), COALESCE(u.authusertype, 0)::bigint, \
    COALESCE(u.createdby, 0)::bigint, COALESCE(u.modifiedby, 0)::bigint, u.externaluuid, u.internaluuid, p.password::text, \
    p.permit::text, COALESCE(p.accountlocked, false), \
    (EXTRACT(EPOCH FROM s.enabled_date) * 1000000)::bigint, (EXTRACT(EPOCH FROM s.disabled_date) * 1000000)::bigint, \
    (EXTRACT(EPOCH FROM s.last_login_date) * 1000000)::bigint \
    FROM authuserstore u LEFT JOIN authuserpwd p ON p.userid = u.userid LEFT JOIN authuserstats s ON s.user_id = u.userid \
    WHERE u.userid > $1 ORDER BY u.userid LIMIT $2";
const SESSIONS: &str = "SELECT id::bigint, sessionkey::text, userid::bigint, (EXTRACT(EPOCH FROM expires) * 1000000)::bigint \
    FROM authsession WHERE id > $1 ORDER BY id LIMIT $2";

/// A user as the original has them.
struct Original {
    serial: i64,
    names: Names,
    profile: Profile,
    person: Person,
    hash: Option<String>,
    permit: Option<String>,
    archived: bool,
    locked: bool,
}

impl Original {
    fn of(row: &Row) -> Result<Self, tokio_postgres::Error> {
        let text = |index: usize| row.try_get::<_, Option<String>>(index).map(Option::unwrap_or_default);
        let some = |text: String| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let moment =
            |index: usize| row.try_get::<_, Option<i64>>(index).map(|at| at.map(Timestamp::from_micros));
        let names = Names::of(&text(1)?, &text(2)?);
        let profile = Profile {
            username: names.username.clone(),
            email: names.email.clone(),
            given_name: some(text(3)?),
            family_name: some(text(4)?),
            phone_number: some(text(5)?),
            ..Profile::default()
        };
        let person = Person {
            serial: row.try_get(0)?,
            email: names.plain.clone(),
            internal_uuid: row.try_get::<_, Option<Uuid>>(13)?.unwrap_or_default(),
            external_uuid: row.try_get(12)?,
            kind: row.try_get(9)?,
            telephone: text(6)?,
            remarks: text(7)?,
            created_by: row.try_get(10)?,
            modified_by: row.try_get(11)?,
            enabled_at: moment(17)?,
            disabled_at: moment(18)?,
            last_login_at: moment(19)?,
            ..Person::new(UserId::from_uuid(Uuid::nil()), 0)
        };
        Ok(Self {
            serial: person.serial,
            names,
            profile,
            person,
            hash: row.try_get::<_, Option<String>>(14)?.and_then(some),
            permit: row.try_get(15)?,
            archived: row.try_get(8)?,
            locked: row.try_get(16)?,
        })
    }
}

impl Imqs {
    /// Takes over the groups, users, passwords, permits and sessions of the original whose database `source` is connected to.
    ///
    /// # Errors
    /// [`ImportError`]; what single users stand in the way of is in [`Imported::left_out`].
    pub async fn import(&self, source: &Client) -> Result<Imported, ImportError> {
        let tenant = self.ready_tenant().await?;
        let mut done = Imported::default();
        let groups = self.import_groups(source, tenant, &mut done).await?;
        let mut after = i64::MIN;
        loop {
            let rows = source.query(USERS, &[&after, &PAGE]).await?;
            for row in &rows {
                let original = Original::of(row)?;
                after = original.serial;
                self.import_user(tenant, original, &groups, &mut done).await?;
            }
            if i64::try_from(rows.len()).unwrap_or(PAGE) < PAGE {
                break;
            }
        }
        self.import_sessions(source, tenant, &mut done).await?;
        Ok(done)
    }

    /// The groups; answers what number each has here.
    async fn import_groups(
        &self,
        source: &Client,
        tenant: TenantId,
        done: &mut Imported,
    ) -> Result<HashMap<i64, i64>, ImportError> {
        let mut numbers = HashMap::new();
        for row in source.query(GROUPS, &[]).await? {
            let (id, name): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
            let packed: Option<String> = row.try_get(2)?;
            let Some(permissions) = unpack(packed.as_deref().unwrap_or_default()) else {
                done.leave(format!("group {name}: its permissions cannot be read"));
                continue;
            };
            let entry = match self.group(tenant, &name).await? {
                Some(entry) => {
                    let detail = json!({"group": name, "permissions": permissions, "by": "import"});
                    let audit = (detail, &Cause::operator());
                    self.set_permissions(tenant, entry.group, permissions, audit).await?;
                    Some(entry)
                }
                None => match self.make_group(tenant, (&name, &permissions), &Cause::operator()).await {
                    Ok(made) => made,
                    Err(failure @ Failure::Internal(_)) => return Err(failure.into()),
                    Err(_) => None,
                },
            };
            match entry {
                Some(entry) => {
                    numbers.insert(id, entry.serial);
                    done.groups += 1;
                }
                None => done.leave(format!(
                    "group {name}: the tenant has another group of this name, or it is none here"
                )),
            }
        }
        let announce =
            async move |tx: &mut Tx<'_>| tx.changed(Some(tenant), TOPIC, &tenant.to_string()).await;
        self.store().write(announce).await.map_err(Failure::from)?;
        Ok(numbers)
    }

    async fn import_user(
        &self,
        tenant: TenantId,
        original: Original,
        groups: &HashMap<i64, i64>,
        done: &mut Imported,
    ) -> Result<(), ImportError> {
        let Original { serial, names, profile, person, hash, permit, archived, locked } = original;
        let known = self.serial_is_taken(tenant, serial).await?;
        if known {
            done.leave(format!("user {serial}: the number is taken, by an earlier import or another user"));
            return Ok(());
        }
        if names.is_empty()
            || [&names.username, &names.plain].into_iter().flatten().any(|name| key_of(name).is_none())
        {
            done.leave(format!("user {serial}: has no name to sign in with"));
            return Ok(());
        }
        if self.is_taken(tenant, &names, None).await? {
            done.leave(format!("user {serial}: a name of theirs is taken"));
            return Ok(());
        }
        let hash = hash.map(|hash| format!("{{authaus}}{hash}")).filter(|hash| recognise(hash).is_some());
        let has_password = hash.is_some();
        let credential = hash.map_or(Credential::None, Credential::ImportedHash);
        let (user, _) = match self.make_user(tenant, (profile, credential), person, &Cause::operator()).await
        {
            Ok(made) => made,
            Err(failure @ Failure::Internal(_)) => return Err(failure.into()),
            Err(failure) => {
                done.leave(format!("user {serial}: {}", failure.text()));
                return Ok(());
            }
        };
        done.users += 1;
        done.passwords += u64::from(has_password);
        self.import_standing(tenant, &user, (permit, groups), (archived, locked)).await?;
        done.archived += u64::from(archived);
        Ok(())
    }

    async fn serial_is_taken(&self, tenant: TenantId, serial: i64) -> Result<bool, Failure> {
        let read = async move |tx: &mut Tx<'_>| {
            tx.query_opt(&schema::PERSON_OF_SERIAL, &params![tenant, serial], |_| Ok(())).await
        };
        Ok(self.store().read(read).await?.is_some())
    }

    /// The permit and the state of a user who was made a moment ago.
    async fn import_standing(
        &self,
        tenant: TenantId,
        user: &Arc<User>,
        (permit, groups): (Option<String>, &HashMap<i64, i64>),
        (archived, locked): (bool, bool),
    ) -> Result<(), ImportError> {
        let person = self.person(tenant, user.id).await?;
        if let Some(permit) = permit {
            let serials = unpack_permit(&permit).unwrap_or_default();
            let catalogue = self.catalogue(tenant).await?;
            let wanted: Vec<_> = serials
                .iter()
                .filter_map(|id| groups.get(id))
                .filter_map(|serial| catalogue.iter().find(|entry| entry.serial == *serial))
                .cloned()
                .collect();
            let by = By { serial: person.modified_by, cause: &Cause::operator(), tells: false };
            self.assign_as_it_was(tenant, (user, &person), &wanted, by).await?;
        }
        let change = match (archived, locked) {
            (true, _) => StateChange::Archive,
            (false, true) => StateChange::Lock,
            (false, false) => return Ok(()),
        };
        let id = user.id;
        self.identity().users().change_state((tenant, id), change, None, &Cause::operator()).await?;
        if archived {
            let by = person.modified_by;
            self.store()
                .write(async move |tx: &mut Tx<'_>| {
                    tx.execute(&schema::ARCHIVE_PERSON, &params![tenant, id, by]).await?;
                    super::people::changed(tx, tenant, id).await
                })
                .await
                .map_err(Failure::from)?;
        }
        Ok(())
    }

    /// Sets the groups, and leaves the moments as the original has them.
    async fn assign_as_it_was(
        &self,
        tenant: TenantId,
        (user, person): (&User, &Person),
        wanted: &[super::Entry],
        by: By<'_>,
    ) -> Result<(), Failure> {
        self.assign(tenant, (user, person), wanted, by).await?;
        let (id, by, enabled_at, disabled_at) = (user.id, by.serial, person.enabled_at, person.disabled_at);
        let permit = super::people::numbers(&wanted.iter().map(|entry| entry.serial).collect::<Vec<_>>());
        self.store()
            .write(async move |tx: &mut Tx<'_>| {
                tx.execute(&schema::SET_PERMIT, &params![tenant, id, &permit, by, enabled_at, disabled_at])
                    .await?;
                super::people::changed(tx, tenant, id).await
            })
            .await?;
        Ok(())
    }

    async fn import_sessions(
        &self,
        source: &Client,
        tenant: TenantId,
        done: &mut Imported,
    ) -> Result<(), ImportError> {
        let mut after = i64::MIN;
        loop {
            let rows = source.query(SESSIONS, &[&after, &PAGE]).await?;
            for row in &rows {
                after = row.try_get(0)?;
                let (key, serial): (Option<String>, i64) = (row.try_get(1)?, row.try_get(2)?);
                let expires = row.try_get::<_, Option<i64>>(3)?.map(Timestamp::from_micros);
                if let (Some(key), Some(expires)) = (key, expires)
                    && self.import_session(tenant, (&key, serial), expires).await?
                {
                    done.sessions += 1;
                }
            }
            if i64::try_from(rows.len()).unwrap_or(PAGE) < PAGE {
                return Ok(());
            }
        }
    }

    /// Takes over one session; false for one that is over, is here already, or is nobody's.
    async fn import_session(
        &self,
        tenant: TenantId,
        (key, serial): (&str, i64),
        expires: Timestamp,
    ) -> Result<bool, ImportError> {
        if expires <= self.world().now() || self.session_of(tenant, key).await?.is_some() {
            return Ok(false);
        }
        let Some((user, _)) = self.by_serial(tenant, serial).await? else { return Ok(false) };
        let (digest, session): (_, SessionId) = (TokenDigest::of(key), self.world().new_id());
        let (identity, id) = (self.identity().clone(), user.id);
        self.store()
            .write(async move |tx: &mut Tx<'_>| {
                let whose = (tenant, id, session);
                identity.sessions().take_over(tx, whose, expires, &Cause::operator()).await?;
                tx.execute(&schema::INSERT_SESSION, &params![tenant, digest.as_bytes(), session]).await?;
                Ok::<_, Error>(())
            })
            .await?;
        Ok(true)
    }
}

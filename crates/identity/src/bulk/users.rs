//! Users in bulk.

use super::{Bulk, Fate, How, Mode, Outcome, Problem, Seen, SeenKey, moment, problem};
use crate::passwords::credential;
use crate::second_factor::{self, ImportedTotp, PreparedTotp};
use crate::users::{self, Identifier, Prepared, TOPIC};
use crate::{Error, Patch, Profile, ProfilePatch, User, schema, sessions};
use keyreeve_base::{CanonicalName, TenantId, Timestamp, UserId};
use keyreeve_crypto::password::imported;
use keyreeve_store::{Tx, params};
use serde_json::json;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// How many rows are looked up at a time after one that gave a name back, which the next may want.
const SMALL: usize = 32;

/// A user as an import has it. What is absent is left alone where the user exists, and usual where not.
#[derive(Default)]
pub struct UserRow {
    /// The identifier to find the user by, or to give a new one.
    pub id: Option<UserId>,
    /// Who they are.
    pub profile: ProfilePatch,
    /// The hash of a password as it is to be stored ([`imported::recognise`]).
    pub password_hash: Option<String>,
    /// Whether the account is in use.
    pub enabled: Option<bool>,
    /// Whether an administrator locked it.
    pub locked: Option<bool>,
    /// Whether the next sign-in must choose a new password.
    pub must_change_password: Option<bool>,
    /// Second factors. A user who has one keeps it, and gets none of these.
    pub totp: Vec<ImportedTotp>,
    /// When a new account was made, wherever that was.
    pub created_at: Option<Timestamp>,
    /// When it was last changed there.
    pub updated_at: Option<Timestamp>,
}

/// A row that was looked at as far as that can be done without the database.
pub struct CheckedUser {
    row: UserRow,
    /// The names that the row gives, which are looked up.
    names: Vec<Identifier>,
    /// What is written if the user is new; else why there can be no such new user.
    new: Result<Prepared, Problem>,
    /// The second factors, sealed for the new user.
    totp: Vec<PreparedTotp>,
}

impl CheckedUser {
    /// What the row looks for.
    pub fn seen_keys(&self) -> impl Iterator<Item = SeenKey> {
        let by_id = self.row.id.map(|id| SeenKey::new("user-id", &id.to_string()));
        self.names.iter().map(|name| by_name(name.canonical.as_str())).chain(by_id)
    }
}

pub(super) fn by_name(canonical: &str) -> SeenKey {
    SeenKey::new("user", canonical)
}

/// Who was found for a row.
enum Found {
    Nobody,
    User(UserId),
    /// Somebody whom an earlier row of the trial would have made.
    Imagined(Uuid),
}

/// Whose the names and identifiers of some rows are.
struct Owners {
    names: HashMap<CanonicalName, (UserId, String)>,
    ids: HashMap<UserId, (TenantId, bool)>,
}

impl Bulk<'_> {
    /// Looks at a row.
    ///
    /// # Errors
    /// What is wrong with it in any case.
    pub fn check_user(self, how: &How, row: UserRow) -> Result<CheckedUser, Vec<Problem>> {
        let mut problems = Vec::new();
        if row.password_hash.as_deref().is_some_and(|hash| imported::recognise(hash).is_none()) {
            problems
                .push(Problem::new("password_hash", "is of no kind that is known here, or too expensive"));
        }
        let named = Profile {
            username: given(&row.profile.username),
            email: given(&row.profile.email),
            ..Profile::default()
        };
        let names = match named.identifiers() {
            Ok(names) => names,
            Err(_) if named.username.is_none() && named.email.is_none() => {
                if row.id.is_none() {
                    problems.push(Problem::new("username", "or an e-mail address or an id is needed"));
                }
                Vec::new()
            }
            Err(error) => {
                problems.extend(problem(error).ok());
                Vec::new()
            }
        };
        let new = match self.prepare(how.tenant, &row) {
            Ok(new) => Ok(new),
            Err(error) => Err(problem(error).unwrap_or_else(|error| Problem::new("", error.to_string()))),
        };
        let mut totp = Vec::with_capacity(row.totp.len());
        for (place, device) in row.totp.iter().enumerate() {
            // Bound to its user; if that turns out to be somebody who is there, it is sealed anew.
            let user = new.as_ref().map_or_else(|_| UserId::from_uuid(Uuid::nil()), |new| new.user.id);
            match self.0.second_factors().prepare(&how.sealer, user, device) {
                Ok(device) => totp.push(device),
                Err(Error::Invalid { field, problem }) => {
                    let field = field.strip_prefix("totp.").unwrap_or(field);
                    problems.push(Problem::new(&format!("totp/{place}/{field}"), problem));
                }
                Err(error) => problems.push(Problem::new("totp", error.to_string())),
            }
        }
        match (&new, names.is_empty()) {
            // Wrong for whoever it is.
            (Err(problem), false) if problems.is_empty() => problems.push(problem.clone()),
            _ => {}
        }
        if problems.is_empty() { Ok(CheckedUser { row, names, new, totp }) } else { Err(problems) }
    }

    fn prepare(self, tenant: TenantId, row: &UserRow) -> Result<Prepared, Error> {
        let (profile, _) = row.profile.apply(Profile::default())?;
        let now = self.now();
        let created_at = moment("created_at", row.created_at, now)?;
        let updated_at = moment("updated_at", row.updated_at, now)?;
        Prepared::new(User {
            id: row.id.unwrap_or_else(|| self.0.world().new_id()),
            tenant_id: tenant,
            profile,
            enabled: row.enabled.unwrap_or(true),
            locked: row.locked.unwrap_or(false),
            must_change_password: row.must_change_password.unwrap_or(false),
            archived_at: None,
            created_at,
            updated_at: updated_at.max(created_at),
            version: 1,
        })
    }

    /// Applies rows in their order; as many outcomes as rows.
    ///
    /// # Errors
    /// [`Error::Taken`], [`Error::VersionConflict`] when others were in the way: run the transaction again. Those of the
    /// store.
    pub async fn users(
        self,
        tx: &mut Tx<'_>,
        rows: &[&CheckedUser],
        how: &How,
        seen: &mut Seen,
    ) -> Result<Vec<Outcome>, Error> {
        let mut outcomes = Vec::with_capacity(rows.len());
        let mut window = rows.len();
        while let Some(rest) = rows.get(outcomes.len()..).filter(|rest| !rest.is_empty()) {
            let part = distinct(rest, window);
            let done = self.some_users(tx, part, how, seen).await?;
            window = if done.len() < part.len() { SMALL } else { window.saturating_mul(2) };
            outcomes.extend(done);
        }
        Ok(outcomes)
    }

    /// Applies rows of which no two give the same name, up to the first that gives one back.
    async fn some_users(
        self,
        tx: &mut Tx<'_>,
        rows: &[&CheckedUser],
        how: &How,
        seen: &mut Seen,
    ) -> Result<Vec<Outcome>, Error> {
        let owners = owners(tx, rows, how.tenant).await?;
        let mut outcomes = Vec::with_capacity(rows.len());
        let mut new = Vec::new();
        for row in rows {
            let (outcome, gives_back) = match find(row, &owners, how.tenant, seen) {
                Err(problem) => (Outcome::failed(problem), false),
                Ok(Found::Nobody) => match &row.new {
                    Err(problem) => (Outcome::failed(problem.clone()), false),
                    Ok(prepared) => {
                        new.push((*row, prepared));
                        (Outcome::of(Fate::Created, prepared.user.id.uuid()), false)
                    }
                },
                Ok(Found::Imagined(id)) => (Outcome::of(existing(how.mode, Fate::Updated), id), false),
                Ok(Found::User(id)) if how.mode == Mode::Create => {
                    (Outcome::of(Fate::Skipped, id.uuid()), false)
                }
                Ok(Found::User(id)) => self.change_user(tx, id, row, how).await?,
            };
            outcomes.push(outcome);
            if gives_back {
                break;
            }
        }
        if how.trial {
            for (row, new) in &new {
                row.seen_keys().for_each(|key| seen.note(key, new.user.id.uuid()));
            }
        } else {
            self.make(tx, &new).await?;
        }
        Ok(outcomes)
    }

    /// Inserts new users, their passwords and their second factors.
    async fn make(self, tx: &mut Tx<'_>, new: &[(&CheckedUser, &Prepared)]) -> Result<(), Error> {
        let prepared: Vec<_> = new.iter().map(|(_, prepared)| *prepared).collect();
        users::insert_all(tx, &prepared).await?;
        let hashes: Vec<_> = new
            .iter()
            .filter_map(|(row, new)| row.row.password_hash.as_ref().map(|hash| (&new.user, hash)))
            .map(|(user, hash)| params![user.id, *hash, user.created_at])
            .collect();
        if tx.execute_each(&schema::FIRST_PASSWORD, &hashes).await?.contains(&0) {
            return Err(Error::VersionConflict);
        }
        for (row, new) in new {
            for device in &row.totp {
                self.0.second_factors().import(tx, new.user.tenant_id, device).await?;
            }
        }
        // Nobody can have asked for an identifier that was made here a moment ago; for a given one somebody may have, and
        // remember that there was no such user.
        for (_, new) in new.iter().filter(|(row, _)| row.row.id.is_some()) {
            tx.changed(Some(new.user.tenant_id), TOPIC, &new.user.id.to_string()).await?;
        }
        Ok(())
    }

    /// Gives a user what a row says; also answers whether the user has other names now.
    async fn change_user(
        self,
        tx: &mut Tx<'_>,
        id: UserId,
        row: &CheckedUser,
        how: &How,
    ) -> Result<(Outcome, bool), Error> {
        let failed = |problem| Ok((Outcome::failed(problem), false));
        let before = match users::hold_user(tx, how.tenant, id).await {
            Ok(user) => user,
            Err(error) => return failed(problem(error)?),
        };
        let (profile, fields) = match row.row.profile.apply(before.profile.clone()) {
            Ok(after) => after,
            Err(error) => return failed(problem(error)?),
        };
        let after = User {
            profile,
            enabled: row.row.enabled.unwrap_or(before.enabled),
            locked: row.row.locked.unwrap_or(before.locked),
            must_change_password: row.row.must_change_password.unwrap_or(before.must_change_password),
            ..before.clone()
        };
        let stored = credential::present(tx, how.tenant, id).await?;
        let password = row.row.password_hash.as_deref();
        let password = password.filter(|hash| stored.as_ref().is_none_or(|stored| stored.hash != *hash));
        let renamed = before.profile.identifiers()? != after.profile.identifiers()?;
        let totp = !row.row.totp.is_empty() && !second_factor::in_use(tx, how.tenant, id).await?;
        if after == before && password.is_none() && !totp {
            return Ok((Outcome::of(Fate::Unchanged, id.uuid()), false));
        }
        if !how.trial {
            self.write_profile(tx, (&before, &after), &fields, how).await?;
            if let Some(hash) = password {
                self.write_password(tx, id, (stored.map(|stored| stored.version), hash), how).await?;
            }
            self.write_state(tx, (&before, after), how).await?;
            if totp {
                self.write_totp(tx, id, &row.row.totp, how).await?;
            }
        }
        Ok((Outcome::of(Fate::Updated, id.uuid()), renamed))
    }

    async fn write_profile(
        self,
        tx: &mut Tx<'_>,
        (before, after): (&User, &User),
        fields: &[&str],
        how: &How,
    ) -> Result<(), Error> {
        if before.profile == after.profile {
            return Ok(());
        }
        let mut after = after.clone();
        after.updated_at = self.now();
        users::write_profile(tx, &after, before.version).await?;
        if before.profile.identifiers()? != after.profile.identifiers()? {
            tx.execute(&schema::RELEASE_IDENTIFIERS, &params![how.tenant, after.id]).await?;
            users::claim_identifiers(tx, &after).await?;
        }
        users::reindex(tx, &after, &before.attributes).await?;
        let target = ("user", after.id.uuid());
        self.record(tx, how, target, ("user.update", json!({"fields": fields}))).await?;
        tx.changed(Some(how.tenant), TOPIC, &after.id.to_string()).await?;
        Ok(())
    }

    async fn write_password(
        self,
        tx: &mut Tx<'_>,
        id: UserId,
        (replaces, hash): (Option<i64>, &str),
        how: &How,
    ) -> Result<(), Error> {
        match replaces {
            None => credential::first(tx, id, hash, self.now()).await?,
            Some(version) => {
                let kept = (hash, how.limits.password_history);
                credential::replace(tx, id, version, kept, self.now()).await?;
            }
        }
        let detail = json!({"imported_hash": true});
        self.record(tx, how, ("user", id.uuid()), ("user.password.change", detail)).await?;
        let of = (how.tenant, id, None);
        sessions::end_all(tx, self.0, of, "password_change", &how.cause).await?;
        Ok(())
    }

    async fn write_totp(
        self,
        tx: &mut Tx<'_>,
        id: UserId,
        devices: &[ImportedTotp],
        how: &How,
    ) -> Result<(), Error> {
        for device in devices {
            let prepared = self.0.second_factors().prepare(&how.sealer, id, device)?;
            self.0.second_factors().import(tx, how.tenant, &prepared).await?;
        }
        let detail = json!({"devices": devices.len()});
        self.record(tx, how, ("user", id.uuid()), ("user.second_factor.import", detail)).await
    }

    async fn write_state(
        self,
        tx: &mut Tx<'_>,
        (before, mut after): (&User, User),
        how: &How,
    ) -> Result<(), Error> {
        let mut changes = Vec::new();
        for (was, is, on, off) in [
            (before.enabled, after.enabled, "user.enable", "user.disable"),
            (before.locked, after.locked, "user.lock", "user.unlock"),
        ] {
            if was != is {
                changes.push(if is { on } else { off });
            }
        }
        if before.must_change_password != after.must_change_password {
            let asked = after.must_change_password;
            let lifted = "user.password.require_no_change";
            changes.push(if asked { "user.password.require_change" } else { lifted });
        }
        if changes.is_empty() {
            return Ok(());
        }
        after.updated_at = self.now();
        users::write_state(tx, &mut after).await?;
        for action in &changes {
            let target = ("user", after.id.uuid());
            self.record(tx, how, target, (action, serde_json::Value::Null)).await?;
        }
        let ends = ["user.disable", "user.lock", "user.password.require_change"];
        if let Some(because) = changes.iter().copied().find(|change| ends.contains(change)) {
            sessions::end_all(tx, self.0, (how.tenant, after.id, None), because, &how.cause).await?;
        }
        Ok(())
    }
}

/// What becomes of a row about something that is there.
pub(super) fn existing(mode: Mode, upsert: Fate) -> Fate {
    match mode {
        Mode::Create => Fate::Skipped,
        Mode::Upsert => upsert,
    }
}

fn given(patch: &Patch<String>) -> Option<String> {
    match patch {
        Patch::Set(text) => Some(text.clone()),
        Patch::Keep | Patch::Clear => None,
    }
}

/// As many rows from the beginning as give different names and identifiers, at most `longest`.
fn distinct<'a, 'b>(rows: &'a [&'b CheckedUser], longest: usize) -> &'a [&'b CheckedUser] {
    let mut names = HashSet::new();
    let mut ids = HashSet::new();
    let length = rows
        .iter()
        .take(longest.max(1))
        .take_while(|row| {
            row.names.iter().all(|name| names.insert(&name.canonical))
                && row.row.id.is_none_or(|id| ids.insert(id))
        })
        .count();
    rows.get(..length.max(1)).unwrap_or(rows)
}

async fn owners(tx: &mut Tx<'_>, rows: &[&CheckedUser], tenant: TenantId) -> Result<Owners, Error> {
    let names: Vec<_> = rows.iter().flat_map(|row| &row.names).map(|name| &name.canonical).collect();
    let wanted: Vec<_> = names.iter().map(|name| params![tenant, **name]).collect();
    let found =
        tx.query_each(&schema::OWNER_OF_IDENTIFIER, &wanted, |row| Ok((row.get(0)?, row.get(1)?))).await?;
    let names = names
        .into_iter()
        .zip(found)
        .filter_map(|(name, owner)| owner.map(|owner| (name.clone(), owner)))
        .collect();
    let ids: Vec<_> = rows.iter().filter_map(|row| row.row.id).collect();
    let wanted: Vec<_> = ids.iter().map(|id| params![*id]).collect();
    let found = tx
        .query_each(&schema::OWNER_OF_USER_ID, &wanted, |row| {
            Ok((row.get(0)?, row.get::<Option<Timestamp>>(1)?.is_some()))
        })
        .await?;
    let ids = ids.into_iter().zip(found).filter_map(|(id, owner)| owner.map(|owner| (id, owner))).collect();
    Ok(Owners { names, ids })
}

/// Whom a row is about: the user of its identifier, else of its username, else of its address. That one of its names is
/// somebody else's is a problem.
fn find(row: &CheckedUser, owners: &Owners, tenant: TenantId, seen: &Seen) -> Result<Found, Problem> {
    let mut found = Found::Nobody;
    if let Some(id) = row.row.id {
        found = match owners.ids.get(&id) {
            // An identifier is never given out again, in no tenant (AC-52).
            Some((owner, archived)) if *owner != tenant || *archived => {
                return Err(Problem::new("id", "is in use or was"));
            }
            Some(_) => Found::User(id),
            None => match seen.get(SeenKey::new("user-id", &id.to_string())) {
                Some(id) => Found::Imagined(id),
                None => Found::Nobody,
            },
        };
    }
    for name in &row.names {
        let field = if name.kind == "email" { "email" } else { "username" };
        let taken = || Problem::new(field, "is somebody else's");
        let owner = owners.names.get(&name.canonical).map(|(id, kind)| (id.uuid(), kind.as_str()));
        let imagined = seen.get(by_name(name.canonical.as_str())).map(|id| (id, "both"));
        let Some((owner, kind)) = owner.or(imagined) else { continue };
        match found {
            Found::User(id) if id.uuid() == owner => {}
            Found::Imagined(id) if id == owner => {}
            // Found by this name, the first of the row's, and as what the row calls it.
            Found::Nobody
                if row.row.id.is_none() && is_first(row, name) && (kind == "both" || kind == field) =>
            {
                found = match imagined {
                    Some((id, _)) => Found::Imagined(id),
                    None => Found::User(UserId::from_uuid(owner)),
                };
            }
            Found::Nobody | Found::User(_) | Found::Imagined(_) => return Err(taken()),
        }
    }
    Ok(found)
}

fn is_first(row: &CheckedUser, name: &Identifier) -> bool {
    row.names.first() == Some(name)
}

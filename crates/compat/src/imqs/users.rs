//! Users: made, changed, renamed, archived, unlocked.

use super::call::Call;
use super::catalogue::permission;
use super::credential::{self, Basic};
use super::failure::Failure;
use super::people::{self, Names, Person, kind, patch};
use super::reply::{Answer, Reply};
use super::sign_in::Attempt;
use super::{Imqs, mail, schema};
use http::header;
use keyreeve_base::{TenantId, UserId};
use keyreeve_crypto::{Alphabet, Secret, random_text};
use keyreeve_identity::{
    Cause, Credential, Error, NewUser, PasswordPolicy, Profile, ProfilePatch, StateChange, User,
};
use keyreeve_store::{Tx, params};
use std::sync::Arc;
use uuid::Uuid;

/// The length of the password of an account that was made without one.
const RANDOM_PASSWORD: usize = 20;

impl Imqs {
    /// What passwords must be like here: the original has no rules.
    pub(super) fn policy(&self) -> PasswordPolicy {
        PasswordPolicy {
            min_chars: 1,
            history: self.options().history,
            max_age_days: None,
            refuse_own_names: false,
            refuse_common: false,
        }
    }

    /// Makes a user of the room with the side row.
    pub(super) async fn make_user(
        &self,
        tenant: TenantId,
        (profile, credential): (Profile, Credential),
        mut person: Person,
        cause: &Cause,
    ) -> Result<(Arc<User>, Arc<Person>), Failure> {
        let ready = self
            .identity()
            .users()
            .ready(tenant, NewUser { profile, credential, ..NewUser::default() })
            .await?;
        let user = Arc::new(ready.user().clone());
        person.user = user.id;
        if person.internal_uuid.is_nil() {
            person.internal_uuid = user.id.uuid();
        }
        let (identity, cause) = (self.identity().clone(), cause.clone());
        self.store()
            .write(async move |tx: &mut Tx<'_>| {
                identity.users().put(tx, &ready, &cause).await?;
                person.insert(tx, tenant).await?;
                Ok::<_, Error>(())
            })
            .await?;
        let person = self.person(tenant, user.id).await?;
        Ok((user, person))
    }
}

/// The parts of a profile that are sent beside the names.
fn profile_of(call: &Call, names: &Names) -> Profile {
    let some = |name: &str| Some(call.query(name).to_owned()).filter(|text| !text.is_empty());
    Profile {
        username: names.username.clone(),
        email: names.email.clone(),
        given_name: some("firstname"),
        family_name: some("lastname"),
        phone_number: some("mobilenumber"),
        ..Profile::default()
    }
}

pub(super) async fn create(call: Call) -> Answer {
    let imqs = &call.imqs;
    let tenant = call.tenant().await?;
    let (email, username) = (call.query("email"), call.query("username"));
    let label = if username.is_empty() { email } else { username };
    let names = Names::of(email, username);
    if names.is_empty() {
        return Err(Failure::EmptyIdentity.reply(403));
    }
    let internal_uuid = match call.query("uuid") {
        "" => Uuid::nil(),
        text => Uuid::try_parse(text).map_err(|_| Reply::text(403, "Invalid uuid"))?,
    };
    if imqs.is_taken(tenant, &names, None).await.map_err(|failure| failure.reply(403))? {
        return Err(Failure::AlreadyExists.reply(403));
    }
    let given = Some(call.query("password"))
        .filter(|text| !text.is_empty())
        .map(|text| Secret::from(text.to_owned()));
    let is_new_account = given.is_none();
    let password =
        given.unwrap_or_else(|| random_text(imqs.world(), Alphabet::Alphanumeric, RANDOM_PASSWORD));
    let person = Person {
        email: names.plain.clone(),
        internal_uuid,
        telephone: call.query("telephonenumber").to_owned(),
        remarks: call.query("remarks").to_owned(),
        ..Person::new(UserId::from_uuid(Uuid::nil()), call.serial())
    };
    let credential = Credential::PasswordUnder(password, imqs.policy());
    let made = imqs.make_user(tenant, (profile_of(&call, &names), credential), person, &call.cause()).await;
    let (user, person) = made.map_err(|failure| failure.reply(403))?;
    let text = format!("Created identity '{label}'");
    if !is_new_account {
        return Ok(Reply::text(200, text));
    }
    match imqs.send_reset(tenant, (&user, &person), mail::Letter::NewAccount).await {
        Ok(()) => Ok(Reply::text(200, text)),
        Err(failed) => {
            let reason = failed.text();
            Ok(Reply::text(200, format!("{text}. However, failed to initiate password reset: {reason}\n")))
        }
    }
}

pub(super) async fn update(call: Call) -> Answer {
    let raw = call.query("authusertype");
    let kind = match raw {
        "DEFAULT" | "0" => kind::DEFAULT,
        "LDAP" | "1" => kind::LDAP,
        _ => return Err(Reply::text(400, format!("Invalid AuthUserType: '{raw}'"))),
    };
    let serial = call.user_id().map_err(|text| Reply::text(400, text))?;
    let (imqs, tenant) = (&call.imqs, call.tenant().await?);
    let (user, _) = existing(&call, tenant, serial).await?;
    let names = Names::of(call.query("email"), call.query("username"));
    if names.is_empty() {
        return Err(Failure::EmptyIdentity.reply(403));
    }
    if imqs.is_taken(tenant, &names, Some(user.id)).await.map_err(|failure| failure.reply(403))? {
        return Err(Failure::AlreadyExists.reply(403));
    }
    let profile = profile_of(&call, &names);
    let patch = ProfilePatch {
        given_name: patch(profile.given_name),
        family_name: patch(profile.family_name),
        phone_number: patch(profile.phone_number),
        ..names.patch()
    };
    let (identity, cause, by, id) = (imqs.identity().clone(), call.cause(), call.serial(), user.id);
    let (telephone, remarks) = (call.query("telephonenumber").to_owned(), call.query("remarks").to_owned());
    let (plain, key) = (names.plain.clone(), names.plain.as_deref().and_then(people::key_of));
    let written = imqs
        .store()
        .write(async move |tx: &mut Tx<'_>| {
            identity.users().update_in(tx, (tenant, id), (&patch, None), &cause).await?;
            tx.execute(
                &schema::UPDATE_PERSON,
                &params![tenant, id, &plain, &key, kind, &telephone, &remarks, by],
            )
            .await?;
            people::changed(tx, tenant, id).await?;
            Ok::<_, Error>(())
        })
        .await;
    written.map_err(|error| Failure::from(error).reply(403))?;
    Ok(Reply::text(200, format!("Updated user: '{serial}'")))
}

/// The user of a number whom the caller may change.
async fn existing(call: &Call, tenant: TenantId, serial: i64) -> Result<(Arc<User>, Person), Reply> {
    let found = call.imqs.by_serial(tenant, serial).await.map_err(|failure| failure.reply(403))?;
    let found = found.ok_or_else(|| Failure::NoSuchUser.reply(403))?;
    call.may_touch(tenant, found.0.id).await?;
    Ok(found)
}

pub(super) async fn archive(call: Call) -> Answer {
    let serial = call.user_id().map_err(|text| Reply::text(403, text))?;
    let (imqs, tenant) = (&call.imqs, call.tenant().await?);
    let (user, _) = existing(&call, tenant, serial).await?;
    let (identity, cause, by, id) = (imqs.identity().clone(), call.cause(), call.serial(), user.id);
    let archived = imqs
        .store()
        .write(async move |tx: &mut Tx<'_>| {
            identity.users().change_in(tx, (tenant, id), (StateChange::Archive, None), &cause).await?;
            tx.execute(&schema::ARCHIVE_PERSON, &params![tenant, id, by]).await?;
            tx.execute(&schema::FORGET_RESET, &params![tenant, id]).await?;
            people::changed(tx, tenant, id).await?;
            Ok::<_, Error>(())
        })
        .await;
    archived.map_err(|error| Failure::from(error).reply(403))?;
    Ok(Reply::text(200, format!("Archived user: '{serial}'")))
}

pub(super) async fn unlock(call: Call) -> Answer {
    let serial = call.user_id().map_err(|text| Reply::text(400, text))?;
    let (imqs, tenant) = (&call.imqs, call.tenant().await?);
    let (user, _) = existing(&call, tenant, serial).await?;
    let (identity, cause, id) = (imqs.identity().clone(), call.cause(), user.id);
    let unlocked = identity.users().change_state((tenant, id), StateChange::Unlock, None, &cause).await;
    unlocked.map_err(|error| Failure::from(error).reply(403))?;
    imqs.forgive(tenant, id).await.map_err(|failure| failure.reply(403))?;
    Ok(Reply::text(200, format!("Unlocked user: '{serial}'")))
}

const RENAME_NEEDS: &str = "'rename_user' must be accompanied by HTTP BASIC authentication of the user that is being renamed \
    (this confirms that you know your own password). Alternatively, if you have admin rights, you can rename any user.";

pub(super) async fn rename(call: Call) -> Answer {
    let (imqs, tenant) = (&call.imqs, call.tenant().await?);
    let (old, new) = (call.query("old").to_lowercase(), call.query("new").to_lowercase());
    if old.is_empty() {
        return Err(Reply::text(400, "No 'old' identity given"));
    }
    let found = imqs.resolve(tenant, &old).await.map_err(|failure| failure.reply(400))?;
    let (user, person) = found.ok_or_else(|| Reply::text(400, format!("Identity '{old}'' not found")))?;
    if new.is_empty() {
        return Err(Reply::text(400, "No 'new' identity given"));
    }
    if call.actor.as_ref().is_some_and(|actor| !actor.effective.has(permission::ADMIN)) {
        confirmed(&call, tenant, (user.id, &old)).await?;
    }
    call.may_touch(tenant, user.id).await?;
    let done = || Ok(Reply::text(200, format!("Renamed '{old}' to '{new}'")));
    if old == new {
        return done();
    }
    let names = Names::of(&new, person.username_of(&user.profile));
    if imqs.is_taken(tenant, &names, Some(user.id)).await.map_err(|failure| failure.reply(400))? {
        return Err(Failure::AlreadyExists.reply(400));
    }
    if people::key_of(person.email_of(&user.profile)).as_deref() != Some(&old) {
        return Err(Failure::NoSuchUser.behind(400, "No rows were affected during update: "));
    }
    let (identity, cause, by, id) = (imqs.identity().clone(), call.cause(), call.serial(), user.id);
    let written = imqs
        .store()
        .write(async move |tx: &mut Tx<'_>| {
            identity.users().update_in(tx, (tenant, id), (&names.patch(), None), &cause).await?;
            let key = names.plain.as_deref().and_then(people::key_of);
            tx.execute(&schema::RENAME_PERSON, &params![tenant, id, &names.plain, &key, by]).await?;
            people::changed(tx, tenant, id).await?;
            identity.sessions().end_all_in(tx, (tenant, id, None), "renamed", &cause).await?;
            Ok::<_, Error>(())
        })
        .await;
    written.map_err(|error| Failure::from(error).reply(400))?;
    done()
}

/// Whether the request bears the password of the user who is renamed.
async fn confirmed(call: &Call, tenant: TenantId, (target, old): (UserId, &str)) -> Result<(), Reply> {
    let refused = |why: String| Reply::text(403, format!("{RENAME_NEEDS} {why}"));
    let failed = |failure: Failure| match failure {
        failure @ (Failure::Wait(_) | Failure::Internal(_)) => failure.reply(403),
        other => refused(format!("Error: {}", other.text())),
    };
    // Basic without a cookie was checked already.
    let actor = match call.actor.as_ref().filter(|actor| actor.session.is_none()) {
        Some(actor) => actor.clone(),
        None if !call.headers.contains_key(header::AUTHORIZATION) => {
            return Err(failed(Failure::NoCredential));
        }
        None => {
            let Basic { identity, password } = credential::basic(&call.headers).map_err(failed)?;
            let attempt = Attempt { tenant, identity: &identity, password, origin: &call.origin };
            call.imqs.once(attempt).await.map_err(failed)?
        }
    };
    if actor.user.id == target {
        return Ok(());
    }
    let who = actor.person.identity_of(&actor.user.profile);
    Err(refused(format!("Authenticated with '{who}', but tried to rename user '{old}'")))
}

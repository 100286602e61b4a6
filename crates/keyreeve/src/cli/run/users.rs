//! `keyreeve user …`

use super::{shown, tenant, with, within, yes};
use crate::App;
use crate::cli::args::{UserArg, UserCommand, UserCreate};
use crate::cli::exit::{Exit, Failure, Output, record, table};
use crate::cli::input::Input;
use crate::first_start::random_password;
use keyreeve_base::{TenantId, UserId};
use keyreeve_crypto::Secret;
use keyreeve_identity::{Cause, Credential, LinkKind, NewUser, Profile, Session, StateChange, User};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) async fn run(app: &App, command: &UserCommand, input: Input) -> Result<Output, Failure> {
    match command {
        UserCommand::Create(new) => create(app, new, input).await,
        UserCommand::Show(user) => show(&*find(app, user).await?),
        UserCommand::List { tenant, after, limit } => {
            let tenant = within(app, tenant).await?.id;
            list(app, tenant, after.as_deref(), *limit).await
        }
        UserCommand::SetPassword { user, password, keep } => {
            let generated = password.generate_password.then(|| random_password(app));
            set_password(app, user, input.secret, generated, !keep).await
        }
        UserCommand::Enable(user) => change(app, user, StateChange::Enable).await,
        UserCommand::Disable(user) => change(app, user, StateChange::Disable).await,
        UserCommand::Lock(user) => change(app, user, StateChange::Lock).await,
        UserCommand::Unlock(user) => change(app, user, StateChange::Unlock).await,
        UserCommand::RequirePasswordChange(user) => {
            change(app, user, StateChange::RequirePasswordChange).await
        }
        UserCommand::SendReset(user) => send(app, user, LinkKind::PasswordReset).await,
        UserCommand::SendVerification(user) => send(app, user, LinkKind::EmailVerification).await,
        UserCommand::Mail(user) => mail(app, user).await,
        UserCommand::Sessions(user) => sessions(app, user).await,
        UserCommand::EndSessions { user, session } => end_sessions(app, user, session.as_deref()).await,
    }
}

/// The user whom an argument names: by identifier, else by user name or e-mail address.
async fn find(app: &App, argument: &UserArg) -> Result<Arc<User>, Failure> {
    let tenant = tenant(app, &argument.tenant.tenant).await?.id;
    let users = app.identity.users();
    let found = match argument.user.parse::<UserId>() {
        Ok(id) => users.by_id(tenant, id).await?,
        Err(_) => users.find(tenant, &argument.user).await?.map(Arc::new),
    };
    found.ok_or_else(|| Failure::not_found(format!("there is no user {:?} in this tenant", argument.user)))
}

async fn create(app: &App, new: &UserCreate, input: Input) -> Result<Output, Failure> {
    let tenant = within(app, &new.tenant).await?.id;
    let generated = new.password.generate_password.then(|| random_password(app));
    let given = input.secret.as_ref().or(generated.as_ref()).map(Secret::duplicate);
    let credential = match given {
        Some(hash) if new.password_hash_stdin => Credential::ImportedHash(hash.expose().to_owned()),
        Some(password) => Credential::Password(password),
        None => Credential::None,
    };
    let without = matches!(credential, Credential::None);
    let user = NewUser {
        profile: Profile {
            username: new.username.clone(),
            email: new.email.clone(),
            email_verified: new.email_verified,
            given_name: new.given_name.clone(),
            family_name: new.family_name.clone(),
            display_name: new.display_name.clone(),
            phone_number: new.phone_number.clone(),
            locale: new.locale.clone(),
            zoneinfo: new.zoneinfo.clone(),
            attributes: attributes(&new.attributes)?,
        },
        credential,
        must_change_password: new.must_change_password,
        ..NewUser::default()
    };
    let user = app.identity.users().create(tenant, user, &Cause::operator()).await?;
    let output = with_password(show(&user)?, generated.as_ref());
    let hint = "\n\nThe user has no password yet: `keyreeve user set-password` gives one.";
    Ok(if without { Output { text: output.text + hint, ..output } } else { output })
}

fn attributes(given: &[String]) -> Result<BTreeMap<String, Vec<String>>, Failure> {
    let mut attributes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for attribute in given {
        let (name, value) = attribute
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("{attribute:?} is not of the form NAME=VALUE")))?;
        attributes.entry(name.to_owned()).or_default().push(value.to_owned());
    }
    Ok(attributes)
}

fn with_password(output: Output, generated: Option<&Secret>) -> Output {
    match generated {
        None => output,
        Some(password) => Output {
            text: format!("{}\n\nPassword, shown this once: {}", output.text, password.expose()),
            json: with(output.json, json!({"password": password.expose()})),
            ..output
        },
    }
}

fn show(user: &User) -> Result<Output, Failure> {
    let names = [user.given_name.as_deref(), user.family_name.as_deref()];
    let name = names.into_iter().flatten().collect::<Vec<_>>().join(" ");
    let email = user.email.as_ref().map(|email| {
        if user.email_verified { format!("{email} (verified)") } else { format!("{email} (not verified)") }
    });
    let attributes: Vec<_> =
        user.attributes.iter().map(|(name, values)| format!("{name}={}", values.join(","))).collect();
    let text = record(&[
        ("user name", user.username.clone()),
        ("e-mail", email),
        ("name", (!name.is_empty()).then_some(name)),
        ("shown as", user.display_name.clone()),
        ("phone", user.phone_number.clone()),
        ("locale", user.locale.clone()),
        ("time zone", user.zoneinfo.clone()),
        ("attributes", (!attributes.is_empty()).then(|| attributes.join(" "))),
        ("enabled", Some(yes(user.enabled))),
        ("locked", Some(yes(user.locked))),
        ("must change password", Some(yes(user.must_change_password))),
        ("archived", user.archived_at.map(|at| at.to_string())),
        ("created", Some(user.created_at.to_string())),
        ("id", Some(user.id.to_string())),
    ]);
    Ok(Output::new(text, shown(user)?))
}

async fn list(app: &App, tenant: TenantId, after: Option<&str>, limit: u16) -> Result<Output, Failure> {
    let after = after
        .map(|id| id.parse().map_err(|_| Failure::usage(format!("{id:?} is not the identifier of a user"))))
        .transpose()?;
    let users = app.identity.users().list(tenant, after, limit).await?;
    let rows: Vec<_> = users
        .iter()
        .map(|user| {
            vec![
                user.id.to_string(),
                user.username.clone().unwrap_or_default(),
                user.email.clone().unwrap_or_default(),
                user.greeting(),
                if user.is_active() {
                    "active"
                } else if user.locked {
                    "locked"
                } else {
                    "disabled"
                }
                .to_owned(),
            ]
        })
        .collect();
    let json = users.iter().map(shown).collect::<Result<Vec<_>, _>>()?;
    Ok(Output::new(table(&["ID", "USER NAME", "E-MAIL", "NAME", "STATE"], &rows), Value::Array(json)))
}

async fn set_password(
    app: &App,
    user: &UserArg,
    given: Option<Secret>,
    generated: Option<Secret>,
    must_change: bool,
) -> Result<Output, Failure> {
    let user = find(app, user).await?;
    let password = given.or_else(|| generated.as_ref().map(Secret::duplicate));
    let password = password.ok_or_else(|| Failure::usage("no password was given"))?;
    let subject = (user.tenant_id, user.id);
    app.identity.passwords().set(subject, password, must_change, &Cause::operator()).await?;
    let user = app.identity.users().get(user.tenant_id, user.id).await?;
    Ok(with_password(show(&user)?, generated.as_ref()))
}

async fn change(app: &App, user: &UserArg, change: StateChange) -> Result<Output, Failure> {
    let user = find(app, user).await?;
    let subject = (user.tenant_id, user.id);
    show(&*app.identity.users().change_state(subject, change, None, &Cause::operator()).await?)
}

async fn send(app: &App, argument: &UserArg, kind: LinkKind) -> Result<Output, Failure> {
    let user = find(app, argument).await?;
    let (recovery, of) = (app.identity.recovery(), (user.tenant_id, user.id));
    let mail = match kind {
        LinkKind::PasswordReset => recovery.send_password_reset(of, &Cause::operator()).await?,
        LinkKind::EmailVerification => recovery.send_email_verification(of, &Cause::operator()).await?,
    };
    let text =
        "The message waits; the running server sends it. `keyreeve user mail` tells what became of it.";
    Ok(Output::new(text.to_owned(), json!({"mail": mail, "kind": kind})))
}

async fn mail(app: &App, argument: &UserArg) -> Result<Output, Failure> {
    let user = find(app, argument).await?;
    let records = app.identity.recovery().mail_of(user.tenant_id, user.id).await?;
    let rows: Vec<Vec<String>> = records
        .iter()
        .map(|record| {
            vec![
                record.queued_at.to_string(),
                record.kind.text().to_owned(),
                record.state.text().to_owned(),
                record.attempts.to_string(),
                record.problem.clone().unwrap_or_else(|| "-".to_owned()),
            ]
        })
        .collect();
    let json = json!(records);
    Ok(Output::new(table(&["WRITTEN", "KIND", "STATE", "ATTEMPTS", "PROBLEM"], &rows), json))
}

async fn sessions(app: &App, user: &UserArg) -> Result<Output, Failure> {
    let user = find(app, user).await?;
    let sessions = app.identity.sessions().list(user.tenant_id, user.id).await?;
    let rows: Vec<_> = sessions
        .iter()
        .map(|session| {
            vec![
                session.id.to_string(),
                session.created_at.to_string(),
                session.last_seen_at.to_string(),
                session.address.clone().unwrap_or_default(),
                session.user_agent.clone().unwrap_or_default(),
            ]
        })
        .collect();
    let json = sessions.iter().map(session_json).collect();
    Ok(Output::new(table(&["ID", "SINCE", "LAST SEEN", "ADDRESS", "BROWSER"], &rows), Value::Array(json)))
}

fn session_json(session: &Session) -> Value {
    json!({
        "id": session.id,
        "user_id": session.user_id,
        "created_at": session.created_at.to_string(),
        "last_seen_at": session.last_seen_at.to_string(),
        "auth_time": session.auth_time.to_string(),
        "expires_at": session.expires_at.to_string(),
        "idle_expires_at": session.idle_expires_at.to_string(),
        "amr": &session.amr[..],
        "address": session.address,
        "user_agent": session.user_agent,
    })
}

async fn end_sessions(app: &App, user: &UserArg, session: Option<&str>) -> Result<Output, Failure> {
    let user = find(app, user).await?;
    let sessions = app.identity.sessions();
    let ended = match session {
        None => sessions.end_all(user.tenant_id, user.id, None, &Cause::operator()).await?,
        Some(text) => {
            let id = text
                .parse()
                .map_err(|_| Failure::usage(format!("{text:?} is not the identifier of a session")))?;
            if !sessions.end(user.tenant_id, user.id, id, &Cause::operator()).await? {
                return Err(Failure::new(Exit::NotFound, format!("the user has no live session {text}")));
            }
            1
        }
    };
    Ok(Output::new(format!("{ended} sessions were ended."), json!({"ended": ended})))
}

//! `keyreeve user …`

use super::{listed, names, said};
use crate::cli::args::{UserArg, UserCommand, UserCreate};
use crate::cli::client::{Api, Call, at};
use crate::cli::edits;
use crate::cli::exit::{Failure, Output};
use crate::cli::input::Input;
use crate::cli::system_world;
use crate::cli::view::{self, Fields};
use crate::first_start::random_password;
use keyreeve_base::SessionId;
use keyreeve_crypto::Secret;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const USER: Fields = &[
    ("user name", "/username"),
    ("e-mail", "/email"),
    ("e-mail verified", "/email_verified"),
    ("given name", "/given_name"),
    ("family name", "/family_name"),
    ("shown as", "/display_name"),
    ("phone", "/phone_number"),
    ("locale", "/locale"),
    ("time zone", "/zoneinfo"),
    ("attributes", "/attributes"),
    ("enabled", "/enabled"),
    ("locked", "/locked"),
    ("must change password", "/must_change_password"),
    ("archived", "/archived_at"),
    ("created", "/created_at"),
    ("version", "/version"),
    ("id", "/id"),
];
const USERS: Fields = &[
    ("ID", "/id"),
    ("USER NAME", "/username"),
    ("E-MAIL", "/email"),
    ("NAME", "/display_name"),
    ("ENABLED", "/enabled"),
    ("LOCKED", "/locked"),
];
const SESSIONS: Fields = &[
    ("ID", "/id"),
    ("SINCE", "/created_at"),
    ("LAST SEEN", "/last_seen_at"),
    ("ADDRESS", "/address"),
    ("BROWSER", "/user_agent"),
];
const MAIL: Fields = &[
    ("WRITTEN", "/queued_at"),
    ("KIND", "/kind"),
    ("STATE", "/state"),
    ("ATTEMPTS", "/attempts"),
    ("PROBLEM", "/problem"),
];
const DEVICES: Fields =
    &[("ID", "/id"), ("NAME", "/name"), ("SINCE", "/created_at"), ("LAST USED", "/last_used_at")];
const DUPLICATES: Fields = &[("VALUES", "/values"), ("COUNT", "/count"), ("USERS", "/users")];
const GROUPS: Fields = &[("ID", "/id"), ("NAME", "/name"), ("KIND", "/kind")];
const ROLES: Fields = &[("ID", "/id"), ("NAME", "/name"), ("CLIENT", "/client")];

pub(super) async fn run(api: &Api, command: &UserCommand, input: Input) -> Result<Output, Failure> {
    match command {
        UserCommand::Create(new) => create(api, new, input).await,
        UserCommand::Show(user) => {
            let id = find(api, user).await?;
            Ok(view::one(api.send(&user.tenant.tenant, Call::get(at!["users", id])).await?, USER))
        }
        UserCommand::List { tenant, paging } => {
            listed(api, &tenant.tenant, Call::get(at!["users"]), paging, USERS).await
        }
        UserCommand::Update { user, edits } => {
            let id = find(api, user).await?;
            let call = Call::patch(at!["users", id]).body(edits::patch(edits)?).version(edits.version);
            Ok(view::one(api.send(&user.tenant.tenant, call).await?, USER))
        }
        UserCommand::SetPassword { user, password, keep } => {
            let generated = password.generate_password.then(|| random_password(&system_world()));
            set_password(api, user, input.secret, generated, !keep).await
        }
        UserCommand::Enable(user) => change(api, user, "enable").await,
        UserCommand::Disable(user) => change(api, user, "disable").await,
        UserCommand::Lock(user) => change(api, user, "lock").await,
        UserCommand::Unlock(user) => change(api, user, "unlock").await,
        UserCommand::RequirePasswordChange(user) => change(api, user, "require-password-change").await,
        UserCommand::Archive(user) => {
            let id = find(api, user).await?;
            api.send(&user.tenant.tenant, Call::delete(at!["users", id])).await?;
            Ok(said(format!("The user {} was archived.", user.user), json!({"archived": id})))
        }
        UserCommand::SendReset(user) => send(api, user, "send-reset").await,
        UserCommand::SendVerification(user) => send(api, user, "send-verification").await,
        UserCommand::Mail(user) => list_of(api, user, "mail", MAIL).await,
        UserCommand::SecondFactor(user) => second_factor(api, user).await,
        UserCommand::RemoveSecondFactor(user) => {
            let id = find(api, user).await?;
            api.send(&user.tenant.tenant, Call::delete(at!["users", id, "second-factor"])).await?;
            let text = format!("The second factor of {} was removed.", user.user);
            Ok(said(text, json!({"removed": id})))
        }
        UserCommand::Duplicates { tenant, by, limit, all, after } => {
            let limit = if *all { 100 } else { *limit };
            let call = Call::get(at!["users", "duplicates"])
                .query("by", Some(by.join(",")))
                .query("limit", Some(limit))
                .query("after", after.as_ref());
            let (items, next) = api.list(&tenant.tenant, call, *all).await?;
            Ok(view::page(items, next.as_deref(), DUPLICATES))
        }
        UserCommand::Merge { user, absorb, take, version } => {
            let tenant = &*user.tenant.tenant;
            let keep = find(api, user).await?;
            let absorb = names::user(api, tenant, absorb).await?;
            let body = json!({"absorb": absorb, "take": take});
            let call = Call::post(at!["users", keep, "merge"]).body(body).version(*version);
            Ok(view::one(api.send(tenant, call).await?, USER))
        }
        UserCommand::Groups { user, transitive } => {
            let id = find(api, user).await?;
            let (mut items, _) =
                api.list(&user.tenant.tenant, Call::get(at!["users", id, "groups"]), true).await?;
            // Only a direct membership has a kind.
            items.retain(|group| *transitive || group.get("kind").is_some());
            Ok(view::many(items, GROUPS))
        }
        UserCommand::Roles { user, effective } => {
            let id = find(api, user).await?;
            let mut roles = api.send(&user.tenant.tenant, Call::get(at!["users", id, "roles"])).await?;
            let which = if *effective { "effective" } else { "direct" };
            let items = match roles.get_mut(which).map(Value::take) {
                Some(Value::Array(items)) => items,
                _ => Vec::new(),
            };
            Ok(view::many(items, ROLES))
        }
        UserCommand::Sessions(user) => list_of(api, user, "sessions", SESSIONS).await,
        UserCommand::EndSessions { user, session } => end_sessions(api, user, session.as_deref()).await,
    }
}

async fn find(api: &Api, user: &UserArg) -> Result<String, Failure> {
    names::user(api, &user.tenant.tenant, &user.user).await
}

async fn create(api: &Api, new: &UserCreate, input: Input) -> Result<Output, Failure> {
    let generated = new.password.generate_password.then(|| random_password(&system_world()));
    let mut document = Map::new();
    for (field, value) in [
        ("username", &new.username),
        ("email", &new.email),
        ("given_name", &new.given_name),
        ("family_name", &new.family_name),
        ("display_name", &new.display_name),
        ("phone_number", &new.phone_number),
        ("locale", &new.locale),
        ("zoneinfo", &new.zoneinfo),
    ] {
        document.extend(value.as_ref().map(|value| (field.to_owned(), json!(value))));
    }
    document.insert("email_verified".to_owned(), json!(new.email_verified));
    document.insert("must_change_password".to_owned(), json!(new.must_change_password));
    document.insert("attributes".to_owned(), json!(attributes(&new.attributes)?));
    let given = input.secret.as_ref().or(generated.as_ref());
    let how = if new.password_hash_stdin { "imported_hash" } else { "password" };
    document.extend(given.map(|secret| (how.to_owned(), json!(secret.expose()))));
    let call = Call::post(at!["users"]).body(Value::Object(document));
    let made = view::one(api.send(&new.tenant.tenant, call).await?, USER);
    let hint = "\n\nThe user has no password yet: `keyreeve user set-password` gives one.";
    Ok(match given {
        None => Output { text: made.text + hint, ..made },
        Some(_) => with_password(made, generated.as_ref()),
    })
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

fn with_password(mut output: Output, generated: Option<&Secret>) -> Output {
    if let Some(password) = generated {
        output.text.push_str(&format!("\n\nPassword, shown this once: {}", password.expose()));
        if let Value::Object(members) = &mut output.json {
            members.insert("password".to_owned(), json!(password.expose()));
        }
    }
    output
}

async fn set_password(
    api: &Api,
    user: &UserArg,
    given: Option<Secret>,
    generated: Option<Secret>,
    must_change: bool,
) -> Result<Output, Failure> {
    let id = find(api, user).await?;
    let password =
        given.as_ref().or(generated.as_ref()).ok_or_else(|| Failure::usage("no password was given"))?;
    let body = json!({"password": password.expose(), "must_change": must_change});
    let tenant = &*user.tenant.tenant;
    api.send(tenant, Call::put(at!["users", id, "password"]).body(body)).await?;
    let shown = view::one(api.send(tenant, Call::get(at!["users", id])).await?, USER);
    Ok(with_password(shown, generated.as_ref()))
}

async fn change(api: &Api, user: &UserArg, what: &str) -> Result<Output, Failure> {
    let id = find(api, user).await?;
    Ok(view::one(api.send(&user.tenant.tenant, Call::post(at!["users", id, what])).await?, USER))
}

/// A short list of what a user has.
async fn list_of(api: &Api, user: &UserArg, what: &str, columns: Fields) -> Result<Output, Failure> {
    let id = find(api, user).await?;
    let (items, _) = api.list(&user.tenant.tenant, Call::get(at!["users", id, what]), true).await?;
    Ok(view::many(items, columns))
}

async fn send(api: &Api, user: &UserArg, what: &str) -> Result<Output, Failure> {
    let id = find(api, user).await?;
    let sent = api.send(&user.tenant.tenant, Call::post(at!["users", id, what])).await?;
    let text =
        "The message waits; the running server sends it. `keyreeve user mail` tells what became of it.";
    Ok(said(text, sent))
}

async fn second_factor(api: &Api, user: &UserArg) -> Result<Output, Failure> {
    let id = find(api, user).await?;
    let factor = api.send(&user.tenant.tenant, Call::get(at!["users", id, "second-factor"])).await?;
    let devices = factor.get("devices").and_then(Value::as_array).cloned().unwrap_or_default();
    let codes = factor.get("recovery_codes").and_then(Value::as_i64).unwrap_or_default();
    let text = match devices.is_empty() {
        true => "None: the password alone signs in.".to_owned(),
        false => format!("{}\n\n{codes} recovery codes are left.", view::many(devices, DEVICES).text),
    };
    Ok(said(text, factor))
}

async fn end_sessions(api: &Api, user: &UserArg, session: Option<&str>) -> Result<Output, Failure> {
    let id = find(api, user).await?;
    let tenant = &*user.tenant.tenant;
    let ended = match session {
        None => {
            let (live, _) = api.list(tenant, Call::get(at!["users", id, "sessions"]), true).await?;
            api.send(tenant, Call::delete(at!["users", id, "sessions"])).await?;
            live.len()
        }
        Some(session) => {
            if session.parse::<SessionId>().is_err() {
                return Err(Failure::usage(format!("{session:?} is not the identifier of a session")));
            }
            api.send(tenant, Call::delete(at!["sessions", session])).await?;
            1
        }
    };
    Ok(said(format!("{ended} sessions were ended."), json!({"ended": ended})))
}

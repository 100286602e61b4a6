//! `keyreeve secret …` and `keyreeve ssh …`

use super::{listed, names, said};
use crate::cli::args::{
    MemberArg, PartyKind, PolicyCreate, SecretArg, SecretCommand, SecretCreate, SecretKind, SshCommand,
    VersionFate,
};
use crate::cli::client::{Api, Call, at};
use crate::cli::edits;
use crate::cli::exit::{Failure, Output};
use crate::cli::input::Input;
use crate::cli::view::{self, Fields};
use serde_json::{Value, json};

const SECRET: Fields = &[
    ("id", "/id"),
    ("kind", "/kind"),
    ("name", "/name"),
    ("description", "/description"),
    ("labels", "/labels"),
    ("owner", "/owner/id"),
    ("owner type", "/owner/kind"),
    ("mount", "/mount"),
    ("path", "/path"),
    ("store", "/store"),
    ("path in the store", "/store_path"),
    ("newest version", "/current"),
    ("public key", "/facts/public_key"),
    ("fingerprint", "/facts/fingerprint"),
    ("ends", "/expires_at"),
    ("created", "/created_at"),
    ("changed", "/updated_at"),
    ("version", "/version"),
];
const SECRETS: Fields =
    &[("ID", "/id"), ("KIND", "/kind"), ("NAME", "/name"), ("PATH", "/path"), ("ENDS", "/expires_at")];
const VERSION: Fields = &[
    ("number", "/number"),
    ("created", "/created_at"),
    ("by", "/created_by"),
    ("public key", "/facts/public_key"),
    ("fingerprint", "/facts/fingerprint"),
];
const VERSIONS: Fields = &[
    ("NUMBER", "/number"),
    ("CREATED", "/created_at"),
    ("BY", "/created_by"),
    ("DELETED", "/deleted_at"),
    ("DESTROYED", "/destroyed"),
];
const LEASES: Fields = &[
    ("ID", "/id"),
    ("HOLDER", "/holder"),
    ("VERSION", "/version"),
    ("ENDS", "/expires_at"),
    ("REVOKED", "/revoked_at"),
];
pub(super) const POLICY: Fields = &[
    ("name", "/name"),
    ("authority", "/authority"),
    ("kind", "/kind"),
    ("names", "/rules/names"),
    ("seconds", "/rules/max_seconds"),
    ("version", "/version"),
];
const POLICIES: Fields = &[
    ("NAME", "/name"),
    ("KIND", "/kind"),
    ("NAMES", "/rules/names"),
    ("SECONDS", "/rules/max_seconds"),
    ("AUTHORITY", "/authority"),
];
const CERTIFICATES: Fields = &[
    ("ID", "/id"),
    ("KIND", "/kind"),
    ("NAMES", "/names"),
    ("SERIAL", "/serial"),
    ("ENDS", "/not_after"),
    ("REVOKED", "/revoked_at"),
];

pub(super) async fn run(api: &Api, command: &SecretCommand, input: Input) -> Result<Output, Failure> {
    match command {
        SecretCommand::Create(new) => create(api, new, &input).await,
        SecretCommand::Show(of) => {
            Ok(view::one(send(api, of, |id| Call::get(at!["secrets", id])).await?, SECRET))
        }
        SecretCommand::List { tenant, paging } => {
            listed(api, &tenant.tenant, Call::get(at!["secrets"]), paging, SECRETS).await
        }
        SecretCommand::Read { secret, number } => {
            let asked = json!({"version": number});
            let read = send(api, secret, |id| Call::post(at!["secrets", id, "read"]).body(asked)).await?;
            Ok(Output::new(value_of(&read), read))
        }
        SecretCommand::Write { secret, kind, follows, .. } => {
            let value = brought(*kind, &input)?;
            let body = json!({"value": value, "follows": follows});
            let written =
                send(api, secret, |id| Call::post(at!["secrets", id, "versions"]).body(body)).await?;
            Ok(view::one(written, VERSION))
        }
        SecretCommand::Rotate(of) => {
            let written = send(api, of, |id| Call::post(at!["secrets", id, "rotate"])).await?;
            Ok(view::one(written, VERSION))
        }
        SecretCommand::Update { secret, edits } => {
            let patch = edits::patch(edits)?;
            let call = |id: &str| Call::patch(at!["secrets", id]).body(patch).version(edits.version);
            Ok(view::one(send(api, secret, call).await?, SECRET))
        }
        SecretCommand::Transfer { secret, member, tenant } => {
            transfer(api, secret, member, &tenant.tenant).await
        }
        SecretCommand::Versions(of) => {
            let call = Call::get(at!["secrets", of.secret, "versions"]);
            let (items, _) = api.list(&of.tenant.tenant, call, true).await?;
            Ok(view::many(items, VERSIONS))
        }
        SecretCommand::Version { secret, fate, numbers } => {
            let word = match fate {
                VersionFate::Delete => "delete",
                VersionFate::Undelete => "undelete",
                VersionFate::Destroy => "destroy",
            };
            let body = json!({"versions": numbers});
            let call = |id: &str| Call::post(at!["secrets", id, "versions", word]).body(body);
            let answer = send(api, secret, call).await?;
            let changed = answer.get("changed").and_then(Value::as_u64).unwrap_or_default();
            Ok(said(format!("{changed} versions are otherwise than they were."), answer))
        }
        SecretCommand::Leases(of) => {
            let call = Call::get(at!["secrets", of.secret, "leases"]);
            let (items, _) = api.list(&of.tenant.tenant, call, true).await?;
            Ok(view::many(items, LEASES))
        }
        SecretCommand::RevokeLease { lease, tenant } => {
            let answer = api.send(&tenant.tenant, Call::post(at!["leases", lease, "revoke"])).await?;
            Ok(said(format!("The lease {lease} is over."), answer))
        }
        SecretCommand::Store(command) => super::stores::stores(api, command).await,
        SecretCommand::Auth(command) => super::stores::authentications(api, command, &input).await,
        SecretCommand::Delete(of) => {
            send(api, of, |id| Call::delete(at!["secrets", id])).await?;
            Ok(said("The secret was removed with all its versions.", json!({"deleted": of.secret})))
        }
    }
}

async fn send(api: &Api, of: &SecretArg, call: impl FnOnce(&str) -> Call) -> Result<Value, Failure> {
    api.send(&of.tenant.tenant, call(&of.secret)).await
}

/// A value that standard input or a file brought.
fn brought(kind: SecretKind, input: &Input) -> Result<Value, Failure> {
    let missing = || Failure::usage("there is no value: --stdin or --file brings one, --generate makes one");
    if let Some(secret) = &input.secret {
        return match kind {
            SecretKind::Password => Ok(json!({"password": secret.expose()})),
            _ => Err(Failure::usage(
                "standard input brings passwords; name the file of anything else by --file",
            )),
        };
    }
    let text = input.file.as_deref().ok_or_else(missing)?;
    match kind {
        SecretKind::Password => Ok(json!({"password": text.trim_end_matches(['\r', '\n'])})),
        SecretKind::KeyValue => Ok(json!({"data": super::document(text)?})),
        SecretKind::SshKey | SecretKind::SigningKey => Ok(json!({"private_key": text})),
        SecretKind::File => Ok(json!({"base64": text})),
        SecretKind::SshUserCa | SecretKind::SshHostCa => {
            Err(Failure::usage("the key of an authority is made by the server, and never leaves it"))
        }
    }
}

async fn create(api: &Api, new: &SecretCreate, input: &Input) -> Result<Output, Failure> {
    let made = new.value.generate || (input.secret.is_none() && input.file.is_none());
    let (kind, value) = match (new.kind, made) {
        (SecretKind::KeyValue, _) if new.store.is_some() => ("key_value", Value::Null),
        (SecretKind::Password, true) if new.value.generate => {
            ("password", json!({"make": {"make": "password", "length": new.length}}))
        }
        (SecretKind::SshKey, true) => {
            ("ssh_key", json!({"make": {"make": "ssh_key", "key_type": new.key_type, "comment": new.name}}))
        }
        (SecretKind::SshUserCa, true) => {
            ("ssh_user_ca", json!({"make": {"make": "ssh_ca", "hosts": false, "key_type": new.key_type}}))
        }
        (SecretKind::SshHostCa, true) => {
            ("ssh_host_ca", json!({"make": {"make": "ssh_ca", "hosts": true, "key_type": new.key_type}}))
        }
        (SecretKind::SigningKey, true) => {
            ("signing_key", json!({"make": {"make": "signing_key", "algorithm": new.algorithm}}))
        }
        (kind, _) => (
            match kind {
                SecretKind::Password => "password",
                SecretKind::KeyValue => "key_value",
                SecretKind::SshKey => "ssh_key",
                SecretKind::File => "file",
                SecretKind::SshUserCa => "ssh_user_ca",
                SecretKind::SshHostCa => "ssh_host_ca",
                SecretKind::SigningKey => "signing_key",
            },
            brought(kind, input)?,
        ),
    };
    let body = json!({
        "kind": kind, "name": new.name, "description": new.description, "mount": new.mount, "path": new.path,
        "value": value, "store": new.store, "store_path": new.store_path,
    });
    Ok(view::one(api.send(&new.tenant.tenant, Call::post(at!["secrets"]).body(body)).await?, SECRET))
}

async fn transfer(api: &Api, secret: &str, member: &MemberArg, tenant: &str) -> Result<Output, Failure> {
    let (kind, id) = names::party(api, tenant, member).await?;
    let body = json!({"owner": {"kind": kind, "id": id}});
    let call = Call::post(at!["secrets", secret, "owner"]).body(body);
    Ok(view::one(api.send(tenant, call).await?, SECRET))
}

/// The value alone, as other programs take it.
fn value_of(read: &Value) -> String {
    let value = read.get("value").and_then(Value::as_object);
    match value.and_then(|value| value.values().next()) {
        Some(Value::String(text)) => text.trim_end_matches('\n').to_owned(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

pub(super) async fn ssh(api: &Api, command: &SshCommand, input: Input) -> Result<Output, Failure> {
    match command {
        SshCommand::Sign { policy, principals, seconds, leased, tenant, .. } => {
            let key = input.file.as_deref().unwrap_or_default().trim();
            let body = json!({
                "policy": policy, "public_key": key, "principals": principals, "seconds": seconds, "leased": leased,
            });
            let out = api.send(&tenant.tenant, Call::post(at!["ssh", "sign"]).body(body)).await?;
            let text = out.get("certificate").and_then(Value::as_str).unwrap_or_default().to_owned();
            Ok(Output::new(text, out))
        }
        SshCommand::CreatePolicy(new) => create_policy(api, new).await,
        SshCommand::Policies { tenant } => {
            let (items, _) = api.list(&tenant.tenant, Call::get(at!["signing-policies"]), true).await?;
            Ok(view::many(items, POLICIES))
        }
        SshCommand::DeletePolicy { policy, tenant } => {
            api.send(&tenant.tenant, Call::delete(at!["signing-policies", policy])).await?;
            Ok(said(format!("The signing policy {policy} was removed."), json!({"deleted": policy})))
        }
        SshCommand::Certificates { tenant } => {
            let (items, _) = api.list(&tenant.tenant, Call::get(at!["certificates"]), true).await?;
            Ok(view::many(items, CERTIFICATES))
        }
        SshCommand::Revoke { certificate, reason, tenant } => {
            let call = Call::post(at!["certificates", certificate, "revoke"]).body(json!({"reason": reason}));
            let answer = api.send(&tenant.tenant, call).await?;
            Ok(said(format!("The certificate {certificate} is revoked."), answer))
        }
    }
}

/// Users and groups, as documents name them.
pub(super) async fn parties(
    api: &Api,
    tenant: &str,
    (users, groups): (&[String], &[String]),
) -> Result<Vec<Value>, Failure> {
    let mut parties = Vec::new();
    let users = users.iter().map(|name| (name, PartyKind::User));
    for (name, kind) in users.chain(groups.iter().map(|name| (name, PartyKind::Group))) {
        let (kind, id) = names::party(api, tenant, &MemberArg { member: name.clone(), kind }).await?;
        parties.push(json!({"kind": kind, "id": id}));
    }
    Ok(parties)
}

async fn create_policy(api: &Api, new: &PolicyCreate) -> Result<Output, Failure> {
    let tenant = &new.tenant.tenant;
    let open_to = parties(api, tenant, (&new.open_to, &new.open_to_groups)).await?;
    let rules = json!({
        "names": new.names, "max_seconds": new.seconds, "extensions": new.extensions, "open_to": open_to,
    });
    let body = json!({"name": new.policy, "authority": new.authority, "rules": rules});
    Ok(view::one(api.send(tenant, Call::post(at!["signing-policies"]).body(body)).await?, POLICY))
}

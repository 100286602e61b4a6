//! Users of a realm, with their credentials, groups and roles.

use super::shape::{Credential, User};
use super::{Known, membership, text};
use crate::convert::{Sink, note};
use crate::record::{Moment, PartyName, Record, TotpRecord, UserRecord};
use keyreeve_base::Timestamp;
use keyreeve_crypto::password::imported;
use serde::Deserialize;
use serde_json::json;
use std::io;

/// As authenticator apps write it.
const BASE32: base32::Alphabet = base32::Alphabet::Rfc4648 { padding: false };

/// `credentialData` of a one-time password.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OtpData {
    sub_type: String,
    digits: u8,
    #[serde(default)]
    period: u32,
    algorithm: String,
    #[serde(default)]
    secret_encoding: Option<String>,
}

/// `secretData` of a one-time password.
#[derive(Deserialize)]
struct OtpSecret {
    value: String,
}

/// Writes a user with all that hangs on them.
pub(super) fn convert(user: Result<User, String>, known: &Known, sink: &mut dyn Sink) -> io::Result<()> {
    let user = match user {
        Ok(user) => user,
        Err(what) => return note(sink, "a user", "a user that cannot be read", what),
    };
    let name = user.username.clone().or_else(|| user.email.clone()).unwrap_or_default();
    let about = format!("user {name}");
    if let Some(client) = &user.service_account_client_id {
        return note(sink, &about, "the service account of a client", client.clone());
    }
    let mut record = UserRecord {
        id: user.id.as_deref().and_then(|id| id.parse().ok()),
        username: text(user.username.as_ref()),
        email: text(user.email.as_ref()),
        email_verified: Some(user.email_verified.unwrap_or(false)),
        given_name: text(user.first_name.as_ref()),
        family_name: text(user.last_name.as_ref()),
        enabled: Some(user.enabled.unwrap_or(false)),
        created_at: user
            .created_timestamp
            .map(|millis| Moment(Timestamp::from_micros(millis.saturating_mul(1_000)))),
        ..UserRecord::default()
    };
    attributes(&user, &mut record);
    actions(&user, &mut record, &about, sink)?;
    for credential in &user.credentials {
        take_credential(credential, &mut record, &about, sink)?;
    }
    for (what, count) in [
        ("accounts at identity providers", user.federated_identities.len()),
        ("consents", user.client_consents.len()),
        ("a link to a user federation", usize::from(user.federation_link.is_some())),
    ] {
        if count > 0 {
            note(sink, &about, what, count.to_string())?;
        }
    }
    sink.record(Record::User(Box::new(record)))?;
    let member = PartyName::User(name);
    for path in &user.groups {
        match known.groups.get(path) {
            Some(group) => sink.record(membership(group, member.clone()))?,
            None => note(sink, &about, "a group that is not in the export", path.clone())?,
        }
    }
    known.roles.give(&user.realm_roles, &user.client_roles, (&about, &member), sink)
}

/// Attributes; those that a user has a field for go there.
fn attributes(user: &User, record: &mut UserRecord) {
    let mut attributes = user.attributes.clone().unwrap_or_default();
    for (name, place) in [("locale", &mut record.locale), ("zoneinfo", &mut record.zoneinfo)] {
        if attributes.get(name).is_some_and(|values| values.len() == 1)
            && let Some(values) = attributes.remove(name)
        {
            *place = text(values.first());
        }
    }
    record.attributes = (!attributes.is_empty()).then_some(attributes);
}

fn actions(user: &User, record: &mut UserRecord, about: &str, sink: &mut dyn Sink) -> io::Result<()> {
    for action in &user.required_actions {
        match action.as_str() {
            "UPDATE_PASSWORD" => record.must_change_password = Some(true),
            "VERIFY_EMAIL" => record.email_verified = Some(false),
            other => note(sink, about, "a required action", other)?,
        }
    }
    Ok(())
}

fn take_credential(
    credential: &Credential,
    record: &mut UserRecord,
    about: &str,
    sink: &mut dyn Sink,
) -> io::Result<()> {
    match credential.kind.as_str() {
        "password" => match hash(credential) {
            Some(hash) if record.password_hash.is_none() => record.password_hash = Some(hash),
            Some(_) => note(sink, about, "a further password", "")?,
            None if credential.value.is_some() => note(sink, about, "a password in clear", "")?,
            None => note(sink, about, "a password hash of a kind that is not known", "")?,
        },
        "otp" | "totp" => match totp(credential) {
            Some(totp) => record.totp.push(totp),
            None => note(sink, about, "a one-time password that is not by time", "")?,
        },
        other => note(sink, about, "a credential of another kind", other)?,
    }
    Ok(())
}

/// What to store of a password.
fn hash(credential: &Credential) -> Option<String> {
    let hash = match (&credential.credential_data, &credential.secret_data) {
        (Some(data), Some(secret)) => imported::from_keycloak(data, secret),
        // As it was before version 8.
        _ => {
            let data = json!({
                "algorithm": credential.algorithm.as_deref().unwrap_or("pbkdf2-sha256"),
                "hashIterations": credential.hash_iterations?,
            });
            let secret = json!({
                "salt": credential.salt.as_deref()?,
                "value": credential.hashed_salted_value.as_deref()?,
            });
            imported::from_keycloak(&data.to_string(), &secret.to_string())
        }
    };
    hash.ok().map(imported_text)
}

fn imported_text(hash: keyreeve_crypto::password::PhcHash) -> String {
    hash.into_string()
}

fn totp(credential: &Credential) -> Option<TotpRecord> {
    let data: OtpData = serde_json::from_str(credential.credential_data.as_deref()?).ok()?;
    let secret: OtpSecret = serde_json::from_str(credential.secret_data.as_deref()?).ok()?;
    if data.sub_type != "totp" {
        return None;
    }
    let algorithm = match data.algorithm.as_str() {
        "HmacSHA1" => "SHA1",
        "HmacSHA256" => "SHA256",
        "HmacSHA512" => "SHA512",
        _ => return None,
    };
    // The secret is its text's bytes, unless an administrator brought one from elsewhere.
    let secret = match data.secret_encoding.as_deref() {
        None => base32::encode(BASE32, secret.value.as_bytes()),
        Some("BASE32") => secret.value.trim_end_matches('=').to_ascii_uppercase(),
        Some(_) => return None,
    };
    Some(TotpRecord {
        secret,
        algorithm: algorithm.to_owned(),
        digits: data.digits,
        period: if data.period == 0 { 30 } else { data.period },
        label: credential.user_label.clone().filter(|label| !label.is_empty()),
    })
}

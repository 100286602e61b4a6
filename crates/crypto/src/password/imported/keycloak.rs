//! Keycloak's credentials: two JSON texts in its export, one text here.

use super::super::argon::Argon2Hash;
use super::super::{PhcHash, phc};
use super::pbkdf2::{self, Pbkdf2, Prf};
use super::{AS_TYPED, Unrecognised};
use serde::{Deserialize, Serialize};

/// Before the JSON of a stored Keycloak hash.
pub(super) const PREFIX: &str = "{keycloak}";

/// What is stored after the prefix. Field names are Keycloak's; order and absence of white space are ours.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Canonical {
    algorithm: String,
    hash_iterations: u32,
    salt: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CredentialData {
    algorithm: String,
    hash_iterations: u32,
    #[serde(default)]
    additional_parameters: Argon2Parameters,
}

/// Keycloak writes each value as a list of one text.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Argon2Parameters {
    memory: Vec<String>,
    parallelism: Vec<String>,
    #[serde(rename = "type")]
    kind: Vec<String>,
    version: Vec<String>,
}

#[derive(Deserialize)]
struct SecretData {
    salt: String,
    value: String,
}

/// What to store of a Keycloak credential of type `password`, from the texts `credentialData` and `secretData` of a
/// realm export or of its database.
///
/// PBKDF2 (`pbkdf2`, `pbkdf2-sha256`, `pbkdf2-sha512`) becomes `{keycloak}` and compact JSON with `algorithm`,
/// `hashIterations`, `salt` and `value`; `argon2` becomes a PHC string.
///
/// # Errors
/// [`Unrecognised`] when a text is not what Keycloak writes, the algorithm is another one, or it asks for too much.
pub fn from_keycloak(credential_data: &str, secret_data: &str) -> Result<PhcHash, Unrecognised> {
    if credential_data.len().saturating_add(secret_data.len()) > 4 * phc::MAX_TEXT_BYTES {
        return Err(Unrecognised);
    }
    let credential: CredentialData = serde_json::from_str(credential_data).map_err(|_| Unrecognised)?;
    let secret: SecretData = serde_json::from_str(secret_data).map_err(|_| Unrecognised)?;
    if credential.algorithm == "argon2" {
        return argon2(&credential, &secret).ok_or(Unrecognised);
    }
    let canonical = Canonical {
        algorithm: credential.algorithm,
        hash_iterations: credential.hash_iterations,
        salt: secret.salt,
        value: secret.value,
    };
    let json = serde_json::to_string(&canonical).map_err(|_| Unrecognised)?;
    parse(&json).ok_or(Unrecognised)?;
    Ok(PhcHash(format!("{PREFIX}{json}")))
}

/// Reads what stands after the prefix.
pub(super) fn parse(json: &str) -> Option<Pbkdf2> {
    let Canonical { algorithm, hash_iterations, salt, value } = serde_json::from_str(json).ok()?;
    let prf = match algorithm.as_str() {
        "pbkdf2" => Prf::Sha1,
        "pbkdf2-sha256" => Prf::Sha256,
        "pbkdf2-sha512" => Prf::Sha512,
        _ => return None,
    };
    pbkdf2::new(prf, hash_iterations, phc::base64(&salt)?, phc::base64(&value)?)
}

fn argon2(credential: &CredentialData, secret: &SecretData) -> Option<PhcHash> {
    let only = |values: &[String]| match values {
        [value] => Some(value.clone()),
        _ => None,
    };
    let parameters = &credential.additional_parameters;
    let version = match only(&parameters.version)?.as_str() {
        "1.3" => 19,
        "1.0" => 16,
        _ => return None,
    };
    let text = format!(
        "$argon2{}$v={version}$m={},t={},p={}${}${}",
        only(&parameters.kind)?,
        only(&parameters.memory)?,
        credential.hash_iterations,
        only(&parameters.parallelism)?,
        secret.salt,
        secret.value,
    );
    // Written anew from what was read, so that no oddity of the source is stored.
    Some(PhcHash(format!("{AS_TYPED}{}", Argon2Hash::parse(&text)?.text())))
}

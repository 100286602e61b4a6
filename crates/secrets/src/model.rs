//! What a secret is: everything about it but its value.

use crate::{Error, SecretId, StoreId};
use keyreeve_audit::Actor;
use keyreeve_base::Timestamp;
use keyreeve_identity::Party;
use keyreeve_store::Row;
use std::collections::BTreeMap;
use std::str::FromStr;

/// The longest name, in bytes.
pub const MAX_NAME_BYTES: usize = 256;
/// The longest description, in bytes.
pub const MAX_DESCRIPTION_BYTES: usize = 4_096;
/// The most labels.
pub const MAX_LABELS: usize = 64;
/// The longest name of a label, in bytes.
pub const MAX_LABEL_NAME_BYTES: usize = 128;
/// The longest label, in bytes.
pub const MAX_LABEL_BYTES: usize = 1_024;
/// The most versions that are kept of a secret.
pub const MAX_KEPT: u32 = 1_000;
/// How many are kept where nobody says.
pub const DEFAULT_KEPT: u32 = 10;
/// The longest path, in bytes.
pub const MAX_PATH_BYTES: usize = 512;
/// The longest lifetime that anything is given, in seconds: a hundred years.
pub const MAX_SECONDS: u64 = 3_155_760_000;

/// What kind of thing is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A JSON object.
    KeyValue,
    /// A password.
    Password,
    /// An SSH key pair.
    SshKey,
    /// A certificate (X.509) with its key.
    Certificate,
    /// A file.
    File,
    /// The authority that signs SSH keys of users.
    SshUserCa,
    /// The authority that signs SSH keys of hosts.
    SshHostCa,
    /// The authority that issues certificates.
    X509Ca,
    /// A key that signs tokens (JWT) for others.
    SigningKey,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::KeyValue,
        Self::Password,
        Self::SshKey,
        Self::Certificate,
        Self::File,
        Self::SshUserCa,
        Self::SshHostCa,
        Self::X509Ca,
        Self::SigningKey,
    ];

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KeyValue => "key_value",
            Self::Password => "password",
            Self::SshKey => "ssh_key",
            Self::Certificate => "certificate",
            Self::File => "file",
            Self::SshUserCa => "ssh_user_ca",
            Self::SshHostCa => "ssh_host_ca",
            Self::X509Ca => "x509_ca",
            Self::SigningKey => "signing_key",
        }
    }

    /// Whether its value never leaves: it signs, and nobody reads it.
    #[must_use]
    pub const fn is_authority(self) -> bool {
        matches!(self, Self::SshUserCa | Self::SshHostCa | Self::X509Ca | Self::SigningKey)
    }
}

impl FromStr for Kind {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self, Error> {
        let known = Self::ALL.into_iter().find(|kind| kind.as_str() == word);
        known.ok_or_else(|| Error::invalid("kind", "is not one that there is"))
    }
}

/// How a secret is kept.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How many versions are kept, from 1 to [`MAX_KEPT`]; older ones are destroyed by the next write.
    pub keep_versions: u32,
    /// For how long a version is kept after a newer one came, in seconds.
    pub keep_seconds: Option<u64>,
    /// After how many seconds a version counts as deleted.
    pub version_seconds: Option<u64>,
    /// Whether a writer has to name the version that it follows.
    pub cas_required: bool,
    /// For how long a lease is given where nobody says; with it, every reading is leased.
    pub lease_seconds: Option<u64>,
    /// Up to how long after it was given a lease can be renewed.
    pub lease_max_seconds: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            keep_versions: DEFAULT_KEPT,
            keep_seconds: None,
            version_seconds: None,
            cas_required: false,
            lease_seconds: None,
            lease_max_seconds: None,
        }
    }
}

impl Settings {
    pub(crate) fn check(&self, kind: Kind) -> Result<(), Error> {
        let most = if kind == Kind::SigningKey { crate::signing::MAX_PUBLISHED } else { MAX_KEPT };
        if !(1..=most).contains(&self.keep_versions) {
            return Err(Error::invalid("settings.keep_versions", format!("is not from 1 to {most}")));
        }
        for (field, seconds) in [
            ("settings.keep_seconds", self.keep_seconds),
            ("settings.version_seconds", self.version_seconds),
            ("settings.lease_seconds", self.lease_seconds),
            ("settings.lease_max_seconds", self.lease_max_seconds),
        ] {
            if seconds.is_some_and(|seconds| !(1..=MAX_SECONDS).contains(&seconds)) {
                return Err(Error::invalid(field, format!("is not from 1 to {MAX_SECONDS}")));
            }
        }
        Ok(())
    }

    /// Of a value that is not kept here only whether a writer has to name the version is settled here.
    pub(crate) fn check_elsewhere(&self) -> Result<(), Error> {
        if *self == (Self { cas_required: self.cas_required, ..Self::default() }) {
            return Ok(());
        }
        Err(Error::invalid("settings", "other than cas_required are those of the store that keeps the value"))
    }
}

/// What is known of a version without its value: nothing in it is secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Facts {
    /// The public key: OpenSSH's line, or a `SubjectPublicKeyInfo` in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// Its SHA-256, as OpenSSH prints it; of a certificate, in hexadecimal; of a key that signs tokens, its thumbprint (RFC
    /// 7638), by which tokens name it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// What kind of key it is: `ed25519`, `ecdsa-p256`, `ecdsa-p384`, `rsa-3072`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_type: Option<String>,
    /// The public half of a key that signs tokens, as JSON (RFC 7517).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwk: Option<keyreeve_crypto::sign::Jwk>,
    /// The comment of an SSH key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// The certificate and its chain, in PEM, from the certificate up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// The certificate's serial number, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// Whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Who issued it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The names that it is for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// From when it is valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// Until when it is valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
    /// The media type of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The name of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
    /// The length of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// By what a further version is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipe: Option<crate::content::Recipe>,
}

/// Where a secret is found by those who know key/value stores: a mount, and a path in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    mount: String,
    path: String,
}

impl Place {
    /// The path `path` of the mount `mount`.
    ///
    /// # Errors
    /// [`Error::Invalid`]: a mount is lower-case letters, digits, `-` and `_`, at most 64; a path is parts between
    /// slashes, none of them empty, `.` or `..`, without control characters, at most [`MAX_PATH_BYTES`].
    pub fn new(mount: &str, path: &str) -> Result<Self, Error> {
        check_mount(mount)?;
        check_path(path)?;
        Ok(Self { mount: mount.to_owned(), path: path.to_owned() })
    }

    /// The mount.
    #[must_use]
    pub fn mount(&self) -> &str {
        &self.mount
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

pub(crate) fn check_mount(mount: &str) -> Result<(), Error> {
    let sound = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    if (1..=64).contains(&mount.len()) && mount.bytes().all(sound) {
        return Ok(());
    }
    Err(Error::invalid("mount", "is not 1 to 64 lower-case letters, digits, `-` and `_`"))
}

pub(crate) fn check_path(path: &str) -> Result<(), Error> {
    if path.len() > MAX_PATH_BYTES {
        return Err(Error::invalid("path", format!("is longer than {MAX_PATH_BYTES} bytes")));
    }
    if path.chars().any(|c| c.is_control() || matches!(c, '\\' | char::MAX)) {
        return Err(Error::invalid("path", "contains a control character or a backslash"));
    }
    match path.split('/').find(|part| matches!(*part, "" | "." | "..")) {
        Some(part) => Err(Error::invalid("path", format!("has the part {part:?}"))),
        None => Ok(()),
    }
}

/// A secret, without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    pub(crate) key: i64,
    pub(crate) resource_key: i64,
    /// Its identifier: that of its resource in the sharing room as well.
    pub id: SecretId,
    /// What kind of thing it is.
    pub kind: Kind,
    /// Who owns it; none where only whoever administers the tenant does.
    pub owner: Option<Party>,
    /// The resource below which it lies, from which grants come down.
    pub parent: Option<String>,
    /// The name that people read.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Whatever else it is to be found by.
    pub labels: BTreeMap<String, String>,
    /// Where it is found by path.
    pub place: Option<Place>,
    /// How it is kept.
    pub settings: Settings,
    /// The number of the newest version; 0 before there is one.
    pub current: i64,
    /// When its newest version ends.
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it: `user:…`, `service:…`, `client:…`, `operator` or `system`.
    pub created_by: String,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Counts the changes, those of its value with them.
    pub version: i64,
    /// What is known of the newest version.
    pub facts: Facts,
    /// Where its value lies, if it is not kept here.
    pub elsewhere: Option<Elsewhere>,
}

/// Where a value lies that is kept in a store elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere {
    /// The store.
    pub store: StoreId,
    /// The path in its mount.
    pub path: String,
}

impl Secret {
    pub(crate) fn from_row(row: &Row<'_>) -> Result<Self, keyreeve_store::Error> {
        let corrupt =
            |what: &str| keyreeve_store::Error::corrupt(format!("a secret's {what} cannot be read"));
        let labels: Option<String> = row.get(8)?;
        let labels = labels.map_or(Ok(BTreeMap::new()), |text| serde_json::from_str(&text));
        let place = match (row.get::<Option<String>>(9)?, row.get::<Option<String>>(10)?) {
            (Some(mount), Some(path)) => Some(Place { mount, path }),
            _ => None,
        };
        let elsewhere = match (row.get::<Option<StoreId>>(19)?, row.get::<Option<String>>(20)?) {
            (Some(store), Some(path)) => Some(Elsewhere { store, path }),
            _ => None,
        };
        let owner = row.get::<Option<String>>(4)?.map(|text| text.parse()).transpose();
        let facts: Option<String> = row.get(18)?;
        Ok(Self {
            key: row.get(0)?,
            id: row.get(1)?,
            kind: row.get::<String>(2)?.parse().map_err(|_| corrupt("kind"))?,
            resource_key: row.get(3)?,
            owner: owner.map_err(|_| corrupt("owner"))?,
            parent: row.get(5)?,
            name: row.get(6)?,
            description: row.get(7)?,
            labels: labels.map_err(|_| corrupt("labels"))?,
            place,
            settings: serde_json::from_str(&row.get::<String>(11)?).map_err(|_| corrupt("settings"))?,
            current: row.get(12)?,
            expires_at: row.get(13)?,
            created_at: row.get(14)?,
            created_by: row.get(15)?,
            updated_at: row.get(16)?,
            version: row.get(17)?,
            facts: facts
                .map_or(Ok(Facts::default()), |text| serde_json::from_str(&text))
                .map_err(|_| corrupt("facts"))?,
            elsewhere,
        })
    }
}

/// A version of a secret, without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Its number, from 1.
    pub number: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// When it was deleted, or will count as deleted.
    pub deleted_at: Option<Timestamp>,
    /// Whether its value was removed for good.
    pub destroyed: bool,
    /// What is known of it.
    pub facts: Facts,
}

impl Version {
    pub(crate) fn from_row(row: &Row<'_>) -> Result<Self, keyreeve_store::Error> {
        Ok(Self {
            number: row.get(0)?,
            facts: serde_json::from_str(&row.get::<String>(1)?)
                .map_err(|_| keyreeve_store::Error::corrupt("a version's facts cannot be read"))?,
            created_at: row.get(2)?,
            created_by: row.get(3)?,
            deleted_at: row.get(4)?,
            destroyed: row.get(5)?,
        })
    }

    /// Whether its value can be read at this moment.
    #[must_use]
    pub fn is_there(&self, now: Timestamp) -> bool {
        !self.destroyed && self.deleted_at.is_none_or(|at| at > now)
    }
}

/// Who acts, as it is stored.
pub(crate) fn actor_text(actor: Actor) -> String {
    match actor {
        Actor::System => "system".to_owned(),
        Actor::Operator => "operator".to_owned(),
        Actor::Anonymous => "anonymous".to_owned(),
        Actor::User(id) => format!("user:{id}"),
        Actor::Client(id) => format!("client:{id}"),
        Actor::Service(id) => format!("service:{id}"),
    }
}

pub(crate) fn check_name(name: &str) -> Result<(), Error> {
    if name.trim().is_empty() {
        return Err(Error::invalid("name", "is empty"));
    }
    check_text("name", name, MAX_NAME_BYTES)
}

pub(crate) fn check_text(field: &'static str, text: &str, most: usize) -> Result<(), Error> {
    if text.len() > most {
        return Err(Error::invalid(field, format!("is longer than {most} bytes")));
    }
    if text.chars().any(|c| c.is_control() && !(field == "description" && matches!(c, '\n' | '\t' | '\r'))) {
        return Err(Error::invalid(field, "contains a control character"));
    }
    Ok(())
}

pub(crate) fn check_labels(labels: &BTreeMap<String, String>) -> Result<(), Error> {
    if labels.len() > MAX_LABELS {
        return Err(Error::invalid("labels", format!("are more than {MAX_LABELS}")));
    }
    for (name, value) in labels {
        if name.is_empty() {
            return Err(Error::invalid("labels", "have an empty name among them"));
        }
        check_text("labels", name, MAX_LABEL_NAME_BYTES)?;
        check_text("labels", value, MAX_LABEL_BYTES)?;
    }
    Ok(())
}

/// A value as it is stored in JSON.
pub(crate) fn json_text<T: serde::Serialize>(value: &T) -> Result<String, keyreeve_store::Error> {
    serde_json::to_string(value).map_err(|error| keyreeve_store::Error::internal(error.to_string()))
}

//! The documents of secrets.

use crate::refused::{INVALID_BODY, Refused};
use crate::resources::PartyRef;
use crate::when::When;
use keyreeve_crypto::sign::{Algorithm, Jwk};
use keyreeve_crypto::{Secret as SecretText, SecretBytes, base64url};
use keyreeve_identity::Patch;
use keyreeve_secrets::{Content, Facts, Kind, Owner, Recipe, Secret, Settings, Version};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What kind of thing is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = SecretKind)]
#[serde(rename_all = "snake_case")]
pub(super) enum KindDoc {
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

impl From<Kind> for KindDoc {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::KeyValue => Self::KeyValue,
            Kind::Password => Self::Password,
            Kind::SshKey => Self::SshKey,
            Kind::Certificate => Self::Certificate,
            Kind::File => Self::File,
            Kind::SshUserCa => Self::SshUserCa,
            Kind::SshHostCa => Self::SshHostCa,
            Kind::X509Ca => Self::X509Ca,
            Kind::SigningKey => Self::SigningKey,
        }
    }
}

impl From<KindDoc> for Kind {
    fn from(kind: KindDoc) -> Self {
        match kind {
            KindDoc::KeyValue => Self::KeyValue,
            KindDoc::Password => Self::Password,
            KindDoc::SshKey => Self::SshKey,
            KindDoc::Certificate => Self::Certificate,
            KindDoc::File => Self::File,
            KindDoc::SshUserCa => Self::SshUserCa,
            KindDoc::SshHostCa => Self::SshHostCa,
            KindDoc::X509Ca => Self::X509Ca,
            KindDoc::SigningKey => Self::SigningKey,
        }
    }
}

/// How a secret is kept.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = SecretSettings)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SettingsDoc {
    /// How many versions are kept; older ones are destroyed by the next write.
    #[schema(minimum = 1, maximum = 1000)]
    keep_versions: u32,
    /// For how long a version is kept after a newer one came.
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_seconds: Option<u64>,
    /// After how long a version counts as deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    version_seconds: Option<u64>,
    /// Whether a writer has to name the version that the new one follows.
    cas_required: bool,
    /// For how long a lease is given where nobody says; with it, every reading is leased.
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_seconds: Option<u64>,
    /// Up to how long after it was given a lease can be renewed.
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_max_seconds: Option<u64>,
}

impl Default for SettingsDoc {
    fn default() -> Self {
        Self::from(&Settings::default())
    }
}

impl From<&Settings> for SettingsDoc {
    fn from(settings: &Settings) -> Self {
        let Settings { keep_versions, keep_seconds, version_seconds, cas_required, .. } = *settings;
        let (lease_seconds, lease_max_seconds) = (settings.lease_seconds, settings.lease_max_seconds);
        Self { keep_versions, keep_seconds, version_seconds, cas_required, lease_seconds, lease_max_seconds }
    }
}

impl From<SettingsDoc> for Settings {
    fn from(doc: SettingsDoc) -> Self {
        let SettingsDoc { keep_versions, keep_seconds, version_seconds, cas_required, .. } = doc;
        let (lease_seconds, lease_max_seconds) = (doc.lease_seconds, doc.lease_max_seconds);
        Self { keep_versions, keep_seconds, version_seconds, cas_required, lease_seconds, lease_max_seconds }
    }
}

/// By what values are made.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = SecretRecipe)]
#[serde(tag = "make", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum RecipeDoc {
    /// A password: so long, and at least so many of each kind of character; a kind without a number is left out.
    Password {
        /// How many characters; 24 where it is not said.
        #[serde(default = "twenty_four")]
        #[schema(minimum = 1, maximum = 128)]
        length: u32,
        #[serde(default = "one", skip_serializing_if = "Option::is_none")]
        lower: Option<u32>,
        #[serde(default = "one", skip_serializing_if = "Option::is_none")]
        upper: Option<u32>,
        #[serde(default = "one", skip_serializing_if = "Option::is_none")]
        digit: Option<u32>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        symbol: Option<u32>,
        /// Characters that must not be there.
        #[serde(default)]
        forbidden: String,
        /// Leaves out what is taken for one another.
        #[serde(default)]
        unambiguous: bool,
    },
    /// An SSH key pair.
    SshKey {
        /// `ed25519`, `ecdsa-p256`, `ecdsa-p384`, `rsa-3072` or `rsa-4096`.
        key_type: String,
        /// Its comment.
        #[serde(default)]
        comment: String,
    },
    /// A key with a certificate.
    Certificate {
        /// As above.
        key_type: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        common_name: Option<String>,
        /// Whom it is for: host names, addresses, mailboxes and URIs.
        #[serde(default)]
        names: Vec<String>,
        /// For how long.
        seconds: u64,
        /// Whether it is for clients too.
        #[serde(default)]
        client: bool,
        /// The signing policy by which an authority issues it; it signs itself, where none is named.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        policy: Option<String>,
    },
    /// An authority of SSH keys.
    SshCa {
        /// Whether it signs keys of hosts; else those of users.
        hosts: bool,
        /// As above.
        key_type: String,
    },
    /// An authority of certificates.
    X509Ca {
        /// As above.
        key_type: String,
        /// What it is called.
        common_name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        organization: Option<String>,
        /// For how long.
        seconds: u64,
    },
    /// A key that signs tokens.
    SigningKey {
        /// `EdDSA`, `ES256` or `RS256` (3072 bits).
        #[schema(value_type = String)]
        algorithm: Algorithm,
    },
}

const fn twenty_four() -> u32 {
    24
}

#[allow(clippy::unnecessary_wraps, reason = "serde asks for the member's own type")]
const fn one() -> Option<u32> {
    Some(1)
}

impl RecipeDoc {
    /// The two are the same in JSON.
    fn read(&self) -> Result<Recipe, Refused> {
        let value = serde_json::to_value(self).ok();
        value
            .and_then(|value| serde_json::from_value(value).ok())
            .ok_or_else(|| Refused::of(INVALID_BODY).at("/value/make", "is not one that there is"))
    }

    fn of(recipe: &Recipe) -> Option<Self> {
        serde_json::to_value(recipe).ok().and_then(|value| serde_json::from_value(value).ok())
    }
}

/// A value on its way in: one of `data`, `password`, `private_key`, `base64` and `make`.
#[derive(Deserialize, ToSchema)]
#[schema(as = SecretValueInput)]
#[serde(deny_unknown_fields)]
pub(super) struct ValueDoc {
    /// A JSON object, of a `key_value`; it is kept as it was written.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    data: Option<Box<RawValue>>,
    /// A password.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    password: Option<SecretText>,
    /// A private key: of an `ssh_key` in OpenSSH's format or in PEM, of a `certificate` and a `signing_key` in PEM.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    private_key: Option<SecretText>,
    /// What an SSH key is encrypted with.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    passphrase: Option<SecretText>,
    /// Another comment for an SSH key.
    #[serde(default)]
    comment: Option<String>,
    /// The certificate and what issued it, in PEM, from the certificate up.
    #[serde(default)]
    certificate: Option<String>,
    /// A file, in base64url.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    base64: Option<SecretText>,
    /// Its media type.
    #[serde(default)]
    media_type: Option<String>,
    /// Its name.
    #[serde(default)]
    file_name: Option<String>,
    /// By what it is to be made.
    #[serde(default)]
    make: Option<RecipeDoc>,
}

impl ValueDoc {
    /// What is brought or to be made, for a secret of this kind where the kind is said.
    pub(super) fn read(self, kind: Option<KindDoc>) -> Result<Content, Refused> {
        let Self { data, password, private_key, certificate, base64, make, .. } = self;
        let given =
            [data.is_some(), password.is_some(), private_key.is_some(), base64.is_some(), make.is_some()];
        if given.into_iter().filter(|given| *given).count() != 1 {
            let problem = "must have one of data, password, private_key, base64 and make";
            return Err(Refused::of(INVALID_BODY).at("/value", problem));
        }
        if let Some(make) = make {
            return Ok(Content::Made(make.read()?));
        }
        if let Some(data) = data {
            return Ok(Content::KeyValue(SecretText::from(Box::<str>::from(data).into_string())));
        }
        if let Some(password) = password {
            return Ok(Content::Password(password));
        }
        if let Some(private) = private_key {
            return Ok(match certificate {
                None if kind == Some(KindDoc::SigningKey) => Content::SigningKey { private },
                Some(chain) => Content::Certificate { private, chain },
                None => Content::SshKey { private, passphrase: self.passphrase, comment: self.comment },
            });
        }
        let text = base64.unwrap_or_else(|| SecretText::new(""));
        let bytes = base64url::decode(text.expose())
            .map_err(|_| Refused::of(INVALID_BODY).at("/value/base64", "is not base64url"))?;
        let (media_type, file_name) = (self.media_type, self.file_name);
        Ok(Content::File { bytes: SecretBytes::from(bytes), media_type, file_name })
    }
}

/// A secret to make.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewSecretItem)]
#[serde(deny_unknown_fields)]
pub(super) struct NewSecretDoc {
    pub(super) kind: KindDoc,
    /// The name.
    pub(super) name: String,
    #[serde(default)]
    pub(super) description: Option<String>,
    /// Whatever else it is to be found by.
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    /// Who is to own it; the caller, where nobody is named. `null` is for the tenant.
    #[serde(default)]
    #[schema(value_type = Option<PartyRef>)]
    pub(super) owner: Patch<PartyRef>,
    /// The resource below which it is to lie.
    #[serde(default)]
    pub(super) parent: Option<String>,
    /// The mount in which it is to be found by path.
    #[serde(default)]
    pub(super) mount: Option<String>,
    /// The path.
    #[serde(default)]
    pub(super) path: Option<String>,
    /// The store elsewhere that keeps its value: of a `key_value` alone, without a `value`. Only administrators name one.
    #[serde(default)]
    pub(super) store: Option<String>,
    /// The path in the store.
    #[serde(default)]
    pub(super) store_path: Option<String>,
    #[serde(default)]
    pub(super) settings: SettingsDoc,
    /// Its first value; a `key_value` and a `file` can be made without one.
    #[serde(default)]
    pub(super) value: Option<ValueDoc>,
}

pub(super) fn owner_of(owner: &Patch<PartyRef>) -> Owner {
    match owner {
        Patch::Keep => Owner::Own,
        Patch::Clear => Owner::Tenant,
        Patch::Set(party) => Owner::Party((*party).into()),
    }
}

/// What to change of a secret. Its values are not changed by it.
#[derive(Deserialize, ToSchema)]
#[schema(as = SecretPatch)]
#[serde(deny_unknown_fields)]
pub(super) struct SecretPatchDoc {
    #[serde(default)]
    pub(super) name: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(super) description: Patch<String>,
    /// All of the labels.
    #[serde(default)]
    pub(super) labels: Option<BTreeMap<String, String>>,
    /// How it is kept, all of it: what is left out is as for a new secret.
    #[serde(default)]
    pub(super) settings: Option<SettingsDoc>,
}

/// What is known of a version without its value.
#[derive(Serialize, ToSchema)]
#[schema(as = SecretFacts)]
pub(super) struct FactsDoc {
    /// The public key: OpenSSH's line, or in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<String>,
    /// Its SHA-256 as OpenSSH prints it; of a certificate, in hexadecimal; of a key that signs tokens, its `kid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    /// The public half of a key that signs tokens, as JSON (RFC 7517).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    jwk: Option<Jwk>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
    /// The certificate and its chain, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
    /// The certificate's serial number, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    names: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<When>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_after: Option<When>,
    #[serde(skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    /// By what it was made, and a further one would be.
    #[serde(skip_serializing_if = "Option::is_none")]
    recipe: Option<RecipeDoc>,
}

impl From<&Facts> for FactsDoc {
    fn from(facts: &Facts) -> Self {
        let facts = facts.clone();
        Self {
            recipe: facts.recipe.as_ref().and_then(RecipeDoc::of),
            public_key: facts.public_key,
            fingerprint: facts.fingerprint,
            jwk: facts.jwk,
            key_type: facts.key_type,
            comment: facts.comment,
            certificate: facts.certificate,
            serial: facts.serial,
            subject: facts.subject,
            issuer: facts.issuer,
            names: facts.names,
            not_before: facts.not_before.map(When::from),
            not_after: facts.not_after.map(When::from),
            media_type: facts.media_type,
            file_name: facts.file_name,
            bytes: facts.bytes,
        }
    }
}

/// A secret, without its value.
#[derive(Serialize, ToSchema)]
#[schema(as = SecretItem)]
pub(super) struct SecretDoc {
    /// The identifier, under which it is a resource of sharing as well. It cannot be guessed, and opens nothing.
    id: String,
    kind: KindDoc,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    labels: BTreeMap<String, String>,
    /// Who owns it; absent where it is the tenant's.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<PartyRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mount: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// The store elsewhere that keeps its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<String>,
    /// The path in the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    store_path: Option<String>,
    settings: SettingsDoc,
    /// The number of the newest version; 0 before there is one, and where a store elsewhere counts them.
    current: i64,
    /// What is known of the newest version.
    facts: FactsDoc,
    /// When its newest version ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<When>,
    created_at: When,
    created_by: String,
    updated_at: When,
    /// Counts the changes, those of its value among them; also the `ETag`.
    version: i64,
}

impl From<&Secret> for SecretDoc {
    fn from(secret: &Secret) -> Self {
        Self {
            id: secret.id.to_string(),
            kind: secret.kind.into(),
            name: secret.name.clone(),
            description: secret.description.clone(),
            labels: secret.labels.clone(),
            owner: secret.owner.map(PartyRef::from),
            parent: secret.parent.clone(),
            mount: secret.place.as_ref().map(|place| place.mount().to_owned()),
            path: secret.place.as_ref().map(|place| place.path().to_owned()),
            store: secret.elsewhere.as_ref().map(|of| of.store.to_string()),
            store_path: secret.elsewhere.as_ref().map(|of| of.path.clone()),
            settings: (&secret.settings).into(),
            current: secret.current,
            facts: (&secret.facts).into(),
            expires_at: secret.expires_at.map(When::from),
            created_at: secret.created_at.into(),
            created_by: secret.created_by.clone(),
            updated_at: secret.updated_at.into(),
            version: secret.version,
        }
    }
}

/// A version of a secret, without its value.
#[derive(Serialize, ToSchema)]
#[schema(as = SecretVersion)]
pub(super) struct VersionDoc {
    /// Its number, from 1.
    number: i64,
    created_at: When,
    created_by: String,
    /// When it was deleted, or will count as deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted_at: Option<When>,
    /// Whether its value was removed for good.
    destroyed: bool,
    facts: FactsDoc,
}

impl From<&Version> for VersionDoc {
    fn from(version: &Version) -> Self {
        Self {
            number: version.number,
            created_at: version.created_at.into(),
            created_by: version.created_by.clone(),
            deleted_at: version.deleted_at.map(When::from),
            destroyed: version.destroyed,
            facts: (&version.facts).into(),
        }
    }
}

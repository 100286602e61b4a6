//! Values on their way in: what somebody brings, or what is made here by a recipe.

use crate::{Error, Facts, Kind, Secrets, signing, ssh, x509};
use keyreeve_base::{TenantId, Timestamp};
use keyreeve_crypto::sign::Algorithm;
use keyreeve_crypto::{Secret as SecretText, SecretBytes, strict_json};
use keyreeve_identity::{Authority, Cause};
use keyreeve_pki::NewKey;
use keyreeve_pki::password::{Class, PasswordPolicy};

/// The longest password, in bytes.
pub const MAX_PASSWORD_BYTES: usize = 4_096;

/// A value that somebody brings, or has made. It prints nothing of what is secret.
#[derive(Debug)]
pub enum Content {
    /// The text of a JSON object.
    KeyValue(SecretText),
    /// A password.
    Password(SecretText),
    /// An SSH key, in OpenSSH's format or in PEM.
    SshKey {
        /// The private key.
        private: SecretText,
        /// What it is encrypted with.
        passphrase: Option<SecretText>,
        /// Another comment than it has.
        comment: Option<String>,
    },
    /// A certificate with its key.
    Certificate {
        /// The private key in PEM.
        private: SecretText,
        /// The certificate and what issued it, in PEM, from the certificate up.
        chain: String,
    },
    /// A key that signs tokens: Ed25519, P-256 or RSA, in PEM.
    SigningKey {
        /// The private key.
        private: SecretText,
    },
    /// A file.
    File {
        /// What is in it.
        bytes: SecretBytes,
        /// Its media type.
        media_type: Option<String>,
        /// Its name.
        file_name: Option<String>,
    },
    /// What is made here.
    Made(Recipe),
}

/// By what values are made. It is public, and kept with each version that was made by it, so that the next can be.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "make", rename_all = "snake_case", deny_unknown_fields)]
pub enum Recipe {
    /// A password by a policy.
    Password(PasswordRecipe),
    /// An SSH key pair.
    SshKey {
        /// The kind of key: `ed25519`, `ecdsa-p256`, `ecdsa-p384`, `rsa-3072` or `rsa-4096`.
        key_type: String,
        /// Its comment.
        #[serde(default)]
        comment: String,
    },
    /// A key with a certificate.
    Certificate(x509::CertificateRecipe),
    /// An authority of SSH keys.
    SshCa {
        /// Whether it signs keys of hosts; else those of users.
        hosts: bool,
        /// The kind of key.
        key_type: String,
    },
    /// An authority of certificates.
    X509Ca(x509::AuthorityRecipe),
    /// A key that signs tokens.
    SigningKey {
        /// What it signs with: `EdDSA`, `ES256` or `RS256`.
        algorithm: Algorithm,
    },
}

/// A policy of passwords: how many characters, and at least how many of which kind; a kind without a number is left out.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PasswordRecipe {
    /// How many characters, up to 128.
    pub length: usize,
    /// Small letters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lower: Option<usize>,
    /// Capital letters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upper: Option<usize>,
    /// Digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digit: Option<usize>,
    /// Other characters of ASCII.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub symbol: Option<usize>,
    /// Characters that must not be there.
    pub forbidden: String,
    /// Leaves out what is taken for one another.
    pub unambiguous: bool,
}

impl Default for PasswordRecipe {
    fn default() -> Self {
        let one = Some(1);
        let (lower, upper, digit) = (one, one, one);
        Self { length: 24, lower, upper, digit, symbol: None, forbidden: String::new(), unambiguous: false }
    }
}

impl PasswordRecipe {
    fn policy(&self) -> PasswordPolicy {
        let wanted = [self.lower, self.upper, self.digit, self.symbol];
        let classes =
            Class::ALL.into_iter().zip(wanted).filter_map(|(class, least)| Some((class, least?))).collect();
        PasswordPolicy {
            length: self.length,
            classes,
            forbidden: self.forbidden.clone(),
            unambiguous: self.unambiguous,
        }
    }
}

/// For whom something is made: the tenant, and who is asked whether they may have it; none where that was asked before.
pub(crate) type Asker<'a> = (TenantId, Option<&'a Authority>);

/// A value as it is sealed, and what may be known of it.
pub(crate) struct Material {
    pub(crate) kind: Kind,
    pub(crate) value: SecretBytes,
    pub(crate) facts: Facts,
    pub(crate) expires_at: Option<Timestamp>,
}

impl Material {
    pub(crate) const fn new(kind: Kind, value: SecretBytes, facts: Facts) -> Self {
        Self { kind, value, facts, expires_at: None }
    }
}

impl Content {
    /// What kind of secret has such values.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::KeyValue(_) => Kind::KeyValue,
            Self::Password(_) => Kind::Password,
            Self::SshKey { .. } => Kind::SshKey,
            Self::Certificate { .. } => Kind::Certificate,
            Self::SigningKey { .. } => Kind::SigningKey,
            Self::File { .. } => Kind::File,
            Self::Made(recipe) => recipe.kind(),
        }
    }
}

impl Recipe {
    /// What kind of secret is made by it.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Password(_) => Kind::Password,
            Self::SshKey { .. } => Kind::SshKey,
            Self::Certificate(_) => Kind::Certificate,
            Self::SshCa { hosts: false, .. } => Kind::SshUserCa,
            Self::SshCa { hosts: true, .. } => Kind::SshHostCa,
            Self::X509Ca(_) => Kind::X509Ca,
            Self::SigningKey { .. } => Kind::SigningKey,
        }
    }
}

/// The kind of key of this name, and whether making one is slow.
pub(crate) fn key_type(field: &'static str, name: &str) -> Result<(NewKey, bool), Error> {
    let kind: NewKey = name.parse().map_err(|error| Error::invalid(field, format!("{error}")))?;
    Ok((kind, matches!(kind, NewKey::Rsa3072 | NewKey::Rsa4096)))
}

/// Text as bytes that wipe themselves.
pub(crate) fn bytes_of(text: &SecretText) -> SecretBytes {
    SecretBytes::from(text.expose().as_bytes().to_vec())
}

impl Secrets {
    /// Checks what is brought, or makes what is to be made.
    pub(crate) async fn prepare(
        &self,
        asker: Asker<'_>,
        content: Content,
        cause: &Cause,
    ) -> Result<Material, Error> {
        match content {
            Content::KeyValue(text) => self.key_value(&text),
            Content::Password(text) => {
                let length = text.expose().len();
                if length == 0 || length > MAX_PASSWORD_BYTES {
                    let problem = format!("is not 1 to {MAX_PASSWORD_BYTES} bytes long");
                    return Err(Error::invalid("value", problem));
                }
                Ok(Material::new(Kind::Password, bytes_of(&text), Facts::default()))
            }
            Content::File { bytes, media_type, file_name } => self.file(bytes, media_type, file_name),
            Content::SshKey { private, passphrase, comment } => {
                ssh::import(self, private, passphrase, comment).await
            }
            Content::Certificate { private, chain } => x509::import(self, private, chain).await,
            Content::SigningKey { private } => signing::import(self, private).await,
            Content::Made(Recipe::Password(recipe)) => {
                let generator = recipe.policy().generator();
                let generator = generator.map_err(|error| Error::invalid("policy", error.to_string()))?;
                let text = generator.generate(self.world());
                let facts = Facts { recipe: Some(Recipe::Password(recipe)), ..Facts::default() };
                Ok(Material::new(Kind::Password, bytes_of(&text), facts))
            }
            Content::Made(Recipe::SshKey { key_type, comment }) => ssh::make(self, key_type, comment).await,
            Content::Made(Recipe::SshCa { hosts, key_type }) => {
                ssh::make_authority(self, hosts, key_type).await
            }
            Content::Made(Recipe::Certificate(recipe)) => x509::make(self, asker, recipe, cause).await,
            Content::Made(Recipe::X509Ca(recipe)) => x509::make_authority(self, recipe).await,
            Content::Made(Recipe::SigningKey { algorithm }) => signing::make(self, algorithm).await,
        }
    }

    pub(crate) fn key_value(&self, text: &SecretText) -> Result<Material, Error> {
        self.check_length(text.expose().len())?;
        if !strict_json::is_object_without_repetition(text.expose().as_bytes()) {
            return Err(Error::invalid("data", "is not a JSON object in which nothing is named twice"));
        }
        Ok(Material::new(Kind::KeyValue, bytes_of(text), Facts::default()))
    }

    fn file(
        &self,
        bytes: SecretBytes,
        media_type: Option<String>,
        file_name: Option<String>,
    ) -> Result<Material, Error> {
        self.check_length(bytes.len())?;
        for (field, text) in [("media_type", &media_type), ("file_name", &file_name)] {
            if let Some(text) = text {
                crate::model::check_text(field, text, 255)?;
            }
        }
        if media_type.as_ref().is_some_and(|kind| !kind.is_ascii()) {
            return Err(Error::invalid("media_type", "is not ASCII"));
        }
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let facts = Facts { media_type, file_name, bytes: Some(length), ..Facts::default() };
        Ok(Material::new(Kind::File, bytes, facts))
    }

    fn check_length(&self, length: usize) -> Result<(), Error> {
        let most = self.options().max_value_bytes;
        if length > most {
            Err(Error::invalid("value", format!("is longer than {most} bytes")))
        } else {
            Ok(())
        }
    }
}

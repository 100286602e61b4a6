//! Certificates with their keys: generated and self-signed, or taken over.

use crate::content::{Asker, Material, Recipe, key_type};
use crate::ssh::{generate, refused, sealed_form, type_name};
use crate::{Error, Facts, Kind, Secrets};
use keyreeve_base::Timestamp;
use keyreeve_crypto::Secret as SecretText;
use keyreeve_identity::Cause;
use keyreeve_pki::KeyPair;
use keyreeve_pki::x509::{AltName, Certificate, ExtendedKeyUsage, Profile, Subject, X509Error, self_signed};
use std::fmt::Write as _;
use std::time::Duration;

/// The longest lifetime of a certificate that is made here, in seconds: about ten years.
pub const MAX_CERTIFICATE_SECONDS: u64 = 315_576_000;
/// The longest lifetime of an authority that is made here: about thirty years.
pub const MAX_AUTHORITY_SECONDS: u64 = 946_728_000;
/// The longest text of a certificate and its chain that is taken over, in bytes.
pub const MAX_CHAIN_BYTES: usize = 65_536;

/// How clocks may differ: what is made now is valid from a little before.
pub(crate) const SKEW: Duration = Duration::from_secs(60);

/// What a certificate is made by.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateRecipe {
    /// The kind of key: `ed25519`, `ecdsa-p256`, `ecdsa-p384`, `rsa-3072` or `rsa-4096`.
    pub key_type: String,
    /// The common name of its subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_name: Option<String>,
    /// Whom it is for: host names, addresses, mailboxes and URIs.
    #[serde(default)]
    pub names: Vec<String>,
    /// For how long, in seconds.
    pub seconds: u64,
    /// Whether it is for clients too; it always is for servers.
    #[serde(default)]
    pub client: bool,
    /// The signing policy by which an authority issues it; it signs itself, where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
}

/// What an authority is made by.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorityRecipe {
    /// The kind of key.
    pub key_type: String,
    /// What the authority is called.
    pub common_name: String,
    /// The organization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// For how long, in seconds.
    pub seconds: u64,
}

/// A name as its form says: an address, a URI, a mailbox, or else a host.
pub(crate) fn alt_name(text: &str) -> AltName {
    if let Ok(address) = text.parse() {
        AltName::Ip(address)
    } else if text.contains("://") {
        AltName::Uri(text.to_owned())
    } else if text.contains('@') {
        AltName::Email(text.to_owned())
    } else {
        AltName::Dns(text.to_owned())
    }
}

pub(crate) fn shown(name: &AltName) -> String {
    match name {
        AltName::Dns(text) | AltName::Email(text) | AltName::Uri(text) | AltName::Other(text) => text.clone(),
        AltName::Ip(address) => address.to_string(),
    }
}

pub(crate) fn x509_refused(field: &'static str) -> impl Fn(X509Error) -> Error {
    move |error| match error {
        X509Error::Library => keyreeve_store::Error::internal(error.to_string()).into(),
        error => Error::invalid(field, error.to_string()),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len().saturating_mul(2)), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What is known of a certificate and its chain.
pub(crate) fn facts_of(chain: &[Certificate], key: &KeyPair, recipe: Option<Recipe>) -> Facts {
    let first = chain.first().map(Certificate::facts);
    Facts {
        public_key: Some(key.public().to_pem()),
        key_type: Some(type_name(key.public())),
        certificate: Some(chain.iter().map(Certificate::to_pem).collect()),
        fingerprint: first.map(|facts| hex(&facts.sha256)),
        serial: first.map(|facts| hex(facts.serial.as_bytes())),
        subject: first.map(|facts| facts.subject.clone()),
        issuer: first.map(|facts| facts.issuer.clone()),
        names: first.map(|facts| facts.alt_names.iter().map(shown).collect()).unwrap_or_default(),
        not_before: first.map(|facts| facts.not_before),
        not_after: first.map(|facts| facts.not_after),
        recipe,
        ..Facts::default()
    }
}

fn material(kind: Kind, key: &KeyPair, facts: Facts) -> Result<Material, Error> {
    let expires_at = facts.not_after;
    Ok(Material { kind, value: sealed_form(key)?, facts, expires_at })
}

pub(crate) fn lifetime(now: Timestamp, seconds: u64, most: u64) -> Result<(Timestamp, Timestamp), Error> {
    if !(60..=most).contains(&seconds) {
        return Err(Error::invalid("seconds", format!("is not from 60 to {most}")));
    }
    Ok((now.minus(SKEW), now.plus(Duration::from_secs(seconds))))
}

/// What a recipe says of a certificate.
pub(crate) fn profile(recipe: &CertificateRecipe, now: Timestamp) -> Result<Profile, Error> {
    let mut usages = vec![ExtendedKeyUsage::ServerAuth];
    if recipe.client {
        usages.push(ExtendedKeyUsage::ClientAuth);
    }
    let names = recipe.names.iter().map(|name| alt_name(name)).collect();
    let lifetime = lifetime(now, recipe.seconds, MAX_CERTIFICATE_SECONDS)?;
    let subject = recipe.common_name.as_deref().map(Subject::named).unwrap_or_default();
    Ok(Profile::tls(names, usages, lifetime).of(subject))
}

pub(crate) async fn make(
    secrets: &Secrets,
    asker: Asker<'_>,
    recipe: CertificateRecipe,
    cause: &Cause,
) -> Result<Material, Error> {
    let kind = key_type("key_type", &recipe.key_type)?;
    let profile = profile(&recipe, secrets.world().now())?;
    let key = generate(secrets, kind).await?;
    let chain = match &recipe.policy {
        Some(_) => secrets.issue_pair(asker, (&recipe, &profile), &key, cause).await?,
        None => vec![self_signed(secrets.world(), &key, &profile).map_err(x509_refused("certificate"))?],
    };
    let facts = facts_of(&chain, &key, Some(Recipe::Certificate(recipe)));
    material(Kind::Certificate, &key, facts)
}

pub(crate) async fn make_authority(secrets: &Secrets, recipe: AuthorityRecipe) -> Result<Material, Error> {
    let kind = key_type("key_type", &recipe.key_type)?;
    let lifetime = lifetime(secrets.world().now(), recipe.seconds, MAX_AUTHORITY_SECONDS)?;
    let subject =
        Subject { organization: recipe.organization.clone(), ..Subject::named(&recipe.common_name) };
    let key = generate(secrets, kind).await?;
    let profile = Profile::authority(subject, Some(0), lifetime);
    let certificate = self_signed(secrets.world(), &key, &profile).map_err(x509_refused("certificate"))?;
    let facts = facts_of(&[certificate], &key, Some(Recipe::X509Ca(recipe)));
    material(Kind::X509Ca, &key, facts)
}

pub(crate) async fn import(secrets: &Secrets, private: SecretText, chain: String) -> Result<Material, Error> {
    if chain.len() > MAX_CHAIN_BYTES {
        return Err(Error::invalid("certificate", format!("is longer than {MAX_CHAIN_BYTES} bytes")));
    }
    let read = move || KeyPair::from_pem(private.expose()).map_err(refused("private_key"));
    let key = secrets.workshop().run(read).await?;
    let chain = Certificate::from_pem(&chain).map_err(x509_refused("certificate"))?;
    let now = secrets.world().now();
    keyreeve_pki::x509::import(&chain, key.public(), now).map_err(x509_refused("certificate"))?;
    let facts = facts_of(&chain, &key, None);
    material(Kind::Certificate, &key, facts)
}

//! Keys that sign tokens for others: made here or brought, never handed out, and published as JSON Web Keys (RFC 7517), so
//! that anybody can check what they signed. A version that was replaced stays published for as long as the settings of its
//! secret keep it, and leaves the moment that it is deleted or destroyed.

use crate::content::{Material, Recipe};
use crate::ssh::{refused, type_name};
use crate::{Error, Facts, Kind, SecretId, Secrets, Settings, Version, schema};
use keyreeve_base::{TenantId, Timestamp};
use keyreeve_crypto::Secret as SecretText;
use keyreeve_crypto::sign::{Algorithm, KeyError, RsaBits, SigningKey};
use keyreeve_pki::{KeyPair, KeyType};
use keyreeve_store::{Tx, params};
use std::sync::Arc;
use std::time::Duration;

/// The most keys of a tenant that sign tokens.
pub const MAX_SIGNING_KEYS: u32 = 50;
/// The most versions of one that are kept, and published.
pub const MAX_PUBLISHED: u32 = 20;

/// The change-feed topic of a tenant's keys; its key is the tenant.
pub(crate) const TOPIC: &str = "secret_signing_key";

/// A version of a key, as it is published.
#[derive(Debug, Clone)]
pub(crate) struct PublicKey {
    id: SecretId,
    /// Whether it lies below another resource, and goes with that.
    below: bool,
    /// The key in JSON.
    json: String,
    /// When it leaves the set by itself.
    until: Option<Timestamp>,
}

pub(crate) fn sign_refused(field: &'static str) -> impl Fn(KeyError) -> Error {
    move |error| match error {
        KeyError::Library => keyreeve_store::Error::internal(error.to_string()).into(),
        error => Error::invalid(field, error.to_string()),
    }
}

fn material(key: &SigningKey) -> Result<Material, Error> {
    let value = key.to_pkcs8().map_err(sign_refused("value"))?;
    let public = KeyPair::from_pkcs8(value.expose()).map_err(refused("value"))?;
    let facts = Facts {
        public_key: Some(public.public().to_pem()),
        fingerprint: Some(key.kid().to_owned()),
        key_type: Some(type_name(public.public())),
        jwk: Some(key.public_jwk().clone()),
        recipe: Some(Recipe::SigningKey { algorithm: key.algorithm() }),
        ..Facts::default()
    };
    Ok(Material::new(Kind::SigningKey, value, facts))
}

pub(crate) async fn make(secrets: &Secrets, algorithm: Algorithm) -> Result<Material, Error> {
    match algorithm {
        Algorithm::EdDsa | Algorithm::Es256 => {
            material(&SigningKey::generate(algorithm).map_err(sign_refused("algorithm"))?)
        }
        // To find its primes takes tenths of a second.
        Algorithm::Rs256 => {
            let find = || {
                let key = SigningKey::generate_rsa(RsaBits::Bits3072).map_err(sign_refused("algorithm"))?;
                material(&key)
            };
            secrets.workshop().run(find).await
        }
    }
}

pub(crate) async fn import(secrets: &Secrets, private: SecretText) -> Result<Material, Error> {
    let read = move || {
        let pair = KeyPair::from_pem(private.expose()).map_err(refused("private_key"))?;
        let algorithm = match pair.public().key_type() {
            KeyType::Ed25519 => Algorithm::EdDsa,
            KeyType::EcdsaP256 => Algorithm::Es256,
            KeyType::Rsa => Algorithm::Rs256,
            KeyType::EcdsaP384 => return Err(sign_refused("private_key")(KeyError::UnsupportedKey)),
        };
        let form = pair.to_pkcs8().map_err(refused("private_key"))?;
        let key = SigningKey::from_pkcs8(algorithm, form.expose()).map_err(sign_refused("private_key"))?;
        material(&key)
    };
    secrets.workshop().run(read).await
}

/// Refuses one key more than a tenant may have.
pub(crate) async fn check_count(tx: &mut Tx<'_>, tenant: TenantId) -> Result<(), Error> {
    let bound = i64::from(MAX_SIGNING_KEYS).saturating_add(1);
    let count: i64 = tx.scalar(&schema::COUNT_SIGNING, &params![tenant, bound]).await?;
    if count >= bound {
        let problem =
            format!("is that of {MAX_SIGNING_KEYS} secrets already, and a tenant has no more of them");
        return Err(Error::invalid("kind", problem));
    }
    Ok(())
}

impl Secrets {
    /// The public keys of a tenant that sign tokens, or those of one secret: a JWK set (RFC 7517 section 5) in JSON, from
    /// memory where that is allowed. Anybody may have it.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a secret that is no such key, or has none any more; those of the rooms.
    pub async fn jwks(&self, tenant: TenantId, of: Option<SecretId>) -> Result<String, Error> {
        let keys = self.signing_keys().get_with(tenant, &tenant, || self.load_keys(tenant)).await?;
        let now = self.world().now();
        let wanted = keys.iter().filter(|key| of.is_none_or(|id| key.id == id));
        let (mut published, mut gone) = (Vec::new(), None);
        for key in wanted.filter(|key| key.until.is_none_or(|until| until > now)) {
            if key.below && gone.is_none_or(|(id, _)| id != key.id) {
                gone = Some((key.id, self.is_orphan(tenant, key.id).await?));
            }
            if !gone.is_some_and(|(id, gone)| gone && id == key.id) {
                published.push(key.json.as_str());
            }
        }
        if of.is_some() && published.is_empty() {
            return Err(Error::NotFound("signing key"));
        }
        Ok(format!("{{\"keys\":[{}]}}", published.join(",")))
    }

    /// Whether what lay above a secret was removed, and it is only not swept away yet.
    async fn is_orphan(&self, tenant: TenantId, id: SecretId) -> Result<bool, Error> {
        let authority = self.identity().authority_of_operator(tenant).await?;
        Ok(self.sharing().hosted().access(&authority, &id.to_string()).await?.is_none())
    }

    async fn load_keys(&self, tenant: TenantId) -> Result<Arc<[PublicKey]>, Error> {
        let most = i64::from(MAX_SIGNING_KEYS).saturating_mul(i64::from(MAX_PUBLISHED));
        let read = async move |tx: &mut Tx<'_>| {
            tx.query(&schema::SIGNING_KEYS, &params![tenant, most], |row| {
                let corrupt = |_| keyreeve_store::Error::corrupt("a signing key cannot be read");
                let settings: Settings = serde_json::from_str(&row.get::<String>(2)?).map_err(corrupt)?;
                let version = Version {
                    number: row.get(3)?,
                    facts: serde_json::from_str(&row.get::<String>(4)?).map_err(corrupt)?,
                    created_at: row.get(5)?,
                    created_by: row.get(6)?,
                    deleted_at: row.get(7)?,
                    destroyed: row.get(8)?,
                };
                Ok((row.get::<SecretId>(0)?, row.get::<Option<String>>(1)?.is_some(), settings, version))
            })
            .await
        };
        let rows: Vec<(SecretId, bool, Settings, Version)> = self.store().read(read).await?;
        let (mut keys, now) = (Vec::new(), self.world().now());
        let mut newer: Option<(SecretId, Timestamp)> = None;
        for (id, below, settings, version) in rows {
            let replaced = newer.filter(|(of, _)| *of == id).map(|(_, at)| at);
            newer = Some((id, version.created_at));
            let Some(jwk) = version.facts.jwk.as_ref().filter(|_| version.is_there(now)) else { continue };
            let aged = replaced.zip(settings.keep_seconds);
            let aged = aged.map(|(at, seconds)| at.plus(Duration::from_secs(seconds)));
            let until = version.deleted_at.into_iter().chain(aged).min();
            keys.push(PublicKey { id, below, json: crate::model::json_text(jwk)?, until });
        }
        Ok(keys.into())
    }
}

//! SSH key pairs: generated, taken over, handed out in OpenSSH's format.

use crate::content::{Material, Recipe, key_type};
use crate::{Error, Facts, Kind, Opened, Secrets};
use keyreeve_crypto::{Secret as SecretText, SecretBytes};
use keyreeve_pki::ssh::SshKeyPair;
use keyreeve_pki::{KeyError, KeyPair, KeyType, NewKey, PublicKey};

/// Refuses a key, by what is wrong with it.
pub(crate) fn refused(field: &'static str) -> impl Fn(KeyError) -> Error {
    move |error| match error {
        KeyError::Library => keyreeve_store::Error::internal(error.to_string()).into(),
        error => Error::invalid(field, error.to_string()),
    }
}

/// The name of a kind of key.
pub(crate) fn type_name(key: &PublicKey) -> String {
    match key.key_type() {
        KeyType::Ed25519 => "ed25519".to_owned(),
        KeyType::EcdsaP256 => "ecdsa-p256".to_owned(),
        KeyType::EcdsaP384 => "ecdsa-p384".to_owned(),
        KeyType::Rsa => format!("rsa-{}", key.bits()),
    }
}

/// A private key as it is sealed.
pub(crate) fn sealed_form(key: &KeyPair) -> Result<SecretBytes, Error> {
    key.to_pkcs8().map_err(refused("value"))
}

fn facts_of(pair: &SshKeyPair, recipe: Option<Recipe>) -> Facts {
    let public = pair.public();
    Facts {
        public_key: Some(public.to_string()),
        fingerprint: Some(public.fingerprint()),
        key_type: Some(type_name(pair.key().public())),
        comment: Some(public.comment().to_owned()).filter(|comment| !comment.is_empty()),
        recipe,
        ..Facts::default()
    }
}

/// A new key, made where there is time for it.
pub(crate) async fn generate(secrets: &Secrets, (kind, slow): (NewKey, bool)) -> Result<KeyPair, Error> {
    let make = move || KeyPair::generate(kind).map_err(refused("key_type"));
    if slow { secrets.workshop().run(make).await } else { make() }
}

pub(crate) async fn make(secrets: &Secrets, name: String, comment: String) -> Result<Material, Error> {
    let key = generate(secrets, key_type("key_type", &name)?).await?;
    let pair = SshKeyPair::new(key, &comment).map_err(refused("comment"))?;
    let facts = facts_of(&pair, Some(Recipe::SshKey { key_type: name, comment }));
    Ok(Material::new(Kind::SshKey, sealed_form(pair.key())?, facts))
}

pub(crate) async fn make_authority(secrets: &Secrets, hosts: bool, name: String) -> Result<Material, Error> {
    let key = generate(secrets, key_type("key_type", &name)?).await?;
    let comment = if hosts { "hosts" } else { "users" };
    let pair = SshKeyPair::new(key, comment).map_err(refused("comment"))?;
    let recipe = Recipe::SshCa { hosts, key_type: name };
    let kind = recipe.kind();
    Ok(Material::new(kind, sealed_form(pair.key())?, facts_of(&pair, Some(recipe))))
}

pub(crate) async fn import(
    secrets: &Secrets,
    private: SecretText,
    passphrase: Option<SecretText>,
    comment: Option<String>,
) -> Result<Material, Error> {
    // To derive a key from a passphrase is slow on purpose; to check an RSA key takes a while as well.
    let read = move || SshKeyPair::import(&private, passphrase.as_ref()).map_err(refused("private_key"));
    let pair = secrets.workshop().run(read).await?;
    let (form, public) = (sealed_form(pair.key())?, pair.public());
    let comment = comment.unwrap_or_else(|| public.comment().to_owned());
    let key = KeyPair::from_pkcs8(form.expose()).map_err(refused("private_key"))?;
    let pair = SshKeyPair::new(key, &comment).map_err(refused("comment"))?;
    Ok(Material::new(Kind::SshKey, form, facts_of(&pair, None)))
}

impl Secrets {
    /// The private key of an SSH pair in OpenSSH's format, encrypted where a passphrase is given.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an empty passphrase and for what is no SSH key; [`Error::Busy`].
    pub async fn openssh(
        &self,
        opened: &Opened,
        passphrase: Option<SecretText>,
    ) -> Result<SecretText, Error> {
        if opened.kind != Kind::SshKey {
            return Err(Error::invalid("kind", "is not ssh_key"));
        }
        let key = KeyPair::from_pkcs8(opened.value.expose()).map_err(refused("value"))?;
        let comment = opened.version.facts.comment.clone().unwrap_or_default();
        let pair = SshKeyPair::new(key, &comment).map_err(refused("comment"))?;
        let world = self.world().clone();
        match passphrase {
            None => pair.to_openssh(&world, None).map_err(refused("value")),
            Some(passphrase) => {
                let write = move || pair.to_openssh(&world, Some(&passphrase)).map_err(refused("passphrase"));
                self.workshop().run(write).await
            }
        }
    }

    /// The private key of an SSH pair or a certificate in PEM (PKCS#8).
    ///
    /// # Errors
    /// [`Error::Invalid`] for what is neither.
    pub fn private_pem(&self, opened: &Opened) -> Result<SecretText, Error> {
        if !matches!(opened.kind, Kind::SshKey | Kind::Certificate) {
            return Err(Error::invalid("kind", "has no private key"));
        }
        let key = KeyPair::from_pkcs8(opened.value.expose()).map_err(refused("value"))?;
        key.to_pem().map_err(refused("value"))
    }
}

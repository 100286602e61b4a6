//! Authorities, and what they sign.

use super::X509Error;
use super::certificate::{Certificate, Serial};
use super::chain::check_authority_chain;
use super::profile::{Profile, Role, date};
use super::request::{Request, Requested};
use super::revocation::RevocationList;
use super::{MAX_CHAIN, names::Subject};
use crate::key::{KeyPair, KeyType, PublicKey};
use keyreeve_base::{Timestamp, World};
use rcgen::{
    CertificateParams, CertificateRevocationListParams, Issuer, KeyIdMethod, PublicKeyData, SerialNumber,
    SignatureAlgorithm, SigningKey,
};
use std::collections::BTreeSet;

/// A key of ours as rcgen wants it.
struct Key<'a>(&'a PublicKey);
struct Signer<'a>(&'a KeyPair);

fn algorithm(key_type: KeyType) -> &'static SignatureAlgorithm {
    match key_type {
        KeyType::Ed25519 => &rcgen::PKCS_ED25519,
        KeyType::EcdsaP256 => &rcgen::PKCS_ECDSA_P256_SHA256,
        KeyType::EcdsaP384 => &rcgen::PKCS_ECDSA_P384_SHA384,
        KeyType::Rsa => &rcgen::PKCS_RSA_SHA256,
    }
}

impl PublicKeyData for Key<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.raw()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        algorithm(self.0.key_type())
    }
}

impl PublicKeyData for Signer<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.public().raw()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        algorithm(self.0.public().key_type())
    }
}

impl SigningKey for Signer<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.0.sign_x509(message).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

/// A certificate that `key` signs about itself: a root, or an end that others pin.
///
/// # Errors
/// [`X509Error`]: the profile cannot stand in a certificate, or the library failed.
pub fn self_signed(world: &World, key: &KeyPair, profile: &Profile) -> Result<Certificate, X509Error> {
    let params = numbered(world, profile.params()?, key.public());
    let issued = params.self_signed(&Signer(key)).map_err(|_| X509Error::Library)?;
    Certificate::from_der(issued.der())
}

/// The same with a random number and the key's identifier.
fn numbered(world: &World, mut params: CertificateParams, key: &PublicKey) -> CertificateParams {
    params.serial_number = Some(SerialNumber::from_slice(Serial::random(world).as_bytes()));
    params.key_identifier_method = KeyIdMethod::PreSpecified(key_id(key));
    params
}

/// The identifier of a key: SHA-256 of its bytes, the first 160 bits (RFC 7093 section 2, method 1).
fn key_id(key: &PublicKey) -> Vec<u8> {
    keyreeve_crypto::sha256(key.raw()).into_iter().take(20).collect()
}

/// An authority: a key with a certificate that says that it may sign others, and the chain above it.
pub struct Authority<'a> {
    key: &'a KeyPair,
    chain: Vec<Certificate>,
}

impl<'a> Authority<'a> {
    /// An authority from its key and its chain, its own certificate first.
    ///
    /// # Errors
    /// [`X509Error`]: the certificate is not about this key, may not sign, is not good at `now`, the chain does not hold
    /// together, or its name is one that could not be written again.
    pub fn new(key: &'a KeyPair, chain: Vec<Certificate>, now: Timestamp) -> Result<Self, X509Error> {
        // What it signs has a longer one.
        if chain.len() >= MAX_CHAIN {
            return Err(X509Error::LongChain);
        }
        check_authority_chain(&chain, key, now)?;
        let authority = Self { key, chain };
        check_name(authority.certificate()?)?;
        Ok(authority)
    }

    /// Its own certificate and those above it.
    #[must_use]
    pub fn chain(&self) -> &[Certificate] {
        &self.chain
    }

    fn certificate(&self) -> Result<&Certificate, X509Error> {
        self.chain.first().ok_or(X509Error::None("certificate"))
    }

    /// Signs a certificate about `key`. What it returns is that certificate; those above it are [`Authority::chain`].
    ///
    /// # Errors
    /// [`X509Error`]: the profile cannot stand in a certificate, would outlive the authority or is deeper than it may
    /// go; or the library failed.
    pub fn issue(&self, world: &World, key: &PublicKey, profile: &Profile) -> Result<Certificate, X509Error> {
        let own = self.certificate()?;
        if profile.not_after.seconds() > own.facts().not_after.seconds() {
            return Err(X509Error::OutlivesAuthority);
        }
        if let Role::Authority { path_length } = profile.role {
            self.check_depth(path_length)?;
        }
        let params = numbered(world, profile.params()?, key);
        let issued = params.signed_by(&Key(key), &self.issuer()?).map_err(|_| X509Error::Library)?;
        let issued = Certificate::from_der(issued.der())?;
        // The name was read and written again; chains are compared byte by byte.
        if issued.parsed()?.issuer().as_raw() != own.parsed()?.subject().as_raw() {
            return Err(X509Error::AuthorityName);
        }
        Ok(issued)
    }

    /// Every authority above must allow one more below, and the new one must not promise more than is left.
    fn check_depth(&self, path_length: Option<u8>) -> Result<(), X509Error> {
        let left = self
            .chain
            .iter()
            .zip(0_u32..)
            .filter_map(|(above, depth)| {
                above.facts().path_length.map(|most| i64::from(most) - i64::from(depth))
            })
            .min();
        match (left, path_length) {
            (Some(left), _) if left < 1 => Err(X509Error::PathLength),
            (Some(left), Some(wanted)) if i64::from(wanted) >= left => Err(X509Error::PathLength),
            _ => Ok(()),
        }
    }

    /// Signs a request: its key and its names, if `allows` says yes to each of them, under `profile` for all the rest.
    /// The profile's own names come on top; its common name gives way to the request's.
    ///
    /// # Errors
    /// [`X509Error::NotAllowed`] with the first name that is refused; as for [`Authority::issue`].
    pub fn sign_request(
        &self,
        world: &World,
        request: &Request,
        profile: &Profile,
        allows: impl Fn(Requested<'_>) -> bool,
    ) -> Result<Certificate, X509Error> {
        request.check(allows)?;
        let common_name = request.common_name().map(str::to_owned).or(profile.subject.common_name.clone());
        let names: BTreeSet<_> = profile.alt_names.iter().chain(request.alt_names()).cloned().collect();
        let profile = Profile {
            subject: Subject { common_name, ..profile.subject.clone() },
            alt_names: names.into_iter().collect(),
            ..profile.clone()
        };
        self.issue(world, request.key(), &profile)
    }

    /// Signs a list of what is revoked; as DER. (As PEM: [`crate::key::pem::encode`] with the label `X509 CRL`.)
    ///
    /// # Errors
    /// [`X509Error::List`], [`X509Error::Lifetime`], [`X509Error::NotAuthority`] when the authority's certificate does
    /// not allow it, [`X509Error::Library`].
    pub fn revocation_list(&self, list: &RevocationList) -> Result<Vec<u8>, X509Error> {
        let own = self.certificate()?;
        let params = CertificateRevocationListParams {
            this_update: date(list.this_update)?,
            next_update: date(list.next_update)?,
            crl_number: SerialNumber::from(list.number),
            issuing_distribution_point: None,
            revoked_certs: list.revoked()?,
            key_identifier_method: KeyIdMethod::PreSpecified(self.key_id(own)),
        };
        let signed = params.signed_by(&self.issuer()?).map_err(|error| match error {
            rcgen::Error::IssuerNotCrlSigner => X509Error::NotAuthority { place: 1 },
            _ => X509Error::Library,
        })?;
        Ok(signed.der().to_vec())
    }

    /// As its own certificate tells it, so that what it signs refers to that.
    fn key_id(&self, own: &Certificate) -> Vec<u8> {
        own.facts().subject_key_id.clone().unwrap_or_else(|| key_id(self.key.public()))
    }

    fn issuer(&self) -> Result<Issuer<'_, Signer<'_>>, X509Error> {
        let der = self.certificate()?.der().to_vec().into();
        Issuer::from_ca_cert_der(&der, Signer(self.key)).map_err(|_| X509Error::AuthorityName)
    }
}

/// rcgen keeps one value of each kind in a name, and one kind in each part: others would come out changed.
fn check_name(certificate: &Certificate) -> Result<(), X509Error> {
    let parsed = certificate.parsed()?;
    let mut seen = BTreeSet::new();
    for part in parsed.subject().iter_rdn() {
        let mut values = part.iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(X509Error::AuthorityName);
        };
        if !seen.insert(value.attr_type().as_bytes().to_vec()) {
            return Err(X509Error::AuthorityName);
        }
    }
    if seen.is_empty() { Err(X509Error::AuthorityName) } else { Ok(()) }
}

//! Chains: from a certificate to the one that issued it, and on.

use super::X509Error;
use super::certificate::Certificate;
use super::profile::KeyUsage;
use crate::key::{KeyPair, PublicKey};
use keyreeve_base::Timestamp;
use x509_parser::prelude::X509Certificate;

/// The most certificates of a chain.
pub const MAX_CHAIN: usize = 10;

/// 1.2.840.113549.1.1.5 and 1.3.14.3.2.29: RSA with SHA-1, in its two names.
const SHA1_WITH_RSA: [&[u8]; 2] = [&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5], &[0x2b, 0x0e, 3, 2, 29]];

/// Takes over a certificate with its chain, the one about `key` first: it must be about this key, each must be issued by the
/// next, and all must be good at `now`.
///
/// # Errors
/// [`X509Error`]: which of these it is not, and where.
pub fn import(chain: &[Certificate], key: &PublicKey, now: Timestamp) -> Result<(), X509Error> {
    let first = chain.first().ok_or(X509Error::None("certificate"))?;
    if first.facts().key.as_ref() != Some(key) {
        return Err(X509Error::OtherKey);
    }
    check_chain(chain, now)
}

/// Checks that each certificate is issued by the next (names, right to sign, path length, signature), that keys are strong
/// enough, and that all are good at `now`. The last may be a root, whose own signature is checked, or one whose issuer
/// is not given.
///
/// This finds what was put together wrongly. It trusts nothing: whoever relies on the chain has roots of its own, and
/// evaluates name constraints, policies and purposes.
///
/// # Errors
/// [`X509Error`], with the place.
pub fn check_chain(chain: &[Certificate], now: Timestamp) -> Result<(), X509Error> {
    if chain.len() > MAX_CHAIN {
        return Err(X509Error::LongChain);
    }
    let mut below = 0_u32;
    for (index, certificate) in chain.iter().enumerate() {
        let place = index + 1;
        let facts = certificate.facts();
        PublicKey::from_spki(certificate.parsed()?.public_key().raw)?;
        if now < facts.not_before {
            return Err(X509Error::NotYet { place });
        }
        // The last second counts (RFC 5280 section 4.1.2.5).
        if facts.not_after.seconds() < now.seconds() {
            return Err(X509Error::Expired { place });
        }
        if index > 0 {
            check_authority(certificate, place, below)?;
            if !facts.self_issued {
                below = below.saturating_add(1);
            }
        }
        let issuer = chain.get(place).or_else(|| facts.self_issued.then_some(certificate));
        if let Some(issuer) = issuer {
            check_link(certificate, issuer, place)?;
        }
    }
    Ok(())
}

/// Whether a certificate may sign others with `below` authorities between it and the first.
fn check_authority(certificate: &Certificate, place: usize, below: u32) -> Result<(), X509Error> {
    let facts = certificate.facts();
    let may_sign = facts.key_usages.as_ref().is_none_or(|usages| usages.contains(&KeyUsage::KeyCertSign));
    if !facts.authority || !may_sign {
        return Err(X509Error::NotAuthority { place });
    }
    if facts.path_length.is_some_and(|most| most < below) {
        return Err(X509Error::PathLength);
    }
    Ok(())
}

fn check_link(certificate: &Certificate, issuer: &Certificate, place: usize) -> Result<(), X509Error> {
    let (certificate, issuer) = (certificate.parsed()?, issuer.parsed()?);
    if certificate.issuer().as_raw() != issuer.subject().as_raw() {
        return Err(X509Error::Unlinked { place });
    }
    verify(&certificate, &issuer).ok_or(X509Error::Signature { place })
}

fn verify(certificate: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> Option<()> {
    let algorithm = certificate.signature_algorithm.algorithm.as_bytes();
    if SHA1_WITH_RSA.contains(&algorithm)
        || certificate.signature_algorithm != certificate.tbs_certificate.signature
    {
        return None;
    }
    certificate.verify_signature(Some(issuer.public_key())).ok()
}

/// Whether `chain` begins with a certificate about `key` that may sign others, and holds together at `now`.
pub(super) fn check_authority_chain(
    chain: &[Certificate],
    key: &KeyPair,
    now: Timestamp,
) -> Result<(), X509Error> {
    import(chain, key.public(), now)?;
    chain.first().map_or(Ok(()), |first| check_authority(first, 1, 0))
}

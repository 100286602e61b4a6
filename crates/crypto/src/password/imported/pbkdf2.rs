//! PBKDF2 (RFC 8018 section 5.2) in its many spellings.

use super::super::phc;
use super::strip_prefix_ignoring_case;
use crate::digest::constant_time_eq;
use aws_lc_rs::pbkdf2::{self, Algorithm, PBKDF2_HMAC_SHA1, PBKDF2_HMAC_SHA256, PBKDF2_HMAC_SHA512};
use std::num::NonZeroU32;
use zeroize::Zeroizing;

/// About two seconds of HMAC-SHA-256. Django's default passed 1 million in 2025.
const MAX_ITERATIONS: u32 = 5_000_000;

/// The hash inside the HMAC.
#[derive(Clone, Copy)]
pub(super) enum Prf {
    Sha1,
    Sha256,
    Sha512,
}

impl Prf {
    const fn algorithm(self) -> Algorithm {
        match self {
            Self::Sha1 => PBKDF2_HMAC_SHA1,
            Self::Sha256 => PBKDF2_HMAC_SHA256,
            Self::Sha512 => PBKDF2_HMAC_SHA512,
        }
    }
}

pub(in super::super) struct Pbkdf2 {
    prf: Prf,
    iterations: NonZeroU32,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

/// Reads `$pbkdf2-sha256$i=600000,l=32$salt$hash` (PHC), `$pbkdf2-sha256$29000$salt$hash` (passlib) and
/// `{PBKDF2-SHA256}29000$salt$hash` (LDAP).
pub(super) fn parse(text: &str) -> Option<Pbkdf2> {
    const NAMES: [(&str, &str, Prf); 4] = [
        ("$pbkdf2-sha256$", "{PBKDF2-SHA256}", Prf::Sha256),
        ("$pbkdf2-sha512$", "{PBKDF2-SHA512}", Prf::Sha512),
        ("$pbkdf2-sha1$", "{PBKDF2-SHA1}", Prf::Sha1),
        ("$pbkdf2$", "{PBKDF2}", Prf::Sha1),
    ];
    let (rest, prf) = NAMES.iter().find_map(|(modular, ldap, prf)| {
        let rest = text.strip_prefix(modular).or_else(|| strip_prefix_ignoring_case(text, ldap))?;
        Some((rest, *prf))
    })?;
    let (parameters, rest) = rest.split_once('$')?;
    let (salt, hash) = rest.split_once('$')?;
    if let Some(iterations) = phc::number(parameters) {
        return new(prf, iterations, phc::adapted_base64(salt)?, phc::adapted_base64(hash)?);
    }
    let [Some(iterations), length] = phc::parameters(parameters, ["i", "l"])? else {
        return None;
    };
    let hash = phc::base64(hash)?;
    let as_declared = length.is_none_or(|length| usize::try_from(length) == Ok(hash.len()));
    if as_declared { new(prf, iterations, phc::base64(salt)?, hash) } else { None }
}

/// A hash within bounds, from its parts.
pub(super) fn new(prf: Prf, iterations: u32, salt: Vec<u8>, hash: Vec<u8>) -> Option<Pbkdf2> {
    let iterations = NonZeroU32::new(iterations).filter(|count| count.get() <= MAX_ITERATIONS)?;
    Some(Pbkdf2 { prf, iterations, salt: phc::salt(salt)?, hash: phc::hash(hash)? })
}

impl Pbkdf2 {
    pub(super) fn verify(&self, password: &[u8]) -> bool {
        let mut computed = Zeroizing::new(vec![0; self.hash.len()]);
        pbkdf2::derive(self.prf.algorithm(), self.iterations, &self.salt, password, &mut computed);
        constant_time_eq(&computed, &self.hash)
    }
}

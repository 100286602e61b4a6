//! LDAP's salted digests: base64 of the digest of password and salt, with the salt after it.

use super::super::phc;
use super::strip_prefix_ignoring_case;
use crate::digest::constant_time_eq;
use aws_lc_rs::digest::{Algorithm, Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA512};

pub(in super::super) struct SaltedSha {
    algorithm: &'static Algorithm,
    digest: Vec<u8>,
    salt: Vec<u8>,
}

/// Reads `{SSHA}`, `{SSHA256}` and `{SSHA512}`. Digests without a salt are not read.
pub(super) fn parse(text: &str) -> Option<SaltedSha> {
    let names: [(&str, &'static Algorithm); 3] =
        [("{SSHA}", &SHA1_FOR_LEGACY_USE_ONLY), ("{SSHA256}", &SHA256), ("{SSHA512}", &SHA512)];
    let (rest, algorithm) = names
        .iter()
        .find_map(|(name, algorithm)| Some((strip_prefix_ignoring_case(text, name)?, *algorithm)))?;
    let mut digest = phc::base64(rest)?;
    if digest.len() < algorithm.output_len() {
        return None;
    }
    let salt = phc::salt(digest.split_off(algorithm.output_len()))?;
    Some(SaltedSha { algorithm, digest, salt })
}

impl SaltedSha {
    pub(super) fn verify(&self, password: &[u8]) -> bool {
        let mut context = Context::new(self.algorithm);
        context.update(password);
        context.update(&self.salt);
        constant_time_eq(context.finish().as_ref(), &self.digest)
    }
}

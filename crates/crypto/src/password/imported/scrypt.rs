//! scrypt (RFC 7914).

use super::super::phc;
use crate::digest::constant_time_eq;
use zeroize::Zeroizing;

/// 128 bytes times N times r is the memory: at most 128 MiB.
const MAX_N_TIMES_R: u64 = 1 << 20;
/// Memory times p is the time: at most what four passes over the largest memory take.
const MAX_N_TIMES_R_TIMES_P: u64 = 1 << 22;

pub(in super::super) struct Scrypt {
    params: ::scrypt::Params,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

/// Reads `$scrypt$ln=16,r=8,p=1$salt$hash` (PHC; passlib writes the same).
pub(super) fn parse(text: &str) -> Option<Scrypt> {
    let (parameters, rest) = text.strip_prefix("$scrypt$")?.split_once('$')?;
    let (salt, hash) = rest.split_once('$')?;
    let [Some(log_n), Some(r), Some(p)] = phc::parameters(parameters, ["ln", "r", "p"])? else {
        return None;
    };
    new(log_n, (r, p), phc::base64(salt)?, phc::base64(hash)?)
}

/// A hash within bounds, from its parts.
pub(super) fn new(log_n: u32, (r, p): (u32, u32), salt: Vec<u8>, hash: Vec<u8>) -> Option<Scrypt> {
    let n = 1u64.checked_shl(log_n).filter(|&n| n > 1)?;
    let n_times_r = n.checked_mul(u64::from(r)).filter(|&work| work <= MAX_N_TIMES_R)?;
    n_times_r.checked_mul(u64::from(p)).filter(|&work| work <= MAX_N_TIMES_R_TIMES_P)?;
    let params = ::scrypt::Params::new(u8::try_from(log_n).ok()?, r, p).ok()?;
    Some(Scrypt { params, salt: phc::salt(salt)?, hash: phc::hash(hash)? })
}

impl Scrypt {
    pub(super) fn verify(&self, password: &[u8]) -> Option<bool> {
        let mut computed = Zeroizing::new(vec![0; self.hash.len()]);
        ::scrypt::scrypt(password, &self.salt, &self.params, &mut computed).ok()?;
        Some(constant_time_eq(&computed, &self.hash))
    }
}

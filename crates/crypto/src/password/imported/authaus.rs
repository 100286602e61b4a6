//! The hashes of authaus, the library behind IMQS Auth: base64 of a version byte, 32 bytes of salt and 32 bytes of scrypt.

use super::scrypt::{self, Scrypt};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Before the text that authaus stores: by itself it is told from no other base64.
pub(super) const PREFIX: &str = "{authaus}";
/// The only version there ever was.
const VERSION: u8 = 1;
/// The length of the salt, in bytes.
const SALT_BYTES: usize = 32;
/// N = 256, r = 8, p = 1: weak, so the owner's next sign-in replaces the hash.
const LOG_N: u32 = 8;

/// Reads the text behind the prefix.
pub(super) fn parse(text: &str) -> Option<Scrypt> {
    let bytes = STANDARD.decode(text).ok().filter(|bytes| bytes.len() == 65)?;
    let (version, rest) = bytes.split_first()?;
    if *version != VERSION {
        return None;
    }
    let (salt, hash) = rest.split_at_checked(SALT_BYTES)?;
    scrypt::new(LOG_N, (8, 1), salt.to_vec(), hash.to_vec())
}

#[cfg(test)]
mod tests {
    use super::super::{Scheme, recognise};
    use super::*;
    use ::scrypt::Params;

    #[test]
    fn what_authaus_stored_is_verified() {
        let mut stored = vec![1_u8];
        let salt = [7_u8; 32];
        stored.extend_from_slice(&salt);
        let mut hash = [0_u8; 32];
        ::scrypt::scrypt(b"JOE", &salt, &Params::new(8, 8, 1).unwrap(), &mut hash).unwrap();
        stored.extend_from_slice(&hash);
        let text = STANDARD.encode(&stored);
        let read = parse(&text).unwrap();
        assert_eq!((read.verify(b"JOE"), read.verify(b"joe")), (Some(true), Some(false)));
        assert_eq!(recognise(&format!("{PREFIX}{text}")), Some(Scheme::Scrypt));
        assert_eq!(recognise(&text), None, "without its prefix it is told from no other base64");
        stored[0] = 2;
        assert!(parse(&STANDARD.encode(&stored)).is_none() && parse("AQ==").is_none());
    }
}

//! SHA-256 and comparison in constant time.

use subtle::ConstantTimeEq as _;

/// SHA-256 (FIPS 180-4) of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    // In one call: a context costs more than the digest of a short text.
    array(&aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes))
}

/// SHA-256 of the parts, one after the other, with nothing between them.
#[must_use]
pub fn sha256_of_parts(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for part in parts {
        context.update(part);
    }
    array(&context.finish())
}

/// SHA-256 always yields 32 bytes; zip copies without an index that could be wrong.
fn array(digest: &aws_lc_rs::digest::Digest) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (to, from) in bytes.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    bytes
}

/// Whether the two are the same bytes, in a time that depends on their lengths only (ABUSE-CASES AC-37).
///
/// Different *lengths* are told apart at once, and so leak: compare digests, or values whose length is public.
#[must_use]
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256_of_abc_is_that_of_fips_180() {
        let expected = [
            0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
            0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad,
        ];
        assert_eq!(sha256(b"abc"), expected);
        assert_eq!(sha256_of_parts(&[b"a", b"", b"bc"]), expected);
    }

    #[test]
    fn ac_37_comparison_sees_every_difference() {
        assert!(constant_time_eq(b"", b""));
        assert!(constant_time_eq(b"same", b"same"));
        for other in [&b"sama"[..], b"Same", b"sam", b"same\0", b""] {
            assert!(!constant_time_eq(b"same", other), "{other:?}");
        }
    }
}

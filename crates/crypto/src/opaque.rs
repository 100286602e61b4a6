//! Opaque tokens: refresh tokens, authorization codes, session ids, API and client secrets, reset tokens.
//!
//! Outside they are random text; inside only their digest is stored, so that a copied database redeems nothing. A
//! plain SHA-256 is enough here, and a slow hash would be waste: 256 random bits cannot be guessed.

use crate::base64url;
use crate::digest::sha256_of_parts;
use keyreeve_base::World;
use std::fmt;
use zeroize::Zeroizing;

/// Random bytes in a token.
const TOKEN_BYTES: usize = 32;

/// Sets these digests apart from every other SHA-256 in the system, so that none can be passed off as another.
const DOMAIN: &[u8] = b"keyreeve opaque token v1\0";

/// A random token of 256 bits: 43 characters of base64url, after a prefix where one was asked for.
pub struct OpaqueToken(Zeroizing<String>);

impl OpaqueToken {
    /// A new token without a prefix.
    #[must_use]
    pub fn generate(world: &World) -> Self {
        Self::generate_with_prefix(world, "")
    }

    /// A new token that begins with `prefix`, such as `kr_rt_`, so that people and secret scanners recognise a leaked
    /// one. The prefix is part of the token and of its digest.
    #[must_use]
    pub fn generate_with_prefix(world: &World, prefix: &'static str) -> Self {
        let bytes = Zeroizing::new(world.random_bytes::<TOKEN_BYTES>());
        let mut text =
            String::with_capacity(prefix.len().saturating_add(base64url::encoded_len(TOKEN_BYTES)));
        text.push_str(prefix);
        base64url::encode_into(bytes.as_slice(), &mut text);
        Self(Zeroizing::new(text))
    }

    /// The text that goes to its holder, once.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is stored.
    #[must_use]
    pub fn digest(&self) -> TokenDigest {
        TokenDigest::of(&self.0)
    }
}

impl fmt::Debug for OpaqueToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpaqueToken(…)")
    }
}

/// The stored form of an [`OpaqueToken`]: domain-separated SHA-256. Not secret: it opens nothing and is found by
/// equality in an index.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// The digest of a presented token. Any text has one; only a token's matches what is stored.
    #[must_use]
    pub fn of(presented: &str) -> Self {
        Self(sha256_of_parts(&[DOMAIN, presented.as_bytes()]))
    }

    /// The digest with these bytes, as read from the database.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl TryFrom<&[u8]> for TokenDigest {
    type Error = std::array::TryFromSliceError;

    fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
        bytes.try_into().map(Self)
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenDigest({})", base64url::encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SystemRandom;
    use keyreeve_base::SystemClock;
    use std::sync::Arc;

    fn world() -> World {
        World::new(Arc::new(SystemClock), Arc::new(SystemRandom))
    }

    #[test]
    fn a_token_is_43_characters_after_its_prefix() {
        assert_eq!(OpaqueToken::generate(&world()).expose().len(), 43);
        let token = OpaqueToken::generate_with_prefix(&world(), "kr_rt_");
        let random = token.expose().strip_prefix("kr_rt_").unwrap();
        assert_eq!(base64url::decode(random).unwrap().len(), 32);
        assert_ne!(token.expose(), OpaqueToken::generate_with_prefix(&world(), "kr_rt_").expose());
    }

    #[test]
    fn the_digest_is_found_again_from_the_text_alone() {
        let token = OpaqueToken::generate_with_prefix(&world(), "kr_rt_");
        let stored = token.digest();
        assert_eq!(TokenDigest::of(token.expose()), stored);
        assert_eq!(TokenDigest::try_from(&stored.as_bytes()[..]).unwrap(), stored);
        assert_ne!(TokenDigest::of(&token.expose()[6..]), stored, "the prefix counts");
        assert!(TokenDigest::try_from(&stored.as_bytes()[..31]).is_err());
    }

    #[test]
    fn the_digest_never_changes_between_versions() {
        // Made with Python: hashlib.sha256(b"keyreeve opaque token v1\0" + b"kr_rt_x").hexdigest()
        let expected = "5d9e94153a40850d9a41be3de17d3784ff386f3e4edf585ef68033c2a0e3a825";
        let hex: String = TokenDigest::of("kr_rt_x").as_bytes().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, expected);
    }

    #[test]
    fn a_token_prints_nothing() {
        assert_eq!(format!("{:?}", OpaqueToken::generate(&world())), "OpaqueToken(…)");
    }
}

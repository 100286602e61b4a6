//! Password hashing, signing, sealing, opaque tokens, and the generator of randomness: everything in Keyreeve that
//! touches a key.
//!
//! What it is not: it knows no database, no HTTP and no rule of any room. It does not decide who may do what, how
//! long a token lives or where a key is stored; it turns keys and bytes into other bytes, and says no when they do
//! not fit together. The mathematics is aws-lc's, argon2's and bcrypt's; this crate holds the formats around it, the
//! limits, and the habits (constant-time comparison, wiping, domain separation).
//!
//! | module | what |
//! |---|---|
//! | [`secret`] | text and bytes that wipe themselves |
//! | [`opaque`] | refresh tokens, codes, session ids: random text outside, a digest inside |
//! | [`password`] | Argon2id through a bounded, fair pool; verification of imported hashes |
//! | [`sign`], [`jws`] | EdDSA, ES256, RS256; JWK; compact JWS under strict limits |
//! | [`seal`] | AES-256-GCM under tenants' data keys, wrapped by the master key |
//! | [`base64url`], [`digest`], [`random`] | the small tools that the others share |
//!
//! How to add to it: a further imported hash is a variant of [`password::imported::Scheme`], a parser and a
//! verification in `password/imported`, bounds on its cost, and vectors made by an independent implementation in
//! `tests/`. A further signature algorithm is a variant of [`sign::Algorithm`]; the compiler names every place
//! that must know it. A change of a stored format gets a new version byte or prefix; the old one stays readable.

pub mod base64url;
pub mod digest;
pub mod jws;
pub mod opaque;
pub mod password;
pub mod random;
pub mod seal;
pub mod secret;
pub mod sign;
pub mod strict_json;

pub use digest::{constant_time_eq, sha256};
pub use opaque::{OpaqueToken, TokenDigest};
pub use random::{Alphabet, SystemRandom, random_text};
pub use secret::{Secret, SecretBytes};

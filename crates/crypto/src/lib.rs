//! Password hashing, signing, sealing, opaque tokens

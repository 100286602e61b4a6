//! SSH and X.509: key pairs, certificates, authorities, lists of what is revoked; and passwords by policy.
//!
//! What it is not: it knows no database, no HTTP and no rule of any room. It does not decide who may have a certificate,
//! for how long, or where a key is kept; it makes what it is told to make, refuses what could not stand or would mean
//! more than it says, and reads what others made. Nothing here asks the system for the time: it comes as a
//! [`keyreeve_base::World`] or a [`keyreeve_base::Timestamp`]. The mathematics is aws-lc's.
//!
//! | module | what |
//! |---|---|
//! | [`key`] | key pairs and public keys, in PKCS#8, PKCS#1, SEC 1 and `SubjectPublicKeyInfo`; PEM |
//! | [`ssh`] | OpenSSH's private and public keys, certificates of users and hosts, revocation lists (KRL) |
//! | [`x509`] | certificates, authorities with their chains, requests (PKCS#10), revocation lists (CRL) |
//! | [`password`] | passwords by policy, each equally likely |
//!
//! One private key serves both worlds: [`KeyPair`] is what a file held, [`ssh::SshKeyPair`] is one with a comment.
//!
//! ```
//! use keyreeve_base::{SystemClock, World};
//! use keyreeve_crypto::SystemRandom;
//! use keyreeve_pki::ssh::{CertificateKind, Options, Permission, Restrictions, SshCertificate, SshKeyPair, Terms};
//! use keyreeve_pki::{KeyPair, NewKey};
//! use std::{sync::Arc, time::Duration};
//!
//! let world = World::new(Arc::new(SystemClock), Arc::new(SystemRandom));
//! let authority = KeyPair::generate(NewKey::Ed25519)?;
//! let alice = SshKeyPair::generate(NewKey::Ed25519, "alice@laptop")?;
//! let terms = Terms {
//!     kind: CertificateKind::User,
//!     key_id: "alice, by hand".to_owned(),
//!     serial: keyreeve_pki::ssh::random_serial(&world),
//!     principals: vec!["alice".to_owned()],
//!     not_before: world.now(),
//!     not_after: world.now().plus(Duration::from_secs(3600)),
//!     restrictions: Restrictions::default(),
//!     permissions: Options::of(&[Permission::Pty]),
//! };
//! let certificate = SshCertificate::sign(&world, &authority, &alice.public(), &terms)?;
//! assert!(certificate.to_string().starts_with("ssh-ed25519-cert-v01@openssh.com "));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! How to add to it: a further kind of key is a variant of [`KeyType`]; the compiler names every place that must know
//! it. A further format is read with a bound on its size, is held to bytes that nobody meant well in
//! `tests/main/hostile.rs`, and is judged by a program of others in `tests/main`: OpenSSH's and OpenSSL's are.

pub mod key;
pub mod password;
pub mod ssh;
pub mod x509;

pub use key::{KeyError, KeyPair, KeyType, NewKey, PublicKey};

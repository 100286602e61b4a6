//! What this crate makes, judged by OpenSSH and OpenSSL, and what they make, read by this crate.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr
)]

mod foreign;
mod hostile;
mod ssh;
mod sshd;
mod x509;

//! The real program, run as an operator runs it, on both engines.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected must fail, loudly"
)]

mod audit;
mod commands;
mod configuration;
mod elsewhere;
mod harness;
mod keys;
mod library;
mod mail;
mod secrets;
mod serving;
mod setup;
mod sharing;
mod transfer;

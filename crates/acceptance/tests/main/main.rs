//! The real server, from the outside.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    reason = "a test that does not get what it needs must fail, loudly"
)]

mod abuse;
mod api;
mod assertions;
mod backchannel;
mod bad_input;
mod basic_op;
mod bound;
mod compat;
mod desk;
mod device;
mod discovery;
mod dpop;
mod exchange;
mod front_channel;
mod kill;
mod logout;
mod main_job;
mod program;
mod pushed;
mod recovery;
mod registration;
mod routes;
mod scim;
mod sealing;
mod secrets;
mod secrets_in_output;
mod service_tokens;
mod sessions;
mod sharing;
mod sources;
mod token_endpoint;
mod token_use;
mod vault;

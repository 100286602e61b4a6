//! The tokens room on both engines.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::large_futures,
    reason = "a test that does not get what it expects must fail, and its futures live once"
)]

mod access;
mod audit;
mod caller;
mod clients;
mod codes;
mod dpop;
mod front_channel;
mod house;
mod keys;
mod logout;
mod mappers;
mod preview;
mod refresh;
mod requests;

use keyreeve_testkit::{Engine, on_both_engines};

on_both_engines! {
    /// Every statement means something to both engines.
    async fn every_statement_can_be_prepared(engine: Engine) {
        let test = keyreeve_testkit::store(engine, &house::migrations()).await;
        for statement in keyreeve_tokens::STATEMENTS {
            test.store.prepare(statement).await.unwrap_or_else(|error| panic!("{statement:?}: {error:?}"));
        }
    }
}

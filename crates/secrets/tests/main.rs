//! The secrets room on both engines.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::large_futures,
    missing_docs,
    reason = "a test that does not get what it expects must fail, and its futures live once"
)]

#[path = "main/house.rs"]
mod house;
#[path = "main/issuing.rs"]
mod issuing;
#[path = "main/kinds.rs"]
mod kinds;
#[path = "main/kv.rs"]
mod kv;
#[path = "main/leasing.rs"]
mod leasing;
#[path = "main/lists.rs"]
mod lists;
#[path = "main/reading.rs"]
mod reading;
#[path = "main/rewrapping.rs"]
mod rewrapping;
#[path = "main/signing.rs"]
mod signing;
#[path = "main/stores.rs"]
mod stores;

use keyreeve_testkit::{Engine, on_both_engines};

on_both_engines! {
    /// Every statement means something to both engines.
    async fn every_statement_can_be_prepared(engine: Engine) {
        let test = keyreeve_testkit::store(engine, &house::migrations()).await;
        for statement in keyreeve_secrets::STATEMENTS {
            test.store.prepare(statement).await.unwrap_or_else(|error| panic!("{statement:?}: {error:?}"));
        }
    }
}

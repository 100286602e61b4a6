//! The sharing room on both engines.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::large_futures,
    missing_docs,
    reason = "a test that does not get what it expects must fail, and its futures live once"
)]

#[path = "main/bulk.rs"]
mod bulk;
#[path = "main/caches.rs"]
mod caches;
#[path = "main/claims.rs"]
mod claims;
#[path = "main/grants.rs"]
mod grants;
#[path = "main/hosted.rs"]
mod hosted;
#[path = "main/house.rs"]
mod house;
#[path = "main/merging.rs"]
mod merging;
#[path = "main/model.rs"]
mod model;
#[path = "main/questions.rs"]
mod questions;
#[path = "main/resources.rs"]
mod resources;
#[path = "main/standing.rs"]
mod standing;

use keyreeve_testkit::{Engine, on_both_engines};

on_both_engines! {
    /// Every statement means something to both engines.
    async fn every_statement_can_be_prepared(engine: Engine) {
        let test = keyreeve_testkit::store(engine, &house::migrations()).await;
        let declared = keyreeve_sharing::STATEMENTS.iter().copied();
        for statement in declared.chain(keyreeve_sharing::composed_statements()) {
            test.store.prepare(statement).await.unwrap_or_else(|error| panic!("{statement:?}: {error:?}"));
        }
    }
}

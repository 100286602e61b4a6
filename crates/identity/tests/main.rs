//! The identity room on both engines.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::large_futures,
    reason = "a test that does not get what it expects must fail, and its futures live once"
)]

mod admission;
mod attributes;
mod audit;
mod authority;
mod availability;
mod clients;
mod groups;
mod groups_model;
mod house;
mod merging;
mod nodes;
mod passwords;
mod recovery;
mod requests;
mod revise;
mod roles;
mod sealing;
mod search;
mod search_view;
mod second_factor;
mod service_accounts;
mod sessions;
mod tenants;
mod throttle;
mod upgrade;
mod users;
mod versions;

use keyreeve_testkit::{Engine, on_both_engines};

on_both_engines! {
    /// Every statement means something to both engines.
    async fn every_statement_can_be_prepared(engine: Engine) {
        let test = keyreeve_testkit::store(engine, &house::migrations()).await;
        for statement in keyreeve_identity::STATEMENTS {
            test.store.prepare(statement).await.unwrap_or_else(|error| panic!("{statement:?}: {error:?}"));
        }
    }
}

//! What tests need around the code under test: a clock that they turn, a store on either engine, a throw-away
//! PostgreSQL, a mail server that keeps what it is given.
//!
//! ```no_run
//! use keyreeve_testkit::{Engine, on_both_engines, store};
//!
//! on_both_engines! {
//!     /// Becomes two tests, `a_new_store_answers::sqlite` and `a_new_store_answers::postgres`.
//!     async fn a_new_store_answers(engine: Engine) {
//!         let test = store(engine, &[]).await;
//!         test.store.ping().await.unwrap();
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! A test never skips: where a server cannot be had, it fails and says what to install.
//!
//! What it is not: it knows no room and no door. What a room's tests need of that room lives with the room.
//!
//! To add another throw-away server, give it a module like [`postgres`]: found or installed, on a free port, shared by
//! test processes if starting it is slow, gone when nobody has used it for a while.

#![allow(
    clippy::panic,
    clippy::expect_used,
    reason = "a test that does not get what it needs must fail, loudly"
)]

mod clock;
mod collector;
mod database;
pub mod mail;
pub mod postgres;
mod process;
mod store;

pub use clock::{START, TestClock, test_world};
pub use collector::{Collector, Posted};
pub use database::Database;
pub use keyreeve_store::Engine;
pub use mail::{Mail, MailServer, Manner};
pub use store::{TestStore, block_on, store, store_with};

//! The real server under test: booted in the process on either engine, spoken to over HTTP, with a clock that tests
//! turn.
//!
//! ```no_run
//! use keyreeve_acceptance::{Server, on_a_server};
//!
//! on_a_server! {
//!     /// Becomes two tests, `ada_signs_in::sqlite` and `ada_signs_in::postgres`.
//!     async fn ada_signs_in(server: &Server) {
//!         server.user("ada").create().await;
//!         let browser = server.browser();
//!         browser.sign_in("ada").await;
//!         browser.get("/account").send().await.expect(200);
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`stand_in`] | a server of somebody else, which the server calls |
//! | [`server`] | [`Server`]: the running server, what must hold after each test, a tenant's [`Mount`] |
//! | [`build`] | tenants, users and clients, in calls that read like sentences |
//! | [`call`] | one request, and its [`Answer`]; a failed expectation prints both |
//! | [`browser`] | a person's browser: cookies, forms, the walk through the pages |
//! | [`api`] | callers of the native API |
//! | [`page`] | a page as a browser reads it |
//! | [`flow`] | the authorization code flow of a client, from the request to the tokens |
//! | [`jwt`] | verification of tokens by nothing but what the server publishes |
//!
//! What it is not: it checks nothing of its own accord but what must hold always (see [`Server::finish`]). What each
//! behaviour should be stands in the tests.
//!
//! To add to it: a step that three tests repeat becomes a method here. Nothing here waits for real time.

#![allow(
    clippy::panic,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that does not get what it needs must fail, loudly"
)]

pub mod api;
pub mod browser;
pub mod build;
pub mod call;
pub mod flow;
pub mod jwt;
pub mod page;
pub mod possession;
pub mod server;
pub mod stand_in;

pub use api::Api;
pub use browser::{Browser, Callback};
pub use build::{Auth, PASSWORD, TestClient, TestUser};
pub use call::{Answer, Call, Http};
pub use flow::{CodeFlow, TokenSet, VERIFIER, challenge_of};
pub use keyreeve_store::Engine;
pub use page::{Form, Page};
pub use server::{Mount, Server, Setup, run};
pub use stand_in::{Heard, StandIn};

/// The same for a server that may reach this machine: for tests with a [`StandIn`].
#[macro_export]
macro_rules! on_a_server_that_fetches {
    ($($(#[$meta:meta])* async fn $name:ident($server:ident: $type:ty) $body:block)*) => {$(
        $(#[$meta])*
        mod $name {
            #[allow(unused_imports, reason = "the test may need nothing from around it")]
            use super::*;

            async fn test($server: $type) $body

            #[test]
            fn sqlite() {
                $crate::server::run_fetching($crate::Engine::Sqlite, async |server| test(server).await);
            }

            #[test]
            fn postgres() {
                $crate::server::run_fetching($crate::Engine::Postgres, async |server| test(server).await);
            }
        }
    )*};
}

/// Makes two tests of each function, `NAME::sqlite` and `NAME::postgres`, each against a server of its own, which is
/// checked and ended afterwards ([`Server::finish`]).
#[macro_export]
macro_rules! on_a_server {
    ($($(#[$meta:meta])* async fn $name:ident($server:ident: $type:ty) $body:block)*) => {$(
        $(#[$meta])*
        mod $name {
            #[allow(unused_imports, reason = "the test may need nothing from around it")]
            use super::*;

            async fn test($server: $type) $body

            #[test]
            fn sqlite() {
                $crate::run($crate::Engine::Sqlite, async |server| test(server).await);
            }

            #[test]
            fn postgres() {
                $crate::run($crate::Engine::Postgres, async |server| test(server).await);
            }
        }
    )*};
}

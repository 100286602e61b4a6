//! The crate as a door and a client see it: through the router, and over real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what fails in a helper fails the test"
)]

mod front;
mod routes;
mod sockets;
mod support;

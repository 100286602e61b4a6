//! What holds for every page, in every state and every language; and what the handlers do with them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::large_futures,
    reason = "a test that finds something else than it expects is to fail"
)]

mod handlers;
mod pages;
#[path = "../examples/gallery/states.rs"]
mod states;

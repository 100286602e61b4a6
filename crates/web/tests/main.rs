//! What holds for every page, in every state and every language.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that finds something else than it expects is to fail"
)]

mod pages;
#[path = "../examples/gallery/states.rs"]
mod states;

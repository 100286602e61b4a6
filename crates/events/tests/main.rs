//! The events room on both engines: subscriptions, deliveries to a receiver, streams.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

#[path = "main/house.rs"]
mod house;
#[path = "main/streams.rs"]
mod streams;
#[path = "main/webhooks.rs"]
mod webhooks;

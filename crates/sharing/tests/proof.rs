//! The proof of the sharing room: random histories beside a slow evaluator that is obviously right, on both engines, on one
//! node and on two, with many at once, and on shapes that are as large as they get.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::large_futures,
    missing_docs,
    reason = "a test that does not get what it expects must fail, and its futures live once"
)]

#[path = "proof/compare.rs"]
mod compare;
#[path = "proof/histories.rs"]
mod histories;
#[allow(dead_code, reason = "the room's other tests need more of it")]
#[path = "main/house.rs"]
mod house;
#[path = "proof/large.rs"]
mod large;
#[path = "proof/lists.rs"]
mod lists;
#[path = "proof/live.rs"]
mod live;
#[path = "proof/oracle.rs"]
mod oracle;
#[path = "proof/plans.rs"]
mod plans;
#[path = "proof/room.rs"]
mod room;
#[path = "proof/steps.rs"]
mod steps;

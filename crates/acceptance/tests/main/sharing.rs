//! Sharing over HTTP: resources in a tree, grants on them, and the questions about them.

mod authzen;
mod bulk;
pub mod house;
mod questions;
mod resources;

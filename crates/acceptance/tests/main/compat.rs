//! The interfaces of other systems, as their clients meet them.

mod document;
mod imqs;
pub mod insight;

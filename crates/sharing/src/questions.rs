//! Questions: all of them answered from the same walk (`engine`), so that they agree.
//!
//! Who may ask about whom: whoever administers the tenant, and its own client, about everybody; everybody about
//! themselves; whoever may share a resource about everybody on that resource. To anybody else, what they may not ask about
//! is as if it were not there.

mod check;
mod explain;
mod kind;
mod resources_of;
mod search;
mod subjects;

pub use check::{Check, Decision, Denial, MAX_CHECKS};
pub use explain::{Explanation, Via};
pub use resources_of::{ResourcesOf, VisibleResource};
pub use search::{Order, ResourceField, Search, SearchCursor};
pub use subjects::{Reach, SubjectCursor, SubjectsOf};

use crate::Sharing;

/// How often an answer is worked out anew because something has changed meanwhile.
const ATTEMPTS: u32 = 4;
pub(crate) const MAX_ATTEMPTS: u32 = ATTEMPTS;

/// The questions.
#[derive(Clone, Copy)]
pub struct Questions<'a>(pub(crate) &'a Sharing);

/// A page of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, C> {
    /// What it holds, in order.
    pub items: Vec<T>,
    /// Where the next page begins; none after the last. There may be one although this page is not full.
    pub next: Option<C>,
}

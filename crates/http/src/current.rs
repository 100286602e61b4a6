//! The request that a thread is at work on, so that whatever is logged meanwhile can bear its identifier.
//!
//! A span would do the same and costs a tenth of a small request: it is stored, its fields are written as text, and it is
//! entered and left at each poll, for a line that most requests never log. Here it is one word of the thread.

use crate::origin::RequestId;
use std::cell::{Cell, RefCell};
use std::sync::Arc;

thread_local! {
    static ID: Cell<Option<RequestId>> = const { Cell::new(None) };
    static ROUTE: RefCell<Option<Arc<str>>> = const { RefCell::new(None) };
}

/// The identifier of the request that this thread is at work on, if it is at work on one.
#[must_use]
pub fn request_id() -> Option<RequestId> {
    ID.get()
}

/// Says that this thread is at work on a request until it is dropped.
pub(crate) struct Entered {
    before: Option<RequestId>,
}

/// From now on this thread is at work on `id`.
pub(crate) fn enter(id: RequestId) -> Entered {
    Entered { before: ID.replace(Some(id)) }
}

impl Drop for Entered {
    fn drop(&mut self) {
        ID.set(self.before);
    }
}

/// Whether the line of a request, or its span, would reach anybody: two loads, right whatever the layers of a subscriber
/// think. Asking by `enabled!` would leave them with its answer for the next span.
pub(crate) fn is_heard() -> bool {
    tracing::level_filters::LevelFilter::current() >= tracing::level_filters::LevelFilter::INFO
}

/// The request that this thread is at work on met this route.
pub(crate) fn met(route: &Arc<str>) {
    // A router without a front around it has nobody who would take the route away.
    if ID.get().is_none() {
        return;
    }
    ROUTE.with_borrow_mut(|met| *met = Some(Arc::clone(route)));
}

/// The route that the request which was answered just now on this thread has met.
pub(crate) fn take_met() -> Option<Arc<str>> {
    ROUTE.with_borrow_mut(Option::take)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::RequestIds;
    use keyreeve_base::{Random, SystemClock, World};

    struct Nothing;

    impl Random for Nothing {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(0);
        }
    }

    #[test]
    fn one_request_within_another_leaves_it_as_it_was() {
        let ids = RequestIds::new(&World::new(Arc::new(SystemClock), Arc::new(Nothing)));
        let (outer, inner) = (ids.next(), ids.next());
        assert_eq!(request_id(), None);
        let first = enter(outer);
        let second = enter(inner);
        assert_eq!(request_id(), Some(inner));
        drop(second);
        assert_eq!(request_id(), Some(outer));
        drop(first);
        assert_eq!(request_id(), None);
    }
}

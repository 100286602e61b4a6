//! A time limit that costs nothing where nothing is waited for.

use pin_project_lite::pin_project;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Sleep;

pin_project! {
    /// A future with a time limit; see [`within`].
    pub(crate) struct Within<F> {
        #[pin]
        future: F,
        limit: Duration,
        sleep: Option<Pin<Box<Sleep>>>,
    }
}

/// What `future` answers, or nothing once it has been waited for as long as `limit`. The clock starts when it first has
/// to wait: most never do, and need no timer.
pub(crate) const fn within<F: Future>(limit: Duration, future: F) -> Within<F> {
    Within { future, limit, sleep: None }
}

impl<F: Future> Future for Within<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(answer) = this.future.poll(cx) {
            return Poll::Ready(Some(answer));
        }
        let limit = *this.limit;
        let sleep = this.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        sleep.as_mut().poll(cx).map(|()| None)
    }
}

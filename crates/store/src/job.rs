//! A closure that waits to be run, whatever it answers: what the engines do around it is compiled once for all of them.

use crate::{Error, Tx};
use futures_util::future::LocalBoxFuture;
use tokio::sync::oneshot;

/// A closure with a place for what becomes of it.
pub(crate) trait Job: Send {
    /// Runs it; whether what it did may be committed.
    fn run<'a>(&'a mut self, tx: &'a mut Tx<'_>) -> LocalBoxFuture<'a, bool>;
    /// What becomes of it instead, unless it failed by itself.
    fn fail(&mut self, error: Error);
    /// Forgets what became of it.
    fn reset(&mut self);
    /// Tells the caller.
    fn answer(self: Box<Self>);
}

/// A job, and where its answer comes.
pub(crate) fn job<T, E, F>(f: F) -> (Box<dyn Job>, oneshot::Receiver<Result<T, E>>)
where
    F: AsyncFn(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    (Box::new(Closure { f, result: None, reply }), answer)
}

struct Closure<T, E, F> {
    f: F,
    /// None until it has run.
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<T, E, F> Job for Closure<T, E, F>
where
    F: AsyncFn(&mut Tx<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<Error> + Send,
{
    fn run<'a>(&'a mut self, tx: &'a mut Tx<'_>) -> LocalBoxFuture<'a, bool> {
        Box::pin(async move {
            let result = (self.f)(tx).await;
            let wanted = result.is_ok();
            self.result = Some(result);
            wanted
        })
    }

    fn fail(&mut self, error: Error) {
        if !matches!(self.result, Some(Err(_))) {
            self.result = Some(Err(error.into()));
        }
    }

    fn reset(&mut self) {
        self.result = None;
    }

    fn answer(self: Box<Self>) {
        let result =
            self.result.unwrap_or_else(|| Err(Error::internal("a transaction was never run").into()));
        // The caller may have stopped waiting.
        drop(self.reply.send(result));
    }
}

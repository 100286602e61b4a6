//! What is shown while keys change: a bar at a terminal, on standard error. The work goes on without whoever watches.

use super::args::{Command, KeyCommand};
use super::exit::{Failure, Output};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use std::io::IsTerminal as _;
use std::time::Duration;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// The command that shows how far the change is that `command` begins; none for commands that begin none.
pub(super) fn status_of(command: &Command) -> Option<Command> {
    match command {
        Command::Key(KeyCommand::RotateData { tenant, wait: true }) => {
            Some(Command::Key(KeyCommand::DataKeys { tenant: tenant.clone() }))
        }
        Command::Key(KeyCommand::Rotate { master: true, .. }) => Some(Command::Key(KeyCommand::MasterKeys)),
        _ => None,
    }
}

/// The arguments by which a running server is asked for it.
#[cfg(unix)]
pub(super) fn arguments_of(status: &Command) -> Vec<std::ffi::OsString> {
    let words: Vec<&str> = match status {
        Command::Key(KeyCommand::DataKeys { tenant }) => vec!["key", "data-keys", "--tenant", &tenant.tenant],
        _ => vec!["key", "master-keys"],
    };
    words.into_iter().map(Into::into).collect()
}

/// Whether what the command began goes on after it has been answered.
pub(super) const fn goes_on(status: &Command) -> bool {
    matches!(status, Command::Key(KeyCommand::DataKeys { .. }))
}

/// Asks again and again until everything is sealed anew; answers the last answer.
pub(super) async fn follow(ask: impl AsyncFn() -> Result<Output, Failure>) -> Result<Output, Failure> {
    let bar = Bar::new();
    loop {
        let answer = ask().await?;
        bar.show(&answer.json);
        let rotation = answer.json.get("rotation").filter(|rotation| !rotation.is_null());
        if rotation.is_none_or(|rotation| rotation.get("finished_at").is_some_and(|at| !at.is_null())) {
            return Ok(answer);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Shows how far it is while `work` is under way.
pub(super) async fn beside<T>(
    work: impl Future<Output = Result<T, Failure>>,
    ask: impl AsyncFn() -> Result<Output, Failure>,
) -> Result<T, Failure> {
    let bar = Bar::new();
    if bar.0.is_none() {
        return work.await;
    }
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = tokio::time::sleep(PAUSE) => {}
        }
        // That it cannot be said how far it is stops nothing.
        if let Ok(answer) = ask().await {
            bar.show(&answer.json);
        }
    }
}

/// A bar, where there is a terminal. Taken away when dropped.
struct Bar(Option<ProgressBar>);

impl Bar {
    fn new() -> Self {
        Self(std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:30} {percent:>3} %  {pos} of {len}  ETA {eta}");
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        }))
    }

    fn show(&self, status: &Value) {
        let Some(bar) = &self.0 else { return };
        let (done, total) = progress(status);
        bar.set_length(total);
        bar.set_position(done);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// How much is done, and of how much.
fn progress(status: &Value) -> (u64, u64) {
    let number = |value: Option<&Value>| value.and_then(Value::as_u64).unwrap_or(0);
    if let Some(rotation) = status.get("rotation") {
        let done = number(rotation.get("resealed")).saturating_add(number(rotation.get("failed")));
        return (done, number(rotation.get("total")).max(done));
    }
    let keys = status.as_array().map(Vec::as_slice).unwrap_or_default();
    let count = |key: &Value| number(key.get("data_keys"));
    let current = keys.iter().filter(|key| key.get("current") == Some(&Value::Bool(true)));
    (current.map(count).sum(), keys.iter().map(count).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_kinds_of_status_are_read() {
        let data =
            json!({"items": [], "rotation": {"resealed": 3, "failed": 1, "total": 10, "finished_at": null}});
        assert_eq!(progress(&data), (4, 10));
        assert_eq!(progress(&json!({"rotation": {"resealed": 3, "failed": 0, "total": null}})), (3, 3));
        let master = json!([{"data_keys": 7, "current": true}, {"data_keys": 2, "current": false}]);
        assert_eq!(progress(&master), (7, 9));
        assert_eq!(progress(&Value::Null), (0, 0));
    }
}

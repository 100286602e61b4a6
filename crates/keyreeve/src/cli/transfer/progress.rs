//! What is shown while an import or export runs: a bar at a terminal, a line now and then elsewhere. All of it on standard
//! error.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often a line is printed where there is no terminal.
const EVERY: Duration = Duration::from_secs(10);

/// How far it is.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    read: Arc<AtomicU64>,
    sized: bool,
    started: Instant,
    printed: Instant,
    lines: u64,
    failed: u64,
}

impl Progress {
    /// Progress through a source of this size, of which `read` bytes are read.
    pub(super) fn new(size: Option<u64>, read: Arc<AtomicU64>) -> Self {
        let now = Instant::now();
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = size.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
            let template = match size {
                Some(_) => "{bar:30} {percent:>3} %  {msg}  ETA {eta}",
                None => "{spinner}  {msg}  {elapsed}",
            };
            bar.set_style(
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            bar
        });
        Self { bar, read, sized: size.is_some(), started: now, printed: now, lines: 0, failed: 0 }
    }

    /// Notes that lines were decided, and shows it.
    pub(super) fn took(&mut self, lines: u64, failed: u64) {
        self.lines = self.lines.saturating_add(lines);
        self.failed = self.failed.saturating_add(failed);
        let message = self.message();
        match &self.bar {
            Some(bar) => {
                if self.sized {
                    bar.set_position(self.read.load(Ordering::Relaxed));
                } else {
                    bar.tick();
                }
                bar.set_message(message);
            }
            None if self.printed.elapsed() >= EVERY => {
                self.printed = Instant::now();
                drop(writeln!(std::io::stderr().lock(), "keyreeve: {message}"));
            }
            None => {}
        }
    }

    /// Shows a line without spoiling the bar.
    pub(super) fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => drop(writeln!(std::io::stderr().lock(), "{line}")),
        }
    }

    /// Takes the bar away; how long it took.
    pub(super) fn end(&self) -> Duration {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.started.elapsed()
    }

    fn message(&self) -> String {
        let rate = rate(self.lines, self.started.elapsed());
        let failed = if self.failed > 0 { format!(", {} failed", self.failed) } else { String::new() };
        format!("{} lines, {rate}/s{failed}", self.lines)
    }
}

/// How many a second.
pub(super) fn rate(lines: u64, took: Duration) -> u64 {
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
    lines.saturating_mul(1_000) / millis
}

//! What a command answers to the shell.

use serde_json::Value;
use std::fmt;

/// The exit codes of every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// Failed for a reason that has no code of its own.
    Failed = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// What the command names does not exist.
    NotFound = 3,
    /// It exists already, or somebody else changed it meanwhile.
    Conflict = 4,
    /// Refused by a rule, or a verification found something wrong.
    Refused = 5,
    /// The database, the master key or the server cannot be reached now.
    Unavailable = 6,
}

/// The codes as the help shows them.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed
  2  wrong command line or configuration
  3  not found
  4  exists already, or changed meanwhile
  5  refused by a rule, or a verification found something wrong
  6  the database, the master key or the server cannot be reached";

/// Why a command did not do what it was asked: one sentence and the exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The code.
    pub exit: Exit,
    /// The sentence; never a secret.
    pub message: String,
}

impl Failure {
    /// A failure with this code and sentence.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    /// What was named does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Exit::NotFound, message)
    }

    /// The command line is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// What a command has to say: as text for people, as JSON with `--json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The lines for people.
    pub text: String,
    /// The same as data.
    pub json: Value,
    /// The code; a verification that found something has an output *and* a code.
    pub exit: Exit,
}

impl Output {
    /// The output of a command that did its work.
    pub fn new(text: impl Into<String>, json: Value) -> Self {
        Self { text: text.into(), json, exit: Exit::Ok }
    }

    /// The same with another exit code.
    #[must_use]
    pub fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }
}

/// Lines of `columns` under their headings, each column as wide as its widest cell.
#[must_use]
pub fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = headings.iter().map(|heading| heading.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(printable(cell).chars().count());
        }
    }
    let line = |cells: &[String]| {
        let mut text = String::new();
        for (cell, width) in cells.iter().zip(&widths) {
            let cell = printable(cell);
            let gap = width.saturating_sub(cell.chars().count()) + 2;
            text.push_str(&cell);
            text.extend(std::iter::repeat_n(' ', gap));
        }
        text.trim_end().to_owned()
    };
    let headings: Vec<String> = headings.iter().map(|heading| (*heading).to_owned()).collect();
    std::iter::once(line(&headings)).chain(rows.iter().map(|row| line(row))).collect::<Vec<_>>().join("\n")
}

/// Lines of `name  value`, values aligned; absent values are left out.
#[must_use]
pub fn record(fields: &[(&str, Option<String>)]) -> String {
    let width = fields.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    let present = fields.iter().filter_map(|(name, value)| value.as_ref().map(|value| (name, value)));
    present
        .map(|(name, value)| format!("{name:<width$}  {}", printable(value)))
        .collect::<Vec<_>>()
        .join("\n")
}

/// A text without characters that could move the terminal's cursor or hide what is printed: names are other people's
/// input.
#[must_use]
pub fn printable(text: &str) -> String {
    let harmless =
        |c: char| !c.is_control() && !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if harmless(c) { c } else { '\u{fffd}' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_align_and_show_no_control_characters() {
        let rows = vec![vec!["a\u{1b}[2J".to_owned(), "x".to_owned()], vec!["b".to_owned(), "y".to_owned()]];
        assert_eq!(table(&["NAME", "N"], &rows), "NAME   N\na\u{fffd}[2J  x\nb      y");
        assert_eq!(record(&[("a", Some("1".to_owned())), ("long", None)]), "a     1");
    }

    #[test]
    fn the_help_names_every_code() {
        for exit in
            [Exit::Failed, Exit::Usage, Exit::NotFound, Exit::Conflict, Exit::Refused, Exit::Unavailable]
        {
            assert!(EXIT_CODES.contains(&format!("\n  {}  ", exit as u8)));
        }
    }
}

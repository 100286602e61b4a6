//! What the converters of other systems' exports have in common: where their records go, and the notes about what is not
//! taken over.

use crate::record::Record;
use serde::Serialize;

/// A sentence about something that is not taken over, or not as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// What it is about: a kind and a name, such as `user ada`.
    pub about: String,
    /// What is not taken over; the same words for all that are alike.
    pub what: &'static str,
    /// What there is to say of this one; never a secret.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// Where converters put what they find.
pub trait Sink {
    /// Takes a record. What names another record comes after it.
    ///
    /// # Errors
    /// Those of whoever takes it; the conversion ends then.
    fn record(&mut self, record: Record) -> std::io::Result<()>;

    /// Takes a note.
    ///
    /// # Errors
    /// Those of whoever takes it; the conversion ends then.
    fn note(&mut self, note: Note) -> std::io::Result<()>;
}

/// Says that something is not taken over.
pub(crate) fn note(
    sink: &mut dyn Sink,
    about: &str,
    what: &'static str,
    detail: impl Into<String>,
) -> std::io::Result<()> {
    sink.note(Note { about: about.to_owned(), what, detail: detail.into() })
}

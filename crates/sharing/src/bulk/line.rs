//! A line of a load or an export.

use crate::{Error, NewGrant, NewPermission, NewResource, NewType};

/// One line: an object with one member, which names its kind.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// A type of resources.
    Type(NewType),
    /// A permission.
    Permission(NewPermission),
    /// A resource.
    Resource(Box<NewResource>),
    /// A grant.
    Grant(NewGrant),
}

impl Line {
    /// Reads a line of JSON.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(text: &str) -> Result<Self, LineError> {
        serde_json::from_str(text)
            .map_err(|error| LineError { field: String::new(), detail: error.to_string() })
    }
}

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LineOutcome {
    /// It was made.
    Created,
    /// It was there already, and is left as it is.
    Exists,
}

/// Why a line was not taken in.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LineError {
    /// The member that is wrong; empty where it is the line as a whole.
    pub field: String,
    /// What is wrong with it.
    pub detail: String,
}

/// What became of a line, or why nothing did.
pub type LineResult = Result<LineOutcome, LineError>;

impl LineError {
    pub(super) fn new(field: &str, detail: impl Into<String>) -> Self {
        Self { field: field.to_owned(), detail: detail.into() }
    }
}

/// The result of a line, of what making it said. What is not the line's own fault stays an error.
pub(super) fn result(made: Result<(), Error>) -> Result<LineResult, Error> {
    Ok(match made {
        Ok(()) => Ok(LineOutcome::Created),
        Err(Error::Taken(_)) => Ok(LineOutcome::Exists),
        Err(error) => Err(fault(error)?),
    })
}

/// What is wrong with a line, of the error that it made.
pub(super) fn fault(error: Error) -> Result<LineError, Error> {
    match error {
        Error::Invalid { field, problem } => Ok(LineError::new(field, problem)),
        Error::NotFound(what) => Ok(LineError::new(what, "is not there")),
        Error::Denied(what) => Ok(LineError::new("", format!("takes {what}"))),
        other => Err(other),
    }
}

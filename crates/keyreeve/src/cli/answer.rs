//! What a command answers, as it travels between processes.

use super::exit::{Exit, Failure, Output};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The answer of a command.
#[derive(Serialize, Deserialize)]
pub(super) struct Answer {
    exit: Exit,
    text: String,
    json: Value,
    /// The sentence of a failure; then `text` and `json` are empty.
    failure: Option<String>,
}

impl From<Result<Output, Failure>> for Answer {
    fn from(done: Result<Output, Failure>) -> Self {
        match done {
            Ok(output) => Self { exit: output.exit, text: output.text, json: output.json, failure: None },
            Err(failure) => Self {
                exit: failure.exit,
                text: String::new(),
                json: Value::Null,
                failure: Some(failure.message),
            },
        }
    }
}

impl From<Answer> for Result<Output, Failure> {
    fn from(answer: Answer) -> Self {
        match answer.failure {
            Some(message) => Err(Failure::new(answer.exit, message)),
            None => Ok(Output { text: answer.text, json: answer.json, exit: answer.exit }),
        }
    }
}

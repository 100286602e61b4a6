//! One finished message.

use keyreeve_crypto::{Secret, SecretBytes};
use serde::{Deserialize, Serialize};

/// A message to one person: it may hold a link that is as good as a password for a while.
pub struct Message {
    /// The address of the recipient, as the profile has it.
    pub to: String,
    /// The subject; holds no secret.
    pub subject: String,
    /// The plain text.
    pub text: Secret,
    /// The same as HTML.
    pub html: Secret,
}

#[derive(Serialize)]
struct Written<'a> {
    to: &'a str,
    subject: &'a str,
    text: &'a str,
    html: &'a str,
}

#[derive(Deserialize)]
struct Read {
    to: String,
    subject: String,
    text: Secret,
    html: Secret,
}

/// The bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are no message")]
pub struct NotAMessage;

impl Message {
    /// The form in which a message waits: JSON with the members `to`, `subject`, `text` and `html`. To be sealed.
    ///
    /// # Errors
    /// [`NotAMessage`] when it cannot be written, which is never so for texts.
    pub fn to_bytes(&self) -> Result<SecretBytes, NotAMessage> {
        let written = Written {
            to: &self.to,
            subject: &self.subject,
            text: self.text.expose(),
            html: self.html.expose(),
        };
        serde_json::to_vec(&written).map(SecretBytes::from).map_err(|_| NotAMessage)
    }

    /// Reads what [`Message::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`NotAMessage`] for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NotAMessage> {
        let Read { to, subject, text, html } = serde_json::from_slice(bytes).map_err(|_| NotAMessage)?;
        Ok(Self { to, subject, text, html })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_waited_is_the_same() {
        let message = Message {
            to: "ada@example.org".to_owned(),
            subject: "Grüße \"x\"".to_owned(),
            text: Secret::new("line\nlink"),
            html: Secret::new("<p>ä</p>"),
        };
        let read = Message::from_bytes(message.to_bytes().unwrap().expose()).unwrap();
        assert_eq!((read.to, read.subject), (message.to, message.subject));
        assert_eq!((read.text.expose(), read.html.expose()), ("line\nlink", "<p>ä</p>"));
        assert!(Message::from_bytes(b"{}").is_err() && Message::from_bytes(b"\xff").is_err());
    }
}

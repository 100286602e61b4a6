//! Letters to people, and handing them to whoever delivers them.
//!
//! | module | what |
//! |---|---|
//! | [`letter`] | what is written to people: subject, plain text and HTML, in each language |
//! | [`message`] | one finished message, and how it is stored (sealed) until it was handed over |
//! | [`smtp`] | the SMTP server that takes messages, as a setting names it |
//! | [`webhook`] | the service that takes messages over HTTP instead, and the signature that it checks |
//! | [`mailer`] | [`Mailer`]: hands one message over, in bounded time |
//!
//! What it is not: it keeps nothing and repeats nothing. The queue, the retries and the decision who is written to are the
//! rooms'. It is told the address of a link, and never makes one.
//!
//! How to add to it. A new letter is a variant of [`LetterKind`] and its words in each language of `letter`; the compiler
//! names every place. A letter holds what must not be read by others (a link with a token), so neither a letter nor a
//! message can be printed, and [`SendError`] never repeats what a server said about it in words of its own.

pub mod letter;
pub mod mailer;
pub mod message;
pub mod smtp;
pub mod webhook;

pub use letter::{Language, Letter, LetterKind};
pub use mailer::{Mailer, SendError, Sender, SetupError, Transport};
pub use message::Message;
pub use smtp::{Security, SmtpServer};
pub use webhook::{Webhook, WebhookSecret};

//! The door for people: server-rendered pages.
//!
//! - [`routes`] are the handlers: they read a request, ask a room, and fill a page.
//! - [`pages`] is the view layer: a struct for each page, rendered by a template.
//! - [`texts`] holds every word they say, in each language.
//! - [`assets`] serves the stylesheet, the script and the mark.
//!
//! What it is not: it decides nothing. Whether somebody may come in is `keyreeve_identity`'s business, what an
//! application may have is `keyreeve_tokens`'.
//!
//! To add a page, see [`pages`]; to add a language, see [`texts`]. `cargo run -p keyreeve-web --example gallery` shows
//! every page in every state.

pub mod assets;
mod handlers;
pub mod pages;
pub mod texts;

pub use handlers::{Pages, RESET_PATH, VERIFY_PATH, WebState, routes};

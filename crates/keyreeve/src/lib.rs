//! The Keyreeve server and its command line: configuration, wiring, first start, background jobs.
//!
//! It knows every room and every door and holds no rule: what is allowed is decided in the rooms, what is said to the
//! outside in the doors. The command line is one more door; it calls the same use cases.
//!
//! Everything is reachable as a library, so that tests run the real server with their own clock:
//! [`App::open`], [`App::first_start`], [`App::serve`]. There are no globals: two servers can run in one process. (The
//! two that a process can have only one of, the log output and the metrics recorder, are installed by [`cli::main`].)
//!
//! To add a setting: [`config`]. A background job: [`jobs`]. A door: [`doors`]. A command: its arguments in
//! [`cli::args`], its work in a module of [`cli::run`].

mod app;
pub mod cli;
mod compat;
pub mod config;
pub mod data_dir;
pub mod doors;
mod error;
pub mod first_start;
pub mod hardening;
pub mod jobs;

mod mailing;
pub mod master_key;
pub mod meters;
pub mod ops;
pub mod process;
pub mod sealed;
pub mod traces;
pub mod unseal;

pub use app::{App, Inner, Purpose, location, migrations};
pub use error::{Error, chain};

//! The audit log: append-only, written in the transaction of what it records, chained by hash.
//!
//! [`record`] inserts an entry inside the transaction of the use case, so that there is no change without its entry and
//! no entry without its change. Each entry has a place in its tenant's chain: a sequence number and the SHA-256 over its
//! predecessor's hash and its own content. On SQLite, where one transaction writes at a time, [`record`] gives it that
//! place at once. On PostgreSQL it touches no shared row, so that writers never wait for each other, and a background
//! job calls [`seal`] a few times a second. [`verify`] walks a chain and names the first entry that was changed, removed
//! or put in between.
//!
//! Reading: [`find`] answers pages by who, what, when and how it ended, newest first, each way on an index;
//! [`export`] streams the chain as lines of JSON, and [`FileVerifier`] checks such a file where there is no database.
//! [`Entry::public`] is the shape in which entries leave the server, whichever door they take.
//!
//! What it is not: it decides nothing, and it keeps no secret. `detail` and `reason` are readable by auditors.
//!
//! To record a new kind of event, pick a dotted `noun.verb` as its action; nothing here needs to change.

mod chain;
mod event;
mod export;
mod file;
mod filter;
mod read;
mod schema;
mod wire;

pub use chain::{Head, Report, Verdict, head, seal, verify};
pub use event::{Actor, Entry, Event, Outcome, list, record};
pub use export::export;
pub use file::{FileReport, FileVerdict, FileVerifier};
pub use filter::{ActionPattern, Filter, MAX_PATTERNS, MAX_TEXT_BYTES};
pub use read::{Cursor, MAX_LIMIT, Order, Page, Query, find};
pub use schema::{MIGRATIONS, STATEMENTS};
pub use wire::{Party, PublicEntry};

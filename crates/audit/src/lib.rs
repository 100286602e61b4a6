//! The audit log: append-only, written in the transaction of what it records, chained by hash.
//!
//! [`record`] inserts an entry inside the transaction of the use case, so that there is no change without its entry and
//! no entry without its change. Each entry has a place in its tenant's chain: a sequence number and the SHA-256 over its
//! predecessor's hash and its own content. On SQLite, where one transaction writes at a time, [`record`] gives it that
//! place at once. On PostgreSQL it touches no shared row, so that writers never wait for each other, and a background
//! job calls [`seal`] a few times a second. [`verify`] walks a chain and names the first entry that was changed, removed
//! or put in between.
//!
//! What it is not: it decides nothing, and it keeps no secret. `detail` and `reason` are readable by auditors.
//!
//! To record a new kind of event, pick a dotted `noun.verb` as its action; nothing here needs to change.

mod chain;
mod event;
mod schema;

pub use chain::{Head, Report, Verdict, seal, verify};
pub use event::{Actor, Entry, Event, Outcome, list, record};
pub use schema::{MIGRATIONS, STATEMENTS};

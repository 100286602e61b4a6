//! Tables and statements of the identity room.

mod bulk;
mod clustered;
mod data_keys;
mod directory;
mod ended;
mod merge;
mod people;
mod recovery;
mod requests;
mod search;
mod second_factor;

pub(crate) use bulk::*;
pub(crate) use data_keys::*;
pub(crate) use directory::*;
pub(crate) use ended::*;
pub(crate) use merge::*;
pub(crate) use people::*;
pub(crate) use recovery::*;
pub(crate) use requests::*;
pub(crate) use search::*;
pub(crate) use second_factor::*;

use keyreeve_store::{Migration, Statement, count_statements, joined_statements};

/// The room's tables.
pub const MIGRATIONS: &[Migration] = &[
    people::MIGRATION,
    directory::MIGRATION,
    recovery::MIGRATION,
    search::MIGRATION,
    second_factor::MIGRATION,
    ended::MIGRATION,
    requests::MIGRATION,
    merge::MIGRATION,
    recovery::GRANTS_FROM,
    data_keys::MIGRATION,
    clustered::MIGRATION,
];

const PARTS: &[&[&Statement]] = &[
    people::STATEMENTS,
    data_keys::STATEMENTS,
    directory::STATEMENTS,
    bulk::STATEMENTS,
    recovery::STATEMENTS,
    requests::STATEMENTS,
    search::STATEMENTS,
    second_factor::STATEMENTS,
    ended::STATEMENTS,
    merge::STATEMENTS,
];

/// Every statement of the room, for the test that prepares them all on both engines.
pub static STATEMENTS: &[&Statement] = &joined_statements::<{ count_statements(PARTS) }>(PARTS);

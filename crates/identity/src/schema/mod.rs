//! Tables and statements of the identity room.

mod bulk;
mod directory;
mod ended;
mod merge;
mod people;
mod recovery;
mod requests;
mod search;
mod second_factor;

pub(crate) use bulk::*;
pub(crate) use directory::*;
pub(crate) use ended::*;
pub(crate) use merge::*;
pub(crate) use people::*;
pub(crate) use recovery::*;
pub(crate) use requests::*;
pub(crate) use search::*;
pub(crate) use second_factor::*;

use keyreeve_store::{Migration, Statement};

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
];

const PARTS: &[&[&Statement]] = &[
    people::STATEMENTS,
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
pub static STATEMENTS: &[&Statement] = &joined::<{ count(PARTS) }>(PARTS);

#[allow(clippy::indexing_slicing, reason = "runs when compiling; an index out of bounds does not compile")]
const fn count(parts: &[&[&'static Statement]]) -> usize {
    let (mut part, mut count) = (0, 0);
    while part < parts.len() {
        count += parts[part].len();
        part += 1;
    }
    count
}

#[allow(clippy::indexing_slicing, reason = "runs when compiling; an index out of bounds does not compile")]
const fn joined<const N: usize>(parts: &[&[&'static Statement]]) -> [&'static Statement; N] {
    let mut all = [parts[0][0]; N];
    let (mut part, mut place) = (0, 0);
    while part < parts.len() {
        let mut index = 0;
        while index < parts[part].len() {
            all[place] = parts[part][index];
            (index, place) = (index + 1, place + 1);
        }
        part += 1;
    }
    assert!(place == N, "every place is filled");
    all
}

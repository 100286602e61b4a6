//! One SQL text for two engines: what is written once, and the words that stand for what differs.

use crate::{Engine, Error};
use std::borrow::Cow;
use std::sync::OnceLock;

/// A statement, written once for both engines. Declared by [`statements!`](crate::statements), never inline, so that
/// one test can prepare every statement of the server on both engines. The exception is what callers ask for in more
/// ways than can be declared ([`Statement::composed`]).
pub struct Statement {
    name: &'static str,
    sql: Cow<'static, str>,
    sqlite: OnceLock<Result<Rendered, Error>>,
    postgres: OnceLock<Result<Rendered, Error>>,
}

/// A statement's text for one engine.
pub(crate) struct Rendered {
    pub(crate) sql: Box<str>,
    /// SQLite numbers `$2` by where it first stands, not by its number: for each of its places, which `$n` it is.
    /// Found at the first preparation, which is where SQLite itself tells.
    pub(crate) order: OnceLock<Box<[usize]>>,
}

impl Statement {
    /// A statement of this name and text; see [`statements!`](crate::statements).
    #[must_use]
    pub const fn new(name: &'static str, sql: &'static str) -> Self {
        Self { name, sql: Cow::Borrowed(sql), sqlite: OnceLock::new(), postgres: OnceLock::new() }
    }

    /// A statement that was put together from fixed fragments, to be run by [`crate::Tx::query_composed`]. Nothing that a
    /// caller sent stands in its text: values are parameters, and names come from a closed set.
    #[must_use]
    pub const fn composed(name: &'static str, sql: String) -> Self {
        Self { name, sql: Cow::Owned(sql), sqlite: OnceLock::new(), postgres: OnceLock::new() }
    }

    /// Where it is declared and how it is called.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The text as it was written.
    #[must_use]
    pub fn sql(&self) -> &str {
        &self.sql
    }

    pub(crate) fn render(&self, engine: Engine) -> Result<&Rendered, Error> {
        let slot = match engine {
            Engine::Sqlite => &self.sqlite,
            Engine::Postgres => &self.postgres,
        };
        slot.get_or_init(|| {
            let sql = render(engine, &self.sql)
                .map_err(|error| Error::internal_from(format!("in statement {}", self.name), error))?;
            Ok(Rendered { sql: sql.into(), order: OnceLock::new() })
        })
        .as_ref()
        .map_err(Clone::clone)
    }
}

impl std::fmt::Debug for Statement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Statement({})", self.name)
    }
}

/// Declares the statements of one module, and `STATEMENTS`, the list of them.
///
/// ```
/// keyreeve_store::statements! {
///     /// The user of this identifier.
///     pub(crate) FIND_USER = "SELECT name FROM app_user WHERE id = $1";
/// }
/// # fn main() {
/// assert!(FIND_USER.name().ends_with("::FIND_USER"));
/// assert_eq!(STATEMENTS.len(), 1);
/// # }
/// ```
#[macro_export]
macro_rules! statements {
    ($($(#[$meta:meta])* $vis:vis $name:ident = $sql:expr;)*) => {
        $(
            $(#[$meta])*
            $vis static $name: $crate::Statement =
                $crate::Statement::new(concat!(module_path!(), "::", stringify!($name)), $sql);
        )*
        /// Every statement of this module, for the test that prepares them all on both engines.
        pub static STATEMENTS: &[&$crate::Statement] = &[$(&$name),*];
    };
}

/// How many statements these modules have together, for [`joined_statements`].
#[allow(clippy::indexing_slicing, reason = "runs when compiling; an index out of bounds does not compile")]
#[must_use]
pub const fn count_statements(parts: &[&[&'static Statement]]) -> usize {
    let (mut part, mut count) = (0, 0);
    while part < parts.len() {
        count += parts[part].len();
        part += 1;
    }
    count
}

/// The statements of a room's several modules as one list, for its `STATEMENTS`; `N` is the sum of their lengths.
///
/// # Panics
/// When `N` is anything else: in a `static`, that does not compile.
#[allow(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "runs when compiling; an index out of bounds does not compile"
)]
#[must_use]
pub const fn joined_statements<const N: usize>(parts: &[&[&'static Statement]]) -> [&'static Statement; N] {
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

/// The words that differ, `{like_this}`: what each stands for on SQLite and on PostgreSQL.
///
/// JSON is kept as text on both: a `jsonb` parameter would need a type of its own, and it would come back with its keys
/// in another order than it was written. Text sorts and compares by bytes on both.
const WORDS: &[(&str, &str, &str)] = &[
    ("uuid", "BLOB", "uuid"),
    ("time", "INTEGER", "bigint"),
    ("int", "INTEGER", "bigint"),
    ("bool", "INTEGER", "boolean"),
    ("json", "TEXT", "TEXT COLLATE \"C\""),
    ("blob", "BLOB", "bytea"),
    ("text", "TEXT", "TEXT COLLATE \"C\""),
    ("strict", "STRICT", ""),
    // A table that is nothing but the tree of its primary key.
    ("clustered", "STRICT, WITHOUT ROWID", ""),
    // A number that the database gives out, once and never again: the whole of `key {serial}`.
    ("serial", "INTEGER PRIMARY KEY AUTOINCREMENT", "bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY"),
    // What stands between these is left out on PostgreSQL: it is about how SQLite keeps a table.
    ("sqlite_only", "", "/*"),
    ("end_sqlite_only", "", "*/"),
    ("for_update", "", "FOR UPDATE"),
    ("for_share", "", "FOR SHARE"),
    ("skip_locked", "", "FOR UPDATE SKIP LOCKED"),
];

/// A `{word}` that stands for nothing.
#[derive(Debug, thiserror::Error)]
#[error("the word {{{0}}} is not known")]
pub(crate) struct UnknownWord(String);

/// `sql` for `engine`. Braces around anything but lower-case letters and `_` are left alone.
pub(crate) fn render(engine: Engine, sql: &str) -> Result<String, UnknownWord> {
    let mut rendered = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some((before, after)) = rest.split_once('{') {
        rendered.push_str(before);
        let word_end = after.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(after.len());
        match after.split_at(word_end) {
            (word, tail) if !word.is_empty() && tail.starts_with('}') => {
                let (_, sqlite, postgres) = WORDS
                    .iter()
                    .find(|(known, ..)| *known == word)
                    .ok_or_else(|| UnknownWord(word.to_owned()))?;
                rendered.push_str(match engine {
                    Engine::Sqlite => sqlite,
                    Engine::Postgres => postgres,
                });
                rest = tail.strip_prefix('}').unwrap_or(tail);
            }
            _ => {
                rendered.push('{');
                rest = after;
            }
        }
    }
    rendered.push_str(rest);
    Ok(rendered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_replaced_and_other_braces_left() {
        let sql = "CREATE TABLE t (a {uuid} PRIMARY KEY, b {text} DEFAULT '{}', c TEXT DEFAULT '{\"k\":1}') {strict}";
        assert_eq!(
            render(Engine::Sqlite, sql).unwrap(),
            "CREATE TABLE t (a BLOB PRIMARY KEY, b TEXT DEFAULT '{}', c TEXT DEFAULT '{\"k\":1}') STRICT"
        );
        assert!(
            render(Engine::Postgres, sql)
                .unwrap()
                .starts_with("CREATE TABLE t (a uuid PRIMARY KEY, b TEXT COLLATE \"C\" ")
        );
        assert_eq!(
            render(Engine::Sqlite, "{uuidd}").unwrap_err().to_string(),
            "the word {uuidd} is not known"
        );
        assert_eq!(render(Engine::Sqlite, "a{").unwrap(), "a{");
        let sql = "a{sqlite_only}b{end_sqlite_only}";
        assert_eq!(render(Engine::Sqlite, sql).unwrap(), "ab");
        assert_eq!(render(Engine::Postgres, sql).unwrap(), "a/*b*/");
    }
}

//! What SQLite's errors mean.

use crate::Error;
use rusqlite::{Connection, ffi};

/// The store's error for SQLite's. `connection` helps to name a violated index as PostgreSQL names it.
pub(super) fn engine_error(connection: Option<&Connection>, error: &rusqlite::Error) -> Error {
    let rusqlite::Error::SqliteFailure(code, message) = error else {
        // The text of these has no value in it: they are about names, counts and types.
        return Error::internal(error.to_string());
    };
    let message = message.as_deref().unwrap_or("");
    match code.extended_code {
        ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID => {
            Error::conflict(violated_index(connection, message))
        }
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY | ffi::SQLITE_CONSTRAINT_TRIGGER => Error::ForeignKey,
        ffi::SQLITE_CONSTRAINT_CHECK | ffi::SQLITE_CONSTRAINT_NOTNULL | ffi::SQLITE_CONSTRAINT_DATATYPE => {
            Error::Invalid { reason: message.to_owned() }
        }
        _ => by_primary_code(code.extended_code & 0xff, message),
    }
}

fn by_primary_code(code: i32, message: &str) -> Error {
    let reason = || format!("SQLite: {message} ({})", ffi::code_to_str(code));
    match code {
        ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED => Error::Busy { reason: reason() },
        ffi::SQLITE_FULL
        | ffi::SQLITE_IOERR
        | ffi::SQLITE_CANTOPEN
        | ffi::SQLITE_READONLY
        | ffi::SQLITE_PERM
        | ffi::SQLITE_NOMEM
        | ffi::SQLITE_INTERRUPT => Error::unavailable(reason()),
        ffi::SQLITE_TOOBIG => Error::Invalid { reason: "it is too large".to_owned() },
        _ => Error::internal(reason()),
    }
}

/// The name of the unique index of which SQLite says "UNIQUE constraint failed: table.column, table.column", or
/// "index 'name'" for one over an expression. Primary keys and constraints without a name get the name that
/// PostgreSQL gives them.
fn violated_index(connection: Option<&Connection>, message: &str) -> String {
    let named = message.rsplit_once(": ").map_or(message, |(_, list)| list);
    if let Some(name) = named.strip_prefix("index '").and_then(|rest| rest.strip_suffix('\'')) {
        return name.to_owned();
    }
    let mut table = "";
    let mut columns = Vec::new();
    for (its_table, column) in named.split(", ").filter_map(|place| place.split_once('.')) {
        table = its_table;
        columns.push(column);
    }
    let declared = connection.and_then(|connection| index_of(connection, table, &columns));
    declared.unwrap_or_else(|| format!("{table}_{}_key", columns.join("_")))
}

fn index_of(connection: &Connection, table: &str, columns: &[&str]) -> Option<String> {
    let sql = "SELECT i.name, i.origin, (SELECT group_concat(name, ', ') FROM \
               (SELECT name FROM pragma_index_info(i.name) ORDER BY seqno)) \
               FROM pragma_index_list(?1) i WHERE i.\"unique\" ORDER BY i.seq";
    let mut query = connection.prepare_cached(sql).ok()?;
    let indexes = query
        .query_map([table], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, Option<String>>(2)?))
        })
        .ok()?;
    let wanted = columns.join(", ");
    let mut is_key_of_rowid_table = true;
    for (name, origin, its_columns) in indexes.filter_map(Result::ok) {
        let matches = its_columns.as_deref() == Some(&wanted);
        match origin.as_str() {
            "c" if matches => return Some(name),
            "pk" if matches => return Some(format!("{table}_pkey")),
            _ if matches => is_key_of_rowid_table = false,
            _ => {}
        }
    }
    // An INTEGER PRIMARY KEY is the row itself and has no index.
    is_key_of_rowid_table.then(|| format!("{table}_pkey"))
}

//! Copying the database while it is in use, and looking for damage.

use super::errors::engine_error;
use crate::Error;
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

/// Pages that one step copies: 1 MiB, so that the disk is never taken for long.
const PAGES_PER_STEP: i32 = 256;

/// Copies what `connection`'s snapshot sees into the new file `to`. Writers are not held up, and what they write
/// meanwhile is not in the copy. The file appears under its name when it is complete and on disk.
pub(super) fn copy(connection: &Connection, to: &Path) -> Result<(), Error> {
    if to.exists() {
        return Err(Error::unsupported(format!(
            "{} exists already; a backup never overwrites",
            to.display()
        )));
    }
    let partial = partial(to);
    let done = copy_to(connection, &partial).and_then(|()| publish(&partial, to));
    if done.is_err() {
        // What matters is the first error.
        drop(std::fs::remove_file(&partial));
    }
    done
}

fn partial(to: &Path) -> PathBuf {
    let mut name = OsString::from(to.as_os_str());
    name.push(".partial");
    name.into()
}

fn copy_to(connection: &Connection, partial: &Path) -> Result<(), Error> {
    let failed = |error| engine_error(None, &error);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(partial).map_err(disk("cannot create the backup"))?;
    // The first read fixes the snapshot for all steps; without it the copy would start over at every write.
    connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))
        .map_err(failed)?;
    let mut target = Connection::open(partial).map_err(failed)?;
    // Whether the copy is complete is told by its name; it needs no journal, and is synced at the end.
    target.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;").map_err(failed)?;
    let backup = Backup::new(connection, &mut target).map_err(failed)?;
    loop {
        match backup.step(PAGES_PER_STEP).map_err(failed)? {
            StepResult::Done => break,
            // The pause lets others have the disk.
            StepResult::More => std::thread::yield_now(),
            _ => std::thread::sleep(std::time::Duration::from_millis(10)),
        }
        let progress = backup.progress();
        tracing::debug!(pages_left = progress.remaining, pages = progress.pagecount, "backup under way");
    }
    drop(backup);
    // A copy is one file: it must not come with a log of its own.
    let mode: String =
        target.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0)).map_err(failed)?;
    if mode != "delete" {
        return Err(Error::internal(format!("the backup's journal mode is `{mode}`")));
    }
    target.close().map_err(|(_, error)| failed(error))
}

fn publish(partial: &Path, to: &Path) -> Result<(), Error> {
    let failed = disk("cannot complete the backup");
    File::open(partial).and_then(|file| file.sync_all()).map_err(&failed)?;
    // A hard link refuses to replace a file that has appeared meanwhile; a rename, for want of links, would not.
    match std::fs::hard_link(partial, to) {
        Ok(()) => std::fs::remove_file(partial),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Err(error),
        Err(_) => std::fs::rename(partial, to),
    }
    .map_err(&failed)?;
    let directory = to.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(&failed)
}

fn disk(reason: &'static str) -> impl Fn(std::io::Error) -> Error {
    move |error| Error::unavailable_from(reason, error)
}

/// What SQLite finds wrong with the file.
pub(super) fn findings(connection: &Connection) -> Result<Vec<String>, Error> {
    let failed = |error| engine_error(None, &error);
    let mut findings = Vec::new();
    let mut check = connection.prepare("PRAGMA integrity_check(100)").map_err(failed)?;
    let lines = check.query_map([], |row| row.get::<_, String>(0)).map_err(failed)?;
    for line in lines {
        findings.push(line.map_err(failed)?);
    }
    findings.retain(|line| line != "ok");
    let mut check = connection.prepare("PRAGMA foreign_key_check").map_err(failed)?;
    let lines = check
        .query_map([], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, Option<i64>>(1)?, row.get::<_, String>(2)?))
        })
        .map_err(failed)?;
    for line in lines {
        let (table, row, parent) = line.map_err(failed)?;
        let row = row.map_or_else(|| "a row".to_owned(), |row| format!("row {row}"));
        findings.push(format!("{row} of {table} refers to a row of {parent} that does not exist"));
    }
    Ok(findings)
}

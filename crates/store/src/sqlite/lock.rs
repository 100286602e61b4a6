//! One server per database: a lock file beside it, and files that only their owner may read.

use crate::Error;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

/// The name of the lock file, beside the database.
const LOCK_FILE: &str = "keyreeve.lock";

/// The lock of the directory that holds the database `path`, for as long as the answer lives. The operating system
/// lets go of it when the process ends, however it ends.
pub(super) fn take(path: &Path) -> Result<File, Error> {
    let lock_path = path.with_file_name(LOCK_FILE);
    let failed = |error| Error::unavailable_from(format!("cannot open {}", lock_path.display()), error);
    let mut lock = private().read(true).open(&lock_path).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Only for the message; a lock file that cannot be read is a lock all the same.
            drop(lock.read_to_string(&mut holder));
            return Err(Error::InUse {
                path: lock_path.display().to_string(),
                holder: holder.trim().to_owned(),
            });
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    // For whoever finds the lock taken; it means nothing to us.
    let note = format!("process {}\n", std::process::id());
    lock.set_len(0)
        .and_then(|()| lock.rewind())
        .and_then(|()| lock.write_all(note.as_bytes()))
        .map_err(failed)?;
    Ok(lock)
}

/// Creates the database file, if there is none, before SQLite does so with wider rights. The log and its index
/// inherit them.
pub(super) fn create_private(path: &Path) -> Result<(), Error> {
    private()
        .open(path)
        .map(drop)
        .map_err(|error| Error::unavailable_from(format!("cannot create {}", path.display()), error))
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

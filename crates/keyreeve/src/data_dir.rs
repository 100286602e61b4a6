//! The data directory: what is in it, and who may read it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The SQLite database.
pub const DATABASE: &str = "keyreeve.db";
/// The socket on which a running server takes commands.
pub const SOCKET: &str = "keyreeve.sock";

/// The database's path.
#[must_use]
pub fn database(dir: &Path) -> PathBuf {
    dir.join(DATABASE)
}

/// The socket's path.
#[must_use]
pub fn socket(dir: &Path) -> PathBuf {
    dir.join(SOCKET)
}

/// Creates the directory, if it is not there, for its owner alone.
///
/// # Errors
/// A sentence that names the directory.
pub fn create(dir: &Path) -> Result<(), String> {
    let failed =
        |error: io::Error| format!("the data directory {} cannot be created: {error}", dir.display());
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        // Only the directory itself holds secrets; those above it get the usual rights.
        fs::create_dir_all(parent).map_err(failed)?;
    }
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(dir) {
        Ok(()) => Ok(()),
        // Another process was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

/// The permission bits by which others than the owner could get at `path`, in octal; none if there are none.
#[must_use]
pub fn too_open(path: &Path) -> Option<String> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(path).ok()?.permissions().mode() & 0o7777;
        (mode & 0o077 != 0).then(|| format!("{mode:04o}"))
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

/// Writes a new file that only its owner can read; refuses to replace one. On disk when it returns.
///
/// # Errors
/// Those of the file system.
pub fn write_new_private(path: &Path, content: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(content)?;
    file.sync_all()?;
    sync_directory(path)
}

/// Makes the creation or renaming of `path` last through a power cut.
///
/// # Errors
/// Those of the file system.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    if let Some(parent) = path.parent() {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        fs::File::open(parent)?.sync_all()?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn directory_and_files_are_for_their_owner_alone() {
        let base = tempfile::tempdir().unwrap();
        let dir = base.path().join("deep/data");
        create(&dir).unwrap();
        create(&dir).unwrap();
        assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
        let file = dir.join("secret");
        write_new_private(&file, b"x").unwrap();
        assert_eq!(too_open(&file), None);
        assert_eq!(write_new_private(&file, b"y").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(too_open(&file), Some("0640".to_owned()));
    }
}

//! Where the master key is, and how it changes.
//!
//! In a file, the change is made so that a power cut at any point leaves an installation that opens: the new key is
//! first written beside the old one (`….next`), then every data key is wrapped anew, then the files change places and
//! the old key stays as `….previous`. Whatever of the three is there is tried.

use crate::config::{Config, MasterKeySource};
use crate::{Error, data_dir};
use keyreeve_base::World;
use keyreeve_crypto::seal::{MasterKey, MasterKeyring};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a key helper may take.
const COMMAND_TIME: Duration = Duration::from_secs(30);

/// The file of the key that is about to take over.
fn next(path: &Path) -> PathBuf {
    with_suffix(path, ".next")
}

/// The file of the key before the present one.
fn previous(path: &Path) -> PathBuf {
    with_suffix(path, ".previous")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Loads the keys that the configuration names.
///
/// # Errors
/// [`Error::MasterKey`]; [`Error::NotSetUp`] when the file is not there.
pub fn load(config: &Config) -> Result<MasterKeyring, Error> {
    let mut older = Vec::new();
    let current = match config.master_key() {
        MasterKeySource::Text(text) => MasterKey::from_text(text.expose())?,
        MasterKeySource::Command(line) => MasterKey::from_command(&line, COMMAND_TIME)?,
        MasterKeySource::File(path) => {
            if !path.exists() {
                return Err(Error::NotSetUp(format!("there is no master key at {}", path.display())));
            }
            for beside in [next(&path), previous(&path)] {
                if beside.exists() {
                    older.push(MasterKey::from_file(&beside)?);
                }
            }
            MasterKey::from_file(&path)?
        }
    };
    if let Some(path) = &config.previous_master_key_file {
        older.push(MasterKey::from_file(path)?);
    }
    Ok(MasterKeyring::new(current, older))
}

/// Loads the keys, making the key file if it is not there; answers whether it did.
///
/// # Errors
/// [`Error::MasterKey`].
pub fn load_or_create(config: &Config, world: &World) -> Result<(MasterKeyring, Option<PathBuf>), Error> {
    let MasterKeySource::File(path) = config.master_key() else { return Ok((load(config)?, None)) };
    if path.exists() {
        return Ok((load(config)?, None));
    }
    let key = MasterKey::create_file(&path, world)?;
    Ok((key.into(), Some(path)))
}

/// What a change of the master key goes over to.
#[derive(Debug)]
pub struct Change {
    /// The new key first, then all older ones.
    pub ring: MasterKeyring,
    /// The key file that is to be replaced when everything is wrapped anew; none when the key comes from elsewhere.
    file: Option<PathBuf>,
}

/// Begins a change. With the key in a file this makes the new one, or takes up a change that was interrupted; from
/// elsewhere, the operator has already put the new key there.
///
/// # Errors
/// [`Error::MasterKey`]; [`Error::Setup`] when the new key has to be provided first.
pub fn begin_change(config: &Config, world: &World) -> Result<Change, Error> {
    let MasterKeySource::File(path) = config.master_key() else {
        if config.previous_master_key_file.is_none() {
            return Err(Error::Setup(
                "the master key comes from the environment or a command: put the new key there, write the old one to a \
                 file that previous_master_key_file names, and run this again"
                    .to_owned(),
            ));
        }
        return Ok(Change { ring: load(config)?, file: None });
    };
    let old = MasterKey::from_file(&path)?;
    let waiting = next(&path);
    let new = match MasterKey::create_file(&waiting, world) {
        Ok(key) => key,
        Err(_) if waiting.exists() => MasterKey::from_file(&waiting)?,
        Err(error) => return Err(error.into()),
    };
    let mut older = vec![old];
    if previous(&path).exists() {
        older.push(MasterKey::from_file(&previous(&path))?);
    }
    if let Some(path) = &config.previous_master_key_file {
        older.push(MasterKey::from_file(path)?);
    }
    Ok(Change { ring: MasterKeyring::new(new, older), file: Some(path) })
}

/// Ends a change: the new key file takes the place of the old one. To be called when every data key is wrapped anew.
///
/// # Errors
/// [`Error::MasterKey`] with what must be done by hand.
pub fn finish_change(file: Option<&Path>) -> Result<(), Error> {
    let Some(path) = file else { return Ok(()) };
    let change = || -> io::Result<()> {
        let kept = previous(path);
        match std::fs::remove_file(&kept) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // A second name first, then one atomic replacement: there is a key under the main name at every moment.
        std::fs::hard_link(path, &kept)?;
        std::fs::rename(next(path), path)?;
        data_dir::sync_directory(path)
    };
    change().map_err(|error| {
        Error::MasterKey(format!(
            "all data keys are wrapped under the new master key, but the files could not change places: {error}. Rename \
             {} to {}",
            next(path).display(),
            path.display()
        ))
    })
}

impl Change {
    /// The ring for the rooms, and the file for [`finish_change`].
    #[must_use]
    pub fn into_parts(self) -> (MasterKeyring, Option<PathBuf>) {
        (self.ring, self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Inputs;
    use keyreeve_base::SystemClock;
    use keyreeve_crypto::SystemRandom;
    use std::sync::Arc;

    fn world() -> World {
        World::new(Arc::new(SystemClock), Arc::new(SystemRandom))
    }

    fn config(dir: &Path) -> Config {
        let flags = vec![("data_dir", dir.display().to_string())];
        Config::load(Inputs { flags, ..Inputs::default() }).unwrap()
    }

    #[test]
    fn a_key_is_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path());
        assert!(matches!(load(&config), Err(Error::NotSetUp(_))));
        let (made, path) = load_or_create(&config, &world()).unwrap();
        assert_eq!(path, Some(dir.path().join("master.key")));
        let (again, path) = load_or_create(&config, &world()).unwrap();
        assert_eq!((again.current().fingerprint(), path), (made.current().fingerprint(), None));
    }

    #[test]
    fn a_change_opens_at_every_step() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path());
        let old = load_or_create(&config, &world()).unwrap().0.current().fingerprint();
        let begun = begin_change(&config, &world()).unwrap();
        let new = begun.ring.current().fingerprint();
        assert_ne!(new, old);
        // Interrupted here: the old key is still the current one, and the new one is known.
        assert_eq!(load(&config).unwrap().current().fingerprint(), old);
        let resumed = begin_change(&config, &world()).unwrap();
        assert_eq!(
            resumed.ring.current().fingerprint(),
            new,
            "an interrupted change goes on with the same key"
        );
        let (_, file) = resumed.into_parts();
        finish_change(file.as_deref()).unwrap();
        assert_eq!(load(&config).unwrap().current().fingerprint(), new);
        assert!(
            dir.path().join("master.key.previous").exists() && !dir.path().join("master.key.next").exists()
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_can_read_is_refused_with_the_remedy() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path());
        load_or_create(&config, &world()).unwrap();
        let path = dir.path().join("master.key");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let refusal = load(&config).unwrap_err().to_string();
        assert!(
            refusal.contains("0644") && refusal.contains(&format!("chmod 600 {}", path.display())),
            "{refusal}"
        );
    }
}

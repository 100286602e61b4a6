//! Where the master key is, and how it changes.
//!
//! In a file, the change is made so that a power cut at any point leaves an installation that opens: the new key is
//! first written beside the old one (`….next`), then every data key is wrapped anew, then the files change places and
//! the old key stays as `….previous`. Whatever of the three is there is tried.

use crate::config::{Config, MasterKeySource};
use crate::{Error, data_dir};
use keyreeve_base::World;
use keyreeve_crypto::seal::{MasterKey, MasterKeyring, SplitPlan};
use std::io::{self, Read as _, Seek as _, Write as _};
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
            if let Some(plan) = plan_in(&path)? {
                return Err(Error::Sealed { threshold: plan.threshold() });
            }
            older = beside(&path)?;
            MasterKey::from_file(&path)?
        }
    };
    if let Some(path) = &config.previous_master_key_file {
        older.push(MasterKey::from_file(path)?);
    }
    Ok(MasterKeyring::new(current, older))
}

/// The keys beside the present one: of a change that is under way, and of the last one.
fn beside(path: &Path) -> Result<Vec<MasterKey>, Error> {
    let there = [next(path), previous(path)].into_iter().filter(|path| path.exists());
    there.map(|path| Ok(MasterKey::from_file(&path)?)).collect()
}

/// The longest marker, in bytes.
const MAX_MARKER_BYTES: u64 = 4_096;

/// The marker that stands in a key file instead of a key that was split.
fn plan_in(path: &Path) -> Result<Option<SplitPlan>, Error> {
    let unreadable =
        |error: io::Error| Error::MasterKey(format!("{} cannot be read: {error}", path.display()));
    let mut bytes = zeroize::Zeroizing::new(Vec::with_capacity(8_192));
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_MARKER_BYTES).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.first() != Some(&b'{') {
        return Ok(None);
    }
    let plan = std::str::from_utf8(&bytes).ok().and_then(|text| SplitPlan::parse(text).ok());
    plan.map(Some).ok_or_else(|| {
        Error::MasterKey(format!(
            "{} is damaged: it is neither a key nor the marker of a split one",
            path.display()
        ))
    })
}

/// The split, where the configured key is split.
///
/// # Errors
/// [`Error::MasterKey`] when the file cannot be read.
pub fn split_plan(config: &Config) -> Result<Option<SplitPlan>, Error> {
    match config.master_key() {
        MasterKeySource::File(path) if path.exists() => plan_in(&path),
        _ => Ok(None),
    }
}

/// The ring of a key that came in shares, with the older keys that are there.
///
/// # Errors
/// [`Error::MasterKey`].
pub fn ring_of(config: &Config, key: MasterKey) -> Result<MasterKeyring, Error> {
    let mut older = match config.master_key() {
        MasterKeySource::File(path) => beside(&path)?,
        _ => Vec::new(),
    };
    if let Some(path) = &config.previous_master_key_file {
        older.push(MasterKey::from_file(path)?);
    }
    Ok(MasterKeyring::new(key, older))
}

/// The file of the key, and the key, if it can be split.
///
/// # Errors
/// [`Error::Setup`] when it is not in a file, or a change of it is under way; [`Error::Sealed`] when it is split already.
pub fn to_split(config: &Config) -> Result<(PathBuf, MasterKey), Error> {
    let MasterKeySource::File(path) = config.master_key() else {
        return Err(Error::Setup(
            "the master key is not in a file of its own, so it cannot be split".to_owned(),
        ));
    };
    if !path.exists() {
        return Err(Error::NotSetUp(format!("there is no master key at {}", path.display())));
    }
    if let Some(plan) = plan_in(&path)? {
        return Err(Error::Sealed { threshold: plan.threshold() });
    }
    if next(&path).exists() {
        let finish =
            "a change of the master key is under way; finish it first (keyreeve key rotate --master)";
        return Err(Error::Setup(finish.to_owned()));
    }
    let key = MasterKey::from_file(&path)?;
    Ok((path, key))
}

/// Puts the marker in the place of the key, and writes over what was the key.
///
/// # Errors
/// [`Error::MasterKey`]; the key is still there then, or the marker is.
pub fn replace_by(path: &Path, plan: &SplitPlan) -> Result<(), Error> {
    let replace = || -> io::Result<()> {
        let mut old = std::fs::File::options().read(true).write(true).open(path)?;
        let marker = with_suffix(path, ".split");
        match std::fs::remove_file(&marker) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        data_dir::write_new_private(&marker, plan.to_text().as_bytes())?;
        std::fs::rename(&marker, path)?;
        data_dir::sync_directory(path)?;
        // Another name for it (of a change before) keeps the key: what it holds is not this one's to wipe.
        if previous(path).exists() && same_file(&old, &previous(path))? {
            return Ok(());
        }
        let length = usize::try_from(old.metadata()?.len().min(MAX_MARKER_BYTES)).unwrap_or(0);
        old.seek(io::SeekFrom::Start(0))?;
        old.write_all(&vec![0; length])?;
        old.sync_all()
    };
    replace().map_err(|error| Error::MasterKey(format!("{} could not be replaced: {error}", path.display())))
}

#[cfg(unix)]
fn same_file(file: &std::fs::File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let (one, other) = (file.metadata()?, std::fs::metadata(path)?);
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
}

#[cfg(not(unix))]
fn same_file(_: &std::fs::File, _: &Path) -> io::Result<bool> {
    Ok(true)
}

/// The key before the present one, if it is still there.
#[must_use]
pub fn kept_beside(path: &Path) -> Option<PathBuf> {
    Some(previous(path)).filter(|path| path.exists())
}

/// Puts a key that was split back into its file.
///
/// # Errors
/// [`Error::MasterKey`]; the marker is still there then.
pub fn unsplit(config: &Config, key: &MasterKey) -> Result<(), Error> {
    let MasterKeySource::File(path) = config.master_key() else { return Ok(()) };
    let whole = with_suffix(&path, ".join");
    let put = || -> io::Result<()> {
        match std::fs::remove_file(&whole) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        key.write_file(&whole).map_err(io::Error::other)?;
        std::fs::rename(&whole, &path)?;
        data_dir::sync_directory(&path)
    };
    put().map_err(|error| Error::MasterKey(format!("{} could not be written: {error}", path.display())))
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
    if let Some(plan) = plan_in(&path)? {
        return Err(Error::Sealed { threshold: plan.threshold() });
    }
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

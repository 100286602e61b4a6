//! The master key, which wraps data keys, and the ways to get at it: a file, a text (environment), a command.

use super::SealError;
use super::key::{DataKey, KEY_BYTES, KeyFingerprint, Purpose, RawKey, sealing_key};
use crate::secret::Secret;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use keyreeve_base::World;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use zeroize::Zeroizing;

/// The most that a key file or a command's output may hold.
const MAX_INPUT_BYTES: u64 = 4096;

/// Why there is no master key. Never holds any of it.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// The file cannot be read or written.
    #[error("the master key file {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Others than its owner may use the file.
    #[error("the master key file {} is open to others (mode {mode:04o}); make it 0600", path.display())]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// What was read is no key.
    #[error(
        "is not a master key: 64 hexadecimal digits, 44 characters of base64, or 32 raw bytes are wanted"
    )]
    Malformed,
    /// The key has a pattern that no generator makes.
    #[error("is not a random master key; make one with `openssl rand -hex 32`")]
    Weak,
    /// The command cannot be run.
    #[error("the master key command cannot be run: {0}")]
    Command(#[source] io::Error),
    /// The command ended with a failure.
    #[error("the master key command failed ({0})")]
    CommandFailed(std::process::ExitStatus),
    /// The command did not end in time, and was ended.
    #[error("the master key command did not end within {} s", .0.as_secs())]
    CommandTimedOut(Duration),
}

/// The key that wraps data keys. It is never in the database.
pub struct MasterKey(RawKey);

impl MasterKey {
    pub(super) fn from_raw(bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        Self(RawKey::new(b"keyreeve master key id v1\0", bytes))
    }

    pub(super) fn raw(&self) -> &[u8; KEY_BYTES] {
        &self.0.bytes
    }

    /// A new key.
    #[must_use]
    pub fn generate(world: &World) -> Self {
        Self::from_raw(Zeroizing::new(world.random_bytes()))
    }

    /// The key that `text` spells: 64 hexadecimal digits, or 32 bytes in base64 (either alphabet, padded or not). White
    /// space around it is dropped.
    ///
    /// # Errors
    /// [`MasterKeyError::Malformed`] or [`MasterKeyError::Weak`].
    pub fn from_text(text: &str) -> Result<Self, MasterKeyError> {
        let text = text.trim();
        let bytes = if text.len() == KEY_BYTES * 2 { from_hex(text) } else { from_base64(text) };
        Self::checked(bytes.ok_or(MasterKeyError::Malformed)?)
    }

    /// The key that a file or a command gave: 32 raw bytes, or a text.
    fn from_bytes(bytes: &[u8]) -> Result<Self, MasterKeyError> {
        match bytes.try_into() {
            Ok(raw) => {
                // 32 printable characters are a passphrase, or half a key in hexadecimal: never random bytes.
                if bytes.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) {
                    return Err(MasterKeyError::Malformed);
                }
                Self::checked(Zeroizing::new(raw))
            }
            Err(_) => Self::from_text(std::str::from_utf8(bytes).map_err(|_| MasterKeyError::Malformed)?),
        }
    }

    /// Refuses keys that somebody typed: few different bytes, or each one more than the last (ABUSE-CASES AC-36).
    fn checked(bytes: Zeroizing<[u8; KEY_BYTES]>) -> Result<Self, MasterKeyError> {
        let mut seen = [false; 256];
        for byte in bytes.iter() {
            if let Some(seen) = seen.get_mut(usize::from(*byte)) {
                *seen = true;
            }
        }
        // 32 random bytes have fewer than 16 different values with a chance below 2^-60.
        let different = seen.iter().filter(|seen| **seen).count();
        let counting = bytes.windows(2).all(|pair| matches!(pair, [a, b] if a.wrapping_add(1) == *b));
        if different < 16 || counting { Err(MasterKeyError::Weak) } else { Ok(Self::from_raw(bytes)) }
    }

    /// Reads the key from a file: hexadecimal, base64 or 32 raw bytes. On Unix the file must be closed to group and
    /// others.
    ///
    /// # Errors
    /// [`MasterKeyError::File`], `Permissions`, `Malformed` or `Weak`.
    pub fn from_file(path: &Path) -> Result<Self, MasterKeyError> {
        let failed = |source| MasterKeyError::File { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        // Of the open file, not of the path: what is checked is what is read.
        check_permissions(path, &file)?;
        Self::from_bytes(&read_all(file).map_err(failed)?)
    }

    /// Makes a key and writes it to a new file (mode 0600, hexadecimal), on disk before this returns.
    ///
    /// # Errors
    /// [`MasterKeyError::File`]; with [`io::ErrorKind::AlreadyExists`] when there is a file, which is left as it is.
    pub fn create_file(path: &Path, world: &World) -> Result<Self, MasterKeyError> {
        let key = Self::generate(world);
        key.write_file(path)?;
        Ok(key)
    }

    /// Writes the key to a new file, as [`MasterKey::create_file`] does.
    ///
    /// # Errors
    /// As there.
    pub fn write_file(&self, path: &Path) -> Result<(), MasterKeyError> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options
            .open(path)
            .and_then(|mut file| {
                file.write_all(self.to_text().expose().as_bytes())?;
                file.write_all(b"\n")?;
                file.sync_all()?;
                sync_directory(path)
            })
            .map_err(|source| MasterKeyError::File { path: path.to_owned(), source })
    }

    /// Reads the key from what a command prints: a helper of a key management service. The line is run by `sh -c`
    /// with no input; what it says on its error output goes to ours.
    ///
    /// # Errors
    /// [`MasterKeyError::Command`], `CommandFailed`, `CommandTimedOut` (it was ended then, with all it started),
    /// `Malformed` or `Weak`.
    pub fn from_command(line: &str, time_out: Duration) -> Result<Self, MasterKeyError> {
        let output = run(line, time_out)?;
        Self::from_bytes(&output)
    }

    /// The key in hexadecimal.
    #[must_use]
    pub fn to_text(&self) -> Secret {
        let mut text = String::with_capacity(KEY_BYTES * 2);
        for byte in self.0.bytes.iter() {
            for digit in [byte >> 4, byte & 15] {
                text.extend(char::from_digit(u32::from(digit), 16));
            }
        }
        Secret::from(text)
    }

    /// A second copy, made on purpose.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self::from_raw(self.0.bytes.clone())
    }

    /// The key's name: what an operator sees when the wrong key was given.
    #[must_use]
    pub const fn fingerprint(&self) -> KeyFingerprint {
        self.0.fingerprint
    }

    /// `key` wrapped, bound to `aad` (the tenant and the row it belongs to); 81 bytes. Names this master key.
    ///
    /// # Errors
    /// [`SealError::Library`].
    pub fn wrap(&self, world: &World, key: &DataKey, aad: &[u8]) -> Result<Vec<u8>, SealError> {
        self.0.seal(world, Purpose::Wrap, &*key.0.bytes, aad)
    }

    /// The data key that [`MasterKey::wrap`] wrapped.
    ///
    /// # Errors
    /// [`SealError::OtherKey`] when another master key is needed; else as [`DataKey::open`].
    pub fn unwrap(&self, wrapped: &[u8], aad: &[u8]) -> Result<DataKey, SealError> {
        let bytes = self.0.open(Purpose::Wrap, wrapped, aad)?;
        let bytes: [u8; KEY_BYTES] = bytes.expose().try_into().map_err(|_| SealError::Malformed)?;
        Ok(DataKey::from_raw(Zeroizing::new(bytes)))
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", self.0.fingerprint)
    }
}

/// The master key that wraps, and those before it that still unwrap: what a change of the master key needs while data
/// keys are wrapped anew.
#[derive(Debug)]
pub struct MasterKeyring {
    current: MasterKey,
    previous: Vec<MasterKey>,
}

impl MasterKeyring {
    /// A ring of one key or more.
    #[must_use]
    pub const fn new(current: MasterKey, previous: Vec<MasterKey>) -> Self {
        Self { current, previous }
    }

    /// The key that wraps.
    #[must_use]
    pub const fn current(&self) -> &MasterKey {
        &self.current
    }

    /// `key` wrapped by the current master key.
    ///
    /// # Errors
    /// [`SealError::Library`].
    pub fn wrap(&self, world: &World, key: &DataKey, aad: &[u8]) -> Result<Vec<u8>, SealError> {
        self.current.wrap(world, key, aad)
    }

    /// The data key in `wrapped`, by whichever master key it names.
    ///
    /// # Errors
    /// [`SealError::UnknownMasterKey`] when it names none of the ring; else as [`DataKey::open`].
    pub fn unwrap(&self, wrapped: &[u8], aad: &[u8]) -> Result<DataKey, SealError> {
        let needed = sealing_key(wrapped)?;
        std::iter::once(&self.current)
            .chain(&self.previous)
            .find(|key| key.fingerprint() == needed)
            .ok_or(SealError::UnknownMasterKey { needed })?
            .unwrap(wrapped, aad)
    }

    /// Whether `wrapped` names another key than the current one, and should be wrapped anew.
    ///
    /// # Errors
    /// [`SealError::Malformed`] or [`SealError::UnsupportedVersion`].
    pub fn needs_rewrap(&self, wrapped: &[u8]) -> Result<bool, SealError> {
        sealing_key(wrapped).map(|key| key != self.current.fingerprint())
    }
}

impl From<MasterKey> for MasterKeyring {
    fn from(current: MasterKey) -> Self {
        Self::new(current, Vec::new())
    }
}

fn from_hex(text: &str) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    let mut digits = text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()));
    for byte in bytes.iter_mut() {
        *byte = digits.next()?? << 4 | digits.next()??;
    }
    digits.next().is_none().then_some(bytes)
}

fn from_base64(text: &str) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    const CONFIG: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const ENGINES: [GeneralPurpose; 2] =
        [GeneralPurpose::new(&alphabet::STANDARD, CONFIG), GeneralPurpose::new(&alphabet::URL_SAFE, CONFIG)];
    ENGINES.iter().find_map(|engine| {
        let bytes = Zeroizing::new(engine.decode(text).ok()?);
        bytes.as_slice().try_into().ok().map(Zeroizing::new)
    })
}

/// Reads to the end, wiping on drop; too much is an error.
fn read_all(from: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    // Room for everything at once: a vector that grows leaves its former self unwiped.
    let mut bytes = Zeroizing::new(Vec::with_capacity(8192));
    let read = from.take(MAX_INPUT_BYTES.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(read).is_ok_and(|read| read <= MAX_INPUT_BYTES) {
        Ok(bytes)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "is larger than any key"))
    }
}

#[cfg(unix)]
fn check_permissions(path: &Path, file: &File) -> Result<(), MasterKeyError> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata =
        file.metadata().map_err(|source| MasterKeyError::File { path: path.to_owned(), source })?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(MasterKeyError::Permissions { path: path.to_owned(), mode }) }
}

#[cfg(not(unix))]
fn check_permissions(_: &Path, _: &File) -> Result<(), MasterKeyError> {
    Ok(())
}

/// Makes the new name durable, not only the content.
#[cfg(unix)]
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

/// What the command prints, if it ends well and in time.
fn run(line: &str, time_out: Duration) -> Result<Zeroizing<Vec<u8>>, MasterKeyError> {
    let mut command = Command::new("sh");
    command.arg("-c").arg(line).stdin(Stdio::null()).stdout(Stdio::piped());
    // A group of its own, so that everything it starts can be ended with it.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = command.spawn().map_err(MasterKeyError::Command)?;
    let stdout = child.stdout.take();
    let (send, output) = mpsc::channel();
    std::thread::spawn(move || {
        let read = stdout.map_or_else(|| Err(io::ErrorKind::BrokenPipe.into()), read_all);
        // The receiver is gone after a time-out; then the output is wiped here.
        drop(send.send(read));
    });
    let output = match output.recv_timeout(time_out) {
        Ok(output) => output,
        Err(_) => {
            end(&mut child);
            return Err(MasterKeyError::CommandTimedOut(time_out));
        }
    };
    if output.is_err() {
        // Without a reader it might never end by itself.
        end(&mut child);
        return output.map_err(MasterKeyError::Command);
    }
    let status = wait(&mut child, time_out)?;
    if status.success() {
        output.map_err(MasterKeyError::Command)
    } else {
        Err(MasterKeyError::CommandFailed(status))
    }
}

/// Waits for a command that has closed its output, and most likely has ended.
fn wait(child: &mut Child, time_out: Duration) -> Result<std::process::ExitStatus, MasterKeyError> {
    const STEP: Duration = Duration::from_millis(5);
    let mut waited = Duration::ZERO;
    loop {
        match child.try_wait().map_err(MasterKeyError::Command)? {
            Some(status) => return Ok(status),
            None if waited >= time_out => {
                end(child);
                return Err(MasterKeyError::CommandTimedOut(time_out));
            }
            None => std::thread::sleep(STEP),
        }
        waited = waited.saturating_add(STEP);
    }
}

/// Ends the command and what it started. It may have ended by itself in between, so failures mean nothing.
fn end(child: &mut Child) {
    #[cfg(unix)]
    if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    drop(child.kill());
    drop(child.wait());
}

//! Running the programs of others, in a directory that goes away.

use keyreeve_base::{SystemClock, World};
use keyreeve_crypto::SystemRandom;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use tempfile::TempDir;

/// The real time and randomness: the programs of others know no other.
pub fn world() -> World {
    World::new(Arc::new(SystemClock), Arc::new(SystemRandom))
}

/// A directory for the files of one test.
pub struct Bench(TempDir);

impl Bench {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let private = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(directory.path(), private).unwrap();
        Self(directory)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file that nobody else may read: OpenSSH insists.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&path).unwrap();
        std::io::Write::write_all(&mut file, content.as_ref()).unwrap();
        path
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Runs a program in the directory.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Output {
        Command::new(program)
            .args(arguments)
            .current_dir(self.0.path())
            .output()
            .unwrap_or_else(|error| panic!("cannot run {program}: {error}; scripts/deps installs it"))
    }

    /// Runs a program that must succeed, and returns what it printed.
    pub fn ok(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.run(program, arguments);
        let text = said(&output);
        assert!(output.status.success(), "{program} {arguments:?}: {text}");
        text
    }

    /// Runs a program that must fail, and returns what it printed.
    pub fn fails(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.run(program, arguments);
        let text = said(&output);
        assert!(!output.status.success(), "{program} {arguments:?}: {text}");
        text
    }
}

/// All that a program printed.
pub fn said(output: &Output) -> String {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&text).into_owned()
}

/// Where Debian puts `sshd`, which stands in no ordinary user's path and wants to be called by its whole one.
pub fn sshd() -> &'static Path {
    let found =
        ["/usr/sbin/sshd", "/usr/local/sbin/sshd"].map(Path::new).into_iter().find(|path| path.exists());
    found.expect("no sshd; scripts/deps installs it (openssh-server)")
}

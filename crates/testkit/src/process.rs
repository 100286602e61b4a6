//! Running other programs: as which user, and what they said when they failed.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// A user of this machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// The user that runs this process.
pub(crate) fn own_uid() -> u32 {
    std::fs::metadata("/proc/self").expect("/proc is mounted").uid()
}

/// The user of this name, as `/etc/passwd` has it.
pub(crate) fn user(name: &str) -> Option<User> {
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut ids = line.split(':').skip(2).map(str::parse);
    Some(User { uid: ids.next()?.ok()?, gid: ids.next()?.ok()? })
}

/// `program`, to be run as `user` if one is given (which only root can do).
pub(crate) fn command(program: &Path, user: Option<User>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    if let Some(user) = user {
        command.uid(user.uid).gid(user.gid);
    }
    // Not the caller's: it may be one that `user` cannot enter.
    command.current_dir("/");
    command
}

/// Runs a program to its end; panics with what it said if it fails.
pub(crate) fn run(command: &mut Command) {
    if let Err(complaint) = attempt(command) {
        panic!("{complaint}");
    }
}

/// Runs a program to its end.
pub(crate) fn attempt(command: &mut Command) -> Result<(), String> {
    let shown = format!("{command:?}");
    let output = command.output().map_err(|error| format!("cannot run {shown}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(format!("{shown} failed ({}):\n{}", output.status, String::from_utf8_lossy(&said)))
}

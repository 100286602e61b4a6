//! The process's memory stays its own: no core image, and no way in for other processes of the same user.

use crate::program::Program;
use keyreeve_testkit::{Engine, block_on};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};

/// Who the server runs as, where the tests run as root, who may look into everything.
const NOBODY: u32 = 65_534;

fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

fn as_nobody(command: &mut Command) -> &mut Command {
    if is_root() { command.uid(NOBODY).gid(NOBODY) } else { command }
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Whether another process of the same user can read the server's memory and environment, and the limit of its core.
fn looked_into(setting: &str) -> (bool, String) {
    let mut program = block_on(Program::new(Engine::Sqlite));
    program.set("KEYREEVE_ALLOW_CORE_DUMPS", setting);
    if is_root() {
        let mut chown = Command::new("chown");
        chown.args(["-R", &NOBODY.to_string()]).arg(program.data().parent().unwrap());
        assert!(chown.status().unwrap().success());
    }
    let mut command = program.command(&["serve", "--json"]);
    let mut server = Ended(as_nobody(&mut command).spawn().unwrap());
    // It has said where to sign in when it serves.
    let mut said = std::io::BufReader::new(server.0.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    assert!(line.contains("sign_in"), "{line}");
    let proc = format!("/proc/{}", server.0.id());
    let limits = std::fs::read_to_string(format!("{proc}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let mut reading = Command::new("cat");
    reading.arg(format!("{proc}/environ")).arg(format!("{proc}/maps"));
    let read = as_nobody(&mut reading).output().unwrap();
    (read.status.success(), core.split_whitespace().skip(4).collect::<Vec<_>>().join(" "))
}

#[test]
fn ac_76_no_core_is_written_and_no_other_process_looks_into_the_server() {
    let (readable, core) = looked_into("false");
    assert!(!readable, "another process of the same user reads the server's memory");
    assert_eq!(core, "0 0 bytes");
    // The check can tell: with the setting, it is open.
    assert!(looked_into("true").0);
}

//! Runs the program on a data directory of its own.

use keyreeve_store::Location;
use keyreeve_testkit::{Database, Engine};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub const OK: i32 = 0;
pub const USAGE: i32 = 2;
pub const NOT_FOUND: i32 = 3;
pub const CONFLICT: i32 = 4;
pub const REFUSED: i32 = 5;
pub const UNAVAILABLE: i32 = 6;

/// A place for an installation, and the environment of every command on it.
pub struct Installation {
    base: tempfile::TempDir,
    environment: Vec<(String, String)>,
    /// Kept for as long as the installation lives.
    database: Option<Database>,
}

/// What a command answered.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }

    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }
}

impl Installation {
    pub async fn new(engine: Engine) -> Self {
        let base = tempfile::tempdir().unwrap();
        let mut environment = vec![
            ("KEYREEVE_DATA_DIR".to_owned(), base.path().join("data").display().to_string()),
            // Cheap hashes: these tests are not about their cost.
            ("KEYREEVE_HASH_MEMORY_KIB".to_owned(), "8192".to_owned()),
            ("KEYREEVE_HASH_ITERATIONS".to_owned(), "1".to_owned()),
        ];
        let database = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(Database::postgres().await),
        };
        if let Some(Location::Postgres(url)) = database.as_ref().map(Database::location) {
            environment.push(("KEYREEVE_DATABASE_URL".to_owned(), url));
        }
        Self { base, environment, database }
    }

    pub fn sqlite() -> Self {
        keyreeve_testkit::block_on(Self::new(Engine::Sqlite))
    }

    /// The same after `init`, with what that printed.
    pub async fn initialised(engine: Engine) -> (Self, Value) {
        let installation = Self::new(engine).await;
        let printed = installation.run(&["init", "--json"]).expect(OK).json();
        (installation, printed)
    }

    pub fn path(&self) -> &Path {
        self.base.path()
    }

    pub fn data(&self, name: &str) -> PathBuf {
        self.base.path().join("data").join(name)
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, "")
    }

    pub fn run_with(&self, arguments: &[&str], input: &str) -> Ran {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).ok();
        let output = child.wait_with_output().unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyreeve"));
        command.args(arguments).current_dir(self.base.path()).env_clear();
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts a server on a free port, and waits until it says where it is.
    pub fn serve(&self) -> Server {
        self.serve_on("127.0.0.1:0")
    }

    /// The same on this address.
    pub fn serve_on(&self, listen: &str) -> Server {
        let mut child = self.command(&["serve", "--json", "--listen", listen]).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let Ok(announced) = serde_json::from_str::<Value>(&line) else {
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            panic!("the server did not start: {said}");
        };
        let address = match listen.ends_with(":0") {
            true => announced["url"]
                .as_str()
                .unwrap()
                .trim_start_matches("http://")
                .trim_end_matches('/')
                .to_owned(),
            false => listen.to_owned(),
        };
        Server { child, stdout, address, announced }
    }

    /// What a server prints for people before it serves.
    pub fn banner(&self, listen: &str) -> String {
        let mut child = self.command(&["serve", "--listen", listen]).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut text = String::new();
        while !text.contains("Stop") && stdout.read_line(&mut text).unwrap() > 0 {}
        child.kill().unwrap();
        child.wait().unwrap();
        text
    }

    /// Runs a statement on the database behind the program's back.
    pub async fn tamper(&self, sql: &str) {
        match &self.database {
            Some(database) => database.client().await.batch_execute(sql).await.unwrap(),
            None => {
                let connection = rusqlite::Connection::open(self.data("keyreeve.db")).unwrap();
                connection.execute_batch(sql).unwrap();
            }
        }
    }
}

/// A running server; killed when dropped.
pub struct Server {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
    pub address: String,
    pub announced: Value,
}

/// An HTTP answer.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Server {
    pub fn get(&self, path: &str) -> Answer {
        self.get_with(path, "")
    }

    pub fn get_with(&self, path: &str, headers: &str) -> Answer {
        get(&self.address, path, headers)
    }

    /// Asks it to stop; answers its exit code and what it wrote to standard error.
    pub fn stop(mut self) -> (i32, String) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let mut log = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "the server does not stop");
            std::thread::sleep(Duration::from_millis(20));
        };
        stderr.read_to_string(&mut log).unwrap();
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "", "a server says one thing on standard output");
        (status.code().unwrap_or(-1), log)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

pub fn get(address: &str, path: &str, headers: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

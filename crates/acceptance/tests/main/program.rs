//! The program itself: started, killed, started again.

pub mod wire;

use keyreeve::App;
use keyreeve::Purpose;
use keyreeve::config::{Config, Inputs};
use keyreeve_store::Location;
use keyreeve_testkit::{Database, Engine};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

/// Where people would reach the server. It listens on a new port after each start; issuer and links stay.
pub const PUBLIC_URL: &str = "http://127.0.0.1:8080";
/// How long a start may take.
const START_TIME: Duration = Duration::from_secs(60);

/// An installation of the program.
pub struct Program {
    base: tempfile::TempDir,
    environment: Vec<(String, String)>,
    /// Kept for as long as the installation lives.
    database: Option<Database>,
    /// What `init` printed.
    pub made: Value,
}

impl Program {
    pub async fn new(engine: Engine) -> Self {
        let base = tempfile::tempdir().unwrap();
        let mut environment: Vec<(String, String)> = [
            ("KEYREEVE_DATA_DIR", base.path().join("data").to_str().unwrap()),
            ("KEYREEVE_PUBLIC_URL", PUBLIC_URL),
            ("KEYREEVE_LISTEN", "127.0.0.1:0"),
            ("KEYREEVE_LOG", "info"),
            ("KEYREEVE_LOG_FORMAT", "json"),
            // Cheap hashes: the kill should rarely fall into one.
            ("KEYREEVE_HASH_MEMORY_KIB", "8192"),
            ("KEYREEVE_HASH_ITERATIONS", "1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let database = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(Database::postgres().await),
        };
        if let Some(Location::Postgres(url)) = database.as_ref().map(Database::location) {
            environment.push(("KEYREEVE_DATABASE_URL".to_owned(), url));
        }
        let mut program = Self { base, environment, database, made: Value::Null };
        program.made = program.run(&["init", "--json"], "");
        program
    }

    /// Changes a setting, by the name of its environment variable.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.base.path().join("data")
    }

    /// The PostgreSQL database, where it is one.
    pub fn database(&self) -> Option<&Database> {
        self.database.as_ref()
    }

    /// Runs a command to its end and reads what it printed.
    #[track_caller]
    pub fn run(&self, arguments: &[&str], input: &str) -> Value {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {}: {said}", output.status);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// A command on it, to be started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyreeve_under_test"));
        command.args(arguments).current_dir(self.base.path()).env_clear();
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts the server and waits until it says where it listens.
    pub fn serve(&self) -> Running {
        self.serve_until("serving")
    }

    /// The same for a server whose master key is split.
    pub fn serve_sealed(&self) -> Running {
        self.serve_until("sealed")
    }

    fn serve_until(&self, message: &'static str) -> Running {
        let mut child = self.command(&["serve", "--json"]).stdin(Stdio::null()).spawn().unwrap();
        let (found, address) = mpsc::channel();
        let log = Arc::new(Mutex::new(String::new()));
        let (stderr, written) = (BufReader::new(child.stderr.take().unwrap()), Arc::clone(&log));
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if let Some(address) = listening(&line, message) {
                    // Nobody waits any more when the test has failed already.
                    let _ = found.send(address);
                }
                written.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        let Ok(address) = address.recv_timeout(START_TIME) else {
            drop(child.kill());
            panic!("the server does not start:\n{}", log.lock().unwrap());
        };
        Running { child, address, log }
    }

    /// The installation seen from this process, beside the running server.
    pub async fn look(&self) -> App {
        self.open(Purpose::Inspect).await
    }

    /// The installation opened by this process, for this purpose.
    pub async fn open(&self, purpose: Purpose) -> App {
        let config = Config::load(Inputs { environment: self.environment.clone(), ..Inputs::default() });
        let world = keyreeve::cli::system_world();
        App::open_for(purpose, config.unwrap(), world, None).await.unwrap()
    }
}

/// The address in the line by which a server tells that it serves, or waits.
fn listening(line: &str, message: &str) -> Option<SocketAddr> {
    let line: Value = serde_json::from_str(line).ok()?;
    (line["message"] == message).then(|| line["listen"].as_str()?.parse().ok())?
}

/// A running server. Killed when dropped.
pub struct Running {
    child: Child,
    pub address: SocketAddr,
    log: Arc<Mutex<String>>,
}

impl Running {
    /// Ends it as `kill -9` does: it gets to do nothing any more.
    pub fn kill(mut self) {
        let died_before = self.child.try_wait().unwrap();
        assert!(died_before.is_none(), "the server ended by itself:\n{}", self.log());
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

//! A throw-away PostgreSQL.
//!
//! [`shared`] is one server for all test processes of this user: the first starts it, the others find it, and it ends
//! and removes itself when no test has asked for it for twenty minutes; to end it earlier, remove its directory
//! (`keyreeve-testkit-UID` in the temporary directory) after `pg_ctl stop`. Its durability is off. [`Cluster::start`]
//! gives a test a server for itself, which it may kill and restart, with durability on.
//!
//! `KEYREEVE_TEST_POSTGRES_URL` names a server to use instead of the shared one: a `postgres://` URL of a role that may
//! create databases.

use crate::process::{User, attempt, command, own_uid, run, user};
use std::fs::{File, OpenOptions};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// The variable that names a server to use instead of our own.
pub const URL_VARIABLE: &str = "KEYREEVE_TEST_POSTGRES_URL";

/// The superuser of our clusters.
const ROLE: &str = "keyreeve_test";
/// Minutes without a test after which the shared server ends.
const IDLE_MINUTES: u32 = 20;

/// A PostgreSQL server that one test has for itself. Stopped and removed when dropped.
pub struct Cluster {
    installation: Installation,
    directory: PathBuf,
    port: u16,
    durable: bool,
    /// Removed after `drop` has stopped the server.
    _guard: tempfile::TempDir,
}

/// The programs, and the user that runs them.
#[derive(Clone)]
struct Installation {
    programs: PathBuf,
    user: Option<User>,
}

impl Cluster {
    /// Starts a server of its own, with full durability.
    #[must_use]
    pub fn start() -> Self {
        let installation = Installation::find();
        let guard = tempfile::Builder::new().prefix("keyreeve-postgres-").tempdir().expect("a directory");
        installation.give(guard.path());
        let directory = guard.path().join("data");
        installation.create(&directory, true);
        let port = free_port();
        installation.start(&directory, port, true);
        // If this process is killed, nobody else would stop it.
        installation.watch(&directory, guard.path(), &Wanted::ByThisProcess);
        Self { installation, directory, port, durable: true, _guard: guard }
    }

    /// Starts a server that offers TLS with this certificate and key (PEM).
    #[must_use]
    pub fn start_with_tls(certificate: &str, key: &str) -> Self {
        let cluster = Self::start();
        cluster.kill();
        for (name, pem) in [("server.crt", certificate), ("server.key", key)] {
            let path = cluster.directory.join(name);
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).expect("a file");
            std::fs::write(&path, pem).expect("a file");
            cluster.installation.give(&path);
        }
        let settings = cluster.directory.join("postgresql.auto.conf");
        std::fs::write(settings, "ssl = on\n").expect("a settings file");
        cluster.restart();
        cluster
    }

    /// The URL of its maintenance database.
    #[must_use]
    pub fn url(&self) -> String {
        url(self.port)
    }

    /// Kills the server as a power failure would (SIGQUIT: no check point, no farewell).
    pub fn kill(&self) {
        self.installation.stop(&self.directory, "immediate").expect("the server stops");
    }

    /// Starts it again, on the same port.
    pub fn restart(&self) {
        self.installation.start(&self.directory, self.port, self.durable);
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // It may be stopped already.
        drop(self.installation.stop(&self.directory, "immediate"));
    }
}

/// The URL of the maintenance database of the server that tests share. Started if it does not run.
///
/// # Panics
/// When there is no PostgreSQL, with what to install.
#[must_use]
pub fn shared() -> &'static str {
    static URL: OnceLock<String> = OnceLock::new();
    URL.get_or_init(|| std::env::var(URL_VARIABLE).unwrap_or_else(|_| start_shared()))
}

/// Whether [`shared`] is ours to tidy up.
pub(crate) fn is_ours() -> bool {
    std::env::var_os(URL_VARIABLE).is_none()
}

fn start_shared() -> String {
    let directory = std::env::temp_dir().join(format!("keyreeve-testkit-{}", own_uid()));
    make_own_directory(&directory);
    // One process at a time looks whether the server runs; the lock goes when the file is closed.
    let lock = File::create(directory.join("lock")).expect("a lock file");
    lock.lock().expect("a lock");
    let used = directory.join("used");
    File::create(&used).expect("a file that says when a test was here last");
    let port_file = directory.join("port");
    let known = std::fs::read_to_string(&port_file).ok().and_then(|text| text.trim().parse().ok());
    if let Some(port) = known
        && answers(port)
    {
        return url(port);
    }
    let installation = Installation::find();
    remove_remains(&installation, &directory);
    // A new name each time, so that the watcher of an old one never stops it.
    let data = tempfile::Builder::new().prefix("data-").tempdir_in(&directory).expect("a directory").keep();
    installation.give(&data);
    installation.create(&data, false);
    let port = free_port();
    installation.start(&data, port, false);
    std::fs::write(&port_file, port.to_string()).expect("a file with the port");
    installation.watch(&data, &data, &Wanted::WhileUsed(&used));
    url(port)
}

/// What is left of a server that was killed, or of a machine that was switched off.
fn remove_remains(installation: &Installation, directory: &Path) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("data") {
            drop(installation.stop(&entry.path(), "immediate"));
            drop(std::fs::remove_dir_all(entry.path()));
        }
    }
}

/// A directory that nobody else could have put there for us.
fn make_own_directory(directory: &Path) {
    let made = std::fs::DirBuilder::new().mode(0o755).create(directory);
    let metadata = std::fs::symlink_metadata(directory)
        .unwrap_or_else(|error| panic!("cannot create {}: {error} ({made:?})", directory.display()));
    let own = std::os::unix::fs::MetadataExt::uid(&metadata) == own_uid();
    assert!(metadata.is_dir() && own, "{} belongs to somebody else", directory.display());
}

fn url(port: u16) -> String {
    format!("postgres://{ROLE}@127.0.0.1:{port}/postgres?sslmode=disable")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// Whether our server answers there: it knows our role. One that is only too busy to answer at once is waited for, lest
/// it be replaced under the tests that keep it busy.
fn answers(port: u16) -> bool {
    let deadline = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(("127.0.0.1", port)).is_ok() {
        match crate::database::aside(async move { timeout(Duration::from_secs(5), log_in(port)).await }) {
            Ok(Ok(())) => return true,
            // Whoever refuses the role or the protocol is not ours.
            Ok(Err(error)) if error.as_db_error().is_some_and(|db| db.code().code().starts_with("28")) => {
                return false;
            }
            _ if Instant::now() > deadline => return false,
            _ => std::thread::sleep(Duration::from_millis(50)),
        }
    }
    false
}

async fn log_in(port: u16) -> Result<(), tokio_postgres::Error> {
    let config: tokio_postgres::Config = url(port).parse()?;
    let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
    let task = tokio::spawn(connection);
    client.simple_query("SELECT 1").await?;
    task.abort();
    Ok(())
}

impl Installation {
    /// Finds PostgreSQL, or installs it.
    fn find() -> Self {
        let programs = programs().unwrap_or_else(|| {
            if own_uid() == 0 {
                install();
            }
            programs().unwrap_or_else(|| {
                panic!(
                    "these tests need PostgreSQL's server programs (initdb, pg_ctl): install the Debian package \
                     `postgresql`, or set {URL_VARIABLE} to a server whose role may create databases"
                )
            })
        });
        // initdb refuses to run as root.
        let user = (own_uid() == 0).then(|| {
            user("postgres")
                .or_else(|| user("nobody"))
                .expect("root needs a user `postgres` to run PostgreSQL as")
        });
        Self { programs, user }
    }

    fn command(&self, program: &str) -> Command {
        command(&self.programs.join(program), self.user)
    }

    /// Makes the directory the server's user's own.
    fn give(&self, directory: &Path) {
        if let Some(user) = self.user {
            chown(directory, Some(user.uid), Some(user.gid)).expect("a directory given to PostgreSQL's user");
        }
    }

    fn create(&self, data: &Path, durable: bool) {
        let mut initdb = self.command("initdb");
        initdb.args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--username", ROLE, "-D"]).arg(data);
        if !durable {
            initdb.arg("--no-sync");
        }
        run(&mut initdb);
    }

    fn start(&self, data: &Path, port: u16, durable: bool) {
        let mut settings = vec![
            format!("-p {port}"),
            "-c listen_addresses=127.0.0.1".to_owned(),
            "-c unix_socket_directories=".to_owned(),
            "-c max_connections=400".to_owned(),
        ];
        if !durable {
            for setting in ["fsync=off", "full_page_writes=off", "synchronous_commit=off", "autovacuum=off"] {
                settings.push(format!("-c {setting}"));
            }
        }
        let mut start = self.command("pg_ctl");
        start.args(["start", "-w", "-t", "60", "-D"]).arg(data).arg("-l").arg(data.join("server.log"));
        start.arg("-o").arg(settings.join(" "));
        // Not a pipe: the server would inherit it, and whoever reads it would wait for the server.
        start.stdout(Stdio::null()).stderr(Stdio::null());
        let status = start.status().expect("pg_ctl can be run");
        let log = || std::fs::read_to_string(data.join("server.log")).unwrap_or_default();
        assert!(status.success(), "PostgreSQL did not start:\n{}", log());
        let deadline = Instant::now() + Duration::from_secs(10);
        while !answers(port) {
            assert!(Instant::now() < deadline, "PostgreSQL does not answer on port {port}:\n{}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn stop(&self, data: &Path, mode: &str) -> Result<(), String> {
        attempt(self.command("pg_ctl").args(["stop", "-w", "-m", mode, "-D"]).arg(data))
    }

    /// Leaves a small shell behind that ends the server of `data`, and removes `all`, when it is no longer wanted.
    fn watch(&self, data: &Path, all: &Path, wanted: &Wanted<'_>) {
        let wanted = match wanted {
            Wanted::WhileUsed(file) => {
                format!("[ -n \"$(find '{}' -mmin -{IDLE_MINUTES})\" ]", file.display())
            }
            Wanted::ByThisProcess => format!("[ -e /proc/{} ]", std::process::id()),
        };
        let script = format!(
            r#"while sleep 20; do
                 [ -e "$1" ] || exit
                 {wanted} && continue
                 "$3" stop -m immediate -D "$1"
                 rm -rf "$2"; exit
               done"#
        );
        let mut shell = command(Path::new("/bin/sh"), self.user);
        shell
            .arg("-c")
            .arg(script)
            .arg("keyreeve-testkit")
            .arg(data)
            .arg(all)
            .arg(self.programs.join("pg_ctl"));
        shell.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        #[allow(clippy::zombie_processes, reason = "it outlives this process on purpose")]
        drop(shell.spawn().expect("/bin/sh can be run"));
    }
}

/// For how long a server is wanted.
enum Wanted<'a> {
    /// As long as tests touch this file.
    WhileUsed(&'a Path),
    /// As long as this process lives.
    ByThisProcess,
}

/// The directory with PostgreSQL's programs: the newest of Debian's, else that of the `PATH`.
fn programs() -> Option<PathBuf> {
    let has_all =
        |path: &PathBuf| ["initdb", "pg_ctl", "postgres"].iter().all(|name| path.join(name).exists());
    let mut of_debian: Vec<_> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok()?.parse::<u32>().ok())
        .collect();
    of_debian.sort_unstable_by(|a, b| b.cmp(a));
    let of_debian =
        of_debian.into_iter().map(|version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin")));
    let path = std::env::var_os("PATH").unwrap_or_default();
    of_debian.chain(std::env::split_paths(&path)).find(has_all)
}

/// Installs Debian's package; without the server of its own that it would start.
fn install() {
    let settings = Path::new("/etc/postgresql-common/createcluster.conf");
    if !settings.exists() && std::fs::create_dir_all("/etc/postgresql-common").is_ok() {
        // If this fails, a server too many is started, which disturbs nobody.
        drop(std::fs::write(settings, "create_main_cluster = false\n"));
    }
    let apt = |arguments: &[&str]| {
        let mut apt = command(Path::new("apt-get"), None);
        apt.env("DEBIAN_FRONTEND", "noninteractive").args(arguments);
        attempt(&mut apt)
    };
    let installed = apt(&["update", "-q"]).and_then(|()| {
        let keep = "Dpkg::Options::=--force-confold";
        apt(&["install", "-q", "-y", "--no-install-recommends", "-o", keep, "postgresql"])
    });
    if let Err(complaint) = installed {
        panic!(
            "these tests need PostgreSQL, and installing the Debian package `postgresql` failed:\n{complaint}"
        );
    }
}

/// Serialises what must not be done twice at once by two test processes.
pub(crate) fn lock(name: &str) -> File {
    let path = std::env::temp_dir().join(format!("keyreeve-testkit-{}-{name}.lock", own_uid()));
    let lock = OpenOptions::new().write(true).create(true).truncate(false).open(path).expect("a lock file");
    lock.lock().expect("a lock");
    lock
}

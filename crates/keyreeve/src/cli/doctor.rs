//! `keyreeve doctor`: what is wrong with this installation, and how to put it right. It changes nothing, and works
//! beside a running server.

use super::exit::{Exit, Output};
use super::{run, system_world};
use crate::config::{Config, ConfigError, MasterKeySource};
use crate::{App, Error, Purpose, chain, data_dir};
use keyreeve_audit::Verdict;
use keyreeve_base::Timestamp;
use keyreeve_identity::{DEFAULT_SLUG, Tenant};
use keyreeve_tokens::keys::KeyState;
use serde_json::json;

/// Keyreeve did not exist before: a clock that says so is wrong.
const EARLIEST: Timestamp = Timestamp::from_seconds(1_767_225_600);
/// The connections that the server allows at once; each is an open file.
const CONNECTIONS: u64 = 10_000;
/// At most so many tenants are looked into; an installation with more has monitoring of its own.
const TENANTS: u16 = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    Warn,
    Fail,
}

#[derive(Debug, serde::Serialize)]
struct Check {
    name: &'static str,
    state: State,
    message: String,
    /// What to do about it.
    remedy: Option<String>,
}

#[derive(Debug, Default)]
struct Report(Vec<Check>);

impl Report {
    fn ok(&mut self, name: &'static str, message: impl Into<String>) {
        self.0.push(Check { name, state: State::Ok, message: message.into(), remedy: None });
    }

    fn warn(&mut self, name: &'static str, message: impl Into<String>, remedy: impl Into<String>) {
        let (message, remedy) = (message.into(), Some(remedy.into()));
        self.0.push(Check { name, state: State::Warn, message, remedy });
    }

    fn fail(&mut self, name: &'static str, message: impl Into<String>, remedy: impl Into<String>) {
        let (message, remedy) = (message.into(), Some(remedy.into()));
        self.0.push(Check { name, state: State::Fail, message, remedy });
    }

    fn output(self) -> Output {
        let failed = self.0.iter().filter(|check| check.state == State::Fail).count();
        let warned = self.0.iter().filter(|check| check.state == State::Warn).count();
        let mut text = String::new();
        for check in &self.0 {
            let mark = match check.state {
                State::Ok => "ok  ",
                State::Warn => "warn",
                State::Fail => "FAIL",
            };
            text.push_str(&format!("{mark}  {:<14} {}\n", check.name, check.message));
            if let Some(remedy) = &check.remedy {
                text.push_str(&format!("{:21}-> {remedy}\n", ""));
            }
        }
        text.push_str(&match (failed, warned) {
            (0, 0) => "\nEverything is in order.".to_owned(),
            _ => format!("\n{failed} failed, {warned} to look at."),
        });
        let output = Output::new(text, json!({"ok": failed == 0, "checks": self.0}));
        if failed == 0 { output } else { output.exit(Exit::Refused) }
    }
}

/// The report when there is no configuration to go by.
pub(super) fn without_configuration(error: &ConfigError) -> Output {
    let mut report = Report::default();
    for problem in &error.0 {
        report.fail(
            "configuration",
            problem.to_string(),
            "correct it; `keyreeve config show` lists every setting",
        );
    }
    report.output()
}

/// Checks everything.
pub(super) async fn run(config: Config) -> Output {
    let mut report = Report::default();
    configuration(&config, &mut report);
    files(&config, &mut report);
    addresses(&config, &mut report);
    machine(&mut report);
    let on_sqlite = config.database_url.is_none();
    #[cfg(unix)]
    if on_sqlite {
        let running = tokio::net::UnixStream::connect(data_dir::socket(&config.data_dir)).await.is_ok();
        report.ok("server", if running { "is running on this data directory" } else { "is not running" });
    }
    match App::open_for(Purpose::Inspect, config, system_world(), None).await {
        Ok(app) => {
            report.ok("master key", "opens the data keys");
            wrapped(&app, &mut report).await;
            report.ok("database", format!("{} answers; its tables are up to date", app.store.engine()));
            mail(&app, &mut report).await;
            inside(&app, &mut report).await;
        }
        Err(error) => unopened(&error, on_sqlite, &mut report),
    }
    report.output()
}

fn configuration(config: &Config, report: &mut Report) {
    match config.file() {
        Some(file) => {
            report.ok("configuration", format!("{} is right", file.display()));
            let secret = ["database_url", "admin_password", "smtp_url", "mail_webhook_secret"]
                .into_iter()
                .find(|key| matches!(config.source(key), crate::config::Source::File { .. }));
            if let (Some(key), Some(mode)) = (secret, data_dir::too_open(file)) {
                let message = format!("{} holds {key} and is open to others (mode {mode})", file.display());
                report.warn("configuration", message, format!("chmod 600 {}", file.display()));
            }
        }
        None => report.ok("configuration", "flags and environment are right; there is no file"),
    }
    for name in config.unknown_environment() {
        report.warn("configuration", format!("{name} is no setting"), "correct its name, or remove it");
    }
}

fn files(config: &Config, report: &mut Report) {
    let dir = &config.data_dir;
    if !dir.is_dir() {
        let message = format!("{} does not exist", dir.display());
        if config.database_url.is_none() {
            report.fail("data directory", message, "`keyreeve serve` creates it; --data-dir names another");
        }
    } else if let Some(mode) = data_dir::too_open(dir) {
        let message = format!("{} is open to others (mode {mode})", dir.display());
        report.fail("data directory", message, format!("chmod 700 {}", dir.display()));
    } else {
        report.ok("data directory", format!("{} is closed to others", dir.display()));
    }
    let database = data_dir::database(dir);
    if let Some(mode) = data_dir::too_open(&database) {
        let message = format!("{} is open to others (mode {mode})", database.display());
        report.fail("database", message, format!("chmod 600 {}", database.display()));
    }
    if let MasterKeySource::File(path) = config.master_key()
        && path.parent() == Some(dir)
        && path.exists()
    {
        let message = "is kept in the data directory: whoever copies that has both the data and its key";
        report.warn(
            "master key",
            message,
            "keep a copy elsewhere; for more, see master_key_file and master_key_command",
        );
    }
}

/// Whether all data keys are wrapped by the present master key.
async fn wrapped(app: &App, report: &mut Report) {
    match app.identity.tenants().data_keys().master_keys().await {
        Ok(keys) => {
            let older: u64 = keys.iter().filter(|key| !key.current).map(|key| key.data_keys).sum();
            if older > 0 {
                let message = format!("{older} data keys are wrapped by an older one; do not remove that");
                report.warn("master key", message, "run `keyreeve key rotate --master` (again)");
            }
        }
        Err(error) => report.fail("master key", chain(&error), "look at the database"),
    }
}

fn addresses(config: &Config, report: &mut Report) {
    match config.public_url(config.listen) {
        Err(message) => report.fail("public_url", message, "set public_url"),
        Ok(url) if url.is_loopback() && !config.listen.ip().is_loopback() => report.warn(
            "public_url",
            format!("is {url}, which other machines cannot reach, while the server listens on {}", config.listen),
            "set public_url to the address that people use",
        ),
        Ok(url) if !url.is_https() && !url.is_loopback() => {
            report.warn("public_url", format!("{url} is not encrypted"), "put a TLS proxy in front, use https");
        }
        Ok(url) if url.is_https() && config.trusted_proxies.is_empty() => report.warn(
            "public_url",
            format!("{url} needs a TLS proxy in front, but trusted_proxies is empty: everyone seems to come from it"),
            "set trusted_proxies to the proxy's address",
        ),
        Ok(url) => report.ok("public_url", url.to_string()),
    }
}

fn machine(report: &mut Report) {
    let now = system_world().now();
    if now < EARLIEST {
        report.fail("clock", format!("says {now}"), "set the system's clock");
    } else {
        report.ok("clock", now.to_string());
    }
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    if let Some(limit) = open_files(&limits)
        && limit < CONNECTIONS
    {
        let message = format!("this shell allows {limit} open files; the server could use {CONNECTIONS}");
        report.warn(
            "limits",
            message,
            "raise it for the server (LimitNOFILE=65536 in a systemd unit, ulimit -n)",
        );
    }
}

/// The soft limit of open files in `/proc/self/limits`.
fn open_files(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn unopened(error: &Error, on_sqlite: bool, report: &mut Report) {
    let text = chain(error);
    match error {
        Error::NotSetUp(_) => {
            report.fail("installation", text, "`keyreeve serve` or `keyreeve init` sets it up");
        }
        Error::Sealed { .. } => {
            report.warn("master key", text, "what is in the database can be looked at when the key is whole");
        }
        Error::MasterKey(_) | Error::Identity(keyreeve_identity::Error::MasterKey { .. }) => {
            report.fail("master key", text, "put the master key of this database back; see master_key_file");
        }
        Error::Store(keyreeve_store::Error::OlderSchema { .. }) => {
            report.fail(
                "database",
                text,
                "start this version of the server once: it brings the tables up to date",
            );
        }
        Error::Store(keyreeve_store::Error::NewerSchema { .. }) => {
            report.fail("database", text, "use the version that wrote it, or a newer one");
        }
        _ if on_sqlite => report.fail("database", text, "restore a backup if the file is damaged"),
        _ => report.fail("database", text, "look whether PostgreSQL runs and database_url is right"),
    }
}

async fn mail(app: &App, report: &mut Report) {
    let Some(mailer) = &app.mailer else {
        let message = "no mail can be sent: nobody can reset a forgotten password";
        return report.ok("mail", format!("{message}; see smtp_url"));
    };
    match mailer.check().await {
        Ok(()) => report.ok("mail", "whoever takes mail answers"),
        Err(error) => report.fail(
            "mail",
            error.to_string(),
            "look at smtp_url, smtp_password_file and mail_webhook_url",
        ),
    }
    for path in [&app.config.smtp_password_file, &app.config.mail_webhook_secret_file].into_iter().flatten() {
        if let Some(mode) = data_dir::too_open(path) {
            let message = format!("{} is open to others (mode {mode})", path.display());
            report.warn("mail", message, format!("chmod 600 {}", path.display()));
        }
    }
}

async fn inside(app: &App, report: &mut Report) {
    match app.store.integrity().await {
        Ok(findings) if findings.is_empty() => report.ok("integrity", "the database is sound"),
        Ok(findings) => {
            for finding in findings {
                report.fail("integrity", finding, "restore the latest backup");
            }
        }
        Err(error) => report.fail("integrity", chain(&error), "look at the disk"),
    }
    let tenants = match app.identity.tenants().list(None, TENANTS).await {
        Ok(tenants) => tenants,
        Err(error) => return report.fail("tenants", chain(&error), "look at the database"),
    };
    match tenants.iter().find(|tenant| tenant.slug == DEFAULT_SLUG) {
        Some(tenant) => match app.identity.users().list(tenant.id, None, 1).await {
            Ok(users) if users.is_empty() => report.fail(
                "users",
                "the default tenant has no user",
                "`keyreeve user create` makes one; the next start of the server an administrator",
            ),
            Ok(_) => report.ok("users", "the default tenant has users"),
            Err(error) => report.fail("users", chain(&error), "look at the database"),
        },
        None => {
            report.fail("tenants", "there is no default tenant", "`keyreeve init` finishes the first start");
        }
    }
    for tenant in &tenants {
        signing_keys(app, tenant, report).await;
        audit_chain(app, tenant, report).await;
    }
}

async fn signing_keys(app: &App, tenant: &Tenant, report: &mut Report) {
    match app.tokens.keys().list(tenant.id).await {
        Ok(keys) if keys.iter().any(|key| key.state == KeyState::Signing) => {
            report.ok("signing keys", format!("{}: {} are published", tenant.slug, keys.len()));
        }
        Ok(_) => report.warn(
            "signing keys",
            format!("{}: there are none yet", tenant.slug),
            "they are made at the next start of the server, or when first needed",
        ),
        Err(error) => report.fail("signing keys", chain(&error), "is this the right master key?"),
    }
}

async fn audit_chain(app: &App, tenant: &Tenant, report: &mut Report) {
    match run::audit::verify(app, tenant, None).await {
        Ok(found) if found.verdict == Verdict::Intact => {
            report
                .ok("audit log", format!("{}: {} entries, head {}", tenant.slug, found.checked, found.head));
        }
        Ok(found) => {
            let sentence = run::audit::sentence(&found.verdict);
            let remedy = "somebody changed the database by hand: compare it with a backup";
            report.fail("audit log", format!("{}: {sentence}", tenant.slug), remedy);
        }
        Err(failure) => report.fail("audit log", failure.message, "look at the database"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_open_files_is_the_soft_one() {
        let text = "Limit                     Soft Limit           Hard Limit           Units\n\
                    Max open files            1024                 524288               files\n";
        assert_eq!(open_files(text), Some(1024));
        assert_eq!(open_files("Max open files            unlimited unlimited files"), None);
        assert_eq!(open_files(""), None);
    }

    #[test]
    fn a_failed_check_decides_the_exit_code() {
        let mut report = Report::default();
        report.ok("a", "fine");
        report.warn("b", "hm", "look");
        assert_eq!(report.output().exit, Exit::Ok);
        let mut report = Report::default();
        report.fail("c", "broken", "mend it");
        let output = report.output();
        assert_eq!(output.exit, Exit::Refused);
        assert!(output.text.contains("-> mend it") && output.text.contains("1 failed"), "{}", output.text);
        assert_eq!(output.json["ok"], false);
    }
}

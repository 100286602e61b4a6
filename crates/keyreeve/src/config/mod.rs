//! The configuration: flags over `KEYREEVE_*` environment over one TOML file over defaults.
//!
//! One rule names every setting: `listen` in the file is `KEYREEVE_LISTEN` in the environment and `--listen` on the
//! command line. The exceptions are secrets, which have no flag, because flags show in process lists.
//!
//! To add a setting: a field in [`Config`], its default in [`Config::default`], a line in [`settings::SETTINGS`].

mod file;
mod public_url;
mod settings;
mod value;

pub use public_url::PublicUrl;
pub use settings::SETTINGS;

use ipnet::IpNet;
use keyreeve_crypto::secret::Secret;
use keyreeve_fetch::Resolve;
use keyreeve_http::origin::ForwardedBy;
use settings::Setting;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use value::Given;

/// The prefix of every environment variable.
pub const ENVIRONMENT_PREFIX: &str = "KEYREEVE_";
/// Variables of the environment that choose the file itself or belong to tests; they are no settings.
const NOT_SETTINGS: [&str; 2] = ["KEYREEVE_CONFIG", "KEYREEVE_TEST_"];

/// Where the master key comes from.
#[derive(Debug)]
pub enum MasterKeySource {
    /// A file that only its owner can read.
    File(PathBuf),
    /// The key itself, from the environment.
    Text(Secret),
    /// The output of a command: the helper of a key-management service.
    Command(String),
}

/// How the interface of IMQS Auth is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImqsSettings {
    /// Whether it is.
    pub enabled: bool,
    /// The slug of its tenant.
    pub tenant: String,
    /// An address of its own.
    pub listen: Option<SocketAddr>,
    /// The original's configuration file.
    pub config_file: Option<PathBuf>,
    /// A file that holds the secret of services.
    pub service_secret_file: Option<PathBuf>,
    /// Whether strangers are not told which identities there are.
    pub discreet: bool,
}

/// How the interface of Xpress Insight is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InsightSettings {
    /// Whether it is.
    pub enabled: bool,
    /// The slug of its tenant.
    pub tenant: String,
    /// An address of its own.
    pub listen: Option<SocketAddr>,
    /// The longest that a bearer token lives, in seconds.
    pub token_max_age_s: u32,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The cost of a password hash, and how many are computed at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hashing {
    /// Memory of one Argon2id hash, in KiB.
    pub memory_kib: u32,
    /// Passes over that memory.
    pub iterations: u32,
    /// Lanes.
    pub parallelism: u32,
    /// Hashes computed at the same time; absent: as many as there are processors.
    pub workers: Option<usize>,
}

/// What the first start is to create, where the operator wants to say so.
#[derive(Debug)]
pub struct FirstAdministrator {
    /// The administrator's user name.
    pub username: String,
    /// A password to use instead of a random one-time password.
    pub password: Option<Secret>,
}

/// Where a setting's value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// A line of the file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The column, counted from 1 in characters.
        column: usize,
    },
    /// A variable of the environment.
    Environment(String),
    /// A flag of the command line.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub source: Source,
    /// The setting, where it is known.
    pub key: Option<String>,
    /// What is wrong, and what is allowed.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.source)?;
        if let Some(key) = &self.key {
            write!(f, "{key} ")?;
        }
        f.write_str(&self.message)
    }
}

/// Everything that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(pub Vec<Problem>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// What a configuration is made from.
#[derive(Debug, Default)]
pub struct Inputs {
    /// Values of flags, by the setting's key.
    pub flags: Vec<(&'static str, String)>,
    /// The environment; only `KEYREEVE_*` is read.
    pub environment: Vec<(String, String)>,
    /// The file, when a flag names it (before `KEYREEVE_CONFIG`).
    pub file: Option<PathBuf>,
}

/// The effective configuration. Holds secrets: it cannot be copied or printed whole, see [`Config::shown`].
pub struct Config {
    /// The directory of the database, the master key and the lock.
    pub data_dir: PathBuf,
    /// The address to serve on.
    pub listen: SocketAddr,
    /// Where people reach the server; absent: derived from `listen`, see [`Config::public_url`].
    public_url: Option<PublicUrl>,
    public_url_text: Option<String>,
    /// Whether plain http is accepted for other hosts than loopback.
    pub allow_insecure_public_url: bool,
    /// A PostgreSQL URL; absent: SQLite in the data directory.
    pub database_url: Option<Secret>,
    /// Connections to the database, for each node.
    pub database_connections: Option<usize>,
    /// Requests a minute that each caller of the API may make at this node; 0 for any number.
    pub api_rate_limit: u32,
    /// How many levels a tree of resources has at most.
    pub sharing_max_depth: u32,
    /// How much memory the engine of sharing keeps resources and grants in, in MiB.
    pub sharing_cache_mib: u32,
    /// The longest value of a secret, in KiB.
    pub secret_max_kib: u32,
    master_key_file: Option<PathBuf>,
    master_key: Option<Secret>,
    master_key_command: Option<String>,
    /// The master key before the present one, while data keys are still wrapped under it.
    pub previous_master_key_file: Option<PathBuf>,
    /// Whether outbound fetches may reach private and loopback addresses.
    pub allow_private_fetch: bool,
    /// Whether the process's memory may be read and dumped.
    pub allow_core_dumps: bool,
    /// A file of certificate authorities that outbound fetches trust besides the system's.
    pub fetch_authorities_file: Option<PathBuf>,
    /// Who resolves the names of outbound fetches; absent: the operating system. Not a setting.
    pub resolver: Option<Arc<dyn Resolve>>,
    /// The SMTP server, as [`SmtpServer::parse`](keyreeve_mail::SmtpServer::parse) reads it; may hold a password.
    pub smtp_url: Option<Secret>,
    /// A file that holds the password for it.
    pub smtp_password_file: Option<PathBuf>,
    /// From whom mail is.
    pub mail_from: Option<keyreeve_mail::Sender>,
    /// The service that takes mail over HTTP instead; may hold a key.
    pub mail_webhook_url: Option<Secret>,
    /// The secret by which requests to it are signed.
    pub mail_webhook_secret: Option<Secret>,
    /// A file that holds that secret.
    pub mail_webhook_secret_file: Option<PathBuf>,
    /// Proxies whose forwarding headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Which header those proxies write.
    pub forwarded_by: ForwardedBy,
    /// The address on which metrics are served alone.
    pub metrics_listen: Option<SocketAddr>,
    /// Where traces go: the base URL of an OTLP collector; absent: none are made.
    pub otlp_endpoint: Option<String>,
    /// How many of a hundred traces are kept.
    pub trace_sample_percent: u32,
    /// Which log lines are written.
    pub log: String,
    /// How they are written.
    pub log_format: LogFormat,
    /// The cost of password hashes.
    pub hashing: Hashing,
    /// The interface of IMQS Auth.
    pub imqs: ImqsSettings,
    /// The interface of Xpress Insight.
    pub insight: InsightSettings,
    /// What the first start creates.
    pub administrator: FirstAdministrator,
    sources: BTreeMap<&'static str, Source>,
    /// Variables that look like settings and are none.
    unknown_environment: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("keyreeve-data"),
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
            public_url: None,
            public_url_text: None,
            allow_insecure_public_url: false,
            database_url: None,
            database_connections: None,
            api_rate_limit: 6_000,
            sharing_max_depth: 1_024,
            sharing_cache_mib: 96,
            secret_max_kib: 1_024,
            master_key_file: None,
            master_key: None,
            master_key_command: None,
            previous_master_key_file: None,
            allow_private_fetch: false,
            allow_core_dumps: false,
            fetch_authorities_file: None,
            resolver: None,
            smtp_url: None,
            smtp_password_file: None,
            mail_from: None,
            mail_webhook_url: None,
            mail_webhook_secret: None,
            mail_webhook_secret_file: None,
            trusted_proxies: Vec::new(),
            forwarded_by: ForwardedBy::XForwardedFor,
            metrics_listen: None,
            otlp_endpoint: None,
            trace_sample_percent: 10,
            log: "info".to_owned(),
            log_format: LogFormat::Text,
            hashing: Hashing { memory_kib: 19_456, iterations: 2, parallelism: 1, workers: None },
            imqs: ImqsSettings {
                enabled: false,
                tenant: keyreeve_identity::DEFAULT_SLUG.to_owned(),
                listen: None,
                config_file: None,
                service_secret_file: None,
                discreet: false,
            },
            insight: InsightSettings {
                enabled: false,
                tenant: keyreeve_identity::DEFAULT_SLUG.to_owned(),
                listen: None,
                token_max_age_s: 900,
            },
            administrator: FirstAdministrator { username: "admin".to_owned(), password: None },
            sources: BTreeMap::new(),
            unknown_environment: Vec::new(),
        }
    }
}

impl Config {
    /// Reads the file, the environment and the flags, in rising order of precedence.
    ///
    /// # Errors
    /// Everything that is wrong, each with its place.
    pub fn load(inputs: Inputs) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        let mut problems = Vec::new();
        let named =
            inputs.environment.iter().find(|(name, value)| name == "KEYREEVE_CONFIG" && !value.is_empty());
        if let Some(path) = inputs.file.or_else(|| named.map(|(_, value)| PathBuf::from(value))) {
            match file::read(&path) {
                Ok(found) => {
                    for item in found {
                        config.apply(item.key, &item.value, item.source, &mut problems);
                    }
                }
                Err(found) => problems.extend(found),
            }
        }
        for (name, value) in inputs.environment {
            config.apply_variable(name, value, &mut problems);
        }
        for (key, value) in inputs.flags {
            let source = Source::Flag(format!("--{}", key.replace('_', "-")));
            config.apply(key, &Given::Text(value), source, &mut problems);
        }
        config.finish(&mut problems);
        if problems.is_empty() { Ok(config) } else { Err(ConfigError(problems)) }
    }

    fn apply_variable(&mut self, name: String, value: String, problems: &mut Vec<Problem>) {
        let Some(suffix) = name.strip_prefix(ENVIRONMENT_PREFIX) else { return };
        if NOT_SETTINGS.iter().any(|other| name.starts_with(other)) {
            return;
        }
        // Only the exact upper-case name counts, so that no two variables can mean one setting.
        match SETTINGS.iter().find(|s| s.key.to_ascii_uppercase() == suffix) {
            // An empty variable is one that a template left out.
            Some(_) if value.is_empty() => {}
            Some(setting) => {
                self.apply(setting.key, &Given::Text(value), Source::Environment(name), problems);
            }
            None => self.unknown_environment.push(name),
        }
    }

    fn apply(&mut self, key: &str, given: &Given, source: Source, problems: &mut Vec<Problem>) {
        let Some(setting) = Setting::find(key) else {
            problems.push(Problem { source, key: Some(key.to_owned()), message: settings::unknown(key) });
            return;
        };
        match (setting.set)(self, given) {
            Ok(()) => {
                self.sources.insert(setting.key, source);
            }
            Err(message) => problems.push(Problem { source, key: Some(key.to_owned()), message }),
        }
    }

    /// What can only be judged when every source has been read.
    fn finish(&mut self, problems: &mut Vec<Problem>) {
        let mut wrong = |config: &Self, key: &'static str, message: String| {
            problems.push(Problem { source: config.source(key), key: Some(key.to_owned()), message });
        };
        if let Some(text) = &self.public_url_text {
            match PublicUrl::parse(text, self.allow_insecure_public_url) {
                Ok(url) => self.public_url = Some(url),
                Err(message) => wrong(self, "public_url", message),
            }
        } else if let Err(message) = PublicUrl::of_listener(self.listen) {
            wrong(self, "public_url", message);
        }
        let keys = ["master_key_file", "master_key", "master_key_command"];
        let mut given = keys.into_iter().filter(|key| self.sources.contains_key(key));
        if let (Some(first), Some(second)) = (given.next(), given.next()) {
            let message = format!("and {first} ({}) are both set; keep one of them", self.source(first));
            wrong(self, second, message);
        }
        self.finish_mail(&mut wrong);
        if self.metrics_listen.is_some_and(|metrics| metrics == self.listen && metrics.port() != 0) {
            wrong(self, "metrics_listen", "is the address of `listen`; give it a port of its own".to_owned());
        }
        let mut others = vec![Some(self.listen), self.metrics_listen];
        let dialects =
            [("compat_imqs_listen", self.imqs.listen), ("compat_insight_listen", self.insight.listen)];
        for (key, own) in dialects {
            if own.is_some_and(|own| own.port() != 0 && others.contains(&Some(own))) {
                let message = "is the address of another listener; give it a port of its own".to_owned();
                wrong(self, key, message);
            }
            others.push(own);
        }
    }

    /// Mail goes one way, and everything that this way needs is there.
    fn finish_mail(&self, wrong: &mut impl FnMut(&Self, &'static str, String)) {
        let (smtp, webhook) = (self.smtp_url.is_some(), self.mail_webhook_url.is_some());
        if smtp && webhook {
            wrong(self, "mail_webhook_url", "and smtp_url are both set; keep one of them".to_owned());
        }
        if (smtp || webhook) && self.mail_from.is_none() {
            wrong(self, "mail_from", "is not set, so mail would be from nobody".to_owned());
        }
        let secrets = [self.mail_webhook_secret.is_some(), self.mail_webhook_secret_file.is_some()];
        match secrets {
            [false, false] if webhook => wrong(
                self,
                "mail_webhook_secret",
                "is not set, so the service could not tell who asks; set it, or mail_webhook_secret_file"
                    .to_owned(),
            ),
            [true, true] => {
                let message = "and mail_webhook_secret are both set; keep one of them".to_owned();
                wrong(self, "mail_webhook_secret_file", message);
            }
            _ => {}
        }
        for (key, alone) in [
            ("smtp_password_file", self.smtp_password_file.is_some() && !smtp),
            ("mail_webhook_secret", secrets.contains(&true) && !webhook),
        ] {
            if alone {
                wrong(self, key, "is set, but what it is for is not".to_owned());
            }
        }
    }

    /// Whether mail can be sent.
    #[must_use]
    pub const fn has_mail(&self) -> bool {
        self.smtp_url.is_some() || self.mail_webhook_url.is_some()
    }

    /// The public URL of a server that is bound to `bound` (which differs from `listen` when that asks for any free
    /// port).
    ///
    /// # Errors
    /// A sentence, when `public_url` would have to be set.
    pub fn public_url(&self, bound: SocketAddr) -> Result<PublicUrl, String> {
        match &self.public_url {
            Some(url) => Ok(url.clone()),
            None => PublicUrl::of_listener(bound).map_err(|message| format!("public_url {message}")),
        }
    }

    /// Whether `public_url` was set, rather than derived.
    #[must_use]
    pub const fn has_public_url(&self) -> bool {
        self.public_url.is_some()
    }

    /// Where the master key comes from. Without any setting: `master.key` in the data directory, which the first start
    /// creates.
    #[must_use]
    pub fn master_key(&self) -> MasterKeySource {
        if let Some(key) = &self.master_key {
            return MasterKeySource::Text(key.duplicate());
        }
        match (&self.master_key_command, &self.master_key_file) {
            (Some(command), _) => MasterKeySource::Command(command.clone()),
            (None, Some(path)) => MasterKeySource::File(path.clone()),
            (None, None) => MasterKeySource::File(self.data_dir.join("master.key")),
        }
    }

    /// Where the value of a setting came from.
    #[must_use]
    pub fn source(&self, key: &str) -> Source {
        self.sources.get(key).cloned().unwrap_or(Source::Default)
    }

    /// The configuration file, when one was read and it set something.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.sources.values().find_map(|source| match source {
            Source::File { path, .. } => Some(path.as_path()),
            _ => None,
        })
    }

    /// Variables of the environment that begin with `KEYREEVE_` and name no setting.
    #[must_use]
    pub fn unknown_environment(&self) -> &[String] {
        &self.unknown_environment
    }

    /// Every setting with its effective value, secrets masked, and where that came from.
    #[must_use]
    pub fn shown(&self) -> Vec<Shown> {
        SETTINGS
            .iter()
            .map(|setting| Shown {
                key: setting.key,
                value: (setting.show)(self),
                source: self.source(setting.key).to_string(),
            })
            .collect()
    }
}

/// One line of `config show`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Shown {
    /// The setting.
    pub key: &'static str,
    /// Its value as text; absent when it is not set.
    pub value: Option<String>,
    /// Where the value came from.
    pub source: String,
}

#[cfg(test)]
mod tests;

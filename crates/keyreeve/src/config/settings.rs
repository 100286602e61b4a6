//! The settings: one line for each, from which the file, the environment, `config show` and the documentation come.

use super::value::{Given, boolean, integer, list, text};
use super::{Config, LogFormat};
use keyreeve_crypto::secret::Secret;
use keyreeve_http::origin::ForwardedBy;
use keyreeve_mail::{Security, SmtpServer, WebhookSecret};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// A setting: how it is called, what it is for, how it is read and shown.
pub struct Setting {
    /// Its key in the file; upper-cased behind `KEYREEVE_` it is the variable of the environment.
    pub key: &'static str,
    /// What it is for and what is allowed.
    pub help: &'static str,
    pub(super) set: fn(&mut Config, &Given) -> Result<(), String>,
    pub(super) show: fn(&Config) -> Option<String>,
}

impl Setting {
    pub(super) fn find(key: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.key == key)
    }
}

/// Whether keys of this name and more behind it make a table in the file.
pub(super) fn is_table(name: &str) -> bool {
    let within = |key: &str| key.strip_prefix(name).is_some_and(|rest| rest.starts_with('_'));
    name.split('_').next() == Some("compat") && SETTINGS.iter().any(|setting| within(setting.key))
}

/// The sentence about a key that is none, with the nearest one that is.
pub(super) fn unknown(key: &str) -> String {
    let nearest = SETTINGS.iter().map(|s| (distance(key, s.key), s.key)).min();
    match nearest {
        Some((distance, name)) if distance <= 3 => format!("is not a setting; did you mean {name}?"),
        _ => "is not a setting; `keyreeve config show` lists them all".to_owned(),
    }
}

/// The number of single-character edits between two texts (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, y) in row.iter_mut().skip(1).zip(b.chars()) {
            let above = *cell;
            *cell = (diagonal + usize::from(x != y)).min(above + 1).min(left + 1);
            (diagonal, left) = (above, *cell);
        }
    }
    row.last().copied().unwrap_or_default()
}

fn mask(secret: Option<&Secret>) -> Option<String> {
    secret.map(|_| "********".to_owned())
}

fn path(given: &Given) -> Result<PathBuf, String> {
    text(given).map(PathBuf::from)
}

fn address(given: &Given) -> Result<SocketAddr, String> {
    let text = text(given)?;
    let named = text.strip_prefix("localhost:").and_then(|port| port.parse().ok());
    if let Some(port) = named {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    text.parse().map_err(|_| {
        format!(
            "{text:?} is not an address to listen on; write ADDRESS:PORT, such as 127.0.0.1:8080 or [::]:8080"
        )
    })
}

fn database_url(given: &Given) -> Result<Secret, String> {
    let text = text(given)?;
    // The URL may hold a password, so the refusal does not repeat it.
    let parsed = url::Url::parse(&text).map_err(|error| format!("is not a URL ({error})"))?;
    match parsed.scheme() {
        "postgres" | "postgresql" => Ok(Secret::from(text)),
        other => Err(format!(
            "begins with {other}://; allowed is postgres://USER:PASSWORD@HOST:PORT/DATABASE (leave it out for SQLite)"
        )),
    }
}

fn smtp_url(given: &Given) -> Result<Secret, String> {
    let text = text(given)?;
    SmtpServer::parse(&text)?;
    Ok(Secret::from(text))
}

/// The server without its password.
fn shown_smtp(url: Option<&Secret>) -> Option<String> {
    let server = SmtpServer::parse(url?.expose()).ok()?;
    let scheme = if server.security == Security::Tls { "smtps" } else { "smtp" };
    let login = match (&server.user, &server.password) {
        (Some(user), Some(_)) => format!("{user}:********@"),
        (Some(user), None) => format!("{user}@"),
        (None, _) => String::new(),
    };
    Some(format!("{scheme}://{login}{}:{}", server.host, server.port))
}

fn webhook_secret(given: &Given) -> Result<Secret, String> {
    let text = text(given)?;
    WebhookSecret::parse(&text)?;
    Ok(Secret::from(text))
}

fn otlp_endpoint(given: &Given) -> Result<String, String> {
    let text = text(given)?;
    let good = url::Url::parse(&text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.query().is_none()
    });
    if good {
        Ok(text)
    } else {
        Err(format!("{text:?} is not a collector's address; write http://127.0.0.1:4318"))
    }
}

fn networks(given: &Given) -> Result<Vec<ipnet::IpNet>, String> {
    let parse = |item: &String| {
        let single = item.parse::<IpAddr>().map(ipnet::IpNet::from).ok();
        single.or_else(|| item.parse().ok()).ok_or_else(|| {
            format!("holds {item:?}, which is neither an address nor a network; write 10.0.0.0/8 or fd00::1")
        })
    };
    list(given)?.iter().map(parse).collect()
}

fn forwarded_by(given: &Given) -> Result<ForwardedBy, String> {
    match text(given)?.to_ascii_lowercase().as_str() {
        "x-forwarded-for" => Ok(ForwardedBy::XForwardedFor),
        "forwarded" => Ok(ForwardedBy::Forwarded),
        other => Err(format!("{other:?} is not a forwarding header; allowed: x-forwarded-for, forwarded")),
    }
}

fn log_format(given: &Given) -> Result<LogFormat, String> {
    match text(given)?.as_str() {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        other => Err(format!("{other:?} is not a format; allowed: text, json")),
    }
}

fn log_filter(given: &Given) -> Result<String, String> {
    let text = text(given)?;
    match tracing_subscriber::EnvFilter::builder().parse(&text) {
        Ok(_) => Ok(text),
        Err(error) => {
            Err(format!("{text:?} is not a log filter ({error}); write info, or info,keyreeve_store=debug"))
        }
    }
}

fn joined<T: ToString>(items: &[T]) -> Option<String> {
    (!items.is_empty()).then(|| items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
}

fn count(number: usize) -> String {
    number.to_string()
}

/// A line of the table: the key, what it is for, how it is set, how it is shown.
macro_rules! settings {
    ($($key:literal, $help:literal, |$config:ident, $given:ident| $set:expr, |$shown:ident| $show:expr;)*) => {
        /// Every setting, in the order in which `config show` prints them.
        pub static SETTINGS: &[Setting] = &[$(Setting {
            key: $key,
            help: $help,
            set: |$config, $given| { $set; Ok(()) },
            show: |$shown| $show,
        }),*];
    };
}

settings! {
    "data_dir", "the directory of the database, the master key and the lock",
        |c, given| c.data_dir = path(given)?, |c| Some(c.data_dir.display().to_string());
    "listen", "ADDRESS:PORT to serve on",
        |c, given| c.listen = address(given)?, |c| Some(c.listen.to_string());
    "public_url", "where people reach the server: https://HOST, or http for loopback; makes every link and issuer",
        |c, given| c.public_url_text = Some(text(given)?),
        |c| c.public_url(c.listen).ok().map(|url| url.to_string());
    "allow_insecure_public_url", "accept http in public_url for other hosts than loopback (closed test networks)",
        |c, given| c.allow_insecure_public_url = boolean(given)?, |c| Some(c.allow_insecure_public_url.to_string());
    "database_url", "postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full; unset: SQLite in data_dir",
        |c, given| c.database_url = Some(database_url(given)?), |c| mask(c.database_url.as_ref());
    "database_connections", "connections to the database of this node, 1 to 256",
        |c, given| c.database_connections = Some(integer(given, 1..=256)? as usize),
        |c| c.database_connections.map(count);
    "master_key_file", "the file of the master key, readable by its owner only; unset: master.key in data_dir",
        |c, given| c.master_key_file = Some(path(given)?),
        |c| match c.master_key() {
            super::MasterKeySource::File(path) => Some(path.display().to_string()),
            super::MasterKeySource::Text(_) | super::MasterKeySource::Command(_) => None,
        };
    "master_key", "the master key itself: 32 bytes in hexadecimal or base64",
        |c, given| c.master_key = Some(Secret::from(text(given)?)), |c| mask(c.master_key.as_ref());
    "master_key_command", "a command that prints the master key: the helper of a key-management service",
        |c, given| c.master_key_command = Some(text(given)?), |c| c.master_key_command.clone();
    "previous_master_key_file", "the file of the master key before the present one, until `key rotate --master` is done",
        |c, given| c.previous_master_key_file = Some(path(given)?),
        |c| c.previous_master_key_file.as_ref().map(|path| path.display().to_string());
    "allow_private_fetch", "let outbound fetches reach private and loopback addresses",
        |c, given| c.allow_private_fetch = boolean(given)?, |c| Some(c.allow_private_fetch.to_string());
    "allow_core_dumps", "let the memory of the program be read by its user and written to core files, to look for a fault",
        |c, given| c.allow_core_dumps = boolean(given)?, |c| Some(c.allow_core_dumps.to_string());
    "fetch_authorities_file", "a PEM file of certificate authorities that outbound fetches trust besides the system's",
        |c, given| c.fetch_authorities_file = Some(path(given)?),
        |c| c.fetch_authorities_file.as_ref().map(|path| path.display().to_string());
    "smtp_url", "smtp://USER:PASSWORD@HOST:587 (STARTTLS; plain on loopback) or smtps://HOST; unset: no mail is sent",
        |c, given| c.smtp_url = Some(smtp_url(given)?), |c| shown_smtp(c.smtp_url.as_ref());
    "smtp_password_file", "a file that holds the password for smtp_url, readable by its owner only",
        |c, given| c.smtp_password_file = Some(path(given)?),
        |c| c.smtp_password_file.as_ref().map(|path| path.display().to_string());
    "mail_from", "from whom mail is: keys@example.org, or Keys <keys@example.org>",
        |c, given| c.mail_from = Some(keyreeve_mail::Sender::parse(&text(given)?)?),
        |c| c.mail_from.as_ref().map(ToString::to_string);
    "mail_webhook_url", "a service that takes mail as signed JSON over HTTPS, instead of smtp_url",
        |c, given| c.mail_webhook_url = Some(Secret::from(text(given)?)), |c| mask(c.mail_webhook_url.as_ref());
    "mail_webhook_secret", "the secret by which requests to that service are signed: whsec_BASE64, or 16 characters and more",
        |c, given| c.mail_webhook_secret = Some(webhook_secret(given)?), |c| mask(c.mail_webhook_secret.as_ref());
    "mail_webhook_secret_file", "a file that holds that secret, readable by its owner only",
        |c, given| c.mail_webhook_secret_file = Some(path(given)?),
        |c| c.mail_webhook_secret_file.as_ref().map(|path| path.display().to_string());
    "trusted_proxies", "addresses and networks of proxies whose X-Forwarded-For and Forwarded headers are believed",
        |c, given| c.trusted_proxies = networks(given)?, |c| joined(&c.trusted_proxies);
    "forwarded_header", "the header that those proxies write: x-forwarded-for or forwarded; the other one is never read",
        |c, given| c.forwarded_by = forwarded_by(given)?,
        |c| Some(match c.forwarded_by {
            ForwardedBy::XForwardedFor => "x-forwarded-for",
            ForwardedBy::Forwarded => "forwarded",
        }.to_owned());
    "api_rate_limit", "requests a minute that each caller may make of the native API and SCIM at this node; 0 for any number",
        |c, given| c.api_rate_limit = integer(given, 0..=10_000_000)?, |c| Some(c.api_rate_limit.to_string());
    "sharing_max_depth", "levels that a tree of shared resources has at most, 1 to 10000",
        |c, given| c.sharing_max_depth = integer(given, 1..=10_000)?, |c| Some(c.sharing_max_depth.to_string());
    "sharing_cache_mib", "memory for what is asked about most of resources and grants, in MiB, 1 to 65536",
        |c, given| c.sharing_cache_mib = integer(given, 1..=65_536)?, |c| Some(c.sharing_cache_mib.to_string());
    "secret_max_kib", "the longest value of a secret, files among them, in KiB, 1 to 65536",
        |c, given| c.secret_max_kib = integer(given, 1..=65_536)?, |c| Some(c.secret_max_kib.to_string());
    "metrics_listen", "ADDRESS:PORT that serves /metrics alone; unset: on `listen`, for loopback development only",
        |c, given| c.metrics_listen = Some(address(given)?), |c| c.metrics_listen.map(|a| a.to_string());
    "otlp_endpoint", "http(s)://HOST:PORT of an OpenTelemetry collector (OTLP over HTTP) that traces go to; unset: no traces",
        |c, given| c.otlp_endpoint = Some(otlp_endpoint(given)?), |c| c.otlp_endpoint.clone();
    "trace_sample_percent", "how many of a hundred traces are kept, 0 to 100",
        |c, given| c.trace_sample_percent = integer(given, 0..=100)?, |c| Some(c.trace_sample_percent.to_string());
    "compat_imqs_enabled", "speak the interface of IMQS Auth below /auth2; it tells strangers which identities there are",
        |c, given| c.imqs.enabled = boolean(given)?, |c| Some(c.imqs.enabled.to_string());
    "compat_imqs_tenant", "the slug of the tenant that this interface is for",
        |c, given| c.imqs.tenant = text(given)?, |c| Some(c.imqs.tenant.clone());
    "compat_imqs_listen", "ADDRESS:PORT that serves this interface alone, without /auth2; unset: only below /auth2 on `listen`",
        |c, given| c.imqs.listen = Some(address(given)?), |c| c.imqs.listen.map(|a| a.to_string());
    "compat_imqs_config_file", "the configuration file of IMQS Auth (imqsauth.json), as far as it concerns this interface",
        |c, given| c.imqs.config_file = Some(path(given)?),
        |c| c.imqs.config_file.as_ref().map(|path| path.display().to_string());
    "compat_imqs_service_secret_file", "a file that holds the secret by which services sign their requests to this interface",
        |c, given| c.imqs.service_secret_file = Some(path(given)?),
        |c| c.imqs.service_secret_file.as_ref().map(|path| path.display().to_string());
    "compat_imqs_discreet", "do not tell strangers there which identities there are, unlike the original",
        |c, given| c.imqs.discreet = boolean(given)?, |c| Some(c.imqs.discreet.to_string());
    "compat_insight_enabled", "speak the authentication interface of Xpress Insight below /insightservices and /api/authentication",
        |c, given| c.insight.enabled = boolean(given)?, |c| Some(c.insight.enabled.to_string());
    "compat_insight_tenant", "the slug of the tenant that this interface is for",
        |c, given| c.insight.tenant = text(given)?, |c| Some(c.insight.tenant.clone());
    "compat_insight_listen", "ADDRESS:PORT that serves this interface alone; unset: only on `listen`",
        |c, given| c.insight.listen = Some(address(given)?), |c| c.insight.listen.map(|a| a.to_string());
    "compat_insight_token_max_age_s", "the longest that a bearer token lives there, in seconds, 1 to 3600",
        |c, given| c.insight.token_max_age_s = integer(given, 1..=3_600)?,
        |c| Some(c.insight.token_max_age_s.to_string());
    "log", "which log lines are written: error, warn, info, debug, trace, also by module; unset: info, on a terminal warn",
        |c, given| c.log = log_filter(given)?, |c| Some(c.log.clone());
    "log_format", "how log lines are written: text or json",
        |c, given| c.log_format = log_format(given)?,
        |c| Some(match c.log_format { LogFormat::Text => "text", LogFormat::Json => "json" }.to_owned());
    "hash_memory_kib", "memory of one Argon2id password hash in KiB, 8192 to 262144",
        |c, given| c.hashing.memory_kib = integer(given, 8_192..=262_144)?,
        |c| Some(c.hashing.memory_kib.to_string());
    "hash_iterations", "passes of one Argon2id password hash, 1 to 64",
        |c, given| c.hashing.iterations = integer(given, 1..=64)?, |c| Some(c.hashing.iterations.to_string());
    "hash_parallelism", "lanes of one Argon2id password hash, 1 to 16",
        |c, given| c.hashing.parallelism = integer(given, 1..=16)?, |c| Some(c.hashing.parallelism.to_string());
    "hash_workers", "password hashes computed at the same time, 1 to 256; unset: one for each processor",
        |c, given| c.hashing.workers = Some(integer(given, 1..=256)? as usize), |c| c.hashing.workers.map(count);
    "admin_username", "the user name of the administrator whom the first start creates",
        |c, given| c.administrator.username = text(given)?, |c| Some(c.administrator.username.clone());
    "admin_password", "that administrator's password; unset: a random one-time password, printed once",
        |c, given| c.administrator.password = Some(Secret::from(text(given)?)),
        |c| mask(c.administrator.password.as_ref());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_key_meets_its_neighbour() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert!(unknown("listn").contains("listen"));
        assert!(unknown("public-url").contains("public_url"));
        assert!(!unknown("colour_scheme_of_the_door").contains("did you mean"));
    }

    #[test]
    fn every_setting_says_what_it_is_for_and_is_named_once() {
        for (at, setting) in SETTINGS.iter().enumerate() {
            assert!(!setting.help.is_empty(), "{}", setting.key);
            assert!(SETTINGS.iter().skip(at + 1).all(|other| other.key != setting.key), "{}", setting.key);
            assert!(setting.key.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{}", setting.key);
        }
    }
}

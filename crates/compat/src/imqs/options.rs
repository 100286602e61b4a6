//! How the dialect is set up: by the original's own configuration file (`imqsauth.json`), as far as it concerns what is done
//! here. Keys that are not known are left alone, as the original does.

use keyreeve_crypto::Secret;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::time::Duration;

/// The most seconds that a setting may have: ten years.
const LONGEST_S: i64 = 10 * 366 * 86_400;

/// The options of the dialect.
pub struct Options {
    pub(super) cookie_name: String,
    pub(super) cookie_secure: bool,
    pub(super) cookie_http_only: bool,
    pub(super) session_s: u32,
    pub(super) one_session: bool,
    /// How many passwords may not be used again, the present one among them; 0 for none.
    pub(super) history: u8,
    pub(super) password_expiry: Option<Duration>,
    pub(super) exempt_from_expiry: Vec<String>,
    /// At how many failures an account is locked; none where none is.
    pub(super) lock_at: Option<i64>,
    pub(super) failure_delay: Duration,
    pub(super) has_ldap: bool,
    pub(super) sys_admin_email: Option<String>,
    pub(super) passthrough_clients: Vec<String>,
    pub(super) forbidden_passwords: Vec<String>,
    pub(super) reset_s: i64,
    pub(super) new_account_s: i64,
    pub(super) mail: MailOptions,
    pub(super) notification_url: Option<String>,
    /// The member `Permissions`, as it is.
    pub(super) permissions: Value,
    /// The names of permissions beyond those that are built in.
    pub(super) permission_names: BTreeMap<u16, String>,
    pub(super) hostname: Option<String>,
    /// The status of a refused sign-in: 401, or 403 for clients of before 2020.
    pub(super) refused_status: u16,
    /// Whether strangers are not told which identities there are.
    pub(super) discreet: bool,
    /// The secret that services sign their requests with.
    pub(super) service_secret: Option<Secret>,
}

/// How mail is sent by the original's own service.
#[derive(Default)]
pub(super) struct MailOptions {
    pub(super) password: Option<Secret>,
    pub(super) url: Option<String>,
    pub(super) reset: Template,
    pub(super) new_account: Template,
    pub(super) ldap: Template,
}

/// What a kind of mail is made from.
#[derive(Default, Deserialize, Clone)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Template {
    pub(super) template_name: String,
    pub(super) from: String,
    pub(super) subject: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct File {
    authaus: Authaus,
    forbidden_passwords: Vec<String>,
    password_reset_expiry_seconds: i64,
    new_account_expiry_seconds: i64,
    send_mail_password: String,
    send_mail_details: SendMail,
    notification_url: String,
    permissions: Value,
    /// What the original does not have.
    keyreeve: Own,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default, deny_unknown_fields)]
struct Own {
    #[serde(rename = "HostnameURL")]
    hostname_url: String,
    discreet: bool,
    refused_status: Option<u16>,
    cookie_http_only: bool,
    failure_delay_ms: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Authaus {
    #[serde(rename = "HTTP")]
    http: HttpPart,
    #[serde(rename = "SessionDB")]
    sessions: SessionPart,
    user_store: UserPart,
    enable_account_locking: bool,
    max_failed_login_attempts: i64,
    #[serde(rename = "LDAP")]
    ldap: LdapPart,
    #[serde(rename = "MSAAD")]
    msaad: MsaadPart,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct HttpPart {
    cookie_name: String,
    cookie_secure: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct SessionPart {
    max_active_sessions: i64,
    session_expiry_seconds: i64,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct UserPart {
    disable_password_reuse: bool,
    old_password_history_size: u8,
    password_expiry_seconds: i64,
    users_exempt_from_expiring: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct LdapPart {
    ldap_host: String,
    sys_admin_email: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct MsaadPart {
    #[serde(rename = "PassthroughClientIDs")]
    passthrough: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct SendMail {
    #[serde(rename = "URL")]
    url: String,
    password_reset: Template,
    new_account: Template,
    #[serde(rename = "LDAPPasswordReset")]
    ldap: Template,
}

fn some(text: &str) -> Option<String> {
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// A number of seconds: `usual` where nothing is set.
fn seconds(key: &str, value: i64, usual: i64) -> Result<i64, String> {
    match value {
        0 => Ok(usual),
        1..=LONGEST_S => Ok(value),
        _ => Err(format!("{key} must be between 0 and {LONGEST_S}, and is {value}")),
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::parse("{}").unwrap_or_else(|_| Self::of(File::default()))
    }
}

impl Options {
    /// Reads the text of an `imqsauth.json`.
    ///
    /// # Errors
    /// A sentence that says what is wrong, and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: File = serde_json::from_str(text).map_err(|error| format!("cannot be read: {error}"))?;
        file.check()?;
        Ok(Self::of(file))
    }

    /// With the secret by which services sign requests.
    #[must_use]
    pub fn service_secret(self, secret: Secret) -> Self {
        Self { service_secret: Some(secret), ..self }
    }

    /// With strangers not told which identities there are.
    #[must_use]
    pub fn discreet(self, discreet: bool) -> Self {
        Self { discreet: self.discreet || discreet, ..self }
    }

    /// Everything in `file` was checked.
    fn of(file: File) -> Self {
        let File { authaus, permissions, keyreeve: own, .. } = file;
        let in_range = |key, value, usual| seconds(key, value, usual).unwrap_or(usual);
        let users = authaus.user_store;
        let history = if users.old_password_history_size == 0 { 15 } else { users.old_password_history_size };
        let expiry = in_range("PasswordExpirySeconds", users.password_expiry_seconds, 0);
        let session = in_range("SessionExpirySeconds", authaus.sessions.session_expiry_seconds, 2_592_000);
        Self {
            cookie_name: some(&authaus.http.cookie_name).unwrap_or_else(|| "session".to_owned()),
            cookie_secure: authaus.http.cookie_secure,
            cookie_http_only: own.cookie_http_only,
            session_s: u32::try_from(session).unwrap_or(u32::MAX),
            one_session: authaus.sessions.max_active_sessions == 1,
            history: if users.disable_password_reuse { history.saturating_add(1) } else { 0 },
            password_expiry: u64::try_from(expiry).ok().filter(|s| *s > 0).map(Duration::from_secs),
            exempt_from_expiry: users.users_exempt_from_expiring,
            lock_at: authaus.enable_account_locking.then_some(authaus.max_failed_login_attempts.max(1)),
            failure_delay: Duration::from_millis(own.failure_delay_ms.unwrap_or(500)),
            has_ldap: !authaus.ldap.ldap_host.trim().is_empty(),
            sys_admin_email: some(&authaus.ldap.sys_admin_email),
            passthrough_clients: authaus.msaad.passthrough,
            forbidden_passwords: file.forbidden_passwords,
            reset_s: in_range("PasswordResetExpirySeconds", file.password_reset_expiry_seconds, 86_400),
            new_account_s: in_range("NewAccountExpirySeconds", file.new_account_expiry_seconds, 157_680_000),
            mail: MailOptions {
                password: some(&file.send_mail_password).map(Secret::from),
                url: some(&file.send_mail_details.url),
                reset: file.send_mail_details.password_reset,
                new_account: file.send_mail_details.new_account,
                ldap: file.send_mail_details.ldap,
            },
            notification_url: some(&file.notification_url),
            permission_names: names(&permissions).unwrap_or_default(),
            permissions: if permissions.is_object() { permissions } else { Value::Object(Map::new()) },
            hostname: some(&own.hostname_url).map(|url| url.trim_end_matches('/').to_owned()),
            refused_status: own.refused_status.unwrap_or(401),
            discreet: own.discreet,
            service_secret: None,
        }
    }
}

impl File {
    fn check(&self) -> Result<(), String> {
        let sessions = &self.authaus.sessions;
        if !(0..=1).contains(&sessions.max_active_sessions) {
            return Err("Authaus.SessionDB.MaxActiveSessions must be 0 or 1".to_owned());
        }
        seconds("Authaus.SessionDB.SessionExpirySeconds", sessions.session_expiry_seconds, 1)?;
        let expiry = self.authaus.user_store.password_expiry_seconds;
        seconds("Authaus.UserStore.PasswordExpirySeconds", expiry, 1)?;
        seconds("PasswordResetExpirySeconds", self.password_reset_expiry_seconds, 1)?;
        seconds("NewAccountExpirySeconds", self.new_account_expiry_seconds, 1)?;
        if self.authaus.max_failed_login_attempts < 0 {
            return Err("Authaus.MaxFailedLoginAttempts must not be negative".to_owned());
        }
        let name = self.authaus.http.cookie_name.trim();
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
            return Err("Authaus.HTTP.CookieName must be letters, digits, - and _".to_owned());
        }
        if !matches!(self.keyreeve.refused_status, None | Some(401 | 403)) {
            return Err("Keyreeve.RefusedStatus must be 401 or 403".to_owned());
        }
        names(&self.permissions).map(drop)
    }
}

/// The names of `Permissions.dynamic`.
fn names(permissions: &Value) -> Result<BTreeMap<u16, String>, String> {
    let listed = permissions.get("dynamic").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut names = BTreeMap::new();
    for item in listed {
        let id = match item.get("id") {
            Some(Value::String(text)) => text.trim().parse::<u16>().ok(),
            Some(Value::Number(number)) => number.as_u64().and_then(|number| u16::try_from(number).ok()),
            _ => None,
        };
        let name = item.get("name").and_then(Value::as_str).unwrap_or_default();
        match id {
            Some(id) if !name.is_empty() => names.insert(id, name.to_owned()),
            _ => {
                return Err(format!(
                    "Permissions.dynamic holds {item}, which has no id from 0 to 65535, or no name"
                ));
            }
        };
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_set_means_what_the_original_does() {
        let options = Options::default();
        assert_eq!(
            (options.cookie_name.as_str(), options.session_s, options.history),
            ("session", 2_592_000, 0)
        );
        assert_eq!((options.reset_s, options.new_account_s), (86_400, 157_680_000));
        assert_eq!((options.lock_at, options.password_expiry), (None, None));
        assert!(!options.has_ldap && !options.one_session && !options.discreet);
    }

    #[test]
    fn the_originals_file_is_read() {
        let text = r#"{"Authaus": {"HTTP": {"CookieName": "auth", "CookieSecure": true, "Port": "2003"},
            "SessionDB": {"MaxActiveSessions": 1, "SessionExpirySeconds": 60},
            "UserStore": {"DisablePasswordReuse": true}, "EnableAccountLocking": true, "MaxFailedLoginAttempts": 4,
            "LDAP": {"LdapHost": "ldap"}, "MSAAD": {"PassthroughClientIDs": ["a"]}},
            "Unknown": {}, "Permissions": {"dynamic": [{"id": "15001", "name": "pumps"}]}}"#;
        let options = Options::parse(text).unwrap();
        assert_eq!((options.cookie_name.as_str(), options.cookie_secure), ("auth", true));
        assert_eq!((options.session_s, options.one_session, options.history), (60, true, 16));
        assert_eq!((options.lock_at, options.has_ldap), (Some(4), true));
        assert_eq!(options.permission_names.get(&15_001).map(String::as_str), Some("pumps"));
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        for (text, says) in [
            ("[", "cannot be read"),
            (r#"{"Authaus":{"SessionDB":{"MaxActiveSessions":2}}}"#, "MaxActiveSessions"),
            (r#"{"Authaus":{"SessionDB":{"SessionExpirySeconds":-1}}}"#, "SessionExpirySeconds"),
            (r#"{"Authaus":{"HTTP":{"CookieName":"a;b"}}}"#, "CookieName"),
            (r#"{"Keyreeve":{"RefusedStatus":500}}"#, "RefusedStatus"),
            (r#"{"Permissions":{"dynamic":[{"id":"70000","name":"x"}]}}"#, "70000"),
        ] {
            let error = Options::parse(text).err().unwrap_or_default();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}

//! A person's sign-in for the command line: the device grant (RFC 8628), and what is kept of it between commands.
//!
//! Kept is one refresh token for each server and tenant, in a file that only its owner can read. It is rotated at each
//! command that needs an access token; a lock keeps two commands from presenting the same one.

use super::elsewhere::{fetcher, issuer, server_of, unreachable};
use crate::cli::args::{LoginArgs, Remote};
use crate::cli::exit::{Exit, Failure, Output};
use crate::config::Inputs;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, header};
use keyreeve_crypto::Secret;
use keyreeve_fetch::{Fetcher, Request};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

/// The grant type of RFC 8628 section 3.4.
const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// The shortest pause between two polls, and what is added at `slow_down` (RFC 8628 section 3.5).
const PAUSE_S: u64 = 5;
/// The longest that a sign-in is waited for.
const PATIENCE_S: u64 = 1_800;
const FORM: &str = "application/x-www-form-urlencoded";

/// What a token endpoint gave.
pub(super) struct Tokens {
    pub(super) access: Secret,
    refresh: Option<Secret>,
}

/// Why a token endpoint gave nothing.
enum Refused {
    /// An error code of RFC 6749 section 5.2 or RFC 8628 section 3.5, and its description.
    Answer(String, Option<String>),
    Failure(Failure),
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Failure(failure) => failure,
            Refused::Answer(code, text) => {
                let text = text.map(|text| format!(": {text}")).unwrap_or_default();
                Self::new(Exit::Refused, format!("the server refused ({code}{text})"))
            }
        }
    }
}

/// Asks a token endpoint.
pub(super) async fn ask(
    fetcher: &Fetcher,
    endpoint: &str,
    basic: Option<(&str, &Secret)>,
    form: &[(&str, &str)],
) -> Result<Tokens, Failure> {
    Ok(try_ask(fetcher, endpoint, basic, form).await?)
}

async fn try_ask(
    fetcher: &Fetcher,
    endpoint: &str,
    basic: Option<(&str, &Secret)>,
    form: &[(&str, &str)],
) -> Result<Tokens, Refused> {
    let answer = post(fetcher, endpoint, basic, form).await?;
    let text = |name: &str| answer.get(name).and_then(Value::as_str);
    let access = text("access_token").ok_or_else(|| {
        Refused::Failure(Failure::new(Exit::Failed, "the server's answer holds no access token"))
    })?;
    Ok(Tokens { access: Secret::new(access), refresh: text("refresh_token").map(Secret::new) })
}

async fn post(
    fetcher: &Fetcher,
    endpoint: &str,
    basic: Option<(&str, &Secret)>,
    form: &[(&str, &str)],
) -> Result<Value, Refused> {
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let body: Zeroizing<String> = Zeroizing::new(
        form.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect::<Vec<_>>().join("&"),
    );
    let mut request = Request::post(endpoint, FORM, body.as_bytes().to_vec());
    if let Some((id, secret)) = basic {
        let pair = Zeroizing::new(format!("{}:{}", encode(id), encode(secret.expose())));
        let value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair.as_bytes())))
            .map_err(|_| Refused::Failure(Failure::usage("the client's credentials cannot be sent")))?;
        request = request.header(header::AUTHORIZATION, value);
    }
    let answer =
        fetcher.send(request).await.map_err(|error| Refused::Failure(unreachable(endpoint)(error)))?;
    let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if answer.status.is_success() {
        return Ok(document);
    }
    let text = |name: &str| document.get(name).and_then(Value::as_str).map(str::to_owned);
    match text("error") {
        Some(code) => Err(Refused::Answer(code, text("error_description"))),
        None => Err(Refused::Failure(Failure::new(
            Exit::Unavailable,
            format!("{endpoint} answered {}", answer.status),
        ))),
    }
}

/// One kept sign-in.
#[derive(Serialize, Deserialize)]
struct Kept {
    client_id: String,
    refresh_token: String,
}

/// The file of kept sign-ins, seen from one server.
pub(super) struct Store {
    path: PathBuf,
    base: String,
}

impl Store {
    /// The file of this user's: below `XDG_CONFIG_HOME`, else below `~/.config`.
    pub(super) fn of(inputs: &Inputs, base: &str) -> Result<Self, Failure> {
        let variable = |name: &str| {
            let found = inputs.environment.iter().find(|(variable, _)| variable == name);
            found.map(|(_, value)| PathBuf::from(value)).filter(|path| path.is_absolute())
        };
        let directory = variable("XDG_CONFIG_HOME")
            .or_else(|| variable("HOME").map(|home| home.join(".config")))
            .ok_or_else(|| Failure::usage("neither XDG_CONFIG_HOME nor HOME says where sign-ins are kept"))?;
        Ok(Self { path: directory.join("keyreeve").join("sessions.json"), base: base.to_owned() })
    }

    fn read(&self) -> Result<BTreeMap<String, Kept>, Failure> {
        let text = match std::fs::read(&self.path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(self.failed(&error)),
        };
        serde_json::from_slice(&text).map_err(|error| self.failed(&error))
    }

    /// Writes the file anew beside the old one, then puts it in its place.
    fn write(&self, kept: &BTreeMap<String, Kept>) -> Result<(), Failure> {
        let text = Zeroizing::new(serde_json::to_vec_pretty(kept).map_err(|error| self.failed(&error))?);
        let fresh = self.path.with_extension("new");
        drop(std::fs::remove_file(&fresh));
        create_private(&fresh)
            .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()))
            .and_then(|()| std::fs::rename(&fresh, &self.path))
            .map_err(|error| self.failed(&error))
    }

    /// Keeps other commands out until it is dropped.
    fn lock(&self) -> Result<std::fs::File, Failure> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(directory).map_err(|error| self.failed(&error))?;
        let file = std::fs::File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.path.with_extension("lock"))
            .map_err(|error| self.failed(&error))?;
        file.lock().map_err(|error| self.failed(&error))?;
        Ok(file)
    }

    fn failed(&self, error: &dyn std::fmt::Display) -> Failure {
        Failure::new(Exit::Failed, format!("{}: {error}", self.path.display()))
    }

    /// Whether nobody is signed in to the server, in any tenant.
    pub(super) fn is_empty(&self) -> Result<bool, Failure> {
        let below = format!("{}/t/", self.base);
        Ok(!self.read()?.keys().any(|issuer| *issuer == self.base || issuer.starts_with(&below)))
    }
}

#[cfg(unix)]
fn create_private(path: &Path) -> std::io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::File::options().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(not(unix))]
fn create_private(path: &Path) -> std::io::Result<std::fs::File> {
    std::fs::File::options().write(true).create_new(true).open(path)
}

/// An access token by the refresh token that is kept for this issuer; the next one is kept in its place.
pub(super) async fn renew(fetcher: &Fetcher, store: &Store, issuer: &str) -> Result<Secret, Failure> {
    let _lock = store.lock()?;
    let mut kept = store.read()?;
    let Some(session) = kept.get_mut(issuer) else {
        return Err(Failure::new(
            Exit::Refused,
            format!("nobody is signed in to {issuer}; see `keyreeve login --help`"),
        ));
    };
    let form = [
        ("grant_type", "refresh_token"),
        ("client_id", &*session.client_id),
        ("refresh_token", &*session.refresh_token),
    ];
    let tokens = match try_ask(fetcher, &format!("{issuer}/token"), None, &form).await {
        Ok(tokens) => tokens,
        Err(Refused::Answer(code, _)) if code == "invalid_grant" => {
            kept.remove(issuer);
            store.write(&kept)?;
            return Err(Failure::new(
                Exit::Refused,
                format!("the sign-in to {issuer} has ended; sign in again"),
            ));
        }
        Err(refused) => return Err(refused.into()),
    };
    if let Some(next) = tokens.refresh {
        next.expose().clone_into(&mut session.refresh_token);
        store.write(&kept)?;
    }
    Ok(tokens.access)
}

/// `keyreeve login`
///
/// # Errors
/// When no server is named, or the sign-in did not come about.
pub async fn login(remote: &Remote, inputs: &Inputs, arguments: &LoginArgs) -> Result<Output, Failure> {
    let base = server_of(remote, inputs)?
        .ok_or_else(|| Failure::usage("which server? --server https://id.example.com"))?;
    let (fetcher, store) = (fetcher(remote, inputs)?, Store::of(inputs, &base)?);
    let issuer = issuer(&base, &arguments.tenant);
    let form = [("client_id", &*arguments.client), ("scope", "keyreeve:admin offline_access")];
    let begun = post(&fetcher, &format!("{issuer}/device_authorization"), None, &form).await?;
    let text = |name: &str| begun.get(name).and_then(Value::as_str);
    let (Some(code), Some(user_code), Some(address)) =
        (text("device_code"), text("user_code"), text("verification_uri"))
    else {
        return Err(Failure::new(Exit::Failed, "the server's answer is not that of a device authorization"));
    };
    let whole = text("verification_uri_complete").unwrap_or(address);
    say(&format!("Open {whole}\nand check that it shows the code {user_code}. Waiting …"));
    let seconds = |name: &str| begun.get(name).and_then(Value::as_u64);
    let mut pause = seconds("interval").unwrap_or(PAUSE_S).max(1);
    let patience = seconds("expires_in").unwrap_or(PATIENCE_S).min(PATIENCE_S);
    let form = [("grant_type", DEVICE_CODE), ("client_id", &*arguments.client), ("device_code", code)];
    let mut waited = 0;
    let tokens = loop {
        tokio::time::sleep(Duration::from_secs(pause)).await;
        waited += pause;
        match try_ask(&fetcher, &format!("{issuer}/token"), None, &form).await {
            Ok(tokens) => break tokens,
            Err(Refused::Answer(code, _)) if code == "authorization_pending" && waited < patience => {}
            Err(Refused::Answer(code, _)) if code == "slow_down" && waited < patience => pause += PAUSE_S,
            Err(refused) => return Err(refused.into()),
        }
    };
    let refresh = tokens.refresh.ok_or_else(|| {
        Failure::new(Exit::Refused, "the server gave no refresh token; the client needs the grant type refresh_token and the scope offline_access")
    })?;
    let _lock = store.lock()?;
    let mut kept = store.read()?;
    let session = Kept { client_id: arguments.client.clone(), refresh_token: refresh.expose().to_owned() };
    kept.insert(issuer.clone(), session);
    store.write(&kept)?;
    Ok(Output::new(
        format!("Signed in to {issuer}."),
        json!({"issuer": issuer, "client_id": arguments.client}),
    ))
}

/// `keyreeve logout`
///
/// # Errors
/// When no server is named, or the file of sign-ins cannot be written.
pub async fn logout(remote: &Remote, inputs: &Inputs) -> Result<Output, Failure> {
    let base = server_of(remote, inputs)?
        .ok_or_else(|| Failure::usage("which server? --server https://id.example.com"))?;
    let (fetcher, store) = (fetcher(remote, inputs)?, Store::of(inputs, &base)?);
    let _lock = store.lock()?;
    let mut kept = store.read()?;
    let below = format!("{base}/t/");
    let (gone, stay): (BTreeMap<_, _>, BTreeMap<_, _>) = std::mem::take(&mut kept)
        .into_iter()
        .partition(|(issuer, _)| *issuer == base || issuer.starts_with(&below));
    store.write(&stay)?;
    for (issuer, session) in &gone {
        let form = [("client_id", &*session.client_id), ("token", &*session.refresh_token)];
        if let Err(refused) = post(&fetcher, &format!("{issuer}/revoke"), None, &form).await {
            let failure = Failure::from(refused);
            say(&format!("keyreeve: forgotten here, but not revoked at {issuer}: {}", failure.message));
        }
    }
    let ended: Vec<_> = gone.into_keys().collect();
    Ok(Output::new(format!("{} sign-ins were ended.", ended.len()), json!({"ended": ended})))
}

/// Something that a person must read while the command still runs.
fn say(text: &str) {
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}

//! A server elsewhere, spoken to over HTTP with an access token.

use super::session::{self, Store};
use super::{Call, Pieces, Reply};
use crate::cli::args::Remote;
use crate::cli::exit::{Exit, Failure};
use crate::config::Inputs;
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use keyreeve_crypto::Secret;
use keyreeve_fetch::{Broken, FetchOptions, Fetcher, HeaderName, Request, Response};
use serde_json::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;
use url::Url;
use zeroize::Zeroizing;

/// The largest answer, in bytes: a page of 500 entries fits many times over.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;
/// The largest file with a credential, in bytes.
const MAX_CREDENTIAL_BYTES: u64 = 16 * 1024;
/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How the command line proves to a server elsewhere who it is.
enum Credential {
    /// An access token that somebody else got.
    Token(Secret),
    /// A client that acts for itself (RFC 6749 section 4.4).
    Client { id: String, secret: Secret },
    /// What `keyreeve login` kept.
    Session(Store),
}

/// A server elsewhere.
pub struct Elsewhere {
    base: String,
    fetcher: Fetcher,
    credential: Credential,
    /// Access tokens got so far, by tenant.
    tokens: Mutex<HashMap<String, Secret>>,
}

/// What of the flags or the environment says where to go: a server, with a look at its address.
///
/// # Errors
/// When the address is not one.
pub(super) fn server_of(remote: &Remote, inputs: &Inputs) -> Result<Option<String>, Failure> {
    let Some(text) = remote.server.clone().or_else(|| variable(inputs, "KEYREEVE_SERVER")) else {
        return Ok(None);
    };
    let wrong = |why: &str| Failure::usage(format!("the server {text:?} {why}"));
    let url = Url::parse(&text).map_err(|_| wrong("is not an address such as https://id.example.com"))?;
    if !matches!(url.scheme(), "https" | "http") || url.cannot_be_a_base() || url.query().is_some() {
        return Err(wrong("is not an address such as https://id.example.com"));
    }
    if url.scheme() == "http" && !is_loopback(&url) {
        return Err(wrong("would be sent credentials in the clear; take https"));
    }
    Ok(Some(url.as_str().trim_end_matches('/').to_owned()))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn variable(inputs: &Inputs, name: &str) -> Option<String> {
    let found = inputs.environment.iter().find(|(variable, _)| variable == name);
    found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
}

impl Elsewhere {
    /// The server that flags and environment name; none when the command runs here.
    ///
    /// # Errors
    /// What is wrong with the address, or that there are no credentials for it.
    pub fn of(remote: &Remote, inputs: &Inputs) -> Result<Option<Self>, Failure> {
        let Some(base) = server_of(remote, inputs)? else { return Ok(None) };
        let fetcher = fetcher(remote, inputs)?;
        let credential = credential(remote, inputs, &base)?;
        Ok(Some(Self { base, fetcher, credential, tokens: Mutex::default() }))
    }

    pub(super) async fn send(&self, tenant: &str, call: Call) -> Result<Reply, Failure> {
        let request = self.request(tenant, call).await?.max_body(MAX_ANSWER_BYTES);
        reply(self.fetcher.send(request).await.map_err(unreachable(&self.base))?)
    }

    /// Sends a call whose answer is read as it comes.
    pub(super) async fn open(
        &self,
        tenant: &str,
        call: Call,
        accept: &'static str,
    ) -> Result<Pieces, Failure> {
        let request = self.request(tenant, call).await?;
        self.flow(request.header(header::ACCEPT, HeaderValue::from_static(accept)), None).await
    }

    /// Sends lines of JSON as they come, and answers with lines as they come.
    ///
    /// # Errors
    /// The problem that was answered; that the server cannot be reached.
    pub async fn send_lines(
        &self,
        tenant: &str,
        call: Call,
        lines: Receiver<Result<Bytes, Broken>>,
    ) -> Result<Pieces, Failure> {
        let ndjson = HeaderValue::from_static("application/x-ndjson");
        let request = self.request(tenant, call).await?;
        let request = request.header(header::CONTENT_TYPE, ndjson.clone()).header(header::ACCEPT, ndjson);
        self.flow(request, Some(lines)).await
    }

    async fn flow(
        &self,
        request: Request,
        lines: Option<Receiver<Result<Bytes, Broken>>>,
    ) -> Result<Pieces, Failure> {
        let mut flow = self.fetcher.open(request, lines).await.map_err(unreachable(&self.base))?;
        if flow.status.is_success() {
            return Ok(Pieces::Elsewhere(Box::new(flow)));
        }
        let mut body = Vec::new();
        while let Ok(Some(piece)) = flow.next().await {
            body.extend_from_slice(&piece);
            if body.len() > MAX_ANSWER_BYTES {
                break;
            }
        }
        let (status, headers) = (flow.status, flow.headers.clone());
        let answer = reply(Response { status, headers, body: body.into() })?;
        Err(answer.failure())
    }

    /// Lets go of the access token for this tenant.
    pub(super) fn forget(&self, tenant: &str) {
        lock(&self.tokens).remove(tenant);
    }

    async fn request(&self, tenant: &str, call: Call) -> Result<Request, Failure> {
        let url = format!("{}/api/v1{}", issuer(&self.base, tenant), call.target());
        let token = self.token(tenant).await?;
        let bearer = HeaderValue::try_from(format!("Bearer {}", token.expose()))
            .map_err(|_| Failure::usage("the access token holds characters that no token has"))?;
        let mut request = match &call.body {
            Some(body) => {
                let kind = if call.method == Method::PATCH {
                    "application/merge-patch+json"
                } else {
                    "application/json"
                };
                let body = serde_json::to_vec(body).map_err(|error| failed(&error))?;
                with_method(call.method.clone(), url, kind, body)
            }
            None => Request::new(call.method.clone(), url),
        };
        request = request.header(header::AUTHORIZATION, bearer);
        if let Some(version) = call.version {
            let tag = HeaderValue::try_from(format!("\"{version}\"")).map_err(|error| failed(&error))?;
            request = request.header(header::IF_MATCH, tag);
        }
        Ok(request)
    }

    async fn token(&self, tenant: &str) -> Result<Secret, Failure> {
        if let Credential::Token(token) = &self.credential {
            return Ok(token.duplicate());
        }
        if let Some(token) = lock(&self.tokens).get(tenant) {
            return Ok(token.duplicate());
        }
        let issuer = issuer(&self.base, tenant);
        let token = match &self.credential {
            Credential::Token(token) => token.duplicate(),
            Credential::Client { id, secret } => {
                let form = [("grant_type", "client_credentials")];
                let basic = (id.as_str(), secret);
                session::ask(&self.fetcher, &format!("{issuer}/token"), Some(basic), &form).await?.access
            }
            Credential::Session(store) => session::renew(&self.fetcher, store, &issuer).await?,
        };
        lock(&self.tokens).insert(tenant.to_owned(), token.duplicate());
        Ok(token)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The issuer of a tenant below the server's address; the API lies below it.
pub(super) fn issuer(base: &str, tenant: &str) -> String {
    if tenant == keyreeve_identity::DEFAULT_SLUG {
        base.to_owned()
    } else {
        format!("{base}/t/{}", super::segment(tenant))
    }
}

fn with_method(method: Method, url: String, kind: &'static str, body: Vec<u8>) -> Request {
    Request::new(method, url)
        .header(HeaderName::from_static("content-type"), HeaderValue::from_static(kind))
        .body(body)
}

pub(super) fn failed(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, error.to_string())
}

/// An operator's own server may be anywhere, also on this machine.
pub(super) fn fetcher(remote: &Remote, inputs: &Inputs) -> Result<Fetcher, Failure> {
    let authorities =
        remote.ca_file.clone().or_else(|| variable(inputs, "KEYREEVE_CA_FILE").map(PathBuf::from));
    let options =
        FetchOptions { allow_private: true, authorities, timeout: TIMEOUT, ..FetchOptions::default() };
    Fetcher::new(options).map_err(|error| Failure::usage(error.to_string()))
}

pub(super) fn unreachable(base: &str) -> impl FnOnce(keyreeve_fetch::FetchError) -> Failure {
    let base = base.to_owned();
    move |error| Failure::new(Exit::Unavailable, format!("{base}: {}", crate::chain(&error)))
}

fn reply(response: Response) -> Result<Reply, Failure> {
    let json =
        response.media_type().is_some_and(|kind| kind == "application/json" || kind.ends_with("+json"));
    let body = match (json, response.body.is_empty()) {
        (true, false) => serde_json::from_slice(&response.body)
            .map_err(|_| Failure::new(Exit::Failed, "the server's answer is not JSON"))?,
        _ if response.status.is_success() && !response.body.is_empty() => {
            return Err(Failure::new(
                Exit::Failed,
                "the server's answer is not JSON; is it a Keyreeve server?",
            ));
        }
        _ => Value::Null,
    };
    if response.status == StatusCode::UNAUTHORIZED {
        return Err(Failure::new(
            Exit::Refused,
            "the server does not take the access token; `keyreeve login` gets another",
        ));
    }
    Ok(Reply { status: response.status, headers: response.headers, body })
}

/// Whether flags or the environment name a server.
///
/// # Errors
/// When its address is not one.
pub fn names_server(remote: &Remote, inputs: &Inputs) -> Result<bool, Failure> {
    Ok(server_of(remote, inputs)?.is_some())
}

/// Sends a document to a path of the server that flags or the environment name, without any credential.
///
/// # Errors
/// The problem that was answered; that the server cannot be reached.
pub async fn post_openly(
    remote: &Remote,
    inputs: &Inputs,
    path: &str,
    document: &Value,
) -> Result<Value, Failure> {
    let base = server_of(remote, inputs)?.ok_or_else(|| Failure::usage("no server is named"))?;
    let body = Zeroizing::new(document.to_string());
    let request = Request::post(format!("{base}{path}"), "application/json", body.as_bytes().to_vec());
    let sent = fetcher(remote, inputs)?.send(request.max_body(MAX_ANSWER_BYTES)).await;
    let answer = reply(sent.map_err(unreachable(&base))?)?;
    if answer.status == StatusCode::NOT_FOUND || answer.status == StatusCode::METHOD_NOT_ALLOWED {
        return Err(Failure::new(Exit::Conflict, "the server is not sealed"));
    }
    answer.accept()
}

fn credential(remote: &Remote, inputs: &Inputs, base: &str) -> Result<Credential, Failure> {
    let token_file = remote.token_file.clone().or_else(|| path(inputs, "KEYREEVE_TOKEN_FILE"));
    if let Some(file) = token_file {
        return read(&file).map(Credential::Token);
    }
    if let Some(token) = variable(inputs, "KEYREEVE_TOKEN") {
        return Ok(Credential::Token(Secret::from(token)));
    }
    if let Some(id) = remote.as_client.clone().or_else(|| variable(inputs, "KEYREEVE_CLIENT_ID")) {
        let file =
            remote.as_client_secret_file.clone().or_else(|| path(inputs, "KEYREEVE_CLIENT_SECRET_FILE"));
        let secret = match (file, variable(inputs, "KEYREEVE_CLIENT_SECRET")) {
            (Some(file), _) => read(&file)?,
            (None, Some(secret)) => Secret::from(secret),
            (None, None) => {
                return Err(Failure::usage(
                    "the client has no secret here; give --as-client-secret-file or KEYREEVE_CLIENT_SECRET",
                ));
            }
        };
        return Ok(Credential::Client { id, secret });
    }
    let store = Store::of(inputs, base)?;
    if store.is_empty()? {
        return Err(Failure::new(
            Exit::Refused,
            format!(
                "there are no credentials for {base}; `keyreeve --server {base} login` signs you in, \
                 KEYREEVE_TOKEN or KEYREEVE_CLIENT_ID with KEYREEVE_CLIENT_SECRET give others"
            ),
        ));
    }
    Ok(Credential::Session(store))
}

fn path(inputs: &Inputs, name: &str) -> Option<PathBuf> {
    variable(inputs, name).map(PathBuf::from)
}

/// The first line of a file.
fn read(path: &Path) -> Result<Secret, Failure> {
    use std::io::Read as _;
    let unreadable =
        |error: std::io::Error| Failure::usage(format!("{} cannot be read: {error}", path.display()));
    let mut text = zeroize::Zeroizing::new(String::new());
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_CREDENTIAL_BYTES).read_to_string(&mut text).map_err(unreadable)?;
    let line = text.lines().next().unwrap_or_default().trim();
    if line.is_empty() {
        return Err(Failure::usage(format!("{} is empty", path.display())));
    }
    Ok(Secret::new(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(text: &str) -> Result<Option<String>, Failure> {
        let remote = Remote { server: Some(text.to_owned()), ..Remote::default() };
        server_of(&remote, &Inputs::default())
    }

    #[test]
    fn credentials_go_to_no_server_in_the_clear() {
        assert_eq!(server("https://id.example.com/").unwrap().unwrap(), "https://id.example.com");
        assert_eq!(server("http://127.0.0.1:8080").unwrap().unwrap(), "http://127.0.0.1:8080");
        assert_eq!(server("http://[::1]:8080/keys").unwrap().unwrap(), "http://[::1]:8080/keys");
        for bad in [
            "http://id.example.com",
            "id.example.com",
            "ftp://x",
            "https://x/?a=1",
            "http://localhost.evil.test",
        ] {
            assert_eq!(server(bad).unwrap_err().exit, Exit::Usage, "{bad}");
        }
        assert_eq!(issuer("https://x", "default"), "https://x");
        assert_eq!(issuer("https://x", "acme"), "https://x/t/acme");
    }
}

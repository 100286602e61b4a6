//! Making connections: the URL, TLS, and what every session is told first.

use super::errors::failure;
use crate::Error;
use crate::tx::Mode;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::BuilderVerifierExt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres::{AsyncMessage, CancelToken, Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long to wait for a server to take a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the operating system waits for data to be acknowledged before it calls a connection dead.
const DEAD_AFTER: Duration = Duration::from_secs(15);

/// The database, as its URL names it.
pub(super) struct Target {
    config: Config,
    /// None for `sslmode=disable`.
    tls: Option<MakeRustlsConnect>,
}

/// A new connection: the client, and the task that must run for it to work.
pub(super) struct Fresh {
    client: Client,
    driver: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Fresh {
    /// Starts the task on this thread's runtime.
    pub(super) fn spawn(self) -> Client {
        tokio::spawn(self.driver);
        self.client
    }
}

impl Target {
    /// Reads a `postgres://` URL. The modes of TLS are read here, since the client library does not know them all.
    pub(super) fn parse(url: &str) -> Result<Self, Error> {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let mut mode = "prefer";
        let mut authorities = None;
        let mut rest = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", value)) => mode = value,
                Some(("sslrootcert", value)) => authorities = Some(value),
                _ => rest.push(pair),
            }
        }
        let plain = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
        let mut config: Config = plain
            .parse()
            // The library's error names the option and not its value, so no password.
            .map_err(|error| {
                Error::unsupported(format!("the PostgreSQL URL cannot be read: {}", inner(&error)))
            })?;
        config.ssl_mode(match mode {
            "disable" => SslMode::Disable,
            "prefer" => SslMode::Prefer,
            "require" | "verify-full" => SslMode::Require,
            other => {
                return Err(Error::unsupported(format!(
                    "sslmode={other} is not supported: use disable, prefer, require or verify-full"
                )));
            }
        });
        if config.get_application_name().is_none() {
            config.application_name("keyreeve");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(DEAD_AFTER);
        }
        if config.get_hosts().len() > 1 && config.get_target_session_attrs() == TargetSessionAttrs::Any {
            // Of several hosts, the one that takes writes.
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        let tls = if mode == "disable" { None } else { Some(tls(mode == "verify-full", authorities)?) };
        Ok(Self { config, tls })
    }
}

impl Target {
    /// Asks the server to stop what another connection is doing.
    pub(super) async fn cancel(&self, token: &CancelToken) -> Result<(), tokio_postgres::Error> {
        match &self.tls {
            None => token.cancel_query(NoTls).await,
            Some(tls) => token.cancel_query(tls.clone()).await,
        }
    }
}

fn inner(error: &tokio_postgres::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

fn tls(verify: bool, authorities: Option<&str>) -> Result<MakeRustlsConnect, Error> {
    let failed = |error| Error::internal_from("TLS for PostgreSQL", error);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(failed)?;
    let config = match authorities {
        Some(file) => builder.with_root_certificates(read_authorities(file)?).with_no_client_auth(),
        None if verify => builder.with_platform_verifier().map_err(failed)?.with_no_client_auth(),
        None => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyServer(provider)))
            .with_no_client_auth(),
    };
    Ok(MakeRustlsConnect::new(config))
}

fn read_authorities(file: &str) -> Result<RootCertStore, Error> {
    let failed = |error: &dyn std::fmt::Display| Error::unsupported(format!("sslrootcert={file}: {error}"));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| failed(&error))? {
        roots.add(certificate.map_err(|error| failed(&error))?).map_err(|error| failed(&error))?;
    }
    if roots.is_empty() {
        return Err(failed(&"no certificate in it"));
    }
    Ok(roots)
}

/// Takes whatever certificate the server shows, as `sslmode=require` means it: encrypted, but not verified. The
/// handshake's signatures are checked all the same.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// What a session is told first. Time-outs, so that nothing of ours can hold locks for ever, however it ends.
fn greeting(mode: Mode) -> &'static str {
    match mode {
        Mode::Read => {
            "SET statement_timeout = '15s'; SET default_transaction_read_only = on; SET client_min_messages = warning"
        }
        Mode::Write => {
            "SET statement_timeout = '15s'; SET idle_in_transaction_session_timeout = '15s'; \
             SET default_transaction_isolation = 'read committed'; SET client_min_messages = warning"
        }
        Mode::Scan => {
            "SET statement_timeout = '10min'; SET idle_in_transaction_session_timeout = '5min'; \
             SET default_transaction_read_only = on; SET client_min_messages = warning"
        }
    }
}

/// A new connection for work of this kind; `heard` is told of notifications.
pub(super) async fn connect(target: &Target, mode: Mode, heard: Option<Arc<Notify>>) -> Result<Fresh, Error> {
    let unreachable = |error: tokio_postgres::Error| match failure(error).error {
        Error::Internal { reason, cause } => {
            Error::Unavailable { reason: format!("cannot connect: {reason}"), cause }
        }
        Error::Unavailable { cause, .. } if cause.is_some() => {
            Error::Unavailable { reason: "cannot connect to PostgreSQL".to_owned(), cause }
        }
        other => other,
    };
    let fresh = match &target.tls {
        None => {
            let (client, connection) = target.config.connect(NoTls).await.map_err(unreachable)?;
            Fresh { client, driver: Box::pin(drive(connection, heard)) }
        }
        Some(tls) => {
            let (client, connection) = target.config.connect(tls.clone()).await.map_err(unreachable)?;
            Fresh { client, driver: Box::pin(drive(connection, heard)) }
        }
    };
    let Fresh { client, mut driver } = fresh;
    // The driver must run for the greeting to be answered.
    tokio::select! {
        () = &mut driver => return Err(Error::unavailable("PostgreSQL closed a new connection")),
        greeted = client.batch_execute(greeting(mode)) => greeted.map_err(unreachable)?,
    }
    Ok(Fresh { client, driver })
}

async fn drive<S, T>(mut connection: tokio_postgres::Connection<S, T>, heard: Option<Arc<Notify>>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    loop {
        match poll_fn(|cx| connection.poll_message(cx)).await {
            Some(Ok(AsyncMessage::Notification(_))) => {
                if let Some(heard) = &heard {
                    heard.notify_one();
                }
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                // Whoever was using it is told by the failing statement.
                tracing::debug!(%error, "a PostgreSQL connection ended");
                return;
            }
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> String {
        Target::parse(url).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn every_mode_of_tls_is_known_or_refused() {
        for mode in ["disable", "prefer", "require", "verify-full"] {
            assert_eq!(refusal(&format!("postgres://u:p@localhost/db?sslmode={mode}")), "");
        }
        let text = refusal("postgres://u:hunter2@localhost/db?sslmode=verify-ca");
        assert!(text.contains("verify-ca") && !text.contains("hunter2"), "{text}");
        assert!(
            refusal("postgres://u@localhost/db?sslmode=verify-full&sslrootcert=/nowhere")
                .contains("/nowhere")
        );
        let text = refusal("postgres://u:hunter2@localhost:port/db");
        assert!(!text.is_empty() && !text.contains("hunter2"), "{text}");
    }
}

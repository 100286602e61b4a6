//! From a target to a connection: resolve, check, connect, TLS.

use crate::FetchError;
use crate::address::Reach;
use crate::fetcher::Shared;
use crate::target::{Target, TargetHost};
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls_platform_verifier::Verifier;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How many addresses of one host are tried.
const MAX_ADDRESSES: usize = 4;

/// A connection, encrypted or not.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Connects to the target, at an address that was checked and no other.
pub(crate) async fn connect(shared: &Shared, target: &Target) -> Result<Stream, FetchError> {
    let addresses = addresses(shared, target).await?;
    let socket = dial(shared, &addresses, target.port()).await?;
    if !target.is_tls() {
        return Ok(Stream::Plain(socket));
    }
    let name = match target.host() {
        TargetHost::Name(name) => ServerName::try_from(name.clone())
            .map_err(|_| FetchError::Url("has a host name that no certificate can hold"))?,
        TargetHost::Address(address) => ServerName::from(*address),
    };
    let stream = shared.tls()?.connect(name, socket).await.map_err(FetchError::Tls)?;
    Ok(Stream::Tls(Box::new(stream)))
}

/// The addresses of the target's host, every one of them allowed.
async fn addresses(shared: &Shared, target: &Target) -> Result<Vec<IpAddr>, FetchError> {
    let found = match target.host() {
        TargetHost::Address(address) => vec![*address],
        TargetHost::Name(name) => {
            shared.resolver.resolve(name).await.map_err(|error| FetchError::Resolve(Some(error)))?
        }
    };
    // One that is refused condemns the name: whoever mixes inner and outer addresses hopes that the check sees one and
    // the connection takes the other.
    if let Some(refused) = found.iter().find(|a| !Reach::of(**a).allowed(shared.allow_private)) {
        return Err(FetchError::Refused(*refused));
    }
    if found.is_empty() {
        return Err(FetchError::Resolve(None));
    }
    Ok(found)
}

async fn dial(shared: &Shared, addresses: &[IpAddr], port: u16) -> Result<TcpStream, FetchError> {
    let mut last = FetchError::Connect(None);
    for address in addresses.iter().take(MAX_ADDRESSES) {
        let socket = TcpStream::connect(SocketAddr::new(*address, port));
        match tokio::time::timeout(shared.connect_timeout, socket).await {
            Ok(Ok(socket)) => {
                // A request is one write or two; waiting to merge them only costs time.
                if let Err(error) = socket.set_nodelay(true) {
                    tracing::debug!(%error, "a socket takes no options");
                }
                return Ok(socket);
            }
            Ok(Err(error)) => last = FetchError::Connect(Some(error)),
            Err(_) => last = FetchError::Timeout,
        }
    }
    Err(last)
}

/// The authorities in a PEM file.
pub(crate) fn read_authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, FetchError> {
    let failed = |error: &dyn std::fmt::Display| FetchError::Setup(format!("{}: {error}", path.display()));
    let found = CertificateDer::pem_file_iter(path).map_err(|error| failed(&error))?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(|error| failed(&error))?;
    if found.is_empty() {
        return Err(failed(&"no certificate in it"));
    }
    Ok(found)
}

/// A TLS client that trusts what the platform trusts, and these authorities.
pub(crate) fn tls_client(authorities: &[CertificateDer<'static>]) -> Result<TlsConnector, FetchError> {
    let failed = |error: rustls::Error| FetchError::Setup(error.to_string());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier =
        Verifier::new_with_extra_roots(authorities.iter().cloned(), provider.clone()).map_err(failed)?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

//! A mail server that keeps what it is given, in the process of the test. It speaks as much SMTP (RFC 5321) as one client
//! needs, offers STARTTLS where asked to, and can be rude: refuse, hang, or hang up after it has taken a message.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// How long a test waits for a message at most.
const PATIENCE: Duration = Duration::from_secs(20);

/// How the server treats messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// It takes them.
    Takes,
    /// It answers the recipient with this code.
    Refuses(u16),
    /// It answers the message's content with this code, and repeats what it was sent.
    RefusesContent(u16),
    /// It says nothing after the greeting.
    Hangs,
    /// It takes the message, and hangs up without saying so.
    HangsUp,
}

/// A message as it arrived.
#[derive(Debug, Clone)]
pub struct Mail {
    /// The envelope's sender.
    pub from: String,
    /// The envelope's recipients.
    pub to: Vec<String>,
    /// The message as it was sent, without the dot at its end.
    pub raw: String,
    /// Whether the connection was encrypted.
    pub encrypted: bool,
    /// The user name and password that were given, if any.
    pub credentials: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tls {
    None,
    Offered,
    Implicit,
}

struct Shared {
    mails: Mutex<Vec<Mail>>,
    manner: Mutex<Manner>,
    connections: Mutex<u32>,
}

/// The server; it ends when it is dropped.
pub struct MailServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    scheme: &'static str,
    root: Option<String>,
    serving: JoinHandle<()>,
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl MailServer {
    /// A server without TLS on a free port of the loopback address.
    pub async fn start() -> Self {
        Self::start_with(Tls::None, "127.0.0.1:0").await
    }

    /// A server without TLS at this address, for one that comes back.
    pub async fn start_at(address: SocketAddr) -> Self {
        Self::start_with(Tls::None, &address.to_string()).await
    }

    /// A server that offers STARTTLS, and takes no message before it.
    pub async fn start_with_starttls() -> Self {
        Self::start_with(Tls::Offered, "127.0.0.1:0").await
    }

    /// A server that is encrypted from the first byte.
    pub async fn start_with_tls() -> Self {
        Self::start_with(Tls::Implicit, "127.0.0.1:0").await
    }

    async fn start_with(tls: Tls, address: &str) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared {
            mails: Mutex::default(),
            manner: Mutex::new(Manner::Takes),
            connections: Mutex::default(),
        });
        let (acceptor, root) = match tls {
            Tls::None => (None, None),
            Tls::Offered | Tls::Implicit => {
                let (acceptor, root) = acceptor();
                (Some(acceptor), Some(root))
            }
        };
        let scheme = if tls == Tls::Implicit { "smtps" } else { "smtp" };
        let serving = tokio::spawn(serve(listener, Arc::clone(&shared), tls, acceptor));
        Self { address, shared, scheme, root, serving }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, as the setting `smtp_url` wants it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// The certificate to trust, where it has one (PEM); it is for `localhost` and 127.0.0.1.
    #[must_use]
    pub fn root(&self) -> Option<&str> {
        self.root.as_deref()
    }

    /// From now on it treats messages like this.
    pub fn behave(&self, manner: Manner) {
        *self.shared.manner.lock().expect("the manner") = manner;
    }

    /// How many connections there were.
    #[must_use]
    pub fn connections(&self) -> u32 {
        *self.shared.connections.lock().expect("the count")
    }

    /// Everything that has arrived, in its order.
    #[must_use]
    pub fn mails(&self) -> Vec<Mail> {
        self.shared.mails.lock().expect("the mails").clone()
    }

    /// Waits until `count` messages have arrived, and answers them.
    ///
    /// # Panics
    /// When they do not within twenty seconds.
    pub async fn wait_for(&self, count: usize) -> Vec<Mail> {
        let begun = Instant::now();
        loop {
            let mails = self.mails();
            if mails.len() >= count {
                return mails;
            }
            assert!(begun.elapsed() < PATIENCE, "{} messages instead of {count} arrived", mails.len());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until somebody has connected `count` times.
    ///
    /// # Panics
    /// When they do not within twenty seconds.
    pub async fn wait_for_connections(&self, count: u32) {
        let begun = Instant::now();
        while self.connections() < count {
            assert!(begun.elapsed() < PATIENCE, "{} connections instead of {count}", self.connections());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Mail {
    /// The value of a header, its lines joined.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let (head, _) = self.raw.split_once("\r\n\r\n")?;
        header_of(head, name)
    }

    /// The plain text.
    ///
    /// # Panics
    /// When the message has none.
    #[must_use]
    pub fn text(&self) -> String {
        self.part("text/plain").expect("a plain text")
    }

    /// The HTML.
    ///
    /// # Panics
    /// When the message has none.
    #[must_use]
    pub fn html(&self) -> String {
        self.part("text/html").expect("an HTML text")
    }

    /// The first link of the plain text.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn link(&self) -> String {
        let text = self.text();
        let link =
            text.split_whitespace().find(|word| word.starts_with("http://") || word.starts_with("https://"));
        link.unwrap_or_else(|| panic!("no link in:\n{text}")).to_owned()
    }

    fn part(&self, kind: &str) -> Option<String> {
        let (head, body) = self.raw.split_once("\r\n\r\n")?;
        let content_type = header_of(head, "content-type")?;
        let boundary = content_type.split_once("boundary=\"")?.1.split('"').next()?;
        for part in body.split(&format!("--{boundary}")) {
            let Some((head, body)) = part.split_once("\r\n\r\n") else { continue };
            if header_of(head, "content-type").is_some_and(|found| found.starts_with(kind)) {
                let encoding = header_of(head, "content-transfer-encoding").unwrap_or_default();
                return Some(decoded(body, &encoding).replace("\r\n", "\n"));
            }
        }
        None
    }
}

fn header_of(head: &str, name: &str) -> Option<String> {
    let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
    unfolded.split("\r\n").find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}

fn decoded(body: &str, encoding: &str) -> String {
    let bytes = match encoding.to_ascii_lowercase().as_str() {
        "base64" => base64(body),
        "quoted-printable" => quoted_printable(body),
        _ => body.as_bytes().to_vec(),
    };
    String::from_utf8(bytes).expect("UTF-8")
}

fn quoted_printable(text: &str) -> Vec<u8> {
    let text = text.replace("=\r\n", "");
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        match (first, after) {
            (b'=', [high, low, tail @ ..]) => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).expect("hexadecimal digits");
                bytes.push(u8::from_str_radix(digits, 16).expect("hexadecimal digits"));
                rest = tail;
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

fn base64(text: &str) -> Vec<u8> {
    let value = |c: u8| match c {
        b'A'..=b'Z' => Some(u32::from(c - b'A')),
        b'a'..=b'z' => Some(u32::from(c - b'a') + 26),
        b'0'..=b'9' => Some(u32::from(c - b'0') + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let digits: Vec<u32> = text.bytes().filter_map(value).collect();
    let mut bytes = Vec::new();
    for four in digits.chunks(4) {
        let bits = four.iter().enumerate().fold(0, |bits, (at, digit)| bits | (digit << (18 - 6 * at)));
        bytes.extend_from_slice(bits.to_be_bytes().get(1..four.len()).unwrap_or_default());
    }
    bytes
}

fn acceptor() -> (TlsAcceptor, String) {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let chain = vec![CertificateDer::from(made.cert.der().to_vec())];
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the usual versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a certificate and its key");
    (TlsAcceptor::from(Arc::new(config)), made.cert.pem())
}

async fn serve(listener: TcpListener, shared: Arc<Shared>, tls: Tls, acceptor: Option<TlsAcceptor>) {
    while let Ok((stream, _)) = listener.accept().await {
        *shared.connections.lock().expect("the count") += 1;
        let (shared, acceptor) = (Arc::clone(&shared), acceptor.clone());
        tokio::spawn(async move {
            // A client that goes away is no matter of the test.
            let _ = match (tls, acceptor) {
                (Tls::Implicit, Some(acceptor)) => match acceptor.accept(stream).await {
                    Ok(stream) => Talk::new(&shared, true).run(stream, true).await.map(drop),
                    Err(error) => Err(error),
                },
                (Tls::Offered, Some(acceptor)) => {
                    let mut talk = Talk::new(&shared, false);
                    talk.offers_tls = true;
                    match talk.run(stream, true).await {
                        Ok(Some(stream)) => match acceptor.accept(stream).await {
                            Ok(stream) => Talk::new(&shared, true).run(stream, false).await.map(drop),
                            Err(error) => Err(error),
                        },
                        other => other.map(drop),
                    }
                }
                _ => Talk::new(&shared, false).run(stream, true).await.map(drop),
            };
        });
    }
}

/// One conversation.
struct Talk<'a> {
    shared: &'a Shared,
    encrypted: bool,
    offers_tls: bool,
    from: String,
    to: Vec<String>,
    credentials: Option<String>,
}

impl<'a> Talk<'a> {
    fn new(shared: &'a Shared, encrypted: bool) -> Self {
        Self { shared, encrypted, offers_tls: false, from: String::new(), to: Vec::new(), credentials: None }
    }

    /// Talks until the client ends it; answers the stream when it is to be encrypted.
    async fn run<S>(mut self, stream: S, greets: bool) -> std::io::Result<Option<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut stream = BufReader::new(stream);
        if greets {
            stream.write_all(b"220 localhost ESMTP\r\n").await?;
        }
        let mut line = String::new();
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(None);
            }
            let manner = *self.shared.manner.lock().expect("the manner");
            if manner == Manner::Hangs {
                std::future::pending::<()>().await;
            }
            let command = line.trim_end();
            let verb = command.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
            let answer = match verb.as_str() {
                "STARTTLS" if self.offers_tls => {
                    stream.write_all(b"220 go on\r\n").await?;
                    return Ok(Some(stream.into_inner()));
                }
                "QUIT" => {
                    stream.write_all(b"221 bye\r\n").await?;
                    return Ok(None);
                }
                "DATA" => {
                    stream.write_all(b"354 go on\r\n").await?;
                    let raw = data(&mut stream).await?;
                    match self.keep(raw, manner) {
                        Some(answer) => answer,
                        None => return Ok(None),
                    }
                }
                _ => self.answer(&verb, command, manner),
            };
            stream.write_all(answer.as_bytes()).await?;
        }
    }

    fn answer(&mut self, verb: &str, command: &str, manner: Manner) -> String {
        let path = || command.split_once('<').and_then(|(_, rest)| rest.split('>').next()).unwrap_or("");
        match verb {
            "EHLO" if self.offers_tls => "250-localhost\r\n250 STARTTLS\r\n".to_owned(),
            "EHLO" => "250-localhost\r\n250-8BITMIME\r\n250 AUTH PLAIN\r\n".to_owned(),
            "MAIL" | "AUTH" if self.offers_tls => "530 5.7.0 first STARTTLS\r\n".to_owned(),
            "AUTH" => {
                let given = base64(command.split_whitespace().nth(2).unwrap_or_default());
                let given = String::from_utf8_lossy(&given).replace('\0', ":");
                if given.contains("wrong") {
                    return "535 5.7.8 no\r\n".to_owned();
                }
                self.credentials = Some(given);
                "235 welcome\r\n".to_owned()
            }
            "MAIL" => {
                self.from = path().to_owned();
                self.to.clear();
                "250 ok\r\n".to_owned()
            }
            "RCPT" => match manner {
                Manner::Refuses(code) => format!("{code} no\r\n"),
                _ => {
                    self.to.push(path().to_owned());
                    "250 ok\r\n".to_owned()
                }
            },
            "NOOP" | "RSET" => "250 ok\r\n".to_owned(),
            _ => "500 what?\r\n".to_owned(),
        }
    }

    fn keep(&self, raw: String, manner: Manner) -> Option<String> {
        if let Manner::RefusesContent(code) = manner {
            // As much as fits into a line of SMTP, with the link.
            let link = raw.find("token=").unwrap_or_default();
            let repeated: String =
                raw.chars().skip(link).take(300).filter(|c| c.is_ascii_graphic()).collect();
            return Some(format!("{code} no such content: {repeated}\r\n"));
        }
        self.shared.mails.lock().expect("the mails").push(Mail {
            from: self.from.clone(),
            to: self.to.clone(),
            raw,
            encrypted: self.encrypted,
            credentials: self.credentials.clone(),
        });
        (manner != Manner::HangsUp).then(|| "250 taken\r\n".to_owned())
    }
}

async fn data<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> std::io::Result<String> {
    let mut raw = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 || line == ".\r\n" {
            return Ok(raw);
        }
        raw.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_undone() {
        assert_eq!(base64("R3LDvMOfZQ=="), "Grüße".as_bytes());
        assert_eq!(quoted_printable("Gr=C3=BC=C3=9Fe =\r\n=3D"), "Grüße =".as_bytes());
        assert_eq!(header_of("A: b\r\nSubject: long\r\n er\r\nC: d", "subject").as_deref(), Some("long er"));
    }
}

//! Hands one message over.

use crate::message::Message;
use crate::smtp::{Security, SmtpServer};
use crate::webhook::Webhook;
use keyreeve_base::World;
use keyreeve_crypto::Secret;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::{Category, Severity};
use lettre::transport::smtp::{AsyncSmtpTransport, Error as SmtpError};
use lettre::{AsyncTransport as _, Tokio1Executor};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use uuid::Uuid;

/// How long handing over one message may take, from the connection to the acknowledgement.
pub const LONGEST: Duration = Duration::from_secs(20);

/// From whom messages are: `ADDRESS` or `NAME <ADDRESS>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender(Mailbox);

impl Sender {
    /// Reads it.
    ///
    /// # Errors
    /// A sentence, as it reads on from the name of the setting.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mailbox = text.parse::<Mailbox>().map_err(|error| {
            format!("{text:?} is not an address ({error}); write keys@example.org or Keys <keys@example.org>")
        })?;
        Ok(Self(mailbox))
    }

    fn domain(&self) -> &str {
        self.0.email.domain()
    }
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whom messages are handed to.
pub enum Transport {
    /// An SMTP server.
    Smtp {
        /// Which.
        server: SmtpServer,
        /// Root certificates (PEM) to trust beside those that the operating system trusts.
        extra_roots: Option<String>,
        /// How this server calls itself there (RFC 5321 section 4.1.1.1): the host of its public URL.
        hello: String,
    },
    /// A service that takes them over HTTP.
    Webhook(Webhook),
}

enum Way {
    Smtp(Box<AsyncSmtpTransport<Tokio1Executor>>),
    Webhook(Webhook),
}

/// The mailer cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SetupError(String);

/// Why a message was not handed over. Holds nothing of the message, nor of the words in which the server refused it: some
/// servers repeat links there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It may work later.
    #[error("{0}")]
    Temporary(String),
    /// This message will never be taken.
    #[error("{0}")]
    Permanent(String),
}

/// Hands messages over. Cheap to clone.
#[derive(Clone)]
pub struct Mailer {
    inner: Arc<Inner>,
    longest: Duration,
}

struct Inner {
    world: World,
    sender: Sender,
    way: Way,
}

impl Mailer {
    /// The mailer that writes as `sender` over `transport`. Connects to nothing yet.
    ///
    /// # Errors
    /// [`SetupError`] for a name that no certificate can be for, and for roots that cannot be read.
    pub fn new(world: World, sender: Sender, transport: Transport) -> Result<Self, SetupError> {
        let way = match transport {
            Transport::Smtp { server, extra_roots, hello } => {
                Way::Smtp(Box::new(smtp(&server, extra_roots.as_deref(), &hello)?))
            }
            Transport::Webhook(webhook) => Way::Webhook(webhook),
        };
        Ok(Self { inner: Arc::new(Inner { world, sender, way }), longest: LONGEST })
    }

    /// The same mailer with other patience than [`LONGEST`].
    #[must_use]
    pub fn within(self, longest: Duration) -> Self {
        Self { longest, ..self }
    }

    /// Hands one message over. `id` is the message's own, so that a recipient sees one that came twice as one
    /// (`Message-ID`, RFC 5322 section 3.6.4).
    ///
    /// # Errors
    /// [`SendError`]; after at most [`LONGEST`].
    pub async fn send(&self, id: Uuid, message: &Message) -> Result<(), SendError> {
        match &self.inner.way {
            Way::Smtp(smtp) => {
                let message = self.mime(id, message)?;
                self.bounded(async { smtp.send(message).await.map(drop).map_err(|error| sorted(&error)) })
                    .await
            }
            Way::Webhook(webhook) => {
                let (from, at) = (self.inner.sender.to_string(), self.inner.world.now());
                self.bounded(webhook.send((id, at), &from, message)).await
            }
        }
    }

    /// Whether the SMTP server answers and takes the credentials; of a webhook, only whether its URL can be asked.
    ///
    /// # Errors
    /// [`SendError`]; after at most [`LONGEST`].
    pub async fn check(&self) -> Result<(), SendError> {
        match &self.inner.way {
            Way::Smtp(smtp) => {
                let test = async {
                    match smtp.test_connection().await {
                        Ok(true) => Ok(()),
                        Ok(false) => {
                            Err(SendError::Temporary("the mail server closed the connection".to_owned()))
                        }
                        Err(error) => Err(sorted(&error)),
                    }
                };
                self.bounded(test).await
            }
            Way::Webhook(webhook) => webhook.check(),
        }
    }

    async fn bounded(&self, work: impl Future<Output = Result<(), SendError>>) -> Result<(), SendError> {
        match tokio::time::timeout(self.longest, work).await {
            Ok(done) => done,
            Err(_) => Err(SendError::Temporary("the mail server took too long".to_owned())),
        }
    }

    /// The message as it goes over the wire: plain text and HTML beside each other (RFC 2046 section 5.1.4). Header values
    /// are encoded by the library, which breaks none of them into lines of its own.
    fn mime(&self, id: Uuid, message: &Message) -> Result<lettre::Message, SendError> {
        let unfit = |what: String| SendError::Permanent(what);
        let to: Mailbox = Mailbox::new(
            None,
            message
                .to
                .parse()
                .map_err(|_| unfit("the recipient's address is none that mail can go to".to_owned()))?,
        );
        let micros = u64::try_from(self.inner.world.now().micros()).unwrap_or(0);
        let date = SystemTime::UNIX_EPOCH
            .checked_add(Duration::from_micros(micros))
            .ok_or_else(|| unfit("the clock is wrong".to_owned()))?;
        lettre::Message::builder()
            .from(self.inner.sender.0.clone())
            .to(to)
            .subject(one_line(&message.subject))
            .date(date)
            .message_id(Some(format!("<{id}@{}>", self.inner.sender.domain())))
            // RFC 3834 section 5: nobody's absence note answers this.
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ))
            .multipart(MultiPart::alternative_plain_html(
                message.text.expose().to_owned(),
                message.html.expose().to_owned(),
            ))
            .map_err(|_| unfit("the message cannot be written".to_owned()))
    }
}

impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mailer({})", self.inner.sender)
    }
}

fn smtp(
    server: &SmtpServer,
    extra_roots: Option<&str>,
    hello: &str,
) -> Result<AsyncSmtpTransport<Tokio1Executor>, SetupError> {
    let tls = || -> Result<TlsParameters, SetupError> {
        let failed =
            |error: SmtpError| SetupError(format!("TLS to the mail server cannot be set up: {error}"));
        let mut builder = TlsParameters::builder(server.host.clone());
        if let Some(pem) = extra_roots {
            builder = builder.add_root_certificate(Certificate::from_pem(pem.as_bytes()).map_err(failed)?);
        }
        builder.build_rustls().map_err(failed)
    };
    let tls = match server.security {
        Security::Plain => Tls::None,
        Security::StartTls => Tls::Required(tls()?),
        Security::Tls => Tls::Wrapper(tls()?),
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(server.host.clone())
        .port(server.port)
        .tls(tls)
        .timeout(Some(LONGEST))
        .hello_name(ClientId::Domain(hello.to_owned()));
    if let Some(user) = &server.user {
        let password = server.password.as_ref().map(Secret::expose).unwrap_or_default();
        builder = builder.credentials(Credentials::new(user.clone(), password.to_owned()));
    }
    Ok(builder.build())
}

/// What a failure means for the message. A refusal about the mailbox or the message (5x5x, RFC 5321 section 4.2.2) will
/// be the same next time; a refusal of the credentials is something that an operator can mend.
fn sorted(error: &SmtpError) -> SendError {
    if let Some(code) = error.status() {
        let words = format!("the mail server answered {code}");
        let about_this_message =
            code.severity == Severity::PermanentNegativeCompletion && code.category == Category::MailSystem;
        return if about_this_message { SendError::Permanent(words) } else { SendError::Temporary(words) };
    }
    let words = if error.is_timeout() {
        "the mail server took too long"
    } else if error.is_tls() {
        "the connection to the mail server could not be encrypted"
    } else if error.is_client() {
        "the mail server does not offer what is needed (STARTTLS, or a way to sign in)"
    } else if error.is_response() {
        "the mail server answered what is no SMTP"
    } else {
        "the mail server cannot be reached"
    };
    SendError::Temporary(words.to_owned())
}

fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

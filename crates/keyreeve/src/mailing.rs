//! The mailer that the configuration describes.

use crate::Error;
use crate::config::{Config, PublicUrl};
use keyreeve_base::World;
use keyreeve_crypto::Secret;
use keyreeve_fetch::Fetcher;
use keyreeve_identity::MailLinks;
use keyreeve_mail::{Mailer, SmtpServer, Transport, Webhook, WebhookSecret};
use std::path::Path;

/// A file beyond this size holds no secret, in bytes.
const MAX_SECRET_FILE_BYTES: u64 = 4_096;

/// The mailer; none where no way to send mail is set. Connects to nothing yet.
///
/// # Errors
/// [`Error::Setup`] when a file cannot be read or what it holds does not fit.
pub fn mailer(
    config: &Config,
    public_url: &PublicUrl,
    world: &World,
    fetcher: &Fetcher,
) -> Result<Option<Mailer>, Error> {
    let Some(sender) = &config.mail_from else { return Ok(None) };
    let transport = match (&config.smtp_url, &config.mail_webhook_url) {
        (Some(url), _) => smtp(config, url, public_url)?,
        (None, Some(url)) => webhook(config, url, fetcher)?,
        (None, None) => return Ok(None),
    };
    let mailer = Mailer::new(world.clone(), sender.clone(), transport);
    mailer.map(Some).map_err(|error| Error::Setup(error.to_string()))
}

/// Where links in mail lead; none where no mail can be sent.
#[must_use]
pub fn links(config: &Config, public_url: &PublicUrl) -> Option<MailLinks> {
    config.has_mail().then(|| MailLinks {
        public_url: public_url.to_string(),
        reset_path: keyreeve_web::RESET_PATH,
        verify_path: keyreeve_web::VERIFY_PATH,
    })
}

fn smtp(config: &Config, url: &Secret, public_url: &PublicUrl) -> Result<Transport, Error> {
    let setup = |problem: String| Error::Setup(format!("smtp_url {problem}"));
    let mut server = SmtpServer::parse(url.expose()).map_err(setup)?;
    if let Some(path) = &config.smtp_password_file {
        if server.user.is_none() || server.password.is_some() {
            let problem = "must name a user and no password when smtp_password_file is set";
            return Err(setup(problem.to_owned()));
        }
        server.password = Some(secret_file("smtp_password_file", path)?);
    }
    let extra_roots = match &config.fetch_authorities_file {
        Some(path) => Some(std::fs::read_to_string(path).map_err(|error| {
            Error::Setup(format!("fetch_authorities_file {} cannot be read: {error}", path.display()))
        })?),
        None => None,
    };
    let hello = public_url.url().host_str().unwrap_or("localhost").to_owned();
    Ok(Transport::Smtp { server, extra_roots, hello })
}

fn webhook(config: &Config, url: &Secret, fetcher: &Fetcher) -> Result<Transport, Error> {
    fetcher.check(url.expose()).map_err(|error| Error::Setup(format!("mail_webhook_url: {error}")))?;
    let (key, secret) = match (&config.mail_webhook_secret, &config.mail_webhook_secret_file) {
        (Some(secret), _) => ("mail_webhook_secret", secret.duplicate()),
        (None, Some(path)) => ("mail_webhook_secret_file", secret_file("mail_webhook_secret_file", path)?),
        (None, None) => return Err(Error::Setup("mail_webhook_secret is not set".to_owned())),
    };
    let secret = WebhookSecret::parse(secret.expose())
        .map_err(|problem| Error::Setup(format!("what {key} gives {problem}")))?;
    Ok(Transport::Webhook(Webhook::new(fetcher.clone(), url.duplicate(), secret)))
}

/// The secret in a file: its first line.
pub(crate) fn secret_file(key: &str, path: &Path) -> Result<Secret, Error> {
    let failed = |problem: String| Error::Setup(format!("{key}: {} {problem}", path.display()));
    let size = std::fs::metadata(path).map_err(|error| failed(format!("cannot be read: {error}")))?.len();
    if size > MAX_SECRET_FILE_BYTES {
        return Err(failed(format!("is {size} bytes long, which is no secret")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| failed(format!("cannot be read: {error}")))?;
    let text = Secret::from(text);
    match text.expose().lines().next() {
        Some(line) if !line.is_empty() => Ok(Secret::new(line)),
        _ => Err(failed("is empty".to_owned())),
    }
}

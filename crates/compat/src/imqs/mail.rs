//! Letters about passwords: over the server's own way to send mail, or by the original's mail service.

use super::Imqs;
use super::failure::{Failure, NO_PASSWORD_TO_MAIL};
use super::options::Template;
use super::people::Person;
use super::reply::Reply;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Method, StatusCode, header};
use keyreeve_base::{TenantId, UserId};
use keyreeve_crypto::Secret;
use keyreeve_fetch::Request;
use keyreeve_identity::User;
use keyreeve_mail::Message;
use std::borrow::Cow;
use std::time::Duration;

/// How long a mail service may take; a request has half a minute altogether.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a letter is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Letter {
    /// A forgotten password.
    Reset,
    /// An account that was made without one.
    NewAccount,
    /// An account whose password is kept elsewhere.
    Directory,
}

/// Why no letter was sent.
pub(super) struct NotSent {
    status: u16,
    text: Cow<'static, str>,
}

impl NotSent {
    fn new(status: u16, text: impl Into<Cow<'static, str>>) -> Self {
        Self { status, text: text.into() }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn reply(self) -> Reply {
        Reply::text(self.status, self.text)
    }
}

impl From<Failure> for NotSent {
    fn from(failure: Failure) -> Self {
        Self::new(403, format!("Error resetting password: {}", failure.text()))
    }
}

/// A letter that is ready.
struct Ready {
    to: String,
    link: Option<Secret>,
    expires_s: i64,
    letter: Letter,
}

impl Imqs {
    /// Whether letters can be sent at all.
    pub(super) fn has_mail(&self) -> bool {
        self.options().mail.password.is_some() || self.0.ground.mailer.is_some()
    }

    /// Counts a letter that anybody may have asked for, so that nobody's mailbox is flooded.
    pub(super) fn may_mail(&self, tenant: TenantId, user: UserId) -> Result<(), Failure> {
        match self.0.letters.count(tenant, user.uuid()) {
            Ok(_) => Ok(()),
            Err(allowance) => Err(Failure::Wait(allowance.wait())),
        }
    }

    /// Makes a token where the letter bears one, and has the letter taken by whoever sends it.
    pub(super) async fn send_reset(
        &self,
        tenant: TenantId,
        (user, person): (&User, &Person),
        letter: Letter,
    ) -> Result<(), NotSent> {
        if !self.has_mail() {
            return Err(NotSent::new(500, NO_PASSWORD_TO_MAIL));
        }
        let Some(to) = user.email.clone() else {
            return Err(NotSent::new(503, "Error constructing reset URL: the user has no e-mail address"));
        };
        let expires_s = match letter {
            Letter::NewAccount => self.options().new_account_s,
            Letter::Reset | Letter::Directory => self.options().reset_s,
        };
        let link = match letter {
            Letter::Directory => None,
            Letter::Reset | Letter::NewAccount => {
                let token = self.new_token(tenant, user, expires_s).await?;
                Some(self.link(person, &to, &token, letter))
            }
        };
        let ready = Ready { to, link, expires_s, letter };
        match (&self.options().mail.password, &self.0.ground.mailer) {
            (Some(password), _) => self.by_service(&ready, password).await,
            (None, Some(mailer)) => {
                let message = self.message(&ready);
                let sent =
                    tokio::time::timeout(PATIENCE, mailer.send(self.world().new_uuid(), &message)).await;
                match sent {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(error)) => Err(NotSent::new(503, format!("Error sending email: {error}"))),
                    Err(_) => Err(NotSent::new(503, "Error sending email: there was no answer in time")),
                }
            }
            (None, None) => Err(NotSent::new(500, NO_PASSWORD_TO_MAIL)),
        }
    }

    /// Where links lead: never to what a request names as its host.
    pub(super) fn hostname(&self) -> &str {
        self.options().hostname.as_deref().unwrap_or(&self.0.ground.public_url)
    }

    fn link(&self, person: &Person, email: &str, token: &Secret, letter: Letter) -> Secret {
        let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let welcome = if letter == Letter::NewAccount { "&welcome=true" } else { "" };
        Secret::from(format!(
            "{}/#resetpassword=true&identity={}&userid={}&token={}{welcome}",
            self.hostname(),
            encode(email),
            person.serial,
            encode(token.expose())
        ))
    }

    /// The form in which the original's mail service is asked.
    async fn by_service(&self, ready: &Ready, password: &Secret) -> Result<(), NotSent> {
        let mail = &self.options().mail;
        let Some(base) = &mail.url else {
            return Err(NotSent::new(500, "Error sending email: Mail URL not specified"));
        };
        let template = match ready.letter {
            Letter::Reset => &mail.reset,
            Letter::NewAccount => &mail.new_account,
            Letter::Directory => &mail.ldap,
        };
        let (url, body) = self.ask(base.trim_end_matches('/'), ready, template);
        let credential = STANDARD.encode(format!("imqs:{}", password.expose()));
        let mut value = HeaderValue::try_from(format!("Basic {credential}"))
            .map_err(|_| NotSent::new(500, "Error sending email: the password is no header"))?;
        value.set_sensitive(true);
        let mut request = Request::new(Method::POST, url)
            .header(header::AUTHORIZATION, value)
            .timeout(PATIENCE)
            .status_only();
        if let Some(html) = body {
            request = request.header(header::CONTENT_TYPE, HeaderValue::from_static("text/html")).body(html);
        }
        match self.0.ground.fetcher.send(request).await {
            Ok(answer) if answer.status == StatusCode::OK => Ok(()),
            Ok(answer) => Err(NotSent::new(503, format!("Error sending email: {}", answer.status))),
            Err(error) => Err(NotSent::new(503, format!("Error sending email: {error}"))),
        }
    }

    fn ask(&self, base: &str, ready: &Ready, template: &Template) -> (String, Option<String>) {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let Some(link) = &ready.link else {
            query.append_pair("emailTo", &ready.to).append_pair("ishtml", "True");
            if !template.from.is_empty() {
                query.append_pair("from", &template.from);
            }
            query.append_pair("subject", "IMQS Reset Password");
            let html = format!("<p>{}</p>", escaped(&self.directory_text()));
            return (format!("{base}/sendEmail?{}", query.finish()), Some(html));
        };
        let is_new = if ready.letter == Letter::NewAccount { "true" } else { "false" };
        query
            .append_pair("email", &ready.to)
            .append_pair("resetUrl", link.expose())
            .append_pair("expireTime", &ready.expires_s.to_string())
            .append_pair("newAccount", is_new);
        if !template.template_name.is_empty() {
            query.append_pair("templateName", &template.template_name);
        }
        if !template.from.is_empty() {
            query.append_pair("from", &template.from);
        }
        (format!("{base}/passwordReset?{}", query.finish()), None)
    }

    fn directory_text(&self) -> String {
        let whom = match &self.options().sys_admin_email {
            Some(address) => format!("your administrator ({address})"),
            None => "your administrator".to_owned(),
        };
        format!(
            "The password of this account is kept by your organisation's directory. Please contact {whom} to change it."
        )
    }

    /// The letter as it is sent by the server itself.
    fn message(&self, ready: &Ready) -> Message {
        let mail = &self.options().mail;
        let (template, subject) = match ready.letter {
            Letter::Reset => (&mail.reset, "Choose a new password"),
            Letter::NewAccount => (&mail.new_account, "Welcome: choose your password"),
            Letter::Directory => (&mail.ldap, "Your password"),
        };
        let subject = if template.subject.is_empty() { subject } else { &template.subject };
        let (text, html) = match &ready.link {
            None => {
                let text = self.directory_text();
                (text.clone(), format!("<p>{}</p>", escaped(&text)))
            }
            Some(link) => {
                let hours = ready.expires_s / 3_600;
                let lasts = format!(
                    "The link works once, for {hours} hours. If you did not ask for it, ignore this letter."
                );
                let before = "Follow this link to choose a password:";
                let href = escaped(link.expose());
                (
                    format!("{before}\n\n{}\n\n{lasts}\n", link.expose()),
                    format!("<p>{before}</p><p><a href=\"{href}\">{href}</a></p><p>{lasts}</p>"),
                )
            }
        };
        Message {
            to: ready.to.clone(),
            subject: subject.to_owned(),
            text: Secret::from(text),
            html: Secret::from(html),
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

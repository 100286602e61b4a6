//! The account page: who one is, and where one is signed in.

use super::{Chrome, Device, Form, Template, moment};
use keyreeve_base::{SessionId, Timestamp};
use std::net::IpAddr;

/// What a person sees of the own account. Its forms post [`super::fields::SESSION`] (one session) or nothing.
#[derive(Template)]
#[template(path = "account.html", whitespace = "minimize")]
pub struct Account<'a> {
    /// What surrounds the content.
    pub chrome: Chrome<'a>,
    /// Whose account it is.
    pub person: Person<'a>,
    /// The present moment.
    pub now: Timestamp,
    /// The sessions, in the order in which they are shown.
    pub sessions: &'a [Session<'a>],
    /// The form that ends one session.
    pub end_session: Form<'a>,
    /// The form that ends all sessions but this one.
    pub end_others: Form<'a>,
    /// The form that ends this session.
    pub sign_out: Form<'a>,
    /// The form that sends a link to confirm the address; absent when it is confirmed, or no mail can be sent.
    pub send_verification: Option<Form<'a>>,
    /// Where a password is changed; absent when the account has none here.
    pub change_password_url: Option<&'a str>,
    /// Where the second factor is looked after.
    pub two_step_url: &'a str,
    /// What has just been done.
    pub notice: Option<Notice>,
}

/// A person's own description.
#[derive(Clone, Copy, Debug)]
pub struct Person<'a> {
    /// The full name.
    pub name: Option<&'a str>,
    /// The user name.
    pub username: Option<&'a str>,
    /// The e-mail address, and whether it is confirmed.
    pub email: Option<(&'a str, bool)>,
}

/// A browser session.
#[derive(Clone, Copy, Debug)]
pub struct Session<'a> {
    /// Its identifier.
    pub id: SessionId,
    /// The `User-Agent` header of its browser.
    pub user_agent: Option<&'a str>,
    /// The address it was last used from.
    pub address: Option<IpAddr>,
    /// When it was last used.
    pub last_seen: Timestamp,
    /// Whether it is the one that asks.
    pub current: bool,
}

impl Session<'_> {
    fn device(&self) -> Device {
        Device::of(self.user_agent.unwrap_or(""))
    }
}

/// What has just been done, told once at the top of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A new password is in force.
    PasswordChanged,
    /// One session has ended.
    SessionEnded,
    /// All sessions but this one have ended.
    OthersEnded,
    /// A link to confirm the address is on its way.
    VerificationSent,
}

impl Account<'_> {
    fn notice_text(&self) -> Option<&'static str> {
        let t = self.chrome.t();
        self.notice.map(|notice| match notice {
            Notice::PasswordChanged => t.notice_password_changed,
            Notice::SessionEnded => t.notice_session_ended,
            Notice::OthersEnded => t.notice_others_ended,
            Notice::VerificationSent => t.notice_verification_sent,
        })
    }

    /// The name that the page greets with.
    fn display_name(&self) -> &str {
        let Person { name, username, email } = self.person;
        name.or(username).or(email.map(|(address, _)| address)).unwrap_or_default()
    }

    fn has_others(&self) -> bool {
        self.sessions.iter().any(|session| !session.current)
    }

    fn seen(&self, session: &Session<'_>) -> String {
        moment::ago(self.chrome.locale, self.now, session.last_seen)
    }

    fn seen_exactly(&self, session: &Session<'_>) -> String {
        moment::machine(session.last_seen)
    }
}

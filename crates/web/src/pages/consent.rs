//! The consent page.

use super::{Application, Chrome, Form, Template};
use crate::texts::Texts;

/// Asks whether an application may have what it asks for. Posts [`super::fields::DECISION`].
#[derive(Template)]
#[template(path = "consent.html", whitespace = "minimize")]
pub struct Consent<'a> {
    /// What surrounds the content.
    pub chrome: Chrome<'a>,
    /// Where the form goes.
    pub form: Form<'a>,
    /// Who asks.
    pub application: Application<'a>,
    /// Whose account it is: the display name or user name.
    pub user: &'a str,
    /// Where to sign in as somebody else; absent when that is not offered.
    pub other_account_url: Option<&'a str>,
    /// The scopes asked for (RFC 6749 section 3.3), in the order in which they are shown.
    pub scopes: &'a [&'a str],
}

/// A line of what is asked.
pub(super) struct Asked<'a> {
    pub(super) title: &'static str,
    /// Ours, for the scopes that OpenID Connect defines.
    pub(super) detail: Option<&'static str>,
    /// The scope itself, for all others.
    pub(super) verbatim: Option<&'a str>,
}

impl<'a> Consent<'a> {
    fn asked(&self) -> Vec<Asked<'a>> {
        lines(self.chrome.t(), self.scopes)
    }
}

/// What is asked for, each scope once.
pub(super) fn lines<'a>(t: &Texts, scopes: &[&'a str]) -> Vec<Asked<'a>> {
    let mut seen: Vec<&str> = Vec::new();
    let mut lines = Vec::new();
    for &scope in scopes {
        if !seen.contains(&scope) {
            seen.push(scope);
            lines.push(asked(t, scope));
        }
    }
    lines
}

/// A scope in plain words: OpenID Connect Core 1.0 sections 5.4 and 11.
fn asked<'a>(t: &Texts, scope: &'a str) -> Asked<'a> {
    let (title, detail) = match scope {
        "openid" => (t.scope_openid, t.scope_openid_detail),
        "profile" => (t.scope_profile, t.scope_profile_detail),
        "email" => (t.scope_email, t.scope_email_detail),
        "address" => (t.scope_address, t.scope_address_detail),
        "phone" => (t.scope_phone, t.scope_phone_detail),
        "offline_access" => (t.scope_offline_access, t.scope_offline_access_detail),
        other => return Asked { title: t.scope_other, detail: None, verbatim: Some(other) },
    };
    Asked { title, detail: Some(detail), verbatim: None }
}

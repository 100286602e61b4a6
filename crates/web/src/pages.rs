//! The view layer: one struct for each page, whose fields are all that the page shows.
//!
//! A handler fills the struct and calls [`respond`] (or `render`, from [`Template`]). Nothing here asks a room, reads
//! a cookie or decides anything. Every value is escaped by the template engine; texts that strangers chose (names of
//! people and applications) go through the templates' `foreign`, so that their writing direction cannot reorder the
//! sentence around them.
//!
//! To add a page: a template that extends `base.html`, a struct here, its words in [`crate::texts`], and its states in
//! `examples/gallery`, which the render tests walk as well.

mod account;
mod consent;
mod device;
mod device_grant;
mod error;
mod moment;
mod password;
mod plain;
mod recovery;
mod sign_in;
mod two_step;

pub use account::{Account, Notice, Person, Session};
pub use askama::Template;
pub use consent::Consent;
pub use device::Device;
pub use device_grant::{DeviceCode, DeviceCodeProblem, DeviceConfirm, DeviceDone, DeviceOutcome};
pub use error::{ErrorKind, ErrorPage};
pub use password::{
    ChangePassword, CurrentProblem, NewProblem, PasswordProblems, PasswordRule, RepeatProblem,
};
pub use plain::{FormPost, Landing, SignOut, SignedOut};
pub use recovery::{Forgot, ForgotProblem, LinkNews, News, VerifyEmail};
pub use sign_in::{SignIn, SignInProblem};
pub use two_step::{Code, CodeDevice, CodeProblem, RecoveryCodes, TwoStep, TwoStepAdd, TwoStepProblem};

use crate::assets::{self, AssetUrl};
use crate::texts::{Locale, Phrase, Texts};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use std::borrow::Cow;
use std::time::Duration;

/// The names of form fields, as handlers read them. They are also the `id`s of the inputs.
pub mod fields {
    /// The token against cross-site request forgery; in every form that comes back to this server.
    pub const CSRF: &str = "csrf";
    /// The user name or e-mail address.
    pub const USERNAME: &str = "username";
    /// The password at sign-in.
    pub const PASSWORD: &str = "password";
    /// The button pressed on the consent page: [`ALLOW`] or [`DENY`].
    pub const DECISION: &str = "decision";
    /// Value of [`DECISION`].
    pub const ALLOW: &str = "allow";
    /// Value of [`DECISION`].
    pub const DENY: &str = "deny";
    /// The password that is to be replaced.
    pub const CURRENT_PASSWORD: &str = "current_password";
    /// The password that replaces it.
    pub const NEW_PASSWORD: &str = "new_password";
    /// The same once more.
    pub const REPEAT_PASSWORD: &str = "repeat_password";
    /// The code that a device shows.
    pub const USER_CODE: &str = keyreeve_http::browser::path::USER_CODE;
    /// A one-time code or recovery code.
    pub const CODE: &str = "code";
    /// What the user calls a device.
    pub const NAME: &str = "name";
    /// The button pressed on the page of devices.
    pub const ACTION: &str = "action";
    /// The session to end ([`keyreeve_base::SessionId`]).
    pub const SESSION: &str = "session";
}

/// What surrounds the content of every page.
#[derive(Clone, Copy, Debug)]
pub struct Chrome<'a> {
    /// The language of the page.
    pub locale: Locale,
    /// Whose server this is: the tenant's display name, or [`PRODUCT`].
    pub brand: &'a str,
    /// The path of the public URL, without a slash at its end; empty when that has none. Assets lie below it.
    pub base: &'a str,
    /// The path of the start page, `/` or a tenant's.
    pub home: &'a str,
}

/// The name of the product, shown where a tenant has none of its own.
pub const PRODUCT: &str = "Keyreeve";

impl<'a> Chrome<'a> {
    /// The texts of the page's language.
    #[must_use]
    pub const fn t(&self) -> &'static Texts {
        self.locale.texts()
    }

    /// Whether the page bears another name than the product's.
    #[must_use]
    pub fn has_own_brand(&self) -> bool {
        self.brand != PRODUCT
    }

    /// The URL of the stylesheet.
    #[must_use]
    pub const fn stylesheet(&self) -> AssetUrl<'a> {
        assets::STYLESHEET.url(self.base)
    }

    /// The URL of the script.
    #[must_use]
    pub const fn script(&self) -> AssetUrl<'a> {
        assets::SCRIPT.url(self.base)
    }

    /// The URL of the mark.
    #[must_use]
    pub const fn mark(&self) -> AssetUrl<'a> {
        assets::MARK.url(self.base)
    }
}

/// Where a form goes, and what it carries besides its visible fields.
#[derive(Clone, Copy, Debug)]
pub struct Form<'a> {
    /// The path that the form is posted to, on this server.
    pub action: &'a str,
    /// The token that proves that this server gave out the form ([`fields::CSRF`]).
    pub csrf: &'a str,
    /// Further hidden fields (name, value), such as the request that is waiting for a sign-in.
    pub hidden: &'a [(&'a str, &'a str)],
}

/// An application, as people see it. Both texts were chosen by whoever registered it.
#[derive(Clone, Debug)]
pub struct Application<'a> {
    /// Its display name.
    pub name: &'a str,
    /// The host of its home page, in ASCII form, so that letters which only look alike stay visible as such.
    pub host: Option<String>,
}

impl<'a> Application<'a> {
    /// An application with the `client_uri` of its registration (OpenID Connect Dynamic Client Registration 1.0,
    /// section 2). A URI that is no http or https URL counts as none.
    #[must_use]
    pub fn new(name: &'a str, client_uri: Option<&str>) -> Self {
        let parsed = client_uri.and_then(|uri| url::Url::parse(uri).ok());
        let web = parsed.filter(|url| matches!(url.scheme(), "http" | "https"));
        Self { name, host: web.and_then(|url| url.host_str().map(str::to_owned)) }
    }
}

/// An http or https URL of an application. Pages lead to no other kind: `javascript:` and `data:` URLs would act in the
/// name of this server (ABUSE-CASES AC-04).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebUrl<'a>(&'a str);

impl<'a> WebUrl<'a> {
    /// The URL, kept as it is written; absent when it is of another kind.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let url = url::Url::parse(text).ok()?;
        (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(Self(text))
    }

    /// The URL.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }
}

/// What keeps any form from being accepted, whatever its fields hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The CSRF token is missing or too old.
    Expired,
    /// The server has no room for the work just now (answered with 429 or 503).
    Busy,
    /// Too many attempts, by this account or from this address.
    TooMany {
        /// When it makes sense to try again.
        retry_after: Duration,
    },
}

impl Obstacle {
    fn sentence(self, t: &Texts) -> String {
        match self {
            Self::Expired => t.form_expired.to_owned(),
            Self::Busy => t.busy.to_owned(),
            Self::TooMany { retry_after } => filled(t.too_many, &t.wait(retry_after)),
        }
    }
}

/// A phrase with one of our own texts in its place. Texts of strangers go through the templates' `phrase` instead.
fn filled(phrase: Phrase, own_text: &str) -> String {
    format!("{}{own_text}{}", phrase.before(), phrase.after())
}

/// A foreign text without the characters that steer how the text around it is laid out: each of them becomes U+FFFD.
///
/// `<bdi>` alone is not enough. A text with an isolate that it never closes (U+2066) takes the end of the `<bdi>` for
/// its own in Chromium, and an override before it (U+202E) then turns around what follows: "Allow … to use your
/// account?" reads backwards. Unicode TR 36 section 2.5 has more of the kind.
pub(crate) fn inert(text: &str) -> Cow<'_, str> {
    if text.contains(steers) { Cow::Owned(text.replace(steers, "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// Whether a character is a control, a line separator, or an embedding, override or isolate (UAX #9 sections 2.1 to
/// 2.5). Marks and joiners, which some scripts need inside a name, do no harm.
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A line of the error summary.
pub(crate) struct Fault {
    /// The `id` of the field it is about.
    pub(crate) field: Option<&'static str>,
    pub(crate) text: String,
}

/// An input of a form: its name is its `id` as well.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    /// A token of HTML's `autocomplete`.
    pub(crate) autocomplete: &'static str,
    /// What is wrong with its content.
    pub(crate) faults: Vec<String>,
    /// The `id` of what explains it.
    pub(crate) hint: Option<&'static str>,
    /// Whether it is the first to type into.
    pub(crate) focus: bool,
    /// Whether its content is wrong though nothing is said at the field itself.
    pub(crate) suspect: bool,
}

impl Field {
    fn new(name: &'static str, label: &'static str, autocomplete: &'static str) -> Self {
        Self { name, label, autocomplete, faults: Vec::new(), hint: None, focus: false, suspect: false }
    }

    pub(crate) fn invalid(&self) -> bool {
        self.suspect || !self.faults.is_empty()
    }

    /// The value of `aria-describedby`; empty when nothing describes the field.
    pub(crate) fn described_by(&self) -> String {
        let mut ids = Vec::new();
        if !self.faults.is_empty() {
            ids.push(format!("{}-problem", self.name));
        }
        if self.suspect {
            ids.push("problem-list".to_owned());
        }
        ids.extend(self.hint.map(str::to_owned));
        ids.join(" ")
    }

    fn as_faults(&self) -> impl Iterator<Item = Fault> {
        self.faults.iter().map(|text| Fault { field: Some(self.name), text: text.clone() })
    }
}

/// The HTTP answer that holds `page`. Security headers are the business of the layer around all answers.
pub fn respond(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

//! What the doors that face a browser agree on, since they never import each other: where the pages are, how the
//! cookies are called, and who renders a page for a door that has none.

use crate::cookie::CookieNames;
use axum::response::Response;
use http::{HeaderMap, StatusCode};

/// Where the front channel's steps are, below a tenant's prefix.
pub mod path {
    /// The sign-in page.
    pub const SIGN_IN: &str = "/signin";
    /// The consent page.
    pub const CONSENT: &str = "/consent";
    /// The page that asks whether to sign out.
    pub const SIGN_OUT: &str = "/signout";
    /// The page that says that one is signed out.
    pub const SIGNED_OUT: &str = "/signout/done";
    /// The page where one types the code that a device shows.
    pub const DEVICE: &str = "/device";
    /// The parameter that carries such a code.
    pub const USER_CODE: &str = "user_code";
    /// Where an authorization request goes on after the sign-in page.
    pub const RESUME: &str = "/authorize/resume";
    /// The parameter that carries a sealed request from step to step.
    pub const REQUEST: &str = "request";
}

/// The cookies of one tenant's pages. Each tenant has its own, so that one browser can be signed in to several.
#[derive(Debug, Clone)]
pub struct TenantCookies {
    names: CookieNames,
    suffix: String,
}

impl TenantCookies {
    /// Those of the tenant that the path names; none is the default tenant. The name must be one that the room knows.
    #[must_use]
    pub fn of(names: CookieNames, tenant: Option<&str>) -> Self {
        Self { names, suffix: tenant.map(|slug| format!("-{slug}")).unwrap_or_default() }
    }

    /// How cookies are protected.
    #[must_use]
    pub const fn names(&self) -> CookieNames {
        self.names
    }

    /// The session.
    #[must_use]
    pub fn session(&self) -> String {
        format!("session{}", self.suffix)
    }

    /// What marks a browser from which a user has signed in before.
    #[must_use]
    pub fn device(&self) -> String {
        format!("device{}", self.suffix)
    }

    /// What marks the browser, before and after a sign-in: sealed requests and form tokens are bound to it.
    #[must_use]
    pub fn browser(&self) -> String {
        format!("browser{}", self.suffix)
    }

    /// The token of a link to choose a new password, while its user does.
    #[must_use]
    pub fn reset(&self) -> String {
        format!("reset{}", self.suffix)
    }

    /// The token of a link to confirm an address, while its user does.
    #[must_use]
    pub fn verify(&self) -> String {
        format!("verify{}", self.suffix)
    }

    /// The value of the cookie `base` (one of the names above).
    #[must_use]
    pub fn read<'h>(&self, headers: &'h HeaderMap, base: &str) -> Option<&'h str> {
        self.names.read(headers, base)
    }
}

/// An error that is shown to a person, because there is no certain place to send the browser to.
#[derive(Debug)]
pub struct ErrorPage<'a> {
    /// The path prefix of the tenant: empty, or `/t/SLUG`.
    pub prefix: &'a str,
    /// The status of the answer.
    pub status: StatusCode,
    /// The error code, for the developer whom the person will ask.
    pub error: &'a str,
    /// What is wrong.
    pub description: &'a str,
}

/// A form that the browser posts to a client by itself, or when its user presses the button (OAuth 2.0 Form Post
/// Response Mode).
#[derive(Debug)]
pub struct FormPost<'a> {
    /// The path prefix of the tenant.
    pub prefix: &'a str,
    /// Where the form goes: a redirect URI that the client registered.
    pub action: &'a str,
    /// The fields.
    pub fields: &'a [(&'static str, String)],
}

/// Whoever renders pages for doors that have none.
pub trait BrowserPages: Send + Sync + 'static {
    /// An error page.
    fn error(&self, headers: &HeaderMap, page: &ErrorPage<'_>) -> Response;
    /// A form that posts itself.
    fn form_post(&self, headers: &HeaderMap, page: &FormPost<'_>) -> Response;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_have_cookies_of_their_own() {
        let names = CookieNames { secure: true };
        let (first, second) = (TenantCookies::of(names, None), TenantCookies::of(names, Some("acme")));
        assert_eq!((first.session().as_str(), second.session().as_str()), ("session", "session-acme"));
        assert_ne!(names.name(&first.browser()), names.name(&second.browser()));
    }
}

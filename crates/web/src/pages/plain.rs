//! The small pages: signing out, the answer to an application, the start page.

use super::{Application, Chrome, Form, Template, WebUrl};

/// Asks whether to sign out. The form posts nothing but its token.
#[derive(Template)]
#[template(path = "sign_out.html", whitespace = "minimize")]
pub struct SignOut<'a> {
    /// What surrounds the content.
    pub chrome: Chrome<'a>,
    /// Where the form goes.
    pub form: Form<'a>,
    /// The application that asks for it (OpenID Connect RP-Initiated Logout 1.0 section 2); absent when it is the
    /// person's own wish.
    pub application: Option<Application<'a>>,
    /// Who is signed in: the display name or user name.
    pub user: &'a str,
    /// Where "Stay signed in" leads.
    pub stay_url: &'a str,
}

/// Says that one is signed out.
#[derive(Template)]
#[template(path = "signed_out.html", whitespace = "minimize")]
pub struct SignedOut<'a> {
    /// What surrounds the content.
    pub chrome: Chrome<'a>,
    /// The way back: the application, and its registered `post_logout_redirect_uri`.
    pub return_to: Option<(Application<'a>, WebUrl<'a>)>,
    /// Where to sign in again.
    pub sign_in_url: &'a str,
}

/// Carries the answer to an application in a form (OAuth 2.0 Form Post Response Mode). It is sent by the script, or
/// by the button.
#[derive(Template)]
#[template(path = "form_post.html", whitespace = "minimize")]
pub struct FormPost<'a> {
    /// What surrounds the content.
    pub chrome: Chrome<'a>,
    /// The client's registered redirect URI. The Content-Security-Policy of this page has to name its origin in
    /// `form-action`.
    pub redirect_uri: WebUrl<'a>,
    /// The application's name.
    pub application: Application<'a>,
    /// The parameters of the answer.
    pub params: &'a [(&'a str, &'a str)],
}

/// The start page.
#[derive(Template)]
#[template(path = "landing.html", whitespace = "minimize")]
pub struct Landing<'a> {
    /// What surrounds the content.
    pub chrome: Chrome<'a>,
    /// Where to sign in.
    pub sign_in_url: &'a str,
    /// Who is signed in (display name or user name), and the path of the account page.
    pub signed_in: Option<(&'a str, &'a str)>,
}

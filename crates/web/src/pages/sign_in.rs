//! The sign-in page.

use super::{Application, Chrome, Fault, Field, Form, Obstacle, Template, fields};

/// Asks for a name and a password. Posts [`fields::USERNAME`] and [`fields::PASSWORD`].
#[derive(Template)]
#[template(path = "sign_in.html", whitespace = "minimize")]
pub struct SignIn<'a> {
    /// What surrounds the content.
    pub chrome: Chrome<'a>,
    /// Where the form goes.
    pub form: Form<'a>,
    /// The application that one signs in to; absent when it is this server's own pages.
    pub application: Option<Application<'a>>,
    /// What the name field holds at first: the `login_hint` (OpenID Connect Core 1.0 section 3.1.2.1), or what was
    /// typed before.
    pub username: &'a str,
    /// Whether there is a session already, and the application wants it confirmed (`prompt=login`, `max_age`).
    pub again: bool,
    /// Where to go who forgot the password; absent where no mail can be sent.
    pub forgot_url: Option<&'a str>,
    /// Why the form is shown once more.
    pub problem: Option<SignInProblem>,
}

/// Why signing in did not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInProblem {
    /// Refused. It is not said why: a wrong password, no such account and a disabled one look the same (ABUSE-CASES
    /// AC-21).
    Refused,
    /// A field was left empty.
    Missing {
        /// The name.
        username: bool,
        /// The password.
        password: bool,
    },
    /// Not accepted, whatever the fields hold.
    Obstacle(Obstacle),
}

impl SignIn<'_> {
    fn refused(&self) -> bool {
        self.problem == Some(SignInProblem::Refused)
    }

    fn username_field(&self) -> Field {
        let t = self.chrome.t();
        let mut field = Field::new(fields::USERNAME, t.username_or_email, "username");
        if let Some(SignInProblem::Missing { username: true, .. }) = self.problem {
            field.faults.push(t.username_missing.to_owned());
        }
        field.suspect = self.refused();
        field.focus = self.problem.is_none() && self.username.is_empty();
        field
    }

    fn password_field(&self) -> Field {
        let t = self.chrome.t();
        let mut field = Field::new(fields::PASSWORD, t.password, "current-password");
        if let Some(SignInProblem::Missing { password: true, .. }) = self.problem {
            field.faults.push(t.password_missing.to_owned());
        }
        field.suspect = self.refused();
        field.focus = self.problem.is_none() && !self.username.is_empty();
        field
    }

    fn faults(&self) -> Vec<Fault> {
        let t = self.chrome.t();
        match self.problem {
            None => Vec::new(),
            Some(SignInProblem::Refused) => vec![Fault { field: None, text: t.sign_in_refused.to_owned() }],
            Some(SignInProblem::Missing { .. }) => {
                self.username_field().as_faults().chain(self.password_field().as_faults()).collect()
            }
            Some(SignInProblem::Obstacle(obstacle)) => {
                vec![Fault { field: None, text: obstacle.sentence(t) }]
            }
        }
    }
}

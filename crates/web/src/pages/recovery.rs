//! The pages around links by mail: asking for one, confirming an address, and what became of either.

use super::{Chrome, Fault, Field, Form, Obstacle, Template, fields};

/// Asks whose password was forgotten. Posts [`fields::USERNAME`].
#[derive(Template)]
#[template(path = "forgot.html", whitespace = "minimize")]
pub struct Forgot<'a> {
    /// What surrounds the content.
    pub chrome: Chrome<'a>,
    /// Where the form goes.
    pub form: Form<'a>,
    /// What the field holds at first.
    pub username: &'a str,
    /// Where "Cancel" leads.
    pub cancel_url: &'a str,
    /// Why the form is shown once more.
    pub problem: Option<ForgotProblem>,
}

/// Why asking for a link did not go on. Whether there is such an account is no reason (ABUSE-CASES AC-21).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForgotProblem {
    /// The field was left empty.
    Missing,
    /// Not accepted, whatever the field holds.
    Obstacle(Obstacle),
}

impl Forgot<'_> {
    fn username_field(&self) -> Field {
        let t = self.chrome.t();
        let mut field = Field::new(fields::USERNAME, t.username_or_email, "username");
        if self.problem == Some(ForgotProblem::Missing) {
            field.faults.push(t.username_missing.to_owned());
        }
        field.focus = self.problem.is_none();
        field
    }

    fn faults(&self) -> Vec<Fault> {
        match self.problem {
            None => Vec::new(),
            Some(ForgotProblem::Missing) => self.username_field().as_faults().collect(),
            Some(ForgotProblem::Obstacle(obstacle)) => {
                vec![Fault { field: None, text: obstacle.sentence(self.chrome.t()) }]
            }
        }
    }
}

/// Asks whether an address is the reader's. The form posts nothing but its token: what merely follows links, as scanners
/// of mail do, confirms nothing.
#[derive(Template)]
#[template(path = "verify_email.html", whitespace = "minimize")]
pub struct VerifyEmail<'a> {
    /// What surrounds the content.
    pub chrome: Chrome<'a>,
    /// Where the form goes.
    pub form: Form<'a>,
    /// The address.
    pub address: &'a str,
}

/// Says what became of a link, or of asking for one.
#[derive(Template)]
#[template(path = "link_news.html", whitespace = "minimize")]
pub struct LinkNews<'a> {
    /// What surrounds the content.
    pub chrome: Chrome<'a>,
    /// What it is.
    pub news: News,
    /// Where it goes on: to ask once more, to sign in, to the account.
    pub action_url: &'a str,
}

/// What became of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// It was asked for. It is not said whether there is such an account.
    Asked,
    /// A link to choose a password does not work (any more).
    ResetDead,
    /// A link to confirm an address does not work (any more).
    VerifyDead,
    /// A new password was chosen.
    PasswordChosen,
    /// The address is confirmed.
    AddressConfirmed,
}

impl LinkNews<'_> {
    /// Title, sentence, and what the way on is called.
    fn words(&self) -> (&'static str, &'static str, &'static str) {
        let t = self.chrome.t();
        match self.news {
            News::Asked => (t.link_asked, t.link_asked_detail, t.link_to_sign_in),
            News::ResetDead => (t.link_dead, t.reset_dead_detail, t.link_again),
            News::VerifyDead => (t.link_dead, t.verify_dead_detail, t.link_to_account),
            News::PasswordChosen => (t.reset_done, t.reset_done_detail, t.sign_in),
            News::AddressConfirmed => (t.verify_done, t.verify_done_detail, t.link_to_account),
        }
    }
}

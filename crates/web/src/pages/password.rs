//! The page on which a password is changed.

use super::{Chrome, Fault, Field, Form, Obstacle, Template, fields};
use crate::texts::Texts;

/// Asks for a new password. Posts [`fields::CURRENT_PASSWORD`] (when asked for), [`fields::NEW_PASSWORD`] and
/// [`fields::REPEAT_PASSWORD`].
#[derive(Template)]
#[template(path = "change_password.html", whitespace = "minimize")]
pub struct ChangePassword<'a> {
    /// What surrounds the content.
    pub chrome: Chrome<'a>,
    /// Where the form goes.
    pub form: Form<'a>,
    /// The user name, for people and for their password managers.
    pub username: &'a str,
    /// Whether nothing else is possible before a new password is chosen.
    pub forced: bool,
    /// Whether a link by mail led here, and nobody is signed in.
    pub by_link: bool,
    /// Whether the current password is asked for.
    pub ask_current: bool,
    /// Where "Cancel" leads; absent when there is no way back, as in the forced variant.
    pub cancel_url: Option<&'a str>,
    /// The policy in force.
    pub rules: &'a [PasswordRule],
    /// Why the form is shown once more.
    pub problems: PasswordProblems,
}

/// One requirement of the password policy. It is told to people before they choose, and again when they break it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordRule {
    /// At least this many characters.
    MinChars(u32),
    /// At most this many characters.
    MaxChars(u32),
    /// At least this many lower-case letters.
    Lower(u32),
    /// At least this many upper-case letters.
    Upper(u32),
    /// At least this many digits.
    Digits(u32),
    /// At least this many characters of other kinds.
    Symbols(u32),
    /// None of the last so many passwords.
    NotRecent(u32),
    /// Without the user name, the e-mail address or the person's name.
    NotYourName,
    /// Not on the list of well-known passwords.
    NotWellKnown,
}

impl PasswordRule {
    fn sentence(self, t: &Texts) -> String {
        match self {
            Self::MinChars(n) => t.rule_min_chars.of(n.into()),
            Self::MaxChars(n) => t.rule_max_chars.of(n.into()),
            Self::Lower(n) => t.rule_lower.of(n.into()),
            Self::Upper(n) => t.rule_upper.of(n.into()),
            Self::Digits(n) => t.rule_digits.of(n.into()),
            Self::Symbols(n) => t.rule_symbols.of(n.into()),
            Self::NotRecent(n) => t.rule_not_recent.of(n.into()),
            Self::NotYourName => t.rule_not_your_name.to_owned(),
            Self::NotWellKnown => t.rule_not_well_known.to_owned(),
        }
    }
}

/// What was wrong with each field; the default is nothing.
#[derive(Clone, Debug, Default)]
pub struct PasswordProblems {
    /// The current password.
    pub current: Option<CurrentProblem>,
    /// The new one; several rules can be broken at once.
    pub new: Vec<NewProblem>,
    /// Its repetition.
    pub repeat: Option<RepeatProblem>,
    /// Not accepted, whatever the fields hold.
    pub obstacle: Option<Obstacle>,
}

/// What is wrong with the current password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CurrentProblem {
    /// Left empty.
    Missing,
    /// Not the one.
    Wrong,
}

/// What is wrong with the new password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewProblem {
    /// Left empty.
    Missing,
    /// The current one over again.
    IsCurrent,
    /// Against a rule.
    Breaks(PasswordRule),
}

/// What is wrong with the repetition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepeatProblem {
    /// Left empty.
    Missing,
    /// Not the same.
    Differs,
}

impl ChangePassword<'_> {
    fn title(&self) -> &'static str {
        let t = self.chrome.t();
        if self.forced || self.by_link { t.choose_password } else { t.change_password }
    }

    fn rule_sentences(&self) -> Vec<String> {
        self.rules.iter().map(|rule| rule.sentence(self.chrome.t())).collect()
    }

    fn untouched(&self) -> bool {
        let PasswordProblems { current, new, repeat, obstacle } = &self.problems;
        current.is_none() && new.is_empty() && repeat.is_none() && obstacle.is_none()
    }

    fn current_field(&self) -> Field {
        let t = self.chrome.t();
        let mut field = Field::new(fields::CURRENT_PASSWORD, t.current_password, "current-password");
        field.faults.extend(self.problems.current.map(|problem| {
            match problem {
                CurrentProblem::Missing => t.current_missing,
                CurrentProblem::Wrong => t.current_wrong,
            }
            .to_owned()
        }));
        field.focus = self.untouched();
        field
    }

    fn new_field(&self) -> Field {
        let t = self.chrome.t();
        let mut field = Field::new(fields::NEW_PASSWORD, t.new_password, "new-password");
        field.faults.extend(self.problems.new.iter().map(|problem| match problem {
            NewProblem::Missing => t.new_missing.to_owned(),
            NewProblem::IsCurrent => t.new_is_current.to_owned(),
            NewProblem::Breaks(rule) => rule.sentence(t),
        }));
        field.hint = (!self.rules.is_empty()).then_some("rules");
        field.focus = self.untouched() && !self.ask_current;
        field
    }

    fn repeat_field(&self) -> Field {
        let t = self.chrome.t();
        let mut field = Field::new(fields::REPEAT_PASSWORD, t.repeat_password, "new-password");
        field.faults.extend(self.problems.repeat.map(|problem| {
            match problem {
                RepeatProblem::Missing => t.repeat_missing,
                RepeatProblem::Differs => t.repeat_differs,
            }
            .to_owned()
        }));
        field
    }

    fn faults(&self) -> Vec<Fault> {
        let sentence = |obstacle: Obstacle| Fault { field: None, text: obstacle.sentence(self.chrome.t()) };
        let mut faults: Vec<Fault> = self.problems.obstacle.map(sentence).into_iter().collect();
        if self.ask_current {
            faults.extend(self.current_field().as_faults());
        }
        faults.extend(self.new_field().as_faults());
        faults.extend(self.repeat_field().as_faults());
        faults
    }
}

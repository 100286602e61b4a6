//! The pages of the second factor: the code at sign-in, the devices, a new device, recovery codes.

use super::{Chrome, Fault, Field, Form, Obstacle, Template, fields, moment};
use keyreeve_base::{Timestamp, TotpId};
use qrcodegen::{QrCode, QrCodeEcc};
use std::fmt::Write as _;

/// Light modules around a square, which cameras need to find it.
const MARGIN: i32 = 4;

/// Asks for the code that belongs to a sign-in. Posts [`fields::CODE`].
#[derive(Template)]
#[template(path = "code.html", whitespace = "minimize")]
pub struct Code<'a> {
    /// What surrounds the content.
    pub chrome: Chrome<'a>,
    /// Where the form goes.
    pub form: Form<'a>,
    /// Why the form is shown once more.
    pub problem: Option<CodeProblem>,
}

/// What was wrong with a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeProblem {
    /// Left empty.
    Missing,
    /// Not the one, or used before.
    Wrong,
    /// Not accepted, whatever it was.
    Obstacle(Obstacle),
}

fn code_field(chrome: &Chrome<'_>, problem: Option<CodeProblem>) -> Field {
    let t = chrome.t();
    let mut field = Field::new(fields::CODE, t.code, "one-time-code");
    match problem {
        Some(CodeProblem::Missing) => field.faults.push(t.code_missing.to_owned()),
        Some(CodeProblem::Wrong) => field.faults.push(t.code_wrong.to_owned()),
        Some(CodeProblem::Obstacle(_)) => {}
        None => field.focus = true,
    }
    field
}

fn code_faults(chrome: &Chrome<'_>, problem: Option<CodeProblem>) -> Vec<Fault> {
    match problem {
        Some(CodeProblem::Obstacle(obstacle)) => {
            vec![Fault { field: None, text: obstacle.sentence(chrome.t()) }]
        }
        problem => code_field(chrome, problem).as_faults().collect(),
    }
}

impl Code<'_> {
    fn code_field(&self) -> Field {
        code_field(&self.chrome, self.problem)
    }

    fn faults(&self) -> Vec<Fault> {
        code_faults(&self.chrome, self.problem)
    }
}

/// The devices of an account. Its form posts [`fields::PASSWORD`], [`fields::NAME`], and the button as
/// [`fields::ACTION`]: `add`, `codes`, or `remove` and the device.
#[derive(Template)]
#[template(path = "two_step.html", whitespace = "minimize")]
pub struct TwoStep<'a> {
    /// What surrounds the content.
    pub chrome: Chrome<'a>,
    /// Where the form goes.
    pub form: Form<'a>,
    /// The present moment.
    pub now: Timestamp,
    /// The devices in use.
    pub devices: &'a [CodeDevice<'a>],
    /// How many recovery codes are left.
    pub recovery_codes: u64,
    /// Where one comes back to.
    pub back_url: &'a str,
    /// Why the form is shown once more.
    pub problem: Option<TwoStepProblem>,
}

/// A device that makes codes.
#[derive(Clone, Copy, Debug)]
pub struct CodeDevice<'a> {
    /// Its identifier.
    pub id: TotpId,
    /// What its user calls it.
    pub name: &'a str,
    /// When a code of it was last used.
    pub last_used: Option<Timestamp>,
}

/// Why nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TwoStepProblem {
    /// The password was left empty.
    PasswordMissing,
    /// It is not the password.
    PasswordWrong,
    /// The name is not acceptable, or there are too many devices.
    Name,
    /// Not accepted, whatever the fields hold.
    Obstacle(Obstacle),
}

impl TwoStep<'_> {
    fn password_field(&self) -> Field {
        let t = self.chrome.t();
        let mut field = Field::new(fields::PASSWORD, t.current_password, "current-password");
        match self.problem {
            Some(TwoStepProblem::PasswordMissing) => field.faults.push(t.current_missing.to_owned()),
            Some(TwoStepProblem::PasswordWrong) => field.faults.push(t.current_wrong.to_owned()),
            _ => {}
        }
        field
    }

    fn name_field(&self) -> Field {
        let t = self.chrome.t();
        let mut field = Field::new(fields::NAME, t.two_step_name, "off");
        if self.problem == Some(TwoStepProblem::Name) {
            field.faults.push(t.two_step_name_wrong.to_owned());
        }
        field
    }

    fn faults(&self) -> Vec<Fault> {
        let t = self.chrome.t();
        if let Some(TwoStepProblem::Obstacle(obstacle)) = self.problem {
            return vec![Fault { field: None, text: obstacle.sentence(t) }];
        }
        self.password_field().as_faults().chain(self.name_field().as_faults()).collect()
    }

    fn ago(&self, at: &Timestamp) -> String {
        moment::ago(self.chrome.locale, self.now, *at)
    }

    fn exactly(&self, at: &Timestamp) -> String {
        moment::machine(*at)
    }
}

/// Shows a new device's secret, once, and asks for the first code. Posts [`fields::CODE`].
#[derive(Template)]
#[template(path = "two_step_add.html", whitespace = "minimize")]
pub struct TwoStepAdd<'a> {
    /// What surrounds the content.
    pub chrome: Chrome<'a>,
    /// Where the form goes.
    pub form: Form<'a>,
    /// The secret as text and as address; absent when the form is shown once more, since it is told once.
    pub secret: Option<(&'a str, &'a str)>,
    /// Where one comes back to.
    pub back_url: &'a str,
    /// Why the form is shown once more.
    pub problem: Option<CodeProblem>,
}

/// A square for cameras, as the path of an SVG.
struct Square {
    size: i32,
    path: String,
}

impl TwoStepAdd<'_> {
    fn code_field(&self) -> Field {
        code_field(&self.chrome, self.problem)
    }

    fn faults(&self) -> Vec<Fault> {
        code_faults(&self.chrome, self.problem)
    }

    fn square(&self) -> Option<Square> {
        let code = QrCode::encode_text(self.secret?.1, QrCodeEcc::Medium).ok()?;
        let mut path = String::new();
        for y in 0..code.size() {
            for x in (0..code.size()).filter(|x| code.get_module(*x, y)) {
                let _ = write!(path, "M{} {}h1v1h-1z", x + MARGIN, y + MARGIN);
            }
        }
        Some(Square { size: code.size() + 2 * MARGIN, path })
    }

    /// The secret in groups of four, to be typed.
    fn spaced(&self) -> String {
        let characters: Vec<char> = self.secret.map(|(text, _)| text.chars().collect()).unwrap_or_default();
        let groups = characters.chunks(4).map(|group| group.iter().collect::<String>());
        groups.collect::<Vec<_>>().join(" ")
    }
}

/// Shows recovery codes, once.
#[derive(Template)]
#[template(path = "recovery_codes.html", whitespace = "minimize")]
pub struct RecoveryCodes<'a> {
    /// What surrounds the content.
    pub chrome: Chrome<'a>,
    /// The codes.
    pub codes: &'a [&'a str],
    /// Where one comes back to.
    pub back_url: &'a str,
}

//! The pages of the device grant (RFC 8628 section 3.3): type the code, decide, done.

use super::consent::{Asked, lines};
use super::{Application, Chrome, Fault, Field, Form, Obstacle, Template, fields};

/// Asks for the code that a device shows. Posts [`fields::USER_CODE`].
#[derive(Template)]
#[template(path = "device_code.html", whitespace = "minimize")]
pub struct DeviceCode<'a> {
    /// What surrounds the content.
    pub chrome: Chrome<'a>,
    /// Where the form goes.
    pub form: Form<'a>,
    /// What the field holds at first: the code that was in the link, or what was typed before.
    pub user_code: &'a str,
    /// Whose account it is.
    pub user: &'a str,
    /// Why the form is shown once more.
    pub problem: Option<DeviceCodeProblem>,
}

/// Why a code did not lead on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceCodeProblem {
    /// The field was left empty.
    Missing,
    /// No device waits under this code (any more).
    Unknown,
    /// Not accepted, whatever the field holds.
    Obstacle(Obstacle),
}

impl DeviceCode<'_> {
    fn field(&self) -> Field {
        let t = self.chrome.t();
        let mut field = Field::new(fields::USER_CODE, t.device_code, "one-time-code");
        match self.problem {
            Some(DeviceCodeProblem::Missing) => field.faults.push(t.device_code_missing.to_owned()),
            Some(DeviceCodeProblem::Unknown) => field.faults.push(t.device_code_unknown.to_owned()),
            Some(DeviceCodeProblem::Obstacle(_)) | None => {}
        }
        field.hint = Some("user_code-hint");
        field.focus = self.problem.is_none();
        field
    }

    fn faults(&self) -> Vec<Fault> {
        match self.problem {
            None => Vec::new(),
            Some(DeviceCodeProblem::Missing | DeviceCodeProblem::Unknown) => {
                self.field().as_faults().collect()
            }
            Some(DeviceCodeProblem::Obstacle(obstacle)) => {
                vec![Fault { field: None, text: obstacle.sentence(self.chrome.t()) }]
            }
        }
    }
}

/// Asks whether a device may have what it asks for. Posts [`fields::DECISION`].
#[derive(Template)]
#[template(path = "device_confirm.html", whitespace = "minimize")]
pub struct DeviceConfirm<'a> {
    /// What surrounds the content.
    pub chrome: Chrome<'a>,
    /// Where the form goes.
    pub form: Form<'a>,
    /// Who asks.
    pub application: Application<'a>,
    /// The code, to be compared with what the device shows.
    pub user_code: &'a str,
    /// Where the device asked from.
    pub address: Option<&'a str>,
    /// Whose account it is.
    pub user: &'a str,
    /// The scopes asked for, in the order in which they are shown.
    pub scopes: &'a [&'a str],
}

impl<'a> DeviceConfirm<'a> {
    fn asked(&self) -> Vec<Asked<'a>> {
        lines(self.chrome.t(), self.scopes)
    }
}

/// Says what came of it.
#[derive(Template)]
#[template(path = "device_done.html", whitespace = "minimize")]
pub struct DeviceDone<'a> {
    /// What surrounds the content.
    pub chrome: Chrome<'a>,
    /// What came of it.
    pub outcome: DeviceOutcome,
    /// Where to type another code; absent where that is not needed.
    pub again_url: Option<&'a str>,
}

/// What came of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceOutcome {
    /// It goes on.
    Allowed,
    /// It was turned away.
    Denied,
    /// It waits no longer.
    Expired,
}

impl DeviceDone<'_> {
    const fn title(&self) -> &'static str {
        let t = self.chrome.t();
        match self.outcome {
            DeviceOutcome::Allowed => t.device_allowed,
            DeviceOutcome::Denied => t.device_denied,
            DeviceOutcome::Expired => t.device_expired,
        }
    }

    const fn detail(&self) -> &'static str {
        let t = self.chrome.t();
        match self.outcome {
            DeviceOutcome::Allowed => t.device_allowed_detail,
            DeviceOutcome::Denied => t.device_denied_detail,
            DeviceOutcome::Expired => t.device_expired_detail,
        }
    }
}

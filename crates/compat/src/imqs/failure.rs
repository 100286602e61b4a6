//! What goes wrong, in the original's words. A category's text is its prefix; what the original's database adds to some is
//! left out, which its clients take as well.

use super::reply::Reply;
use http::HeaderValue;
use keyreeve_identity::{Error, PolicyViolation};
use std::borrow::Cow;
use std::time::Duration;

pub(super) const NOT_ADMIN: &str = "You are not an administrator";
pub(super) const DISABLED: &str = "Account disabled";
pub(super) const NO_PASSWORD_TO_MAIL: &str = "No password for sending email";

/// Why something is not done.
#[derive(Debug)]
pub(super) enum Failure {
    NoCredential,
    BadBasic,
    EmptyIdentity,
    NoSuchUser,
    WrongPassword,
    Locked,
    Expired,
    NoPermit,
    NoSession,
    /// A way in that the original does not have stands before this account.
    Unsupported(&'static str),
    AlreadyExists,
    Reused,
    /// Too many attempts, or too much to do.
    Wait(Duration),
    /// A value is not acceptable.
    Invalid(String),
    Internal(Box<dyn std::error::Error + Send + Sync>),
}

impl Failure {
    /// The text.
    pub(super) fn text(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::NoCredential => "No authorization information",
            Self::BadBasic => "HTTP Basic Authorization must be base64(identity:password)",
            Self::EmptyIdentity => "Identity may not be empty",
            Self::NoSuchUser => "Identity authorization not found",
            Self::WrongPassword => "Invalid password",
            Self::Locked => "Account locked. Please contact your administrator",
            Self::Expired => "Password has expired",
            Self::NoPermit => "Identity permit not found",
            Self::NoSession => "Invalid session token",
            Self::AlreadyExists => "Identity already exists",
            Self::Reused => "Invalid previously used password",
            Self::Unsupported(what) => return Cow::Owned(format!("Unsupported operation: {what}")),
            Self::Wait(_) => "Too many attempts. Please wait before you try again",
            Self::Invalid(problem) => return Cow::Owned(problem.clone()),
            Self::Internal(_) => "Internal error",
        })
    }

    /// The answer: with this status where the reason is the caller's.
    pub(super) fn reply(self, status: u16) -> Reply {
        match self {
            Self::Internal(error) => Reply::internal(&*error),
            Self::Wait(after) => {
                let seconds = HeaderValue::from(after.as_secs().max(1));
                Reply::text(429, self.text()).with(http::header::RETRY_AFTER, seconds)
            }
            other => Reply::text(status, other.text()),
        }
    }

    /// The answer with words before the text.
    pub(super) fn behind(self, status: u16, words: &str) -> Reply {
        match self {
            Self::Internal(_) | Self::Wait(_) => self.reply(status),
            other => Reply::text(status, format!("{words}{}", other.text())),
        }
    }

    /// The answer to a credential (contract 2.5).
    pub(super) fn of_credential(self) -> Reply {
        let status = match self {
            Self::NoCredential | Self::EmptyIdentity => 401,
            Self::BadBasic => 400,
            _ => 403,
        };
        self.reply(status)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        if let Some(after) = error.retry_after() {
            return Self::Wait(after);
        }
        match error {
            Error::NotFound("user") => Self::NoSuchUser,
            Error::Taken(_) => Self::AlreadyExists,
            Error::Policy(found) if matches!(*found, [PolicyViolation::Reused { .. }]) => Self::Reused,
            Error::Policy(_) | Error::Invalid { .. } | Error::NotFound(_) | Error::VersionConflict => {
                Self::Invalid(error.to_string())
            }
            Error::Store(ref store)
                if store.is_conflict_on("compat_imqs_user_email")
                    || store.is_conflict_on("compat_imqs_user_uuid") =>
            {
                Self::AlreadyExists
            }
            other => Self::Internal(Box::new(other)),
        }
    }
}

impl From<keyreeve_store::Error> for Failure {
    fn from(error: keyreeve_store::Error) -> Self {
        Self::from(Error::from(error))
    }
}

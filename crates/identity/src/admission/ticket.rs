//! The ticket that a user gets whose sign-in has a further step (a one-time code, a new password): sealed text that says
//! who proved which version of their password, and what else. When the password changes, the ticket is void.

use super::{Admission, Method};
use crate::Error;
use keyreeve_base::{TenantId, Timestamp, UserId};
use std::sync::Arc;
use std::time::Duration;

const MAX_TICKET: usize = 1_024;
const LASTS: Duration = Duration::from_secs(600);

/// The step that a ticket opens; it opens no other.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Code,
    NewPassword,
}

impl Step {
    const fn purpose(self) -> &'static [u8] {
        match self {
            Self::Code => b"second factor ticket",
            Self::NewPassword => b"password change ticket",
        }
    }

    /// Its name in the audit log's details.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Code => "second_factor_ticket",
            Self::NewPassword => "password_change_ticket",
        }
    }
}

/// What a ticket says.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(super) struct Ticket {
    #[serde(rename = "u")]
    pub(super) user: UserId,
    #[serde(rename = "v")]
    pub(super) version: i64,
    /// How the user proved themselves so far.
    #[serde(rename = "a")]
    pub(super) amr: Arc<[String]>,
    #[serde(rename = "t")]
    issued_at: Timestamp,
}

impl Admission<'_> {
    pub(super) async fn seal_ticket(
        self,
        tenant: TenantId,
        step: Step,
        (user, version, amr): (UserId, i64, Arc<[String]>),
    ) -> Result<String, Error> {
        let ticket = Ticket { user, version, amr, issued_at: self.0.world().now() };
        let text = crate::write_json(&ticket)?;
        self.0.tenants().seal_text(tenant, &[step.purpose()], text.as_bytes()).await
    }

    /// The ticket, or why it is none.
    pub(super) async fn open_ticket(
        self,
        tenant: TenantId,
        step: Step,
        text: &str,
    ) -> Result<Result<Ticket, &'static str>, Error> {
        if text.len() > MAX_TICKET {
            return Ok(Err("ticket_invalid"));
        }
        let opened = match self.0.tenants().open_text(tenant, &[step.purpose()], text).await {
            Ok(opened) => opened,
            Err(Error::Seal(_)) => return Ok(Err("ticket_invalid")),
            Err(error) => return Err(error),
        };
        let Ok(ticket) = serde_json::from_slice::<Ticket>(opened.expose()) else {
            return Ok(Err("ticket_invalid"));
        };
        let age = self.0.world().now().since(ticket.issued_at);
        Ok(if age <= LASTS { Ok(ticket) } else { Err("ticket_expired") })
    }

    /// The way in that a ticket continues.
    pub(super) const TICKET_METHOD: Method = Method::Password;
}

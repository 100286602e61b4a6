//! The ticket that a user gets who must choose a new password before anything else: sealed text that says who proved
//! which version of their password. When the password changes, the ticket is void, and so it works once.

use super::{Admission, Method};
use crate::Error;
use keyreeve_base::{TenantId, Timestamp, UserId};
use std::time::Duration;

const PURPOSE: &[u8] = b"password change ticket";
const MAX_TICKET: usize = 1_024;
const LASTS: Duration = Duration::from_secs(600);

/// What a ticket says.
#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
pub(super) struct Ticket {
    #[serde(rename = "u")]
    pub(super) user: UserId,
    #[serde(rename = "v")]
    pub(super) version: i64,
    #[serde(rename = "t")]
    issued_at: Timestamp,
}

impl Admission<'_> {
    pub(super) async fn seal_ticket(
        self,
        tenant: TenantId,
        user: UserId,
        version: i64,
    ) -> Result<String, Error> {
        let ticket = Ticket { user, version, issued_at: self.0.world().now() };
        let text = crate::write_json(&ticket)?;
        self.0.tenants().seal_text(tenant, &[PURPOSE], text.as_bytes()).await
    }

    /// The ticket, or why it is none.
    pub(super) async fn open_ticket(
        self,
        tenant: TenantId,
        text: &str,
    ) -> Result<Result<Ticket, &'static str>, Error> {
        if text.len() > MAX_TICKET {
            return Ok(Err("ticket_invalid"));
        }
        let opened = match self.0.tenants().open_text(tenant, &[PURPOSE], text).await {
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

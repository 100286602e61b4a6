//! Device cookies: what a browser keeps after a sign-in, so that its user is not kept out by somebody else's guessing
//! elsewhere (ABUSE-CASES AC-26). It opens nothing; it only moves an attempt to a counter of its own.

use super::Admission;
use super::throttle::{Counter, Scope};
use crate::Error;
use crate::tenants::Tenant;
use keyreeve_base::{TenantId, Timestamp, UserId};
use std::time::Duration;

const PURPOSE: &[u8] = b"device cookie";
/// The longest device cookie that is looked at, in bytes.
const MAX_COOKIE: usize = 512;

/// What a device cookie says.
#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
pub(super) struct Device {
    #[serde(rename = "u")]
    pub(super) user: UserId,
    #[serde(rename = "d")]
    id: uuid::Uuid,
    #[serde(rename = "t")]
    issued_at: Timestamp,
}

impl Device {
    pub(super) fn counter(&self) -> Counter {
        Counter::new(Scope::Device, &[self.user.uuid().as_bytes(), self.id.as_bytes()])
    }
}

impl Admission<'_> {
    /// A cookie for the browser in which `user` has just signed in.
    pub(super) async fn seal_device(self, tenant: TenantId, user: UserId) -> Result<String, Error> {
        let world = self.0.world();
        let device = Device { user, id: world.new_uuid(), issued_at: world.now() };
        let text = crate::write_json(&device)?;
        self.0.tenants().seal_text(tenant, &[PURPOSE], text.as_bytes()).await
    }

    /// The device of a cookie; none when it is not ours, not this tenant's, or too old.
    pub(super) async fn open_device(self, tenant: &Tenant, cookie: &str) -> Result<Option<Device>, Error> {
        if cookie.len() > MAX_COOKIE {
            return Ok(None);
        }
        let opened = match self.0.tenants().open_text(tenant.id, &[PURPOSE], cookie).await {
            Ok(opened) => opened,
            Err(Error::Seal(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let lasts = Duration::from_secs(86_400 * u64::from(tenant.settings.throttle.device_days));
        let now = self.0.world().now();
        Ok(serde_json::from_slice::<Device>(opened.expose())
            .ok()
            .filter(|device| now.since(device.issued_at) <= lasts))
    }
}

//! The second factor of users: what they have, and its removal for somebody who lost it.

use crate::call::Call;
use crate::operation::{Operation, Table};
use crate::policy::Asks;
use crate::refused::Refused;
use crate::reply::Reply;
use crate::when::When;
use keyreeve_identity::second_factor::{Factors, TotpDevice};
use keyreeve_tokens::scope::{USERS_READ, USERS_WRITE};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

pub(super) fn table() -> Table {
    let path = "/api/v1/users/{id}/second-factor";
    Table::new("Second factor")
        .add(
            Operation::get(path, "get_second_factor")
                .says(
                    "Read a user's second factor",
                    "The devices in use and how many recovery codes are left; never a secret or a code. Users add devices and see \
                     codes on their account page alone.",
                )
                .needs(USERS_READ, Asks::SeeUser)
                .answers::<FactorsDoc>("What the user has; without devices, the password alone signs in."),
            get,
        )
        .add(
            Operation::delete(path, "remove_second_factor")
                .says(
                    "Remove a user's second factor",
                    "Every device and recovery code, for somebody who lost them: the password alone signs in from then on. Sessions \
                     go on.",
                )
                .needs(USERS_WRITE, Asks::ManageUser),
            remove,
        )
}

/// A device that makes codes (RFC 6238).
#[derive(Serialize, ToSchema)]
#[schema(as = TotpDevice)]
struct DeviceDoc {
    id: Uuid,
    /// What the user calls it.
    name: String,
    created_at: When,
    /// When a code of it was last used.
    last_used_at: Option<When>,
}

impl From<&TotpDevice> for DeviceDoc {
    fn from(device: &TotpDevice) -> Self {
        Self {
            id: device.id.uuid(),
            name: device.name.clone(),
            created_at: device.created_at.into(),
            last_used_at: device.last_used_at.map(When::from),
        }
    }
}

/// What a user has besides the password.
#[derive(Serialize, ToSchema)]
#[schema(as = SecondFactor)]
struct FactorsDoc {
    /// The devices in use.
    devices: Vec<DeviceDoc>,
    /// How many recovery codes are left.
    recovery_codes: i64,
}

impl From<&Factors> for FactorsDoc {
    fn from(factors: &Factors) -> Self {
        Self {
            devices: factors.devices.iter().map(DeviceDoc::from).collect(),
            recovery_codes: factors.recovery_codes,
        }
    }
}

async fn get(call: Call) -> Result<Reply, Refused> {
    let user = call.user().await?;
    let found = call.identity().second_factors().of(call.tenant_id(), user.id).await?;
    Reply::ok(&FactorsDoc::from(&found))
}

async fn remove(call: Call) -> Result<Reply, Refused> {
    let user = call.user().await?;
    let who = (call.tenant_id(), user.id);
    call.identity().second_factors().reset(who, &call.cause().await?).await?;
    Ok(Reply::done())
}

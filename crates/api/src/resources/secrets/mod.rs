//! Secrets: made, described, given away, removed; their values written, rotated and read.

mod authentications;
mod bulk;
mod content;
mod documents;
mod issuing;
mod jwt;
mod leases;
mod one;
mod stores;
mod values;

use crate::call::Call;
use crate::operation::Table;
use crate::refused::Refused;
use crate::state::ApiState;
use keyreeve_http::route::Routes;
use keyreeve_secrets::{SecretId, Secrets};

pub(super) fn table() -> Table {
    [
        bulk::table(),
        values::table(),
        content::table(),
        leases::table(),
        issuing::table(),
        jwt::table(),
        stores::table(),
        authentications::table(),
    ]
    .into_iter()
    .fold(one::table(), Table::merge)
}

/// What everybody may read.
pub(crate) fn public(routes: Routes<ApiState>) -> Routes<ApiState> {
    jwt::public(issuing::public(routes))
}

fn secrets(call: &Call) -> &Secrets {
    call.state().secrets()
}

/// The secret that the path names. A text that can be no identifier names none.
fn named(call: &Call) -> Result<SecretId, Refused> {
    call.part("id").parse().map_err(|_| Refused::not_found("secret"))
}

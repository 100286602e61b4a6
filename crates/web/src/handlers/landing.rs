//! The start page.

use super::ACCOUNT;
use super::stop::Stop;
use super::visit::Visit;
use crate::pages::Landing;
use axum::response::Response;
use http::StatusCode;
use keyreeve_http::browser::path;
use keyreeve_identity::Admitted;

/// `GET /`.
pub(crate) async fn show(visit: Visit) -> Response {
    let outcome = Ok::<_, Stop>(page(&visit));
    visit.settle(outcome)
}

fn page(visit: &Visit) -> Response {
    let user = visit.session.as_ref().and_then(Admitted::user).map(|user| user.greeting());
    let account = visit.path(ACCOUNT);
    let page = Landing {
        chrome: visit.chrome(),
        sign_in_url: &visit.path(path::SIGN_IN),
        signed_in: user.as_deref().map(|user| (user, account.as_str())),
    };
    visit.page(StatusCode::OK, &page, None)
}

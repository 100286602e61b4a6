//! Where the doors are mounted. This is the one place that knows all of them; they never know each other.

use crate::App;
use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;
use keyreeve_http::browser::{BrowserPages, ErrorPage, FormPost};
use keyreeve_http::cookie::CookieNames;
use keyreeve_http::route::Routes;
use keyreeve_oidc::OidcState;
use std::sync::Arc;

/// The path of the token endpoint below each issuer: part of the audience that client assertions must name.
pub const TOKEN_PATH: &str = keyreeve_oidc::TOKEN_PATH;

/// The routes of every door.
#[must_use]
pub fn routes(app: &App) -> Routes {
    let cookies = CookieNames { secure: app.public_url.is_https() };
    let pages = Arc::new(PlainPages);
    keyreeve_oidc::routes(OidcState::new(app.tokens.clone(), app.world.clone(), cookies, pages))
}

/// Pages without a face.
struct PlainPages;

impl BrowserPages for PlainPages {
    fn error(&self, _: &HeaderMap, page: &ErrorPage<'_>) -> Response {
        (page.status, format!("{}: {}\n", page.error, page.description)).into_response()
    }

    fn form_post(&self, _: &HeaderMap, page: &FormPost<'_>) -> Response {
        format!("{}\n", page.action).into_response()
    }
}

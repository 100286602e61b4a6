//! Where the doors are mounted. This is the one place that knows all of them; they never know each other.

use crate::App;
use keyreeve_http::cookie::CookieNames;
use keyreeve_http::route::Routes;
use keyreeve_oidc::OidcState;
use keyreeve_web::{Pages, WebState};
use std::sync::Arc;

/// The path of the token endpoint below each issuer: part of the audience that client assertions must name.
pub const TOKEN_PATH: &str = keyreeve_oidc::TOKEN_PATH;

/// The routes of every door.
#[must_use]
pub fn routes(app: &App) -> Routes {
    let (tokens, world) = (app.tokens.clone(), app.world.clone());
    let cookies = CookieNames { secure: app.public_url.is_https() };
    let oidc = OidcState::new(tokens.clone(), world.clone(), cookies, Arc::new(Pages));
    let web = WebState::new(tokens, world, app.public_url.url().clone());
    keyreeve_oidc::routes(oidc).merge(keyreeve_web::routes(web))
}

//! Where the doors are mounted. This is the one place that knows all of them; they never know each other.

use crate::App;
use keyreeve_api::ApiState;
use keyreeve_http::browser::path;
use keyreeve_http::cookie::CookieNames;
use keyreeve_http::rate::Limiter;
use keyreeve_http::route::Routes;
use keyreeve_kv::KvState;
use keyreeve_oidc::OidcState;
use keyreeve_scim::ScimState;
use keyreeve_web::{Pages, WebState};
use std::sync::Arc;

/// The path of the token endpoint below each issuer: part of the audience that client assertions must name.
pub const TOKEN_PATH: &str = keyreeve_oidc::TOKEN_PATH;

/// Where authorization requests are pushed, below each issuer: another part of such an audience.
pub const PUSHED_PATH: &str = keyreeve_oidc::PUSHED_PATH;

/// Where people type the codes that their devices show, below each issuer.
pub const DEVICE_PATH: &str = path::DEVICE;

/// The routes of every door.
#[must_use]
pub fn routes(app: &App) -> Routes {
    let url = app.public_url.url();
    // The standards' door has no pages of its own; the door for people lends it theirs.
    let oidc = OidcState::new(app.tokens.clone(), app.world.clone(), CookieNames::of(url), Arc::new(Pages));
    let web = WebState::new(app.tokens.clone(), app.world.clone(), url.clone());
    let rooms = (app.tokens.clone(), app.events.clone(), app.sharing.clone(), app.secrets.clone());
    // Whichever door they come to, callers have one share.
    let limiter = Limiter::new(app.world.clone(), app.config.api_rate_limit);
    let api = ApiState::new(app.store.clone(), rooms, app.world.clone(), limiter.clone());
    let kv = KvState::new(app.tokens.clone(), app.secrets.clone(), app.world.clone(), limiter.clone());
    let scim = ScimState::new(app.tokens.clone(), limiter);
    let doors = keyreeve_oidc::routes(oidc).merge(keyreeve_web::routes(web));
    doors.merge(keyreeve_api::routes(api)).merge(keyreeve_scim::routes(scim)).merge(keyreeve_kv::routes(kv))
}

/// Where a person signs in.
#[must_use]
pub fn sign_in_url(app: &App) -> String {
    format!("{}{}", app.public_url, path::SIGN_IN)
}

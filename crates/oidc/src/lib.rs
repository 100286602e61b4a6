//! The OAuth 2 and OpenID Connect door: it translates between the standards' HTTP and the tokens room, and decides
//! nothing.
//!
//! | module | endpoints |
//! |---|---|
//! | `metadata` | discovery (OpenID Connect Discovery, RFC 8414) and JWKS |
//! | `front` | authorize, and RP-initiated logout: what a browser is sent through |
//! | `token` | the token endpoint |
//! | `register` | dynamic client registration and its management (RFC 7591, RFC 7592) |
//! | `device` | where devices begin (RFC 8628) |
//! | `pushed` | where authorization requests are pushed (RFC 9126) |
//! | `resource` | userinfo, introspection (RFC 7662), revocation (RFC 7009) |
//! | `params` | which parameters may repeat |
//! | `client_auth` | how a client's credentials are read from a request |
//! | `answer` | errors in the shapes of the standards |
//!
//! Every path exists twice: as it is for the default tenant, and below `/t/{tenant}` for the others.
//!
//! What it is not: it renders no page (it asks [`BrowserPages`]), and holds no rule about tokens, clients or users.
//!
//! To add an endpoint: a line in [`routes`] with its guard, a handler that parses, makes one call and renders, its URL in
//! `metadata`, and a case in the acceptance tests, which walk the same table.

mod answer;
mod client_auth;
mod device;
mod front;
mod metadata;
mod params;
mod pushed;
mod register;
mod resource;
mod state;
mod token;

pub use state::OidcState;

use keyreeve_http::browser::{BrowserPages, path};
use keyreeve_http::cors::Cors;
use keyreeve_http::route::{Guard, Routes};
use keyreeve_tokens::registration::REGISTRATION_PATH;

/// Where the token endpoint lies below an issuer.
pub const TOKEN_PATH: &str = "/token";

/// Where a client that registered itself manages that.
const REGISTERED: &str = "/register/{client_id}";
/// Where authorization requests are pushed, likewise.
pub const PUSHED_PATH: &str = "/par";

/// The route table of this door.
#[must_use]
pub fn routes(state: OidcState) -> Routes {
    let documents = Routes::new()
        .get("/.well-known/openid-configuration", Guard::Public, "openid_configuration", metadata::openid)
        .get("/.well-known/oauth-authorization-server", Guard::Public, "oauth_metadata", metadata::oauth)
        .get("/jwks", Guard::Public, "jwks", metadata::jwks)
        .tenanted()
        // RFC 8414 section 3.1 puts the well-known part before the path of an issuer.
        .get(
            "/.well-known/oauth-authorization-server/t/{tenant}",
            Guard::Public,
            "oauth_metadata",
            metadata::oauth,
        )
        .cors(&Cors::public());
    // No cookie is read at these, so a page of any origin may: it can do no more than its own server could.
    let direct = Routes::new()
        .post(TOKEN_PATH, Guard::Client, "token", token::token)
        .post(PUSHED_PATH, Guard::Client, "pushed_authorization_request", pushed::push)
        .get("/userinfo", Guard::Bearer, "userinfo", resource::userinfo_get)
        .post("/userinfo", Guard::Bearer, "userinfo", resource::userinfo_post)
        .post("/device_authorization", Guard::Client, "device_authorization", device::begin)
        .post("/revoke", Guard::Client, "revoke", resource::revoke)
        .tenanted()
        .cors(&Cors::public());
    let closed = Routes::new()
        .post(REGISTRATION_PATH, Guard::Public, "register", register::register)
        .get(REGISTERED, Guard::Bearer, "registered_client", register::read)
        .put(REGISTERED, Guard::Bearer, "registered_client", register::update)
        .delete(REGISTERED, Guard::Bearer, "registered_client", register::delete)
        .post("/introspect", Guard::Client, "introspect", resource::introspect)
        .get(front::AUTHORIZE, Guard::Public, "authorize", front::authorize_get)
        .post(front::AUTHORIZE, Guard::Public, "authorize", front::authorize_post)
        .get(path::RESUME, Guard::Browser, "authorize_resume", front::resume)
        .get(front::END_SESSION, Guard::Public, "end_session", front::end_session_get)
        .post(front::END_SESSION, Guard::Public, "end_session", front::end_session_post)
        .tenanted();
    documents.merge(direct).merge(closed).with_state(state)
}

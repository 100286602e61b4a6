//! Where the doors are mounted. This is the one place that knows all of them; they never know each other.

use crate::{App, Error};
use keyreeve_http::route::Routes;

/// The path of the token endpoint below each issuer: part of the audience that client assertions must name.
pub const TOKEN_PATH: &str = "/token";

/// The routes of every door.
///
/// # Errors
/// Those of a door that cannot be made.
pub fn routes(_app: &App) -> Result<Routes, Error> {
    Ok(Routes::new())
}

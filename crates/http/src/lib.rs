//! What every door shares: route tables, strict parameters, cookies, request forgery checks, client addresses, access tokens
//! as they are presented, shares of callers, security headers, limits, problem documents, and the loop that serves
//! connections.
//!
//! What it is not: it knows axum and hyper, but no room. It decides nothing about users, tokens or tenants; it hands
//! a door checked input and gives its answer the headers that every answer bears.
//!
//! How a door uses it: declare [`route::Routes`], take [`params::StrictForm`], [`params::StrictQuery`] and
//! [`origin::ClientOrigin`] as handler arguments, answer errors in the door's own shape. The binary merges the doors'
//! routes, wraps the router once with [`front::Front`] and runs [`serve::serve`].
//!
//! To add to it: a rule that two doors need goes into the module that names the concern, with its limit as a constant
//! in [`limits`]. What every answer must bear goes into [`front`], where its cost is paid once; measure it there.

pub mod body;
pub mod browser;
pub mod cookie;
pub mod cors;
pub mod csrf;
pub mod current;
pub mod front;
pub mod json;
pub mod limits;
pub mod metrics;
pub mod origin;
pub mod params;
mod patience;
pub mod possession;
pub mod presented;
pub mod problem;
pub mod rate;
pub mod route;
pub mod security_headers;
pub mod serve;

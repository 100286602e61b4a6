//! The one client for requests that leave the server: webhooks, key sets, metadata, logout notices.
//!
//! Whoever may write such an address (an administrator, a client that registers itself) must not reach through the
//! server what stands behind it. So a request goes nowhere but to a checked address:
//!
//! - The URL is `https`; plain `http` only where the operator allows private addresses. It bears no user information.
//! - The host is resolved once. If any of its addresses is not for the public ([`Reach`]), the request is refused;
//!   else the connection goes to those very addresses, so that a second answer of the name server changes nothing.
//! - A redirect is an answer, not an order: it is handed to the caller, who has no reason to follow it.
//! - No proxy of the environment is asked, no cookie kept, no connection shared, no encoding undone.
//! - Connecting, the whole exchange, the head and the body have bounds; so has the number of requests at a time.
//!
//! ```no_run
//! # async fn example() -> Result<(), keyreeve_fetch::FetchError> {
//! use keyreeve_fetch::{FetchOptions, Fetcher, Request};
//!
//! let fetcher = Fetcher::new(FetchOptions::default())?;
//! let response = fetcher.send(Request::get("https://app.example/jwks.json").max_body(64 * 1024)).await?;
//! assert!(response.status.is_success());
//! # Ok(())
//! # }
//! ```
//!
//! An address is checked when it is stored, by [`Fetcher::check`], so that whoever writes it learns of a mistake; and
//! again whenever it is used, since names change hands.
//!
//! [`Fetcher::open`] is the same for what has no bound: a body in pieces, an answer that is read as it comes.
//!
//! What it is not: no general HTTP client, no cache, no retry. It knows no room and no tenant.
//!
//! To add to it: a range of addresses goes into [`address`](Reach) with its RFC, in the table there; a bound into
//! [`FetchOptions`] or [`Request`].

mod address;
mod connect;
mod error;
mod fetcher;
mod flow;
mod request;
mod resolve;
mod target;

pub use address::Reach;
pub use error::{ErrorClass, FetchError};
pub use fetcher::{FetchOptions, Fetcher};
pub use flow::{Broken, Flow};
pub use request::{DEFAULT_BODY_BYTES, MAX_BODY_BYTES, Request, Response};
pub use resolve::{Addresses, Resolve, SystemResolver};
pub use target::{MAX_URL_BYTES, Target};

pub use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

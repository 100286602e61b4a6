//! The handlers: they read a request, ask a room, and fill a page of [`crate::pages`].
//!
//! | module | what |
//! |---|---|
//! | `visit` | one request of one browser at one tenant: who it is, and how it is answered |
//! | `forms` | the token in every form, and whether a post comes from our own page |
//! | `stop` | everything that ends a request early, and the page that says so |
//! | `sign_in`, `code`, `two_step`, `consent`, `device`, `sign_out`, `password`, `account`, `landing`, `recovery` | the pages |
//! | `for_doors` | the pages that other doors ask for |
//!
//! To add one: a handler that takes a `Visit`, a line in [`routes`] with its guard. What changes something is a POST that
//! calls `Visit::check_origin` and `Visit::is_own_form` before anything else.

mod account;
mod code;
mod consent;
mod device;
mod for_doors;
mod forms;
mod landing;
mod password;
mod recovery;
mod sign_in;
mod sign_out;
mod state;
mod stop;
mod two_step;
mod visit;

pub use for_doors::Pages;
pub use state::WebState;

use crate::assets;
use keyreeve_http::browser::path;
use keyreeve_http::route::{Guard, Routes};

/// Where a password is changed.
pub(crate) const PASSWORD: &str = "/password";
/// Where a sign-in asks for a one-time code.
pub(crate) const CODE: &str = "/signin/code";
/// The page of the second factor.
pub(crate) const TWO_STEP: &str = "/account/two-step";
/// Where one asks for a link to choose a new password.
pub(crate) const FORGOT: &str = "/forgot";
/// Says that a link was asked for.
pub(crate) const FORGOT_SENT: &str = "/forgot/sent";
/// Says that a new password was chosen.
pub(crate) const RESET_DONE: &str = "/reset/done";
/// Says that an address is confirmed.
pub(crate) const VERIFY_DONE: &str = "/verify/done";
/// Sends a link to confirm the own address.
pub(crate) const SEND_VERIFICATION: &str = "/account/email/verify";
/// Where a new password is chosen by a link.
pub const RESET_PATH: &str = "/reset";
/// Where an e-mail address is confirmed by a link.
pub const VERIFY_PATH: &str = "/verify";
/// The account page.
pub(crate) const ACCOUNT: &str = "/account";
/// Ends one session.
pub(crate) const END_SESSION: &str = "/account/sessions/end";
/// Ends all sessions but the one that asks.
pub(crate) const END_OTHERS: &str = "/account/sessions/end-others";

/// Where one decides on a device.
pub(crate) const DEVICE_DECISION: &str = "/device/decision";

/// The route table of this door.
#[must_use]
pub fn routes(state: WebState) -> Routes {
    Routes::new()
        .get("/", Guard::Public, "landing", landing::show)
        .get(path::SIGN_IN, Guard::Public, "sign_in_page", sign_in::show)
        .post(path::SIGN_IN, Guard::BrowserForm, "sign_in", sign_in::submit)
        .post(CODE, Guard::BrowserForm, "sign_in_code", code::submit)
        .get(path::CONSENT, Guard::Browser, "consent_page", consent::show)
        .post(path::CONSENT, Guard::BrowserForm, "consent", consent::submit)
        .get(path::SIGN_OUT, Guard::Public, "sign_out_page", sign_out::show)
        .post(path::SIGN_OUT, Guard::BrowserForm, "sign_out", sign_out::submit)
        .get(path::SIGNED_OUT, Guard::Public, "signed_out_page", sign_out::done)
        .get(path::DEVICE, Guard::Browser, "device_page", device::show)
        .post(path::DEVICE, Guard::BrowserForm, "device_find", device::submit)
        .post(DEVICE_DECISION, Guard::BrowserForm, "device_decision", device::decide)
        .get(PASSWORD, Guard::Browser, "password_page", password::show)
        .post(PASSWORD, Guard::BrowserForm, "password_change", password::submit)
        .get(FORGOT, Guard::Public, "forgot_page", recovery::forgot)
        .post(FORGOT, Guard::BrowserForm, "forgot", recovery::ask)
        .get(FORGOT_SENT, Guard::Public, "forgot_sent_page", recovery::forgot_sent)
        .get(RESET_PATH, Guard::Public, "reset_page", recovery::reset_page)
        .post(RESET_PATH, Guard::BrowserForm, "reset", recovery::reset)
        .get(RESET_DONE, Guard::Public, "reset_done_page", recovery::reset_done)
        .get(VERIFY_PATH, Guard::Public, "verify_page", recovery::verify_page)
        .post(VERIFY_PATH, Guard::BrowserForm, "verify", recovery::verify)
        .get(VERIFY_DONE, Guard::Public, "verify_done_page", recovery::verify_done)
        .post(SEND_VERIFICATION, Guard::BrowserForm, "verification_send", account::send_verification)
        .get(ACCOUNT, Guard::Browser, "account_page", account::show)
        .get(TWO_STEP, Guard::Browser, "two_step_page", two_step::show)
        .post(TWO_STEP, Guard::BrowserForm, "two_step", two_step::submit)
        .post(END_SESSION, Guard::BrowserForm, "session_end", account::end_session)
        .post(END_OTHERS, Guard::BrowserForm, "sessions_end_others", account::end_others)
        .tenanted()
        .get(assets::ROUTE, Guard::Public, "asset", assets::serve)
        .with_state(state)
}

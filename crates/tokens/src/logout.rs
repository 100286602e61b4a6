//! RP-initiated logout (OpenID Connect RP-Initiated Logout 1.0).
//!
//! Only a valid ID token of the very session that is signed in ends it without a question: anybody can send a browser
//! here (AC-19).

use crate::access::HintClaims;
use crate::authorization::Browser;
use crate::clients::Client;
use crate::error::Error;
use crate::service::Tokens;
use keyreeve_identity::{Admitted, Cause, Tenant};
use std::sync::Arc;

const PURPOSE: &str = "tokens/logout_request";
const MAX_STATE_BYTES: usize = 2_000;

/// The parameters of a logout request.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogoutRequest<'a> {
    /// An ID token of the session that should end; it may have expired.
    pub id_token_hint: Option<&'a str>,
    /// The client that asks.
    pub client_id: Option<&'a str>,
    /// Where the browser should go afterwards; one of the client's registered addresses.
    pub post_logout_redirect_uri: Option<&'a str>,
    /// Returned to that address.
    pub state: Option<&'a str>,
}

/// What a logout request leads to.
#[derive(Clone, Debug)]
pub enum Logout {
    /// Ask the user; then call [`Tokens::finish_logout`].
    Confirm {
        /// The sealed request, to be carried along.
        request: String,
        /// The client that asks, if it is known.
        client: Option<Arc<Client>>,
    },
    /// The session is over. The door deletes its cookie and sends the browser on, or shows a page.
    Done {
        /// Where to.
        redirect: Option<String>,
    },
    /// Show an error page; nothing has ended.
    Fail {
        /// The error code.
        error: &'static str,
        /// What is wrong.
        description: String,
    },
}

/// A request on its way through the confirmation page.
#[derive(serde::Serialize, serde::Deserialize)]
struct Pending {
    redirect: Option<String>,
    client_id: Option<String>,
}

/// A logout request on its way, as the confirmation page shows it.
#[derive(Clone, Debug)]
pub struct LogoutPreview {
    /// The client that asks, if it is known.
    pub client: Option<Arc<Client>>,
    /// Where the browser will go; the page's `form-action` must allow it.
    pub redirect: Option<String>,
}

impl Tokens {
    /// Takes a logout request.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn end_session(
        &self,
        tenant: &Tenant,
        request: LogoutRequest<'_>,
        browser: Browser<'_>,
    ) -> Result<Logout, Error> {
        let hint = match request.id_token_hint {
            Some(token) => self.read_hint(tenant, token).await?,
            None => None,
        };
        let client = match self.logout_client(tenant, &request, hint.as_ref()).await? {
            Ok(client) => client,
            Err(problem) => return Ok(fail(problem)),
        };
        let redirect = match redirect(&request, client.as_deref()) {
            Ok(redirect) => redirect,
            Err(problem) => return Ok(fail(problem)),
        };
        let session = browser.session.filter(|session| session.tenant() == tenant.id);
        let Some(session) = session else { return Ok(Logout::Done { redirect }) };
        if hint.is_some_and(|hint| is_of(&hint, session)) {
            self.end_browser_session(session, browser).await?;
            return Ok(Logout::Done { redirect });
        }
        let client_id = client.as_ref().map(|client| client.client_id.clone());
        let pending = Pending { redirect, client_id };
        let request = self.seal_for_browser(tenant.id, PURPOSE, &pending, browser.cookie).await?;
        Ok(Logout::Confirm { request, client })
    }

    /// Tells what a logout request is about, without ending anything. None when it took too long or began in another
    /// browser.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn preview_logout(
        &self,
        tenant: &Tenant,
        request: &str,
        browser: Browser<'_>,
    ) -> Result<Option<LogoutPreview>, Error> {
        let opened = self.open_from_browser::<Pending>(tenant.id, PURPOSE, request, browser.cookie).await?;
        let Some(Pending { redirect, client_id }) = opened.map(|opened| opened.content) else {
            return Ok(None);
        };
        let client = match client_id {
            Some(client_id) => self.clients().by_client_id(tenant.id, &client_id).await?,
            None => None,
        };
        Ok(Some(LogoutPreview { client, redirect }))
    }

    /// Ends the session after its user has confirmed. The door must have made certain that it was the user who did (a
    /// CSRF token).
    ///
    /// # Errors
    /// Those of the store.
    pub async fn finish_logout(
        &self,
        tenant: &Tenant,
        request: &str,
        browser: Browser<'_>,
    ) -> Result<Logout, Error> {
        let opened = self.open_from_browser::<Pending>(tenant.id, PURPOSE, request, browser.cookie).await?;
        if let Some(session) = browser.session.filter(|session| session.tenant() == tenant.id) {
            self.end_browser_session(session, browser).await?;
        }
        // A stale form still signs out; it only leads nowhere.
        Ok(Logout::Done { redirect: opened.and_then(|opened| opened.content.redirect) })
    }

    async fn end_browser_session(&self, session: &Admitted, browser: Browser<'_>) -> Result<(), Error> {
        if let (Some(user), Some(id)) = (session.user(), session.session()) {
            let cause = Cause::user(user.id, browser.origin.clone());
            self.0.identity.sessions().end(session.tenant(), user.id, id, &cause).await?;
        }
        Ok(())
    }

    /// The client that asks: the hint's, which a `client_id` beside it must agree with.
    async fn logout_client(
        &self,
        tenant: &Tenant,
        request: &LogoutRequest<'_>,
        hint: Option<&HintClaims>,
    ) -> Result<Result<Option<Arc<Client>>, &'static str>, Error> {
        let name = match (hint.map(|hint| hint.aud.as_str()), request.client_id) {
            (Some(audience), Some(named)) if audience != named => {
                return Ok(Err("the id_token_hint was issued to another client"));
            }
            (Some(name), _) | (None, Some(name)) => name,
            (None, None) => return Ok(Ok(None)),
        };
        let found = self.clients().by_client_id(tenant.id, name).await?;
        Ok(Ok(found.filter(|client| client.settings.enabled)))
    }
}

fn fail(problem: &'static str) -> Logout {
    Logout::Fail { error: "invalid_request", description: problem.to_owned() }
}

fn is_of(hint: &HintClaims, session: &Admitted) -> bool {
    let same_user = session.user().is_some_and(|user| user.id.to_string() == hint.sub);
    same_user && hint.sid.is_some() && hint.sid == session.session()
}

/// Where the browser goes afterwards: only to an address that the client registered.
fn redirect(request: &LogoutRequest<'_>, client: Option<&Client>) -> Result<Option<String>, &'static str> {
    let Some(uri) = request.post_logout_redirect_uri else { return Ok(None) };
    let client =
        client.ok_or("post_logout_redirect_uri needs a client: send client_id or a valid id_token_hint")?;
    if !client.settings.post_logout_redirect_uris.iter().any(|registered| registered.matches(uri)) {
        return Err("post_logout_redirect_uri is not registered for this client");
    }
    let Some(state) = request.state else { return Ok(Some(uri.to_owned())) };
    if state.len() > MAX_STATE_BYTES || state.chars().any(char::is_control) {
        return Err("state is too long or contains a control character");
    }
    let state: String = url::form_urlencoded::byte_serialize(state.as_bytes()).collect();
    let separator = if uri.contains('?') { '&' } else { '?' };
    Ok(Some(format!("{uri}{separator}state={state}")))
}

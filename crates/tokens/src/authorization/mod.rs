//! The front channel: an authorization request becomes a sign-in page, a consent page, and finally a code (RFC 6749
//! section 4.1, OpenID Connect Core section 3.1.2).

mod decide;
mod object;
mod pushed;
mod read;
mod request;
mod sealed;

pub use pushed::{PUSHED_LIFETIME_S, Pushed};
pub use request::{
    AuthorizationRequest, MAX_NONCE_BYTES, MAX_STATE_BYTES, Parameters, Prompt, RequestError, ResponseMode,
    ReturnAddress,
};

use crate::clients::Client;
use crate::consent::scope_of;
use crate::error::Error;
use crate::grants::{HandleKind, resources_text};
use crate::schema;
use crate::scope::{self, ScopeSet};
use crate::service::{Refused, Tokens};
use decide::{SignedIn, Situation, Step, next_step};
use keyreeve_audit::Actor;
use keyreeve_base::{GrantId, Origin, TenantId, Timestamp, UserId};
use keyreeve_identity::{Admitted, Cause, Tenant};
use keyreeve_store::{Tx, params};
use sealed::Opened;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// What sealed requests are bound to, so that no other sealed text passes for one.
const PURPOSE: &str = "tokens/authorization_request";

/// The browser at the other end.
#[derive(Clone, Copy, Debug)]
pub struct Browser<'a> {
    /// The value of the cookie that marks this browser, made by the door when there is none. Every step of one request
    /// must come from the browser that began it (AC-06, AC-10).
    pub cookie: &'a str,
    /// The user who is signed in.
    pub session: Option<&'a Admitted>,
    /// Where the request comes from.
    pub origin: &'a Origin,
}

/// A response that is sent to the client through the browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// The redirect URI: one that the client registered.
    pub uri: String,
    /// How the parameters travel.
    pub mode: ResponseMode,
    /// The parameters: `code` or `error`, `state`, `iss` (RFC 9207).
    pub params: Vec<(&'static str, String)>,
}

impl Redirect {
    /// The redirect URI with the parameters in its query; what it had there before stays.
    #[must_use]
    pub fn location(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&self.params);
        let separator = match self.uri.split_once('?') {
            None => "?",
            Some((_, rest)) if rest.is_empty() || rest.ends_with('&') => "",
            Some(_) => "&",
        };
        format!("{}{separator}{}", self.uri, query.finish())
    }
}

/// What an authorization request leads to.
#[derive(Clone, Debug)]
pub enum Authorize {
    /// Send the browser back to the client.
    Redirect(Redirect),
    /// Show the sign-in page; then call [`Tokens::resume`].
    SignIn {
        /// The sealed request, to be carried along.
        request: String,
        /// The client to which the user is about to sign in.
        client: Arc<Client>,
        /// Whom the client expects.
        login_hint: Option<String>,
        /// In which languages, best first.
        ui_locales: Option<String>,
    },
    /// Show the consent page; then call [`Tokens::decide`].
    Consent {
        /// The sealed request, to be carried along.
        request: String,
        /// The client that asks.
        client: Arc<Client>,
        /// What it asks for.
        scope: ScopeSet,
        /// In which languages, best first.
        ui_locales: Option<String>,
    },
    /// Show the page where one types the code of a device.
    Device {
        /// The code, if it was in the link.
        user_code: Option<String>,
    },
    /// Show an error page. The browser is sent nowhere: who asked is not certain.
    Fail {
        /// The error code.
        error: &'static str,
        /// What is wrong.
        description: String,
    },
}

/// A request on its way, as the pages between its steps show it.
#[derive(Clone, Debug)]
pub struct Preview {
    /// The client that asks.
    pub client: Arc<Client>,
    /// What it asks for.
    pub scope: ScopeSet,
    /// Whom it expects.
    pub login_hint: Option<String>,
    /// In which languages, best first.
    pub ui_locales: Option<String>,
    /// Where the response will go; a page's `form-action` must allow it.
    pub redirect_uri: String,
    /// What the request needs now.
    pub next: Next,
}

/// What a request on its way needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A sign-in.
    SignIn,
    /// The user's consent.
    Consent,
    /// Nothing more from its user: [`Tokens::resume`] answers it.
    Answer,
}

impl Authorize {
    fn fail(error: RequestError) -> Self {
        Self::Fail { error: error.code, description: error.description }
    }
}

/// A request on its way through the browser.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Pending {
    request: AuthorizationRequest,
    /// The user of the `id_token_hint`.
    hinted: Option<UserId>,
}

/// A pending request and what belongs to it.
struct Case<'a> {
    tenant: &'a Tenant,
    client: Arc<Client>,
    pending: Pending,
    requested_at: Timestamp,
    browser: Browser<'a>,
    /// The sealed text, where there is one already.
    sealed: Option<String>,
    allowed_now: bool,
}

impl Tokens {
    /// Takes an authorization request. Nothing is written unless somebody is signed in and a code is issued.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn authorize(
        &self,
        tenant: &Tenant,
        params: &(impl Parameters + Sync),
        browser: Browser<'_>,
    ) -> Result<Authorize, Error> {
        let record = match self.requesting_client(tenant, params).await? {
            Ok(record) => record,
            Err(error) => return Ok(Authorize::fail(error)),
        };
        let pending = match self.bring(tenant, &record, params).await? {
            Ok(pending) => pending,
            Err(misfit) => return Ok(self.answer_misfit(tenant, misfit)),
        };
        let client = Arc::clone(&record.client);
        let requested_at = self.now();
        self.go_on(Case { tenant, client, pending, requested_at, browser, sealed: None, allowed_now: false })
            .await
    }

    /// Goes on with a request after a sign-in, or shows its page once more.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn resume(
        &self,
        tenant: &Tenant,
        request: &str,
        browser: Browser<'_>,
    ) -> Result<Authorize, Error> {
        match self.open_case(tenant, request, browser).await? {
            Ok(case) => self.go_on(case).await,
            Err(error) => match self.open_device_visit(tenant, request, browser.cookie).await? {
                Some(user_code) => Ok(Authorize::Device { user_code }),
                None => Ok(Authorize::fail(error)),
            },
        }
    }

    /// Tells what a request is about and what it needs, without going on with it. None when it took too long, began in
    /// another browser, or its client may no longer ask.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn preview(
        &self,
        tenant: &Tenant,
        request: &str,
        browser: Browser<'_>,
    ) -> Result<Option<Preview>, Error> {
        let Ok(case) = self.open_case(tenant, request, browser).await? else { return Ok(None) };
        let next = match self.weigh(&case).await?.0 {
            Step::SignIn => Next::SignIn,
            Step::Consent => Next::Consent,
            Step::Issue | Step::Refuse(_) => Next::Answer,
        };
        let AuthorizationRequest { scope, login_hint, ui_locales, address, .. } = case.pending.request;
        Ok(Some(Preview {
            client: case.client,
            scope,
            login_hint,
            ui_locales,
            redirect_uri: address.uri,
            next,
        }))
    }

    /// Goes on with a request after its user has answered the consent page. The door must have made certain that it was
    /// the user who answered (a CSRF token).
    ///
    /// # Errors
    /// Those of the store.
    pub async fn decide(
        &self,
        tenant: &Tenant,
        request: &str,
        allow: bool,
        browser: Browser<'_>,
    ) -> Result<Authorize, Error> {
        let mut case = match self.open_case(tenant, request, browser).await? {
            Ok(case) => case,
            Err(error) => return Ok(Authorize::fail(error)),
        };
        if allow {
            case.allowed_now = true;
            return self.go_on(case).await;
        }
        if let Some(user) = case.session().and_then(Admitted::user) {
            self.record_denial(tenant.id, user.id, &case.client, browser.origin).await?;
        }
        let error = RequestError::new("access_denied", "the user did not agree");
        Ok(Authorize::Redirect(self.refusal(tenant, &case.pending.request.address, error)))
    }

    async fn open_case<'a>(
        &self,
        tenant: &'a Tenant,
        sealed: &str,
        browser: Browser<'a>,
    ) -> Result<Result<Case<'a>, RequestError>, Error> {
        let over =
            || RequestError::new("invalid_request", "the sign-in took too long, or began in another browser");
        let opened = self.open_from_browser::<Pending>(tenant.id, PURPOSE, sealed, browser.cookie).await?;
        let Some(Opened { content: pending, sealed_at }) = opened else { return Ok(Err(over())) };
        let client = self.clients().by_client_id(tenant.id, &pending.request.client_id).await?;
        let usable = client.filter(|client| client.settings.enabled && tenant.is_active());
        let Some(client) = usable else { return Ok(Err(over())) };
        // The client may have been changed since: its list of addresses is the one that counts now (AC-01).
        if !is_registered(&client, &pending.request.address.uri) {
            return Ok(Err(not_registered()));
        }
        let sealed = Some(sealed.to_owned());
        Ok(Ok(Case { tenant, client, pending, requested_at: sealed_at, browser, sealed, allowed_now: false }))
    }

    /// What a request needs now, and what its user agreed to earlier.
    async fn weigh(&self, case: &Case<'_>) -> Result<(Step, Option<ScopeSet>), Error> {
        let session = case.session();
        let user = session.and_then(Admitted::user);
        let agreed = match user {
            Some(user) if !case.client.settings.first_party => {
                self.agreed(case.tenant.id, user.id, &case.client).await?
            }
            _ => None,
        };
        let signed_in = session.zip(user).map(|(session, user)| SignedIn {
            user: user.id,
            auth_time: session.auth_time(),
            acr: session.acr(),
        });
        let step = next_step(&Situation {
            request: &case.pending.request,
            client: &case.client.settings,
            requested_at: case.requested_at,
            now: self.now(),
            signed_in,
            hinted: case.pending.hinted,
            agreed: agreed.as_ref(),
            allowed_now: case.allowed_now,
        });
        Ok((step, agreed))
    }

    async fn go_on(&self, case: Case<'_>) -> Result<Authorize, Error> {
        let (step, agreed) = self.weigh(&case).await?;
        let session = case.session();
        let user = session.and_then(Admitted::user);
        match (step, session, user.map(|user| user.id)) {
            (Step::Issue, Some(session), Some(user)) => self.issue_code(&case, session, user, agreed).await,
            (Step::Refuse(error), ..) => {
                Ok(Authorize::Redirect(self.refusal(case.tenant, &case.pending.request.address, error)))
            }
            (Step::Consent, ..) => Ok(Authorize::Consent {
                request: self.sealed_request(&case).await?,
                scope: case.pending.request.scope,
                ui_locales: case.pending.request.ui_locales,
                client: case.client,
            }),
            (Step::SignIn | Step::Issue, ..) => Ok(Authorize::SignIn {
                request: self.sealed_request(&case).await?,
                login_hint: case.pending.request.login_hint,
                ui_locales: case.pending.request.ui_locales,
                client: case.client,
            }),
        }
    }

    async fn sealed_request(&self, case: &Case<'_>) -> Result<String, Error> {
        match &case.sealed {
            Some(sealed) => Ok(sealed.clone()),
            None => self.seal_for_browser(case.tenant.id, PURPOSE, &case.pending, case.browser.cookie).await,
        }
    }

    async fn agreed(
        &self,
        tenant: TenantId,
        user: UserId,
        client: &Client,
    ) -> Result<Option<ScopeSet>, Error> {
        let client = client.id;
        let read = async move |tx: &mut Tx<'_>| {
            tx.query_opt(&schema::CONSENT, &params![tenant, user, client], |row| {
                scope_of(&row.get::<String>(0)?)
            })
            .await
        };
        Ok(self.0.store.read(read).await?)
    }

    fn refusal(&self, tenant: &Tenant, address: &ReturnAddress, error: RequestError) -> Redirect {
        let params = vec![("error", error.code.to_owned()), ("error_description", error.description)];
        self.response(tenant, address, params)
    }

    fn response(
        &self,
        tenant: &Tenant,
        address: &ReturnAddress,
        mut params: Vec<(&'static str, String)>,
    ) -> Redirect {
        params.extend(address.state.clone().map(|state| ("state", state)));
        params.push(("iss", self.issuer(tenant)));
        Redirect { uri: address.uri.clone(), mode: address.mode, params }
    }

    async fn issue_code(
        &self,
        case: &Case<'_>,
        session: &Admitted,
        user: UserId,
        agreed: Option<ScopeSet>,
    ) -> Result<Authorize, Error> {
        let id: GrantId = self.0.world.new_id();
        let code = self.new_handle(case.tenant.id, HandleKind::Code, id).await?;
        let policy = self.policy(case.tenant.id).await?;
        let grant = NewCode {
            id,
            user,
            session: session.clone(),
            client: Arc::clone(&case.client),
            request: case.pending.request.clone(),
            digest: code.digest,
            lifetime: Duration::from_secs(policy.code_s.into()),
            // Consent to our own clients is nobody's decision, and so not noted.
            consent: (case.allowed_now && !case.client.settings.first_party)
                .then(|| agreed.unwrap_or_default().union(&case.pending.request.scope)),
            cause: Cause::user(user, case.browser.origin.clone()),
        };
        let room = self.clone();
        self.0.store.write(async move |tx: &mut Tx<'_>| grant.insert(tx, &room).await).await?;
        let params = vec![("code", code.text.expose().to_owned())];
        Ok(Authorize::Redirect(self.response(case.tenant, &case.pending.request.address, params)))
    }

    async fn record_denial(
        &self,
        tenant: TenantId,
        user: UserId,
        client: &Client,
        origin: &Origin,
    ) -> Result<(), Error> {
        let (room, origin, client) = (self.clone(), origin.clone(), client.id);
        let record = async move |tx: &mut Tx<'_>| {
            let refusal = Refused {
                tenant,
                actor: Actor::User(user),
                action: "consent.grant",
                target: Some(("client", client.to_string())),
                reason: "denied_by_user",
            };
            room.record_refusal(tx, refusal, &origin).await
        };
        Ok(self.0.store.write(record).await?)
    }
}

fn is_registered(client: &Client, uri: &str) -> bool {
    client.settings.redirect_uris.iter().any(|registered| registered.matches(uri))
}

fn not_registered() -> RequestError {
    RequestError::new("invalid_request", "redirect_uri is not registered for this client")
}

impl<'a> Case<'a> {
    /// Who is signed in, if it is to this tenant.
    fn session(&self) -> Option<&'a Admitted> {
        self.browser.session.filter(|session| session.tenant() == self.tenant.id)
    }
}

/// A code to be stored.
struct NewCode {
    id: GrantId,
    user: UserId,
    session: Admitted,
    client: Arc<Client>,
    request: AuthorizationRequest,
    digest: [u8; 32],
    lifetime: Duration,
    /// What the user has agreed to, with this request, if they were asked.
    consent: Option<ScopeSet>,
    cause: Cause,
}

impl NewCode {
    async fn insert(&self, tx: &mut Tx<'_>, room: &Tokens) -> Result<(), Error> {
        let (tenant, request, now) = (self.session.tenant(), &self.request, room.now());
        let expires_at = now.plus(self.lifetime);
        let json = |text: serde_json::Result<String>| text.map_err(|e| Error::corrupt("grant", e));
        let claims =
            (!request.claims.is_empty()).then(|| json(serde_json::to_string(&request.claims))).transpose()?;
        let amr = json(serde_json::to_string(self.session.amr()))?;
        let resources = resources_text(&request.resources)?;
        tx.execute(
            &schema::INSERT_CODE,
            &params![
                self.id,
                tenant,
                self.client.id,
                self.user,
                self.session.session(),
                request.scope.contains(scope::OFFLINE_ACCESS),
                request.scope.as_str(),
                &claims,
                &request.nonce,
                self.session.auth_time(),
                &amr,
                self.session.acr(),
                now,
                expires_at,
                self.digest,
                expires_at,
                &request.address.uri,
                request.challenge.as_ref().map(crate::pkce::CodeChallenge::as_str),
                resources,
                &request.dpop_jkt
            ],
        )
        .await?;
        if self.client.settings.backchannel_logout_uri.is_some() {
            room.note_party(tx, self.client.id, self.session.session()).await?;
        }
        if let Some(scope) = &self.consent {
            tx.execute(
                &schema::SET_CONSENT,
                &params![tenant, self.user, self.client.id, scope.as_str(), now],
            )
            .await?;
            let target = ("client", self.client.id.to_string());
            room.record(tx, &self.cause, tenant, "consent.grant", target, json!({"scope": scope})).await?;
        }
        let detail =
            json!({"client": self.client.id, "scope": request.scope, "session": self.session.session()});
        room.record(tx, &self.cause, tenant, "code.issue", ("grant", self.id.to_string()), detail).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(uri: &str) -> String {
        let params = vec![("code", "a&b c".to_owned()), ("iss", "https://id.example".to_owned())];
        Redirect { uri: uri.to_owned(), mode: ResponseMode::Query, params }.location()
    }

    #[test]
    fn parameters_join_the_query_that_is_there() {
        let tail = "code=a%26b+c&iss=https%3A%2F%2Fid.example";
        assert_eq!(location("https://app.example/cb"), format!("https://app.example/cb?{tail}"));
        assert_eq!(location("https://app.example/cb?x=1"), format!("https://app.example/cb?x=1&{tail}"));
        assert_eq!(location("https://app.example/cb?"), format!("https://app.example/cb?{tail}"));
        assert_eq!(location("com.example.app:/cb"), format!("com.example.app:/cb?{tail}"));
    }
}

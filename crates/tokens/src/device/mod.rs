//! The device grant (RFC 8628): a device that has no browser shows a short code, its user types the code where they are
//! signed in, and the device, which has been asking meanwhile, gets its tokens.
//!
//! Whoever shows a code to somebody else can try to have their own device approved (section 5.4). So the page always
//! asks, whatever was agreed before, and says who asks and from where; and nobody finds a waiting device by trying codes:
//! each try is counted by the user and by the address before it is looked up.

mod code;

use crate::authorization::Browser;
use crate::clients::{AuthenticatedClient, Client, GrantType};
use crate::consent::scope_of;
use crate::error::{Error, TokenError};
use crate::grants::{self, HandleKind};
use crate::schema::{self, device as sql};
use crate::scope::{self, ScopeSet};
use crate::service::{Refused, Tokens};
use code::UserCode;
use keyreeve_audit::Actor;
use keyreeve_base::{ClientId, GrantId, Origin, TenantId, Timestamp, UserId};
use keyreeve_identity::{Admitted, Cause, Refusal, Tenant};
use keyreeve_store::{Row, Tx, params};
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// How long a device waits for its user.
const LIFETIME: Duration = Duration::from_secs(600);
/// How long a device pauses between two questions, in seconds (RFC 8628 section 3.2).
pub(crate) const INTERVAL_S: i64 = 5;
/// How long a request that is over is still told from one that never was.
pub(crate) const KEPT_AFTER_END: Duration = Duration::from_secs(3_600);
/// New codes are made until one is free; with so many letters the first one nearly always is.
const ATTEMPTS: usize = 8;
/// What a device that was looked at is sealed for.
const PURPOSE: &str = "tokens/device_request";
/// What the way to the page through a sign-in is sealed for.
const VISIT: &str = "tokens/device_visit";

/// The answer to a device (RFC 8628 section 3.2). It is made to be sent, once: that is why it serializes, although it
/// holds secrets; it has no `Debug`.
#[derive(Serialize)]
pub struct DeviceAuthorization {
    /// With it the device asks for its tokens.
    pub device_code: String,
    /// What the device shows.
    pub user_code: String,
    /// Where it is typed.
    pub verification_uri: String,
    /// The same with the code in it, for a picture of dots.
    pub verification_uri_complete: String,
    /// How long both codes live, in seconds.
    pub expires_in: u64,
    /// How long to pause between two questions, in seconds.
    pub interval: i64,
}

/// A device that waits, as the page shows it.
#[derive(Clone, Debug)]
pub struct DevicePreview {
    /// The sealed request, to be handed to [`Tokens::decide_device`].
    pub request: String,
    /// The client that asks.
    pub client: Arc<Client>,
    /// What it asks for.
    pub scope: ScopeSet,
    /// The code, as the device shows it.
    pub user_code: String,
    /// Where the device asked from.
    pub address: Option<String>,
}

/// What came of a code that was typed.
#[derive(Clone, Debug)]
pub enum DeviceLookup {
    /// A device waits under it.
    Found(Box<DevicePreview>),
    /// None does (any more).
    Unknown,
    /// Too many codes were tried.
    Throttled {
        /// When to try again.
        retry_after: Duration,
    },
}

/// What came of the user's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceDecision {
    /// The device will get its tokens.
    Allowed,
    /// It will not.
    Denied,
    /// It waits no longer, or was never asked about in this browser.
    Expired,
}

/// A waiting device.
struct Waiting {
    id: GrantId,
    client: ClientId,
    scope: ScopeSet,
    address: Option<String>,
}

impl Waiting {
    fn from_row(row: &Row<'_>) -> Result<Self, keyreeve_store::Error> {
        Ok(Self {
            id: row.get(0)?,
            client: row.get(1)?,
            scope: scope_of(&row.get::<String>(2)?)?,
            address: row.get(3)?,
        })
    }
}

/// What is sealed for the page.
#[derive(serde::Serialize, serde::Deserialize)]
struct Pending {
    id: GrantId,
    session: Option<keyreeve_base::SessionId>,
}

/// What is sealed for the way through a sign-in.
#[derive(serde::Serialize, serde::Deserialize)]
struct VisitOf {
    user_code: Option<String>,
}

impl Tokens {
    /// Lets a device wait for its user. Without `scope` it asks for everything that the client may be given.
    ///
    /// # Errors
    /// [`TokenError::UnauthorizedClient`], [`TokenError::InvalidScope`], [`TokenError::InvalidTarget`],
    /// [`TokenError::Throttled`].
    pub async fn authorize_device(
        &self,
        tenant: &Tenant,
        client: &AuthenticatedClient,
        (scope, resources): (Option<&str>, &[&str]),
        origin: &Origin,
    ) -> Result<DeviceAuthorization, TokenError> {
        let confidential = client.is_confidential();
        let client = client.client();
        if !client.settings.allows(GrantType::DeviceCode) {
            return Err(TokenError::UnauthorizedClient);
        }
        let scope = requested_scope(client, scope)?;
        let resources = self.named_resources(tenant, Some(client), resources).await?;
        let resources = grants::resources_text(&resources)?;
        let id: GrantId = self.0.world.new_id();
        let handle = self.new_handle(tenant.id, HandleKind::Device, id).await?;
        let codes: Vec<UserCode> = (0..ATTEMPTS).map(|_| UserCode::generate(&self.0.world)).collect();
        let (room, tenant_now, origin, digest) =
            (self.clone(), tenant.clone(), origin.clone(), handle.digest);
        let whose = client.id;
        let made = self
            .0
            .store
            .write(async move |tx: &mut Tx<'_>| {
                let actor = Actor::Client(whose);
                if !confidential {
                    // Anybody can call itself by a public client's name.
                    let admission = room.0.identity.admission();
                    let counted =
                        admission.count_request(tx, &tenant_now, (actor, "device.begin"), &origin).await?;
                    if let Err(refusal) = counted {
                        return Ok(Err(TokenError::refused(&refusal, TokenError::AccessDenied)));
                    }
                }
                let now = room.now();
                let address = origin.address.map(|address| address.to_string());
                for code in &codes {
                    let user_digest = code.digest(tenant_now.id);
                    let inserted = tx
                        .execute(
                            &sql::INSERT_DEVICE,
                            &params![
                                id,
                                tenant_now.id,
                                whose,
                                digest,
                                user_digest,
                                scope.as_str(),
                                &address,
                                now,
                                now.plus(LIFETIME),
                                INTERVAL_S,
                                &resources
                            ],
                        )
                        .await?;
                    if inserted == 1 {
                        let cause = Cause::new(actor, origin.clone());
                        let target = ("device", id.to_string());
                        let detail = json!({"client": whose, "scope": scope});
                        room.record(tx, &cause, tenant_now.id, "device.begin", target, detail).await?;
                        return Ok::<_, TokenError>(Ok(code.clone()));
                    }
                }
                Err(TokenError::Busy { retry_after: Duration::from_secs(60) })
            })
            .await??;
        let user_code = made.shown();
        let uri = format!("{}{}", self.issuer(tenant), self.0.device_path);
        Ok(DeviceAuthorization {
            device_code: handle.text.expose().to_owned(),
            verification_uri_complete: format!("{uri}?user_code={user_code}"),
            verification_uri: uri,
            user_code,
            expires_in: LIFETIME.as_secs(),
            interval: INTERVAL_S,
        })
    }

    /// Seals the way to the devices' page, with the code that was in the link, for a browser that has to sign in first:
    /// [`Tokens::resume`] leads on from there. No code is looked up for whoever is not signed in.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn device_visit(
        &self,
        tenant: &Tenant,
        user_code: Option<&str>,
        cookie: &str,
    ) -> Result<String, Error> {
        let user_code = user_code.and_then(UserCode::parse).map(|code| code.shown());
        self.seal_for_browser(tenant.id, VISIT, &VisitOf { user_code }, cookie).await
    }

    /// The code of a sealed way to the devices' page; none when it is no such thing.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn open_device_visit(
        &self,
        tenant: &Tenant,
        request: &str,
        cookie: &str,
    ) -> Result<Option<Option<String>>, Error> {
        let opened = self.open_from_browser::<VisitOf>(tenant.id, VISIT, request, cookie).await?;
        Ok(opened.map(|opened| opened.content.user_code))
    }

    /// Looks for the device that shows a code, for the user who typed it.
    ///
    /// # Errors
    /// [`Error::NotFound`] where nobody is signed in; those of the store.
    pub async fn find_device(
        &self,
        tenant: &Tenant,
        typed: &str,
        browser: Browser<'_>,
    ) -> Result<DeviceLookup, Error> {
        let session = browser.session.filter(|session| session.tenant() == tenant.id);
        let user = session.and_then(Admitted::user).ok_or(Error::NotFound("session"))?.id;
        let code = UserCode::parse(typed);
        let (room, tenant_now, origin) = (self.clone(), tenant.clone(), browser.origin.clone());
        let digest = code.as_ref().map(|code| code.digest(tenant.id));
        let found = self
            .0
            .store
            .write(async move |tx: &mut Tx<'_>| room.look_up(tx, &tenant_now, (user, digest), &origin).await)
            .await?;
        let (waiting, code) = match (found, code) {
            (Err(Refusal::Throttled { retry_after } | Refusal::Busy { retry_after }), _) => {
                return Ok(DeviceLookup::Throttled { retry_after });
            }
            (Ok(Some(waiting)), Some(code)) => (waiting, code),
            (Ok(_) | Err(Refusal::Denied), _) => return Ok(DeviceLookup::Unknown),
        };
        let client = self.clients().get(tenant.id, waiting.client).await;
        let client = match client {
            Ok(client) if client.settings.enabled => client,
            Ok(_) | Err(Error::NotFound(_)) => return Ok(DeviceLookup::Unknown),
            Err(error) => return Err(error),
        };
        let pending = Pending { id: waiting.id, session: session.and_then(Admitted::session) };
        Ok(DeviceLookup::Found(Box::new(DevicePreview {
            request: self.seal_for_browser(tenant.id, PURPOSE, &pending, browser.cookie).await?,
            client: Arc::new(client),
            scope: waiting.scope,
            user_code: code.shown(),
            address: waiting.address,
        })))
    }

    async fn look_up(
        &self,
        tx: &mut Tx<'_>,
        tenant: &Tenant,
        (user, digest): (UserId, Option<[u8; 32]>),
        origin: &Origin,
    ) -> Result<Result<Option<Waiting>, Refusal>, Error> {
        let counted =
            self.0.identity.admission().count_code(tx, tenant, (user, "device.find"), origin).await?;
        let guess = match counted {
            Ok(guess) => guess,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let found = match digest {
            Some(digest) => {
                let now = self.now();
                let row = params![tenant.id, digest, now];
                tx.query_opt(&sql::DEVICE_BY_USER_CODE, &row, Waiting::from_row).await?
            }
            None => None,
        };
        if found.is_some() {
            guess.right(tx).await?;
        } else {
            let refusal = Refused {
                tenant: tenant.id,
                actor: Actor::User(user),
                action: "device.find",
                target: None,
                reason: "unknown_user_code",
            };
            self.record_refusal(tx, refusal, origin).await?;
        }
        Ok(Ok(found))
    }

    /// Takes the user's word on a device. The door must have made certain that it was the user who answered (a CSRF
    /// token); it counts only in the browser and session in which the device was looked at.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn decide_device(
        &self,
        tenant: &Tenant,
        request: &str,
        allow: bool,
        browser: Browser<'_>,
    ) -> Result<DeviceDecision, Error> {
        let opened = self.open_from_browser::<Pending>(tenant.id, PURPOSE, request, browser.cookie).await?;
        let session = browser.session.filter(|session| session.tenant() == tenant.id);
        let (Some(Pending { id, session: looked_at }), Some(session)) =
            (opened.map(|opened| opened.content), session)
        else {
            return Ok(DeviceDecision::Expired);
        };
        let Some(user) = session.user().map(|user| user.id) else { return Ok(DeviceDecision::Expired) };
        if session.session() != looked_at {
            return Ok(DeviceDecision::Expired);
        }
        let word =
            Word { tenant: tenant.id, id, user, session: session.clone(), origin: browser.origin.clone() };
        let room = self.clone();
        self.0
            .store
            .write(
                async move |tx: &mut Tx<'_>| {
                    if allow { room.allow_device(tx, &word).await } else { room.deny_device(tx, &word).await }
                },
            )
            .await
    }

    async fn allow_device(&self, tx: &mut Tx<'_>, word: &Word) -> Result<DeviceDecision, Error> {
        let (tenant, now) = (word.tenant, self.now());
        let found =
            tx.query_opt(&sql::DEVICE_WAITING, &params![tenant, word.id, now], Waiting::from_row).await?;
        let Some(waiting) = found else { return Ok(DeviceDecision::Expired) };
        let client = self.client_in(tx, tenant, waiting.client).await?;
        let Some(client) = client.filter(|client| client.settings.enabled) else {
            return Ok(DeviceDecision::Expired);
        };
        let session = &word.session;
        let amr = serde_json::to_string(session.amr()).map_err(|e| Error::corrupt("device request", e))?;
        let (id, auth_time, acr) = (session.session(), session.auth_time(), session.acr());
        let row = params![tenant, word.id, now, word.user, id, auth_time, amr, acr];
        if tx.execute(&sql::ALLOW_DEVICE, &row).await? == 0 {
            return Ok(DeviceDecision::Expired);
        }
        if client.settings.backchannel_logout_uri.is_some() {
            self.note_party(tx, client.id, session.session()).await?;
        }
        let cause = Cause::user(word.user, word.origin.clone());
        if !client.settings.first_party {
            self.note_consent(tx, (tenant, word.user, client.id), &waiting.scope, &cause).await?;
        }
        let detail = json!({"client": client.id, "scope": waiting.scope, "session": session.session()});
        self.record(tx, &cause, tenant, "device.allow", ("device", word.id.to_string()), detail).await?;
        Ok(DeviceDecision::Allowed)
    }

    async fn deny_device(&self, tx: &mut Tx<'_>, word: &Word) -> Result<DeviceDecision, Error> {
        if tx.execute(&sql::DENY_DEVICE, &params![word.tenant, word.id, self.now()]).await? == 0 {
            return Ok(DeviceDecision::Expired);
        }
        let cause = Cause::user(word.user, word.origin.clone());
        let target = ("device", word.id.to_string());
        self.record(tx, &cause, word.tenant, "device.deny", target, json!({})).await?;
        Ok(DeviceDecision::Denied)
    }

    /// Adds to what a user has agreed to for a client.
    async fn note_consent(
        &self,
        tx: &mut Tx<'_>,
        (tenant, user, client): (TenantId, UserId, ClientId),
        scope: &ScopeSet,
        cause: &Cause,
    ) -> Result<(), Error> {
        let agreed = tx
            .query_opt(&schema::CONSENT, &params![tenant, user, client], |row| {
                scope_of(&row.get::<String>(0)?)
            })
            .await?;
        let whole = agreed.unwrap_or_default().union(scope);
        let now: Timestamp = self.now();
        tx.execute(&schema::SET_CONSENT, &params![tenant, user, client, whole.as_str(), now]).await?;
        let target = ("client", client.to_string());
        self.record(tx, cause, tenant, "consent.grant", target, json!({"scope": whole})).await?;
        Ok(())
    }
}

/// The user's word on a device, owned by its transaction.
struct Word {
    tenant: TenantId,
    id: GrantId,
    user: UserId,
    session: Admitted,
    origin: Origin,
}

/// What is asked for and allowed; scopes that are not this client's are left out, as at the authorization endpoint.
/// Whether access goes on without the user is on the page that always asks.
fn requested_scope(client: &Client, scope: Option<&str>) -> Result<ScopeSet, TokenError> {
    let settings = &client.settings;
    let mut allowed = settings.scopes.clone();
    if !settings.allows(GrantType::RefreshToken) {
        allowed = allowed.without(scope::OFFLINE_ACCESS);
    }
    let granted = match scope {
        None => allowed.without(scope::OFFLINE_ACCESS),
        Some(text) => {
            let asked = ScopeSet::parse(text).map_err(|e| TokenError::InvalidScope(e.to_string()))?;
            asked.intersection(&allowed)
        }
    };
    if granted.is_empty() {
        return Err(TokenError::InvalidScope("the client may be given none of these scopes".to_owned()));
    }
    Ok(granted)
}

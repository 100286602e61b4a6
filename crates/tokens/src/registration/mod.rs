//! Dynamic client registration and its management (RFC 7591, RFC 7592).
//!
//! Closed unless the tenant opens it, to anybody or to whoever shows an initial access token; and what a client can have
//! registered is bounded by the tenant's policy. A client that registered itself is never one of the operator's own
//! (users are asked for consent), needs PKCE, and gets no scope of this server's own interfaces. Keys come inline: no
//! address that a client names is fetched. Software statements are refused, since nobody whom we trust issues them. Links
//! to logos and policies are not kept; what is not kept is not in the answer (RFC 7591 section 2).

mod initial;
mod metadata;
mod policy;

pub use initial::{InitialToken, InitialTokens, NewInitialToken};
pub use metadata::{ClientInformation, ClientMetadata};
pub use policy::RegistrationPolicy;

use crate::clients::{Client, ClientSettings, insert_client, insert_secret, update_client};
use crate::error::Error;
use crate::schema::registration as sql;
use crate::service::{Refused, Tokens};
use keyreeve_audit::Actor;
use keyreeve_base::{ClientId, Origin, TenantId};
use keyreeve_crypto::{Alphabet, OpaqueToken, Secret, TokenDigest, constant_time_eq, random_text};
use keyreeve_identity::{Cause, Refusal, Tenant};
use keyreeve_store::{Tx, params};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// What a registration access token begins with.
const TOKEN_PREFIX: &str = "kr_ra_";
/// The longest token that is looked at, in bytes.
const MAX_TOKEN_BYTES: usize = 128;

/// Why a registration is refused (RFC 7591 section 3.2.2).
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// The tenant lets nobody register.
    #[error("registration is closed")]
    Closed,
    /// No token, or none that is good: `invalid_token` (RFC 6750 section 3.1).
    #[error("the access token is not valid")]
    InvalidToken,
    /// `invalid_redirect_uri`.
    #[error("{0}")]
    RedirectUri(String),
    /// `invalid_client_metadata`.
    #[error("{0}")]
    Metadata(String),
    /// `unapproved_software_statement`.
    #[error("software statements are not accepted")]
    SoftwareStatement,
    /// Too many requests.
    #[error("too many requests; try again in {} s", .retry_after.as_secs().max(1))]
    Throttled {
        /// When to try again.
        retry_after: Duration,
    },
    /// As many clients have registered themselves as the tenant allows.
    #[error("no more clients can be registered")]
    Full,
    /// The server failed.
    #[error(transparent)]
    Internal(#[from] Error),
}

impl From<keyreeve_store::Error> for RegistrationError {
    fn from(error: keyreeve_store::Error) -> Self {
        Self::Internal(error.into())
    }
}

impl From<keyreeve_identity::Error> for RegistrationError {
    fn from(error: keyreeve_identity::Error) -> Self {
        Self::Internal(error.into())
    }
}

/// A registration on its way, owned by its transaction.
struct Registration {
    tenant: Tenant,
    client: Client,
    secret: Option<TokenDigest>,
    token: TokenDigest,
    initial: Option<TokenDigest>,
    policy: RegistrationPolicy,
    origin: Origin,
}

impl Tokens {
    /// The use cases of initial access tokens.
    #[must_use]
    pub const fn initial_tokens(&self) -> InitialTokens<'_> {
        InitialTokens(self)
    }

    /// Registers a client for whoever asks, with the initial access token that was shown, if any.
    ///
    /// # Errors
    /// [`RegistrationError`].
    pub async fn register(
        &self,
        tenant: &Tenant,
        metadata: &ClientMetadata,
        initial: Option<&str>,
        origin: &Origin,
    ) -> Result<ClientInformation, RegistrationError> {
        let policy = self.policy(tenant.id).await?.registration.clone();
        let initial = initial.filter(|text| policy.initial_token && text.len() <= MAX_TOKEN_BYTES);
        match (policy.open, policy.initial_token, initial) {
            (false, false, _) => return Err(RegistrationError::Closed),
            (false, true, None) => return Err(RegistrationError::InvalidToken),
            _ => {}
        }
        let settings = metadata.settings(&policy, None)?;
        let world = &self.0.world;
        let now = self.now();
        let client = Client {
            id: world.new_id(),
            tenant_id: tenant.id,
            client_id: random_text(world, Alphabet::Readable, 24).expose().to_owned(),
            settings,
            created_at: now,
            updated_at: now,
            version: 1,
        };
        let uses_secret = client.settings.auth_method.uses_secret();
        let secret = uses_secret.then(|| crate::clients::new_secret(world));
        let token = OpaqueToken::generate_with_prefix(world, TOKEN_PREFIX);
        let it = Registration {
            tenant: tenant.clone(),
            client: client.clone(),
            secret: secret.as_ref().map(OpaqueToken::digest),
            token: token.digest(),
            initial: initial.map(TokenDigest::of),
            policy,
            origin: origin.clone(),
        };
        let room = self.clone();
        self.0.store.write(async move |tx: &mut Tx<'_>| room.insert_registration(tx, &it).await).await??;
        Ok(self.information(tenant, &client, secret.as_ref(), Some(&token)))
    }

    async fn insert_registration(
        &self,
        tx: &mut Tx<'_>,
        it: &Registration,
    ) -> Result<Result<(), RegistrationError>, RegistrationError> {
        let (tenant, now) = (it.tenant.id, self.now());
        let initial = match it.initial.as_ref().map(TokenDigest::as_bytes) {
            Some(digest) => {
                let row = params![tenant, *digest, now];
                match tx.query_opt(&sql::USE_INITIAL, &row, |row| row.get::<Uuid>(0)).await? {
                    Some(id) => Some(id),
                    None => {
                        self.refuse_registration(tx, it, "unknown_initial_token").await?;
                        return Ok(Err(RegistrationError::InvalidToken));
                    }
                }
            }
            None => {
                let who = (Actor::Anonymous, "client.register");
                let admission = self.0.identity.admission();
                match admission.count_request(tx, &it.tenant, who, &it.origin).await? {
                    Ok(()) => None,
                    Err(Refusal::Throttled { retry_after } | Refusal::Busy { retry_after }) => {
                        return Ok(Err(RegistrationError::Throttled { retry_after }));
                    }
                    Err(Refusal::Denied) => return Ok(Err(RegistrationError::Closed)),
                }
            }
        };
        let registered = tx.scalar::<i64>(&sql::COUNT_REGISTRATIONS, &params![tenant]).await?;
        if registered >= i64::from(it.policy.max_clients) {
            self.refuse_registration(tx, it, "too_many_clients").await?;
            return Ok(Err(RegistrationError::Full));
        }
        let cause = Cause::new(Actor::Client(it.client.id), it.origin.clone());
        insert_client(tx, self, &it.client, it.secret.as_ref(), (&cause, "client.register")).await?;
        let (id, digest) = (it.client.id, *it.token.as_bytes());
        let row = params![id, tenant, digest, initial, now];
        tx.execute(&sql::INSERT_REGISTRATION, &row).await?;
        Ok(Ok(()))
    }

    async fn refuse_registration(
        &self,
        tx: &mut Tx<'_>,
        it: &Registration,
        reason: &'static str,
    ) -> Result<(), RegistrationError> {
        let refusal = Refused {
            tenant: it.tenant.id,
            actor: Actor::Anonymous,
            action: "client.register",
            target: None,
            reason,
        };
        Ok(self.record_refusal(tx, refusal, &it.origin).await?)
    }

    /// The registration of a client, for whoever holds its registration access token (RFC 7592 section 2.1). Its secret
    /// is told once, when it is made.
    ///
    /// # Errors
    /// [`RegistrationError::InvalidToken`], also where there is no such client.
    pub async fn read_registration(
        &self,
        tenant: &Tenant,
        client_id: &str,
        token: &str,
    ) -> Result<ClientInformation, RegistrationError> {
        let (client, _) = self.registered(tenant, client_id, token).await?;
        Ok(self.information(tenant, &client, None, None))
    }

    /// Replaces what a client has registered (RFC 7592 section 2.2). The registration access token is replaced, too; what
    /// an operator has set stays.
    ///
    /// # Errors
    /// [`RegistrationError`].
    pub async fn update_registration(
        &self,
        tenant: &Tenant,
        (client_id, token): (&str, &str),
        metadata: &ClientMetadata,
        origin: &Origin,
    ) -> Result<ClientInformation, RegistrationError> {
        let (client, digest) = self.registered(tenant, client_id, token).await?;
        metadata.check_update(&client)?;
        let policy = self.policy(tenant.id).await?;
        let settings = metadata.settings(&policy.registration, Some(&client.settings))?;
        let (had, has) = (client.settings.auth_method.uses_secret(), settings.auth_method.uses_secret());
        let world = &self.0.world;
        let secret = (has && !had).then(|| crate::clients::new_secret(world));
        let next = OpaqueToken::generate_with_prefix(world, TOKEN_PREFIX);
        let change = Change {
            tenant: tenant.id,
            before: Arc::clone(&client),
            settings,
            secret: secret.as_ref().map(OpaqueToken::digest),
            clear_secrets: had && !has,
            tokens: (digest, next.digest()),
            cause: Cause::new(Actor::Client(client.id), origin.clone()),
        };
        let room = self.clone();
        let after = self
            .0
            .store
            .write(async move |tx: &mut Tx<'_>| room.change_registration(tx, &change).await)
            .await?;
        let after = after.ok_or(RegistrationError::InvalidToken)?;
        Ok(self.information(tenant, &after, secret.as_ref(), Some(&next)))
    }

    async fn change_registration(
        &self,
        tx: &mut Tx<'_>,
        it: &Change,
    ) -> Result<Option<Client>, RegistrationError> {
        let (old, new) = (*it.tokens.0.as_bytes(), *it.tokens.1.as_bytes());
        let (client, now) = (it.before.id, self.now());
        let row = params![it.tenant, client, old, new, now];
        if tx.execute(&sql::ROTATE_REGISTRATION, &row).await? == 0 {
            return Ok(None);
        }
        if it.clear_secrets {
            tx.execute(&sql::CLEAR_SECRETS, &params![it.before.id]).await?;
        }
        if let Some(digest) = &it.secret {
            insert_secret(tx, self, it.before.id, digest).await?;
        }
        let settings = it.settings.clone();
        let cause = (&it.cause, "client.update");
        Ok(Some(update_client(tx, self, &it.before, settings, cause).await?))
    }

    /// Removes a client at its own wish, with all that hangs on it (RFC 7592 section 2.3).
    ///
    /// # Errors
    /// [`RegistrationError::InvalidToken`].
    pub async fn delete_registration(
        &self,
        tenant: &Tenant,
        client_id: &str,
        token: &str,
        origin: &Origin,
    ) -> Result<(), RegistrationError> {
        let (client, _) = self.registered(tenant, client_id, token).await?;
        let cause = Cause::new(Actor::Client(client.id), origin.clone());
        match self.clients().delete(tenant.id, client.id, &cause).await {
            Ok(()) => Ok(()),
            Err(Error::NotFound(_)) => Err(RegistrationError::InvalidToken),
            Err(error) => Err(error.into()),
        }
    }

    /// The client of this name, if the token is its registration access token.
    async fn registered(
        &self,
        tenant: &Tenant,
        client_id: &str,
        token: &str,
    ) -> Result<(Arc<Client>, TokenDigest), RegistrationError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(RegistrationError::InvalidToken);
        }
        let presented = TokenDigest::of(token);
        let found = self.clients().by_client_id(tenant.id, client_id).await?;
        let usable = found.filter(|client| client.settings.enabled && tenant.is_active());
        let stored = match &usable {
            Some(client) => self.registration_digest(tenant.id, client.id).await?,
            None => None,
        };
        // The same comparison where there is nothing to compare with.
        let expected = stored.unwrap_or(TokenDigest::from_bytes([0; 32]));
        let same = constant_time_eq(expected.as_bytes(), presented.as_bytes());
        match usable {
            Some(client) if same && stored.is_some() => Ok((client, presented)),
            _ => Err(RegistrationError::InvalidToken),
        }
    }

    async fn registration_digest(
        &self,
        tenant: TenantId,
        client: ClientId,
    ) -> Result<Option<TokenDigest>, Error> {
        let read = async move |tx: &mut Tx<'_>| {
            tx.query_opt(&sql::REGISTRATION, &params![tenant, client], |row| {
                row.get::<[u8; 32]>(0).map(TokenDigest::from_bytes)
            })
            .await
        };
        Ok(self.0.store.read(read).await?)
    }

    /// Where a tenant's clients register, and below it manage themselves.
    #[must_use]
    pub fn registration_endpoint(&self, tenant: &Tenant) -> String {
        format!("{}{REGISTRATION_PATH}", self.issuer(tenant))
    }

    fn information(
        &self,
        tenant: &Tenant,
        client: &Client,
        secret: Option<&OpaqueToken>,
        token: Option<&OpaqueToken>,
    ) -> ClientInformation {
        let expose = |token: &OpaqueToken| Secret::new(token.expose());
        ClientInformation::of(
            client,
            secret.map(expose),
            token.map(expose),
            format!("{}/{}", self.registration_endpoint(tenant), client.client_id),
        )
    }
}

/// Where clients register, below an issuer.
pub const REGISTRATION_PATH: &str = "/register";

/// A change of a registration, owned by its transaction.
struct Change {
    tenant: TenantId,
    before: Arc<Client>,
    settings: ClientSettings,
    secret: Option<TokenDigest>,
    clear_secrets: bool,
    /// The digests of the registration access token, now and from now on.
    tokens: (TokenDigest, TokenDigest),
    cause: Cause,
}

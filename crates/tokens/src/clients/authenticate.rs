//! Authentication of clients: in the registered way and in no other.

use super::assertion::{self, Expected};
use super::model::{AuthMethod, Client, ClientKind};
use super::service::ClientRecord;
use crate::assertion::Once;
use crate::bounds::Bounds;
use crate::error::{Error, TokenError};
use crate::schema;
use crate::service::Tokens;
use keyreeve_base::{ClientId, Origin, Timestamp};
use keyreeve_crypto::{Secret, TokenDigest, constant_time_eq};
use keyreeve_identity::{ClientAttempt, Method, Proof, Tenant};
use keyreeve_store::{Tx, params};
use std::sync::Arc;

/// The longest `client_id` that is looked up, in bytes.
const MAX_CLIENT_ID_BYTES: usize = 100;
/// The longest secret that is looked at, in bytes.
const MAX_SECRET_BYTES: usize = 512;

/// What a client presented. A door that finds more than one of these in a request refuses it (RFC 6749 section 2.3).
#[derive(Debug)]
pub enum ClientCredential<'a> {
    /// The `Authorization: Basic` header, decoded (RFC 6749 section 2.3.1).
    Basic {
        /// The `client_id`.
        client_id: &'a str,
        /// The secret.
        secret: Secret,
    },
    /// `client_id` and `client_secret` in the body.
    Post {
        /// The `client_id`.
        client_id: &'a str,
        /// The secret.
        secret: Secret,
    },
    /// `client_assertion` and its type (RFC 7521 section 4.2).
    Assertion {
        /// The `client_assertion_type`.
        kind: &'a str,
        /// The `client_assertion`.
        jwt: &'a str,
        /// The `client_id` beside it, if there is one; it must be the assertion's `sub`.
        client_id: Option<&'a str>,
    },
    /// `client_id` alone: a public client.
    None {
        /// The `client_id`.
        client_id: &'a str,
    },
}

impl ClientCredential<'_> {
    const fn method(&self) -> AuthMethod {
        match self {
            Self::Basic { .. } => AuthMethod::ClientSecretBasic,
            Self::Post { .. } => AuthMethod::ClientSecretPost,
            Self::Assertion { .. } => AuthMethod::PrivateKeyJwt,
            Self::None { .. } => AuthMethod::None,
        }
    }

    /// Whom the credential says that it is from.
    fn claimed(&self) -> Option<String> {
        match self {
            Self::Basic { client_id, .. } | Self::Post { client_id, .. } | Self::None { client_id } => {
                Some((*client_id).to_owned())
            }
            Self::Assertion { jwt, client_id, .. } => {
                let sub = assertion::claimed_client(jwt)?;
                client_id.is_none_or(|named| named == sub).then_some(sub)
            }
        }
    }
}

/// A client that authenticated in its registered way; a public one: that named itself. Only this room makes one.
#[derive(Clone, Debug)]
pub struct AuthenticatedClient {
    client: Arc<Client>,
    bounds: Bounds,
}

impl AuthenticatedClient {
    /// The client.
    #[must_use]
    pub const fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// Whether it proved who it is; a public client cannot.
    #[must_use]
    pub fn is_confidential(&self) -> bool {
        self.client.settings.kind() == ClientKind::Confidential
    }

    /// The same client, with what its request is bound to.
    #[must_use]
    pub fn bound(self, bounds: Bounds) -> Self {
        Self { bounds, ..self }
    }

    /// What its request is bound to.
    #[must_use]
    pub const fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// The key of which it has proven possession: an RFC 7638 thumbprint.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.bounds.key()
    }

    /// The proof with which it asks admission for itself; none for a public client.
    pub(crate) fn proof(&self) -> Option<Proof> {
        let method = match self.client.settings.auth_method {
            AuthMethod::None => return None,
            AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost => Method::ClientSecret,
            AuthMethod::PrivateKeyJwt => Method::ClientAssertion,
        };
        Some(Proof::client(self.client.tenant_id, self.client.id, method))
    }
}

impl super::Clients<'_> {
    /// Authenticates a client. A success costs no write, except that an assertion is noted as used; a failure is
    /// counted and recorded.
    ///
    /// # Errors
    /// [`TokenError::InvalidClient`], [`TokenError::Throttled`], or a failure of the server.
    pub async fn authenticate(
        &self,
        tenant: &Tenant,
        credential: ClientCredential<'_>,
        origin: &Origin,
    ) -> Result<AuthenticatedClient, TokenError> {
        let room = self.0;
        let claimed = credential.claimed().filter(|name| name.len() <= MAX_CLIENT_ID_BYTES);
        let name = claimed.as_deref().unwrap_or_default();
        let attempt = match room.0.identity.admission().client_attempt(tenant.id, name, origin).await? {
            Ok(attempt) => attempt,
            Err(refusal) => return Err(TokenError::refused(&refusal, TokenError::InvalidClient)),
        };
        match room.verify_client(tenant, name, &credential).await? {
            Ok(client) => {
                attempt.succeeded().await?;
                Ok(AuthenticatedClient { client, bounds: Bounds::default() })
            }
            Err(reason) => Err(fail(attempt, &credential, reason).await?),
        }
    }
}

async fn fail(
    attempt: ClientAttempt,
    credential: &ClientCredential<'_>,
    reason: &'static str,
) -> Result<TokenError, TokenError> {
    let method = match credential.method() {
        AuthMethod::PrivateKeyJwt => Method::ClientAssertion,
        AuthMethod::None | AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost => {
            Method::ClientSecret
        }
    };
    let refusal = attempt.failed(method, reason).await?;
    Ok(TokenError::refused(&refusal, TokenError::InvalidClient))
}

impl Tokens {
    async fn verify_client(
        &self,
        tenant: &Tenant,
        name: &str,
        credential: &ClientCredential<'_>,
    ) -> Result<Result<Arc<Client>, &'static str>, Error> {
        if !tenant.is_active() {
            return Ok(Err("tenant_inactive"));
        }
        let Some(record) = self.clients().record(tenant.id, name).await? else {
            // The same work as for a client that exists.
            if let ClientCredential::Basic { secret, .. } | ClientCredential::Post { secret, .. } = credential
            {
                std::hint::black_box(TokenDigest::of(secret.expose()));
            }
            return Ok(Err("unknown_client"));
        };
        let settings = &record.client.settings;
        if !settings.enabled {
            return Ok(Err("client_disabled"));
        }
        if settings.auth_method != credential.method() {
            return Ok(Err("other_method_registered"));
        }
        let verified = match credential {
            ClientCredential::None { .. } => Ok(()),
            ClientCredential::Basic { secret, .. } | ClientCredential::Post { secret, .. } => {
                if secret_matches(&record, secret, self.now()) {
                    Ok(())
                } else {
                    Err("wrong_secret")
                }
            }
            ClientCredential::Assertion { kind, jwt, .. } => {
                self.use_assertion(tenant, &record, kind, jwt).await?
            }
        };
        Ok(verified.map(|()| record.client.clone()))
    }

    async fn use_assertion(
        &self,
        tenant: &Tenant,
        record: &ClientRecord,
        kind: &str,
        jwt: &str,
    ) -> Result<Result<(), &'static str>, Error> {
        if kind != assertion::ASSERTION_TYPE {
            return Ok(Err("unknown_assertion_type"));
        }
        let issuer = self.issuer(tenant);
        let endpoint = self.token_endpoint(tenant);
        // RFC 9126 section 2 has them accepted at the endpoint for pushed requests, under whichever of the names.
        let pushed = format!("{issuer}{}", self.pushed_path());
        let expected = Expected {
            client_id: &record.client.client_id,
            keys: &record.keys,
            audiences: &[&issuer, &endpoint, &pushed],
            now: self.now(),
        };
        let Once { jti, until } = match assertion::verify(jwt, &expected) {
            Ok(assertion) => assertion,
            Err(reason) => return Ok(Err(reason)),
        };
        let once = self.use_jti(record.client.id, jti, until).await?;
        Ok(if once { Ok(()) } else { Err("assertion_replayed") })
    }

    /// Notes that a client has used what must be used once, until it cannot be used any more; whether this was the first time.
    /// Committed by itself, and before the answer: it stays used, whatever becomes of the request.
    pub(crate) async fn use_jti(
        &self,
        client: ClientId,
        digest: [u8; 32],
        until: Timestamp,
    ) -> Result<bool, Error> {
        let note =
            async move |tx: &mut Tx<'_>| tx.execute(&schema::USE_JTI, &params![client, digest, until]).await;
        Ok(self.0.store.write(note).await? == 1)
    }
}

/// Whether the secret is one of the client's that still works. Digests of equal length are compared, each of them, in
/// constant time (AC-37).
fn secret_matches(record: &ClientRecord, secret: &Secret, now: Timestamp) -> bool {
    if secret.expose().len() > MAX_SECRET_BYTES {
        return false;
    }
    let presented = TokenDigest::of(secret.expose());
    record.secrets.iter().fold(false, |found, stored| {
        let works = stored.info.expires_at.is_none_or(|at| at > now);
        (constant_time_eq(stored.digest.as_bytes(), presented.as_bytes()) && works) || found
    })
}

//! The pair of identifier and secret that a user gives to programs. There is one for each user; its number counts them.

use super::call::Call;
use super::failure::Failure;
use super::reply::{Answer, JSON, LATER_JSON, Reply};
use super::{Insight, schema};
use keyreeve_audit::{Event, Outcome};
use keyreeve_base::{TenantId, Timestamp, UserId};
use keyreeve_crypto::OpaqueToken;
use keyreeve_identity::{Cause, Error};
use keyreeve_store::{Tx, params};
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::json;
use uuid::Uuid;

/// `RestApiCredentialsInfoV1`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Info {
    created_date: i64,
    credentials_id: i64,
}

/// `RestApiCredentialsV1`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Pair<'a> {
    client_id: String,
    created_date: i64,
    credentials_id: i64,
    secret: &'a str,
}

/// A new pair.
pub struct Generated {
    /// The identifier.
    pub client_id: Uuid,
    /// The secret, which is told this once.
    pub secret: OpaqueToken,
    /// The number of the pair among those of its user.
    pub credentials_id: i64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Milliseconds since 1970.
const fn millis(at: Timestamp) -> i64 {
    at.micros().div_euclid(1_000)
}

pub(super) async fn info(call: Call) -> Answer {
    let (tenant, user) = (call.tenant, call.caller()?.user.id);
    let read = async move |tx: &mut Tx<'_>| {
        tx.query_opt(&schema::INFO, &params![tenant, user], |row| {
            Ok(Info { credentials_id: row.get(0)?, created_date: millis(row.get(1)?) })
        })
        .await
    };
    let found = call.insight.store().read(read).await?;
    Reply::json(JSON, &found.ok_or(Failure::NoCredentials)?)
}

pub(super) async fn generate(mut call: Call) -> Answer {
    let body = call.optional_body(&[JSON, LATER_JSON]).await?;
    // The original declares a body and no type of it: whatever it says is of no account.
    if !body.is_empty() && serde_json::from_slice::<IgnoredAny>(&body).is_err() {
        return Err(Failure::BadRequest("The body is not JSON".into()));
    }
    let (user, cause) = (call.caller()?.user.id, call.cause()?);
    let made = call.insight.generate((call.tenant, user), &cause).await?;
    let pair = Pair {
        client_id: made.client_id.to_string(),
        created_date: millis(made.created_at),
        credentials_id: made.credentials_id,
        secret: made.secret.expose(),
    };
    Reply::json(JSON, &pair)
}

pub(super) async fn revoke(call: Call) -> Answer {
    let (user, cause) = (call.caller()?.user.id, call.cause()?);
    call.insight.revoke((call.tenant, user), &cause).await?;
    Ok(Reply::empty())
}

impl Insight {
    /// Makes a new pair for the user of this name, as an operator does who then hands it over.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the dialect's tenant and the user; those of the store.
    pub async fn generate_for(&self, name: &str, cause: &Cause) -> Result<Generated, Error> {
        self.generate(self.named(name).await?, cause).await
    }

    /// Revokes the pair of the user of this name; false when there is none.
    ///
    /// # Errors
    /// As for [`Insight::generate_for`].
    pub async fn revoke_of(&self, name: &str, cause: &Cause) -> Result<bool, Error> {
        self.revoke(self.named(name).await?, cause).await
    }

    async fn named(&self, name: &str) -> Result<(TenantId, UserId), Error> {
        let tenant =
            self.identity().tenants().by_slug(self.slug()).await?.ok_or(Error::NotFound("tenant"))?;
        let user = self.identity().users().find(tenant.id, name).await?.ok_or(Error::NotFound("user"))?;
        Ok((tenant.id, user.id))
    }

    /// Makes a new pair, which ends the former one and every token that was made of it.
    async fn generate(&self, of: (TenantId, UserId), cause: &Cause) -> Result<Generated, Error> {
        let (insight, cause, (tenant, user)) = (self.clone(), cause.clone(), of);
        let client_id = uuid::Builder::from_random_bytes(self.world().random_bytes()).into_uuid();
        let (secret, created_at) = (OpaqueToken::generate(self.world()), self.world().now());
        let digest = secret.digest();
        let credentials_id = self
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                let number = tx
                    .query_one(
                        &schema::PUT,
                        &params![tenant, user, client_id, digest.as_bytes(), created_at],
                        |row| row.get::<i64>(0),
                    )
                    .await?;
                insight.end_tokens(tx, of, "credentials_replaced", &cause).await?;
                let detail = json!({"credentials_id": number, "client_id": client_id});
                insight.record(tx, of, ("insight.credentials.generate", detail), &cause).await?;
                Ok::<_, Error>(number)
            })
            .await?;
        Ok(Generated { client_id, secret, credentials_id, created_at })
    }

    /// Revokes the pair, if there is one, and every token that was made of it; false when there is none.
    async fn revoke(&self, of: (TenantId, UserId), cause: &Cause) -> Result<bool, Error> {
        let (insight, cause, (tenant, user)) = (self.clone(), cause.clone(), of);
        self.store()
            .write(async move |tx: &mut Tx<'_>| {
                let revoked =
                    tx.query_opt(&schema::REVOKE, &params![tenant, user], |row| row.get::<i64>(0)).await?;
                let Some(number) = revoked else { return Ok(false) };
                insight.end_tokens(tx, of, "credentials_revoked", &cause).await?;
                let detail = json!({"credentials_id": number});
                insight.record(tx, of, ("insight.credentials.revoke", detail), &cause).await?;
                Ok(true)
            })
            .await
    }

    /// Records what was done to a user's pair.
    async fn record(
        &self,
        tx: &mut Tx<'_>,
        (tenant, user): (TenantId, UserId),
        (action, detail): (&'static str, serde_json::Value),
        cause: &Cause,
    ) -> Result<(), Error> {
        let event = Event {
            tenant,
            actor: cause.actor,
            action,
            target: Some(("user", user.to_string())),
            outcome: Outcome::Success,
            reason: None,
            origin: &cause.origin,
            detail,
        };
        keyreeve_audit::record(tx, self.world(), &event).await?;
        Ok(())
    }

    /// Ends the sessions that a user's tokens stand for. To be called with the pair's row held, which whoever makes a token
    /// holds as well.
    async fn end_tokens(
        &self,
        tx: &mut Tx<'_>,
        (tenant, user): (TenantId, UserId),
        because: &'static str,
        cause: &Cause,
    ) -> Result<(), Error> {
        let now = self.world().now();
        let taken = tx
            .query(&schema::TAKE_TOKENS, &params![tenant, user], |row| {
                Ok((row.get(0)?, row.get::<Timestamp>(1)?))
            })
            .await?;
        for (session, _) in taken.into_iter().filter(|(_, until)| *until > now) {
            self.identity().sessions().end_in(tx, (tenant, user, session), because, cause).await?;
        }
        Ok(())
    }
}

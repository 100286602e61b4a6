//! Initial access tokens: what lets somebody register clients (RFC 7591 section 3).

use crate::error::Error;
use crate::schema::registration as sql;
use crate::service::Tokens;
use keyreeve_base::{TenantId, Timestamp};
use keyreeve_crypto::OpaqueToken;
use keyreeve_identity::Cause;
use keyreeve_store::{Row, Tx, params};
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

/// What an initial access token begins with.
const PREFIX: &str = "kr_it_";
/// The most that a tenant can have at a time.
const MAX_TOKENS: i64 = 100;
/// The most uses that one can have.
const MAX_USES: u32 = 100_000;
const MAX_NAME_CHARS: usize = 100;

/// What may be known of an initial access token: everything but the token.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct InitialToken {
    /// Its identifier.
    pub id: Uuid,
    /// For whom or what it was made.
    pub name: String,
    /// How many clients can still be registered with it; none where it is any number.
    pub uses_left: Option<u32>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working, if ever.
    pub expires_at: Option<Timestamp>,
}

impl InitialToken {
    fn from_row(row: &Row<'_>) -> Result<Self, keyreeve_store::Error> {
        let uses_left: Option<i64> = row.get(2)?;
        Ok(Self {
            id: row.get(0)?,
            name: row.get(1)?,
            uses_left: uses_left.map(|uses| u32::try_from(uses).unwrap_or_default()),
            created_at: row.get(3)?,
            expires_at: row.get(4)?,
        })
    }
}

/// An initial access token to be made.
#[derive(Clone, Debug)]
pub struct NewInitialToken {
    /// For whom or what.
    pub name: String,
    /// How many clients can be registered with it; none for any number.
    pub uses: Option<u32>,
    /// How long it works; none for as long as it is not removed.
    pub lasts: Option<Duration>,
}

/// The use cases of initial access tokens.
#[derive(Clone, Copy)]
pub struct InitialTokens<'a>(pub(crate) &'a Tokens);

impl InitialTokens<'_> {
    /// Makes one. The token is answered this once, and never again.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a value out of bounds, and when there are too many.
    pub async fn create(
        self,
        tenant: TenantId,
        new: NewInitialToken,
        cause: &Cause,
    ) -> Result<(InitialToken, OpaqueToken), Error> {
        let name = new.name.trim();
        if name.is_empty() || name.chars().count() > MAX_NAME_CHARS || name.chars().any(char::is_control) {
            return Err(Error::invalid(
                "name",
                format!("must have 1 to {MAX_NAME_CHARS} visible characters"),
            ));
        }
        if new.uses.is_some_and(|uses| uses == 0 || uses > MAX_USES) {
            return Err(Error::invalid("uses", format!("must lie between 1 and {MAX_USES}")));
        }
        let (room, now) = (self.0.clone(), self.0.now());
        let token = OpaqueToken::generate_with_prefix(&room.0.world, PREFIX);
        let made = InitialToken {
            id: room.0.world.new_uuid(),
            name: name.to_owned(),
            uses_left: new.uses,
            created_at: now,
            expires_at: new.lasts.map(|lasts| now.plus(lasts)),
        };
        let (cause, stored, digest) = (cause.clone(), made.clone(), token.digest());
        self.0
            .0
            .store
            .write(async move |tx: &mut Tx<'_>| {
                cause.claim(tx, &room.0.world, ("initial_token", stored.id)).await?;
                tx.execute(&sql::PRUNE_INITIAL, &params![now]).await?;
                if tx.scalar::<i64>(&sql::COUNT_INITIAL, &params![tenant]).await? >= MAX_TOKENS {
                    return Err(Error::invalid("initial_token", format!("would be more than {MAX_TOKENS}")));
                }
                let uses: Option<i64> = stored.uses_left.map(i64::from);
                let (id, made_at, until) = (stored.id, stored.created_at, stored.expires_at);
                let (name, digest) = (stored.name.as_str(), *digest.as_bytes());
                let row = params![id, tenant, name, digest, uses, made_at, until];
                tx.execute(&sql::INSERT_INITIAL, &row).await?;
                let target = ("initial_token", id.to_string());
                let detail = json!({"name": stored.name, "uses": stored.uses_left});
                room.record(tx, &cause, tenant, "initial_token.create", target, detail).await?;
                Ok(())
            })
            .await?;
        Ok((made, token))
    }

    /// A tenant's initial access tokens, in the order of their making.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn list(self, tenant: TenantId) -> Result<Vec<InitialToken>, Error> {
        let read = async move |tx: &mut Tx<'_>| {
            tx.query(&sql::INITIAL_TOKENS, &params![tenant, MAX_TOKENS], InitialToken::from_row).await
        };
        Ok(self.0.0.store.read(read).await?)
    }

    /// Removes one. The clients that were registered with it stay.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn revoke(self, tenant: TenantId, id: Uuid, cause: &Cause) -> Result<(), Error> {
        let (room, cause) = (self.0.clone(), cause.clone());
        self.0
            .0
            .store
            .write(async move |tx: &mut Tx<'_>| {
                if tx.execute(&sql::DELETE_INITIAL, &params![tenant, id]).await? == 0 {
                    return Err(Error::NotFound("initial access token"));
                }
                let target = ("initial_token", id.to_string());
                room.record(tx, &cause, tenant, "initial_token.revoke", target, json!({})).await?;
                Ok(())
            })
            .await
    }
}

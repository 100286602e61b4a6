//! What users agreed to: the list of it, and its withdrawal.

use crate::clients::settings_from_text;
use crate::error::Error;
use crate::schema;
use crate::scope::ScopeSet;
use crate::service::{Tokens, topic};
use keyreeve_base::{ClientId, GrantId, SessionId, TenantId, Timestamp, UserId};
use keyreeve_identity::Cause;
use keyreeve_store::{Row, Tx, params};
use serde_json::json;

/// The most consents or grants that a list shows.
const MAX_LISTED: i64 = 500;

/// What a user agreed to for one client.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Consent {
    /// The client's name on the wire.
    pub client_id: String,
    /// The client's name for people.
    pub client_name: String,
    /// The scopes.
    pub scope: ScopeSet,
    /// When the user first agreed.
    pub created_at: Timestamp,
    /// When the user last agreed.
    pub updated_at: Timestamp,
}

/// A living grant of a user.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct GrantInfo {
    /// The grant.
    pub id: GrantId,
    /// The client's name on the wire.
    pub client_id: String,
    /// The client's name for people.
    pub client_name: String,
    /// The scopes.
    pub scope: ScopeSet,
    /// Whether it outlives the browser session.
    pub offline: bool,
    /// The browser session in which it was made.
    pub session_id: Option<SessionId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends in any case.
    pub expires_at: Timestamp,
}

pub(crate) fn scope_of(text: &str) -> Result<ScopeSet, keyreeve_store::Error> {
    ScopeSet::parse(text).map_err(|e| keyreeve_store::Error::corrupt(format!("a stored scope: {e}")))
}

fn client_name(row: &Row<'_>, index: usize) -> Result<String, keyreeve_store::Error> {
    Ok(settings_from_text(&row.get::<String>(index)?)?.name)
}

impl Tokens {
    /// What a user has agreed to, for each client; at most 500.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn consents(&self, tenant: TenantId, user: UserId) -> Result<Vec<Consent>, Error> {
        let read = async move |tx: &mut Tx<'_>| {
            tx.query(&schema::CONSENTS_OF, &params![tenant, user, MAX_LISTED], |row| {
                Ok(Consent {
                    client_id: row.get(0)?,
                    client_name: client_name(row, 1)?,
                    scope: scope_of(&row.get::<String>(2)?)?,
                    created_at: row.get(3)?,
                    updated_at: row.get(4)?,
                })
            })
            .await
        };
        Ok(self.0.store.read(read).await?)
    }

    /// A user's living grants, newest first; at most 500.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn grants(&self, tenant: TenantId, user: UserId) -> Result<Vec<GrantInfo>, Error> {
        let now = self.now();
        let read = async move |tx: &mut Tx<'_>| {
            tx.query(&schema::GRANTS_OF, &params![tenant, user, now, MAX_LISTED], |row| {
                Ok(GrantInfo {
                    id: row.get(0)?,
                    client_id: row.get(1)?,
                    client_name: client_name(row, 2)?,
                    scope: scope_of(&row.get::<String>(3)?)?,
                    offline: row.get(4)?,
                    session_id: row.get(5)?,
                    created_at: row.get(6)?,
                    expires_at: row.get(7)?,
                })
            })
            .await
        };
        Ok(self.0.store.read(read).await?)
    }

    /// Withdraws what a user agreed to for a client, and ends every grant that rests on it.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is neither a consent nor a grant.
    pub async fn withdraw_consent(
        &self,
        tenant: TenantId,
        user: UserId,
        client: ClientId,
        cause: &Cause,
    ) -> Result<(), Error> {
        let (room, cause) = (self.clone(), cause.clone());
        self.0
            .store
            .write(async move |tx: &mut Tx<'_>| {
                let withdrawn = tx.execute(&schema::DELETE_CONSENT, &params![tenant, user, client]).await?;
                let ended = tx
                    .query(&schema::REVOKE_GRANTS_TO, &params![tenant, user, client, room.now()], |row| {
                        row.get::<GrantId>(0)
                    })
                    .await?;
                if withdrawn == 0 && ended.is_empty() {
                    return Err(Error::NotFound("consent"));
                }
                for grant in &ended {
                    tx.changed(Some(tenant), topic::GRANT, &grant.to_string()).await?;
                }
                let detail = json!({"client": client, "grants": ended.len()});
                let target = ("user", user.to_string());
                room.record(tx, &cause, tenant, "consent.withdraw", target, detail).await?;
                Ok(())
            })
            .await
    }

    /// Ends one grant: its tokens, its refresh tokens, its code.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none that lives.
    pub async fn revoke_grant(&self, tenant: TenantId, grant: GrantId, cause: &Cause) -> Result<(), Error> {
        let (room, cause) = (self.clone(), cause.clone());
        self.0
            .store
            .write(async move |tx: &mut Tx<'_>| {
                if !room.end_grant(tx, tenant, grant).await? {
                    return Err(Error::NotFound("grant"));
                }
                let target = ("grant", grant.to_string());
                room.record(tx, &cause, tenant, "grant.revoke", target, json!({})).await?;
                Ok(())
            })
            .await
    }

    /// Ends a grant in the caller's transaction; false when it had ended before.
    pub(crate) async fn end_grant(
        &self,
        tx: &mut Tx<'_>,
        tenant: TenantId,
        grant: GrantId,
    ) -> Result<bool, keyreeve_store::Error> {
        let ended = tx.execute(&schema::REVOKE_GRANT, &params![tenant, grant, self.now()]).await?;
        if ended == 1 {
            tx.changed(Some(tenant), topic::GRANT, &grant.to_string()).await?;
        }
        Ok(ended == 1)
    }
}

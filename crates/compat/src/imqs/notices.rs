//! Notices that permissions have changed: kept in the database with the change, sent later, again and again until they are
//! taken. No answer waits for them.

use super::failure::Failure;
use super::{Imqs, schema};
use keyreeve_base::{TenantId, UserId};
use keyreeve_fetch::Request;
use keyreeve_store::{Error, Tx, params};
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

/// How many are sent in one round.
const AT_A_TIME: i64 = 16;
/// How long one is somebody's who sends it.
const LEASE: Duration = Duration::from_secs(60);
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(900);
/// After how many attempts one is given up: half a day.
const ATTEMPTS: i64 = 60;
/// The most users that one notice names.
const USERS_PER_NOTICE: usize = 1_000;

impl Imqs {
    /// The text of a notice about these users; none where nobody wants it.
    pub(super) fn notice(&self, serials: &[i64]) -> Option<String> {
        self.options().notification_url.as_ref()?;
        let numbers: Vec<String> = serials.iter().map(ToString::to_string).collect();
        let message = format!("permissions_changed:{}", numbers.join(" "));
        Some(json!({"Channel": "authNotifications", "Msg": message}).to_string())
    }

    /// Has these users' notice sent.
    pub(super) async fn notify(&self, tenant: TenantId, users: &[UserId]) -> Result<(), Failure> {
        if self.options().notification_url.is_none() {
            return Ok(());
        }
        for part in users.chunks(USERS_PER_NOTICE) {
            let mut serials = Vec::with_capacity(part.len());
            for user in part {
                serials.push(self.person(tenant, *user).await?.serial);
            }
            serials.sort_unstable();
            let Some(body) = self.notice(&serials) else { continue };
            let (id, now) = (self.world().new_uuid(), self.world().now());
            self.store()
                .write(async move |tx: &mut Tx<'_>| {
                    tx.execute(&schema::INSERT_NOTICE, &params![id, tenant, &body, now]).await.map(drop)
                })
                .await?;
        }
        Ok(())
    }

    /// Sends what is due; whether there may be more.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn deliver(&self) -> Result<bool, Error> {
        let Some(url) = self.options().notification_url.clone() else { return Ok(false) };
        let Ok(tenant) = self.tenant().await else { return Ok(false) };
        let now = self.world().now();
        let until = now.plus(LEASE);
        let due = self
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                tx.query(&schema::CLAIM_NOTICES, &params![tenant, now, AT_A_TIME, until], |row| {
                    Ok((row.get::<Uuid>(0)?, row.get::<String>(1)?, row.get::<i64>(2)?))
                })
                .await
            })
            .await?;
        let more = i64::try_from(due.len()).unwrap_or(i64::MAX) >= AT_A_TIME;
        for (id, body, attempts) in due {
            let sent =
                self.0.ground.fetcher.send(Request::post(&url, "application/json", body).status_only()).await;
            let taken = match sent {
                Ok(answer) if answer.status.is_success() => true,
                Ok(answer) => {
                    tracing::warn!(
                        status = answer.status.as_u16(),
                        attempts,
                        "a notice of changed permissions was not taken"
                    );
                    false
                }
                Err(error) => {
                    tracing::warn!(%error, attempts, "a notice of changed permissions could not be sent");
                    false
                }
            };
            self.settle(id, taken || attempts >= ATTEMPTS, attempts).await?;
        }
        Ok(more)
    }

    async fn settle(&self, id: Uuid, done: bool, attempts: i64) -> Result<(), Error> {
        let doubled =
            u32::try_from(attempts.clamp(0, 20)).ok().and_then(|n| 1_u64.checked_shl(n)).unwrap_or(1);
        let again = self.world().now().plus(Duration::from_secs(doubled).min(LONGEST_PAUSE));
        self.store()
            .write(async move |tx: &mut Tx<'_>| {
                if done {
                    tx.execute(&schema::FORGET_NOTICE, &params![id]).await.map(drop)
                } else {
                    tx.execute(&schema::PUT_NOTICE_OFF, &params![id, again]).await.map(drop)
                }
            })
            .await
    }
}

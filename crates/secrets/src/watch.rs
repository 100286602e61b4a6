//! What ends soon is announced: an entry in the log for each threshold, which webhooks carry to whoever wants to know.

use crate::access::record;
use crate::{Error, SecretId, Secrets, schema};
use keyreeve_base::TenantId;
use keyreeve_identity::Cause;
use keyreeve_store::{Tx, params};
use serde_json::json;
use std::time::Duration;

/// The thresholds, in days before the end; the last is the end itself.
pub const THRESHOLD_DAYS: [u64; 5] = [30, 14, 7, 1, 0];

/// How many secrets of a threshold one round announces.
const ROWS: i64 = 200;
const DAY: u64 = 86_400;

impl Secrets {
    /// Announces secrets that end within one of the [`THRESHOLD_DAYS`] and were not announced for it: `secret.expiring`, each
    /// once. Answers how many, and whether there are more. For a background job.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn announce_expiring(&self) -> Result<(u64, bool), Error> {
        let now = self.world().now();
        let (mut announced, mut more) = (0_u64, false);
        for (level, days) in (1_i64..).zip(THRESHOLD_DAYS).collect::<Vec<_>>().into_iter().rev() {
            let until = now.plus(Duration::from_secs(days.saturating_mul(DAY)));
            for before in 0..level {
                let secrets = self.clone();
                let done = self
                    .store()
                    .write(async move |tx: &mut Tx<'_>| {
                        let rows = tx
                            .query(&schema::EXPIRING, &params![before, until, ROWS], |row| {
                                Ok((row.get::<i64>(0)?, row.get::<TenantId>(1)?, row.get::<SecretId>(2)?))
                            })
                            .await?;
                        let mut done = 0_u64;
                        for (key, tenant, id) in rows {
                            // Another node may be at it.
                            if tx.execute(&schema::ANNOUNCE, &params![key, before, level]).await? == 1 {
                                let detail = json!({"within_days": days});
                                let what = (tenant, "secret.expiring", id);
                                record(tx, &secrets, what, (&Cause::system(), detail)).await?;
                                done = done.saturating_add(1);
                            }
                        }
                        Ok::<_, Error>(done)
                    })
                    .await?;
                announced = announced.saturating_add(done);
                more |= done >= u64::try_from(ROWS).unwrap_or(u64::MAX);
            }
        }
        Ok((announced, more))
    }
}

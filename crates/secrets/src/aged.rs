//! Versions that are older than their secret keeps them: nobody reads one from that moment on, and a job removes it.

use crate::access::record;
use crate::service::{Held, hold, tell};
use crate::versions::forget_old;
use crate::{Error, SecretId, Secrets, Settings, schema};
use keyreeve_base::{TenantId, Timestamp};
use keyreeve_identity::Cause;
use keyreeve_store::{Tx, params};
use serde_json::json;
use std::time::Duration;

/// How many secrets one round looks at.
const ROWS: i64 = 200;

/// Notes when the oldest version of a secret has been kept long enough.
pub(crate) async fn schedule(tx: &mut Tx<'_>, key: i64, settings: &Settings) -> Result<(), Error> {
    let due = match settings.keep_seconds {
        None => None,
        Some(seconds) => {
            let replaced: Option<Timestamp> = tx.scalar(&schema::REPLACED, &params![key]).await?;
            replaced.map(|at| at.plus(Duration::from_secs(seconds)))
        }
    };
    tx.execute(&schema::SCHEDULE, &params![key, due]).await?;
    Ok(())
}

impl Secrets {
    /// Removes versions that were replaced longer ago than their secret keeps them; answers of how many secrets, and whether
    /// there are more. For a background job: whoever writes to a secret does the same, and no reader waits for it.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn sweep_aged(&self) -> Result<(u64, bool), Error> {
        let now = self.world().now();
        let read = async move |tx: &mut Tx<'_>| {
            tx.query(&schema::DUE, &params![now, ROWS], |row| {
                Ok((row.get::<TenantId>(0)?, row.get::<SecretId>(1)?))
            })
            .await
        };
        let rows: Vec<(TenantId, SecretId)> = self.store().read(read).await?;
        let more = rows.len() >= usize::try_from(ROWS).unwrap_or(usize::MAX);
        let mut swept = 0_u64;
        for (tenant, id) in rows {
            let secrets = self.clone();
            let done = self
                .store()
                .write(async move |tx: &mut Tx<'_>| {
                    let held: Held = hold(tx, (tenant, id), None).await?;
                    let gone = forget_old(tx, &secrets, (held.key, held.current), &held.settings).await?;
                    if gone > 0 {
                        tell(tx, tenant, held.kind).await?;
                        let detail = json!({"versions": gone, "kept_seconds": held.settings.keep_seconds});
                        let what = (tenant, "secret.version.destroy", id);
                        record(tx, &secrets, what, (&Cause::system(), detail)).await?;
                    }
                    Ok::<_, Error>(u64::from(gone > 0))
                })
                .await;
            match done {
                Ok(gone) => swept = swept.saturating_add(gone),
                // It went meanwhile.
                Err(Error::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok((swept, more))
    }
}

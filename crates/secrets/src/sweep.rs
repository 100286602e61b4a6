//! What nobody waits for: secrets that are gone with what lay above them.

use crate::access::record;
use crate::service::{erase, hold};
use crate::{Error, SecretId, Secrets, schema};
use keyreeve_base::TenantId;
use keyreeve_identity::Cause;
use keyreeve_store::{Tx, params};
use serde_json::json;
use std::sync::atomic::Ordering;

/// How many secrets one round looks at.
const ROWS: i64 = 200;

impl Secrets {
    /// Removes secrets whose resource is gone because something above it was removed: a round looks at a bounded number of
    /// those that lie below something, and the next goes on where it stopped. Answers how many it removed, and whether there
    /// is more to look at.
    ///
    /// # Errors
    /// Those of the rooms.
    pub async fn sweep(&self) -> Result<(u64, bool), Error> {
        let after = self.swept().load(Ordering::Acquire);
        let read = async move |tx: &mut Tx<'_>| {
            tx.query(&schema::BELOW, &params![after, ROWS], |row| {
                Ok((row.get::<i64>(0)?, row.get::<TenantId>(1)?, row.get::<SecretId>(2)?))
            })
            .await
        };
        let rows: Vec<(i64, TenantId, SecretId)> = self.store().read(read).await?;
        let more = rows.len() >= usize::try_from(ROWS).unwrap_or(usize::MAX);
        let last = if more { rows.last().map_or(0, |(key, ..)| *key) } else { 0 };
        let mut removed = 0_u64;
        for (_, tenant, id) in rows {
            let authority = self.identity().authority_of_operator(tenant).await?;
            if self.sharing().hosted().access(&authority, &id.to_string()).await?.is_some() {
                continue;
            }
            let secrets = self.clone();
            let done = self
                .store()
                .write(async move |tx: &mut Tx<'_>| {
                    let held = hold(tx, (tenant, id), None).await?;
                    erase(tx, &secrets, (tenant, id), &held).await?;
                    let detail = json!({"with": "what lay above it"});
                    record(tx, &secrets, (tenant, "secret.delete", id), (&Cause::system(), detail)).await
                })
                .await;
            match done {
                Ok(()) => removed = removed.saturating_add(1),
                // Another node was faster; or it is an authority whose certificates are still valid.
                Err(Error::NotFound(_) | Error::InUse(_)) => {}
                Err(error) => return Err(error),
            }
        }
        self.swept().store(last, Ordering::Release);
        Ok((removed, more))
    }
}

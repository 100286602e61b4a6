//! Many types, permissions, resources and grants at once: loaded in batches with a result for each line, and written out
//! as one snapshot.
//!
//! The lines of a batch are taken in their order, and those of one kind that stand together make one transaction, so that
//! a failure between two of them leaves whole lines. What is there already is left as it is: a load can be repeated.
//! Resources name parents that come before them, and grants go fastest in the order of their resources. One entry in the
//! audit log stands for each transaction, with the numbers of what it made.

mod export;
mod grants;
mod line;
mod resources;

pub use export::Export;
pub use line::{Line, LineError, LineOutcome, LineResult};

use crate::standing::require_tenant;
use crate::write::Change;
use crate::{Error, Revision, Sharing};
use keyreeve_base::TenantId;
use keyreeve_identity::{Authority, Cause, Party};
use keyreeve_store::Tx;
use serde_json::json;
use std::collections::HashMap;

/// The most lines of one batch.
pub const MAX_BATCH: usize = 20_000;
/// How many subjects a load remembers to be there.
const KNOWN: usize = 500_000;

/// The use cases of many lines.
#[derive(Clone, Copy)]
pub struct Bulk<'a>(pub(crate) &'a Sharing);

/// A load under way.
pub struct Load<'a> {
    sharing: &'a Sharing,
    authority: &'a Authority,
    tenant: TenantId,
    cause: &'a Cause,
    /// Whether subjects are there. One that is removed while the load runs gets grants that count for nothing.
    known: HashMap<Party, bool>,
}

impl<'a> Bulk<'a> {
    /// Begins a load; takes authority over the tenant.
    ///
    /// # Errors
    /// [`Error::Denied`].
    pub fn load(self, authority: &'a Authority, cause: &'a Cause) -> Result<Load<'a>, Error> {
        require_tenant(authority)?;
        let tenant = authority.tenant();
        Ok(Load { sharing: self.0, authority, tenant, cause, known: HashMap::new() })
    }
}

impl Load<'_> {
    /// Takes in a batch; answers a result for each line, in their order.
    ///
    /// # Errors
    /// [`Error::Invalid`] for more than [`MAX_BATCH`] lines; those of the store, when some of the lines may have been taken
    /// in: the batch can be given once more.
    pub async fn batch(&mut self, lines: &[Line]) -> Result<Vec<LineResult>, Error> {
        if lines.len() > MAX_BATCH {
            return Err(Error::invalid("lines", format!("are more than {MAX_BATCH}")));
        }
        let mut results = Vec::with_capacity(lines.len());
        for run in lines.chunk_by(|one, next| std::mem::discriminant(one) == std::mem::discriminant(next)) {
            match run.first() {
                Some(Line::Resource(_)) => results.extend(self.resources(run).await?),
                Some(Line::Grant(_)) => results.extend(self.grants(run).await?),
                Some(Line::Type(_) | Line::Permission(_)) | None => {
                    for line in run {
                        results.push(self.declaration(line).await?);
                    }
                }
            }
        }
        Ok(results)
    }

    /// The revision from which on everything that was taken in counts.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn revision(&self) -> Result<Revision, Error> {
        self.sharing.revision().await
    }

    async fn declaration(&self, line: &Line) -> Result<LineResult, Error> {
        let made = match line {
            Line::Type(new) => {
                self.sharing.types().create(self.authority, new.clone(), self.cause).await.map(drop)
            }
            Line::Permission(new) => {
                self.sharing.permissions().create(self.authority, new.clone(), self.cause).await.map(drop)
            }
            Line::Resource(_) | Line::Grant(_) => Ok(()),
        };
        line::result(made)
    }

    /// Whether a subject is there.
    async fn is_known(&mut self, party: Party) -> Result<bool, Error> {
        if let Some(known) = self.known.get(&party) {
            return Ok(*known);
        }
        let known = self.sharing.exists(self.tenant, party).await?;
        if self.known.len() >= KNOWN {
            self.known.clear();
        }
        self.known.insert(party, known);
        Ok(known)
    }
}

/// Records what a transaction of a load has made.
async fn record(
    tx: &mut Tx<'_>,
    (sharing, cause): (&Sharing, &Cause),
    (tenant, kind): (TenantId, &'static str),
    (lines, made): (usize, u64),
) -> Result<(), Error> {
    let tenant_text = tenant.to_string();
    let change = Change { tenant, action: "sharing.load", target: ("tenant", &tenant_text) };
    change.record(tx, sharing, cause, json!({"kind": kind, "lines": lines, "made": made})).await
}

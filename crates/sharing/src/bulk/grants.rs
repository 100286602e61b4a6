//! Loading grants.

use super::line::{LineError, LineOutcome, LineResult};
use super::{Line, Load, record};
use crate::engine::{HELD_TOPIC, NODE_TOPIC};
use crate::grants::{GrantedBy, PartyKind, permission_of};
use crate::{Error, NewGrant, schema};
use keyreeve_base::Timestamp;
use keyreeve_store::{Tx, params};
use std::collections::HashMap;
use uuid::Uuid;

/// A grant that can be written.
struct Row {
    line: usize,
    resource: i64,
    permission: i64,
    party: Uuid,
    kind: PartyKind,
    cascade: bool,
    expires_at: Option<Timestamp>,
}

impl Load<'_> {
    /// Takes in grants that stand together.
    pub(super) async fn grants(&mut self, run: &[Line]) -> Result<Vec<LineResult>, Error> {
        let news: Vec<&NewGrant> = run
            .iter()
            .filter_map(|line| if let Line::Grant(new) = line { Some(new) } else { None })
            .collect();
        let resources = self.keys_of(news.iter().map(|new| new.resource.as_str())).await?;
        let model = self.sharing.model(self.tenant).await?;
        let now = self.sharing.world().now();
        let mut results: Vec<LineResult> = Vec::with_capacity(news.len());
        let mut rows = Vec::with_capacity(news.len());
        let mut permissions: HashMap<(i64, &str), Result<i64, LineError>> = HashMap::new();
        for (line, new) in news.iter().enumerate() {
            let Some(&(resource, type_key)) = resources.get(new.resource.as_str()) else {
                results.push(Err(LineError::new("resource", "is not there")));
                continue;
            };
            let permission = match permissions.get(&(type_key, new.permission.as_str())) {
                Some(known) => known.clone(),
                None => {
                    let found = permission_of(&model, Some(type_key), &new.permission);
                    let known = match found {
                        Ok(key) => Ok(key),
                        Err(error) => Err(super::line::fault(error)?),
                    };
                    permissions.insert((type_key, new.permission.as_str()), known.clone());
                    known
                }
            };
            let permission = match permission {
                Ok(permission) => permission,
                Err(fault) => {
                    results.push(Err(fault));
                    continue;
                }
            };
            if new.expires_at.is_some_and(|end| end <= now) {
                results.push(Err(LineError::new("expires_at", "is not in the future")));
                continue;
            }
            if !self.is_known(new.subject).await? {
                results.push(Err(LineError::new("subject", "is not there")));
                continue;
            }
            results.push(Ok(LineOutcome::Created));
            rows.push(Row {
                line,
                resource,
                permission,
                party: new.subject.uuid(),
                kind: PartyKind::of(new.subject),
                cascade: new.cascade,
                expires_at: new.expires_at,
            });
        }
        // In the order of the tree that they go into.
        rows.sort_unstable_by_key(|row| (row.resource, row.party, row.permission));
        for line in self.write_grants(rows, now).await? {
            if let Some(result) = results.get_mut(line) {
                *result = Ok(LineOutcome::Exists);
            }
        }
        Ok(results)
    }

    /// Writes them; answers the lines whose grant was there.
    async fn write_grants(&self, rows: Vec<Row>, now: Timestamp) -> Result<Vec<usize>, Error> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let (sharing, cause, tenant) = (self.sharing.clone(), self.cause.clone(), self.tenant);
        let write = async move |tx: &mut Tx<'_>| {
            let (by, by_id) = GrantedBy::of(cause.actor).columns();
            let params: Vec<_> = rows
                .iter()
                .map(|row| {
                    let Row { resource, party, permission, kind, cascade, expires_at, .. } = row;
                    params![*resource, *party, *permission, *kind, *cascade, *expires_at, by, by_id, now]
                })
                .collect();
            let touched = tx.execute_each(&schema::LOAD_GRANT, &params).await?;
            let made: u64 = touched.iter().sum();
            if made > 0 {
                record(tx, (&sharing, &cause), (tenant, "grant"), (rows.len(), made)).await?;
                // More than the change feed should name one by one.
                tx.changed(Some(tenant), NODE_TOPIC, "*").await?;
                tx.changed(Some(tenant), HELD_TOPIC, "*").await?;
            }
            let there =
                rows.iter().zip(touched).filter(|(_, touched)| *touched == 0).map(|(row, _)| row.line);
            Ok::<_, Error>(there.collect())
        };
        self.sharing.store().write(write).await
    }

    /// Keys and types of the resources of these identifiers that are there.
    pub(super) async fn keys_of<'i>(
        &self,
        ids: impl Iterator<Item = &'i str>,
    ) -> Result<HashMap<String, (i64, i64)>, Error> {
        let mut wanted: Vec<String> =
            ids.filter(|id| crate::model::can_be_id(id)).map(str::to_owned).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let tenant = self.tenant;
        let read = async move |tx: &mut Tx<'_>| {
            let gone = tx.query_opt(&schema::GONE_IN, &params![tenant], |row| row.get::<i64>(0)).await?;
            let rows: Vec<_> = wanted.iter().map(|id| params![tenant, *id]).collect();
            let found = tx
                .query_each(&schema::KEY_AND_TYPE_OF, &rows, |row| {
                    Ok((row.get::<i64>(0)?, row.get::<i64>(1)?))
                })
                .await?;
            let known: HashMap<String, (i64, i64)> =
                wanted.iter().cloned().zip(found).filter_map(|(id, found)| Some((id, found?))).collect();
            Ok::<_, keyreeve_store::Error>((known, gone.is_some()))
        };
        let (mut known, some_gone) = self.sharing.store().scan(read).await?;
        if some_gone {
            // What lies below something that was removed has its row still.
            let mut gone = Vec::new();
            for (id, (key, _)) in &known {
                if self.sharing.walk(self.tenant, *key).await?.is_none() {
                    gone.push(id.clone());
                }
            }
            for id in gone {
                known.remove(&id);
            }
        }
        Ok(known)
    }
}

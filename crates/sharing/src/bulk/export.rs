//! Everything of a tenant, as lines that a load takes in.

use super::{Bulk, Line};
use crate::grants::StoredGrant;
use crate::model::{Model, load};
use crate::resources::{StoredResource, chain};
use crate::standing::require_tenant;
use crate::{Error, NewGrant, NewPermission, NewResource, NewType, Sharing, schema};
use keyreeve_base::TenantId;
use keyreeve_identity::Authority;
use keyreeve_store::{Outlet, Tx, params};
use std::collections::VecDeque;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// How many lines wait for the reader.
const WAITING: usize = 1_024;
/// How many rows are read at once.
const ROWS: i64 = 500;

/// An export under way: one snapshot of the tenant.
pub struct Export {
    lines: mpsc::Receiver<Line>,
    scan: Option<JoinHandle<Result<(), Error>>>,
}

impl Export {
    /// The next line; none at the end.
    ///
    /// # Errors
    /// What ended the export early.
    pub async fn next(&mut self) -> Result<Option<Line>, Error> {
        if let Some(line) = self.lines.recv().await {
            return Ok(Some(line));
        }
        let Some(scan) = self.scan.take() else { return Ok(None) };
        match scan.await {
            Ok(done) => done.map(|()| None),
            Err(_) => Err(keyreeve_store::Error::internal("an export panicked").into()),
        }
    }
}

impl Bulk<'_> {
    /// Begins an export of types, permissions, resources (parents before children) and grants, in this order; takes
    /// authority over the tenant.
    ///
    /// # Errors
    /// [`Error::Denied`].
    pub fn export(self, authority: &Authority) -> Result<Export, Error> {
        require_tenant(authority)?;
        let tenant = authority.tenant();
        let (outlet, lines) = Outlet::new(WAITING);
        let sharing = self.0.clone();
        let scan = tokio::spawn(async move {
            let store = sharing.store().clone();
            store
                .scan(async move |tx: &mut Tx<'_>| {
                    outlet.open()?;
                    let model = load(tx, tenant).await?;
                    declarations(tx, &outlet, &model).await?;
                    trees(tx, &outlet, (tenant, &model)).await?;
                    grants(tx, (&sharing, &outlet), (tenant, &model)).await
                })
                .await
        });
        Ok(Export { lines, scan: Some(scan) })
    }
}

async fn declarations(tx: &Tx<'_>, outlet: &Outlet<Line>, model: &Model) -> Result<(), Error> {
    for entry in model.types() {
        let of = &entry.of;
        let new = NewType { id: of.id.clone(), name: of.name.clone(), description: of.description.clone() };
        outlet.put(tx, Line::Type(new)).await?;
    }
    let own = model.types().iter().map(|entry| entry.permissions.as_slice());
    for permissions in std::iter::once(model.common()).chain(own) {
        // What is implied comes before what implies it.
        let mut waiting: VecDeque<_> = permissions.iter().collect();
        let mut turns = waiting.len().saturating_mul(waiting.len()).saturating_add(1);
        while let Some(permission) = waiting.pop_front() {
            turns = turns.saturating_sub(1);
            let waits = waiting.iter().any(|other| permission.implies.contains(&other.id));
            if waits && turns > 0 {
                waiting.push_back(permission);
                continue;
            }
            let new = NewPermission {
                resource_type: permission.resource_type.clone(),
                id: permission.id.clone(),
                name: permission.name.clone(),
                description: permission.description.clone(),
                shares: permission.shares,
                implies: permission.implies.clone(),
            };
            outlet.put(tx, Line::Permission(new)).await?;
        }
    }
    Ok(())
}

/// Each resource, parents first.
async fn trees(
    tx: &mut Tx<'_>,
    outlet: &Outlet<Line>,
    (tenant, model): (TenantId, &Model),
) -> Result<(), Error> {
    let mut after = 0;
    loop {
        let page = params![tenant, after, ROWS];
        let roots = tx.query(&schema::ROOTS, &page, StoredResource::from_row).await?;
        let Some(last) = roots.last() else { return Ok(()) };
        after = last.resource.key;
        for root in roots {
            let mut open = vec![(root.resource.key, 0)];
            outlet.put(tx, line(root, model)).await?;
            while let Some((parent, after)) = open.pop() {
                let page = params![parent, after, ROWS];
                let children = tx.query(&schema::RESOURCES_BELOW, &page, StoredResource::from_row).await?;
                if let Some(last) = children.last()
                    && i64::try_from(children.len()).is_ok_and(|found| found == ROWS)
                {
                    open.push((parent, last.resource.key));
                }
                for child in children {
                    open.push((child.resource.key, 0));
                    outlet.put(tx, line(child, model)).await?;
                }
            }
        }
    }
}

fn line(stored: StoredResource, model: &Model) -> Line {
    let resource = stored.typed(model);
    Line::Resource(Box::new(NewResource {
        id: Some(resource.id),
        resource_type: resource.resource_type,
        owner: Some(resource.owner),
        parent: resource.parent,
        name: resource.name,
        description: resource.description,
        text: resource.text,
        attributes: resource.attributes,
        metadata: resource.metadata,
    }))
}

/// Each grant that has not ended.
async fn grants(
    tx: &mut Tx<'_>,
    (sharing, outlet): (&Sharing, &Outlet<Line>),
    (tenant, model): (TenantId, &Model),
) -> Result<(), Error> {
    let some_gone =
        tx.query_opt(&schema::GONE_IN, &params![tenant], |row| row.get::<i64>(0)).await?.is_some();
    let now = sharing.world().now();
    let mut place = (0_i64, uuid::Uuid::nil(), 0_i64);
    // The resource that was looked at last, and whether it is there.
    let mut last = (0_i64, true);
    loop {
        let page = params![tenant, place.0, place.1, place.2, ROWS];
        let rows = tx
            .query(&schema::EXPORT_GRANTS, &page, |row| {
                Ok((StoredGrant::from_row(row)?, row.get::<String>(9)?))
            })
            .await?;
        if rows.is_empty() {
            return Ok(());
        }
        for (grant, resource) in rows {
            place = (grant.id.resource, grant.id.party, grant.id.permission);
            if some_gone && last.0 != place.0 {
                last = (place.0, chain(tx, sharing, tenant, place.0).await?.is_some());
            }
            let Some(permission) = model.permission_by_key(place.2) else { continue };
            if grant.holds(now) && last.1 {
                let new = NewGrant {
                    resource,
                    permission: permission.id.clone(),
                    subject: grant.subject,
                    cascade: grant.cascade,
                    expires_at: grant.expires_at,
                };
                outlet.put(tx, Line::Grant(new)).await?;
            }
        }
    }
}

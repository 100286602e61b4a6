//! Running a search.

use super::compose::{Bound, Field};
use super::cursor::{Cursor, Key};
use super::plan::{self, By, Plan, View};
use super::{Found, Search};
use crate::authority::Authority;
use crate::{Error, Identity};
use keyreeve_base::{TenantId, Timestamp};
use keyreeve_store::{Row, Statement, ToParam, Tx};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Up to how many users a tenant's users are counted for whoever asks; beyond, the number is remembered for a while.
const COUNTED: i64 = 10_000;
/// For how long.
const REMEMBERED: Duration = Duration::from_secs(30);

/// How many users large tenants have, and when that was counted.
pub(crate) type Totals = quick_cache::sync::Cache<TenantId, (u64, Timestamp)>;

/// How a row is read.
type FromRow<T> = fn(&Row<'_>) -> Result<T, keyreeve_store::Error>;

/// Runs a search for whoever has this authority.
pub(super) async fn run<F, T>(
    identity: &Identity,
    authority: &Authority,
    search: Search<F>,
    from_row: FromRow<T>,
) -> Result<Found<T>, Error>
where
    F: Field,
    T: Send + 'static,
{
    let view = View { tenant: authority.tenant(), me: authority.limited_to() };
    if view.me.is_none() && !authority.may_manage_tenant()
        || view.me.is_some() && F::table().visible.is_none()
    {
        return Ok(Found { items: Vec::new(), next: None, total: search.count.then_some(0) });
    }
    let page = Arc::new(plan::page(&search, view)?);
    let mut total = None;
    let mut counting = None;
    if search.count {
        if view.me.is_none() && plan::is_everything(&search) {
            total = Some(everything::<F>(identity, view).await?);
        } else {
            counting = Some(Arc::new(plan::count(&search, view)?));
        }
    }
    let plan = page.clone();
    let short = plan.short && (counting.is_none() || plan.few);
    let work = async move |tx: &mut Tx<'_>| {
        let rows = read_page::<F, T>(tx, &plan, from_row).await?;
        let total = match &counting {
            Some(counting) => Some(read_count(tx, &counting.0, &counting.1).await?),
            None => None,
        };
        let unread = match &plan.rest {
            Some((statement, params)) if rows.len() <= plan.limit => {
                read_rest(tx, &plan, statement, params).await?
            }
            _ => None,
        };
        Ok::<_, Error>((rows, total, unread))
    };
    let store = identity.store();
    let (mut rows, counted, unread) = if short { store.read(work).await? } else { store.scan(work).await? };
    let more = rows.len() > page.limit;
    rows.truncate(page.limit);
    let last = if more { rows.last().map(|(_, id, key)| (*id, key.clone())) } else { unread };
    let next =
        last.map(|(id, key)| Cursor { order: page.order.order, descending: page.order.descending, key, id });
    let items = rows.into_iter().map(|(item, ..)| item).collect();
    Ok(Found { items, next, total: total.or(counted) })
}

async fn read_page<F: Field, T>(
    tx: &mut Tx<'_>,
    plan: &Plan,
    from_row: FromRow<T>,
) -> Result<Vec<(T, Uuid, Key)>, Error> {
    let params: Vec<_> = plan.params.iter().map(ToParam::to_param).collect();
    let by = plan.order.by;
    let width = F::table().width;
    let rows = tx
        .query_composed(&plan.statement, &params, |row| {
            let key = match by {
                By::Id => Key::None,
                By::Text(_) => Key::Text(row.get(width)?),
                By::Time(_) => Key::Int(row.get(width)?),
            };
            Ok((from_row(row)?, row.get(0)?, key))
        })
        .await?;
    Ok(rows)
}

/// The place of the last row that a bounded page has tested, if it did not come to the end.
async fn read_rest(
    tx: &mut Tx<'_>,
    plan: &Plan,
    statement: &Statement,
    params: &[Bound],
) -> Result<Option<(Uuid, Key)>, Error> {
    let params: Vec<_> = params.iter().map(ToParam::to_param).collect();
    let by = plan.order.by;
    let place = tx.query_composed(statement, &params, |row| {
        let key = match by {
            By::Id => Key::None,
            By::Text(_) => Key::Text(row.get(1)?),
            By::Time(_) => Key::Int(row.get(1)?),
        };
        Ok((row.get(0)?, key))
    });
    Ok(place.await?.into_iter().next())
}

async fn read_count(tx: &mut Tx<'_>, statement: &Statement, params: &[Bound]) -> Result<u64, Error> {
    let params: Vec<_> = params.iter().map(ToParam::to_param).collect();
    let counted = tx.query_composed(statement, &params, |row| row.get::<u64>(0)).await?;
    Ok(counted.first().copied().unwrap_or(0))
}

/// How many there are in the tenant, without a filter. To walk a million entries of an index for each page would cost
/// more than the page; to keep the number in a row of its own would make all who add users wait for each other.
async fn everything<F: Field>(identity: &Identity, view: View) -> Result<u64, Error> {
    let (table, tenant, now) = (F::table(), view.tenant, identity.world().now());
    let live = table.archived.map(|archived| format!(" AND r.{archived} IS NULL")).unwrap_or_default();
    let from = format!("{} r WHERE r.tenant_id = $1{live}", table.name);
    let totals = table.archived.map(|_| &identity.caches().totals);
    if let Some((total, at)) = totals.and_then(|totals| totals.get(&tenant))
        && now.since(at) < REMEMBERED
    {
        return Ok(total);
    }
    let few = Statement::composed(
        "identity::search::few",
        format!("SELECT COUNT(*) FROM (SELECT 1 FROM {from} LIMIT $2) AS few"),
    );
    let bounds = [Bound::Uuid(tenant.uuid()), Bound::Int(COUNTED.saturating_add(1))];
    let counted =
        identity.store().read(async move |tx: &mut Tx<'_>| read_count(tx, &few, &bounds).await).await?;
    if counted <= u64::try_from(COUNTED).unwrap_or(0) {
        return Ok(counted);
    }
    let all = Statement::composed("identity::search::all", format!("SELECT COUNT(*) FROM {from}"));
    let bounds = [Bound::Uuid(tenant.uuid())];
    let counted =
        identity.store().scan(async move |tx: &mut Tx<'_>| read_count(tx, &all, &bounds).await).await?;
    if let Some(totals) = totals {
        totals.insert(tenant, (counted, now));
    }
    Ok(counted)
}

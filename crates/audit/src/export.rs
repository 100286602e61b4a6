//! The chain as a stream of lines.

use crate::chain::Head;
use crate::event::{Entry, MAX_PAGE};
use crate::filter::Filter;
use crate::{schema, wire};
use futures_util::Stream;
use futures_util::stream::try_unfold;
use keyreeve_base::TenantId;
use keyreeve_store::{Error, Store, Tx, params};
use std::sync::Arc;

/// How many entries are in memory at a time.
const PAGE: i64 = 500;
const _: () = assert!(PAGE <= MAX_PAGE);

/// The sealed entries of `tenant` that follow number `after` and that the filter means, oldest first, as lines of JSON
/// ([`Entry::public_with_chain`]) in pieces of some hundred; up to the end that the chain has when the stream is begun. A
/// piece may be empty.
///
/// Without a filter, the lines are a chain that [`crate::FileVerifier`] can check.
pub fn export(
    store: &Store,
    tenant: TenantId,
    after: i64,
    filter: Filter,
) -> impl Stream<Item = Result<Vec<u8>, Error>> + Send + use<> {
    let (store, filter) = (store.clone(), Arc::new(filter));
    // The end is not known before the first piece is asked for.
    try_unfold((after.max(0), None::<i64>), move |(after, end)| {
        let (store, filter) = (store.clone(), filter.clone());
        async move {
            let page = async move |tx: &mut Tx<'_>| {
                let end = match end {
                    Some(end) => end,
                    None => Head::load(tx, tenant).await?.seq,
                };
                let limit = end.saturating_sub(after).clamp(0, PAGE);
                let page = match limit {
                    0 => Vec::new(),
                    limit => tx.query(&schema::PAGE, &params![tenant, after, limit], Entry::from_row).await?,
                };
                Ok::<_, Error>((page, end))
            };
            let (page, end) = store.scan(page).await?;
            let Some(last) = page.last().and_then(|entry| entry.seq) else { return Ok(None) };
            Ok(Some((wire::lines(&page, &filter), (last, Some(end)))))
        }
    })
}

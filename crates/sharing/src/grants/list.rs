//! The grants on a resource, page by page.

use super::Grants;
use super::model::{Grant, GrantKind, StoredGrant};
use crate::questions::Page;
use crate::standing::Found;
use crate::{Error, MAX_PAGE, schema};
use keyreeve_crypto::base64url;
use keyreeve_identity::Authority;
use keyreeve_store::{Tx, params};
use std::str::FromStr;
use uuid::Uuid;

/// A grant as it holds on the resource that was asked about.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct HeldGrant {
    /// The grant; its `resource` is where it was made.
    #[serde(flatten)]
    pub grant: Grant,
    /// How it comes here.
    #[serde(flatten)]
    pub kind: GrantKind,
}

/// Where a page of grants ended. Opaque.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrantCursor {
    above: u32,
    party: Uuid,
    permission: i64,
}

impl std::fmt::Display for GrantCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { above, party, permission } = self;
        let bytes = [&above.to_be_bytes()[..], party.as_bytes(), &permission.to_be_bytes()].concat();
        f.write_str(&base64url::encode(bytes))
    }
}

impl FromStr for GrantCursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let read = || {
            let bytes = if text.len() <= 64 { base64url::decode(text).ok()? } else { return None };
            let (above, rest) = bytes.split_first_chunk::<4>()?;
            let (party, permission) = rest.split_first_chunk::<16>()?;
            Some(Self {
                above: u32::from_be_bytes(*above),
                party: Uuid::from_bytes(*party),
                permission: i64::from_be_bytes(permission.try_into().ok()?),
            })
        };
        read().ok_or_else(|| Error::invalid("cursor", "is not one that was given out here"))
    }
}

impl Grants<'_> {
    /// A page of the grants that hold on a resource: those made on it, then (with `inherited`) those that come down from
    /// what is above it, the nearest first; each in the order of the subjects. Ownership is not a grant. A page may hold
    /// fewer than `limit` and still have a next one.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Denied`] for whoever may not share the resource.
    pub async fn on(
        self,
        authority: &Authority,
        resource: &str,
        inherited: bool,
        (after, limit): (Option<GrantCursor>, u16),
    ) -> Result<Page<HeldGrant, GrantCursor>, Error> {
        let tenant = authority.tenant();
        let Found { seen, standing, .. } = self.0.find(authority, resource).await?;
        standing.require_sharer()?;
        let limit = usize::from(limit.clamp(1, MAX_PAGE));
        let entry = seen.entry().cloned().ok_or(Error::NotFound("resource"))?;
        let levels = if inherited { seen.nodes.len() } else { 1 };
        let first = GrantCursor { above: 0, party: Uuid::nil(), permission: -1 };
        let mut place = after.unwrap_or(first);
        let mut items = Vec::new();
        let now = self.0.world().now();
        // Rows that are read for one page: a resource may have many grants that say nothing here.
        let mut budget = 10_000_usize;
        while let Some(node) = usize::try_from(place.above)
            .ok()
            .and_then(|above| seen.nodes.get(..levels).and_then(|nodes| nodes.get(above)))
        {
            let want = i64::try_from(limit).unwrap_or(1).saturating_add(1);
            let (key, page) = (node.key, params_of(place));
            let read = async move |tx: &mut Tx<'_>| {
                let row = params![key, page.0, page.1, want];
                tx.query(&schema::GRANT_PAGE, &row, StoredGrant::from_row).await
            };
            let rows: Vec<StoredGrant> = self.0.store().read(read).await?;
            let more = i64::try_from(rows.len()).is_ok_and(|found| found == want);
            let from = match place.above {
                0 => Some(resource.to_owned()),
                _ => self.0.id_of(tenant, key).await?,
            };
            for row in rows {
                budget = budget.saturating_sub(1);
                place =
                    GrantCursor { above: place.above, party: row.id.party, permission: row.id.permission };
                let name = seen.model.name_of(row.id.permission);
                let meant = name.is_some_and(|name| entry.all().binary_search(&name).is_ok());
                let held = meant && row.holds(now) && (place.above == 0 || row.cascade);
                if let (true, Some(from)) = (held, &from)
                    && let Some(permission) = seen.model.permission_by_key(row.id.permission)
                    && self.0.exists(tenant, row.subject).await?
                {
                    let kind = match (place.above, row.cascade) {
                        (0, false) => GrantKind::Direct,
                        (0, true) => GrantKind::DirectCascading,
                        _ => GrantKind::Inherited,
                    };
                    items.push(HeldGrant { grant: row.named(from, &permission.id), kind });
                }
                if items.len() >= limit || budget == 0 {
                    return Ok(Page { items, next: Some(place) });
                }
            }
            if !more {
                place = GrantCursor { above: place.above.saturating_add(1), ..first };
            }
        }
        Ok(Page { items, next: None })
    }
}

const fn params_of(place: GrantCursor) -> (Uuid, i64) {
    (place.party, place.permission)
}

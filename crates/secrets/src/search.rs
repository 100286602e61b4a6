//! Secrets by filter, order and page, as far as the asker sees them. Values are not searched.
//!
//! Rows are tested one by one in the order that is asked for, a bounded number for each page: a page may be short, or empty,
//! and still have a next one. Whoever sees few secrets of a tenant that has many is answered from what they see.

use crate::access::{METADATA, RESOURCE_TYPE, sees};
use crate::{Error, Kind, MAX_PAGE, Secret, SecretId, Secrets, schema};
use keyreeve_base::TenantId;
use keyreeve_crypto::base64url;
use keyreeve_filter::{Filter, Value};
use keyreeve_identity::search::Direction;
use keyreeve_identity::{Authority, Subject};
use keyreeve_sharing::{Freshness, ResourcesOf};
use keyreeve_store::{Tx, params};
use std::str::FromStr;

/// How many rows one page tests at most.
const TESTED: usize = 20_000;
/// How many are read at once.
const ROWS: i64 = 500;
/// Up to how many secrets that somebody sees are gathered first, rather than the tenant's tested one by one.
const GATHERED: usize = 2_000;

/// What secrets are searched by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SecretField {
    /// The identifier.
    Id,
    /// The kind.
    Kind,
    /// The name.
    Name,
    /// The description.
    Description,
    /// The owner: `user:`, `service:` or `group:` and its identifier, or the identifier alone.
    Owner,
    /// The mount.
    Mount,
    /// The path.
    Path,
    /// The store elsewhere that keeps its value.
    Store,
    /// The fingerprint of its key or certificate.
    Fingerprint,
    /// When it was made.
    CreatedAt,
    /// When it was last changed.
    UpdatedAt,
    /// When it ends.
    ExpiresAt,
    /// The label of this name.
    Label(String),
}

/// What a list is in the order of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// Of their making.
    #[default]
    Made,
    /// Of their names.
    Name,
}

/// What is searched for.
#[derive(Debug, Clone, Default)]
pub struct SecretSearch {
    /// What matches; everything, without one.
    pub filter: Option<Filter<SecretField>>,
    /// The order.
    pub sort: (Sort, Direction),
    /// Where the page begins.
    pub after: Option<SecretCursor>,
    /// How many it holds, from 1 to 500.
    pub limit: u16,
}

/// Where a page ended. Opaque.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretCursor {
    pub(crate) key: i64,
    pub(crate) name: String,
}

impl std::fmt::Display for SecretCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&base64url::encode([&self.key.to_be_bytes(), self.name.as_bytes()].concat()))
    }
}

impl FromStr for SecretCursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::invalid("cursor", "is not one that was given out here");
        if text.len() > 1_024 {
            return Err(wrong());
        }
        let bytes = base64url::decode(text).map_err(|_| wrong())?;
        let (key, name) = bytes.split_first_chunk::<8>().ok_or_else(wrong)?;
        let name = String::from_utf8(name.to_vec()).ok().filter(|name| !name.contains('\0'));
        Ok(Self { key: i64::from_be_bytes(*key), name: name.ok_or_else(wrong)? })
    }
}

/// A page of secrets.
#[derive(Debug, Clone)]
pub struct FoundSecrets {
    /// What it holds, in order.
    pub items: Vec<Secret>,
    /// Where the next page begins; none after the last.
    pub next: Option<SecretCursor>,
}

/// A secret with its place in the order.
fn place_of(secret: &Secret, sort: Sort) -> (String, i64) {
    match sort {
        Sort::Made => (String::new(), secret.key),
        Sort::Name => (secret.name.clone(), secret.key),
    }
}

impl Secrets {
    /// A page of the secrets that the asker sees.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a cursor of another order.
    pub async fn search(&self, authority: &Authority, search: &SecretSearch) -> Result<FoundSecrets, Error> {
        let limit = usize::from(search.limit.clamp(1, MAX_PAGE));
        if !authority.may_manage_tenant() {
            let Some(party) = authority.subject().and_then(Subject::party) else {
                return Ok(FoundSecrets { items: Vec::new(), next: None });
            };
            if let Some(ids) = self.gather(authority, party).await? {
                return self.of_gathered(authority, search, ids).await;
            }
        }
        let (mut items, mut tested) = (Vec::new(), 0_usize);
        let mut place = search.after.clone();
        loop {
            let rows = self.rows(authority.tenant(), search.sort, place.as_ref()).await?;
            let last = rows.len() < usize::try_from(ROWS).unwrap_or(usize::MAX);
            for secret in rows {
                tested = tested.saturating_add(1);
                place = Some(SecretCursor { key: secret.key, name: place_of(&secret, search.sort.0).0 });
                let Some(secret) = self.as_seen(authority, secret).await? else { continue };
                if matches(search.filter.as_ref(), &secret) {
                    items.push(secret);
                    if items.len() >= limit {
                        return Ok(FoundSecrets { items, next: place });
                    }
                }
            }
            if last {
                return Ok(FoundSecrets { items, next: None });
            }
            if tested >= TESTED {
                return Ok(FoundSecrets { items, next: place });
            }
        }
    }

    /// The secret with its present owner, if the asker sees it. It may be gone with what lay above it, and wait to be swept.
    async fn as_seen(&self, authority: &Authority, secret: Secret) -> Result<Option<Secret>, Error> {
        let access = self.sharing().hosted().access(authority, &secret.id.to_string()).await?;
        Ok(access.filter(sees).map(|access| Secret { owner: access.owner(), ..secret }))
    }

    /// The identifiers of all that the party sees, unless they are many.
    async fn gather(
        &self,
        authority: &Authority,
        party: keyreeve_identity::Party,
    ) -> Result<Option<Vec<SecretId>>, Error> {
        let mut of = ResourcesOf {
            subject: party,
            resource_type: RESOURCE_TYPE.to_owned(),
            permission: METADATA.to_owned(),
            after: None,
            limit: keyreeve_sharing::MAX_PAGE,
        };
        let mut ids = Vec::new();
        // As many pages as it takes, a bounded number of them: each looks at some thousands of resources.
        for _ in 0..GATHERED / 100 {
            let page = self.sharing().questions().resources_of(authority, &of, Freshness::Bounded).await;
            let page = match page {
                // No secret was made in this tenant yet.
                Err(keyreeve_sharing::Error::NotFound(_)) => return Ok(Some(Vec::new())),
                page => page?,
            };
            ids.extend(page.items.iter().filter_map(|item| item.id.parse::<SecretId>().ok()));
            if ids.len() > GATHERED {
                return Ok(None);
            }
            match page.next {
                Some(next) => of.after = Some(next),
                None => return Ok(Some(ids)),
            }
        }
        Ok(None)
    }

    async fn of_gathered(
        &self,
        authority: &Authority,
        search: &SecretSearch,
        ids: Vec<SecretId>,
    ) -> Result<FoundSecrets, Error> {
        let tenant = authority.tenant();
        let (sort, direction) = search.sort;
        let read = async move |tx: &mut Tx<'_>| {
            let rows: Vec<_> = ids.iter().map(|id| params![tenant, *id]).collect();
            tx.query_each(&schema::SECRET, &rows, Secret::from_row).await
        };
        let mut found = Vec::new();
        for secret in self.store().scan(read).await?.into_iter().flatten() {
            found.extend(self.as_seen(authority, secret).await?);
        }
        found.sort_by_cached_key(|secret| place_of(secret, sort));
        if direction == Direction::Descending {
            found.reverse();
        }
        let behind = |secret: &Secret| {
            search.after.as_ref().is_none_or(|after| {
                let (own, after) = (place_of(secret, sort), (after.name.clone(), after.key));
                if direction == Direction::Descending { own < after } else { own > after }
            })
        };
        let limit = usize::from(search.limit.clamp(1, MAX_PAGE));
        let mut items: Vec<Secret> = found
            .into_iter()
            .filter(|secret| behind(secret) && matches(search.filter.as_ref(), secret))
            .take(limit.saturating_add(1))
            .collect();
        let more = items.len() > limit;
        items.truncate(limit);
        let place = |secret: &Secret| SecretCursor { key: secret.key, name: place_of(secret, sort).0 };
        let next = if more { items.last().map(place) } else { None };
        Ok(FoundSecrets { items, next })
    }

    async fn rows(
        &self,
        tenant: TenantId,
        (sort, direction): (Sort, Direction),
        after: Option<&SecretCursor>,
    ) -> Result<Vec<Secret>, Error> {
        let down = direction == Direction::Descending;
        let (first_key, first_name) =
            if down { (i64::MAX, char::MAX.to_string()) } else { (0, String::new()) };
        let (key, name) = after.map_or((first_key, first_name), |after| (after.key, after.name.clone()));
        let scan = async move |tx: &mut Tx<'_>| match sort {
            Sort::Made => {
                let statement = if down { &schema::SECRETS_BEFORE } else { &schema::SECRETS_AFTER };
                tx.query(statement, &params![tenant, key, ROWS], Secret::from_row).await
            }
            Sort::Name => {
                let statement = if down { &schema::SECRETS_BY_NAME_DOWN } else { &schema::SECRETS_BY_NAME };
                tx.query(statement, &params![tenant, name, key, ROWS], Secret::from_row).await
            }
        };
        Ok(self.store().scan(scan).await?)
    }

    /// How many secrets the tenant has, for whoever administers it.
    ///
    /// # Errors
    /// [`Error::Denied`]; those of the store.
    pub async fn count(&self, authority: &Authority) -> Result<u64, Error> {
        if !authority.may_manage_tenant() {
            return Err(Error::Denied("authority over the tenant"));
        }
        let tenant = authority.tenant();
        let scan = async move |tx: &mut Tx<'_>| tx.scalar::<i64>(&schema::COUNT, &params![tenant]).await;
        Ok(u64::try_from(self.store().scan(scan).await?).unwrap_or(0))
    }
}

fn matches(filter: Option<&Filter<SecretField>>, secret: &Secret) -> bool {
    filter.is_none_or(|filter| filter.matches(&|field| values(secret, field)))
}

fn values(secret: &Secret, field: &SecretField) -> Vec<Value> {
    let some = |text: Option<String>| text.map(Value::Text).into_iter().collect();
    match field {
        SecretField::Id => vec![Value::Text(secret.id.to_string())],
        SecretField::Kind => vec![Value::Text(Kind::as_str(secret.kind).to_owned())],
        SecretField::Name => vec![Value::Text(secret.name.clone())],
        SecretField::Description => some(secret.description.clone()),
        SecretField::Owner => secret
            .owner
            .map(|owner| vec![Value::Text(owner.to_string()), Value::Text(owner.uuid().to_string())])
            .unwrap_or_default(),
        SecretField::Mount => some(secret.place.as_ref().map(|place| place.mount().to_owned())),
        SecretField::Path => some(secret.place.as_ref().map(|place| place.path().to_owned())),
        SecretField::Store => some(secret.elsewhere.as_ref().map(|of| of.store.to_string())),
        SecretField::Fingerprint => some(secret.facts.fingerprint.clone()),
        SecretField::CreatedAt => vec![Value::Text(secret.created_at.to_string())],
        SecretField::UpdatedAt => vec![Value::Text(secret.updated_at.to_string())],
        SecretField::ExpiresAt => some(secret.expires_at.map(|at| at.to_string())),
        SecretField::Label(name) => some(secret.labels.get(name).cloned()),
    }
}

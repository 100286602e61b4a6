//! Resources by criteria, as far as somebody may see them.

use super::{Check, Page, Questions};
use crate::engine::{Accept, Visible};
use crate::resources::{Resource, StoredResource};
use crate::standing::{asker, over_tenant};
use crate::{Error, Freshness, MAX_PAGE, ResourceCursor, Sharing, schema};
use keyreeve_base::TenantId;
use keyreeve_filter::{Filter, Op, Value};
use keyreeve_identity::{Authority, Party};
use keyreeve_store::{Statement, Tx, params};
use std::sync::Arc;

/// How many rows one page tests at most; it may be short for that, and go on in the next.
const TESTED: usize = 20_000;
/// How many rows are read at once.
const ROWS: i64 = 500;
/// Up to how many resources that somebody can see are gathered first, rather than tested one by one.
const GATHERED: usize = 2_000;

/// What resources are searched by. Identifiers compare as they are; texts in every spelling, as in any other filter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ResourceField {
    /// The identifier.
    Id,
    /// The identifier of the type.
    Type,
    /// The owner: its identifier, or `user:`, `service:` or `group:` and the identifier.
    Owner,
    /// The identifier of the parent.
    Parent,
    /// The name.
    Name,
    /// The description.
    Description,
    /// The searchable text.
    Text,
    /// When it was made.
    CreatedAt,
    /// When it was last changed.
    UpdatedAt,
    /// How many grants there are on the resource itself.
    SharedCount,
    /// A permission that the subject has who is searched for; only `eq` and `ne`.
    Permission,
    /// The attribute of this name.
    Attribute(String),
}

/// The order of what is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// What was made last comes first.
    #[default]
    Newest,
    /// What was made first comes first.
    Oldest,
}

/// What is searched for.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// What matches; everything, without one.
    pub filter: Option<Filter<ResourceField>>,
    /// Only what this subject has something on. Without one, whoever does not administer the tenant searches for itself.
    pub visible_to: Option<Party>,
    /// The order.
    pub order: Order,
    /// Where the page begins.
    pub after: Option<SearchCursor>,
    /// How many it holds, from 1 to 500.
    pub limit: u16,
}

/// Where a page of a search ended. Opaque.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchCursor(ResourceCursor);

impl std::fmt::Display for SearchCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for SearchCursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        text.parse().map(Self)
    }
}

/// Where the rows come from.
#[derive(Clone)]
enum Source {
    One(i64),
    Children(i64),
    Type(i64),
    Tenant,
    Nothing,
    /// These, in order.
    Keys(Arc<[i64]>),
}

/// A search under way.
struct Run<'a> {
    sharing: &'a Sharing,
    tenant: TenantId,
    filter: Option<&'a Filter<ResourceField>>,
    visible_to: Option<Party>,
    order: Order,
    permissions: Vec<String>,
    counts: bool,
}

impl Questions<'_> {
    /// A page of the resources that match and that the asker may see. Identifiers, parents and types that the filter asks
    /// for by `eq` are found by an index; else 20,000 resources are tested for each page at most, so a page may hold fewer
    /// than `limit`, or none, and still have a next one.
    ///
    /// # Errors
    /// [`Error::Denied`] for `visible_to` another, without authority over the tenant; [`Error::Invalid`] for a filter that
    /// asks for a permission where no subject is given, or by anything but `eq` and `ne`.
    pub async fn search(
        self,
        authority: &Authority,
        search: &Search,
        at: Freshness,
    ) -> Result<Page<Resource, SearchCursor>, Error> {
        let visible_to = match (over_tenant(authority), search.visible_to, asker(authority)) {
            (true, subject, _) => subject,
            (false, None, Some(own)) => Some(own),
            (false, Some(subject), Some(own)) if subject == own => Some(own),
            (false, ..) => return Err(Error::Denied("authority over the tenant, to ask about others")),
        };
        self.0.await_freshness(at).await?;
        let mut permissions = Vec::new();
        let mut counts = false;
        if let Some(filter) = &search.filter {
            survey(filter, &mut permissions, &mut counts)?;
        }
        if !permissions.is_empty() && visible_to.is_none() {
            return Err(Error::invalid("filter", "asks for a permission, and no subject is given"));
        }
        let run = Run {
            sharing: self.0,
            tenant: authority.tenant(),
            filter: search.filter.as_ref(),
            visible_to,
            order: search.order,
            permissions,
            counts,
        };
        let limit = usize::from(search.limit.clamp(1, MAX_PAGE));
        run.page(search.after.as_ref().map(|cursor| cursor.0.last()), limit).await
    }
}

impl Run<'_> {
    async fn page(&self, after: Option<i64>, limit: usize) -> Result<Page<Resource, SearchCursor>, Error> {
        let model = self.sharing.model(self.tenant).await?;
        let source = self.source().await?;
        let newest = self.order == Order::Newest;
        let mut place = after.unwrap_or(if newest { i64::MAX } else { 0 });
        let (mut items, mut tested) = (Vec::new(), 0_usize);
        loop {
            let rows = self.rows(source.clone(), place).await?;
            let last = i64::try_from(rows.len()).is_ok_and(|found| found < ROWS);
            for row in rows {
                place = row.resource.key;
                tested = tested.saturating_add(1);
                let resource = row.typed(&model);
                if self.matches(&resource).await? {
                    items.push(resource);
                }
                if items.len() >= limit {
                    break;
                }
            }
            if items.len() >= limit || tested >= TESTED {
                return Ok(Page { items, next: Some(SearchCursor(ResourceCursor::at(place))) });
            }
            if last {
                return Ok(Page { items, next: None });
            }
        }
    }

    /// Where the rows come from that can match.
    async fn source(&self) -> Result<Source, Error> {
        let wanted = |field: &ResourceField| self.filter.and_then(|filter| required(filter, field));
        if let Some(id) = wanted(&ResourceField::Id) {
            return Ok(self.sharing.key_of(self.tenant, id).await?.map_or(Source::Nothing, Source::One));
        }
        if let Some(id) = wanted(&ResourceField::Parent) {
            return Ok(self.sharing.key_of(self.tenant, id).await?.map_or(Source::Nothing, Source::Children));
        }
        if let Some(party) = self.visible_to {
            let Some(who) = self.sharing.who(self.tenant, party).await? else { return Ok(Source::Nothing) };
            let place = (self.tenant, self.sharing.model(self.tenant).await?);
            let mut walk = Visible::new(self.sharing, place, (&who, Accept::Any), None).await?;
            if let (items, None) = walk.page(GATHERED, |_| true).await? {
                let mut keys: Vec<i64> = items.into_iter().map(|item| item.key).collect();
                keys.sort_unstable();
                return Ok(Source::Keys(keys.into()));
            }
        }
        if let Some(id) = wanted(&ResourceField::Type) {
            let model = self.sharing.model(self.tenant).await?;
            return Ok(model.type_of(id).map_or(Source::Nothing, |entry| Source::Type(entry.of.key)));
        }
        Ok(Source::Tenant)
    }

    async fn rows(&self, source: Source, place: i64) -> Result<Vec<StoredResource>, Error> {
        let (tenant, newest) = (self.tenant, self.order == Order::Newest);
        let scan = async move |tx: &mut Tx<'_>| {
            let pick = |down: &'static Statement, up: &'static Statement| if newest { down } else { up };
            let (statement, of) = match &source {
                Source::Nothing => return Ok(Vec::new()),
                Source::One(key) => return read_keys(tx, tenant, &[*key], (place, newest)).await,
                Source::Keys(keys) => return read_keys(tx, tenant, keys, (place, newest)).await,
                Source::Children(key) => {
                    (pick(&schema::RESOURCES_BELOW_DOWN, &schema::RESOURCES_BELOW), *key)
                }
                Source::Type(key) => {
                    (pick(&schema::RESOURCES_OF_TYPE_DOWN, &schema::RESOURCES_OF_TYPE), *key)
                }
                Source::Tenant => {
                    let statement = pick(&schema::RESOURCES_BEFORE, &schema::RESOURCES_AFTER);
                    let page = params![tenant, place, ROWS];
                    return tx.query(statement, &page, StoredResource::from_row).await;
                }
            };
            tx.query(statement, &params![of, place, ROWS], StoredResource::from_row).await
        };
        Ok(self.sharing.store().scan(scan).await?)
    }

    /// Whether a resource is there, may be seen and matches.
    async fn matches(&self, resource: &Resource) -> Result<bool, Error> {
        let shared = match self.counts {
            true => Some(self.sharing.shared_count(resource.key).await?),
            false => None,
        };
        let mut held = Vec::new();
        for permission in &self.permissions {
            let Some(subject) = self.visible_to else { continue };
            let check = Check { subject, resource: resource.id.clone(), permission: permission.clone() };
            if self.sharing.decide(self.tenant, &check).await?.is_allowed() {
                held.push(permission.as_str());
            }
        }
        let own = Own { resource, shared, held: &held };
        if !self.filter.is_none_or(|filter| matches(filter, &own)) {
            return Ok(false);
        }
        let Some(seen) = self.sharing.walk(self.tenant, resource.key).await? else { return Ok(false) };
        match self.visible_to {
            None => Ok(true),
            Some(party) => match self.sharing.who(self.tenant, party).await? {
                Some(who) => Ok(self.sharing.standing_of(&who, &seen).await?.sees),
                None => Ok(false),
            },
        }
    }
}

impl Sharing {
    async fn shared_count(&self, key: i64) -> Result<i64, Error> {
        let now = self.world().now();
        let read = async move |tx: &mut Tx<'_>| tx.scalar(&schema::COUNT_GRANTS, &params![key, now]).await;
        Ok(self.store().read(read).await?)
    }
}

async fn read_keys(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    keys: &[i64],
    (place, newest): (i64, bool),
) -> Result<Vec<StoredResource>, keyreeve_store::Error> {
    let want = usize::try_from(ROWS).unwrap_or(usize::MAX);
    let chosen: Vec<i64> = if newest {
        keys.iter().rev().copied().filter(|key| *key < place).take(want).collect()
    } else {
        keys.iter().copied().filter(|key| *key > place).take(want).collect()
    };
    let rows: Vec<_> = chosen.iter().map(|key| params![tenant, *key]).collect();
    let found = tx.query_each(&schema::RESOURCE, &rows, StoredResource::from_row).await?;
    Ok(found.into_iter().flatten().collect())
}

/// What the filter asks for that costs more, and what it cannot ask for.
fn survey(
    filter: &Filter<ResourceField>,
    permissions: &mut Vec<String>,
    counts: &mut bool,
) -> Result<(), Error> {
    match filter {
        Filter::And(parts) | Filter::Or(parts) => {
            parts.iter().try_for_each(|part| survey(part, permissions, counts))
        }
        Filter::Not(inner) => survey(inner, permissions, counts),
        Filter::Within(..) => Err(Error::invalid("filter", "asks for parts of what has none")),
        Filter::Compare(ResourceField::Permission, Op::Eq | Op::Ne, Value::Text(name)) => {
            if !permissions.contains(name) {
                permissions.push(name.clone());
            }
            Ok(())
        }
        Filter::Present(ResourceField::Permission) | Filter::Compare(ResourceField::Permission, ..) => {
            Err(Error::invalid("filter", "compares a permission by something other than `eq` and `ne`"))
        }
        Filter::Present(field) | Filter::Compare(field, ..) => {
            *counts |= *field == ResourceField::SharedCount;
            Ok(())
        }
    }
}

/// The text that a field must be for the filter to match, where it says so at its top.
fn required<'a>(filter: &'a Filter<ResourceField>, field: &ResourceField) -> Option<&'a str> {
    match filter {
        Filter::Compare(found, Op::Eq, Value::Text(text)) if found == field => Some(text),
        Filter::And(parts) => parts.iter().find_map(|part| required(part, field)),
        _ => None,
    }
}

/// A resource, and what was found out about it for this search.
struct Own<'a> {
    resource: &'a Resource,
    shared: Option<i64>,
    held: &'a [&'a str],
}

impl Own<'_> {
    fn values(&self, field: &ResourceField) -> Vec<Value> {
        let Resource { id, resource_type, owner, parent, name, description, text, .. } = self.resource;
        let some = |text: &Option<String>| text.iter().map(|text| Value::from(text.as_str())).collect();
        match field {
            ResourceField::Id => vec![id.as_str().into()],
            ResourceField::Type => vec![resource_type.as_str().into()],
            ResourceField::Owner => {
                vec![Value::Text(owner.to_string()), Value::Text(owner.uuid().to_string())]
            }
            ResourceField::Parent => some(parent),
            ResourceField::Name => vec![name.as_str().into()],
            ResourceField::Description => some(description),
            ResourceField::Text => some(text),
            ResourceField::CreatedAt => vec![Value::Text(self.resource.created_at.to_string())],
            ResourceField::UpdatedAt => vec![Value::Text(self.resource.updated_at.to_string())],
            ResourceField::SharedCount => {
                self.shared.map(|count| Value::Number(count.into())).into_iter().collect()
            }
            ResourceField::Permission => self.held.iter().map(|name| Value::from(*name)).collect(),
            ResourceField::Attribute(name) => self
                .resource
                .attributes
                .get(name)
                .map(|text| Value::from(text.as_str()))
                .into_iter()
                .collect(),
        }
    }
}

/// Whether the filter matches. As deep as the filter, which its parser bounds.
fn matches(filter: &Filter<ResourceField>, own: &Own<'_>) -> bool {
    match filter {
        Filter::And(parts) => parts.iter().all(|part| matches(part, own)),
        Filter::Or(parts) => parts.iter().any(|part| matches(part, own)),
        Filter::Not(inner) => !matches(inner, own),
        Filter::Within(..) => false,
        Filter::Compare(field, op @ (Op::Eq | Op::Ne), value @ Value::Text(_)) if is_identifier(field) => {
            own.values(field).contains(value) == (*op == Op::Eq)
        }
        leaf => leaf.matches(&|field| own.values(field)),
    }
}

const fn is_identifier(field: &ResourceField) -> bool {
    matches!(
        field,
        ResourceField::Id
            | ResourceField::Type
            | ResourceField::Owner
            | ResourceField::Parent
            | ResourceField::Permission
    )
}

//! Lists and searches: a query becomes one of the room's, and what it finds a page.

use crate::answer::Page;
use crate::call::Call;
use crate::document::Selection;
use crate::error::{ScimError, ScimType};
use crate::limits::{MAX_CANDIDATES, MAX_PAGE};
use crate::meaning::{self, Field, Meaning};
use crate::query::{Query, Start};
use crate::resources::members::Budget;
use crate::resources::{groups, users};
use crate::schema::Resource;
use crate::user;
use keyreeve_filter::{Filter, Path};
use keyreeve_identity::search::{Cursor, Found, GroupField, MAX_OFFSET, Search, Start as Place, UserField};
use keyreeve_identity::{Error as IdentityError, Group, User};
use serde_json::Value;

/// What is searched for through the room.
trait Searched: Sized {
    type Field: Field;
    async fn search(call: &Call, search: Search<Self::Field>) -> Result<Found<Self>, IdentityError>;
    async fn show(&self, call: &Call, selection: &Selection, budget: &mut Budget)
    -> Result<Value, ScimError>;
    /// The resource to hold a filter against, as far as no field of the room tells.
    fn resource(&self) -> Value;
}

impl Searched for User {
    type Field = UserField;

    async fn search(call: &Call, search: Search<UserField>) -> Result<Found<Self>, IdentityError> {
        call.identity().users().search(call.authority(), search).await
    }

    async fn show(
        &self,
        call: &Call,
        selection: &Selection,
        _budget: &mut Budget,
    ) -> Result<Value, ScimError> {
        Ok(users::show(call, self, selection).await?.document)
    }

    fn resource(&self) -> Value {
        let mut document = user::to_document(self);
        document.insert("id".to_owned(), self.id.to_string().into());
        let meta = serde_json::json!({
            "resourceType": Resource::User.name(),
            "created": self.created_at.to_string(),
            "lastModified": self.updated_at.to_string(),
        });
        document.insert("meta".to_owned(), meta);
        Value::Object(document)
    }
}

impl Searched for Group {
    type Field = GroupField;

    async fn search(call: &Call, search: Search<GroupField>) -> Result<Found<Self>, IdentityError> {
        call.identity().groups().search(call.authority(), search).await
    }

    async fn show(
        &self,
        call: &Call,
        selection: &Selection,
        budget: &mut Budget,
    ) -> Result<Value, ScimError> {
        Ok(groups::show(call, self, selection, budget).await?.document)
    }

    fn resource(&self) -> Value {
        Value::Object(crate::group::to_document(self))
    }
}

/// One page of a kind of resource.
pub(crate) async fn page(call: &Call, kind: Resource, query: &Query) -> Result<Page, ScimError> {
    let mut budget = Budget::default();
    match kind {
        Resource::User => page_of::<User>(call, query, &mut budget).await,
        Resource::Group => page_of::<Group>(call, query, &mut budget).await,
    }
}

async fn page_of<T: Searched>(call: &Call, query: &Query, budget: &mut Budget) -> Result<Page, ScimError> {
    let selection = query.selection(T::Field::KIND)?;
    let meaning = match &query.filter {
        Some(filter) => meaning::of::<T::Field>(filter)?,
        None => Meaning { filter: Filter::always(), exact: true },
    };
    let found = match &query.filter {
        Some(filter) if !meaning.exact => candidates::<T>(call, query, meaning, filter).await?,
        _ => one_page::<T>(call, query, meaning.filter).await?,
    };
    let mut resources = Vec::with_capacity(found.items.len());
    for item in &found.items {
        resources.push(item.show(call, &selection, budget).await?);
    }
    let start_index = match query.start {
        Start::Index(index) => Some(index),
        Start::Cursor(_) => None,
    };
    let next_cursor = found.next.filter(|_| start_index.is_none()).map(|cursor| cursor.to_string());
    Ok(Page { resources, total: found.total, start_index, next_cursor })
}

/// A page as the room makes it.
async fn one_page<T: Searched>(
    call: &Call,
    query: &Query,
    filter: Filter<T::Field>,
) -> Result<Found<T>, ScimError> {
    let place = match &query.start {
        Start::Index(index) => match index.saturating_sub(1) {
            0 => Place::First,
            offset => Place::Offset(offset),
        },
        Start::Cursor(None) => Place::First,
        Start::Cursor(Some(text)) => Place::After(Cursor::parse(text).map_err(|_| bad_cursor())?),
    };
    // So far no page goes: what is there is counted, not shown.
    let beyond = matches!(place, Place::Offset(offset) if offset > MAX_OFFSET);
    let search = Search {
        filter: (filter != Filter::always()).then_some(filter),
        sort: sort::<T>(query)?,
        page: if beyond { Place::First } else { place },
        limit: query.count.max(1),
        count: true,
        ..Search::default()
    };
    let mut found = T::search(call, search).await.map_err(refused)?;
    if beyond && found.total.is_some_and(|total| total > u64::from(MAX_OFFSET)) {
        let detail = format!("startIndex goes no further than {MAX_OFFSET}; page by cursor");
        return Err(ScimError::bad(ScimType::TooMany, detail));
    }
    if beyond || query.count == 0 {
        found.items.clear();
        found.next = None;
    }
    Ok(found)
}

fn sort<T: Searched>(
    query: &Query,
) -> Result<Option<(T::Field, keyreeve_identity::search::Direction)>, ScimError> {
    query.sort.as_ref().map(|(path, way)| Ok((meaning::order(path)?, *way))).transpose()
}

/// A page of what the room cannot tell by itself: everything that may be meant, each held against the filter.
async fn candidates<T: Searched>(
    call: &Call,
    query: &Query,
    meaning: Meaning<T::Field>,
    filter: &Filter<Path>,
) -> Result<Found<T>, ScimError> {
    let filter_of_room = (meaning.filter != Filter::always()).then_some(meaning.filter);
    let sort = sort::<T>(query)?;
    let (mut matches, mut looked_at, mut place) = (Vec::new(), 0_usize, Place::First);
    loop {
        let search = Search {
            filter: filter_of_room.clone(),
            sort: sort.clone(),
            page: place,
            limit: MAX_PAGE,
            ..Search::default()
        };
        let found = T::search(call, search).await.map_err(refused)?;
        looked_at = looked_at.saturating_add(found.items.len());
        matches.extend(found.items.into_iter().filter(|item| filter.matches_json(&item.resource())));
        let Some(next) = found.next else { break };
        if looked_at >= MAX_CANDIDATES {
            let detail = "the filter leaves too much to look through; combine it with a condition on userName, \
                externalId, emails.value or another single value";
            return Err(ScimError::bad(ScimType::TooMany, detail));
        }
        place = Place::After(next);
    }
    let total = u64::try_from(matches.len()).ok();
    let skip = match &query.start {
        Start::Index(index) => usize::try_from(index.saturating_sub(1)).unwrap_or(usize::MAX),
        Start::Cursor(None) => 0,
        Start::Cursor(Some(_)) => {
            return Err(ScimError::bad(ScimType::InvalidCursor, "this filter has pages by startIndex only"));
        }
    };
    let count = match query.start {
        // Without cursors to go on, all matches are one page.
        Start::Cursor(_) => MAX_CANDIDATES,
        Start::Index(_) => usize::from(query.count),
    };
    let items = matches.into_iter().skip(skip).take(count).collect();
    Ok(Found { items, next: None, total })
}

fn bad_cursor() -> ScimError {
    ScimError::bad(ScimType::InvalidCursor, "the cursor is not one that was given out here")
}

fn refused(error: IdentityError) -> ScimError {
    match error {
        IdentityError::Invalid { field: "cursor", .. } => bad_cursor(),
        IdentityError::Invalid { field: "filter", problem } => {
            ScimError::bad(ScimType::InvalidFilter, format!("the filter {problem}"))
        }
        other => other.into(),
    }
}

/// What begins a cursor over all kinds that points into one of them.
const fn mark(kind: Resource) -> &'static str {
    match kind {
        Resource::User => "u.",
        Resource::Group => "g.",
    }
}

/// One page over all kinds of resources that the caller may read: users, then groups (RFC 7644 section 3.4.2.1).
pub(crate) async fn page_of_all(call: &Call, query: &Query) -> Result<Page, ScimError> {
    let kinds: Vec<Resource> =
        [Resource::User, Resource::Group].into_iter().filter(|kind| call.may_read(*kind)).collect();
    if kinds.is_empty() {
        call.reads(Resource::User)?;
    }
    let mut budget = Budget::default();
    let mut whole = Page { total: Some(0), ..Page::default() };
    if let Start::Index(index) = query.start {
        whole.start_index = Some(index);
    }
    let (mut refused, mut answered) = (None, false);
    for (at, kind) in kinds.iter().enumerate() {
        let (part, counted_only) = part_of(query, *kind, &whole)?;
        let found = match kind {
            Resource::User => page_of::<User>(call, &part, &mut budget).await,
            Resource::Group => page_of::<Group>(call, &part, &mut budget).await,
        };
        let page = match found {
            Ok(page) => page,
            // What one kind does not have matches nothing of it.
            Err(error) if error.is_about_a_filter() => {
                refused = Some(error);
                continue;
            }
            Err(error) => return Err(error),
        };
        answered = true;
        whole.total = whole.total.zip(page.total).map(|(known, more)| known.saturating_add(more));
        if counted_only {
            continue;
        }
        whole.resources.extend(page.resources);
        if whole.start_index.is_none() {
            let full = whole.resources.len() >= usize::from(query.count.max(1));
            let of_next = kinds.get(at.saturating_add(1)).filter(|_| full).map(|next| mark(*next).to_owned());
            whole.next_cursor = page.next_cursor.map(|cursor| format!("{}{cursor}", mark(*kind))).or(of_next);
        }
    }
    match refused {
        Some(error) if !answered => Err(error),
        _ => Ok(whole),
    }
}

/// The part of a query over all kinds that is about this one, and whether its matches are only to be counted.
fn part_of(query: &Query, kind: Resource, before: &Page) -> Result<(Query, bool), ScimError> {
    let rest = usize::from(query.count).saturating_sub(before.resources.len());
    let count = u16::try_from(rest).unwrap_or(MAX_PAGE);
    let (start, counted_only) = match &query.start {
        Start::Index(index) => {
            // What comes before is of the other kind, as far as it goes.
            let earlier = u32::try_from(before.total.unwrap_or(0)).unwrap_or(u32::MAX);
            (Start::Index(index.saturating_sub(earlier).max(1)), false)
        }
        Start::Cursor(_) if before.next_cursor.is_some() => (Start::Cursor(None), true),
        Start::Cursor(None) => (Start::Cursor(None), false),
        Start::Cursor(Some(text)) => {
            let other = if kind == Resource::User { Resource::Group } else { Resource::User };
            match (text.strip_prefix(mark(kind)), text.starts_with(mark(other))) {
                (Some(""), _) => (Start::Cursor(None), false),
                (Some(inner), _) => (Start::Cursor(Some(inner.to_owned())), false),
                // It points into the other kind: users are over by then, groups come in their turn.
                (None, true) => (Start::Cursor(None), kind == Resource::User),
                (None, false) => return Err(bad_cursor()),
            }
        }
    };
    let count = if counted_only { 0 } else { count };
    Ok((Query { start, count, ..query.clone() }, counted_only))
}

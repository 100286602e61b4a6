//! The handlers: parse, call, render.

use crate::answer::{self, Page};
use crate::body;
use crate::bulk;
use crate::call::{Base, Call, ScimState, Versions};
use crate::document::Selection;
use crate::error::ScimError;
use crate::patch;
use crate::query::Query;
use crate::resources::members::Budget;
use crate::resources::{Shown, groups, users};
use crate::schema::{self, Resource};
use crate::search;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use keyreeve_http::params::{ParamError, StrictQuery};
use serde::Deserialize;
use serde_json::Value;

type Answer = Result<Response, ScimError>;

/// A request with a document.
pub(crate) struct Sent {
    call: Call,
    headers: HeaderMap,
    id: Option<String>,
    selection: (Vec<String>, Vec<String>),
    body: Value,
}

/// The last part of a path.
#[derive(Deserialize)]
pub(crate) struct Place {
    id: String,
}

impl FromRequest<ScimState> for Sent {
    type Rejection = ScimError;

    async fn from_request(request: Request, state: &ScimState) -> Result<Self, ScimError> {
        let (mut parts, body) = request.into_parts();
        // Who may not call is not read from.
        let call = Call::from_request_parts(&mut parts, state).await?;
        let id = Path::<Place>::from_request_parts(&mut parts, state).await.ok().map(|Path(place)| place.id);
        let query = Query::from_request_parts(&mut parts, state).await?;
        let body = body::read(&parts.headers, body).await?;
        Ok(Self { call, headers: parts.headers, id, selection: (query.only, query.without), body })
    }
}

impl Sent {
    fn id(&self) -> &str {
        self.id.as_deref().unwrap_or_default()
    }

    fn selection(&self, kind: Resource) -> Result<Selection, ScimError> {
        Selection::read(kind, &self.selection.0, &self.selection.1)
    }

    fn if_match(&self) -> Versions {
        Versions::read(&self.headers, header::IF_MATCH)
    }
}

/// A request about one resource, without a document.
pub(crate) struct Asked {
    call: Call,
    headers: HeaderMap,
    id: String,
    query: Query,
}

impl FromRequestParts<ScimState> for Asked {
    type Rejection = ScimError;

    async fn from_request_parts(
        parts: &mut http::request::Parts,
        state: &ScimState,
    ) -> Result<Self, ScimError> {
        let call = Call::from_request_parts(parts, state).await?;
        let id = Path::<Place>::from_request_parts(parts, state).await.ok().map(|Path(place)| place.id);
        let query = Query::from_request_parts(parts, state).await?;
        Ok(Self { call, headers: parts.headers.clone(), id: id.unwrap_or_default(), query })
    }
}

fn shown(status: StatusCode, shown: &Shown) -> Response {
    answer::resource(status, &shown.document, shown.version, &shown.location)
}

fn listed(page: Page) -> Response {
    answer::json(StatusCode::OK, &page.into_document())
}

// ── users and groups ──

/// `GET /{Users,Groups}/{id}`.
pub(crate) async fn get(kind: Resource, asked: Asked) -> Answer {
    asked.call.reads(kind)?;
    one(kind, &asked, &asked.id).await
}

async fn one(kind: Resource, asked: &Asked, id: &str) -> Answer {
    let selection = asked.query.selection(kind)?;
    let unless = Versions::read(&asked.headers, header::IF_NONE_MATCH);
    let found = match kind {
        Resource::User => users::get(&asked.call, id, &selection, &unless).await?,
        Resource::Group => groups::get(&asked.call, id, &selection, &unless).await?,
    };
    Ok(match found {
        Some(found) => shown(StatusCode::OK, &found),
        None => answer::empty(StatusCode::NOT_MODIFIED),
    })
}

/// `GET /{Users,Groups}`.
pub(crate) async fn list(kind: Resource, call: Call, query: Query) -> Answer {
    call.reads(kind)?;
    Ok(listed(search::page(&call, kind, &query).await?))
}

/// `POST /{Users,Groups}/.search`.
pub(crate) async fn search_one(kind: Resource, sent: Sent) -> Answer {
    sent.call.reads(kind)?;
    Ok(listed(search::page(&sent.call, kind, &Query::read(sent.body)?).await?))
}

/// `GET` of the tenant's base.
pub(crate) async fn list_all(call: Call, query: Query) -> Answer {
    Ok(listed(search::page_of_all(&call, &query).await?))
}

/// `POST /.search`.
pub(crate) async fn search_all(sent: Sent) -> Answer {
    Ok(listed(search::page_of_all(&sent.call, &Query::read(sent.body)?).await?))
}

/// `POST /{Users,Groups}`.
pub(crate) async fn create(kind: Resource, sent: Sent) -> Answer {
    sent.call.writes(kind)?;
    let selection = sent.selection(kind)?;
    let made = match kind {
        Resource::User => {
            let user = users::create(&sent.call, sent.body).await?;
            users::show(&sent.call, &user, &selection).await?
        }
        Resource::Group => {
            let group = groups::create(&sent.call, sent.body).await?;
            groups::show(&sent.call, &group, &selection, &mut Budget::default()).await?
        }
    };
    Ok(shown(StatusCode::CREATED, &made))
}

/// `PUT /{Users,Groups}/{id}`.
pub(crate) async fn replace(kind: Resource, mut sent: Sent) -> Answer {
    sent.call.writes(kind)?;
    let selection = sent.selection(kind)?;
    let body = std::mem::take(&mut sent.body);
    let (call, versions) = (&sent.call, sent.if_match());
    let changed = match kind {
        Resource::User => {
            let user = users::replace(call, sent.id(), &versions, body).await?;
            users::show(call, &user, &selection).await?
        }
        Resource::Group => {
            let group = groups::replace(call, sent.id(), &versions, body).await?;
            groups::show(call, &group, &selection, &mut Budget::default()).await?
        }
    };
    Ok(shown(StatusCode::OK, &changed))
}

/// `PATCH /{Users,Groups}/{id}`.
pub(crate) async fn patch(kind: Resource, mut sent: Sent) -> Answer {
    sent.call.writes(kind)?;
    let selection = sent.selection(kind)?;
    let operations = patch::read(std::mem::take(&mut sent.body))?;
    let (call, versions) = (&sent.call, sent.if_match());
    let changed = match kind {
        Resource::User => {
            let user = users::patch(call, sent.id(), &versions, &operations).await?;
            users::show(call, &user, &selection).await?
        }
        Resource::Group => {
            let group = groups::patch(call, sent.id(), &versions, &operations).await?;
            groups::show(call, &group, &selection, &mut Budget::default()).await?
        }
    };
    Ok(shown(StatusCode::OK, &changed))
}

/// `DELETE /{Users,Groups}/{id}`.
pub(crate) async fn delete(kind: Resource, asked: Asked) -> Answer {
    asked.call.writes(kind)?;
    let versions = Versions::read(&asked.headers, header::IF_MATCH);
    match kind {
        Resource::User => users::delete(&asked.call, &asked.id, &versions).await?,
        Resource::Group => groups::delete(&asked.call, &asked.id, &versions).await?,
    }
    Ok(answer::empty(StatusCode::NO_CONTENT))
}

// ── the user whose token it is (RFC 7644 section 3.11) ──

fn own_id(call: &Call) -> Result<String, ScimError> {
    call.user().map(|id| id.to_string()).ok_or_else(ScimError::not_found)
}

/// `GET /Me`.
pub(crate) async fn get_me(asked: Asked) -> Answer {
    let id = own_id(&asked.call)?;
    if !asked.call.may_read_own() {
        asked.call.reads(Resource::User)?;
    }
    one(Resource::User, &asked, &id).await
}

/// `PUT /Me`.
pub(crate) async fn replace_me(mut sent: Sent) -> Answer {
    sent.id = Some(own_id(&sent.call)?);
    replace(Resource::User, sent).await
}

/// `PATCH /Me`.
pub(crate) async fn patch_me(mut sent: Sent) -> Answer {
    sent.id = Some(own_id(&sent.call)?);
    patch(Resource::User, sent).await
}

/// `DELETE /Me`.
pub(crate) async fn delete_me(mut asked: Asked) -> Answer {
    asked.id = own_id(&asked.call)?;
    delete(Resource::User, asked).await
}

// ── many at once ──

/// `POST /Bulk`.
pub(crate) async fn bulk(sent: Sent) -> Answer {
    Ok(answer::json(StatusCode::OK, &bulk::run(&sent.call, sent.body).await?))
}

// ── what the service can do ──

/// RFC 7644 section 4: these documents are not searched.
fn unfiltered(query: Result<StrictQuery, ParamError>) -> Result<(), ScimError> {
    match query?.0.get("filter") {
        Some(_) => Err(ScimError::forbidden("these documents cannot be filtered")),
        None => Ok(()),
    }
}

/// `GET /ServiceProviderConfig`.
pub(crate) async fn service_provider_config(base: Base) -> Response {
    answer::json(StatusCode::OK, &schema::service_provider_config(&base.url))
}

/// `GET /Schemas`.
pub(crate) async fn schemas(base: Base, query: Result<StrictQuery, ParamError>) -> Answer {
    unfiltered(query)?;
    Ok(listed(Page::whole(schema::schemas(&base.url))))
}

/// `GET /Schemas/{id}`.
pub(crate) async fn schema(base: Base, place: Option<Path<Place>>) -> Answer {
    let found = place.and_then(|Path(place)| schema::schema(&base.url, &place.id));
    Ok(answer::json(StatusCode::OK, &found.ok_or_else(ScimError::not_found)?))
}

/// `GET /ResourceTypes`.
pub(crate) async fn resource_types(base: Base, query: Result<StrictQuery, ParamError>) -> Answer {
    unfiltered(query)?;
    Ok(listed(Page::whole(schema::resource_types(&base.url))))
}

/// `GET /ResourceTypes/{id}`.
pub(crate) async fn resource_type(base: Base, place: Option<Path<Place>>) -> Answer {
    let found = place.and_then(|Path(place)| schema::resource_type(&base.url, &place.id));
    Ok(answer::json(StatusCode::OK, &found.ok_or_else(ScimError::not_found)?))
}

/// Whatever else lies below a tenant's base: nothing.
pub(crate) async fn nothing() -> Response {
    ScimError::not_found().into_response()
}

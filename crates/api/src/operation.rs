//! What each operation is: one value from which its route, its authorization, its place in the OpenAPI document and the
//! reference all come.

use crate::call::{self, Call};
use crate::policy::Asks;
use crate::refused::Refused;
use crate::reply::Reply;
use crate::state::ApiState;
use axum::extract::{Request, State};
use http::{Method, StatusCode};
use keyreeve_http::route::{Guard, Routes};
use std::borrow::Cow;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

/// The name of a schema, and how it and those that it refers to are described.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SchemaOf {
    pub(crate) name: fn() -> Cow<'static, str>,
    pub(crate) collect: fn(&mut Vec<(String, RefOr<Schema>)>),
}

impl SchemaOf {
    fn new<T: ToSchema>() -> Self {
        Self {
            name: T::name,
            collect: |all| {
                all.push((T::name().into_owned(), T::schema()));
                T::schemas(all);
            },
        }
    }
}

/// What a successful answer holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Content {
    /// Nothing.
    Nothing,
    /// One document.
    One(SchemaOf),
    /// A page of them.
    Page(SchemaOf),
    /// A stream of one of these media types, which no schema describes.
    Stream(&'static [&'static str]),
}

/// A parameter of the query.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueryParam {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    pub(crate) kind: QueryKind,
}

/// What a parameter of the query may be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum QueryKind {
    Text,
    Count { least: u32, most: u32 },
    OneOf(&'static [&'static str]),
}

/// One operation.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    /// Its name: in the document, in metrics, in tests.
    pub(crate) id: &'static str,
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) tag: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) description: &'static str,
    /// The scope that the token needs.
    pub(crate) scope: &'static str,
    /// What is asked of the holder's authority.
    pub(crate) asks: Asks,
    pub(crate) query: Vec<QueryParam>,
    pub(crate) body: Option<SchemaOf>,
    /// The media type of a body that is read as it comes.
    pub(crate) stream: Option<&'static str>,
    pub(crate) status: StatusCode,
    pub(crate) content: Content,
    pub(crate) told: &'static str,
    /// A media type besides JSON, for those who ask for it.
    pub(crate) media: Option<&'static str>,
    /// It makes something, and takes an `Idempotency-Key`.
    pub(crate) creates: bool,
    /// What it answers has a version, which `If-None-Match` and `If-Match` name.
    pub(crate) versioned: bool,
    /// It can find a value taken.
    pub(crate) conflicts: bool,
    /// It says behind which revision its change is.
    pub(crate) revises: bool,
    /// It may ask another server, which can fail or be silent.
    pub(crate) reaches: bool,
    /// It is one of AuthZEN, which has its own word on headers and on documents of another type.
    pub(crate) authzen: bool,
}

impl Operation {
    fn new(method: Method, path: &'static str, id: &'static str) -> Self {
        Self {
            id,
            method,
            path,
            tag: "",
            summary: "",
            description: "",
            scope: "",
            asks: Asks::Own,
            query: Vec::new(),
            body: None,
            stream: None,
            status: StatusCode::NO_CONTENT,
            content: Content::Nothing,
            told: "It is done.",
            media: None,
            creates: false,
            versioned: false,
            conflicts: false,
            reaches: false,
            revises: false,
            authzen: false,
        }
    }

    pub(crate) fn get(path: &'static str, id: &'static str) -> Self {
        Self::new(Method::GET, path, id)
    }

    pub(crate) fn post(path: &'static str, id: &'static str) -> Self {
        Self::new(Method::POST, path, id)
    }

    pub(crate) fn put(path: &'static str, id: &'static str) -> Self {
        Self::new(Method::PUT, path, id)
    }

    pub(crate) fn patch(path: &'static str, id: &'static str) -> Self {
        Self::new(Method::PATCH, path, id)
    }

    pub(crate) fn delete(path: &'static str, id: &'static str) -> Self {
        Self::new(Method::DELETE, path, id)
    }

    /// A line, and what is worth knowing besides.
    pub(crate) const fn says(mut self, summary: &'static str, description: &'static str) -> Self {
        self.summary = summary;
        self.description = description;
        self
    }

    /// What the token and its holder must be allowed.
    pub(crate) const fn needs(mut self, scope: &'static str, asks: Asks) -> Self {
        self.scope = scope;
        self.asks = asks;
        self
    }

    pub(crate) fn query(mut self, params: &[QueryParam]) -> Self {
        self.query.extend_from_slice(params);
        self
    }

    pub(crate) fn takes<T: ToSchema>(mut self) -> Self {
        self.body = Some(SchemaOf::new::<T>());
        self
    }

    /// Takes a body of this media type, of any length, as it comes.
    pub(crate) const fn takes_stream(mut self, kind: &'static str) -> Self {
        self.stream = Some(kind);
        self
    }

    /// Answers 200 with a stream of one of these media types, the first unless another is asked for.
    pub(crate) const fn streams(mut self, kinds: &'static [&'static str], told: &'static str) -> Self {
        (self.status, self.content, self.told) = (StatusCode::OK, Content::Stream(kinds), told);
        self
    }

    /// Answers 200 with one document.
    pub(crate) fn answers<T: ToSchema>(mut self, told: &'static str) -> Self {
        (self.status, self.content, self.told) = (StatusCode::OK, Content::One(SchemaOf::new::<T>()), told);
        self
    }

    /// Answers 200 with a page of documents.
    pub(crate) fn pages<T: ToSchema>(mut self, told: &'static str) -> Self {
        (self.status, self.content, self.told) = (StatusCode::OK, Content::Page(SchemaOf::new::<T>()), told);
        self
    }

    /// Answers, to those who ask for it, in this media type as well.
    pub(crate) const fn also(mut self, media: &'static str) -> Self {
        self.media = Some(media);
        self
    }

    /// Answers 201 with what was made, takes an `Idempotency-Key`, and may find a value taken.
    pub(crate) fn creates<T: ToSchema>(mut self, told: &'static str) -> Self {
        (self.status, self.content, self.told) =
            (StatusCode::CREATED, Content::One(SchemaOf::new::<T>()), told);
        (self.creates, self.conflicts) = (true, true);
        self
    }

    /// Has an `ETag`; a read answers 304 where `If-None-Match` names it, a change 412 where `If-Match` does not.
    pub(crate) const fn versioned(mut self) -> Self {
        self.versioned = true;
        self
    }

    pub(crate) const fn conflicts(mut self) -> Self {
        self.conflicts = true;
        self
    }

    /// May ask another server, which can fail or be silent.
    pub(crate) const fn reaches(mut self) -> Self {
        self.reaches = true;
        self
    }

    /// Is one of AuthZEN: it answers with the caller's own `X-Request-ID`, and a document of another type by 400.
    pub(crate) const fn of_authzen(mut self) -> Self {
        self.authzen = true;
        self
    }

    /// Says behind which revision its change is.
    pub(crate) const fn revises(mut self) -> Self {
        self.revises = true;
        self
    }

    /// Every status that it answers.
    pub(crate) fn statuses(&self) -> Vec<StatusCode> {
        let read = self.method == Method::GET;
        let mut all = vec![
            self.status,
            StatusCode::BAD_REQUEST,
            StatusCode::UNAUTHORIZED,
            StatusCode::FORBIDDEN,
            StatusCode::NOT_FOUND,
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::SERVICE_UNAVAILABLE,
        ];
        let mut also = |holds: bool, statuses: &[StatusCode]| {
            if holds {
                all.extend_from_slice(statuses);
            }
        };
        also(self.versioned && read, &[StatusCode::NOT_MODIFIED]);
        also(self.versioned && !read, &[StatusCode::PRECONDITION_FAILED]);
        also(self.conflicts, &[StatusCode::CONFLICT]);
        also(self.reaches, &[StatusCode::BAD_GATEWAY, StatusCode::GATEWAY_TIMEOUT]);
        also(
            self.body.is_some(),
            &[StatusCode::REQUEST_TIMEOUT, StatusCode::PAYLOAD_TOO_LARGE, StatusCode::UNSUPPORTED_MEDIA_TYPE],
        );
        also(self.stream.is_some(), &[StatusCode::PAYLOAD_TOO_LARGE, StatusCode::UNSUPPORTED_MEDIA_TYPE]);
        also(self.body.is_some() || !read, &[StatusCode::UNPROCESSABLE_ENTITY]);
        all.sort_unstable_by_key(StatusCode::as_u16);
        all.dedup();
        all
    }
}

/// A table of operations and what answers them.
pub(crate) struct Table {
    tag: &'static str,
    pub(crate) routes: Routes<ApiState>,
    pub(crate) operations: Vec<Arc<Operation>>,
}

impl Table {
    /// An empty table of operations that belong under this heading.
    pub(crate) fn new(tag: &'static str) -> Self {
        Self { tag, routes: Routes::new(), operations: Vec::new() }
    }

    /// Adds an operation and its handler, which is called when the caller was identified, the scope was found and the
    /// tenant-wide part of the authority, parameters and body were read.
    pub(crate) fn add<F, Fut>(mut self, operation: Operation, handler: F) -> Self
    where
        F: Fn(Call) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Reply, Refused>> + Send + 'static,
    {
        let operation = Arc::new(Operation { tag: self.tag, ..operation });
        let (method, path, id) = (operation.method.clone(), operation.path, operation.id);
        self.operations.push(Arc::clone(&operation));
        let answer = move |State(state): State<ApiState>, request: Request| {
            call::answer(state, Arc::clone(&operation), request, handler.clone())
        };
        let routes = self.routes;
        self.routes = match method {
            Method::POST => routes.post(path, Guard::Bearer, id, answer),
            Method::PUT => routes.put(path, Guard::Bearer, id, answer),
            Method::PATCH => routes.patch(path, Guard::Bearer, id, answer),
            Method::DELETE => routes.delete(path, Guard::Bearer, id, answer),
            _ => routes.get(path, Guard::Bearer, id, answer),
        };
        self
    }

    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.routes = self.routes.merge(other.routes);
        self.operations.extend(other.operations);
        self
    }
}

//! How a dialect is mounted: one table of operations, from which its routes, its OpenAPI document and the walk of the tests
//! are made, so that none of them can leave an operation out.

use axum::handler::Handler;
use http::Method;
use keyreeve_http::route::{Guard, RouteSpec, Routes, any_method};
use std::borrow::Cow;

/// The interface of another system.
#[derive(Debug)]
pub struct Dialect {
    /// Its name in settings, metrics and documents: lower-case letters.
    pub name: &'static str,
    /// The system whose interface it is.
    pub title: &'static str,
    /// The version of the interface.
    pub version: &'static str,
    /// What its paths begin with on the listener that all doors share: `/auth2`. Without one, its paths are unlike all others
    /// from their first segment on.
    pub prefix: &'static str,
    /// How callers authenticate, for its document.
    pub schemes: &'static [Scheme],
    /// Its operations.
    pub operations: &'static [Operation],
}

/// A way to authenticate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// HTTP Basic (RFC 7617).
    Basic,
    /// A bearer token (RFC 6750).
    Bearer,
    /// A cookie of this name.
    Cookie(&'static str),
    /// A header of this name.
    Header(&'static str),
}

/// One operation of a dialect.
#[derive(Debug)]
pub struct Operation {
    /// Its name in metrics and tests, with the dialect's before it: `imqs_login`.
    pub name: &'static str,
    /// By which method it is called.
    pub verb: Verb,
    /// Its path below the prefix; parameters in braces.
    pub path: &'static str,
    /// What a caller must show, in the words that all doors share.
    pub guard: Guard,
    /// The same in the dialect's own words.
    pub level: &'static str,
    /// What it is for.
    pub summary: &'static str,
    /// What it takes.
    pub inputs: &'static [Input],
    /// What it answers: status, and when.
    pub answers: &'static [(u16, &'static str)],
}

/// The method of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// GET.
    Get,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
    /// Every method.
    Any,
}

impl Verb {
    /// The method, or what stands in tables for every one.
    #[must_use]
    pub fn method(self) -> Method {
        match self {
            Self::Get => Method::GET,
            Self::Post => Method::POST,
            Self::Put => Method::PUT,
            Self::Patch => Method::PATCH,
            Self::Delete => Method::DELETE,
            Self::Any => any_method(),
        }
    }

    /// Its word.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Any => "ANY",
        }
    }
}

/// What an operation takes.
#[derive(Debug, Clone, Copy)]
pub struct Input {
    /// Its name.
    pub name: &'static str,
    /// Where it stands.
    pub place: InputPlace,
    /// Whether nothing is done without it.
    pub required: bool,
    /// What it means.
    pub what: &'static str,
}

/// Where an input stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputPlace {
    /// In the query.
    Query,
    /// In the path.
    Path,
    /// In a header of its name.
    Header,
    /// In a form body.
    Form,
    /// In a JSON body.
    Json,
}

impl Input {
    /// A parameter of the query.
    #[must_use]
    pub const fn query(name: &'static str, required: bool, what: &'static str) -> Self {
        Self { name, place: InputPlace::Query, required, what }
    }

    /// A header.
    #[must_use]
    pub const fn header(name: &'static str, required: bool, what: &'static str) -> Self {
        Self { name, place: InputPlace::Header, required, what }
    }

    /// A field of a form.
    #[must_use]
    pub const fn form(name: &'static str, required: bool, what: &'static str) -> Self {
        Self { name, place: InputPlace::Form, required, what }
    }

    /// A member of a JSON body.
    #[must_use]
    pub const fn json(name: &'static str, required: bool, what: &'static str) -> Self {
        Self { name, place: InputPlace::Json, required, what }
    }
}

/// On which listener routes are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    /// On the one of all doors, below the dialect's prefix.
    Prefix,
    /// On one of its own, without it.
    Root,
}

/// The routes of a dialect in the making.
#[derive(Debug)]
pub struct Mount<S> {
    dialect: &'static Dialect,
    at: Where,
    routes: Routes<S>,
}

impl<S: Clone + Send + Sync + 'static> Mount<S> {
    /// A dialect without routes.
    #[must_use]
    pub fn new(dialect: &'static Dialect, at: Where) -> Self {
        Self { dialect, at, routes: Routes::new() }
    }

    /// Has an operation answered by `handler`.
    #[must_use]
    pub fn serve<H, T>(self, operation: &'static Operation, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        let (verb, path) = (operation.verb, operation.path);
        self.also(verb, path, (operation.guard, operation.name), handler)
    }

    /// Has a further method or path answered by `handler`: an older name of an operation, a wrong method
    /// ([`Verb::Any`] takes what no other route of the path does), an unknown path (`/{*rest}`).
    #[must_use]
    pub fn also<H, T>(
        mut self,
        verb: Verb,
        path: &str,
        (guard, name): (Guard, &'static str),
        handler: H,
    ) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        let prefix = match self.at {
            Where::Prefix => self.dialect.prefix,
            Where::Root => "",
        };
        let path = Cow::Owned(format!("{prefix}{path}"));
        let spec = RouteSpec { method: verb.method(), path, guard, name };
        self.routes = self.routes.add(spec, handler);
        self
    }

    /// The routes, with their state filled in.
    ///
    /// # Panics
    /// When an operation of the table is not served: the dialect is wrong, and the server must not start.
    #[must_use]
    #[allow(
        clippy::panic,
        reason = "a mistake in a table that is fixed when compiling; every test that starts a server finds it"
    )]
    pub fn finish(self, state: S) -> Routes {
        for operation in self.dialect.operations {
            let served = self.routes.specs().iter().any(|spec| spec.name == operation.name);
            assert!(served, "nothing serves {}", operation.name);
        }
        self.routes.with_state(state)
    }
}

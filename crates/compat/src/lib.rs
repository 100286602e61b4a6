//! Dialects: the REST interfaces of other systems, so that applications written for those talk to Keyreeve unchanged.
//!
//! | module | what |
//! |---|---|
//! | [`mount`] | how a dialect is mounted: its table of operations, its routes, where they are served |
//! | [`openapi`] | the OpenAPI document that each table yields |
//! | [`imqs`] | IMQS Auth, below `/auth2` |
//! | [`insight`] | the authentication of Xpress Insight, below `/insightservices` |
//!
//! What a dialect is: a projection. Users, groups, passwords, sessions and the ways in are the rooms'; wire identifiers, texts,
//! statuses, error shapes and whatever else only the original has live in the dialect's module and its side tables. What it is
//! not: a room. No rule that another door should keep stands here, no room learns that a dialect exists, and no dialect
//! imports another.
//!
//! # To add a dialect
//! 1. A module `NAME/`, with a [`mount::Dialect`]: its name, its prefix, and a [`mount::Operation`] for each operation
//!    (method, path below the prefix, guard and level, inputs, answers). From that table come the routes, the OpenAPI document
//!    and the walk of the tests.
//! 2. Handlers over a state of its own, put in place by [`mount::Mount::serve`]; every operation must be served, which
//!    [`mount::Mount::finish`] holds. Handlers parse, call a room, render; they ask admission for whoever comes in
//!    ([`keyreeve_identity::Admission`]: `prove_password`, `weigh`, `open`, `in_session`).
//! 3. Side tables in `NAME/schema.rs`: migrations `compat_NAME/0001_…` and statements; both are listed in [`migrations`] and
//!    [`STATEMENTS`].
//! 4. A field in [`Settings`] and in [`Compat`], a line in each of its functions; settings `compat_NAME_…` in the binary's
//!    configuration, where `[compat.NAME]` is the table of them.
//! 5. The cases of each operation in `acceptance/tests/main/compat`, a row for each in `docs/compatibility.md`; both are held
//!    against the table.

pub mod imqs;
pub mod insight;
pub mod mount;
pub mod openapi;

use keyreeve_base::World;
use keyreeve_fetch::Fetcher;
use keyreeve_http::route::Routes;
use keyreeve_identity::Identity;
use keyreeve_mail::Mailer;
use keyreeve_store::{Migration, Statement, Store};
use mount::Dialect;
use std::net::SocketAddr;

/// Every dialect that there is, switched on or not.
pub const DIALECTS: &[&Dialect] = &[&imqs::DIALECT, &insight::DIALECT];

/// The side tables of every dialect. They are there whether or not a dialect is switched on.
#[must_use]
pub fn migrations() -> Vec<Migration> {
    [imqs::MIGRATIONS, insight::MIGRATIONS].concat()
}

/// Every statement of every dialect, for the test that prepares them all on both engines.
pub static STATEMENTS: &[&[&Statement]] = &[imqs::STATEMENTS, insight::STATEMENTS];

/// What the dialects stand on.
#[derive(Clone)]
pub struct Ground {
    /// The database, for side tables.
    pub store: Store,
    /// Time and randomness.
    pub world: World,
    /// The room of identities.
    pub identity: Identity,
    /// Hands mail over; none where no way to send it is set.
    pub mailer: Option<Mailer>,
    /// Requests that leave the server.
    pub fetcher: Fetcher,
    /// Where people reach the server, without a slash at its end; what links are made from.
    pub public_url: String,
}

/// How each dialect is set up; none where it is switched off.
#[derive(Default)]
pub struct Settings {
    /// IMQS Auth.
    pub imqs: Option<(Place, imqs::Options)>,
    /// Xpress Insight.
    pub insight: Option<(Place, insight::Options)>,
}

/// Where a dialect is served, and for whom.
#[derive(Debug, Clone)]
pub struct Place {
    /// The slug of the tenant that it speaks for.
    pub tenant: String,
    /// An address of its own, where it is served without its prefix.
    pub listen: Option<SocketAddr>,
}

/// The dialects that are switched on. Cheap to clone.
#[derive(Clone, Default)]
pub struct Compat {
    imqs: Option<(Option<SocketAddr>, imqs::Imqs)>,
    insight: Option<(Option<SocketAddr>, insight::Insight)>,
}

impl Compat {
    /// The dialects over these rooms.
    #[must_use]
    pub fn new(ground: &Ground, settings: Settings) -> Self {
        let imqs = settings
            .imqs
            .map(|(place, options)| (place.listen, imqs::Imqs::new(ground.clone(), place.tenant, options)));
        let insight = settings.insight.map(|(place, options)| {
            (place.listen, insight::Insight::new(ground.clone(), place.tenant, options))
        });
        Self { imqs, insight }
    }

    /// The routes of all of them, each below its prefix, for the listener that they share with the other doors.
    #[must_use]
    pub fn routes(&self) -> Routes {
        let imqs = self.imqs.iter().map(|(_, imqs)| imqs.routes(mount::Where::Prefix));
        let insight = self.insight.iter().map(|(_, insight)| insight.routes(mount::Where::Prefix));
        imqs.chain(insight).fold(Routes::new(), Routes::merge)
    }

    /// The listeners of dialects that have one of their own: dialect, address, and the routes without prefix.
    #[must_use]
    pub fn listeners(&self) -> Vec<(&'static Dialect, SocketAddr, Routes)> {
        let imqs = self.imqs.iter().filter_map(|(listen, imqs)| {
            listen.map(|address| (&imqs::DIALECT, address, imqs.routes(mount::Where::Root)))
        });
        let insight = self.insight.iter().filter_map(|(listen, insight)| {
            listen.map(|address| (&insight::DIALECT, address, insight.routes(mount::Where::Root)))
        });
        imqs.chain(insight).collect()
    }

    /// One round of what dialects send later; whether there is more to do at once.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn deliver(&self) -> Result<bool, keyreeve_store::Error> {
        match &self.imqs {
            Some((_, imqs)) => imqs.deliver().await,
            None => Ok(false),
        }
    }

    /// Whether any dialect is switched on.
    #[must_use]
    pub const fn is_some(&self) -> bool {
        self.imqs.is_some() || self.insight.is_some()
    }

    /// Xpress Insight, where it is switched on.
    #[must_use]
    pub fn insight(&self) -> Option<&insight::Insight> {
        self.insight.as_ref().map(|(_, insight)| insight)
    }

    /// IMQS Auth, where it is switched on.
    #[must_use]
    pub fn imqs(&self) -> Option<&imqs::Imqs> {
        self.imqs.as_ref().map(|(_, imqs)| imqs)
    }
}

//! Searching users, groups, roles and service accounts: filter, order, pages.
//!
//! A door reads a filter ([`keyreeve_filter::parse`]), says which field each of its names means, and asks:
//!
//! ```no_run
//! # async fn example(identity: &keyreeve_identity::Identity, authority: &keyreeve_identity::Authority) -> Result<(), Box<dyn std::error::Error>> {
//! use keyreeve_identity::search::{Search, UserField};
//!
//! let filter = keyreeve_filter::parse(r#"userName sw "a""#)?.resolve(&mut |path| {
//!     if path.is("userName") { Ok(UserField::Username) } else { Err(format!("there is no attribute {path}")) }
//! })?;
//! let found = identity.users().search(authority, Search { filter: Some(filter), ..Search::default() }).await?;
//! # let _ = found; Ok(()) }
//! ```
//!
//! What a filter means is what [`keyreeve_filter::Filter::matches`] says (tests hold one against the other), with these
//! particulars. Descriptions, locales and phone numbers mind the case of letters beyond ASCII. The values of attributes
//! that are longer than 252 bytes in folded form are found by `eq` and by `sw`, not by `co` and `ew`.
//!
//! What it costs. An index serves the order by `id`, `username`, `email`, `family_name`, `display_name` and `created_at`,
//! from wherever a cursor points; `eq`, `sw` and order (`gt`, …) on the same fields; `eq` on an attribute, a group, a
//! role. These cost the same in a tenant of a thousand users and of a million, and run on the thread that asks. The rest
//! (`co`, `ew`, `ne`, `not`, what combines an index with another condition) is tested row by row, 50,000 rows for each page
//! at most: a page may hold fewer matches than it could, or none, and still have a next one. Counts, far offsets and other
//! orders read all of the tenant's users. What is not short runs through [`keyreeve_store::Store::scan`], beside the
//! request threads and with a bounded number at a time.
//!
//! How to add a field: a variant in `users.rs` (`groups.rs`, …), its column there, and a line in the referee of
//! `tests/search.rs`. Statements are put together from fixed fragments; whatever came from outside is a parameter.

mod agree;
mod compose;
mod cursor;
mod edges;
mod groups;
mod plan;
mod roles;
mod run;
mod services;
mod test;
mod users;

pub use cursor::Cursor;
pub use groups::GroupField;
pub use roles::RoleField;
pub use services::ServiceField;
pub use users::UserField;

pub(crate) use agree::duplicates_statement;
pub(crate) use run::Totals;

use keyreeve_filter::Filter;

/// The most that one page holds.
pub const MAX_PAGE: u16 = 500;

/// How far into a result a page can be asked for by its offset; beyond, there are cursors.
pub const MAX_OFFSET: u32 = 100_000;

/// Which way an order goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// From the least; what has no value comes last.
    #[default]
    Ascending,
    /// From the greatest; what has no value comes first.
    Descending,
}

/// Where a page begins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Start {
    /// At the first match.
    #[default]
    First,
    /// Behind the page whose [`Found::next`] this was.
    After(Cursor),
    /// After so many matches, at most [`MAX_OFFSET`].
    Offset(u32),
}

/// What is searched for, by fields of the kind `F`.
#[derive(Debug, Clone, PartialEq)]
pub struct Search<F> {
    /// What matches; everything, without one.
    pub filter: Option<Filter<F>>,
    /// The order. Without one, that of the index by which the filter is answered, else that of the identifiers, which is
    /// that of their making.
    pub sort: Option<(F, Direction)>,
    /// Where the page begins.
    pub page: Start,
    /// How many the page holds, from 1 to [`MAX_PAGE`]; what lies outside is taken for the nearer of the two.
    pub limit: u16,
    /// Whether to say how many match altogether.
    pub count: bool,
    /// Whether archived users are found as well; only for whoever administers the tenant.
    pub include_archived: bool,
}

impl<F> Default for Search<F> {
    fn default() -> Self {
        Self {
            filter: None,
            sort: None,
            page: Start::First,
            limit: 100,
            count: false,
            include_archived: false,
        }
    }
}

/// A page of what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<T> {
    /// The matches, in order.
    pub items: Vec<T>,
    /// Where the next page begins; none after the last. There may be one although this page is not full.
    pub next: Option<Cursor>,
    /// How many match altogether, if that was asked for. Of all users of a tenant, exact up to 10,000; beyond, as it was
    /// half a minute ago at most.
    pub total: Option<u64>,
}

//! What tables look like to a search, and the text and parameters of a statement as they grow.

use crate::Error;
use keyreeve_store::{Param, ToParam, Value};
use uuid::Uuid;

pub(super) use crate::users::keys::MISSING;

/// The table of one kind of thing. In all fragments its row is `r`, in fragments that stand alone `x`; `$1` is the tenant.
pub(super) struct Table {
    pub(super) name: &'static str,
    /// What is selected of `r`.
    pub(super) columns: &'static str,
    /// How many columns that is.
    pub(super) width: usize,
    /// The column that is set once a row is archived, where the table has one.
    pub(super) archived: Option<&'static str>,
    /// The identifiers that somebody sees who administers groups only: a SELECT from `reach`, the groups in question,
    /// where `{me}` is the one who asks. Without it, such a one sees nothing.
    pub(super) visible: Option<&'static str>,
}

/// Whether an index answers a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Index {
    None,
    Many,
    /// At most one row has a value.
    Unique,
}

/// A table that ties identifiers of `r` to something: `x.id = r.id` where `x.key` is what is asked for.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) table: &'static str,
    pub(super) id: &'static str,
    pub(super) key: &'static str,
}

/// How a field is stored.
pub(super) enum Column<'a> {
    /// The identifier.
    Id,
    /// A folded text, or [`MISSING`].
    Key(&'static str, Index),
    /// A text as it was given, or none.
    Plain(&'static str),
    /// A truth value.
    Flag(&'static str),
    /// A moment.
    Time(&'static str, Index),
    /// An identifier of something else, or none.
    Reference(&'static str),
    /// Identifiers of something else, in tables of their own.
    Linked(&'static [Link]),
    /// The values of the attribute of this name, in a table of their own.
    Attribute(&'static Link, &'a str),
}

/// A field that can be searched by.
pub(crate) trait Field: Send + Sync + 'static {
    /// Where it is stored.
    fn column(&self) -> Column<'_>;
    /// What it is called in error messages.
    fn label(&self) -> &'static str;
    /// Its number in cursors: never another's, whatever is added.
    fn tag(&self) -> u8;
    /// Its kind's table.
    fn table() -> &'static Table;
}

/// A parameter that a statement keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Bound {
    Text(String),
    Int(i64),
    Uuid(Uuid),
    Flag(bool),
}

impl ToParam for Bound {
    fn to_param(&self) -> Param<'_> {
        match self {
            Self::Text(text) => Value::Text(text),
            Self::Int(number) => Value::Int(*number),
            Self::Uuid(uuid) => Value::Uuid(*uuid),
            Self::Flag(flag) => Value::Bool(*flag),
        }
    }
}

/// The parameters of a statement that is being put together.
#[derive(Clone)]
pub(super) struct Params(Vec<Bound>);

impl Params {
    /// Those of a statement whose `$1` is the tenant.
    pub(super) fn of(tenant: keyreeve_base::TenantId) -> Self {
        Self(vec![Bound::Uuid(tenant.uuid())])
    }

    /// Adds a parameter; answers the text by which the statement names it.
    pub(super) fn bind(&mut self, value: Bound) -> String {
        self.0.push(value);
        format!("${}", self.0.len())
    }

    pub(super) fn text(&mut self, text: impl Into<String>) -> String {
        self.bind(Bound::Text(text.into()))
    }

    pub(super) fn done(self) -> Vec<Bound> {
        self.0
    }
}

/// The error of a filter that cannot be answered.
pub(super) fn unfit(problem: impl Into<String>) -> Error {
    Error::invalid("filter", problem)
}

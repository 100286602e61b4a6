//! The filter language of lists and searches: that of SCIM (RFC 7644 section 3.4.2.2), for every door that has one.
//!
//! ```
//! use keyreeve_filter::{Filter, Path, parse};
//!
//! let filter = parse(r#"userName sw "a" and not (emails[type eq "work" and value ew ".org"] or title pr)"#).unwrap();
//! assert!(filter.matches_json(&serde_json::json!({"userName": "ada", "emails": []})));
//!
//! // A door says what its names mean, and refuses those that mean nothing.
//! let columns: Filter<&str> = parse("username pr").unwrap().resolve(&mut |path: &Path| {
//!     if path.is("userName") { Ok("username") } else { Err(format!("there is no attribute {path}")) }
//! }).unwrap();
//! assert_eq!(columns, Filter::Present("username"));
//!
//! let error = parse("userName eq ada").unwrap_err();
//! assert_eq!((error.at, error.message.as_str()), (12, "a value is expected: a text in double quotes, a number, true, false or null"));
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`Filter`] | a filter over attributes of any kind `P`: as parsed, [`Path`]s; resolved, whatever a room searches by |
//! | [`parse`] | text to `Filter<Path>`; bounded in bytes, depth and terms (ABUSE-CASES AC-47) |
//! | [`PatchPath`] | what an operation of SCIM's PATCH applies to (RFC 7644 section 3.5.2) |
//! | evaluation | [`Filter::matches`] and [`Filter::matches_json`]: what a filter means, in the plainest way |
//!
//! What a filter means. Texts are compared in every spelling (NFKC and case folding); moments written as in RFC 3339 are
//! compared as moments. An attribute that is absent, null or an empty list has no value: it is `eq null`, `ne` everything
//! else, and nothing besides. An attribute of several values meets a comparison if one of them does; `ne` is the
//! opposite of `eq`.
//!
//! What it is not: it knows no attribute, no schema and no database. How to add to it: an operator is a variant of
//! [`Op`], with its meaning in `evaluate.rs`; the compiler names every place that must know it.

mod evaluate;
mod parse;
mod patch;
mod path;
mod print;

pub use parse::{MAX_BYTES, MAX_DEPTH, MAX_TERMS, parse};
pub use patch::PatchPath;
pub use path::Path;

/// Why a text is no filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at byte {at}: {message}")]
pub struct FilterError {
    /// Where it goes wrong: bytes from the beginning of the text.
    pub at: usize,
    /// What is wrong there.
    pub message: String,
}

/// How an attribute is compared with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// Is this value.
    Eq,
    /// Is not this value.
    Ne,
    /// Contains this text.
    Co,
    /// Starts with this text.
    Sw,
    /// Ends with this text.
    Ew,
    /// Is greater, or later.
    Gt,
    /// Is greater or the same.
    Ge,
    /// Is less, or earlier.
    Lt,
    /// Is less or the same.
    Le,
}

impl Op {
    /// Its word in the language.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Eq => "eq",
            Self::Ne => "ne",
            Self::Co => "co",
            Self::Sw => "sw",
            Self::Ew => "ew",
            Self::Gt => "gt",
            Self::Ge => "ge",
            Self::Lt => "lt",
            Self::Le => "le",
        }
    }
}

/// What an attribute is compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// True or false.
    Bool(bool),
    /// A number.
    Number(serde_json::Number),
    /// A text; moments and references are texts as well.
    Text(String),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// A filter over attributes that a `P` names.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter<P> {
    /// All of these; everything, if there are none.
    And(Vec<Filter<P>>),
    /// One of these at least; nothing, if there are none.
    Or(Vec<Filter<P>>),
    /// What this does not match.
    Not(Box<Filter<P>>),
    /// The attribute has a value.
    Present(P),
    /// The attribute compares so with the value. Substrings (`co`, `sw`, `ew`) compare with texts only; order (`gt`, …)
    /// with texts and numbers.
    Compare(P, Op, Value),
    /// One value of the attribute, which has parts, matches by itself: `emails[type eq "work" and primary eq true]`. As
    /// parsed, the filter inside names the parts alone; resolved, what [`Path::join`] makes of attribute and part.
    Within(P, Box<Filter<P>>),
}

impl<P> Filter<P> {
    /// Matches everything.
    #[must_use]
    pub const fn always() -> Self {
        Self::And(Vec::new())
    }

    /// Matches nothing.
    #[must_use]
    pub const fn never() -> Self {
        Self::Or(Vec::new())
    }

    /// The same filter with each leaf ([`Filter::Present`], [`Filter::Compare`], [`Filter::Within`]) replaced by what `leaf`
    /// answers for it: how a door gives its attributes the meaning that a room searches by, where one leaf may become
    /// several or a constant.
    ///
    /// # Errors
    /// The first of `leaf`.
    pub fn rewrite<Q, E>(
        &self,
        leaf: &mut impl FnMut(&Self) -> Result<Filter<Q>, E>,
    ) -> Result<Filter<Q>, E> {
        // As deep as the filter, which the parser bounds.
        Ok(match self {
            Self::And(parts) => Filter::And(rewrite_all(parts, leaf)?),
            Self::Or(parts) => Filter::Or(rewrite_all(parts, leaf)?),
            Self::Not(inner) => Filter::Not(Box::new(inner.rewrite(leaf)?)),
            Self::Present(_) | Self::Compare(..) | Self::Within(..) => leaf(self)?,
        })
    }
}

fn rewrite_all<P, Q, E>(
    parts: &[Filter<P>],
    leaf: &mut impl FnMut(&Filter<P>) -> Result<Filter<Q>, E>,
) -> Result<Vec<Filter<Q>>, E> {
    parts.iter().map(|part| part.rewrite(leaf)).collect()
}

impl Filter<Path> {
    /// The same filter over what `meaning` says that each path names. The parts inside a [`Filter::Within`] are asked for
    /// as [`Path::join`] names them: `emails.type`.
    ///
    /// # Errors
    /// The first of `meaning`.
    pub fn resolve<Q, E>(&self, meaning: &mut impl FnMut(&Path) -> Result<Q, E>) -> Result<Filter<Q>, E> {
        self.rewrite(&mut |leaf| match leaf {
            Self::Within(path, inner) => {
                let outer = meaning(path)?;
                let inner = inner.resolve_part(path, meaning)?;
                Ok(Filter::Within(outer, Box::new(inner)))
            }
            other => other.resolve_leaf(None, meaning),
        })
    }

    /// One level further down, where no [`Filter::Within`] is.
    fn resolve_part<Q, E>(
        &self,
        outer: &Path,
        meaning: &mut impl FnMut(&Path) -> Result<Q, E>,
    ) -> Result<Filter<Q>, E> {
        self.rewrite(&mut |leaf| leaf.resolve_leaf(Some(outer), meaning))
    }

    fn resolve_leaf<Q, E>(
        &self,
        outer: Option<&Path>,
        meaning: &mut impl FnMut(&Path) -> Result<Q, E>,
    ) -> Result<Filter<Q>, E> {
        let mut named = |path: &Path| match outer {
            Some(outer) => meaning(&outer.join(path)),
            None => meaning(path),
        };
        Ok(match self {
            Self::Present(path) => Filter::Present(named(path)?),
            Self::Compare(path, op, value) => Filter::Compare(named(path)?, *op, value.clone()),
            // Leaves only; the parser puts no value path into another.
            Self::And(_) | Self::Or(_) | Self::Not(_) | Self::Within(..) => Filter::never(),
        })
    }
}

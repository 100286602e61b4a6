//! Sharing: resources in a tree, permissions, grants, and the questions about them.

mod bulk;
mod grants;
mod permissions;
mod questions;
mod resources;
mod types;

use crate::operation::Table;
use crate::refused::Refused;
use keyreeve_sharing::{Error, Freshness};

/// Every operation of sharing.
pub(super) fn table() -> Table {
    [permissions::table(), resources::table(), grants::table(), questions::table(), bulk::table()]
        .into_iter()
        .fold(types::table(), Table::merge)
}

/// The freshness that a document or a query asks for.
fn freshness(at_least: Option<&str>) -> Result<Freshness, Error> {
    at_least.map_or(Ok(Freshness::Bounded), |text| text.parse().map(Freshness::AtLeast))
}

/// A refusal of what a document names: the member that names what there is not is pointed at.
fn named(error: Error) -> Refused {
    let member = match error {
        Error::NotFound("resource type") => "/type",
        Error::NotFound("resource") => "/resource",
        Error::NotFound("permission") => "/permission",
        Error::NotFound("subject") => "/subject",
        Error::NotFound("owner") => "/owner",
        Error::NotFound("parent") => "/parent",
        _ => return error.into(),
    };
    Refused::from(error).at(member, "names what there is not")
}

/// A part of a path that holds any text.
fn encoded(text: &str) -> String {
    const PLAIN: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~').remove(b'.');
    percent_encoding::utf8_percent_encode(text, PLAIN).to_string()
}

#[cfg(test)]
mod tests {
    use super::encoded;

    #[test]
    fn any_text_is_one_part_of_a_path() {
        assert_eq!(encoded("a/b?c#d%e f"), "a%2Fb%3Fc%23d%25e%20f");
        assert_eq!(encoded("ä.txt"), "%C3%A4.txt");
    }
}

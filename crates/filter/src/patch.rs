//! Paths of SCIM's PATCH (RFC 7644 section 3.5.2).

use crate::parse::Reader;
use crate::{Filter, FilterError, Path};

/// What an operation applies to: `attr`, `attr.sub`, `attr[filter]` or `attr[filter].sub`.
///
/// The URN of a schema by itself (`urn:…:2.0:User`), which names an extension whole, reads as schema `urn:…:2.0` and
/// attribute `User`; print it to get the URN back.
#[derive(Debug, Clone, PartialEq)]
pub struct PatchPath {
    /// The attribute; never with a part of its own.
    pub attribute: Path,
    /// Which of its values, by their parts.
    pub filter: Option<Filter<Path>>,
    /// The part.
    pub sub: Option<String>,
}

impl PatchPath {
    /// Reads a path, within the bounds of a filter.
    ///
    /// # Errors
    /// [`FilterError`]: where the text goes wrong, and what is wrong there.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let mut reader = Reader::new(text)?;
        let mut attribute = reader.path()?;
        let mut sub = attribute.sub.take();
        let mut filter = None;
        if sub.is_none() && reader.take(b'[') {
            filter = Some(reader.inner(0)?);
            if reader.take(b'.') {
                sub = Some(reader.part()?);
            }
        }
        reader.end("the end of the path is expected")?;
        Ok(Self { attribute, filter, sub })
    }

    /// Attribute and part, without the filter.
    #[must_use]
    pub fn path(&self) -> Path {
        Path { sub: self.sub.clone(), ..self.attribute.clone() }
    }
}

impl std::fmt::Display for PatchPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.attribute)?;
        if let Some(filter) = &self.filter {
            write!(f, "[{filter}]")?;
        }
        match &self.sub {
            Some(sub) => write!(f, ".{sub}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_path_is_read() {
        let read = |text: &str| PatchPath::parse(text).unwrap();
        assert_eq!(read("userName").path(), Path::new("userName"));
        let name = read("name.familyName");
        assert_eq!((name.attribute.sub.as_deref(), name.sub.as_deref()), (None, Some("familyName")));
        let one = read(r#"members[value eq "2819c223" and type pr]"#);
        assert!(matches!(&one.filter, Some(Filter::And(parts)) if parts.len() == 2));
        assert_eq!(read(r#"addresses[type eq "work"].streetAddress"#).sub.as_deref(), Some("streetAddress"));
        let extended = read("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value");
        assert!(extended.attribute.is_of("URN:ietf:params:scim:schemas:extension:enterprise:2.0:user"));
        assert!(extended.path().is("Manager.VALUE"));
        let whole = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
        assert_eq!(read(whole).to_string(), whole);
        for text in ["a", "a.b", r#"a[b eq "\"]"]"#, "a[b pr].c", "urn:x:y:a[b pr or c pr].d"] {
            assert_eq!(read(text).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_path_is_refused_where_it_goes_wrong() {
        let at = |text: &str| PatchPath::parse(text).unwrap_err().at;
        for (text, place) in [
            ("", 0),
            (".a", 0),
            ("a.", 2),
            ("a.b.c", 2),
            ("a[", 2),
            ("a[b pr", 6),
            ("a[b pr]c", 7),
            ("a.b[c pr]", 3),
        ] {
            assert_eq!(at(text), place, "{text}");
        }
        assert_eq!(at("a[b pr].c.d"), 8);
    }
}

//! What a path of a filter, a sort, a PATCH or an `attributes` parameter names (RFC 7644 section 3.10).

use super::{Attribute, Resource, Schema};
use keyreeve_filter::{PatchPath, Path};

/// An attribute, by where it stands in a resource.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    /// The extension that it belongs to; none for the core schema and for common attributes.
    pub(crate) extension: Option<&'static Schema>,
    pub(crate) attribute: &'static Attribute,
    pub(crate) sub: Option<&'static Attribute>,
}

impl Target {
    /// The name, dotted where it names a part; without the schema.
    pub(crate) fn dotted(&self) -> String {
        match self.sub {
            Some(sub) => format!("{}.{}", self.attribute.name, sub.name),
            None => self.attribute.name.to_owned(),
        }
    }

    /// What holds the values that it names.
    pub(crate) fn leaf(&self) -> &'static Attribute {
        self.sub.unwrap_or(self.attribute)
    }
}

/// What a parameter names: a single attribute, or an extension as a whole.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Named {
    Extension(&'static Schema),
    Attribute(Target),
}

/// The attribute of this kind of resource that a path names.
///
/// # Errors
/// A sentence: there is no such attribute.
pub(crate) fn resolve(kind: Resource, path: &Path) -> Result<Target, String> {
    let unknown = || format!("{} has no attribute {path}", kind.name());
    let (extension, attribute) = match path.schema.as_deref() {
        None => (None, kind.attribute(&path.name)),
        Some(urn) if urn.eq_ignore_ascii_case(kind.core().id) => (None, kind.attribute(&path.name)),
        Some(urn) => {
            let schema = kind.extension(urn).ok_or_else(unknown)?;
            (Some(schema), schema.attribute(&path.name))
        }
    };
    let attribute = attribute.ok_or_else(unknown)?;
    let sub = match path.sub.as_deref() {
        None => None,
        Some(sub) => Some(attribute.sub(sub).ok_or_else(unknown)?),
    };
    Ok(Target { extension, attribute, sub })
}

/// The same for a text, which may also name an extension as a whole.
///
/// # Errors
/// A sentence: it is no name, or there is no such attribute.
pub(crate) fn resolve_text(kind: Resource, text: &str) -> Result<Named, String> {
    if let Some(schema) = kind.extension(text) {
        return Ok(Named::Extension(schema));
    }
    let path = PatchPath::parse(text).map_err(|error| error.to_string())?;
    if path.filter.is_some() {
        return Err("a filter cannot stand here".to_owned());
    }
    resolve(kind, &path.path()).map(Named::Attribute)
}

//! The names of attributes.

/// The name of an attribute, as it was written: `userName`, `name.familyName`,
/// `urn:ietf:params:scim:schemas:core:2.0:User:userName` (RFC 7644 section 3.10). Whoever gives it a meaning compares
/// without regard to case ([`Path::is`]).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Path {
    /// The URN of the schema, where one was written.
    pub schema: Option<String>,
    /// The attribute.
    pub name: String,
    /// The part of the attribute, where one was written.
    pub sub: Option<String>,
}

impl Path {
    /// The attribute `name`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { schema: None, name: name.to_owned(), sub: None }
    }

    /// Whether attribute and part, written with a dot between them, are these, whatever the case and the schema.
    #[must_use]
    pub fn is(&self, dotted: &str) -> bool {
        let (name, sub) = match dotted.split_once('.') {
            Some((name, sub)) => (name, Some(sub)),
            None => (dotted, None),
        };
        self.name.eq_ignore_ascii_case(name)
            && match (&self.sub, sub) {
                (None, None) => true,
                (Some(own), Some(sub)) => own.eq_ignore_ascii_case(sub),
                (None, Some(_)) | (Some(_), None) => false,
            }
    }

    /// Whether it is of this schema, whatever the case; one without a schema is of none.
    #[must_use]
    pub fn is_of(&self, schema: &str) -> bool {
        self.schema.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(schema))
    }

    /// The part of this attribute that `part` names.
    #[must_use]
    pub fn join(&self, part: &Self) -> Self {
        Self { schema: self.schema.clone(), name: self.name.clone(), sub: Some(part.name.clone()) }
    }

    /// A text of the characters that [`is_path_byte`] lets through; the error says what is wrong and how far into the text.
    pub(crate) fn read(text: &str) -> Result<Self, (usize, String)> {
        let (schema, rest) = match text.rsplit_once(':') {
            Some((schema, rest)) => (Some(schema), rest),
            None => (None, text),
        };
        if let Some(schema) = schema
            && !schema.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("urn:"))
        {
            return Err((0, "a name with colons must begin with urn:".to_owned()));
        }
        let at = text.len().saturating_sub(rest.len());
        let (name, sub) = match rest.split_once('.') {
            Some((name, sub)) => (name, Some(sub)),
            None => (rest, None),
        };
        if let Err(problem) = check_name(name) {
            return Err((at, problem));
        }
        if let Some(sub) = sub
            && let Err(problem) = check_name(sub)
        {
            return Err((at.saturating_add(name.len()).saturating_add(1), problem));
        }
        Ok(Self { schema: schema.map(str::to_owned), name: name.to_owned(), sub: sub.map(str::to_owned) })
    }
}

/// What a path, its schema's URN included, is written with (RFC 8141 section 2, RFC 7643 section 2.1).
pub(crate) const fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'_' | b'.' | b':' | b'$' | b'/' | b'%' | b'+' | b'~' | b'#')
}

/// RFC 7643 section 2.1, and `$ref`, which section 2.4 names against that rule.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let mut bytes = name.bytes();
    let begins = match bytes.next() {
        None => return Err("the name of an attribute is expected".to_owned()),
        Some(first) => first.is_ascii_alphabetic() || first == b'$',
    };
    if begins && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
        Ok(())
    } else {
        Err("the name of an attribute begins with a letter, and has letters, digits, - and _ only".to_owned())
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{schema}:")?;
        }
        f.write_str(&self.name)?;
        match &self.sub {
            Some(sub) => write!(f, ".{sub}"),
            None => Ok(()),
        }
    }
}

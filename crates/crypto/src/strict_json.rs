//! JSON objects as signatures need them: one meaning each. RFC 7515 section 4 and RFC 7519 section 4 let a reader refuse
//! repeated names; two readers that pick different ones of them is how checks are passed by (ABUSE-CASES AC-05).

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Members that one object may have.
const MAX_MEMBERS: usize = 256;

/// Whether `json` is one object (and nothing after it) in which no object at any depth names a member twice. Depth is
/// bounded by the parser at 128.
pub fn is_object_without_repetition(json: &[u8]) -> bool {
    let mut parser = serde_json::Deserializer::from_slice(json);
    json.trim_ascii_start().first() == Some(&b'{')
        && Walk.deserialize(&mut parser).is_ok()
        && parser.end().is_ok()
}

/// Whether a member is there at all, even as null. For members that are looked for only to be refused.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Present(pub(crate) bool);

impl<'de> serde::Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self(true))
    }
}

struct Walk;

impl<'de> DeserializeSeed<'de> for Walk {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without repeated names")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Walk)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut names: Vec<Cow<'de, str>> = Vec::new();
        while let Some(name) = members.next_key_seed(Name)? {
            if names.contains(&name) {
                return Err(A::Error::custom("repeated name"));
            }
            if names.len() == MAX_MEMBERS {
                return Err(A::Error::custom("too many members"));
            }
            names.push(name);
            members.next_value_seed(Walk)?;
        }
        Ok(())
    }
}

struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn repeated_names_are_found_at_every_depth_and_in_every_spelling() {
        for good in ["{}", r#" {"a":1,"b":[{"a":null},{"a":true}],"c":{"a":-1.5e3}} "#, r#"{"a":"a"}"#] {
            assert!(is_object_without_repetition(good.as_bytes()), "{good}");
        }
        let bad = [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"x":{"a":1,"b":2,"a":3}}"#,
            r#"{"x":[[{"a":1,"a":2}]]}"#,
            "[]",
            "1",
            "",
            "{}{}",
            "{} x",
            r#"{"a":1,}"#,
            "{\"a\":\"\u{1}\"}",
        ];
        for bad in bad {
            assert!(!is_object_without_repetition(bad.as_bytes()), "{bad}");
        }
        assert!(!is_object_without_repetition(b"{\"a\":\"\xff\"}"));
    }

    #[test]
    fn depth_and_width_are_bounded() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
        assert!(!is_object_without_repetition(deep.as_bytes()));
        let wide = |count: usize| {
            let members: Vec<String> = (0..count).map(|number| format!("\"{number}\":0")).collect();
            format!("{{{}}}", members.join(","))
        };
        assert!(is_object_without_repetition(wide(MAX_MEMBERS).as_bytes()));
        assert!(!is_object_without_repetition(wide(MAX_MEMBERS + 1).as_bytes()));
    }

    proptest! {
        #[test]
        fn what_passes_is_read_the_same_by_the_ordinary_parser(text in r#"[{}\[\]",:a0u\\ ]{0,24}"#) {
            if is_object_without_repetition(text.as_bytes()) {
                prop_assert!(serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text).is_ok());
            }
        }
    }
}

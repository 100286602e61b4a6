//! Reading one line.

use super::Record;
use keyreeve_identity::bulk::Problem;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::borrow::Cow;

/// Fields whose values no message repeats.
const SECRETS: [&str; 4] = ["/password_hash", "/totp", "/secret", "/secrets"];

/// The word that says what the line is.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Option<Cow<'a, str>>,
}

/// Reads a line.
///
/// # Errors
/// What is wrong with it and where.
pub fn read(line: &[u8]) -> Result<Record, Problem> {
    // serde would take a list for an object, too.
    if line.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::new("", "is no JSON object"));
    }
    let head: Head<'_> = serde_json::from_slice(line).map_err(|error| {
        let wrong_type = error.is_data();
        Problem::new(
            if wrong_type { "type" } else { "" },
            if wrong_type { "is no text, or stands twice".to_owned() } else { unparsed(&error) },
        )
    })?;
    match head.kind.as_deref() {
        Some("user") => typed(line).map(|record| Record::User(Box::new(record))),
        Some("group") => typed(line).map(Record::Group),
        Some("membership") => typed(line).map(Record::Membership),
        Some("role") => typed(line).map(Record::Role),
        Some("role_holder") => typed(line).map(Record::RoleHolder),
        Some("client") => typed(line).map(|record| Record::Client(Box::new(record))),
        Some(_) => {
            Err(Problem::new("type", "is none of user, group, membership, role, role_holder and client"))
        }
        None => Err(Problem::new("type", "is missing")),
    }
}

fn typed<T: DeserializeOwned>(line: &[u8]) -> Result<T, Problem> {
    // The path costs time, and is wanted only where something is wrong.
    serde_json::from_slice(line).or_else(|_| {
        let mut json = serde_json::Deserializer::from_slice(line);
        serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let pointer = pointer(error.path());
            let secret = SECRETS.iter().any(|field| pointer.starts_with(field));
            let detail = if secret { "is not of the right form".to_owned() } else { unparsed(error.inner()) };
            Problem { pointer, detail }
        })
    })
}

/// A JSON pointer to where serde was.
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path.iter() {
        let word = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => key.replace('~', "~0").replace('/', "~1"),
            Segment::Enum { .. } | Segment::Unknown => continue,
        };
        pointer.push('/');
        pointer.push_str(&word);
    }
    pointer
}

/// The parser's sentence without its line, which is always the first.
fn unparsed(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    format!("cannot be read: {text} (column {})", error.column())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn problem(line: &str) -> (String, String) {
        match read(line.as_bytes()) {
            Ok(_) => panic!("{line} can be read"),
            Err(Problem { pointer, detail }) => (pointer, detail),
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (line, pointer, detail) in [
            ("", "", "is no JSON object"),
            ("{", "", "EOF"),
            (r#"["user"]"#, "", "is no JSON object"),
            ("{}", "/type", "is missing"),
            (r#"{"type":"users"}"#, "/type", "is none of"),
            (r#"{"type":1}"#, "/type", "is no text"),
            (r#"{"type":"user","username":"a","username":"b"}"#, "", "duplicate field"),
            (r#"{"type":"user","username":1}"#, "/username", "expected a string"),
            (r#"{"type":"user","user_name":"a"}"#, "/user_name", "unknown field"),
            (r#"{"type":"user","attributes":{"a/b":["x",2]}}"#, "/attributes/a~1b/1", "expected a string"),
            (r#"{"type":"user","created_at":"yesterday"}"#, "/created_at", "RFC 3339"),
            (r#"{"type":"membership","group":"g","member":{"users":"a"}}"#, "/member", "unknown variant"),
            (r#"{"type":"membership","group":"g"}"#, "", "missing field `member`"),
        ] {
            let (at, text) = problem(line);
            assert!(at == pointer && text.contains(detail), "{line}: {at:?} {text:?}");
        }
    }

    #[test]
    fn no_message_repeats_a_secret() {
        for line in [
            r#"{"type":"user","password_hash":["planted-1"]}"#,
            r#"{"type":"user","totp":"planted-2"}"#,
            r#"{"type":"client","client_id":"a","settings":{"name":"a"},"secrets":"planted-3"}"#,
        ] {
            assert!(!problem(line).1.contains("planted"), "{line}");
        }
    }

    #[test]
    fn null_and_absent_differ() {
        use keyreeve_identity::Patch;
        let Ok(Record::User(user)) = read(br#"{"type":"user","username":"a","email":null}"#) else {
            panic!("a user")
        };
        assert_eq!((user.email, user.given_name), (Patch::Clear, Patch::Keep));
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&line);
        }
    }
}

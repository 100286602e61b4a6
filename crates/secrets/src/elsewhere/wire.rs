//! The documents of Vault's KV engine, version 2, as far as they are read and written.

use crate::{Facts, Version};
use bytes::Bytes;
use keyreeve_base::Timestamp;
use keyreeve_crypto::{Secret as SecretText, SecretBytes};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// How much of what a store says is shown, in characters.
const MAX_SAID: usize = 160;
/// By whom versions were made that this server knows from a store only.
const BY: &str = "store";

#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

#[derive(Deserialize)]
struct DataDoc {
    data: Option<Box<RawValue>>,
    metadata: MetaDoc,
}

#[derive(Deserialize)]
struct GoneDoc {
    metadata: MetaDoc,
}

#[derive(Deserialize)]
struct MetaDoc {
    created_time: String,
    #[serde(default)]
    deletion_time: String,
    #[serde(default)]
    destroyed: bool,
    #[serde(default)]
    version: i64,
}

#[derive(Deserialize)]
struct HistoryDoc {
    versions: BTreeMap<String, MetaDoc>,
}

#[derive(Deserialize)]
struct LoginDoc {
    auth: AuthDoc,
}

#[derive(Deserialize)]
struct AuthDoc {
    client_token: SecretText,
    #[serde(default)]
    lease_duration: u64,
}

#[derive(Deserialize)]
struct ErrorsDoc {
    #[serde(default)]
    errors: Vec<String>,
}

#[derive(Deserialize)]
struct MountDoc {
    #[serde(rename = "type")]
    kind: String,
    options: Option<OptionsDoc>,
}

#[derive(Deserialize)]
struct OptionsDoc {
    version: Option<String>,
}

impl MetaDoc {
    fn read(self, number: i64) -> Option<Version> {
        let deleted_at = match self.deletion_time.as_str() {
            "" => None,
            text => Some(text.parse::<Timestamp>().ok()?),
        };
        (number > 0).then_some(())?;
        Some(Version {
            number,
            created_at: self.created_time.parse().ok()?,
            created_by: BY.to_owned(),
            deleted_at,
            destroyed: self.destroyed,
            facts: Facts::default(),
        })
    }
}

/// A value and its version.
pub(super) fn value(body: &[u8]) -> Option<(SecretBytes, Version)> {
    let Envelope { data: DataDoc { data, metadata } } = serde_json::from_slice(body).ok()?;
    let number = metadata.version;
    let text = Box::<str>::from(data?).into_string();
    Some((SecretBytes::from(text.into_bytes()), metadata.read(number)?))
}

/// The version that was deleted or destroyed, of an answer that there is no value.
pub(super) fn gone(body: &[u8]) -> Option<Version> {
    let Envelope { data: GoneDoc { metadata } } = serde_json::from_slice(body).ok()?;
    let number = metadata.version;
    metadata.read(number)
}

/// The version that was written.
pub(super) fn version(body: &[u8]) -> Option<Version> {
    let Envelope { data: metadata } = serde_json::from_slice::<Envelope<MetaDoc>>(body).ok()?;
    let number = metadata.version;
    metadata.read(number)
}

/// All versions, newest first.
pub(super) fn versions(body: &[u8]) -> Option<Vec<Version>> {
    let Envelope { data: HistoryDoc { versions } } = serde_json::from_slice(body).ok()?;
    let read = versions.into_iter().map(|(number, metadata)| metadata.read(number.parse().ok()?));
    let mut versions = read.collect::<Option<Vec<_>>>()?;
    versions.sort_by_key(|version| std::cmp::Reverse(version.number));
    Some(versions)
}

/// A token, and for how many seconds it is good.
pub(super) fn login(body: &[u8]) -> Option<(SecretText, u64)> {
    let LoginDoc { auth } = serde_json::from_slice(body).ok()?;
    let text = auth.client_token.expose();
    let good = (1..=crate::MAX_CREDENTIAL_BYTES).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic());
    good.then_some((auth.client_token, auth.lease_duration))
}

/// Whether what is told of a mount is that it is a KV engine of version 2.
pub(super) fn is_kv2(body: &[u8]) -> bool {
    serde_json::from_slice::<Envelope<MountDoc>>(body).is_ok_and(|Envelope { data }| {
        data.kind == "kv" && data.options.and_then(|options| options.version).as_deref() == Some("2")
    })
}

/// Whether a write was refused because of the version that it named.
pub(super) fn is_check_and_set(body: &[u8]) -> bool {
    said(body).contains("check-and-set")
}

/// What a store says that went wrong: one line, short.
pub(super) fn said(body: &[u8]) -> String {
    let errors = serde_json::from_slice::<ErrorsDoc>(body).map(|doc| doc.errors).unwrap_or_default();
    let line: String =
        errors.join("; ").chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_SAID).collect();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Bytes that are wiped when the last who needs them is done.
struct Wiped(SecretBytes);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        self.0.expose()
    }
}

pub(super) fn wiped(bytes: Vec<u8>) -> Bytes {
    Bytes::from_owner(Wiped(SecretBytes::from(bytes)))
}

/// The document that writes a value, which is JSON already.
pub(super) fn writing(value: &SecretBytes, cas: Option<u64>) -> Bytes {
    let before = match cas {
        Some(cas) => format!("{{\"options\":{{\"cas\":{cas}}},\"data\":"),
        None => "{\"data\":".to_owned(),
    };
    let length = before.len().saturating_add(value.len()).saturating_add(1);
    let mut text = Vec::with_capacity(length);
    for part in [before.as_bytes(), value.expose(), b"}"] {
        text.extend_from_slice(part);
    }
    wiped(text)
}

/// The document of a login.
pub(super) fn logging_in(role_id: &str, secret_id: &SecretText) -> Bytes {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let (role, secret) = (quoted(role_id), SecretText::from(quoted(secret_id.expose())));
    let before = format!("{{\"role_id\":{role},\"secret_id\":");
    let length = before.len().saturating_add(secret.expose().len()).saturating_add(1);
    let mut text = Vec::with_capacity(length);
    for part in [before.as_bytes(), secret.expose().as_bytes(), b"}"] {
        text.extend_from_slice(part);
    }
    wiped(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const META: &str = r#"{"created_time":"2026-01-02T03:04:05.123456789Z","deletion_time":"","destroyed":false,"version":3,"custom_metadata":null}"#;

    #[test]
    fn values_come_as_they_were_written() {
        let body = format!(r#"{{"data":{{"data":{{"z":1.50,"a":[1, 2]}},"metadata":{META}}},"auth":null}}"#);
        let (read, version) = value(body.as_bytes()).unwrap();
        assert_eq!(read.expose(), br#"{"z":1.50,"a":[1, 2]}"#);
        assert_eq!((version.number, version.deleted_at), (3, None));
        assert!(gone(body.as_bytes()).is_some());
        for bad in ["", "[]", "{}", r#"{"data":null}"#, r#"{"data":{"data":null,"metadata":{}}}"#, "<html>"] {
            assert!(value(bad.as_bytes()).is_none() && version_of(bad).is_none(), "{bad}");
        }
        let none = format!(r#"{{"data":{{"data":null,"metadata":{META}}}}}"#);
        assert!(value(none.as_bytes()).is_none() && gone(none.as_bytes()).is_some());
        let nought = META.replace("\"version\":3", "\"version\":0");
        assert!(version_of(&format!(r#"{{"data":{nought}}}"#)).is_none());
    }

    fn version_of(body: &str) -> Option<Version> {
        version(body.as_bytes())
    }

    #[test]
    fn versions_are_newest_first() {
        let body = format!(r#"{{"data":{{"versions":{{"2":{META},"10":{META},"9":{META}}}}}}}"#);
        let numbers: Vec<i64> = versions(body.as_bytes()).unwrap().iter().map(|v| v.number).collect();
        assert_eq!(numbers, [10, 9, 2]);
        let odd = body.replace("\"10\"", "\"x\"");
        assert!(versions(odd.as_bytes()).is_none());
    }

    #[test]
    fn what_a_store_says_is_one_short_line() {
        let body = serde_json::json!({"errors": ["a\n\tb\u{1b}[31m", "x".repeat(1_000)]}).to_string();
        let line = said(body.as_bytes());
        assert!(line.starts_with("a b [31m; xxx") && line.chars().count() <= MAX_SAID, "{line}");
        assert_eq!(said(b"<html>"), "");
        assert_eq!(said(br#"{"errors":[1]}"#), "");
    }

    #[test]
    fn a_write_is_a_document() {
        let value = SecretBytes::from(br#"{"a":1}"#.to_vec());
        assert_eq!(&writing(&value, Some(4))[..], br#"{"options":{"cas":4},"data":{"a":1}}"#);
        assert_eq!(&writing(&value, None)[..], br#"{"data":{"a":1}}"#);
        let login = logging_in("r\"x", &SecretText::new("s\\"));
        assert_eq!(&login[..], br#"{"role_id":"r\"x","secret_id":"s\\"}"#);
    }

    #[test]
    fn a_token_is_taken_only_if_it_can_be_sent() {
        let body = |token: &str| {
            serde_json::json!({"auth": {"client_token": token, "lease_duration": 60}}).to_string()
        };
        assert_eq!(login(body("hvs.x").as_bytes()).unwrap().1, 60);
        for bad in ["", "a b", "a\r\nx: y", "é", &"x".repeat(4_097)] {
            assert!(login(body(bad).as_bytes()).is_none(), "{bad:?}");
        }
    }
}

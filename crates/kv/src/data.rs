//! Values.

use crate::answer::{self, Refused, metadata_of};
use crate::call::{At, Call, Sent};
use axum::response::Response;
use http::{StatusCode, header};
use keyreeve_crypto::Secret as SecretText;
use keyreeve_secrets::{Error, Fate, Kind, Opened, Secret, Version};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use zeroize::{Zeroize as _, Zeroizing};

/// How deep keys without values are shown at most.
const MAX_DEPTH: usize = 64;

/// What is said of a secret's labels where something is said of a version.
pub(crate) fn custom(secret: &Secret) -> Option<Value> {
    (!secret.labels.is_empty()).then(|| json!(secret.labels))
}

async fn opened(call: &Call, at: &At) -> Result<(Secret, Opened), Refused> {
    call.reads()?;
    let place = at.place()?;
    let secret = call.find(&place).await?;
    let number = call.number("version")?;
    let opened = call.kv().read(call.authority(), &place, number, call.cause()).await;
    match opened {
        Ok(opened) if opened.kind == Kind::KeyValue => Ok((secret, opened)),
        Ok(_) => Err(Refused::nothing()),
        Err(error) => Err(error.into()),
    }
}

pub(crate) async fn read(call: Call, at: At) -> Result<Response, Refused> {
    let (secret, opened) = opened(&call, &at).await?;
    // Written around the value, which is JSON already: it is parsed nowhere on its way out.
    let value = std::str::from_utf8(opened.value.expose())
        .map_err(|_| Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error"))?;
    let mark = "\u{1}value\u{1}";
    let mut body =
        answer::envelope(json!({"data": mark, "metadata": metadata_of(&opened.version, custom(&secret))}));
    call.sign(&mut body);
    let around = body.to_string();
    let marked = serde_json::to_string(mark).unwrap_or_default();
    let (before, after) = around.split_once(&marked).unwrap_or((&around, ""));
    let mut text = String::with_capacity(around.len().saturating_add(value.len()));
    for part in [before, value, after] {
        text.push_str(part);
    }
    Ok(answer::text(StatusCode::OK, text))
}

/// A value that is to be kept.
#[derive(Deserialize)]
pub(crate) struct Written {
    data: Option<Map<String, Value>>,
    #[serde(default)]
    options: Options,
}

#[derive(Default, Deserialize)]
struct Options {
    cas: Option<u32>,
}

impl Written {
    /// The value as text, and the version that it follows. What was parsed is wiped.
    fn into_parts(self) -> Result<(SecretText, Option<i64>), Refused> {
        let mut data = self.data.ok_or_else(|| Refused::bad("no data provided"))?;
        let text = serde_json::to_string(&data).map(SecretText::from);
        data.values_mut().for_each(wipe);
        let text = text.map_err(|_| Refused::bad("no data provided"))?;
        Ok((text, self.options.cas.map(i64::from)))
    }
}

/// Wipes the texts of a value that was secret.
fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The refusal of a write: where the version was not named, that is what is said.
fn of_write(error: Error, named: bool) -> Refused {
    match error {
        Error::CheckAndSet { .. } if !named => Refused::bad("check-and-set parameter required for this call"),
        error => error.into(),
    }
}

fn written(call: &Call, version: &Version, secret: &Secret) -> Response {
    call.ok(metadata_of(version, custom(secret)))
}

pub(crate) async fn write(call: Call, at: At, Sent(sent): Sent<Written>) -> Result<Response, Refused> {
    call.writes()?;
    let (place, (data, follows)) = (at.place()?, sent.into_parts()?);
    let done = call.kv().write(call.authority(), &place, (data, None), follows, call.cause()).await;
    let (secret, version) = done.map_err(|error| of_write(error, follows.is_some()))?;
    Ok(written(&call, &version, &secret))
}

pub(crate) async fn patch(call: Call, at: At, Sent(sent): Sent<Written>) -> Result<Response, Refused> {
    call.writes()?;
    merge_patch(&call)?;
    let (place, (data, follows)) = (at.place()?, sent.into_parts()?);
    let secret = call.find(&place).await?;
    let secrets = &call.state.secrets;
    let done = secrets.patch(call.authority(), secret.id, &data, follows, call.cause()).await;
    let version = done.map_err(|error| of_write(error, follows.is_some()))?;
    Ok(written(&call, &version, &secret))
}

/// # Errors
/// 415 unless a merge patch (RFC 7396) was sent.
pub(crate) fn merge_patch(call: &Call) -> Result<(), Refused> {
    let kind =
        call.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/merge-patch+json") {
        return Ok(());
    }
    let wanted = "PATCH requires Content-Type of application/merge-patch+json";
    Err(Refused::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, wanted))
}

pub(crate) async fn delete(call: Call, at: At) -> Result<Response, Refused> {
    call.writes()?;
    let place = at.place()?;
    let done = match call.find(&place).await {
        Ok(secret) => match call.state.secrets.newest(call.authority(), &secret).await? {
            0 => Ok(0),
            newest => {
                let kv = call.kv();
                kv.decide_on(call.authority(), &place, Fate::Delete, &[newest], call.cause())
                    .await
                    .map_err(Refused::from)
            }
        },
        Err(refused) => Err(refused),
    };
    crate::fate::settled(done)
}

/// The names in a value, without what they name.
pub(crate) async fn subkeys(call: Call, at: At) -> Result<Response, Refused> {
    let depth = call.number("depth")?.and_then(|depth| usize::try_from(depth).ok());
    let (secret, opened) = opened(&call, &at).await?;
    let text = Zeroizing::new(opened.value.expose().to_vec());
    let mut value: Value = serde_json::from_slice(&text).map_err(|error| Refused::internal(&error))?;
    let names = names_of(&value, depth.unwrap_or(MAX_DEPTH).min(MAX_DEPTH));
    wipe(&mut value);
    Ok(call.ok(json!({"metadata": metadata_of(&opened.version, custom(&secret)), "subkeys": names})))
}

fn names_of(value: &Value, depth: usize) -> Value {
    match value {
        Value::Object(members) if depth > 0 && !members.is_empty() => {
            let below = depth.saturating_sub(1);
            members.iter().map(|(name, value)| (name.clone(), names_of(value, below))).collect()
        }
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_as_deep_as_asked() {
        let value = json!({"a": {"b": {"c": 1}}, "d": [1, {"e": 2}], "f": "text", "g": {}});
        assert_eq!(names_of(&value, 64), json!({"a": {"b": {"c": null}}, "d": null, "f": null, "g": null}));
        assert_eq!(names_of(&value, 1), json!({"a": null, "d": null, "f": null, "g": null}));
    }

    #[test]
    fn values_are_wiped() {
        let mut value = json!({"a": ["secret", {"b": "secret"}]});
        wipe(&mut value);
        assert!(!value.to_string().contains("secret"));
    }
}

//! What is known of a secret without its value, and lists.

use crate::answer::{self, Refused};
use crate::call::{At, Call, Sent};
use crate::data::{custom, merge_patch};
use crate::duration;
use axum::response::Response;
use keyreeve_secrets::{DEFAULT_KEPT, Entry, MAX_PAGE, Secret, SecretPatch, Settings, Version};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// How many entries a list has at most: these clients know no pages.
const MAX_ENTRIES: usize = 10_000;
/// How many versions are shown at most.
const MAX_VERSIONS: u16 = MAX_PAGE;

pub(crate) async fn read(call: Call, at: At) -> Result<Response, Refused> {
    call.reads()?;
    if call.is_list() {
        return list(&call, &at.mount, at.path.trim_end_matches('/')).await;
    }
    let secret = call.find(&at.place()?).await?;
    let secrets = &call.state.secrets;
    let versions = secrets.versions(call.authority(), secret.id, (None, MAX_VERSIONS)).await?;
    Ok(call.ok(document(&secret, &versions)))
}

pub(crate) async fn list_mount(call: Call, at: At) -> Result<Response, Refused> {
    call.reads()?;
    if call.is_list() { list(&call, &at.mount, "").await } else { Err(Refused::nothing()) }
}

fn document(secret: &Secret, versions: &[Version]) -> Value {
    let shown: Map<String, Value> = versions
        .iter()
        .map(|version| {
            let told = json!({
                "created_time": version.created_at.to_string(),
                "deletion_time": version.deleted_at.map(|at| at.to_string()).unwrap_or_default(),
                "destroyed": version.destroyed,
            });
            (version.number.to_string(), told)
        })
        .collect();
    let settings = &secret.settings;
    let kept = if settings.keep_versions == DEFAULT_KEPT { 0 } else { settings.keep_versions };
    json!({
        "cas_required": settings.cas_required,
        "created_time": secret.created_at.to_string(),
        "current_version": versions.first().map_or(secret.current, |version| version.number),
        "custom_metadata": custom(secret).unwrap_or(Value::Null),
        "delete_version_after": duration::write(settings.version_seconds.unwrap_or(0)),
        "max_versions": kept,
        "oldest_version": versions.last().map_or(0, |version| version.number),
        "updated_time": secret.updated_at.to_string(),
        "versions": shown,
    })
}

async fn list(call: &Call, mount: &str, folder: &str) -> Result<Response, Refused> {
    let (mut keys, mut after): (Vec<String>, Option<Entry>) = (Vec::new(), None);
    loop {
        let page = call.kv().list(call.authority(), (mount, folder), (after.as_ref(), MAX_PAGE)).await?;
        keys.extend(page.0.iter().map(Entry::shown));
        match page.1 {
            Some(next) if keys.len() < MAX_ENTRIES => after = Some(next),
            Some(_) => return Err(Refused::bad(format!("there are more than {MAX_ENTRIES} entries here"))),
            None => break,
        }
    }
    keys.dedup();
    if keys.is_empty() { Err(Refused::nothing()) } else { Ok(call.ok(json!({"keys": keys}))) }
}

/// How a secret is to be kept: what is not said stays.
#[derive(Deserialize)]
pub(crate) struct Kept {
    max_versions: Option<u32>,
    cas_required: Option<bool>,
    delete_version_after: Option<Value>,
    custom_metadata: Option<Map<String, Value>>,
}

impl Kept {
    /// The settings after this; `null` in a patch is like absence, as it is there.
    fn settings(&self, before: Settings) -> Result<Settings, Refused> {
        let mut settings = before;
        if let Some(versions) = self.max_versions {
            settings.keep_versions = if versions == 0 { DEFAULT_KEPT } else { versions };
        }
        if let Some(required) = self.cas_required {
            settings.cas_required = required;
        }
        if let Some(after) = &self.delete_version_after {
            let seconds = match after {
                Value::String(text) => duration::read(text),
                Value::Number(number) => number.as_u64(),
                _ => None,
            };
            let seconds =
                seconds.ok_or_else(|| Refused::bad("delete_version_after is not a span of time"))?;
            settings.version_seconds = Some(seconds).filter(|seconds| *seconds > 0);
        }
        Ok(settings)
    }

    /// The labels after this: all of them, or a patch of what there was.
    fn labels(
        &self,
        before: Option<&BTreeMap<String, String>>,
    ) -> Result<Option<BTreeMap<String, String>>, Refused> {
        let Some(custom) = &self.custom_metadata else { return Ok(None) };
        let mut labels = before.cloned().unwrap_or_default();
        for (name, value) in custom {
            match value {
                Value::String(text) => drop(labels.insert(name.clone(), text.clone())),
                Value::Null if before.is_some() => drop(labels.remove(name)),
                _ => return Err(Refused::bad(format!("custom_metadata {name:?} is not a text"))),
            }
        }
        Ok(Some(labels))
    }
}

async fn keep(call: &Call, at: &At, kept: &Kept, patches: bool) -> Result<Response, Refused> {
    call.writes()?;
    let place = at.place()?;
    let before = match call.find(&place).await {
        Ok(secret) => Some(secret),
        Err(refused) if refused.is_nothing() && !patches => None,
        Err(refused) => return Err(refused),
    };
    let settings = before.as_ref().map(|secret| secret.settings.clone()).unwrap_or_default();
    let labels = before.as_ref().map(|secret| &secret.labels).filter(|_| patches);
    let patch = SecretPatch {
        settings: Some(kept.settings(settings)?),
        labels: kept.labels(labels)?,
        ..SecretPatch::default()
    };
    call.kv().describe(call.authority(), &place, patch, call.cause()).await?;
    Ok(answer::done())
}

pub(crate) async fn write(call: Call, at: At, Sent(kept): Sent<Kept>) -> Result<Response, Refused> {
    keep(&call, &at, &kept, false).await
}

pub(crate) async fn patch(call: Call, at: At, Sent(kept): Sent<Kept>) -> Result<Response, Refused> {
    merge_patch(&call)?;
    keep(&call, &at, &kept, true).await
}

/// Removes the secret with all its versions.
pub(crate) async fn delete(call: Call, at: At) -> Result<Response, Refused> {
    call.writes()?;
    let done = match call.find(&at.place()?).await {
        Ok(secret) => {
            let secrets = &call.state.secrets;
            let gone = secrets.delete(call.authority(), secret.id, None, call.cause()).await;
            gone.map(|()| 1).map_err(Refused::from)
        }
        Err(refused) => Err(refused),
    };
    crate::fate::settled(done)
}

/// How a mount keeps what nobody says otherwise of: that is fixed.
pub(crate) async fn config(call: Call, at: At) -> Result<Response, Refused> {
    call.reads()?;
    drop(at);
    Ok(call.ok(json!({"cas_required": false, "delete_version_after": "0s", "max_versions": 0})))
}

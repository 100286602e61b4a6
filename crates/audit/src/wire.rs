//! The shape in which entries leave the server: the same over HTTP, in exports, webhooks and streams.

use crate::event::Entry;
use crate::filter::Filter;
use keyreeve_base::id::AuditId;
use keyreeve_base::{TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A kind and an identifier: who did it, or what it was done to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// The kind.
    pub kind: String,
    /// The identifier, where there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub id: Option<String>,
}

/// An entry for readers outside. Absent fields are left out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PublicEntry {
    /// Its identifier.
    pub id: AuditId,
    /// The tenant in whose chain it stands.
    pub tenant_id: TenantId,
    /// Its place in the chain, counted from 1; absent for the moment until it has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seq: Option<i64>,
    /// When: RFC 3339 in UTC, with microseconds.
    pub at: String,
    /// Who did it.
    pub actor: Party,
    /// What was done: a dotted `noun.verb`.
    pub action: String,
    /// What it was done to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub target: Option<Party>,
    /// `success` or `refused`.
    pub outcome: String,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The caller's address.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub address: Option<String>,
    /// The caller's user agent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub user_agent: Option<String>,
    /// The request that did it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub request_id: Option<String>,
    /// What changed: an object.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<Box<RawValue>>,
    /// The hash of the entry before it, in hexadecimal; in exports.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub previous: Option<String>,
    /// Its own hash, in hexadecimal; in exports.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hash: Option<String>,
}

impl Entry {
    /// The entry as readers outside get it, without its hashes.
    #[must_use]
    pub fn public(&self) -> PublicEntry {
        // What is not JSON (nothing that is written is) leaves as a JSON text.
        let raw = |text: &String| {
            let quoted = || serde_json::value::to_raw_value(text);
            RawValue::from_string(text.clone()).or_else(|_| quoted()).ok()
        };
        PublicEntry {
            id: self.id,
            tenant_id: self.tenant_id,
            seq: self.seq,
            at: self.at.to_string(),
            actor: Party { kind: self.actor_kind.clone(), id: self.actor_id.clone() },
            action: self.action.clone(),
            target: self.target_kind.clone().map(|kind| Party { kind, id: self.target_id.clone() }),
            outcome: self.outcome.clone(),
            reason: self.reason.clone(),
            address: self.address.clone(),
            user_agent: self.user_agent.clone(),
            request_id: self.request_id.clone(),
            detail: self.detail.as_ref().and_then(raw),
            previous: None,
            hash: None,
        }
    }

    /// The same with its hashes, so that the chain can be checked from what was exported.
    #[must_use]
    pub fn public_with_chain(&self) -> PublicEntry {
        let hex = |bytes: &Option<Vec<u8>>| bytes.as_deref().map(hex);
        PublicEntry { previous: hex(&self.previous), hash: hex(&self.hash), ..self.public() }
    }
}

impl PublicEntry {
    /// The entry that was exported, or what is wrong with it.
    pub(crate) fn into_entry(self) -> Result<Entry, &'static str> {
        let at: jiff::Timestamp = self.at.parse().map_err(|_| "\"at\" is not a time")?;
        let bytes = |hex: Option<String>| match hex {
            None => Err("has no hashes: it is not from an export"),
            Some(hex) => unhex(&hex).ok_or("has a hash that is not hexadecimal"),
        };
        let (target_kind, target_id) = match self.target {
            Some(target) => (Some(target.kind), target.id),
            None => (None, None),
        };
        Ok(Entry {
            id: self.id,
            tenant_id: self.tenant_id,
            at: Timestamp::from_micros(at.as_microsecond()),
            actor_kind: self.actor.kind,
            actor_id: self.actor.id,
            action: self.action,
            target_kind,
            target_id,
            outcome: self.outcome,
            reason: self.reason,
            address: self.address,
            user_agent: self.user_agent,
            request_id: self.request_id,
            detail: self.detail.map(|raw| raw.get().to_owned()),
            seq: self.seq,
            previous: Some(bytes(self.previous)?),
            hash: Some(bytes(self.hash)?),
        })
    }
}

/// Entries as lines of JSON, with their hashes; only those that the filter means.
pub(crate) fn lines(entries: &[Entry], filter: &Filter) -> Vec<u8> {
    let mut lines = Vec::with_capacity(entries.len().saturating_mul(512));
    for entry in entries.iter().filter(|entry| filter.matches(entry)) {
        // Writing texts and numbers into memory does not fail.
        if serde_json::to_writer(&mut lines, &entry.public_with_chain()).is_ok() {
            lines.push(b'\n');
        }
    }
    lines
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len().saturating_mul(2)), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

//! What clients ask before they begin.

use crate::answer::{self, Refused};
use crate::call::{Arrival, Call};
use axum::extract::Path;
use axum::response::Response;
use serde_json::{Value, json};

/// The mount that is shown: clients look there unless they are told of another one.
const MOUNT: &str = "secret/";
/// What this door is like.
const VERSION: &str = concat!("1.15.0+keyreeve-", env!("CARGO_PKG_VERSION"));

pub(crate) async fn health(arrival: Arrival) -> Response {
    drop(arrival);
    answer::plain(&json!({
        "initialized": true,
        "sealed": false,
        "standby": false,
        "performance_standby": false,
        "replication_performance_mode": "disabled",
        "replication_dr_mode": "disabled",
        "version": VERSION,
        "cluster_name": "keyreeve",
    }))
}

pub(crate) async fn init(arrival: Arrival) -> Response {
    drop(arrival);
    answer::plain(&json!({"initialized": true}))
}

pub(crate) async fn seal_status(arrival: Arrival) -> Response {
    drop(arrival);
    answer::plain(&json!({
        "type": "shamir",
        "initialized": true,
        "sealed": false,
        "t": 1,
        "n": 1,
        "progress": 0,
        "nonce": "",
        "version": VERSION,
        "build_date": "",
        "migration": false,
        "cluster_name": "keyreeve",
        "recovery_seal": false,
        "storage_type": "keyreeve",
    }))
}

fn engine() -> Value {
    json!({
        "accessor": "kv_keyreeve",
        "config": {"default_lease_ttl": 0, "max_lease_ttl": 0, "force_no_cache": false},
        "description": "key/value secrets",
        "external_entropy_access": false,
        "local": false,
        "options": {"version": "2"},
        "seal_wrap": false,
        "type": "kv",
        "uuid": "",
    })
}

pub(crate) async fn mounts(call: Call) -> Result<Response, Refused> {
    call.reads()?;
    let mut body = answer::envelope(json!({MOUNT: engine()}));
    call.sign(&mut body);
    if let Some(body) = body.as_object_mut() {
        body.insert(MOUNT.to_owned(), engine());
    }
    Ok(answer::plain(&body))
}

pub(crate) async fn mounts_of_ui(call: Call) -> Result<Response, Refused> {
    call.reads()?;
    Ok(call.ok(json!({"auth": {}, "secret": {MOUNT: engine()}})))
}

/// Which engine a path belongs to: every first part is a mount of this one.
pub(crate) async fn mount(call: Call, Path(named): Path<Vec<(String, String)>>) -> Result<Response, Refused> {
    call.reads()?;
    let path =
        named.iter().find(|(name, _)| name == "path").map(|(_, path)| path.as_str()).unwrap_or_default();
    let first = path.split('/').next().unwrap_or_default();
    // Whatever cannot be a mount.
    keyreeve_secrets::Place::new(first, "x").map_err(|_| Refused::denied())?;
    let mut engine = engine();
    if let Some(engine) = engine.as_object_mut() {
        engine.insert("path".to_owned(), json!(format!("{first}/")));
    }
    Ok(call.ok(engine))
}

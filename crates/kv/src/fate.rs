//! Deleting versions, having them back, destroying them.

use crate::answer::{self, Refused};
use crate::call::{At, Call, Sent};
use axum::response::Response;
use keyreeve_secrets::Fate;
use serde::Deserialize;
use serde_json::Value;

/// Which versions.
#[derive(Deserialize)]
pub(crate) struct Named {
    #[serde(default)]
    versions: Vec<Value>,
}

impl Named {
    fn numbers(&self) -> Result<Vec<i64>, Refused> {
        if self.versions.is_empty() {
            return Err(Refused::bad("no version number provided"));
        }
        let number = |value: &Value| match value {
            Value::Number(number) => number.as_u64().and_then(|number| u32::try_from(number).ok()),
            Value::String(text) => text.parse::<u32>().ok(),
            _ => None,
        };
        let numbers = self.versions.iter().map(|value| number(value).map(i64::from));
        numbers.collect::<Option<_>>().ok_or_else(|| Refused::bad("versions are not whole numbers"))
    }
}

async fn decide(call: &Call, at: &At, named: &Named, fate: Fate) -> Result<Response, Refused> {
    call.writes()?;
    let (place, numbers) = (at.place()?, named.numbers()?);
    let done = match call.find(&place).await {
        Ok(_) => {
            let kv = call.kv();
            kv.decide_on(call.authority(), &place, fate, &numbers, call.cause()).await.map_err(Refused::from)
        }
        Err(refused) => Err(refused),
    };
    settled(done)
}

/// What is not there cannot be deleted, and that is no mistake here.
pub(crate) fn settled(done: Result<u64, Refused>) -> Result<Response, Refused> {
    match done {
        Err(refused) if !refused.is_nothing() => Err(refused),
        _ => Ok(answer::done()),
    }
}

pub(crate) async fn delete(call: Call, at: At, Sent(named): Sent<Named>) -> Result<Response, Refused> {
    decide(&call, &at, &named, Fate::Delete).await
}

pub(crate) async fn undelete(call: Call, at: At, Sent(named): Sent<Named>) -> Result<Response, Refused> {
    decide(&call, &at, &named, Fate::Undelete).await
}

pub(crate) async fn destroy(call: Call, at: At, Sent(named): Sent<Named>) -> Result<Response, Refused> {
    decide(&call, &at, &named, Fate::Destroy).await
}

//! Evaluations: one, or many in one request.

use super::documents::{DecisionDoc, EvaluationDoc, EvaluationsAnswerDoc, EvaluationsDoc, Semantic};
use crate::call::Call;
use crate::refused::{INVALID_BODY, Refused};
use crate::reply::Reply;
use keyreeve_sharing::{Check, Decision, Denial, Error, Freshness, MAX_CHECKS};
use serde_json::{Map, Value};

pub(super) async fn one(call: Call) -> Result<Reply, Refused> {
    let doc: EvaluationDoc = call.body()?;
    Reply::ok(&evaluate(&call, &doc).await??)
}

pub(super) async fn many(call: Call) -> Result<Reply, Refused> {
    let doc: EvaluationsDoc = call.body()?;
    if doc.evaluations.is_empty() {
        // Section 7.1: then it is a request of a single evaluation.
        let DecisionDoc { decision, context } = evaluate(&call, &call.body()?).await??;
        return Reply::ok(&EvaluationsAnswerDoc { evaluations: None, decision: Some(decision), context });
    }
    if doc.evaluations.len() > MAX_CHECKS {
        let problem = format!("are more than {MAX_CHECKS}");
        return Err(Refused::of(INVALID_BODY).at("/evaluations", problem));
    }
    let semantic = doc.options.evaluations_semantic;
    let mut decisions = evaluate_all(&call, &doc).await?;
    // All of them are of one moment; what comes behind the one that ends it is not told.
    let last = match semantic {
        Semantic::ExecuteAll => None,
        Semantic::DenyOnFirstDeny => decisions.iter().position(|decision| !decision.decision),
        Semantic::PermitOnFirstPermit => decisions.iter().position(|decision| decision.decision),
    };
    if let Some(last) = last {
        decisions.truncate(last.saturating_add(1));
    }
    Reply::ok(&EvaluationsAnswerDoc { evaluations: Some(decisions), decision: None, context: None })
}

/// What is asked for; a denial where it can be nothing of this server's.
fn check_of(doc: &EvaluationDoc) -> Result<Check, DecisionDoc> {
    let subject = doc.subject.party().ok_or(DecisionDoc::deny("not_granted"))?;
    Ok(Check { subject, resource: doc.resource.id.clone(), permission: doc.action.name.clone() })
}

/// One decision; an error of its own where the caller may not ask for it.
async fn evaluate(call: &Call, doc: &EvaluationDoc) -> Result<Result<DecisionDoc, Error>, Refused> {
    let check = match check_of(doc) {
        Ok(check) => check,
        Err(denied) => return Ok(Ok(denied)),
    };
    let questions = call.sharing().questions();
    match questions.check(call.authority(), &check, Freshness::Bounded).await {
        Ok(decision) => told(call, doc, decision).await.map(Ok),
        // A resource that the caller may know nothing of is one that nobody may access.
        Err(Error::NotFound(_)) => Ok(Ok(DecisionDoc::deny("not_granted"))),
        Err(error @ Error::Denied(_)) => Ok(Err(error)),
        Err(error) => Err(error.into()),
    }
}

/// The decision, which is a no where the resource is of another type than was said.
async fn told(call: &Call, doc: &EvaluationDoc, decision: Decision) -> Result<DecisionDoc, Refused> {
    let reason = match decision {
        Decision::Allowed => {
            let of = call.sharing().questions().type_of(call.authority(), &doc.resource.id).await?;
            if of.as_deref() == Some(doc.resource.of.as_str()) {
                return Ok(DecisionDoc::permit());
            }
            "not_granted"
        }
        Decision::Denied(Denial::NoResource) => "no_resource",
        Decision::Denied(Denial::NoPermission) => "no_permission",
        Decision::Denied(Denial::NoSubject) => "no_subject",
        Decision::Denied(Denial::NotGranted) => "not_granted",
    };
    Ok(DecisionDoc::deny(reason))
}

/// One of many, with what the top says where it says nothing; the member that is wrong where it cannot be read.
fn read(item: &Value, defaults: &EvaluationsDoc) -> Result<EvaluationDoc, DecisionDoc> {
    let Value::Object(item) = item else { return Err(DecisionDoc::fail(400, "an evaluation is an object")) };
    let mut whole = Map::new();
    for (name, default, fallback) in [
        ("subject", &defaults.subject, &["type", "id"][..]),
        ("action", &defaults.action, &["name"]),
        ("resource", &defaults.resource, &["type", "id"]),
        ("context", &defaults.context, &[]),
    ] {
        let value = match (item.get(name), default) {
            (Some(Value::Object(own)), Some(default)) => {
                // It stands for itself, but for what it cannot be without.
                let mut own = own.clone();
                for member in fallback.iter().filter(|member| default.contains_key(**member)) {
                    own.entry(*member).or_insert_with(|| default.get(*member).cloned().unwrap_or_default());
                }
                Value::Object(own)
            }
            (Some(own), _) => own.clone(),
            (None, Some(default)) => Value::Object(default.clone()),
            (None, None) => continue,
        };
        whole.insert(name.to_owned(), value);
    }
    serde_path_to_error::deserialize(Value::Object(whole)).map_err(|error| {
        let message: String = error.to_string().chars().filter(|c| !c.is_control()).take(200).collect();
        DecisionDoc::fail(400, message)
    })
}

async fn evaluate_all(call: &Call, defaults: &EvaluationsDoc) -> Result<Vec<DecisionDoc>, Refused> {
    let (mut docs, mut checks) = (Vec::new(), Vec::new());
    for item in &defaults.evaluations {
        let doc = read(item, defaults).and_then(|doc| check_of(&doc).map(|check| (doc, check)));
        docs.push(doc.map(|(doc, check)| {
            checks.push(check);
            doc
        }));
    }
    let questions = call.sharing().questions();
    let together = match questions.check_many(call.authority(), &checks, Freshness::Bounded).await {
        Ok(decisions) => Some(decisions),
        // The caller may not ask for one of them: each is answered by itself.
        Err(Error::Denied(_) | Error::NotFound(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let mut together = together.map(Vec::into_iter);
    let mut decisions = Vec::with_capacity(docs.len());
    for doc in docs {
        decisions.push(match (doc, &mut together) {
            (Err(denied), _) => denied,
            (Ok(doc), Some(found)) => match found.next() {
                Some(decision) => told(call, &doc, decision).await?,
                None => DecisionDoc::deny("not_granted"),
            },
            (Ok(doc), None) => {
                let alone = evaluate(call, &doc).await?;
                alone.unwrap_or_else(|error| DecisionDoc::fail(403, error.to_string()))
            }
        });
    }
    Ok(decisions)
}

//! The OpenID Authorization API 1.0 (AuthZEN): policy enforcement points ask here who may do what.
//!
//! | AuthZEN | sharing |
//! |---|---|
//! | subject `{type, id}` | `user`, `service_account` or `group`, and its identifier (the `sub` of tokens) |
//! | action `{name}` | a permission; `OWNER` for ownership |
//! | resource `{type, id}` | a resource of exactly this type |
//!
//! `properties` and `context` are read and decide nothing: what somebody may do is what was granted. Members that are not
//! known are passed over, as the specification asks for; whatever else cannot be read is answered by 400.

mod documents;
mod evaluate;
mod metadata;
mod search;

pub(crate) use metadata::{WELL_KNOWN, WELL_KNOWN_OF_TENANT, configuration};

use crate::operation::{Operation, Table};
use crate::policy::Asks;
use documents::{
    ActionSearchDoc, ActionsDoc, DecisionDoc, EvaluationDoc, EvaluationsAnswerDoc, EvaluationsDoc,
    ResourceSearchDoc, ResourcesDoc, SubjectSearchDoc, SubjectsDoc,
};
use keyreeve_tokens::scope::SHARING_READ;

const EVALUATION: &str = "/access/v1/evaluation";
const EVALUATIONS: &str = "/access/v1/evaluations";
const SEARCH_SUBJECT: &str = "/access/v1/search/subject";
const SEARCH_RESOURCE: &str = "/access/v1/search/resource";
const SEARCH_ACTION: &str = "/access/v1/search/action";

/// Every operation of AuthZEN.
pub(crate) fn table() -> Table {
    let asks = |path, id| Operation::post(path, id).needs(SHARING_READ, Asks::AskAbout).of_authzen();
    Table::new("AuthZEN")
        .add(
            asks(EVALUATION, "access_evaluation")
                .says("Evaluate an access", "Whether the subject may do this to the resource (AuthZEN section 6).")
                .takes::<EvaluationDoc>()
                .answers::<DecisionDoc>("The decision."),
            evaluate::one,
        )
        .add(
            asks(EVALUATIONS, "access_evaluations")
                .says(
                    "Evaluate many accesses",
                    "At most 1,000 (AuthZEN section 7). The members at the top are defaults for each of them; without `evaluations` \
                     they are the one evaluation.",
                )
                .takes::<EvaluationsDoc>()
                .answers::<EvaluationsAnswerDoc>("The decisions, in the order of the evaluations."),
            evaluate::many,
        )
        .add(
            asks(SEARCH_SUBJECT, "search_subjects")
                .says(
                    "Search the subjects of a type who may do this to a resource",
                    "AuthZEN section 8.4. Users and service accounts in groups are found themselves. A page may hold fewer than \
                     `limit` and still have a next one.",
                )
                .takes::<SubjectSearchDoc>()
                .answers::<SubjectsDoc>("A page of subjects."),
            search::subjects,
        )
        .add(
            asks(SEARCH_RESOURCE, "search_resources_of_subject")
                .says(
                    "Search the resources of a type to which a subject may do this",
                    "AuthZEN section 8.5. A page may hold fewer than `limit` and still have a next one.",
                )
                .takes::<ResourceSearchDoc>()
                .answers::<ResourcesDoc>("A page of resources."),
            search::resources,
        )
        .add(
            asks(SEARCH_ACTION, "search_actions")
                .says("Search what a subject may do to a resource", "AuthZEN section 8.6.")
                .takes::<ActionSearchDoc>()
                .answers::<ActionsDoc>("A page of actions."),
            search::actions,
        )
}

//! What is sent and answered, in the shapes of the specification.

use crate::resources::PartyKind;
use keyreeve_identity::Party;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Who asks for access (AuthZEN section 5.1).
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[schema(as = AuthzenSubject)]
pub(super) struct SubjectDoc {
    /// `user`, `service_account` or `group`; whoever is of another type may do nothing.
    #[serde(rename = "type")]
    pub(super) of: String,
    /// The identifier: the `sub` of tokens.
    pub(super) id: String,
    /// Read, and of no account.
    #[serde(default, rename = "properties")]
    _properties: Map<String, Value>,
}

/// What is accessed (AuthZEN section 5.2).
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[schema(as = AuthzenResource)]
pub(super) struct ResourceDoc {
    /// The type of the resource.
    #[serde(rename = "type")]
    pub(super) of: String,
    /// Its identifier.
    pub(super) id: String,
    /// Read, and of no account.
    #[serde(default, rename = "properties")]
    _properties: Map<String, Value>,
}

/// What is to be done (AuthZEN section 5.3).
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[schema(as = AuthzenAction)]
pub(super) struct ActionDoc {
    /// A permission, or `OWNER`.
    pub(super) name: String,
    /// Read, and of no account.
    #[serde(default, rename = "properties")]
    _properties: Map<String, Value>,
}

/// An access to evaluate (AuthZEN section 6.1).
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[schema(as = AuthzenEvaluation)]
pub(super) struct EvaluationDoc {
    pub(super) subject: SubjectDoc,
    pub(super) action: ActionDoc,
    pub(super) resource: ResourceDoc,
    /// Read, and of no account.
    #[serde(default, rename = "context")]
    _context: Map<String, Value>,
}

/// Accesses to evaluate (AuthZEN section 7.1). What stands at the top holds wherever an evaluation says nothing else.
#[derive(Deserialize, ToSchema)]
#[schema(as = AuthzenEvaluations)]
pub(super) struct EvaluationsDoc {
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub(super) subject: Option<Map<String, Value>>,
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub(super) action: Option<Map<String, Value>>,
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub(super) resource: Option<Map<String, Value>>,
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub(super) context: Option<Map<String, Value>>,
    /// One that cannot be read is denied, with an `error` in its `context`.
    #[serde(default)]
    #[schema(value_type = Vec<Object>, max_items = 1000)]
    pub(super) evaluations: Vec<Value>,
    #[serde(default)]
    pub(super) options: OptionsDoc,
}

/// How evaluations are done.
#[derive(Default, Deserialize, ToSchema)]
#[schema(as = AuthzenOptions)]
pub(super) struct OptionsDoc {
    #[serde(default)]
    pub(super) evaluations_semantic: Semantic,
}

/// Which evaluations are answered (AuthZEN section 7.1.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = AuthzenSemantic)]
pub(super) enum Semantic {
    /// All.
    #[default]
    ExecuteAll,
    /// Those up to the first that is denied.
    DenyOnFirstDeny,
    /// Those up to the first that is permitted.
    PermitOnFirstPermit,
}

/// A decision (AuthZEN section 6.2).
#[derive(Serialize, ToSchema)]
#[schema(as = AuthzenDecision)]
pub(super) struct DecisionDoc {
    pub(super) decision: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) context: Option<ContextDoc>,
}

/// Why an access is denied.
#[derive(Serialize, ToSchema)]
#[schema(as = AuthzenDecisionContext)]
pub(super) struct ContextDoc {
    /// `not_granted`; whoever administers the tenant is told `no_subject`, `no_resource` and `no_permission` apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<&'static str>,
    /// Why one of many evaluations was not made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<ErrorDoc>,
}

/// Why an evaluation was not made.
#[derive(Serialize, ToSchema)]
#[schema(as = AuthzenError)]
pub(super) struct ErrorDoc {
    /// The status that it would have been answered with alone.
    pub(super) status: u16,
    pub(super) message: String,
}

/// Decisions (AuthZEN section 7.2), or one where there were no `evaluations`.
#[derive(Serialize, ToSchema)]
#[schema(as = AuthzenDecisions)]
pub(super) struct EvaluationsAnswerDoc {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) evaluations: Option<Vec<DecisionDoc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) decision: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) context: Option<ContextDoc>,
}

/// Which page of a search is asked for (AuthZEN section 8.2).
#[derive(Default, Deserialize, ToSchema)]
#[schema(as = AuthzenPage)]
pub(super) struct PageDoc {
    /// The `next_token` of the page before.
    #[serde(default)]
    pub(super) token: Option<String>,
    /// How many results the page has at most; 50 where it is not said, never more than 500.
    #[serde(default)]
    #[schema(minimum = 1)]
    pub(super) limit: Option<u64>,
}

/// A type, where what is of it is searched.
#[derive(Deserialize, ToSchema)]
#[schema(as = AuthzenType)]
pub(super) struct TypeDoc {
    #[serde(rename = "type")]
    pub(super) of: String,
}

/// A search of subjects (AuthZEN section 8.4).
#[derive(Deserialize, ToSchema)]
#[schema(as = AuthzenSubjectSearch)]
pub(super) struct SubjectSearchDoc {
    pub(super) subject: TypeDoc,
    pub(super) action: ActionDoc,
    pub(super) resource: ResourceDoc,
    #[serde(default)]
    pub(super) page: PageDoc,
}

/// A search of resources (AuthZEN section 8.5).
#[derive(Deserialize, ToSchema)]
#[schema(as = AuthzenResourceSearch)]
pub(super) struct ResourceSearchDoc {
    pub(super) subject: SubjectDoc,
    pub(super) action: ActionDoc,
    pub(super) resource: TypeDoc,
    #[serde(default)]
    pub(super) page: PageDoc,
}

/// A search of actions (AuthZEN section 8.6).
#[derive(Deserialize, ToSchema)]
#[schema(as = AuthzenActionSearch)]
pub(super) struct ActionSearchDoc {
    pub(super) subject: SubjectDoc,
    pub(super) resource: ResourceDoc,
    #[serde(default)]
    pub(super) page: PageDoc,
}

/// Which page of a search this is (AuthZEN section 8.3).
#[derive(Serialize, ToSchema)]
#[schema(as = AuthzenPageAnswer)]
pub(super) struct PageAnswerDoc {
    /// What to send as `token` for the next page; empty on the last.
    pub(super) next_token: String,
    /// How many results this page has.
    pub(super) count: usize,
}

/// Something that has a type and an identifier.
#[derive(Serialize, ToSchema)]
#[schema(as = AuthzenEntity)]
pub(super) struct EntityDoc {
    #[serde(rename = "type")]
    pub(super) of: String,
    pub(super) id: String,
}

/// An action that was found.
#[derive(Serialize, ToSchema)]
#[schema(as = AuthzenFoundAction)]
pub(super) struct FoundActionDoc {
    pub(super) name: String,
}

/// Subjects that were found.
#[derive(Serialize, ToSchema)]
#[schema(as = AuthzenSubjects)]
pub(super) struct SubjectsDoc {
    pub(super) results: Vec<EntityDoc>,
    pub(super) page: PageAnswerDoc,
}

/// Resources that were found.
#[derive(Serialize, ToSchema)]
#[schema(as = AuthzenResources)]
pub(super) struct ResourcesDoc {
    pub(super) results: Vec<EntityDoc>,
    pub(super) page: PageAnswerDoc,
}

/// Actions that were found.
#[derive(Serialize, ToSchema)]
#[schema(as = AuthzenActions)]
pub(super) struct ActionsDoc {
    pub(super) results: Vec<FoundActionDoc>,
    pub(super) page: PageAnswerDoc,
}

impl SubjectDoc {
    /// The party; none for what can be none of this server's.
    pub(super) fn party(&self) -> Option<Party> {
        let id = crate::paging::strict_uuid(&self.id)?;
        PartyKind::of(&self.of).ok().map(|kind| kind.party(id))
    }
}

impl DecisionDoc {
    pub(super) const fn permit() -> Self {
        Self { decision: true, context: None }
    }

    pub(super) const fn deny(reason: &'static str) -> Self {
        Self { decision: false, context: Some(ContextDoc { reason: Some(reason), error: None }) }
    }

    pub(super) fn fail(status: u16, message: impl Into<String>) -> Self {
        let error = ErrorDoc { status, message: message.into() };
        Self { decision: false, context: Some(ContextDoc { reason: None, error: Some(error) }) }
    }
}

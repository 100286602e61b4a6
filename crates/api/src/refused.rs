//! Every refusal of this door, as a problem document (RFC 9457). What each kind means is a line in [`KINDS`], which the
//! reference shows.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use keyreeve_http::body::BodyError;
use keyreeve_http::params::ParamError;
use keyreeve_http::presented::{Challenge, Scheme};
use keyreeve_http::problem::Problem;
use keyreeve_http::rate;
use std::time::Duration;

/// Where the kinds of problems are explained.
pub(crate) const PROBLEMS_PATH: &str = "/api/v1/problems";

/// One kind of problem.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    /// The fragment of its URI.
    pub(crate) slug: &'static str,
    pub(crate) status: StatusCode,
    pub(crate) title: &'static str,
    /// What the caller can do about it.
    pub(crate) advice: &'static str,
}

macro_rules! kinds {
    ($($name:ident $slug:literal $status:ident $title:literal $advice:literal)*) => {
        $(pub(crate) const $name: &Kind =
            &Kind { slug: $slug, status: StatusCode::$status, title: $title, advice: $advice };)*
        /// All kinds.
        pub(crate) const KINDS: &[&Kind] = &[$($name),*];
    };
}

kinds! {
    INVALID_PARAMETER "invalid-parameter" BAD_REQUEST "A parameter is not acceptable"
        "A parameter of the path, the query or a header is unknown, stands twice or has a value that cannot be read. \
         `errors` names it."
    INVALID_BODY "invalid-body" BAD_REQUEST "The document cannot be read"
        "The body is not JSON, names a member twice, or a member is unknown, missing or of the wrong type. `errors` points \
         at it."
    INVALID_REQUEST "invalid-request" BAD_REQUEST "The credentials cannot be read"
        "Send one access token in the `Authorization` header."
    NOT_AUTHENTICATED "not-authenticated" UNAUTHORIZED "There is no good access token"
        "The token is missing, has expired or was revoked, or is for another server or tenant. Get a new one."
    INSUFFICIENT_SCOPE "insufficient-scope" FORBIDDEN "The access token does not open this"
        "The `WWW-Authenticate` header names the scope that does. Ask for it when you ask for the token."
    NOT_ALLOWED "not-allowed" FORBIDDEN "The caller may not do this"
        "The token's holder has no authority over what was to be changed. An administrator of the tenant, or of all groups \
         that are concerned, has."
    NOT_FOUND "not-found" NOT_FOUND "There is no such thing"
        "It does not exist, or it is not for the caller to see."
    SLOW_BODY "slow-body" REQUEST_TIMEOUT "The document did not arrive in time"
        "Send the request again."
    TAKEN "taken" CONFLICT "Somebody else has this already"
        "`errors` points at the member whose value must be unique. Choose another."
    IN_USE "in-use" CONFLICT "Something depends on it"
        "`detail` says what. Remove that first, or ask for it to go as well where the operation offers this."
    SUPERSEDED "superseded" CONFLICT "There is another newest version"
        "`follows` is not the number of the newest version, or was not given where it has to be. Read what there is and decide anew."
    CHANGED "changed" PRECONDITION_FAILED "It was changed in the meantime"
        "The version in `If-Match` is not the present one. Read it again and decide anew."
    LONG_BODY "long-body" PAYLOAD_TOO_LARGE "The document is too long"
        "The body has at most 256 KiB."
    UNSUPPORTED_TYPE "unsupported-type" UNSUPPORTED_MEDIA_TYPE "The document is of another type"
        "Send `application/json` (or, for a PATCH, `application/merge-patch+json`) in UTF-8 and without a content coding."
    UNACCEPTABLE "unacceptable" UNPROCESSABLE_ENTITY "A value is not acceptable"
        "The document was read, but a value breaks a rule. `errors` points at it and says which."
    PASSWORD_POLICY "password-policy" UNPROCESSABLE_ENTITY "The password does not meet the policy"
        "`errors` has each rule that it breaks."
    KEY_REUSED "key-reused" UNPROCESSABLE_ENTITY "The idempotency key was used for another request"
        "Repeat a request with the same body and the same key, and give each new request a new key."
    TOO_MANY "too-many-requests" TOO_MANY_REQUESTS "The caller asks too often"
        "Wait as long as `Retry-After` says. `RateLimit` tells what is left."
    BUSY "busy" SERVICE_UNAVAILABLE "The server has too much to do"
        "Send the request again after `Retry-After`."
    STORE_FAILED "store-failed" BAD_GATEWAY "A secret store elsewhere did not do it"
        "`detail` names the store and says what it did instead. Whoever administers the tenant can check the store."
    STORE_SILENT "store-silent" GATEWAY_TIMEOUT "A secret store elsewhere did not answer in time"
        "Whether it did what it was asked is not known. Read what there is before you try again."
    FAILED "failed" INTERNAL_SERVER_ERROR "The server failed"
        "The log of the server has the reason, under the request's identifier that `instance` names."
}

/// A refusal.
#[derive(Debug)]
pub(crate) struct Refused(Box<Inner>);

#[derive(Debug)]
struct Inner {
    problem: Problem,
    retry_after: Option<Duration>,
    challenge: Option<Challenge>,
    /// What a repeated request has made before: the handler answers it instead.
    repeated: Option<uuid::Uuid>,
}

impl Refused {
    /// A refusal of this kind.
    pub(crate) fn of(kind: &'static Kind) -> Self {
        let uri = format!("{PROBLEMS_PATH}#{}", kind.slug);
        let problem = Problem::of(kind.status).kind(uri, kind.title);
        Self(Box::new(Inner { problem, retry_after: None, challenge: None, repeated: None }))
    }

    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.problem = self.0.problem.detail(detail.into());
        self
    }

    /// Points at a member of the document.
    pub(crate) fn at(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.0.problem = self.0.problem.error(pointer, detail);
        self
    }

    pub(crate) fn retry(mut self, after: Duration) -> Self {
        self.0.retry_after = Some(after);
        self
    }

    /// The same to whoever presents a token by this scheme.
    pub(crate) fn by(mut self, scheme: Scheme) -> Self {
        self.0.challenge = self.0.challenge.map(|challenge| challenge.by(scheme));
        self
    }

    /// There is no such thing, or none that the caller may see.
    pub(crate) fn not_found(what: &str) -> Self {
        Self::of(NOT_FOUND).detail(format!("there is no such {what}"))
    }

    /// The caller sees it, and may not do this to it.
    pub(crate) fn not_allowed(detail: &str) -> Self {
        Self::of(NOT_ALLOWED).detail(detail)
    }

    /// A parameter of path, query or header.
    pub(crate) fn parameter(name: &str, problem: impl Into<String>) -> Self {
        let mut refused = Self::of(INVALID_PARAMETER);
        refused.0.problem = refused.0.problem.parameter(name, problem);
        refused
    }

    /// The token is good, but not for this.
    pub(crate) fn insufficient_scope(scope: &str) -> Self {
        let challenge = Challenge::InsufficientScope(Scheme::Bearer, scope.to_owned().into());
        Self::from(challenge).detail(format!("this needs the scope {scope}"))
    }

    pub(crate) fn too_many(wait: Duration) -> Self {
        Self::of(TOO_MANY).retry(wait)
    }

    /// The problem, where it is a part of an answer.
    pub(crate) const fn problem(&self) -> &Problem {
        &self.0.problem
    }

    /// What the same request has made before, if that is why this one is refused.
    pub(crate) fn repeated(&self) -> Option<uuid::Uuid> {
        self.0.repeated
    }

    /// The answer, with the identifier of the request.
    pub(crate) fn answer(self, request_id: Option<&str>) -> Response {
        let Inner { mut problem, retry_after, challenge, repeated: _ } = *self.0;
        if let Some(id) = request_id {
            problem = problem.instance(format!("urn:keyreeve:request:{id}"));
        }
        let mut response = problem.into_response();
        if let Some(after) = retry_after {
            rate::retry_after(response.headers_mut(), after);
        }
        match challenge {
            Some(challenge) => challenge.on(response),
            None => response,
        }
    }

    fn failed(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "a request failed");
        Self::of(FAILED)
    }

    fn taken(field: &str) -> Self {
        Self::of(TAKEN).at(pointer(field), "is taken")
    }

    fn unacceptable(field: &str, problem: &str) -> Self {
        Self::of(UNACCEPTABLE).at(pointer(field), problem)
    }
}

/// The JSON pointer of a field that a room names: `settings.password.min_chars` is `/settings/password/min_chars`.
fn pointer(field: &str) -> String {
    format!("/{}", field.replace('~', "~0").replace('/', "~1").replace('.', "/"))
}

impl From<Challenge> for Refused {
    fn from(challenge: Challenge) -> Self {
        let kind = match &challenge {
            Challenge::InvalidRequest => INVALID_REQUEST,
            Challenge::InsufficientScope(..) => INSUFFICIENT_SCOPE,
            Challenge::Missing | Challenge::InvalidToken(_) | Challenge::UseNonce(_) => NOT_AUTHENTICATED,
        };
        let mut refused = Self::of(kind);
        refused.0.challenge = Some(challenge);
        refused
    }
}

impl From<keyreeve_identity::Error> for Refused {
    fn from(error: keyreeve_identity::Error) -> Self {
        use keyreeve_identity::Error;
        if let Some(after) = error.retry_after() {
            return Self::of(BUSY).retry(after);
        }
        match error {
            Error::NotFound(what) => Self::not_found(what),
            Error::Taken(field) => Self::taken(field),
            Error::VersionConflict => Self::of(CHANGED),
            Error::Invalid { field, problem } => Self::unacceptable(field, &problem),
            Error::Repeated { id, .. } => {
                let mut refused = Self::of(KEY_REUSED);
                refused.0.repeated = Some(id);
                refused
            }
            Error::KeyReused => Self::of(KEY_REUSED),
            Error::Policy(violations) => violations
                .iter()
                .fold(Self::of(PASSWORD_POLICY), |refused, rule| refused.at("/password", rule.to_string())),
            error @ (Error::Busy { .. }
            | Error::Seal(_)
            | Error::MasterKey { .. }
            | Error::Hash(_)
            | Error::Store(_)) => Self::failed(&error),
        }
    }
}

impl From<keyreeve_tokens::Error> for Refused {
    fn from(error: keyreeve_tokens::Error) -> Self {
        use keyreeve_tokens::Error;
        if let Some(after) = error.retry_after() {
            return Self::of(BUSY).retry(after);
        }
        match error {
            Error::NotFound(what) => Self::not_found(what),
            Error::Taken(field) => Self::taken(field),
            Error::VersionConflict => Self::of(CHANGED),
            Error::Invalid { field, problem } => Self::unacceptable(field, &problem),
            Error::Identity(error) => error.into(),
            Error::UseDpopNonce { nonce } => Challenge::UseNonce(nonce).into(),
            error @ (Error::Corrupt { .. } | Error::Key(_) | Error::Store(_)) => Self::failed(&error),
        }
    }
}

impl From<keyreeve_transfer::Error> for Refused {
    fn from(error: keyreeve_transfer::Error) -> Self {
        use keyreeve_transfer::Error;
        if let Some(after) = error.retry_after() {
            return Self::of(BUSY).retry(after);
        }
        match error {
            Error::Denied => Self::not_allowed("the caller is no administrator of the tenant"),
            Error::NotFound(what) => Self::not_found(what),
            Error::Invalid { field, problem } => Self::parameter(field, problem),
            Error::Identity(error) => error.into(),
            Error::Tokens(error) => error.into(),
            error @ (Error::Different { .. }
            | Error::Short { .. }
            | Error::Elsewhere
            | Error::Store(_)
            | Error::Io { .. }
            | Error::Internal(_)) => Self::failed(&error),
        }
    }
}

impl From<keyreeve_events::Error> for Refused {
    fn from(error: keyreeve_events::Error) -> Self {
        use keyreeve_events::Error;
        if let Some(after) = error.retry_after() {
            return Self::of(BUSY).retry(after);
        }
        match error {
            Error::NotFound(what) => Self::not_found(what),
            Error::VersionConflict => Self::of(CHANGED),
            Error::Invalid { field, problem } => Self::unacceptable(field, &problem),
            error @ Error::TooMany { .. } => Self::of(UNACCEPTABLE).detail(error.to_string()),
            Error::Identity(error) => error.into(),
            error @ (Error::Corrupt(_) | Error::Store(_)) => Self::failed(&error),
        }
    }
}

impl From<keyreeve_sharing::Error> for Refused {
    fn from(error: keyreeve_sharing::Error) -> Self {
        use keyreeve_sharing::Error;
        if let Some(after) = error.retry_after() {
            return Self::of(BUSY).retry(after);
        }
        match error {
            Error::NotFound(what) => Self::not_found(what),
            error @ Error::Denied(_) => Self::not_allowed(&error.to_string()),
            Error::Taken(field) => Self::taken(field),
            error @ Error::InUse(_) => Self::of(IN_USE).detail(error.to_string()),
            Error::VersionConflict => Self::of(CHANGED),
            Error::Invalid { field: "cursor", problem } => Self::parameter("after", problem),
            Error::Invalid { field: "revision", problem } => Self::unacceptable("at_least", &problem),
            Error::Invalid { field, problem } => Self::unacceptable(field, &problem),
            Error::KeyReused => Self::of(KEY_REUSED),
            Error::Identity(error) => error.into(),
            Error::Store(error) => error.into(),
        }
    }
}

impl From<keyreeve_secrets::Error> for Refused {
    fn from(error: keyreeve_secrets::Error) -> Self {
        use keyreeve_secrets::Error;
        if let Error::Busy { retry_after } = error {
            return Self::too_many(retry_after);
        }
        if let Some(after) = error.retry_after() {
            return Self::of(BUSY).retry(after);
        }
        match error {
            Error::NotFound(what) => Self::not_found(what),
            error @ Error::Gone(_) => Self::of(NOT_FOUND).detail(error.to_string()),
            error @ Error::Denied(_) => Self::not_allowed(&error.to_string()),
            Error::Taken(field) => Self::taken(field),
            error @ Error::InUse(_) => Self::of(IN_USE).detail(error.to_string()),
            Error::VersionConflict => Self::of(CHANGED),
            error @ Error::Elsewhere { late: true, .. } => Self::of(STORE_SILENT).detail(error.to_string()),
            error @ Error::Elsewhere { .. } => Self::of(STORE_FAILED).detail(error.to_string()),
            error @ Error::CheckAndSet { .. } => Self::of(SUPERSEDED).at("/follows", error.to_string()),
            Error::Invalid { field: "cursor", problem } => Self::parameter("after", problem),
            Error::Invalid { field, problem } => Self::unacceptable(&field_of_secret(field), &problem),
            Error::Repeated(id) => {
                let mut refused = Self::of(KEY_REUSED);
                refused.0.repeated = Some(id);
                refused
            }
            Error::KeyReused => Self::of(KEY_REUSED),
            Error::Identity(error) => error.into(),
            Error::Sharing(error) => error.into(),
            Error::Store(error) => error.into(),
            error @ (Error::Damaged { .. } | Error::Busy { .. }) => Self::failed(&error),
        }
    }
}

/// Where a document has a field that the room names: what a value is made of stands in it.
fn field_of_secret(field: &str) -> String {
    match field {
        "data" | "private_key" | "passphrase" | "comment" | "certificate" | "media_type" | "file_name" => {
            format!("value.{field}")
        }
        "key_type" | "seconds" | "policy" => "value.make".to_owned(),
        field => field.to_owned(),
    }
}

impl From<keyreeve_store::Error> for Refused {
    fn from(error: keyreeve_store::Error) -> Self {
        match error.retry_after() {
            Some(after) => Self::of(BUSY).retry(after),
            None => Self::failed(&error),
        }
    }
}

impl From<keyreeve_identity::Refusal> for Refused {
    fn from(refusal: keyreeve_identity::Refusal) -> Self {
        use keyreeve_identity::Refusal;
        match refusal {
            Refusal::Denied => Self::of(NOT_ALLOWED),
            Refusal::Throttled { retry_after } => Self::too_many(retry_after),
            Refusal::Busy { retry_after } => Self::of(BUSY).retry(retry_after),
        }
    }
}

impl From<ParamError> for Refused {
    fn from(error: ParamError) -> Self {
        match error.parameter() {
            Some(name) => Self::parameter(name, error.to_string()),
            None => Self::of(INVALID_PARAMETER).detail(error.to_string()),
        }
    }
}

impl From<BodyError> for Refused {
    fn from(error: BodyError) -> Self {
        let kind = match error {
            BodyError::ContentType => UNSUPPORTED_TYPE,
            BodyError::TooLarge => LONG_BODY,
            BodyError::TooSlow => SLOW_BODY,
            BodyError::Unreadable => INVALID_BODY,
        };
        Self::of(kind).detail(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        for (at, kind) in KINDS.iter().enumerate() {
            assert!(KINDS.iter().skip(at + 1).all(|other| other.slug != kind.slug), "{}", kind.slug);
        }
    }

    #[test]
    fn fields_of_rooms_are_pointers() {
        assert_eq!(pointer("name"), "/name");
        assert_eq!(pointer("settings.password.history"), "/settings/password/history");
    }

    #[test]
    fn the_cause_of_a_failure_stays_inside() {
        let error = keyreeve_tokens::Error::Key("secret detail".to_owned());
        let refused = Refused::from(error);
        assert!(!format!("{:?}", refused.0.problem).contains("secret detail"));
    }
}

//! What an authorization request needs next: a sign-in, consent, or nothing more. Pure.

use super::request::{AuthorizationRequest, RequestError};
use crate::clients::{ClientSettings, RedirectUri};
use crate::scope::ScopeSet;
use keyreeve_base::{Timestamp, UserId};
use std::time::Duration;

/// Who is signed in at the browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SignedIn<'a> {
    pub(crate) user: UserId,
    pub(crate) auth_time: Timestamp,
    pub(crate) acr: Option<&'a str>,
}

/// All that the decision looks at.
pub(crate) struct Situation<'a> {
    pub(crate) request: &'a AuthorizationRequest,
    pub(crate) client: &'a ClientSettings,
    /// When the browser brought the request.
    pub(crate) requested_at: Timestamp,
    pub(crate) now: Timestamp,
    pub(crate) signed_in: Option<SignedIn<'a>>,
    /// The user of the `id_token_hint`.
    pub(crate) hinted: Option<UserId>,
    /// What the user agreed to earlier.
    pub(crate) agreed: Option<&'a ScopeSet>,
    /// The user has just allowed this very request.
    pub(crate) allowed_now: bool,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    SignIn,
    Consent,
    Issue,
    Refuse(RequestError),
}

/// Decides (OpenID Connect Core sections 3.1.2.1 to 3.1.2.4 and 5.5.1).
pub(crate) fn next_step(it: &Situation<'_>) -> Step {
    let Some(user) = it.signed_in.filter(|signed_in| is_recent_enough(it, signed_in.auth_time)) else {
        return sign_in(it);
    };
    if is_someone_else(it, user.user) {
        // Whoever signed in for this request is not who it is about: asking again would go round in circles.
        return if user.auth_time >= it.requested_at {
            refuse("login_required", "another user than the expected one is signed in")
        } else {
            sign_in(it)
        };
    }
    let essential = &it.request.claims.essential_acr;
    if !essential.is_empty() && !essential.iter().any(|acr| user.acr == Some(acr)) {
        return refuse(
            "unmet_authentication_requirements",
            "no authentication context of those is available",
        );
    }
    if !needs_consent(it) {
        Step::Issue
    } else if it.request.prompt.none {
        refuse("consent_required", "the user must be asked for consent")
    } else {
        Step::Consent
    }
}

fn refuse(code: &'static str, description: &str) -> Step {
    Step::Refuse(RequestError::new(code, description))
}

fn sign_in(it: &Situation<'_>) -> Step {
    if it.request.prompt.none { refuse("login_required", "the user must sign in") } else { Step::SignIn }
}

/// Whether the sign-in satisfies `prompt=login` and `max_age`. One made for this request always does: otherwise
/// `max_age=0` could never be met.
fn is_recent_enough(it: &Situation<'_>, auth_time: Timestamp) -> bool {
    if auth_time >= it.requested_at {
        return true;
    }
    let young = |seconds: u32| it.now.since(auth_time) <= Duration::from_secs(seconds.into());
    !it.request.prompt.login && it.request.max_age_s.is_none_or(young)
}

fn is_someone_else(it: &Situation<'_>, user: UserId) -> bool {
    let hinted = it.hinted.is_some_and(|expected| expected != user);
    let named = it.request.claims.sub.as_ref().is_some_and(|expected| *expected != user.to_string());
    hinted || named
}

fn needs_consent(it: &Situation<'_>) -> bool {
    if it.allowed_now {
        return false;
    }
    if it.request.prompt.consent {
        return true;
    }
    if it.client.first_party {
        return false;
    }
    // Any app can claim a native client's name and redirect URI, so that an earlier consent proves nothing about who
    // asks now (RFC 8252 section 8.6).
    let uncertain = it.client.demands_pkce()
        && it.client.kind() == crate::clients::ClientKind::Public
        && RedirectUri::parse(&it.request.address.uri).is_ok_and(|uri| uri.is_native());
    uncertain || !it.agreed.is_some_and(|agreed| it.request.scope.is_subset_of(agreed))
}

#[cfg(test)]
mod tests {
    use super::super::request::{Prompt, ResponseMode, ReturnAddress};
    use super::*;
    use crate::claims::ClaimsRequest;
    use crate::clients::AuthMethod;
    use proptest::prelude::*;
    use uuid::Uuid;

    const START: Timestamp = Timestamp::from_seconds(1_000_000);

    fn user(number: u128) -> UserId {
        UserId::from_uuid(Uuid::from_u128(number))
    }

    fn request() -> AuthorizationRequest {
        AuthorizationRequest {
            client_id: "portal".into(),
            address: ReturnAddress {
                uri: "https://app.example/cb".into(),
                mode: ResponseMode::Query,
                state: None,
            },
            scope: "openid profile".parse().unwrap(),
            nonce: None,
            challenge: None,
            prompt: Prompt::default(),
            max_age_s: None,
            login_hint: None,
            ui_locales: None,
            claims: ClaimsRequest::default(),
            resources: Vec::new(),
            dpop_jkt: None,
        }
    }

    struct Case {
        request: AuthorizationRequest,
        client: ClientSettings,
        signed_in_s: Option<i64>,
        hinted: Option<UserId>,
        agreed: Option<ScopeSet>,
        allowed_now: bool,
        waited_s: u64,
    }

    impl Default for Case {
        fn default() -> Self {
            Self {
                request: request(),
                client: ClientSettings::new("Portal"),
                signed_in_s: Some(-100),
                hinted: None,
                agreed: Some("openid profile email".parse().unwrap()),
                allowed_now: false,
                waited_s: 0,
            }
        }
    }

    impl Case {
        fn step(&self) -> Step {
            next_step(&Situation {
                request: &self.request,
                client: &self.client,
                requested_at: START,
                now: START.plus(Duration::from_secs(self.waited_s)),
                signed_in: self.signed_in_s.map(|seconds| SignedIn {
                    user: user(1),
                    auth_time: Timestamp::from_seconds(START.seconds() + seconds),
                    acr: Some("urn:example:silver"),
                }),
                hinted: self.hinted,
                agreed: self.agreed.as_ref(),
                allowed_now: self.allowed_now,
            })
        }

        fn code(&self) -> &'static str {
            match self.step() {
                Step::Refuse(error) => error.code,
                other => panic!("expected a refusal, found {other:?}"),
            }
        }
    }

    fn prompt(none: bool, login: bool, consent: bool) -> AuthorizationRequest {
        AuthorizationRequest { prompt: Prompt { none, login, consent }, ..request() }
    }

    #[test]
    fn who_is_signed_in_and_has_agreed_goes_on() {
        assert_eq!(Case::default().step(), Step::Issue);
        assert_eq!(Case { signed_in_s: None, ..Case::default() }.step(), Step::SignIn);
    }

    #[test]
    fn prompt_none_shows_no_page() {
        let silent = || Case { request: prompt(true, false, false), ..Case::default() };
        assert_eq!(silent().step(), Step::Issue);
        assert_eq!(Case { signed_in_s: None, ..silent() }.code(), "login_required");
        assert_eq!(Case { agreed: None, ..silent() }.code(), "consent_required");
        assert_eq!(Case { hinted: Some(user(2)), ..silent() }.code(), "login_required");
    }

    #[test]
    fn prompt_login_is_met_only_by_a_sign_in_for_this_request() {
        let anew = || Case { request: prompt(false, true, false), ..Case::default() };
        assert_eq!(anew().step(), Step::SignIn);
        assert_eq!(Case { signed_in_s: Some(5), waited_s: 10, ..anew() }.step(), Step::Issue);
    }

    #[test]
    fn max_age_counts_from_the_sign_in() {
        let aged = |seconds| AuthorizationRequest { max_age_s: Some(seconds), ..request() };
        assert_eq!(Case { request: aged(100), ..Case::default() }.step(), Step::Issue);
        assert_eq!(Case { request: aged(99), ..Case::default() }.step(), Step::SignIn);
        assert_eq!(Case { request: aged(100), waited_s: 1, ..Case::default() }.step(), Step::SignIn);
        let slow = Case { request: aged(0), signed_in_s: Some(5), waited_s: 600, ..Case::default() };
        assert_eq!(
            slow.step(),
            Step::Issue,
            "a sign-in for this request is recent, however long consent takes"
        );
    }

    #[test]
    fn somebody_else_must_sign_in_once_and_is_refused_then() {
        let hinted = || Case { hinted: Some(user(2)), ..Case::default() };
        assert_eq!(hinted().step(), Step::SignIn);
        assert_eq!(Case { signed_in_s: Some(5), waited_s: 10, ..hinted() }.code(), "login_required");
        let mut named = Case::default();
        named.request.claims.sub = Some(user(2).to_string());
        assert_eq!(named.step(), Step::SignIn);
        named.request.claims.sub = Some(user(1).to_string());
        assert_eq!(named.step(), Step::Issue);
    }

    #[test]
    fn consent_is_asked_for_what_is_new() {
        assert_eq!(Case { agreed: None, ..Case::default() }.step(), Step::Consent);
        assert_eq!(Case { agreed: "openid".parse().ok(), ..Case::default() }.step(), Step::Consent);
        assert_eq!(Case { agreed: None, allowed_now: true, ..Case::default() }.step(), Step::Issue);
        assert_eq!(Case { request: prompt(false, false, true), ..Case::default() }.step(), Step::Consent);
    }

    #[test]
    fn our_own_clients_ask_only_when_told_to() {
        let mut ours = Case { agreed: None, ..Case::default() };
        ours.client.first_party = true;
        assert_eq!(ours.step(), Step::Issue);
        ours.request.prompt.consent = true;
        assert_eq!(ours.step(), Step::Consent);
    }

    #[test]
    fn native_public_clients_always_ask() {
        let mut native = Case::default();
        native.client.auth_method = AuthMethod::None;
        assert_eq!(native.step(), Step::Issue);
        native.request.address.uri = "http://127.0.0.1:5000/cb".into();
        assert_eq!(native.step(), Step::Consent);
        native.allowed_now = true;
        assert_eq!(native.step(), Step::Issue);
    }

    #[test]
    fn an_essential_context_that_nobody_has_is_refused() {
        let mut case = Case::default();
        case.request.claims.essential_acr = vec!["urn:example:gold".into()];
        assert_eq!(case.code(), "unmet_authentication_requirements");
        case.request.claims.essential_acr.push("urn:example:silver".into());
        assert_eq!(case.step(), Step::Issue);
    }

    proptest! {
        #[test]
        fn nothing_is_issued_to_nobody_and_no_page_is_shown_when_none_may_be(
            none: bool, login: bool, consent: bool, signed_in_s in proptest::option::of(-1000i64..1000),
            max_age_s in proptest::option::of(0u32..2000), agreed: bool, allowed_now: bool, waited_s in 0u64..2000,
        ) {
            let mut request = prompt(none, login, consent);
            request.max_age_s = max_age_s;
            let agreed = agreed.then(|| "openid profile".parse().unwrap());
            let case = Case { request, signed_in_s, agreed, allowed_now, waited_s, ..Case::default() };
            match case.step() {
                Step::Issue => prop_assert!(signed_in_s.is_some()),
                Step::SignIn | Step::Consent => prop_assert!(!none),
                Step::Refuse(_) => {}
            }
        }
    }
}

//! Changing a password: one's own while signed in, or the one that must be replaced before anything else.

use super::forms::Purpose;
use super::stop::{self, Stop};
use super::visit::Visit;
use super::{ACCOUNT, PASSWORD, account, sign_in};
use crate::pages::{
    ChangePassword, CurrentProblem, Form, NewProblem, Notice, Obstacle, PasswordProblems, PasswordRule,
    RepeatProblem, fields,
};
use axum::response::Response;
use http::StatusCode;
use keyreeve_crypto::Secret;
use keyreeve_http::browser::path;
use keyreeve_http::params::{ParamError, Params, StrictForm};
use keyreeve_identity::{Error, FinishPasswordChange, PasswordPolicy, PolicyViolation, Refusal, SignIn};
use keyreeve_tokens::Preview;
use std::time::Duration;

/// The hidden field that carries the ticket of somebody who must choose a password.
pub(crate) const TICKET: &str = "ticket";

/// Somebody who has proved a password, and whose sign-in has a further step.
#[derive(Clone, Copy)]
pub(crate) struct Ticket<'a> {
    /// What admission gave out.
    pub(crate) text: &'a str,
    /// The name as it was typed.
    pub(crate) username: &'a str,
    /// The request that waits for the sign-in.
    pub(crate) request: Option<&'a str>,
}

/// Why a change did not come about: the status, what the page says, and when to try again.
pub(super) struct Trouble {
    pub(super) status: StatusCode,
    pub(super) problems: PasswordProblems,
    pub(super) wait: Option<Duration>,
}

impl Trouble {
    /// None: the form is shown for the first time.
    pub(super) fn none() -> Self {
        Self::of(StatusCode::OK, PasswordProblems::default())
    }

    fn of(status: StatusCode, problems: PasswordProblems) -> Self {
        Self { status, problems, wait: None }
    }

    fn obstacle(status: StatusCode, obstacle: Obstacle, wait: Option<Duration>) -> Self {
        Self { status, problems: PasswordProblems { obstacle: Some(obstacle), ..Default::default() }, wait }
    }

    fn new_password(problems: Vec<NewProblem>) -> Self {
        Self::of(StatusCode::BAD_REQUEST, PasswordProblems { new: problems, ..Default::default() })
    }

    pub(super) fn expired() -> Self {
        Self::obstacle(StatusCode::BAD_REQUEST, Obstacle::Expired, None)
    }

    /// What a failure of the room means on this page; those that mean nothing here stay failures.
    pub(super) fn of_room(error: Error) -> Result<Self, Stop> {
        match error {
            Error::Policy(violations) => Ok(Self::new_password(violations.into_iter().map(broken).collect())),
            Error::Invalid { .. } => Ok(Self::new_password(vec![NewProblem::Missing])),
            Error::Busy { retry_after } => {
                Ok(Self::obstacle(StatusCode::SERVICE_UNAVAILABLE, Obstacle::Busy, Some(retry_after)))
            }
            // Somebody else changed it meanwhile: this attempt changed nothing.
            Error::VersionConflict => Ok(Self::expired()),
            other => Err(other.into()),
        }
    }

    fn of_refusal(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Denied => Self::of(
                StatusCode::BAD_REQUEST,
                PasswordProblems { current: Some(CurrentProblem::Wrong), ..Default::default() },
            ),
            Refusal::Throttled { retry_after } => Self::obstacle(
                StatusCode::TOO_MANY_REQUESTS,
                Obstacle::TooMany { retry_after },
                Some(retry_after),
            ),
            Refusal::Busy { retry_after } => {
                Self::obstacle(StatusCode::SERVICE_UNAVAILABLE, Obstacle::Busy, Some(retry_after))
            }
        }
    }
}

/// A violation in the words of the page.
const fn broken(violation: PolicyViolation) -> NewProblem {
    NewProblem::Breaks(match violation {
        PolicyViolation::TooShort { min_chars } => PasswordRule::MinChars(min_chars as u32),
        // The limit is in bytes; so many characters fit it in any script.
        PolicyViolation::TooLong { max_bytes } => PasswordRule::MaxChars(max_bytes as u32 / 4),
        PolicyViolation::OwnName => PasswordRule::NotYourName,
        PolicyViolation::Common => PasswordRule::NotWellKnown,
        PolicyViolation::Reused { last } => PasswordRule::NotRecent(last as u32),
    })
}

pub(super) fn rules(policy: &PasswordPolicy) -> Vec<PasswordRule> {
    let mut rules = vec![PasswordRule::MinChars(policy.min_chars.into())];
    if policy.history > 0 {
        rules.push(PasswordRule::NotRecent(policy.history.into()));
    }
    if policy.refuse_own_names {
        rules.push(PasswordRule::NotYourName);
    }
    if policy.refuse_common {
        rules.push(PasswordRule::NotWellKnown);
    }
    rules
}

/// `GET /password`.
pub(crate) async fn show(visit: Visit) -> Response {
    let outcome = own_page(&visit, None).await;
    visit.settle(outcome)
}

/// The page of somebody who is signed in.
async fn own_page(visit: &Visit, trouble: Option<Trouble>) -> Result<Response, Stop> {
    let (_, user) = visit.signed_in(None)?;
    let csrf = visit.form_token(Purpose::Password).await?;
    let account = visit.path(ACCOUNT);
    let name = user.username.as_deref().or(user.email.as_deref()).unwrap_or_default();
    let trouble = trouble.unwrap_or_else(|| Trouble::of(StatusCode::OK, PasswordProblems::default()));
    let page = ChangePassword {
        chrome: visit.chrome(),
        form: Form { action: &visit.path(PASSWORD), csrf: &csrf, hidden: &[] },
        username: name,
        forced: false,
        by_link: false,
        ask_current: true,
        cancel_url: Some(&account),
        rules: &rules(&visit.tenant.settings.password),
        problems: trouble.problems,
    };
    Ok(waiting(visit.page(trouble.status, &page, None), trouble.wait))
}

/// The page of somebody who must choose a new password, as the answer to the sign-in.
pub(crate) async fn choose(
    visit: &Visit,
    preview: Option<&Preview>,
    ticket: Ticket<'_>,
) -> Result<Response, Stop> {
    forced_page(visit, preview, ticket, Trouble::of(StatusCode::OK, PasswordProblems::default())).await
}

async fn forced_page(
    visit: &Visit,
    preview: Option<&Preview>,
    ticket: Ticket<'_>,
    trouble: Trouble,
) -> Result<Response, Stop> {
    let csrf = visit.form_token(Purpose::ForcedPassword).await?;
    let mut hidden = vec![(TICKET, ticket.text), (fields::USERNAME, ticket.username)];
    hidden.extend(ticket.request.map(|request| (path::REQUEST, request)));
    let page = ChangePassword {
        chrome: visit.chrome(),
        form: Form { action: &visit.path(PASSWORD), csrf: &csrf, hidden: &hidden },
        username: ticket.username,
        forced: true,
        by_link: false,
        ask_current: false,
        cancel_url: None,
        rules: &rules(&visit.tenant.settings.password),
        problems: trouble.problems,
    };
    let target = preview.map(|preview| preview.redirect_uri.as_str());
    Ok(waiting(visit.page(trouble.status, &page, target), trouble.wait))
}

pub(super) fn waiting(mut response: Response, wait: Option<Duration>) -> Response {
    if let Some(wait) = wait {
        stop::retry_after(&mut response, wait);
    }
    response
}

/// `POST /password`.
pub(crate) async fn submit(mut visit: Visit, form: Result<StrictForm, ParamError>) -> Response {
    let outcome = change(&mut visit, form).await;
    visit.settle(outcome)
}

async fn change(visit: &mut Visit, form: Result<StrictForm, ParamError>) -> Result<Response, Stop> {
    visit.check_origin()?;
    let StrictForm(params) = form?;
    if params.get(TICKET).is_some() {
        change_forced(visit, params).await
    } else {
        change_own(visit, params).await
    }
}

/// The passwords of a form, as far as they can be judged without asking anybody.
pub(super) struct Typed {
    current: Option<Secret>,
    new: Option<Secret>,
    problems: PasswordProblems,
}

impl Typed {
    pub(super) fn take(params: &mut Params, ask_current: bool) -> Self {
        let mut secret = |name| params.take(name).map(|text| Secret::new(&text));
        let current = secret(fields::CURRENT_PASSWORD).filter(|_| ask_current);
        let new = secret(fields::NEW_PASSWORD);
        let repeat = secret(fields::REPEAT_PASSWORD);
        let current_problem = (ask_current && current.is_none()).then_some(CurrentProblem::Missing);
        let mut problems = PasswordProblems { current: current_problem, ..PasswordProblems::default() };
        match (&current, &new) {
            (_, None) => problems.new.push(NewProblem::Missing),
            (Some(current), Some(new)) if current.expose() == new.expose() => {
                problems.new.push(NewProblem::IsCurrent);
            }
            _ => {}
        }
        problems.repeat = match (&new, &repeat) {
            (_, None) => Some(RepeatProblem::Missing),
            (Some(new), Some(repeat)) if new.expose() != repeat.expose() => Some(RepeatProblem::Differs),
            _ => None,
        };
        Self { current, new, problems }
    }

    /// The passwords, current and new, if there is nothing to complain about.
    pub(super) fn checked(self, ask_current: bool) -> Result<(Secret, Secret), Trouble> {
        let PasswordProblems { current, new, repeat, .. } = &self.problems;
        let sound = current.is_none() && new.is_empty() && repeat.is_none();
        match (self.current, self.new) {
            (Some(current), Some(new)) if sound => Ok((current, new)),
            (None, Some(new)) if sound && !ask_current => Ok((Secret::new(""), new)),
            _ => Err(Trouble::of(StatusCode::BAD_REQUEST, self.problems)),
        }
    }
}

async fn change_own(visit: &Visit, mut params: Params) -> Result<Response, Stop> {
    let (session, _) = visit.signed_in(None)?;
    if !visit.is_own_form(Purpose::Password, params.get(fields::CSRF)).await? {
        return own_page(visit, Some(Trouble::expired())).await;
    }
    let (current, new) = match Typed::take(&mut params, true).checked(true) {
        Ok(typed) => typed,
        Err(trouble) => return own_page(visit, Some(trouble)).await,
    };
    let passwords = visit.state.identity().passwords();
    let trouble = match passwords.change_own(session, current, new, &visit.origin).await {
        Ok(Ok(())) => return account::told(visit, Notice::PasswordChanged),
        Ok(Err(refusal)) => Trouble::of_refusal(refusal),
        Err(error) => Trouble::of_room(error)?,
    };
    own_page(visit, Some(trouble)).await
}

async fn change_forced(visit: &mut Visit, mut params: Params) -> Result<Response, Stop> {
    let typed = Typed::take(&mut params, false);
    let ticket = Ticket {
        text: params.require(TICKET)?,
        username: params.get(fields::USERNAME).unwrap_or_default(),
        request: params.get(path::REQUEST),
    };
    let preview = visit.preview(ticket.request).await?;
    if !visit.is_own_form(Purpose::ForcedPassword, params.get(fields::CSRF)).await? {
        return sign_in::start_over(visit, preview.as_ref(), &params).await;
    }
    let password = match typed.checked(false) {
        Ok((_, new)) => new,
        Err(trouble) => return forced_page(visit, preview.as_ref(), ticket, trouble).await,
    };
    let finish = FinishPasswordChange {
        tenant: visit.tenant.id,
        ticket: ticket.text,
        password,
        old_cookie: visit.session_cookie(),
        origin: visit.origin.clone(),
    };
    let trouble = match visit.state.identity().admission().finish_password_change(finish).await {
        Ok(done @ SignIn::SignedIn { .. }) => return sign_in::signed_in(visit, &done, ticket.request),
        // The ticket is too old or was used: the proof must be made again.
        Ok(
            SignIn::Refused(Refusal::Denied) | SignIn::MustChangePassword { .. } | SignIn::NeedsCode { .. },
        )
        | Err(Error::VersionConflict) => {
            return sign_in::start_over(visit, preview.as_ref(), &params).await;
        }
        Ok(SignIn::Refused(refusal)) => Trouble::of_refusal(refusal),
        Err(error) => Trouble::of_room(error)?,
    };
    forced_page(visit, preview.as_ref(), ticket, trouble).await
}

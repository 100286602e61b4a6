//! What a subscription is.

use crate::Error;
use keyreeve_audit::{ActionPattern, Filter, MAX_PATTERNS, Outcome};
use keyreeve_base::id::WebhookId;
use keyreeve_base::{TenantId, Timestamp};
use keyreeve_identity::Patch;
use keyreeve_store::Row;

/// The longest description, in characters.
const MAX_DESCRIPTION_CHARS: usize = 200;

/// How a subscription fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookState {
    /// Nothing is amiss.
    Delivering,
    /// The last attempt failed; there will be another.
    Retrying,
    /// So many attempts failed that there will be no other before an administrator resumes it.
    Failing,
    /// It is switched off.
    Disabled,
}

impl WebhookState {
    /// Its word in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivering => "delivering",
            Self::Retrying => "retrying",
            Self::Failing => "failing",
            Self::Disabled => "disabled",
        }
    }
}

/// A subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Its identifier.
    pub id: WebhookId,
    /// Whose log it follows.
    pub tenant_id: TenantId,
    /// Where messages go.
    pub url: String,
    /// What it is for.
    pub description: Option<String>,
    /// The actions that it wants; all, if there are none.
    pub actions: Vec<ActionPattern>,
    /// The outcome that it wants.
    pub outcome: Option<Outcome>,
    /// Whether it is switched on.
    pub enabled: bool,
    /// Until when messages are signed with the previous secret as well.
    pub previous_secret_until: Option<Timestamp>,
    /// The number of the last entry that it has done with.
    pub position: i64,
    /// How often in a row the entry that is due was not taken.
    pub attempts: u32,
    /// When it is tried again.
    pub retry_at: Option<Timestamp>,
    /// Since when it is failing.
    pub failing_since: Option<Timestamp>,
    /// When an entry was taken last.
    pub last_success_at: Option<Timestamp>,
    /// When an entry was not taken last.
    pub last_failure_at: Option<Timestamp>,
    /// What the last failure was: an HTTP status or a word.
    pub last_error: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When somebody changed it last.
    pub updated_at: Timestamp,
    /// How often it was changed; deliveries do not count.
    pub version: i64,
}

/// A subscription as the database has it.
pub(crate) struct Stored {
    pub(crate) webhook: Webhook,
    pub(crate) sealed_secret: Vec<u8>,
    pub(crate) sealed_previous: Option<Vec<u8>>,
}

impl Webhook {
    /// How it fares.
    #[must_use]
    pub const fn state(&self) -> WebhookState {
        if !self.enabled {
            WebhookState::Disabled
        } else if self.failing_since.is_some() {
            WebhookState::Failing
        } else if self.attempts > 0 {
            WebhookState::Retrying
        } else {
            WebhookState::Delivering
        }
    }

    /// The entries that it wants.
    pub(crate) fn filter(&self) -> Filter {
        Filter { actions: self.actions.clone(), outcome: self.outcome, ..Filter::default() }
    }
}

impl Stored {
    pub(crate) fn from_row(row: &Row<'_>) -> Result<Self, keyreeve_store::Error> {
        let corrupt = |what: &str| keyreeve_store::Error::internal(format!("a stored webhook has {what}"));
        let actions: String = row.get(4)?;
        let actions: Vec<String> =
            serde_json::from_str(&actions).map_err(|_| corrupt("actions that are no list"))?;
        let outcome: Option<String> = row.get(5)?;
        let webhook = Webhook {
            id: row.get(0)?,
            tenant_id: row.get(1)?,
            url: row.get(2)?,
            description: row.get(3)?,
            actions: actions.iter().filter_map(|action| ActionPattern::parse(action)).collect(),
            outcome: outcome.as_deref().and_then(Outcome::parse),
            enabled: row.get(6)?,
            previous_secret_until: row.get(7)?,
            position: row.get(8)?,
            attempts: row.get(9)?,
            retry_at: row.get(10)?,
            failing_since: row.get(11)?,
            last_success_at: row.get(12)?,
            last_failure_at: row.get(13)?,
            last_error: row.get(14)?,
            created_at: row.get(15)?,
            updated_at: row.get(16)?,
            version: row.get(17)?,
        };
        if webhook.actions.len() != actions.len() {
            return Err(corrupt("an action that is none"));
        }
        Ok(Self { webhook, sealed_secret: row.get(18)?, sealed_previous: row.get(19)? })
    }
}

/// A subscription to be made.
#[derive(Debug, Clone, Default)]
pub struct NewWebhook {
    /// Where messages go: an https URL of the public Internet.
    pub url: String,
    /// What it is for.
    pub description: Option<String>,
    /// The actions that it wants (`user.create`, or `user.` for all that is done to users); all, if there are none.
    pub actions: Vec<String>,
    /// The outcome that it wants.
    pub outcome: Option<Outcome>,
    /// Whether it begins switched off.
    pub disabled: bool,
}

/// A change of a subscription; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct WebhookPatch {
    /// Where messages go.
    pub url: Option<String>,
    /// What it is for.
    pub description: Patch<String>,
    /// The actions that it wants.
    pub actions: Option<Vec<String>>,
    /// The outcome that it wants.
    pub outcome: Patch<Outcome>,
    /// Whether it is switched on.
    pub enabled: Option<bool>,
}

/// What a subscription that goes on again leaves out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Skip {
    /// Nothing: it goes on with the entry that was not taken.
    #[default]
    Nothing,
    /// That entry.
    One,
    /// Everything so far.
    All,
}

/// The patterns of these texts, each once.
pub(crate) fn patterns(actions: &[String]) -> Result<Vec<ActionPattern>, Error> {
    if actions.len() > MAX_PATTERNS {
        return Err(Error::invalid("actions", format!("has more than {MAX_PATTERNS} patterns")));
    }
    let mut patterns = Vec::with_capacity(actions.len());
    for action in actions {
        let Some(pattern) = ActionPattern::parse(action) else {
            let shown: String = action.chars().take(50).collect();
            let problem =
                format!("has {shown:?}, which is neither an action (user.create) nor a prefix (user.)");
            return Err(Error::invalid("actions", problem));
        };
        if !patterns.contains(&pattern) {
            patterns.push(pattern);
        }
    }
    Ok(patterns)
}

/// The patterns as they are stored.
pub(crate) fn actions_json(patterns: &[ActionPattern]) -> String {
    let texts: Vec<&str> = patterns.iter().map(ActionPattern::as_str).collect();
    serde_json::Value::from(texts).to_string()
}

pub(crate) fn check_description(description: Option<&str>) -> Result<(), Error> {
    let Some(text) = description else { return Ok(()) };
    if text.chars().count() > MAX_DESCRIPTION_CHARS {
        return Err(Error::invalid(
            "description",
            format!("is longer than {MAX_DESCRIPTION_CHARS} characters"),
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(Error::invalid("description", "contains control characters"));
    }
    Ok(())
}

//! Which entries are meant.

use crate::event::{Entry, Outcome};
use keyreeve_base::Timestamp;

/// The longest text that a filter compares with, in bytes.
pub const MAX_TEXT_BYTES: usize = 200;

/// The most patterns of actions in one filter.
pub const MAX_PATTERNS: usize = 32;

/// One action, or all that begin alike: `user.create`, or `user.` for everything that is done to users.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ActionPattern {
    /// This action.
    Exact(String),
    /// Every action that begins with this text, which ends in a dot.
    Prefix(String),
}

impl ActionPattern {
    /// Reads `noun.verb`, or `noun.` for a prefix; none for what no action can look like.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
        if text.is_empty() || text.len() > MAX_TEXT_BYTES || !text.chars().all(good) || text.starts_with('.')
        {
            return None;
        }
        Some(if text.ends_with('.') { Self::Prefix(text.to_owned()) } else { Self::Exact(text.to_owned()) })
    }

    /// Whether it means this action.
    #[must_use]
    pub fn matches(&self, action: &str) -> bool {
        match self {
            Self::Exact(text) => action == text,
            Self::Prefix(text) => action.starts_with(text),
        }
    }

    /// The text that [`ActionPattern::parse`] reads.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Exact(text) | Self::Prefix(text) => text,
        }
    }
}

/// Which entries are meant: all of the fields that are set must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// The kind of who did it: `user`, `client`, `service_account`, `operator`, `system`, `anonymous`.
    pub actor_kind: Option<String>,
    /// The identifier of who did it.
    pub actor_id: Option<String>,
    /// Any of these actions; empty for all.
    pub actions: Vec<ActionPattern>,
    /// The kind of what it was done to.
    pub target_kind: Option<String>,
    /// The identifier of what it was done to.
    pub target_id: Option<String>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// From this moment on.
    pub from: Option<Timestamp>,
    /// Before this moment.
    pub before: Option<Timestamp>,
    /// The request that did it.
    pub request_id: Option<String>,
}

impl Filter {
    /// Whether the entry is meant.
    #[must_use]
    pub fn matches(&self, entry: &Entry) -> bool {
        let same = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        same(&self.actor_kind, Some(&entry.actor_kind))
            && same(&self.actor_id, entry.actor_id.as_deref())
            && same(&self.target_kind, entry.target_kind.as_deref())
            && same(&self.target_id, entry.target_id.as_deref())
            && same(&self.request_id, entry.request_id.as_deref())
            && self.outcome.is_none_or(|outcome| entry.outcome == outcome.text())
            && self.from.is_none_or(|from| entry.at >= from)
            && self.before.is_none_or(|before| entry.at < before)
            && (self.actions.is_empty() || self.actions.iter().any(|pattern| pattern.matches(&entry.action)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_an_action_or_a_beginning() {
        let parse = |text| ActionPattern::parse(text);
        assert!(parse("user.create").is_some_and(|p| p.matches("user.create") && !p.matches("user.created")));
        assert!(parse("user.").is_some_and(|p| p.matches("user.create") && !p.matches("username.change")));
        for bad in ["", ".", ".user", "User.create", "user.%", "user create", "user*", &"a".repeat(201)] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}

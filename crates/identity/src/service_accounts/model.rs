//! What a service account is, what a new one is made of, and what can be changed.

use crate::directory::name::Name;
use crate::directory::{Party, PartyKind};
use crate::groups::MAX_DESCRIPTION;
use crate::users::fields;
use crate::{Error, Patch};
use keyreeve_base::{ServiceAccountId, TenantId, Timestamp};
use keyreeve_store::Row;
use std::collections::BTreeMap;
use std::time::Duration;

/// The bounds of a token lifetime, in seconds.
const TOKEN_LIFETIME_S: std::ops::RangeInclusive<u32> = 60..=86_400;

/// A service account, as of one moment.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ServiceAccount {
    /// The identifier; never given out again.
    pub id: ServiceAccountId,
    /// The tenant.
    pub tenant_id: TenantId,
    /// The name, as given; unique in the tenant in every spelling, and never one that reads as an identifier.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Whatever else the tenant keeps, each under a name with any number of values.
    pub attributes: BTreeMap<String, Vec<String>>,
    /// Whether it is in use.
    pub enabled: bool,
    /// When it is over by itself.
    pub expires_at: Option<Timestamp>,
    /// The user or group that answers for it. It is admitted only as long as its owner is there and active.
    pub owner: Option<Party>,
    /// How long its access tokens live, in seconds, where it is not as long as the tenant's others.
    pub token_lifetime_s: Option<u32>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Counts the changes; an update names the version that it changes. Secrets coming and going are none.
    pub version: i64,
}

impl ServiceAccount {
    /// Whether the account itself stands in nobody's way at `now`. Admission asks this and more.
    #[must_use]
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.enabled && self.expires_at.is_none_or(|expires_at| now < expires_at)
    }

    /// How long its access tokens live, where it is not as long as the tenant's others.
    #[must_use]
    pub fn token_lifetime(&self) -> Option<Duration> {
        self.token_lifetime_s.map(|seconds| Duration::from_secs(u64::from(seconds)))
    }

    pub(crate) fn from_row(row: &Row<'_>) -> Result<Self, keyreeve_store::Error> {
        let attributes: String = row.get(4)?;
        let owner = match row.get::<Option<PartyKind>>(7)? {
            Some(kind) => Some(Party::new(kind, row.get(8)?)),
            None => None,
        };
        Ok(Self {
            id: row.get(0)?,
            tenant_id: row.get(1)?,
            name: row.get(2)?,
            description: row.get(3)?,
            attributes: crate::read_json("service account's attributes", &attributes)?,
            enabled: row.get(5)?,
            expires_at: row.get(6)?,
            owner,
            token_lifetime_s: row.get(9)?,
            created_at: row.get(10)?,
            updated_at: row.get(11)?,
            version: row.get(12)?,
        })
    }

    /// Tidies the texts and checks the values.
    pub(super) fn check(&mut self) -> Result<Name, Error> {
        let name = Name::parse("name", &self.name)?;
        if name.canonical.parse::<uuid::Uuid>().is_ok() {
            return Err(Error::invalid("name", "reads as an identifier"));
        }
        self.name.clone_from(&name.shown);
        fields::tidy("description", &mut self.description, MAX_DESCRIPTION)?;
        fields::check_attributes(&self.attributes)?;
        if matches!(self.owner, Some(Party::Service(_))) {
            return Err(Error::invalid("owner", "must be a user or a group"));
        }
        if self.token_lifetime_s.is_some_and(|seconds| !TOKEN_LIFETIME_S.contains(&seconds)) {
            let (low, high) = (TOKEN_LIFETIME_S.start(), TOKEN_LIFETIME_S.end());
            return Err(Error::invalid("token_lifetime_s", format!("must be between {low} and {high}")));
        }
        Ok(name)
    }
}

/// What a new service account is made of.
#[derive(Debug, Clone)]
pub struct NewServiceAccount {
    /// The name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Attributes.
    pub attributes: BTreeMap<String, Vec<String>>,
    /// Whether it is in use from the start.
    pub enabled: bool,
    /// When it is over by itself.
    pub expires_at: Option<Timestamp>,
    /// The user or group that answers for it.
    pub owner: Option<Party>,
    /// See [`ServiceAccount::token_lifetime_s`].
    pub token_lifetime_s: Option<u32>,
}

impl Default for NewServiceAccount {
    fn default() -> Self {
        Self {
            name: String::new(),
            description: None,
            attributes: BTreeMap::new(),
            enabled: true,
            expires_at: None,
            owner: None,
            token_lifetime_s: None,
        }
    }
}

/// What to change of a service account; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServiceAccountPatch {
    /// A new name.
    pub name: Option<String>,
    /// See [`ServiceAccount::description`].
    pub description: Patch<String>,
    /// All attributes anew.
    pub attributes: Option<BTreeMap<String, Vec<String>>>,
    /// Take it into use, or out of it.
    pub enabled: Option<bool>,
    /// See [`ServiceAccount::expires_at`].
    pub expires_at: Patch<Timestamp>,
    /// See [`ServiceAccount::owner`].
    pub owner: Patch<Party>,
    /// See [`ServiceAccount::token_lifetime_s`].
    pub token_lifetime_s: Patch<u32>,
}

impl ServiceAccountPatch {
    /// Applies the patch; answers the name, and the names of the fields that it touches.
    pub(super) fn apply(&self, account: &mut ServiceAccount) -> Result<(Name, Vec<&'static str>), Error> {
        let mut touched = Vec::new();
        if let Some(name) = &self.name {
            account.name.clone_from(name);
            touched.push("name");
        }
        if let Some(attributes) = &self.attributes {
            account.attributes.clone_from(attributes);
            touched.push("attributes");
        }
        if let Some(enabled) = self.enabled {
            account.enabled = enabled;
            touched.push("enabled");
        }
        for (name, changed) in [
            ("description", self.description.apply(&mut account.description)),
            ("expires_at", self.expires_at.apply(&mut account.expires_at)),
            ("owner", self.owner.apply(&mut account.owner)),
            ("token_lifetime_s", self.token_lifetime_s.apply(&mut account.token_lifetime_s)),
        ] {
            if changed {
                touched.push(name);
            }
        }
        Ok((account.check()?, touched))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyreeve_base::id::Id;

    fn account() -> ServiceAccount {
        ServiceAccount {
            id: Id::from_uuid(uuid::Uuid::from_u128(1)),
            tenant_id: Id::from_uuid(uuid::Uuid::from_u128(2)),
            name: " Nightly  export ".to_owned(),
            description: None,
            attributes: BTreeMap::new(),
            enabled: true,
            expires_at: None,
            owner: None,
            token_lifetime_s: None,
            created_at: Timestamp::from_seconds(0),
            updated_at: Timestamp::from_seconds(0),
            version: 1,
        }
    }

    fn problem(change: impl FnOnce(&mut ServiceAccount)) -> String {
        let mut account = account();
        change(&mut account);
        account.check().map_or_else(|error| error.to_string(), |name| name.canonical)
    }

    #[test]
    fn what_is_no_service_account_is_refused_with_the_reason() {
        assert_eq!(problem(|_| ()), "nightly export");
        let id = "0190F000-0000-7000-8000-000000000001".to_owned();
        assert_eq!(problem(|a| a.name = id), "name reads as an identifier");
        assert_eq!(problem(|a| a.owner = Some(Party::Service(a.id))), "owner must be a user or a group");
        let wrong = "token_lifetime_s must be between 60 and 86400";
        assert_eq!(problem(|a| a.token_lifetime_s = Some(59)), wrong);
        assert_eq!(problem(|a| a.token_lifetime_s = Some(86_401)), wrong);
    }

    #[test]
    fn an_account_is_over_at_its_moment() {
        let at = Timestamp::from_seconds(100);
        let account = ServiceAccount { expires_at: Some(at), ..account() };
        assert!(account.is_active(Timestamp::from_micros(at.micros() - 1)));
        assert!(!account.is_active(at));
        assert!(!ServiceAccount { enabled: false, expires_at: None, ..account }.is_active(at));
    }

    #[test]
    fn absent_null_and_value_differ_in_a_patch() {
        let patch: ServiceAccountPatch =
            serde_json::from_str(r#"{"owner":null,"token_lifetime_s":600}"#).unwrap();
        let mut changed = ServiceAccount { description: Some("kept".to_owned()), ..account() };
        let (_, touched) = patch.apply(&mut changed).unwrap();
        assert_eq!(touched, ["owner", "token_lifetime_s"]);
        assert_eq!((changed.description.as_deref(), changed.token_lifetime_s), (Some("kept"), Some(600)));
    }
}

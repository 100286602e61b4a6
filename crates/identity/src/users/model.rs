//! What a user is, what a new one is made of, and what can be changed.

use super::{fields, keys};
use crate::Error;
use crate::groups::MembershipKind;
use crate::settings::PasswordPolicy;
use keyreeve_base::{CanonicalName, GroupId, TenantId, Timestamp, UserId};
use keyreeve_crypto::Secret;
use keyreeve_store::Row;
use std::collections::BTreeMap;

/// A user, as of one moment. Shared as a snapshot; what changes it makes a new one.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct User {
    /// The identifier; never given out again.
    pub id: UserId,
    /// The tenant.
    pub tenant_id: TenantId,
    /// Who they are.
    #[serde(flatten)]
    pub profile: Profile,
    /// Whether the account is in use.
    pub enabled: bool,
    /// Whether an administrator locked it. The throttle's locks are something else, and pass by themselves.
    pub locked: bool,
    /// Whether the next sign-in must choose a new password.
    pub must_change_password: bool,
    /// When the account was archived, for good.
    pub archived_at: Option<Timestamp>,
    /// When the account was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Counts the changes; an update names the version that it changes.
    pub version: i64,
}

impl User {
    /// Whether the account itself stands in nobody's way. Admission asks this and more.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        self.enabled && !self.locked && self.archived_at.is_none()
    }

    /// What pages greet the user by: the display name, else the given and family name, else the username, else the e-mail.
    #[must_use]
    pub fn greeting(&self) -> String {
        let Profile { display_name, given_name, family_name, username, email, .. } = &self.profile;
        let full = [given_name.as_deref(), family_name.as_deref()];
        let full = full.into_iter().flatten().collect::<Vec<_>>().join(" ");
        let full = (!full.is_empty()).then_some(full);
        let names = [display_name.clone(), full, username.clone(), email.clone()];
        names.into_iter().flatten().next().unwrap_or_default()
    }

    pub(crate) fn from_row(row: &Row<'_>) -> Result<Self, keyreeve_store::Error> {
        let attributes: String = row.get(11)?;
        Ok(Self {
            id: row.get(0)?,
            tenant_id: row.get(1)?,
            profile: Profile {
                username: row.get(2)?,
                email: row.get(3)?,
                email_verified: row.get(4)?,
                given_name: row.get(5)?,
                family_name: row.get(6)?,
                display_name: row.get(7)?,
                phone_number: row.get(8)?,
                locale: row.get(9)?,
                zoneinfo: row.get(10)?,
                attributes: crate::read_json("user's attributes", &attributes)?,
            },
            enabled: row.get(12)?,
            locked: row.get(13)?,
            must_change_password: row.get(14)?,
            archived_at: row.get(15)?,
            created_at: row.get(16)?,
            updated_at: row.get(17)?,
            version: row.get(18)?,
        })
    }
}

impl std::ops::Deref for User {
    type Target = Profile;

    fn deref(&self) -> &Profile {
        &self.profile
    }
}

/// Who a user is: the part that an update can change. Texts are kept as given, trimmed.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Profile {
    /// A name to sign in with. At least one of this and `email` is there.
    pub username: Option<String>,
    /// The e-mail address; also a name to sign in with.
    pub email: Option<String>,
    /// Whether it was proved that the address is the user's.
    pub email_verified: bool,
    /// Given name or names.
    pub given_name: Option<String>,
    /// Family name or names.
    pub family_name: Option<String>,
    /// The name as the user wants it shown.
    pub display_name: Option<String>,
    /// Phone number, best in E.164 form.
    pub phone_number: Option<String>,
    /// Language tag (BCP 47).
    pub locale: Option<String>,
    /// Time zone name of the IANA database.
    pub zoneinfo: Option<String>,
    /// Whatever else the tenant keeps, each under a name with any number of values.
    pub attributes: BTreeMap<String, Vec<String>>,
}

/// An identifier that signs a user in, as the database holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identifier {
    pub(crate) canonical: CanonicalName,
    /// `username`, `email`, or `both` when they are the same name.
    pub(crate) kind: &'static str,
}

impl Profile {
    /// The profile with its texts trimmed and its values checked.
    pub(crate) fn checked(mut self) -> Result<Self, Error> {
        for (field, value, longest) in [
            ("given_name", &mut self.given_name, 200),
            ("family_name", &mut self.family_name, 200),
            ("display_name", &mut self.display_name, 200),
            ("phone_number", &mut self.phone_number, 40),
            ("locale", &mut self.locale, 35),
            ("zoneinfo", &mut self.zoneinfo, 64),
        ] {
            fields::tidy(field, value, longest)?;
            if let Some(text) = value {
                keys::check(text).map_err(|problem| Error::invalid(field, problem))?;
            }
        }
        for name in [&mut self.username, &mut self.email].into_iter().flatten() {
            *name = name.trim().to_owned();
        }
        fields::check_attributes(&self.attributes)?;
        if self.email.is_none() {
            self.email_verified = false;
        }
        self.identifiers()?;
        Ok(self)
    }

    /// What signs this user in: one or two names, in canonical form.
    pub(crate) fn identifiers(&self) -> Result<Vec<Identifier>, Error> {
        let username =
            self.username.as_deref().map(|name| fields::canonical("username", name)).transpose()?;
        let email = self.email.as_deref().map(fields::canonical_email).transpose()?;
        let of = |canonical, kind| Identifier { canonical, kind };
        match (username, email) {
            (None, None) => Err(Error::invalid("username", "or an e-mail address is needed")),
            (Some(username), Some(email)) if username == email => Ok(vec![of(username, "both")]),
            (username, email) => Ok(username
                .map(|name| of(name, "username"))
                .into_iter()
                .chain(email.map(|name| of(name, "email")))
                .collect()),
        }
    }
}

/// What a new user signs in with.
#[derive(Debug, Default)]
pub enum Credential {
    /// Nothing yet.
    #[default]
    None,
    /// A password, which must meet the tenant's policy.
    Password(Secret),
    /// A password, which must meet this policy instead: for doors whose contract has rules of its own.
    PasswordUnder(Secret, PasswordPolicy),
    /// A hash that another system made; see [`keyreeve_crypto::password::imported`].
    ImportedHash(String),
}

/// What a new user is made of.
#[derive(Debug)]
pub struct NewUser {
    /// Who they are.
    pub profile: Profile,
    /// What they sign in with.
    pub credential: Credential,
    /// Whether the account is in use from the start.
    pub enabled: bool,
    /// Whether the first sign-in must choose a new password.
    pub must_change_password: bool,
    /// Whether they administer the tenant from the start (see [`crate::TENANT_ADMIN`]).
    pub tenant_administrator: bool,
    /// The group that they are in from the start.
    pub group: Option<(GroupId, MembershipKind)>,
}

impl Default for NewUser {
    fn default() -> Self {
        Self {
            profile: Profile::default(),
            credential: Credential::None,
            enabled: true,
            must_change_password: false,
            tenant_administrator: false,
            group: None,
        }
    }
}

/// What to do with one field that may be absent: keeping it and removing it are different things.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Patch<T> {
    /// Leave it.
    #[default]
    Keep,
    /// Remove it.
    Clear,
    /// Give it this value.
    Set(T),
}

impl<T: Clone> Patch<T> {
    /// Applies it to a field; says whether it touches it.
    pub fn apply(&self, value: &mut Option<T>) -> bool {
        match self {
            Self::Keep => return false,
            Self::Clear => *value = None,
            Self::Set(new) => *value = Some(new.clone()),
        }
        true
    }
}

impl<'de, T: serde::Deserialize<'de>> serde::Deserialize<'de> for Patch<T> {
    /// `null` removes; a value sets. Absence is the field's `#[serde(default)]`.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::<T>::deserialize(deserializer)?.map_or(Self::Clear, Self::Set))
    }
}

/// What to change of a profile; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProfilePatch {
    /// See [`Profile::username`].
    pub username: Patch<String>,
    /// See [`Profile::email`]. A new address counts as not verified unless `email_verified` says otherwise.
    pub email: Patch<String>,
    /// See [`Profile::email_verified`].
    pub email_verified: Option<bool>,
    /// See [`Profile::given_name`].
    pub given_name: Patch<String>,
    /// See [`Profile::family_name`].
    pub family_name: Patch<String>,
    /// See [`Profile::display_name`].
    pub display_name: Patch<String>,
    /// See [`Profile::phone_number`].
    pub phone_number: Patch<String>,
    /// See [`Profile::locale`].
    pub locale: Patch<String>,
    /// See [`Profile::zoneinfo`].
    pub zoneinfo: Patch<String>,
    /// All attributes anew.
    pub attributes: Option<BTreeMap<String, Vec<String>>>,
}

impl ProfilePatch {
    /// The profile after the patch, and the names of the fields that it touches.
    pub(crate) fn apply(&self, mut profile: Profile) -> Result<(Profile, Vec<&'static str>), Error> {
        let former_email = profile.email.clone();
        let mut touched = Vec::new();
        for (name, patch, value) in [
            ("username", &self.username, &mut profile.username),
            ("email", &self.email, &mut profile.email),
            ("given_name", &self.given_name, &mut profile.given_name),
            ("family_name", &self.family_name, &mut profile.family_name),
            ("display_name", &self.display_name, &mut profile.display_name),
            ("phone_number", &self.phone_number, &mut profile.phone_number),
            ("locale", &self.locale, &mut profile.locale),
            ("zoneinfo", &self.zoneinfo, &mut profile.zoneinfo),
        ] {
            if patch.apply(value) {
                touched.push(name);
            }
        }
        if profile.email != former_email {
            profile.email_verified = false;
        }
        if let Some(verified) = self.email_verified {
            profile.email_verified = verified;
            touched.push("email_verified");
        }
        if let Some(attributes) = &self.attributes {
            profile.attributes.clone_from(attributes);
            touched.push("attributes");
        }
        Ok((profile.checked()?, touched))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(username: Option<&str>, email: Option<&str>) -> Profile {
        Profile { username: username.map(Into::into), email: email.map(Into::into), ..Profile::default() }
    }

    fn identifiers(username: Option<&str>, email: Option<&str>) -> Vec<(String, &'static str)> {
        let found = profile(username, email).identifiers().unwrap();
        found.into_iter().map(|i| (i.canonical.as_str().to_owned(), i.kind)).collect()
    }

    #[test]
    fn one_name_for_both_is_one_identifier() {
        assert_eq!(
            identifiers(Some("Ada@Example.org"), Some("ada@example.ORG")),
            [("ada@example.org".into(), "both")]
        );
        assert_eq!(
            identifiers(Some("Ada"), Some("ada@example.org")),
            [("ada".into(), "username"), ("ada@example.org".into(), "email")]
        );
        assert!(profile(None, None).identifiers().is_err());
    }

    #[test]
    fn absent_null_and_value_differ_in_a_patch() {
        let patch: ProfilePatch =
            serde_json::from_str(r#"{"given_name":null,"family_name":"Byron"}"#).unwrap();
        assert_eq!(
            (patch.given_name, patch.family_name, patch.locale),
            (Patch::Clear, Patch::Set("Byron".to_owned()), Patch::Keep)
        );
    }

    #[test]
    fn a_new_address_is_not_verified() {
        let before = Profile { email_verified: true, ..profile(None, Some("ada@example.org")) };
        let patch =
            |email: &str| ProfilePatch { email: Patch::Set(email.to_owned()), ..ProfilePatch::default() };
        let (after, touched) = patch("ada@example.com").apply(before.clone()).unwrap();
        assert!(!after.email_verified);
        assert_eq!(touched, ["email"]);
        assert!(patch("ada@example.org").apply(before).unwrap().0.email_verified);
    }

    #[test]
    fn an_empty_text_is_no_text() {
        let given =
            Profile { given_name: Some("  ".to_owned()), ..profile(Some(" ada "), None) }.checked().unwrap();
        assert_eq!((given.given_name, given.username.as_deref()), (None, Some("ada")));
    }
}

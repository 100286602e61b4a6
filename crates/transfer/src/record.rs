//! One line of an import or an export: a JSON object that says in `type` what it is.
//!
//! Groups, users and roles are referred to by name, or by identifier in a field of their own (`group_id`). A field that
//! is absent leaves what is there alone; `null` removes it.

mod read;

pub use read::read;

use keyreeve_base::{GroupId, RoleId, ServiceAccountId, Timestamp, UserId};
use keyreeve_identity::{MembershipKind, Patch};
use keyreeve_tokens::ClientSettings;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

/// One line.
pub enum Record {
    /// A user.
    User(Box<UserRecord>),
    /// A group.
    Group(GroupRecord),
    /// A member of a group.
    Membership(MembershipRecord),
    /// A role.
    Role(RoleRecord),
    /// Somebody who has a role.
    RoleHolder(RoleHolderRecord),
    /// An OAuth client.
    Client(Box<ClientRecord>),
}

/// A moment as RFC 3339 text, to the microsecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(pub Timestamp);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let moment: jiff::Timestamp =
            text.parse().map_err(|_| serde::de::Error::custom("is no moment of the form of RFC 3339"))?;
        Ok(Self(Timestamp::from_micros(moment.as_microsecond())))
    }
}

/// The word in `type`: known when the record is read, and written with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Word;

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

/// A patch field of a record.
mod patch {
    use keyreeve_identity::Patch;
    use serde::{Serialize, Serializer};

    pub(super) fn is_kept<T>(patch: &Patch<T>) -> bool {
        matches!(patch, Patch::Keep)
    }

    pub(super) fn write<T: Serialize, S: Serializer>(
        patch: &Patch<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match patch {
            Patch::Set(value) => value.serialize(serializer),
            Patch::Keep | Patch::Clear => serializer.serialize_none(),
        }
    }
}

/// A value as a patch field: absent when there is none.
pub(crate) fn set<T>(value: Option<T>) -> Patch<T> {
    value.map_or(Patch::Keep, Patch::Set)
}

/// A user. The hash of the password is a secret: this has no `Debug`.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UserRecord {
    /// The word in `type`, which is read apart.
    #[serde(rename = "type", skip_serializing)]
    pub kind_word: Word,
    /// The identifier; kept where nobody else has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<UserId>,
    /// A name to sign in with.
    #[serde(skip_serializing_if = "patch::is_kept", serialize_with = "patch::write")]
    pub username: Patch<String>,
    /// The e-mail address.
    #[serde(skip_serializing_if = "patch::is_kept", serialize_with = "patch::write")]
    pub email: Patch<String>,
    /// Whether it was proved that the address is the user's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email_verified: Option<bool>,
    /// Given name or names.
    #[serde(skip_serializing_if = "patch::is_kept", serialize_with = "patch::write")]
    pub given_name: Patch<String>,
    /// Family name or names.
    #[serde(skip_serializing_if = "patch::is_kept", serialize_with = "patch::write")]
    pub family_name: Patch<String>,
    /// The name as the user wants it shown.
    #[serde(skip_serializing_if = "patch::is_kept", serialize_with = "patch::write")]
    pub display_name: Patch<String>,
    /// Phone number.
    #[serde(skip_serializing_if = "patch::is_kept", serialize_with = "patch::write")]
    pub phone_number: Patch<String>,
    /// Language tag.
    #[serde(skip_serializing_if = "patch::is_kept", serialize_with = "patch::write")]
    pub locale: Patch<String>,
    /// Time zone name.
    #[serde(skip_serializing_if = "patch::is_kept", serialize_with = "patch::write")]
    pub zoneinfo: Patch<String>,
    /// All attributes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attributes: Option<BTreeMap<String, Vec<String>>>,
    /// Whether the account is in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Whether an administrator locked it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locked: Option<bool>,
    /// Whether the next sign-in must choose a new password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub must_change_password: Option<bool>,
    /// The hash of the password, of any kind that [`keyreeve_crypto::password::imported`] knows; kept as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<String>,
    /// Second factors by time (RFC 6238).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub totp: Vec<TotpRecord>,
    /// When the account was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Moment>,
    /// When it was last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Moment>,
}

/// A second factor by time. The secret has no `Debug`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TotpRecord {
    /// The shared secret, in base32 without padding (RFC 4648).
    pub secret: String,
    /// `SHA1`, `SHA256` or `SHA512`.
    #[serde(default = "sha1")]
    pub algorithm: String,
    /// How many digits a code has.
    #[serde(default = "six")]
    pub digits: u8,
    /// For how many seconds a code is good.
    #[serde(default = "thirty")]
    pub period: u32,
    /// What the user calls the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

fn sha1() -> String {
    "SHA1".to_owned()
}

const fn six() -> u8 {
    6
}

const fn thirty() -> u32 {
    30
}

/// A group.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GroupRecord {
    /// The word in `type`, which is read apart.
    #[serde(rename = "type", skip_serializing)]
    pub kind_word: Word,
    /// The identifier; kept where no other group has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<GroupId>,
    /// The name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it is for.
    #[serde(skip_serializing_if = "patch::is_kept", serialize_with = "patch::write")]
    pub description: Patch<String>,
    /// All attributes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attributes: Option<BTreeMap<String, Vec<String>>>,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Moment>,
    /// When it was last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Moment>,
}

/// Who is a member or has a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartyName {
    /// A user by username or e-mail address.
    User(String),
    /// A user by identifier.
    UserId(UserId),
    /// A group by name.
    Group(String),
    /// A group by identifier.
    GroupId(GroupId),
    /// A service account by name.
    ServiceAccount(String),
    /// A service account by identifier.
    ServiceAccountId(ServiceAccountId),
}

impl PartyName {
    fn shown(&self) -> String {
        match self {
            Self::User(name) | Self::Group(name) | Self::ServiceAccount(name) => name.clone(),
            Self::UserId(id) => id.to_string(),
            Self::GroupId(id) => id.to_string(),
            Self::ServiceAccountId(id) => id.to_string(),
        }
    }
}

/// A member of a group.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MembershipRecord {
    /// The word in `type`, which is read apart.
    #[serde(rename = "type", skip_serializing, default)]
    pub kind_word: Word,
    /// The group by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The group by identifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<GroupId>,
    /// Who is in it.
    pub member: PartyName,
    /// As what.
    #[serde(default = "member")]
    pub kind: MembershipKind,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added_at: Option<Moment>,
}

const fn member() -> MembershipKind {
    MembershipKind::Member
}

/// A role of the tenant or of an OAuth client.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RoleRecord {
    /// The word in `type`, which is read apart.
    #[serde(rename = "type", skip_serializing)]
    pub kind_word: Word,
    /// The identifier; kept where no other role has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<RoleId>,
    /// The name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The `client_id` of the client that it is a role of; none for the tenant's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// What it is for.
    #[serde(skip_serializing_if = "patch::is_kept", serialize_with = "patch::write")]
    pub description: Patch<String>,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Moment>,
    /// When it was last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Moment>,
}

/// Somebody who has a role.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleHolderRecord {
    /// The word in `type`, which is read apart.
    #[serde(rename = "type", skip_serializing, default)]
    pub kind_word: Word,
    /// The role by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The `client_id` of the client that it is a role of; none for the tenant's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// The role by identifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_id: Option<RoleId>,
    /// Who has it.
    pub holder: PartyName,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_at: Option<Moment>,
}

/// An OAuth client. A secret in clear is one: this has no `Debug`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientRecord {
    /// The word in `type`, which is read apart.
    #[serde(rename = "type", skip_serializing, default)]
    pub kind_word: Word,
    /// Its name on the wire.
    pub client_id: String,
    /// Everything that an operator sets.
    pub settings: ClientSettings,
    /// A secret as the application has it. Only its digest is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// The digests of its secrets, as an export has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretRecord>,
}

/// The digest of a client's secret.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretRecord {
    /// SHA-256 as Keyreeve makes it, in base64url.
    pub digest: String,
    /// Until when the secret is good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Moment>,
}

#[derive(Serialize)]
struct Tagged<'a, T> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(flatten)]
    record: &'a T,
}

impl Record {
    /// The word in `type`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Group(_) => "group",
            Self::Membership(_) => "membership",
            Self::Role(_) => "role",
            Self::RoleHolder(_) => "role_holder",
            Self::Client(_) => "client",
        }
    }

    /// What a report calls it: its kind and a name.
    #[must_use]
    pub fn about(&self) -> String {
        let set = |patch: &Patch<String>| match patch {
            Patch::Set(text) => Some(text.clone()),
            Patch::Keep | Patch::Clear => None,
        };
        let name = match self {
            Self::User(user) => set(&user.username).or_else(|| set(&user.email)),
            Self::Group(group) => group.name.clone(),
            Self::Membership(of) => of.group.clone().map(|group| format!("{group}: {}", of.member.shown())),
            Self::Role(role) => role.name.clone(),
            Self::RoleHolder(of) => of.role.clone().map(|role| format!("{role}: {}", of.holder.shown())),
            Self::Client(client) => Some(client.client_id.clone()),
        };
        name.map_or_else(|| self.kind().to_owned(), |name| format!("{} {name}", self.kind()))
    }

    /// Appends the record as one line, with its end.
    ///
    /// # Errors
    /// A value that has no JSON form, which no record's is.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        let kind = self.kind();
        match self {
            Self::User(record) => serde_json::to_writer(&mut *out, &Tagged { kind, record })?,
            Self::Group(record) => serde_json::to_writer(&mut *out, &Tagged { kind, record })?,
            Self::Membership(record) => serde_json::to_writer(&mut *out, &Tagged { kind, record })?,
            Self::Role(record) => serde_json::to_writer(&mut *out, &Tagged { kind, record })?,
            Self::RoleHolder(record) => serde_json::to_writer(&mut *out, &Tagged { kind, record })?,
            Self::Client(record) => serde_json::to_writer(&mut *out, &Tagged { kind, record })?,
        }
        out.push(b'\n');
        Ok(())
    }
}

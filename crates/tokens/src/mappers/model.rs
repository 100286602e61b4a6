//! What a mapper is, and which ones are acceptable.

use crate::error::Error;
use crate::scope::ScopeSet;
use keyreeve_base::{ClientId, TenantId, Timestamp};
use keyreeve_store::Row;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
use uuid::Uuid;

/// The most mappers of a tenant, and apart from them of a client.
pub const MAX_MAPPERS: usize = 50;
/// The deepest that a claim's path nests objects.
pub const MAX_PATH_SEGMENTS: usize = 5;
const MAX_PATH_BYTES: usize = 200;
const MAX_NAME_CHARS: usize = 100;
const MAX_TEXT_BYTES: usize = 500;
/// The longest constant, in bytes of its JSON.
const MAX_CONSTANT_BYTES: usize = 2_000;

/// Claims that only the server itself writes: those of the protocol (RFC 7519, RFC 9068, RFC 7662, RFC 8693, RFC 7800,
/// OpenID Connect Core and Logout), and what it vouches for about a user.
const RESERVED: [&str; 32] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "nonce",
    "azp",
    "gid",
    "sid",
    "cnf",
    "act",
    "src",
    "may_act",
    "client_id",
    "scope",
    "scp",
    "auth_time",
    "acr",
    "amr",
    "at_hash",
    "c_hash",
    "s_hash",
    "events",
    "toe",
    "txn",
    "active",
    "token_type",
    "username",
    "email_verified",
    "phone_number_verified",
];

/// Where a mapper's values come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// The values of an attribute of the user or of the service account.
    UserAttribute {
        /// The attribute's name.
        attribute: String,
    },
    /// The names of the tenant's roles that the subject has, by itself and by its groups.
    TenantRoles {},
    /// The names of the roles of a client that the subject has, by itself and by its groups.
    ClientRoles {
        /// The client; without it, the one that the token is issued to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client: Option<ClientId>,
    },
    /// The names of the groups that the subject is in.
    Groups {
        /// Which of them.
        #[serde(default)]
        membership: Membership,
        /// What is told of each.
        #[serde(default)]
        value: GroupValue,
    },
    /// Always the same.
    Constant {
        /// What.
        value: Value,
    },
    /// A further audience of the access token; has no claim of its own.
    Audience {
        /// The audience.
        audience: String,
    },
}

/// Which groups are meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Membership {
    /// All that hold the subject, through whatever nest.
    #[default]
    Full,
    /// Those of which it is a member itself.
    Direct,
}

/// What is told of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupValue {
    /// Its name.
    #[default]
    Name,
    /// Its identifier, which outlives a renaming.
    Id,
}

/// What a value is written as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueType {
    /// As text.
    #[default]
    String,
    /// As a whole number of 64 bits; a value that is none is left out.
    Integer,
    /// As `true` or `false`; a value that is neither is left out.
    Boolean,
    /// As the JSON that the value is; one that is none is left out.
    Json,
}

/// Where a claim is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// In access tokens.
    AccessToken,
    /// In ID tokens.
    IdToken,
    /// At the userinfo endpoint.
    Userinfo,
    /// By introspection, as of the moment when it is asked.
    Introspection,
}

/// A claim's place: names joined by dots, each but the last one an object. A backslash takes a dot into a name, as in
/// `https://example\.org/roles`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClaimPath(Vec<String>);

impl ClaimPath {
    /// Reads a path.
    ///
    /// # Errors
    /// [`Error::Invalid`]: empty, too long, too deep, or below a claim that only the server writes.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wrong = |problem: String| Error::invalid("claim", problem);
        if text.len() > MAX_PATH_BYTES || text.chars().any(|c| c.is_control() || c == '"') {
            return Err(wrong(format!(
                "must have at most {MAX_PATH_BYTES} bytes, without quotation marks and control characters"
            )));
        }
        let mut names = vec![String::new()];
        let mut escaped = false;
        for c in text.chars() {
            match (c, escaped) {
                ('\\', false) => {
                    escaped = true;
                    continue;
                }
                ('.', false) => names.push(String::new()),
                ('.' | '\\', true) | (_, false) => {
                    if let Some(name) = names.last_mut() {
                        name.push(c);
                    }
                }
                (_, true) => return Err(wrong("has a backslash before what needs none".to_owned())),
            }
            escaped = false;
        }
        if escaped || names.iter().any(String::is_empty) {
            return Err(wrong("must be names joined by single dots".to_owned()));
        }
        if names.len() > MAX_PATH_SEGMENTS {
            return Err(wrong(format!("nests deeper than {MAX_PATH_SEGMENTS} names")));
        }
        if let Some(first) = names.first().filter(|first| RESERVED.contains(&first.as_str())) {
            return Err(wrong(format!("is {first}, which only the server itself writes")));
        }
        Ok(Self(names))
    }

    /// The names on the way, outermost first; there is at least one.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

impl TryFrom<String> for ClaimPath {
    type Error = Error;
    fn try_from(text: String) -> Result<Self, Error> {
        Self::parse(&text)
    }
}

impl From<ClaimPath> for String {
    fn from(path: ClaimPath) -> Self {
        let names: Vec<Self> =
            path.0.iter().map(|name| name.replace('\\', "\\\\").replace('.', "\\.")).collect();
        names.join(".")
    }
}

/// What an operator sets of a mapper. Kept as one JSON document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MapperSettings {
    /// What people call it; unique among the mappers of the same owner.
    pub name: String,
    /// Where its values come from.
    pub source: Source,
    /// Where its values go; every source but [`Source::Audience`] needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<ClaimPath>,
    /// What a value is written as; roles and groups are text.
    #[serde(default)]
    pub value_type: ValueType,
    /// Whether the claim is an array of all values; else it is the first one, by the alphabet for roles and groups.
    #[serde(default)]
    pub multivalued: bool,
    /// Where the claim is told.
    pub targets: BTreeSet<Target>,
    /// The scope that has to be granted for it; without it, it is told always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

impl MapperSettings {
    /// A mapper into access tokens, of all values as text.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a claim that no mapper may write.
    pub fn new(name: &str, source: Source, claim: &str) -> Result<Self, Error> {
        Ok(Self {
            name: name.to_owned(),
            source,
            claim: Some(ClaimPath::parse(claim)?),
            value_type: ValueType::String,
            multivalued: true,
            targets: [Target::AccessToken].into(),
            scope: None,
        })
    }

    /// Checks the settings against each other and against their limits.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the first field that is not acceptable.
    pub fn validate(&self) -> Result<(), Error> {
        check_name(&self.name)?;
        if self.targets.is_empty() {
            return Err(Error::invalid("targets", "must name at least one"));
        }
        let is_audience = matches!(self.source, Source::Audience { .. });
        if is_audience == self.claim.is_some() {
            let problem = if is_audience { "is not for an audience" } else { "is missing" };
            return Err(Error::invalid("claim", problem));
        }
        if let Some(scope) = &self.scope {
            let one =
                ScopeSet::parse(scope).is_ok_and(|set| set.as_str() == scope && set.iter().count() == 1);
            if !one {
                return Err(Error::invalid("scope", "must be one scope"));
            }
        }
        self.check_source()
    }

    fn check_source(&self) -> Result<(), Error> {
        match &self.source {
            Source::UserAttribute { attribute } => {
                let plain = !attribute.chars().any(char::is_control);
                if attribute.is_empty() || attribute.len() > MAX_TEXT_BYTES || !plain {
                    return Err(Error::invalid("source.attribute", "must be the name of an attribute"));
                }
                Ok(())
            }
            Source::TenantRoles {} | Source::ClientRoles { .. } | Source::Groups { .. } => {
                if self.value_type == ValueType::String {
                    Ok(())
                } else {
                    Err(Error::invalid("value_type", "must be string for roles and groups"))
                }
            }
            Source::Constant { value } => self.check_constant(value),
            Source::Audience { audience } => {
                if self.targets.iter().any(|target| *target != Target::AccessToken) {
                    return Err(Error::invalid("targets", "can only be access_token for an audience"));
                }
                crate::clients::check_identifier("source.audience", audience)
            }
        }
    }

    fn check_constant(&self, value: &Value) -> Result<(), Error> {
        let fits = match self.value_type {
            ValueType::String => value.is_string(),
            ValueType::Integer => value.is_i64(),
            ValueType::Boolean => value.is_boolean(),
            ValueType::Json => !value.is_null(),
        };
        if !fits {
            return Err(Error::invalid("source.value", "is not of the type that value_type names"));
        }
        if value.to_string().len() > MAX_CONSTANT_BYTES {
            return Err(Error::invalid("source.value", format!("is longer than {MAX_CONSTANT_BYTES} bytes")));
        }
        Ok(())
    }
}

fn check_name(name: &str) -> Result<(), Error> {
    let length = name.chars().count();
    let plain = name.trim() == name && !name.chars().any(char::is_control);
    if plain && (1..=MAX_NAME_CHARS).contains(&length) {
        return Ok(());
    }
    Err(Error::invalid("name", format!("must have 1 to {MAX_NAME_CHARS} characters, without space around")))
}

/// A mapper, as of one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapper {
    /// Its identifier.
    pub id: Uuid,
    /// Its tenant.
    pub tenant_id: TenantId,
    /// The client whose tokens it is for; none for those of all clients of the tenant.
    pub client: Option<ClientId>,
    /// What an operator set.
    pub settings: MapperSettings,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Raised by every change.
    pub version: i64,
}

impl Mapper {
    pub(super) fn from_row(row: &Row<'_>) -> Result<Self, keyreeve_store::Error> {
        let settings: String = row.get(3)?;
        Ok(Self {
            id: row.get(0)?,
            tenant_id: row.get(1)?,
            client: row.get(2)?,
            settings: serde_json::from_str(&settings)
                .map_err(|e| keyreeve_store::Error::corrupt(format!("a mapper's settings: {e}")))?,
            created_at: row.get(4)?,
            updated_at: row.get(5)?,
            version: row.get(6)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn roles() -> MapperSettings {
        MapperSettings::new("Roles", Source::TenantRoles {}, "realm_access.roles").unwrap()
    }

    #[track_caller]
    fn refused(field: &str, change: impl FnOnce(&mut MapperSettings)) {
        let mut settings = roles();
        change(&mut settings);
        match settings.validate() {
            Err(Error::Invalid { field: named, .. }) => assert_eq!(named, field),
            other => panic!("expected {field} to be refused, found {other:?}"),
        }
    }

    #[test]
    fn paths_are_names_between_dots() {
        let names = |text: &str| ClaimPath::parse(text).unwrap().names().to_vec();
        assert_eq!(names("roles"), ["roles"]);
        assert_eq!(names("realm_access.roles"), ["realm_access", "roles"]);
        assert_eq!(names("https://example\\.org/roles"), ["https://example.org/roles"]);
        assert_eq!(names("a\\\\b.c"), ["a\\b", "c"]);
        for bad in
            ["", ".", "a.", ".a", "a..b", "a\\", "a\\b", "a\"b", "a\nb", "a.b.c.d.e.f", &"x".repeat(201)]
        {
            assert!(ClaimPath::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ac_34_what_the_server_says_itself_no_mapper_says() {
        for name in RESERVED {
            assert!(ClaimPath::parse(name).is_err(), "{name}");
            assert!(ClaimPath::parse(&format!("{name}.x")).is_err(), "{name}.x");
        }
        assert!(ClaimPath::parse("x.sub").is_ok(), "only the outermost name counts");
        assert!(serde_json::from_value::<ClaimPath>(json!("sub")).is_err(), "not by way of JSON either");
    }

    #[test]
    fn contradictions_are_refused_by_field() {
        roles().validate().unwrap();
        refused("name", |s| s.name = " x".into());
        refused("targets", |s| s.targets.clear());
        refused("claim", |s| s.claim = None);
        refused("claim", |s| s.source = Source::Audience { audience: "https://api.example".into() });
        refused("scope", |s| s.scope = Some("a b".into()));
        refused("scope", |s| s.scope = Some(String::new()));
        refused("value_type", |s| s.value_type = ValueType::Integer);
        refused("source.attribute", |s| s.source = Source::UserAttribute { attribute: String::new() });
        refused("source.value", |s| s.source = Source::Constant { value: json!(1) });
        refused("source.value", |s| s.source = Source::Constant { value: json!("x".repeat(2_001)) });
        refused("targets", |s| {
            s.claim = None;
            s.source = Source::Audience { audience: "https://api.example".into() };
            s.targets.insert(Target::IdToken);
        });
    }

    #[test]
    fn settings_survive_a_round_trip() {
        let text = serde_json::to_string(&roles()).unwrap();
        assert_eq!(serde_json::from_str::<MapperSettings>(&text).unwrap(), roles());
        let small =
            json!({"name": "n", "source": {"kind": "groups"}, "claim": "groups", "targets": ["userinfo"]});
        let read: MapperSettings = serde_json::from_value(small).unwrap();
        read.validate().unwrap();
        assert!(
            serde_json::from_value::<MapperSettings>(json!({"name": "n", "source": {"kind": "script"}}))
                .is_err()
        );
    }

    proptest! {
        #[test]
        fn a_path_that_is_read_is_written_the_same(text in "[a-z.\\\\]{0,20}") {
            if let Ok(path) = ClaimPath::parse(&text) {
                prop_assert_eq!(String::from(path), text);
            }
        }
    }
}

//! Claims about a user: which are asked for (by scopes and by the `claims` parameter), and what they say.
//!
//! Pure: no database, no clock.

use crate::scope::ScopeSet;
use keyreeve_identity::User;
use serde_json::{Map, Value};

/// The longest `claims` parameter that is read, in bytes.
pub const MAX_CLAIMS_PARAMETER_BYTES: usize = 4_000;
/// The most claims that one member of the `claims` parameter may name.
const MAX_REQUESTED_CLAIMS: usize = 60;
/// The most values that a request may list for one claim.
const MAX_VALUES: usize = 20;

macro_rules! claims {
    ($($(#[$doc:meta])* $variant:ident = $name:literal of $scope:literal;)*) => {
        /// The claims that can be told (OpenID Connect Core section 5.1).
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Claim { $($(#[$doc])* $variant),* }

        impl Claim {
            /// Every claim.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name in a token.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// The scope that asks for it (OpenID Connect Core section 5.4).
            #[must_use]
            pub const fn scope(self) -> &'static str {
                match self { $(Self::$variant => $scope),* }
            }
        }
    };
}

claims! {
    /// The name to show.
    Name = "name" of "profile";
    /// The family name.
    FamilyName = "family_name" of "profile";
    /// The given name.
    GivenName = "given_name" of "profile";
    /// Middle names; from the attribute of that name, like every claim below that the user record has no field for.
    MiddleName = "middle_name" of "profile";
    /// The nickname.
    Nickname = "nickname" of "profile";
    /// The user name.
    PreferredUsername = "preferred_username" of "profile";
    /// The address of the profile page.
    Profile = "profile" of "profile";
    /// The address of a picture.
    Picture = "picture" of "profile";
    /// The address of the home page.
    Website = "website" of "profile";
    /// The gender.
    Gender = "gender" of "profile";
    /// The birthday, `YYYY-MM-DD`.
    Birthdate = "birthdate" of "profile";
    /// The time zone.
    Zoneinfo = "zoneinfo" of "profile";
    /// The language.
    Locale = "locale" of "profile";
    /// When the user record last changed.
    UpdatedAt = "updated_at" of "profile";
    /// The e-mail address.
    Email = "email" of "email";
    /// Whether the e-mail address was verified.
    EmailVerified = "email_verified" of "email";
    /// The postal address, an object.
    Address = "address" of "address";
    /// The telephone number.
    PhoneNumber = "phone_number" of "phone";
    /// Whether the telephone number was verified.
    PhoneNumberVerified = "phone_number_verified" of "phone";
}

impl Claim {
    /// The claim of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|claim| claim.name() == name)
    }

    const fn bit(self) -> u32 {
        1 << self as u8
    }
}

/// A set of [`Claim`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClaimSet(u32);

impl ClaimSet {
    /// The claims that the scopes ask for.
    #[must_use]
    pub fn of_scope(scope: &ScopeSet) -> Self {
        let mut set = Self::default();
        for token in scope.iter() {
            Claim::ALL.iter().filter(|claim| claim.scope() == token).for_each(|claim| set.insert(*claim));
        }
        set
    }

    /// Adds a claim.
    pub const fn insert(&mut self, claim: Claim) {
        self.0 |= claim.bit();
    }

    /// Whether `claim` is a member.
    #[must_use]
    pub const fn contains(self, claim: Claim) -> bool {
        self.0 & claim.bit() != 0
    }

    /// The members of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether there is no member.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The members in order.
    pub fn iter(self) -> impl Iterator<Item = Claim> {
        Claim::ALL.iter().copied().filter(move |claim| self.contains(*claim))
    }
}

impl serde::Serialize for ClaimSet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Claim::name))
    }
}

impl<'de> serde::Deserialize<'de> for ClaimSet {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        let mut set = Self::default();
        names.iter().filter_map(|name| Claim::from_name(name)).for_each(|claim| set.insert(claim));
        Ok(set)
    }
}

/// What the `claims` parameter asks for (OpenID Connect Core section 5.5). Claims that are not known are ignored, as
/// the specification wants it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct ClaimsRequest {
    /// For the userinfo endpoint.
    #[serde(skip_serializing_if = "ClaimSet::is_empty_ref")]
    pub userinfo: ClaimSet,
    /// For the ID token.
    #[serde(skip_serializing_if = "ClaimSet::is_empty_ref")]
    pub id_token: ClaimSet,
    /// The user that the request is about: anybody else must not be signed in for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// Authentication contexts, one of which the request calls essential.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub essential_acr: Vec<String>,
}

impl ClaimSet {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
    const fn is_empty_ref(&self) -> bool {
        self.is_empty()
    }
}

/// The `claims` parameter is not what OpenID Connect Core section 5.5 describes; says what is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("claims {0}")]
pub struct BadClaims(&'static str);

impl ClaimsRequest {
    /// Reads the `claims` parameter.
    ///
    /// # Errors
    /// [`BadClaims`] when it is too large, not JSON, or not of the shape that the specification gives it.
    pub fn parse(text: &str) -> Result<Self, BadClaims> {
        if text.len() > MAX_CLAIMS_PARAMETER_BYTES {
            return Err(BadClaims("is too long"));
        }
        let document: Map<String, Value> =
            serde_json::from_str(text).map_err(|_| BadClaims("is not a JSON object"))?;
        let mut request = Self::default();
        let mut requested_sub = None;
        for (member, target) in [("userinfo", &mut request.userinfo), ("id_token", &mut request.id_token)] {
            for (name, demand) in members(&document, member)? {
                let demand = Demand::parse(demand)?;
                if let Some(claim) = Claim::from_name(name) {
                    target.insert(claim);
                }
                if name == "sub" && !demand.values.is_empty() {
                    requested_sub = demand.values.into_iter().next();
                } else if name == "acr" && demand.essential {
                    request.essential_acr = demand.values;
                }
            }
        }
        request.sub = requested_sub;
        Ok(request)
    }

    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn members<'a>(
    document: &'a Map<String, Value>,
    member: &str,
) -> Result<impl Iterator<Item = (&'a String, &'a Value)>, BadClaims> {
    let object = match document.get(member) {
        None | Some(Value::Null) => None,
        Some(Value::Object(object)) if object.len() <= MAX_REQUESTED_CLAIMS => Some(object),
        Some(Value::Object(_)) => return Err(BadClaims("names too many claims")),
        Some(_) => return Err(BadClaims("must hold objects in userinfo and id_token")),
    };
    Ok(object.into_iter().flatten())
}

/// What a request says about one claim.
struct Demand {
    essential: bool,
    values: Vec<String>,
}

impl Demand {
    fn parse(value: &Value) -> Result<Self, BadClaims> {
        let object = match value {
            Value::Null => return Ok(Self { essential: false, values: Vec::new() }),
            Value::Object(object) => object,
            _ => return Err(BadClaims("must give null or an object for each claim")),
        };
        let essential = match object.get("essential") {
            None => false,
            Some(Value::Bool(essential)) => *essential,
            Some(_) => return Err(BadClaims("must give true or false for essential")),
        };
        let values = match (object.get("value"), object.get("values")) {
            (Some(value), _) => std::slice::from_ref(value),
            (None, Some(Value::Array(values))) if values.len() <= MAX_VALUES => values,
            (None, Some(_)) => return Err(BadClaims("must give a short array for values")),
            (None, None) => &[],
        };
        let values = values.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect();
        Ok(Self { essential, values })
    }
}

/// What `user` says for the wanted claims, as members of an ID token or of a userinfo answer. A claim without a value
/// is left out (OpenID Connect Core section 5.3.2).
#[must_use]
pub fn describe(user: &User, wanted: ClaimSet) -> Map<String, Value> {
    let mut claims = Map::new();
    for claim in wanted.iter() {
        if let Some(value) = value_of(user, claim) {
            claims.insert(claim.name().to_owned(), value);
        }
    }
    claims
}

fn value_of(user: &User, claim: Claim) -> Option<Value> {
    let text = |field: &Option<String>| field.clone().map(Value::String);
    match claim {
        Claim::Name => text(&user.display_name).or_else(|| full_name(user)),
        Claim::FamilyName => text(&user.family_name),
        Claim::GivenName => text(&user.given_name),
        Claim::PreferredUsername => text(&user.username),
        Claim::Zoneinfo => text(&user.zoneinfo),
        Claim::Locale => text(&user.locale),
        Claim::UpdatedAt => Some(user.updated_at.seconds().into()),
        Claim::Email => text(&user.email),
        Claim::EmailVerified => user.email.as_ref().map(|_| user.email_verified.into()),
        Claim::PhoneNumber => text(&user.phone_number),
        // Nothing here verifies telephone numbers, and saying nothing could be read as consent.
        Claim::PhoneNumberVerified => user.phone_number.as_ref().map(|_| false.into()),
        Claim::Address => address(user),
        Claim::MiddleName
        | Claim::Nickname
        | Claim::Profile
        | Claim::Picture
        | Claim::Website
        | Claim::Gender
        | Claim::Birthdate => attribute(user, claim.name()).map(Value::String),
    }
}

fn full_name(user: &User) -> Option<Value> {
    match (&user.given_name, &user.family_name) {
        (Some(given), Some(family)) => Some(format!("{given} {family}").into()),
        (Some(one), None) | (None, Some(one)) => Some(one.clone().into()),
        (None, None) => None,
    }
}

/// The postal address (OpenID Connect Core section 5.1.1) from the attributes of the same names.
fn address(user: &User) -> Option<Value> {
    let parts = ["formatted", "street_address", "locality", "region", "postal_code", "country"];
    let object: Map<String, Value> = parts
        .iter()
        .filter_map(|part| attribute(user, part).map(|text| ((*part).to_owned(), Value::String(text))))
        .collect();
    (!object.is_empty()).then_some(Value::Object(object))
}

fn attribute(user: &User, name: &str) -> Option<String> {
    user.attributes.get(name).and_then(|values| values.first()).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(set: ClaimSet) -> Vec<&'static str> {
        set.iter().map(Claim::name).collect()
    }

    #[test]
    fn scopes_ask_for_their_claims() {
        let scope = |text: &str| ClaimSet::of_scope(&ScopeSet::parse(text).unwrap());
        assert_eq!(names(scope("openid email")), ["email", "email_verified"]);
        assert_eq!(names(scope("phone")), ["phone_number", "phone_number_verified"]);
        assert_eq!(names(scope("profile")).len(), 14);
        assert!(scope("openid other").is_empty());
    }

    #[test]
    fn the_example_of_the_specification_is_read() {
        let text = r#"{"userinfo":{"given_name":{"essential":true},"nickname":null,"email":{"essential":true},
            "http://example.info/claims/groups":null},"id_token":{"auth_time":{"essential":true},
            "acr":{"essential":true,"values":["urn:mace:incommon:iap:silver"]},"sub":{"value":"248289761001"}}}"#;
        let request = ClaimsRequest::parse(text).unwrap();
        assert_eq!(names(request.userinfo), ["given_name", "nickname", "email"]);
        assert!(request.id_token.is_empty());
        assert_eq!(request.sub.as_deref(), Some("248289761001"));
        assert_eq!(request.essential_acr, ["urn:mace:incommon:iap:silver"]);
        let stored = serde_json::to_string(&request).unwrap();
        assert_eq!(serde_json::from_str::<ClaimsRequest>(&stored).unwrap(), request);
    }

    #[test]
    fn what_is_no_claims_request_is_refused() {
        let many: Vec<String> = (0..61).map(|n| format!("\"c{n}\":null")).collect();
        let many = format!("{{\"userinfo\":{{{}}}}}", many.join(","));
        for bad in [
            "",
            "x",
            "[]",
            "null",
            r#"{"userinfo":[]}"#,
            r#"{"userinfo":{"name":1}}"#,
            r#"{"id_token":{"name":{"essential":"yes"}}}"#,
            r#"{"id_token":{"acr":{"values":"x"}}}"#,
            many.as_str(),
        ] {
            assert!(ClaimsRequest::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(ClaimsRequest::parse("{}"), Ok(ClaimsRequest::default()));
        assert_eq!(ClaimsRequest::parse(r#"{"userinfo":null}"#), Ok(ClaimsRequest::default()));
    }

    proptest! {
        #[test]
        fn nothing_makes_the_parser_panic(text in "[\\[\\]{}\":,a-z0-9 ]{0,80}") {
            let _ = ClaimsRequest::parse(&text);
        }
    }
}

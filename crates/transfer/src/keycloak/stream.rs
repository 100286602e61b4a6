//! Reading an export without holding its users: the fields of the one large object are taken as they come.

use super::shape::{Realm, User};
use serde::Deserializer as _;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt;
use std::io::{self, Read};

/// The largest user, in bytes.
const MAX_USER_BYTES: usize = 4 * 1024 * 1024;
/// Fields of a realm that hold settings which are not carried over and would be missed.
const MISSED: [&str; 14] = [
    "identityProviders",
    "identityProviderMappers",
    "authenticationFlows",
    "requiredActions",
    "components",
    "clientScopes",
    "scopeMappings",
    "clientScopeMappings",
    "smtpServer",
    "passwordPolicy",
    "webAuthnPolicyRpEntityName",
    "federatedUsers",
    "organizations",
    "clientProfiles",
];

fn failed(error: &serde_json::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("is no realm export of Keycloak: {error}"))
}

/// The realm without its users.
pub(super) fn realm(input: impl Read) -> io::Result<Realm> {
    let mut json = serde_json::Deserializer::from_reader(input);
    json.deserialize_map(RealmVisitor).map_err(|error| failed(&error))
}

struct RealmVisitor;

impl<'de> Visitor<'de> for RealmVisitor {
    type Value = Realm;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a realm as one object; an export of all realms at once has to be made for each realm")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Realm, A::Error> {
        let mut realm = Realm::default();
        while let Some(field) = map.next_key::<String>()? {
            match field.as_str() {
                "realm" => realm.realm = map.next_value()?,
                "roles" => realm.roles = map.next_value()?,
                "groups" => realm.groups = map.next_value()?,
                "clients" => realm.clients = map.next_value()?,
                missed if MISSED.contains(&missed) => {
                    if holds_something(&map.next_value::<Value>()?) {
                        realm.others.push(field);
                    }
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(realm)
    }
}

fn holds_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) | Value::Number(_) => true,
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => values.iter().any(holds_something),
        Value::Object(fields) => fields.values().any(holds_something),
    }
}

/// What is done with each user: the user, or what is wrong with it.
pub(super) type EachUser<'f> = &'f mut dyn FnMut(Result<User, String>) -> io::Result<()>;

/// Calls `each` with each user in the file.
pub(super) fn users(input: impl Read, each: EachUser<'_>) -> io::Result<()> {
    let mut stopped = None;
    let mut json = serde_json::Deserializer::from_reader(input);
    let done = json.deserialize_map(UsersVisitor { each, stopped: &mut stopped });
    match (stopped, done) {
        (Some(error), _) => Err(error),
        (None, done) => done.map_err(|error| failed(&error)),
    }
}

struct UsersVisitor<'f, 's> {
    each: EachUser<'f>,
    stopped: &'s mut Option<io::Error>,
}

impl<'de> Visitor<'de> for UsersVisitor<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with users")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(field) = map.next_key::<String>()? {
            if field == "users" {
                map.next_value_seed(UserList { each: &mut *self.each, stopped: &mut *self.stopped })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

struct UserList<'f, 's> {
    each: EachUser<'f>,
    stopped: &'s mut Option<io::Error>,
}

impl<'de> DeserializeSeed<'de> for UserList<'_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for UserList<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of users")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        // Each by itself, so that one of a form that is not known fails alone.
        while let Some(raw) = list.next_element::<Box<RawValue>>()? {
            let user = if raw.get().len() > MAX_USER_BYTES {
                Err("is larger than 4 MiB".to_owned())
            } else {
                // The message repeats no value: it could be one of a credential.
                serde_json::from_str::<User>(raw.get())
                    .map_err(|error| format!("is of no form that is known (column {})", error.column()))
            };
            if let Err(error) = (self.each)(user) {
                *self.stopped = Some(error);
                return Err(A::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

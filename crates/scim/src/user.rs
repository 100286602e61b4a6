//! Users of the room as SCIM resources and back. Pure; whom a user belongs to, and where the resource lies, others add.
//!
//! What the room has a field for lives there. All else lives in the user's attributes under names that begin with
//! [`RESERVED`]: a text under its SCIM name (`scim:nickName`, `scim:name.middleName`, `scim:department`); a multi-valued
//! attribute with each value as a JSON text (`scim:photos`), and the values' `value` once more by themselves
//! (`scim:photos.value`), so that they can be searched for. Of the e-mail addresses and phone numbers, the main one is the
//! room's own; its entry in the list has no `value`.

use crate::document::{Document, is_primary};
use crate::error::ScimError;
use crate::limits::{MAX_VALUE_BYTES, MAX_VALUES};
use crate::schema::{ENTERPRISE, ENTERPRISE_URN, USER};
use keyreeve_crypto::Secret;
use keyreeve_identity::{Patch, Profile, ProfilePatch, User};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What the names of attributes begin with that this door keeps.
pub(crate) const RESERVED: &str = "scim:";
/// Says that `active` was removed, and whether the account was in use then.
const ACTIVE_REMOVED: &str = "scim:active";
/// The type of an address or number of which nothing is known.
const USUAL_TYPE: &str = "work";

/// Where a user's attributes come from, and what they are turned into.
type Attributes = BTreeMap<String, Vec<String>>;

/// The name under which an attribute without a field of its own is kept; dotted where it is a part.
pub(crate) fn kept_as(dotted: &str) -> String {
    format!("{RESERVED}{dotted}")
}

/// The texts that have a field in the room, by their SCIM names.
fn field<'p>(profile: &'p Profile, dotted: &str) -> Option<&'p Option<String>> {
    Some(match dotted {
        "name.familyName" => &profile.family_name,
        "name.givenName" => &profile.given_name,
        "displayName" => &profile.display_name,
        "locale" => &profile.locale,
        "timezone" => &profile.zoneinfo,
        _ => return None,
    })
}

/// A text, wherever it is kept.
fn text(profile: &Profile, dotted: &str) -> Option<String> {
    match field(profile, dotted) {
        Some(value) => value.clone(),
        None => profile.attributes.get(&kept_as(dotted)).and_then(|values| values.first()).cloned(),
    }
}

/// The resource of a user, without what is not part of the profile: `id`, `meta`, `groups`, `roles`.
pub(crate) fn to_document(user: &User) -> Document {
    let profile = &user.profile;
    let mut document = Document::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            document.insert(name.to_owned(), value);
        }
    };
    put("userName", user_name(profile).map(Into::into));
    put("externalId", text(profile, "externalId").map(Into::into));
    put("active", (!active_is_removed(user)).then_some(user.enabled.into()));
    for attribute in USER.attributes {
        match attribute.name {
            "userName" | "active" | "password" | "groups" | "roles" => {}
            "emails" => put("emails", list_with_main(profile, "emails", profile.email.as_deref())),
            "phoneNumbers" => {
                put("phoneNumbers", list_with_main(profile, "phoneNumbers", profile.phone_number.as_deref()));
            }
            name if attribute.many => put(name, array(kept_list(profile, name))),
            name if !attribute.sub.is_empty() => {
                let parts = attribute.sub.iter().filter_map(|part| {
                    Some((part.name.to_owned(), text(profile, &format!("{name}.{}", part.name))?.into()))
                });
                put(name, some_object(parts.collect()));
            }
            name => put(name, text(profile, name).map(Into::into)),
        }
    }
    let enterprise = ENTERPRISE.attributes.iter().filter_map(|attribute| {
        let value = text(profile, attribute.name)?;
        let value = if attribute.sub.is_empty() { value.into() } else { json!({"value": value}) };
        Some((attribute.name.to_owned(), value))
    });
    put(ENTERPRISE_URN, some_object(enterprise.collect()));
    document
}

fn user_name(profile: &Profile) -> Option<String> {
    profile.username.clone().or_else(|| profile.email.clone())
}

fn some_object(members: Map<String, Value>) -> Option<Value> {
    (!members.is_empty()).then_some(Value::Object(members))
}

fn array(values: Vec<Value>) -> Option<Value> {
    (!values.is_empty()).then_some(Value::Array(values))
}

/// Whether `active` was removed and the account has stayed as it was.
fn active_is_removed(user: &User) -> bool {
    let kept = user.profile.attributes.get(ACTIVE_REMOVED).and_then(|values| values.first());
    kept.is_some_and(|state| *state == user.enabled.to_string())
}

/// The values of a list, each an object; what cannot be read is none.
fn kept_list(profile: &Profile, name: &str) -> Vec<Value> {
    let kept = profile.attributes.get(&kept_as(name)).map(Vec::as_slice).unwrap_or_default();
    kept.iter().filter_map(|text| serde_json::from_str(text).ok()).filter(Value::is_object).collect()
}

/// A list whose main value is a field of the room.
fn list_with_main(profile: &Profile, name: &str, main: Option<&str>) -> Option<Value> {
    let mut values = kept_list(profile, name);
    let place = values.iter().position(|value| value.get("value").is_none());
    match (place, main) {
        (Some(at), Some(main)) => {
            if let Some(members) = values.get_mut(at).and_then(Value::as_object_mut) {
                members.insert("value".to_owned(), main.into());
            }
        }
        // The room's field was emptied by somebody else.
        (Some(at), None) => drop(values.remove(at)),
        (None, Some(main)) => values.insert(0, usual(main)),
        (None, None) => {}
    }
    array(values)
}

/// How a value appears of which only itself is known.
fn usual(value: &str) -> Value {
    json!({"value": value, "type": USUAL_TYPE, "primary": true})
}

/// A change of a user.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) profile: ProfilePatch,
    /// Whether the account is to be in use; none leaves it.
    pub(crate) enabled: Option<bool>,
}

/// Takes the password out of a document.
pub(crate) fn take_password(document: &mut Document) -> Option<Secret> {
    match document.remove("password") {
        Some(Value::String(text)) => Some(Secret::new(&zeroize::Zeroizing::new(text))),
        _ => None,
    }
}

/// The profile of a new user.
///
/// # Errors
/// As [`change`].
pub(crate) fn new_profile(document: &Document) -> Result<Profile, ScimError> {
    profile_of(document, &Profile::default())
}

/// What makes `former` the user that the document describes.
///
/// # Errors
/// `invalidValue` for what cannot be kept.
pub(crate) fn change(document: &Document, former: &User) -> Result<Change, ScimError> {
    let mut profile = profile_of(document, &former.profile)?;
    let enabled = document.get("active").and_then(Value::as_bool);
    if enabled.is_none() {
        profile.attributes.insert(ACTIVE_REMOVED.to_owned(), vec![former.enabled.to_string()]);
    }
    Ok(Change { profile: difference(&former.profile, profile), enabled })
}

fn difference(former: &Profile, new: Profile) -> ProfilePatch {
    fn of(former: &Option<String>, new: Option<String>) -> Patch<String> {
        match new {
            new if new == *former => Patch::Keep,
            Some(new) => Patch::Set(new),
            None => Patch::Clear,
        }
    }
    ProfilePatch {
        username: of(&former.username, new.username),
        email: of(&former.email, new.email),
        given_name: of(&former.given_name, new.given_name),
        family_name: of(&former.family_name, new.family_name),
        display_name: of(&former.display_name, new.display_name),
        phone_number: of(&former.phone_number, new.phone_number),
        locale: of(&former.locale, new.locale),
        zoneinfo: of(&former.zoneinfo, new.zoneinfo),
        attributes: (new.attributes != former.attributes).then_some(new.attributes),
        ..ProfilePatch::default()
    }
}

/// The profile that a document describes; what it cannot describe is as before.
fn profile_of(document: &Document, former: &Profile) -> Result<Profile, ScimError> {
    let mut attributes: Attributes = former
        .attributes
        .iter()
        .filter(|(name, _)| !name.starts_with(RESERVED))
        .map(|(name, values)| (name.clone(), values.clone()))
        .collect();
    let mut profile = Profile {
        username: username(document, former),
        email_verified: former.email_verified,
        ..Profile::default()
    };
    put_text(&mut profile, &mut attributes, "externalId", document.get("externalId"));
    for attribute in USER.attributes {
        let value = document.get(attribute.name);
        match attribute.name {
            "userName" | "active" | "password" | "groups" | "roles" => {}
            "emails" => profile.email = put_list_with_main(&mut attributes, "emails", value)?,
            "phoneNumbers" => {
                profile.phone_number = put_list_with_main(&mut attributes, "phoneNumbers", value)?;
            }
            name if attribute.many => put_list(&mut attributes, name, &items(value))?,
            name if !attribute.sub.is_empty() => {
                for part in attribute.sub {
                    let value = value.and_then(|value| value.get(part.name));
                    put_text(&mut profile, &mut attributes, &format!("{name}.{}", part.name), value);
                }
            }
            name => put_text(&mut profile, &mut attributes, name, value),
        }
    }
    let enterprise = document.get(ENTERPRISE_URN);
    for attribute in ENTERPRISE.attributes {
        let value = enterprise.and_then(|members| members.get(attribute.name));
        match (attribute.sub.is_empty(), value) {
            (false, Some(manager)) => {
                let manager = manager_of(manager)?;
                put_text(&mut profile, &mut attributes, attribute.name, Some(&manager.into()));
            }
            (_, value) => put_text(&mut profile, &mut attributes, attribute.name, value),
        }
    }
    profile.attributes = attributes;
    Ok(profile)
}

/// A user without a username appears under the e-mail address; saying so again gives nobody a username.
fn username(document: &Document, former: &Profile) -> Option<String> {
    let given = document.get("userName").and_then(Value::as_str).map(str::to_owned);
    if former.username.is_none() && former.email.is_some() && given == former.email { None } else { given }
}

fn put_text(profile: &mut Profile, attributes: &mut Attributes, dotted: &str, value: Option<&Value>) {
    let value = value.and_then(Value::as_str).map(str::to_owned);
    let place = match dotted {
        "name.familyName" => &mut profile.family_name,
        "name.givenName" => &mut profile.given_name,
        "displayName" => &mut profile.display_name,
        "locale" => &mut profile.locale,
        "timezone" => &mut profile.zoneinfo,
        _ => {
            if let Some(value) = value {
                attributes.insert(kept_as(dotted), vec![value]);
            }
            return;
        }
    };
    *place = value;
}

fn items(value: Option<&Value>) -> Vec<Value> {
    value.and_then(Value::as_array).cloned().unwrap_or_default()
}

fn put_list(attributes: &mut Attributes, name: &str, values: &[Value]) -> Result<(), ScimError> {
    if values.len() > MAX_VALUES {
        return Err(ScimError::value(format!("{name} has more than {MAX_VALUES} values")));
    }
    if values.is_empty() {
        return Ok(());
    }
    // A certificate is nothing that anybody searches for.
    let plain: Vec<String> = values
        .iter()
        .filter_map(|value| value.get("value").and_then(Value::as_str))
        .filter(|_| name != "x509Certificates")
        .map(str::to_owned)
        .collect();
    if !plain.is_empty() {
        attributes.insert(kept_as(&format!("{name}.value")), plain);
    }
    let texts: Vec<String> = values.iter().map(Value::to_string).collect();
    if texts.iter().any(|text| text.len() > MAX_VALUE_BYTES) {
        return Err(ScimError::value(format!("a value of {name} is longer than {MAX_VALUE_BYTES} bytes")));
    }
    attributes.insert(kept_as(name), texts);
    Ok(())
}

/// Keeps a list whose main value, which it answers, is a field of the room: the primary value, else the first of the usual
/// type, else the first.
fn put_list_with_main(
    attributes: &mut Attributes,
    name: &str,
    value: Option<&Value>,
) -> Result<Option<String>, ScimError> {
    let mut values = items(value);
    let text_of = |value: &Value| value.get("value").and_then(Value::as_str).map(str::to_owned);
    if values.iter().any(|value| text_of(value).is_none()) {
        return Err(ScimError::value(format!("{name}.value is missing")));
    }
    let is_usual = |value: &Value| value.get("type").and_then(Value::as_str) == Some(USUAL_TYPE);
    let at = values
        .iter()
        .position(is_primary)
        .or_else(|| values.iter().position(is_usual))
        .or_else(|| (!values.is_empty()).then_some(0));
    let Some(place) = at.and_then(|at| values.get_mut(at)) else { return Ok(None) };
    let main = text_of(place);
    let only_the_usual = main.as_deref().map(usual).as_ref() == Some(&*place);
    if let Some(members) = place.as_object_mut() {
        members.remove("value");
    }
    if !(only_the_usual && at == Some(0) && values.len() == 1) {
        put_list(attributes, name, &values)?;
    }
    Ok(main)
}

/// The identifier of a manager, which may be given by the URI alone.
fn manager_of(manager: &Value) -> Result<String, ScimError> {
    let part = |name: &str| manager.get(name).and_then(Value::as_str);
    let of_reference = || part("$ref").and_then(|uri| uri.rsplit('/').next()).filter(|id| !id.is_empty());
    part("value")
        .or_else(of_reference)
        .map(str::to_owned)
        .ok_or_else(|| ScimError::value(format!("{ENTERPRISE_URN}:manager.value is missing")))
}

#[cfg(test)]
#[path = "user_tests.rs"]
mod tests;

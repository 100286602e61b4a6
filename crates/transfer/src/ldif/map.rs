//! Which attributes of an LDAP entry become what of a user.

use super::entry::Entry;
use crate::convert::{Sink, note};
use crate::record::{Moment, UserRecord, set};
use keyreeve_base::Timestamp;
use keyreeve_crypto::password::imported;
use keyreeve_identity::Patch;
use std::collections::BTreeMap;
use std::io;

/// Attributes that say something about the entry and nothing about the person, or that are used elsewhere.
const SILENT: [&str; 34] = [
    "objectclass",
    "uid",
    "samaccountname",
    "userprincipalname",
    "mail",
    "givenname",
    "sn",
    "surname",
    "displayname",
    "cn",
    "name",
    "telephonenumber",
    "mobile",
    "preferredlanguage",
    "userpassword",
    "useraccountcontrol",
    "nsaccountlock",
    "pwdaccountlockedtime",
    "pwdreset",
    "pwdlastset",
    "createtimestamp",
    "whencreated",
    "modifytimestamp",
    "whenchanged",
    "creatorsname",
    "modifiersname",
    "entryuuid",
    "entrycsn",
    "entrydn",
    "structuralobjectclass",
    "subschemasubentry",
    "hassubordinates",
    "memberof",
    "distinguishedname",
];
/// `ACCOUNTDISABLE` of `userAccountControl`.
const DISABLED: i64 = 2;

/// Where attributes go that have no place by themselves, or another one: an attribute's name in lower case, and a field
/// (`username`, `email`, `given_name`, `family_name`, `display_name`, `phone_number`, `locale`, `zoneinfo`) or
/// `attributes.NAME`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mapping(BTreeMap<String, Target>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Field(&'static str),
    Attribute(String),
}

/// A mapping that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the mapping {0:?} is not of the form attribute=field or attribute=attributes.NAME")]
pub struct MappingError(String);

const FIELDS: [&str; 8] =
    ["username", "email", "given_name", "family_name", "display_name", "phone_number", "locale", "zoneinfo"];

impl Mapping {
    /// The mapping of texts such as `employeeNumber=attributes.employee_number` and `cn=username`.
    ///
    /// # Errors
    /// [`MappingError`] with the first text that is none.
    pub fn parse<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Self, MappingError> {
        let mut mapping = BTreeMap::new();
        for text in texts {
            let wrong = || MappingError(text.to_owned());
            let (attribute, target) = text.split_once('=').ok_or_else(wrong)?;
            let target = match target.strip_prefix("attributes.") {
                Some(name) if !name.is_empty() => Target::Attribute(name.to_owned()),
                _ => {
                    FIELDS.into_iter().find(|field| *field == target).map(Target::Field).ok_or_else(wrong)?
                }
            };
            if attribute.is_empty() {
                return Err(wrong());
            }
            mapping.insert(attribute.to_ascii_lowercase(), target);
        }
        Ok(Self(mapping))
    }

    /// Whether it maps nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A user of an entry; none where there is nothing to call the user by.
pub(super) fn user(
    entry: &Entry,
    mapping: &Mapping,
    dropped: &mut BTreeMap<String, u64>,
    sink: &mut dyn Sink,
) -> io::Result<Option<UserRecord>> {
    let text = |names: &[&str]| set(entry.first(names).map(str::to_owned));
    let mut user = UserRecord {
        username: text(&["uid", "samaccountname", "userprincipalname"]),
        email: text(&["mail"]),
        given_name: text(&["givenname"]),
        family_name: text(&["sn", "surname"]),
        display_name: text(&["displayname", "cn"]),
        phone_number: text(&["telephonenumber", "mobile"]),
        locale: text(&["preferredlanguage"]),
        ..UserRecord::default()
    };
    state(entry, &mut user);
    let mut attributes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in &entry.values {
        match mapping.0.get(name) {
            Some(Target::Attribute(to)) => attributes.entry(to.clone()).or_default().push(value.clone()),
            Some(Target::Field(field)) => {
                if let Some(place) = field_of(&mut user, field) {
                    *place = Patch::Set(value.clone());
                }
            }
            None if SILENT.contains(&name.as_str()) => {}
            None => {
                let count = dropped.entry(name.clone()).or_default();
                *count = count.saturating_add(1);
            }
        }
    }
    user.attributes = (!attributes.is_empty()).then_some(attributes);
    let Some(name) = name_of(&user) else {
        note(sink, &format!("entry {}", entry.dn), "a user without a name or an address", "")?;
        return Ok(None);
    };
    let about = format!("user {name}");
    let further = entry.all("mail").skip(1).count();
    if further > 0 && !mapping.0.contains_key("mail") {
        note(sink, &about, "further addresses", format!("{further}"))?;
    }
    user.password_hash = password(entry, &about, sink)?;
    Ok(Some(user))
}

/// What the user is called first.
pub(super) fn name_of(user: &UserRecord) -> Option<&str> {
    match (&user.username, &user.email) {
        (Patch::Set(name), _) | (_, Patch::Set(name)) => Some(name),
        _ => None,
    }
}

fn field_of<'u>(user: &'u mut UserRecord, field: &str) -> Option<&'u mut Patch<String>> {
    Some(match field {
        "username" => &mut user.username,
        "email" => &mut user.email,
        "given_name" => &mut user.given_name,
        "family_name" => &mut user.family_name,
        "display_name" => &mut user.display_name,
        "phone_number" => &mut user.phone_number,
        "locale" => &mut user.locale,
        "zoneinfo" => &mut user.zoneinfo,
        _ => return None,
    })
}

/// Whether the account is in use, and since when there is one.
fn state(entry: &Entry, user: &mut UserRecord) {
    let is = |name: &str, value: &str| {
        entry.first(&[name]).is_some_and(|of| of.trim().eq_ignore_ascii_case(value))
    };
    let control: Option<i64> =
        entry.first(&["useraccountcontrol"]).and_then(|flags| flags.trim().parse().ok());
    let disabled = control.is_some_and(|flags| flags & DISABLED != 0) || is("nsaccountlock", "true");
    user.enabled = Some(!disabled);
    // 000001010000Z: until an administrator says otherwise (draft-behera-ldap-password-policy).
    user.locked = is("pwdaccountlockedtime", "000001010000Z").then_some(true);
    user.must_change_password = (is("pwdreset", "true") || is("pwdlastset", "0")).then_some(true);
    user.created_at = entry.first(&["createtimestamp", "whencreated"]).and_then(moment);
    user.updated_at = entry.first(&["modifytimestamp", "whenchanged"]).and_then(moment);
}

/// Generalized time in UTC, such as `20200131235959Z` and `20200131235959.0Z`.
fn moment(text: &str) -> Option<Moment> {
    let digits = text.trim().strip_suffix('Z')?;
    let digits = digits.split(['.', ',']).next()?;
    if digits.len() != 14 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    let text = format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0, 4),
        part(4, 6),
        part(6, 8),
        part(8, 10),
        part(10, 12),
        part(12, 14)
    );
    let at: jiff::Timestamp = text.parse().ok()?;
    Some(Moment(Timestamp::from_micros(at.as_microsecond())))
}

/// What to store of the first password that can be verified here.
fn password(entry: &Entry, about: &str, sink: &mut dyn Sink) -> io::Result<Option<String>> {
    let mut found = None;
    for value in entry.all("userpassword") {
        let value = value.trim();
        let upper = value.get(..9).unwrap_or(value).to_ascii_uppercase();
        let text = if upper.starts_with("{ARGON2}") { value.get(8..).unwrap_or_default() } else { value };
        match imported::adopt(text) {
            Ok(hash) if found.is_none() => found = Some(hash.into_string()),
            Ok(_) => note(sink, about, "a further password", "")?,
            Err(_) => {
                let scheme = value.split_once('}').filter(|_| value.starts_with('{'));
                match scheme {
                    Some((scheme, _)) if scheme.len() < 24 => {
                        note(
                            sink,
                            about,
                            "a password hash of a kind that is not known",
                            format!("{scheme}}}"),
                        )?;
                    }
                    _ => note(sink, about, "a password in clear, or of no form that is known", "")?,
                }
            }
        }
    }
    Ok(found)
}

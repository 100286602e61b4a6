//! What the names of a filter or an order mean to the room.
//!
//! What the room finds by an index or a column becomes a filter over its fields. What it cannot tell (a part of an address,
//! the type of an e-mail address) becomes a filter that finds at least what is meant; then [`Meaning::exact`] is false, and
//! whoever asks holds each match against the filter as it was sent.

use crate::error::{ScimError, ScimType};
use crate::schema::{Kind, Resource, Returned, Target, resolve};
use crate::user::kept_as;
use keyreeve_filter::{Filter, Op, Path, Value};
use keyreeve_identity::search::{GroupField, UserField};

/// What a filter means.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Meaning<F> {
    pub(crate) filter: Filter<F>,
    /// Whether the filter finds what is meant and nothing else.
    pub(crate) exact: bool,
}

impl<F> Meaning<F> {
    const fn exact(filter: Filter<F>) -> Self {
        Self { filter, exact: true }
    }

    const fn at_least(filter: Filter<F>) -> Self {
        Self { filter, exact: false }
    }
}

/// A field by which the room searches for a kind of resource.
pub(crate) trait Field: Clone + PartialEq + Send + Sync + Sized {
    /// The kind.
    const KIND: Resource;
    /// The fields that hold an attribute's values, any of which counts; none where no field does. Refuses by `None`
    /// altogether what can be found neither so nor by looking at a resource.
    fn holding(target: &Target) -> Option<Vec<Self>>;
    /// The field that orders by an attribute.
    fn ordering(target: &Target) -> Option<Self>;
    /// Who is found by a name that is another's where it has none itself.
    fn instead(_target: &Target) -> Option<(Self, Self)> {
        None
    }
}

fn invalid(detail: impl Into<String>) -> ScimError {
    ScimError::bad(ScimType::InvalidFilter, detail)
}

/// What a filter means for a kind of resource.
///
/// # Errors
/// `invalidFilter` for what the kind does not have, and for what cannot be compared so.
pub(crate) fn of<F: Field>(filter: &Filter<Path>) -> Result<Meaning<F>, ScimError> {
    match filter {
        Filter::And(parts) => {
            let (parts, exact) = all(parts)?;
            Ok(Meaning { filter: Filter::And(parts), exact })
        }
        Filter::Or(parts) => {
            let (parts, exact) = all(parts)?;
            Ok(Meaning { filter: Filter::Or(parts), exact })
        }
        Filter::Not(inner) => {
            let Meaning { filter, exact } = of(inner)?;
            // What is not among more than is meant may still be meant.
            let filter = if exact { Filter::Not(Box::new(filter)) } else { Filter::always() };
            Ok(Meaning { filter, exact })
        }
        Filter::Present(path) => leaf(path, &|field| Filter::Present(field)),
        Filter::Compare(path, op, value) => compare(path, *op, value),
        Filter::Within(path, inner) => within(path, inner),
    }
}

fn all<F: Field>(parts: &[Filter<Path>]) -> Result<(Vec<Filter<F>>, bool), ScimError> {
    let mut exact = true;
    let mut read = Vec::with_capacity(parts.len());
    for part in parts {
        let meaning = of(part)?;
        exact &= meaning.exact;
        read.push(meaning.filter);
    }
    Ok((read, exact))
}

/// The attribute, if it may be asked about.
fn target<F: Field>(path: &Path) -> Result<Target, ScimError> {
    let target = resolve(F::KIND, path).map_err(invalid)?;
    if target.leaf().returned == Returned::Never {
        return Err(invalid(format!("{} cannot be filtered by", target.dotted())));
    }
    Ok(target)
}

fn compare<F: Field>(path: &Path, op: Op, value: &Value) -> Result<Meaning<F>, ScimError> {
    let target = target::<F>(path)?;
    let dotted = target.dotted();
    if dotted == "meta.resourceType" {
        let own = Value::from(F::KIND.name());
        let holds = Filter::Compare((), op, value.clone()).matches(&|()| vec![own.clone()]);
        return Ok(Meaning::exact(if holds { Filter::always() } else { Filter::never() }));
    }
    let fits = match (target.leaf().kind, value) {
        (_, Value::Null) => matches!(op, Op::Eq | Op::Ne),
        (Kind::Boolean, Value::Bool(_)) => matches!(op, Op::Eq | Op::Ne),
        (Kind::DateTime, Value::Text(_)) => !matches!(op, Op::Co | Op::Sw | Op::Ew),
        (Kind::Text | Kind::Reference | Kind::Complex, Value::Text(_)) => true,
        (Kind::Binary, Value::Text(_)) => matches!(op, Op::Eq | Op::Ne),
        _ => false,
    };
    if !fits {
        return Err(invalid(format!("{dotted} cannot be compared so")));
    }
    // `ne` is the opposite of `eq`, also where several fields hold the values.
    if op == Op::Ne {
        let Meaning { filter, exact } = compare(path, Op::Eq, value)?;
        let filter = if exact { Filter::Not(Box::new(filter)) } else { Filter::always() };
        return Ok(Meaning { filter, exact });
    }
    if *value == Value::Null {
        let Meaning { filter, exact } = of(&Filter::Present(path.clone()))?;
        let filter = if exact { Filter::Not(Box::new(filter)) } else { Filter::always() };
        return Ok(Meaning { filter, exact });
    }
    leaf(path, &|field| Filter::Compare(field, op, value.clone()))
}

/// A single condition, by the fields that hold the attribute.
fn leaf<F: Field>(path: &Path, condition: &dyn Fn(F) -> Filter<F>) -> Result<Meaning<F>, ScimError> {
    let target = target::<F>(path)?;
    if let Some((own, instead)) = F::instead(&target) {
        let missing = Filter::Not(Box::new(Filter::Present(own.clone())));
        let by_other = Filter::And(vec![condition(instead), missing]);
        return Ok(Meaning::exact(Filter::Or(vec![condition(own), by_other])));
    }
    let unknown = || invalid(format!("{} cannot be filtered by", target.dotted()));
    let mut fields: Vec<Filter<F>> =
        F::holding(&target).ok_or_else(unknown)?.into_iter().map(condition).collect();
    Ok(match (fields.pop(), fields.is_empty()) {
        (None, _) => Meaning::at_least(Filter::always()),
        (Some(only), true) => Meaning::exact(only),
        (Some(last), false) => {
            fields.push(last);
            Meaning::exact(Filter::Or(fields))
        }
    })
}

/// One value of an attribute, which matches by itself: what can be said of it is that it has the parts that are compared.
fn within<F: Field>(path: &Path, inner: &Filter<Path>) -> Result<Meaning<F>, ScimError> {
    let outer = target::<F>(path)?;
    let parts: &[Filter<Path>] = match inner {
        Filter::And(parts) => parts,
        one => std::slice::from_ref(one),
    };
    let mut conditions = Vec::new();
    let mut exact = parts.len() == 1;
    for part in parts {
        let joined = match part {
            Filter::Present(part) => Filter::Present(path.join(part)),
            Filter::Compare(part, op, value) if *op != Op::Ne && *value != Value::Null => {
                Filter::Compare(path.join(part), *op, value.clone())
            }
            // Its parts are checked, and nothing is said.
            other => {
                let mut checked = |part: &Path| target::<F>(&path.join(part));
                other.resolve(&mut checked)?;
                exact = false;
                continue;
            }
        };
        let meaning = of(&joined)?;
        exact &= meaning.exact;
        conditions.push(meaning.filter);
    }
    // Without a field there is nothing to hold a match against where looking at it is out of the question.
    if !exact && F::holding(&outer).is_none() {
        return Err(invalid(format!("{path} cannot be filtered by such parts")));
    }
    Ok(Meaning { filter: Filter::And(conditions), exact })
}

/// The field that orders by what a path names.
///
/// # Errors
/// `invalidPath` for what does not order.
pub(crate) fn order<F: Field>(path: &Path) -> Result<F, ScimError> {
    let wrong = |detail: String| ScimError::bad(ScimType::InvalidPath, format!("sortBy: {detail}"));
    let target = resolve(F::KIND, path).map_err(wrong)?;
    F::ordering(&target).ok_or_else(|| wrong(format!("{} does not order", target.dotted())))
}

/// Where a text without a field of its own is kept.
fn kept(target: &Target) -> UserField {
    UserField::Attribute(kept_as(&target.dotted()))
}

/// Where the values of a list are kept, each by itself.
fn values_of(name: &str) -> UserField {
    UserField::Attribute(kept_as(&format!("{name}.value")))
}

impl Field for UserField {
    const KIND: Resource = Resource::User;

    fn holding(target: &Target) -> Option<Vec<Self>> {
        if target.extension.is_some() {
            // Of a manager the identifier is kept.
            return Some(match target.dotted().as_str() {
                "manager" | "manager.value" => vec![Self::Attribute(kept_as("manager"))],
                _ if target.sub.is_none() => vec![kept(target)],
                _ => return None,
            });
        }
        Some(match target.dotted().as_str() {
            "id" => vec![Self::Id],
            "active" => vec![Self::Enabled],
            "name.givenName" => vec![Self::GivenName],
            "name.familyName" => vec![Self::FamilyName],
            "displayName" => vec![Self::DisplayName],
            "locale" => vec![Self::Locale],
            "meta.created" => vec![Self::CreatedAt],
            "meta.lastModified" => vec![Self::UpdatedAt],
            "emails" | "emails.value" => vec![Self::Email, values_of("emails")],
            "phoneNumbers" | "phoneNumbers.value" => vec![Self::PhoneNumber, values_of("phoneNumbers")],
            "groups" | "groups.value" => vec![Self::Group],
            // What others keep, or nobody: no look at the resource tells more.
            "meta" | "meta.version" | "meta.location" | "schemas" => return None,
            dotted if dotted.starts_with("groups.") || dotted.starts_with("roles") => return None,
            // Looked at in the resource.
            "timezone" | "name" | "addresses" | "x509Certificates" | "x509Certificates.value" => Vec::new(),
            _ => match (target.attribute.many, target.sub) {
                (true, None) => vec![values_of(target.attribute.name)],
                (true, Some(part)) if part.name == "value" => vec![values_of(target.attribute.name)],
                (true, Some(_)) => Vec::new(),
                (false, _) => vec![kept(target)],
            },
        })
    }

    fn ordering(target: &Target) -> Option<Self> {
        if target.extension.is_some() {
            return None;
        }
        Some(match target.dotted().as_str() {
            "id" => Self::Id,
            "userName" => Self::Username,
            "emails" | "emails.value" => Self::Email,
            "name.givenName" => Self::GivenName,
            // RFC 7644 section 3.4.2.3 has the order of a complex attribute by one of its parts.
            "name" | "name.familyName" => Self::FamilyName,
            "displayName" => Self::DisplayName,
            "meta.created" => Self::CreatedAt,
            "meta.lastModified" => Self::UpdatedAt,
            _ => return None,
        })
    }

    fn instead(target: &Target) -> Option<(Self, Self)> {
        (target.extension.is_none() && target.attribute.name == "userName")
            .then_some((Self::Username, Self::Email))
    }
}

impl Field for GroupField {
    const KIND: Resource = Resource::Group;

    fn holding(target: &Target) -> Option<Vec<Self>> {
        Some(match target.dotted().as_str() {
            "id" => vec![Self::Id],
            "displayName" => vec![Self::Name],
            "externalId" => vec![Self::Attribute(kept_as("externalId"))],
            "meta.created" => vec![Self::CreatedAt],
            "meta.lastModified" => vec![Self::UpdatedAt],
            "members" | "members.value" => vec![Self::Member],
            _ => return None,
        })
    }

    fn ordering(target: &Target) -> Option<Self> {
        Some(match target.dotted().as_str() {
            "id" => Self::Id,
            "displayName" => Self::Name,
            "meta.created" => Self::CreatedAt,
            "meta.lastModified" => Self::UpdatedAt,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyreeve_filter::parse;

    fn users(text: &str) -> Result<Meaning<UserField>, ScimError> {
        of(&parse(text).unwrap())
    }

    fn groups(text: &str) -> Result<Meaning<GroupField>, ScimError> {
        of(&parse(text).unwrap())
    }

    fn eq<F>(field: F, text: &str) -> Filter<F> {
        Filter::Compare(field, Op::Eq, text.into())
    }

    fn attribute(name: &str) -> UserField {
        UserField::Attribute(name.to_owned())
    }

    #[test]
    fn what_the_room_has_it_is_asked_for() {
        assert_eq!(
            users(r#"externalId eq "7""#).unwrap(),
            Meaning::exact(eq(attribute("scim:externalId"), "7"))
        );
        assert_eq!(users(r#"name.familyName eq "L""#).unwrap().filter, eq(UserField::FamilyName, "L"));
        let by_urn = r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value eq "7""#;
        assert_eq!(users(by_urn).unwrap().filter, eq(attribute("scim:manager"), "7"));
        let either = vec![eq(UserField::Email, "a"), eq(attribute("scim:emails.value"), "a")];
        assert_eq!(users(r#"emails eq "a""#).unwrap().filter, Filter::Or(either.clone()));
        assert_eq!(
            users(r#"emails[value eq "a"]"#).unwrap(),
            Meaning::exact(Filter::And(vec![Filter::Or(either)]))
        );
        assert_eq!(
            users(r#"userName eq "a""#).unwrap().filter,
            Filter::Or(vec![
                eq(UserField::Username, "a"),
                Filter::And(vec![
                    eq(UserField::Email, "a"),
                    Filter::Not(Box::new(Filter::Present(UserField::Username))),
                ]),
            ])
        );
        assert_eq!(
            groups(r#"displayName eq "x" and members[value eq "y"]"#).unwrap().filter,
            Filter::And(vec![eq(GroupField::Name, "x"), Filter::And(vec![eq(GroupField::Member, "y")]),])
        );
        assert_eq!(users(r#"meta.resourceType eq "Group""#).unwrap().filter, Filter::never());
        assert_eq!(groups(r#"meta.resourceType eq "group""#).unwrap().filter, Filter::always());
    }

    #[test]
    fn what_it_cannot_tell_finds_at_least_what_is_meant() {
        let work = users(r#"emails[type eq "work" and value eq "a"]"#).unwrap();
        assert!(!work.exact);
        assert!(matches!(work.filter, Filter::And(parts) if parts.len() == 2));
        assert_eq!(users(r#"not (addresses.locality eq "L")"#).unwrap(), Meaning::at_least(Filter::always()));
        assert_eq!(users(r#"timezone ne "x""#).unwrap(), Meaning::at_least(Filter::always()));
        assert!(!users(r#"emails[not (value eq "a")]"#).unwrap().exact);
    }

    #[test]
    fn what_cannot_be_told_is_refused() {
        for bad in [
            r#"password eq "x""#,
            "password pr",
            r#"shoeSize eq "x""#,
            r#"name.first eq "x""#,
            r#"active eq "x""#,
            "userName eq 7",
            r#"meta.created co "2""#,
            r#"roles.value eq "x""#,
            r#"groups.display eq "x""#,
            r#"emails[size eq "x"]"#,
            r#"emails[not (size pr)]"#,
            r#"schemas eq "x""#,
        ] {
            let error = users(bad).unwrap_err().document();
            assert_eq!(error["scimType"], "invalidFilter", "{bad}");
        }
        for bad in [r#"members.display eq "x""#, r#"members[type eq "User"]"#, r#"userName eq "x""#] {
            assert!(groups(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_order_has_a_field() {
        let by = |text: &str| {
            order::<UserField>(&Path {
                sub: text.split_once('.').map(|(_, sub)| sub.into()),
                ..Path::new(text.split('.').next().unwrap())
            })
        };
        assert_eq!(by("USERNAME").unwrap(), UserField::Username);
        assert_eq!(by("name.familyName").unwrap(), UserField::FamilyName);
        for bad in ["title", "password", "nothing", "emails.type"] {
            assert!(by(bad).is_err(), "{bad}");
        }
    }
}

//! From mappers and facts to claims. Pure.

use super::model::{ClaimPath, GroupValue, Mapper, Membership, Source, Target, ValueType};
use crate::scope::ScopeSet;
use keyreeve_base::{ClientId, GroupId};
use keyreeve_identity::EffectiveRoles;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most values that one claim holds.
pub const MAX_VALUES: usize = 250;
/// The most bytes of JSON that all mapped claims of one token have together: a token travels in a header.
pub const MAX_CLAIMS_BYTES: usize = 6_000;

/// A group that the subject is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupFact {
    pub(crate) id: GroupId,
    pub(crate) name: String,
    pub(crate) direct: bool,
}

/// What mappers can tell of a subject.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts<'a> {
    pub(crate) attributes: Option<&'a BTreeMap<String, Vec<String>>>,
    pub(crate) roles: Arc<EffectiveRoles>,
    pub(crate) groups: Vec<GroupFact>,
}

/// For whom and where claims are wanted.
pub(crate) struct Wanted<'a> {
    /// The client that the token is issued to; none for a service account, which is its own.
    pub(crate) client: Option<ClientId>,
    pub(crate) scope: &'a ScopeSet,
    pub(crate) target: Target,
}

/// What came of the mappers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Mapped {
    pub(crate) claims: Map<String, Value>,
    /// Further audiences of the access token.
    pub(crate) audiences: Vec<String>,
    /// The names of the mappers whose claims would have been too large. Such a claim is left out as a whole: with a part of
    /// someone's roles, a token would be a lie that depends on their order.
    pub(crate) left_out: Vec<String>,
}

/// The mappers that have a say.
pub(crate) fn applying<'m>(
    mappers: &'m [Mapper],
    scope: &ScopeSet,
    target: Target,
) -> impl Iterator<Item = &'m Mapper> {
    mappers.iter().filter(move |mapper| {
        let settings = &mapper.settings;
        settings.targets.contains(&target)
            && settings.scope.as_ref().is_none_or(|needed| scope.contains(needed))
    })
}

/// Evaluates all mappers in their order. Where two of them write one claim, arrays are joined and objects merged; of
/// anything else, the later one stays.
pub(crate) fn evaluate(mappers: &[Mapper], facts: &Facts<'_>, wanted: &Wanted<'_>) -> Mapped {
    let mut mapped = Mapped::default();
    let mut bytes = 0_usize;
    for mapper in applying(mappers, wanted.scope, wanted.target) {
        let settings = &mapper.settings;
        if let Source::Audience { audience } = &settings.source {
            mapped.audiences.push(audience.clone());
        }
        let Some(path) = &settings.claim else { continue };
        let values = values(mapper, facts, wanted.client);
        let too_many = settings.multivalued && values.len() > MAX_VALUES;
        let Some(value) = shape(values, settings.multivalued) else { continue };
        let size = value.to_string().len() + path.names().iter().map(|name| name.len() + 4).sum::<usize>();
        if too_many || bytes.saturating_add(size) > MAX_CLAIMS_BYTES {
            mapped.left_out.push(settings.name.clone());
            continue;
        }
        bytes = bytes.saturating_add(size);
        insert(&mut mapped.claims, path, value);
    }
    mapped
}

fn values(mapper: &Mapper, facts: &Facts<'_>, client: Option<ClientId>) -> Vec<Value> {
    let text = |names: Vec<&str>| names.into_iter().map(Value::from).collect();
    match &mapper.settings.source {
        Source::UserAttribute { attribute } => {
            let found = facts.attributes.and_then(|attributes| attributes.get(attribute));
            found.into_iter().flatten().filter_map(|text| typed(text, mapper.settings.value_type)).collect()
        }
        Source::TenantRoles {} => text(sorted(facts.roles.of_tenant())),
        Source::ClientRoles { client: of } => match of.or(client) {
            Some(of) => text(sorted(facts.roles.of_application(of))),
            None => Vec::new(),
        },
        Source::Groups { membership, value } => {
            let meant = facts.groups.iter().filter(|group| *membership == Membership::Full || group.direct);
            match value {
                GroupValue::Name => text(sorted(meant.map(|group| group.name.as_str()))),
                GroupValue::Id => meant.map(|group| Value::from(group.id.to_string())).collect(),
            }
        }
        Source::Constant { value } => match value {
            Value::Array(several) if mapper.settings.multivalued => several.clone(),
            one => vec![one.clone()],
        },
        Source::Audience { .. } => Vec::new(),
    }
}

fn sorted<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn typed(text: &str, value_type: ValueType) -> Option<Value> {
    match value_type {
        ValueType::String => Some(Value::from(text)),
        ValueType::Integer => text.trim().parse::<i64>().ok().map(Value::from),
        ValueType::Boolean => text.trim().parse::<bool>().ok().map(Value::from),
        ValueType::Json => serde_json::from_str(text).ok().filter(|value: &Value| !value.is_null()),
    }
}

fn shape(values: Vec<Value>, multivalued: bool) -> Option<Value> {
    if multivalued { (!values.is_empty()).then_some(Value::Array(values)) } else { values.into_iter().next() }
}

fn insert(claims: &mut Map<String, Value>, path: &ClaimPath, value: Value) {
    let Some((last, outer)) = path.names().split_last() else { return };
    let mut place = claims;
    for name in outer {
        let entry = place.entry(name.clone()).or_insert_with(|| Value::Object(Map::new()));
        if !entry.is_object() {
            *entry = Value::Object(Map::new());
        }
        let Value::Object(object) = entry else { return };
        place = object;
    }
    match place.get_mut(last) {
        Some(there) => join(there, value),
        None => drop(place.insert(last.clone(), value)),
    }
}

/// Lets `value` join what is there.
fn join(there: &mut Value, value: Value) {
    match (there, value) {
        (Value::Array(there), Value::Array(more)) => {
            for value in more {
                if there.len() < MAX_VALUES && !there.contains(&value) {
                    there.push(value);
                }
            }
        }
        (Value::Object(there), Value::Object(more)) => there.extend(more),
        (there, value) => *there = value,
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::MapperSettings;
    use super::*;
    use keyreeve_base::{TenantId, Timestamp};
    use serde_json::json;
    use uuid::Uuid;

    fn mapper(settings: &Value) -> Mapper {
        let mut whole = json!({"name": "m", "targets": ["access_token"]});
        whole.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        let settings: MapperSettings = serde_json::from_value(whole).unwrap();
        settings.validate().unwrap();
        Mapper {
            id: Uuid::nil(),
            tenant_id: TenantId::from_uuid(Uuid::nil()),
            client: None,
            settings,
            created_at: Timestamp::from_seconds(0),
            updated_at: Timestamp::from_seconds(0),
            version: 1,
        }
    }

    fn attribute(name: &str, claim: &str, value_type: &str, multivalued: bool) -> Mapper {
        mapper(&json!({"source": {"kind": "user_attribute", "attribute": name}, "claim": claim,
            "value_type": value_type, "multivalued": multivalued}))
    }

    fn constant(claim: &str, value: &Value) -> Mapper {
        let multivalued = value.is_array();
        mapper(&json!({"source": {"kind": "constant", "value": value}, "claim": claim, "value_type": "json",
            "multivalued": multivalued}))
    }

    fn say(mappers: &[Mapper], attributes: &[(&str, &[&str])]) -> Mapped {
        let attributes = attributes
            .iter()
            .map(|(name, values)| ((*name).to_owned(), values.iter().map(|v| (*v).to_owned()).collect()))
            .collect();
        let facts = Facts { attributes: Some(&attributes), ..Facts::default() };
        let scope = "openid profile".parse().unwrap();
        evaluate(mappers, &facts, &Wanted { client: None, scope: &scope, target: Target::AccessToken })
    }

    fn claims(mappers: &[Mapper], attributes: &[(&str, &[&str])]) -> Value {
        Value::Object(say(mappers, attributes).claims)
    }

    #[test]
    fn values_are_typed_and_what_does_not_fit_is_left_out() {
        let texts: &[&str] = &["7", "x", "true", "[1]", ""];
        for (kind, expected) in [
            ("string", json!(["7", "x", "true", "[1]", ""])),
            ("integer", json!([7])),
            ("boolean", json!([true])),
            ("json", json!([7, true, [1]])),
        ] {
            assert_eq!(
                claims(&[attribute("a", "c", kind, true)], &[("a", texts)]),
                json!({"c": expected}),
                "{kind}"
            );
        }
        assert_eq!(claims(&[attribute("a", "c", "integer", false)], &[("a", texts)]), json!({"c": 7}));
        assert_eq!(claims(&[attribute("a", "c", "integer", false)], &[("a", &["x"])]), json!({}));
        assert_eq!(claims(&[attribute("a", "c", "string", true)], &[]), json!({}), "no empty array");
    }

    #[test]
    fn dotted_paths_make_objects_and_later_mappers_join_earlier_ones() {
        let both = [attribute("a", "x.y.list", "string", true), attribute("b", "x.y.list", "string", true)];
        let told = claims(&both, &[("a", &["1", "2"]), ("b", &["2", "3"])]);
        assert_eq!(told, json!({"x": {"y": {"list": ["1", "2", "3"]}}}));
        let objects = [constant("o", &json!({"a": 1, "b": 1})), constant("o", &json!({"b": 2}))];
        assert_eq!(claims(&objects, &[]), json!({"o": {"a": 1, "b": 2}}));
        let other = [
            constant("o", &json!(1)),
            constant("o.p", &json!(2)),
            constant("q", &json!(1)),
            constant("q", &json!(2)),
        ];
        assert_eq!(claims(&other, &[]), json!({"o": {"p": 2}, "q": 2}));
    }

    #[test]
    fn a_scope_or_another_target_keeps_a_mapper_silent() {
        let of_scope = |scope| {
            mapper(&json!({"source": {"kind": "constant", "value": "v"}, "claim": "c", "scope": scope}))
        };
        assert_eq!(claims(&[of_scope("profile")], &[]), json!({"c": "v"}));
        assert_eq!(claims(&[of_scope("email")], &[]), json!({}));
        let elsewhere = mapper(
            &json!({"source": {"kind": "constant", "value": "v"}, "claim": "c", "targets": ["id_token", "userinfo"]}),
        );
        assert_eq!(claims(&[elsewhere], &[]), json!({}));
    }

    #[test]
    fn a_claim_that_would_be_too_large_is_left_out_as_a_whole() {
        let many: Vec<String> = (0..=MAX_VALUES).map(|n| n.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let mapped = say(
            &[attribute("a", "c", "string", true), attribute("a", "d", "string", false)],
            &[("a", &many)],
        );
        assert_eq!(
            (Value::Object(mapped.claims), mapped.left_out),
            (json!({"d": "0"}), vec!["m".to_owned()])
        );
        let long = "x".repeat(3_500);
        let two = [attribute("a", "c", "string", false), attribute("a", "d", "string", false)];
        let mapped = say(&two, &[("a", &[&long])]);
        assert_eq!((mapped.claims.len(), mapped.left_out.len()), (1, 1), "together they are too large");
    }

    #[test]
    fn an_audience_has_no_claim() {
        let mapped =
            say(&[mapper(&json!({"source": {"kind": "audience", "audience": "https://api.example"}}))], &[]);
        assert_eq!(mapped.audiences, ["https://api.example"]);
        assert!(mapped.claims.is_empty());
    }
}

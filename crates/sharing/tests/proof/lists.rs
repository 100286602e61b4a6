//! The questions with long answers: who has it, what is there, why; whole and in small pages.

use crate::compare::{PAGES, askers, category};
use crate::oracle::{Answer, Oracle, parties};
use crate::room::Room;
use crate::steps::{Asker, GROUPS, PARTIES, PERMISSIONS, SLOTS, TYPES};
use keyreeve_filter::{Filter, Op, Value};
use keyreeve_sharing::{
    Check, Decision, Freshness, Order, Party, Reach, ResourceCursor, ResourceField, ResourcesOf, Search,
    SearchCursor, Sharing, SubjectCursor, SubjectsOf, Via,
};
use std::collections::BTreeSet;

pub async fn compare(room: &Room<'_>, sharing: &Sharing, oracle: &Oracle, (at, turn): (Freshness, usize)) {
    subjects(room, sharing, oracle, (at, turn)).await;
    resources(room, sharing, oracle, (at, turn)).await;
    reasons(room, sharing, oracle, (at, turn)).await;
    found(room, sharing, oracle, at).await;
}

/// What a subject was given somewhere in the chain above a resource.
struct Reason {
    above: usize,
    /// None where it is ownership.
    permission: Option<usize>,
    party: usize,
    below: bool,
}

/// What was given on a resource and above it that has this meaning on resources of a type: by whom it is owned, and the
/// grants of permissions that satisfy the one that is asked for. With `exact` only the very one.
fn reasons_for(oracle: &Oracle, resource: usize, (of, permission): (&str, &str), exact: bool) -> Vec<Reason> {
    let mut found = Vec::new();
    let wanted = oracle.permission(of, permission);
    for (above, node) in oracle.chain(resource).into_iter().enumerate() {
        let node = &oracle.resources[node];
        if !exact || permission == "OWNER" {
            found.push(Reason { above, permission: None, party: node.owner, below: true });
        }
        for grant in node.grants.iter().filter(|grant| oracle.holds(grant) && (above == 0 || grant.cascade)) {
            let same = oracle.permissions[grant.permission].id == permission;
            if wanted.is_some_and(|wanted| oracle.means(of, grant.permission).contains(&wanted))
                && (same || !exact)
            {
                let permission = Some(grant.permission);
                found.push(Reason { above, permission, party: grant.party, below: grant.cascade });
            }
        }
    }
    found
}

async fn subjects(room: &Room<'_>, sharing: &Sharing, oracle: &Oracle, (at, turn): (Freshness, usize)) {
    for slot in 0..SLOTS {
        for (number, permission) in PERMISSIONS.into_iter().chain(["OWNER", "NONE"]).enumerate() {
            let by =
                if number == 3 { Asker::Party(GROUPS + slot % (PARTIES - GROUPS)) } else { Asker::Admin };
            let resource = oracle.id(slot);
            let expected = oracle.look(by, &resource).and_then(|(found, standing)| {
                let of = oracle.resources[found].of;
                match () {
                    () if !standing.shares => Err(Answer::Denied),
                    () if permission != "OWNER" && oracle.permission(of, permission).is_none() => {
                        Err(Answer::NotFound)
                    }
                    () => Ok(found),
                }
            });
            for shape in (0..8).filter(|shape| (shape + slot + number + turn).is_multiple_of(4)) {
                let (expand, exact, direct) = (shape & 1 == 0, shape & 2 == 0, shape & 4 == 0);
                let of = SubjectsOf {
                    resource: resource.clone(),
                    permission: permission.to_owned(),
                    reach: if direct { Reach::Direct } else { Reach::Effective },
                    expand,
                    exact,
                    after: None,
                    limit: PAGES[(slot + shape) % 3],
                };
                let got = all_subjects(room, sharing, (by, of.clone()), at).await;
                let expected = expected.as_ref().map(|found| {
                    let meaning = (oracle.resources[*found].of, permission);
                    let mut reasons = reasons_for(oracle, *found, meaning, exact);
                    reasons.retain(|reason| !direct || reason.above == 0);
                    let has = |party: &usize| match expand {
                        true => {
                            *party >= GROUPS && reasons.iter().any(|reason| oracle.has(*party, reason.party))
                        }
                        false => reasons.iter().any(|reason| reason.party == *party),
                    };
                    sorted(room, parties().filter(has).filter(|party| oracle.active(*party)))
                });
                assert_eq!(got.as_ref(), expected.as_ref().map_err(|refused| *refused), "{by:?} {of:?}");
            }
        }
    }
}

fn sorted(room: &Room<'_>, numbers: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut numbers: Vec<usize> = numbers.collect();
    numbers.sort_by_key(|number| room.parties[*number].uuid());
    numbers
}

async fn all_subjects(
    room: &Room<'_>,
    sharing: &Sharing,
    (by, mut of): (Asker, SubjectsOf),
    at: Freshness,
) -> Result<Vec<usize>, Answer> {
    let mut got = Vec::new();
    loop {
        let page = sharing.questions().subjects_of(room.authority(by), &of, at).await;
        let page = page.map_err(|error| category(&error))?;
        assert!(page.items.len() <= usize::from(of.limit));
        got.extend(page.items.into_iter().map(|party| room.number(party)));
        let Some(next) = page.next else { return Ok(got) };
        of.after = Some(next.to_string().parse::<SubjectCursor>().unwrap());
    }
}

/// What a party can reach, in the order of the list: what it was given by itself, and below each, what comes down.
fn reachable(oracle: &Oracle, party: usize, (of, permission): (&str, &str)) -> Vec<String> {
    let mut list = Vec::new();
    for top in (0..oracle.resources.len()).filter(|top| !oracle.resources[*top].gone) {
        let mut reasons = reasons_for(oracle, top, (of, permission), false);
        reasons.retain(|reason| oracle.has(party, reason.party));
        if reasons.iter().any(|reason| reason.above > 0) || reasons.is_empty() {
            continue;
        }
        list.push(top);
        if reasons.iter().any(|reason| reason.below) {
            below(oracle, top, &mut list);
        }
    }
    let of_type = list.into_iter().map(|found| &oracle.resources[found]).filter(|found| found.of == of);
    of_type.map(|found| found.id.clone()).collect()
}

fn below(oracle: &Oracle, parent: usize, list: &mut Vec<usize>) {
    for child in 0..oracle.resources.len() {
        if oracle.resources[child].parent == Some(parent) && !oracle.resources[child].gone {
            list.push(child);
            below(oracle, child, list);
        }
    }
}

async fn resources(room: &Room<'_>, sharing: &Sharing, oracle: &Oracle, (at, turn): (Freshness, usize)) {
    for party in parties() {
        for (number, permission) in PERMISSIONS.into_iter().chain(["OWNER", "NONE"]).enumerate() {
            let resource_type = TYPES[(number + party + turn) % 2];
            let own = party >= GROUPS && number % 2 == 0;
            let by = if own { Asker::Party(party) } else { Asker::Admin };
            let known = permission == "OWNER" || oracle.permission(resource_type, permission).is_some();
            let expected = match () {
                () if !oracle.types.contains(resource_type) || !known => Err(Answer::NotFound),
                () if !oracle.active(party) => Ok(Vec::new()),
                () => Ok(reachable(oracle, party, (resource_type, permission))),
            };
            let mut of = ResourcesOf {
                subject: room.parties[party],
                resource_type: resource_type.to_owned(),
                permission: permission.to_owned(),
                after: None,
                limit: PAGES[(number + party / 2) % 3],
            };
            let (mut got, mut pages) = (Ok(Vec::new()), 0);
            loop {
                let page = match sharing.questions().resources_of(room.authority(by), &of, at).await {
                    Ok(page) => page,
                    Err(error) => {
                        got = Err(category(&error));
                        break;
                    }
                };
                assert!(page.items.len() <= usize::from(of.limit));
                got = got.map(|mut got: Vec<String>| {
                    got.extend(page.items.into_iter().map(|found| found.id));
                    got
                });
                pages += 1;
                assert!(pages < 100, "a list without an end: {of:?}");
                let Some(next) = page.next else { break };
                of.after = Some(next.to_string().parse::<ResourceCursor>().unwrap());
            }
            assert_eq!(got, expected, "{party} {of:?}");
            if let (Ok(list), true) = (&got, oracle.active(party)) {
                // What is listed is what the check says yes to.
                let all: BTreeSet<&str> = list.iter().map(String::as_str).collect();
                assert_eq!(all.len(), list.len(), "each once");
                for resource in
                    oracle.resources.iter().filter(|found| !found.gone && found.of == resource_type)
                {
                    let yes = oracle.decide(party, &resource.id, permission) == Decision::Allowed;
                    assert_eq!(all.contains(&*resource.id), yes, "{party} {permission} on {}", resource.id);
                }
            }
        }
    }
}

async fn reasons(room: &Room<'_>, sharing: &Sharing, oracle: &Oracle, (at, turn): (Freshness, usize)) {
    for party in parties() {
        for slot in 0..SLOTS {
            for permission in [["READ", "LINK", "OWNER", "NONE"][(party + slot + turn) % 4]] {
                let resource = oracle.id(slot);
                let check = Check {
                    subject: room.parties[party],
                    resource: resource.clone(),
                    permission: permission.to_owned(),
                };
                let told = sharing.questions().explain(&room.admin, &check, at).await.unwrap();
                assert_eq!(told.decision, oracle.decide(party, &resource, permission), "{party} {check:?}");
                assert_eq!(told.via.is_some(), told.decision.is_allowed());
                if let Some(via) = told.via {
                    holds_good(room, oracle, (party, &resource, permission), &via);
                }
            }
        }
    }
}

/// Whether what an explanation says is so, each step of it.
fn holds_good(room: &Room<'_>, oracle: &Oracle, (party, id, wanted): (usize, &str, &str), via: &Via) {
    let resource = oracle.find(id).unwrap();
    let chain: Vec<&str> =
        oracle.chain(resource).into_iter().map(|node| &*oracle.resources[node].id).collect();
    let above = via.resources.len() - 1;
    assert_eq!(via.resources, chain[..=above], "the way up");
    let of = oracle.resources[resource].of;
    let holder = room.number(via.party);
    let mut at = party;
    for group in &via.groups {
        let group = room.number(Party::Group(*group));
        assert!(oracle.members.contains(&(group, at)), "{at} is not in {group}: {via:?}");
        at = group;
    }
    assert_eq!(at, holder, "{via:?}");
    let reasons = reasons_for(oracle, resource, (of, wanted), false);
    let mut mine = reasons.iter().filter(|reason| oracle.has(party, reason.party));
    assert!(mine.clone().all(|reason| reason.above >= above), "the nearest: {via:?}");
    let given = mine.find(|reason| {
        let name = reason.permission.map(|permission| oracle.permissions[permission].id);
        let named = via.grant.as_ref().map(|grant| grant.permission.as_str());
        reason.above == above && reason.party == holder && name == named
    });
    assert!(given.is_some(), "nothing of this was given: {via:?}");
    let first = via.grant.as_ref().map_or("OWNER", |grant| &grant.permission);
    assert_eq!(
        (via.permissions[0].as_str(), via.permissions[via.permissions.len() - 1].as_str()),
        (first, wanted)
    );
    for step in via.permissions.windows(2).filter(|step| step[0] != "OWNER") {
        let [from, to] = [&step[0], &step[1]].map(|name| oracle.permission(of, name).unwrap());
        assert!(oracle.permissions[from].implies.contains(&to), "{via:?}");
    }
}

/// Searches: what they ask for, and whether a resource is meant.
fn searches(oracle: &Oracle) -> Vec<Option<(ResourceField, Op, String)>> {
    let parent = oracle.id(0);
    vec![
        None,
        Some((ResourceField::Type, Op::Eq, "FILE".to_owned())),
        Some((ResourceField::Type, Op::Ne, "FILE".to_owned())),
        Some((ResourceField::Parent, Op::Eq, parent)),
        Some((ResourceField::Id, Op::Eq, oracle.id(1))),
        Some((ResourceField::Permission, Op::Eq, "READ".to_owned())),
    ]
}

async fn found(room: &Room<'_>, sharing: &Sharing, oracle: &Oracle, at: Freshness) {
    for (asker, by) in askers().enumerate() {
        for (number, wanted) in searches(oracle).into_iter().enumerate() {
            let on_behalf = (by == Asker::Admin && number != 0).then_some(number % PARTIES);
            let visible_to = match by {
                Asker::Admin => on_behalf,
                Asker::Party(own) => Some(own),
            };
            let order = if (asker + number).is_multiple_of(2) { Order::Newest } else { Order::Oldest };
            let mut search = Search {
                filter: wanted.clone().map(|(field, op, text)| Filter::Compare(field, op, Value::Text(text))),
                visible_to: on_behalf.map(|party| room.parties[party]),
                order,
                after: None,
                limit: PAGES[(asker + number) % 3],
            };
            let mut expected = expected(oracle, wanted.as_ref(), visible_to);
            if order == Order::Newest {
                expected.reverse();
            }
            let mut got = Vec::new();
            loop {
                let page = sharing.questions().search(room.authority(by), &search, at).await.unwrap();
                assert!(page.items.len() <= usize::from(search.limit));
                got.extend(page.items.into_iter().map(|found| found.id));
                let Some(next) = page.next else { break };
                search.after = Some(next.to_string().parse::<SearchCursor>().unwrap());
            }
            assert_eq!(got, expected, "{by:?} {search:?}");
        }
    }
}

fn expected(
    oracle: &Oracle,
    wanted: Option<&(ResourceField, Op, String)>,
    visible_to: Option<usize>,
) -> Vec<String> {
    let mut list = Vec::new();
    for (number, resource) in oracle.resources.iter().enumerate().filter(|(_, resource)| !resource.gone) {
        let seen = visible_to
            .is_none_or(|party| oracle.active(party) && oracle.standing(Asker::Party(party), number).sees);
        let parent = resource.parent.map(|parent| oracle.resources[parent].id.clone());
        let meant = wanted.is_none_or(|(field, op, text)| {
            let is = match field {
                ResourceField::Type => resource.of == text,
                ResourceField::Parent => parent.as_ref() == Some(text),
                ResourceField::Id => resource.id == *text,
                ResourceField::Permission => visible_to
                    .is_some_and(|party| oracle.decide(party, &resource.id, text) == Decision::Allowed),
                other => panic!("{other:?}"),
            };
            is == (*op == Op::Eq)
        });
        if seen && meant {
            list.push(resource.id.clone());
        }
    }
    list
}

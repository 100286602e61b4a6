//! Every question, asked of the room and answered by the oracle.

use crate::oracle::{Answer, Oracle, parties};
use crate::room::Room;
use crate::steps::{Asker, GROUPS, PARTIES, PERMISSIONS, SLOTS};
use keyreeve_sharing::{
    Check, Decision, Denial, Error, Freshness, GrantCursor, GrantKind, ResourceCursor, Sharing,
};

/// Pages of these sizes hold the same, one after the other.
pub const PAGES: [u16; 3] = [1, 2, 500];

pub fn category(error: &Error) -> Answer {
    match error {
        Error::NotFound(_) => Answer::NotFound,
        Error::Denied(_) => Answer::Denied,
        error => panic!("{error:?}"),
    }
}

pub fn askers() -> impl Iterator<Item = Asker> {
    std::iter::once(Asker::Admin).chain((GROUPS..PARTIES).map(Asker::Party))
}

/// Compares a node's answers, as current as `at`, with those of the oracle. Every question is asked about everything;
/// those that come in many shapes in some of them, others each turn.
pub async fn compare(room: &Room<'_>, sharing: &Sharing, oracle: &Oracle, (at, turn): (Freshness, usize)) {
    // First, so that the node has heard of everything when what names no revision is asked.
    checks(room, sharing, oracle, at).await;
    as_others(room, sharing, oracle).await;
    grants(room, sharing, oracle).await;
    children(room, sharing, oracle).await;
    crate::lists::compare(room, sharing, oracle, (at, turn)).await;
}

async fn checks(room: &Room<'_>, sharing: &Sharing, oracle: &Oracle, at: Freshness) {
    let (mut asked, mut expected) = (Vec::new(), Vec::new());
    for party in parties() {
        for slot in 0..SLOTS {
            for permission in PERMISSIONS.into_iter().chain(["OWNER", "NONE"]) {
                let resource = oracle.id(slot);
                expected.push(oracle.decide(party, &resource, permission));
                let permission = permission.to_owned();
                asked.push(Check { subject: room.parties[party], resource, permission });
            }
        }
    }
    let many = sharing.questions().check_many(&room.admin, &asked, at).await.unwrap();
    for ((check, many), expected) in asked.iter().zip(many).zip(expected) {
        assert_eq!(many, expected, "of many: {} {check:?}", room.number(check.subject));
        let one = sharing.questions().check(&room.admin, check, at).await.unwrap();
        assert_eq!(one, expected, "{} {check:?}", room.number(check.subject));
    }
}

/// What others than an administrator are told: about themselves, and about others.
async fn as_others(room: &Room<'_>, sharing: &Sharing, oracle: &Oracle) {
    for asker in GROUPS..PARTIES {
        let (by, authority) = (Asker::Party(asker), room.authority(Asker::Party(asker)));
        for slot in 0..SLOTS {
            let resource = oracle.id(slot);
            let found = oracle.look(by, &resource);
            let got = sharing.resources().get(authority, &resource).await;
            match (&found, got) {
                (Ok((number, _)), Ok(got)) => {
                    let known = &oracle.resources[*number];
                    let parent = known.parent.map(|parent| oracle.resources[parent].id.clone());
                    let is = (got.id, &*got.resource_type, room.number(got.owner), got.parent);
                    assert_eq!(is, (known.id.clone(), known.of, known.owner, parent), "{asker} {resource}");
                }
                (Err(_), Err(error)) => assert_eq!(category(&error), Answer::NotFound),
                (found, got) => panic!("{asker} {resource}: {got:?}, and not {:?}", found.is_ok()),
            }
            for subject in [asker, (asker + slot) % PARTIES] {
                let permission = PERMISSIONS[slot % 4].to_owned();
                let told = match oracle.decide(subject, &resource, &permission) {
                    Decision::Allowed => Decision::Allowed,
                    Decision::Denied(_) => Decision::Denied(Denial::NotGranted),
                };
                let expected = match &found {
                    _ if subject == asker => Ok(told),
                    Ok((_, standing)) if standing.shares => Ok(told),
                    Ok(_) => Err(Answer::Denied),
                    Err(_) => Err(Answer::NotFound),
                };
                let check = Check { subject: room.parties[subject], resource: resource.clone(), permission };
                let got = sharing.questions().check(authority, &check, Freshness::Bounded).await;
                assert_eq!(
                    got.map_err(|error| category(&error)),
                    expected,
                    "{asker} about {subject}: {check:?}"
                );
            }
        }
    }
}

/// Where made, what, to whom, how it comes, and when it ends.
type Listed = (String, &'static str, usize, GrantKind, Option<i64>);

fn listed(room: &Room<'_>, oracle: &Oracle, resource: usize, inherited: bool) -> Vec<Listed> {
    let chain = oracle.chain(resource);
    let mut upon = oracle.grants_upon(resource);
    upon.retain(|(above, grant)| oracle.exists(grant.party) && (inherited || *above == 0));
    // Permissions are numbered in the order in which they were declared, as their keys are.
    upon.sort_by_key(|(above, grant)| (*above, room.parties[grant.party].uuid(), grant.permission));
    let list = upon.into_iter().map(|(above, grant)| {
        let kind = match (above, grant.cascade) {
            (0, false) => GrantKind::Direct,
            (0, true) => GrantKind::DirectCascading,
            _ => GrantKind::Inherited,
        };
        let id = oracle.resources[chain[above]].id.clone();
        (id, oracle.permissions[grant.permission].id, grant.party, kind, grant.ends)
    });
    list.collect()
}

async fn grants(room: &Room<'_>, sharing: &Sharing, oracle: &Oracle) {
    for by in askers() {
        for slot in 0..SLOTS {
            let id = oracle.id(slot);
            let expected = oracle.look(by, &id).and_then(|(resource, standing)| {
                if standing.shares { Ok(resource) } else { Err(Answer::Denied) }
            });
            let authority = room.authority(by);
            for (inherited, limit) in [(false, 500), (true, PAGES[slot % 3])] {
                let expected = match &expected {
                    Ok(resource) => listed(room, oracle, *resource, inherited),
                    Err(refused) => {
                        let asked = sharing.grants().on(authority, &id, inherited, (None, limit)).await;
                        assert_eq!(category(&asked.unwrap_err()), *refused, "{by:?} {id}");
                        continue;
                    }
                };
                let (mut got, mut after) = (Vec::new(), None::<GrantCursor>);
                loop {
                    let page = sharing.grants().on(authority, &id, inherited, (after, limit)).await.unwrap();
                    assert!(page.items.len() <= usize::from(limit));
                    for held in page.items {
                        let grant = held.grant;
                        let name = PERMISSIONS.into_iter().find(|name| *name == grant.permission).unwrap();
                        let ends = grant.expires_at.map(|ends| ends.micros());
                        got.push((grant.resource, name, room.number(grant.subject), held.kind, ends));
                    }
                    let Some(next) = page.next else { break };
                    after = Some(next.to_string().parse().unwrap());
                }
                assert_eq!(got, expected, "the grants on {id} by {limit}");
            }
        }
    }
}

async fn children(room: &Room<'_>, sharing: &Sharing, oracle: &Oracle) {
    for by in askers() {
        for slot in 0..SLOTS {
            let (id, limit) = (oracle.id(slot), PAGES[(slot + 1) % 3]);
            let Ok((parent, _)) = oracle.look(by, &id) else { continue };
            let expected: Vec<String> = (0..oracle.resources.len())
                .filter(|child| {
                    oracle.resources[*child].parent == Some(parent) && !oracle.resources[*child].gone
                })
                .filter(|child| oracle.standing(by, *child).sees)
                .map(|child| oracle.resources[child].id.clone())
                .collect();
            let (mut got, mut after) = (Vec::new(), None::<ResourceCursor>);
            loop {
                let authority = room.authority(by);
                let page = sharing.resources().children(authority, &id, (after, limit)).await.unwrap();
                got.extend(page.items.into_iter().map(|child| child.id));
                let Some(next) = page.next else { break };
                after = Some(next.to_string().parse().unwrap());
            }
            assert_eq!(got, expected, "below {id} for {by:?} by {limit}");
        }
    }
}

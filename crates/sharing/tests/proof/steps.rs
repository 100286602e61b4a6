//! What can happen to a tenant, and random histories of it.

use proptest::prelude::*;

/// Parties by number: groups first, then users, then service accounts.
pub const GROUPS: usize = 4;
pub const USERS: usize = 3;
pub const SERVICES: usize = 1;
pub const PARTIES: usize = GROUPS + USERS + SERVICES;

/// Resources by number: those whose identifiers administrators choose, then the latest of those with generated ones.
pub const CHOSEN: usize = 6;
pub const GENERATED: usize = 2;
pub const SLOTS: usize = CHOSEN + GENERATED;

/// How deep a tree may be.
pub const MAX_DEPTH: usize = 4;

pub const TYPES: [&str; 2] = ["FILE", "FOLDER"];
/// The last is one that all types have, where it is declared.
pub const PERMISSIONS: [&str; 4] = ["READ", "SHARE", "WRITE", "LINK"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// Whoever has the authority over the tenant.
    Admin,
    /// A user or a service account.
    Party(usize),
}

#[derive(Debug, Clone)]
pub enum Step {
    CreateType(&'static str),
    DeleteType(&'static str),
    Declare {
        of: Option<&'static str>,
        id: &'static str,
        shares: bool,
        implies: Vec<&'static str>,
    },
    Redeclare {
        of: Option<&'static str>,
        id: &'static str,
        shares: Option<bool>,
        implies: Vec<&'static str>,
    },
    Undeclare {
        of: Option<&'static str>,
        id: &'static str,
    },
    Create {
        by: Asker,
        slot: usize,
        of: &'static str,
        owner: usize,
        parent: Option<usize>,
    },
    Update {
        by: Asker,
        slot: usize,
    },
    Move {
        by: Asker,
        slot: usize,
        to: Option<usize>,
    },
    Transfer {
        by: Asker,
        slot: usize,
        owner: usize,
    },
    Delete {
        by: Asker,
        slot: usize,
        with_children: bool,
    },
    Share {
        by: Asker,
        slot: usize,
        permission: &'static str,
        to: usize,
        cascade: bool,
        lasts_s: Option<u64>,
    },
    /// One of the grants that were ever made.
    Revoke {
        by: Asker,
        share: usize,
    },
    RevokeFrom {
        by: Asker,
        slot: usize,
        from: usize,
        permission: Option<&'static str>,
    },
    RevokeOn {
        by: Asker,
        slot: usize,
    },
    RevokeOf {
        by: Asker,
        from: usize,
    },
    Join {
        group: usize,
        party: usize,
    },
    Leave {
        group: usize,
        party: usize,
    },
    Disable(usize),
    Enable(usize),
    /// Archives a user, removes a group or a service account.
    Remove(usize),
    /// Lets so many seconds pass.
    Wait(u64),
    /// Clears away what counts for nothing.
    Sweep,
}

fn asker() -> impl Strategy<Value = Asker> {
    prop_oneof![2 => Just(Asker::Admin), 3 => (GROUPS..PARTIES).prop_map(Asker::Party)]
}

/// More often one of the first: what several steps are about shows more.
fn slot() -> impl Strategy<Value = usize> {
    prop_oneof![3 => 0..3_usize, 2 => 0..SLOTS]
}

fn of() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&TYPES[..])
}

fn permission() -> impl Strategy<Value = &'static str> {
    prop_oneof![20 => prop::sample::select(&PERMISSIONS[..]), 1 => Just("OWNER"), 1 => Just("NONE")]
}

/// What has permissions, and one of them.
fn declared() -> impl Strategy<Value = (Option<&'static str>, &'static str)> {
    prop_oneof![
        8 => (of().prop_map(Some), prop::sample::select(&PERMISSIONS[..3])),
        2 => Just((None, "LINK")),
        1 => (prop::option::of(of()), prop::sample::select(&PERMISSIONS[..])),
    ]
}

fn implied() -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(prop::sample::select(&PERMISSIONS[..]), 0..3)
}

fn model_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => of().prop_map(Step::CreateType),
        1 => of().prop_map(Step::DeleteType),
        2 => (declared(), any::<bool>(), implied())
            .prop_map(|((of, id), shares, implies)| Step::Declare { of, id, shares, implies }),
        3 => (declared(), any::<Option<bool>>(), implied())
            .prop_map(|((of, id), shares, implies)| Step::Redeclare { of, id, shares, implies }),
        1 => declared().prop_map(|(of, id)| Step::Undeclare { of, id }),
    ]
}

fn resource_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (asker(), 0..CHOSEN, of(), 0..PARTIES, prop::option::weighted(0.8, slot()))
            .prop_map(|(by, slot, of, owner, parent)| Step::Create { by, slot, of, owner, parent }),
        1 => (asker(), slot()).prop_map(|(by, slot)| Step::Update { by, slot }),
        5 => (asker(), slot(), prop::option::weighted(0.8, slot()))
            .prop_map(|(by, slot, to)| Step::Move { by, slot, to }),
        3 => (asker(), slot(), 0..PARTIES).prop_map(|(by, slot, owner)| Step::Transfer { by, slot, owner }),
        2 => (asker(), slot(), any::<bool>())
            .prop_map(|(by, slot, with_children)| Step::Delete { by, slot, with_children }),
    ]
}

fn grant_step() -> impl Strategy<Value = Step> {
    let lasts_s = prop::option::weighted(0.3, 1..40_u64);
    prop_oneof![
        9 => (asker(), slot(), permission(), 0..PARTIES, prop::bool::weighted(0.7), lasts_s).prop_map(
            |(by, slot, permission, to, cascade, lasts_s)| Step::Share { by, slot, permission, to, cascade, lasts_s }
        ),
        2 => (asker(), any::<usize>()).prop_map(|(by, share)| Step::Revoke { by, share }),
        3 => (asker(), slot(), 0..PARTIES, prop::option::of(permission()))
            .prop_map(|(by, slot, from, permission)| Step::RevokeFrom { by, slot, from, permission }),
        1 => (asker(), slot()).prop_map(|(by, slot)| Step::RevokeOn { by, slot }),
        1 => (asker(), 0..PARTIES).prop_map(|(by, from)| Step::RevokeOf { by, from }),
    ]
}

fn directory_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..GROUPS, 0..PARTIES).prop_map(|(group, party)| Step::Join { group, party }),
        4 => (0..GROUPS, 0..PARTIES).prop_map(|(group, party)| Step::Leave { group, party }),
        2 => (GROUPS..PARTIES).prop_map(Step::Disable),
        2 => (GROUPS..PARTIES).prop_map(Step::Enable),
        1 => (0..PARTIES).prop_map(Step::Remove),
        3 => (1..30_u64).prop_map(Step::Wait),
        1 => Just(Step::Wait(61)),
        2 => Just(Step::Sweep),
    ]
}

/// What every history begins with: two types with the usual permissions, and a small tree.
pub fn beginning() -> Vec<Step> {
    let mut steps = Vec::new();
    for of in TYPES {
        steps.push(Step::CreateType(of));
        for (id, shares, implies) in
            [("READ", false, vec![]), ("SHARE", true, vec![]), ("WRITE", false, vec!["READ"])]
        {
            steps.push(Step::Declare { of: Some(of), id, shares, implies });
        }
    }
    for (slot, of, parent) in [(0, "FOLDER", None), (1, "FOLDER", Some(0)), (2, "FILE", Some(1))] {
        steps.push(Step::Create { by: Asker::Admin, slot, of, owner: GROUPS, parent });
    }
    steps
}

pub fn history(length: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => model_step(),
        5 => resource_step(),
        7 => grant_step(),
        4 => directory_step(),
    ];
    prop::collection::vec(step, 1..length)
}

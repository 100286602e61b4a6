//! A tenant that is slow and obviously right: plain lists, and loops over all of them. Nothing is kept but what was said;
//! every answer is worked out anew.

use crate::steps::{Asker, CHOSEN, GROUPS, MAX_DEPTH, PARTIES, Step};
use keyreeve_sharing::{Decision, Denial};
use std::collections::BTreeSet;

/// What becomes of a step.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was done; to so much (0 where there was nothing to do).
    Done(u64),
    NotFound,
    Denied,
    Taken,
    InUse,
    Invalid,
}

/// A permission, by its place in the list; one that was removed stays there.
pub struct Permission {
    pub of: Option<&'static str>,
    pub id: &'static str,
    pub shares: bool,
    pub implies: BTreeSet<usize>,
    pub declared: bool,
}

/// A resource, by its place in the list; one that was removed stays there.
pub struct Resource {
    pub id: String,
    pub of: &'static str,
    pub owner: usize,
    pub parent: Option<usize>,
    pub grants: Vec<Grant>,
    pub gone: bool,
}

#[derive(Debug, Clone)]
pub struct Grant {
    pub party: usize,
    pub permission: usize,
    pub cascade: bool,
    /// Microseconds since 1970.
    pub made: i64,
    pub ends: Option<i64>,
}

#[derive(Default)]
pub struct Oracle {
    /// Microseconds since 1970.
    pub now: i64,
    pub types: BTreeSet<&'static str>,
    pub permissions: Vec<Permission>,
    pub resources: Vec<Resource>,
    /// Every grant that was ever made: resource, party, permission.
    pub shares: Vec<(usize, usize, usize)>,
    /// Group and member.
    pub members: BTreeSet<(usize, usize)>,
    pub disabled: BTreeSet<usize>,
    pub removed: BTreeSet<usize>,
    pub generated: Vec<String>,
}

type Refused = Result<u64, Answer>;

/// How somebody stands towards a resource.
#[derive(Default)]
pub struct Standing {
    pub sees: bool,
    pub shares: bool,
    pub owns: bool,
}

// ── who ──
impl Oracle {
    pub fn exists(&self, party: usize) -> bool {
        !self.removed.contains(&party)
    }

    pub fn active(&self, party: usize) -> bool {
        self.exists(party) && !self.disabled.contains(&party)
    }

    /// The groups that hold a party, by however many others.
    pub fn above(&self, party: usize) -> BTreeSet<usize> {
        let direct = self.members.iter().filter(|(_, member)| *member == party).map(|(group, _)| *group);
        direct.flat_map(|group| self.above(group).into_iter().chain([group])).collect()
    }

    /// Whether what one party has is what the other has.
    pub fn has(&self, party: usize, holder: usize) -> bool {
        party == holder || self.above(party).contains(&holder)
    }
}

// ── what ──
impl Oracle {
    /// The identifier that a number stands for.
    pub fn id(&self, slot: usize) -> String {
        match slot.checked_sub(CHOSEN) {
            None => format!("r{slot}"),
            Some(back) => {
                self.generated.iter().rev().nth(back).cloned().unwrap_or_else(|| format!("none{slot}"))
            }
        }
    }

    pub fn find(&self, id: &str) -> Option<usize> {
        self.resources.iter().position(|resource| resource.id == id && !resource.gone)
    }

    /// The resource and everything above it.
    pub fn chain(&self, resource: usize) -> Vec<usize> {
        let mut chain = vec![resource];
        while let Some(parent) = self.resources[chain[chain.len() - 1]].parent {
            chain.push(parent);
        }
        chain
    }

    fn below(&self, resource: usize) -> Vec<usize> {
        (0..self.resources.len())
            .filter(|other| !self.resources[*other].gone && self.chain(*other).contains(&resource))
            .collect()
    }

    /// How many levels there are from a resource down.
    fn height(&self, resource: usize) -> usize {
        let depth = self.chain(resource).len();
        self.below(resource).iter().map(|below| self.chain(*below).len() - depth + 1).max().unwrap_or(1)
    }

    /// What is called so and means something on resources of a type.
    pub fn permission(&self, of: &str, id: &str) -> Option<usize> {
        let means = |permission: &&Permission| {
            permission.declared && permission.id == id && permission.of.is_none_or(|own| own == of)
        };
        self.permissions.iter().position(|permission| means(&permission))
    }

    /// What was declared for a type alone, or for all.
    fn own(&self, of: Option<&str>, id: &str) -> Option<usize> {
        self.permissions.iter().position(|found| found.declared && found.id == id && found.of == of)
    }

    /// A permission and what it implies, by however many others.
    fn closure(&self, permission: usize) -> BTreeSet<usize> {
        let implied =
            self.permissions[permission].implies.iter().filter(|next| self.permissions[**next].declared);
        implied.flat_map(|next| self.closure(*next)).chain([permission]).collect()
    }

    /// The names of what somebody has on a resource of this type who was granted this.
    pub fn means(&self, of: &str, granted: usize) -> BTreeSet<usize> {
        let granted = &self.permissions[granted];
        let here = self.permission(of, granted.id).filter(|_| granted.declared);
        here.map(|here| self.closure(here)).unwrap_or_default()
    }

    pub fn holds(&self, grant: &Grant) -> bool {
        grant.ends.is_none_or(|ends| self.now < ends)
    }

    /// The grants that hold on a resource, each with how far above it was made.
    pub fn grants_upon(&self, resource: usize) -> Vec<(usize, Grant)> {
        let of = self.resources[resource].of;
        let mut found = Vec::new();
        for (above, node) in self.chain(resource).into_iter().enumerate() {
            for grant in &self.resources[node].grants {
                let comes = above == 0 || grant.cascade;
                if comes && self.holds(grant) && !self.means(of, grant.permission).is_empty() {
                    found.push((above, grant.clone()));
                }
            }
        }
        found
    }

    pub fn owns(&self, party: usize, resource: usize) -> bool {
        let chain = self.chain(resource);
        self.active(party) && chain.iter().any(|node| self.has(party, self.resources[*node].owner))
    }

    /// The permissions that a party has on a resource, without ownership.
    pub fn granted(&self, party: usize, resource: usize) -> BTreeSet<usize> {
        if !self.active(party) {
            return BTreeSet::new();
        }
        let of = self.resources[resource].of;
        let grants = self.grants_upon(resource).into_iter().filter(|(_, grant)| self.has(party, grant.party));
        grants.flat_map(|(_, grant)| self.means(of, grant.permission)).collect()
    }

    pub fn decide(&self, party: usize, id: &str, permission: &str) -> Decision {
        let Some(resource) = self.find(id) else { return Decision::Denied(Denial::NoResource) };
        let wanted = self.permission(self.resources[resource].of, permission);
        if wanted.is_none() && permission != "OWNER" {
            return Decision::Denied(Denial::NoPermission);
        }
        if !self.active(party) {
            return Decision::Denied(Denial::NoSubject);
        }
        let granted = wanted.is_some_and(|wanted| self.granted(party, resource).contains(&wanted));
        match granted || self.owns(party, resource) {
            true => Decision::Allowed,
            false => Decision::Denied(Denial::NotGranted),
        }
    }

    pub fn standing(&self, by: Asker, resource: usize) -> Standing {
        let party = match by {
            Asker::Admin => return Standing { sees: true, shares: true, owns: true },
            Asker::Party(party) => party,
        };
        let (owns, granted) = (self.owns(party, resource), self.granted(party, resource));
        let shares = granted.iter().any(|permission| self.permissions[*permission].shares);
        Standing { sees: owns || !granted.is_empty(), shares: owns || shares, owns }
    }

    /// The resource of an identifier, if the asker may know of it.
    pub fn look(&self, by: Asker, id: &str) -> Result<(usize, Standing), Answer> {
        let resource = self.find(id).ok_or(Answer::NotFound)?;
        let standing = self.standing(by, resource);
        if standing.sees { Ok((resource, standing)) } else { Err(Answer::NotFound) }
    }
}

fn require(may: bool) -> Result<(), Answer> {
    if may { Ok(()) } else { Err(Answer::Denied) }
}

// ── what happens ──
impl Oracle {
    /// Does a step; `generated` is the identifier that a resource was given which had none.
    pub fn apply(&mut self, step: &Step, generated: Option<String>) -> Answer {
        let answer = match step.clone() {
            Step::CreateType(of) => {
                if self.types.insert(of) {
                    Ok(1)
                } else {
                    Err(Answer::Taken)
                }
            }
            Step::DeleteType(of) => self.delete_type(of),
            Step::Declare { of, id, shares, implies } => self.declare((of, id), shares, &implies),
            Step::Redeclare { of, id, shares, implies } => self.redeclare((of, id), shares, &implies),
            Step::Undeclare { of, id } => match self.own(of, id) {
                Some(permission) => {
                    self.permissions[permission].declared = false;
                    Ok(1)
                }
                None => Err(Answer::NotFound),
            },
            Step::Create { by, slot, of, owner, parent } => {
                self.create(by, slot, (of, owner, parent), generated)
            }
            Step::Update { by, slot } => self.look(by, &self.id(slot)).and_then(|(_, standing)| {
                require(standing.owns)?;
                Ok(1)
            }),
            Step::Move { by, slot, to } => self.relocate(by, slot, to),
            Step::Transfer { by, slot, owner } => self.transfer(by, slot, owner),
            Step::Delete { by, slot, with_children } => self.delete(by, slot, with_children),
            Step::Share { .. } | Step::Revoke { .. } | Step::RevokeFrom { .. } => self.grant(step),
            Step::RevokeOn { by, slot } => self.look(by, &self.id(slot)).and_then(|(resource, standing)| {
                require(standing.shares)?;
                Ok(std::mem::take(&mut self.resources[resource].grants).len() as u64)
            }),
            Step::RevokeOf { by, from } => require(by == Asker::Admin).map(|()| {
                let lists = self.resources.iter_mut().map(|resource| &mut resource.grants);
                lists.map(|grants| remove(grants, |grant| grant.party == from)).sum()
            }),
            Step::Join { group, party } => self.join(group, party),
            Step::Leave { group, party } => Ok(u64::from(self.members.remove(&(group, party)))),
            Step::Disable(party) | Step::Enable(party) if !self.exists(party) => Err(Answer::NotFound),
            Step::Disable(party) => {
                self.disabled.insert(party);
                Ok(1)
            }
            Step::Enable(party) => {
                self.disabled.remove(&party);
                Ok(1)
            }
            Step::Remove(party) => {
                self.members.retain(|(group, member)| *group != party && *member != party);
                if self.removed.insert(party) { Ok(1) } else { Err(Answer::NotFound) }
            }
            Step::Wait(seconds) => {
                self.now += i64::try_from(seconds).unwrap() * 1_000_000;
                Ok(1)
            }
            Step::Sweep => {
                self.sweep();
                Ok(1)
            }
        };
        answer.map_or_else(|refused| refused, Answer::Done)
    }

    /// What was removed goes, and so do grants that have ended, and old ones of what is not there any more.
    fn sweep(&mut self) {
        let settled = self.now - 60_000_000;
        let (now, removed, permissions) = (self.now, &self.removed, &self.permissions);
        for resource in &mut self.resources {
            let gone = resource.gone;
            resource.grants.retain(|grant| {
                let orphan = !permissions[grant.permission].declared || removed.contains(&grant.party);
                let dead = grant.ends.is_some_and(|ends| ends <= now) || orphan && grant.made <= settled;
                !gone && !dead
            });
        }
    }

    fn delete_type(&mut self, of: &str) -> Refused {
        if !self.types.contains(of) {
            return Err(Answer::NotFound);
        }
        if self.resources.iter().any(|resource| resource.of == of && !resource.gone) {
            return Err(Answer::InUse);
        }
        self.types.remove(of);
        for permission in self.permissions.iter_mut().filter(|permission| permission.of == Some(of)) {
            permission.declared = false;
        }
        Ok(1)
    }

    /// What a permission of these types is to imply; `own` is itself, if it is there.
    fn implied(
        &self,
        of: Option<&str>,
        own: Option<usize>,
        names: &[&str],
    ) -> Result<BTreeSet<usize>, Answer> {
        let find = |name: &&str| self.own(of, name).or_else(|| self.own(None, name));
        let found: Option<BTreeSet<usize>> = names.iter().map(find).collect();
        let found = found.ok_or(Answer::Invalid)?;
        let circle = own.is_some_and(|own| found.iter().any(|next| self.closure(*next).contains(&own)));
        if circle { Err(Answer::Invalid) } else { Ok(found) }
    }

    fn declare(
        &mut self,
        (of, id): (Option<&'static str>, &'static str),
        shares: bool,
        names: &[&str],
    ) -> Refused {
        if of.is_some_and(|of| !self.types.contains(of)) {
            return Err(Answer::NotFound);
        }
        let collides = |other: &Permission| other.of == of || other.of.is_none() || of.is_none();
        if self.permissions.iter().any(|other| other.declared && other.id == id && collides(other)) {
            return Err(Answer::Taken);
        }
        let implies = self.implied(of, None, names)?;
        self.permissions.push(Permission { of, id, shares, implies, declared: true });
        Ok(1)
    }

    fn redeclare(&mut self, (of, id): (Option<&str>, &str), shares: Option<bool>, names: &[&str]) -> Refused {
        let own = self.own(of, id).ok_or(Answer::NotFound)?;
        let implies = self.implied(of, Some(own), names)?;
        let permission = &mut self.permissions[own];
        permission.shares = shares.unwrap_or(permission.shares);
        permission.implies = implies;
        Ok(1)
    }

    fn create(
        &mut self,
        by: Asker,
        slot: usize,
        (of, owner, parent): (&'static str, usize, Option<usize>),
        generated: Option<String>,
    ) -> Refused {
        let parent = parent.map(|parent| self.look(by, &self.id(parent))).transpose()?;
        let (id, owner) = match by {
            Asker::Admin if !self.exists(owner) => return Err(Answer::NotFound),
            Asker::Admin => (self.id(slot), owner),
            Asker::Party(own) => {
                require(parent.as_ref().is_some_and(|(_, standing)| standing.shares))?;
                (generated.clone().unwrap_or_default(), own)
            }
        };
        if !self.types.contains(of) {
            return Err(Answer::NotFound);
        }
        let parent = parent.map(|(parent, _)| parent);
        if parent.is_some_and(|parent| self.chain(parent).len() >= MAX_DEPTH) {
            return Err(Answer::Invalid);
        }
        if self.find(&id).is_some() {
            return Err(Answer::Taken);
        }
        self.generated.extend(generated);
        self.resources.push(Resource { id, of, owner, parent, grants: Vec::new(), gone: false });
        Ok(1)
    }

    fn relocate(&mut self, by: Asker, slot: usize, to: Option<usize>) -> Refused {
        let (resource, standing) = self.look(by, &self.id(slot))?;
        require(standing.owns)?;
        let to = match to {
            None => None,
            Some(to) => {
                let (to, standing) = self.look(by, &self.id(to))?;
                require(standing.shares)?;
                Some(to)
            }
        };
        if self.resources[resource].parent == to {
            return Ok(0);
        }
        if let Some(to) = to {
            let above = self.chain(to);
            if above.contains(&resource) || above.len() + self.height(resource) > MAX_DEPTH {
                return Err(Answer::Invalid);
            }
        }
        self.resources[resource].parent = to;
        Ok(1)
    }

    fn transfer(&mut self, by: Asker, slot: usize, owner: usize) -> Refused {
        let (resource, standing) = self.look(by, &self.id(slot))?;
        require(standing.owns)?;
        if !self.active(owner) {
            return Err(Answer::NotFound);
        }
        let former = std::mem::replace(&mut self.resources[resource].owner, owner);
        Ok(u64::from(former != owner))
    }

    fn delete(&mut self, by: Asker, slot: usize, with_children: bool) -> Refused {
        let (resource, standing) = self.look(by, &self.id(slot))?;
        require(standing.owns)?;
        let below = self.below(resource);
        if below.len() > 1 && !with_children {
            return Err(Answer::InUse);
        }
        for gone in below {
            self.resources[gone].gone = true;
        }
        Ok(1)
    }

    fn grant(&mut self, step: &Step) -> Refused {
        match *step {
            Step::Share { by, slot, permission, to, cascade, lasts_s } => {
                let (resource, standing) = self.look(by, &self.id(slot))?;
                require(standing.shares)?;
                if permission == "OWNER" {
                    return Err(Answer::Invalid);
                }
                let permission =
                    self.permission(self.resources[resource].of, permission).ok_or(Answer::NotFound)?;
                if !self.exists(to) {
                    return Err(Answer::NotFound);
                }
                let ends = lasts_s.map(|seconds| self.now + i64::try_from(seconds).unwrap() * 1_000_000);
                self.shares.push((resource, to, permission));
                Ok(self.share(resource, Grant { party: to, permission, cascade, made: self.now, ends }))
            }
            Step::Revoke { by, share } => {
                let ever = self.shares.len().max(1);
                let Some((resource, party, permission)) = self.shares.get(share % ever).copied() else {
                    return Ok(0);
                };
                if self.resources[resource].gone {
                    return Err(Answer::NotFound);
                }
                let standing = self.standing(by, resource);
                if !standing.sees {
                    return Err(Answer::NotFound);
                }
                require(standing.shares)?;
                let grants = &mut self.resources[resource].grants;
                let found = remove(grants, |grant| (grant.party, grant.permission) == (party, permission));
                if found == 0 { Err(Answer::NotFound) } else { Ok(1) }
            }
            Step::RevokeFrom { by, slot, from, permission } => {
                let (resource, standing) = self.look(by, &self.id(slot))?;
                require(standing.shares)?;
                if permission == Some("OWNER") {
                    return Err(Answer::Invalid);
                }
                let of = self.resources[resource].of;
                let named =
                    permission.map(|name| self.permission(of, name).ok_or(Answer::NotFound)).transpose()?;
                let grants = &mut self.resources[resource].grants;
                Ok(remove(grants, |grant| {
                    grant.party == from && named.is_none_or(|named| grant.permission == named)
                }))
            }
            _ => Ok(0),
        }
    }

    /// Makes a grant; what there is already holds for the longer of the two, and goes down if one of them does.
    fn share(&mut self, resource: usize, new: Grant) -> u64 {
        let now = self.now;
        let grants = &mut self.resources[resource].grants;
        let same = |grant: &&mut Grant| (grant.party, grant.permission) == (new.party, new.permission);
        let Some(former) = grants.iter_mut().find(same) else {
            grants.push(new);
            return 1;
        };
        let mut merged = new;
        if former.ends.is_none_or(|ends| now < ends) {
            merged.cascade |= former.cascade;
            merged.made = former.made;
            merged.ends = former.ends.zip(merged.ends).map(|(one, other)| one.max(other));
            if (merged.cascade, merged.ends) == (former.cascade, former.ends) {
                return 0;
            }
        }
        *former = merged;
        1
    }

    fn join(&mut self, group: usize, party: usize) -> Refused {
        if !self.exists(group) || !self.exists(party) {
            return Err(Answer::NotFound);
        }
        if party < GROUPS && (group == party || self.above(group).contains(&party)) {
            return Err(Answer::Invalid);
        }
        Ok(u64::from(self.members.insert((group, party))))
    }
}

/// Takes grants away, and counts them.
fn remove(grants: &mut Vec<Grant>, which: impl Fn(&Grant) -> bool) -> u64 {
    let before = grants.len();
    grants.retain(|grant| !which(grant));
    (before - grants.len()) as u64
}

/// Everybody.
pub fn parties() -> std::ops::Range<usize> {
    0..PARTIES
}

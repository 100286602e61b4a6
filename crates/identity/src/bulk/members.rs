//! Members of groups in bulk, and groups nested in groups.

use super::party::{GroupRef, Parties, PartyRef};
use super::users::existing;
use super::{Bulk, Fate, How, Mode, Outcome, Problem, Seen, SeenKey, moment, problem};
use crate::directory::{self, Party, PartyKind};
use crate::groups::{self, MAX_WALK, MembershipKind, Nesting};
use crate::{Error, schema};
use keyreeve_base::{GroupId, Timestamp};
use keyreeve_store::{Tx, params};
use serde_json::json;
use std::collections::HashSet;
use uuid::Uuid;

/// With more new members than this at a time, everything that is kept of the tenant's parties is forgotten instead of
/// each by itself.
const MANY: usize = 64;

/// A membership as an import has it.
#[derive(Debug, Clone)]
pub struct MemberRow {
    /// The group.
    pub group: GroupRef,
    /// The member.
    pub member: PartyRef,
    /// The kind; a nested group is a [`MembershipKind::Member`].
    pub kind: MembershipKind,
    /// Since when, wherever that was.
    pub added_at: Option<Timestamp>,
}

impl MemberRow {
    /// What the row looks for.
    pub fn seen_keys(&self) -> impl Iterator<Item = SeenKey> {
        [self.group_ref().seen_key(), self.member.seen_key(), self.pair_key()].into_iter()
    }

    fn group_ref(&self) -> PartyRef {
        self.group.clone().into()
    }

    fn pair_key(&self) -> SeenKey {
        let (group, member) = (self.group_ref().seen_key(), self.member.seen_key());
        SeenKey::new("member", &format!("{}{}", group.id(), member.id()))
    }
}

/// A row whose parties were found.
struct Resolved<'r> {
    row: &'r MemberRow,
    group: GroupId,
    party: Party,
    /// The party in parts, as it is stored.
    stored: (Uuid, PartyKind),
    added_at: Timestamp,
}

impl Bulk<'_> {
    /// Applies rows in their order; as many outcomes as rows.
    ///
    /// # Errors
    /// [`Error::VersionConflict`] and others when somebody was in the way: run the transaction again. Those of the
    /// store.
    pub async fn members(
        self,
        tx: &mut Tx<'_>,
        rows: &[&MemberRow],
        how: &How,
        seen: &mut Seen,
    ) -> Result<Vec<Outcome>, Error> {
        // The tenant's shape is locked before anybody in it, as everyone does who needs both.
        let shape = rows.len() > MANY || rows.iter().any(|row| row.member.is_group());
        if shape && !how.trial {
            directory::change_shape(tx, how.tenant).await?;
        }
        let groups: Vec<PartyRef> = rows.iter().map(|row| row.group_ref()).collect();
        let names = groups.iter().chain(rows.iter().map(|row| &row.member));
        let parties = Parties::find(tx, names, how, seen).await?;
        let mut outcomes: Vec<Option<Outcome>> = Vec::with_capacity(rows.len());
        let mut direct = Vec::new();
        for (place, (row, group)) in rows.iter().zip(&groups).enumerate() {
            outcomes.push(match self.resolve(row, group, &parties) {
                Err(problem) => Some(Outcome::failed(problem)),
                Ok(resolved) if matches!(resolved.party, Party::Group(_)) => {
                    Some(self.nest(tx, &resolved, how, seen).await?)
                }
                Ok(resolved) => {
                    direct.push((place, resolved));
                    None
                }
            });
        }
        for (place, outcome) in self.direct(tx, &direct, how, seen).await? {
            if let Some(slot) = outcomes.get_mut(place) {
                *slot = Some(outcome);
            }
        }
        if !shape && !how.trial {
            for (_, resolved) in &direct {
                directory::party_changed(tx, how.tenant, resolved.party).await?;
            }
        }
        Ok(outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(lost)).collect())
    }

    fn resolve<'r>(
        self,
        row: &'r MemberRow,
        group: &PartyRef,
        parties: &Parties,
    ) -> Result<Resolved<'r>, Problem> {
        let Party::Group(group) = parties.get("group", group)? else {
            return Err(Problem::new("group", "is no group"));
        };
        let party = parties.get("member", &row.member)?;
        if matches!(party, Party::Group(_)) && row.kind != MembershipKind::Member {
            return Err(Problem::new("kind", "of a nested group must be MEMBER"));
        }
        let added_at = moment("added_at", row.added_at, self.now());
        let added_at = added_at.map_err(|_| Problem::new("added_at", "is in the future or before 1970"))?;
        Ok(Resolved { row, group, party, stored: (party.uuid(), party.kind()), added_at })
    }

    /// Users and service accounts.
    async fn direct(
        self,
        tx: &mut Tx<'_>,
        rows: &[(usize, Resolved<'_>)],
        how: &How,
        seen: &mut Seen,
    ) -> Result<Vec<(usize, Outcome)>, Error> {
        let keys: Vec<_> = rows.iter().map(|(_, of)| params![how.tenant, of.group, of.stored.0]).collect();
        let kinds = tx.query_each(&schema::KIND_OF, &keys, |row| row.get::<MembershipKind>(0)).await?;
        let mut outcomes = Vec::with_capacity(rows.len());
        let (mut new, mut pairs) = (Vec::new(), HashSet::new());
        for ((place, of), kind) in rows.iter().zip(kinds) {
            let imagined = seen.get(of.row.pair_key()).is_some();
            let again = !pairs.insert((of.group, of.party));
            let fate = match kind {
                Some(_) if how.mode == Mode::Create => Fate::Skipped,
                Some(kind) if kind == of.row.kind => Fate::Unchanged,
                Some(former) => {
                    self.change_member(tx, of, former, how).await?;
                    Fate::Updated
                }
                None if again || imagined => existing(how.mode, Fate::Unchanged),
                None => {
                    new.push(of);
                    Fate::Created
                }
            };
            outcomes.push((*place, Outcome::of(fate, of.group.uuid())));
        }
        if how.trial {
            new.iter().for_each(|of| seen.note(of.row.pair_key(), of.group.uuid()));
            return Ok(outcomes);
        }
        let rows: Vec<_> = new
            .iter()
            .map(|of| params![how.tenant, of.group, of.stored.0, of.stored.1, of.row.kind, of.added_at])
            .collect();
        if tx.execute_each(&schema::INSERT_MEMBER, &rows).await?.contains(&0) {
            return Err(Error::VersionConflict);
        }
        Ok(outcomes)
    }

    async fn change_member(
        self,
        tx: &mut Tx<'_>,
        of: &Resolved<'_>,
        former: MembershipKind,
        how: &How,
    ) -> Result<(), Error> {
        if how.trial {
            return Ok(());
        }
        let member = of.party.uuid();
        let row = params![how.tenant, of.group, member, of.row.kind];
        tx.execute(&schema::CHANGE_KIND, &row).await?;
        let detail = json!({"member": of.party, "kind": of.row.kind, "former": former});
        self.record(tx, how, ("group", of.group.uuid()), ("group.member.change", detail)).await
    }

    async fn nest(
        self,
        tx: &mut Tx<'_>,
        of: &Resolved<'_>,
        how: &How,
        seen: &mut Seen,
    ) -> Result<Outcome, Error> {
        let (Party::Group(child), parent) = (of.party, of.group) else {
            return Ok(Outcome::refused("member", "is no group"));
        };
        let done = if how.trial {
            self.would_nest(tx, (parent, child), how, seen).await
        } else {
            groups::nest_group(tx, how.tenant, (parent, child), how.limits.max_depth, of.added_at).await
        };
        match done {
            Ok(true) => Ok(Outcome::of(Fate::Created, parent.uuid())),
            Ok(false) => Ok(Outcome::of(existing(how.mode, Fate::Unchanged), parent.uuid())),
            Err(Error::Invalid { problem, .. }) => Ok(Outcome::refused("member", problem)),
            Err(error) => Ok(Outcome::failed(problem(error)?)),
        }
    }

    /// Whether nesting would be new; the nests of the trial count as if they were there.
    async fn would_nest(
        self,
        tx: &mut Tx<'_>,
        (parent, child): (GroupId, GroupId),
        how: &How,
        seen: &mut Seen,
    ) -> Result<bool, Error> {
        if seen.nests() >= MAX_WALK {
            return Err(Error::invalid("member", format!("is one of more than {MAX_WALK} new nests")));
        }
        if beside(tx, child, how, (seen, true)).await?.contains(&parent) {
            return Ok(false);
        }
        let above = walk(tx, parent, how, (seen, true)).await?;
        let below = walk(tx, child, how, (seen, false)).await?;
        let (above, below) = (Nesting::new(above)?, Nesting::new(below)?);
        groups::check_nesting((parent, child), &above, &below, how.limits.max_depth)?;
        seen.nest(parent, child);
        Ok(true)
    }
}

/// All nesting above or below a group, that of the trial with that of the database: pairs that lead away from it.
async fn walk(
    tx: &mut Tx<'_>,
    start: GroupId,
    how: &How,
    (seen, up): (&mut Seen, bool),
) -> Result<Vec<(GroupId, GroupId)>, Error> {
    let (mut open, mut known, mut pairs) = (vec![start], HashSet::from([start]), Vec::new());
    while let Some(group) = open.pop() {
        for next in beside(tx, group, how, (&mut *seen, up)).await? {
            pairs.push((group, next));
            if known.insert(next) {
                open.push(next);
            }
        }
        if pairs.len() > MAX_WALK {
            break;
        }
    }
    Ok(pairs)
}

/// The groups directly above or below a group, in the database and in the trial.
async fn beside(
    tx: &mut Tx<'_>,
    group: GroupId,
    how: &How,
    (seen, up): (&mut Seen, bool),
) -> Result<Vec<GroupId>, Error> {
    if seen.stored(group, up).is_none() {
        let stored = if up {
            tx.query(&schema::GROUPS_OF_GROUP, &params![how.tenant, group], |row| row.get(0)).await?
        } else {
            let limit = i64::try_from(MAX_WALK).unwrap_or(i64::MAX).saturating_add(1);
            tx.query(&schema::NESTED_IN, &params![how.tenant, group, limit], |row| row.get(0)).await?
        };
        seen.keep_stored(group, up, stored);
    }
    let stored = seen.stored(group, up).unwrap_or_default();
    Ok([stored, seen.beside(group, up)].concat())
}

fn lost() -> Outcome {
    Outcome::refused("", "was not looked at")
}

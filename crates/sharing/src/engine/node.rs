//! A resource as the engine sees it, with the grants on it.

use crate::grants::PartyKind;
use keyreeve_identity::Party;
use keyreeve_store::{Error, Row};
use std::str::FromStr;
use uuid::Uuid;

/// The most grants that are kept with their resource; where there are more, those of each party are asked for by
/// themselves.
pub(crate) const MAX_KEPT: usize = 2_048;

/// A resource.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) key: i64,
    /// False once it was removed.
    pub(crate) alive: bool,
    pub(crate) type_key: i64,
    pub(crate) parent: Option<i64>,
    pub(crate) owner: Party,
    pub(crate) grants: Grants,
}

/// The grants on a resource.
#[derive(Debug, Clone)]
pub(crate) enum Grants {
    /// All of them, in the order of the parties.
    All(Box<[Held]>),
    /// Too many.
    Many,
}

/// A grant as the engine sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) party: Uuid,
    pub(crate) permission: i64,
    /// Microseconds since 1970; the last that there are for what does not end.
    expires: i64,
    pub(crate) kind: PartyKind,
    pub(crate) cascades: bool,
}

impl Held {
    /// Whether it holds at this moment, in microseconds since 1970.
    pub(crate) const fn holds(&self, now: i64) -> bool {
        now < self.expires
    }

    /// A grant to this party that stands beside its node in a row.
    pub(crate) fn beside(party: Uuid, row: &Row<'_>) -> Result<Self, Error> {
        Ok(Self {
            party,
            permission: row.get(7)?,
            cascades: row.get(8)?,
            expires: row.get::<Option<i64>>(9)?.unwrap_or(i64::MAX),
            kind: row.get(10)?,
        })
    }

    pub(crate) fn from_row(row: &Row<'_>) -> Result<(i64, Self), Error> {
        let held = Self {
            party: row.get(1)?,
            permission: row.get(2)?,
            cascades: row.get(3)?,
            expires: row.get::<Option<i64>>(4)?.unwrap_or(i64::MAX),
            kind: row.get(5)?,
        };
        Ok((row.get(0)?, held))
    }
}

impl Node {
    /// A node without its grants.
    pub(crate) fn from_row(row: &Row<'_>) -> Result<Self, Error> {
        Ok(Self {
            key: row.get(0)?,
            alive: row.get(1)?,
            type_key: row.get(2)?,
            parent: row.get(3)?,
            owner: row.get::<PartyKind>(4)?.party(row.get(5)?),
            grants: Grants::Many,
        })
    }

    pub(crate) fn weight(&self) -> u64 {
        let grants = match &self.grants {
            Grants::All(grants) => u64::try_from(std::mem::size_of_val::<[Held]>(grants)).unwrap_or(u64::MAX),
            Grants::Many => 0,
        };
        grants.saturating_add(224)
    }
}

/// A party and a resource: what [`super::HELD_TOPIC`] names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct HeldKey {
    pub(crate) resource: i64,
    pub(crate) party: Uuid,
}

impl std::fmt::Display for HeldKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.resource, self.party)
    }
}

impl FromStr for HeldKey {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (resource, party) = text.split_once(':').ok_or(())?;
        Ok(Self { resource: resource.parse().map_err(drop)?, party: party.parse().map_err(drop)? })
    }
}

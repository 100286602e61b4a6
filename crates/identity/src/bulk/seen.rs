//! What earlier rows of a trial would have made.

use keyreeve_base::GroupId;
use keyreeve_crypto::sha256;
use std::collections::HashMap;
use uuid::Uuid;

/// A thing by what rows call it, in 16 bytes: a digest, so that what a trial keeps shows no names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeenKey([u8; 16]);

impl SeenKey {
    /// The key of what rows of this kind call `name`.
    #[must_use]
    pub fn new(kind: &str, name: &str) -> Self {
        let digest = sha256(format!("{kind}\0{name}").as_bytes());
        let mut key = [0; 16];
        for (byte, of) in key.iter_mut().zip(digest) {
            *byte = of;
        }
        Self(key)
    }

    /// The bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The identifier that something new has in a trial.
    pub(super) fn id(self) -> Uuid {
        Uuid::from_bytes(self.0)
    }
}

/// What earlier rows of a trial would have made, as far as the rows at hand ask for it.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    known: HashMap<SeenKey, Uuid>,
    fresh: Vec<(SeenKey, Uuid)>,
    nests: Nests,
    /// What the database says of nesting, asked once for each group of a batch.
    stored: HashMap<(GroupId, bool), Vec<GroupId>>,
}

/// What the rows of a trial would have nested, from both ends.
#[derive(Debug, Clone, Default)]
struct Nests {
    parents: HashMap<GroupId, Vec<GroupId>>,
    children: HashMap<GroupId, Vec<GroupId>>,
    count: usize,
}

impl Seen {
    /// Makes an earlier row's known.
    pub fn know(&mut self, key: SeenKey, id: Uuid) {
        self.known.insert(key, id);
    }

    /// What an earlier row would have made.
    #[must_use]
    pub fn get(&self, key: SeenKey) -> Option<Uuid> {
        self.known.get(&key).copied()
    }

    /// Notes what a row would have made.
    pub fn note(&mut self, key: SeenKey, id: Uuid) {
        self.known.insert(key, id);
        self.fresh.push((key, id));
    }

    /// What the rows since the last time would have made, for the caller to keep; what it knew is forgotten.
    pub fn take(&mut self) -> Vec<(SeenKey, Uuid)> {
        self.known.clear();
        self.stored.clear();
        std::mem::take(&mut self.fresh)
    }

    pub(super) fn nest(&mut self, parent: GroupId, child: GroupId) {
        self.nests.parents.entry(child).or_default().push(parent);
        self.nests.children.entry(parent).or_default().push(child);
        self.nests.count = self.nests.count.saturating_add(1);
    }

    /// How many nests the rows so far would have made.
    pub(super) const fn nests(&self) -> usize {
        self.nests.count
    }

    /// The groups that rows so far would have nested directly above or below a group.
    pub(super) fn beside(&self, group: GroupId, up: bool) -> &[GroupId] {
        let side = if up { &self.nests.parents } else { &self.nests.children };
        side.get(&group).map_or(&[], Vec::as_slice)
    }

    /// What the database said of a group's neighbours, if it was asked.
    pub(super) fn stored(&self, group: GroupId, up: bool) -> Option<&[GroupId]> {
        self.stored.get(&(group, up)).map(Vec::as_slice)
    }

    pub(super) fn keep_stored(&mut self, group: GroupId, up: bool, beside: Vec<GroupId>) {
        self.stored.insert((group, up), beside);
    }
}

//! What earlier rows of a trial would have made.

use keyreeve_base::GroupId;
use keyreeve_crypto::sha256;
use std::collections::HashMap;
use uuid::Uuid;

/// A thing by what rows call it, in 16 bytes: a digest, so that what a trial keeps shows no names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeenKey([u8; 16]);

impl SeenKey {
    pub(super) fn new(kind: &str, name: &str) -> Self {
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
    nests: Vec<(GroupId, GroupId)>,
}

impl Seen {
    /// Makes an earlier row's known.
    pub fn know(&mut self, key: SeenKey, id: Uuid) {
        self.known.insert(key, id);
    }

    pub(super) fn get(&self, key: SeenKey) -> Option<Uuid> {
        self.known.get(&key).copied()
    }

    pub(super) fn note(&mut self, key: SeenKey, id: Uuid) {
        self.known.insert(key, id);
        self.fresh.push((key, id));
    }

    /// What the rows since the last time would have made, for the caller to keep; what it knew is forgotten.
    pub fn take(&mut self) -> Vec<(SeenKey, Uuid)> {
        self.known.clear();
        std::mem::take(&mut self.fresh)
    }

    pub(super) fn nest(&mut self, parent: GroupId, child: GroupId) {
        self.nests.push((parent, child));
    }

    pub(super) fn nests(&self) -> &[(GroupId, GroupId)] {
        &self.nests
    }
}

//! A dry run: everything is decided as if, and nothing is written. What earlier lines would have made is remembered in
//! a database of its own, on disk, which goes away with it; it holds digests of names and no name.

use super::LineResult;
use super::batch::Batch;
use crate::{Error, Transfer, schema};
use keyreeve_base::World;
use keyreeve_identity::bulk::{How, Seen, SeenKey};
use keyreeve_store::{Location, Options, Store, Tx, params};
use std::sync::Arc;
use tempfile::TempDir;
use uuid::Uuid;

/// What a dry run remembers.
pub(super) struct Trial {
    store: Store,
    seen: Seen,
    _dir: TempDir,
}

/// What became of a batch.
pub(super) struct Tried {
    pub(super) results: Vec<LineResult>,
}

impl Trial {
    pub(super) async fn open(world: &World) -> Result<Self, Error> {
        let dir = tempfile::Builder::new().prefix("keyreeve-trial").tempdir();
        let dir = dir.map_err(|source| Error::Io { what: "a temporary directory cannot be made", source })?;
        let location = Location::SqliteFile(dir.path().join("seen.db"));
        let store = Store::open(Options::new(location), world.clone(), schema::TRIAL).await?;
        Ok(Self { store, seen: Seen::default(), _dir: dir })
    }

    pub(super) async fn apply(&mut self, room: &Transfer, how: &How, batch: Batch) -> Result<Tried, Error> {
        let keys: Vec<SeenKey> = batch.items().flat_map(super::item::Item::seen_keys).collect();
        for (key, id) in self.known(keys).await? {
            self.seen.know(key, id);
        }
        let (batch, how, within, before) = (Arc::new(batch), how.clone(), room.clone(), self.seen.clone());
        let decide = async move |tx: &mut Tx<'_>| {
            let mut seen = before.clone();
            let results = batch.apply(tx, &within, &how, &mut seen).await?;
            Ok::<_, Error>((results, seen))
        };
        // A transaction that may lock what it reads, and writes nothing.
        let (results, seen) = room.0.store.write(decide).await?;
        self.seen = seen;
        let fresh = self.seen.take();
        self.remember(fresh).await?;
        Ok(Tried { results })
    }

    async fn known(&self, keys: Vec<SeenKey>) -> Result<Vec<(SeenKey, Uuid)>, Error> {
        let read = async move |tx: &mut Tx<'_>| {
            let rows: Vec<_> = keys.iter().map(|key| params![*key.bytes()]).collect();
            let found = tx.query_each(&schema::KNOWN, &rows, |row| row.get::<Uuid>(0)).await?;
            let pairs = keys.iter().copied().zip(found);
            Ok::<_, Error>(pairs.filter_map(|(key, id)| id.map(|id| (key, id))).collect())
        };
        self.store.read(read).await
    }

    async fn remember(&self, fresh: Vec<(SeenKey, Uuid)>) -> Result<(), Error> {
        let write = async move |tx: &mut Tx<'_>| {
            let rows: Vec<_> = fresh.iter().map(|(key, id)| params![*key.bytes(), *id]).collect();
            tx.execute_each(&schema::REMEMBER, &rows).await?;
            Ok::<_, Error>(())
        };
        self.store.write(write).await
    }
}

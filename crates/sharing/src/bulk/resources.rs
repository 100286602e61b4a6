//! Loading resources.

use super::line::{LineError, LineOutcome, LineResult};
use super::{Line, Load, record};
use crate::engine::ID_TOPIC;
use crate::model::check_id;
use crate::resources::{Insert, Parent, check_parent, find_parent, insert, insert_each};
use crate::{Error, NewResource, Sharing};
use keyreeve_base::{TenantId, Timestamp};
use keyreeve_identity::Party;
use keyreeve_store::Tx;
use std::collections::HashMap;

/// A resource that may be written, once its parent is.
struct Row {
    line: usize,
    id: String,
    type_key: i64,
    owner: Party,
    new: NewResource,
}

/// How many resources one transaction makes.
const AT_ONCE: usize = 2_000;

impl Load<'_> {
    /// Takes in resources that stand together.
    pub(super) async fn resources(&mut self, run: &[Line]) -> Result<Vec<LineResult>, Error> {
        let mut results = Vec::with_capacity(run.len());
        let mut rows = Vec::new();
        let model = self.sharing.model(self.tenant).await?;
        for (line, found) in run.iter().enumerate() {
            let Line::Resource(new) = found else { continue };
            match self.check(new).await? {
                Ok(owner) => match model.type_of(&new.resource_type) {
                    Some(entry) => {
                        let id = match &new.id {
                            Some(id) => id.clone(),
                            None => self.sharing.world().new_uuid().to_string(),
                        };
                        results.push(Ok(LineOutcome::Created));
                        let new = NewResource::clone(new);
                        rows.push(Row { line, id, type_key: entry.of.key, owner, new });
                    }
                    None => results.push(Err(LineError::new("resource_type", "is not there"))),
                },
                Err(fault) => results.push(Err(fault)),
            }
        }
        while !rows.is_empty() {
            let rest = rows.split_off(rows.len().min(AT_ONCE));
            let part = std::mem::replace(&mut rows, rest);
            for (line, result) in self.write_resources(part).await? {
                if let Some(place) = results.get_mut(line) {
                    *place = result;
                }
            }
        }
        Ok(results)
    }

    async fn check(&mut self, new: &NewResource) -> Result<Result<Party, LineError>, Error> {
        let sound = new.id.as_deref().map_or(Ok(()), |id| check_id("id", id)).and_then(|()| new.check());
        let sound = sound.and_then(|()| crate::hosted::keep_out(&new.resource_type));
        if let Err(error) = sound {
            return Ok(Err(super::line::fault(error)?));
        }
        match new.owner {
            None => Ok(Err(LineError::new("owner", "has to be named"))),
            Some(owner) if self.is_known(owner).await? => Ok(Ok(owner)),
            Some(_) => Ok(Err(LineError::new("owner", "is not there"))),
        }
    }

    async fn write_resources(&self, rows: Vec<Row>) -> Result<Vec<(usize, LineResult)>, Error> {
        let parents = self.keys_of(rows.iter().filter_map(|row| row.new.parent.as_deref())).await?;
        let (sharing, cause, tenant) = (self.sharing.clone(), self.cause.clone(), self.tenant);
        let now = sharing.world().now();
        let write = async move |tx: &mut Tx<'_>| {
            let mut places: HashMap<&str, Parent> = HashMap::new();
            for (id, (key, _)) in &parents {
                match find_parent(tx, &sharing, tenant, *key).await {
                    Ok(parent) => drop(places.insert(id, parent)),
                    Err(Error::NotFound(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            let mut results: Vec<LineResult> = rows.iter().map(|_| Ok(LineOutcome::Created)).collect();
            for wave in waves(&rows) {
                let written = write_wave(tx, (&sharing, tenant, now), (&rows, &wave), &places).await?;
                for (place, result) in written {
                    let (Some(row), Some(slot)) = (rows.get(place), results.get_mut(place)) else { continue };
                    *slot = result.map(|made| match made {
                        Some(made) => {
                            places.insert(&row.id, made);
                            LineOutcome::Created
                        }
                        None => LineOutcome::Exists,
                    });
                }
            }
            for (key, _) in parents.values() {
                // Removed at this moment: the batch is given once more, and finds it gone.
                check_parent(tx, tenant, *key).await?;
            }
            let made = results.iter().filter(|result| **result == Ok(LineOutcome::Created)).count();
            if made > 0 {
                let made = u64::try_from(made).unwrap_or(u64::MAX);
                record(tx, (&sharing, &cause), (tenant, "resource"), (rows.len(), made)).await?;
                // Of no tenant: every identifier that is kept is looked up anew.
                tx.changed(None, ID_TOPIC, "*").await?;
            }
            Ok::<_, Error>(rows.iter().map(|row| row.line).zip(results).collect())
        };
        self.sharing.store().write(write).await
    }
}

/// The places of rows, in turns: what a row names as its parent was there before, or is written in an earlier turn. What is
/// called like a row before it has a later turn than that.
fn waves(rows: &[Row]) -> Vec<Vec<usize>> {
    let mut turns: HashMap<&str, usize> = HashMap::with_capacity(rows.len());
    let mut waves: Vec<Vec<usize>> = Vec::new();
    for (place, row) in rows.iter().enumerate() {
        let after = |id: &str| turns.get(id).map_or(0, |turn| turn.saturating_add(1));
        let turn = after(&row.id).max(row.new.parent.as_deref().map_or(0, after));
        turns.insert(&row.id, turn);
        if waves.len() <= turn {
            waves.resize_with(turn.saturating_add(1), Vec::new);
        }
        if let Some(wave) = waves.get_mut(turn) {
            wave.push(place);
        }
    }
    waves
}

/// What became of a row: where it is now, or that it was there.
type Written = Result<Option<Parent>, LineError>;

/// Writes the rows of one turn, none of which waits for another.
async fn write_wave(
    tx: &mut Tx<'_>,
    (sharing, tenant, now): (&Sharing, TenantId, Timestamp),
    (rows, wave): (&[Row], &[usize]),
    places: &HashMap<&str, Parent>,
) -> Result<Vec<(usize, Written)>, Error> {
    let mut results = Vec::with_capacity(wave.len());
    let (mut ready, mut insertions) = (Vec::with_capacity(wave.len()), Vec::with_capacity(wave.len()));
    for &place in wave {
        let Some(Row { id, type_key, owner, new, .. }) = rows.get(place) else { continue };
        let parent = new.parent.as_deref().map(|parent| places.get(parent).copied());
        if parent == Some(None) {
            results.push((place, Err(LineError::new("parent", "is not there"))));
            continue;
        }
        let parent = parent.flatten();
        let insertion = Insert { tenant, id, type_key: *type_key, parent, owner: *owner, new, now };
        match insertion.check_depth(sharing) {
            Ok(()) => {
                ready.push(place);
                insertions.push(insertion);
            }
            Err(error) => results.push((place, Err(super::line::fault(error)?))),
        }
    }
    let keys = insert_each(tx, &insertions).await?;
    for ((place, insertion), key) in ready.into_iter().zip(&insertions).zip(keys) {
        let key = match key {
            Some(key) => Ok(key),
            // The identifier is taken, if not by what is gone.
            None => insert(tx, sharing, insertion).await,
        };
        let levels = insertion.parent.map_or(0, |parent| parent.levels).saturating_add(1);
        let written = match key {
            Ok(key) => Ok(Some(Parent { key, levels })),
            Err(Error::Taken(_)) => Ok(None),
            Err(error) => Err(super::line::fault(error)?),
        };
        results.push((place, written));
    }
    Ok(results)
}

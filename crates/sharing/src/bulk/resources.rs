//! Loading resources.

use super::line::{LineError, LineOutcome, LineResult};
use super::{Line, Load, record};
use crate::engine::ID_TOPIC;
use crate::model::check_id;
use crate::resources::{Insert, Parent, check_parent, find_parent, insert};
use crate::{Error, NewResource};
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
        // Parents that come in this very part are known when it is their children's turn.
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
            let mut results = Vec::with_capacity(rows.len());
            let mut made = 0_u64;
            for row in &rows {
                let Row { line, id, type_key, owner, new } = row;
                let parent = new.parent.as_deref().map(|parent| places.get(parent).copied());
                if parent == Some(None) {
                    results.push((*line, Err(LineError::new("parent", "is not there"))));
                    continue;
                }
                let parent = parent.flatten();
                let insertion = Insert { tenant, id, type_key: *type_key, parent, owner: *owner, new, now };
                let result = match insert(tx, &sharing, &insertion).await {
                    Ok(key) => {
                        made = made.saturating_add(1);
                        let levels = parent.map_or(0, |parent| parent.levels).saturating_add(1);
                        places.insert(id, Parent { key, levels });
                        Ok(LineOutcome::Created)
                    }
                    Err(Error::Taken(_)) => Ok(LineOutcome::Exists),
                    Err(error) => Err(super::line::fault(error)?),
                };
                results.push((*line, result));
            }
            for (key, _) in parents.values() {
                // Removed at this moment: the batch is given once more, and finds it gone.
                check_parent(tx, tenant, *key).await?;
            }
            if made > 0 {
                record(tx, (&sharing, &cause), (tenant, "resource"), (rows.len(), made)).await?;
                // Of no tenant: every identifier that is kept is looked up anew.
                tx.changed(None, ID_TOPIC, "*").await?;
            }
            Ok::<_, Error>(results)
        };
        self.sharing.store().write(write).await
    }
}

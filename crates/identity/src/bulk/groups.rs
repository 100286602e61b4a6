//! Groups in bulk. There are few of them beside users, so each is written by itself.

use super::party::group_by_name;
use super::users::existing;
use super::{Bulk, Fate, How, Mode, Outcome, Seen, SeenKey, moment, problem};
use crate::directory::name::Name;
use crate::groups::{self, Group, GroupPatch, TOPIC};
use crate::{Error, schema};
use keyreeve_base::{GroupId, TenantId, Timestamp};
use keyreeve_store::{Tx, params};
use serde_json::json;

/// A group as an import has it.
#[derive(Debug, Clone, Default)]
pub struct GroupRow {
    /// The identifier to find the group by, or to give a new one.
    pub id: Option<GroupId>,
    /// Name, description, attributes; what is absent is left alone.
    pub patch: GroupPatch,
    /// When a new group was made, wherever that was.
    pub created_at: Option<Timestamp>,
    /// When it was last changed there.
    pub updated_at: Option<Timestamp>,
}

impl GroupRow {
    fn name_key(&self) -> Option<SeenKey> {
        self.patch.name.as_deref().and_then(Name::canonical).map(|name| group_by_name(&name))
    }

    fn id_key(&self) -> Option<SeenKey> {
        self.id.map(|id| SeenKey::new("group-id", &id.to_string()))
    }

    /// What the row looks for.
    pub fn seen_keys(&self) -> impl Iterator<Item = SeenKey> {
        self.name_key().into_iter().chain(self.id_key())
    }
}

impl Bulk<'_> {
    /// Applies one row.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn group(
        self,
        tx: &mut Tx<'_>,
        row: &GroupRow,
        how: &How,
        seen: &mut Seen,
    ) -> Result<Outcome, Error> {
        if row.id.is_none() && row.patch.name.is_none() {
            return Ok(Outcome::refused("name", "or an id is needed"));
        }
        if let Some(id) = row.id {
            let owner: Option<TenantId> =
                tx.query_opt(&schema::OWNER_OF_GROUP_ID, &params![id], |row| row.get(0)).await?;
            match owner {
                Some(owner) if owner != how.tenant => return Ok(Outcome::refused("id", "is in use")),
                Some(_) => return self.change_group(tx, id, row, how).await,
                None => {}
            }
        }
        let imagined = row.seen_keys().find_map(|key| seen.get(key));
        if let Some(id) = imagined {
            return Ok(Outcome::of(existing(how.mode, Fate::Updated), id));
        }
        if let Some(canonical) = row.patch.name.as_deref().and_then(Name::canonical) {
            let named = tx
                .query_opt(&schema::GROUP_BY_NAME, &params![how.tenant, &canonical], Group::from_row)
                .await?;
            match named {
                Some(_) if row.id.is_some() => return Ok(Outcome::refused("name", "is another group's")),
                Some(group) => return self.change_group(tx, group.id, row, how).await,
                None => {}
            }
        }
        self.make_group(tx, row, how, seen).await
    }

    async fn make_group(
        self,
        tx: &mut Tx<'_>,
        row: &GroupRow,
        how: &How,
        seen: &mut Seen,
    ) -> Result<Outcome, Error> {
        let (group, name) = match self.new_group(row, how) {
            Ok(new) => new,
            Err(error) => return Ok(Outcome::failed(problem(error)?)),
        };
        if how.trial {
            row.seen_keys().for_each(|key| seen.note(key, group.id.uuid()));
        } else {
            groups::insert_group(tx, &group, &name).await?;
            tx.changed(Some(how.tenant), TOPIC, &group.id.to_string()).await?;
        }
        Ok(Outcome::of(Fate::Created, group.id.uuid()))
    }

    fn new_group(self, row: &GroupRow, how: &How) -> Result<(Group, Name), Error> {
        let now = self.now();
        let created_at = moment("created_at", row.created_at, now)?;
        let mut group = Group {
            id: row.id.unwrap_or_else(|| self.0.world().new_id()),
            tenant_id: how.tenant,
            name: String::new(),
            description: None,
            attributes: std::collections::BTreeMap::default(),
            created_at,
            updated_at: moment("updated_at", row.updated_at, now)?.max(created_at),
            version: 1,
        };
        let (name, _) = row.patch.apply(&mut group)?;
        Ok((group, name))
    }

    async fn change_group(
        self,
        tx: &mut Tx<'_>,
        id: GroupId,
        row: &GroupRow,
        how: &How,
    ) -> Result<Outcome, Error> {
        if how.mode == Mode::Create {
            return Ok(Outcome::of(Fate::Skipped, id.uuid()));
        }
        let before = groups::hold(tx, how.tenant, id).await?;
        let mut after = before.clone();
        let (name, fields) = match row.patch.apply(&mut after) {
            Ok(applied) => applied,
            Err(error) => return Ok(Outcome::failed(problem(error)?)),
        };
        if after == before {
            return Ok(Outcome::of(Fate::Unchanged, id.uuid()));
        }
        let namesake: Option<GroupId> = tx
            .query_opt(&schema::GROUP_ID_BY_NAME, &params![how.tenant, &name.canonical], |row| row.get(0))
            .await?;
        if namesake.is_some_and(|other| other != id) {
            return Ok(Outcome::refused("name", "is another group's"));
        }
        if !how.trial {
            after.updated_at = self.now();
            groups::write_group(tx, &after, &name).await?;
            let detail = json!({"fields": fields, "name": after.name});
            self.record(tx, how, ("group", id.uuid()), ("group.update", detail)).await?;
            tx.changed(Some(how.tenant), TOPIC, &id.to_string()).await?;
        }
        Ok(Outcome::of(Fate::Updated, id.uuid()))
    }
}

//! Many checks at once: what they have in common is found out once.

use super::walk::Places;
use super::{Ground, Node, Who};
use crate::model::Model;
use crate::questions::{Check, Decision, Denial};
use crate::{Error, Sharing};
use foldhash::{HashMap, HashMapExt as _};
use keyreeve_base::TenantId;
use keyreeve_identity::Party;
use std::sync::Arc;

/// What is known while a batch is answered.
pub(crate) struct Batch<'a> {
    sharing: &'a Sharing,
    tenant: TenantId,
    model: Arc<Model>,
    who: HashMap<Party, Asker>,
    /// Resources that are there, with all above them: nothing of that was removed.
    nodes: Vec<Known>,
    places: Places,
    /// By question and node: whether what lies below the node has it from there, or from further above.
    below: HashMap<(Question, usize), bool>,
}

/// Who asks, of which type, for which permission.
type Question = (u32, i64, i64);

/// A resource, and the place of what it lies below.
struct Known {
    node: Arc<Node>,
    parent: Option<usize>,
}

/// Somebody who is asked about.
struct Asker {
    number: u32,
    /// How often; of one who is asked about once, nothing is noted.
    questions: u32,
    who: Option<Option<Arc<Who>>>,
}

impl<'a> Batch<'a> {
    pub(crate) async fn new(sharing: &'a Sharing, tenant: TenantId, checks: &[Check]) -> Result<Self, Error> {
        let mut who: HashMap<Party, Asker> = HashMap::with_capacity(checks.len().min(128));
        for check in checks {
            let number = u32::try_from(who.len()).unwrap_or(u32::MAX);
            let asker = who.entry(check.subject).or_insert_with(|| Asker { number, questions: 0, who: None });
            asker.questions = asker.questions.saturating_add(1);
        }
        Ok(Self {
            sharing,
            tenant,
            model: sharing.model(tenant).await?,
            who,
            nodes: Vec::with_capacity(checks.len().saturating_mul(4).min(4_096)),
            places: Places::with_capacity(checks.len().saturating_mul(4).min(4_096)),
            below: HashMap::new(),
        })
    }

    /// Answers one of the batch.
    pub(crate) async fn decide(&mut self, check: &Check) -> Result<Decision, Error> {
        let denied = |why| Ok(Decision::Denied(why));
        let Some(key) = self.sharing.key_of(self.tenant, &check.resource).await? else {
            return denied(Denial::NoResource);
        };
        let Some(place) = self.find(key).await? else { return denied(Denial::NoResource) };
        let Some(Known { node: leaf, parent }) = self.nodes.get(place) else {
            return denied(Denial::NoResource);
        };
        let (leaf, parent) = (Arc::clone(leaf), *parent);
        let model = Arc::clone(&self.model);
        let Some(entry) = model.type_by_key(leaf.type_key) else { return denied(Denial::NoResource) };
        let Some(by) = entry.satisfying(&check.permission) else { return denied(Denial::NoPermission) };
        let (number, often, who) = self.who(check.subject).await?;
        let Some(who) = who else { return denied(Denial::NoSubject) };
        let allowed = if often {
            // Ownership has no key.
            let question = (number, leaf.type_key, entry.key_of(&check.permission).unwrap_or(-1));
            self.above(question, (&who, by), parent).await? || self.at(&who, by, &leaf, 0).await?
        } else {
            self.at(&who, by, &leaf, 0).await? || self.anywhere_above((&who, by), parent).await?
        };
        if allowed { Ok(Decision::Allowed) } else { denied(Denial::NotGranted) }
    }

    /// Whether somebody has it on what lies below a node.
    async fn anywhere_above(
        &self,
        (who, by): (&Who, &[u32]),
        mut next: Option<usize>,
    ) -> Result<bool, Error> {
        while let Some(Known { node, parent }) = next.and_then(|place| self.nodes.get(place)) {
            if self.at(who, by, node, 1).await? {
                return Ok(true);
            }
            next = *parent;
        }
        Ok(false)
    }

    /// The same, noted for the next question of the same kind.
    async fn above(
        &mut self,
        question: Question,
        (who, by): (&Who, &[u32]),
        mut next: Option<usize>,
    ) -> Result<bool, Error> {
        let mut path = Vec::new();
        let mut has = false;
        while let Some(place) = next {
            if let Some(known) = self.below.get(&(question, place)) {
                has = *known;
                break;
            }
            path.push(place);
            next = self.nodes.get(place).and_then(|known| known.parent);
        }
        for place in path.into_iter().rev() {
            if !has && let Some(Known { node, .. }) = self.nodes.get(place) {
                has = self.at(who, by, node, 1).await?;
            }
            self.below.insert((question, place), has);
        }
        Ok(has)
    }

    async fn at(&self, who: &Who, by: &[u32], node: &Node, above: usize) -> Result<bool, Error> {
        let mut found = |ground: Ground| ground.name.is_none_or(|name| by.binary_search(&name).is_ok());
        self.sharing.grounds_of(who, &self.model, (self.tenant, node, above), &mut found).await
    }

    /// Somebody who is asked about: a number, whether they are asked about more than once, and who it is, if anybody.
    async fn who(&mut self, party: Party) -> Result<(u32, bool, Option<Arc<Who>>), Error> {
        let Some(asker) = self.who.get_mut(&party) else {
            return Ok((u32::MAX, false, None));
        };
        let who = match &asker.who {
            Some(who) => who.clone(),
            None => {
                let who = self.sharing.who(self.tenant, party).await?.map(Arc::new);
                asker.who = Some(who.clone());
                who
            }
        };
        Ok((asker.number, asker.questions > 1, who))
    }

    /// The place of a resource that is there. What is above it comes along when it is looked up for the first time.
    async fn find(&mut self, key: i64) -> Result<Option<usize>, Error> {
        if let Some(place) = self.places.get(&key) {
            return Ok(Some(*place));
        }
        let Some(path) = self.sharing.walk_until(self.tenant, key, &self.places).await? else {
            return Ok(None);
        };
        let mut parent =
            path.last().and_then(|node| node.parent).and_then(|key| self.places.get(&key).copied());
        for node in path.into_iter().rev() {
            let place = self.nodes.len();
            self.places.insert(node.key, place);
            self.nodes.push(Known { node, parent });
            parent = Some(place);
        }
        Ok(parent)
    }
}

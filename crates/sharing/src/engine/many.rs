//! Many checks at once: what they have in common is found out once.

use super::{Node, Seen, Who};
use crate::model::Model;
use crate::questions::{Check, Decision, Denial};
use crate::{Error, Sharing};
use keyreeve_base::TenantId;
use keyreeve_identity::Party;
use std::collections::HashMap;
use std::sync::Arc;

/// What is known while a batch is answered.
pub(crate) struct Batch<'a> {
    sharing: &'a Sharing,
    tenant: TenantId,
    model: Arc<Model>,
    who: HashMap<Party, Option<Arc<Who>>>,
    nodes: HashMap<i64, Arc<Node>>,
    questions: HashMap<(Party, i64, String), u32>,
    /// By question and node: whether what lies below the node has it from there, or from further above. Nodes that are
    /// here have nothing removed above them.
    below: HashMap<(u32, i64), bool>,
}

impl<'a> Batch<'a> {
    pub(crate) async fn new(sharing: &'a Sharing, tenant: TenantId) -> Result<Self, Error> {
        Ok(Self {
            sharing,
            tenant,
            model: sharing.model(tenant).await?,
            who: HashMap::new(),
            nodes: HashMap::new(),
            questions: HashMap::new(),
            below: HashMap::new(),
        })
    }

    /// Answers one of the batch.
    pub(crate) async fn decide(&mut self, check: &Check) -> Result<Decision, Error> {
        let Some(key) = self.sharing.key_of(self.tenant, &check.resource).await? else {
            return Ok(Decision::Denied(Denial::NoResource));
        };
        let Some(leaf) = self.node(key).await? else { return Ok(Decision::Denied(Denial::NoResource)) };
        let model = Arc::clone(&self.model);
        let Some(entry) = model.type_by_key(leaf.type_key) else {
            return Ok(Decision::Denied(Denial::NoResource));
        };
        let Some(by) = entry.satisfying(&check.permission) else {
            return Ok(Decision::Denied(Denial::NoPermission));
        };
        let Some(who) = self.who(check.subject).await? else {
            return Ok(Decision::Denied(Denial::NoSubject));
        };
        let next = u32::try_from(self.questions.len()).unwrap_or(u32::MAX);
        let name = (check.subject, leaf.type_key, check.permission.clone());
        let question = *self.questions.entry(name).or_insert(next);
        let from_above = match leaf.parent {
            Some(parent) => match self.above(question, &who, by, parent).await? {
                Some(from_above) => from_above,
                None => return Ok(Decision::Denied(Denial::NoResource)),
            },
            None => false,
        };
        let allowed = from_above || self.at(&who, by, &leaf, 0).await?;
        Ok(if allowed { Decision::Allowed } else { Decision::Denied(Denial::NotGranted) })
    }

    /// Whether what lies below this node has it; none where something from there on was removed.
    async fn above(
        &mut self,
        question: u32,
        who: &Who,
        by: &[u32],
        from: i64,
    ) -> Result<Option<bool>, Error> {
        let mut path = Vec::new();
        let mut next = Some(from);
        let mut has = false;
        while let Some(key) = next {
            if let Some(known) = self.below.get(&(question, key)) {
                has = *known;
                break;
            }
            let Some(node) = self.node(key).await? else { return Ok(None) };
            next = node.parent;
            path.push(node);
            if path.len() > self.sharing.engine().walk_limit {
                return Err(keyreeve_store::Error::corrupt("a resource has too much above it").into());
            }
        }
        for node in path.iter().rev() {
            has = has || self.at(who, by, node, 1).await?;
            self.below.insert((question, node.key), has);
        }
        Ok(Some(has))
    }

    async fn at(&self, who: &Who, by: &[u32], node: &Node, above: usize) -> Result<bool, Error> {
        let place = (self.tenant, node, above);
        let mut found =
            |ground: super::Ground| ground.name.is_none_or(|name| by.binary_search(&name).is_ok());
        self.sharing.grounds_of(who, &self.model, place, &mut found).await
    }

    async fn who(&mut self, party: Party) -> Result<Option<Arc<Who>>, Error> {
        if let Some(who) = self.who.get(&party) {
            return Ok(who.clone());
        }
        let who = self.sharing.who(self.tenant, party).await?.map(Arc::new);
        self.who.insert(party, who.clone());
        Ok(who)
    }

    /// A node that is there. What is above it comes along when it is looked up for the first time.
    async fn node(&mut self, key: i64) -> Result<Option<Arc<Node>>, Error> {
        if let Some(node) = self.nodes.get(&key) {
            return Ok(Some(Arc::clone(node)));
        }
        let Some(Seen { nodes, .. }) = self.sharing.walk(self.tenant, key).await? else { return Ok(None) };
        let first = nodes.first().cloned();
        for node in nodes {
            self.nodes.entry(node.key).or_insert(node);
        }
        Ok(first)
    }
}

//! What a subject can reach.

use super::{ATTEMPTS, Page, Questions};
use crate::engine::{Accept, Visible};
use crate::standing::{asker, over_tenant};
use crate::{Error, Freshness, MAX_PAGE, ResourceCursor};
use keyreeve_identity::{Authority, Party};

/// Which resources are asked for.
#[derive(Debug, Clone)]
pub struct ResourcesOf {
    /// Whose.
    pub subject: Party,
    /// Of which type.
    pub resource_type: String,
    /// On which it has this permission; [`crate::OWNER`] asks for what it owns.
    pub permission: String,
    /// Where the page begins.
    pub after: Option<ResourceCursor>,
    /// How many it holds, from 1 to 500.
    pub limit: u16,
}

/// A resource that a subject can reach.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct VisibleResource {
    /// Its identifier.
    pub id: String,
    /// Its type.
    pub resource_type: String,
}

impl Questions<'_> {
    /// A page of the resources of a type on which a subject has a permission: exactly those for which the check says yes,
    /// each once. What was granted or is owned comes in the order of its making, and below each what comes down from it,
    /// parents first. A page looks at 5,000 resources at most, so it may hold fewer than `limit` and still have a next one.
    ///
    /// # Errors
    /// [`Error::Denied`] where neither the subject itself asks nor whoever administers the tenant; [`Error::NotFound`] for
    /// the type and the permission.
    pub async fn resources_of(
        self,
        authority: &Authority,
        of: &ResourcesOf,
        at: Freshness,
    ) -> Result<Page<VisibleResource, ResourceCursor>, Error> {
        let tenant = authority.tenant();
        if !over_tenant(authority) && asker(authority) != Some(of.subject) {
            return Err(Error::Denied("authority over the tenant, to ask about others"));
        }
        self.0.await_freshness(at).await?;
        let limit = usize::from(of.limit.clamp(1, MAX_PAGE));
        let mut attempt = 1;
        loop {
            let before = self.0.engine().changes(tenant);
            let model = self.0.model(tenant).await?;
            let entry = model.type_of(&of.resource_type).ok_or(Error::NotFound("resource type"))?;
            let names = entry.satisfying(&of.permission).ok_or(Error::NotFound("permission"))?;
            let accept = Accept::Names(names.into());
            let Some(who) = self.0.who(tenant, of.subject).await? else {
                return Ok(Page { items: Vec::new(), next: None });
            };
            let place = (tenant, std::sync::Arc::clone(&model));
            let mut walk = Visible::new(self.0, place, (&who, accept), of.after.as_ref()).await?;
            let (items, next) = walk.page(limit, |item| item.type_key == entry.of.key).await?;
            if before == self.0.engine().changes(tenant) || attempt >= ATTEMPTS {
                let visible = |id| VisibleResource { id, resource_type: of.resource_type.clone() };
                return Ok(Page { items: items.into_iter().map(|item| visible(item.id)).collect(), next });
            }
            attempt += 1;
        }
    }
}

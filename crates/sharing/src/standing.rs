//! Who may do what: how an asker stands towards a resource.

use crate::engine::{Ground, Seen, Who};
use crate::{Error, Sharing};
use keyreeve_identity::{Authority, Party};
use std::sync::Arc;

/// How an asker stands towards one resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Standing {
    /// Owns it, or something above it; or administers the tenant.
    pub(crate) owns: bool,
    /// May grant and revoke.
    pub(crate) shares: bool,
    /// Has some permission.
    pub(crate) sees: bool,
}

impl Standing {
    pub(crate) const ALL: Self = Self { owns: true, shares: true, sees: true };

    /// What these reasons amount to on a resource.
    fn by(authority: &Authority, grounds: &[Ground], seen: &Seen) -> Self {
        if over_tenant(authority) { Self::ALL } else { Self::of(grounds, seen) }
    }

    fn of(grounds: &[Ground], seen: &Seen) -> Self {
        let Some(entry) = seen.entry() else { return Self::default() };
        let mut standing = Self::default();
        for ground in grounds {
            match ground.name {
                None => standing = Self::ALL,
                Some(name) => {
                    standing.sees |= entry.all().binary_search(&name).is_ok();
                    standing.shares |= entry.sharing().binary_search(&name).is_ok();
                }
            }
        }
        standing
    }

    /// Refuses whoever may not do it: as if there were nothing, where they may not see it either.
    pub(crate) fn require(self, may: bool, what: &'static str) -> Result<(), Error> {
        match (self.sees, may) {
            (_, true) => Ok(()),
            (true, false) => Err(Error::Denied(what)),
            (false, false) => Err(Error::NotFound("resource")),
        }
    }

    pub(crate) fn require_owner(self) -> Result<(), Error> {
        self.require(self.owns, "ownership of the resource")
    }

    pub(crate) fn require_sharer(self) -> Result<(), Error> {
        self.require(self.shares, "ownership of the resource, or a permission that lets its holder share it")
    }
}

/// A resource as an asker found it.
pub(crate) struct Found {
    pub(crate) seen: Arc<Seen>,
    pub(crate) standing: Standing,
    /// What the standing rests on; nothing for whoever has authority over the tenant.
    pub(crate) grounds: Vec<Ground>,
}

/// Whether the authority is over the whole tenant: of its administrators, of its own client, of the operator.
pub(crate) const fn over_tenant(authority: &Authority) -> bool {
    authority.may_manage_tenant()
}

pub(crate) fn require_tenant(authority: &Authority) -> Result<(), Error> {
    if over_tenant(authority) { Ok(()) } else { Err(Error::Denied("authority over the tenant")) }
}

/// The party that asks; none for a client or the operator.
pub(crate) fn asker(authority: &Authority) -> Option<Party> {
    authority.subject().and_then(keyreeve_identity::Subject::party)
}

impl Sharing {
    /// The resource of this identifier, as it is seen by whoever has this authority.
    ///
    /// # Errors
    /// [`Error::NotFound`], also where the asker has no permission at all.
    pub(crate) async fn find(&self, authority: &Authority, id: &str) -> Result<Found, Error> {
        let tenant = authority.tenant();
        let missing = || Error::NotFound("resource");
        let seen = self.look_up(tenant, id).await?.ok_or_else(missing)?;
        let grounds = self.grounds_for(authority, &seen).await?;
        let standing = Standing::by(authority, &grounds, &seen);
        if standing.sees { Ok(Found { seen: Arc::new(seen), standing, grounds }) } else { Err(missing()) }
    }

    pub(crate) async fn standing(&self, authority: &Authority, seen: &Seen) -> Result<Standing, Error> {
        Ok(Standing::by(authority, &self.grounds_for(authority, seen).await?, seen))
    }

    pub(crate) async fn standing_of(&self, who: &Who, seen: &Seen) -> Result<Standing, Error> {
        Ok(Standing::of(&self.grounds(who, seen).await?, seen))
    }

    /// Every reason why whoever has this authority has something on a resource; none where none is needed.
    async fn grounds_for(&self, authority: &Authority, seen: &Seen) -> Result<Vec<Ground>, Error> {
        if over_tenant(authority) {
            return Ok(Vec::new());
        }
        let Some(party) = asker(authority) else { return Ok(Vec::new()) };
        match self.who(authority.tenant(), party).await? {
            Some(who) => self.grounds(&who, seen).await,
            None => Ok(Vec::new()),
        }
    }
}

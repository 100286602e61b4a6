//! What every handler of this door needs.

use keyreeve_base::World;
use keyreeve_http::cookie::CookieNames;
use keyreeve_identity::Identity;
use keyreeve_tokens::Tokens;
use std::sync::Arc;
use url::Url;

/// The state of this door's handlers. Cheap to clone.
#[derive(Clone)]
pub struct WebState(Arc<Inner>);

struct Inner {
    tokens: Tokens,
    world: World,
    public_url: Url,
    cookies: CookieNames,
}

impl WebState {
    /// The door to these rooms, under this address.
    #[must_use]
    pub fn new(tokens: Tokens, world: World, public_url: Url) -> Self {
        let cookies = CookieNames::of(&public_url);
        Self(Arc::new(Inner { tokens, world, public_url, cookies }))
    }

    pub(crate) fn tokens(&self) -> &Tokens {
        &self.0.tokens
    }

    pub(crate) fn identity(&self) -> &Identity {
        self.0.tokens.identity()
    }

    pub(crate) fn world(&self) -> &World {
        &self.0.world
    }

    pub(crate) fn public_url(&self) -> &Url {
        &self.0.public_url
    }

    pub(crate) fn cookies(&self) -> CookieNames {
        self.0.cookies
    }
}

impl std::fmt::Debug for WebState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WebState({})", self.0.public_url)
    }
}

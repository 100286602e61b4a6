//! How often one caller may call: a share of a minute for each, counted on each node for itself (the generic cell rate
//! algorithm). What is left is told in the headers of the IETF's draft `ratelimit-headers` (revision 10).

use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use http::{HeaderMap, HeaderValue};
use keyreeve_audit::Actor;
use keyreeve_base::{TenantId, World};
use std::num::NonZeroU32;
use std::time::Duration;
use uuid::Uuid;

/// Callers that are counted before those who have been quiet are forgotten. Whoever is counted has shown a good token.
const REMEMBERED: usize = 10_000;
const WINDOW: Duration = Duration::from_secs(60);

/// The caller as it is counted.
type Key = (TenantId, Uuid);
type Counters = RateLimiter<Key, DashMapStateStore<Key>, WorldClock, StateInformationMiddleware>;

/// The injected clock, as the counters want it.
#[derive(Clone)]
struct WorldClock(World);

impl Clock for WorldClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(u64::try_from(self.0.now().micros()).unwrap_or(0).saturating_mul(1_000))
    }
}

/// Counts the calls of each caller.
pub(crate) struct Limiter {
    counters: Option<(Counters, u32)>,
    clock: WorldClock,
}

/// What a caller has left.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    limit: u32,
    remaining: u32,
    /// When everything is there again, or, of one who has nothing left, when the next call is answered.
    wait: Duration,
}

impl Limiter {
    pub(crate) fn new(world: World, per_minute: u32) -> Self {
        let clock = WorldClock(world);
        let counters = NonZeroU32::new(per_minute).and_then(|limit| {
            let quota = Quota::with_period(WINDOW.checked_div(limit.get())?)?.allow_burst(limit);
            let counters = RateLimiter::dashmap_with_clock(quota, clock.clone()).with_middleware();
            Some((counters, limit.get()))
        });
        Self { counters, clock }
    }

    /// Counts one call; an error when it is one too many. None where nothing is limited.
    pub(crate) fn count(&self, tenant: TenantId, actor: Actor) -> Result<Option<Allowance>, Allowance> {
        let Some((counters, limit)) = &self.counters else { return Ok(None) };
        let caller = match actor {
            Actor::User(id) => id.uuid(),
            Actor::Client(id) => id.uuid(),
            Actor::Service(id) => id.uuid(),
            Actor::System | Actor::Operator | Actor::Anonymous => Uuid::nil(),
        };
        if counters.len() > REMEMBERED {
            counters.retain_recent();
        }
        let limit = *limit;
        match counters.check_key(&(tenant, caller)) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                let each = WINDOW.checked_div(limit).unwrap_or(WINDOW);
                let wait = each.saturating_mul(limit.saturating_sub(remaining));
                Ok(Some(Allowance { limit, remaining, wait }))
            }
            Err(refused) => {
                Err(Allowance { limit, remaining: 0, wait: refused.wait_time_from(self.clock.now()) })
            }
        }
    }
}

impl Allowance {
    pub(crate) const fn wait(&self) -> Duration {
        self.wait
    }

    /// Adds `RateLimit-Policy` and `RateLimit`.
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        let seconds = self.wait.as_secs().saturating_add(u64::from(self.wait.subsec_nanos() > 0));
        let policy = format!("\"caller\";q={};w={}", self.limit, WINDOW.as_secs());
        let state = format!("\"caller\";r={};t={seconds}", self.remaining);
        for (name, value) in [("ratelimit-policy", policy), ("ratelimit", state)] {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyreeve_base::id::Id;
    use keyreeve_testkit::test_world;

    #[test]
    fn each_caller_has_a_share_that_comes_back() {
        let (world, clock) = test_world();
        let limiter = Limiter::new(world, 3);
        let tenant = Id::from_uuid(Uuid::from_u128(1));
        let ask = |n| limiter.count(tenant, Actor::User(Id::from_uuid(Uuid::from_u128(n))));
        let left: Vec<u32> = (0..3).map(|_| ask(7).unwrap().unwrap().remaining).collect();
        assert_eq!(left, [2, 1, 0]);
        let refused = ask(7).unwrap_err();
        assert_eq!((refused.remaining, refused.wait), (0, Duration::from_secs(20)));
        assert!(ask(8).is_ok(), "another caller has a share of its own");
        clock.advance(Duration::from_secs(20));
        assert!(ask(7).is_ok());
        assert!(ask(7).is_err());
    }

    #[test]
    fn nothing_is_counted_without_a_limit() {
        let limiter = Limiter::new(test_world().0, 0);
        assert!(limiter.count(Id::from_uuid(Uuid::nil()), Actor::System).unwrap().is_none());
    }

    #[test]
    fn the_headers_are_those_of_the_draft() {
        let mut headers = HeaderMap::new();
        Allowance { limit: 60, remaining: 59, wait: Duration::from_millis(1_200) }.write(&mut headers);
        assert_eq!(headers["ratelimit-policy"], "\"caller\";q=60;w=60");
        assert_eq!(headers["ratelimit"], "\"caller\";r=59;t=2");
    }
}

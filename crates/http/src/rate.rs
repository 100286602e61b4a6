//! How often one caller may call: a share of a minute for each, whichever door it comes to, counted on each node for itself
//! (the generic cell rate algorithm). What is left is told in the headers of the IETF's draft `ratelimit-headers`
//! (revision 10).

use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use http::{HeaderMap, HeaderValue, header};
use keyreeve_base::{TenantId, World};
use std::num::NonZeroU32;
use std::sync::Arc;
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

/// Counts the calls of each caller. Cheap to clone: all clones count together.
#[derive(Clone)]
pub struct Limiter {
    counters: Option<Arc<(Counters, u32)>>,
    clock: WorldClock,
}

/// What a caller has left.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    limit: u32,
    remaining: u32,
    /// When everything is there again, or, of one who has nothing left, when the next call is answered.
    wait: Duration,
}

impl Limiter {
    /// Each caller is answered `per_minute` times a minute; 0 stands for any number.
    #[must_use]
    pub fn new(world: World, per_minute: u32) -> Self {
        let clock = WorldClock(world);
        let counters = NonZeroU32::new(per_minute).and_then(|limit| {
            let quota = Quota::with_period(WINDOW.checked_div(limit.get())?)?.allow_burst(limit);
            let counters = RateLimiter::dashmap_with_clock(quota, clock.clone()).with_middleware();
            Some(Arc::new((counters, limit.get())))
        });
        Self { counters, clock }
    }

    /// Counts one call of whoever holds the token, by the holder's identifier. None where nothing is limited.
    ///
    /// # Errors
    /// When it is one call too many.
    pub fn count(&self, tenant: TenantId, holder: Uuid) -> Result<Option<Allowance>, Allowance> {
        let Some(counters) = &self.counters else { return Ok(None) };
        let (counters, limit) = &**counters;
        if counters.len() > REMEMBERED {
            counters.retain_recent();
        }
        let limit = *limit;
        match counters.check_key(&(tenant, holder)) {
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

impl std::fmt::Debug for Limiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limiter").field("limit", &self.counters.as_ref().map(|counters| counters.1)).finish()
    }
}

impl Allowance {
    /// When everything is there again, or, of one who has nothing left, when the next call is answered.
    #[must_use]
    pub const fn wait(&self) -> Duration {
        self.wait
    }

    /// Adds `RateLimit-Policy` and `RateLimit`.
    pub fn write(self, headers: &mut HeaderMap) {
        let seconds = whole_seconds(self.wait);
        let policy = format!("\"caller\";q={};w={}", self.limit, WINDOW.as_secs());
        let state = format!("\"caller\";r={};t={seconds}", self.remaining);
        for (name, value) in [("ratelimit-policy", policy), ("ratelimit", state)] {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
    }
}

/// Adds `Retry-After`: at least one second.
pub fn retry_after(headers: &mut HeaderMap, after: Duration) {
    headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(after).max(1)));
}

/// Rounded up.
const fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_add(if duration.subsec_nanos() > 0 { 1 } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyreeve_base::{Clock as _, Random, Timestamp};
    use std::sync::Mutex;

    struct Hand(Mutex<Timestamp>);

    impl keyreeve_base::Clock for Hand {
        fn now(&self) -> Timestamp {
            *self.0.lock().unwrap()
        }
    }

    struct Nothing;

    impl Random for Nothing {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(0);
        }
    }

    fn world() -> (World, Arc<Hand>) {
        let clock = Arc::new(Hand(Mutex::new(Timestamp::from_seconds(1_000_000))));
        (World::new(clock.clone(), Arc::new(Nothing)), clock)
    }

    #[test]
    fn each_caller_has_a_share_that_comes_back() {
        let (world, clock) = world();
        let limiter = Limiter::new(world, 3);
        let door = limiter.clone();
        let tenant = |n| TenantId::from_uuid(Uuid::from_u128(n));
        let ask = |n| limiter.count(tenant(1), Uuid::from_u128(n));
        let left: Vec<u32> = (0..2).map(|_| ask(7).unwrap().unwrap().remaining).collect();
        assert_eq!(left, [2, 1]);
        let elsewhere = door.count(tenant(1), Uuid::from_u128(7)).unwrap().unwrap();
        assert_eq!(elsewhere.remaining, 0, "the doors count together");
        let refused = ask(7).unwrap_err();
        assert_eq!((refused.remaining, refused.wait), (0, Duration::from_secs(20)));
        assert!(ask(8).is_ok(), "another caller has a share of its own");
        assert!(limiter.count(tenant(2), Uuid::from_u128(7)).is_ok(), "as has one of another tenant");
        let later = clock.now().plus(Duration::from_secs(20));
        *clock.0.lock().unwrap() = later;
        assert!(ask(7).is_ok());
        assert!(ask(7).is_err());
    }

    #[test]
    fn nothing_is_counted_without_a_limit() {
        let limiter = Limiter::new(world().0, 0);
        assert!(limiter.count(TenantId::from_uuid(Uuid::nil()), Uuid::nil()).unwrap().is_none());
    }

    #[test]
    fn the_headers_are_those_of_the_draft() {
        let mut headers = HeaderMap::new();
        Allowance { limit: 60, remaining: 59, wait: Duration::from_millis(1_200) }.write(&mut headers);
        assert_eq!(headers["ratelimit-policy"], "\"caller\";q=60;w=60");
        assert_eq!(headers["ratelimit"], "\"caller\";r=59;t=2");
    }

    #[test]
    fn a_wait_is_told_in_whole_seconds_and_is_never_none() {
        let told = |wait| {
            let mut headers = HeaderMap::new();
            retry_after(&mut headers, wait);
            headers[header::RETRY_AFTER].to_str().unwrap().to_owned()
        };
        assert_eq!((told(Duration::from_millis(1_200)), told(Duration::ZERO)), ("2".into(), "1".into()));
    }
}

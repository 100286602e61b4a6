//! The service that hashes and verifies passwords.

use super::argon::{Arena, Argon2Hash};
use super::imported::Stored;
use super::pool::Pool;
use super::{HashError, HashPolicy, MAX_PASSWORD_BYTES, PhcHash, PolicyError, Verified};
use crate::secret::Secret;
use keyreeve_base::World;
use std::sync::Arc;
use tracing::Instrument as _;
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

/// How many threads hash, and how many passwords may wait for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolSize {
    /// Threads, each with its own working memory while there is work. Default: one for each core.
    pub workers: usize,
    /// Passwords that may wait. Default: 64 for each worker, about a second and a half of work.
    pub queue: usize,
}

impl Default for PoolSize {
    fn default() -> Self {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        Self { workers, queue: workers.saturating_mul(64) }
    }
}

/// Why no hasher could be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The policy's parameters cannot be used.
    #[error("the password hashing policy: {0}")]
    Policy(#[from] PolicyError),
    /// The operating system gives no thread.
    #[error("cannot start the threads that hash passwords")]
    Threads(#[from] std::io::Error),
}

/// Hashes and verifies passwords on a bounded and fair pool of threads. Cheap to clone; the threads end with the last
/// clone.
///
/// Every method takes a *lane*: who the work is for (a tenant, or the throttle key of an address). Lanes take turns,
/// so a flood through one does not delay the others.
#[derive(Clone)]
pub struct Hasher {
    pool: Arc<Pool>,
    policy: HashPolicy,
    world: World,
}

impl Hasher {
    /// A hasher with this policy and size.
    ///
    /// # Errors
    /// [`SetupError`] when the policy is out of bounds or threads cannot be started.
    pub fn new(world: World, policy: HashPolicy, size: PoolSize) -> Result<Self, SetupError> {
        policy.check()?;
        let pool = Arc::new(Pool::start(world.clone(), size.workers, size.queue)?);
        Ok(Self { pool, policy, world })
    }

    /// The policy of new hashes.
    #[must_use]
    pub const fn policy(&self) -> HashPolicy {
        self.policy
    }

    /// A new Argon2id hash of `password` under the policy, as a PHC string.
    ///
    /// # Errors
    /// [`HashError`], every variant but `Unrecognised`.
    pub async fn hash(&self, lane: &str, password: &Secret) -> Result<PhcHash, HashError> {
        let normal = normalised(password)?;
        let (policy, salt) = (self.policy, self.world.random_bytes());
        let work = move |arena: &mut Arena| Argon2Hash::compute(policy, salt, normal.as_bytes(), arena);
        let hash = self.run(lane, work).await?.ok_or(HashError::Unavailable)?;
        Ok(PhcHash(hash.text()))
    }

    /// Whether `password` belongs to `stored`, a text from [`Hasher::hash`] or an imported one
    /// ([`super::imported`]).
    ///
    /// A wrong password against a hash that is nearly free to compute (LDAP's salted digests) costs one Argon2id hash
    /// on top, so that such accounts cannot be told from unknown ones by time. Other imported hashes cost what they
    /// cost, until the first sign-in replaces them.
    ///
    /// # Errors
    /// [`HashError`], every variant.
    pub async fn verify(&self, lane: &str, password: &Secret, stored: &str) -> Result<Verified, HashError> {
        let normal = normalised(password)?;
        let stored = Stored::parse(stored).ok_or(HashError::Unrecognised)?;
        let typed = stored.wants_text_as_typed().then(|| Zeroizing::new(password.expose().to_owned()));
        let policy = self.policy;
        let work = move |arena: &mut Arena| {
            let ok = stored.verify(typed.as_ref().unwrap_or(&normal).as_bytes(), arena)?;
            if !ok && stored.is_nearly_free() {
                burn(policy, normal.as_bytes(), arena);
            }
            Some(Verified { ok, needs_rehash: stored.needs_rehash(policy) })
        };
        self.run(lane, work).await?.ok_or(HashError::Unavailable)
    }

    /// The cost of a verification without a hash to verify: for users that do not exist or have no password, so that
    /// their sign-ins take as long as others' (ABUSE-CASES AC-21). Never `ok`.
    ///
    /// # Errors
    /// [`HashError`], every variant but `Unrecognised`, exactly when [`Hasher::verify`] would have failed so.
    pub async fn verify_nobody(&self, lane: &str, password: &Secret) -> Result<Verified, HashError> {
        let normal = normalised(password)?;
        let policy = self.policy;
        self.run(lane, move |arena: &mut Arena| burn(policy, normal.as_bytes(), arena)).await?;
        Ok(Verified { ok: false, needs_rehash: false })
    }

    async fn run<T: Send + 'static>(
        &self,
        lane: &str,
        work: impl FnOnce(&mut Arena) -> T + Send + 'static,
    ) -> Result<T, HashError> {
        let busy = |busy: super::pool::Busy| HashError::Busy { retry_after: busy.retry_after };
        let answer = self.pool.submit(lane, work).map_err(busy)?;
        let answer = answer.instrument(tracing::debug_span!("password.hash"));
        answer.await.map_err(|_| HashError::Unavailable)?.map_err(busy)
    }
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hasher").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// One Argon2id hash under the policy, for its cost alone.
fn burn(policy: HashPolicy, password: &[u8], arena: &mut Arena) {
    // The optimiser must not see that nobody reads the result.
    std::hint::black_box(Argon2Hash::compute(policy, [0; 16], password, arena).is_some());
}

/// The password in NFKC, or why it is not looked at.
fn normalised(password: &Secret) -> Result<Zeroizing<String>, HashError> {
    let text = password.expose();
    if text.is_empty() {
        return Err(HashError::Empty);
    }
    if text.len() > MAX_PASSWORD_BYTES {
        return Err(HashError::TooLong);
    }
    if text.is_ascii() {
        return Ok(Zeroizing::new(text.to_owned()));
    }
    // Measured first: a string that grows leaves its former, shorter self unwiped.
    let mut normal = Zeroizing::new(String::with_capacity(text.nfkc().map(char::len_utf8).sum()));
    normal.extend(text.nfkc());
    Ok(normal)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: HashPolicy = HashPolicy { memory_kib: 64, iterations: 1, parallelism: 1 };

    fn normal(text: &str) -> String {
        normalised(&Secret::new(text))
            .map(|normal| normal.to_string())
            .unwrap_or_else(|error| format!("!{error}"))
    }

    #[test]
    fn passwords_are_normalised_once_and_bounded_before_any_work() {
        assert_eq!(normal("plain Text 1"), "plain Text 1");
        assert_eq!(normal("e\u{301}\u{fb01}\u{ff21}"), "\u{e9}fiA");
        assert_eq!(normalised(&Secret::new("")).err(), Some(HashError::Empty));
        assert_eq!(normal(&"x".repeat(MAX_PASSWORD_BYTES)).len(), MAX_PASSWORD_BYTES);
        assert_eq!(
            normalised(&Secret::new(&"x".repeat(MAX_PASSWORD_BYTES + 1))).err(),
            Some(HashError::TooLong)
        );
        // U+FDFA is the character that grows most: 3 bytes become 33.
        let grown = normalised(&Secret::new(&"\u{fdfa}".repeat(341))).unwrap();
        assert_eq!((grown.len(), grown.capacity()), (341 * 33, 341 * 33), "never moved while it grew");
    }

    /// Blocks of memory that `attempt` fills when it goes through the service.
    fn cost_of<T>(attempt: impl AsyncFnOnce(&Hasher) -> Result<T, HashError>) -> usize {
        let world = World::new(Arc::new(keyreeve_base::SystemClock), Arc::new(crate::SystemRandom));
        let hasher = Hasher::new(world, SMALL, PoolSize { workers: 1, queue: 9 }).unwrap();
        let (gate, opened) = std::sync::mpsc::channel::<()>();
        let held = hasher.pool.submit("a", move |_| opened.recv().unwrap()).unwrap();
        let measure = async {
            // Queued behind the attempt: the worker goes from one to the other without a pause in which to wipe.
            let dirty = hasher.pool.submit("a", |arena| arena.dirty_blocks()).unwrap();
            gate.send(()).unwrap();
            held.await.unwrap().unwrap();
            dirty.await.unwrap().unwrap()
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (attempt, dirty) = runtime.block_on(async { tokio::join!(biased; attempt(&hasher), measure) });
        assert!(attempt.is_ok());
        dirty
    }

    #[test]
    fn ac_21_every_refusal_costs_one_hash() {
        let password = Secret::new("wrong");
        assert_eq!(cost_of(async |hasher| hasher.verify_nobody("a", &password).await), 64);
        // One SHA-1 alone would tell an imported account from an unknown one.
        let salted = "{SSHA}eyOPpb8nt6Yup54Q/UAcwr5YTeN9U68KgKR1AQ==";
        assert_eq!(cost_of(async |hasher| hasher.verify("a", &password, salted).await), 64);
        let own = Argon2Hash::compute(SMALL, [1; 16], b"secret", &mut Arena::default()).unwrap().text();
        assert_eq!(cost_of(async |hasher| hasher.verify("a", &password, &own).await), 64);
    }
}

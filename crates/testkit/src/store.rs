//! A store for a test, and tests for both engines.

use crate::{Database, Engine, TestClock, test_world};
use keyreeve_base::World;
use keyreeve_store::{Migration, Options, Store};
use std::future::Future;
use std::sync::Arc;

/// A store on a database of its own, with the world that it lives in.
pub struct TestStore {
    /// The store.
    pub store: Store,
    /// The clock of its world.
    pub clock: Arc<TestClock>,
    /// Its world.
    pub world: World,
    /// Its database. After the store, so that it outlives it.
    pub database: Database,
}

impl TestStore {
    /// Opens the same database once more, as another node (PostgreSQL) or after the first was closed (SQLite).
    ///
    /// # Errors
    /// Those of the store.
    pub async fn open_again(&self, migrations: &[Migration]) -> Result<Store, keyreeve_store::Error> {
        Store::open(self.database.options(), self.world.clone(), migrations).await
    }
}

/// A migrated store on a new database of this engine.
///
/// # Panics
/// When the engine cannot be had, or the migrations cannot be applied.
pub async fn store(engine: Engine, migrations: &[Migration]) -> TestStore {
    store_with(engine, migrations, |_| {}).await
}

/// The same, with options that the test adjusts.
///
/// # Panics
/// When the engine cannot be had, or the migrations cannot be applied.
pub async fn store_with(
    engine: Engine,
    migrations: &[Migration],
    adjust: impl FnOnce(&mut Options),
) -> TestStore {
    let database = match engine {
        Engine::Sqlite => Database::sqlite(),
        Engine::Postgres => Database::postgres_migrated(migrations).await,
    };
    let (world, clock) = test_world();
    let mut options = database.options();
    adjust(&mut options);
    let store = Store::open(options, world.clone(), migrations)
        .await
        .unwrap_or_else(|error| panic!("cannot open a test store on {engine}: {error}: {error:?}"));
    TestStore { store, clock, world, database }
}

/// Runs an asynchronous test to its end, on a runtime with two worker threads.
pub fn block_on<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(test)
}

/// Makes two tests of each function, `NAME::sqlite` and `NAME::postgres`.
#[macro_export]
macro_rules! on_both_engines {
    ($($(#[$meta:meta])* async fn $name:ident($engine:ident: $type:ty) $body:block)*) => {$(
        $(#[$meta])*
        mod $name {
            #[allow(unused_imports, reason = "the test may need nothing from around it")]
            use super::*;

            async fn test($engine: $type) $body

            #[test]
            fn sqlite() {
                $crate::block_on(test($crate::Engine::Sqlite));
            }

            #[test]
            fn postgres() {
                $crate::block_on(test($crate::Engine::Postgres));
            }
        }
    )*};
}

//! Migrations: each applied once, in one transaction with its record, whichever node comes first.

use crate::sql::render;
use crate::{Engine, Error, Store, Tx, params, statements};
use keyreeve_base::World;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// A step that changes the tables. Once released it is never edited: the next step corrects it.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// A name that stays for ever: `room/0001_what`.
    pub id: &'static str,
    /// DDL (and, with care, DML) with type words: `{uuid}`, `{time}`, `{int}`, `{bool}`, `{json}`, `{blob}`, `{text}`,
    /// and `{strict}` (or `{clustered}`) behind the closing parenthesis of each table; `{serial}` makes a column a primary
    /// key that the database numbers. What stands between `{sqlite_only}` and `{end_sqlite_only}` is not for PostgreSQL. Keep
    /// each step small: it is one transaction.
    pub sql: &'static str,
}

/// The store's own tables.
const OWN: &[Migration] = &[Migration {
    id: "store/0001_change",
    sql: "
CREATE TABLE change (
    id {uuid} PRIMARY KEY,
    tenant_id {uuid},
    topic {text} NOT NULL,
    key {text} NOT NULL,
    at {time} NOT NULL
) {strict};
CREATE INDEX change_by_time ON change (at);
",
}];

/// What must be there before the first migration. `schema_lease` holds at most one row: the node that is migrating.
/// A row rather than an advisory lock, which not every engine behind PostgreSQL's protocol has.
const FOUNDATION: &str = "
CREATE TABLE IF NOT EXISTS schema_migration (
    id {text} PRIMARY KEY,
    checksum {text} NOT NULL,
    applied_at {time} NOT NULL
) {strict};
CREATE TABLE IF NOT EXISTS schema_lease (
    id {int} PRIMARY KEY CHECK (id = 1),
    holder {uuid} NOT NULL,
    until {time} NOT NULL
) {strict};
";

/// How long a node that has died keeps the others from migrating; each migration renews it.
const LEASE: Duration = Duration::from_secs(30);
/// How often the lease is asked for before giving up.
const LEASE_ATTEMPTS: u32 = 600;
/// How long to wait between two attempts.
const LEASE_PAUSE: Duration = Duration::from_millis(200);

statements! {
    /// Whether the database answers.
    pub(crate) PING = "SELECT 1";
    /// What was applied.
    APPLIED = "SELECT id, checksum FROM schema_migration";
    /// Records a migration.
    RECORD = "INSERT INTO schema_migration (id, checksum, applied_at) VALUES ($1, $2, $3)";
    /// Takes the lease if it is free, expired, or ours.
    LEASE_TAKE = "INSERT INTO schema_lease (id, holder, until) VALUES (1, $1, $2) \
        ON CONFLICT (id) DO UPDATE SET holder = excluded.holder, until = excluded.until \
        WHERE schema_lease.until < $3 OR schema_lease.holder = excluded.holder";
    /// Renews the lease if it is still ours; the row stays locked until the migration is committed.
    LEASE_RENEW = "UPDATE schema_lease SET until = $2 WHERE id = 1 AND holder = $1";
    /// Gives the lease back.
    LEASE_DROP = "DELETE FROM schema_lease WHERE id = 1 AND holder = $1";
}

/// On SQLite whether the table is there; on PostgreSQL the same in its own words. Asked before `CREATE TABLE IF NOT
/// EXISTS`, which needs the right to create even where nothing is to be created.
fn foundation_exists(engine: Engine) -> &'static crate::Statement {
    static SQLITE: crate::Statement = crate::Statement::new(
        "store::migrate::FOUNDATION_EXISTS (SQLite)",
        "SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('schema_migration', 'schema_lease')",
    );
    static POSTGRES: crate::Statement = crate::Statement::new(
        "store::migrate::FOUNDATION_EXISTS (PostgreSQL)",
        "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = current_schema() \
         AND table_name IN ('schema_migration', 'schema_lease')",
    );
    match engine {
        Engine::Sqlite => &SQLITE,
        Engine::Postgres => &POSTGRES,
    }
}

/// Which migrations are still to be applied; refuses a database that this software must not touch.
fn missing(migrations: &[Migration], applied: &HashMap<String, String>) -> Result<Vec<Migration>, Error> {
    let mut unknown: Vec<_> =
        applied.keys().filter(|id| !all(migrations).any(|migration| migration.id == **id)).collect();
    unknown.sort();
    if let Some(id) = unknown.first() {
        return Err(Error::NewerSchema { migration: (*id).clone() });
    }
    let mut missing = Vec::new();
    for migration in all(migrations) {
        match applied.get(migration.id) {
            None => missing.push(*migration),
            Some(checksum) if *checksum == checksum_of(migration) => {}
            Some(_) => return Err(Error::ChangedMigration { migration: migration.id.to_owned() }),
        }
    }
    Ok(missing)
}

fn all(migrations: &[Migration]) -> impl Iterator<Item = &Migration> {
    OWN.iter().chain(migrations)
}

/// SHA-256 of the text as it was written, in hexadecimal. White space counts for nothing, so that a reformatted
/// source file does not stop a server.
fn checksum_of(migration: &Migration) -> String {
    let text = migration.sql.split_whitespace().collect::<Vec<_>>().join(" ");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn applied(store: &Store) -> Result<HashMap<String, String>, Error> {
    let exists = foundation_exists(store.engine());
    store
        .read(async move |tx: &mut Tx<'_>| {
            if tx.scalar::<i64>(exists, &[]).await? < 2 {
                return Ok(HashMap::new());
            }
            let rows = tx.query(&APPLIED, &[], |row| Ok((row.get(0)?, row.get(1)?))).await?;
            Ok(rows.into_iter().collect())
        })
        .await
}

/// Refuses a database that lacks migrations or has unknown ones; changes nothing.
pub(crate) async fn verify(store: &Store, migrations: &[Migration]) -> Result<(), Error> {
    match missing(migrations, &applied(store).await?)?.first() {
        None => Ok(()),
        Some(migration) => Err(Error::OlderSchema { migration: migration.id.to_owned() }),
    }
}

/// Applies what is missing.
pub(crate) async fn run(store: &Store, world: &World, migrations: &[Migration]) -> Result<(), Error> {
    check_ids(migrations)?;
    let before = applied(store).await?;
    if !before.is_empty() && missing(migrations, &before)?.is_empty() {
        return Ok(());
    }
    lay_foundation(store).await?;
    let holder = world.new_uuid();
    take_lease(store, holder).await?;
    let done = apply_missing(store, world, migrations, holder).await;
    let given_back =
        store.write(async move |tx: &mut Tx<'_>| tx.execute(&LEASE_DROP, &params![holder]).await).await;
    done?;
    given_back.map(drop)
}

fn check_ids(migrations: &[Migration]) -> Result<(), Error> {
    let mut ids: Vec<_> = all(migrations).map(|migration| migration.id).collect();
    ids.sort_unstable();
    match ids.array_windows().find(|[a, b]| a == b) {
        Some([id, _]) => Err(Error::internal(format!("two migrations are called `{id}`"))),
        None => Ok(()),
    }
}

async fn lay_foundation(store: &Store) -> Result<(), Error> {
    let sql: Arc<str> = render(store.engine(), FOUNDATION)
        .map_err(|error| Error::internal_from("in the foundation", error))?
        .into();
    let lay = || {
        let sql = sql.clone();
        store.write(async move |tx: &mut Tx<'_>| -> Result<(), Error> { tx.script(&sql).await })
    };
    match lay().await {
        // PostgreSQL's IF NOT EXISTS can fail when two nodes create the same table at once; the loser finds it there.
        Err(Error::Conflict { .. } | Error::Internal { .. }) => lay().await,
        done => done,
    }
}

/// The time by which leases are measured: the database's own on PostgreSQL, where nodes' clocks may differ.
async fn lease_time(tx: &mut Tx<'_>) -> Result<i64, Error> {
    match tx.engine() {
        Engine::Postgres => tx.scalar(&crate::postgres::NOW, &[]).await,
        // Nobody else can hold the file: any lease is a dead process's.
        Engine::Sqlite => Ok(i64::MAX / 2),
    }
}

fn lease_micros() -> i64 {
    i64::try_from(LEASE.as_micros()).unwrap_or(i64::MAX / 4)
}

async fn take_lease(store: &Store, holder: Uuid) -> Result<(), Error> {
    for attempt in 0..LEASE_ATTEMPTS {
        let taken = store
            .write(async move |tx: &mut Tx<'_>| -> Result<bool, Error> {
                let now = lease_time(tx).await?;
                Ok(tx.execute(&LEASE_TAKE, &params![holder, now + lease_micros(), now]).await? == 1)
            })
            .await?;
        if taken {
            return Ok(());
        }
        if attempt == 0 {
            tracing::info!("another node is migrating the database; waiting for it");
        }
        tokio::time::sleep(LEASE_PAUSE).await;
    }
    Err(Error::Busy { reason: "another node is migrating the database".to_owned() })
}

async fn apply_missing(
    store: &Store,
    world: &World,
    migrations: &[Migration],
    holder: Uuid,
) -> Result<(), Error> {
    // Looked up again under the lease: another node may have been here in between.
    for migration in missing(migrations, &applied(store).await?)? {
        let sql: Arc<str> = render(store.engine(), migration.sql)
            .map_err(|error| Error::internal_from(format!("in migration `{}`", migration.id), error))?
            .into();
        let checksum = checksum_of(&migration);
        let at = world.now();
        store
            .write(async move |tx: &mut Tx<'_>| {
                let now = lease_time(tx).await?;
                if tx.execute(&LEASE_RENEW, &params![holder, now + lease_micros()]).await? != 1 {
                    return Err(Error::Busy { reason: "another node took over the migration".to_owned() });
                }
                tx.script(&sql).await?;
                tx.execute(&RECORD, &params![migration.id, &checksum, at]).await?;
                Ok(())
            })
            .await
            .inspect_err(|error| tracing::error!(migration = migration.id, %error, "a migration failed"))?;
        tracing::info!(migration = migration.id, "migration applied");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_judged_by_what_was_applied_to_it() {
        const ONE: Migration = Migration { id: "room/0001_a", sql: "CREATE TABLE a (id {int})" };
        const TWO: Migration = Migration { id: "room/0002_b", sql: "CREATE TABLE b (id {int})" };
        let mut applied: HashMap<_, _> =
            all(&[ONE]).map(|migration| (migration.id.to_owned(), checksum_of(migration))).collect();
        let ids = |missing: Vec<Migration>| missing.iter().map(|migration| migration.id).collect::<Vec<_>>();
        assert_eq!(ids(missing(&[ONE, TWO], &applied).unwrap()), ["room/0002_b"]);
        assert!(
            matches!(missing(&[], &applied), Err(Error::NewerSchema { migration }) if migration == ONE.id)
        );
        applied.insert(ONE.id.to_owned(), "other".to_owned());
        assert!(
            matches!(missing(&[ONE], &applied), Err(Error::ChangedMigration { migration }) if migration == ONE.id)
        );
        assert!(check_ids(&[ONE, ONE]).is_err());
        let reformatted = Migration { sql: "CREATE  TABLE a\n (id {int})", ..ONE };
        assert_eq!(checksum_of(&ONE), checksum_of(&reformatted));
    }
}

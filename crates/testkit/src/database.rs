//! A database for each test, gone when the test is.

use crate::postgres;
use keyreeve_store::{Location, Migration, Options, Store};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_postgres::{Client, NoTls};

/// A new, empty place for a store on either engine. Removed when dropped.
pub struct Database(Place);

enum Place {
    Sqlite { directory: tempfile::TempDir },
    Postgres { server: String, name: String },
}

impl Database {
    /// A SQLite file in a directory of its own.
    #[must_use]
    pub fn sqlite() -> Self {
        Self(Place::Sqlite { directory: tempfile::tempdir().expect("a directory") })
    }

    /// A database on the server that tests share.
    pub async fn postgres() -> Self {
        Self::create(postgres::shared(), None).await
    }

    /// A database on this server (a URL of its maintenance database).
    pub async fn postgres_on(server: &str) -> Self {
        Self::create(server, None).await
    }

    /// A database on the shared server to which these migrations have been applied, copied from a template.
    pub async fn postgres_migrated(migrations: &[Migration]) -> Self {
        let template = template(migrations).await;
        Self::create(postgres::shared(), Some(&template)).await
    }

    async fn create(server: &str, template: Option<&str>) -> Self {
        let client = connect(server).await;
        if postgres::is_ours() && server == postgres::shared() {
            prune(&client).await;
        }
        let name = format!("t_{}_{}", std::process::id(), random_word());
        let source = template.map_or(String::new(), |template| format!(" TEMPLATE {template}"));
        client.batch_execute(&format!("CREATE DATABASE {name}{source}")).await.expect("a new database");
        Self(Place::Postgres { server: server.to_owned(), name })
    }

    /// Where the store is to be opened.
    #[must_use]
    pub fn location(&self) -> Location {
        match &self.0 {
            Place::Sqlite { directory } => Location::SqliteFile(directory.path().join("keyreeve.db")),
            Place::Postgres { server, name } => Location::Postgres(with_database(server, name)),
        }
    }

    /// Options that suit a test: few connections.
    #[must_use]
    pub fn options(&self) -> Options {
        Options { read_connections: 2, write_connections: 8, ..Options::new(self.location()) }
    }

    /// The directory of a SQLite database.
    #[must_use]
    pub fn directory(&self) -> Option<&Path> {
        match &self.0 {
            Place::Sqlite { directory } => Some(directory.path()),
            Place::Postgres { .. } => None,
        }
    }

    /// The SQLite file.
    #[must_use]
    pub fn file(&self) -> Option<PathBuf> {
        self.directory().map(|directory| directory.join("keyreeve.db"))
    }

    /// A connection past the store, for what a test must do or see by itself.
    ///
    /// # Panics
    /// On SQLite.
    pub async fn client(&self) -> Client {
        match &self.0 {
            Place::Postgres { server, name } => connect(&with_database(server, name)).await,
            Place::Sqlite { .. } => panic!("a SQLite database has no client"),
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Place::Postgres { server, name } = &self.0 {
            let (server, sql) = (server.clone(), format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
            // The server may be gone, if the test was about that.
            drop(aside(async move {
                tokio::time::timeout(Duration::from_secs(10), async {
                    let config: tokio_postgres::Config = server.parse()?;
                    let (client, connection) = config.connect(NoTls).await?;
                    tokio::spawn(connection);
                    client.batch_execute(&sql).await
                })
                .await
            }));
        }
    }
}

/// Runs a future on a thread and a runtime of its own, from wherever the caller is.
pub(crate) fn aside<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(future)
    };
    std::thread::spawn(run).join().expect("a thread that ends")
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .unwrap_or_else(|error| panic!("cannot connect to PostgreSQL at {url}: {error}"));
    // Ends with the client.
    tokio::spawn(connection);
    client
}

/// The URL of another database on the same server.
fn with_database(server: &str, name: &str) -> String {
    let (base, query) = server.split_once('?').map_or((server, None), |(base, query)| (base, Some(query)));
    let start = base.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = base.split_at(start);
    let host = rest.split_once('/').map_or(rest, |(host, _)| host);
    let query = query.map_or(String::new(), |query| format!("?{query}"));
    format!("{scheme}{host}/{name}{query}")
}

fn random_word() -> String {
    let mut bytes = [0_u8; 8];
    aws_lc_rs::rand::fill(&mut bytes).expect("randomness");
    format!("{:016x}", u64::from_be_bytes(bytes))
}

/// Drops databases of test processes that were killed before they could.
async fn prune(client: &Client) {
    let rows = client
        .query("SELECT datname::text FROM pg_database WHERE datname LIKE 't\\_%\\_%' OR datname LIKE 'draft\\_%' LIMIT 200", &[])
        .await
        .expect("the list of databases");
    let names = rows.iter().filter_map(|row| row.try_get::<_, String>(0).ok());
    let orphans = names.filter(|name| {
        let owner = name.split('_').nth(1).unwrap_or_default();
        !Path::new("/proc").join(owner).exists()
    });
    for name in orphans.take(3) {
        // Another process may be doing the same.
        drop(client.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await);
    }
}

/// The name of a database to which these migrations have been applied; made when it is first asked for.
async fn template(migrations: &[Migration]) -> String {
    let server = postgres::shared();
    let text: String =
        migrations.iter().map(|migration| format!("{}\0{}\0", migration.id, migration.sql)).collect();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    let digest: String = digest.as_ref().iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    let name = format!("template_{digest}");
    let client = connect(server).await;
    let exists = async || {
        let sql = "SELECT 1 FROM pg_database WHERE datname = $1";
        client.query_opt(sql, &[&name]).await.expect("the list of databases").is_some()
    };
    if exists().await {
        return name;
    }
    let _lock = tokio::task::spawn_blocking(|| postgres::lock("template")).await.expect("a lock");
    if exists().await {
        return name;
    }
    // Under another name until it is complete.
    let draft = format!("draft_{}_{}", std::process::id(), random_word());
    client.batch_execute(&format!("CREATE DATABASE {draft}")).await.expect("a new database");
    let options = Options::new(Location::Postgres(with_database(server, &draft)));
    let (world, _) = crate::test_world();
    if let Err(error) = Store::open(options, world, migrations).await {
        // The test fails anyway, and another will find what this left.
        drop(client.batch_execute(&format!("DROP DATABASE IF EXISTS {draft} WITH (FORCE)")).await);
        panic!("the migrations cannot be applied on PostgreSQL: {error}: {error:?}");
    }
    let leave = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
    for _ in 0..100 {
        client.execute(leave, &[&draft]).await.expect("connections that end");
        if client.batch_execute(&format!("ALTER DATABASE {draft} RENAME TO {name}")).await.is_ok() {
            return name;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the template database {draft} is still in use")
}

#[cfg(test)]
mod tests {
    use super::with_database;

    #[test]
    fn a_url_is_turned_to_another_database() {
        assert_eq!(with_database("postgres://u@h:1/postgres?a=b", "t_1"), "postgres://u@h:1/t_1?a=b");
        assert_eq!(with_database("postgres://u:p@h", "t_1"), "postgres://u:p@h/t_1");
    }
}

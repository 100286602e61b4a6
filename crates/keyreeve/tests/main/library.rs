//! The server as a library: two in one process, two nodes on one database, the table of routes.

use keyreeve::App;
use keyreeve::config::{Config, Inputs};
use keyreeve_store::Location;
use keyreeve_testkit::{Database, Engine, on_both_engines, test_world};
use std::path::Path;

fn config(dir: &Path, database: Option<&Database>) -> Config {
    let mut environment = vec![
        ("KEYREEVE_DATA_DIR".to_owned(), dir.display().to_string()),
        ("KEYREEVE_HASH_MEMORY_KIB".to_owned(), "8192".to_owned()),
        ("KEYREEVE_HASH_ITERATIONS".to_owned(), "1".to_owned()),
        ("KEYREEVE_HASH_WORKERS".to_owned(), "1".to_owned()),
    ];
    if let Some(Location::Postgres(url)) = database.map(Database::location) {
        environment.push(("KEYREEVE_DATABASE_URL".to_owned(), url));
    }
    Config::load(Inputs { environment, ..Inputs::default() }).unwrap()
}

on_both_engines! {
    async fn two_servers_run_in_one_process(engine: Engine) {
        let mut apps = Vec::new();
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        for dir in &dirs {
            let database = match engine {
                Engine::Sqlite => None,
                Engine::Postgres => Some(Database::postgres().await),
            };
            let app = App::open(config(dir.path(), database.as_ref()), test_world().0).await.unwrap();
            let first = app.first_start().await.unwrap().expect("what was made");
            let administrator = keyreeve_identity::Subject::User(first.administrator);
            let roles = app.identity.roles().effective(first.tenant.id, administrator).await.unwrap();
            assert!(roles.is_tenant_admin(), "the administrator administers the default tenant");
            assert!(app.first_start().await.unwrap().is_none(), "the first start is one");
            apps.push((app, database));
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = tokio::spawn(apps[0].0.clone().serve(listener, async { drop(stopped.await) }));
        let answer = tokio::task::spawn_blocking(move || crate::harness::get(&address, "/readyz", "")).await.unwrap();
        assert_eq!(answer.status, 200);
        stop.send(()).unwrap();
        serving.await.unwrap().unwrap();
    }

    async fn every_route_has_a_guard_and_a_name(engine: Engine) {
        let dir = tempfile::tempdir().unwrap();
        let database = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(Database::postgres().await),
        };
        let app = App::open(config(dir.path(), database.as_ref()), test_world().0).await.unwrap();
        let specs = app.route_specs();
        for path in ["/healthz", "/readyz", "/metrics"] {
            assert!(specs.iter().any(|spec| spec.path == path), "{path}");
        }
        // Two routes with the same method and path would panic here, at the start, not at a request.
        drop(app.router());
    }
}

#[test]
fn nodes_that_start_together_set_up_once() {
    keyreeve_testkit::block_on(async {
        let database = Database::postgres().await;
        let dir = tempfile::tempdir().unwrap();
        // Nodes share the master key; here, one data directory.
        let key = dir.path().join("master.key");
        keyreeve_crypto::seal::MasterKey::create_file(&key, &test_world().0).unwrap();
        let mut starting = Vec::new();
        for _ in 0..4 {
            let config = config(dir.path(), Some(&database));
            starting.push(tokio::spawn(async move {
                let app = App::open(config, test_world().0).await.unwrap();
                (app.first_start().await.unwrap(), app)
            }));
        }
        let mut winners = 0;
        let mut last = None;
        for node in starting {
            let (first, app) = node.await.unwrap();
            winners += usize::from(first.is_some());
            last = Some(app);
        }
        assert_eq!(winners, 1);
        let app = last.unwrap();
        let tenants = app.identity.tenants().list(None, 10).await.unwrap();
        assert_eq!(tenants.len(), 1);
        assert_eq!(app.identity.users().list(tenants[0].id, None, 10).await.unwrap().len(), 1);
    });
}

on_both_engines! {
    async fn every_statement_of_every_room_is_understood(engine: Engine) {
        let test = keyreeve_testkit::store(engine, &keyreeve::migrations()).await;
        let of_dialects = keyreeve_compat::STATEMENTS.iter().copied();
        for statements in of_dialects.chain([
            keyreeve_audit::STATEMENTS,
            keyreeve_identity::STATEMENTS,
            keyreeve_tokens::STATEMENTS,
            keyreeve_transfer::STATEMENTS,
            keyreeve_events::EVERY_STATEMENT,
            keyreeve_sharing::STATEMENTS,
            keyreeve_secrets::STATEMENTS,
        ]) {
            for statement in statements {
                if let Err(error) = test.store.prepare(statement).await {
                    panic!("{statement:?}: {}", keyreeve::chain(&error));
                }
            }
        }
        assert_eq!(test.store.integrity().await.unwrap(), Vec::<String>::new());
    }
}

//! `kill -9` while keys change, again and again: everything opens at every moment, and the change ends.

use crate::program::{Program, Running};
use crate::secrets::kept;
use keyreeve::{App, Purpose};
use keyreeve_base::TenantId;
use keyreeve_crypto::Secret;
use keyreeve_identity::Cause;
use keyreeve_secrets::{Place, Settings};
use keyreeve_store::{Statement, Tx, params};
use keyreeve_testkit::{Engine, on_both_engines};
use std::process::Stdio;
use std::time::Duration;
use uuid::Uuid;

const VALUES: usize = 3_000;
/// Versions of a secret among what is under the key.
const VERSIONS: usize = 300;
const DATA_KEYS: usize = 500;
/// A server is killed this long after it has been asked, in milliseconds; the next four times as long, nine times, …
const FIRST_MS: u64 = 15;

static INSERT: Statement = Statement::new(
    "plant",
    "INSERT INTO totp_device (id, tenant_id, user_id, name, sealed_secret, algorithm, digits, period_s, created_at) \
     VALUES ($1, $2, $3, 'planted', $4, 'SHA1', 6, 30, 0)",
);
static ALL: Statement =
    Statement::new("all", "SELECT id, user_id, sealed_secret FROM totp_device ORDER BY id");

/// What a device's secret is bound to.
fn bound_to(user: Uuid, device: Uuid) -> Vec<u8> {
    [b"totp", &user.as_bytes()[..], &device.as_bytes()[..]].concat()
}

async fn tenant_of(app: &App) -> TenantId {
    app.identity.tenants().by_slug("default").await.unwrap().unwrap().id
}

async fn plant(program: &Program) {
    let app = program.open(Purpose::Command).await;
    let tenant = tenant_of(&app).await;
    let user = app.identity.users().list(tenant, None, 1).await.unwrap().remove(0).id.uuid();
    let sealer = app.identity.tenants().sealer(tenant).await.unwrap();
    let rows: Vec<(Uuid, Vec<u8>)> = (0..VALUES)
        .map(|_| {
            let id = app.world.new_uuid();
            (id, sealer.seal(&[&bound_to(user, id)], id.as_bytes()).unwrap())
        })
        .collect();
    let insert = async move |tx: &mut Tx<'_>| -> Result<(), keyreeve_store::Error> {
        for (id, sealed) in &rows {
            tx.execute(&INSERT, &params![*id, tenant, user, sealed]).await?;
        }
        Ok(())
    };
    app.store.write(insert).await.unwrap();
    let authority = app.identity.authority_of_operator(tenant).await.unwrap();
    let place = Place::new("secret", "planted").unwrap();
    let settings = Settings { keep_versions: keyreeve_secrets::MAX_KEPT, ..Settings::default() };
    for number in 1..=VERSIONS {
        let data = (Secret::from(planted(number)), Some(settings.clone()));
        app.secrets.kv().write(&authority, &place, data, None, &Cause::operator()).await.unwrap();
    }
}

/// What a version of the planted secret says.
fn planted(number: usize) -> String {
    format!("{{\"password\":\"planted-{number}\"}}")
}

/// Opens every planted value, and every version of the secret; answers how many there are, and under how many keys.
async fn check(program: &Program) -> (usize, usize) {
    let app = program.look().await;
    let tenant = tenant_of(&app).await;
    let sealer = app.identity.tenants().sealer(tenant).await.unwrap();
    let all = async |tx: &mut Tx<'_>| {
        tx.query(&ALL, &[], |row| Ok((row.get::<Uuid>(0)?, row.get::<Uuid>(1)?, row.get::<Vec<u8>>(2)?)))
            .await
    };
    let rows = app.store.scan(all).await.unwrap();
    let mut keys = std::collections::BTreeSet::new();
    for (id, user, sealed) in &rows {
        let opened = sealer.open(&[&bound_to(*user, *id)], sealed).unwrap();
        assert_eq!(opened.expose(), id.as_bytes());
        keys.insert(sealed[1..9].to_vec());
    }
    let versions = kept(&app, tenant).await;
    assert_eq!(versions.len(), VERSIONS);
    for (number, version) in (1..).zip(versions) {
        assert_eq!(version.value.expose(), planted(number).as_bytes(), "version {}", version.number);
        keys.insert(version.under);
    }
    (rows.len(), keys.len())
}

/// Starts a command, and does not wait for its end.
fn start(program: &Program, arguments: &[&str]) -> std::process::Child {
    program
        .command(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

on_both_engines! {
    async fn a_change_of_the_data_key_loses_nothing(engine: Engine) {
        let program = Program::new(engine).await;
        plant(&program).await;
        let (mut kills, mut halfway, mut asked) = (0_u64, 0, false);
        loop {
            let server = program.serve();
            if !asked {
                program.run(&["key", "rotate-data", "--json"], "");
                asked = true;
            }
            tokio::time::sleep(Duration::from_millis(FIRST_MS * (kills + 1) * (kills + 1))).await;
            server.kill();
            kills += 1;
            let (values, keys) = check(&program).await;
            assert_eq!(values, VALUES);
            halfway += usize::from(keys == 2);
            let status = program.run(&["key", "data-keys", "--json"], "");
            if !status["rotation"]["finished_at"].is_null() {
                // Nothing twice, nothing missed: planted values, versions of the secret, the signing keys.
                let rotation = &status["rotation"];
                assert_eq!((&rotation["resealed"], &rotation["failed"]), (&rotation["total"], &0.into()), "{status}");
                assert!(rotation["resealed"].as_u64().unwrap() > (VALUES + VERSIONS) as u64, "{status}");
                assert_eq!(keys, 1);
                break;
            }
            assert!(kills < 30, "it makes no progress: {status}");
        }
        assert!(halfway > 0, "no kill fell into the change; {kills} kills");
        program.run(&["audit", "verify", "--json"], "");
    }

    async fn a_change_of_the_master_key_loses_nothing(engine: Engine) {
        let program = Program::new(engine).await;
        let app = program.open(Purpose::Command).await;
        let tenant = tenant_of(&app).await;
        for _ in 0..DATA_KEYS {
            app.identity.tenants().rotate_data_key(tenant, &Cause::operator()).await.unwrap();
        }
        drop(app);
        let before = program.run(&["key", "master-keys", "--json"], "");
        let mut halfway = 0;
        for kill in 0..6 {
            let server = program.serve();
            let mut command = start(&program, &["key", "rotate", "--master"]);
            tokio::time::sleep(Duration::from_millis(40 + 25 * kill)).await;
            // On SQLite the server does it, on PostgreSQL the command.
            command.kill().unwrap();
            command.wait().unwrap();
            server.kill();
            let app = program.look().await;
            app.identity.tenants().check_master_key().await.unwrap();
            let keys = app.identity.tenants().data_keys().master_keys().await.unwrap();
            assert_eq!(keys.iter().map(|key| key.data_keys).sum::<u64>(), DATA_KEYS as u64 + 1);
            halfway += usize::from(keys.len() > 1);
        }
        println!("{halfway} of 6 kills fell into a change");
        let server: Running = program.serve();
        let done = program.run(&["key", "rotate", "--master", "--json"], "");
        let after = program.run(&["key", "master-keys", "--json"], "");
        assert_eq!(after.as_array().unwrap().len(), 1, "{after}");
        assert_eq!((&after[0]["master_key"], &after[0]["current"]), (&done["master_key"], &true.into()));
        assert_ne!(after[0]["master_key"], before[0]["master_key"]);
        // The node that was serving all the time goes on with the new key.
        program.run(&["key", "rotate-data", "--wait", "--json"], "");
        let after = program.run(&["key", "master-keys", "--json"], "");
        assert_eq!(after.as_array().unwrap().len(), 1, "{after}");
        server.kill();
        program.run(&["doctor", "--json"], "");
    }
}

//! Keys change while everything goes on: a tenant's data key, the master key; with processes that are killed at any moment.

mod hardening;
mod killed;
mod split;

use keyreeve_acceptance::{Server, on_a_server};
use keyreeve_crypto::Secret;
use keyreeve_identity::{Cause, Renewal, SealedColumn, SealedRow};
use keyreeve_secrets::Place;
use keyreeve_store::{Statement, Tx, params};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Everything that the tenant keeps sealed in this column.
async fn rows_of(server: &Server, column: &'static SealedColumn) -> Vec<SealedRow> {
    let Renewal::ByRow(renewal) = &column.renewal else { return Vec::new() };
    let tenant = server.id();
    let all = async move |tx: &mut Tx<'_>| {
        // No key has this name: every row is under another one.
        let nobody = vec![0_u8; 8];
        tx.query(renewal.page, &params![tenant, uuid::Uuid::nil(), &nobody, 10_000_i64], renewal.read).await
    };
    server.store().read(all).await.unwrap()
}

/// The names of the keys under which anything lies, in all columns.
async fn keys_in_use(server: &Server) -> BTreeSet<Vec<u8>> {
    let mut names = BTreeSet::new();
    for column in keyreeve::sealed::columns() {
        let (table, field) = column.name.split_once('.').unwrap();
        let text = format!("SELECT DISTINCT substr({field}, 2, 8) FROM {table} WHERE {field} IS NOT NULL");
        let names_of = async move |tx: &mut Tx<'_>| {
            tx.query_composed(&Statement::composed("names", text.clone()), &[], |row| row.get::<Vec<u8>>(0))
                .await
        };
        names.extend(server.store().read(names_of).await.unwrap());
    }
    names
}

/// Waits until the server has sealed everything anew.
async fn resealed(admin: &keyreeve_acceptance::api::Api) -> Value {
    let began = Instant::now();
    loop {
        let status = admin.get("/keys/data").send().await.expect(200).json();
        if !status["rotation"]["finished_at"].is_null() {
            return status;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "it never ends: {status}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A key/value secret with three versions.
async fn plant_secret(server: &Server) -> Place {
    let authority = server.identity().authority_of_operator(server.id()).await.unwrap();
    let place = Place::new("secret", "db/main").unwrap();
    for number in 1..=3 {
        let data = (Secret::from(json!({"password": format!("planted-{number}")}).to_string()), None);
        server.app().secrets.kv().write(&authority, &place, data, None, &Cause::operator()).await.unwrap();
    }
    place
}

/// Webhooks whose secrets were changed, so that there are former ones as well.
async fn plant(admin: &keyreeve_acceptance::api::Api, webhooks: usize) {
    for number in 0..webhooks {
        let document = json!({"url": format!("https://receiver-{number}.invalid/"), "enabled": false});
        let made = admin.post("/webhooks", &document).send().await.expect(201).json();
        let path = format!("/webhooks/{}/rotate-secret", made["webhook"]["id"].as_str().unwrap());
        admin.post(&path, &json!({})).send().await.check(200);
    }
}

static FLIP: Statement = Statement::new(
    "flip",
    "UPDATE webhook SET sealed_secret = $2 WHERE id = $1 AND sealed_secret IS NOT NULL",
);

async fn write_secret(server: &Server, id: uuid::Uuid, value: Vec<u8>) {
    let write = async move |tx: &mut Tx<'_>| tx.execute(&FLIP, &params![id, &value]).await;
    assert_eq!(server.store().write(write).await.unwrap(), 1);
}

/// Goes on until nobody needs the old key any more.
async fn outlast(server: &Server) {
    let (keys, _) = server.tokens().data_keys(server.id()).await.unwrap();
    let until = keys.iter().filter_map(|key| key.needed_until).max().unwrap();
    server.advance(u64::try_from(until.seconds() - server.now().seconds()).unwrap() + 1);
}

fn column(name: &str) -> &'static SealedColumn {
    keyreeve::sealed::columns().iter().find(|column| column.name == name).unwrap()
}

on_a_server! {
    async fn a_data_key_changes_while_everything_goes_on_and_the_old_one_is_destroyed(server: &Server) {
        let admin = server.administrator().await;
        plant(&admin, 7).await;
        let place = plant_secret(server).await;
        let ada = server.user("ada").create().await;
        let app = server.client("portal").web_app().first_party().scopes("openid offline_access").create().await;
        let flow = server.code_flow(&app).scope("openid offline_access");
        let held = flow.tokens(&server.browser(), &ada.name).await;
        let before = keys_in_use(server).await;
        assert_eq!(before.len(), 1);
        let begun = admin.call("POST", "/keys/data/rotate").send().await.expect(200).json();
        assert_eq!((&begun["items"][0]["state"], &begun["items"][1]["state"]), (&json!("sealing"), &json!("opening")));
        assert_eq!(server.audited("key.rotate").await.len(), 1);
        let done = resealed(&admin).await;
        // Two secrets of each webhook, the signing keys, the versions of a secret.
        let rotation = &done["rotation"];
        assert_eq!((&rotation["resealed"], &rotation["failed"]), (&rotation["total"], &json!(0)));
        assert!(rotation["total"].as_u64().unwrap() >= 19, "{done}");
        let after = keys_in_use(server).await;
        assert_eq!(after.len(), 1);
        assert!(after.is_disjoint(&before), "nothing is left under the old key");
        // What a client holds under the old key is still good, and so is what it gets for it.
        let next = server.refresh(&app, held.refresh()).await;
        assert_eq!(server.app().destroy_data_keys().await.unwrap(), 0, "the old key is still needed");
        outlast(server).await;
        assert_eq!(server.app().destroy_data_keys().await.unwrap(), 1);
        assert_eq!(server.app().destroy_data_keys().await.unwrap(), 0);
        assert_eq!(server.audited("key.destroy").await.len(), 1);
        let admin = server.administrator().await;
        let left = admin.get("/keys/data").send().await.expect(200).json();
        assert_eq!(left["items"].as_array().unwrap().len(), 1);
        // The key is gone, and with it what nobody can use any more.
        server.try_refresh(&app, next.refresh()).await.check(400);
        for number in 1..=3 {
            let authority = server.identity().authority_of_operator(server.id()).await.unwrap();
            let read = server.app().secrets.kv().read(&authority, &place, Some(number), &Cause::operator()).await.unwrap();
            assert_eq!(read.value.expose(), json!({"password": format!("planted-{number}")}).to_string().as_bytes());
        }
        for name in ["webhook.sealed_secret", "webhook.sealed_previous", "signing_key.sealed_private"] {
            let sealer = server.identity().tenants().sealer(server.id()).await.unwrap();
            for row in rows_of(server, column(name)).await {
                let parts: Vec<&[u8]> = row.parts.iter().map(Vec::as_slice).collect();
                sealer.open(&parts, &row.sealed).unwrap();
            }
        }
    }

    async fn rotations_that_overtake_each_other_end_under_the_newest_key(server: &Server) {
        let admin = server.administrator().await;
        plant(&admin, 3).await;
        for _ in 0..3 {
            admin.call("POST", "/keys/data/rotate").send().await.check(200);
        }
        let rotate = || async { admin.call("POST", "/keys/data/rotate").send().await.check(200) };
        tokio::join!(rotate(), rotate(), rotate());
        let done = resealed(&admin).await;
        let sealing: Vec<&Value> =
            done["items"].as_array().unwrap().iter().filter(|key| key["state"] == "sealing").collect();
        assert_eq!((sealing.len(), &sealing[0]["id"]), (1, &done["rotation"]["data_key"]));
        assert_eq!(keys_in_use(server).await.len(), 1);
    }

    async fn a_damaged_value_is_named_left_alone_and_keeps_its_key_alive(server: &Server) {
        let admin = server.administrator().await;
        plant(&admin, 2).await;
        let row = rows_of(server, column("webhook.sealed_secret")).await.remove(0);
        let mut damaged = row.sealed.clone();
        *damaged.last_mut().unwrap() ^= 1;
        write_secret(server, row.id, damaged.clone()).await;
        admin.call("POST", "/keys/data/rotate").send().await.check(200);
        let done = resealed(&admin).await;
        assert_eq!(done["rotation"]["failed"], 1);
        outlast(server).await;
        assert_eq!(server.app().destroy_data_keys().await.unwrap(), 0);
        // Put right from a backup, it is sealed anew, and then the key goes.
        write_secret(server, row.id, row.sealed).await;
        while server.app().reseal_all().await.unwrap() {}
        assert_eq!(server.app().destroy_data_keys().await.unwrap(), 1);
    }

    async fn ac_76_every_bit_of_every_sealed_value_is_guarded(server: &Server) {
        let admin = server.administrator().await;
        plant(&admin, 2).await;
        let sealer = server.identity().tenants().sealer(server.id()).await.unwrap();
        let mut looked_at = 0;
        for column in keyreeve::sealed::columns() {
            for row in rows_of(server, column).await.into_iter().take(2) {
                let parts: Vec<&[u8]> = row.parts.iter().map(Vec::as_slice).collect();
                sealer.open(&parts, &row.sealed).unwrap();
                for bit in 0..row.sealed.len() * 8 {
                    let mut flipped = row.sealed.clone();
                    flipped[bit / 8] ^= 1 << (bit % 8);
                    assert!(sealer.open(&parts, &flipped).is_err(), "{} bit {bit}", column.name);
                    looked_at += 1;
                }
                // Nor does it open as another row's, or as another column's.
                let mut elsewhere = row.parts.clone();
                elsewhere.last_mut().unwrap()[0] ^= 1;
                let elsewhere: Vec<&[u8]> = elsewhere.iter().map(Vec::as_slice).collect();
                assert!(sealer.open(&elsewhere, &row.sealed).is_err(), "{}", column.name);
            }
        }
        assert!(looked_at > 4_000, "{looked_at}");
    }

    async fn data_keys_are_for_administrators(server: &Server) {
        let reader = server.api("keyreeve:keys:read").await;
        reader.get("/keys/data").send().await.check(200);
        reader.call("POST", "/keys/data/rotate").send().await.check(403);
        server.api("keyreeve:users:write").await.get("/keys/data").send().await.check(403);
        assert_eq!(server.audited("key.rotate").await.len(), 0);
    }
}

//! Who reads what, and what is kept of it.

use crate::house::{House, by, data, house, password};
use keyreeve_crypto::SecretBytes;
use keyreeve_crypto::sign::Algorithm;
use keyreeve_identity::{Authority, Patch};
use keyreeve_pki::NewKey;
use keyreeve_pki::ssh::SshKeyPair;
use keyreeve_secrets::{
    AuthorityRecipe, CertificateRecipe, Content, Error, Fate, JwtRules, JwtWanted, Kind, NewSecret, Owner,
    PasswordRecipe, Place, Recipe, Rules, SecretId, SecretPatch, Settings, Wanted,
};
use keyreeve_store::{Tx, params, statements};
use keyreeve_testkit::{Engine, on_both_engines};
use std::time::Duration;

statements! {
    VALUES = "SELECT version_key, sealed FROM secret_value ORDER BY version_key";
    KEYS = "SELECT key, wrapped FROM secret_version WHERE wrapped IS NOT NULL ORDER BY key";
    SET_VALUE = "UPDATE secret_value SET sealed = $2 WHERE version_key = $1";
    SET_KEY = "UPDATE secret_version SET wrapped = $2 WHERE key = $1";
    NO_LOG = "ALTER TABLE audit_entry RENAME TO audit_entry_gone";
}

async fn rows(house: &House, keys: bool) -> Vec<(i64, Vec<u8>)> {
    let statement = if keys { &KEYS } else { &VALUES };
    let read =
        async move |tx: &mut Tx<'_>| tx.query(statement, &[], |row| Ok((row.get(0)?, row.get(1)?))).await;
    house.test.store.read::<_, keyreeve_store::Error, _>(read).await.unwrap()
}

async fn put(house: &House, keys: bool, key: i64, bytes: Vec<u8>) {
    let statement = if keys { &SET_KEY } else { &SET_VALUE };
    let write = async move |tx: &mut Tx<'_>| tx.execute(statement, &params![key, bytes]).await;
    house.test.store.write::<_, keyreeve_store::Error, _>(write).await.unwrap();
}

fn missing<T: std::fmt::Debug>(result: &Result<T, Error>) {
    assert!(matches!(result, Err(Error::NotFound("secret"))), "{result:?}");
}

fn denied<T: std::fmt::Debug>(result: &Result<T, Error>) {
    assert!(matches!(result, Err(Error::Denied(_))), "{result:?}");
}

fn gone<T: std::fmt::Debug>(result: &Result<T, Error>) {
    assert!(matches!(result, Err(Error::Gone(_))), "{result:?}");
}

async fn refuses_everything(house: &House, eve: &Authority, id: SecretId) {
    let secrets = &house.secrets;
    missing(&secrets.get(eve, id).await);
    missing(&secrets.read(eve, id, None, &by()).await);
    missing(&secrets.write(eve, id, password("x"), None, &by()).await);
    missing(&secrets.rotate(eve, id, &by()).await);
    missing(&secrets.update(eve, id, SecretPatch::default(), None, &by()).await);
    missing(&secrets.transfer(eve, id, None, None, &by()).await);
    missing(&secrets.delete(eve, id, None, &by()).await);
    missing(&secrets.versions(eve, id, (None, 10)).await);
    for fate in [Fate::Delete, Fate::Undelete, Fate::Destroy] {
        missing(&secrets.decide_on(eve, id, fate, &[1], &by()).await);
    }
}

on_both_engines! {
    async fn each_permission_opens_what_it_names(engine: Engine) {
        let house = house(engine).await;
        let (ada, bob, eve) = (house.user("ada").await, house.user("bob").await, house.user("eve").await);
        let (as_ada, as_bob, as_eve) = (house.as_party(ada).await, house.as_party(bob).await, house.as_party(eve).await);
        let made = Content::Made(Recipe::Password(PasswordRecipe::default()));
        let secret = house.make(&as_ada, "database", made).await;
        assert_eq!((secret.owner, secret.current, secret.version), (Some(ada), 1, 1));
        let first = house.open(&as_ada, secret.id).await.unwrap();
        assert_eq!(first.len(), 24);
        refuses_everything(&house, &as_eve, secret.id).await;
        assert_eq!(house.told("secret.read", "refused").await, 1, "a refusal is in the log");

        house.share(secret.id, "METADATA", bob).await;
        house.secrets.get(&as_bob, secret.id).await.unwrap();
        denied(&house.secrets.read(&as_bob, secret.id, None, &by()).await);
        denied(&house.secrets.rotate(&as_bob, secret.id, &by()).await);
        house.share(secret.id, "ROTATE", bob).await;
        assert_eq!(house.secrets.rotate(&as_bob, secret.id, &by()).await.unwrap().number, 2);
        denied(&house.secrets.read(&as_bob, secret.id, None, &by()).await);
        denied(&house.secrets.write(&as_bob, secret.id, password("x"), None, &by()).await);
        let second = house.open(&as_ada, secret.id).await.unwrap();
        assert!(second != first && second.len() == 24);
        assert_eq!(house.open_version(&as_ada, secret.id, Some(1)).await.unwrap(), first);
        house.share(secret.id, "READ", bob).await;
        assert_eq!(house.open(&as_bob, secret.id).await.unwrap(), second);
        denied(&house.secrets.write(&as_bob, secret.id, password("x"), None, &by()).await);
        denied(&house.secrets.delete(&as_bob, secret.id, None, &by()).await);
        denied(&house.secrets.transfer(&as_bob, secret.id, Some(bob), None, &by()).await);
        house.share(secret.id, "WRITE", bob).await;
        assert_eq!(house.secrets.write(&as_bob, secret.id, password("mine"), None, &by()).await.unwrap().number, 3);
        let rotated = house.secrets.rotate(&as_ada, secret.id, &by()).await;
        assert!(matches!(rotated, Err(Error::Invalid { field: "value", .. })), "it was not made here");
        house.share(secret.id, "DELETE", bob).await;
        house.secrets.delete(&as_bob, secret.id, None, &by()).await.unwrap();
        refuses_everything(&house, &as_ada, secret.id).await;
        assert!(rows(&house, false).await.is_empty() && rows(&house, true).await.is_empty());
        // No value is in the log.
        let log = format!("{:?}", house.entries().await);
        for value in [&first, &second, "mine"] {
            assert!(!log.contains(value), "{value}");
        }
    }

    async fn owners_are_oneself_ones_groups_and_whom_the_administrator_names(engine: Engine) {
        let house = house(engine).await;
        let (ada, bob) = (house.user("ada").await, house.user("bob").await);
        let (as_ada, as_bob) = (house.as_party(ada).await, house.as_party(bob).await);
        let team = house.group("team").await;
        for owner in [Owner::Party(bob), Owner::Party(team), Owner::Tenant] {
            let new = NewSecret { owner, ..NewSecret::of("x", password("x")) };
            denied(&house.secrets.create(&as_ada, new, &by()).await);
        }
        let new = NewSecret { owner: Owner::Tenant, ..NewSecret::of("x", password("x")) };
        let secret = house.secrets.create(&house.admin, new, &by()).await.unwrap();
        assert_eq!(secret.owner, None);
        missing(&house.secrets.get(&as_ada, secret.id).await);
        let secret = house.secrets.transfer(&house.admin, secret.id, Some(ada), None, &by()).await.unwrap();
        assert_eq!(secret.owner, Some(ada));
        house.open(&as_ada, secret.id).await.unwrap();
        denied(&house.secrets.transfer(&as_ada, secret.id, None, None, &by()).await);
        house.secrets.transfer(&as_ada, secret.id, Some(bob), None, &by()).await.unwrap();
        missing(&house.secrets.get(&as_ada, secret.id).await);
        house.open(&as_bob, secret.id).await.unwrap();
        // Another tenant's administrator finds nothing.
        let other = house.other_tenant().await;
        refuses_everything(&house, &other, secret.id).await;
        // Who does not administer has a bounded number.
        for number in 0..5 {
            house.make(&as_ada, &format!("{number}"), password("x")).await;
        }
        let sixth = house.secrets.create(&as_ada, NewSecret::of("6", password("x")), &by()).await;
        assert!(matches!(sixth, Err(Error::Invalid { field: "owner", .. })));
    }

    async fn versions_are_deleted_had_back_and_destroyed(engine: Engine) {
        let house = house(engine).await;
        let admin = &house.admin;
        let secret = house.make(admin, "s", data(r#"{"n":1}"#)).await;
        for number in 2..=3 {
            let content = data(&format!("{{\"n\":{number}}}"));
            assert_eq!(house.secrets.write(admin, secret.id, content, None, &by()).await.unwrap().number, number);
        }
        let decide = |fate, numbers: &'static [i64]| house.secrets.decide_on(admin, secret.id, fate, numbers, Box::leak(Box::new(by())));
        assert_eq!(decide(Fate::Delete, &[2, 9]).await.unwrap(), 1);
        gone(&house.open_version(admin, secret.id, Some(2)).await);
        assert_eq!(decide(Fate::Undelete, &[2]).await.unwrap(), 1);
        assert_eq!(house.open_version(admin, secret.id, Some(2)).await.unwrap(), r#"{"n":2}"#);
        assert_eq!(decide(Fate::Destroy, &[2]).await.unwrap(), 1);
        assert_eq!(decide(Fate::Undelete, &[2]).await.unwrap(), 0);
        gone(&house.open_version(admin, secret.id, Some(2)).await);
        assert_eq!(rows(&house, false).await.len(), 2, "its value is nowhere");
        assert_eq!(rows(&house, true).await.len(), 2, "nor its key");
        assert!(matches!(house.open_version(admin, secret.id, Some(9)).await, Err(Error::NotFound("version"))));
        assert!(decide(Fate::Delete, &[]).await.is_err());
        let versions = house.secrets.versions(admin, secret.id, (None, 10)).await.unwrap();
        assert_eq!(versions.iter().map(|v| (v.number, v.destroyed)).collect::<Vec<_>>(), [(3, false), (2, true), (1, false)]);
    }

    async fn old_versions_go_by_count_and_age(engine: Engine) {
        let house = house(engine).await;
        let admin = &house.admin;
        let settings = Settings { keep_versions: 3, keep_seconds: Some(100), ..Settings::default() };
        let new = NewSecret { settings, ..NewSecret::of("s", password("1")) };
        let id = house.secrets.create(admin, new, &by()).await.unwrap().id;
        let numbers = async || {
            let versions = house.secrets.versions(admin, id, (None, 10)).await.unwrap();
            versions.iter().map(|version| version.number).collect::<Vec<_>>()
        };
        for text in ["2", "3", "4"] {
            house.secrets.write(admin, id, password(text), None, &by()).await.unwrap();
        }
        assert_eq!(numbers().await, [4, 3, 2]);
        house.test.clock.advance(Duration::from_secs(101));
        house.secrets.write(admin, id, password("5"), None, &by()).await.unwrap();
        assert_eq!(numbers().await, [5, 4], "the others were replaced longer ago than they are kept");
        // What is older than it is kept is read no more, whether anybody writes or not, and goes with the next round.
        assert_eq!(house.open_version(admin, id, Some(4)).await.unwrap(), "4");
        house.test.clock.advance(Duration::from_secs(99));
        assert_eq!(house.secrets.sweep_aged().await.unwrap(), (0, false));
        assert_eq!(house.open_version(admin, id, Some(4)).await.unwrap(), "4");
        house.test.clock.advance(Duration::from_secs(1));
        assert!(matches!(house.open_version(admin, id, Some(4)).await, Err(Error::NotFound("version"))));
        assert_eq!(rows(&house, false).await.len(), 2);
        assert_eq!(house.secrets.sweep_aged().await.unwrap(), (1, false));
        assert_eq!((rows(&house, false).await.len(), rows(&house, true).await.len()), (1, 1), "neither value nor key is left");
        assert_eq!(house.secrets.sweep_aged().await.unwrap(), (0, false));
        assert_eq!(house.open(admin, id).await.unwrap(), "5", "the newest stays, however old it is");
        assert_eq!(house.told("secret.version.destroy", "success").await, 1);
        let settings = Settings { version_seconds: Some(10), ..Settings::default() };
        let patch = SecretPatch { settings: Some(settings), ..SecretPatch::default() };
        house.secrets.update(admin, id, patch, None, &by()).await.unwrap();
        house.secrets.write(admin, id, password("6"), None, &by()).await.unwrap();
        assert_eq!(house.open(admin, id).await.unwrap(), "6");
        house.test.clock.advance(Duration::from_secs(10));
        gone(&house.open(admin, id).await);
        assert_eq!(house.open_version(admin, id, Some(5)).await.unwrap(), "5");
    }

    async fn a_writer_says_what_it_follows(engine: Engine) {
        let house = house(engine).await;
        let admin = &house.admin;
        let settings = Settings { cas_required: true, ..Settings::default() };
        let new = NewSecret { settings, ..NewSecret::of("s", password("1")) };
        let id = house.secrets.create(admin, new, &by()).await.unwrap().id;
        for wrong in [None, Some(0), Some(2)] {
            let written = house.secrets.write(admin, id, password("2"), wrong, &by()).await;
            assert!(matches!(written, Err(Error::CheckAndSet { current: 1 })), "{wrong:?}");
        }
        house.secrets.write(admin, id, password("2"), Some(1), &by()).await.unwrap();
        // Of many who follow the same version, one does.
        let (one, two) = tokio::join!(
            async { house.secrets.write(admin, id, password("a"), Some(2), &by()).await },
            async { house.secrets.write(admin, id, password("b"), Some(2), &by()).await },
        );
        assert_eq!(usize::from(one.is_ok()) + usize::from(two.is_ok()), 1);
        let patch = SecretPatch { description: Patch::Set("d".into()), ..SecretPatch::default() };
        let before = house.secrets.get(admin, id).await.unwrap();
        let stale = house.secrets.update(admin, id, patch.clone(), Some(before.version - 1), &by()).await;
        assert!(matches!(stale, Err(Error::VersionConflict)));
        let after = house.secrets.update(admin, id, patch, Some(before.version), &by()).await.unwrap();
        assert_eq!((after.version, after.description.as_deref()), (before.version + 1, Some("d")));
        assert!(matches!(house.secrets.delete(admin, id, Some(1), &by()).await, Err(Error::VersionConflict)));
    }

    /// A value in another row, or with a flipped bit, does not open, and says which it is.
    async fn what_is_moved_or_changed_does_not_open(engine: Engine) {
        let house = house(engine).await;
        let admin = &house.admin;
        let (one, two) = (house.make(admin, "1", password("one")).await, house.make(admin, "2", password("two")).await);
        for keys in [false, true] {
            let found = rows(&house, keys).await;
            put(&house, keys, found[0].0, found[1].1.clone()).await;
            let opened = house.open(admin, one.id).await;
            assert!(matches!(opened, Err(Error::Damaged { id, number: 1, .. }) if id == one.id), "{opened:?}");
            put(&house, keys, found[0].0, found[0].1.clone()).await;
            for place in 0..found[0].1.len() {
                let mut flipped = found[0].1.clone();
                flipped[place] ^= 1 << (place % 8);
                put(&house, keys, found[0].0, flipped).await;
                let opened = house.open(admin, one.id).await;
                assert!(matches!(opened, Err(Error::Damaged { .. } | Error::Identity(_))), "{place}: {opened:?}");
            }
            put(&house, keys, found[0].0, found[0].1.clone()).await;
        }
        // With its key it is still bound to its secret.
        let (values, keys) = (rows(&house, false).await, rows(&house, true).await);
        put(&house, false, values[1].0, values[0].1.clone()).await;
        put(&house, true, keys[1].0, keys[0].1.clone()).await;
        assert!(matches!(house.open(admin, two.id).await, Err(Error::Damaged { .. })));
        assert_eq!(house.open(admin, one.id).await.unwrap(), "one");
    }

    /// No entry, no value.
    /// Of whatever kind: what is read says which it is, and what signs does not sign.
    async fn ac_76_a_flipped_bit_is_named_whatever_the_kind(engine: Engine) {
        let house = house(engine).await;
        let admin = &house.admin;
        let ssh = |hosts| Recipe::SshCa { hosts, key_type: "ed25519".into() };
        let tls = CertificateRecipe {
            key_type: "ed25519".into(), common_name: None, names: vec!["a.example.org".into()], seconds: 3_600, client: false, policy: None,
        };
        let root = AuthorityRecipe { key_type: "ed25519".into(), common_name: "CA".into(), organization: None, seconds: 86_400 };
        let made = [
            Recipe::Password(PasswordRecipe::default()), Recipe::SshKey { key_type: "ed25519".into(), comment: String::new() },
            Recipe::Certificate(tls), ssh(false), ssh(true), Recipe::X509Ca(root), Recipe::SigningKey { algorithm: Algorithm::EdDsa },
        ];
        let file = Content::File { bytes: SecretBytes::from(vec![7; 40]), media_type: None, file_name: None };
        let mut kinds = Vec::new();
        for content in made.into_iter().map(Content::Made).chain([data("{}"), file]) {
            let secret = house.make(admin, "s", content).await;
            kinds.push(secret.kind);
            let jwt = JwtRules {
                issuer: "https://x".into(), audiences: vec!["y".into()], typ: "JWT".into(), fixed: serde_json::Map::new(), claims: Default::default(),
            };
            let rules = Rules {
                open_to: vec![], names: vec!["a.example.org".into()], max_seconds: 600, extensions: vec![], force_command: None,
                source_addresses: vec![], client: false, jwt: (secret.kind == Kind::SigningKey).then_some(jwt),
            };
            if secret.kind.is_authority() {
                house.secrets.create_policy(admin, (secret.kind.as_str(), secret.id, rules), &by()).await.unwrap();
            }
            let about = SshKeyPair::generate(NewKey::Ed25519, "").unwrap().public().to_string();
            let wanted = Wanted { about, names: vec![], seconds: None, leased: false };
            let use_it = async || match secret.kind {
                Kind::SshUserCa | Kind::SshHostCa => house.secrets.issue(admin, secret.kind.as_str(), &wanted, &by()).await.map(drop),
                Kind::X509Ca => house.secrets.published(house.tenant, secret.id).await.map(drop),
                Kind::SigningKey => house.secrets.sign_jwt(admin, "signing_key", &JwtWanted::default(), &by()).await.map(drop),
                _ => house.secrets.read(admin, secret.id, None, &by()).await.map(drop),
            };
            for keys in [false, true] {
                let (key, sound) = rows(&house, keys).await.pop().unwrap();
                for place in [0, sound.len() / 2, sound.len() - 1] {
                    let mut flipped = sound.clone();
                    flipped[place] ^= 4;
                    put(&house, keys, key, flipped).await;
                    let used = use_it().await;
                    assert!(matches!(used, Err(Error::Damaged { id, number: 1, .. }) if id == secret.id), "{:?} {place}: {used:?}", secret.kind);
                }
                put(&house, keys, key, sound).await;
            }
            use_it().await.unwrap();
        }
        assert!(Kind::ALL.iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
    }

    async fn ac_76_what_cannot_be_recorded_is_not_read(engine: Engine) {
        let house = house(engine).await;
        let id = house.make(&house.admin, "s", password("one")).await.id;
        assert_eq!(house.open(&house.admin, id).await.unwrap(), "one");
        assert_eq!(house.told("secret.read", "success").await, 1);
        let write = async |tx: &mut Tx<'_>| tx.execute(&NO_LOG, &[]).await;
        house.test.store.write::<_, keyreeve_store::Error, _>(write).await.unwrap();
        let opened = house.open(&house.admin, id).await;
        assert!(matches!(opened, Err(Error::Store(_))), "{opened:?}");
    }

    async fn a_secret_goes_with_what_lay_above_it(engine: Engine) {
        let house = house(engine).await;
        let admin = &house.admin;
        let ada = house.user("ada").await;
        let new = keyreeve_sharing::NewType { id: "FOLDER".into(), name: "f".into(), description: None };
        house.sharing.types().create(admin, new, &by()).await.unwrap();
        let folder = keyreeve_sharing::NewResource {
            id: Some("top".into()), resource_type: "FOLDER".into(), owner: Some(ada), name: "top".into(), ..Default::default()
        };
        house.sharing.resources().create(admin, folder, &by()).await.unwrap();
        let as_ada = house.as_party(ada).await;
        let new = NewSecret { parent: Some("top".into()), owner: Owner::Tenant, ..NewSecret::of("s", password("x")) };
        let id = house.secrets.create(admin, new, &by()).await.unwrap().id;
        assert_eq!(house.open(&as_ada, id).await.unwrap(), "x", "who owns the folder owns what is in it");
        assert_eq!(house.secrets.sweep().await.unwrap(), (0, false));
        let all = keyreeve_sharing::Delete::WithChildren;
        house.sharing.resources().delete(admin, "top".into(), all, &by()).await.unwrap();
        missing(&house.open(admin, id).await);
        assert_eq!(house.secrets.sweep().await.unwrap(), (1, false));
        assert!(rows(&house, false).await.is_empty());
    }

    async fn bad_input_is_named(engine: Engine) {
        let house = house(engine).await;
        let admin = &house.admin;
        for bad in ["", "[]", "1", "{", r#"{"a":1,"a":2}"#] {
            let made = house.secrets.create(admin, NewSecret::of("x", data(bad)), &by()).await;
            assert!(matches!(made, Err(Error::Invalid { field: "data", .. })), "{bad}: {made:?}");
        }
        let long = house.secrets.create(admin, NewSecret::of("x", data(&format!("{{\"a\":\"{}\"}}", "x".repeat(70_000)))), &by()).await;
        assert!(matches!(long, Err(Error::Invalid { field: "value", .. })));
        for name in ["", " ", "a\nb", &"x".repeat(300)] {
            let made = house.secrets.create(admin, NewSecret::of(name, password("x")), &by()).await;
            assert!(matches!(made, Err(Error::Invalid { field: "name", .. })), "{name:?}");
        }
        for (mount, path) in [("kv", ""), ("kv", "/a"), ("kv", "a/"), ("kv", "a//b"), ("kv", "a/../b"), ("kv", "."), ("kv", "a\\b"), ("kv", "a\nb"), ("Kv", "a"), ("", "a"), ("a/b", "a")] {
            assert!(Place::new(mount, path).is_err(), "{mount} {path}");
        }
        let settings = Settings { keep_versions: 0, ..Settings::default() };
        let made = house.secrets.create(admin, NewSecret { settings, ..NewSecret::of("x", password("x")) }, &by()).await;
        assert!(matches!(made, Err(Error::Invalid { field: "settings.keep_versions", .. })));
        let id = house.make(admin, "x", password("x")).await.id;
        let other = house.secrets.write(admin, id, data("{}"), None, &by()).await;
        assert!(matches!(other, Err(Error::Invalid { field: "kind", .. })));
    }
}

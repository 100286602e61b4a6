//! Key/value secrets by path.

use crate::house::{House, by, house};
use keyreeve_crypto::Secret as SecretText;
use keyreeve_identity::Authority;
use keyreeve_secrets::{Entry, Error, Fate, Place, SecretPatch, Settings};
use keyreeve_testkit::{Engine, on_both_engines};

fn place(path: &str) -> Place {
    Place::new("kv", path).unwrap()
}

async fn write(
    house: &House,
    authority: &Authority,
    path: &str,
    text: &str,
    follows: Option<i64>,
) -> Result<i64, Error> {
    let data = (SecretText::new(text), None);
    let written = house.secrets.kv().write(authority, &place(path), data, follows, &by()).await;
    written.map(|(_, version)| version.number)
}

async fn read(house: &House, authority: &Authority, path: &str) -> Result<String, Error> {
    let opened = house.secrets.kv().read(authority, &place(path), None, &by()).await?;
    Ok(String::from_utf8(opened.value.expose().to_vec()).unwrap())
}

async fn list(house: &House, authority: &Authority, folder: &str, limit: u16) -> Vec<String> {
    let (mut all, mut after): (Vec<Entry>, Option<Entry>) = (Vec::new(), None);
    for _ in 0..1_000 {
        let page = house.secrets.kv().list(authority, ("kv", folder), (after.as_ref(), limit)).await.unwrap();
        all.extend(page.0);
        after = page.1;
        if after.is_none() {
            return all.iter().map(Entry::shown).collect();
        }
    }
    panic!("a list without an end");
}

on_both_engines! {
    async fn values_are_written_and_read_by_path(engine: Engine) {
        let house = house(engine).await;
        let admin = &house.admin;
        assert!(matches!(read(&house, admin, "a/b").await, Err(Error::NotFound("secret"))));
        assert!(matches!(write(&house, admin, "a/b", "{}", Some(1)).await, Err(Error::CheckAndSet { current: 0 })));
        assert_eq!(write(&house, admin, "a/b", r#"{"x":1}"#, Some(0)).await.unwrap(), 1);
        assert!(matches!(write(&house, admin, "a/b", "{}", Some(0)).await, Err(Error::CheckAndSet { current: 1 })));
        assert_eq!(write(&house, admin, "a/b", r#"{"x":2,"y":{"z":[1,2]}}"#, None).await.unwrap(), 2);
        assert_eq!(read(&house, admin, "a/b").await.unwrap(), r#"{"x":2,"y":{"z":[1,2]}}"#);
        let id = house.secrets.kv().find(admin, &place("a/b")).await.unwrap().id;
        let patch = SecretText::new(r#"{"x":null,"y":{"w":true}}"#);
        assert!(matches!(house.secrets.patch(admin, id, &patch, Some(1), &by()).await, Err(Error::CheckAndSet { current: 2 })));
        assert_eq!(house.secrets.patch(admin, id, &patch, Some(2), &by()).await.unwrap().number, 3);
        assert_eq!(read(&house, admin, "a/b").await.unwrap(), r#"{"y":{"w":true,"z":[1,2]}}"#);
        house.secrets.kv().decide_on(admin, &place("a/b"), Fate::Delete, &[3], &by()).await.unwrap();
        assert!(matches!(read(&house, admin, "a/b").await, Err(Error::Gone(_))));
        assert!(matches!(house.secrets.patch(admin, id, &patch, None, &by()).await, Err(Error::Gone(_))));
        assert_eq!(write(&house, admin, "a/b", "{}", None).await.unwrap(), 4);
    }

    async fn a_place_can_be_described_before_there_is_a_value(engine: Engine) {
        let house = house(engine).await;
        let admin = &house.admin;
        let settings = Settings { cas_required: true, ..Settings::default() };
        let patch = SecretPatch { settings: Some(settings), ..SecretPatch::default() };
        let secret = house.secrets.kv().describe(admin, &place("p"), patch, &by()).await.unwrap();
        assert_eq!(secret.current, 0);
        assert!(matches!(read(&house, admin, "p").await, Err(Error::NotFound("version"))));
        assert!(matches!(write(&house, admin, "p", "{}", None).await, Err(Error::CheckAndSet { current: 0 })));
        assert_eq!(write(&house, admin, "p", "{}", Some(0)).await.unwrap(), 1);
    }

    /// AC-55: a list shows what the asker may see, and nothing besides.
    async fn ac_55_a_list_shows_what_may_be_seen(engine: Engine) {
        let house = house(engine).await;
        let (ada, bob) = (house.user("ada").await, house.user("bob").await);
        let (as_ada, as_bob) = (house.as_party(ada).await, house.as_party(bob).await);
        for path in ["a", "a/b", "a/c/d", "a/c/e", "a!", "b", "c/x", "c0", "c/y/z"] {
            write(&house, &house.admin, path, "{}", None).await.unwrap();
        }
        write(&house, &as_ada, "c/y/own", "{}", None).await.unwrap();
        for limit in [1, 2, 100] {
            assert_eq!(list(&house, &house.admin, "", limit).await, ["a", "a!", "a/", "b", "c/", "c0"], "{limit}");
            assert_eq!(list(&house, &house.admin, "a", limit).await, ["b", "c/"], "{limit}");
            assert_eq!(list(&house, &house.admin, "c/y", limit).await, ["own", "z"], "{limit}");
            assert_eq!(list(&house, &as_ada, "", limit).await, ["c/"], "{limit}");
            assert_eq!(list(&house, &as_ada, "c", limit).await, ["y/"], "{limit}");
            assert_eq!(list(&house, &as_ada, "c/y", limit).await, ["own"], "{limit}");
            assert!(list(&house, &as_bob, "", limit).await.is_empty());
        }
        for folder in ["..", "a/..", "a//c", "/", "a/"] {
            let listed = house.secrets.kv().list(&house.admin, ("kv", folder), (None, 10)).await;
            assert!(matches!(listed, Err(Error::Invalid { field: "path", .. })), "{folder}");
        }
        // What is another's is not read, described or written over by its path.
        assert!(matches!(read(&house, &as_bob, "c/y/own").await, Err(Error::NotFound("secret"))));
        assert!(house.secrets.kv().find(&as_bob, &place("c/y/own")).await.is_err());
        assert!(matches!(write(&house, &as_bob, "c/y/own", "{}", None).await, Err(Error::Taken("path"))));
        assert_eq!(read(&house, &as_ada, "c/y/own").await.unwrap(), "{}");
    }
}

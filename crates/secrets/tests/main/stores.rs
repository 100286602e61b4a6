//! Stores elsewhere and what they are reached with: records, what holds on to them, what is refused, what the log says of a
//! store that is not there. What a store answers is tried against a real one by the acceptance tests.

use crate::house::{House, by, data, house};
use keyreeve_crypto::Secret as SecretText;
use keyreeve_identity::search::Direction;
use keyreeve_identity::{Authority, Patch};
use keyreeve_secrets::{
    AuthenticationPatch, Content, Elsewhere, Error, Fate, Kind, LeaseWish, Method, NewAuthentication,
    NewSecret, NewStore, RecordSearch, Secret, SecretPatch, SecretStore, ServiceAuthentication, Settings,
    Sort, StorePatch,
};
use keyreeve_store::{Tx, params, statements};
use keyreeve_testkit::{Engine, on_both_engines};

/// Nobody listens here.
const NOWHERE: &str = "http://127.0.0.1:9/vault";
const TOKEN: &str = "hvs.Canary-of-a-token-17";

statements! {
    pub(crate) SEALED = "SELECT sealed_credential FROM service_authentication WHERE tenant_id = $1";
    pub(crate) MOVE = "UPDATE service_authentication SET url = $2 WHERE tenant_id = $1";
}

fn by_token(name: &str, url: &str) -> NewAuthentication {
    let (name, url) = (name.to_owned(), url.to_owned());
    NewAuthentication { name, url, method: Method::Token, credential: SecretText::new(TOKEN) }
}

fn store(name: &str, by: &ServiceAuthentication) -> NewStore {
    NewStore {
        name: name.to_owned(),
        url: by.url.clone(),
        mount: "team/kv".to_owned(),
        namespace: None,
        authentication: by.id,
        timeout_ms: 1_000,
    }
}

fn elsewhere(name: &str, store: &SecretStore, path: &str) -> NewSecret {
    NewSecret {
        kind: Kind::KeyValue,
        content: None,
        elsewhere: Some(Elsewhere { store: store.id, path: path.to_owned() }),
        ..NewSecret::of(name, data("{}"))
    }
}

impl House {
    async fn authentication(&self, name: &str) -> ServiceAuthentication {
        self.secrets.create_authentication(&self.admin, by_token(name, NOWHERE), &by()).await.unwrap()
    }

    async fn secret_store(&self, name: &str) -> SecretStore {
        let with = self.authentication(&format!("of {name}")).await;
        self.secrets.create_store(&self.admin, store(name, &with), &by()).await.unwrap()
    }

    async fn sealed(&self) -> Vec<u8> {
        let tenant = self.tenant;
        let read = async move |tx: &mut Tx<'_>| tx.scalar::<Vec<u8>>(&SEALED, &params![tenant]).await;
        self.test.store.read(read).await.unwrap()
    }

    async fn refused(&self, authority: &Authority, new: NewSecret) -> Error {
        self.secrets.create(authority, new, &by()).await.unwrap_err()
    }
}

fn field(error: &Error) -> &'static str {
    match error {
        Error::Invalid { field, .. } => field,
        other => panic!("{other:?}"),
    }
}

on_both_engines! {
    async fn a_credential_is_sealed_for_its_server_and_never_shown(engine: Engine) {
        let house = house(engine).await;
        let with = house.authentication("a").await;
        assert!(!format!("{with:?}").contains("Canary"));
        let (tenant, secrets) = (house.tenant, &house.secrets);
        let before = house.sealed().await;
        assert!(!before.windows(6).any(|window| window == b"Canary"));
        // Under another data key by the job that the list of sealed columns feeds.
        house.identity.tenants().rotate_data_key(tenant, &by()).await.unwrap();
        let columns: &'static [&'static keyreeve_identity::SealedColumn] =
            keyreeve_secrets::SEALED.iter().collect::<Vec<_>>().leak();
        while house.identity.tenants().data_keys().reseal(tenant, columns).await.unwrap() {
            secrets.rewrap(tenant, 100).await.unwrap();
        }
        let after = house.sealed().await;
        assert_ne!(before[1..9], after[1..9], "it names another data key");
        let store = secrets.create_store(&house.admin, store("s", &with), &by()).await.unwrap();
        let found = secrets.check_store(&house.admin, store.id, &by()).await.unwrap();
        assert!(!found.works && !found.reached && !found.admitted);
        assert_eq!(found.told, "the secret store s cannot be connected to");
        // Whoever moves it to another server in the database opens nothing.
        let moved = async move |tx: &mut Tx<'_>| tx.execute(&MOVE, &params![tenant, "http://127.0.0.1:9/evil"]).await;
        house.test.store.write(moved).await.unwrap();
        let error = secrets.check_store(&house.admin, store.id, &by()).await.unwrap_err();
        assert!(matches!(error, Error::Identity(_)), "{error:?}");
        let log = format!("{:?}", house.entries().await);
        assert!(!log.contains("Canary"), "{log}");
    }

    async fn what_is_used_stays(engine: Engine) {
        let house = house(engine).await;
        let (secrets, admin) = (&house.secrets, &house.admin);
        let store = house.secret_store("s").await;
        let secret = secrets.create(admin, elsewhere("x", &store, "app/x"), &by()).await.unwrap();
        let used = secrets.delete_authentication(admin, (store.authentication, None), &by()).await.unwrap_err();
        assert_eq!(used.to_string(), "it still has secret stores that are reached with it");
        let used = secrets.delete_store(admin, (store.id, None), &by()).await.unwrap_err();
        assert_eq!(used.to_string(), "it still has secrets whose values lie in it");
        secrets.delete(admin, secret.id, None, &by()).await.unwrap();
        let stale = secrets.delete_store(admin, (store.id, Some(9)), &by()).await.unwrap_err();
        assert!(matches!(stale, Error::VersionConflict));
        secrets.delete_store(admin, (store.id, Some(1)), &by()).await.unwrap();
        secrets.delete_authentication(admin, (store.authentication, Some(1)), &by()).await.unwrap();
        assert!(matches!(secrets.secret_store(admin, store.id).await.unwrap_err(), Error::NotFound(_)));
        for action in ["secret_store.create", "secret_store.delete", "service_authentication.create", "service_authentication.delete"] {
            assert_eq!(house.told(action, "success").await, 1, "{action}");
        }
    }

    async fn records_are_changed_listed_and_bounded(engine: Engine) {
        let house = house(engine).await;
        let (secrets, admin) = (&house.secrets, &house.admin);
        let (b, a) = (house.secret_store("b").await, house.secret_store("a").await);
        let search = |limit, sort, after| RecordSearch { limit, sort, after, ..RecordSearch::default() };
        let down = (Sort::Name, Direction::Descending);
        let first = secrets.secret_stores(admin, &search(1, down, None)).await.unwrap();
        assert_eq!(first.items, vec![b]);
        let rest = secrets.secret_stores(admin, &search(5, down, first.next)).await.unwrap();
        assert_eq!((rest.items, rest.next), (vec![a.clone()], None));
        let patch = StorePatch { namespace: Patch::Set("team".to_owned()), timeout_ms: Some(200), ..StorePatch::default() };
        let changed = secrets.update_store(admin, (a.id, Some(1)), patch.clone(), &by()).await.unwrap();
        assert_eq!((changed.namespace.as_deref(), changed.timeout_ms, changed.version), (Some("team"), 200, 2));
        let stale = secrets.update_store(admin, (a.id, Some(1)), patch, &by()).await.unwrap_err();
        assert!(matches!(stale, Error::VersionConflict));
        let taken = StorePatch { name: Some("b".to_owned()), ..StorePatch::default() };
        let taken = secrets.update_store(admin, (a.id, None), taken, &by()).await.unwrap_err();
        assert!(matches!(taken, Error::Taken("name")));
        // A credential goes to no server but its own.
        for patch in [
            StorePatch { url: Some("http://127.0.0.1:8/vault".to_owned()), ..StorePatch::default() },
            StorePatch { url: Some("http://127.0.0.1:9".to_owned()), ..StorePatch::default() },
        ] {
            assert_eq!(field(&secrets.update_store(admin, (a.id, None), patch, &by()).await.unwrap_err()), "url");
        }
        for (name, patch) in [
            ("timeout_ms", StorePatch { timeout_ms: Some(15_001), ..StorePatch::default() }),
            ("namespace", StorePatch { namespace: Patch::Set("a\r\nb".to_owned()), ..StorePatch::default() }),
            ("mount", StorePatch { mount: Some("a/../b".to_owned()), ..StorePatch::default() }),
            ("name", StorePatch { name: Some(" ".to_owned()), ..StorePatch::default() }),
        ] {
            assert_eq!(field(&secrets.update_store(admin, (a.id, None), patch, &by()).await.unwrap_err()), name);
        }
        for (name, url) in [("ftp", "ftp://a.example"), ("query", "https://a.example/?x"), ("v1", "https://a.example/v1/"), ("user", "https://a:b@a.example"), ("metadata", "http://169.254.169.254/")] {
            let error = secrets.create_authentication(admin, by_token(name, url), &by()).await.unwrap_err();
            assert_eq!(field(&error), "url", "{url}");
        }
        for credential in ["", "a b", "a\nb", &"x".repeat(4_097)] {
            let new = NewAuthentication { credential: SecretText::new(credential), ..by_token("c", NOWHERE) };
            assert_eq!(field(&secrets.create_authentication(admin, new, &by()).await.unwrap_err()), "credential");
        }
        let with = secrets.authentication(admin, a.authentication).await.unwrap();
        let role = AuthenticationPatch { role_id: Some("r".to_owned()), ..AuthenticationPatch::default() };
        assert_eq!(field(&secrets.update_authentication(admin, (with.id, None), role, &by()).await.unwrap_err()), "role_id");
        let new = AuthenticationPatch { name: Some("z".to_owned()), credential: Some(SecretText::new("other")), ..AuthenticationPatch::default() };
        let changed = secrets.update_authentication(admin, (with.id, Some(1)), new, &by()).await.unwrap();
        assert_eq!((changed.name.as_str(), changed.version), ("z", 2));
    }

    async fn only_administrators_name_a_store(engine: Engine) {
        let house = house(engine).await;
        let ada = house.user("ada").await;
        let as_ada = house.as_party(ada).await;
        let store = house.secret_store("s").await;
        let secrets = &house.secrets;
        // Otherwise anybody would read whatever the credential opens.
        assert!(matches!(house.refused(&as_ada, elsewhere("x", &store, "app/x")).await, Error::Denied(_)));
        let denied = [
            secrets.check_store(&as_ada, store.id, &by()).await.unwrap_err(),
            secrets.secret_store(&as_ada, store.id).await.unwrap_err(),
            secrets.secret_stores(&as_ada, &RecordSearch::default()).await.unwrap_err(),
            secrets.authentications(&as_ada, &RecordSearch::default()).await.unwrap_err(),
            secrets.delete_store(&as_ada, (store.id, None), &by()).await.unwrap_err(),
            secrets.create_authentication(&as_ada, by_token("x", NOWHERE), &by()).await.unwrap_err(),
        ];
        assert!(denied.iter().all(|error| matches!(error, Error::Denied(_))), "{denied:?}");
        let other = house.other_tenant().await;
        assert!(matches!(secrets.check_store(&other, store.id, &by()).await.unwrap_err(), Error::NotFound(_)));
        assert_eq!(field(&house.refused(&other, elsewhere("x", &store, "app/x")).await), "store");
        for path in ["", "/a", "a/../b", "a//b", "a\\b", "a\nb"] {
            assert_eq!(field(&house.refused(&house.admin, elsewhere("x", &store, path)).await), "store_path");
        }
        let admin = &house.admin;
        let kept = NewSecret { settings: Settings { keep_versions: 3, ..Settings::default() }, ..elsewhere("x", &store, "x") };
        assert_eq!(field(&house.refused(admin, kept).await), "settings");
        let valued = NewSecret { content: Some(data("{}")), ..elsewhere("x", &store, "x") };
        assert_eq!(field(&house.refused(admin, valued).await), "value");
        let file = NewSecret { kind: Kind::File, ..elsewhere("x", &store, "x") };
        assert_eq!(field(&house.refused(admin, file).await), "kind");
    }

    async fn the_log_says_what_was_asked_and_what_became_of_it(engine: Engine) {
        let house = house(engine).await;
        let (secrets, admin) = (&house.secrets, &house.admin);
        let store = house.secret_store("s").await;
        let Secret { id, .. } = secrets.create(admin, elsewhere("x", &store, "app/x"), &by()).await.unwrap();
        let gone = |error: Error| matches!(error, Error::Elsewhere { status: None, late: false, .. });
        assert!(gone(secrets.read(admin, id, None, &by()).await.unwrap_err()));
        assert_eq!((house.told("secret.read", "success").await, house.told("secret.read", "refused").await), (1, 1));
        let write = secrets.write(admin, id, data(r#"{"a":"Canary"}"#), Some(1), &by()).await;
        assert!(gone(write.unwrap_err()));
        assert!(gone(secrets.patch(admin, id, &SecretText::new("{}"), None, &by()).await.unwrap_err()));
        assert!(gone(secrets.decide_on(admin, id, Fate::Destroy, &[1], &by()).await.unwrap_err()));
        assert!(gone(secrets.versions(admin, id, (None, 5)).await.unwrap_err()));
        assert_eq!(secrets.decide_on(admin, id, Fate::Delete, &[0, -1], &by()).await.unwrap(), 0);
        let entries = house.entries().await;
        let asked = entries.iter().filter(|entry| entry.action == "secret.ask_store").count();
        assert_eq!(asked, 3);
        for action in ["secret.write", "secret.patch", "secret.version.destroy"] {
            let told: Vec<_> = entries.iter().filter(|entry| entry.action == action).collect();
            assert_eq!((told.len(), told[0].outcome.as_str()), (1, "refused"), "{action}");
            assert_eq!(told[0].reason.as_deref(), Some("whether the store did it is not known"));
        }
        assert!(!format!("{entries:?}").contains("Canary"));
        assert_eq!(secrets.get(admin, id).await.unwrap().version, 1, "nothing is claimed");
        // What is the store's to keep is not set here, nor leased.
        let settings = Settings { lease_seconds: Some(5), ..Settings::default() };
        let patch = SecretPatch { settings: Some(settings), ..SecretPatch::default() };
        assert_eq!(field(&secrets.update(admin, id, patch, None, &by()).await.unwrap_err()), "settings");
        let leased = secrets.read_leased(admin, id, None, LeaseWish::For(5), &by()).await.unwrap_err();
        assert_eq!(field(&leased), "lease_seconds");
        let wrong = secrets.write(admin, id, Content::Password(SecretText::new("x")), None, &by()).await.unwrap_err();
        assert_eq!(field(&wrong), "kind");
        assert!(matches!(secrets.read(admin, id, Some(0), &by()).await.unwrap_err(), Error::NotFound(_)));
    }
}

//! Sealing for each tenant.

use crate::house::{House, house, migrations, options};
use keyreeve_crypto::seal::{MasterKey, MasterKeyring, SealError};
use keyreeve_identity::{Cause, Error, Identity, IdentityOptions, MasterSource, NewTenant, TenantSettings};
use keyreeve_testkit::{Engine, on_both_engines};
use std::error::Error as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

fn with_master(house: &House, ring: MasterKeyring) -> Identity {
    let (store, world) = (house.test.store.clone(), house.test.world.clone());
    Identity::new(store, world, ring, &options(64)).unwrap()
}

fn first(house: &House) -> MasterKey {
    MasterKey::from_text(&house.master_text).unwrap()
}

on_both_engines! {
    async fn what_is_sealed_opens_where_it_belongs_and_nowhere_else(engine: Engine) {
        let house = house(engine).await;
        let tenants = house.identity.tenants();
        let new = NewTenant { slug: "other".to_owned(), name: "Other".to_owned(), settings: TenantSettings::default() };
        let other = tenants.create(new, &Cause::system()).await.unwrap().id;
        let id = house.id();
        let sealed = tenants.seal(id, &[b"signing key", b"1"], b"private").await.unwrap();
        assert_eq!(tenants.open(id, &[b"signing key", b"1"], &sealed).await.unwrap().expose(), b"private");
        for (tenant, parts) in [(id, [&b"signing key"[..], b"2"]), (id, [b"signing key1", b""]), (other, [b"signing key", b"1"])] {
            let opened = tenants.open(tenant, &parts, &sealed).await;
            assert!(matches!(opened, Err(Error::Seal(SealError::Refused | SealError::OtherKey { .. }))), "{opened:?}");
        }
        let text = tenants.seal_text(id, &[b"request"], b"state").await.unwrap();
        assert_eq!(tenants.open_text(id, &[b"request"], &text).await.unwrap().expose(), b"state");
        for forged in ["", "AAAA", "not base64!", &text[..text.len() - 2]] {
            assert!(matches!(tenants.open_text(id, &[b"request"], forged).await, Err(Error::Seal(_))), "{forged}");
        }
        let nobody = tenants.seal(house.test.world.new_id(), &[], b"").await;
        assert!(matches!(nobody, Err(Error::NotFound("tenant"))));
        house.check().await;
    }

    async fn a_new_data_key_seals_and_the_old_one_still_opens(engine: Engine) {
        let house = house(engine).await;
        let tenants = house.identity.tenants();
        let before = tenants.seal(house.id(), &[b"x"], b"old").await.unwrap();
        house.advance(1);
        let (done, lines) = house.lines_of(tenants.rotate_data_key(house.id(), &Cause::operator())).await;
        done.unwrap();
        assert_eq!(lines, ["key.rotate success"]);
        let after = tenants.seal(house.id(), &[b"x"], b"new").await.unwrap();
        assert_ne!(before[1..9], after[1..9], "another key's name");
        assert_eq!(tenants.open(house.id(), &[b"x"], &before).await.unwrap().expose(), b"old");
        assert_eq!(tenants.open(house.id(), &[b"x"], &after).await.unwrap().expose(), b"new");
        house.check().await;
    }

    async fn a_wrong_master_key_is_named_as_such(engine: Engine) {
        let house = house(engine).await;
        house.identity.tenants().check_master_key().await.unwrap();
        let wrong = MasterKey::generate(&house.test.world);
        let identity = with_master(&house, wrong.into());
        let needed = first(&house).fingerprint();
        for answer in [
            identity.tenants().check_master_key().await,
            identity.tenants().seal(house.id(), &[], b"x").await.map(drop),
        ] {
            let error = answer.unwrap_err();
            assert!(matches!(error, Error::MasterKey { .. }), "{error:?}");
            assert_eq!(error.source().unwrap().to_string(), SealError::UnknownMasterKey { needed }.to_string());
        }
    }

    async fn the_master_key_is_exchanged_while_serving(engine: Engine) {
        let house = house(engine).await;
        let tenants = house.identity.tenants();
        let sealed = tenants.seal(house.id(), &[b"x"], b"kept").await.unwrap();
        house.advance(1);
        tenants.rotate_data_key(house.id(), &Cause::operator()).await.unwrap();
        let new = MasterKey::generate(&house.test.world);
        let new_text = new.to_text();
        let ring = MasterKeyring::new(new, vec![first(&house)]);
        let (done, lines) = house.lines_of(tenants.rewrap(ring, &Cause::operator())).await;
        assert_eq!(done.unwrap(), 2);
        assert_eq!(lines, ["key.rotate success", "key.rotate success"]);
        // This node goes on; a node that starts with the new key alone opens everything; the old key opens nothing.
        assert_eq!(tenants.open(house.id(), &[b"x"], &sealed).await.unwrap().expose(), b"kept");
        let restarted = with_master(&house, MasterKey::from_text(new_text.expose()).unwrap().into());
        restarted.tenants().check_master_key().await.unwrap();
        assert_eq!(restarted.tenants().open(house.id(), &[b"x"], &sealed).await.unwrap().expose(), b"kept");
        let old = with_master(&house, first(&house).into());
        assert!(matches!(old.tenants().check_master_key().await, Err(Error::MasterKey { .. })));
        let ring = MasterKeyring::new(MasterKey::from_text(new_text.expose()).unwrap(), vec![]);
        assert_eq!(tenants.rewrap(ring, &Cause::operator()).await.unwrap(), 0, "nothing is left to do");
        house.check().await;
    }

    async fn another_node_reads_the_master_key_anew(engine: Engine) {
        let house = house(engine).await;
        let (first_text, new) = (house.master_text.clone(), MasterKey::generate(&house.test.world));
        let new_text = new.to_text();
        // What the file that both nodes share holds.
        let file = Arc::new(Mutex::new(vec![first_text.clone()]));
        let (shared, reads) = (Arc::clone(&file), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&reads);
        let read = move || {
            counted.fetch_add(1, Ordering::Relaxed);
            let mut keys = shared.lock().unwrap().clone().into_iter().map(|text| MasterKey::from_text(&text).unwrap());
            let current = keys.next().unwrap();
            std::future::ready(Some(MasterKeyring::new(current, keys.collect())))
        };
        let store = match engine {
            Engine::Sqlite => house.test.store.clone(),
            Engine::Postgres => house.test.open_again(&migrations()).await.unwrap(),
        };
        let options = IdentityOptions { master_source: MasterSource::new(read), ..options(64) };
        let other = Identity::new(store, house.test.world.clone(), first(&house).into(), &options).unwrap();
        let sealed = house.identity.tenants().seal(house.id(), &[b"x"], b"kept").await.unwrap();
        let ring = MasterKeyring::new(new, vec![first(&house)]);
        house.identity.tenants().rewrap(ring, &Cause::operator()).await.unwrap();
        // It is not there yet: refused, and not asked for again and again.
        for _ in 0..5 {
            assert!(matches!(other.tenants().open(house.id(), &[b"x"], &sealed).await, Err(Error::MasterKey { .. })));
        }
        assert_eq!(reads.load(Ordering::Relaxed), 1);
        file.lock().unwrap().insert(0, new_text.expose().to_owned());
        house.advance(2);
        assert_eq!(other.tenants().open(house.id(), &[b"x"], &sealed).await.unwrap().expose(), b"kept");
        other.tenants().rotate_data_key(house.id(), &Cause::operator()).await.unwrap();
        let restarted = with_master(&house, MasterKey::from_text(new_text.expose()).unwrap().into());
        restarted.tenants().check_master_key().await.unwrap();
    }
}

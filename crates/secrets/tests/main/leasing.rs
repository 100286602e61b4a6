//! Readings and certificates for a time.

use crate::house::{by, house, password};
use keyreeve_audit::Actor;
use keyreeve_base::Origin;
use keyreeve_identity::Cause;
use keyreeve_pki::NewKey;
use keyreeve_pki::ssh::SshKeyPair;
use keyreeve_secrets::{Content, Error, LeaseWish, NewSecret, Party, Recipe, Rules, Settings, Wanted};
use keyreeve_testkit::{Engine, on_both_engines};
use std::time::Duration;

fn cause(party: Party) -> Cause {
    let Party::User(id) = party else { panic!("{party} is no user") };
    Cause::new(Actor::User(id), Origin::local())
}

on_both_engines! {
    async fn a_leased_reading_ends(engine: Engine) {
        let house = house(engine).await;
        let (ada, bob) = (house.user("ada").await, house.user("bob").await);
        let (as_ada, as_bob) = (house.as_party(ada).await, house.as_party(bob).await);
        let settings = Settings { lease_seconds: Some(60), lease_max_seconds: Some(100), ..Settings::default() };
        let new = NewSecret { settings, ..NewSecret::of("s", password("one")) };
        let id = house.secrets.create(&as_ada, new, &cause(ada)).await.unwrap().id;
        house.share(id, "READ", bob).await;
        let read = async |wish| house.secrets.read_leased(&as_bob, id, None, wish, &cause(bob)).await;
        let (_, lease) = read(LeaseWish::AsSet).await.unwrap();
        let lease = lease.unwrap();
        assert_eq!(lease.expires_at, house.test.world.now().plus(Duration::from_secs(60)));
        assert!(matches!(read(LeaseWish::For(101)).await, Err(Error::Invalid { field: "lease_seconds", .. })));
        // Under the lease it is the version of the lease.
        house.secrets.write(&as_ada, id, password("two"), None, &cause(ada)).await.unwrap();
        let (opened, _) = read(LeaseWish::Under(lease.id)).await.unwrap();
        assert_eq!((opened.version.number, opened.value.expose()), (1, &b"one"[..]));
        let foreign = house.secrets.read_leased(&as_ada, id, None, LeaseWish::Under(lease.id), &cause(ada)).await;
        assert!(matches!(foreign, Err(Error::NotFound("lease"))), "another's lease is none");
        house.test.clock.advance(Duration::from_secs(59));
        let renewed = house.secrets.renew_lease(&as_bob, (lease.id, 60), &cause(bob)).await.unwrap();
        assert_eq!(renewed.expires_at, lease.max_at, "no longer than it may be");
        assert!(matches!(house.secrets.renew_lease(&as_ada, (lease.id, 60), &cause(ada)).await, Err(Error::NotFound("lease"))));
        house.test.clock.advance(Duration::from_secs(41));
        assert!(matches!(read(LeaseWish::Under(lease.id)).await, Err(Error::NotFound("lease"))), "it is over");
        assert!(matches!(house.secrets.renew_lease(&as_bob, (lease.id, 60), &cause(bob)).await, Err(Error::NotFound("lease"))));
        // The owner takes one away.
        let lease = read(LeaseWish::AsSet).await.unwrap().1.unwrap();
        assert_eq!(house.secrets.leases(&as_ada, id, (None, 10), &cause(ada)).await.unwrap().len(), 2);
        let eve = house.user("eve").await;
        let as_eve = house.as_party(eve).await;
        assert!(matches!(house.secrets.revoke_lease(&as_eve, lease.id, &cause(eve)).await, Err(Error::NotFound("lease"))));
        assert!(house.secrets.revoke_lease(&as_ada, lease.id, &cause(ada)).await.unwrap().revoked_at.is_some());
        assert!(matches!(read(LeaseWish::Under(lease.id)).await, Err(Error::NotFound("lease"))));
        assert_eq!(house.secrets.prune().await.unwrap().0, 0);
        house.test.clock.advance(Duration::from_secs(8 * 86_400));
        assert_eq!(house.secrets.prune().await.unwrap(), (2, false));
    }

    async fn a_certificate_ends_with_its_lease(engine: Engine) {
        let house = house(engine).await;
        let admin = &house.admin;
        let recipe = Recipe::SshCa { hosts: false, key_type: "ed25519".into() };
        let ca = house.secrets.create(admin, NewSecret::of("ca", Content::Made(recipe)), &by()).await.unwrap();
        let rules = Rules {
            open_to: vec![], names: vec!["deploy".into()], max_seconds: 600, extensions: vec![], force_command: None,
            source_addresses: vec![], client: false,
            jwt: None,
        };
        house.secrets.create_policy(admin, ("p", ca.id, rules), &by()).await.unwrap();
        let about = SshKeyPair::generate(NewKey::Ed25519, "").unwrap().public().to_string();
        let wanted = Wanted { about, names: vec![], seconds: None, leased: true };
        let out = house.secrets.issue(admin, "p", &wanted, &by()).await.unwrap();
        let lease = out.lease.unwrap();
        assert_eq!((lease.certificate, lease.expires_at), (Some(out.issued.id), out.issued.not_after));
        assert!(matches!(house.secrets.renew_lease(admin, (lease.id, 60), &by()).await, Err(Error::Invalid { field: "lease", .. })));
        house.secrets.revoke_lease(admin, lease.id, &by()).await.unwrap();
        let issued = house.secrets.certificate(admin, out.issued.id, &by()).await.unwrap();
        assert!(issued.revoked_at.is_some());
        let serial: u64 = out.issued.serial.parse().unwrap();
        let list = house.secrets.published(house.tenant, ca.id).await.unwrap();
        assert!(list.revoked.windows(8).any(|bytes| bytes == serial.to_be_bytes()));
    }
}

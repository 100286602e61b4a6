//! Certificates by policies, and what is revoked.

use crate::house::{House, by, house};
use keyreeve_audit::Actor;
use keyreeve_base::Origin;
use keyreeve_identity::{Authority, Cause};
use keyreeve_pki::NewKey;
use keyreeve_pki::ssh::{CertificateKind, SshCertificate, SshKeyPair, SshPublicKey};
use keyreeve_pki::x509::Certificate;
use keyreeve_secrets::{
    AuthorityRecipe, CertificateRecipe, Content, Error, HandedOut, Kind, NewSecret, Party, Recipe, Rules,
    Secret, Wanted,
};
use keyreeve_testkit::{Engine, on_both_engines};
use std::time::Duration;

fn cause(party: Party) -> Cause {
    let Party::User(id) = party else { panic!("{party} is no user") };
    Cause::new(Actor::User(id), Origin::local())
}

fn rules(names: &[&str], open_to: Vec<Party>) -> Rules {
    Rules {
        open_to,
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        max_seconds: 3_600,
        extensions: Vec::new(),
        force_command: None,
        source_addresses: Vec::new(),
        client: false,
        jwt: None,
    }
}

async fn authority(house: &House, recipe: Recipe) -> Secret {
    house.secrets.create(&house.admin, NewSecret::of("ca", Content::Made(recipe)), &by()).await.unwrap()
}

fn wanted(names: &[&str]) -> Wanted {
    let about = SshKeyPair::generate(NewKey::Ed25519, "laptop").unwrap().public().to_string();
    Wanted {
        about,
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        seconds: None,
        leased: false,
    }
}

async fn issue(
    house: &House,
    authority: &Authority,
    party: Party,
    names: &[&str],
) -> Result<HandedOut, Error> {
    house.secrets.issue(authority, "users", &wanted(names), &cause(party)).await
}

on_both_engines! {
    async fn ac_54_a_policy_signs_exactly_what_it_names(engine: Engine) {
        let house = house(engine).await;
        let (ada, star, eve) = (house.user("ada").await, house.user("a+b").await, house.user("eve").await);
        let (as_ada, as_star, as_eve) = (house.as_party(ada).await, house.as_party(star).await, house.as_party(eve).await);
        let ca = authority(&house, Recipe::SshCa { hosts: false, key_type: "ed25519".into() }).await;
        for bad in [&["*"][..], &["a*"], &["{{email}}"], &[]] {
            let made = house.secrets.create_policy(&house.admin, ("users", ca.id, rules(bad, vec![])), &by()).await;
            assert!(matches!(made, Err(Error::Invalid { field: "rules.names", .. })), "{bad:?}");
        }
        let denied = house.secrets.create_policy(&as_ada, ("users", ca.id, rules(&["x"], vec![])), &by()).await;
        assert!(matches!(denied, Err(Error::Denied(_))));
        let open = Rules { extensions: vec!["permit-pty".into()], ..rules(&["{{username}}", "deploy"], vec![ada, star]) };
        house.secrets.create_policy(&house.admin, ("users", ca.id, open), &by()).await.unwrap();
        assert!(matches!(issue(&house, &as_eve, eve, &[]).await, Err(Error::NotFound("signing policy"))));
        let out = issue(&house, &as_ada, ada, &[]).await.unwrap();
        assert_eq!(out.issued.names, ["ada", "deploy"]);
        let certificate = SshCertificate::parse(&out.certificate).unwrap();
        let key = SshPublicKey::parse(ca.facts.public_key.as_deref().unwrap()).unwrap();
        let now = house.test.world.now();
        certificate.check(now, CertificateKind::User, "ada", &key).unwrap();
        assert!(certificate.check(now, CertificateKind::User, "root", &key).is_err());
        assert!(certificate.check(now.plus(Duration::from_secs(3_600)), CertificateKind::User, "ada", &key).is_err());
        for names in [&["root"][..], &["ada", "root"], &["Ada"], &["*"], &["ada,root"], &["{{username}}"]] {
            let refused = issue(&house, &as_ada, ada, names).await;
            assert!(matches!(refused, Err(Error::Denied(_))), "{names:?}: {refused:?}");
        }
        // A name that is no plain one does not stand for the template.
        assert_eq!(issue(&house, &as_star, star, &[]).await.unwrap().issued.names, ["deploy"]);
        assert!(matches!(issue(&house, &as_star, star, &["a+b"]).await, Err(Error::Denied(_))));
        let long = Wanted { seconds: Some(3_601), ..wanted(&[]) };
        assert!(matches!(house.secrets.issue(&as_ada, "users", &long, &cause(ada)).await, Err(Error::Invalid { field: "seconds", .. })));
        assert_eq!(house.told("certificate.issue", "success").await, 2);
        assert_eq!(house.told("certificate.issue", "refused").await, 7);
    }

    async fn what_is_revoked_stands_in_the_list(engine: Engine) {
        let house = house(engine).await;
        let (ada, eve) = (house.user("ada").await, house.user("eve").await);
        let (as_ada, as_eve) = (house.as_party(ada).await, house.as_party(eve).await);
        let ca = authority(&house, Recipe::SshCa { hosts: false, key_type: "ed25519".into() }).await;
        house.secrets.create_policy(&house.admin, ("users", ca.id, rules(&["{{username}}"], vec![ada, eve])), &by()).await.unwrap();
        let published = async || house.secrets.published(house.tenant, ca.id).await.unwrap();
        let empty = published().await;
        assert_eq!(empty.keys.trim(), ca.facts.public_key.as_deref().unwrap());
        let out = issue(&house, &as_ada, ada, &[]).await.unwrap();
        let id = out.issued.id;
        assert!(matches!(house.secrets.certificate(&as_eve, id, &cause(eve)).await, Err(Error::NotFound(_))));
        let foreign = house.secrets.revoke_certificate(&as_eve, (id, "unspecified"), &cause(eve)).await;
        assert!(matches!(foreign, Err(Error::NotFound("certificate"))));
        let wrong = house.secrets.revoke_certificate(&as_ada, (id, "because"), &cause(ada)).await;
        assert!(matches!(wrong, Err(Error::Invalid { field: "reason", .. })));
        assert!(matches!(house.secrets.delete(&house.admin, ca.id, None, &by()).await, Err(Error::InUse(_))));
        let revoked = house.secrets.revoke_certificate(&as_ada, (id, "keyCompromise"), &cause(ada)).await.unwrap();
        assert!(revoked.revoked_at.is_some());
        let after = published().await;
        let serial: u64 = out.issued.serial.parse().unwrap();
        assert!(after.revoked.windows(8).any(|bytes| bytes == serial.to_be_bytes()), "it is in the list at once");
        assert!(!empty.revoked.windows(8).any(|bytes| bytes == serial.to_be_bytes()));
        let all = house.secrets.certificates(&house.admin, (None, 10), &by()).await.unwrap();
        assert_eq!(all.len(), 1);
        assert!(house.secrets.certificates(&as_eve, (None, 10), &cause(eve)).await.unwrap().is_empty());
        // A rotated authority still revokes what it issued before.
        house.secrets.rotate(&house.admin, ca.id, &by()).await.unwrap();
        let after = published().await;
        assert_eq!(after.keys.lines().count(), 2);
        assert!(after.revoked.windows(8).any(|bytes| bytes == serial.to_be_bytes()));
        house.secrets.delete(&house.admin, ca.id, None, &by()).await.unwrap();
        assert!(matches!(house.secrets.published(house.tenant, ca.id).await, Err(Error::NotFound("authority"))));
    }

    async fn certificates_come_from_the_tenants_own_authority(engine: Engine) {
        let house = house(engine).await;
        let ada = house.user("ada").await;
        let as_ada = house.as_party(ada).await;
        let root = AuthorityRecipe { key_type: "ecdsa-p256".into(), common_name: "Root".into(), organization: None, seconds: 864_000 };
        let ca = authority(&house, Recipe::X509Ca(root)).await;
        let open = Rules { max_seconds: 86_400, ..rules(&["*.example.org", "example.org"], vec![ada]) };
        house.secrets.create_policy(&house.admin, ("tls", ca.id, open), &by()).await.unwrap();
        let recipe = |name: &str| Recipe::Certificate(CertificateRecipe {
            key_type: "ecdsa-p256".into(), common_name: Some(name.into()), names: vec![name.into()], seconds: 86_400, client: false,
            policy: Some("tls".into()),
        });
        let made = async |name: &str| house.secrets.create(&as_ada, NewSecret::of("tls", Content::Made(recipe(name))), &cause(ada)).await;
        let secret = made("www.example.org").await.unwrap();
        let chain = Certificate::from_pem(secret.facts.certificate.as_deref().unwrap()).unwrap();
        assert_eq!(chain.len(), 2);
        keyreeve_pki::x509::check_chain(&chain, house.test.world.now()).unwrap();
        for name in ["example.com", "a.b.example.org", "*.example.org", "example.org.evil.tld", "evilexample.org"] {
            assert!(matches!(made(name).await, Err(Error::Denied(_))), "{name}");
        }
        // It is renewed by whoever may rotate it, and revoked by its identifier.
        house.secrets.rotate(&as_ada, secret.id, &cause(ada)).await.unwrap();
        let issued = house.secrets.certificates(&as_ada, (None, 10), &cause(ada)).await.unwrap();
        assert_eq!(issued.iter().map(|(_, issued)| issued.kind).collect::<Vec<_>>(), [Kind::X509Ca; 2]);
        house.secrets.revoke_certificate(&as_ada, (issued[1].1.id, "superseded"), &cause(ada)).await.unwrap();
        let list = house.secrets.published(house.tenant, ca.id).await.unwrap();
        let serial: Vec<u8> = (0..issued[1].1.serial.len()).step_by(2).map(|at| u8::from_str_radix(&issued[1].1.serial[at..at + 2], 16).unwrap()).collect();
        assert!(list.revoked.windows(serial.len()).any(|bytes| bytes == serial));
        // Soon over: told once for each threshold.
        assert_eq!(house.secrets.announce_expiring().await.unwrap().0, 2, "the authority's ten days and the certificate's one");
        assert_eq!(house.secrets.announce_expiring().await.unwrap().0, 0);
        house.test.clock.advance(Duration::from_secs(86_401));
        assert_eq!(house.secrets.announce_expiring().await.unwrap().0, 1, "it is over");
        assert_eq!(house.told("secret.expiring", "success").await, 3);
    }
}

//! Kinds of secrets: what is made, what is taken over, and how it leaves.

use crate::house::{House, by, house};
use keyreeve_crypto::{Secret as SecretText, SecretBytes};
use keyreeve_pki::ssh::{SshKeyPair, SshPublicKey};
use keyreeve_pki::x509::Certificate;
use keyreeve_pki::{KeyPair, NewKey};
use keyreeve_secrets::{
    AuthorityRecipe, CertificateRecipe, Content, Error, Kind, NewSecret, PasswordRecipe, Recipe, Secret,
};
use keyreeve_testkit::{Engine, on_both_engines};

async fn made(house: &House, recipe: Recipe) -> Result<Secret, Error> {
    house.secrets.create(&house.admin, NewSecret::of("x", Content::Made(recipe)), &by()).await
}

fn ssh(key_type: &str) -> Recipe {
    Recipe::SshKey { key_type: key_type.to_owned(), comment: "ada@example.org".to_owned() }
}

fn tls(key_type: &str) -> CertificateRecipe {
    CertificateRecipe {
        key_type: key_type.to_owned(),
        common_name: Some("example.org".to_owned()),
        names: vec!["example.org".to_owned(), "192.0.2.1".to_owned(), "spiffe://a/b".to_owned()],
        seconds: 86_400,
        client: true,
        policy: None,
    }
}

on_both_engines! {
    async fn ssh_pairs_are_made_taken_over_and_handed_out(engine: Engine) {
        let house = house(engine).await;
        for key_type in ["ed25519", "ecdsa-p256", "ecdsa-p384", "rsa-3072", "rsa-4096"] {
            let secret = made(&house, ssh(key_type)).await.unwrap();
            assert_eq!((secret.kind, secret.facts.key_type.as_deref()), (Kind::SshKey, Some(key_type)));
            let public = SshPublicKey::parse(secret.facts.public_key.as_deref().unwrap()).unwrap();
            let opened = house.secrets.read(&house.admin, secret.id, None, &by()).await.unwrap();
            for passphrase in [None, Some("correct horse")] {
                let text = house.secrets.openssh(&opened, passphrase.map(SecretText::new)).await.unwrap();
                assert!(text.expose().starts_with("-----BEGIN OPENSSH PRIVATE KEY-----"));
                let pair = SshKeyPair::import(&text, passphrase.map(SecretText::new).as_ref()).unwrap();
                assert!(pair.public().same_key(&public));
                assert_eq!(pair.public().comment(), "ada@example.org");
                // And back again.
                let content = Content::SshKey { private: text, passphrase: passphrase.map(SecretText::new), comment: None };
                let copy = house.make(&house.admin, "copy", content).await;
                assert_eq!(copy.facts.fingerprint, secret.facts.fingerprint);
                assert_eq!(copy.facts.comment.as_deref(), Some("ada@example.org"));
            }
        }
        let locked = SshKeyPair::generate(NewKey::Ed25519, "").unwrap();
        let locked = locked.to_openssh(&house.test.world, Some(&SecretText::new("p"))).unwrap();
        for (private, passphrase) in [(locked.duplicate(), None), (locked, Some(SecretText::new("q"))), (SecretText::new("x"), None)] {
            let new = NewSecret::of("x", Content::SshKey { private, passphrase, comment: None });
            let refused = house.secrets.create(&house.admin, new, &by()).await;
            assert!(matches!(refused, Err(Error::Invalid { field: "private_key", .. })), "{refused:?}");
        }
        let refused = made(&house, ssh("dsa")).await;
        assert!(matches!(refused, Err(Error::Invalid { field: "key_type", .. })));
    }

    async fn rotation_makes_another_of_the_same(engine: Engine) {
        let house = house(engine).await;
        for recipe in [ssh("ed25519"), Recipe::Password(PasswordRecipe::default()), Recipe::Certificate(tls("ecdsa-p256"))] {
            let secret = made(&house, recipe.clone()).await.unwrap();
            assert_eq!(secret.facts.recipe, Some(recipe));
            house.secrets.rotate(&house.admin, secret.id, &by()).await.unwrap();
            let after = house.secrets.get(&house.admin, secret.id).await.unwrap();
            assert_eq!((after.current, after.facts.recipe.clone()), (2, secret.facts.recipe.clone()));
            assert!(secret.kind == Kind::Password || after.facts.fingerprint != secret.facts.fingerprint);
            let values = [house.secrets.read(&house.admin, secret.id, Some(1), &by()).await.unwrap(), house.secrets.read(&house.admin, secret.id, None, &by()).await.unwrap()];
            assert_ne!(values[0].value.expose(), values[1].value.expose());
        }
    }

    async fn certificates_are_checked_against_their_keys(engine: Engine) {
        let house = house(engine).await;
        let secret = made(&house, Recipe::Certificate(tls("ecdsa-p256"))).await.unwrap();
        assert_eq!(secret.expires_at, secret.facts.not_after);
        assert!(secret.facts.names.contains(&"192.0.2.1".to_owned()));
        let chain = secret.facts.certificate.clone().unwrap();
        assert_eq!(Certificate::from_pem(&chain).unwrap().len(), 1);
        let opened = house.secrets.read(&house.admin, secret.id, None, &by()).await.unwrap();
        let private = house.secrets.private_pem(&opened).unwrap();
        let copy = Content::Certificate { private, chain: chain.clone() };
        assert_eq!(house.make(&house.admin, "copy", copy).await.facts.serial, secret.facts.serial);
        let other = KeyPair::generate(NewKey::EcdsaP256).unwrap().to_pem().unwrap();
        let new = NewSecret::of("x", Content::Certificate { private: other, chain });
        let refused = house.secrets.create(&house.admin, new, &by()).await;
        assert!(matches!(refused, Err(Error::Invalid { field: "certificate", .. })), "{refused:?}");
        let long = CertificateRecipe { seconds: 1 << 40, ..tls("ed25519") };
        assert!(matches!(made(&house, Recipe::Certificate(long)).await, Err(Error::Invalid { field: "seconds", .. })));
    }

    async fn files_are_kept_as_they_are(engine: Engine) {
        let house = house(engine).await;
        let bytes: Vec<u8> = (0..60_000_u32).map(|n| (n % 251) as u8).collect();
        let file = |bytes: &[u8]| Content::File {
            bytes: SecretBytes::from(bytes.to_vec()),
            media_type: Some("application/octet-stream".to_owned()),
            file_name: Some("key store.jks".to_owned()),
        };
        let secret = house.make(&house.admin, "f", file(&bytes)).await;
        assert_eq!((secret.facts.bytes, secret.facts.file_name.as_deref()), (Some(60_000), Some("key store.jks")));
        let opened = house.secrets.read(&house.admin, secret.id, None, &by()).await.unwrap();
        assert_eq!(opened.value.expose(), bytes);
        let most = house.make(&house.admin, "f", file(&[7; 65_536])).await;
        assert_eq!(house.secrets.read(&house.admin, most.id, None, &by()).await.unwrap().value.expose(), [7; 65_536], "as long as may be");
        let long = house.secrets.create(&house.admin, NewSecret::of("f", file(&[0; 65_537])), &by()).await;
        assert!(matches!(long, Err(Error::Invalid { field: "value", .. })));
    }

    async fn the_keys_of_authorities_never_leave(engine: Engine) {
        let house = house(engine).await;
        let ada = house.user("ada").await;
        let as_ada = house.as_party(ada).await;
        let x509 = AuthorityRecipe { key_type: "ecdsa-p256".into(), common_name: "CA".into(), organization: None, seconds: 86_400 };
        for recipe in [
            Recipe::SshCa { hosts: false, key_type: "ed25519".into() },
            Recipe::SshCa { hosts: true, key_type: "ed25519".into() },
            Recipe::X509Ca(x509),
        ] {
            let new = NewSecret::of("ca", Content::Made(recipe.clone()));
            assert!(matches!(house.secrets.create(&as_ada, new, &by()).await, Err(Error::Denied(_))));
            let secret = made(&house, recipe).await.unwrap();
            let opened = house.secrets.read(&house.admin, secret.id, None, &by()).await;
            assert!(matches!(opened, Err(Error::Denied(_))), "{opened:?}");
        }
    }
}

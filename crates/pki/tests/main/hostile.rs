//! Bytes that nobody meant well: every reader ends, and none panics.

use crate::foreign::world;
use keyreeve_crypto::Secret;
use keyreeve_pki::key::pem;
use keyreeve_pki::ssh::{SshCertificate, SshKeyPair, SshPublicKey};
use keyreeve_pki::x509::{
    AltName, Certificate, ExtendedKeyUsage, Profile, Request, Subject, check_chain, self_signed,
};
use keyreeve_pki::{KeyPair, NewKey, PublicKey};
use proptest::prelude::*;
use std::sync::LazyLock;
use std::time::Duration;

/// A good file, to be spoilt.
static GOOD: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let text = SshKeyPair::generate(NewKey::Ed25519, "comment").unwrap().to_openssh(&world(), None).unwrap();
    pem::parse(text.expose()).unwrap().remove(0).bytes.expose().to_vec()
});

/// A good certificate, to be spoilt.
static CERTIFICATE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let (key, now) = (KeyPair::generate(NewKey::Ed25519).unwrap(), world().now());
    let names = vec![AltName::Dns("a.example.org".to_owned()), AltName::Uri("urn:a:b".to_owned())];
    let lifetime = (now, now.plus(Duration::from_secs(3600)));
    let mut profile = Profile::tls(names, ExtendedKeyUsage::ALL.to_vec(), lifetime).of(Subject::named("x"));
    profile.crl_urls = vec!["http://a.test/".to_owned()];
    self_signed(&world(), &key, &profile).unwrap().der().to_vec()
});

proptest! {
    #[test]
    fn random_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(KeyPair::from_pkcs8(&bytes).is_err());
        prop_assert!(PublicKey::from_spki(&bytes).is_err());
        prop_assert!(SshPublicKey::from_blob(&bytes).is_err());
        prop_assert!(SshCertificate::from_bytes(&bytes).is_err());
        for label in ["OPENSSH PRIVATE KEY", "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"] {
            prop_assert!(SshKeyPair::import(&pem::encode(label, &bytes), None).is_err());
        }
    }

    #[test]
    fn random_text_is_refused(text in "(ssh-rsa |ssh-ed25519-cert-v01@openssh.com )?\\PC{0,200}") {
        prop_assert!(SshPublicKey::parse(&text).is_err());
        prop_assert!(SshCertificate::parse(&text).is_err());
        prop_assert!(SshKeyPair::import(&Secret::new(&text), None).is_err());
    }

    #[test]
    fn a_spoilt_private_key_is_the_same_or_refused(at in 0_usize..400, to: u8, length in 0_usize..400) {
        let good = SshKeyPair::import(&pem::encode("OPENSSH PRIVATE KEY", &GOOD), None).unwrap();
        let mut bytes = GOOD.clone();
        bytes.truncate(length.max(1));
        let at = at % bytes.len();
        bytes[at] = to;
        if let Ok(read) = SshKeyPair::import(&pem::encode("OPENSSH PRIVATE KEY", &bytes), None) {
            prop_assert!(read.public().same_key(&good.public()));
        }
    }
}

proptest! {
    #[test]
    fn random_bytes_are_no_certificates(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Certificate::from_der(&bytes).is_err());
        prop_assert!(Request::from_der(&bytes).is_err());
        let text = pem::encode("CERTIFICATE", &bytes);
        prop_assert!(Certificate::from_pem(text.expose()).is_err());
    }

    #[test]
    fn a_spoilt_certificate_is_read_or_refused(at in 0_usize..2000, to: u8, length in 1_usize..2000) {
        let mut bytes = CERTIFICATE.clone();
        bytes.truncate(length);
        let at = at % bytes.len();
        bytes[at] = to;
        if let Ok(read) = Certificate::from_der(&bytes) {
            let _ = check_chain(&[read], world().now());
        }
    }
}

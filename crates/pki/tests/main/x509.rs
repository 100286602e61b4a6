//! Certificates, authorities and lists, with OpenSSL and webpki as the judges.

use crate::foreign::{Bench, world};
use keyreeve_base::Timestamp;
use keyreeve_crypto::Secret;
use keyreeve_pki::key::pem;
use keyreeve_pki::ssh::SshKeyPair;
use keyreeve_pki::x509::{
    AltName, Authority, Certificate, ExtendedKeyUsage, KeyUsage, Profile, Reason, Request, Requested,
    RevocationList, Revoked, Role, Serial, Subject, X509Error, check_chain, import, self_signed,
};
use keyreeve_pki::{KeyPair, NewKey};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, UnixTime};
use std::sync::Arc;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

fn days(count: u32) -> (Timestamp, Timestamp) {
    let now = world().now();
    (now.minus(Duration::from_secs(60)), now.plus(DAY * count))
}

/// A root, an intermediate below it, and the key of an end.
struct House {
    root_key: KeyPair,
    root: Certificate,
    key: KeyPair,
    chain: Vec<Certificate>,
    end: KeyPair,
}

impl House {
    fn new(kind: NewKey) -> Self {
        let key = |kind| KeyPair::generate(kind).unwrap();
        let (root_key, middle_key, end) = (key(kind), key(kind), key(kind));
        let subject = Subject {
            country: Some("CH".to_owned()),
            organization: Some("Häuser AG".to_owned()),
            ..Subject::named("Root")
        };
        let root = self_signed(&world(), &root_key, &Profile::authority(subject, Some(1), days(30))).unwrap();
        let authority = Authority::new(&root_key, vec![root.clone()], world().now()).unwrap();
        let mut profile = Profile::authority(Subject::named("Middle"), Some(0), days(20));
        profile.crl_urls = vec!["http://ca.test/root.crl".to_owned()];
        let middle = authority.issue(&world(), middle_key.public(), &profile).unwrap();
        Self { root_key, chain: vec![middle, root.clone()], root, key: middle_key, end }
    }

    fn authority(&self) -> Authority<'_> {
        Authority::new(&self.key, self.chain.clone(), world().now()).unwrap()
    }

    fn server(&self) -> Certificate {
        self.authority().issue(&world(), self.end.public(), &server()).unwrap()
    }

    fn crl(&self, entries: Vec<Revoked>) -> Vec<u8> {
        let (this_update, next_update) = days(7);
        let list = RevocationList { number: 7, this_update, next_update, entries };
        self.authority().revocation_list(&list).unwrap()
    }

    fn root_crl(&self) -> Vec<u8> {
        let authority = Authority::new(&self.root_key, vec![self.root.clone()], world().now()).unwrap();
        let (this_update, next_update) = days(7);
        let list = RevocationList { number: 1, this_update, next_update, entries: Vec::new() };
        authority.revocation_list(&list).unwrap()
    }

    /// Asks webpki, as rustls does, whether `certificate` is good for `host` under the root.
    fn webpki(&self, certificate: &Certificate, host: &str, crls: &[&[u8]]) -> Result<(), rustls::Error> {
        let der = |certificate: &Certificate| CertificateDer::from(certificate.der().to_vec());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(der(&self.root)).unwrap();
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider()))
                .with_crls(crls.iter().map(|crl| CertificateRevocationListDer::from(crl.to_vec())))
                .build()
                .unwrap();
        let now =
            UnixTime::since_unix_epoch(Duration::from_secs(world().now().seconds().try_into().unwrap()));
        let above: Vec<_> = self.chain.iter().take(1).map(der).collect();
        let host = ServerName::try_from(host.to_owned()).unwrap();
        verifier.verify_server_cert(&der(certificate), &above, &host, &[], now).map(|_| ())
    }

    /// Writes what `openssl verify` wants.
    fn write(&self, bench: &Bench, certificate: &Certificate) {
        bench.write("root.pem", self.root.to_pem());
        bench.write("middle.pem", self.chain[0].to_pem());
        bench.write("end.pem", certificate.to_pem());
    }
}

fn server() -> Profile {
    let names = ["www.example.org", "*.api.example.org"].map(|name| AltName::Dns(name.to_owned()));
    let mut names = names.to_vec();
    names.extend([AltName::Ip("192.0.2.7".parse().unwrap()), AltName::Ip("2001:db8::7".parse().unwrap())]);
    Profile {
        crl_urls: vec!["http://ca.test/middle.crl".to_owned()],
        ..Profile::tls(names, vec![ExtendedKeyUsage::ServerAuth], days(10))
    }
}

fn bytes(certificate: &Certificate) -> String {
    certificate.facts().sha256.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

#[test]
fn openssl_and_webpki_take_chains_of_every_kind_of_key() {
    for kind in [NewKey::Ed25519, NewKey::EcdsaP256, NewKey::EcdsaP384, NewKey::Rsa3072] {
        let (bench, house) = (Bench::new(), House::new(kind));
        let certificate = house.server();
        house.write(&bench, &certificate);
        let verify = ["verify", "-x509_strict", "-CAfile", "root.pem", "-untrusted", "middle.pem"];
        let told = bench.ok("openssl", &[&verify[..], &["-purpose", "sslserver", "end.pem"]].concat());
        assert_eq!(told, "end.pem: OK\n", "{kind}");
        bench.ok("openssl", &[&verify[..], &["-verify_hostname", "a.api.example.org", "end.pem"]].concat());
        bench.fails("openssl", &[&verify[..], &["-verify_hostname", "example.org", "end.pem"]].concat());
        bench.fails("openssl", &[&verify[..], &["-purpose", "sslclient", "end.pem"]].concat());
        house.webpki(&certificate, "www.example.org", &[]).unwrap();
        house.webpki(&certificate, "192.0.2.7", &[]).unwrap();
        assert!(house.webpki(&certificate, "example.org", &[]).is_err());
        bench.write("key.pem", house.end.to_pem().unwrap().expose());
        let own = bench.ok("openssl", &["pkey", "-in", "key.pem", "-pubout"]);
        assert_eq!(own, house.end.public().to_pem(), "{kind}");
        assert_eq!(bench.ok("openssl", &["x509", "-in", "end.pem", "-noout", "-pubkey"]), own);
    }
}

#[test]
fn what_is_told_of_a_certificate_is_what_openssl_tells() {
    let (bench, house) = (Bench::new(), House::new(NewKey::EcdsaP256));
    let profile = server().of(Subject { unit: Some("Büro".to_owned()), ..Subject::named("www") });
    let certificate = house.authority().issue(&world(), house.end.public(), &profile).unwrap();
    house.write(&bench, &certificate);
    let facts = certificate.facts();
    let told = bench
        .ok("openssl", &["x509", "-in", "end.pem", "-noout", "-fingerprint", "-sha256", "-serial", "-text"]);
    let expected = [
        bytes(&certificate),
        format!("serial={}", facts.serial.to_string().to_uppercase()),
        "DNS:www.example.org, DNS:*.api.example.org, IP Address:192.0.2.7, IP Address:2001:DB8:0:0:0:0:0:7"
            .to_owned(),
        "CA:FALSE".to_owned(),
        "URI:http://ca.test/middle.crl".to_owned(),
        "Issuer: CN = Middle".to_owned(),
    ];
    for text in expected {
        assert!(told.contains(&text), "{text} is not in {told}");
    }
    assert_eq!(
        (facts.common_name.as_deref(), facts.authority, facts.self_issued),
        (Some("www"), false, false)
    );
    assert_eq!(facts.alt_names.len(), 4);
    assert_eq!(facts.alt_names, profile.alt_names);
    assert_eq!(facts.key_usages, Some(vec![KeyUsage::DigitalSignature]));
    assert_eq!(facts.extended_key_usages, Some(vec![ExtendedKeyUsage::ServerAuth]));
    assert_eq!(facts.crl_urls, ["http://ca.test/middle.crl"]);
    assert_eq!(facts.not_after.seconds(), profile.not_after.seconds());
    assert_eq!(facts.authority_key_id, house.chain[0].facts().subject_key_id);
    assert_eq!((house.root.facts().path_length, house.root.facts().self_issued), (Some(1), true));
    assert_eq!(facts.serial.to_string().parse::<Serial>().as_ref(), Ok(&facts.serial));
    assert_eq!(facts.serial.as_bytes().len(), 16);
    let again = house.authority().issue(&world(), house.end.public(), &profile).unwrap();
    assert_ne!(again.facts().serial, facts.serial);
}

#[test]
fn openssl_and_webpki_refuse_what_a_list_revokes() {
    for kind in [NewKey::Ed25519, NewKey::Rsa3072] {
        let (bench, house) = (Bench::new(), House::new(kind));
        let certificate = house.server();
        house.write(&bench, &certificate);
        let at = world().now().minus(Duration::from_secs(30));
        let entry = |serial: &Serial, reason| Revoked { serial: serial.clone(), at, reason };
        let other = entry(&Serial::random(&world()), Reason::Superseded);
        let own = entry(&certificate.facts().serial, Reason::KeyCompromise);
        let verify = [
            "verify",
            "-x509_strict",
            "-crl_check_all",
            "-CAfile",
            "root.pem",
            "-untrusted",
            "middle.pem",
            "-CRLfile",
            "root.crl",
            "-CRLfile",
            "middle.crl",
            "end.pem",
        ];
        let root = house.root_crl();
        bench.write("root.crl", pem::encode("X509 CRL", &root).expose());
        for (entries, good) in [(Vec::new(), true), (vec![other.clone()], true), (vec![other, own], false)] {
            let list = house.crl(entries);
            bench.write("middle.crl", pem::encode("X509 CRL", &list).expose());
            let crls: [&[u8]; 2] = [&root, &list];
            let taken = house.webpki(&certificate, "www.example.org", &crls);
            if good {
                bench.ok("openssl", &verify);
                taken.unwrap();
            } else {
                let said = bench.fails("openssl", &verify);
                assert!(said.contains("certificate revoked"), "{said}");
                let revoked = rustls::Error::InvalidCertificate(rustls::CertificateError::Revoked);
                assert_eq!(taken, Err(revoked));
            }
        }
        let told = bench.ok("openssl", &["crl", "-in", "middle.crl", "-noout", "-text"]);
        for text in ["X509v3 CRL Number: \n                7", "Key Compromise", "Superseded"] {
            assert!(told.contains(text), "{text} is not in {told}");
        }
    }
    let house = House::new(NewKey::Ed25519);
    let now = world().now();
    let backwards = RevocationList { number: 1, this_update: now, next_update: now, entries: Vec::new() };
    assert_eq!(house.authority().revocation_list(&backwards), Err(X509Error::List));
}

#[test]
fn an_authority_signs_no_more_than_it_may() {
    let (house, world) = (House::new(NewKey::Ed25519), world());
    let authority = house.authority();
    let issue = |profile: &Profile| authority.issue(&world, house.end.public(), profile).err().unwrap();
    let longer = Profile { not_after: days(25).1, ..server() };
    assert_eq!(issue(&longer), X509Error::OutlivesAuthority);
    let below = Profile::authority(Subject::named("Below"), Some(0), days(1));
    assert_eq!(issue(&below), X509Error::PathLength);
    assert_eq!(issue(&Profile { not_before: days(20).1, ..server() }), X509Error::Lifetime);
    assert_eq!(issue(&Profile { alt_names: Vec::new(), ..server() }), X509Error::Nameless);
    let usage = Profile { key_usages: vec![KeyUsage::KeyCertSign], ..server() };
    assert_eq!(issue(&usage), X509Error::NotAuthority { place: 1 });
    let many = (0..101).map(|number| AltName::Dns(format!("h{number}.example.org"))).collect();
    assert_eq!(issue(&Profile { alt_names: many, ..server() }), X509Error::TooManyNames);
    let odd = Profile { alt_names: vec![AltName::Dns("a b".to_owned())], ..server() };
    assert!(matches!(issue(&odd), X509Error::Name { .. }));
    let far = Profile { not_after: Timestamp::from_micros(i64::MAX), ..server() };
    assert_eq!(self_signed(&world, &house.end, &far).err(), Some(X509Error::Lifetime));
    // An authority is a certificate that may sign, with its own key, now.
    let end = house.server();
    let chain = [&[end][..], &house.chain].concat();
    let new = |key, chain, now| Authority::new(key, chain, now).err().unwrap();
    assert_eq!(new(&house.end, chain, world.now()), X509Error::NotAuthority { place: 1 });
    assert_eq!(new(&house.end, house.chain.clone(), world.now()), X509Error::OtherKey);
    assert_eq!(new(&house.key, house.chain.clone(), days(21).1), X509Error::Expired { place: 1 });
}

#[test]
fn a_chain_that_was_put_together_wrongly_is_refused_with_the_place() {
    let (house, other, now) = (House::new(NewKey::EcdsaP384), House::new(NewKey::EcdsaP384), world().now());
    let end = house.server();
    let [middle, root] = [0, 1].map(|place| house.chain[place].clone());
    let check = |chain: &[&Certificate], now| {
        let chain: Vec<_> = chain.iter().map(|&certificate| certificate.clone()).collect();
        import(&chain, house.end.public(), now)
    };
    assert_eq!(check(&[&end, &middle, &root], now), Ok(()));
    assert_eq!(check(&[&end, &middle], now), Ok(()));
    assert_eq!(check(&[&end], now), Ok(()));
    assert_eq!(check(&[], now), Err(X509Error::None("certificate")));
    assert_eq!(check(&[&middle, &root], now), Err(X509Error::OtherKey));
    assert_eq!(check(&[&end, &root, &middle], now), Err(X509Error::Unlinked { place: 1 }));
    assert_eq!(check(&[&end, &end], now), Err(X509Error::Unlinked { place: 1 }));
    // The same names, other keys.
    assert_eq!(check(&[&end, &other.chain[0]], now), Err(X509Error::Signature { place: 1 }));
    assert_eq!(check(&[&end, &middle, &other.root], now), Err(X509Error::Signature { place: 2 }));
    let later = |count| days(count).1;
    assert_eq!(check(&[&end, &middle, &root], later(11)), Err(X509Error::Expired { place: 1 }));
    assert_eq!(check(&[&end], now.minus(DAY)), Err(X509Error::NotYet { place: 1 }));
    let ends: Vec<_> = std::iter::repeat_n(end, 11).collect();
    assert_eq!(check_chain(&ends, now), Err(X509Error::LongChain));
}

#[test]
fn certificates_of_openssl_are_taken_over_with_their_key_and_chain() {
    let (bench, world) = (Bench::new(), world());
    let kinds: [&[&str]; 3] = [&["ed25519"], &["ec", "-pkeyopt", "ec_paramgen_curve:P-384"], &["rsa:2048"]];
    for kind in kinds {
        let new = |name: &str| {
            let key = format!("{name}.key");
            let request = ["req", "-newkey", kind[0], "-nodes", "-keyout", &key, "-out", "new.csr", "-subj"];
            let subject = format!("/C=AT/O=Foreign/CN={name}");
            let subject = [subject.as_str()];
            bench.ok("openssl", &[&request[..], &subject[..], &kind[1..]].concat());
        };
        new("ca");
        bench.write("ca.ext", "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n");
        bench.ok(
            "openssl",
            &[
                "x509", "-req", "-in", "new.csr", "-key", "ca.key", "-days", "5", "-extfile", "ca.ext",
                "-out", "ca.pem",
            ],
        );
        new("end");
        bench.write(
            "end.ext",
            "subjectAltName=DNS:f.example.org,email:a@example.org,URI:urn:x:y,dirName:d\n[d]\nCN=x\n",
        );
        bench.ok(
            "openssl",
            &[
                "x509", "-req", "-in", "new.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "4",
                "-extfile", "end.ext", "-out", "end.pem",
            ],
        );
        let key = KeyPair::from_pem(&bench.read("end.key")).unwrap();
        let chain = Certificate::from_pem(&(bench.read("end.pem") + &bench.read("ca.pem"))).unwrap();
        import(&chain, key.public(), world.now()).unwrap();
        let names: Vec<String> = chain[0].facts().alt_names.iter().map(ToString::to_string).collect();
        assert_eq!(names[..3], ["DNS:f.example.org", "email:a@example.org", "URI:urn:x:y"]);
        assert!(matches!(chain[0].facts().alt_names[3], AltName::Other(_)));
        // OpenSSL's authority signs in our hands, and OpenSSL takes it.
        let ca = KeyPair::from_pem(&bench.read("ca.key")).unwrap();
        let authority = Authority::new(&ca, chain[1..].to_vec(), world.now()).unwrap();
        let profile = Profile { not_after: days(3).1, ..server() };
        let issued = authority.issue(&world, key.public(), &profile).unwrap();
        bench.write("issued.pem", issued.to_pem());
        bench.ok("openssl", &["verify", "-x509_strict", "-CAfile", "ca.pem", "issued.pem"]);
        // The key of a certificate is a key of SSH, too.
        SshKeyPair::import(&Secret::from(bench.read("end.key")), None).unwrap();
    }
}

#[test]
fn weak_chains_and_odd_authorities_are_refused() {
    let (bench, world) = (Bench::new(), world());
    let sign = |bits: &str, digest: &str, subject: &str| {
        let arguments = [
            "req", "-x509", "-newkey", bits, "-nodes", digest, "-keyout", "k.pem", "-out", "c.pem", "-days",
            "2", "-subj", subject,
        ];
        bench.ok("openssl", &arguments);
        Certificate::from_pem(&bench.read("c.pem")).unwrap()
    };
    let weak = check_chain(&sign("rsa:1024", "-sha256", "/CN=x"), world.now()).unwrap_err();
    assert_eq!(weak.to_string(), "has a key that is an RSA key of 1024 bits: too weak, 2048 are the least");
    let sha1 = check_chain(&sign("rsa:2048", "-sha1", "/CN=x"), world.now());
    assert_eq!(sha1, Err(X509Error::Signature { place: 1 }));
    for subject in ["/DC=org/DC=example/CN=x", "/O=a+CN=x"] {
        let chain = sign("rsa:2048", "-sha256", subject);
        check_chain(&chain, world.now()).unwrap();
        let key = KeyPair::from_pem(&bench.read("k.pem")).unwrap();
        let refused = Authority::new(&key, chain, world.now()).err();
        assert_eq!(refused, Some(X509Error::AuthorityName), "{subject}");
    }
}

#[test]
fn a_request_gets_the_names_that_it_may_have_and_no_others() {
    let (bench, house, world) = (Bench::new(), House::new(NewKey::EcdsaP256), world());
    let ask = |subject: &str, names: &str| {
        let names = format!("subjectAltName={names}");
        // The request also asks to be an authority, in vain.
        let arguments = [
            "req",
            "-new",
            "-newkey",
            "ed25519",
            "-nodes",
            "-keyout",
            "k.pem",
            "-out",
            "r.pem",
            "-subj",
            subject,
            "-addext",
            &names,
            "-addext",
            "basicConstraints=critical,CA:TRUE",
        ];
        bench.ok("openssl", &arguments);
        Request::from_pem(&bench.read("r.pem")).unwrap()
    };
    let allows = |name: Requested<'_>| match name {
        Requested::CommonName(name) => name == "a.team.example.org",
        Requested::AltName(AltName::Dns(name)) => name.ends_with(".team.example.org"),
        Requested::AltName(_) => false,
    };
    let profile = Profile { alt_names: Vec::new(), ..server() };
    let sign = |request: &Request| house.authority().sign_request(&world, request, &profile, allows);
    let good = ask("/CN=a.team.example.org/O=Wishful", "DNS:a.team.example.org,DNS:b.team.example.org");
    let certificate = sign(&good).unwrap();
    house.write(&bench, &certificate);
    bench.ok(
        "openssl",
        &["verify", "-x509_strict", "-CAfile", "root.pem", "-untrusted", "middle.pem", "end.pem"],
    );
    let facts = certificate.facts();
    assert_eq!((facts.subject.as_str(), facts.authority), ("CN=a.team.example.org", false));
    assert_eq!(facts.alt_names.len(), 2);
    import(&[certificate], KeyPair::from_pem(&bench.read("k.pem")).unwrap().public(), world.now()).unwrap();
    let cases = [
        ("/CN=root", "DNS:a.team.example.org", "asks for a name that is not allowed: CN=root"),
        (
            "/O=x",
            "DNS:a.team.example.org,DNS:example.org",
            "asks for a name that is not allowed: DNS:example.org",
        ),
        ("/O=x", "DNS:a.team.example.org,IP:10.0.0.1", "asks for a name that is not allowed: IP:10.0.0.1"),
    ];
    for (subject, names, expected) in cases {
        assert_eq!(sign(&ask(subject, names)).unwrap_err().to_string(), expected);
    }
    // Whatever the policy says, some names cannot stand.
    let wild = ask("/O=x", "DNS:*.org");
    let refused = house.authority().sign_request(&world, &wild, &profile, |_| true);
    assert!(matches!(refused, Err(X509Error::Name { .. })));
    // A request whose signature is of another key.
    let text = bench.read("r.pem");
    let mut bytes = pem::parse(&text).unwrap().remove(0).bytes.expose().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    assert_eq!(Request::from_der(&bytes), Err(X509Error::Unproven));
}

#[test]
fn a_self_signed_end_is_what_it_says() {
    let (bench, world) = (Bench::new(), world());
    let key = KeyPair::generate(NewKey::Ed25519).unwrap();
    let certificate = self_signed(&world, &key, &server()).unwrap();
    import(std::slice::from_ref(&certificate), key.public(), world.now()).unwrap();
    bench.write("c.pem", certificate.to_pem());
    bench.ok("openssl", &["verify", "-CAfile", "c.pem", "c.pem"]);
    assert_eq!(server().role, Role::EndEntity);
    for at in 0..certificate.der().len() {
        let mut bytes = certificate.der().to_vec();
        bytes[at] ^= 1;
        let taken =
            Certificate::from_der(&bytes).and_then(|changed| import(&[changed], key.public(), world.now()));
        assert!(taken.is_err(), "byte {at}");
    }
}

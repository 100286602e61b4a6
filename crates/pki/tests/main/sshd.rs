//! A real OpenSSH server and client: whom certificates let in, and whom they do not.

use crate::foreign::{Bench, said, sshd, world};
use keyreeve_pki::ssh::{
    CertificateKind, Options, Permission, Restrictions, RevocationList, RevokedCertificates, SshCertificate,
    SshKeyPair, SshPublicKey, Terms,
};
use keyreeve_pki::{KeyPair, NewKey};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// What a server trusts, and a client that knocks.
struct Scene {
    bench: Bench,
    listener: TcpListener,
    authority: KeyPair,
    user: SshKeyPair,
}

impl Scene {
    /// A server that trusts `authority` for the principal "alice", and a client that trusts the same for hosts.
    fn new(kind: NewKey) -> Self {
        // An sshd that root starts wants this directory, which the system makes when it boots.
        if !std::path::Path::new("/run/sshd").exists() {
            let _ = std::fs::create_dir("/run/sshd");
        }
        let bench = Bench::new();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let authority = KeyPair::generate(kind).unwrap();
        let (host, user) = (pair(NewKey::Ed25519), pair(kind));
        bench.write("host", host.to_openssh(&world(), None).unwrap().expose());
        bench.write("id", user.to_openssh(&world(), None).unwrap().expose());
        bench.write("id.pub", user.public().to_string());
        bench.write("ca.pub", SshPublicKey::of(authority.public()).to_string());
        bench.write("principals", "alice\n");
        bench.write("revoked", list(Vec::new(), Vec::new()));
        let host_terms = Terms {
            kind: CertificateKind::Host,
            principals: vec!["host.test".to_owned()],
            permissions: Options::default(),
            ..terms()
        };
        let certificate = SshCertificate::sign(&world(), &authority, &host.public(), &host_terms).unwrap();
        bench.write("host-cert.pub", certificate.to_string());
        bench.write("known", format!("@cert-authority host.test {}\n", SshPublicKey::of(authority.public())));
        let path = |name: &str| bench.path(name).display().to_string();
        bench.write(
            "sshd_config",
            format!(
                "HostKey {}\nHostCertificate {}\nTrustedUserCAKeys {}\nAuthorizedPrincipalsFile {}\nRevokedKeys {}\n\
                 AuthorizedKeysFile none\nUsePAM no\nStrictModes no\nPidFile none\nPermitRootLogin yes\n\
                 PasswordAuthentication no\nKbdInteractiveAuthentication no\nLogLevel VERBOSE\n",
                path("host"),
                path("host-cert.pub"),
                path("ca.pub"),
                path("principals"),
                path("revoked")
            ),
        );
        Self { bench, listener, authority, user }
    }

    /// Signs the user's key under `terms`.
    fn certify(&self, terms: &Terms) -> SshCertificate {
        SshCertificate::sign(&world(), &self.authority, &self.user.public(), terms).unwrap()
    }

    /// Knocks with `certificate`: what the client and the server said.
    fn knock(&self, certificate: &SshCertificate) -> (Output, String) {
        self.bench.write("id-cert.pub", certificate.to_string());
        let port = self.listener.local_addr().unwrap().port().to_string();
        let (identity, certificate, known) =
            (self.bench.path("id"), self.bench.path("id-cert.pub"), self.bench.path("known"));
        let mut client = Command::new("ssh");
        client.args(["-F", "none", "-p", &port, "-o", "BatchMode=yes", "-o", "HostKeyAlias=host.test"]);
        client.args([
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            "IdentityAgent=none",
            "-o",
            "StrictHostKeyChecking=yes",
        ]);
        client.args(["-o", "GlobalKnownHostsFile=/dev/null", "-o", "UpdateHostKeys=no"]);
        client.arg("-o").arg(format!("UserKnownHostsFile={}", known.display()));
        client.arg("-o").arg(format!("CertificateFile={}", certificate.display()));
        client.arg("-i").arg(identity).args(["127.0.0.1", "echo let in"]);
        let client = client.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let client = client.expect("no ssh; scripts/deps installs it (openssh-client)");
        let server = self.serve();
        let client = client.wait_with_output().unwrap();
        let server = server.wait_with_output().unwrap();
        (client, said(&server))
    }

    /// Takes the next connection and gives it to an sshd of its own, as inetd would: no port is guessed, and nothing
    /// stays behind.
    fn serve(&self) -> std::process::Child {
        let started = Instant::now();
        let stream = loop {
            match self.listener.accept() {
                Ok((stream, _)) => break stream,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    assert!(started.elapsed() < Duration::from_secs(30), "the client did not knock");
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(error) => panic!("{error}"),
            }
        };
        stream.set_nonblocking(false).unwrap();
        let (input, output) = (OwnedFd::from(stream.try_clone().unwrap()), OwnedFd::from(stream));
        let mut server = Command::new(sshd());
        server.args(["-i", "-e", "-f"]).arg(self.bench.path("sshd_config"));
        server.stdin(input).stdout(output).stderr(Stdio::piped()).spawn().unwrap()
    }

    #[track_caller]
    fn let_in(&self, certificate: &SshCertificate) {
        let (client, server) = self.knock(certificate);
        assert_eq!(String::from_utf8_lossy(&client.stdout), "let in\n", "{}\n{server}", said(&client));
    }

    /// The server must refuse, and say this.
    #[track_caller]
    fn refused(&self, certificate: &SshCertificate, reason: &str) {
        let (client, server) = self.knock(certificate);
        assert!(!client.status.success() && client.stdout.is_empty(), "{}", said(&client));
        assert!(said(&client).contains("Permission denied"), "{}\n{server}", said(&client));
        assert!(server.contains(reason), "{reason:?} is not in: {server}");
    }
}

fn pair(kind: NewKey) -> SshKeyPair {
    SshKeyPair::generate(kind, "").unwrap()
}

fn terms() -> Terms {
    let now = world().now();
    Terms {
        kind: CertificateKind::User,
        key_id: "k1".to_owned(),
        serial: 11,
        principals: vec!["alice".to_owned()],
        not_before: now.minus(Duration::from_secs(60)),
        not_after: now.plus(Duration::from_secs(3600)),
        restrictions: Restrictions::default(),
        permissions: Options::of(&[Permission::Pty]),
    }
}

fn list(certificates: Vec<RevokedCertificates<'_>>, keys: Vec<&SshPublicKey>) -> Vec<u8> {
    RevocationList { version: 1, made_at: world().now(), comment: "tests", certificates, keys }.to_bytes()
}

#[test]
fn a_server_takes_certificates_of_every_kind_of_authority() {
    for kind in [NewKey::Ed25519, NewKey::EcdsaP256, NewKey::EcdsaP384, NewKey::Rsa3072] {
        let scene = Scene::new(kind);
        scene.let_in(&scene.certify(&terms()));
    }
}

#[test]
fn a_server_refuses_another_time_name_kind_and_authority() {
    let scene = Scene::new(NewKey::Ed25519);
    let now = world().now();
    let over = Terms { not_after: now.minus(Duration::from_secs(2)), ..terms() };
    scene.refused(&scene.certify(&over), "expired");
    let early = Terms { not_before: now.plus(Duration::from_secs(600)), ..terms() };
    scene.refused(&scene.certify(&early), "not yet valid");
    let bob = Terms { principals: vec!["bob".to_owned()], ..terms() };
    scene.refused(&scene.certify(&bob), "does not contain an authorized principal");
    let host = Terms { kind: CertificateKind::Host, permissions: Options::default(), ..terms() };
    // The client does not even show it; the bare key is all that it can try.
    scene.refused(&scene.certify(&host), "Failed publickey");
    let stranger = KeyPair::generate(NewKey::Ed25519).unwrap();
    let other = SshCertificate::sign(&world(), &stranger, &scene.user.public(), &terms()).unwrap();
    scene.refused(&other, "Failed publickey");
}

#[test]
fn a_server_holds_the_user_to_restrictions() {
    let scene = Scene::new(NewKey::Ed25519);
    let forced = Restrictions { force_command: Some("echo forced".to_owned()), ..Restrictions::default() };
    let (client, server) = scene.knock(&scene.certify(&Terms { restrictions: forced, ..terms() }));
    assert_eq!(String::from_utf8_lossy(&client.stdout), "forced\n", "{server}");
    let from =
        |net: &str| Restrictions { source_addresses: vec![net.parse().unwrap()], ..Restrictions::default() };
    scene.let_in(&scene.certify(&Terms { restrictions: from("127.0.0.0/8"), ..terms() }));
    let elsewhere = scene.certify(&Terms { restrictions: from("192.0.2.0/24"), ..terms() });
    scene.refused(&elsewhere, "not from a permitted source address");
}

#[test]
fn a_server_refuses_what_a_list_revokes() {
    let scene = Scene::new(NewKey::Ed25519);
    let authority = SshPublicKey::of(scene.authority.public());
    let certificate = scene.certify(&terms());
    scene.let_in(&certificate);
    let of = |serials: &[u64], ids: &[&str]| RevokedCertificates {
        authority: &authority,
        serials: serials.iter().copied().collect(),
        key_ids: ids.iter().map(|&id| id.to_owned()).collect::<BTreeSet<_>>(),
    };
    let user = scene.user.public();
    let revoking = [
        list(vec![of(&[11], &[])], Vec::new()),
        list(vec![of(&[3, 10, 11, 12], &[])], Vec::new()),
        list(vec![of(&[], &["k1"])], Vec::new()),
        list(Vec::new(), vec![&user]),
    ];
    for bytes in revoking {
        scene.bench.write("revoked", bytes);
        scene.refused(&certificate, "revoked");
    }
    // Other numbers, other names and other authorities' do not count.
    let stranger = pair(NewKey::Ed25519).public();
    let others = RevokedCertificates { authority: &stranger, ..of(&[11], &["k1"]) };
    scene.bench.write("revoked", list(vec![of(&[1, 2, 10, 12], &["k2"]), others], vec![&stranger]));
    scene.let_in(&certificate);
    let told = scene.bench.ok("ssh-keygen", &["-Q", "-l", "-f", "revoked"]);
    assert!(told.contains("serial: 1-2") && told.contains("serial: 10"), "{told}");
}

#[test]
fn a_client_refuses_a_host_of_another_name() {
    let scene = Scene::new(NewKey::Ed25519);
    let known = scene.bench.read("known").replace("host.test", "*");
    scene.bench.write("known", known);
    let host = SshKeyPair::import(&scene.bench.read("host").into(), None).unwrap();
    let other = Terms {
        kind: CertificateKind::Host,
        principals: vec!["other.test".to_owned()],
        permissions: Options::default(),
        ..terms()
    };
    let certificate = SshCertificate::sign(&world(), &scene.authority, &host.public(), &other).unwrap();
    scene.bench.write("host-cert.pub", certificate.to_string());
    let (client, _) = scene.knock(&scene.certify(&terms()));
    assert!(said(&client).contains("name is not a listed principal"), "{}", said(&client));
}

//! A real OpenSSH server and client: whom certificates let in, and whom they do not.

use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What a server trusts, and a client that knocks.
pub struct Scene {
    directory: TempDir,
    listener: TcpListener,
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), output.stderr.as_slice()].concat()).into_owned()
}

impl Scene {
    /// A server that trusts these authorities for the principal "alice", and holds to this list.
    pub fn new(authorities: &[u8], list: &[u8]) -> Self {
        // An sshd that root starts wants this directory, which the system makes when it boots.
        if !std::path::Path::new("/run/sshd").exists() {
            let _ = std::fs::create_dir("/run/sshd");
        }
        let directory = tempfile::tempdir().expect("a temporary directory");
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let scene = Self { directory, listener };
        for name in ["host", "id"] {
            let path = scene.path(name).display().to_string();
            let made =
                Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &path]).output();
            assert!(made.expect("no ssh-keygen; scripts/deps installs it (openssh-client)").status.success());
        }
        scene.write("ca.pub", authorities);
        scene.write("principals", b"alice\n");
        scene.revoke(list);
        let host = std::fs::read_to_string(scene.path("host.pub")).unwrap();
        scene.write("known", format!("host.test {host}").as_bytes());
        let path = |name: &str| scene.path(name).display().to_string();
        let config = format!(
            "HostKey {}\nTrustedUserCAKeys {}\nAuthorizedPrincipalsFile {}\nRevokedKeys {}\nAuthorizedKeysFile none\n\
             UsePAM no\nStrictModes no\nPidFile none\nPermitRootLogin yes\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nLogLevel VERBOSE\n",
            path("host"),
            path("ca.pub"),
            path("principals"),
            path("revoked")
        );
        scene.write("sshd_config", config.as_bytes());
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file that nobody else may read: OpenSSH insists.
    fn write(&self, name: &str, content: &[u8]) {
        let mut options = std::fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(self.path(name));
        std::io::Write::write_all(&mut file.unwrap(), content).unwrap();
    }

    /// The client's public key.
    pub fn public_key(&self) -> String {
        std::fs::read_to_string(self.path("id.pub")).unwrap().trim().to_owned()
    }

    /// The server holds to this list from now on.
    pub fn revoke(&self, list: &[u8]) {
        self.write("revoked", list);
    }

    /// Knocks with `certificate`: what the client and the server said.
    fn knock(&self, certificate: &str) -> (Output, String) {
        self.write("id-cert.pub", certificate.as_bytes());
        let port = self.listener.local_addr().unwrap().port().to_string();
        let mut client = Command::new("ssh");
        client.args(["-F", "none", "-p", &port, "-o", "BatchMode=yes", "-o", "HostKeyAlias=host.test"]);
        for option in
            ["IdentitiesOnly=yes", "IdentityAgent=none", "StrictHostKeyChecking=yes", "UpdateHostKeys=no"]
        {
            client.args(["-o", option]);
        }
        client.args(["-o", "GlobalKnownHostsFile=/dev/null"]);
        client.arg("-o").arg(format!("UserKnownHostsFile={}", self.path("known").display()));
        client.arg("-o").arg(format!("CertificateFile={}", self.path("id-cert.pub").display()));
        client.arg("-i").arg(self.path("id")).args(["127.0.0.1", "echo let in"]);
        let client = client.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let client = client.expect("no ssh; scripts/deps installs it (openssh-client)");
        let server = self.serve();
        let client = client.wait_with_output().unwrap();
        let server = server.wait_with_output().unwrap();
        (client, said(&server))
    }

    /// Takes the next connection and gives it to an sshd of its own, as inetd would: no port is guessed, and nothing stays
    /// behind.
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
        // It wants to be called by its whole path, which stands in no ordinary user's.
        let mut server = Command::new("/usr/sbin/sshd");
        server.args(["-i", "-e", "-f"]).arg(self.path("sshd_config"));
        let server = server.stdin(input).stdout(output).stderr(Stdio::piped()).spawn();
        server.expect("no sshd; scripts/deps installs it (openssh-server)")
    }

    #[track_caller]
    pub fn let_in(&self, certificate: &str) {
        let (client, server) = self.knock(certificate);
        assert_eq!(String::from_utf8_lossy(&client.stdout), "let in\n", "{}\n{server}", said(&client));
    }

    /// The server must refuse, and say this.
    #[track_caller]
    pub fn refused(&self, certificate: &str, reason: &str) {
        let (client, server) = self.knock(certificate);
        assert!(!client.status.success() && client.stdout.is_empty(), "{}", said(&client));
        assert!(server.contains(reason), "{reason:?} is not in: {server}");
    }
}

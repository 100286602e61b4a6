//! What keys and certificates cost: in this process, on one core, with no server.

use crate::report::Report;
use crate::server::cpu_seconds;
use anyhow::Result;
use keyreeve_base::{SystemClock, World};
use keyreeve_crypto::SystemRandom;
use keyreeve_pki::ssh::{
    CertificateKind, Options, Permission, Restrictions, SshCertificate, SshKeyPair, Terms, random_serial,
};
use keyreeve_pki::x509::{AltName, Authority, ExtendedKeyUsage, Profile, Subject, self_signed};
use keyreeve_pki::{KeyPair, NewKey};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Makes key pairs and certificates for `span` each. Rates are by CPU time, so that what else the machine does falls out.
pub fn measure(span: Duration, report: &mut Report) -> Result<()> {
    let world = World::new(Arc::new(SystemClock), Arc::new(SystemRandom));
    let kinds = [
        (NewKey::Ed25519, Some("≥ 2000/s")),
        (NewKey::EcdsaP256, None),
        (NewKey::EcdsaP384, None),
        (NewKey::Rsa3072, None),
    ];
    for (kind, target) in kinds {
        let rate = rate(span, || {
            let pair = SshKeyPair::generate(kind, "bench")?;
            pair.to_openssh(&world, None)?;
            Ok(())
        })?;
        report.fact(&format!("SSH key pairs made and written, {kind}"), rate, "/s", target);
    }
    let subject = SshKeyPair::generate(NewKey::Ed25519, "bench")?.public();
    for kind in [NewKey::Ed25519, NewKey::EcdsaP256, NewKey::Rsa3072] {
        let authority = KeyPair::generate(kind)?;
        let rate = rate(span, || {
            SshCertificate::sign(&world, &authority, &subject, &terms(&world))?;
            Ok(())
        })?;
        report.fact(&format!("SSH certificates signed, {kind}"), rate, "/s", None);
    }
    let (key, end) = (KeyPair::generate(NewKey::EcdsaP256)?, KeyPair::generate(NewKey::EcdsaP256)?);
    let lifetime = (world.now(), world.now().plus(Duration::from_secs(86_400)));
    let root = self_signed(&world, &key, &Profile::authority(Subject::named("Bench"), None, lifetime))?;
    let authority = Authority::new(&key, vec![root], world.now())?;
    let names = vec![AltName::Dns("bench.test".to_owned())];
    let profile = Profile::tls(names, vec![ExtendedKeyUsage::ServerAuth], lifetime);
    let rate = rate(span, || {
        authority.issue(&world, end.public(), &profile)?;
        Ok(())
    })?;
    report.fact("X.509 certificates signed, ecdsa-p256", rate, "/s", None);
    Ok(())
}

fn terms(world: &World) -> Terms {
    let now = world.now();
    Terms {
        kind: CertificateKind::User,
        key_id: "bench".to_owned(),
        serial: random_serial(world),
        principals: vec!["bench".to_owned()],
        not_before: now,
        not_after: now.plus(Duration::from_secs(3600)),
        restrictions: Restrictions::default(),
        permissions: Options::of(&[Permission::Pty]),
    }
}

/// How often `operation` can be done in a second of CPU time. The kernel counts that in hundredths of a second.
fn rate(span: Duration, mut operation: impl FnMut() -> Result<()>) -> Result<f64> {
    let (started, before, mut done) = (Instant::now(), cpu_seconds("self")?, 0_u32);
    while started.elapsed() < span {
        operation()?;
        done += 1;
    }
    Ok(f64::from(done) / (cpu_seconds("self")? - before).max(0.01))
}

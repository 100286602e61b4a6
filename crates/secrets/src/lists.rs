//! What authorities publish: their public keys and certificates, and what they have revoked. Anybody may read it.

use crate::ssh::refused;
use crate::x509::x509_refused;
use crate::{Error, Kind, SecretId, Secrets, schema};
use keyreeve_base::{TenantId, Timestamp};
use keyreeve_pki::KeyPair;
use keyreeve_pki::ssh::{RevocationList as SshList, RevokedCertificates, SshPublicKey};
use keyreeve_pki::x509::{Authority as Issuer, Certificate, Reason, RevocationList, Revoked, Serial};
use keyreeve_store::{Tx, params};
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// The change-feed topic of what is revoked. Its key is [`ALL`]: every list that is kept is made anew.
pub(crate) const TOPIC: &str = "secret_revoked";
pub(crate) const ALL: &str = "*";

/// For how long a list of revoked certificates (CRL) stands; another is made each hour.
const CRL_LIFETIME: Duration = Duration::from_secs(86_400);
const HOUR: i64 = 3_600;
/// The most certificates that a list names, those that are still valid.
const MAX_LISTED: i64 = 100_000;

/// By what a list is kept: the authority, and the hour in which it was made.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ListKey {
    id: SecretId,
    hour: i64,
}

impl FromStr for ListKey {
    type Err = ();

    /// No change names one list: see [`ALL`].
    fn from_str(_: &str) -> Result<Self, ()> {
        Err(())
    }
}

/// What an authority publishes.
#[derive(Debug, Clone)]
pub struct Published {
    /// What kind of authority it is.
    pub kind: Kind,
    /// Its public keys, newest first, a line each as OpenSSH has them; or its certificates in PEM.
    pub keys: String,
    /// What is revoked and would still be valid: a KRL, or a CRL in DER.
    pub revoked: Arc<[u8]>,
}

struct RevokedRow {
    number: i64,
    serial: String,
    at: Timestamp,
    reason: String,
}

impl Secrets {
    /// What an authority publishes, from memory where that is allowed.
    ///
    /// # Errors
    /// [`Error::NotFound`] for what is no authority; those of the rooms.
    pub async fn published(&self, tenant: TenantId, id: SecretId) -> Result<Arc<Published>, Error> {
        let now = self.world().now();
        let key = ListKey { id, hour: now.seconds().div_euclid(HOUR) };
        self.published_lists().get_with(tenant, &key, || self.publish(tenant, id, now)).await
    }

    async fn publish(&self, tenant: TenantId, id: SecretId, now: Timestamp) -> Result<Arc<Published>, Error> {
        let secret = match self.load(tenant, id).await {
            // A key that signs tokens publishes another way: see `signing`.
            Ok(secret) if secret.kind.is_authority() && secret.kind != Kind::SigningKey => secret,
            Ok(_) | Err(Error::NotFound(_)) => return Err(Error::NotFound("authority")),
            Err(error) => return Err(error),
        };
        let key = secret.key;
        let scan = async move |tx: &mut Tx<'_>| {
            let revoked = tx
                .query(&schema::REVOKED, &params![key, now, MAX_LISTED], |row| {
                    Ok(RevokedRow {
                        number: row.get(0)?,
                        serial: row.get(1)?,
                        at: row.get(2)?,
                        reason: row.get::<Option<String>>(3)?.unwrap_or_default(),
                    })
                })
                .await?;
            let (before, most) = (i64::MAX, i64::from(crate::MAX_KEPT));
            let page = params![key, before, most];
            let versions = tx.query(&schema::VERSIONS, &page, crate::Version::from_row).await?;
            Ok::<_, keyreeve_store::Error>((revoked, versions))
        };
        let (revoked, versions) = self.store().scan(scan).await?;
        let versions: Vec<_> = versions.into_iter().filter(|version| version.is_there(now)).collect();
        let (keys, list) = if secret.kind == Kind::X509Ca {
            let newest = versions.first().ok_or(Error::NotFound("authority"))?;
            let keys = versions.iter().filter_map(|version| version.facts.certificate.clone()).collect();
            (keys, self.crl((tenant, id), newest, &revoked, now).await?)
        } else {
            let keys: Vec<(i64, &str)> = versions
                .iter()
                .filter_map(|version| Some((version.number, version.facts.public_key.as_deref()?)))
                .collect();
            (keys.iter().map(|(_, key)| format!("{key}\n")).collect(), krl(&keys, &revoked, now)?)
        };
        Ok(Arc::new(Published { kind: secret.kind, keys, revoked: list.into() }))
    }

    /// The list of the newest version of an authority: what an older one has issued and is revoked stands in it as well,
    /// since its issuer's name is the same.
    async fn crl(
        &self,
        (tenant, id): (TenantId, SecretId),
        newest: &crate::Version,
        revoked: &[RevokedRow],
        now: Timestamp,
    ) -> Result<Vec<u8>, Error> {
        let number = Some(newest.number);
        let read = async move |tx: &mut Tx<'_>| {
            tx.query_one(&schema::READ, &params![tenant, id, number], crate::read::Stored::from_row).await
        };
        let stored = self.store().read(read).await?;
        let sealer = self.identity().tenants().sealer(tenant).await?;
        let bound = crate::sealed::Bound { tenant, id, kind: stored.kind, number: newest.number };
        let (wrapped, sealed) = (stored.wrapped.unwrap_or_default(), stored.sealed.unwrap_or_default());
        let opened = bound.open(&sealer, &wrapped, &sealed)?;
        let key = KeyPair::from_pkcs8(opened.expose()).map_err(refused("value"))?;
        let chain = newest.facts.certificate.as_deref().unwrap_or_default();
        let chain = Certificate::from_pem(chain).map_err(x509_refused("authority"))?;
        let issuer = Issuer::new(&key, chain, now).map_err(x509_refused("authority"))?;
        let entries = revoked.iter().filter_map(|row| {
            let serial = Serial::from_bytes(&unhex(&row.serial)?);
            let reason = row.reason.parse().unwrap_or(Reason::Unspecified);
            Some(Revoked { serial, at: row.at, reason })
        });
        let list = RevocationList {
            number: u64::try_from(now.micros()).unwrap_or(0),
            this_update: now,
            next_update: now.plus(CRL_LIFETIME),
            entries: entries.collect(),
        };
        issuer.revocation_list(&list).map_err(x509_refused("authority"))
    }
}

fn krl(keys: &[(i64, &str)], revoked: &[RevokedRow], now: Timestamp) -> Result<Vec<u8>, Error> {
    let mut serials: BTreeMap<i64, BTreeSet<u64>> = BTreeMap::new();
    for row in revoked {
        serials.entry(row.number).or_default().extend(row.serial.parse::<u64>().ok());
    }
    let parsed = keys.iter().map(|(number, key)| Ok((*number, SshPublicKey::parse(key)?)));
    let parsed: Vec<(i64, SshPublicKey)> = parsed.collect::<Result<_, _>>().map_err(refused("public_key"))?;
    let certificates = parsed.iter().map(|(number, authority)| RevokedCertificates {
        authority,
        serials: serials.remove(number).unwrap_or_default(),
        key_ids: BTreeSet::new(),
    });
    let list = SshList {
        version: u64::try_from(now.micros()).unwrap_or(0),
        made_at: now,
        comment: "Keyreeve",
        certificates: certificates.collect(),
        keys: Vec::new(),
    };
    Ok(list.to_bytes())
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pair = |at: usize| u8::from_str_radix(text.get(at..at.saturating_add(2))?, 16).ok();
    (0..text.len()).step_by(2).map(pair).collect()
}

//! Certificates that authorities issue, by policies: signed, recorded, and only then handed out.

use crate::access::{Attempt, record_of};
use crate::content::Asker;
use crate::leases::Lease;
use crate::model::{actor_text, json_text};
use crate::policies::Opened as Policy;
use crate::read::Stored;
use crate::sealed::Bound;
use crate::ssh::refused;
use crate::x509::{MAX_CERTIFICATE_SECONDS, SKEW, hex, lifetime, x509_refused};
use crate::{
    CertificateId, CertificateRecipe, Error, Kind, LeaseId, Secret, SecretId, Secrets, Version, schema,
};
use keyreeve_audit::Actor;
use keyreeve_base::{TenantId, Timestamp};
use keyreeve_crypto::SecretBytes;
use keyreeve_identity::{Authority, Cause};
use keyreeve_pki::KeyPair;
use keyreeve_pki::ssh::{
    CertificateError, CertificateKind, Options, SshCertificate, SshPublicKey, Terms, random_serial,
};
use keyreeve_pki::x509::{
    AltName, Authority as Issuer, Certificate, ExtendedKeyUsage, Profile, Request, Requested,
};
use keyreeve_store::{Row, Tx, params};
use serde_json::json;
use std::time::Duration;

/// What is to be certified.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// A public key of SSH, or a request for a certificate (PKCS#10) in PEM.
    pub about: String,
    /// The names; all that the policy allows, where there are none. Those of a request come from the request.
    pub names: Vec<String>,
    /// For how long; as long as the policy allows, where it is not said.
    pub seconds: Option<u64>,
    /// Whether the certificate is to end with a lease: revoked with it, and when it is over.
    pub leased: bool,
}

/// A certificate that was issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    pub(crate) key: i64,
    /// Its identifier here.
    pub id: CertificateId,
    /// The authority that issued it.
    pub authority: SecretId,
    /// What kind of authority that is.
    pub kind: Kind,
    /// Its serial number: decimal for SSH, hexadecimal for X.509.
    pub serial: String,
    /// Whom it is for.
    pub names: Vec<String>,
    /// By which policy.
    pub policy: String,
    /// The fingerprint of the key that it is about.
    pub fingerprint: String,
    /// From when it is valid.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
    /// Who had it issued.
    pub issued_by: String,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Why.
    pub reason: Option<String>,
}

impl Issued {
    fn from_row(row: &Row<'_>) -> Result<Self, keyreeve_store::Error> {
        let corrupt = |_| keyreeve_store::Error::corrupt("a certificate's names cannot be read");
        let kind = row.get::<String>(3)?.parse();
        Ok(Self {
            key: row.get(0)?,
            id: row.get(1)?,
            authority: row.get(2)?,
            kind: kind.map_err(|_| keyreeve_store::Error::corrupt("an authority is of no known kind"))?,
            serial: row.get(4)?,
            names: serde_json::from_str(&row.get::<String>(5)?).map_err(corrupt)?,
            policy: row.get(6)?,
            fingerprint: row.get(7)?,
            not_before: row.get(8)?,
            not_after: row.get(9)?,
            issued_by: row.get(10)?,
            revoked_at: row.get(11)?,
            reason: row.get(12)?,
        })
    }
}

/// A certificate on its way out.
#[derive(Debug, Clone)]
pub struct HandedOut {
    /// What is kept of it.
    pub issued: Issued,
    /// The certificate: OpenSSH's line, or PEM with the chain above it.
    pub certificate: String,
    /// The lease that it ends with.
    pub lease: Option<Lease>,
}

/// A certificate that was signed and is not recorded yet.
struct Signed {
    text: String,
    serial: String,
    names: Vec<String>,
    fingerprint: String,
    valid: (Timestamp, Timestamp),
}

/// An authority's newest version, opened.
struct Signer {
    secret: Secret,
    number: i64,
    key: KeyPair,
}

impl Secrets {
    /// Has a certificate issued by the policy of this name, which must be open to the asker.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the policy; [`Error::Denied`] for names that it does not allow; [`Error::Invalid`].
    pub async fn issue(
        &self,
        authority: &Authority,
        policy: &str,
        wanted: &Wanted,
        cause: &Cause,
    ) -> Result<HandedOut, Error> {
        let policy = self.open_policy(authority, policy).await?;
        if policy.policy.kind == Kind::SigningKey {
            return Err(Error::invalid("policy", "is not one of an authority that certifies"));
        }
        let id = policy.policy.authority;
        let attempt = Attempt { authority, id, action: "certificate.issue", cause };
        let signer = self.signer(authority.tenant(), id).await?;
        let signed = if signer.secret.kind == Kind::X509Ca {
            self.sign_x509(&policy, &signer, wanted)
        } else {
            self.sign_ssh(&policy, &signer, wanted, cause.actor)
        };
        let signed = match signed {
            Ok(signed) => signed,
            Err(error) => {
                if matches!(error, Error::Denied(_)) {
                    self.record_refusal(&attempt, "the policy does not allow the name").await?;
                }
                return Err(error);
            }
        };
        self.hand_out((authority.tenant(), policy), (signer, signed), wanted.leased, cause).await
    }

    async fn signer(&self, tenant: TenantId, id: SecretId) -> Result<Signer, Error> {
        let secret = self.load(tenant, id).await?;
        let (version, key) = self.authority_key(tenant, id).await?;
        let key = KeyPair::from_pkcs8(key.expose()).map_err(refused("value"))?;
        Ok(Signer { secret, number: version.number, key })
    }

    /// The newest version of an authority, and its private key in PKCS#8.
    pub(crate) async fn authority_key(
        &self,
        tenant: TenantId,
        id: SecretId,
    ) -> Result<(Version, SecretBytes), Error> {
        let read = async move |tx: &mut Tx<'_>| {
            tx.query_opt(&schema::READ, &params![tenant, id, None::<i64>], Stored::from_row).await
        };
        let stored: Option<Stored> = self.store().read(read).await?;
        let stored = stored.ok_or(Error::NotFound("authority"))?;
        if !stored.version.is_there(self.world().now()) {
            return Err(Error::Gone(Box::new(stored.version)));
        }
        let sealer = self.identity().tenants().sealer(tenant).await?;
        let bound = Bound { tenant, id, kind: stored.kind, number: stored.version.number };
        let (wrapped, sealed) = (stored.wrapped.unwrap_or_default(), stored.sealed.unwrap_or_default());
        Ok((stored.version, bound.open(&sealer, &wrapped, &sealed)?))
    }

    fn sign_ssh(
        &self,
        policy: &Policy,
        signer: &Signer,
        wanted: &Wanted,
        actor: Actor,
    ) -> Result<Signed, Error> {
        let key = SshPublicKey::parse(&wanted.about).map_err(refused("public_key"))?;
        let names = allowed(policy, &wanted.names)?;
        let now = self.world().now();
        let rules = &policy.policy.rules;
        let seconds = wanted.seconds.unwrap_or(rules.max_seconds);
        if seconds < 1 || seconds > rules.max_seconds {
            return Err(Error::invalid("seconds", format!("is not from 1 to {}", rules.max_seconds)));
        }
        let users = signer.secret.kind == Kind::SshUserCa;
        let permissions = if users { Options::of(&rules.permissions()?) } else { Options::default() };
        let serial = random_serial(self.world());
        let terms = Terms {
            kind: if users { CertificateKind::User } else { CertificateKind::Host },
            key_id: format!("{} {}", actor_text(actor), serial),
            serial,
            principals: names.clone(),
            not_before: now.minus(SKEW),
            not_after: now.plus(Duration::from_secs(seconds)),
            restrictions: rules.restrictions()?,
            permissions,
        };
        let valid = (terms.not_before, terms.not_after);
        let certificate = SshCertificate::sign(self.world(), &signer.key, &key, &terms);
        let certificate = certificate.map_err(|error| match error {
            CertificateError::Key(error) => refused("public_key")(error),
            error => Error::invalid("names", error.to_string()),
        })?;
        let (text, serial, fingerprint) = (certificate.to_string(), serial.to_string(), key.fingerprint());
        Ok(Signed { text, serial, names, fingerprint, valid })
    }

    fn sign_x509(&self, policy: &Policy, signer: &Signer, wanted: &Wanted) -> Result<Signed, Error> {
        let request = Request::from_pem(&wanted.about).map_err(x509_refused("request"))?;
        let now = self.world().now();
        let rules = &policy.policy.rules;
        let seconds = wanted.seconds.unwrap_or(rules.max_seconds);
        if seconds > rules.max_seconds {
            return Err(Error::invalid("seconds", format!("is more than {}", rules.max_seconds)));
        }
        let valid = lifetime(now, seconds, MAX_CERTIFICATE_SECONDS)?;
        let mut usages = vec![ExtendedKeyUsage::ServerAuth];
        if rules.client {
            usages.push(ExtendedKeyUsage::ClientAuth);
        }
        let crl_urls = Vec::new();
        let profile = Profile { crl_urls, ..Profile::tls(Vec::new(), usages, valid) };
        let chain = signer.secret.facts.certificate.as_deref().unwrap_or_default();
        let chain = Certificate::from_pem(chain).map_err(x509_refused("authority"))?;
        let issuer = Issuer::new(&signer.key, chain, now).map_err(x509_refused("authority"))?;
        let allows = |asked: Requested<'_>| match asked {
            Requested::CommonName(name) => policy.allows(name),
            Requested::AltName(AltName::Dns(name) | AltName::Email(name) | AltName::Uri(name)) => {
                policy.allows(name)
            }
            Requested::AltName(AltName::Ip(address)) => policy.allows(&address.to_string()),
            Requested::AltName(AltName::Other(_)) => false,
        };
        let certificate = issuer.sign_request(self.world(), &request, &profile, allows);
        let certificate = certificate.map_err(|error| match error {
            keyreeve_pki::x509::X509Error::NotAllowed { .. } => {
                Error::Denied("a policy that allows all of the names that the request asks for")
            }
            error => x509_refused("request")(error),
        })?;
        let facts = certificate.facts();
        let names = facts.alt_names.iter().map(crate::x509::shown).collect();
        let (serial, fingerprint) = (hex(facts.serial.as_bytes()), hex(&facts.sha256));
        let above: String = issuer.chain().iter().map(Certificate::to_pem).collect();
        Ok(Signed { text: format!("{}{above}", certificate.to_pem()), serial, names, fingerprint, valid })
    }

    /// A certificate about a key that is kept here, by the policy that its recipe names; with the chain above it.
    pub(crate) async fn issue_pair(
        &self,
        (tenant, asker): Asker<'_>,
        (recipe, profile): (&CertificateRecipe, &Profile),
        key: &KeyPair,
        cause: &Cause,
    ) -> Result<Vec<Certificate>, Error> {
        let name = recipe.policy.as_deref().unwrap_or_default();
        let policy = match asker {
            Some(authority) => self.open_policy(authority, name).await?,
            None => {
                let policy = self.find_policy(tenant, name).await?;
                let names = policy.rules.names.clone();
                Policy { policy, names }
            }
        };
        if policy.policy.kind != Kind::X509Ca {
            return Err(Error::invalid("policy", "is not one of an authority of certificates"));
        }
        let asked = recipe.names.iter().chain(&recipe.common_name);
        if asked.into_iter().any(|name| !policy.allows(name)) {
            return Err(Error::Denied("a policy that allows all of these names"));
        }
        if recipe.seconds > policy.policy.rules.max_seconds || recipe.client && !policy.policy.rules.client {
            return Err(Error::invalid("seconds", "or the use for clients is more than the policy allows"));
        }
        let signer = self.signer(tenant, policy.policy.authority).await?;
        let above = signer.secret.facts.certificate.as_deref().unwrap_or_default();
        let above = Certificate::from_pem(above).map_err(x509_refused("authority"))?;
        let issuer =
            Issuer::new(&signer.key, above, self.world().now()).map_err(x509_refused("authority"))?;
        let certificate =
            issuer.issue(self.world(), key.public(), profile).map_err(x509_refused("certificate"))?;
        let chain: Vec<Certificate> = std::iter::once(&certificate).chain(issuer.chain()).cloned().collect();
        let facts = certificate.facts();
        let signed = Signed {
            text: String::new(),
            serial: hex(facts.serial.as_bytes()),
            names: facts.alt_names.iter().map(crate::x509::shown).collect(),
            fingerprint: hex(&facts.sha256),
            valid: (facts.not_before, facts.not_after),
        };
        self.hand_out((tenant, policy), (signer, signed), false, cause).await?;
        Ok(chain)
    }

    async fn hand_out(
        &self,
        (tenant, policy): (TenantId, Policy),
        (signer, signed): (Signer, Signed),
        leased: bool,
        cause: &Cause,
    ) -> Result<HandedOut, Error> {
        let id = CertificateId::generate(self.world());
        let lease_id = leased.then(|| LeaseId::generate(self.world()));
        let Signed { text, serial, names, fingerprint, valid } = signed;
        let (secrets, cause) = (self.clone(), cause.clone());
        let name = policy.policy.name;
        let by = actor_text(cause.actor);
        let (of, number, kind) = (signer.secret.id, signer.number, signer.secret.kind);
        let (secret_key, issuer) = (signer.secret.key, by.clone());
        let (key, lease, names, serial, fingerprint, name) = self
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                let (names_text, now) = (json_text(&names)?, secrets.world().now());
                let row = params![
                    tenant,
                    id,
                    secret_key,
                    number,
                    serial,
                    names_text,
                    name,
                    fingerprint,
                    valid.0,
                    valid.1,
                    by,
                    now
                ];
                let key = tx.query_one(&schema::INSERT_CERTIFICATE, &row, |row| row.get::<i64>(0)).await?;
                let lease = match lease_id {
                    None => None,
                    Some(lease) => {
                        let term = crate::leases::Term { until: valid.1, most: valid.1 };
                        let of = crate::leases::Of {
                            tenant,
                            id: of,
                            key: secret_key,
                            number,
                            certificate: Some(key),
                        };
                        Some(crate::leases::insert(tx, &secrets, lease, (of, term), &cause).await?)
                    }
                };
                let detail = json!({
                    "authority": of.to_string(), "policy": name, "serial": serial, "names": names,
                    "fingerprint": fingerprint, "not_after": valid.1,
                });
                let target = ("certificate", id.to_string());
                record_of(tx, &secrets, (tenant, "certificate.issue"), target, (&cause, detail)).await?;
                Ok::<_, Error>((key, lease, names.clone(), serial.clone(), fingerprint.clone(), name.clone()))
            })
            .await?;
        let issued = Issued {
            key,
            id,
            authority: of,
            kind,
            serial,
            names,
            policy: name,
            fingerprint,
            not_before: valid.0,
            not_after: valid.1,
            issued_by: issuer,
            revoked_at: None,
            reason: None,
        };
        Ok(HandedOut { issued, certificate: text, lease })
    }

    /// A page of the certificates that were issued, newest first, those before `before`: all of them for whoever administers
    /// the tenant, their own for everybody else.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn certificates(
        &self,
        authority: &Authority,
        (before, limit): (Option<i64>, u16),
        cause: &Cause,
    ) -> Result<Vec<(i64, Issued)>, Error> {
        let (tenant, by) = (authority.tenant(), actor_text(cause.actor));
        let all = authority.may_manage_tenant();
        let (before, limit) =
            (before.unwrap_or(i64::MAX), i64::from(limit.clamp(1, crate::MAX_PAGE.saturating_add(1))));
        let read = async move |tx: &mut Tx<'_>| {
            if all {
                tx.query(&schema::CERTIFICATES, &params![tenant, before, limit], Issued::from_row).await
            } else {
                let page = params![tenant, by, before, limit];
                tx.query(&schema::CERTIFICATES_BY, &page, Issued::from_row).await
            }
        };
        let found: Vec<Issued> = self.store().read(read).await?;
        Ok(found.into_iter().map(|issued| (issued.key, issued)).collect())
    }

    /// A certificate that was issued, for whoever administers the tenant and whoever had it issued.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn certificate(
        &self,
        authority: &Authority,
        id: CertificateId,
        cause: &Cause,
    ) -> Result<Issued, Error> {
        let tenant = authority.tenant();
        let read = async move |tx: &mut Tx<'_>| {
            tx.query_opt(&schema::CERTIFICATE, &params![tenant, id], Issued::from_row).await
        };
        let found: Option<Issued> = self.store().read(read).await?;
        let own = actor_text(cause.actor);
        let sees = |issued: &Issued| authority.may_manage_tenant() || issued.issued_by == own;
        found.filter(sees).ok_or(Error::NotFound("certificate"))
    }

    /// Revokes a certificate: it stands in its authority's list from now on. For whoever administers the tenant and whoever
    /// had it issued. What is revoked stays so.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Invalid`] for a reason that there is not.
    pub async fn revoke_certificate(
        &self,
        authority: &Authority,
        (id, reason): (CertificateId, &str),
        cause: &Cause,
    ) -> Result<Issued, Error> {
        let known = reason.parse::<keyreeve_pki::x509::Reason>();
        known.map_err(|_| Error::invalid("reason", "is none that RFC 5280 has"))?;
        let issued = self.certificate(authority, id, cause).await?;
        let (tenant, secrets, by, why) = (authority.tenant(), self.clone(), cause.clone(), reason.to_owned());
        self.store()
            .write(async move |tx: &mut Tx<'_>| {
                revoke(tx, &secrets, (tenant, id, issued.key), (&why, &by)).await
            })
            .await?;
        self.certificate(authority, id, cause).await
    }
}

/// Revokes a certificate, if it is not revoked yet.
pub(crate) async fn revoke(
    tx: &mut Tx<'_>,
    secrets: &Secrets,
    (tenant, id, key): (TenantId, CertificateId, i64),
    (reason, cause): (&str, &Cause),
) -> Result<(), Error> {
    let now = secrets.world().now();
    if tx.execute(&schema::REVOKE_CERTIFICATE, &params![key, now, reason]).await? == 0 {
        return Ok(());
    }
    tx.changed(Some(tenant), crate::lists::TOPIC, crate::lists::ALL).await?;
    let target = ("certificate", id.to_string());
    let detail = json!({"reason": reason});
    record_of(tx, secrets, (tenant, "certificate.revoke"), target, (cause, detail)).await
}

/// The names that are asked for, if the policy allows all of them; all that it allows, where none is asked for.
pub(crate) fn allowed(policy: &Policy, asked: &[String]) -> Result<Vec<String>, Error> {
    let mut names = if asked.is_empty() { policy.names.clone() } else { asked.to_vec() };
    names.sort_unstable();
    names.dedup();
    if names.is_empty() || names.iter().any(|name| !policy.allows(name)) {
        return Err(Error::Denied("a policy that allows all of these names"));
    }
    Ok(names)
}

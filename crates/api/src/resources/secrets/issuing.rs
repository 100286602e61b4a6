//! Signing policies, certificates by them, and what authorities publish.

use super::documents::KindDoc;
use super::jwt::JwtRulesDoc;
use super::leases::LeaseDoc;
use super::secrets;
use crate::call::Call;
use crate::operation::{Operation, Table};
use crate::paging::PAGING;
use crate::policy::Asks;
use crate::refused::{INVALID_BODY, Refused};
use crate::reply::Reply;
use crate::resources::PartyRef;
use crate::state::ApiState;
use crate::when::When;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, header};
use keyreeve_http::route::{Guard, Routes, TenantName};
use keyreeve_secrets::{CertificateId, Issued, Kind, Published, Rules, SigningPolicy, Wanted};
use keyreeve_tokens::scope::{SECRETS_READ, SECRETS_WRITE};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;
use utoipa::ToSchema;

const POLICIES: &str = "/api/v1/signing-policies";
const POLICY: &str = "/api/v1/signing-policies/{policy}";

/// Where what an authority publishes is kept by others, and for how long.
pub(super) const CACHED: HeaderValue = HeaderValue::from_static("public, max-age=60");

pub(super) fn table() -> Table {
    certificates(policies(Table::new("Certificates")))
}

fn policies(table: Table) -> Table {
    table
        .add(
            Operation::get(POLICIES, "list_signing_policies")
                .says("List signing policies", "Those that are open to the caller; all of them for administrators.")
                .needs(SECRETS_READ, Asks::Visible)
                .query(PAGING)
                .pages::<PolicyDoc>("A page of signing policies."),
            list,
        )
        .add(
            Operation::post(POLICIES, "create_signing_policy")
                .says(
                    "Make a signing policy",
                    "What an authority signs, for whom, and for how long. Names are exact; `{{username}}` stands for the user name of \
                     whoever asks, if that is a plain one (small letters, digits, `_` and `-`, at most 32), and in X.509 `*.` for one \
                     label of a host name.",
                )
                .needs(SECRETS_WRITE, Asks::Tenant)
                .takes::<NewPolicyDoc>()
                .answers::<PolicyDoc>("The new signing policy.")
                .conflicts(),
            create,
        )
        .add(
            Operation::get(POLICY, "get_signing_policy")
                .says("Read a signing policy", "")
                .needs(SECRETS_READ, Asks::Visible)
                .answers::<PolicyDoc>("The signing policy.")
                .versioned(),
            get,
        )
        .add(
            Operation::put(POLICY, "update_signing_policy")
                .says("Give a signing policy other rules", "All of them. What was issued stays as it is.")
                .needs(SECRETS_WRITE, Asks::Tenant)
                .takes::<RulesDoc>()
                .answers::<PolicyDoc>("The signing policy as it is now.")
                .versioned(),
            update,
        )
        .add(
            Operation::delete(POLICY, "delete_signing_policy")
                .says("Remove a signing policy", "What was issued by it stays as it is.")
                .needs(SECRETS_WRITE, Asks::Tenant),
            delete,
        )
}

fn certificates(table: Table) -> Table {
    table
        .add(
            Operation::post("/api/v1/ssh/sign", "sign_ssh_key")
                .says(
                    "Have an SSH key signed",
                    "By a policy that is open to the caller. The certificate is recorded before it is handed out; with `leased` it \
                     ends with a lease, by which it can be given back.",
                )
                .needs(SECRETS_WRITE, Asks::Visible)
                .takes::<SignDoc>()
                .answers::<HandedOutDoc>("The certificate."),
            sign,
        )
        .add(
            Operation::post("/api/v1/pki/sign", "sign_certificate_request")
                .says(
                    "Have a certificate issued",
                    "For a request (PKCS#10), by a policy that is open to the caller and allows each of its names.",
                )
                .needs(SECRETS_WRITE, Asks::Visible)
                .takes::<RequestDoc>()
                .answers::<HandedOutDoc>("The certificate, with the chain above it."),
            request,
        )
        .add(
            Operation::get("/api/v1/certificates", "list_certificates")
                .says("List certificates that were issued", "Newest first: one's own; all of them for administrators.")
                .needs(SECRETS_READ, Asks::Visible)
                .query(PAGING)
                .pages::<CertificateDoc>("A page of certificates."),
            issued,
        )
        .add(
            Operation::get("/api/v1/certificates/{certificate}", "get_certificate")
                .says("Read what is kept of a certificate", "")
                .needs(SECRETS_READ, Asks::Visible)
                .answers::<CertificateDoc>("The certificate."),
            one,
        )
        .add(
            Operation::post("/api/v1/certificates/{certificate}/revoke", "revoke_certificate")
                .says("Revoke a certificate", "It stands in its authority's list from now on, and stays there.")
                .needs(SECRETS_WRITE, Asks::Visible)
                .takes::<RevocationDoc>()
                .answers::<CertificateDoc>("The certificate as it is now."),
            revoke,
        )
}

/// What everybody may read of authorities: their keys and certificates, and what they have revoked.
pub(super) fn public(routes: Routes<ApiState>) -> Routes<ApiState> {
    routes
        .get("/api/v1/ssh/authorities/{authority}/keys", Guard::Public, "ssh_authority_keys", ssh_keys)
        .get("/api/v1/ssh/authorities/{authority}/krl", Guard::Public, "ssh_authority_krl", ssh_list)
        .get("/api/v1/pki/authorities/{authority}/chain", Guard::Public, "pki_authority_chain", x509_chain)
        .get("/api/v1/pki/authorities/{authority}/crl", Guard::Public, "pki_authority_crl", x509_list)
}

/// What a policy allows.
#[derive(Serialize, Deserialize, ToSchema)]
#[schema(as = SigningRules)]
#[serde(deny_unknown_fields)]
struct RulesDoc {
    /// The users, service accounts and groups that it is open to, besides administrators.
    #[serde(default)]
    open_to: Vec<PartyRef>,
    /// The principals of an SSH certificate, the names of an X.509 one, or the subjects of a token.
    names: Vec<String>,
    /// The longest lifetime.
    max_seconds: u64,
    /// What an SSH server may allow the user: `permit-pty` and so on.
    #[serde(default)]
    extensions: Vec<String>,
    /// The one command that an SSH server runs for the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    force_command: Option<String>,
    /// The networks that the user may come from; any, where there is none.
    #[serde(default)]
    source_addresses: Vec<String>,
    /// Whether an X.509 certificate is for clients too.
    #[serde(default)]
    client: bool,
    /// What a token says besides whom it is about: of a `signing_key`, and of no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jwt: Option<JwtRulesDoc>,
}

impl From<RulesDoc> for Rules {
    fn from(doc: RulesDoc) -> Self {
        Self {
            open_to: doc.open_to.into_iter().map(Into::into).collect(),
            names: doc.names,
            max_seconds: doc.max_seconds,
            extensions: doc.extensions,
            force_command: doc.force_command,
            source_addresses: doc.source_addresses,
            client: doc.client,
            jwt: doc.jwt.map(Into::into),
        }
    }
}

impl From<&Rules> for RulesDoc {
    fn from(rules: &Rules) -> Self {
        let rules = rules.clone();
        Self {
            open_to: rules.open_to.into_iter().map(PartyRef::from).collect(),
            names: rules.names,
            max_seconds: rules.max_seconds,
            extensions: rules.extensions,
            force_command: rules.force_command,
            source_addresses: rules.source_addresses,
            client: rules.client,
            jwt: rules.jwt.map(Into::into),
        }
    }
}

/// A signing policy to make.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewSigningPolicy)]
#[serde(deny_unknown_fields)]
struct NewPolicyDoc {
    /// The name, unique in the tenant.
    name: String,
    /// The identifier of the authority: a secret of the kind `ssh_user_ca`, `ssh_host_ca`, `x509_ca` or `signing_key`.
    authority: String,
    rules: RulesDoc,
}

/// A signing policy.
#[derive(Serialize, ToSchema)]
#[schema(as = SigningPolicy)]
struct PolicyDoc {
    name: String,
    authority: String,
    kind: KindDoc,
    rules: RulesDoc,
    created_at: When,
    updated_at: When,
    /// Counts the changes; also the `ETag`.
    version: i64,
}

impl From<&SigningPolicy> for PolicyDoc {
    fn from(policy: &SigningPolicy) -> Self {
        Self {
            name: policy.name.clone(),
            authority: policy.authority.to_string(),
            kind: policy.kind.into(),
            rules: (&policy.rules).into(),
            created_at: policy.created_at.into(),
            updated_at: policy.updated_at.into(),
            version: policy.version,
        }
    }
}

/// An SSH key to sign.
#[derive(Deserialize, ToSchema)]
#[schema(as = SshSigning)]
#[serde(deny_unknown_fields)]
struct SignDoc {
    /// The name of the policy.
    policy: String,
    /// The public key: OpenSSH's line.
    public_key: String,
    /// The principals; all that the policy allows, where there are none.
    #[serde(default)]
    principals: Vec<String>,
    /// For how long; as long as the policy allows, where it is not said.
    #[serde(default)]
    seconds: Option<u64>,
    /// Whether the certificate ends with a lease.
    #[serde(default)]
    leased: bool,
}

/// A request for a certificate.
#[derive(Deserialize, ToSchema)]
#[schema(as = CertificateSigning)]
#[serde(deny_unknown_fields)]
struct RequestDoc {
    /// The name of the policy.
    policy: String,
    /// The request (PKCS#10) in PEM.
    request: String,
    /// For how long; as long as the policy allows, where it is not said.
    #[serde(default)]
    seconds: Option<u64>,
    /// Whether the certificate ends with a lease.
    #[serde(default)]
    leased: bool,
}

/// A certificate that was issued now.
#[derive(Serialize, ToSchema)]
#[schema(as = HandedOutCertificate)]
struct HandedOutDoc {
    /// OpenSSH's line, or PEM with the chain above it.
    certificate: String,
    issued: CertificateDoc,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<LeaseDoc>,
}

/// What is kept of a certificate that was issued.
#[derive(Serialize, ToSchema)]
#[schema(as = IssuedCertificate)]
struct CertificateDoc {
    id: String,
    /// The authority that issued it.
    authority: String,
    kind: KindDoc,
    /// Decimal for SSH, hexadecimal for X.509.
    serial: String,
    names: Vec<String>,
    policy: String,
    /// Of the key that it is about; of an X.509 certificate, its own.
    fingerprint: String,
    not_before: When,
    not_after: When,
    issued_by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<When>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl From<&Issued> for CertificateDoc {
    fn from(issued: &Issued) -> Self {
        Self {
            id: issued.id.to_string(),
            authority: issued.authority.to_string(),
            kind: issued.kind.into(),
            serial: issued.serial.clone(),
            names: issued.names.clone(),
            policy: issued.policy.clone(),
            fingerprint: issued.fingerprint.clone(),
            not_before: issued.not_before.into(),
            not_after: issued.not_after.into(),
            issued_by: issued.issued_by.clone(),
            revoked_at: issued.revoked_at.map(When::from),
            reason: issued.reason.clone(),
        }
    }
}

impl From<&(i64, Issued)> for CertificateDoc {
    fn from((_, issued): &(i64, Issued)) -> Self {
        Self::from(issued)
    }
}

fn unspecified() -> String {
    "unspecified".to_owned()
}

/// Why a certificate is revoked.
#[derive(Deserialize, ToSchema)]
#[schema(as = CertificateRevocation)]
#[serde(deny_unknown_fields)]
struct RevocationDoc {
    /// A reason of RFC 5280: `unspecified`, `keyCompromise`, `superseded`, `cessationOfOperation`, …
    #[serde(default = "unspecified")]
    reason: String,
}

async fn list(call: Call) -> Result<Reply, Refused> {
    let paging = call.paging()?;
    let page = (paging.after.as_deref().unwrap_or_default(), paging.with_one_more());
    let found = secrets(&call).policies(call.authority(), page).await?;
    paging.page::<_, PolicyDoc>(found, |policy| policy.name.clone())
}

fn reply(policy: &SigningPolicy) -> Result<Reply, Refused> {
    Ok(Reply::ok(&PolicyDoc::from(policy))?.version(policy.version))
}

async fn create(call: Call) -> Result<Reply, Refused> {
    let doc: NewPolicyDoc = call.body()?;
    let signs = doc.authority.parse();
    let signs =
        signs.map_err(|_| Refused::of(INVALID_BODY).at("/authority", "is not the identifier of a secret"))?;
    let new = (doc.name.as_str(), signs, Rules::from(doc.rules));
    reply(&secrets(&call).create_policy(call.authority(), new, &call.cause().await?).await?)
}

async fn get(call: Call) -> Result<Reply, Refused> {
    reply(&secrets(&call).policy(call.authority(), call.part("policy")).await?)
}

async fn update(call: Call) -> Result<Reply, Refused> {
    let doc: RulesDoc = call.body()?;
    let (which, cause) = ((call.part("policy"), call.if_match()?), call.cause().await?);
    reply(&secrets(&call).update_policy(call.authority(), which, doc.into(), &cause).await?)
}

async fn delete(call: Call) -> Result<Reply, Refused> {
    secrets(&call).delete_policy(call.authority(), call.part("policy"), &call.cause().await?).await?;
    Ok(Reply::done())
}

async fn sign(call: Call) -> Result<Reply, Refused> {
    let doc: SignDoc = call.body()?;
    let policy = secrets(&call).policy(call.authority(), &doc.policy).await?;
    if !matches!(policy.kind, Kind::SshUserCa | Kind::SshHostCa) {
        return Err(Refused::of(INVALID_BODY).at("/policy", "is not one of an authority of SSH keys"));
    }
    let wanted =
        Wanted { about: doc.public_key, names: doc.principals, seconds: doc.seconds, leased: doc.leased };
    hand_out(&call, &doc.policy, &wanted).await
}

async fn request(call: Call) -> Result<Reply, Refused> {
    let doc: RequestDoc = call.body()?;
    let policy = secrets(&call).policy(call.authority(), &doc.policy).await?;
    if policy.kind != Kind::X509Ca {
        return Err(Refused::of(INVALID_BODY).at("/policy", "is not one of an authority of certificates"));
    }
    let wanted = Wanted { about: doc.request, names: Vec::new(), seconds: doc.seconds, leased: doc.leased };
    hand_out(&call, &doc.policy, &wanted).await
}

async fn hand_out(call: &Call, policy: &str, wanted: &Wanted) -> Result<Reply, Refused> {
    let cause = call.cause().await?;
    let out = secrets(call).issue(call.authority(), policy, wanted, &cause).await?;
    Reply::ok(&HandedOutDoc {
        certificate: out.certificate,
        issued: (&out.issued).into(),
        lease: out.lease.as_ref().map(LeaseDoc::from),
    })
}

async fn issued(call: Call) -> Result<Reply, Refused> {
    let paging = call.paging()?;
    let page = (super::leases::place(&paging)?, paging.with_one_more());
    let found = secrets(&call).certificates(call.authority(), page, &call.cause().await?).await?;
    paging.page::<_, CertificateDoc>(found, |(place, _)| place.to_string())
}

fn certificate(call: &Call) -> Result<CertificateId, Refused> {
    call.part("certificate").parse().map_err(|_| Refused::not_found("certificate"))
}

async fn one(call: Call) -> Result<Reply, Refused> {
    let cause = call.cause().await?;
    let found = secrets(&call).certificate(call.authority(), certificate(&call)?, &cause).await?;
    Reply::ok(&CertificateDoc::from(&found))
}

async fn revoke(call: Call) -> Result<Reply, Refused> {
    let doc: RevocationDoc = call.body()?;
    let (which, cause) = ((certificate(&call)?, doc.reason.as_str()), call.cause().await?);
    let revoked = secrets(&call).revoke_certificate(call.authority(), which, &cause).await?;
    Reply::ok(&CertificateDoc::from(&revoked))
}

/// The parameters of a public path; the tenant may be among them.
pub(super) type Parts = Path<HashMap<String, String>>;

async fn published(
    state: &ApiState,
    (name, parts): (&TenantName, &Parts),
    x509: bool,
) -> Result<Arc<Published>, Refused> {
    let tenant = state.tenant(name).await?;
    let missing = || Refused::not_found("authority");
    let id = parts.get("authority").and_then(|text| text.parse().ok()).ok_or_else(missing)?;
    let published = state.secrets().published(tenant.id, id).await?;
    if (published.kind == Kind::X509Ca) == x509 { Ok(published) } else { Err(missing()) }
}

fn answer(found: Result<Arc<Published>, Refused>, kind: &'static str, list: bool) -> Response {
    match found {
        Ok(found) => {
            let headers =
                [(header::CONTENT_TYPE, HeaderValue::from_static(kind)), (header::CACHE_CONTROL, CACHED)];
            let body = if list { found.revoked.to_vec() } else { found.keys.clone().into_bytes() };
            (headers, body).into_response()
        }
        Err(refused) => refused.answer(None),
    }
}

async fn ssh_keys(State(state): State<ApiState>, name: TenantName, parts: Parts) -> Response {
    answer(published(&state, (&name, &parts), false).await, "text/plain; charset=utf-8", false)
}

async fn ssh_list(State(state): State<ApiState>, name: TenantName, parts: Parts) -> Response {
    answer(published(&state, (&name, &parts), false).await, "application/octet-stream", true)
}

async fn x509_chain(State(state): State<ApiState>, name: TenantName, parts: Parts) -> Response {
    answer(published(&state, (&name, &parts), true).await, "application/pem-certificate-chain", false)
}

async fn x509_list(State(state): State<ApiState>, name: TenantName, parts: Parts) -> Response {
    answer(published(&state, (&name, &parts), true).await, "application/pkix-crl", true)
}

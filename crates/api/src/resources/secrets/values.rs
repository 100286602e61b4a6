//! Values: read, written, rotated; versions deleted, had back, destroyed.

use super::documents::{FactsDoc, KindDoc, ValueDoc, VersionDoc};
use super::leases::LeaseDoc;
use super::{named, secrets};
use crate::call::Call;
use crate::operation::{Operation, Table};
use crate::paging::PAGING;
use crate::policy::Asks;
use crate::refused::{INVALID_BODY, Refused};
use crate::reply::Reply;
use crate::when::When;
use keyreeve_crypto::{Secret as SecretText, base64url};
use keyreeve_secrets::{Error, Fate, Kind, LeaseWish, Opened};
use keyreeve_tokens::scope::{SECRETS_READ, SECRETS_WRITE};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

pub(super) fn table() -> Table {
    writing(Table::new("Secrets"))
        .add(
            Operation::post("/api/v1/secrets/{id}/read", "read_secret")
                .says(
                    "Read a value",
                    "Takes `READ` on the secret. The reading is in the audit log before the value is opened; where it cannot be \
                     recorded, there is no value. An authority's key never leaves. No answer of this is to be kept by anything \
                     between. Where the value lies in a store elsewhere, it is fetched from there and not kept.",
                )
                .needs(SECRETS_READ, Asks::UseSecret)
                .takes::<ReadDoc>()
                .answers::<OpenedDoc>("The value.")
                .reaches(),
            read,
        )
        .add(
            Operation::get("/api/v1/secrets/{id}/versions", "list_secret_versions")
                .says("List versions", "Newest first, without their values.")
                .needs(SECRETS_READ, Asks::UseSecret)
                .query(PAGING)
                .pages::<VersionDoc>("A page of versions.")
                .reaches(),
            versions,
        )
        .add(
            Operation::post("/api/v1/secrets/{id}/versions/delete", "delete_secret_versions")
                .says("Delete versions", "Nobody reads them until they are had back. Takes `DELETE`.")
                .needs(SECRETS_WRITE, Asks::UseSecret)
                .takes::<NumbersDoc>()
                .answers::<ChangedDoc>("How many changed.")
                .reaches(),
            delete,
        )
        .add(
            Operation::post("/api/v1/secrets/{id}/versions/undelete", "undelete_secret_versions")
                .says("Have deleted versions back", "Takes `WRITE`.")
                .needs(SECRETS_WRITE, Asks::UseSecret)
                .takes::<NumbersDoc>()
                .answers::<ChangedDoc>("How many changed.")
                .reaches(),
            undelete,
        )
        .add(
            Operation::post("/api/v1/secrets/{id}/versions/destroy", "destroy_secret_versions")
                .says("Destroy versions", "Their values are removed for good. Takes `DELETE`.")
                .needs(SECRETS_WRITE, Asks::UseSecret)
                .takes::<NumbersDoc>()
                .answers::<ChangedDoc>("How many changed.")
                .reaches(),
            destroy,
        )
}

fn writing(table: Table) -> Table {
    table
        .add(
            Operation::post("/api/v1/secrets/{id}/versions", "write_secret")
                .says(
                    "Give a secret a new value",
                    "Takes `WRITE`. `follows` names the newest version, so that of two writers one is told; 0 where there is to be \
                     none yet.",
                )
                .needs(SECRETS_WRITE, Asks::UseSecret)
                .takes::<WriteDoc>()
                .answers::<VersionDoc>("The new version.")
                .conflicts()
                .reaches(),
            write,
        )
        .add(
            Operation::post("/api/v1/secrets/{id}/patch", "patch_secret_data")
                .says(
                    "Patch a key/value secret",
                    "By a JSON merge patch (RFC 7396) of its data, into a new version. Takes `WRITE`, and shows nothing of what was \
                     there.",
                )
                .needs(SECRETS_WRITE, Asks::UseSecret)
                .takes::<PatchDoc>()
                .answers::<VersionDoc>("The new version.")
                .conflicts()
                .reaches(),
            patch,
        )
        .add(
            Operation::post("/api/v1/secrets/{id}/rotate", "rotate_secret")
                .says(
                    "Rotate a secret",
                    "A new value is made by what made the last: a password by its policy, a key of its type, a certificate of its \
                     names. Takes `ROTATE`, and shows it to nobody.",
                )
                .needs(SECRETS_WRITE, Asks::UseSecret)
                .answers::<VersionDoc>("The new version.")
                .versioned(),
            rotate,
        )
}

/// What is to be read, and how.
#[derive(Deserialize, ToSchema)]
#[schema(as = SecretReading)]
#[serde(deny_unknown_fields)]
struct ReadDoc {
    /// Which version; the newest, where none is named.
    #[serde(default)]
    version: Option<i64>,
    /// How a private key is to be written.
    #[serde(default)]
    format: FormatDoc,
    /// What an SSH key is to be encrypted with, in OpenSSH's format.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    passphrase: Option<SecretText>,
    /// For how long the reading is to be leased.
    #[serde(default)]
    lease_seconds: Option<u64>,
    /// The lease under which it is read again.
    #[serde(default)]
    lease: Option<String>,
}

impl ReadDoc {
    fn wish(&self) -> Result<LeaseWish, Refused> {
        match (&self.lease, self.lease_seconds) {
            (None, None) => Ok(LeaseWish::AsSet),
            (None, Some(seconds)) => Ok(LeaseWish::For(seconds)),
            (Some(lease), None) => {
                lease.parse().map(LeaseWish::Under).map_err(|_| Refused::not_found("lease"))
            }
            (Some(_), Some(_)) => {
                Err(Refused::of(INVALID_BODY).at("/lease_seconds", "and a lease do not go together"))
            }
        }
    }
}

/// How a private key is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[schema(as = PrivateKeyFormat)]
#[serde(rename_all = "snake_case")]
enum FormatDoc {
    /// OpenSSH's own for an SSH key, PEM for a certificate's.
    #[default]
    Usual,
    /// PEM (PKCS#8).
    Pem,
}

/// A value.
#[derive(Serialize, ToSchema)]
#[schema(as = OpenedSecret)]
struct OpenedDoc {
    id: String,
    kind: KindDoc,
    name: String,
    /// Which version it is.
    version: i64,
    created_at: When,
    facts: FactsDoc,
    /// The value: the member that goes with the kind.
    value: OpenedValueDoc,
    /// The lease, where the reading is leased.
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<LeaseDoc>,
}

/// The value itself.
#[derive(Default, Serialize, ToSchema)]
#[schema(as = SecretValue)]
struct OpenedValueDoc {
    /// Of a `key_value`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    data: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
    /// Of an `ssh_key` or a `certificate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    private_key: Option<String>,
    /// Of a `file`, in base64url.
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

/// A new value.
#[derive(Deserialize, ToSchema)]
#[schema(as = SecretWrite)]
#[serde(deny_unknown_fields)]
struct WriteDoc {
    value: ValueDoc,
    /// The newest version, which this one is to follow.
    #[serde(default)]
    follows: Option<i64>,
}

/// A patch of data.
#[derive(Deserialize, ToSchema)]
#[schema(as = SecretDataPatch)]
#[serde(deny_unknown_fields)]
struct PatchDoc {
    /// The merge patch.
    #[schema(value_type = Object)]
    data: Box<RawValue>,
    /// The newest version, to which it applies.
    #[serde(default)]
    follows: Option<i64>,
}

/// Which versions.
#[derive(Deserialize, ToSchema)]
#[schema(as = SecretVersions)]
#[serde(deny_unknown_fields)]
struct NumbersDoc {
    /// Their numbers, at most 100.
    versions: Vec<i64>,
}

/// What became of it.
#[derive(Serialize, ToSchema)]
#[schema(as = SecretVersionsChanged)]
struct ChangedDoc {
    /// How many versions are otherwise than they were.
    changed: u64,
}

async fn read(call: Call) -> Result<Reply, Refused> {
    let doc: ReadDoc = call.body()?;
    let cause = call.cause().await?;
    let (id, wish) = (named(&call)?, doc.wish()?);
    let read = secrets(&call).read_leased(call.authority(), id, doc.version, wish, &cause).await?;
    let (opened, lease) = read;
    let value = value_of(&call, &opened, doc).await?;
    Reply::ok(&OpenedDoc {
        id: opened.id.to_string(),
        kind: opened.kind.into(),
        name: opened.name.clone(),
        version: opened.version.number,
        created_at: opened.version.created_at.into(),
        facts: (&opened.version.facts).into(),
        value,
        lease: lease.as_ref().map(LeaseDoc::from),
    })
}

async fn value_of(call: &Call, opened: &Opened, doc: ReadDoc) -> Result<OpenedValueDoc, Refused> {
    let text = || {
        let text = std::str::from_utf8(opened.value.expose()).map(str::to_owned);
        text.map_err(|_| Refused::from(keyreeve_store::Error::corrupt("a value is not text")))
    };
    let mut value = OpenedValueDoc::default();
    match opened.kind {
        Kind::KeyValue => {
            let raw = RawValue::from_string(text()?);
            value.data = Some(raw.map_err(|_| keyreeve_store::Error::corrupt("a value is not JSON"))?);
        }
        Kind::Password => value.password = Some(text()?),
        Kind::SshKey if doc.format == FormatDoc::Usual => {
            let key = secrets(call).openssh(opened, doc.passphrase).await?;
            value.private_key = Some(key.expose().to_owned());
        }
        Kind::SshKey | Kind::Certificate => {
            value.private_key = Some(secrets(call).private_pem(opened)?.expose().to_owned());
        }
        Kind::File => value.base64 = Some(base64url::encode(opened.value.expose())),
        Kind::SshUserCa | Kind::SshHostCa | Kind::X509Ca | Kind::SigningKey => {
            return Err(Error::NotFound("value").into());
        }
    }
    Ok(value)
}

async fn write(call: Call) -> Result<Reply, Refused> {
    let doc: WriteDoc = call.body()?;
    let (content, cause) = (doc.value.read(None)?, call.cause().await?);
    let id = named(&call)?;
    let written = secrets(&call).write(call.authority(), id, content, doc.follows, &cause).await?;
    Reply::ok(&VersionDoc::from(&written))
}

async fn patch(call: Call) -> Result<Reply, Refused> {
    let doc: PatchDoc = call.body()?;
    let (data, cause) = (SecretText::from(Box::<str>::from(doc.data).into_string()), call.cause().await?);
    let id = named(&call)?;
    let written = secrets(&call).patch(call.authority(), id, &data, doc.follows, &cause).await?;
    Reply::ok(&VersionDoc::from(&written))
}

async fn rotate(call: Call) -> Result<Reply, Refused> {
    let cause = call.cause().await?;
    Reply::ok(&VersionDoc::from(&secrets(&call).rotate(call.authority(), named(&call)?, &cause).await?))
}

async fn versions(call: Call) -> Result<Reply, Refused> {
    let paging = call.paging()?;
    let before = match paging.after.as_deref() {
        None => None,
        Some(text) => Some(
            crate::paging::number(text)
                .map(i64::from)
                .ok_or_else(|| Refused::parameter("after", "is not the `next` of a page"))?,
        ),
    };
    let page = (before, paging.with_one_more());
    let found = secrets(&call).versions(call.authority(), named(&call)?, page).await?;
    paging.page::<_, VersionDoc>(found, |version| version.number.to_string())
}

async fn decide(call: &Call, fate: Fate) -> Result<Reply, Refused> {
    let doc: NumbersDoc = call.body()?;
    let (id, cause) = (named(call)?, call.cause().await?);
    let changed = secrets(call).decide_on(call.authority(), id, fate, &doc.versions, &cause).await?;
    Reply::ok(&ChangedDoc { changed })
}

async fn delete(call: Call) -> Result<Reply, Refused> {
    decide(&call, Fate::Delete).await
}

async fn undelete(call: Call) -> Result<Reply, Refused> {
    decide(&call, Fate::Undelete).await
}

async fn destroy(call: Call) -> Result<Reply, Refused> {
    decide(&call, Fate::Destroy).await
}

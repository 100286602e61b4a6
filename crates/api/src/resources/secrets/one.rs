//! Secrets themselves, without their values.

use super::documents::{NewSecretDoc, SecretDoc, SecretPatchDoc, owner_of};
use super::{named, secrets};
use crate::call::{Call, Made};
use crate::operation::{Operation, Table};
use crate::paging::PAGING;
use crate::policy::Asks;
use crate::refused::{INVALID_BODY, Refused};
use crate::reply::Reply;
use crate::resources::PartyRef;
use crate::search::{filter, listing};
use keyreeve_filter::Path;
use keyreeve_identity::search::Direction;
use keyreeve_secrets::{
    Elsewhere, NewSecret, Place, Secret, SecretField, SecretId, SecretPatch, SecretSearch, Sort,
};
use keyreeve_tokens::scope::{SECRETS_READ, SECRETS_WRITE};
use serde::Deserialize;
use utoipa::ToSchema;

const PATH: &str = "/api/v1/secrets";
const ONE: &str = "/api/v1/secrets/{id}";

pub(super) fn table() -> Table {
    Table::new("Secrets")
        .add(
            Operation::get(PATH, "list_secrets")
                .says(
                    "List secrets",
                    "Those that the caller sees, without their values, in the order of their making or of their names. Filters know \
                     `id`, `kind`, `name`, `description`, `owner`, `mount`, `path`, `store`, `fingerprint`, `created_at`, `updated_at`, \
                     `expires_at` and `labels.NAME`. A page may hold fewer than `limit` and still have a next one.",
                )
                .needs(SECRETS_READ, Asks::Visible)
                .query(PAGING)
                .query(listing())
                .pages::<SecretDoc>("A page of secrets."),
            list,
        )
        .add(
            Operation::post(PATH, "create_secret")
                .says(
                    "Make a secret",
                    "With a value of the caller's, or one that is made here. Everybody makes secrets of their own, and of groups that \
                     they administer; administrators and the tenant's clients choose the owner, and make authorities. The value \
                     is in no answer but that of a reading.",
                )
                .needs(SECRETS_WRITE, Asks::CreateSecret)
                .takes::<NewSecretDoc>()
                .creates::<SecretDoc>("The new secret."),
            create,
        )
        .add(
            Operation::get(ONE, "get_secret")
                .says("Read what is known of a secret", "All but its value.")
                .needs(SECRETS_READ, Asks::UseSecret)
                .answers::<SecretDoc>("The secret.")
                .versioned(),
            get,
        )
        .add(
            Operation::patch(ONE, "update_secret")
                .says("Change what is said of a secret", "A JSON merge patch; `labels` and `settings` are replaced as a whole.")
                .needs(SECRETS_WRITE, Asks::UseSecret)
                .takes::<SecretPatchDoc>()
                .answers::<SecretDoc>("The secret as it is now.")
                .versioned(),
            update,
        )
        .add(
            Operation::delete(ONE, "delete_secret")
                .says("Remove a secret", "With all its versions, for good. What a store elsewhere keeps stays there: destroy its versions first, if it is to go.")
                .needs(SECRETS_WRITE, Asks::UseSecret)
                .versioned()
                .conflicts(),
            delete,
        )
        .add(
            Operation::post("/api/v1/secrets/{id}/owner", "transfer_secret")
                .says("Give a secret to another owner", "Takes ownership. What was granted stays.")
                .needs(SECRETS_WRITE, Asks::UseSecret)
                .takes::<OwnerDoc>()
                .answers::<SecretDoc>("The secret as it is now.")
                .versioned(),
            transfer,
        )
}

/// A new owner.
#[derive(Deserialize, ToSchema)]
#[schema(as = SecretOwner)]
#[serde(deny_unknown_fields)]
struct OwnerDoc {
    /// Who; `null` for the tenant.
    owner: Option<PartyRef>,
}

fn field(path: &Path) -> Option<SecretField> {
    let name = path.name.to_ascii_lowercase();
    match (name.as_str(), &path.sub) {
        ("labels", Some(label)) => Some(SecretField::Label(label.clone())),
        (_, Some(_)) => None,
        ("id", None) => Some(SecretField::Id),
        ("kind", None) => Some(SecretField::Kind),
        ("name", None) => Some(SecretField::Name),
        ("description", None) => Some(SecretField::Description),
        ("owner", None) => Some(SecretField::Owner),
        ("mount", None) => Some(SecretField::Mount),
        ("path", None) => Some(SecretField::Path),
        ("store", None) => Some(SecretField::Store),
        ("fingerprint", None) => Some(SecretField::Fingerprint),
        ("created_at", None) => Some(SecretField::CreatedAt),
        ("updated_at", None) => Some(SecretField::UpdatedAt),
        ("expires_at", None) => Some(SecretField::ExpiresAt),
        _ => None,
    }
}

fn reply(secret: &Secret) -> Result<Reply, Refused> {
    Ok(Reply::ok(&SecretDoc::from(secret))?.version(secret.version))
}

async fn list(call: Call) -> Result<Reply, Refused> {
    let paging = call.paging()?;
    let query = call.query();
    let sort = match query.get("sort") {
        None | Some("created_at") => (Sort::Made, Direction::Ascending),
        Some("-created_at") => (Sort::Made, Direction::Descending),
        Some("name") => (Sort::Name, Direction::Ascending),
        Some("-name") => (Sort::Name, Direction::Descending),
        Some(_) => return Err(Refused::parameter("sort", "must be created_at or name, with or without a -")),
    };
    let filter = query.get("filter").map(|text| filter(text, field)).transpose()?;
    let after = paging.after.as_deref().map(str::parse).transpose()?;
    let search = SecretSearch { filter, sort, after, limit: paging.limit };
    let found = secrets(&call).search(call.authority(), &search).await?;
    let items: Vec<SecretDoc> = found.items.iter().map(SecretDoc::from).collect();
    paging.reply(&items, found.next.map(|next| next.to_string()).as_deref(), None)
}

/// What the document asks for.
pub(super) fn read(doc: NewSecretDoc) -> Result<NewSecret, Refused> {
    let place = match (&doc.mount, &doc.path) {
        (None, None) => None,
        (Some(mount), Some(path)) => Some(Place::new(mount, path)?),
        _ => return Err(Refused::of(INVALID_BODY).at("/path", "and the mount go together")),
    };
    let elsewhere = match (doc.store, doc.store_path) {
        (None, None) => None,
        (Some(store), Some(path)) => {
            let wrong = |_| Refused::of(INVALID_BODY).at("/store", "is not the identifier of a secret store");
            Some(Elsewhere { store: store.parse().map_err(wrong)?, path })
        }
        _ => return Err(Refused::of(INVALID_BODY).at("/store_path", "and the store go together")),
    };
    Ok(NewSecret {
        content: doc.value.map(|value| value.read(Some(doc.kind))).transpose()?,
        kind: doc.kind.into(),
        name: doc.name,
        description: doc.description,
        labels: doc.labels,
        owner: owner_of(&doc.owner),
        parent: doc.parent,
        place,
        settings: doc.settings.into(),
        elsewhere,
    })
}

async fn create(call: Call) -> Result<Reply, Refused> {
    let new = read(call.body()?)?;
    let made = secrets(&call).create(call.authority(), new, &call.cause().await?).await;
    let made = Made::of(made)?;
    let (id, replayed) = made.id(|secret| secret.id.uuid());
    let secret = match made {
        Made::Now(secret) => secret,
        Made::Before(_) => secrets(&call).get(call.authority(), SecretId::from_uuid(id)).await?,
    };
    let location = format!("{PATH}/{}", secret.id);
    Ok(Reply::created(&SecretDoc::from(&secret), location)?.version(secret.version).replayed(replayed))
}

async fn get(call: Call) -> Result<Reply, Refused> {
    reply(&secrets(&call).get(call.authority(), named(&call)?).await?)
}

async fn update(call: Call) -> Result<Reply, Refused> {
    let doc: SecretPatchDoc = call.body()?;
    let patch = SecretPatch {
        name: doc.name,
        description: doc.description,
        labels: doc.labels,
        settings: doc.settings.map(Into::into),
    };
    let (id, version, cause) = (named(&call)?, call.if_match()?, call.cause().await?);
    reply(&secrets(&call).update(call.authority(), id, patch, version, &cause).await?)
}

async fn delete(call: Call) -> Result<Reply, Refused> {
    let (id, version) = (named(&call)?, call.if_match()?);
    secrets(&call).delete(call.authority(), id, version, &call.cause().await?).await?;
    Ok(Reply::done())
}

async fn transfer(call: Call) -> Result<Reply, Refused> {
    let doc: OwnerDoc = call.body()?;
    let (id, version, cause) = (named(&call)?, call.if_match()?, call.cause().await?);
    let owner = doc.owner.map(Into::into);
    reply(&secrets(&call).transfer(call.authority(), id, owner, version, &cause).await?)
}

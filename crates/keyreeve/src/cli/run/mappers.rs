//! `keyreeve mapper …`

use super::{names, said};
use crate::cli::args::MapperCommand;
use crate::cli::client::{Api, Call, at};
use crate::cli::edits;
use crate::cli::exit::{Failure, Output};
use crate::cli::view::{self, Fields};
use serde_json::json;

const MAPPER: Fields = &[
    ("name", "/name"),
    ("client", "/client"),
    ("claim", "/claim"),
    ("source", "/source"),
    ("type", "/value_type"),
    ("multi-valued", "/multivalued"),
    ("targets", "/targets"),
    ("scope", "/scope"),
    ("version", "/version"),
    ("id", "/id"),
];
const MAPPERS: Fields =
    &[("ID", "/id"), ("NAME", "/name"), ("CLIENT", "/client"), ("CLAIM", "/claim"), ("SOURCE", "/source")];

pub(super) async fn run(api: &Api, command: &MapperCommand) -> Result<Output, Failure> {
    match command {
        MapperCommand::Create { tenant, client, edits } => {
            let at = collection(api, &tenant.tenant, client.as_deref()).await?;
            let call = Call::post(at).body(edits::document(edits)?);
            Ok(view::one(api.send(&tenant.tenant, call).await?, MAPPER))
        }
        MapperCommand::Show { mapper, tenant } => {
            Ok(view::one(api.send(&tenant.tenant, Call::get(at!["mappers", mapper])).await?, MAPPER))
        }
        MapperCommand::List { tenant, client } => {
            let at = collection(api, &tenant.tenant, client.as_deref()).await?;
            let (items, _) = api.list(&tenant.tenant, Call::get(at), true).await?;
            Ok(view::many(items, MAPPERS))
        }
        MapperCommand::Update { mapper, tenant, edits } => {
            let call = Call::patch(at!["mappers", mapper]).body(edits::patch(edits)?).version(edits.version);
            Ok(view::one(api.send(&tenant.tenant, call).await?, MAPPER))
        }
        MapperCommand::Delete { mapper, tenant } => {
            api.send(&tenant.tenant, Call::delete(at!["mappers", mapper])).await?;
            Ok(said(format!("The mapper {mapper} was removed."), json!({"deleted": mapper})))
        }
    }
}

/// The mappers of a client, or those of the tenant.
async fn collection(api: &Api, tenant: &str, client: Option<&str>) -> Result<String, Failure> {
    Ok(match client {
        Some(client) => at!["clients", names::client(api, tenant, client).await?, "mappers"],
        None => at!["mappers"],
    })
}

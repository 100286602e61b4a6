//! Files: as bytes in and out.

use super::documents::VersionDoc;
use super::{named, secrets};
use crate::call::Call;
use crate::operation::{Operation, QueryKind, QueryParam, Table};
use crate::policy::Asks;
use crate::refused::{INVALID_BODY, LONG_BODY, Refused, SLOW_BODY};
use crate::reply::Reply;
use axum::body::Body;
use http_body_util::BodyExt as _;
use keyreeve_crypto::SecretBytes;
use keyreeve_secrets::{Content, Kind};
use keyreeve_tokens::scope::{SECRETS_READ, SECRETS_WRITE};
use std::time::Duration;

const PATH: &str = "/api/v1/secrets/{id}/content";
const BYTES: &str = "application/octet-stream";
/// How long the next piece of a file may take to come.
const PATIENCE: Duration = Duration::from_secs(30);

const MEDIA_TYPE: QueryParam =
    QueryParam { name: "media_type", description: "The media type of the file.", kind: QueryKind::Text };
const FILE_NAME: QueryParam =
    QueryParam { name: "file_name", description: "The name of the file.", kind: QueryKind::Text };
const FOLLOWS: QueryParam = QueryParam {
    name: "follows",
    description: "The newest version, which this one is to follow.",
    kind: QueryKind::Count { least: 0, most: u32::MAX },
};

pub(super) fn table() -> Table {
    Table::new("Secrets")
        .add(
            Operation::get(PATH, "read_secret_file")
                .says("Read a file", "Takes `READ` on the secret; recorded as any reading is.")
                .needs(SECRETS_READ, Asks::UseSecret)
                .streams(&[BYTES], "What is in the file."),
            read,
        )
        .add(
            Operation::put(PATH, "write_secret_file")
                .says("Write a file", "Into a new version. Takes `WRITE`. At most as long as the operator allows: 1 MiB, if not set.")
                .needs(SECRETS_WRITE, Asks::UseSecret)
                .query(&[MEDIA_TYPE, FILE_NAME, FOLLOWS])
                .takes_stream(BYTES)
                .answers::<VersionDoc>("The new version.")
                .conflicts(),
            write,
        )
}

async fn read(call: Call) -> Result<Reply, Refused> {
    let (id, cause) = (named(&call)?, call.cause().await?);
    let secret = secrets(&call).get(call.authority(), id).await?;
    if secret.kind != Kind::File {
        return Err(keyreeve_secrets::Error::NotFound("file").into());
    }
    let opened = secrets(&call).read(call.authority(), id, None, &cause).await?;
    Ok(Reply::flow(BYTES, Body::from(opened.value.expose().to_vec())))
}

async fn write(call: Call) -> Result<Reply, Refused> {
    let id = named(&call)?;
    // Whoever may not write is told before they have sent it all.
    secrets(&call).get(call.authority(), id).await?;
    let most = secrets(&call).options().max_value_bytes;
    let mut body = call.take_stream();
    // Room for all of it at once: growing would leave parts of the file behind.
    let length = call.headers().get(http::header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let length = length.and_then(|text| text.parse().ok()).unwrap_or(most);
    let mut bytes = Vec::with_capacity(length.min(most));
    loop {
        let piece = tokio::time::timeout(PATIENCE, body.frame()).await.map_err(|_| Refused::of(SLOW_BODY))?;
        let Some(frame) = piece else { break };
        let frame = frame.map_err(|_| Refused::of(INVALID_BODY).detail("the file broke off"))?;
        let data = frame.into_data().unwrap_or_default();
        if bytes.len().saturating_add(data.len()) > most {
            return Err(Refused::of(LONG_BODY).detail(format!("the file is longer than {most} bytes")));
        }
        bytes.extend_from_slice(&data);
    }
    let query = call.query();
    let follows = query.get("follows").and_then(crate::paging::number).map(i64::from);
    let content = Content::File {
        bytes: SecretBytes::from(bytes),
        media_type: query.get("media_type").map(str::to_owned),
        file_name: query.get("file_name").map(str::to_owned),
    };
    let cause = call.cause().await?;
    let written = secrets(&call).write(call.authority(), id, content, follows, &cause).await?;
    Reply::ok(&VersionDoc::from(&written))
}

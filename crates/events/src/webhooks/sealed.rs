//! What this room keeps sealed, for a change of the data key.

use super::service::secret_parts;
use crate::schema;
use keyreeve_identity::{Renewal, Rows, SealedColumn, SealedRow};
use keyreeve_store::{Error, Row};

/// What this room keeps sealed.
pub static SEALED: &[SealedColumn] = &[
    SealedColumn {
        name: "webhook.sealed_previous",
        left: &schema::PREVIOUS_LEFT,
        renewal: Renewal::ByRow(Rows {
            page: &schema::PREVIOUS_TO_RESEAL,
            read,
            replace: &schema::RESEAL_PREVIOUS,
        }),
    },
    SealedColumn {
        name: "webhook.sealed_secret",
        left: &schema::SECRETS_LEFT,
        renewal: Renewal::ByRow(Rows {
            page: &schema::SECRETS_TO_RESEAL,
            read,
            replace: &schema::RESEAL_SECRET,
        }),
    },
];

fn read(row: &Row<'_>) -> Result<SealedRow, Error> {
    let id = row.get(0)?;
    Ok(SealedRow { id, parts: secret_parts(&id).map(<[u8]>::to_vec).into(), sealed: row.get(1)? })
}

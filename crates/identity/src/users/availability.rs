//! Whether a name is still free.

use super::fields;
use super::service::Users;
use crate::admission::Refusal;
use crate::{Authority, Error, schema};
use keyreeve_base::{Origin, TenantId};
use keyreeve_store::{Tx, params};

/// The action under which the audit log has a refused question.
const ACTION: &str = "user.availability";

impl Users<'_> {
    /// Whether no user of the tenant has this username or e-mail address, in any spelling. The answer tells who has an
    /// account: so only who was admitted to this tenant is answered, and only so often (ABUSE-CASES AC-21).
    ///
    /// # Errors
    /// [`Error::Invalid`] for `identifier` when nobody can have it; [`Error::NotFound`] for the tenant.
    pub async fn is_available(
        self,
        tenant: TenantId,
        identifier: &str,
        asked_by: &Authority,
        origin: &Origin,
    ) -> Result<Result<bool, Refusal>, Error> {
        if asked_by.tenant() != tenant {
            return Ok(Err(Refusal::Denied));
        }
        let canonical = fields::canonical("identifier", identifier)?;
        let settings = self.0.tenants().get(tenant).await?;
        let (identity, origin, asked_by) = (self.0.clone(), origin.clone(), asked_by.clone());
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                let counted =
                    identity.admission().count_question(tx, &settings, &asked_by, (ACTION, &origin)).await?;
                if let Err(refusal) = counted {
                    return Ok(Err(refusal));
                }
                let taken = tx
                    .query_opt(&schema::IDENTIFIER_TAKEN, &params![tenant, &canonical], |row| {
                        row.get::<i64>(0)
                    })
                    .await?;
                Ok::<_, Error>(Ok(taken.is_none()))
            })
            .await
    }
}

//! `keyreeve insight …`

use super::{said, with_secret};
use crate::App;
use crate::cli::args::InsightCommand;
use crate::cli::exit::{Failure, Output};
use keyreeve_identity::Cause;
use serde_json::json;

pub(super) async fn run(app: &App, command: &InsightCommand) -> Result<Output, Failure> {
    let off = || Failure::usage("the interface of Xpress Insight is off; set compat_insight_enabled");
    let insight = app.compat.insight().ok_or_else(off)?;
    let cause = Cause::operator();
    match command {
        InsightCommand::Generate { user } => {
            let pair = insight.generate_for(user, &cause).await?;
            let text = format!(
                "Credentials {} of {user}\nClient identifier: {}",
                pair.credentials_id, pair.client_id
            );
            let json = json!({
                "user": user,
                "client_id": pair.client_id,
                "credentials_id": pair.credentials_id,
                "created_at": pair.created_at.to_string(),
                "secret": pair.secret.expose(),
            });
            Ok(with_secret(Output::new(text, json), "secret"))
        }
        InsightCommand::Revoke { user } => {
            let revoked = insight.revoke_of(user, &cause).await?;
            let text = if revoked { "Revoked." } else { "There were none." };
            Ok(said(text, json!({"user": user, "revoked": revoked})))
        }
    }
}

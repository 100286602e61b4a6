//! Mail to users: a link to choose a new password, a link to confirm the e-mail address, and what became of each.
//!
//! What a message says is told to nobody but the one whom it is for: it holds a link that opens the account.

use crate::call::Call;
use crate::operation::{Operation, Table};
use crate::policy::Asks;
use crate::refused::{Refused, UNACCEPTABLE};
use crate::reply::Reply;
use crate::when::When;
use keyreeve_base::MailId;
use keyreeve_identity::{LinkKind, MailRecord, MailState, User};
use keyreeve_tokens::scope::{USERS_READ, USERS_WRITE};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

pub(super) fn table() -> Table {
    use Asks::ManageUser;
    let waits = "The message. It waits to be sent; the list of the user's mail tells what becomes of it.";
    Table::new("Mail")
        .add(
            Operation::post("/api/v1/users/{id}/send-reset", "send_password_reset")
                .says(
                    "Send a user a link to choose a new password",
                    "To the e-mail address of the account, which has to be in use. The links before it die. The message waits; \
                     what becomes of it is in the list of the user's mail.",
                )
                .needs(USERS_WRITE, ManageUser)
                .answers::<MailDoc>(waits),
            |call| send(call, LinkKind::PasswordReset),
        )
        .add(
            Operation::post("/api/v1/users/{id}/send-verification", "send_email_verification")
                .says(
                    "Send a user a link to confirm the e-mail address",
                    "The links before it die. The message waits; what becomes of it is in the list of the user's mail.",
                )
                .needs(USERS_WRITE, ManageUser)
                .answers::<MailDoc>(waits),
            |call| send(call, LinkKind::EmailVerification),
        )
        .add(
            Operation::get("/api/v1/users/{id}/mail", "list_mail_of_user")
                .says(
                    "List the mail to a user",
                    "What was written to the user and how it stands, newest first: at most 100 messages of the last thirty days. \
                     What they say is told to nobody.",
                )
                .needs(USERS_READ, ManageUser)
                .answers::<MailsDoc>("The messages."),
            list,
        )
}

/// What a message is for.
#[derive(Serialize, ToSchema)]
#[schema(as = MailKind)]
#[serde(rename_all = "snake_case")]
enum KindDoc {
    /// To choose a new password.
    PasswordReset,
    /// To confirm the e-mail address.
    EmailVerification,
}

/// Where a message stands.
#[derive(Serialize, ToSchema)]
#[schema(as = MailState)]
#[serde(rename_all = "snake_case")]
enum StateDoc {
    /// It waits, for its first attempt or a further one.
    Queued,
    /// A mail server took it.
    Sent,
    /// It was given up.
    Failed,
    /// It was not sent, because its link was dead before that.
    Dropped,
}

/// A message to a user; never what it says.
#[derive(Serialize, ToSchema)]
#[schema(as = Mail)]
struct MailDoc {
    id: Uuid,
    kind: KindDoc,
    state: StateDoc,
    /// When it was written.
    queued_at: When,
    /// When it is tried again, while it waits.
    next_at: Option<When>,
    /// How often it was tried.
    attempts: i64,
    /// Why the last attempt failed.
    problem: Option<String>,
    /// When it was sent, given up or dropped.
    done_at: Option<When>,
}

impl From<&MailRecord> for MailDoc {
    fn from(record: &MailRecord) -> Self {
        Self {
            id: record.id.uuid(),
            kind: match record.kind {
                LinkKind::PasswordReset => KindDoc::PasswordReset,
                LinkKind::EmailVerification => KindDoc::EmailVerification,
            },
            state: match record.state {
                MailState::Queued => StateDoc::Queued,
                MailState::Sent => StateDoc::Sent,
                MailState::Failed => StateDoc::Failed,
                MailState::Dropped => StateDoc::Dropped,
            },
            queued_at: record.queued_at.into(),
            next_at: record.next_at.map(When::from),
            attempts: record.attempts,
            problem: record.problem.clone(),
            done_at: record.done_at.map(When::from),
        }
    }
}

/// The mail to a user.
#[derive(Serialize, ToSchema)]
#[schema(as = MailOf)]
struct MailsDoc {
    items: Vec<MailDoc>,
}

async fn records(call: &Call, user: &User) -> Result<Vec<MailRecord>, Refused> {
    Ok(call.identity().recovery().mail_of(call.tenant_id(), user.id).await?)
}

async fn send(call: Call, kind: LinkKind) -> Result<Reply, Refused> {
    let user = call.user().await?;
    let (recovery, cause) = (call.identity().recovery(), call.cause().await?);
    let who = (call.tenant_id(), user.id);
    let sent = match kind {
        LinkKind::PasswordReset => recovery.send_password_reset(who, &cause).await,
        LinkKind::EmailVerification => recovery.send_email_verification(who, &cause).await,
    };
    let id: MailId = sent.map_err(obstacle)?;
    let found = records(&call, &user).await?;
    let record = found.iter().find(|record| record.id == id).ok_or_else(|| Refused::not_found("message"))?;
    Reply::ok(&MailDoc::from(record))
}

/// What keeps a user from getting mail. It is no member of a document that was sent: it is told in words.
fn obstacle(error: keyreeve_identity::Error) -> Refused {
    match error {
        keyreeve_identity::Error::Invalid { field, problem } => {
            let what = if field == "email" { "the e-mail address" } else { field };
            Refused::of(UNACCEPTABLE).detail(format!("{what} {problem}"))
        }
        error => error.into(),
    }
}

async fn list(call: Call) -> Result<Reply, Refused> {
    let user = call.user().await?;
    let found = records(&call, &user).await?;
    Reply::ok(&MailsDoc { items: found.iter().map(MailDoc::from).collect() })
}

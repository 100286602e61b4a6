//! The arguments of `keyreeve audit …` and `keyreeve webhook …`.

use super::{Edits, InTenant, Paging};
use crate::cli::exit::EXIT_CODES;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Commands on the audit log.
#[derive(Debug, Subcommand)]
#[command(after_help = EXIT_CODES)]
pub enum AuditCommand {
    /// Walk the chain of every tenant, or of one, and name the first entry that was changed or removed
    #[command(after_help = "\
Examples:
  keyreeve audit verify
  keyreeve audit verify --tenant default --expect 1204:5f0c…
  keyreeve audit verify audit.ndjson --expect 1204:5f0c…

With a file, an export of the log is checked instead, without any installation.
Note the head that it prints somewhere else; given back with --expect it proves that nobody rewrote the log up to there.
Exits with 5 when a chain does not hold.")]
    #[command(group(clap::ArgGroup::new("one_chain").args(["tenant", "file"])))]
    Verify {
        /// An exported log (NDJSON); needs no installation
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// This tenant only
        #[arg(long, value_name = "SLUG")]
        tenant: Option<String>,
        /// A head noted earlier, through which the chain must pass
        #[arg(long, value_name = "SEQ:HASH", requires = "one_chain")]
        expect: Option<String>,
    },
    /// Chain what has been recorded and not yet chained
    #[command(after_help = "\
Examples:
  keyreeve audit seal

With SQLite each entry is chained as it is written; with PostgreSQL a running server does it a few times a second. After commands on a
PostgreSQL database that no server runs on, this does it.")]
    Seal,
    /// List entries, newest first
    #[command(after_help = "\
Examples:
  keyreeve audit list --limit 50
  keyreeve audit list --action user. --outcome refused --since 2031-01-01T00:00:00Z --json
  keyreeve audit list --target user:ID --oldest-first")]
    List {
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
        /// Which entries
        #[command(flatten)]
        filter: AuditFilter,
        /// Oldest first
        #[arg(long)]
        oldest_first: bool,
        /// Go on behind the page that ended with this word
        #[arg(long, value_name = "CURSOR")]
        after: Option<String>,
        /// At most so many, up to 500
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=500))]
        limit: u16,
    },
    /// Write the log, or what matches, into a file: a line of JSON for each entry, with its hashes
    #[command(after_help = "\
Examples:
  keyreeve audit export audit.ndjson
  keyreeve audit export - --action user. --since 2031-01-01T00:00:00Z | gzip > users.ndjson.gz
  keyreeve audit export more.ndjson --after-seq 1204

A file of the whole log, or of all from a number on, can be checked with `keyreeve audit verify FILE`; one that holds only what
matches cannot. Works while the server runs.")]
    Export(AuditExport),
    /// Print entries as they are recorded, until it is stopped
    #[command(after_help = "\
Examples:
  keyreeve audit follow
  keyreeve audit follow --outcome refused --json
  keyreeve audit follow --after-seq 1204 --count 10

It begins with what is recorded from now on, or behind the entry that is named. Follow a running server: one of this machine
or, with --server, one elsewhere; there, it goes on by itself after a break. With --json each entry is one line of JSON.")]
    Follow(AuditFollow),
}

/// What of the audit log to export, and where to.
#[derive(Debug, Args)]
pub struct AuditExport {
    /// The file to create, or - for standard output
    pub file: PathBuf,
    /// Where to look
    #[command(flatten)]
    pub tenant: InTenant,
    /// Which entries
    #[command(flatten)]
    pub filter: AuditFilter,
    /// Begin behind the entry with this number
    #[arg(long, value_name = "NUMBER")]
    pub after_seq: Option<u32>,
}

/// What of the audit log to follow.
#[derive(Debug, Args)]
pub struct AuditFollow {
    /// Where to look
    #[command(flatten)]
    pub tenant: InTenant,
    /// Which entries
    #[command(flatten)]
    pub filter: AuditFilter,
    /// Begin behind the entry with this number
    #[arg(long, value_name = "NUMBER")]
    pub after_seq: Option<u32>,
    /// Stop after so many entries
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
}

/// Which entries of the audit log are wanted.
#[derive(Debug, Args)]
pub struct AuditFilter {
    /// Who did it: KIND:ID, such as user:ID, client:ID, service_account:ID, or the kind alone
    #[arg(long, value_name = "KIND[:ID]")]
    pub actor: Option<String>,
    /// What was done: user.create, or user. for all that begins so
    #[arg(long, value_name = "ACTION")]
    pub action: Option<String>,
    /// To what: KIND:ID, or the kind alone
    #[arg(long, value_name = "KIND[:ID]")]
    pub target: Option<String>,
    /// How it ended
    #[arg(long, value_parser = ["success", "refused"])]
    pub outcome: Option<String>,
    /// Not before, such as 2031-01-31T00:00:00Z
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Before
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// In this request
    #[arg(long, value_name = "ID")]
    pub request_id: Option<String>,
}

/// Commands on webhooks: addresses that are told of audit entries.
#[derive(Debug, Subcommand)]
#[command(after_help = EXIT_CODES)]
pub enum WebhookCommand {
    /// Create a webhook, and print the secret that signs its messages once
    #[command(after_help = "\
Examples:
  keyreeve webhook create https://hooks.example.com/keyreeve --action user. --action group.
  keyreeve webhook create https://siem.example.com/in --outcome refused")]
    Create {
        /// The address
        url: String,
        /// Where to create it
        #[command(flatten)]
        tenant: InTenant,
        /// Only these actions, or what begins so; may be repeated [default: all]
        #[arg(long = "action", value_name = "ACTION")]
        actions: Vec<String>,
        /// Only entries that ended so
        #[arg(long, value_parser = ["success", "refused"])]
        outcome: Option<String>,
    },
    /// Show a webhook
    #[command(after_help = "Examples:\n  keyreeve webhook show ID")]
    Show {
        /// Its identifier
        webhook: String,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
    },
    /// List webhooks
    #[command(after_help = "Examples:\n  keyreeve webhook list")]
    List {
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
    },
    /// Change a webhook
    #[command(after_help = "Examples:\n  keyreeve webhook update ID --set enabled=false")]
    Update {
        /// Its identifier
        webhook: String,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
        /// What to change
        #[command(flatten)]
        edits: Edits,
    },
    /// Remove a webhook
    #[command(after_help = "Examples:\n  keyreeve webhook delete ID")]
    Delete {
        /// Its identifier
        webhook: String,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
    },
    /// Make a new signing secret, and print it once; the old one signs along for a while
    #[command(after_help = "Examples:\n  keyreeve webhook rotate-secret ID")]
    RotateSecret {
        /// Its identifier
        webhook: String,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
    },
    /// Let a webhook that failed for long go on
    #[command(
        after_help = "Examples:\n  keyreeve webhook resume ID\n  keyreeve webhook resume ID --skip one"
    )]
    Resume {
        /// Its identifier
        webhook: String,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
        /// What to leave out: nothing, the one entry that was not taken, or all so far
        #[arg(long, default_value = "nothing", value_parser = ["nothing", "one", "all"])]
        skip: String,
    },
    /// Send a test message
    #[command(after_help = "Examples:\n  keyreeve webhook ping ID")]
    Ping {
        /// Its identifier
        webhook: String,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
    },
    /// List what was sent and how it was answered
    #[command(after_help = "Examples:\n  keyreeve webhook deliveries ID --limit 20")]
    Deliveries {
        /// Its identifier
        webhook: String,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
        /// Which of them
        #[command(flatten)]
        paging: Paging,
    },
    /// Send a message again
    #[command(after_help = "Examples:\n  keyreeve webhook redeliver ID DELIVERY_ID")]
    Redeliver {
        /// Its identifier
        webhook: String,
        /// The identifier of the delivery
        delivery: String,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
    },
}

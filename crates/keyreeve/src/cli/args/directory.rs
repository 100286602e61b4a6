//! The arguments of `keyreeve group …`, `role …`, `service-account …` and `mapper …`.

use super::{Edits, InTenant, Paging};
use crate::cli::exit::EXIT_CODES;
use clap::{Args, Subcommand, ValueEnum};

/// What a member or holder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PartyKind {
    /// A user, by user name, e-mail address or identifier
    User,
    /// A group, by name or identifier
    Group,
    /// A service account, by name or identifier
    ServiceAccount,
}

/// A user, group or service account.
#[derive(Debug, Args)]
pub struct MemberArg {
    /// Its name or identifier
    pub member: String,
    /// What it is
    #[arg(id = "party", long = "type", value_name = "TYPE", value_enum, default_value_t = PartyKind::User)]
    pub kind: PartyKind,
}

/// Commands on groups. A group is named by its name or identifier.
#[derive(Debug, Subcommand)]
#[command(after_help = EXIT_CODES)]
pub enum GroupCommand {
    /// Create a group
    #[command(after_help = "\
Examples:
  keyreeve group create physics --description 'Everyone in physics'
  keyreeve group create optics --parent physics --owner ada")]
    Create {
        /// Its name
        name: String,
        /// Where to create it
        #[command(flatten)]
        tenant: InTenant,
        /// What it is for
        #[arg(long)]
        description: Option<String>,
        /// The group that it is nested in
        #[arg(long, value_name = "GROUP")]
        parent: Option<String>,
        /// The user who owns it from the start
        #[arg(long, value_name = "USER")]
        owner: Option<String>,
    },
    /// Show a group
    #[command(after_help = "Examples:\n  keyreeve group show physics")]
    Show {
        /// Which
        group: String,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
    },
    /// List groups
    #[command(after_help = "Examples:\n  keyreeve group list --filter 'name sw \"phys\"' --sort name")]
    List {
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
        /// Which of them
        #[command(flatten)]
        paging: Paging,
    },
    /// Change a group
    #[command(after_help = "\
Examples:
  keyreeve group update physics --set name=Physics --unset description
  keyreeve group update physics --set 'attributes.floor=[\"3\"]' --version 4")]
    Update {
        /// Which
        group: String,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
        /// What to change
        #[command(flatten)]
        edits: Edits,
    },
    /// Remove a group; its members stay what they are
    #[command(after_help = "Examples:\n  keyreeve group delete physics")]
    Delete {
        /// Which
        group: String,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
    },
    /// List the members of a group
    #[command(after_help = "\
Examples:
  keyreeve group members physics
  keyreeve group members physics --transitive --all --json")]
    Members {
        /// Which
        group: String,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
        /// Those of the groups nested in it, too
        #[arg(long)]
        transitive: bool,
        /// Which of them
        #[command(flatten)]
        paging: Paging,
    },
    /// Add a member, or say what a member is from now on
    #[command(after_help = "\
Examples:
  keyreeve group add physics ada --kind admin
  keyreeve group add physics optics --type group
  keyreeve group add physics nightly --type service-account")]
    Add {
        /// To which group
        group: String,
        /// Whom
        #[command(flatten)]
        member: MemberArg,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
        /// member, admin or owner; a group is always a member
        #[arg(long, default_value = "member", value_parser = ["member", "admin", "owner"])]
        kind: String,
    },
    /// Take a member out of a group
    #[command(after_help = "Examples:\n  keyreeve group remove physics ada")]
    Remove {
        /// Out of which group
        group: String,
        /// Whom
        #[command(flatten)]
        member: MemberArg,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
    },
}

/// Commands on roles. A role is named by its name or identifier.
#[derive(Debug, Subcommand)]
#[command(after_help = EXIT_CODES)]
pub enum RoleCommand {
    /// Create a role of the tenant, or of a client
    #[command(after_help = "\
Examples:
  keyreeve role create auditor --description 'May read every report'
  keyreeve role create editor --client wiki")]
    Create {
        /// Its name
        name: String,
        /// Where to create it
        #[command(flatten)]
        tenant: InTenant,
        /// The client whose role it is [default: the tenant's own]
        #[arg(long, value_name = "CLIENT_ID")]
        client: Option<String>,
        /// What it stands for
        #[arg(long)]
        description: Option<String>,
    },
    /// Show a role
    #[command(after_help = "Examples:\n  keyreeve role show auditor")]
    Show {
        /// Which
        role: String,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
    },
    /// List roles
    #[command(after_help = "Examples:\n  keyreeve role list --sort name")]
    List {
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
        /// Which of them
        #[command(flatten)]
        paging: Paging,
    },
    /// Change a role
    #[command(after_help = "Examples:\n  keyreeve role update auditor --set description='Reads everything'")]
    Update {
        /// Which
        role: String,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
        /// What to change
        #[command(flatten)]
        edits: Edits,
    },
    /// Remove a role from everyone and for good
    #[command(after_help = "Examples:\n  keyreeve role delete auditor")]
    Delete {
        /// Which
        role: String,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
    },
    /// List who was given a role
    #[command(after_help = "Examples:\n  keyreeve role holders auditor")]
    Holders {
        /// Which
        role: String,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
        /// Which of them
        #[command(flatten)]
        paging: Paging,
    },
    /// Give a role
    #[command(after_help = "\
Examples:
  keyreeve role give auditor ada
  keyreeve role give auditor physics --type group")]
    Give {
        /// Which
        role: String,
        /// To whom
        #[command(flatten)]
        member: MemberArg,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
    },
    /// Take a role back
    #[command(after_help = "Examples:\n  keyreeve role take auditor ada")]
    Take {
        /// Which
        role: String,
        /// From whom
        #[command(flatten)]
        member: MemberArg,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
    },
}

/// Commands on service accounts. One is named by its name or identifier.
#[derive(Debug, Subcommand)]
#[command(after_help = EXIT_CODES)]
pub enum ServiceAccountCommand {
    /// Create a service account
    #[command(after_help = "\
Examples:
  keyreeve service-account create nightly --description 'Nightly reports' --token-lifetime 600
  keyreeve service-account create robot --owner-group physics")]
    Create {
        /// Its name
        name: String,
        /// Where to create it
        #[command(flatten)]
        tenant: InTenant,
        /// What it is for
        #[arg(long)]
        description: Option<String>,
        /// The user who answers for it; it ends with the user
        #[arg(long, value_name = "USER", conflicts_with = "owner_group")]
        owner_user: Option<String>,
        /// The group that answers for it
        #[arg(long, value_name = "GROUP")]
        owner_group: Option<String>,
        /// How long its tokens live, in seconds
        #[arg(long, value_name = "SECONDS")]
        token_lifetime: Option<u32>,
        /// When it ends, such as 2031-01-31T00:00:00Z
        #[arg(long, value_name = "TIME")]
        expires_at: Option<String>,
    },
    /// Show a service account and its secrets' identifiers
    #[command(after_help = "Examples:\n  keyreeve service-account show nightly")]
    Show {
        /// Which
        account: String,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
    },
    /// List service accounts
    #[command(after_help = "Examples:\n  keyreeve service-account list --filter 'enabled eq false'")]
    List {
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
        /// Which of them
        #[command(flatten)]
        paging: Paging,
    },
    /// Change a service account; --set enabled=false keeps it out
    #[command(after_help = "\
Examples:
  keyreeve service-account update nightly --set enabled=false
  keyreeve service-account update nightly --unset expires_at")]
    Update {
        /// Which
        account: String,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
        /// What to change
        #[command(flatten)]
        edits: Edits,
    },
    /// Remove a service account and its secrets
    #[command(after_help = "Examples:\n  keyreeve service-account delete nightly")]
    Delete {
        /// Which
        account: String,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
    },
    /// Add a secret beside the present ones, and print it once
    #[command(after_help = "Examples:\n  keyreeve service-account add-secret nightly --expires-in-days 90")]
    AddSecret {
        /// Whose
        account: String,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
        /// For how many days it is good [default: for ever]
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3660))]
        expires_in_days: Option<u32>,
    },
    /// Revoke one secret
    #[command(after_help = "Examples:\n  keyreeve service-account revoke-secret nightly SECRET_ID")]
    RevokeSecret {
        /// Whose
        account: String,
        /// The identifier of the secret
        secret: String,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
    },
}

/// Commands on protocol mappers: what goes into which tokens under which claim.
#[derive(Debug, Subcommand)]
#[command(after_help = EXIT_CODES)]
pub enum MapperCommand {
    /// Create a mapper from its JSON document, for the tenant or for one client
    #[command(after_help = "\
Examples:
  keyreeve mapper create --set name=roles --set claim=roles --set multivalued=true --set source.kind=tenant_roles --set 'targets=[\"access_token\"]'
  keyreeve mapper create --client wiki --set name=team --set claim=team --set source.kind=user_attribute --set source.attribute=team --set 'targets=[\"id_token\",\"userinfo\"]'

docs/integrating.md lists the fields.")]
    Create {
        /// Where to create it
        #[command(flatten)]
        tenant: InTenant,
        /// The client whose tokens it is for [default: the tokens of every client]
        #[arg(long, value_name = "CLIENT_ID")]
        client: Option<String>,
        /// Its fields
        #[command(flatten)]
        edits: Edits,
    },
    /// Show a mapper
    #[command(after_help = "Examples:\n  keyreeve mapper show ID")]
    Show {
        /// Its identifier
        mapper: String,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
    },
    /// List mappers
    #[command(after_help = "Examples:\n  keyreeve mapper list --client wiki")]
    List {
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
        /// Those of this client only
        #[arg(long, value_name = "CLIENT_ID")]
        client: Option<String>,
    },
    /// Change a mapper
    #[command(after_help = "Examples:\n  keyreeve mapper update ID --set claim=groups")]
    Update {
        /// Its identifier
        mapper: String,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
        /// What to change
        #[command(flatten)]
        edits: Edits,
    },
    /// Remove a mapper
    #[command(after_help = "Examples:\n  keyreeve mapper delete ID")]
    Delete {
        /// Its identifier
        mapper: String,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
    },
}

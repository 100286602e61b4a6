//! The arguments of `keyreeve sharing …`.

use super::{Edits, Format, ImportArgs, ImportMode, InTenant, MemberArg, Paging};
use crate::cli::exit::EXIT_CODES;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Commands on who may do what to which resource.
#[derive(Debug, Subcommand)]
#[command(after_help = EXIT_CODES)]
pub enum SharingCommand {
    /// Types of resources: create, show, list, change, remove
    #[command(subcommand)]
    Type(ResourceTypeCommand),
    /// Permissions, of one type or of all: create, show, list, change, remove
    #[command(subcommand)]
    Permission(PermissionCommand),
    /// Resources: create, show, search, change, move, give away, remove
    #[command(subcommand)]
    Resource(ResourceCommand),
    /// Grants: share, list, revoke
    #[command(subcommand)]
    Grant(GrantCommand),
    /// Ask whether somebody has a permission on a resource; exits with 5 when not
    #[command(after_help = "\
Examples:
  keyreeve sharing check plans READ ada
  keyreeve sharing check plans WRITE physics --type group")]
    Check(QuestionArgs),
    /// Tell why somebody has a permission on a resource, or has not
    #[command(after_help = "Examples:\n  keyreeve sharing explain plans READ ada")]
    Explain(QuestionArgs),
    /// Load types, permissions, resources and grants from lines of JSON
    #[command(after_help = "\
Examples:
  keyreeve sharing load model.ndjson
  zcat backup.ndjson.gz | keyreeve sharing load - --report results.ndjson

What is there already is left as it is, so a load can be repeated. Exits with 5 when a line failed.")]
    Load(LoadArgs),
    /// Write types, permissions, resources and grants into a file that a load reads
    #[command(after_help = "Examples:\n  keyreeve sharing export sharing.ndjson")]
    Export(SharingExport),
    /// List who has a permission on a resource
    #[command(after_help = "\
Examples:
  keyreeve sharing subjects plans READ --all
  keyreeve sharing subjects plans READ --direct --groups")]
    Subjects {
        /// On which resource
        resource: String,
        /// Which permission; OWNER for ownership
        permission: String,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
        /// Only who has it from the resource itself
        #[arg(long)]
        direct: bool,
        /// Groups as such, rather than everybody in them
        #[arg(long)]
        groups: bool,
        /// Which of them
        #[command(flatten)]
        page: PageArgs,
    },
    /// List the resources of a type on which somebody has a permission
    #[command(after_help = "Examples:\n  keyreeve sharing resources file READ ada --all --json")]
    Resources {
        /// Of which type
        resource_type: String,
        /// Which permission; OWNER for ownership
        permission: String,
        /// Whose
        #[command(flatten)]
        member: MemberArg,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
        /// Which of them
        #[command(flatten)]
        page: PageArgs,
    },
}

/// What to load.
#[derive(Debug, Args)]
pub struct LoadArgs {
    /// The file to read, or - for standard input
    pub file: PathBuf,
    /// Write what became of each line into this file
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Where
    #[command(flatten)]
    pub tenant: InTenant,
}

impl LoadArgs {
    /// The same as an import of lines as they are.
    #[must_use]
    pub fn as_import(&self) -> ImportArgs {
        ImportArgs {
            file: self.file.clone(),
            from: Format::Ndjson,
            dry_run: false,
            mode: ImportMode::Create,
            resume: None,
            report: self.report.clone(),
            map: Vec::new(),
            drop_totp: false,
            tenant: InTenant { tenant: self.tenant.tenant.clone() },
        }
    }
}

/// Where to export to.
#[derive(Debug, Args)]
pub struct SharingExport {
    /// The file to create, or - for standard output
    pub file: PathBuf,
    /// Where to look
    #[command(flatten)]
    pub tenant: InTenant,
}

/// A question.
#[derive(Debug, Args)]
pub struct QuestionArgs {
    /// On which resource
    pub resource: String,
    /// Which permission; OWNER for ownership
    pub permission: String,
    /// Who
    #[command(flatten)]
    pub member: MemberArg,
    /// Where to look
    #[command(flatten)]
    pub tenant: InTenant,
    /// Take into account what was written before this revision
    #[arg(long, value_name = "REVISION")]
    pub at_least: Option<String>,
}

/// Which part of a list without filters is wanted.
#[derive(Debug, Args)]
pub struct PageArgs {
    /// Go on behind the page that ended with this word
    #[arg(long, value_name = "CURSOR", conflicts_with = "all")]
    pub after: Option<String>,
    /// At most so many, up to 500
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=500))]
    pub limit: u16,
    /// Everything, page after page
    #[arg(long)]
    pub all: bool,
}

impl From<&PageArgs> for Paging {
    fn from(page: &PageArgs) -> Self {
        Self { filter: None, sort: None, after: page.after.clone(), limit: page.limit, all: page.all }
    }
}

/// Commands on types of resources.
#[derive(Debug, Subcommand)]
#[command(after_help = EXIT_CODES)]
pub enum ResourceTypeCommand {
    /// Declare a type of resources
    #[command(
        after_help = "Examples:\n  keyreeve sharing type create file --description 'What people write'"
    )]
    Create {
        /// Its identifier
        id: String,
        /// Where to create it
        #[command(flatten)]
        tenant: InTenant,
        /// The name that people read
        #[arg(long)]
        name: Option<String>,
        /// What it is for
        #[arg(long)]
        description: Option<String>,
    },
    /// Show a type
    #[command(after_help = "Examples:\n  keyreeve sharing type show file")]
    Show {
        /// Which
        id: String,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
    },
    /// List types
    #[command(after_help = "Examples:\n  keyreeve sharing type list --all")]
    List {
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
        /// Which of them
        #[command(flatten)]
        page: PageArgs,
    },
    /// Change a type
    #[command(
        after_help = "Examples:\n  keyreeve sharing type update file --set name=File --unset description"
    )]
    Update {
        /// Which
        id: String,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
        /// What to change
        #[command(flatten)]
        edits: Edits,
    },
    /// Remove a type that has no resources
    #[command(after_help = "Examples:\n  keyreeve sharing type delete file")]
    Delete {
        /// Which
        id: String,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
    },
}

/// Whose permission it is.
#[derive(Debug, Args)]
pub struct OfType {
    /// The type that has it; without one, every type
    #[arg(long = "of", value_name = "TYPE")]
    pub of: Option<String>,
    /// Where to look
    #[command(flatten)]
    pub tenant: InTenant,
}

/// Commands on permissions.
#[derive(Debug, Subcommand)]
#[command(after_help = EXIT_CODES)]
pub enum PermissionCommand {
    /// Declare a permission
    #[command(after_help = "\
Examples:
  keyreeve sharing permission create READ
  keyreeve sharing permission create WRITE --of file --implies READ
  keyreeve sharing permission create SHARE --shares")]
    Create {
        /// Its identifier
        id: String,
        /// Whose
        #[command(flatten)]
        of: OfType,
        /// The name that people read
        #[arg(long)]
        name: Option<String>,
        /// What it allows
        #[arg(long)]
        description: Option<String>,
        /// Who holds it may share
        #[arg(long)]
        shares: bool,
        /// Another permission that who holds it has as well
        #[arg(long, value_name = "PERMISSION")]
        implies: Vec<String>,
    },
    /// Show a permission
    #[command(after_help = "Examples:\n  keyreeve sharing permission show WRITE --of file")]
    Show {
        /// Which
        id: String,
        /// Whose
        #[command(flatten)]
        of: OfType,
    },
    /// List permissions
    #[command(after_help = "Examples:\n  keyreeve sharing permission list --of file")]
    List {
        /// Whose
        #[command(flatten)]
        of: OfType,
    },
    /// Change a permission
    #[command(
        after_help = "Examples:\n  keyreeve sharing permission update WRITE --of file --set 'implies=[\"READ\"]'"
    )]
    Update {
        /// Which
        id: String,
        /// Whose
        #[command(flatten)]
        of: OfType,
        /// What to change
        #[command(flatten)]
        edits: Edits,
    },
    /// Remove a permission: at once nobody has it
    #[command(after_help = "Examples:\n  keyreeve sharing permission delete WRITE --of file")]
    Delete {
        /// Which
        id: String,
        /// Whose
        #[command(flatten)]
        of: OfType,
    },
}

/// Commands on resources.
#[derive(Debug, Subcommand)]
#[command(after_help = EXIT_CODES)]
pub enum ResourceCommand {
    /// Make a resource
    #[command(after_help = "\
Examples:
  keyreeve sharing resource create folder Plans --id plans --owner ada
  keyreeve sharing resource create file 2027 --parent plans --owner ada")]
    Create {
        /// Of which type
        resource_type: String,
        /// The name that people read
        name: String,
        /// Where to create it
        #[command(flatten)]
        tenant: InTenant,
        /// Its identifier; generated without one
        #[arg(long)]
        id: Option<String>,
        /// The user who owns it
        #[arg(long, value_name = "USER")]
        owner: Option<String>,
        /// What it lies below
        #[arg(long, value_name = "RESOURCE")]
        parent: Option<String>,
        /// What it is
        #[arg(long)]
        description: Option<String>,
    },
    /// Show a resource
    #[command(after_help = "Examples:\n  keyreeve sharing resource show plans")]
    Show {
        /// Which
        id: String,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
    },
    /// Search resources
    #[command(after_help = "\
Examples:
  keyreeve sharing resource list --filter 'type eq \"file\" and name sw \"20\"'
  keyreeve sharing resource list --oldest --all --json")]
    List {
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
        /// Only what matches, in the language of SCIM filters
        #[arg(long, value_name = "FILTER")]
        filter: Option<String>,
        /// What was made first comes first
        #[arg(long)]
        oldest: bool,
        /// Which of them
        #[command(flatten)]
        page: PageArgs,
    },
    /// List what lies directly below a resource
    #[command(after_help = "Examples:\n  keyreeve sharing resource children plans")]
    Children {
        /// Which
        id: String,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
        /// Which of them
        #[command(flatten)]
        page: PageArgs,
    },
    /// Change a resource
    #[command(
        after_help = "Examples:\n  keyreeve sharing resource update plans --set attributes.colour=red --version 4"
    )]
    Update {
        /// Which
        id: String,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
        /// What to change
        #[command(flatten)]
        edits: Edits,
    },
    /// Move a resource, with everything below it
    #[command(after_help = "\
Examples:
  keyreeve sharing resource move 2027 --to archive
  keyreeve sharing resource move 2027 --out")]
    Move {
        /// Which
        id: String,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
        /// The new parent
        #[arg(long, value_name = "RESOURCE", required_unless_present = "out")]
        to: Option<String>,
        /// Out of every tree
        #[arg(long, conflicts_with = "to")]
        out: bool,
    },
    /// Give a resource to another owner
    #[command(after_help = "Examples:\n  keyreeve sharing resource transfer plans ben")]
    Transfer {
        /// Which
        id: String,
        /// To whom
        #[command(flatten)]
        member: MemberArg,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
    },
    /// Remove a resource
    #[command(after_help = "Examples:\n  keyreeve sharing resource delete plans --children")]
    Delete {
        /// Which
        id: String,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
        /// Whatever lies below it as well
        #[arg(long)]
        children: bool,
    },
}

/// Commands on grants.
#[derive(Debug, Subcommand)]
#[command(after_help = EXIT_CODES)]
pub enum GrantCommand {
    /// Share a resource
    #[command(after_help = "\
Examples:
  keyreeve sharing grant create plans READ ada
  keyreeve sharing grant create plans READ physics --type group --cascade --expires-at 2027-01-01T00:00:00Z")]
    Create {
        /// Which resource
        resource: String,
        /// Which permission
        permission: String,
        /// With whom
        #[command(flatten)]
        member: MemberArg,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
        /// It holds on everything below the resource as well
        #[arg(long)]
        cascade: bool,
        /// When it ends by itself
        #[arg(long, value_name = "TIME")]
        expires_at: Option<String>,
    },
    /// List the grants that hold on a resource
    #[command(after_help = "Examples:\n  keyreeve sharing grant list plans --direct")]
    List {
        /// On which resource
        resource: String,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
        /// Only those that were made on the resource itself
        #[arg(long)]
        direct: bool,
        /// Which of them
        #[command(flatten)]
        page: PageArgs,
    },
    /// Revoke a grant
    #[command(
        after_help = "Examples:\n  keyreeve sharing grant revoke AAAAAAAAAAEAAAAAAAAAAQGQ8PAAAHAAgAAAAAAAAAE"
    )]
    Revoke {
        /// Which
        grant: String,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
    },
    /// Revoke what somebody was granted: on one resource, or on all
    #[command(after_help = "\
Examples:
  keyreeve sharing grant revoke-from ada --on plans --permission READ
  keyreeve sharing grant revoke-from physics --type group")]
    RevokeFrom {
        /// From whom
        #[command(flatten)]
        member: MemberArg,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
        /// On this resource alone
        #[arg(long, value_name = "RESOURCE")]
        on: Option<String>,
        /// This permission alone
        #[arg(long, requires = "on")]
        permission: Option<String>,
    },
    /// Revoke everything that was granted on a resource
    #[command(after_help = "Examples:\n  keyreeve sharing grant revoke-all plans")]
    RevokeAll {
        /// On which resource
        resource: String,
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
    },
}

//! The flags of import and export.

use super::InTenant;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// What a file to import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Keyreeve's own lines
    Ndjson,
    /// A realm export of Keycloak: the file, or the directory
    Keycloak,
    /// LDIF, as LDAP servers export it
    Ldif,
}

/// What to do with what is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ImportMode {
    /// Leave it as it is
    Create,
    /// Change it to what the file says
    Upsert,
}

/// Flags of `keyreeve import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The file to read, or - for standard input
    pub file: PathBuf,
    /// What the file is
    #[arg(long, value_enum, default_value_t = Format::Ndjson)]
    pub from: Format,
    /// Check everything and write nothing
    #[arg(long, conflicts_with = "resume")]
    pub dry_run: bool,
    /// What to do with what is there already
    #[arg(long, value_enum, default_value_t = ImportMode::Create)]
    pub mode: ImportMode,
    /// Take up the import of this identifier, with the same file
    #[arg(long, value_name = "ID")]
    pub resume: Option<uuid::Uuid>,
    /// Write what became of each line, and what is not taken over, into this file
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// LDIF: what to make of an attribute, such as employeeNumber=attributes.number or cn=username
    #[arg(long = "map", value_name = "ATTRIBUTE=FIELD")]
    pub map: Vec<String>,
    /// Take users over without their second factors
    #[arg(long)]
    pub drop_totp: bool,
    /// Where
    #[command(flatten)]
    pub tenant: InTenant,
}

/// Flags of `keyreeve export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The file to create, or - for standard output
    pub file: PathBuf,
    /// Only these kinds: client, role, group, user, membership, role_holder
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    pub types: Vec<String>,
    /// With the hashes of passwords, second factors and the digests of client secrets
    #[arg(long)]
    pub with_hashes: bool,
    /// Where
    #[command(flatten)]
    pub tenant: InTenant,
}

//! The arguments of `keyreeve secret store …` and `keyreeve secret auth …`.

use super::{Edits, InTenant, Paging};
use crate::cli::exit::EXIT_CODES;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Commands on stores elsewhere.
#[derive(Debug, Subcommand)]
#[command(after_help = EXIT_CODES)]
pub enum StoreCommand {
    /// Make a store known: a server that speaks Vault's KV engine, version 2
    #[command(after_help = "\
Examples:
  keyreeve secret store create vault --url https://vault.example.com --mount kv --auth sau_…
  keyreeve secret create app --kind key_value --store sto_… --store-path app/settings")]
    Create(StoreCreate),
    /// Show a store
    #[command(after_help = "Examples:\n  keyreeve secret store show sto_…")]
    Show(StoreArg),
    /// List the stores
    #[command(after_help = "Examples:\n  keyreeve secret store list --all --sort name")]
    List {
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
        /// Which of them
        #[command(flatten)]
        paging: Paging,
    },
    /// Try to reach a store, without reading a secret
    #[command(after_help = "Examples:\n  keyreeve secret store check sto_…")]
    Check(StoreArg),
    /// Change a store
    #[command(
        after_help = "Examples:\n  keyreeve secret store update sto_… --set timeout_ms=2000 --unset namespace"
    )]
    Update {
        /// Which
        #[command(flatten)]
        store: StoreArg,
        /// What to change
        #[command(flatten)]
        edits: Edits,
    },
    /// Forget a store that no secret has its value in; what it keeps stays there
    #[command(after_help = "Examples:\n  keyreeve secret store delete sto_…")]
    Delete(StoreArg),
}

/// A store.
#[derive(Debug, Args)]
pub struct StoreArg {
    /// The store, by its identifier
    pub store: String,
    /// Where
    #[command(flatten)]
    pub tenant: InTenant,
}

/// A store to make known.
#[derive(Debug, Args)]
pub struct StoreCreate {
    /// The name
    pub name: String,
    /// The address of the server, without /v1
    #[arg(long)]
    pub url: String,
    /// The mount of the KV engine
    #[arg(long, default_value = "secret")]
    pub mount: String,
    /// The namespace, of servers that have such
    #[arg(long)]
    pub namespace: Option<String>,
    /// What it is reached with, by its identifier
    #[arg(long, value_name = "SAU")]
    pub auth: String,
    /// How long it has for an answer, in milliseconds
    #[arg(long, value_name = "MS")]
    pub timeout_ms: Option<u32>,
    /// Where
    #[command(flatten)]
    pub tenant: InTenant,
}

/// Commands on what stores are reached with. A credential comes from standard input or a file.
#[derive(Debug, Subcommand)]
#[command(after_help = EXIT_CODES)]
pub enum AuthCommand {
    /// Keep a token, or with --role the secret_id of an AppRole
    #[command(after_help = "\
Examples:
  pass show vault/token | keyreeve secret auth create vault --url https://vault.example.com --stdin
  keyreeve secret auth create vault --url https://vault.example.com --role 4f1c… --file secret-id")]
    Create(AuthCreate),
    /// Show what a store is reached with, without the credential
    #[command(after_help = "Examples:\n  keyreeve secret auth show sau_…")]
    Show(AuthArg),
    /// List what stores are reached with
    #[command(after_help = "Examples:\n  keyreeve secret auth list --all")]
    List {
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
        /// Which of them
        #[command(flatten)]
        paging: Paging,
    },
    /// Change a name, a role or a mount
    #[command(after_help = "Examples:\n  keyreeve secret auth update sau_… --set role_id=4f1c…")]
    Update {
        /// Which
        #[command(flatten)]
        of: AuthArg,
        /// What to change
        #[command(flatten)]
        edits: Edits,
    },
    /// Put another credential in the place of the one that is there
    #[command(after_help = "Examples:\n  pass show vault/token | keyreeve secret auth renew sau_… --stdin")]
    Renew {
        /// Which
        #[command(flatten)]
        of: AuthArg,
        /// The credential
        #[command(flatten)]
        credential: CredentialArgs,
    },
    /// Remove what no store is reached with
    #[command(after_help = "Examples:\n  keyreeve secret auth delete sau_…")]
    Delete(AuthArg),
}

/// What a store is reached with.
#[derive(Debug, Args)]
pub struct AuthArg {
    /// The service authentication, by its identifier
    pub authentication: String,
    /// Where
    #[command(flatten)]
    pub tenant: InTenant,
}

/// A service authentication to keep.
#[derive(Debug, Args)]
pub struct AuthCreate {
    /// The name
    pub name: String,
    /// The server that the credential is for, without /v1; it is sent to no other
    #[arg(long)]
    pub url: String,
    /// The role of an AppRole, whose secret_id the credential is
    #[arg(long, value_name = "ROLE_ID")]
    pub role: Option<String>,
    /// Where the AppRole method is mounted, if not at approle
    #[arg(long, requires = "role")]
    pub mount: Option<String>,
    /// The credential
    #[command(flatten)]
    pub credential: CredentialArgs,
    /// Where
    #[command(flatten)]
    pub tenant: InTenant,
}

/// Where a credential comes from.
#[derive(Debug, Args)]
#[group(id = "credential", required = true, multiple = false)]
pub struct CredentialArgs {
    /// The first line of standard input
    #[arg(long)]
    pub stdin: bool,
    /// The first line of this file
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
}

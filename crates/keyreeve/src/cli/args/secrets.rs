//! The arguments of `keyreeve secret …` and `keyreeve ssh …`.

use super::{AuthCommand, Edits, InTenant, MemberArg, Paging, StoreCommand};
use crate::cli::exit::EXIT_CODES;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Commands on secrets. A value is never an argument: it comes from standard input or a file, or is made by the server.
#[derive(Debug, Subcommand)]
#[command(after_help = EXIT_CODES)]
pub enum SecretCommand {
    /// Make a secret
    #[command(after_help = "\
Examples:
  keyreeve secret create database --generate --length 32
  pass show db | keyreeve secret create database --stdin
  keyreeve secret create deploy --kind ssh_key --key-type ed25519
  keyreeve secret create settings --kind key_value --file settings.json --mount kv --path app/settings
  keyreeve secret create users-ca --kind ssh_user_ca --key-type ed25519
  keyreeve secret create ci-key --kind signing_key --algorithm ES256

A password comes from standard input, a key_value, a private key or a file from --file.")]
    Create(Box<SecretCreate>),
    /// Show what is known of a secret, without its value
    #[command(after_help = "Examples:\n  keyreeve secret show sec_…")]
    Show(SecretArg),
    /// List the secrets that one sees
    #[command(after_help = "\
Examples:
  keyreeve secret list --all
  keyreeve secret list --filter 'kind eq \"ssh_key\" and labels.env eq \"prod\"' --sort name")]
    List {
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
        /// Which of them
        #[command(flatten)]
        paging: Paging,
    },
    /// Read a value; the reading is in the audit log before it is printed
    #[command(after_help = "\
Examples:
  keyreeve secret read sec_… > value
  keyreeve secret read sec_… --number 3 --json")]
    Read {
        /// Which
        #[command(flatten)]
        secret: SecretArg,
        /// Which version; the newest, if none is named
        #[arg(long, value_name = "N")]
        number: Option<i64>,
    },
    /// Give a secret a new value
    #[command(after_help = "Examples:\n  pass show db | keyreeve secret write sec_… --stdin --follows 2")]
    Write {
        /// Which
        #[command(flatten)]
        secret: SecretArg,
        /// What
        #[command(flatten)]
        value: ValueArgs,
        /// What kind of secret it is
        #[arg(long, value_enum, default_value_t = SecretKind::Password)]
        kind: SecretKind,
        /// Only if this is still the newest version
        #[arg(long, value_name = "N")]
        follows: Option<i64>,
    },
    /// Have a new value made by what made the last
    #[command(after_help = "Examples:\n  keyreeve secret rotate sec_…")]
    Rotate(SecretArg),
    /// Change what is said of a secret
    #[command(
        after_help = "Examples:\n  keyreeve secret update sec_… --set name=other --set 'labels={\"env\":\"prod\"}'"
    )]
    Update {
        /// Which
        #[command(flatten)]
        secret: SecretArg,
        /// What to change
        #[command(flatten)]
        edits: Edits,
    },
    /// Give a secret to another owner
    #[command(after_help = "Examples:\n  keyreeve secret transfer sec_… ada")]
    Transfer {
        /// Which
        secret: String,
        /// To whom
        #[command(flatten)]
        member: MemberArg,
        /// Where
        #[command(flatten)]
        tenant: InTenant,
    },
    /// List the versions of a secret
    #[command(after_help = "Examples:\n  keyreeve secret versions sec_…")]
    Versions(SecretArg),
    /// Delete versions, have them back, or destroy them
    #[command(after_help = "Examples:\n  keyreeve secret version sec_… destroy 1 2")]
    Version {
        /// Which
        #[command(flatten)]
        secret: SecretArg,
        /// What becomes of them
        #[arg(value_enum)]
        fate: VersionFate,
        /// Their numbers
        #[arg(required = true)]
        numbers: Vec<i64>,
    },
    /// List the leases of a secret
    #[command(after_help = "Examples:\n  keyreeve secret leases sec_…")]
    Leases(SecretArg),
    /// End a lease, and what hangs on it
    #[command(after_help = "Examples:\n  keyreeve secret revoke-lease lea_…")]
    RevokeLease {
        /// Which
        lease: String,
        /// Where
        #[command(flatten)]
        tenant: InTenant,
    },
    /// Remove a secret with all its versions
    #[command(after_help = "Examples:\n  keyreeve secret delete sec_…")]
    Delete(SecretArg),
    /// Stores elsewhere that keep values: make known, check, change, forget
    #[command(subcommand)]
    Store(StoreCommand),
    /// What stores elsewhere are reached with: tokens and AppRoles
    #[command(subcommand)]
    Auth(AuthCommand),
}

/// A secret.
#[derive(Debug, Args)]
pub struct SecretArg {
    /// The secret, by its identifier
    pub secret: String,
    /// Where
    #[command(flatten)]
    pub tenant: InTenant,
}

/// Where a value comes from.
#[derive(Debug, Args)]
#[group(id = "value", multiple = false)]
pub struct ValueArgs {
    /// The first line of standard input is the password
    #[arg(long)]
    pub stdin: bool,
    /// The file that holds the value: JSON, a private key, or whatever a file holds
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The server makes the value
    #[arg(long)]
    pub generate: bool,
}

/// A kind of secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum SecretKind {
    /// A password
    Password,
    /// A JSON object
    KeyValue,
    /// An SSH key pair
    SshKey,
    /// A file
    File,
    /// The authority that signs SSH keys of users
    SshUserCa,
    /// The authority that signs SSH keys of hosts
    SshHostCa,
    /// A key that signs tokens (JWT) for others
    SigningKey,
}

/// What becomes of versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum VersionFate {
    /// Nobody reads them until they are had back
    Delete,
    /// They are had back
    Undelete,
    /// Their values are removed for good
    Destroy,
}

/// A secret to make.
#[derive(Debug, Args)]
pub struct SecretCreate {
    /// The name
    pub name: String,
    /// What kind of thing it is
    #[arg(long, value_enum, default_value_t = SecretKind::Password)]
    pub kind: SecretKind,
    /// Its value
    #[command(flatten)]
    pub value: ValueArgs,
    /// How many characters a password has that is made
    #[arg(long, value_name = "N", default_value_t = 24)]
    pub length: u32,
    /// What kind of key is made: ed25519, ecdsa-p256, ecdsa-p384, rsa-3072, rsa-4096
    #[arg(long, value_name = "TYPE", default_value = "ed25519")]
    pub key_type: String,
    /// What a key signs tokens with that is made: EdDSA, ES256, RS256
    #[arg(long, value_name = "NAME", default_value = "EdDSA")]
    pub algorithm: String,
    /// What it is for
    #[arg(long)]
    pub description: Option<String>,
    /// The mount in which it is found by path
    #[arg(long, requires = "path")]
    pub mount: Option<String>,
    /// The path
    #[arg(long, requires = "mount")]
    pub path: Option<String>,
    /// The store elsewhere that keeps the value of a key_value, by its identifier
    #[arg(long, value_name = "STO", requires = "store_path", conflicts_with = "value")]
    pub store: Option<String>,
    /// The path in the store
    #[arg(long, value_name = "PATH", requires = "store")]
    pub store_path: Option<String>,
    /// Where
    #[command(flatten)]
    pub tenant: InTenant,
}

/// Commands on SSH certificates.
#[derive(Debug, Subcommand)]
#[command(after_help = EXIT_CODES)]
pub enum SshCommand {
    /// Have a public key signed by a policy; prints the certificate
    #[command(after_help = "\
Examples:
  keyreeve ssh sign users ~/.ssh/id_ed25519.pub > ~/.ssh/id_ed25519-cert.pub
  keyreeve ssh sign users id.pub --principal deploy --seconds 600")]
    Sign {
        /// The signing policy
        policy: String,
        /// The file of the public key
        public_key: PathBuf,
        /// A principal; all that the policy allows, if none is named
        #[arg(long = "principal", value_name = "NAME")]
        principals: Vec<String>,
        /// For how many seconds
        #[arg(long, value_name = "N")]
        seconds: Option<u64>,
        /// Let it end with a lease
        #[arg(long)]
        leased: bool,
        /// Where
        #[command(flatten)]
        tenant: InTenant,
    },
    /// Make a signing policy
    #[command(after_help = "\
Examples:
  keyreeve ssh create-policy users sec_… --name '{{username}}' --seconds 28800 --extension permit-pty --open-to-group staff")]
    CreatePolicy(Box<PolicyCreate>),
    /// List the signing policies that one may use
    #[command(after_help = "Examples:\n  keyreeve ssh policies")]
    Policies {
        /// Where
        #[command(flatten)]
        tenant: InTenant,
    },
    /// Remove a signing policy
    #[command(after_help = "Examples:\n  keyreeve ssh delete-policy users")]
    DeletePolicy {
        /// Which
        policy: String,
        /// Where
        #[command(flatten)]
        tenant: InTenant,
    },
    /// List certificates that were issued
    #[command(after_help = "Examples:\n  keyreeve ssh certificates --json")]
    Certificates {
        /// Where
        #[command(flatten)]
        tenant: InTenant,
    },
    /// Revoke a certificate
    #[command(after_help = "Examples:\n  keyreeve ssh revoke crt_… --reason keyCompromise")]
    Revoke {
        /// Which
        certificate: String,
        /// Why, by a reason of RFC 5280
        #[arg(long, default_value = "unspecified")]
        reason: String,
        /// Where
        #[command(flatten)]
        tenant: InTenant,
    },
}

/// A signing policy to make.
#[derive(Debug, Args)]
pub struct PolicyCreate {
    /// What it is called
    pub policy: String,
    /// The authority, by the identifier of its secret
    pub authority: String,
    /// A name that it signs: exact, or {{username}}
    #[arg(long = "name", value_name = "NAME", required = true)]
    pub names: Vec<String>,
    /// The longest lifetime, in seconds
    #[arg(long, value_name = "N", default_value_t = 3_600)]
    pub seconds: u64,
    /// What an SSH server may allow: permit-pty and so on
    #[arg(long = "extension", value_name = "NAME")]
    pub extensions: Vec<String>,
    /// A user whom it is open to
    #[arg(long = "open-to", value_name = "USER")]
    pub open_to: Vec<String>,
    /// A group whom it is open to
    #[arg(long = "open-to-group", value_name = "GROUP")]
    pub open_to_groups: Vec<String>,
    /// Where
    #[command(flatten)]
    pub tenant: InTenant,
}

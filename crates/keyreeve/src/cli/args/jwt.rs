//! The arguments of `keyreeve jwt …`.

use super::InTenant;
use crate::cli::exit::EXIT_CODES;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Commands on tokens that are signed for others.
#[derive(Debug, Subcommand)]
#[command(after_help = EXIT_CODES)]
pub enum JwtCommand {
    /// Have a token signed by a policy; prints the token
    #[command(after_help = "\
Examples:
  keyreeve jwt sign ci
  keyreeve jwt sign ci --subject deploy --audience https://deploy.example.org --claim environment=production --seconds 300
  keyreeve jwt sign ci --claims claims.json")]
    Sign(Box<JwtSign>),
    /// Make a signing policy for tokens
    #[command(after_help = "\
Examples:
  keyreeve secret create ci-key --kind signing_key --algorithm ES256
  keyreeve jwt create-policy ci sec_… --subject '{{username}}' --issuer https://ci.example.org \\
    --audience https://deploy.example.org --fixed team=blue --claim environment --seconds 600 --open-to-group ci")]
    CreatePolicy(Box<JwtPolicy>),
    /// Show the public keys by which tokens are checked
    #[command(after_help = "Examples:\n  keyreeve jwt keys\n  keyreeve jwt keys sec_…")]
    Keys {
        /// Those of one key alone, by the identifier of its secret
        secret: Option<String>,
        /// Where
        #[command(flatten)]
        tenant: InTenant,
    },
}

/// A token to sign.
#[derive(Debug, Args)]
pub struct JwtSign {
    /// The signing policy
    pub policy: String,
    /// Whom it is about; may be left out where the policy allows one
    #[arg(long, value_name = "NAME")]
    pub subject: Option<String>,
    /// For whom it is; may be left out where the policy allows one
    #[arg(long = "audience", value_name = "TEXT")]
    pub audience: Vec<String>,
    /// What else it says: a claim, and its value in JSON or as text
    #[arg(long = "claim", value_name = "NAME=VALUE")]
    pub claims: Vec<String>,
    /// A file with a JSON object of claims
    #[arg(long = "claims", value_name = "FILE")]
    pub claims_file: Option<PathBuf>,
    /// For how many seconds
    #[arg(long, value_name = "N")]
    pub seconds: Option<u64>,
    /// Where
    #[command(flatten)]
    pub tenant: InTenant,
}

/// A signing policy for tokens to make.
#[derive(Debug, Args)]
pub struct JwtPolicy {
    /// What it is called
    pub policy: String,
    /// The key, by the identifier of its secret
    pub secret: String,
    /// Whom a token may be about: exact, or {{username}}
    #[arg(long = "subject", value_name = "NAME", required = true)]
    pub subjects: Vec<String>,
    /// Who issues the tokens; no address of this server
    #[arg(long, value_name = "TEXT")]
    pub issuer: String,
    /// For whom a token may be
    #[arg(long = "audience", value_name = "TEXT", required = true)]
    pub audiences: Vec<String>,
    /// The type in the header
    #[arg(long, value_name = "TYPE", default_value = "JWT")]
    pub typ: String,
    /// A claim that every token has, and its value in JSON or as text
    #[arg(long = "fixed", value_name = "NAME=VALUE")]
    pub fixed: Vec<String>,
    /// A claim that the caller may give; with a value, that one (may be repeated), else any
    #[arg(long = "claim", value_name = "NAME[=VALUE]")]
    pub claims: Vec<String>,
    /// The longest lifetime, in seconds
    #[arg(long, value_name = "N", default_value_t = 600)]
    pub seconds: u64,
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

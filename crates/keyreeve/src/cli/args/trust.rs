//! The arguments of `keyreeve issuer …` and `keyreeve initial-token …`: whom a tenant trusts.

use super::{Edits, InTenant};
use crate::cli::exit::EXIT_CODES;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Commands on issuers whose assertions lead to tokens (RFC 7523).
#[derive(Debug, Subcommand)]
#[command(after_help = EXIT_CODES)]
pub enum IssuerCommand {
    /// Trust an issuer
    #[command(after_help = "\
Examples:
  keyreeve issuer create https://idp.example.com --jwks-file keys.json --set 'clients=[\"bridge\"]' --set scopes=profile
  keyreeve issuer create https://idp.example.com --set jwks_uri=https://idp.example.com/jwks --set subject.claim=email --set subject.field=email

Whoever can sign in its name can be any user that its subjects name, within these clients and scopes. docs/openapi.json lists
the fields (TrustedIssuerSettings).")]
    Create(Box<IssuerCreate>),
    /// Show a trusted issuer
    #[command(after_help = "Examples:\n  keyreeve issuer show ID")]
    Show(TrustArg),
    /// List the trusted issuers
    #[command(after_help = "Examples:\n  keyreeve issuer list")]
    List {
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
    },
    /// Change what an issuer is trusted for
    #[command(after_help = "Examples:\n  keyreeve issuer update ID --set enabled=false --version 2")]
    Update {
        /// Which
        #[command(flatten)]
        issuer: TrustArg,
        /// What to change
        #[command(flatten)]
        edits: Edits,
    },
    /// Trust an issuer no longer
    #[command(after_help = "Examples:\n  keyreeve issuer delete ID")]
    Delete(TrustArg),
}

/// An issuer to trust.
#[derive(Debug, Args)]
pub struct IssuerCreate {
    /// The `iss` of its assertions
    pub issuer: String,
    /// Its public keys: a JWK set
    #[arg(long, value_name = "FILE")]
    pub jwks_file: Option<PathBuf>,
    /// Where
    #[command(flatten)]
    pub tenant: InTenant,
    /// Its settings
    #[command(flatten)]
    pub edits: Edits,
}

/// Something by its identifier.
#[derive(Debug, Args)]
pub struct TrustArg {
    /// Its identifier
    pub id: String,
    /// Where to look
    #[command(flatten)]
    pub tenant: InTenant,
}

/// Commands on tokens by which clients register themselves (RFC 7591).
#[derive(Debug, Subcommand)]
#[command(after_help = EXIT_CODES)]
pub enum InitialTokenCommand {
    /// Make an initial access token, and print it once
    #[command(after_help = "\
Examples:
  keyreeve initial-token create 'Notebooks of the lab' --uses 20 --expires-in-days 30

Registration by such tokens is opened by `keyreeve tenant policy default --set tokens.registration.initial_token=true`.")]
    Create {
        /// For whom or what
        name: String,
        /// Where
        #[command(flatten)]
        tenant: InTenant,
        /// How many clients can be registered with it [default: any number]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        uses: Option<u32>,
        /// For how many days it works [default: for good]
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3650))]
        expires_in_days: Option<u32>,
    },
    /// List initial access tokens; never the tokens themselves
    #[command(after_help = "Examples:\n  keyreeve initial-token list")]
    List {
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
    },
    /// Remove an initial access token; the clients that were registered with it stay
    #[command(after_help = "Examples:\n  keyreeve initial-token delete ID")]
    Delete(TrustArg),
}

//! The arguments of `keyreeve client …`.

use super::{Edits, InTenant, Paging};
use crate::cli::exit::EXIT_CODES;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Commands on OAuth clients. A client is named by its client_id.
#[derive(Debug, Subcommand)]
#[command(after_help = EXIT_CODES)]
pub enum ClientCommand {
    /// Register a client; its secret is printed once
    #[command(after_help = "\
Examples:
  keyreeve client create --name Wiki --redirect-uri https://wiki.example.com/callback
  keyreeve client create --name 'Mobile app' --public --redirect-uri com.example.app:/callback
  keyreeve client create --name Nightly --grant-type client_credentials --scope reports:read --json
  keyreeve client create --name Backend --auth-method private_key_jwt --jwks-file keys.json \\
      --redirect-uri https://app.example.com/callback")]
    Create(Box<ClientCreate>),
    /// Show a client; never its secrets
    #[command(after_help = "Examples:\n  keyreeve client show wiki")]
    Show(ClientArg),
    /// List the clients of a tenant
    #[command(after_help = "Examples:\n  keyreeve client list --json")]
    List {
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
    },
    /// Add a secret beside the present ones, and print it once
    #[command(after_help = "\
Examples:
  keyreeve client add-secret wiki --json

Give the application the new secret within the time that the old ones go on working, or revoke them sooner.")]
    AddSecret {
        /// Whose
        #[command(flatten)]
        client: ClientArg,
        /// For how many hours the present secrets go on working, up to a year
        #[arg(long, default_value_t = 168, value_parser = clap::value_parser!(u32).range(0..=8784))]
        keep_old_hours: u32,
    },
    /// Revoke one secret
    #[command(
        after_help = "Examples:\n  keyreeve client revoke-secret wiki SECRET_ID   (the id is in `client show`)"
    )]
    RevokeSecret {
        /// Whose
        #[command(flatten)]
        client: ClientArg,
        /// The identifier of the secret
        secret: String,
    },
    /// Change a client's settings
    #[command(after_help = "\
Examples:
  keyreeve client update wiki --set require_pkce=true --set 'scopes=openid profile'
  keyreeve client update wiki --unset client_uri --version 4

docs/openapi.json lists the fields.")]
    Update {
        /// Which
        #[command(flatten)]
        client: ClientArg,
        /// What to change
        #[command(flatten)]
        edits: Edits,
    },
    /// List what a client was told of ended sessions, and how that went
    #[command(after_help = "Examples:\n  keyreeve client logouts wiki --limit 20")]
    Logouts {
        /// Whose
        #[command(flatten)]
        client: ClientArg,
        /// Which of them
        #[command(flatten)]
        paging: Paging,
    },
    /// Allow one more redirect URI
    #[command(after_help = "Examples:\n  keyreeve client add-redirect wiki https://wiki.example.com/other")]
    AddRedirect {
        /// Whose
        #[command(flatten)]
        client: ClientArg,
        /// The URI, matched exactly
        uri: String,
    },
    /// Let a disabled client in again
    #[command(after_help = "Examples:\n  keyreeve client enable wiki")]
    Enable(ClientArg),
    /// Let a client in no more
    #[command(after_help = "Examples:\n  keyreeve client disable wiki")]
    Disable(ClientArg),
    /// Delete a client with its grants and tokens
    #[command(after_help = "Examples:\n  keyreeve client delete wiki")]
    Delete(ClientArg),
}

/// One client.
#[derive(Debug, Args)]
pub struct ClientArg {
    /// Its client_id
    pub client_id: String,
    /// Where to look
    #[command(flatten)]
    pub tenant: InTenant,
}

/// A new client.
#[derive(Debug, Args)]
pub struct ClientCreate {
    /// Where to create it
    #[command(flatten)]
    pub tenant: InTenant,
    /// Its name, as people see it on the sign-in and consent pages
    #[arg(long)]
    pub name: String,
    /// Its client_id [default: a random one]
    #[arg(long)]
    pub client_id: Option<String>,
    /// Where a browser may be sent back to, matched exactly; may be repeated
    #[arg(long = "redirect-uri", value_name = "URI")]
    pub redirect_uris: Vec<String>,
    /// Where a browser may be sent after signing out; may be repeated
    #[arg(long = "post-logout-redirect-uri", value_name = "URI")]
    pub post_logout_redirect_uris: Vec<String>,
    /// A client that can keep no secret: an application in a browser or on a device
    #[arg(long, conflicts_with = "auth_method")]
    pub public: bool,
    /// How it proves who it is
    #[arg(long, value_enum, default_value_t = AuthMethod::ClientSecretBasic)]
    pub auth_method: AuthMethod,
    /// The public keys of a private_key_jwt client: a JWK set
    #[arg(long, value_name = "FILE", required_if_eq("auth_method", "private_key_jwt"))]
    pub jwks_file: Option<PathBuf>,
    /// authorization_code, refresh_token, client_credentials or password; may be repeated [default:
    /// authorization_code and refresh_token with a redirect URI, else client_credentials]
    #[arg(long = "grant-type", value_name = "TYPE")]
    pub grant_types: Vec<String>,
    /// A scope it may ask for; may be repeated [default: openid profile email address phone offline_access with a redirect URI]
    #[arg(long = "scope", value_name = "SCOPE")]
    pub scopes: Vec<String>,
    /// The audience of its access tokens; may be repeated [default: the issuer]
    #[arg(long = "audience", value_name = "AUDIENCE")]
    pub audiences: Vec<String>,
    /// An application of the house: users are not asked for consent
    #[arg(long)]
    pub first_party: bool,
    /// The signature of its ID tokens: EdDSA, ES256 or RS256 [default: the tenant's]
    #[arg(long, value_name = "ALG")]
    pub id_token_alg: Option<String>,
    /// The signature of its access tokens [default: the tenant's]
    #[arg(long, value_name = "ALG")]
    pub access_token_alg: Option<String>,
    /// Its own web address, shown on the consent page
    #[arg(long, value_name = "URL")]
    pub client_uri: Option<String>,
}

/// How a client proves who it is (the names of the OAuth registry).
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum AuthMethod {
    /// A secret in the Authorization header
    ClientSecretBasic,
    /// A secret in the form
    ClientSecretPost,
    /// A signed assertion
    PrivateKeyJwt,
}

//! The command line as clap reads it. Every command has an example; no secret has a flag, because flags show in
//! process lists and shell histories.

use super::exit::EXIT_CODES;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "keyreeve",
    version,
    about = "A self-hosted server for identity and access",
    after_help = TOP_HELP,
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const TOP_HELP: &str = "\
Examples:
  keyreeve serve                        start with nothing configured, on http://127.0.0.1:8080
  keyreeve --config keyreeve.toml serve
  keyreeve user create --username ada --email ada@example.com --generate-password
  keyreeve client create --name Wiki --redirect-uri https://wiki.example.com/callback
  keyreeve doctor

Settings: flags win over KEYREEVE_* variables, those over the file; `keyreeve config show` lists them all.
Every command takes --json. Commands that change something work while the server runs.
Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 conflict, 5 refused or not verified, 6 unavailable.";

/// Flags that every command takes.
#[derive(Debug, Args)]
pub struct Global {
    /// The configuration file (TOML); also KEYREEVE_CONFIG
    #[arg(long, global = true, value_name = "FILE", help_heading = "Settings")]
    pub config: Option<PathBuf>,
    /// The directory of database, master key and lock [default: ./keyreeve-data]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Settings")]
    pub data_dir: Option<String>,
    /// The address to serve on [default: 127.0.0.1:8080]
    #[arg(long, global = true, value_name = "ADDRESS:PORT", help_heading = "Settings")]
    pub listen: Option<String>,
    /// Where people reach the server, such as https://id.example.com
    #[arg(long, global = true, value_name = "URL", help_heading = "Settings")]
    pub public_url: Option<String>,
    /// The file of the master key [default: master.key in the data directory]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Settings")]
    pub master_key_file: Option<String>,
    /// Proxies whose forwarding headers are believed, separated by commas
    #[arg(long, global = true, value_name = "NETWORKS", help_heading = "Settings")]
    pub trusted_proxies: Option<String>,
    /// The address that serves /metrics alone
    #[arg(long, global = true, value_name = "ADDRESS:PORT", help_heading = "Settings")]
    pub metrics_listen: Option<String>,
    /// Which log lines are written: error, warn, info, debug, trace
    #[arg(long, global = true, value_name = "FILTER", help_heading = "Settings")]
    pub log: Option<String>,
    /// How log lines are written: text or json
    #[arg(long, global = true, value_name = "FORMAT", help_heading = "Settings")]
    pub log_format: Option<String>,
    /// Print the answer as JSON
    #[arg(long, global = true)]
    pub json: bool,
}

impl Global {
    /// The settings among the flags.
    #[must_use]
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let flags = [
            ("data_dir", &self.data_dir),
            ("listen", &self.listen),
            ("public_url", &self.public_url),
            ("master_key_file", &self.master_key_file),
            ("trusted_proxies", &self.trusted_proxies),
            ("metrics_listen", &self.metrics_listen),
            ("log", &self.log),
            ("log_format", &self.log_format),
        ];
        flags.into_iter().filter_map(|(key, value)| value.clone().map(|value| (key, value))).collect()
    }
}

/// A command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the server; the first time, set everything up
    #[command(after_help = "\
Examples:
  keyreeve serve
  keyreeve serve --listen 0.0.0.0:8080 --public-url https://id.example.com
  KEYREEVE_DATABASE_URL=postgres://keyreeve@db/keyreeve keyreeve serve

Without any setting it keeps its data in ./keyreeve-data and serves http://127.0.0.1:8080. SIGTERM or Ctrl-C stops it
after the open requests have been answered.")]
    Serve,
    /// Set everything up without starting the server, and print the credentials once
    #[command(after_help = "\
Examples:
  keyreeve init --json
  keyreeve --data-dir /var/lib/keyreeve --public-url https://id.example.com init --json

Prints issuer, tenant, the administrator's name and password, and a confidential client with the scope
keyreeve:admin for client_credentials. On a data directory that is already set up it changes nothing and exits with 4.")]
    Init,
    /// Check or show the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look for what is wrong with this installation, and say how to put it right
    #[command(after_help = "\
Examples:
  keyreeve doctor
  keyreeve doctor --json

Works while the server runs and changes nothing. Exits with 5 when a check failed.")]
    Doctor,
    /// Tenants: create, show, list, enable, disable, policy
    #[command(subcommand)]
    Tenant(TenantCommand),
    /// Users: create, show, list, passwords, locks, sessions
    #[command(subcommand)]
    User(UserCommand),
    /// OAuth clients: create, show, list, secrets, redirect URIs
    #[command(subcommand)]
    Client(ClientCommand),
    /// Signing keys, data keys and the master key
    #[command(subcommand)]
    Key(KeyCommand),
    /// The audit log: verify its chain, list its entries
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Copy the SQLite database into a new file, also while the server runs
    #[command(after_help = "\
Examples:
  keyreeve backup /backup/keyreeve-2030-01-31.db

The copy is consistent and does not hold up writers. Keep the master key elsewhere: the copy is of no use without it.
To restore: stop the server, put the copy in place of keyreeve.db in the data directory (remove keyreeve.db-wal and
keyreeve.db-shm), start the server. PostgreSQL is backed up with its own tools.")]
    Backup {
        /// The file to create
        file: PathBuf,
    },
}

/// Commands on the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Name every mistake in the configuration with its file, line and column
    #[command(after_help = "Examples:\n  keyreeve --config keyreeve.toml config check")]
    Check,
    /// Print every setting with its effective value and where that came from; secrets are masked
    #[command(
        after_help = "Examples:\n  keyreeve config show\n  keyreeve --config keyreeve.toml config show --json"
    )]
    Show,
}

/// The tenant that a command is about.
#[derive(Debug, Args)]
pub struct InTenant {
    /// The tenant, by its short name
    #[arg(long, value_name = "SLUG", default_value = "default")]
    pub tenant: String,
}

/// Commands on tenants.
#[derive(Debug, Subcommand)]
#[command(after_help = EXIT_CODES)]
pub enum TenantCommand {
    /// Create a tenant
    #[command(after_help = "Examples:\n  keyreeve tenant create acme --name 'Acme Ltd'")]
    Create {
        /// Its short name, part of its issuer: lower-case letters, digits and single hyphens
        slug: String,
        /// Its name for people [default: the short name]
        #[arg(long)]
        name: Option<String>,
    },
    /// Show a tenant
    #[command(after_help = "Examples:\n  keyreeve tenant show default")]
    Show {
        /// Its short name
        slug: String,
    },
    /// List the tenants
    #[command(after_help = "Examples:\n  keyreeve tenant list --json")]
    List,
    /// Let the users and clients of a tenant in again
    #[command(after_help = "Examples:\n  keyreeve tenant enable acme")]
    Enable {
        /// Its short name
        slug: String,
    },
    /// Let no user and no client of a tenant in
    #[command(after_help = "Examples:\n  keyreeve tenant disable acme")]
    Disable {
        /// Its short name
        slug: String,
    },
    /// Show a tenant's policy, or change parts of it
    #[command(after_help = "\
Examples:
  keyreeve tenant policy default
  keyreeve tenant policy default --set tokens.access_token_s=600 --set tokens.password_grant=true

The first form prints every key that the second can set.")]
    Policy {
        /// The tenant's short name
        slug: String,
        /// A key of the policy and its new value
        #[arg(long = "set", value_name = "KEY=VALUE")]
        set: Vec<String>,
    },
}

/// Commands on users. A user is named by user name, e-mail address or identifier.
#[derive(Debug, Subcommand)]
#[command(after_help = EXIT_CODES)]
pub enum UserCommand {
    /// Create a user
    #[command(after_help = "\
Examples:
  keyreeve user create --username ada --email ada@example.com --generate-password
  printf %s \"$PASSWORD\" | keyreeve user create --username ada --password-stdin --json")]
    Create(Box<UserCreate>),
    /// Show a user
    #[command(after_help = "Examples:\n  keyreeve user show ada@example.com")]
    Show(UserArg),
    /// List the users of a tenant
    #[command(
        after_help = "Examples:\n  keyreeve user list --limit 20\n  keyreeve user list --after ID --json"
    )]
    List {
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
        /// Begin behind the user with this identifier
        #[arg(long, value_name = "ID")]
        after: Option<String>,
        /// At most so many, up to 500
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=500))]
        limit: u16,
    },
    /// Give a user a new password
    #[command(after_help = "\
Examples:
  keyreeve user set-password ada                    asks for it
  keyreeve user set-password ada --generate-password
  printf %s \"$PASSWORD\" | keyreeve user set-password ada --password-stdin

It ends the user's sessions. Unless --keep is given, the user must choose another at the next sign-in.")]
    SetPassword {
        /// Who
        #[command(flatten)]
        user: UserArg,
        /// Where the password comes from
        #[command(flatten)]
        password: PasswordArg,
        /// Do not ask the user to choose another at the next sign-in
        #[arg(long)]
        keep: bool,
    },
    /// Let a disabled user in again
    #[command(after_help = "Examples:\n  keyreeve user enable ada")]
    Enable(UserArg),
    /// Let a user in no more; ends the sessions and tokens
    #[command(after_help = "Examples:\n  keyreeve user disable ada")]
    Disable(UserArg),
    /// Lock a user out, by decision of an administrator
    #[command(after_help = "Examples:\n  keyreeve user lock ada")]
    Lock(UserArg),
    /// Lift that lock
    #[command(after_help = "Examples:\n  keyreeve user unlock ada")]
    Unlock(UserArg),
    /// List a user's sessions
    #[command(after_help = "Examples:\n  keyreeve user sessions ada")]
    Sessions(UserArg),
    /// End a user's sessions, and the tokens that depend on them
    #[command(after_help = "\
Examples:
  keyreeve user end-sessions ada
  keyreeve user end-sessions ada --session ID")]
    EndSessions {
        /// Who
        #[command(flatten)]
        user: UserArg,
        /// End this one only
        #[arg(long, value_name = "ID")]
        session: Option<String>,
    },
    /// Make a user choose a new password at the next sign-in
    #[command(after_help = "Examples:\n  keyreeve user require-password-change ada")]
    RequirePasswordChange(UserArg),
}

/// One user.
#[derive(Debug, Args)]
pub struct UserArg {
    /// User name, e-mail address or identifier
    pub user: String,
    /// Where to look
    #[command(flatten)]
    pub tenant: InTenant,
}

/// Where a password comes from.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct PasswordArg {
    /// Read the password from standard input, up to the end of the line
    #[arg(long)]
    pub password_stdin: bool,
    /// Make a random one and print it
    #[arg(long)]
    pub generate_password: bool,
}

/// A new user.
#[derive(Debug, Args)]
pub struct UserCreate {
    /// Where to create it
    #[command(flatten)]
    pub tenant: InTenant,
    /// The user name
    #[arg(long)]
    pub username: Option<String>,
    /// The e-mail address
    #[arg(long)]
    pub email: Option<String>,
    /// The address is known to be the user's
    #[arg(long, requires = "email")]
    pub email_verified: bool,
    /// The first name
    #[arg(long)]
    pub given_name: Option<String>,
    /// The family name
    #[arg(long)]
    pub family_name: Option<String>,
    /// The whole name as it is shown
    #[arg(long)]
    pub display_name: Option<String>,
    /// The telephone number
    #[arg(long)]
    pub phone_number: Option<String>,
    /// The language, such as de-AT
    #[arg(long)]
    pub locale: Option<String>,
    /// The time zone, such as Europe/Vienna
    #[arg(long)]
    pub zoneinfo: Option<String>,
    /// A further attribute; the same name again adds a value
    #[arg(long = "attribute", value_name = "NAME=VALUE")]
    pub attributes: Vec<String>,
    /// Where the password comes from; without one, the user cannot sign in until it is set
    #[command(flatten)]
    pub password: PasswordArg,
    /// Read the hash of the password from standard input (PHC, bcrypt, PBKDF2, {SSHA}, SHA-crypt)
    #[arg(long, conflicts_with_all = ["password_stdin", "generate_password"])]
    pub password_hash_stdin: bool,
    /// The user must choose a new password at the first sign-in
    #[arg(long)]
    pub must_change_password: bool,
}

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

/// Commands on keys.
#[derive(Debug, Subcommand)]
#[command(after_help = EXIT_CODES)]
pub enum KeyCommand {
    /// List the signing keys of a tenant
    #[command(after_help = "Examples:\n  keyreeve key list")]
    List {
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
    },
    /// Change to a new key: for signing, for sealing, or the master key
    #[command(after_help = "\
Examples:
  keyreeve key rotate                     the signing keys of the default tenant
  keyreeve key rotate --alg RS256
  keyreeve key rotate --data              the key that seals the tenant's secrets
  keyreeve key rotate --master            the key that wraps all data keys

Tokens signed by the old key stay valid: it is published until the last of them has expired. With the master key in a
file, --master makes a new one and keeps the old beside it as master.key.previous. With the key from the environment or
a command, provide the new key there, name the old one in previous_master_key_file, and then run --master.")]
    Rotate {
        /// Where
        #[command(flatten)]
        tenant: InTenant,
        /// The algorithm whose key is changed [default: all that have one]
        #[arg(long, value_name = "ALG")]
        alg: Option<String>,
        /// Change the tenant's data key
        #[arg(long, conflicts_with = "alg")]
        data: bool,
        /// Change the master key
        #[arg(long, conflicts_with_all = ["alg", "data"])]
        master: bool,
    },
}

/// Commands on the audit log.
#[derive(Debug, Subcommand)]
#[command(after_help = EXIT_CODES)]
pub enum AuditCommand {
    /// Walk the chain of every tenant, or of one, and name the first entry that was changed or removed
    #[command(after_help = "\
Examples:
  keyreeve audit verify
  keyreeve audit verify --tenant default --expect 1204:5f0c…

Note the head that it prints somewhere else; given back with --expect it proves that nobody rewrote the log up to there.
Exits with 5 when a chain does not hold.")]
    Verify {
        /// This tenant only
        #[arg(long, value_name = "SLUG")]
        tenant: Option<String>,
        /// A head noted earlier, through which the chain must pass
        #[arg(long, value_name = "SEQ:HASH", requires = "tenant")]
        expect: Option<String>,
    },
    /// Chain what has been recorded and not yet chained
    #[command(after_help = "\
Examples:
  keyreeve audit seal

With SQLite every commit does this; with PostgreSQL a running server does it a few times a second. After commands on a
PostgreSQL database that no server runs on, this does it.")]
    Seal,
    /// List entries, oldest first
    #[command(after_help = "Examples:\n  keyreeve audit list --after 1000 --limit 50 --json")]
    List {
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
        /// Begin behind this number
        #[arg(long, value_name = "SEQ", default_value_t = 0)]
        after: i64,
        /// At most so many, up to 1000
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=1000))]
        limit: i64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example_in_its_help() {
        fn walk(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            if command.has_subcommands() {
                command.get_subcommands().for_each(|inner| walk(inner, &path));
            } else {
                let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.contains("Examples:"), "{path} has no example");
            }
        }
        walk(&Cli::command(), "");
    }

    #[test]
    fn no_secret_has_a_flag() {
        fn walk(command: &clap::Command) {
            for argument in command.get_arguments().filter(|argument| argument.get_action().takes_values()) {
                let name = argument.get_id().as_str();
                let file_or_id = name.ends_with("_file") || name == "secret";
                assert!(file_or_id || !["password", "secret", "key", "token"].contains(&name), "{name}");
            }
            command.get_subcommands().for_each(walk);
        }
        walk(&Cli::command());
    }
}

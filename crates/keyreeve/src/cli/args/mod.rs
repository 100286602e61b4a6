//! The command line as clap reads it. Every command has an example; no secret has a flag, because flags show in
//! process lists and shell histories.

mod clients;
mod common;
mod directory;
mod events;
mod insight;
mod jwt;
mod remote;
mod secrets;
mod sharing;
mod shell;
mod stores;
mod transfer;
mod trust;
mod users;

pub use clients::{AuthMethod, ClientArg, ClientCommand, ClientCreate};
pub use common::{Edits, InTenant, Paging};
pub use directory::{GroupCommand, MapperCommand, MemberArg, PartyKind, RoleCommand, ServiceAccountCommand};
pub use events::{AuditCommand, AuditExport, AuditFilter, AuditFollow, WebhookCommand};
pub use insight::InsightCommand;
pub use jwt::{JwtCommand, JwtPolicy, JwtSign};
pub use remote::{LoginArgs, Remote};
pub use secrets::{
    PolicyCreate, SecretArg, SecretCommand, SecretCreate, SecretKind, SshCommand, ValueArgs, VersionFate,
};
pub use sharing::{
    GrantCommand, LoadArgs, OfType, PageArgs, PermissionCommand, QuestionArgs, ResourceCommand,
    ResourceTypeCommand, SharingCommand, SharingExport,
};
pub use shell::ShellKind;
pub use stores::{AuthArg, AuthCommand, AuthCreate, CredentialArgs, StoreArg, StoreCommand, StoreCreate};
pub use transfer::{ExportArgs, Format, ImportArgs, ImportMode};
pub use trust::{InitialTokenCommand, IssuerCommand, IssuerCreate, TrustArg};
pub use users::{PasswordArg, UserArg, UserCommand, UserCreate};

use super::exit::EXIT_CODES;
use clap::{Args, Parser, Subcommand};
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
    /// Where the command runs, if not here.
    #[command(flatten)]
    pub remote: Remote,
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
    /// Hand shares of a split master key to a server that waits for them
    #[command(after_help = "\
Examples:
  keyreeve unseal                         asks for the shares, one after the other
  keyreeve unseal < share
  keyreeve --server https://id.example.com unseal

Several people can do it one after the other, each with one share. It asks for no other credential.")]
    Unseal,
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
    /// The interface of IMQS Auth: a throw-away server with given users, or moving from the original
    #[command(after_help = "\
Examples:
  keyreeve imqs --fixture users.json --listen 127.0.0.1:3377
  keyreeve imqs --import @database-url.txt

A fixture is JSON: groups (name, permissions) and users (email, username, password, groups). The server keeps everything in
a directory that is removed at its end, and serves without the prefix /auth2. See docs/imqs.md.")]
    Imqs(ImqsArgs),
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
    /// Groups: create, show, list, change, members
    #[command(subcommand)]
    Group(GroupCommand),
    /// Roles: create, show, list, change, give, take
    #[command(subcommand)]
    Role(RoleCommand),
    /// Service accounts: create, show, list, change, secrets
    #[command(subcommand)]
    ServiceAccount(ServiceAccountCommand),
    /// Protocol mappers: what goes into tokens under which claim
    #[command(subcommand)]
    Mapper(MapperCommand),
    /// OAuth clients: create, show, list, secrets, redirect URIs
    #[command(subcommand)]
    Client(ClientCommand),
    /// Issuers whose assertions lead to tokens
    #[command(subcommand)]
    Issuer(IssuerCommand),
    /// Tokens by which clients register themselves
    #[command(subcommand)]
    InitialToken(InitialTokenCommand),
    /// Signing keys, data keys and the master key
    #[command(subcommand)]
    Key(KeyCommand),
    /// The audit log: verify its chain, list, export and follow its entries
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Sharing: types of resources, permissions, resources, grants, questions
    #[command(subcommand)]
    Sharing(SharingCommand),
    /// Secrets: create, show, list, read, write, rotate, share with others, remove
    #[command(subcommand)]
    Secret(SecretCommand),
    /// SSH certificates: sign, policies, revoke
    #[command(subcommand)]
    Ssh(SshCommand),
    /// Tokens that are signed for others: sign, policies, the keys to check them by
    #[command(subcommand)]
    Jwt(JwtCommand),
    /// Webhooks: addresses that are told of audit entries
    #[command(subcommand)]
    Webhook(WebhookCommand),
    /// Programs written for Xpress Insight: generate and revoke a user's credentials
    #[command(subcommand)]
    Insight(InsightCommand),
    /// Send any request of the native API, and print the answer
    #[command(after_help = "\
Examples:
  keyreeve api GET /users?limit=5
  keyreeve api POST /roles --data '{\"name\":\"auditor\"}'
  keyreeve --server https://id.example.com api GET /openapi.json

Paths are those of docs/openapi.json, below /api/v1. --data - reads the document from standard input.")]
    Api {
        /// GET, POST, PUT, PATCH or DELETE
        method: String,
        /// The path below /api/v1, with its query
        path: String,
        /// Where
        #[command(flatten)]
        tenant: InTenant,
        /// The JSON document to send; - reads it from standard input
        #[arg(long, value_name = "JSON")]
        data: Option<String>,
        /// Only if it is still at this version
        #[arg(long, value_name = "N")]
        version: Option<i64>,
    },
    /// Sign in to a server for later commands
    #[command(after_help = "\
Examples:
  keyreeve --server https://id.example.com login

Shows an address and a code; whoever enters the code there lets this command line act in their name. The client that it
uses is made once by `keyreeve client create --client-id keyreeve-cli --name 'Command line' --public
--grant-type urn:ietf:params:oauth:grant-type:device_code --grant-type refresh_token --scope offline_access --scope keyreeve:admin`.")]
    Login(LoginArgs),
    /// Forget the sign-in to a server, and revoke its tokens
    #[command(after_help = "Examples:\n  keyreeve --server https://id.example.com logout")]
    Logout,
    /// Print a script that completes commands in a shell
    #[command(after_help = "\
Examples:
  keyreeve completions bash > /etc/bash_completion.d/keyreeve
  keyreeve completions fish > ~/.config/fish/completions/keyreeve.fish")]
    Completions {
        /// For which shell
        shell: ShellKind,
    },
    /// Write the manual pages into a directory
    #[command(after_help = "Examples:\n  keyreeve man /usr/local/share/man/man1")]
    Man {
        /// An existing directory
        directory: PathBuf,
    },
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
    /// Bring users, groups, roles and clients in: from another Keyreeve, from Keycloak, from LDAP
    #[command(after_help = "\
Examples:
  keyreeve import users.ndjson --dry-run
  keyreeve import users.ndjson --report report.ndjson
  keyreeve import realm-export.json --from keycloak --mode upsert
  slapcat | keyreeve import - --from ldif --map employeeNumber=attributes.number

Passwords are not needed: the hashes of other systems are taken over and replaced when their owners sign in. A line that
cannot be taken over is reported, and the others go on; then the exit code is 5. An import that was stopped, by whatever,
goes on with --resume and the same file. Works while the server runs and, with --server, on one elsewhere.")]
    Import(ImportArgs),
    /// Write users, groups, roles and clients into a file that import reads
    #[command(after_help = "\
Examples:
  keyreeve export directory.ndjson
  keyreeve export - --types user,group,membership | gzip > directory.ndjson.gz
  keyreeve export all.ndjson --with-hashes

With hashes the file holds what signs everybody in: it is readable for its owner alone, and the audit log says that it was
written. All of it is of one moment. Works while the server runs and, with --server, on one elsewhere.")]
    Export(ExportArgs),
}

impl Command {
    /// Whether the command can run on a server elsewhere; the others are about this machine.
    #[must_use]
    pub const fn works_elsewhere(&self) -> bool {
        !matches!(
            self,
            Self::Serve
                | Self::Init
                | Self::Config(_)
                | Self::Doctor
                | Self::Imqs(_)
                | Self::Insight(_)
                | Self::Backup { .. }
                | Self::Completions { .. }
                | Self::Man { .. }
                | Self::Audit(AuditCommand::Verify { .. } | AuditCommand::Seal)
                | Self::Key(
                    KeyCommand::MasterKeys
                        | KeyCommand::Split { .. }
                        | KeyCommand::Join
                        | KeyCommand::Note { .. }
                )
        )
    }
}

/// What is done with the interface of IMQS Auth.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct ImqsArgs {
    /// Serve the users and groups of this file on --listen, and forget everything at the end
    #[arg(long, value_name = "FILE")]
    pub fixture: Option<PathBuf>,
    /// Take over the PostgreSQL database of the original: postgres://…, or @FILE that holds the URL
    #[arg(long, value_name = "URL")]
    pub import: Option<String>,
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
    /// Change a tenant's name or settings
    #[command(after_help = "Examples:\n  keyreeve tenant update acme --set name='Acme Ltd'")]
    Update {
        /// Its short name
        slug: String,
        /// What to change
        #[command(flatten)]
        edits: Edits,
    },
    /// Archive a tenant for good: nobody is let in any more
    #[command(after_help = "Examples:\n  keyreeve tenant archive acme")]
    Archive {
        /// Its short name
        slug: String,
    },
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
        /// Change the tenant's data key, as `key rotate-data` does, without waiting
        #[arg(long, conflicts_with = "alg")]
        data: bool,
        /// Change the master key
        #[arg(long, conflicts_with_all = ["alg", "data"])]
        master: bool,
    },
    /// Change the key that seals a tenant's secrets, and seal everything anew
    #[command(after_help = "\
Examples:
  keyreeve key rotate-data
  keyreeve key rotate-data --tenant acme --wait

A new key seals at once. What lies under older ones is sealed anew by the running server, or by this command where none
runs. An old key opens what browsers and clients hold until that has expired; then it is destroyed. `key data-keys` shows
how far it is. Interrupted by whatever, it goes on where it was.")]
    RotateData {
        /// Where
        #[command(flatten)]
        tenant: InTenant,
        /// Wait until everything is sealed anew
        #[arg(long)]
        wait: bool,
    },
    /// List the data keys of a tenant, and how far the last change of them is
    #[command(after_help = "Examples:\n  keyreeve key data-keys --tenant acme --json")]
    DataKeys {
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
    },
    /// Split the master key into shares for several people, and take it out of its file
    #[command(after_help = "\
Examples:
  keyreeve key split --shares 5 --threshold 3

Prints the shares once; any three of the five give the key back, two say nothing about it. The key file then holds a marker
instead of the key. A server that runs goes on; one that starts is sealed until enough shares have come (keyreeve unseal).
The key must be in a file, and no change of it under way.")]
    Split {
        /// How many shares are made
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(2..=32))]
        shares: u8,
        /// How many of them give the key back
        #[arg(long, value_name = "K", value_parser = clap::value_parser!(u8).range(2..=32))]
        threshold: u8,
    },
    /// Put a split master key together again, and back into its file
    #[command(after_help = "\
Examples:
  keyreeve key join                       asks for the shares
  cat share-1 share-4 share-5 | keyreeve key join")]
    Join,
    /// Note in the audit log that the master key was split or joined
    #[command(hide = true, after_help = "Examples:\n  (key split and key join do)")]
    Note {
        /// Which of the two
        #[arg(value_parser = ["split", "join"])]
        what: String,
        /// Which split
        #[arg(long)]
        set: String,
        /// How many shares there are
        #[arg(long)]
        shares: u8,
        /// How many are wanted
        #[arg(long)]
        threshold: u8,
    },
    /// List which master keys wrap how many data keys
    #[command(after_help = "\
Examples:
  keyreeve key master-keys

After a change of the master key is done, all data keys are wrapped by the current one.")]
    MasterKeys,
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
    fn no_command_takes_a_name_that_all_commands_have() {
        fn walk(command: &clap::Command, global: &[String]) {
            for inner in command.get_subcommands() {
                for argument in inner.get_arguments() {
                    let id = argument.get_id().to_string();
                    assert!(!global.contains(&id), "{}: {id}", inner.get_name());
                }
                walk(inner, global);
            }
        }
        let command = Cli::command();
        let global: Vec<String> =
            command.get_arguments().map(|argument| argument.get_id().to_string()).collect();
        assert!(global.contains(&"server".to_owned()));
        walk(&command, &global);
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

//! The arguments of `keyreeve user …`.

use super::{Edits, InTenant, Paging};
use crate::cli::exit::EXIT_CODES;
use clap::{Args, Subcommand};

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
    /// List users
    #[command(after_help = "\
Examples:
  keyreeve user list --limit 20
  keyreeve user list --filter 'email ew \"@example.com\" and enabled eq true' --sort username --all --json")]
    List {
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
        /// Which of them
        #[command(flatten)]
        paging: Paging,
    },
    /// Change a user's profile
    #[command(after_help = "\
Examples:
  keyreeve user update ada --set given_name=Ada --unset phone_number
  keyreeve user update ada --set 'attributes.team=[\"blue\"]' --version 3")]
    Update {
        /// Who
        #[command(flatten)]
        user: UserArg,
        /// What to change
        #[command(flatten)]
        edits: Edits,
    },
    /// Archive a user for good: the names become free, the identifier is never used again
    #[command(after_help = "Examples:\n  keyreeve user archive ada")]
    Archive(UserArg),
    /// List the groups that a user is in
    #[command(after_help = "Examples:\n  keyreeve user groups ada --transitive")]
    Groups {
        /// Who
        #[command(flatten)]
        user: UserArg,
        /// By the groups that those are nested in, too
        #[arg(long)]
        transitive: bool,
    },
    /// List the roles of a user
    #[command(after_help = "Examples:\n  keyreeve user roles ada --effective")]
    Roles {
        /// Who
        #[command(flatten)]
        user: UserArg,
        /// Those that come from groups, too
        #[arg(long)]
        effective: bool,
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
    /// Send a user a link by mail to choose a new password
    #[command(after_help = "Examples:\n  keyreeve user send-reset ada")]
    SendReset(UserArg),
    /// Send a user a link by mail to confirm the e-mail address
    #[command(after_help = "Examples:\n  keyreeve user send-verification ada")]
    SendVerification(UserArg),
    /// List the mail that was sent to a user, or waits to be
    #[command(after_help = "Examples:\n  keyreeve user mail ada")]
    Mail(UserArg),
    /// Show the second factor of a user: devices, and how many recovery codes are left
    #[command(after_help = "Examples:\n  keyreeve user second-factor ada")]
    SecondFactor(UserArg),
    /// Remove every device and recovery code of a user who lost them
    #[command(after_help = "Examples:\n  keyreeve user remove-second-factor ada")]
    RemoveSecondFactor(UserArg),
    /// Find accounts that may be one person's
    #[command(after_help = "\
Examples:
  keyreeve user duplicates --by full_name
  keyreeve user duplicates --by phone_number --by attributes.badge --all --json")]
    Duplicates {
        /// Where to look
        #[command(flatten)]
        tenant: InTenant,
        /// On what they agree: phone_number, full_name, display_name or attributes.NAME; up to four times
        #[arg(long, value_name = "FIELD", required = true)]
        by: Vec<String>,
        /// At most so many sets, up to 100
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=100))]
        limit: u16,
        /// All of them, page by page
        #[arg(long)]
        all: bool,
        /// Go on behind the page that ended with this word
        #[arg(long, value_name = "CURSOR")]
        after: Option<String>,
    },
    /// Merge another account into a user; the other is archived
    #[command(after_help = "\
Examples:
  keyreeve user merge ada ada.l@example.com
  keyreeve user merge ada ada.l@example.com --take email --take attributes --version 3

The user gets the other's memberships, roles and service accounts, and the fields that --take names, where the other has them.
The sessions, tokens, password and second factor of the other end.")]
    Merge {
        /// Who is kept
        #[command(flatten)]
        user: UserArg,
        /// Who goes up in it: user name, e-mail address or identifier
        absorb: String,
        /// A field to take over: username, email, given_name, family_name, display_name, phone_number, locale, zoneinfo, attributes
        #[arg(long, value_name = "FIELD")]
        take: Vec<String>,
        /// Only if the kept user is at this version
        #[arg(long, value_name = "N")]
        version: Option<i64>,
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

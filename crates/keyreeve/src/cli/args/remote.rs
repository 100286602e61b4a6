//! How a server elsewhere is reached.

use clap::Args;
use std::path::PathBuf;

/// The server that a command speaks to, and the credentials that it shows there.
#[derive(Debug, Default, Args)]
pub struct Remote {
    /// Run the command on this server, by its native API; also KEYREEVE_SERVER
    #[arg(long, global = true, value_name = "URL", help_heading = "Server")]
    pub server: Option<String>,
    /// A file that holds an access token; also KEYREEVE_TOKEN (the token itself) or KEYREEVE_TOKEN_FILE
    #[arg(long, global = true, value_name = "FILE", help_heading = "Server")]
    pub token_file: Option<PathBuf>,
    /// The client that gets an access token for the command by client_credentials; also KEYREEVE_CLIENT_ID
    #[arg(long, global = true, value_name = "ID", help_heading = "Server")]
    pub as_client: Option<String>,
    /// A file that holds the client's secret; also KEYREEVE_CLIENT_SECRET (the secret itself) or KEYREEVE_CLIENT_SECRET_FILE
    #[arg(long, global = true, value_name = "FILE", help_heading = "Server")]
    pub as_client_secret_file: Option<PathBuf>,
    /// A file of certificates (PEM) to trust besides the system's; also KEYREEVE_CA_FILE
    #[arg(long, global = true, value_name = "FILE", help_heading = "Server")]
    pub ca_file: Option<PathBuf>,
}

/// A person signs in for later commands.
#[derive(Debug, Args)]
pub struct LoginArgs {
    /// The tenant to sign in to
    #[arg(long, value_name = "SLUG", default_value = "default")]
    pub tenant: String,
    /// The public client with the device grant that stands for this command line
    #[arg(long, value_name = "ID", default_value = "keyreeve-cli")]
    pub client: String,
}

//! What the command line takes for programs written for Xpress Insight.

use clap::Subcommand;

/// Commands on the credentials of programs written for Xpress Insight.
#[derive(Debug, Subcommand)]
pub enum InsightCommand {
    /// Generate REST API credentials for a user; former ones, and their tokens, end
    #[command(after_help = "\
Examples:
  keyreeve insight generate ada
  keyreeve insight generate ada@example.com --json

The secret is shown this once. Needs compat_insight_enabled; the user is one of compat_insight_tenant.")]
    Generate {
        /// User name or e-mail address
        user: String,
    },
    /// Revoke a user's REST API credentials, and their tokens
    #[command(after_help = "Examples:\n  keyreeve insight revoke ada")]
    Revoke {
        /// User name or e-mail address
        user: String,
    },
}

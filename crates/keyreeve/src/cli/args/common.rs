//! Arguments that several commands share.

use clap::Args;

/// The tenant that a command is about.
#[derive(Debug, Clone, Args)]
pub struct InTenant {
    /// The tenant, by its short name
    #[arg(long, value_name = "SLUG", default_value = "default")]
    pub tenant: String,
}

/// Which part of a list is wanted.
#[derive(Debug, Args)]
pub struct Paging {
    /// Only what matches, in the language of SCIM filters: 'email ew "@example.com" and enabled eq true'
    #[arg(long, value_name = "FILTER")]
    pub filter: Option<String>,
    /// In the order of this field; -FIELD for the reverse
    #[arg(long, value_name = "FIELD", allow_hyphen_values = true)]
    pub sort: Option<String>,
    /// Go on behind the page that ended with this word
    #[arg(long, value_name = "CURSOR", conflicts_with = "all")]
    pub after: Option<String>,
    /// At most so many, up to 500
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=500))]
    pub limit: u16,
    /// Everything, page after page
    #[arg(long)]
    pub all: bool,
}

/// Changes of single fields.
#[derive(Debug, Args)]
pub struct Edits {
    /// A field and its new value, as JSON or plain text; a dot reaches inside: attributes.team='["blue"]'
    #[arg(long = "set", value_name = "FIELD=VALUE")]
    pub set: Vec<String>,
    /// A field that is to be empty
    #[arg(long = "unset", value_name = "FIELD")]
    pub unset: Vec<String>,
    /// Only if it is still at this version
    #[arg(long, value_name = "N")]
    pub version: Option<i64>,
}

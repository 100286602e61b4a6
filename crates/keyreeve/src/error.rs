//! Why the server cannot be opened, set up or run, by what the operator can do about it.

use keyreeve_crypto::seal::MasterKeyError;

/// An error of the binary.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration or the file system must be put right first.
    #[error("{0}")]
    Setup(String),
    /// There is no installation here yet.
    #[error("{0}")]
    NotSetUp(String),
    /// The master key cannot be had, or is another than the data was sealed under.
    #[error("{0}")]
    MasterKey(String),
    /// The master key is split, and enough of its shares have to come first.
    #[error(
        "the master key is split into shares: start the server and hand {threshold} of them in (keyreeve unseal), or put \
         the key together again (keyreeve key join)"
    )]
    Sealed {
        /// How many are wanted.
        threshold: u8,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] keyreeve_store::Error),
    /// The identity room.
    #[error(transparent)]
    Identity(#[from] keyreeve_identity::Error),
    /// The tokens room.
    #[error(transparent)]
    Tokens(#[from] keyreeve_tokens::Error),
    /// The secrets room.
    #[error(transparent)]
    Secrets(#[from] keyreeve_secrets::Error),
    /// The operating system, while serving.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// What it said.
        source: std::io::Error,
    },
}

impl From<MasterKeyError> for Error {
    fn from(error: MasterKeyError) -> Self {
        let fix = match &error {
            MasterKeyError::Permissions { path, .. } => format!(". Run: chmod 600 {}", path.display()),
            _ => String::new(),
        };
        Self::MasterKey(format!("{error}{fix}"))
    }
}

/// What went wrong, with the causes below it that add something.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(cause) = below {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        below = cause.source();
    }
    text
}

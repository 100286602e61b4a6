//! The one mapping from errors to sentences and exit codes.

use super::exit::{Exit, Failure};
use crate::config::ConfigError;
use crate::{Error, chain};
use keyreeve_identity::Error as IdentityError;
use keyreeve_store::Error as StoreError;
use keyreeve_tokens::Error as TokensError;
use keyreeve_transfer::Error as TransferError;

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(Exit::Usage, error.to_string())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let text = chain(&error);
        match error {
            Error::Setup(_) => Self::new(Exit::Usage, text),
            Error::NotSetUp(_) => Self::new(Exit::NotFound, text),
            Error::MasterKey(_) | Error::Sealed { .. } => Self::new(Exit::Unavailable, text),
            Error::Io { .. } => Self::new(Exit::Failed, text),
            Error::Store(error) => error.into(),
            Error::Identity(error) => error.into(),
            Error::Tokens(error) => error.into(),
            Error::Secrets(_) => Self::new(Exit::Failed, text),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let exit = match &error {
            StoreError::NotFound => Exit::NotFound,
            StoreError::Conflict { .. } => Exit::Conflict,
            StoreError::ForeignKey | StoreError::Invalid { .. } => Exit::Refused,
            StoreError::Busy { .. }
            | StoreError::Unavailable { .. }
            | StoreError::Ambiguous { .. }
            | StoreError::InUse { .. }
            | StoreError::OlderSchema { .. }
            | StoreError::NewerSchema { .. }
            | StoreError::ChangedMigration { .. } => Exit::Unavailable,
            StoreError::Unsupported { .. } | StoreError::Internal { .. } => Exit::Failed,
        };
        Self::new(exit, chain(&error))
    }
}

impl From<IdentityError> for Failure {
    fn from(error: IdentityError) -> Self {
        let text = chain(&error);
        let exit = match error {
            IdentityError::NotFound(_) => Exit::NotFound,
            IdentityError::Taken(_)
            | IdentityError::VersionConflict
            | IdentityError::Repeated { .. }
            | IdentityError::KeyReused => Exit::Conflict,
            IdentityError::Invalid { .. } | IdentityError::Policy(_) => Exit::Refused,
            IdentityError::Busy { .. } | IdentityError::MasterKey { .. } => Exit::Unavailable,
            IdentityError::Seal(_) | IdentityError::Hash(_) => Exit::Failed,
            IdentityError::Store(error) => return error.into(),
        };
        Self::new(exit, text)
    }
}

impl From<TransferError> for Failure {
    fn from(error: TransferError) -> Self {
        let text = chain(&error);
        let exit = match error {
            TransferError::NotFound(_) => Exit::NotFound,
            TransferError::Elsewhere => Exit::Conflict,
            TransferError::Denied
            | TransferError::Invalid { .. }
            | TransferError::Different { .. }
            | TransferError::Short { .. } => Exit::Refused,
            TransferError::Io { .. } | TransferError::Internal(_) => Exit::Failed,
            TransferError::Identity(error) => return error.into(),
            TransferError::Tokens(error) => return error.into(),
            TransferError::Store(error) => return error.into(),
        };
        Self::new(exit, text)
    }
}

impl From<TokensError> for Failure {
    fn from(error: TokensError) -> Self {
        let text = chain(&error);
        let exit = match error {
            TokensError::NotFound(_) => Exit::NotFound,
            TokensError::Taken(_) | TokensError::VersionConflict => Exit::Conflict,
            TokensError::Invalid { .. } => Exit::Refused,
            TokensError::Corrupt { .. } | TokensError::Key(_) | TokensError::UseDpopNonce { .. } => {
                Exit::Failed
            }
            TokensError::Identity(error) => return error.into(),
            TokensError::Store(error) => return error.into(),
        };
        Self::new(exit, text)
    }
}

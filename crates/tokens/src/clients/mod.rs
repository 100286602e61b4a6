//! Registered applications: what they are, how they authenticate, and the use cases of whoever manages them.

mod assertion;
mod authenticate;
mod bulk;
mod model;
mod redirect_uri;
mod service;

pub use authenticate::{AuthenticatedClient, ClientCredential};
pub use bulk::{ClientRow, MIN_SECRET_BYTES, SecretRow, adopt_secret};
pub(crate) use model::check_identifier;
pub use model::{
    AuthMethod, Client, ClientKind, ClientSettings, ExchangeSettings, GrantType, LifetimeOverrides,
    MAX_CLIENT_KEYS, MAX_REDIRECT_URIS, NewClient, SecretInfo,
};
pub use redirect_uri::{MAX_REDIRECT_URI_BYTES, RedirectUri, RedirectUriError};
pub use service::Clients;
pub(crate) use service::{
    ClientRecord, insert_client, insert_secret, new_secret, settings_from_text, update_client,
};

//! OAuth clients, grants, codes, access, ID and refresh tokens, signing keys: what a standards-speaking application
//! gets from Keyreeve, and for how long.
//!
//! Every use case is one function of [`Tokens`] or of a handle that it gives out; doors parse, call, render.
//!
//! | module | what |
//! |---|---|
//! | [`clients`] | registered applications, their redirect URIs, secrets and authentication |
//! | [`authorization`] | the front channel: request → sign-in → consent → code |
//! | [`grants`] | the token endpoint: code, refresh, client credentials, password |
//! | [`caller`] | whoever calls this server's own interfaces with an access token |
//! | [`access`] | verification, introspection and userinfo of access tokens |
//! | [`dpop`], [`resource`] | what tokens are bound to: keys (RFC 9449) and resources (RFC 8707) |
//! | [`consent`], [`revoke`], [`logout`] | what was agreed to, and how it ends |
//! | [`mappers`] | what tokens say of attributes, roles and groups |
//! | [`device`] | the device grant: codes that are typed elsewhere |
//! | [`registration`] | clients that register themselves |
//! | [`backchannel`] | telling clients that a session has ended |
//! | [`issuers`] | issuers whose assertions a tenant trusts |
//! | [`keys`] | signing keys and their rotation |
//! | [`claims`], [`scope`], [`pkce`], [`policy`] | the pure parts |
//!
//! What it is not: it admits nobody. Whoever gets a token was admitted by the identity room's admission, and the
//! functions that make tokens ask for that proof. It speaks no HTTP and renders no page.
//!
//! How to add to it: a grant type is a variant of [`clients::GrantType`] and a file in `grants/` whose one
//! transaction redeems something, asks admission, and answers through `grants::issue`. A claim is a line in
//! [`claims`]. A change of a stored document adds defaulted fields; a change of tables adds a migration.

pub mod access;
mod assertion;
pub mod authorization;
pub mod backchannel;
mod bounds;
pub mod caller;
pub mod claims;
pub mod clients;
pub mod consent;
mod data_keys;
pub mod device;
pub mod dpop;
mod error;
pub mod grants;
pub mod issuers;
pub mod keys;
pub mod logout;
pub mod mappers;
pub mod pkce;
pub mod policy;
pub mod registration;
pub mod resource;
pub mod revoke;
mod schema;
pub mod scope;
mod service;

pub use access::{AccessToken, Introspection};
pub use authorization::{
    Authorize, Browser, Next, Parameters, Preview, Pushed, Redirect, RequestError, ResponseMode,
};
pub use bounds::{Bounds, Targets};
pub use caller::Caller;
pub use clients::{AuthenticatedClient, Client, ClientCredential, ClientSettings, NewClient};
pub use data_keys::{DataKey, SEALED};
pub use device::{DeviceAuthorization, DeviceDecision, DeviceLookup, DevicePreview};
pub use error::{Error, TokenError};
pub use grants::{ServiceCredential, TokenResponse};
pub use mappers::{Mapper, MapperSettings};
pub use policy::TokenPolicy;
pub use schema::{EVERY_STATEMENT as STATEMENTS, MIGRATIONS};
pub use scope::ScopeSet;
pub use service::{Tokens, TokensOptions};

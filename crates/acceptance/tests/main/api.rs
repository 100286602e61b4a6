//! The native API: what its operations do, over HTTP.

mod audit;
mod delegated;
mod directory;
mod installation;
mod policy;
mod transfers;
mod users;
mod webhooks;

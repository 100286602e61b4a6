//! The native API: what its operations do, over HTTP.

mod accounts;
mod audit;
mod delegated;
mod directory;
mod installation;
mod mail;
mod mappers;
mod policy;
mod transfers;
mod trust;
mod users;
mod webhooks;

//! The native API: what its operations do, over HTTP.

mod delegated;
mod policy;
mod transfers;
mod users;

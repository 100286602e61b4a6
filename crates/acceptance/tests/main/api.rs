//! The native API: what its operations do, over HTTP.

mod users;

//! The Keyreeve server and command line
pub mod cli;
pub mod config;

//! Keeps what is in this process's memory in it: no core image is written when it dies, and no other process of the same
//! user may look into it or attach to it (Linux: `PR_SET_DUMPABLE`).
//!
//! The setting `allow_core_dumps` turns both off, for whoever has to look for a fault.

use crate::config::Config;

/// Closes the process, unless the configuration says otherwise. What cannot be closed is said in the log.
pub fn close(config: &Config) {
    if config.allow_core_dumps {
        tracing::warn!(
            "allow_core_dumps is set: this process's memory, with the keys in it, can be read and written to disk"
        );
        return;
    }
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let none = Rlimit { current: Some(0), maximum: Some(0) };
        if let Err(error) = setrlimit(Resource::Core, none) {
            tracing::warn!(%error, "core dumps could not be turned off");
        }
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
            tracing::warn!(%error, "the process's memory could not be closed to other processes");
        }
    }
}

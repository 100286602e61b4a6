//! The workspace's own files, for tests that hold documents against them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Where the workspace is.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// The functions of every Rust source below `dir`, and the modules that are declared there, by name.
pub fn names_in(dir: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(names_in(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            for line in std::fs::read_to_string(&path).unwrap().lines() {
                let line = line.trim_start();
                let name = ["fn ", "async fn ", "mod "].iter().find_map(|start| line.strip_prefix(start));
                found
                    .extend(name.and_then(|rest| rest.split(['(', ' ', '<', ';']).next()).map(str::to_owned));
            }
        }
    }
    found
}

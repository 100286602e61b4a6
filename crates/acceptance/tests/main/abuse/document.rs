//! `docs/security.md` promises which attack is tried where. It is held to that here.

use crate::sources::{names_in, root};
use std::collections::BTreeMap;
use std::path::Path;

/// Every case that the house knows of.
const CASES: &[(u8, u8)] = &[(1, 29), (30, 38), (40, 61), (70, 77)];

/// The rows of the table: the case, and what stands behind it.
fn rows(document: &str) -> BTreeMap<u8, Vec<String>> {
    let mut rows: BTreeMap<u8, Vec<String>> = BTreeMap::new();
    for line in document.lines() {
        let Some(rest) = line.strip_prefix("| AC-") else { continue };
        let (number, rest) = rest.split_once(' ').unwrap();
        rows.entry(number.parse().unwrap()).or_default().push(rest.to_owned());
    }
    rows
}

/// The names of tests in a row: in back quotes, beginning with a case.
fn named(row: &str) -> Vec<&str> {
    row.split('`').skip(1).step_by(2).filter(|word| word.starts_with("ac_")).collect()
}

#[test]
fn the_table_of_attacks_is_complete_and_true() {
    let document = std::fs::read_to_string(root().join("docs/security.md")).unwrap();
    let tests = names_in(&root().join("crates"));
    let rows = rows(&document);
    let cases: Vec<u8> = CASES.iter().flat_map(|&(first, last)| first..=last).collect();
    assert_eq!(
        rows.keys().copied().collect::<Vec<_>>(),
        cases,
        "each case has its row, and there are no others"
    );
    for (case, rows) in &rows {
        assert_eq!(rows.len(), 1, "AC-{case:02} stands there once");
        let row = &rows[0];
        let names = named(row);
        let waits = row.contains("not yet applicable: needs ");
        assert!(names.is_empty() == waits, "AC-{case:02} is tried, or says what it waits for: {row}");
        let id = format!("ac_{case:02}_");
        for name in names {
            assert!(tests.contains(name), "AC-{case:02} names {name}, which is no test");
            assert!(name.contains(&id), "AC-{case:02} names {name}, which does not bear its identifier");
        }
    }
}

/// The lines of the workspace's own sources (not of tests) that compare what a secret exposes with an operator, which stops
/// at the first difference.
fn careless(dir: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "tests" && name != "examples" && name != "benches" {
                careless(&path, found);
            }
        } else if name.ends_with(".rs") && !name.contains("tests") {
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let compares =
                |line: &&str| line.contains(".expose()") && (line.contains("==") || line.contains("!="));
            found.extend(
                code.lines().filter(compares).map(|line| format!("{}: {}", path.display(), line.trim())),
            );
        }
    }
}

#[test]
fn ac_37_no_secret_is_compared_by_an_operator() {
    let mut found = Vec::new();
    // What stores secrets. A page may compare two fields of one form: whoever sent them knows both.
    for part in ["crypto", "identity", "tokens", "audit", "store", "secrets", "oidc", "kv", "compat"] {
        careless(&root().join("crates").join(part).join("src"), &mut found);
    }
    assert!(found.is_empty(), "use keyreeve_crypto::constant_time_eq: {found:#?}");
}

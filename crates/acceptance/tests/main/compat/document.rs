//! What is written about the dialects is held against their tables: a row for each operation in `docs/compatibility.md`, with
//! a test that there is, and the OpenAPI documents in `docs/`.

use crate::sources::{names_in, root};
use keyreeve_compat::{DIALECTS, openapi};
use std::collections::BTreeSet;

/// Set to write the OpenAPI documents instead of comparing them.
const WRITE: &str = "KEYREEVE_TEST_WRITE_OPENAPI";

#[test]
fn every_operation_has_a_row_with_a_test_that_there_is() {
    let document = std::fs::read_to_string(root().join("docs/compatibility.md")).unwrap();
    let tests = names_in(&root().join("crates/acceptance/tests/main/compat"));
    let rows: Vec<Vec<&str>> = document
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    let mut named = BTreeSet::new();
    for dialect in DIALECTS {
        for operation in dialect.operations {
            let wanted =
                [format!("`{}`", operation.verb.text()), format!("`{}{}`", dialect.prefix, operation.path)];
            let row = rows.iter().find(|row| row.len() == 4 && row[0] == wanted[0] && row[1] == wanted[1]);
            let row = row.unwrap_or_else(|| panic!("no row for {} {}", wanted[0], wanted[1]));
            let proof = row[2].trim_matches('`');
            assert!(tests.contains(proof), "{} {}: there is no test {proof}", wanted[0], wanted[1]);
            assert!(!row[3].is_empty(), "{} {}: the difference, or none", wanted[0], wanted[1]);
            named.insert((wanted[0].clone(), wanted[1].clone()));
        }
    }
    for row in &rows {
        let of = (row[0].to_owned(), row[1].to_owned());
        assert!(named.contains(&of), "{of:?} is no operation");
    }
}

#[test]
fn the_documents_in_docs_are_those_of_the_tables() {
    for dialect in DIALECTS {
        let path = root().join(format!("docs/openapi-{}.json", dialect.name));
        let text = openapi::text(dialect);
        if std::env::var_os(WRITE).is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == text, "{} is out of date: run this test with {WRITE}=1", path.display());
    }
}

#[test]
fn names_are_one_for_each_operation() {
    for dialect in DIALECTS {
        let mut names = BTreeSet::new();
        for operation in dialect.operations {
            assert!(names.insert(operation.name), "{} stands twice", operation.name);
            assert!(operation.name.starts_with(&format!("{}_", dialect.name)), "{}", operation.name);
            assert!(!operation.answers.is_empty() && operation.path.starts_with('/'), "{}", operation.name);
        }
    }
}

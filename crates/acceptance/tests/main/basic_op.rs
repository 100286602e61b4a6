//! The OpenID Foundation's plan `oidcc-basic-certification-test-plan`: a test for each of its modules, by the module's
//! name. docs/conformance.md is the table of them, and is held against this directory here.

mod codes;
mod prompts;
mod requests;
mod responses;
mod scopes;
mod userinfo;

use keyreeve_acceptance::{Server, TestClient, TestUser};

/// The modules, in the order of the plan.
const MODULES: [&str; 38] = [
    "oidcc-server",
    "oidcc-response-type-missing",
    "oidcc-idtoken-signature",
    "oidcc-idtoken-unsigned",
    "oidcc-userinfo-get",
    "oidcc-userinfo-post-header",
    "oidcc-userinfo-post-body",
    "oidcc-ensure-request-without-nonce-succeeds-for-code-flow",
    "oidcc-scope-profile",
    "oidcc-scope-email",
    "oidcc-scope-address",
    "oidcc-scope-phone",
    "oidcc-scope-all",
    "oidcc-ensure-other-scope-order-succeeds",
    "oidcc-display-page",
    "oidcc-display-popup",
    "oidcc-prompt-login",
    "oidcc-prompt-none-not-logged-in",
    "oidcc-prompt-none-logged-in",
    "oidcc-max-age-1",
    "oidcc-max-age-10000",
    "oidcc-ensure-request-with-unknown-parameter-succeeds",
    "oidcc-id-token-hint",
    "oidcc-login-hint",
    "oidcc-ui-locales",
    "oidcc-claims-locales",
    "oidcc-ensure-request-with-acr-values-succeeds",
    "oidcc-codereuse",
    "oidcc-codereuse-30seconds",
    "oidcc-ensure-registered-redirect-uri",
    "oidcc-ensure-post-request-succeeds",
    "oidcc-server-client-secret-post",
    "oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported",
    "oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported",
    "oidcc-claims-essential",
    "oidcc-ensure-request-object-with-redirect-uri",
    "oidcc-refresh-token",
    "oidcc-ensure-request-with-valid-pkce-succeeds",
];

const SOURCES: [&str; 6] = [
    include_str!("basic_op/codes.rs"),
    include_str!("basic_op/prompts.rs"),
    include_str!("basic_op/requests.rs"),
    include_str!("basic_op/responses.rs"),
    include_str!("basic_op/scopes.rs"),
    include_str!("basic_op/userinfo.rs"),
];

const DOCUMENT: &str = include_str!("../../../../docs/conformance.md");

/// The cells of the document's table rows whose first cell is a module: module, test, remark.
fn rows() -> Vec<(String, String, String)> {
    let cell = |text: &str| text.trim().trim_matches('`').to_owned();
    DOCUMENT
        .lines()
        .filter(|line| line.starts_with("| `oidcc-"))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
            assert_eq!(cells.len(), 3, "{line}");
            (cell(cells[0]), cell(cells[1]), cell(cells[2]))
        })
        .collect()
}

#[test]
fn the_document_lists_every_module_once_in_order() {
    let listed: Vec<String> = rows().into_iter().map(|(module, ..)| module).collect();
    assert_eq!(listed, MODULES);
}

#[test]
fn every_test_of_the_document_exists_and_bears_the_name_of_its_module() {
    for (module, test, remark) in rows() {
        assert_eq!(test, module.replace('-', "_"), "the test of {module}");
        let written = SOURCES.iter().filter(|source| source.contains(&format!("async fn {test}("))).count();
        assert_eq!(written, 1, "{test} is written {written} times");
        assert!(!remark.is_empty(), "{module} has no remark");
    }
    let tests: usize = SOURCES.iter().map(|source| source.matches("async fn oidcc_").count()).sum();
    assert_eq!(tests, MODULES.len(), "a test belongs to no module");
}

/// The tests that the document's table of error cases names, by their paths below this crate's tests.
fn proofs() -> Vec<&'static str> {
    let (_, errors) = DOCUMENT.split_once("# Conformance: error cases").expect("the table");
    let rows = errors.lines().filter(|line| line.starts_with("| ") && line.contains("::"));
    rows.filter_map(|row| row.trim_end_matches(" |").rsplit(" | ").next())
        .flat_map(|cell| cell.split(", ").map(|name| name.trim_matches('`')))
        .collect()
}

#[test]
fn every_test_that_proves_an_error_case_exists() {
    let proofs = proofs();
    assert!(proofs.len() > 25, "{proofs:?}");
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/main");
    for proof in proofs {
        let (module, test) = proof.rsplit_once("::").unwrap_or_else(|| panic!("{proof} is no path"));
        let file = root.join(module.replace("::", "/")).with_extension("rs");
        let source = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{proof}: {error}"));
        assert!(source.contains(&format!("async fn {test}(")), "{proof} is not there");
    }
}

/// What the suite is configured with: a client, and a user about whom everything can be told.
async fn stage(server: &Server) -> (TestUser, TestClient) {
    let ada = server.user("ada").with_every_claim().create().await;
    let client = server.client("suite").web_app().confidential().create().await;
    (ada, client)
}

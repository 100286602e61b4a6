//! Every route of the table, walked as nobody, as a stranger, and as another tenant; wrong methods, unknown tenants and
//! paths; the headers of every answer.
//!
//! A route without a case below fails. To add a route, add its case: what each of the three is answered.

mod cases;
mod headers;
mod methods;
mod people;

use cases::{API_CASE, CASES, Case, Expect};
use headers::check_headers;
use keyreeve_acceptance::{Answer, Call, Server, on_a_server};
use keyreeve_http::route::{Guard, RouteSpec};
use people::{Stage, Who};

/// The path of a route at a tenant, with its other parameters filled in.
fn path_of(spec: &RouteSpec, tenant: &str, file: &str) -> String {
    let path =
        spec.path.replace("{tenant}", tenant).replace("{file}", file).replace("{*rest}", "nothing/here");
    let path = path.replace("{kind}", "user").replace("{name}", "ada").replace("{client_id}", "portal");
    let path = path.replace("{mount}", "secret").replace("{*path}", "a/b");
    let path = ["{id}", "{member}", "{secret}", "{role}", "{user}", "{session}", "{delivery}"]
        .iter()
        .fold(path, |path, name| path.replace(name, "0190f0f0-0000-7000-8000-000000000001"));
    // Identifiers that callers choose.
    let path = [
        "{type}",
        "{permission}",
        "{resource}",
        "{grant}",
        "{policy}",
        "{certificate}",
        "{lease}",
        "{authority}",
    ]
    .iter()
    .fold(path, |path, name| path.replace(name, "a%2Fb"));
    assert!(!path.contains('{'), "the walk knows no value for a parameter of {path}");
    path
}

fn case_of(spec: &RouteSpec) -> Option<&'static Case> {
    // Every operation of the native API answers these three alike.
    let of_api =
        spec.guard == Guard::Bearer && (spec.path.contains("/api/v1/") || spec.path.contains("/access/v1/"));
    let own = CASES.iter().find(|case| case.name == spec.name && case.method == spec.method.as_str());
    own.or(of_api.then_some(&API_CASE))
}

/// Whether it answers in the words of Vault's API, which knows no challenge and no 401.
fn is_of_vault(spec: &RouteSpec) -> bool {
    spec.path.contains("/vault/v1/")
}

/// A request on a route of a stage, with the credentials that its guard asks for.
fn call(stage: &Stage, spec: &RouteSpec, case: &Case, who: Who) -> Call {
    let path = path_of(spec, stage.slug, &stage.asset);
    let sent = (case.sends)(stage);
    let sent: Vec<(&str, &str)> = sent.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let call = stage.root.call(spec.method.as_str(), &path);
    let call = match spec.method.as_str() {
        "POST" => call.form(&sent),
        _ if sent.is_empty() => call,
        _ => call.query(&sent),
    };
    let call = if spec.guard == Guard::BrowserForm {
        call.header("origin", stage.root.tokens().base_url())
    } else {
        call
    };
    // Whoever gives their token back is nobody in what follows.
    if spec.name == "kv_revoke_self" { call } else { stage.with_credentials(call, spec.guard, who) }
}

/// What the guard itself demands, whatever the case says.
fn check_guard(spec: &RouteSpec, who: Who, answer: &Answer) {
    if who == Who::Stranger {
        return;
    }
    match spec.guard {
        Guard::Public => {}
        Guard::Operator => answer.check(404),
        Guard::Browser | Guard::BrowserForm => {
            assert!(!answer.status.is_success(), "{who:?} came in\n{answer}");
        }
        Guard::Client => answer.refused(401, "invalid_client"),
        Guard::Bearer if is_of_vault(spec) => {
            answer.check(403);
            assert_eq!(answer.json(), serde_json::json!({"errors": ["permission denied"]}), "{answer}");
        }
        Guard::Bearer => {
            answer.check(401);
            let challenge = answer.challenge().unwrap_or_default();
            assert!(challenge.contains("Bearer "), "RFC 6750 section 3\n{answer}");
        }
    }
}

fn check_case(stage: &Stage, expect: &Expect, answer: &Answer) {
    match expect {
        Expect::Status(status) => answer.check(*status),
        Expect::Error(status, error) => answer.refused(*status, error),
        Expect::To(path) => {
            answer.check(303);
            let to = answer.own_location().unwrap_or_else(|| panic!("it leads away\n{answer}"));
            let expected = format!("{}{path}", stage.mount.prefix());
            assert_eq!(to.split('?').next(), Some(expected.as_str()), "{answer}");
        }
        Expect::Says(status, text) => {
            answer.check(*status);
            assert!(answer.text().contains(text), "{text:?} was expected\n{answer}");
        }
    }
}

/// Walks every route at both mounts.
async fn walk(server: &Server, who: Who) {
    for stage in [Stage::at_root(server).await, Stage::at_tenant(server).await] {
        let mut walked = 0;
        for spec in server.app().route_specs() {
            // Routes of the default tenant are walked at its stage, routes of others at theirs.
            if spec.path.contains("{tenant}") != (stage.slug == "acme") {
                continue;
            }
            walked += 1;
            if spec.method == "OPTIONS" {
                let answer = server
                    .call("OPTIONS", &path_of(&spec, stage.slug, &stage.asset))
                    .send()
                    .await
                    .expect(204);
                check_headers(&answer);
                continue;
            }
            let case = case_of(&spec).unwrap_or_else(|| panic!("no case for {} {}", spec.method, spec.name));
            let answer = call(&stage, &spec, case, who).send().await;
            check_headers(&answer);
            check_guard(&spec, who, &answer);
            check_case(&stage, &case.expect[who as usize], &answer);
        }
        assert!(walked > 20, "only {walked} routes");
        stage.check_unharmed().await;
    }
}

on_a_server! {
    async fn every_route_has_a_case_and_every_case_a_route(server: &Server) {
        let specs = server.app().route_specs();
        for spec in specs.iter().filter(|spec| spec.method != "OPTIONS") {
            assert!(case_of(spec).is_some(), "no case for {} {} ({})", spec.method, spec.name, spec.path);
        }
        for case in CASES {
            let known = specs.iter().any(|spec| spec.name == case.name && spec.method == case.method);
            assert!(known, "the case {} {} has no route", case.method, case.name);
        }
    }

    async fn every_route_as_nobody(server: &Server) {
        walk(server, Who::Nobody).await;
    }

    async fn every_route_as_a_stranger(server: &Server) {
        walk(server, Who::Stranger).await;
    }

    async fn every_route_as_another_tenant(server: &Server) {
        walk(server, Who::Foreign).await;
    }

    async fn a_form_of_another_site_is_refused_everywhere(server: &Server) {
        let stage = Stage::at_root(server).await;
        for spec in server.app().route_specs().iter().filter(|spec| spec.guard == Guard::BrowserForm) {
            if spec.path.contains("{tenant}") {
                continue;
            }
            let path = path_of(spec, "", &stage.asset);
            for (name, value) in [
                ("origin", "https://evil.example"),
                ("origin", "null"),
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-site", "same-site"),
            ] {
                // Even with the victim's cookies, and even before anything is read of the form.
                let answer = stage.ada.post(&path).header(name, value).form(&[("a", "1"), ("a", "2")]).send().await;
                answer.check(403);
                check_headers(&answer);
            }
            let before = stage.ada.cookies();
            stage.ada.post_from("https://evil.example", &path, &[]).send().await.check(403);
            assert_eq!(stage.ada.cookies(), before, "a post of another site changes no cookie: {path}");
        }
        stage.check_unharmed().await;
    }
}

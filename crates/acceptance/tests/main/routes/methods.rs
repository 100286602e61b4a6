//! Wrong methods, unknown paths, unknown tenants.

use super::{check_headers, path_of};
use keyreeve_acceptance::{Server, on_a_server};
use std::collections::{BTreeMap, BTreeSet};

const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"];

on_a_server! {
    async fn another_method_is_405_and_the_answer_names_the_right_ones(server: &Server) {
        server.tenant("acme").create().await;
        let mut paths: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for spec in server.app().route_specs() {
            let known = paths.entry(path_of(&spec, "acme", "any")).or_default();
            known.insert(spec.method.to_string());
            if spec.method == "GET" {
                known.insert("HEAD".to_owned());
            }
        }
        for (path, known) in paths {
            for method in METHODS.iter().filter(|method| !known.contains(**method)) {
                let answer = server.call(method, &path).send().await.expect(405);
                check_headers(&answer);
                let allowed = answer.header("allow").unwrap_or_else(|| panic!("no Allow\n{answer}"));
                let allowed: BTreeSet<String> = allowed.split(',').map(|name| name.trim().to_owned()).collect();
                assert_eq!(allowed, known, "RFC 9110 section 10.2.1\n{answer}");
            }
        }
    }

    async fn head_is_answered_like_get_without_the_body(server: &Server) {
        for path in ["/healthz", "/jwks", "/.well-known/openid-configuration", "/signin", "/userinfo", "/account"] {
            let get = server.get(path).send().await;
            let head = server.call("HEAD", path).send().await;
            assert_eq!((head.status, head.body.len()), (get.status, 0), "{head}");
            assert_eq!(head.header("content-type"), get.header("content-type"), "{head}");
            check_headers(&head);
        }
    }

    async fn an_unknown_tenant_is_404_at_every_route(server: &Server) {
        let gone = server.tenant("gone").create().await;
        gone.user("ada").create().await;
        let client = gone.client("portal").service().create().await;
        let token = gone.token(&client, &[("grant_type", "client_credentials")]).await.expect(200);
        let token = token.json()["access_token"].as_str().unwrap().to_owned();
        gone.set_enabled(false).await;
        // One that is disabled is not there either; the default tenant has one address only.
        for tenant in ["nowhere", "gone", "default", "Gone", "..", "%2e%2e", "%00", "a%2fb", "%ff", "x y"] {
            let tenant = tenant.replace(' ', "%20");
            for spec in server.app().route_specs() {
                if !spec.path.contains("{tenant}") || spec.method == "OPTIONS" {
                    continue;
                }
                // There every tenant has its name in the path.
                if tenant == "default" && spec.path.starts_with("/scim/") {
                    continue;
                }
                let path = path_of(&spec, &tenant, "any");
                let call = server.call(spec.method.as_str(), &path).header("origin", server.tokens().base_url());
                let answer = call.bearer(&token).send().await.expect(404);
                check_headers(&answer);
            }
        }
    }

    async fn an_unknown_path_is_404(server: &Server) {
        for path in [
            "/nothing", "/t", "/t/", "//", "/token/", "/jwks/x", "/.well-known", "/.well-known/openid-configuration/t/x",
            "/assets/", "/assets/nothing.css", "/assets/..%2f..%2fCargo.toml", "/admin", "/.env", "/t/default/jwks/",
        ] {
            for method in ["GET", "POST"] {
                let answer = server.call(method, path).send().await;
                assert!(answer.status == 404 || (method == "POST" && answer.status == 405), "{answer}");
                check_headers(&answer);
            }
        }
    }
}

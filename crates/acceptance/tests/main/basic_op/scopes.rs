//! Scopes: each asks for its claims, at the userinfo endpoint (OpenID Connect Core section 5.4).

use super::stage;
use keyreeve_acceptance::{Server, on_a_server};
use serde_json::Value;

const PROFILE: [&str; 14] = [
    "name",
    "family_name",
    "given_name",
    "middle_name",
    "nickname",
    "preferred_username",
    "profile",
    "picture",
    "website",
    "gender",
    "birthdate",
    "zoneinfo",
    "locale",
    "updated_at",
];
const EMAIL: [&str; 2] = ["email", "email_verified"];
const PHONE: [&str; 2] = ["phone_number", "phone_number_verified"];
const ADDRESS: [&str; 1] = ["address"];

/// Signs in for a scope; the userinfo answer must hold these claims and no other.
async fn tells(server: &Server, scope: &str, expected: &[&str]) -> Value {
    let (_, client) = stage(server).await;
    let tokens = server.code_flow(&client).scope(scope).tokens(&server.browser(), "ada").await;
    let mut granted: Vec<&str> = tokens.json["scope"].as_str().unwrap().split(' ').collect();
    let mut asked: Vec<&str> = scope.split(' ').collect();
    granted.sort_unstable();
    asked.sort_unstable();
    assert_eq!(granted, asked);
    let told = server.userinfo(&tokens.access).await.expect(200).json();
    let mut names: Vec<&str> = told.as_object().unwrap().keys().map(String::as_str).collect();
    let mut wanted: Vec<&str> = expected.iter().copied().chain(["sub"]).collect();
    names.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(names, wanted);
    // With an access token beside it, the ID token tells nothing of this.
    let id = tokens.id_token(server).await;
    assert!(expected.iter().all(|name| id.claims.get(name).is_none()), "{}", id.claims);
    told
}

on_a_server! {
    async fn oidcc_scope_profile(server: &Server) {
        let told = tells(server, "openid profile", &PROFILE).await;
        assert_eq!(told["preferred_username"], "ada");
        assert!(told["updated_at"].is_i64());
        for name in PROFILE.iter().filter(|name| **name != "updated_at") {
            assert!(told[name].is_string(), "{name} in {told}");
        }
    }

    async fn oidcc_scope_email(server: &Server) {
        let told = tells(server, "openid email", &EMAIL).await;
        assert_eq!((&told["email"], &told["email_verified"]), (&"ada@example.org".into(), &true.into()));
    }

    async fn oidcc_scope_address(server: &Server) {
        let told = tells(server, "openid address", &ADDRESS).await;
        assert_eq!(told["address"]["locality"], "London");
        assert_eq!(told["address"]["country"], "GB");
    }

    async fn oidcc_scope_phone(server: &Server) {
        let told = tells(server, "openid phone", &PHONE).await;
        assert_eq!(told["phone_number"], "+44 20 7946 0123");
        assert_eq!(told["phone_number_verified"], false);
    }

    async fn oidcc_scope_all(server: &Server) {
        let all: Vec<&str> = PROFILE.into_iter().chain(EMAIL).chain(PHONE).chain(ADDRESS).collect();
        tells(server, "openid profile email address phone", &all).await;
    }

    async fn oidcc_ensure_other_scope_order_succeeds(server: &Server) {
        tells(server, "email openid", &EMAIL).await;
    }
}

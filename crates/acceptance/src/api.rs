//! Callers of the native API.

use crate::build::{PASSWORD, TestUser};
use crate::call::Call;
use crate::server::Mount;
use keyreeve_tokens::clients::GrantType;
use serde_json::Value;

/// Somebody with an access token, who speaks JSON.
#[derive(Clone)]
pub struct Api {
    mount: Mount,
    /// The access token.
    pub token: String,
}

impl Mount {
    /// Whoever bears this token.
    #[must_use]
    pub fn bearer(&self, token: &str) -> Api {
        Api { mount: self.clone(), token: token.to_owned() }
    }

    /// A client that acts for itself with these scopes.
    pub async fn api(&self, scopes: &str) -> Api {
        let client_id = format!("robot-{}", self.new_uuid().simple());
        let client =
            self.client(&client_id).grants(&[GrantType::ClientCredentials]).scopes(scopes).create().await;
        let answer = self.token(&client, &[("grant_type", "client_credentials")]).await.expect(200);
        self.bearer(answer.json()["access_token"].as_str().expect("a token"))
    }

    /// A client that administers the tenant.
    pub async fn administrator(&self) -> Api {
        self.api("keyreeve:admin").await
    }

    /// A user, by an application of the house with these scopes.
    pub async fn api_of(&self, user: &TestUser, scopes: &str) -> Api {
        self.set_policy(|policy| policy.password_grant = true).await;
        let client_id = format!("app-{}", self.new_uuid().simple());
        let client = self
            .client(&client_id)
            .grants(&[GrantType::Password])
            .scopes(scopes)
            .first_party()
            .create()
            .await;
        let form = [("grant_type", "password"), ("username", user.name.as_str()), ("password", PASSWORD)];
        let answer = self.token(&client, &form).await.expect(200);
        self.bearer(answer.json()["access_token"].as_str().expect("a token"))
    }
}

impl Api {
    /// A request of any method on a path below `/api/v1`, or on one that the server told.
    pub fn call(&self, method: &str, path: &str) -> Call {
        let whole = path.contains("/api/v1") || path.starts_with("/access/v1/");
        let path = if whole { path.to_owned() } else { format!("/api/v1{path}") };
        self.mount.call(method, &path).bearer(&self.token)
    }

    /// A GET.
    pub fn get(&self, path: &str) -> Call {
        self.call("GET", path)
    }

    /// A DELETE.
    pub fn delete(&self, path: &str) -> Call {
        self.call("DELETE", path)
    }

    /// A POST of a document.
    pub fn post(&self, path: &str, document: &Value) -> Call {
        self.call("POST", path).json(document)
    }

    /// A PUT of a document.
    pub fn put(&self, path: &str, document: &Value) -> Call {
        self.call("PUT", path).json(document)
    }

    /// A merge patch.
    pub fn patch(&self, path: &str, document: &Value) -> Call {
        self.call("PATCH", path).body("application/merge-patch+json", document.to_string())
    }
}

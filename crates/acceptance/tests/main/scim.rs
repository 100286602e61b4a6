//! Provisioning by SCIM 2.0 (RFC 7643, RFC 7644, RFC 9865), as other systems do it.

#![allow(clippy::needless_pass_by_value, reason = "documents are written where they are used")]

mod access;
mod bulk;
mod groups;
mod lists;
mod users;

use keyreeve_acceptance::{Answer, Call, Mount, Server, on_a_server};
use keyreeve_base::GroupId;
use keyreeve_identity::{Cause, MembershipKind, NewServiceAccount, Party, StateChange};
use keyreeve_tokens::clients::GrantType;
use serde_json::{Value, json};

pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
pub const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
pub const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
const BULK: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
const SEARCH: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";
const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

/// Somebody who provisions a tenant.
pub struct Provisioner {
    root: Mount,
    pub mount: Mount,
    slug: &'static str,
    pub token: String,
}

impl Provisioner {
    /// A client that may do everything with users and groups.
    pub async fn new(server: &Server, mount: &Mount, slug: &'static str) -> Self {
        let scopes = "keyreeve:users:write keyreeve:groups:write";
        let client =
            mount.client("provisioner").grants(&[GrantType::ClientCredentials]).scopes(scopes).create().await;
        let answer = mount.token(&client, &[("grant_type", "client_credentials")]).await.expect(200);
        let token = answer.json()["access_token"].as_str().unwrap().to_owned();
        Self { root: (**server).clone(), mount: mount.clone(), slug, token }
    }

    /// That of the default tenant, where nobody is left of the first start.
    pub async fn at(server: &Server) -> Self {
        let users = server.identity().users();
        for user in users.list(server.id(), None, 500).await.unwrap() {
            let whom = (server.id(), user.id);
            users.change_state(whom, StateChange::Archive, None, &Cause::operator()).await.unwrap();
        }
        Self::new(server, server, "default").await
    }

    /// The same tenant, by another token.
    pub fn by(&self, token: &str) -> Self {
        Self { root: self.root.clone(), mount: self.mount.clone(), slug: self.slug, token: token.to_owned() }
    }

    /// The token of a service account that administers one group.
    pub async fn administrator_of(&self, group: &str) -> Self {
        let accounts = self.mount.identity().service_accounts();
        let cause = Cause::operator();
        let new = NewServiceAccount { name: format!("of {group}"), ..NewServiceAccount::default() };
        let account = accounts.create(self.mount.id(), new, &cause).await.unwrap();
        let member = Party::Service(account.id);
        let group: GroupId = group.parse().unwrap();
        let groups = self.mount.identity().groups();
        groups.add((self.mount.id(), group), member, MembershipKind::Admin, &cause).await.unwrap();
        let secret = accounts.add_secret((self.mount.id(), account.id), None, &cause).await.unwrap();
        let form = [("grant_type", "client_credentials")];
        let call = self.mount.post("/token").basic(&account.id.to_string(), secret.secret.expose());
        let answer = call.form(&form).send().await.expect(200);
        self.by(answer.json()["access_token"].as_str().unwrap())
    }

    /// A request below the tenant's base, without a token.
    pub fn bare(&self, method: &str, path: &str) -> Call {
        self.root.call(method, &format!("/scim/v2/{}{path}", self.slug))
    }

    pub fn call(&self, method: &str, path: &str) -> Call {
        self.bare(method, path).bearer(&self.token)
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path).send().await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path).send().await
    }

    /// A request with a document.
    pub async fn send(&self, method: &str, path: &str, document: &Value) -> Answer {
        self.call(method, path).body("application/scim+json", document.to_string()).send().await
    }

    /// Makes a user of these members.
    pub async fn user(&self, mut members: Value) -> Value {
        members["schemas"] = json!([USER]);
        self.send("POST", "/Users", &members).await.expect(201).json()
    }

    /// Makes a group with these members.
    pub async fn group(&self, name: &str, members: &[&str]) -> Value {
        let members: Vec<Value> = members.iter().map(|id| json!({"value": id})).collect();
        let document = json!({"schemas": [GROUP], "displayName": name, "members": members});
        self.send("POST", "/Groups", &document).await.expect(201).json()
    }

    /// Sends operations to a resource.
    pub async fn patch(&self, path: &str, operations: Value) -> Answer {
        self.send("PATCH", path, &json!({"schemas": [PATCH], "Operations": operations})).await
    }

    /// The names of what a list shows, sorted as it is.
    pub async fn names(&self, path: &str) -> Vec<String> {
        let list = self.get(path).await.expect(200).json();
        names(&list)
    }

    /// The names of the users that a filter finds, in the order of the alphabet.
    pub async fn found(&self, filter: &str) -> Vec<String> {
        let answer = self.call("GET", "/Users").query(&[("filter", filter)]).send().await.expect(200);
        let mut names = names(&answer.json());
        names.sort();
        names
    }
}

pub fn names(list: &Value) -> Vec<String> {
    let name = |resource: &Value| {
        let name = resource.get("userName").or_else(|| resource.get("displayName"));
        name.and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    list["Resources"].as_array().unwrap().iter().map(name).collect()
}

pub fn id(resource: &Value) -> &str {
    resource["id"].as_str().unwrap()
}

/// The path of a resource below the tenant's base.
pub fn path(resource: &Value) -> String {
    format!("/{}s/{}", resource["meta"]["resourceType"].as_str().unwrap(), id(resource))
}

/// Expects an error in the shape of RFC 7644 section 3.12.
#[track_caller]
pub fn refused(answer: &Answer, status: u16, kind: &str) {
    answer.check(status);
    let document = answer.json();
    assert_eq!(answer.header("content-type"), Some("application/scim+json"), "{answer}");
    assert_eq!(document["schemas"], json!([ERROR]), "{answer}");
    assert_eq!(document["status"], status.to_string(), "{answer}");
    assert_eq!(document["scimType"].as_str().unwrap_or_default(), kind, "{answer}");
    assert!(document["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{answer}");
}

on_a_server! {
    async fn the_service_describes_itself(server: &Server) {
        let scim = Provisioner::at(server).await;
        let config = scim.bare("GET", "/ServiceProviderConfig").send().await.expect(200).json();
        for feature in ["patch", "bulk", "filter", "changePassword", "sort", "etag"] {
            assert_eq!(config[feature]["supported"], true, "{feature}");
        }
        assert_eq!(config["pagination"]["cursor"], true);
        let types = scim.bare("GET", "/ResourceTypes").send().await.expect(200).json();
        assert_eq!(types["totalResults"], 2);
        for kind in types["Resources"].as_array().unwrap() {
            let location = kind["meta"]["location"].as_str().unwrap();
            assert_eq!(&scim.root.get(location).send().await.expect(200).json(), kind);
            let schema = scim.bare("GET", &format!("/Schemas/{}", kind["schema"].as_str().unwrap())).send().await;
            assert_eq!(schema.expect(200).json()["id"], kind["schema"]);
        }
        let schemas = scim.bare("GET", "/Schemas").send().await.expect(200).json();
        assert_eq!(schemas["totalResults"], 3);
        let password = schemas["Resources"][0]["attributes"].as_array().unwrap().iter().find(|a| a["name"] == "password");
        assert_eq!(password.unwrap()["returned"], "never");
        refused(&scim.bare("GET", "/Schemas").query(&[("filter", "id pr")]).send().await, 403, "");
        refused(&scim.bare("GET", "/Schemas/nothing").send().await, 404, "");
        refused(&scim.bare("GET", "/nothing").send().await, 404, "");
        scim.bare("POST", "/Schemas").send().await.check(405);
        scim.bare("POST", "/Me").send().await.check(405);
    }

    async fn a_token_does_what_its_scope_and_its_holder_may(server: &Server) {
        let scim = Provisioner::at(server).await;
        let ada = scim.user(json!({"userName": "ada"})).await;
        let of = async |name: &str, scopes: &str| {
            let grants = [GrantType::ClientCredentials];
            let client = server.client(name).grants(&grants).scopes(scopes).create().await;
            let answer = server.token(&client, &[("grant_type", "client_credentials")]).await.expect(200);
            scim.by(answer.json()["access_token"].as_str().unwrap())
        };
        let reader = of("reader", "keyreeve:users:read").await;
        reader.get(&path(&ada)).await.check(200);
        refused(&reader.get("/Groups").await, 403, "");
        refused(&reader.delete(&path(&ada)).await, 403, "");
        refused(&reader.patch(&path(&ada), json!([{"op": "remove", "path": "title"}])).await, 403, "");
        let listed = reader.get("").await.expect(200).json();
        assert!(listed["Resources"].as_array().unwrap().iter().all(|found| found["meta"]["resourceType"] == "User"));
        let stranger = of("stranger", "read").await;
        refused(&stranger.get(&path(&ada)).await, 403, "");
        refused(&stranger.get("").await, 403, "");
        let over_all = of("over-all", "keyreeve:admin").await;
        over_all.delete(&path(&ada)).await.check(204);

        refused(&scim.bare("GET", "/Users").send().await, 401, "");
        for bad in ["", "x", "a.b.c"] {
            let answer = scim.by(bad).get("/Users").await;
            refused(&answer, 401, "");
            assert!(answer.challenge().unwrap().starts_with("Bearer "), "{answer}");
        }
    }

    async fn an_own_resource_is_at_me(server: &Server) {
        let scim = Provisioner::at(server).await;
        let ada = server.user("ada").create().await;
        let scopes = "openid keyreeve:me:read keyreeve:users:write";
        let app = server.client("app").web_app().scopes(scopes).first_party().create().await;
        let tokens = server.code_flow(&app).scope(scopes).tokens(&server.browser(), "ada").await;
        let own = scim.by(&tokens.access);
        let me = own.get("/Me").await.expect(200);
        assert_eq!(me.json()["id"], ada.sub());
        assert_eq!(me.json()["meta"]["location"], own.get(&format!("/Users/{}", ada.sub())).await.expect(200).json()["meta"]["location"]);
        // Who administers nothing sees nobody else, and changes not even themselves.
        assert_eq!(own.names("/Users").await, ["ada"]);
        refused(&own.patch("/Me", json!([{"op": "add", "path": "title", "value": "Countess"}])).await, 403, "");
        refused(&own.delete("/Me").await, 403, "");
        refused(&scim.get("/Me").await, 404, "");
    }
}

//! A tenant with files in folders, and people to share them with.

use keyreeve_acceptance::{Answer, Api, Mount, TestUser};
use keyreeve_base::GroupId;
use keyreeve_identity::{Cause, MembershipKind, NewGroup, Party};
use serde_json::{Value, json};

/// Folders and files that can be read, written (which is reading as well) and shared.
pub struct House {
    pub mount: Mount,
    pub admin: Api,
}

pub fn user(of: &TestUser) -> Value {
    json!({"kind": "user", "id": of.sub()})
}

pub fn group(id: GroupId) -> Value {
    json!({"kind": "group", "id": id.to_string()})
}

/// The path of a resource, whatever its identifier is.
pub fn path(id: &str) -> String {
    let encoded: String = id.bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!("/sharing/resources/{encoded}")
}

impl House {
    pub async fn at(mount: &Mount) -> Self {
        let admin = mount.administrator().await;
        for of in ["folder", "file"] {
            admin.post("/sharing/types", &json!({"id": of})).send().await.check(201);
        }
        for permission in [
            json!({"id": "READ"}),
            json!({"id": "WRITE", "implies": ["READ"]}),
            json!({"id": "SHARE", "shares": true}),
        ] {
            admin.post("/sharing/permissions", &permission).send().await.check(201);
        }
        Self { mount: mount.clone(), admin }
    }

    pub async fn user(&self, name: &str) -> TestUser {
        self.mount.user(name).create().await
    }

    /// Somebody, as she calls the API by an application.
    pub async fn api_of(&self, user: &TestUser) -> Api {
        self.mount.api_of(user, "keyreeve:sharing:write").await
    }

    pub async fn group(&self, name: &str, members: &[&TestUser]) -> GroupId {
        let new = NewGroup { name: name.to_owned(), ..NewGroup::default() };
        let id =
            self.mount.identity().groups().create(self.mount.id(), new, &Cause::operator()).await.unwrap().id;
        for member in members {
            self.join(id, member).await;
        }
        id
    }

    pub async fn join(&self, group: GroupId, member: &TestUser) {
        let (which, party) = ((self.mount.id(), group), Party::User(member.user.id));
        let groups = self.mount.identity();
        groups.groups().add(which, party, MembershipKind::Member, &Cause::operator()).await.unwrap();
    }

    pub async fn leave(&self, group: GroupId, member: &TestUser) {
        let (which, party) = ((self.mount.id(), group), Party::User(member.user.id));
        assert!(self.mount.identity().groups().remove(which, party, &Cause::operator()).await.unwrap());
    }

    /// Makes a resource of this owner.
    pub async fn make(&self, (of, id): (&str, &str), owner: &TestUser, parent: Option<&str>) {
        let new = json!({"id": id, "type": of, "name": id, "owner": user(owner), "parent": parent});
        self.admin.post("/sharing/resources", &new).send().await.check(201);
    }

    /// Tries to share a resource itself, without what is below it.
    pub async fn try_share(&self, by: &Api, resource: &str, permission: &str, whom: &Value) -> Answer {
        by.post("/sharing/grants", &grant(resource, permission, whom, false)).send().await
    }

    /// Shares as the administrator; answers the grant.
    pub async fn share(&self, resource: &str, permission: &str, whom: &Value, cascade: bool) -> Value {
        let grant = grant(resource, permission, whom, cascade);
        self.admin.post("/sharing/grants", &grant).send().await.expect(201).json()
    }

    /// Whether somebody may, as the administrator is told.
    pub async fn may(&self, who: &TestUser, permission: &str, resource: &str) -> bool {
        let check = json!({"subject": user(who), "resource": resource, "permission": permission});
        let answer = self.admin.post("/sharing/check", &check).send().await.expect(200).json();
        answer["allowed"].as_bool().unwrap()
    }

    /// The identifiers of everybody who may.
    pub async fn who_may(&self, permission: &str, resource: &str) -> Vec<String> {
        let path = format!("{}/subjects", path(resource));
        let answer = self.admin.get(&path).query(&[("permission", permission)]).send().await.expect(200);
        ids(&answer)
    }

    /// The identifiers of all files on which somebody has this permission.
    pub async fn files_of(&self, who: &TestUser, permission: &str) -> Vec<String> {
        let path = format!("/sharing/subjects/user/{}/resources", who.sub());
        let query = [("type", "file"), ("permission", permission), ("limit", "500")];
        ids(&self.admin.get(&path).query(&query).send().await.expect(200))
    }
}

/// The identifiers on a page.
pub fn ids(answer: &Answer) -> Vec<String> {
    let items = answer.json()["items"].as_array().unwrap().clone();
    items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

/// A document that shares.
pub fn grant(resource: &str, permission: &str, whom: &Value, cascade: bool) -> Value {
    json!({"resource": resource, "permission": permission, "subject": whom, "cascade": cascade})
}

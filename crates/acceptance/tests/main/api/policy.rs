//! Who may do what: every operation by every kind of caller, on what is within reach of a group's administrators and on
//! what is not. The table is committed; `KEYREEVE_WRITE=1` writes it anew.

use keyreeve_acceptance::{Api, Mount, PASSWORD, Server, TestUser, on_a_server};
use keyreeve_identity::{Cause, MembershipKind, NewGroup, NewServiceAccount, Party};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

const READ: &str = "keyreeve:users:read keyreeve:groups:read keyreeve:roles:read keyreeve:service_accounts:read \
    keyreeve:clients:read keyreeve:tenants:read keyreeve:sessions:read keyreeve:keys:read keyreeve:audit:read \
    keyreeve:webhooks:read keyreeve:sharing:read keyreeve:secrets:read keyreeve:me:read";
const WRITE: &str = "keyreeve:users:write keyreeve:groups:write keyreeve:roles:write keyreeve:service_accounts:write \
    keyreeve:clients:write keyreeve:tenants:write keyreeve:sessions:write keyreeve:keys:write keyreeve:audit:read \
    keyreeve:webhooks:write keyreeve:sharing:write keyreeve:secrets:write keyreeve:me:write";

const CALLERS: [&str; 7] = ["admin", "reader", "writer", "tenant-admin", "owner", "group-admin", "user"];

/// What a caller acts on.
struct Targets {
    user: String,
    group: String,
    account: String,
    role: String,
    client: String,
    mapper: String,
    tenant: String,
    resource: String,
    grant: String,
    secret: String,
    nobody: String,
}

async fn group(mount: &Mount, name: &str) -> keyreeve_base::GroupId {
    let new = NewGroup { name: name.to_owned(), ..NewGroup::default() };
    mount.identity().groups().create(mount.id(), new, &Cause::operator()).await.unwrap().id
}

async fn join(mount: &Mount, group: keyreeve_base::GroupId, user: &TestUser, kind: MembershipKind) {
    let (which, party) = ((mount.id(), group), Party::User(user.user.id));
    mount.identity().groups().add(which, party, kind, &Cause::operator()).await.unwrap();
}

/// Things of `mount`, those in a group that `reach` administers or those elsewhere.
async fn targets(mount: &Mount, spare: &Mount, tag: &str, within: keyreeve_base::GroupId) -> Targets {
    let user = mount.user(&format!("target-{tag}")).create().await;
    let nested = NewGroup { name: format!("target {tag}"), parent: Some(within), ..NewGroup::default() };
    let cause = Cause::operator();
    let nested = mount.identity().groups().create(mount.id(), nested, &cause).await.unwrap().id;
    join(mount, within, &user, MembershipKind::Member).await;
    let account = NewServiceAccount {
        name: format!("account {tag}"),
        owner: Some(Party::Group(within)),
        ..NewServiceAccount::default()
    };
    let account = mount.identity().service_accounts().create(mount.id(), account, &cause).await.unwrap();
    let role = keyreeve_identity::NewRole { name: format!("role {tag}"), ..Default::default() };
    let role = mount.identity().roles().create(mount.id(), role, &cause).await.unwrap();
    let client = mount.client(&format!("client-{tag}")).service().create().await;
    let client = mount.tokens().clients().by_client_id(mount.id(), &client.client_id).await.unwrap().unwrap();
    let settings = json!({"name": "target", "source": {"kind": "tenant_roles"}, "claim": "roles", "targets": ["userinfo"]});
    let settings = serde_json::from_value(settings).unwrap();
    let mapper =
        mount.tokens().mappers().create((mount.id(), Some(client.id)), settings, &cause).await.unwrap();
    Targets {
        user: user.sub(),
        group: nested.to_string(),
        account: account.id.to_string(),
        role: role.id.to_string(),
        client: client.id.to_string(),
        mapper: mapper.id.to_string(),
        tenant: spare.id().to_string(),
        resource: format!("file {tag}"),
        grant: shared_file(mount, tag, (&user.sub(), within)).await,
        secret: secret(mount, tag, within).await,
        nobody: "0190f0f0-0000-7000-8000-000000000001".to_owned(),
    }
}

/// A file of a user's, which a group reads; answers the grant.
async fn shared_file(mount: &Mount, tag: &str, (owner, reader): (&str, keyreeve_base::GroupId)) -> String {
    let admin = mount.administrator().await;
    // Declared for the first of them, and found by the others.
    admin.post("/sharing/types", &json!({"id": "file"})).send().await;
    admin.post("/sharing/types/file/permissions", &json!({"id": "READ"})).send().await;
    admin.post("/sharing/permissions", &json!({"id": "LIST"})).send().await;
    admin.post("/sharing/types", &json!({"id": format!("type {tag}")})).send().await.check(201);
    let owner = json!({"kind": "user", "id": owner});
    let file = json!({"id": format!("file {tag}"), "type": "file", "name": "A file", "owner": owner});
    admin.post("/sharing/resources", &file).send().await.check(201);
    let subject = json!({"kind": "group", "id": reader.to_string()});
    let grant = json!({"resource": file["id"], "permission": "READ", "subject": subject});
    let made = admin.post("/sharing/grants", &grant).send().await.expect(201).json();
    made["id"].as_str().unwrap().to_owned()
}

/// A secret of a group's; answers its identifier.
async fn secret(mount: &Mount, tag: &str, owner: keyreeve_base::GroupId) -> String {
    let owner = json!({"kind": "group", "id": owner.to_string()});
    let value = json!({"make": {"make": "password"}});
    let new = json!({"kind": "password", "name": format!("secret {tag}"), "owner": owner, "value": value});
    let made = mount.administrator().await.post("/secrets", &new).send().await.expect(201).json();
    made["id"].as_str().unwrap().to_owned()
}

fn path_of(path: &str, tag: &str, targets: &Targets) -> String {
    let of = if path.contains("permissions") { "file" } else { &format!("type%20{tag}") };
    let permission = if path.contains("types") { "READ" } else { "LIST" };
    let path = path.replace("{type}", of).replace("{permission}", permission);
    let path =
        path.replace("{resource}", &targets.resource.replace(' ', "%20")).replace("{grant}", &targets.grant);
    let id = match path.split('/').nth(3) {
        Some("users") => &targets.user,
        Some("groups") => &targets.group,
        Some("service-accounts") => &targets.account,
        Some("roles") => &targets.role,
        Some("clients") => &targets.client,
        Some("mappers") => &targets.mapper,
        Some("tenants") => &targets.tenant,
        Some("secrets") => &targets.secret,
        _ => &targets.nobody,
    };
    let path = path.replace("{id}", id).replace("{member}", &targets.user);
    let path = path.replace("{kind}", "user").replace("{name}", "somebody");
    let mut filled = String::new();
    for part in path.split('/').skip(1) {
        let _ = write!(filled, "/{}", if part.starts_with('{') { &targets.nobody } else { part });
    }
    filled
}

/// A document that the operation takes, as small as it can be.
fn body_of(operation: &str, tag: &str, targets: &Targets) -> Value {
    let user = json!({"kind": "user", "id": targets.user});
    let password = "Another-sound-0ne-to-set";
    match operation {
        "create_user" => json!({"username": format!("new-{tag}")}),
        "create_group" | "create_role" | "create_service_account" | "create_initial_access_token" => {
            json!({"name": format!("new {tag}")})
        }
        "create_mapper" | "create_client_mapper" => {
            let source = json!({"kind": "tenant_roles"});
            json!({"name": format!("new {tag}"), "source": source, "claim": "roles", "targets": ["id_token"]})
        }
        "merge_users" => json!({"absorb": "0190f0f0-0000-7000-8000-000000000001"}),
        "create_resource_type" | "create_permission" | "create_common_permission" => {
            json!({"id": format!("new {tag}")})
        }
        "create_resource" => json!({"type": "file", "name": "New", "parent": targets.resource}),
        "move_resource" => json!({"parent": null}),
        "transfer_resource" => json!({"owner": user}),
        "create_grant" => json!({"resource": targets.resource, "permission": "READ", "subject": user}),
        "check" | "explain" => json!({"resource": targets.resource, "permission": "READ", "subject": user}),
        "check_many" => {
            json!({"checks": [{"resource": targets.resource, "permission": "READ", "subject": user}]})
        }
        "access_evaluation"
        | "access_evaluations"
        | "search_subjects"
        | "search_resources_of_subject"
        | "search_actions" => json!({
            "subject": {"type": "user", "id": targets.user},
            "action": {"name": "READ"},
            "resource": {"type": "file", "id": targets.resource},
        }),
        "create_secret" => json!({"kind": "key_value", "name": format!("new {tag}"), "value": {"data": {}}}),
        "write_secret" => json!({"value": {"password": "x"}}),
        "patch_secret_data" => json!({"data": {}}),
        "transfer_secret" => json!({"owner": user}),
        "delete_secret_versions" | "undelete_secret_versions" | "destroy_secret_versions" => {
            json!({"versions": [9]})
        }
        "create_service_authentication" => {
            let url = "https://vault.example.com";
            json!({"name": format!("new {tag}"), "method": "token", "url": url, "credential": "t"})
        }
        "create_secret_store" => {
            let none = "sau_AAAAAAAAAAAAAAAAAAAAAA";
            json!({"name": "x", "url": "https://vault.example.com", "mount": "kv", "authentication": none})
        }
        "create_signing_policy" | "update_signing_policy" => {
            let rules = json!({"names": ["deploy"], "max_seconds": 600});
            if operation.starts_with('u') {
                rules
            } else {
                json!({"name": format!("new {tag}"), "authority": targets.secret, "rules": rules})
            }
        }
        "sign_ssh_key" => json!({"policy": "none", "public_key": "x"}),
        "sign_certificate_request" => json!({"policy": "none", "request": "x"}),
        "sign_jwt" => json!({"policy": "none"}),
        "renew_lease" => json!({"seconds": 60}),
        "create_client" => json!({"name": "New"}),
        "create_tenant" => json!({"slug": format!("new-{tag}")}),
        "create_tenant_administrator" => json!({"username": format!("new-{tag}"), "password": password}),
        "set_password" => json!({"password": password}),
        "change_own_password" => json!({"current_password": PASSWORD, "password": password}),
        _ => json!({}),
    }
}

/// Every operation of the document, what ends things last.
fn operations(document: &Value) -> Vec<(String, String, String, bool)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap().to_owned();
            all.push((id, method.to_ascii_uppercase(), path.clone(), operation["requestBody"].is_object()));
        }
    }
    let ends =
        |id: &str, method: &str| (method == "DELETE", id.contains("archive") || id == "change_own_password");
    all.sort_by_key(|(id, method, ..)| (ends(id, method), id.clone()));
    all
}

async fn outcome(
    api: &Api,
    (id, method, path, has_body): &(String, String, String, bool),
    tag: &str,
    targets: &Targets,
) -> u16 {
    let call = api.call(method, &path_of(path, tag, targets));
    let call = if *has_body { call.json(&body_of(id, tag, targets)) } else { call };
    let call = match id.as_str() {
        "list_subjects" => call.query(&[("permission", "READ")]),
        "list_resources_of_subject" => call.query(&[("permission", "READ"), ("type", "file")]),
        _ => call,
    };
    // A stream that is granted does not end: who may have it is told that this is no number.
    let call = if id == "stream_audit_entries" { call.header("last-event-id", "none") } else { call };
    let call = if id == "list_duplicate_users" { call.query(&[("by", "full_name")]) } else { call };
    let answer = call.send().await;
    assert!(!answer.status.is_server_error(), "{answer}");
    answer.status.as_u16()
}

async fn callers(mount: &Mount, within: keyreeve_base::GroupId) -> Vec<Api> {
    let (chief, owner, deputy, plain) = (
        mount.user("chief").create().await,
        mount.user("owner").create().await,
        mount.user("deputy").create().await,
        mount.user("plain").create().await,
    );
    let role = mount.identity().roles().tenant_admin(mount.id()).await.unwrap().id;
    let (which, party) = ((mount.id(), role), Party::User(chief.user.id));
    mount.identity().roles().assign(which, party, &Cause::operator()).await.unwrap();
    join(mount, within, &owner, MembershipKind::Owner).await;
    join(mount, within, &deputy, MembershipKind::Admin).await;
    vec![
        mount.administrator().await,
        mount.api(READ).await,
        mount.api(WRITE).await,
        mount.api_of(&chief, "keyreeve:admin").await,
        mount.api_of(&owner, "keyreeve:admin").await,
        mount.api_of(&deputy, "keyreeve:admin").await,
        mount.api_of(&plain, "keyreeve:admin").await,
    ]
}

fn table(outcomes: &BTreeMap<String, [[u16; 7]; 2]>) -> String {
    let mut text = String::from(
        "# What each kind of caller is answered: on what an administrator of its group can reach, and on what lies elsewhere.\n",
    );
    let _ = writeln!(
        text,
        "{:40} {:8} {}",
        "operation",
        "",
        CALLERS.map(|name| format!("{name:12}")).concat().trim_end()
    );
    for (operation, both) in outcomes {
        for (place, row) in ["within", "outside"].into_iter().zip(both) {
            let row = row.map(|status| format!("{status:<12}")).concat();
            let _ = writeln!(text, "{operation:40} {place:8} {}", row.trim_end());
        }
    }
    text
}

on_a_server! {
    async fn every_operation_is_open_to_whom_the_table_says(server: &Server) {
        let document = server.get("/api/v1/openapi.json").send().await.expect(200).json();
        let operations = operations(&document);
        let (within, elsewhere) = (group(server, "within").await, group(server, "elsewhere").await);
        let callers = callers(server, within).await;
        let mut outcomes: BTreeMap<String, [[u16; 7]; 2]> = BTreeMap::new();
        for (at, api) in callers.iter().enumerate() {
            for (place, holder) in [within, elsewhere].into_iter().enumerate() {
                let tag = format!("{at}-{place}");
                let spare = server.tenant(&format!("spare-{tag}")).create().await;
                let targets = targets(server, &spare, &tag, holder).await;
                for operation in &operations {
                    let status = outcome(api, operation, &tag, &targets).await;
                    outcomes.entry(operation.0.clone()).or_default()[place][at] = status;
                }
            }
        }
        let (made, path) = (table(&outcomes), Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/main/api/policy.txt"));
        if std::env::var_os("KEYREEVE_WRITE").is_some() {
            std::fs::write(&path, &made).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        let wrong: Vec<_> = made.lines().filter(|line| !committed.lines().any(|known| known == *line)).collect();
        assert!(made == committed, "not as {} says (KEYREEVE_WRITE=1 writes it):\n{}", path.display(), wrong.join("\n"));
    }
}

//! The JSON of a realm export, as far as it is read. Unknown fields are left alone: every version has others.

use serde::Deserialize;
use std::collections::BTreeMap;

/// What is read of a realm.
#[derive(Default)]
pub(super) struct Realm {
    pub(super) realm: Option<String>,
    pub(super) roles: RealmRoles,
    pub(super) groups: Vec<Group>,
    pub(super) clients: Vec<Client>,
    /// The other fields that hold something which is not carried over.
    pub(super) others: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RealmRoles {
    pub(super) realm: Vec<Role>,
    pub(super) client: BTreeMap<String, Vec<Role>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Role {
    pub(super) id: Option<String>,
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) composites: Composites,
    pub(super) attributes: Option<BTreeMap<String, Vec<String>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Composites {
    pub(super) realm: Vec<String>,
    pub(super) client: BTreeMap<String, Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Group {
    pub(super) id: Option<String>,
    pub(super) name: String,
    pub(super) path: Option<String>,
    pub(super) description: Option<String>,
    pub(super) attributes: Option<BTreeMap<String, Vec<String>>>,
    pub(super) realm_roles: Vec<String>,
    pub(super) client_roles: BTreeMap<String, Vec<String>>,
    pub(super) sub_groups: Vec<Group>,
}

/// A client. The secret has no `Debug`.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Client {
    pub(super) client_id: String,
    pub(super) name: Option<String>,
    pub(super) enabled: Option<bool>,
    pub(super) protocol: Option<String>,
    pub(super) public_client: bool,
    pub(super) bearer_only: bool,
    pub(super) client_authenticator_type: Option<String>,
    pub(super) secret: Option<String>,
    pub(super) root_url: Option<String>,
    pub(super) base_url: Option<String>,
    pub(super) redirect_uris: Vec<String>,
    pub(super) standard_flow_enabled: Option<bool>,
    pub(super) implicit_flow_enabled: bool,
    pub(super) direct_access_grants_enabled: bool,
    pub(super) service_accounts_enabled: bool,
    pub(super) authorization_services_enabled: bool,
    pub(super) consent_required: bool,
    pub(super) default_client_scopes: Vec<String>,
    pub(super) optional_client_scopes: Vec<String>,
    pub(super) attributes: BTreeMap<String, serde_json::Value>,
    pub(super) protocol_mappers: Vec<serde::de::IgnoredAny>,
}

/// A user. Credentials are secrets: no `Debug`.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct User {
    pub(super) id: Option<String>,
    pub(super) created_timestamp: Option<i64>,
    pub(super) username: Option<String>,
    pub(super) enabled: Option<bool>,
    pub(super) email_verified: Option<bool>,
    pub(super) first_name: Option<String>,
    pub(super) last_name: Option<String>,
    pub(super) email: Option<String>,
    pub(super) attributes: Option<BTreeMap<String, Vec<String>>>,
    pub(super) credentials: Vec<Credential>,
    pub(super) required_actions: Vec<String>,
    pub(super) federated_identities: Vec<serde::de::IgnoredAny>,
    pub(super) client_consents: Vec<serde::de::IgnoredAny>,
    pub(super) realm_roles: Vec<String>,
    pub(super) client_roles: BTreeMap<String, Vec<String>>,
    pub(super) groups: Vec<String>,
    pub(super) service_account_client_id: Option<String>,
    pub(super) federation_link: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Credential {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) user_label: Option<String>,
    pub(super) secret_data: Option<String>,
    pub(super) credential_data: Option<String>,
    /// A password in clear, in imports that people wrote.
    pub(super) value: Option<serde::de::IgnoredAny>,
    // Before version 8.
    pub(super) hashed_salted_value: Option<String>,
    pub(super) salt: Option<String>,
    pub(super) hash_iterations: Option<u32>,
    pub(super) algorithm: Option<String>,
}

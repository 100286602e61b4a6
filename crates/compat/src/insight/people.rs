//! The profile of a user. Authorities are the tenant's roles, given to groups (or to a user directly), authority groups are
//! the groups: who administers the tenant has `SYS_USER`.

use super::call::{Call, Caller};
use super::failure::Failure;
use super::reply::{Answer, JSON, LATER_JSON, Reply, preferred};
use super::{CURRENT_USER, Insight};
use keyreeve_base::TenantId;
use keyreeve_identity::{Party, TENANT_ADMIN, User};
use serde::Serialize;
use std::collections::BTreeSet;

/// The authority to administer users.
const SYS_USER: &str = "SYS_USER";
/// The attribute of a user that says, by the value `true`, that they are here for an evaluation.
const EVALUATION: &str = "insight_evaluation_user";

/// `UserProfileV1`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Profile<'a> {
    object_type: &'static str,
    id: String,
    first_name: &'a str,
    last_name: &'a str,
    display_name: String,
    authorities: BTreeSet<String>,
    url: &'static str,
    email: &'a str,
    authority_groups: BTreeSet<String>,
    evaluation_user: bool,
}

/// Texts that are never null here.
pub(super) trait Words {
    /// The text; empty where there is none.
    fn words(&self) -> &str;
}

impl Words for Option<String> {
    fn words(&self) -> &str {
        self.as_deref().unwrap_or_default()
    }
}

pub(super) async fn current_user(call: Call) -> Answer {
    let caller: &Caller = call.caller()?;
    call.insight.profile(call.tenant, &caller.user, JSON).await
}

pub(super) async fn current_user_later(call: Call) -> Answer {
    let kind = preferred(&call.headers, &[LATER_JSON]).ok_or(Failure::NotAcceptable)?;
    call.insight.profile(call.tenant, &call.caller()?.user, kind).await
}

impl Insight {
    /// What is told of a user.
    pub(super) async fn profile(&self, tenant: TenantId, user: &User, kind: &'static str) -> Answer {
        let party = Party::User(user.id);
        let roles = self.identity().roles().effective_of(tenant, party).await?;
        let authorities = roles
            .of_tenant()
            .map(|name| if name == TENANT_ADMIN { SYS_USER } else { name }.to_owned())
            .collect();
        let groups = self.identity().groups();
        let mut authority_groups = BTreeSet::new();
        for &id in groups.of_party(tenant, party).await?.iter() {
            // One that was removed a moment ago has no name any more.
            if let Some(group) = groups.by_id(tenant, id).await? {
                authority_groups.insert(group.name.clone());
            }
        }
        let is_true = |values: &Vec<String>| values.iter().any(|value| value == "true");
        let profile = Profile {
            object_type: "USER_PROFILE",
            id: user.id.to_string(),
            first_name: user.given_name.words(),
            last_name: user.family_name.words(),
            display_name: user.greeting(),
            authorities,
            url: CURRENT_USER,
            email: user.email.words(),
            authority_groups,
            evaluation_user: user.attributes.get(EVALUATION).is_some_and(is_true),
        };
        Reply::json(kind, &profile)
    }
}

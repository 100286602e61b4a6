//! Users and groups from a file: for tests of applications that need a server with a known state.

use super::Imqs;
use super::failure::Failure;
use super::groups::By;
use super::people::{Names, Person};
use keyreeve_base::UserId;
use keyreeve_crypto::Secret;
use keyreeve_identity::{Cause, Credential, Profile};
use serde::Deserialize;
use uuid::Uuid;

/// The most groups, and the most users, of one file.
const MAX_ITEMS: usize = 10_000;

/// What a fixture holds: JSON with `groups` (`name`, `permissions`) and `users` (`email`, `username`, `password`, `firstname`,
/// `lastname`, `groups` by name), numbered in this order.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fixture {
    #[serde(default)]
    groups: Vec<FixtureGroup>,
    #[serde(default)]
    users: Vec<FixtureUser>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FixtureGroup {
    name: String,
    #[serde(default)]
    permissions: Vec<u16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FixtureUser {
    #[serde(default)]
    email: String,
    #[serde(default)]
    username: String,
    password: String,
    #[serde(default)]
    firstname: Option<String>,
    #[serde(default)]
    lastname: Option<String>,
    /// None for a user without a permit.
    groups: Option<Vec<String>>,
}

/// Why a fixture is not taken.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct FixtureError(String);

impl From<Failure> for FixtureError {
    fn from(failure: Failure) -> Self {
        Self(match failure {
            Failure::Internal(error) => error.to_string(),
            other => other.text().into_owned(),
        })
    }
}

impl Fixture {
    /// Reads the text of a fixture.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(text: &str) -> Result<Self, FixtureError> {
        let fixture: Self = serde_json::from_str(text).map_err(|error| FixtureError(error.to_string()))?;
        if fixture.groups.len() > MAX_ITEMS || fixture.users.len() > MAX_ITEMS {
            return Err(FixtureError(format!("a fixture has at most {MAX_ITEMS} groups and as many users")));
        }
        Ok(fixture)
    }
}

impl Imqs {
    /// Makes what a fixture names; who and what is there already stays as it is.
    ///
    /// # Errors
    /// What cannot be made.
    pub async fn load(&self, fixture: Fixture) -> Result<(), FixtureError> {
        let (tenant, cause) = (self.ready_tenant().await?, Cause::operator());
        for group in fixture.groups {
            if self.group(tenant, &group.name).await?.is_none() {
                let made = self.make_group(tenant, (&group.name, &group.permissions), &cause).await?;
                made.ok_or_else(|| {
                    FixtureError(format!("the tenant has another group named {}", group.name))
                })?;
            }
        }
        for user in fixture.users {
            let names = Names::of(&user.email, &user.username);
            let identity = if user.email.is_empty() { &user.username } else { &user.email };
            if self.resolve(tenant, identity).await?.is_some() {
                continue;
            }
            let profile = Profile {
                username: names.username.clone(),
                email: names.email.clone(),
                given_name: user.firstname,
                family_name: user.lastname,
                ..Profile::default()
            };
            let person = Person {
                email: names.plain.clone(),
                internal_uuid: Uuid::nil(),
                ..Person::new(UserId::from_uuid(Uuid::nil()), 0)
            };
            let credential = Credential::PasswordUnder(Secret::from(user.password), self.policy());
            let (made, person) = self.make_user(tenant, (profile, credential), person, &cause).await?;
            let Some(groups) = user.groups else { continue };
            let mut wanted = Vec::new();
            for name in groups {
                let entry = self.group(tenant, &name).await?;
                wanted
                    .push(entry.ok_or_else(|| {
                        FixtureError(format!("{identity} is in {name}, which is no group"))
                    })?);
            }
            let by = By { serial: 0, cause: &cause, tells: false };
            self.assign(tenant, (&made, &person), &wanted, by).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_fixture_is_said() {
        assert!(Fixture::parse(r#"{"groups":[{"name":"a","permissions":[1]}],"users":[{"email":"a","password":"b","groups":[]}]}"#).is_ok());
        let error =
            |text: &str| Fixture::parse(text).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error(r#"{"user":[]}"#).contains("user"));
        assert!(error(r#"{"users":[{"email":"a"}]}"#).contains("password"));
    }
}

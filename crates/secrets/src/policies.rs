//! Signing policies: what an authority signs, for whom, and for how long. Each is like a role: whoever it is open to has
//! certificates by it, and has no other way to the authority.
//!
//! Names are exact. The one template, `{{username}}`, stands for the user name of whoever asks, and only for one of a
//! strict spelling, so that no name widens what is allowed (ABUSE-CASES AC-54).

use crate::access::record_of;
use crate::model::{check_name, json_text};
use crate::{Error, JwtRules, Kind, MAX_PAGE, SecretId, Secrets, schema};
use keyreeve_base::{TenantId, Timestamp};
use keyreeve_identity::{Authority, Cause, Party, Subject};
use keyreeve_pki::ssh::Permission;
use keyreeve_store::{Row, Tx, params};
use serde_json::json;
use url::Url;

/// What stands for the user name of whoever asks.
pub const USERNAME: &str = "{{username}}";
/// The most names, extensions, addresses or parties that a policy has.
pub const MAX_RULES: usize = 100;
/// The longest lifetime that a policy gives: about ten years.
const MAX_LIFETIME: u64 = crate::x509::MAX_CERTIFICATE_SECONDS;

/// What a policy allows.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// The users, service accounts and groups that it is open to, besides whoever administers the tenant.
    #[serde(default)]
    pub open_to: Vec<Party>,
    /// The principals that an SSH certificate may have, the names of an X.509 one, or the subjects of a token: exact, or [`USERNAME`]; of host names
    /// also `*.example.org`, for any one label before the rest.
    pub names: Vec<String>,
    /// The longest lifetime, in seconds.
    pub max_seconds: u64,
    /// What an SSH server may allow the user: `permit-pty` and so on.
    #[serde(default)]
    pub extensions: Vec<String>,
    /// The one command that an SSH server runs for the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force_command: Option<String>,
    /// The networks that the user may come from; any, where there is none.
    #[serde(default)]
    pub source_addresses: Vec<String>,
    /// Whether an X.509 certificate is for clients too.
    #[serde(default)]
    pub client: bool,
    /// What a token says besides whom it is about: of keys that sign tokens, and of no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt: Option<JwtRules>,
}

/// A signing policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningPolicy {
    pub(crate) key: i64,
    /// Its name, unique in the tenant.
    pub name: String,
    /// The authority that signs.
    pub authority: SecretId,
    /// What kind of authority that is.
    pub kind: Kind,
    /// What it allows.
    pub rules: Rules,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Counts the changes.
    pub version: i64,
}

impl SigningPolicy {
    pub(crate) fn from_row(row: &Row<'_>) -> Result<Self, keyreeve_store::Error> {
        let corrupt = |_| keyreeve_store::Error::corrupt("a signing policy cannot be read");
        Ok(Self {
            key: row.get(0)?,
            name: row.get(1)?,
            authority: row.get(2)?,
            kind: row
                .get::<String>(3)?
                .parse()
                .map_err(|_| keyreeve_store::Error::corrupt("a signing policy is of no known kind"))?,
            rules: serde_json::from_str(&row.get::<String>(4)?).map_err(corrupt)?,
            created_at: row.get(5)?,
            updated_at: row.get(6)?,
            version: row.get(7)?,
        })
    }
}

/// Whether a user name may stand for [`USERNAME`]: as POSIX has portable ones, and no longer than Linux takes.
fn is_plain(name: &str) -> bool {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase() || byte == b'_');
    first
        && name.len() <= 32
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-'))
}

impl Rules {
    fn check(&self, kind: Kind, own: Option<&Url>) -> Result<(), Error> {
        let many = [self.names.len(), self.extensions.len(), self.source_addresses.len(), self.open_to.len()];
        if many.into_iter().any(|count| count > MAX_RULES) {
            return Err(Error::invalid("rules", format!("have more than {MAX_RULES} of a kind")));
        }
        if self.names.is_empty() {
            return Err(Error::invalid("rules.names", "are none, so that nothing could be signed"));
        }
        for name in &self.names {
            check_rule(name, kind)?;
        }
        let longest = if kind == Kind::SigningKey { crate::jwt::MAX_JWT_SECONDS } else { MAX_LIFETIME };
        if !(60..=longest).contains(&self.max_seconds) {
            return Err(Error::invalid("rules.max_seconds", format!("is not from 60 to {longest}")));
        }
        match (&self.jwt, kind) {
            (Some(jwt), Kind::SigningKey) => jwt.check(own)?,
            (None, Kind::SigningKey) => {
                return Err(Error::invalid("rules.jwt", "is missing, for a key that signs tokens"));
            }
            (Some(_), _) => return Err(Error::invalid("rules.jwt", "is for keys that sign tokens")),
            (None, _) => {}
        }
        if self.client && kind != Kind::X509Ca {
            return Err(Error::invalid("rules.client", "is for authorities of certificates"));
        }
        for extension in &self.extensions {
            permission(extension)?;
        }
        if kind != Kind::SshUserCa
            && (!self.extensions.is_empty()
                || self.force_command.is_some()
                || !self.source_addresses.is_empty())
        {
            return Err(Error::invalid("rules.extensions", "and restrictions are for SSH keys of users"));
        }
        self.restrictions()?;
        Ok(())
    }

    pub(crate) fn permissions(&self) -> Result<Vec<Permission>, Error> {
        self.extensions.iter().map(|name| permission(name)).collect()
    }

    pub(crate) fn restrictions(&self) -> Result<keyreeve_pki::ssh::Restrictions, Error> {
        let nets = self.source_addresses.iter().map(|net| net.parse());
        let nets = nets.collect::<Result<Vec<_>, _>>();
        let nets =
            nets.map_err(|_| Error::invalid("rules.source_addresses", "have what is no network among them"))?;
        if self
            .force_command
            .as_deref()
            .is_some_and(|line| line.trim().is_empty() || line.chars().any(char::is_control))
        {
            return Err(Error::invalid("rules.force_command", "is empty, or has control characters"));
        }
        Ok(keyreeve_pki::ssh::Restrictions {
            force_command: self.force_command.clone(),
            source_addresses: nets,
            verify_required: false,
        })
    }
}

fn permission(name: &str) -> Result<Permission, Error> {
    let known = Permission::ALL.into_iter().find(|permission| permission.as_str() == name);
    known.ok_or_else(|| Error::invalid("rules.extensions", "have one among them that OpenSSH does not know"))
}

/// A name of a policy: nothing in it is a pattern but what is said to be.
fn check_rule(name: &str, kind: Kind) -> Result<(), Error> {
    if name == USERNAME {
        return Ok(());
    }
    let rest = name.strip_prefix("*.").filter(|_| kind == Kind::X509Ca).unwrap_or(name);
    let sound =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'@' | b':' | b'/');
    if rest.is_empty() || rest.len() > 255 || !rest.bytes().all(sound) {
        return Err(Error::invalid(
            "rules.names",
            "have one among them that is neither exact nor {{username}}: letters, digits and .-_@:/ make a name",
        ));
    }
    Ok(())
}

/// A policy as it holds for one asker.
pub(crate) struct Opened {
    pub(crate) policy: SigningPolicy,
    /// The names that it allows, the template filled in.
    pub(crate) names: Vec<String>,
}

impl Opened {
    /// Whether this name is allowed. Host names compare in one case.
    pub(crate) fn allows(&self, name: &str) -> bool {
        // A pattern of the policy is none of a certificate: a wildcard is for more than whoever asks for it is.
        if name.contains('*') {
            return false;
        }
        let host = self.policy.kind == Kind::X509Ca;
        let same = |rule: &str| rule == name || host && rule.eq_ignore_ascii_case(name);
        let below = |rule: &str| {
            let suffix = rule.strip_prefix('*').filter(|_| host);
            let (Some(suffix), name) = (suffix, name.to_ascii_lowercase()) else { return false };
            name.strip_suffix(&suffix.to_ascii_lowercase())
                .is_some_and(|label| !label.is_empty() && !label.contains(['.', '*', '/', '@', ':']))
        };
        self.names.iter().any(|rule| same(rule) || below(rule))
    }
}

impl Secrets {
    /// Makes a signing policy; takes authority over the tenant.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Invalid`]; [`Error::NotFound`] for the authority; [`Error::Taken`] for the name.
    pub async fn create_policy(
        &self,
        authority: &Authority,
        (name, signs, rules): (&str, SecretId, Rules),
        cause: &Cause,
    ) -> Result<SigningPolicy, Error> {
        require_tenant(authority)?;
        check_name(name)?;
        if name.contains('/') {
            return Err(Error::invalid("name", "contains a slash"));
        }
        let tenant = authority.tenant();
        let secret = self.load(tenant, signs).await?;
        if !secret.kind.is_authority() {
            return Err(Error::invalid("authority", "is none: it signs nothing"));
        }
        rules.check(secret.kind, self.options().public_url.as_ref())?;
        self.check_parties(tenant, &rules).await?;
        let (secrets, by, name_text) = (self.clone(), cause.clone(), name.to_owned());
        self.store()
            .write(async move |tx: &mut Tx<'_>| {
                let (text, now) = (json_text(&rules)?, secrets.world().now());
                let row = params![tenant, name_text, secret.key, text, now];
                match tx.execute(&schema::INSERT_POLICY, &row).await {
                    Ok(_) => {}
                    Err(keyreeve_store::Error::Conflict { .. }) => return Err(Error::Taken("name")),
                    Err(error) => return Err(error.into()),
                }
                let target = ("signing_policy", name_text.clone());
                let detail = json!({"authority": signs.to_string(), "rules": rules});
                record_of(tx, &secrets, (tenant, "signing_policy.create"), target, (&by, detail)).await
            })
            .await?;
        self.policy(authority, name).await
    }

    async fn check_parties(&self, tenant: TenantId, rules: &Rules) -> Result<(), Error> {
        for party in &rules.open_to {
            self.sharing().hosted().check_owner(tenant, *party).await.map_err(|error| match error {
                keyreeve_sharing::Error::NotFound(_) => {
                    Error::invalid("rules.open_to", format!("has {party} among them, whom there is not"))
                }
                error => error.into(),
            })?;
        }
        Ok(())
    }

    /// The policy of this name; takes authority over the tenant, or that it is open to the asker.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn policy(&self, authority: &Authority, name: &str) -> Result<SigningPolicy, Error> {
        let policy = self.find_policy(authority.tenant(), name).await?;
        if self.is_open(authority, &policy).await? {
            Ok(policy)
        } else {
            Err(Error::NotFound("signing policy"))
        }
    }

    pub(crate) async fn find_policy(&self, tenant: TenantId, name: &str) -> Result<SigningPolicy, Error> {
        let name = name.to_owned();
        let read = async move |tx: &mut Tx<'_>| {
            tx.query_opt(&schema::POLICY, &params![tenant, name], SigningPolicy::from_row).await
        };
        let found: Option<SigningPolicy> = self.store().read(read).await?;
        found.ok_or(Error::NotFound("signing policy"))
    }

    /// A page of the policies that are open to the asker, in the order of their names, those behind `after`.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn policies(
        &self,
        authority: &Authority,
        (after, limit): (&str, u16),
    ) -> Result<Vec<SigningPolicy>, Error> {
        let (tenant, mut after) = (authority.tenant(), after.to_owned());
        let limit = usize::from(limit.clamp(1, MAX_PAGE.saturating_add(1)));
        let mut open = Vec::new();
        loop {
            let (from, rows) = (after.clone(), i64::from(MAX_PAGE));
            let read = async move |tx: &mut Tx<'_>| {
                tx.query(&schema::POLICIES, &params![tenant, from, rows], SigningPolicy::from_row).await
            };
            let found: Vec<SigningPolicy> = self.store().read(read).await?;
            let last = found.len() < usize::from(MAX_PAGE);
            for policy in found {
                after.clone_from(&policy.name);
                if self.is_open(authority, &policy).await? {
                    open.push(policy);
                    if open.len() >= limit {
                        return Ok(open);
                    }
                }
            }
            if last {
                return Ok(open);
            }
        }
    }

    /// Gives a policy other rules; takes authority over the tenant. What was issued stays as it is.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::NotFound`], [`Error::VersionConflict`], [`Error::Invalid`].
    pub async fn update_policy(
        &self,
        authority: &Authority,
        (name, version): (&str, Option<i64>),
        rules: Rules,
        cause: &Cause,
    ) -> Result<SigningPolicy, Error> {
        require_tenant(authority)?;
        let tenant = authority.tenant();
        let policy = self.find_policy(tenant, name).await?;
        rules.check(policy.kind, self.options().public_url.as_ref())?;
        self.check_parties(tenant, &rules).await?;
        let (secrets, cause, name_text) = (self.clone(), cause.clone(), name.to_owned());
        self.store()
            .write(async move |tx: &mut Tx<'_>| {
                let (text, now) = (json_text(&rules)?, secrets.world().now());
                let row = params![policy.key, text, now, version];
                if tx.execute(&schema::UPDATE_POLICY, &row).await? == 0 {
                    return Err(Error::VersionConflict);
                }
                let target = ("signing_policy", name_text.clone());
                let detail = json!({"rules": rules});
                record_of(tx, &secrets, (tenant, "signing_policy.update"), target, (&cause, detail)).await
            })
            .await?;
        self.policy(authority, name).await
    }

    /// Removes a policy; takes authority over the tenant. What was issued by it stays as it is.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::NotFound`].
    pub async fn delete_policy(&self, authority: &Authority, name: &str, cause: &Cause) -> Result<(), Error> {
        require_tenant(authority)?;
        let tenant = authority.tenant();
        let policy = self.find_policy(tenant, name).await?;
        let (secrets, cause, name) = (self.clone(), cause.clone(), name.to_owned());
        self.store()
            .write(async move |tx: &mut Tx<'_>| {
                tx.execute(&schema::DELETE_POLICY, &params![policy.key]).await?;
                let target = ("signing_policy", name.clone());
                let detail = json!(null);
                record_of(tx, &secrets, (tenant, "signing_policy.delete"), target, (&cause, detail)).await
            })
            .await
    }

    /// Whether a policy is open to the asker: an active party that it names, or a group that it names holds.
    async fn is_open(&self, authority: &Authority, policy: &SigningPolicy) -> Result<bool, Error> {
        if authority.may_manage_tenant() {
            return Ok(true);
        }
        let (tenant, party) = (authority.tenant(), authority.subject().and_then(Subject::party));
        let Some(party) = party else { return Ok(false) };
        let open_to = &policy.rules.open_to;
        if open_to.contains(&party) {
            return Ok(true);
        }
        let groups = self.identity().groups().of_party(tenant, party).await?;
        Ok(groups.iter().any(|group| open_to.contains(&Party::Group(*group))))
    }

    /// The policy, as it holds for the asker.
    pub(crate) async fn open_policy(&self, authority: &Authority, name: &str) -> Result<Opened, Error> {
        let policy = self.policy(authority, name).await?;
        let mut names = Vec::with_capacity(policy.rules.names.len());
        for rule in &policy.rules.names {
            if rule != USERNAME {
                names.push(rule.clone());
            } else if let Some(name) = self.username(authority).await?.filter(|name| is_plain(name)) {
                names.push(name);
            }
        }
        Ok(Opened { policy, names })
    }

    async fn username(&self, authority: &Authority) -> Result<Option<String>, Error> {
        let Some(Subject::User(id)) = authority.subject() else { return Ok(None) };
        let user = self.identity().users().by_id(authority.tenant(), id).await?;
        Ok(user.and_then(|user| user.profile.username.clone()))
    }
}

pub(crate) fn require_tenant(authority: &Authority) -> Result<(), Error> {
    if authority.may_manage_tenant() { Ok(()) } else { Err(Error::Denied("authority over the tenant")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ac_54_only_plain_names_stand_for_the_template() {
        for good in ["ada", "_x", "a-1", &"a".repeat(32)] {
            assert!(is_plain(good), "{good}");
        }
        for bad in ["", "Ada", "1a", "a*", "a,b", "a b", "a/b", "a+", "é", "root\n", "-a", &"a".repeat(33)] {
            assert!(!is_plain(bad), "{bad:?}");
        }
    }

    #[test]
    fn ac_54_rules_are_exact() {
        for bad in ["", "*", "a*", "a,b", "{{email}}", "x{{username}}", "*.example.org", "a b", "a\n"] {
            assert!(check_rule(bad, Kind::SshUserCa).is_err(), "{bad:?}");
        }
        for bad in ["*", "*.", "*.*.org", "a.*.org", "**.org"] {
            assert!(check_rule(bad, Kind::X509Ca).is_err(), "{bad:?}");
        }
        assert!(check_rule("*.example.org", Kind::X509Ca).is_ok());
        assert!(check_rule(USERNAME, Kind::SshUserCa).is_ok());
    }
}

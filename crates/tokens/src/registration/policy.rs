//! What a tenant allows those who register themselves.

use crate::clients::{GrantType, RedirectUri};
use crate::error::Error;
use crate::scope::ScopeSet;
use std::collections::BTreeSet;
use url::Url;

/// The most hosts that can be listed.
const MAX_HOSTS: usize = 100;
/// The most clients that can be allowed.
const MAX_CLIENTS: u32 = 1_000_000;

/// Who may register clients, and what these can be. Kept with the rest of the tenant's rules for tokens.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegistrationPolicy {
    /// Whether anybody may.
    pub open: bool,
    /// Whether whoever shows an initial access token may.
    pub initial_token: bool,
    /// The hosts to which redirect URIs may lead, each exactly; `*` stands for any, for loopback addresses and for the
    /// schemes of native applications as well. Empty: none (AC-03).
    pub redirect_hosts: Vec<String>,
    /// The grant types that can be had.
    pub grant_types: BTreeSet<GrantType>,
    /// The scopes that can be had.
    pub scopes: ScopeSet,
    /// How many clients there can be that registered themselves.
    pub max_clients: u32,
}

impl Default for RegistrationPolicy {
    fn default() -> Self {
        Self {
            open: false,
            initial_token: false,
            redirect_hosts: Vec::new(),
            grant_types: [GrantType::AuthorizationCode, GrantType::RefreshToken].into(),
            scopes: ScopeSet::parse("email offline_access openid profile").unwrap_or_default(),
            max_clients: 1_000,
        }
    }
}

impl RegistrationPolicy {
    /// Checks the values.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the first field that is not acceptable.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        if self.scopes.is_for_api() {
            return Err(Error::invalid("registration.scopes", "must not hold a scope of this server's own"));
        }
        let granted = [GrantType::Password, GrantType::JwtBearer, GrantType::TokenExchange];
        if granted.iter().any(|grant| self.grant_types.contains(grant)) {
            return Err(Error::invalid(
                "registration.grant_types",
                "must not hold password, jwt-bearer or token-exchange: those are given to each client",
            ));
        }
        if self.redirect_hosts.len() > MAX_HOSTS {
            return Err(Error::invalid(
                "registration.redirect_hosts",
                format!("has more than {MAX_HOSTS} members"),
            ));
        }
        for host in &self.redirect_hosts {
            let usual = || url::Host::parse(host).is_ok_and(|parsed| parsed.to_string() == *host);
            if host != "*" && (host.contains('*') || !usual()) {
                return Err(Error::invalid(
                    "registration.redirect_hosts",
                    "must hold host names in their usual spelling, without scheme and port, or *",
                ));
            }
        }
        if self.max_clients > MAX_CLIENTS {
            return Err(Error::invalid("registration.max_clients", format!("must be at most {MAX_CLIENTS}")));
        }
        Ok(())
    }

    /// Whether anybody may register in some way.
    #[must_use]
    pub const fn is_offered(&self) -> bool {
        self.open || self.initial_token
    }

    /// Whether a redirect URI may be registered.
    pub(super) fn allows(&self, uri: &RedirectUri) -> bool {
        let any = self.redirect_hosts.iter().any(|host| host == "*");
        let host = Url::parse(uri.as_str()).ok().and_then(|url| {
            let web = matches!(url.scheme(), "https" | "http");
            url.host_str().filter(|_| web).map(str::to_owned)
        });
        any || host.is_some_and(|host| self.redirect_hosts.contains(&host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(hosts: &[&str], uri: &str) -> bool {
        let redirect_hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        let policy = RegistrationPolicy { redirect_hosts, ..RegistrationPolicy::default() };
        policy.validate().unwrap();
        policy.allows(&RedirectUri::parse(uri).unwrap())
    }

    #[test]
    fn ac_03_no_host_means_none() {
        assert!(!allows(&[], "https://app.example/cb"));
        assert!(!allows(&[], "http://127.0.0.1/cb"));
        RegistrationPolicy::default().validate().unwrap();
    }

    #[test]
    fn ac_01_ac_02_a_host_is_that_host_alone() {
        assert!(allows(&["app.example"], "https://app.example/cb"));
        assert!(allows(&["app.example"], "https://app.example:8443/cb"));
        for other in
            ["https://app.example.evil.example/cb", "https://xapp.example/cb", "https://sub.app.example/cb"]
        {
            assert!(!allows(&["app.example"], other), "{other}");
        }
        assert!(!allows(&["app.example"], "com.example.app:/cb"));
        assert!(allows(&["*"], "com.example.app:/cb") && allows(&["*"], "http://127.0.0.1/cb"));
    }

    #[test]
    fn what_no_client_gives_itself_is_refused() {
        let refused = |policy: RegistrationPolicy| assert!(policy.validate().is_err(), "{policy:?}");
        let usual = RegistrationPolicy::default;
        refused(RegistrationPolicy { scopes: "keyreeve:users:read".parse().unwrap(), ..usual() });
        refused(RegistrationPolicy { grant_types: [GrantType::TokenExchange].into(), ..usual() });
        refused(RegistrationPolicy { redirect_hosts: vec!["https://app.example".into()], ..usual() });
        refused(RegistrationPolicy { redirect_hosts: vec!["APP.example".into()], ..usual() });
        refused(RegistrationPolicy { redirect_hosts: vec!["*.example".into()], ..usual() });
        refused(RegistrationPolicy { max_clients: 1_000_001, ..usual() });
    }
}

//! Where a request came from, as the audit log and the throttle want to know it.

use std::net::IpAddr;

/// The longest user-agent text that is kept.
pub const MAX_USER_AGENT_BYTES: usize = 256;

/// The origin of one request. Doors build it from the connection (and, behind a trusted proxy, from its headers);
/// command-line use cases build it with [`Origin::local`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The client's address; absent for the command line.
    pub address: Option<IpAddr>,
    /// The `User-Agent` header, cut to [`MAX_USER_AGENT_BYTES`], control characters replaced.
    pub user_agent: Option<String>,
    /// The identifier that the logs of this request bear.
    pub request_id: Option<String>,
}

impl Origin {
    /// The origin of what an operator does on the machine itself.
    #[must_use]
    pub fn local() -> Self {
        Self { address: None, user_agent: Some("keyreeve command line".to_owned()), request_id: None }
    }

    /// The key by which attempts are counted: an IPv4 address alone, an IPv6 address by its /64 network, since
    /// whoever holds one address there holds them all.
    #[must_use]
    pub fn throttle_key(&self) -> String {
        match self.address {
            None => "local".to_owned(),
            Some(IpAddr::V4(v4)) => v4.to_string(),
            Some(IpAddr::V6(v6)) => match v6.to_ipv4_mapped() {
                Some(v4) => v4.to_string(),
                None => {
                    let [a, b, c, d, ..] = v6.segments();
                    format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_network_is_one_counter() {
        let key = |text: &str| Origin { address: text.parse().ok(), ..Origin::default() }.throttle_key();
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
    }
}

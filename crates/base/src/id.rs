//! Typed identifiers. All are UUID version 7 (RFC 9562 section 5.7): they sort by the time of their making, so
//! that an index over them grows at its end.

use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// What every typed identifier can do; lets [`crate::World::new_id`] make any of them.
pub trait Id: Copy {
    /// The identifier that holds this UUID.
    fn from_uuid(uuid: Uuid) -> Self;
    /// The UUID inside.
    fn uuid(self) -> Uuid;
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl Id for $name {
            fn from_uuid(uuid: Uuid) -> Self { Self(uuid) }
            fn uuid(self) -> Uuid { self.0 }
        }
        impl $name {
            /// The identifier that holds this UUID.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self { Self(uuid) }
            /// The UUID inside.
            #[must_use]
            pub const fn uuid(self) -> Uuid { self.0 }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { fmt::Display::fmt(&self.0, f) }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> { Uuid::parse_str(text).map(Self) }
        }
    )*};
}

ids! {
    /// A tenant: the outermost boundary of every user, client, key and record.
    TenantId
    /// A user of one tenant.
    UserId
    /// A group of users, service accounts and groups.
    GroupId
    /// A role of a tenant or of an OAuth client.
    RoleId
    /// A service account: what a program signs in as.
    ServiceAccountId
    /// A message to a user that waits to be sent, or was.
    MailId
    /// A browser session of a user.
    SessionId
    /// A device of a user that makes one-time codes.
    TotpId
    /// An OAuth client (the row; what goes over the wire is its `client_id` text).
    ClientId
    /// A grant: what one sign-in gave one client; the family of its refresh tokens.
    GrantId
    /// A signing key.
    KeyId
    /// An entry of the audit log.
    AuditId
    /// A webhook: somebody's subscription to the audit log.
    WebhookId
    /// A line in the log of a webhook's deliveries.
    DeliveryId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_what_it_prints() {
        let id = UserId::from_uuid(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001));
        assert_eq!(id.to_string().parse::<UserId>().ok(), Some(id));
        assert!("not-a-uuid".parse::<UserId>().is_err());
    }
}

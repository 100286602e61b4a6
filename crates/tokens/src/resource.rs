//! Resource indicators (RFC 8707): a client names the resource servers that an access token is to be for, and the token is
//! for these alone.
//!
//! Which it may name: its own registered audiences, and this server. A client without registered audiences may name
//! whatever a resource server of its tenant has registered for itself ([`crate::ClientSettings::resources`]).

use crate::clients::Client;
use crate::error::{Error, TokenError};
use crate::schema;
use crate::service::Tokens;
use keyreeve_identity::Tenant;
use keyreeve_store::{Tx, params};
use url::Url;

/// The most resources that one request names.
pub const MAX_RESOURCES: usize = 8;
const MAX_BYTES: usize = 500;

/// Reads the values of `resource`, without repetitions.
///
/// # Errors
/// What is wrong with them, to be answered as `invalid_target`.
pub(crate) fn parse(values: &[&str]) -> Result<Vec<String>, &'static str> {
    let mut resources: Vec<String> = Vec::with_capacity(values.len().min(MAX_RESOURCES));
    for value in values {
        let absolute = value.len() <= MAX_BYTES
            && value.bytes().all(|b| (0x21..=0x7e).contains(&b))
            && !value.contains('#')
            && Url::parse(value).is_ok();
        if !absolute {
            return Err("resource must be an absolute URI without a fragment");
        }
        if !resources.iter().any(|known| known == value) {
            resources.push((*value).to_owned());
        }
    }
    if resources.len() > MAX_RESOURCES {
        return Err("there are too many resources");
    }
    Ok(resources)
}

/// Which of its resources a token is to be for: those that are asked for, if the grant covers them; else the grant's.
/// A grant for none in particular covers each that its client may name.
pub(crate) fn narrow(granted: &[String], asked: &[String]) -> Result<Vec<String>, &'static str> {
    if asked.is_empty() {
        return Ok(granted.to_vec());
    }
    if granted.is_empty() || asked.iter().all(|resource| granted.contains(resource)) {
        return Ok(asked.to_vec());
    }
    Err("the resource exceeds what was granted")
}

impl Tokens {
    /// The resources that a request names, each one that the client may have tokens for.
    ///
    /// # Errors
    /// [`TokenError::InvalidTarget`].
    pub(crate) async fn named_resources(
        &self,
        tenant: &Tenant,
        client: Option<&Client>,
        values: &[&str],
    ) -> Result<Vec<String>, TokenError> {
        let resources = parse(values).map_err(TokenError::InvalidTarget)?;
        self.may_reach(tenant, client, &resources).await?.map_err(TokenError::InvalidTarget)?;
        Ok(resources)
    }

    /// Whether a client (a service account where there is none) may have tokens for these resources.
    pub(crate) async fn may_reach(
        &self,
        tenant: &Tenant,
        client: Option<&Client>,
        resources: &[String],
    ) -> Result<Result<(), &'static str>, Error> {
        if resources.is_empty() {
            return Ok(Ok(()));
        }
        let own: &[String] = client.map_or(&[], |client| &client.settings.audiences);
        let issuer = self.issuer(tenant);
        let others: Vec<String> = resources
            .iter()
            .filter(|resource| **resource != issuer && !own.contains(resource))
            .cloned()
            .collect();
        if others.is_empty() {
            return Ok(Ok(()));
        }
        let unknown = Err("the resource is not one that this client may have tokens for");
        if !own.is_empty() {
            return Ok(unknown);
        }
        let tenant = tenant.id;
        let known = self
            .0
            .store
            .read(async move |tx: &mut Tx<'_>| {
                for resource in &others {
                    if tx.scalar::<i64>(&schema::RESOURCE_EXISTS, &params![tenant, resource]).await? == 0 {
                        return Ok::<_, keyreeve_store::Error>(false);
                    }
                }
                Ok(true)
            })
            .await?;
        Ok(if known { Ok(()) } else { unknown })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc8707_2_a_resource_is_an_absolute_uri_without_a_fragment() {
        let good =
            ["https://api.example/", "https://api.example/v1?x=1", "urn:example:api", "https://api.example/"];
        assert_eq!(parse(&good).unwrap().len(), 3);
        for bad in [
            "",
            "api",
            "/v1",
            "//api.example",
            "https://api.example/#x",
            "https://api.example/#",
            "https://a b/",
            "ä:b",
        ] {
            assert!(parse(&[bad]).is_err(), "{bad}");
        }
        let many: Vec<String> = (0..9).map(|n| format!("urn:x:{n}")).collect();
        assert!(parse(&many.iter().map(String::as_str).collect::<Vec<_>>()).is_err());
        assert!(parse(&[&format!("urn:x:{}", "y".repeat(500))]).is_err());
    }

    #[test]
    fn rfc8707_2_2_a_grant_is_narrowed_and_never_widened() {
        let of = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(narrow(&of(&["a", "b"]), &[]), Ok(of(&["a", "b"])));
        assert_eq!(narrow(&of(&["a", "b"]), &of(&["b"])), Ok(of(&["b"])));
        assert_eq!(narrow(&[], &of(&["c"])), Ok(of(&["c"])));
        assert!(narrow(&of(&["a", "b"]), &of(&["b", "c"])).is_err());
    }
}

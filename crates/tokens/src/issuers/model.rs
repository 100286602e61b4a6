//! What a trusted issuer is, and which settings are acceptable.

use crate::clients::check_identifier;
use crate::error::Error;
use crate::scope::ScopeSet;
use keyreeve_base::{TenantId, Timestamp};
use keyreeve_crypto::sign::{Jwk, VerifyingKey};
use keyreeve_store::Row;
use url::Url;
use uuid::Uuid;

/// The most issuers that a tenant can trust.
pub const MAX_ISSUERS: usize = 50;
const MAX_KEYS: usize = 20;
const MAX_LISTED: usize = 100;
/// The bounds of an assertion's life, in seconds. Used ones are remembered for that long (AC-33).
const LIFETIME_S: std::ops::RangeInclusive<u32> = 10..=3_600;

/// By what a user is found.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectField {
    /// The identifier.
    Id,
    /// The user name.
    Username,
    /// The e-mail address, where it was verified here (AC-49).
    Email,
    /// An attribute of this name. Whoever is not the only one with the value is not found.
    Attribute(String),
}

/// Which claim says whom an assertion is about.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SubjectMapping {
    /// The claim; a text.
    pub claim: String,
    /// What it is compared with.
    pub field: SubjectField,
}

impl Default for SubjectMapping {
    fn default() -> Self {
        Self { claim: "sub".to_owned(), field: SubjectField::Username }
    }
}

/// What an operator sets. Kept as one JSON document.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IssuerSettings {
    /// Its public keys.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub jwks: Vec<Jwk>,
    /// Where it publishes its public keys, instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// Audiences that assertions may name, beside the tenant's issuer and token endpoint.
    pub audiences: Vec<String>,
    /// Whom assertions are about.
    pub subject: SubjectMapping,
    /// How long an assertion may live, in seconds.
    pub max_lifetime_s: u32,
    /// The clients that may present its assertions, by their `client_id`. Empty: none.
    pub clients: Vec<String>,
    /// The scopes that its assertions can lead to, as far as the client may be given them.
    pub scopes: ScopeSet,
    /// Whether it is believed at all.
    pub enabled: bool,
}

impl Default for IssuerSettings {
    fn default() -> Self {
        Self {
            jwks: Vec::new(),
            jwks_uri: None,
            audiences: Vec::new(),
            subject: SubjectMapping::default(),
            max_lifetime_s: 300,
            clients: Vec::new(),
            scopes: ScopeSet::empty(),
            enabled: true,
        }
    }
}

impl IssuerSettings {
    /// Checks the settings against each other and against their limits.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the first field that is not acceptable.
    pub fn validate(&self) -> Result<(), Error> {
        match (&self.jwks_uri, self.jwks.len()) {
            (None, 1..=MAX_KEYS) => {}
            (Some(uri), 0) => {
                let url = Url::parse(uri).ok().filter(|url| matches!(url.scheme(), "https" | "http"));
                let harmless = url.is_some_and(|url| url.username().is_empty() && url.password().is_none());
                if !harmless || uri.len() > 500 {
                    return Err(Error::invalid(
                        "jwks_uri",
                        "must be an http or https address without user information",
                    ));
                }
            }
            _ => {
                return Err(Error::invalid(
                    "jwks",
                    format!("must hold 1 to {MAX_KEYS} keys, or else jwks_uri be set"),
                ));
            }
        }
        for jwk in &self.jwks {
            VerifyingKey::from_jwk(jwk)
                .map_err(|e| Error::invalid("jwks", format!("holds an unusable key: {e}")))?;
        }
        for (field, texts) in [("audiences", &self.audiences), ("clients", &self.clients)] {
            if texts.len() > MAX_LISTED {
                return Err(Error::invalid(field, format!("has more than {MAX_LISTED} members")));
            }
            texts.iter().try_for_each(|text| check_identifier(field, text))?;
        }
        check_identifier("subject.claim", &self.subject.claim)?;
        if let SubjectField::Attribute(name) = &self.subject.field {
            check_identifier("subject.field", name)?;
        }
        if !LIFETIME_S.contains(&self.max_lifetime_s) {
            let (low, high) = (LIFETIME_S.start(), LIFETIME_S.end());
            return Err(Error::invalid("max_lifetime_s", format!("must lie between {low} and {high}")));
        }
        Ok(())
    }
}

/// A trusted issuer, as of one moment.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct TrustedIssuer {
    /// Its row.
    pub id: Uuid,
    /// The tenant that trusts it.
    pub tenant_id: TenantId,
    /// Its `iss`.
    pub issuer: String,
    /// What an operator set.
    pub settings: IssuerSettings,
    /// Since when it is trusted.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Raised by every change.
    pub version: i64,
}

impl TrustedIssuer {
    pub(super) fn from_row(row: &Row<'_>) -> Result<Self, keyreeve_store::Error> {
        let settings: String = row.get(3)?;
        Ok(Self {
            id: row.get(0)?,
            tenant_id: row.get(1)?,
            issuer: row.get(2)?,
            settings: serde_json::from_str(&settings)
                .map_err(|e| keyreeve_store::Error::corrupt(format!("the settings of an issuer: {e}")))?,
            created_at: row.get(4)?,
            updated_at: row.get(5)?,
            version: row.get(6)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyreeve_crypto::sign::{Algorithm, SigningKey};

    fn usual() -> IssuerSettings {
        let key = SigningKey::generate(Algorithm::EdDsa).unwrap();
        IssuerSettings { jwks: vec![key.public_jwk().clone()], ..IssuerSettings::default() }
    }

    #[test]
    fn sound_settings_pass_and_survive_a_round_trip() {
        let attribute =
            SubjectMapping { claim: "emp".into(), field: SubjectField::Attribute("number".into()) };
        let settings = IssuerSettings { subject: attribute, ..usual() };
        settings.validate().unwrap();
        let text = serde_json::to_string(&settings).unwrap();
        assert_eq!(serde_json::from_str::<IssuerSettings>(&text).unwrap(), settings);
        let by_uri =
            IssuerSettings { jwks_uri: Some("https://idp.example/jwks".into()), ..IssuerSettings::default() };
        by_uri.validate().unwrap();
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        let refused = |field: &str, settings: IssuerSettings| match settings.validate() {
            Err(Error::Invalid { field: named, .. }) => assert_eq!(named, field),
            other => panic!("expected {field} to be refused, found {other:?}"),
        };
        refused("jwks", IssuerSettings::default());
        refused("jwks", IssuerSettings { jwks_uri: Some("https://idp.example/".into()), ..usual() });
        let uri = |uri: &str| IssuerSettings { jwks_uri: Some(uri.into()), ..IssuerSettings::default() };
        refused("jwks_uri", uri("file:///etc/passwd"));
        refused("jwks_uri", uri("https://u:p@idp.example/"));
        refused("max_lifetime_s", IssuerSettings { max_lifetime_s: 86_400, ..usual() });
        refused("clients", IssuerSettings { clients: vec!["a b".into()], ..usual() });
        refused("audiences", IssuerSettings { audiences: vec!["x".into(); 101], ..usual() });
    }
}

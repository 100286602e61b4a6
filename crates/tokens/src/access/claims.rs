//! The claims of our tokens: as they are written, and as they are read back.

use crate::scope::ScopeSet;
use keyreeve_base::{GrantId, ServiceAccountId, SessionId};
use keyreeve_crypto::base64url;
use keyreeve_crypto::sign::Algorithm;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};
use uuid::Uuid;

/// The claims of an access token (RFC 9068 section 2.2).
#[derive(Serialize)]
pub(crate) struct AccessClaims<'a> {
    pub(crate) iss: &'a str,
    pub(crate) sub: &'a str,
    #[serde(serialize_with = "one_or_several")]
    pub(crate) aud: &'a [&'a str],
    pub(crate) exp: i64,
    pub(crate) iat: i64,
    pub(crate) jti: Uuid,
    pub(crate) client_id: &'a str,
    pub(crate) scope: &'a ScopeSet,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) auth_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) acr: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub(crate) amr: &'a [String],
    /// The browser session that it ends with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sid: Option<SessionId>,
    /// The grant that it ends with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gid: Option<GrantId>,
    /// The key whose possession goes with it (RFC 9449 section 6).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cnf: Option<Confirmation<&'a str>>,
    /// Who acts for the subject (RFC 8693 section 4.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) act: Option<&'a Act>,
    /// The token that it was exchanged for, with which it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) src: Option<&'a Source>,
    /// What mappers say; never one of the names above.
    #[serde(flatten)]
    pub(crate) mapped: Map<String, Value>,
}

/// Who acts for the subject of a token, and who acted before (RFC 8693 section 4.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// A `client_id`, or the identifier of a user or service account.
    pub sub: String,
    /// Who acted before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub act: Option<Box<Self>>,
}

/// The token that another was exchanged for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its identifier.
    pub jti: Uuid,
    /// The client, or service account, that it was issued to.
    pub client_id: String,
    /// The token that it was exchanged for itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub src: Option<Box<Self>>,
}

impl Source {
    /// This one and all before it, the nearest first. Ends where the longest chain that is ever made would.
    pub(crate) fn chain(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |source| source.src.as_deref()).take(MAX_SOURCES)
    }

    /// How often a token with this source was exchanged.
    pub(crate) fn depth(&self) -> usize {
        self.chain().count()
    }
}

/// More sources than this are never in a token.
const MAX_SOURCES: usize = 8;

/// The key that a token is bound to (RFC 7800 section 3.1, RFC 9449 section 6.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation<T = String> {
    /// The RFC 7638 thumbprint of the key, SHA-256 in base64url.
    pub jkt: T,
}

impl AccessClaims<'_> {
    /// The `typ` of an access token (RFC 9068 section 2.1).
    pub(crate) const TYPE: &'static str = "at+jwt";
}

/// The claims of an ID token (OpenID Connect Core section 2).
#[derive(Serialize)]
pub(crate) struct IdClaims<'a> {
    pub(crate) iss: &'a str,
    pub(crate) sub: &'a str,
    pub(crate) aud: &'a str,
    pub(crate) exp: i64,
    pub(crate) iat: i64,
    pub(crate) auth_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nonce: Option<&'a str>,
    pub(crate) at_hash: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) acr: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub(crate) amr: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sid: Option<SessionId>,
    /// What was asked for about the user, and what mappers say.
    #[serde(flatten)]
    pub(crate) described: Map<String, Value>,
}

impl IdClaims<'_> {
    /// The `typ` of an ID token.
    pub(crate) const TYPE: &'static str = "JWT";
}

/// One audience as a text, several as an array (RFC 7519 section 4.1.3).
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn one_or_several<S: Serializer>(audience: &&[&str], serializer: S) -> Result<S::Ok, S::Error> {
    match audience {
        [one] => serializer.serialize_str(one),
        several => serializer.collect_seq(several.iter()),
    }
}

/// `at_hash` (OpenID Connect Core section 3.1.3.6): the left half of the access token's digest, by the hash function of
/// the ID token's algorithm; for Ed25519 that is SHA-512.
pub(crate) fn access_hash(alg: Algorithm, access_token: &str) -> String {
    let function = match alg {
        Algorithm::EdDsa => &aws_lc_rs::digest::SHA512,
        Algorithm::Es256 | Algorithm::Rs256 => &aws_lc_rs::digest::SHA256,
    };
    let digest = aws_lc_rs::digest::digest(function, access_token.as_bytes());
    let (left, _) = digest.as_ref().split_at(function.output_len() / 2);
    base64url::encode(left)
}

/// The claims of an access token of ours, read back. What is required has no default (AC-31).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct VerifiedClaims {
    /// The issuer.
    pub iss: String,
    /// The user's or service account's identifier, or the `client_id` of a client that acts for itself.
    pub sub: String,
    /// Whom the token is for.
    #[serde(deserialize_with = "several_or_one")]
    pub aud: Vec<String>,
    /// When it expires, in seconds since the epoch.
    pub exp: i64,
    /// When it was issued.
    pub iat: i64,
    /// Its identifier.
    pub jti: Uuid,
    /// The client that it was issued to.
    pub client_id: String,
    /// What it is good for.
    pub scope: ScopeSet,
    /// When the user signed in.
    pub auth_time: Option<i64>,
    /// The authentication context.
    pub acr: Option<String>,
    /// How the user signed in.
    #[serde(default)]
    pub amr: Vec<String>,
    /// The browser session that it ends with.
    pub sid: Option<SessionId>,
    /// The grant that it ends with; none where a client acts for itself.
    pub gid: Option<GrantId>,
    /// The key that it is bound to. A token with this claim is worth nothing without a proof of that key.
    pub cnf: Option<Confirmation>,
    /// Who acts for the subject.
    pub act: Option<Act>,
    /// The token that it was exchanged for, with which it ends.
    pub src: Option<Source>,
}

impl VerifiedClaims {
    /// The client, or service account, whose token stood at the beginning.
    #[must_use]
    pub fn first_client(&self) -> &str {
        let first = self.src.as_ref().and_then(|source| source.chain().last());
        first.map_or(&self.client_id, |source| &source.client_id)
    }

    /// The service account that it speaks for: those are their own clients, and no client is called by a UUID.
    #[must_use]
    pub fn service_account(&self) -> Option<ServiceAccountId> {
        (self.gid.is_none() && self.sub == self.first_client()).then(|| self.sub.parse().ok()).flatten()
    }
}

fn several_or_one<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Audience {
        One(String),
        Several(Vec<String>),
    }
    Ok(match Audience::deserialize(deserializer)? {
        Audience::One(one) => vec![one],
        Audience::Several(several) => several,
    })
}

/// What an `id_token_hint` is looked at for.
#[derive(Debug, Deserialize)]
pub(crate) struct HintClaims {
    pub(crate) iss: String,
    pub(crate) sub: String,
    pub(crate) aud: String,
    #[allow(
        dead_code,
        reason = "required, so that only what we issue as an ID token is read as one (AC-31)"
    )]
    pub(crate) exp: i64,
    #[allow(
        dead_code,
        reason = "required, so that only what we issue as an ID token is read as one (AC-31)"
    )]
    pub(crate) iat: i64,
    pub(crate) sid: Option<SessionId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_the_specification() {
        // Made with Python: base64.urlsafe_b64encode(hashlib.sha256(b"token").digest()[:16])
        assert_eq!(access_hash(Algorithm::Es256, "token"), access_hash(Algorithm::Rs256, "token"));
        assert_eq!(access_hash(Algorithm::Rs256, "token"), "PEaenWxYddN6Q_NT1PiOYQ");
        assert_eq!(access_hash(Algorithm::EdDsa, "token"), "ImXaughy_DrvFp0Hk2XlkPDLyO1GwqeYTIpkKAPP2Ww");
    }

    #[test]
    fn an_audience_is_a_text_or_an_array() {
        let claims = |aud: &[&str]| {
            let scope = ScopeSet::empty();
            let claims = AccessClaims {
                iss: "i",
                sub: "s",
                aud,
                exp: 2,
                iat: 1,
                jti: Uuid::nil(),
                client_id: "c",
                scope: &scope,
                auth_time: None,
                acr: None,
                amr: &[],
                sid: None,
                gid: None,
                cnf: None,
                act: None,
                src: None,
                mapped: Map::new(),
            };
            serde_json::to_value(&claims).unwrap()
        };
        let one = claims(&["a"]);
        assert_eq!(one["aud"], "a");
        let several = claims(&["a", "b"]);
        assert_eq!(several["aud"], serde_json::json!(["a", "b"]));
        for value in [one, several] {
            assert!(serde_json::from_value::<VerifiedClaims>(value).is_ok());
        }
    }

    #[test]
    fn ac_31_required_claims_are_required() {
        let whole = serde_json::json!({"iss": "i", "sub": "s", "aud": "a", "exp": 2, "iat": 1, "jti": Uuid::nil(),
            "client_id": "c", "scope": ""});
        assert!(serde_json::from_value::<VerifiedClaims>(whole.clone()).is_ok());
        for name in ["iss", "sub", "aud", "exp", "iat", "jti", "client_id", "scope"] {
            let mut without = whole.clone();
            without.as_object_mut().unwrap().remove(name);
            assert!(serde_json::from_value::<VerifiedClaims>(without).is_err(), "{name}");
        }
    }
}

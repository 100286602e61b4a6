//! Tokens (JWT, RFC 7519) that are signed for others, by policies. What a token says of issuer, kind, moments and identifier
//! is said here; of whom and to whom, as the policy has it; the rest is what the policy lets the caller say.
//!
//! None of them can pass for a token of the server's own: neither their issuer nor their type (RFC 8725 section 3.11) is one
//! that it uses, and its own keys never sign here.

use crate::access::{Attempt, record};
use crate::issue::allowed;
use crate::policies::Opened as Policy;
use crate::signing::sign_refused;
use crate::{Error, Kind, MAX_RULES, SecretId, Secrets, Version, schema};
use keyreeve_base::{TenantId, Timestamp};
use keyreeve_crypto::jws::{Header, sign_compact};
use keyreeve_crypto::sign::{Algorithm, SigningKey};
use keyreeve_crypto::{Secret as SecretText, SecretBytes};
use keyreeve_identity::{Authority, Cause};
use keyreeve_store::{Tx, params};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use url::Url;

/// The longest lifetime of a token, in seconds: half a year. Nobody can take one back.
pub const MAX_JWT_SECONDS: u64 = 15_552_000;
/// The most that the claims of a token, or of a policy, take in JSON, in bytes.
pub const MAX_CLAIMS_BYTES: usize = 8_192;

/// The longest issuer, audience or name of a claim, in bytes.
const MAX_NAME_BYTES: usize = 255;
/// What is said here, and by nobody else (RFC 7519 section 4.1).
const OWN_CLAIMS: [&str; 7] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti"];
/// Types of tokens that mean something to the server itself or to clients of it.
const OWN_TYPES: [&str; 6] =
    ["at+jwt", "logout+jwt", "token-introspection+jwt", "oauth-authz-req+jwt", "dpop+jwt", "secevent+jwt"];

/// What the tokens of a policy say.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwtRules {
    /// Who says it (`iss`), exactly.
    pub issuer: String,
    /// For whom it may be (`aud`): exact texts.
    pub audiences: Vec<String>,
    /// The type in the header.
    #[serde(default = "plain")]
    pub typ: String,
    /// Claims that every token has.
    #[serde(default)]
    pub fixed: Map<String, Value>,
    /// Claims that the caller may give, each with the values that it may have; any, where there are none.
    #[serde(default)]
    pub claims: BTreeMap<String, Vec<Value>>,
}

fn plain() -> String {
    "JWT".to_owned()
}

/// What is to be signed.
#[derive(Debug, Clone, Default)]
pub struct JwtWanted {
    /// Whom it is about; the one that the policy allows, where it allows one.
    pub subject: Option<String>,
    /// For whom it is; the one that the policy allows, where it allows one.
    pub audience: Vec<String>,
    /// What else it says.
    pub claims: Map<String, Value>,
    /// For how long; as long as the policy allows, where it is not said.
    pub seconds: Option<u64>,
}

/// A token on its way out.
#[derive(Debug)]
pub struct SignedJwt {
    /// The token: a compact JWS (RFC 7515 section 3.1).
    pub token: SecretText,
    /// The key that signed it.
    pub kid: String,
    /// Its identifier (`jti`).
    pub jti: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A text that is compared as it stands.
fn check_exact(field: &'static str, text: &str) -> Result<(), Error> {
    let sound = |c: char| c.is_ascii_graphic() && c != '*';
    if text.is_empty() || text.len() > MAX_NAME_BYTES || !text.chars().all(sound) || text.contains("{{") {
        let problem = format!(
            "is not an exact text: 1 to {MAX_NAME_BYTES} visible characters of ASCII, no `*` and no `{{{{`"
        );
        return Err(Error::invalid(field, problem));
    }
    Ok(())
}

fn check_claim(field: &'static str, name: &str) -> Result<(), Error> {
    if OWN_CLAIMS.contains(&name) {
        return Err(Error::invalid(field, format!("have {name} among them, which is said by the server")));
    }
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
        return Err(Error::invalid(
            field,
            "have a name among them that is empty, too long, or has control characters",
        ));
    }
    Ok(())
}

/// Whether an address is one of the server's own: no tenant of it, and no other, may be named as the issuer.
fn is_own(issuer: &str, own: &Url) -> bool {
    let host = |url: &Url| url.host_str().map(|host| host.trim_end_matches('.').to_ascii_lowercase());
    Url::parse(issuer).is_ok_and(|url| {
        host(&url).is_some()
            && host(&url) == host(own)
            && url.port_or_known_default() == own.port_or_known_default()
    })
}

impl JwtRules {
    pub(crate) fn check(&self, own: Option<&Url>) -> Result<(), Error> {
        check_exact("rules.jwt.issuer", &self.issuer)?;
        if own.is_some_and(|own| is_own(&self.issuer, own)) {
            return Err(Error::invalid(
                "rules.jwt.issuer",
                "is an address of this server, which speaks for itself",
            ));
        }
        let many = [self.audiences.len(), self.fixed.len(), self.claims.len()];
        if many.into_iter().chain(self.claims.values().map(Vec::len)).any(|count| count > MAX_RULES) {
            return Err(Error::invalid("rules.jwt", format!("has more than {MAX_RULES} of a kind")));
        }
        if self.audiences.is_empty() {
            return Err(Error::invalid(
                "rules.jwt.audiences",
                "are none, so that a token would be for everybody",
            ));
        }
        for audience in &self.audiences {
            check_exact("rules.jwt.audiences", audience)?;
        }
        self.check_type()?;
        for name in self.fixed.keys() {
            check_claim("rules.jwt.fixed", name)?;
        }
        for name in self.claims.keys() {
            check_claim("rules.jwt.claims", name)?;
            if self.fixed.contains_key(name) {
                return Err(Error::invalid(
                    "rules.jwt.claims",
                    format!("have {name} among them, which is fixed"),
                ));
            }
        }
        let text = crate::model::json_text(&(&self.fixed, &self.claims))?;
        if text.len() > MAX_CLAIMS_BYTES {
            return Err(Error::invalid(
                "rules.jwt",
                format!("has claims of more than {MAX_CLAIMS_BYTES} bytes"),
            ));
        }
        // In JSON two braces stand together in texts alone.
        if text.contains("{{") {
            return Err(Error::invalid(
                "rules.jwt.fixed",
                "have a template among them: {{username}} is for subjects",
            ));
        }
        Ok(())
    }

    fn check_type(&self) -> Result<(), Error> {
        let typ = self.typ.to_ascii_lowercase();
        let bare = typ.strip_prefix("application/").unwrap_or(&typ);
        let sound = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        if bare.is_empty() || bare.len() > 64 || !bare.bytes().all(sound) {
            let problem = "is not a media type without its `application/`: letters, digits, `+`, `-` and `.`, at most 64";
            return Err(Error::invalid("rules.jwt.typ", problem));
        }
        if OWN_TYPES.contains(&bare) {
            return Err(Error::invalid(
                "rules.jwt.typ",
                "is that of tokens that this server alone makes, or takes",
            ));
        }
        Ok(())
    }

    /// What the caller says, as far as it is allowed, with what is fixed.
    fn claims(&self, asked: &Map<String, Value>) -> Result<Map<String, Value>, Error> {
        let mut claims = self.fixed.clone();
        for (name, value) in asked {
            let allowed = self.claims.get(name);
            if !allowed.is_some_and(|values| values.is_empty() || values.contains(value)) {
                return Err(Error::Denied("a policy that allows all of these claims, with these values"));
            }
            claims.insert(name.clone(), value.clone());
        }
        Ok(claims)
    }

    fn audience(&self, asked: &[String]) -> Result<Value, Error> {
        if asked.iter().any(|audience| !self.audiences.contains(audience)) {
            return Err(Error::Denied("a policy that allows all of these audiences"));
        }
        match (asked, self.audiences.as_slice()) {
            ([one], _) | ([], [one]) => Ok(json!(one)),
            ([], _) => Err(Error::invalid("audience", "is to be named: the policy allows several")),
            (several, _) => Ok(json!(several)),
        }
    }
}

/// A token that is to be signed.
struct Terms {
    typ: String,
    claims: Map<String, Value>,
    jti: String,
    expires_at: Timestamp,
}

/// A token that was signed, and by what.
struct Made {
    token: SecretText,
    kid: String,
}

fn sign(algorithm: Algorithm, key: &SecretBytes, terms: &Terms) -> Result<Made, Error> {
    let key = SigningKey::from_pkcs8(algorithm, key.expose()).map_err(sign_refused("value"))?;
    let token = sign_compact(&key, &Header::of_type(&terms.typ), &terms.claims);
    let token = token.map_err(|error| keyreeve_store::Error::internal(error.to_string()))?;
    Ok(Made { token: SecretText::from(token), kid: key.kid().to_owned() })
}

impl Secrets {
    /// Has a token signed by the policy of this name, which must be open to the asker. It is handed out once it is recorded.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the policy; [`Error::Denied`] for what it does not allow; [`Error::Invalid`],
    /// [`Error::Gone`] where the newest version of the key was deleted; [`Error::Busy`], also where the policy or the key
    /// changed meanwhile.
    pub async fn sign_jwt(
        &self,
        authority: &Authority,
        policy: &str,
        wanted: &JwtWanted,
        cause: &Cause,
    ) -> Result<SignedJwt, Error> {
        let policy = self.open_policy(authority, policy).await?;
        if policy.policy.kind != Kind::SigningKey {
            return Err(Error::invalid("policy", "is not one of a key that signs tokens"));
        }
        let (tenant, id) = (authority.tenant(), policy.policy.authority);
        let terms = match self.terms(&policy, wanted) {
            Ok(terms) => terms,
            Err(error) => {
                if matches!(error, Error::Denied(_)) {
                    let attempt = Attempt { authority, id, action: "jwt.sign", cause };
                    self.record_refusal(&attempt, "the policy does not allow it").await?;
                }
                return Err(error);
            }
        };
        let (version, key) = self.authority_key(tenant, id).await?;
        let algorithm =
            version.facts.jwk.as_ref().and_then(|jwk| jwk.alg.as_deref()).map(str::parse::<Algorithm>);
        let Some(Ok(algorithm)) = algorithm else {
            return Err(keyreeve_store::Error::corrupt("a signing key says nothing of its algorithm").into());
        };
        let (made, terms) = match algorithm {
            Algorithm::EdDsa | Algorithm::Es256 => (sign(algorithm, &key, &terms)?, terms),
            Algorithm::Rs256 => {
                let work = move || Ok((sign(algorithm, &key, &terms)?, terms));
                self.workshop().run(work).await?
            }
        };
        self.record_jwt((tenant, policy), (&version, &made.kid, &terms), cause).await?;
        let Terms { jti, expires_at, .. } = terms;
        Ok(SignedJwt { token: made.token, kid: made.kid, jti, expires_at })
    }

    fn terms(&self, policy: &Policy, wanted: &JwtWanted) -> Result<Terms, Error> {
        let rules = &policy.policy.rules;
        let jwt = rules.jwt.as_ref();
        let jwt = jwt.ok_or_else(|| keyreeve_store::Error::corrupt("a policy says nothing of tokens"))?;
        // The server may have moved to that address since the policy was made.
        if self.options().public_url.as_ref().is_some_and(|own| is_own(&jwt.issuer, own)) {
            return Err(Error::Denied("a policy whose issuer is not this server"));
        }
        let asked: Vec<String> = wanted.subject.clone().into_iter().collect();
        let mut names = allowed(policy, &asked)?;
        let subject = match (names.pop(), names.is_empty()) {
            (Some(subject), true) => subject,
            _ => return Err(Error::invalid("subject", "is to be named: the policy allows several")),
        };
        let seconds = wanted.seconds.unwrap_or(rules.max_seconds);
        if seconds < 1 || seconds > rules.max_seconds {
            return Err(Error::invalid("seconds", format!("is not from 1 to {}", rules.max_seconds)));
        }
        let mut claims = jwt.claims(&wanted.claims)?;
        let (now, jti) = (self.world().now(), self.world().new_uuid().to_string());
        let expires_at = now.plus(Duration::from_secs(seconds));
        for (name, value) in [
            ("iss", json!(jwt.issuer)),
            ("sub", json!(subject)),
            ("aud", jwt.audience(&wanted.audience)?),
            ("iat", json!(now.seconds())),
            ("exp", json!(expires_at.seconds())),
            ("jti", json!(jti)),
        ] {
            claims.insert(name.to_owned(), value);
        }
        if crate::model::json_text(&claims)?.len() > MAX_CLAIMS_BYTES {
            return Err(Error::invalid("claims", format!("make more than {MAX_CLAIMS_BYTES} bytes")));
        }
        Ok(Terms { typ: jwt.typ.clone(), claims, jti, expires_at })
    }

    /// Notes a token before it is handed out, unless what it was signed by is not there any more.
    async fn record_jwt(
        &self,
        (tenant, policy): (TenantId, Policy),
        (version, kid, terms): (&Version, &str, &Terms),
        cause: &Cause,
    ) -> Result<(), Error> {
        let (secrets, cause, number) = (self.clone(), cause.clone(), version.number);
        let policy = policy.policy;
        let detail = json!({
            "policy": policy.name, "kid": kid, "jti": terms.jti, "sub": terms.claims.get("sub"),
            "aud": terms.claims.get("aud"), "exp": terms.expires_at,
        });
        self.store()
            .write(async move |tx: &mut Tx<'_>| {
                let id: SecretId = policy.authority;
                let (name, now) = (policy.name.as_str(), secrets.world().now());
                let row = params![tenant, name];
                let held = tx.query_opt(&schema::POLICY, &row, crate::SigningPolicy::from_row).await?;
                let wanted = Some(number);
                let version = params![tenant, id, wanted];
                let stored = tx.query_opt(&schema::READ, &version, crate::read::Stored::from_row).await?;
                let there = stored.is_some_and(|stored| stored.version.is_there(now));
                if !there || held.is_none_or(|held| (held.key, held.version) != (policy.key, policy.version))
                {
                    return Err(Error::Busy { retry_after: Duration::from_secs(1) });
                }
                record(tx, &secrets, (tenant, "jwt.sign", id), (&cause, detail.clone())).await
            })
            .await
    }
}

//! Bearer tokens: each is a representation of a session of the identity room, which lives as long as the token may.

use super::call::{Call, Caller};
use super::failure::{Failure, iso};
use super::people::Words;
use super::reply::{Answer, JSON, LATER_JSON, LATER_PLAIN, PLAIN, Reply, preferred};
use super::{Insight, schema};
use keyreeve_base::{Origin, SessionId, TenantId, Timestamp, UserId};
use keyreeve_crypto::strict_json::is_object_without_repetition;
use keyreeve_crypto::{OpaqueToken, Secret, TokenDigest};
use keyreeve_identity::{Error, Opening, Proof, Refusal, SessionPolicy, Weighed};
use keyreeve_store::{Tx, params};
use serde::Deserialize;
use serde_json::{Number, json};
use std::time::Duration;
use uuid::Uuid;

/// What a token begins with, so that people and scanners know a leaked one.
const PREFIX: &str = "kr_xi_";
/// The length of a token.
const LENGTH: usize = PREFIX.len() + 43;
/// How many tokens a user has at a time at most: all of them end in one transaction.
const MOST_TOKENS: i64 = 1_000;
/// What the log calls the identifier of an attempt that is none.
const NO_IDENTIFIER: &str = "not an identifier";
/// How often a pair is looked up again that was replaced while its token was made.
const ATTEMPTS: usize = 3;

/// `RestApiCredentialsForBearerTokenV1`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    client_id: String,
    secret: Secret,
    #[serde(default)]
    max_age: Option<Number>,
}

/// Asks for a token.
struct Minting {
    tenant: TenantId,
    client_id: String,
    secret: Secret,
    lasts_s: u32,
    origin: Origin,
}

/// A pair as it is kept.
struct Kept {
    user: UserId,
    digest: TokenDigest,
    credentials_id: i64,
}

/// What the transaction that makes a token came to.
enum Made {
    Token,
    /// The pair is another one meanwhile.
    Stale,
    TooMany,
    Refused,
}

pub(super) async fn mint(call: Call) -> Answer {
    minted(call, JSON, &[JSON, PLAIN]).await
}

pub(super) async fn mint_later(call: Call) -> Answer {
    minted(call, LATER_JSON, &[LATER_PLAIN, LATER_JSON]).await
}

/// Reads a body of this media type and answers in one of these.
async fn minted(mut call: Call, kind: &str, offers: &[&'static str]) -> Answer {
    let spoken = preferred(&call.headers, offers).ok_or(Failure::NotAcceptable)?;
    let body = call.body(&[kind]).await?;
    let longest = call.insight.options().token_max_age_s;
    let (tenant, origin) = (call.tenant, call.origin.clone());
    let wanted = read(&body)?;
    let lasts_s = effective(wanted.max_age.as_ref(), longest)?;
    let Wanted { client_id, secret, .. } = wanted;
    let token = call.insight.mint(Minting { tenant, client_id, secret, lasts_s, origin }).await?;
    match spoken {
        PLAIN | LATER_PLAIN => Ok(Reply::text(spoken, token.expose().to_owned())),
        _ => Reply::json(spoken, &token.expose()),
    }
}

fn read(body: &[u8]) -> Result<Wanted, Failure> {
    let bad = |problem: String| Failure::BadRequest(problem.into());
    if !is_object_without_repetition(body) {
        return Err(bad("The body is not a JSON object, or has a member twice".to_owned()));
    }
    // The problem names a member or a place, never a value that was sent: that may be the secret.
    serde_json::from_slice(body).map_err(|error| {
        let missing = error.to_string();
        let named = ["clientId", "secret", "maxAge"].into_iter().find(|name| missing.contains(*name));
        bad(match named {
            Some(name) => format!("The member {name} is missing or of the wrong type"),
            None => format!("A member is of the wrong type, at column {}", error.column()),
        })
    })
}

/// The seconds that a token lives: what is asked for, but never more than `longest`.
fn effective(wanted: Option<&Number>, longest: u32) -> Result<u32, Failure> {
    let Some(wanted) = wanted else { return Ok(longest) };
    match wanted.as_i64() {
        Some(seconds) if seconds <= 0 => {
            Err(Failure::Invalid { target: "maxAge", message: "maxAge must be greater than 0" })
        }
        Some(seconds) => Ok(u32::try_from(seconds).map_or(longest, |seconds| seconds.min(longest))),
        None if wanted.is_u64() => Ok(longest),
        None => Err(Failure::BadRequest("The member maxAge is not an integer".into())),
    }
}

pub(super) async fn details(call: Call) -> Answer {
    described(&call, JSON)
}

pub(super) async fn details_later(call: Call) -> Answer {
    described(&call, preferred(&call.headers, &[LATER_JSON]).ok_or(Failure::NotAcceptable)?)
}

/// `UserTokenInfoV1`.
fn described(call: &Call, kind: &'static str) -> Answer {
    let caller = call.caller()?;
    let until = caller.token_until.ok_or(Failure::Unauthenticated)?;
    let info = json!({
        "access_token_expiration_time": iso(until),
        "cn": caller.user.greeting(),
        "mail": caller.user.email.words(),
        "uid": caller.user.id,
    });
    Reply::json(kind, &info)
}

impl Insight {
    /// Makes a token of a pair.
    async fn mint(&self, minting: Minting) -> Result<OpaqueToken, Failure> {
        let Minting { tenant, client_id, secret, lasts_s, origin } = minting;
        let client_id = Uuid::try_parse(&client_id).ok();
        // One pair is one counter in every spelling; what is no identifier may be a secret in the wrong field (AC-61).
        let counted = client_id.map_or_else(|| NO_IDENTIFIER.to_owned(), |id| id.to_string());
        for _ in 0..ATTEMPTS {
            let kept = match client_id {
                Some(id) => self.kept(tenant, id).await?,
                None => None,
            };
            let attempt = self.identity().admission().credential_attempt(tenant, &counted, &origin).await??;
            let whose = kept.as_ref().map(|kept| (kept.user, kept.digest));
            let proof = attempt.prove(secret.expose(), whose).await??;
            let number = kept.map_or(0, |kept| kept.credentials_id);
            let token = OpaqueToken::generate_with_prefix(self.world(), PREFIX);
            match self.open((proof, number), token.digest(), (lasts_s, &origin)).await? {
                Made::Token => return Ok(token),
                Made::Stale => {}
                // The oldest ones are over within the hour.
                Made::TooMany => return Err(Failure::Wait(Duration::from_secs(60))),
                Made::Refused => return Err(Failure::Unauthenticated),
            }
        }
        Err(Refusal::Denied.into())
    }

    /// The pair of an identifier.
    async fn kept(&self, tenant: TenantId, client_id: Uuid) -> Result<Option<Kept>, Failure> {
        let read = async move |tx: &mut Tx<'_>| {
            tx.query_opt(&schema::BY_CLIENT, &params![tenant, client_id], |row| {
                let digest = TokenDigest::from_bytes(row.get(1)?);
                Ok(Kept { user: row.get(0)?, digest, credentials_id: row.get(2)? })
            })
            .await
        };
        Ok(self.store().read(read).await?)
    }

    /// Makes the session that a token stands for, as long as the pair is still the one that was proved.
    async fn open(
        &self,
        (proof, number): (Proof, i64),
        digest: TokenDigest,
        (lasts_s, origin): (u32, &Origin),
    ) -> Result<Made, Failure> {
        let (insight, tenant) = (self.clone(), proof.tenant());
        let Some(user) = proof.user() else { return Ok(Made::Refused) };
        let (session, now) = (self.world().new_id::<SessionId>(), self.world().now());
        let until = now.plus(Duration::from_secs(u64::from(lasts_s)));
        let policy = SessionPolicy { idle_s: lasts_s, absolute_s: lasts_s };
        let opening = Opening { session, policy, origin: origin.clone(), alone: false };
        let made = self
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                // Held first, by whoever replaces the pair as well: no token is left over of one that was revoked.
                let held = params![tenant, user, number];
                if tx.query_opt(&schema::HOLD, &held, |row| row.get::<i64>(0)).await?.is_none() {
                    return Ok(Made::Stale);
                }
                tx.execute(&schema::FORGET_TOKENS, &params![user, now]).await?;
                let count =
                    tx.query_one(&schema::COUNT_TOKENS, &params![user], |row| row.get::<i64>(0)).await?;
                if count >= MOST_TOKENS {
                    return Ok(Made::TooMany);
                }
                let admission = insight.identity().admission();
                let Weighed::Admitted(admitted) = admission.weigh(tx, &proof, &opening.origin).await? else {
                    return Ok(Made::Refused);
                };
                admission.open(tx, &admitted, &opening).await?;
                tx.execute(&schema::INSERT_TOKEN, &params![tenant, digest.as_bytes(), user, session, until])
                    .await?;
                Ok::<_, Error>(Made::Token)
            })
            .await?;
        if matches!(made, Made::Token) {
            self.remember((tenant, digest), (session, until));
        }
        Ok(made)
    }

    /// Whoever a bearer token stands for, if its session is live and nothing stands against the user.
    pub(super) async fn of_token(&self, tenant: TenantId, token: &str) -> Result<Option<Caller>, Failure> {
        if token.len() != LENGTH || !token.starts_with(PREFIX) {
            return Ok(None);
        }
        let digest = TokenDigest::of(token);
        let Some((session, until)) = self.session_of(tenant, digest).await? else { return Ok(None) };
        if until <= self.world().now() {
            return Ok(None);
        }
        let admitted = self.identity().admission().in_session(tenant, session).await?;
        let user = admitted.and_then(|admitted| admitted.user().cloned());
        Ok(user.map(|user| Caller { user, session, token_until: Some(until) }))
    }

    async fn session_of(
        &self,
        tenant: TenantId,
        digest: TokenDigest,
    ) -> Result<Option<(SessionId, Timestamp)>, Failure> {
        if let Some(known) = self.remembered(&(tenant, digest)) {
            return Ok(Some(known));
        }
        let read = async move |tx: &mut Tx<'_>| {
            tx.query_opt(&schema::TOKEN, &params![tenant, digest.as_bytes()], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .await
        };
        let found = self.store().read(read).await?;
        if let Some(known) = found {
            self.remember((tenant, digest), known);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(body: &str) -> Result<u32, Failure> {
        effective(read(body.as_bytes())?.max_age.as_ref(), 900)
    }

    #[test]
    fn a_token_lives_as_long_as_asked_but_never_longer_than_allowed() {
        for (max_age, expected) in [
            ("1", 1),
            ("60", 60),
            ("900", 900),
            ("901", 900),
            ("100000", 900),
            ("4294967296", 900),
            ("9223372036854775807", 900),
            ("18446744073709551615", 900),
            ("null", 900),
        ] {
            let body = format!(r#"{{"clientId":"c","secret":"s","maxAge":{max_age}}}"#);
            assert_eq!(asked(&body).unwrap(), expected, "{max_age}");
        }
        assert_eq!(asked(r#"{"clientId":"c","secret":"s"}"#).unwrap(), 900);
        for max_age in ["0", "-1", "-9223372036854775808"] {
            let body = format!(r#"{{"clientId":"c","secret":"s","maxAge":{max_age}}}"#);
            assert!(matches!(asked(&body), Err(Failure::Invalid { target: "maxAge", .. })), "{max_age}");
        }
        for max_age in ["\"60\"", "60.5", "60.0", "1e2", "true", "[]", "{}", "-1e400", "18446744073709551616"]
        {
            let body = format!(r#"{{"clientId":"c","secret":"s","maxAge":{max_age}}}"#);
            assert!(matches!(asked(&body), Err(Failure::BadRequest(_))), "{max_age}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_body_is_told_without_what_was_sent() {
        let told = |body: &str| match asked(body) {
            Err(Failure::BadRequest(told)) => told.into_owned(),
            other => panic!("{other:?}"),
        };
        assert_eq!(told(r#"{"secret":"hush"}"#), "The member clientId is missing or of the wrong type");
        for body in [
            r#"{"clientId":["hush"],"secret":"s"}"#,
            r#"{"clientId":"c","secret":{"a":"hush"}}"#,
            "\"hush\"",
            "[]",
            "",
            r#"{"clientId":"hush","clientId":"c","secret":"s"}"#,
            r#"{"clientId":"c","secret":"s","maxAge":"hush"}"#,
        ] {
            assert!(!told(body).contains("hush"), "{body}");
        }
    }
}

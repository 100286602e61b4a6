//! Proof Key for Code Exchange (RFC 7636), method S256 and no other (AC-09).

use keyreeve_crypto::{base64url, constant_time_eq, sha256};

/// A code challenge of method S256: 43 characters of canonical base64url.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CodeChallenge(String);

/// The text is not a challenge of method S256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("code_challenge must be 43 characters of base64url: the SHA-256 digest of the verifier")]
pub struct NotAChallenge;

impl CodeChallenge {
    /// Reads a challenge.
    ///
    /// # Errors
    /// [`NotAChallenge`] unless the text is the canonical base64url form, without padding, of 32 bytes.
    pub fn parse(text: &str) -> Result<Self, NotAChallenge> {
        let digest = base64url::decode(text).map_err(|_| NotAChallenge)?;
        if digest.len() == 32 { Ok(Self(text.to_owned())) } else { Err(NotAChallenge) }
    }

    /// The text as it was sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `verifier` is well formed (RFC 7636 section 4.1) and hashes to this challenge.
    #[must_use]
    pub fn is_met_by(&self, verifier: &str) -> bool {
        let well_formed = (43..=128).contains(&verifier.len())
            && verifier.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~'));
        let digest = base64url::encode(sha256(verifier.as_bytes()));
        well_formed && constant_time_eq(digest.as_bytes(), self.0.as_bytes())
    }
}

impl TryFrom<String> for CodeChallenge {
    type Error = NotAChallenge;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<CodeChallenge> for String {
    fn from(challenge: CodeChallenge) -> Self {
        challenge.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636 appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn the_example_of_the_rfc_verifies() {
        let challenge = CodeChallenge::parse(CHALLENGE).unwrap();
        assert!(challenge.is_met_by(VERIFIER));
        assert!(!challenge.is_met_by(CHALLENGE), "plain is not accepted");
        assert!(!challenge.is_met_by(&format!("{VERIFIER}x")));
        assert!(!challenge.is_met_by(""));
    }

    #[test]
    fn verifiers_outside_the_grammar_never_match() {
        for bad in ["short", &"x".repeat(129), &format!("{}+", "x".repeat(50))] {
            let challenge = CodeChallenge(base64url::encode(sha256(bad.as_bytes())));
            assert!(!challenge.is_met_by(bad), "{bad}");
        }
    }

    #[test]
    fn what_is_no_challenge_is_refused() {
        for bad in [
            "",
            "x",
            &format!("{CHALLENGE}="),
            &CHALLENGE.replace('-', "+"),
            &"x".repeat(64),
            VERIFIER.get(1..).unwrap(),
        ] {
            assert!(CodeChallenge::parse(bad).is_err(), "{bad}");
        }
    }
}

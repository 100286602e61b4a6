//! How proofs of possession (RFC 9449) are read from requests, and how nonces go out. What a proof proves is for a room to
//! say.

use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use keyreeve_base::ShownProof;

const PROOF: HeaderName = HeaderName::from_static("dpop");
const NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// A request as a proof must describe it, with the proofs that it shows.
pub struct Described {
    method: Method,
    path: String,
    proofs: Vec<HeaderValue>,
}

/// There is more than one proof, or one that is no text (RFC 9449 section 4.3, the first check).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

impl Described {
    /// What a request says. Costs next to nothing where no proof is shown.
    #[must_use]
    pub fn new(method: &Method, path: &str, headers: &HeaderMap) -> Self {
        let proofs: Vec<HeaderValue> = headers.get_all(PROOF).iter().cloned().collect();
        let path = if proofs.is_empty() { String::new() } else { path.to_owned() };
        Self { method: method.clone(), path, proofs }
    }

    /// The proof, if one is shown.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn shown(&self) -> Result<Option<ShownProof<'_>>, Unreadable> {
        match self.proofs.as_slice() {
            [] => Ok(None),
            [one] => {
                let proof = one.to_str().map_err(|_| Unreadable)?;
                Ok(Some(ShownProof { proof, method: self.method.as_str(), path: &self.path }))
            }
            _ => Err(Unreadable),
        }
    }

    /// Whether a proof is shown, readable or not.
    #[must_use]
    pub fn is_shown(&self) -> bool {
        !self.proofs.is_empty()
    }
}

/// Sends a nonce along (RFC 9449 section 8).
#[must_use]
pub fn with_nonce(mut response: Response, nonce: &str) -> Response {
    // Sealed texts are base64url.
    if let Ok(nonce) = HeaderValue::from_str(nonce) {
        response.headers_mut().insert(NONCE, nonce);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(proofs: &[&str]) -> Described {
        let mut headers = HeaderMap::new();
        for proof in proofs {
            headers.append(PROOF, HeaderValue::from_bytes(proof.as_bytes()).unwrap());
        }
        Described::new(&Method::POST, "/token", &headers)
    }

    #[test]
    fn ac_05_one_proof_is_read_and_two_are_refused() {
        assert_eq!(described(&[]).shown(), Ok(None));
        let shown = ShownProof { proof: "abc", method: "POST", path: "/token" };
        assert_eq!(described(&["abc"]).shown(), Ok(Some(shown)));
        assert_eq!(described(&["a", "a"]).shown(), Err(Unreadable));
        assert_eq!(described(&["ä"]).shown(), Err(Unreadable));
    }
}

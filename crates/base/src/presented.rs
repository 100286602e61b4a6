//! An access token as it was presented: what a door reads of a request, and a room verifies.

/// A proof of possession as it was shown, with the request that it was shown for (RFC 9449 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShownProof<'a> {
    /// The one `DPoP` header.
    pub proof: &'a str,
    /// The method of the request.
    pub method: &'a str,
    /// The path of the request below the public URL, without its query.
    pub path: &'a str,
}

/// How an access token was presented.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Presentation<'a> {
    /// `Authorization: Bearer` (RFC 6750 section 2.1).
    Bearer(&'a str),
    /// `Authorization: DPoP`, with the proof beside it (RFC 9449 section 7.1).
    Dpop {
        /// The token.
        token: &'a str,
        /// The proof.
        shown: ShownProof<'a>,
    },
}

impl Presentation<'_> {
    /// Whether it was presented with a proof.
    #[must_use]
    pub const fn is_proven(&self) -> bool {
        matches!(self, Self::Dpop { .. })
    }
}

impl std::fmt::Debug for Presentation<'_> {
    /// Without the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_proven() { "Presentation::Dpop(..)" } else { "Presentation::Bearer(..)" })
    }
}

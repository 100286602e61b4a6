//! What a request at the token endpoint is bound to, beside the grant that it redeems: the key of which its client has
//! proven possession (RFC 9449), and the resources that it names (RFC 8707).

/// What a token request is bound to. Only this room makes one that is not empty, from what was verified.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    key: Option<Box<str>>,
    resources: Vec<String>,
    /// The resources that an exchange names: what it may reach, the token that it is about decides.
    targets: Vec<String>,
}

/// The resources that a token request names, by what decides whether its client may have tokens for them.
#[derive(Clone, Copy, Debug)]
pub enum Targets<'a> {
    /// What is registered of the client and of those who answer for resources.
    Registered(&'a [&'a str]),
    /// The token that is exchanged, and whom the operator lets the client reach (RFC 8693). No other grant sees these.
    Exchange(&'a [&'a str]),
}

impl Bounds {
    pub(crate) fn new(key: Option<String>, resources: Vec<String>, targets: Vec<String>) -> Self {
        Self { key: key.map(String::into_boxed_str), resources, targets }
    }

    /// The resources that an exchange names, not yet weighed.
    pub(crate) fn targets(&self) -> &[String] {
        &self.targets
    }

    /// The key of which possession was proven: an RFC 7638 thumbprint.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// The resources that are asked for, each one that the client may have tokens for.
    #[must_use]
    pub fn resources(&self) -> &[String] {
        &self.resources
    }
}

//! The critical options and extensions of a user's certificate (OpenSSH's PROTOCOL.certkeys).

use super::wire::{NotSsh, Reader, Writer};
use ipnet::IpNet;
use std::collections::BTreeMap;

/// The most options of a certificate, of either sort.
pub const MAX_OPTIONS: usize = 64;
/// The longest option, name and value together.
pub const MAX_OPTION_BYTES: usize = 4096;

/// Why options cannot stand in a certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// OpenSSH knows none for hosts.
    #[error("is for a host, which takes neither restrictions nor permissions")]
    Host,
    /// A command that is empty, too long or has control characters.
    #[error("forces a command that is empty, too long, or has control characters")]
    Command,
    /// More than [`MAX_OPTIONS`], or one that is longer than [`MAX_OPTION_BYTES`].
    #[error("has more than {MAX_OPTIONS} options, or one that is longer than {MAX_OPTION_BYTES} bytes")]
    TooMany,
    /// A name of one's own without the domain that it needs.
    #[error("has the extension {0:?}, which is none of OpenSSH's and has not the form name@domain")]
    Name(String),
    /// Not in ascending order, or not in the form that they have.
    #[error("has options that are not well formed")]
    Malformed,
}

impl From<NotSsh> for OptionsError {
    fn from(_: NotSsh) -> Self {
        Self::Malformed
    }
}

/// What a server must hold a user to. A server that does not know one refuses the certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restrictions {
    /// The one command that is run, whatever is asked for.
    pub force_command: Option<String>,
    /// The addresses that the user may come from; empty means any.
    pub source_addresses: Vec<IpNet>,
    /// Whether a FIDO key must have verified its user (PIN or biometrics).
    pub verify_required: bool,
}

impl Restrictions {
    pub(crate) const fn is_empty(&self) -> bool {
        self.force_command.is_none() && self.source_addresses.is_empty() && !self.verify_required
    }

    /// As critical options.
    pub(crate) fn options(&self) -> Result<Options, OptionsError> {
        let mut options = Options::default();
        if let Some(command) = &self.force_command {
            if command.trim().is_empty() || command.chars().any(char::is_control) {
                return Err(OptionsError::Command);
            }
            options.insert("force-command", command)?;
        }
        if !self.source_addresses.is_empty() {
            let texts: Vec<String> =
                self.source_addresses.iter().map(|net| net.trunc().to_string()).collect();
            options.insert("source-address", &texts.join(","))?;
        }
        if self.verify_required {
            options.insert("verify-required", "")?;
        }
        Ok(options)
    }
}

/// What a server may allow a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// A terminal.
    Pty,
    /// Forwarding of ports.
    PortForwarding,
    /// Forwarding of the agent.
    AgentForwarding,
    /// Forwarding of X11.
    X11Forwarding,
    /// Running `~/.ssh/rc`.
    UserRc,
    /// Signatures of a FIDO key that nobody touched.
    NoTouchRequired,
}

impl Permission {
    /// Every permission.
    pub const ALL: [Self; 6] = [
        Self::Pty,
        Self::PortForwarding,
        Self::AgentForwarding,
        Self::X11Forwarding,
        Self::UserRc,
        Self::NoTouchRequired,
    ];

    /// The extension's name, such as `permit-pty`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pty => "permit-pty",
            Self::PortForwarding => "permit-port-forwarding",
            Self::AgentForwarding => "permit-agent-forwarding",
            Self::X11Forwarding => "permit-X11-forwarding",
            Self::UserRc => "permit-user-rc",
            Self::NoTouchRequired => "no-touch-required",
        }
    }
}

/// Options by their names; flags have an empty value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options(BTreeMap<String, String>);

impl Options {
    /// These permissions.
    #[must_use]
    pub fn of(permissions: &[Permission]) -> Self {
        Self(permissions.iter().map(|permission| (permission.as_str().to_owned(), String::new())).collect())
    }

    /// Adds an extension of one's own, such as `login@github.com`, or a permission by its name.
    ///
    /// # Errors
    /// [`OptionsError`]: a name that is not OpenSSH's and has no domain, too many, too long.
    pub fn allow(&mut self, name: &str, value: &str) -> Result<(), OptionsError> {
        let own =
            name.split_once('@').is_some_and(|(before, domain)| !before.is_empty() && !domain.is_empty());
        let known = value.is_empty() && Permission::ALL.iter().any(|permission| permission.as_str() == name);
        if !(known || own && name.chars().all(|c| c.is_ascii_graphic() && c != ',')) {
            return Err(OptionsError::Name(name.chars().take(64).collect()));
        }
        self.insert(name, value)
    }

    fn insert(&mut self, name: &str, value: &str) -> Result<(), OptionsError> {
        if self.0.len() == MAX_OPTIONS || name.len() + value.len() > MAX_OPTION_BYTES {
            return Err(OptionsError::TooMany);
        }
        self.0.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of an option; empty for a flag.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(128);
        for (name, value) in &self.0 {
            out.string(name.as_bytes());
            if value.is_empty() {
                out.string(&[]);
            } else {
                // A value is a string within a string.
                let mut inner = Writer::with_capacity(value.len() + 4);
                inner.string(value.as_bytes());
                out.string(inner.as_slice());
            }
        }
        out.as_slice().to_vec()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, OptionsError> {
        let (mut reader, mut options) = (Reader::new(bytes), Self::default());
        while !reader.is_empty() {
            let (name, data) = (reader.text()?, reader.string()?);
            let value = if data.is_empty() {
                ""
            } else {
                let mut inner = Reader::new(data);
                let value = inner.text()?;
                if !inner.is_empty() {
                    return Err(OptionsError::Malformed);
                }
                value
            };
            if options.0.last_key_value().is_some_and(|(last, _)| last.as_str() >= name) {
                return Err(OptionsError::Malformed);
            }
            options.insert(name, value)?;
        }
        Ok(options)
    }
}

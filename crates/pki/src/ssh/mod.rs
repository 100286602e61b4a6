//! SSH: key pairs, their file formats, certificates, lists of what is revoked.

mod certificate;
mod krl;
mod options;
mod private;
mod public;
pub(crate) mod wire;

pub use certificate::{
    CertificateError, CertificateKind, MAX_NAME_BYTES, MAX_PRINCIPALS, SshCertificate, Terms, random_serial,
};
pub use krl::{RevocationList, RevokedCertificates};
pub use options::{MAX_OPTION_BYTES, MAX_OPTIONS, Options, OptionsError, Permission, Restrictions};
pub use private::{MAX_ROUNDS, SshKeyPair};
pub use public::{MAX_COMMENT_BYTES, MAX_LINE_BYTES, SshKeyType, SshPublicKey};

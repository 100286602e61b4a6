//! Sealing of versions: a key of its own seals each value, and the tenant's data key seals that key. Both are bound to the
//! tenant, the secret, its kind and the version, so that neither opens anywhere else.

use crate::{Error, Kind, SecretId};
use keyreeve_base::{TenantId, World};
use keyreeve_crypto::SecretBytes;
use keyreeve_crypto::seal::{KeyFingerprint, SealError, ValueKey, aad, sealing_key};
use keyreeve_identity::Sealer;

/// What a version is bound to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound {
    pub(crate) tenant: TenantId,
    pub(crate) id: SecretId,
    pub(crate) kind: Kind,
    pub(crate) number: i64,
}

/// A value that is sealed, and its key, wrapped.
pub(crate) struct SealedVersion {
    pub(crate) sealed: Vec<u8>,
    pub(crate) wrapped: Vec<u8>,
    pub(crate) key_name: [u8; 8],
}

/// The name of the data key that a wrapped key needs.
pub(crate) fn name_of(wrapped: &[u8]) -> Result<[u8; 8], Error> {
    let name = sealing_key(wrapped).map(|name: KeyFingerprint| *name.as_bytes());
    name.map_err(|error| keyreeve_identity::Error::Seal(error).into())
}

impl Bound {
    fn with<T>(&self, label: &[u8], use_of: impl FnOnce(&[&[u8]]) -> T) -> T {
        let (tenant, id) = (self.tenant.uuid(), self.id.uuid());
        let number = self.number.to_be_bytes();
        use_of(&[label, tenant.as_bytes(), id.as_bytes(), self.kind.as_str().as_bytes(), &number])
    }

    pub(crate) fn seal(&self, world: &World, sealer: &Sealer, value: &[u8]) -> Result<SealedVersion, Error> {
        let bound = self.with(b"secret value", aad);
        let sealed = ValueKey::generate(world).seal(value, &bound);
        let (sealed, key) = sealed.map_err(keyreeve_identity::Error::Seal)?;
        let wrapped = self.wrap(sealer, &key)?;
        let key_name = name_of(&wrapped)?;
        Ok(SealedVersion { sealed, wrapped, key_name })
    }

    pub(crate) fn wrap(&self, sealer: &Sealer, key: &SecretBytes) -> Result<Vec<u8>, Error> {
        Ok(self.with(b"secret value key", |parts| sealer.seal(parts, key.expose()))?)
    }

    pub(crate) fn unwrap(&self, sealer: &Sealer, wrapped: &[u8]) -> Result<SecretBytes, Error> {
        match self.with(b"secret value key", |parts| sealer.open(parts, wrapped)) {
            Ok(key) => Ok(key),
            Err(keyreeve_identity::Error::Seal(source)) => Err(self.damaged(source)),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn open(&self, sealer: &Sealer, wrapped: &[u8], sealed: &[u8]) -> Result<SecretBytes, Error> {
        let key = self.unwrap(sealer, wrapped)?;
        let bound = self.with(b"secret value", aad);
        let opened = ValueKey::from_bytes(&key).and_then(|key| key.open(sealed, &bound));
        opened.map_err(|source| self.damaged(source))
    }

    const fn damaged(&self, source: SealError) -> Error {
        Error::Damaged { id: self.id, number: self.number, source }
    }
}

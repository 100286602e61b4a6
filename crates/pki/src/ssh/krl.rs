//! Lists of revoked keys and certificates (OpenSSH's PROTOCOL.krl), as `sshd` reads them by `RevokedKeys`.

use super::public::SshPublicKey;
use super::wire::Writer;
use keyreeve_base::Timestamp;
use std::collections::BTreeSet;

const MAGIC: u64 = 0x5353_484b_524c_0a00;
const FORMAT: u32 = 1;
const SECTION_CERTIFICATES: u8 = 1;
const SECTION_KEYS: u8 = 2;
const BY_SERIAL_LIST: u8 = 0x20;
const BY_SERIAL_RANGE: u8 = 0x21;
const BY_KEY_ID: u8 = 0x23;

/// What is revoked of one authority's certificates.
#[derive(Debug, Clone)]
pub struct RevokedCertificates<'a> {
    /// The authority.
    pub authority: &'a SshPublicKey,
    /// By serial number; 0 is passed over, since it means that there is none.
    pub serials: BTreeSet<u64>,
    /// By key id: every certificate that bears it.
    pub key_ids: BTreeSet<String>,
}

/// What a list says.
#[derive(Debug, Clone)]
pub struct RevocationList<'a> {
    /// The list's number; a later one has a greater one.
    pub version: u64,
    /// When it was made.
    pub made_at: Timestamp,
    /// What it is, for people.
    pub comment: &'a str,
    /// Certificates, by authority.
    pub certificates: Vec<RevokedCertificates<'a>>,
    /// Keys, with every certificate about them.
    pub keys: Vec<&'a SshPublicKey>,
}

impl RevocationList<'_> {
    /// The list as a file for `RevokedKeys`. It bears no signature: it is as good as the way that it came.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(1024);
        out.u64(MAGIC)
            .u32(FORMAT)
            .u64(self.version)
            .u64(u64::try_from(self.made_at.seconds()).unwrap_or(0))
            .u64(0)
            .string(&[])
            .string(self.comment.as_bytes());
        for certificates in &self.certificates {
            let section = certificates.section();
            out.raw(&[SECTION_CERTIFICATES]).string(section.as_slice());
        }
        if !self.keys.is_empty() {
            let blobs: BTreeSet<&[u8]> = self.keys.iter().map(|key| key.blob()).collect();
            let mut section = Writer::with_capacity(1024);
            for blob in blobs {
                section.string(blob);
            }
            out.raw(&[SECTION_KEYS]).string(section.as_slice());
        }
        out.as_slice().to_vec()
    }
}

impl RevokedCertificates<'_> {
    fn section(&self) -> Writer {
        let mut out = Writer::with_capacity(1024);
        out.string(self.authority.blob()).string(&[]);
        let (mut single, mut ranges) = (Writer::with_capacity(256), Vec::new());
        for (first, last) in runs(&self.serials) {
            if first == last {
                single.u64(first);
            } else {
                ranges.push((first, last));
            }
        }
        if single.len() > 0 {
            out.raw(&[BY_SERIAL_LIST]).string(single.as_slice());
        }
        for (first, last) in ranges {
            let mut range = Writer::with_capacity(16);
            range.u64(first).u64(last);
            out.raw(&[BY_SERIAL_RANGE]).string(range.as_slice());
        }
        if !self.key_ids.is_empty() {
            let mut ids = Writer::with_capacity(256);
            for id in &self.key_ids {
                ids.string(id.as_bytes());
            }
            out.raw(&[BY_KEY_ID]).string(ids.as_slice());
        }
        out
    }
}

/// Runs of consecutive numbers, first and last.
fn runs(serials: &BTreeSet<u64>) -> Vec<(u64, u64)> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for &serial in serials.iter().filter(|&&serial| serial != 0) {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(serial) => *last = serial,
            _ => runs.push((serial, serial)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consecutive_numbers_are_one_run() {
        let serials = BTreeSet::from([0, 1, 2, 3, 7, u64::MAX - 1, u64::MAX]);
        assert_eq!(runs(&serials), [(1, 3), (7, 7), (u64::MAX - 1, u64::MAX)]);
    }
}

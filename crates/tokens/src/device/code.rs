//! User codes: what a device shows and a person types (RFC 8628 section 6.1).

use keyreeve_base::{TenantId, World};
use keyreeve_crypto::{Alphabet, random_text, sha256};

/// How many letters a code has: with an alphabet of 20, 34 bits. Guesses are counted, and a code lives for minutes.
const LETTERS: usize = 8;
/// Longer texts are not looked at, in bytes.
const MAX_TYPED_BYTES: usize = 64;

/// A user code in the one form in which it is compared: capital letters alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UserCode(String);

impl UserCode {
    /// A new one.
    pub(super) fn generate(world: &World) -> Self {
        Self(random_text(world, Alphabet::Consonants, LETTERS).expose().to_owned())
    }

    /// What a person typed: in any case, with or without hyphen and spaces. None when it cannot be a code.
    pub(super) fn parse(typed: &str) -> Option<Self> {
        if typed.len() > MAX_TYPED_BYTES {
            return None;
        }
        let letters: String = typed
            .chars()
            .filter(|c| !(c.is_whitespace() || matches!(c, '-' | '\u{2010}'..='\u{2015}' | '.' | '_')))
            .map(|c| c.to_ascii_uppercase())
            .collect();
        (letters.len() == LETTERS && letters.bytes().all(|b| b.is_ascii_uppercase())).then_some(Self(letters))
    }

    /// As it is shown: in two halves, which are easier to copy.
    pub(super) fn shown(&self) -> String {
        let (left, right) = self.0.split_at_checked(LETTERS / 2).unwrap_or((&self.0, ""));
        format!("{left}-{right}")
    }

    /// What is stored.
    pub(super) fn digest(&self, tenant: TenantId) -> [u8; 32] {
        sha256(&[b"user code", tenant.uuid().as_bytes().as_slice(), self.0.as_bytes()].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_however_it_is_typed() {
        let code = UserCode::parse("WDJB-MJHT").unwrap();
        for typed in ["wdjbmjht", " WdJb mJhT ", "wdjb\u{2013}mjht", "W D J B . M J H T"] {
            assert_eq!(UserCode::parse(typed).as_ref(), Some(&code), "{typed}");
        }
        assert_eq!(code.shown(), "WDJB-MJHT");
    }

    #[test]
    fn what_cannot_be_a_code_is_none() {
        for typed in ["", "WDJB", "WDJB-MJH1", "WDJB-MJHTT", "ẄDJB-MJHT", &"-".repeat(65), "WDJBMJH\0"] {
            assert_eq!(UserCode::parse(typed), None, "{typed}");
        }
    }

    #[test]
    fn a_code_of_one_tenant_is_none_of_another() {
        let code = UserCode::parse("WDJBMJHT").unwrap();
        let tenant = |n| TenantId::from_uuid(uuid::Uuid::from_u128(n));
        assert_ne!(code.digest(tenant(1)), code.digest(tenant(2)));
    }
}

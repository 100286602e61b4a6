//! The numbers of RSA keys (RFC 8017): their size, and the parts that one format has and another leaves out.

use super::{KeyError, KeyPair, MAX_RSA_BITS, MIN_RSA_BITS, der};
use aws_lc_rs::rsa::{KeyPairComponents, PublicKeyComponents};
use aws_lc_rs::signature::RsaKeyPair;
use subtle::{ConditionallySelectable as _, ConstantTimeLess as _};
use zeroize::Zeroizing;

/// The numbers that OpenSSH stores, in its order; all without leading zeros.
pub(crate) struct Numbers<'a> {
    pub modulus: &'a [u8],
    pub public_exponent: &'a [u8],
    pub private_exponent: &'a [u8],
    /// q⁻¹ mod p.
    pub coefficient: &'a [u8],
    pub p: &'a [u8],
    pub q: &'a [u8],
}

impl<'a> Numbers<'a> {
    /// Those in a PKCS#8 text, which must hold an RSA key.
    pub(crate) fn of_pkcs8(pkcs8: &'a [u8]) -> Result<Self, KeyError> {
        let mut info = der::Reader::new(pkcs8).sequence()?;
        info.unsigned()?; // the version
        info.sequence()?; // the algorithm
        let mut fields = der::Reader::new(info.expect(der::OCTET_STRING)?).sequence()?;
        fields.unsigned()?; // the version
        let (modulus, public_exponent, private_exponent) =
            (fields.unsigned()?, fields.unsigned()?, fields.unsigned()?);
        let (p, q) = (fields.unsigned()?, fields.unsigned()?);
        fields.unsigned()?; // d mod (p - 1)
        fields.unsigned()?; // d mod (q - 1)
        Ok(Self { modulus, public_exponent, private_exponent, coefficient: fields.unsigned()?, p, q })
    }

    /// The key pair, if the numbers belong together (aws-lc checks each relation between them).
    pub(crate) fn key_pair(&self) -> Result<KeyPair, KeyError> {
        check_size(self.modulus)?;
        let too_long = [self.private_exponent, self.coefficient, self.p, self.q]
            .iter()
            .any(|number| number.len() > self.modulus.len());
        if too_long || self.public_exponent.len() > 8 {
            return Err(KeyError::Mismatch);
        }
        let (exponent_p, exponent_q) =
            (reduced(self.private_exponent, self.p), reduced(self.private_exponent, self.q));
        let components = KeyPairComponents::<&[u8]> {
            public_key: PublicKeyComponents { n: self.modulus, e: self.public_exponent },
            d: self.private_exponent,
            p: self.p,
            q: self.q,
            dP: exponent_p.as_slice(),
            dQ: exponent_q.as_slice(),
            qInv: self.coefficient,
        };
        RsaKeyPair::from_components(&components).map(KeyPair::rsa).map_err(|_| KeyError::Mismatch)
    }
}

/// How many bits a number without leading zeros has.
pub(crate) fn bits(number: &[u8]) -> usize {
    number.first().map_or(0, |first| number.len() * 8 - usize::try_from(first.leading_zeros()).unwrap_or(0))
}

/// Refuses a modulus that is too short or too long.
pub(crate) fn check_size(modulus: &[u8]) -> Result<(), KeyError> {
    match bits(modulus) {
        bits if bits < MIN_RSA_BITS => Err(KeyError::Weak { bits }),
        bits if bits > MAX_RSA_BITS => Err(KeyError::TooLarge { bits }),
        _ => Ok(()),
    }
}

/// `number` mod (`prime` - 1), by long division, one bit at a time. Which bytes are read and written depends on the
/// lengths alone.
fn reduced(number: &[u8], prime: &[u8]) -> Zeroizing<Vec<u8>> {
    // Big-endian with a byte to spare, into which the remainder may be shifted. A prime is odd, so that one less is the
    // same with its last bit off; whatever else is given here, aws-lc refuses the key.
    let mut divisor = Zeroizing::new(vec![0]);
    divisor.reserve_exact(prime.len());
    divisor.extend_from_slice(prime);
    if let Some(last) = divisor.last_mut() {
        *last &= 0xfe;
    }
    let mut remainder = Zeroizing::new(vec![0_u8; divisor.len()]);
    let mut difference = Zeroizing::new(vec![0_u8; divisor.len()]);
    for byte in number {
        for shift in (0..8).rev() {
            let mut carry = (byte >> shift) & 1;
            for digit in remainder.iter_mut().rev() {
                let out = *digit >> 7;
                *digit = (*digit << 1) | carry;
                carry = out;
            }
            let mut borrow = 0_u16;
            for ((out, &a), &b) in difference.iter_mut().zip(remainder.iter()).zip(divisor.iter()).rev() {
                let step = 0x100 + u16::from(a) - u16::from(b) - borrow;
                let [high, low] = step.to_be_bytes();
                *out = low;
                borrow = u16::from(1 - high);
            }
            // No borrow at the end: the divisor fits in once more.
            let fits = borrow.ct_lt(&1);
            for (digit, &less) in remainder.iter_mut().zip(difference.iter()) {
                digit.conditional_assign(&less, fits);
            }
        }
    }
    remainder
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn long_division_agrees_with_the_processor(number: u128, prime in 3_u64..) {
            let prime = prime | 1;
            let expected = number % u128::from(prime - 1);
            let remainder = reduced(&number.to_be_bytes(), &prime.to_be_bytes());
            let found = remainder.iter().fold(0_u128, |value, &byte| (value << 8) | u128::from(byte));
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn bits_are_counted_from_the_first_one() {
        assert_eq!([bits(&[]), bits(&[1]), bits(&[0x80, 0]), bits(&[0x7f, 0])], [0, 1, 16, 15]);
    }
}

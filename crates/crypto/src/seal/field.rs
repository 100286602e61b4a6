//! Shamir's scheme over GF(2^8): a secret is the value at 0 of random polynomials, one for each of its bytes; shares are
//! their values at other places.
//!
//! The field is that of AES: x^8 + x^4 + x^3 + x + 1. Nothing here branches or looks anything up by a secret value.

/// The product of two elements.
pub(super) fn mul(a: u8, b: u8) -> u8 {
    let (mut a, mut b, mut product) = (a, b, 0_u8);
    for _ in 0..8 {
        // A mask of ones where the bit is set.
        product ^= a & 0_u8.wrapping_sub(b & 1);
        a = (a << 1) ^ (0x1b & 0_u8.wrapping_sub(a >> 7));
        b >>= 1;
    }
    product
}

/// The inverse; 0 for 0. It is the power 254, since the power 255 of whatever has an inverse is 1.
fn inverse(a: u8) -> u8 {
    let (mut power, mut result) = (mul(a, a), 1_u8);
    for _ in 0..7 {
        result = mul(result, power);
        power = mul(power, power);
    }
    result
}

/// The value at `x` of the polynomial with these coefficients, the constant one first.
pub(super) fn evaluate(coefficients: &[u8], x: u8) -> u8 {
    coefficients.iter().rev().fold(0, |value, coefficient| mul(value, x) ^ coefficient)
}

/// The value at 0 of the polynomial of least degree through these points, whose places differ and are not 0.
pub(super) fn at_zero(points: &[(u8, u8)]) -> u8 {
    points.iter().fold(0, |sum, (place, value)| {
        let others = points.iter().filter(|(other, _)| other != place);
        let share = others.fold(1, |product, (other, _)| mul(product, mul(*other, inverse(other ^ place))));
        sum ^ mul(share, *value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Multiplication as one learns it: shift, add, reduce, with branches.
    fn slow(a: u8, b: u8) -> u8 {
        let mut wide = 0_u16;
        for bit in 0..8 {
            if b >> bit & 1 == 1 {
                wide ^= u16::from(a) << bit;
            }
        }
        for bit in (8..16).rev() {
            if wide >> bit & 1 == 1 {
                wide ^= 0x11b << (bit - 8);
            }
        }
        u8::try_from(wide).unwrap()
    }

    #[test]
    fn it_is_the_field_of_aes() {
        // FIPS 197 section 4.2 and 4.2.1.
        assert_eq!((mul(0x57, 0x83), mul(0x57, 0x13)), (0xc1, 0xfe));
        for a in 0..=255 {
            for b in 0..=255 {
                assert_eq!(mul(a, b), slow(a, b), "{a} {b}");
            }
            assert_eq!(mul(a, inverse(a)), u8::from(a != 0), "{a}");
        }
    }

    #[test]
    fn a_polynomial_is_what_it_says() {
        // 0x53 + 0xca·x at 1 and 2, by hand: 0x53^0xca, 0x53^(0xca·2).
        assert_eq!(evaluate(&[0x53, 0xca], 1), 0x99);
        assert_eq!(evaluate(&[0x53, 0xca], 2), 0x53 ^ 0x8f);
        assert_eq!(at_zero(&[(1, 0x99), (2, 0x53 ^ 0x8f)]), 0x53);
    }

    proptest! {
        #[test]
        fn any_points_of_a_polynomial_give_its_constant(
            coefficients in prop::collection::vec(any::<u8>(), 1..12),
            places in prop::collection::hash_set(1_u8..=255, 12),
        ) {
            let points: Vec<(u8, u8)> = places
                .into_iter()
                .take(coefficients.len())
                .map(|x| (x, evaluate(&coefficients, x)))
                .collect();
            prop_assert_eq!(at_zero(&points), coefficients[0]);
        }
    }
}

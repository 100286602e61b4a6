//! Passwords by policy: so long, of these characters, so many of each kind; each that satisfies the policy is equally
//! likely.

use keyreeve_base::World;
use keyreeve_crypto::Secret;
use zeroize::Zeroizing;

/// The longest password. The number of all of them still fits a floating-point number.
pub const MAX_LENGTH: usize = 128;

/// A kind of character, in ASCII.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// `a` to `z`.
    Lower,
    /// `A` to `Z`.
    Upper,
    /// `0` to `9`.
    Digit,
    /// The 32 others that can be seen.
    Symbol,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 4] = [Self::Lower, Self::Upper, Self::Digit, Self::Symbol];

    /// Its name: `lower`, `upper`, `digit`, `symbol`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lower => "lower",
            Self::Upper => "upper",
            Self::Digit => "digit",
            Self::Symbol => "symbol",
        }
    }

    const fn has(self, character: u8) -> bool {
        match self {
            Self::Lower => character.is_ascii_lowercase(),
            Self::Upper => character.is_ascii_uppercase(),
            Self::Digit => character.is_ascii_digit(),
            Self::Symbol => character.is_ascii_punctuation(),
        }
    }
}

impl std::fmt::Display for Class {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Class {
    type Err = PolicyError;

    fn from_str(name: &str) -> Result<Self, PolicyError> {
        Self::ALL.into_iter().find(|class| class.as_str() == name).ok_or(PolicyError::UnknownClass)
    }
}

/// What a password is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordPolicy {
    /// How many characters.
    pub length: usize,
    /// Which kinds of characters, and how many of each at least.
    pub classes: Vec<(Class, usize)>,
    /// Characters that must not be there.
    pub forbidden: String,
    /// Leaves out what is taken for one another when read or copied by hand: `0 O o 1 I l |` and the quotes.
    pub unambiguous: bool,
}

const AMBIGUOUS: &str = "0Oo1Il|`'\"";

/// Why there can be no password by a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A name that is none of [`Class`]'s.
    #[error("is none of lower, upper, digit, symbol")]
    UnknownClass,
    /// The length is 0 or greater than [`MAX_LENGTH`].
    #[error("has a length that is not between 1 and {MAX_LENGTH}")]
    Length,
    /// There is no class.
    #[error("names no class of characters")]
    NoClass,
    /// A class stands there twice.
    #[error("names the class {0} twice")]
    Twice(Class),
    /// All characters of a class are forbidden.
    #[error("forbids every character of the class {0}")]
    Empty(Class),
    /// The classes ask for more characters than there are.
    #[error("asks for {wanted} characters at least, and for {length} in all")]
    TooShort {
        /// The sum of the minimums.
        wanted: usize,
        /// The length.
        length: usize,
    },
}

/// A policy that has been found good, ready to make passwords.
pub struct PasswordGenerator {
    length: usize,
    groups: Vec<Group>,
}

struct Group {
    characters: Vec<u8>,
    /// Of n characters, all of this class and the later ones, how many texts satisfy them? By n.
    texts: Vec<f64>,
    minimum: usize,
}

impl PasswordPolicy {
    /// Checks the policy.
    ///
    /// # Errors
    /// [`PolicyError`]: what is wrong with it.
    pub fn generator(&self) -> Result<PasswordGenerator, PolicyError> {
        if !(1..=MAX_LENGTH).contains(&self.length) {
            return Err(PolicyError::Length);
        }
        if self.classes.is_empty() {
            return Err(PolicyError::NoClass);
        }
        let wanted = self.classes.iter().fold(0_usize, |sum, (_, least)| sum.saturating_add(*least));
        if wanted > self.length {
            return Err(PolicyError::TooShort { wanted, length: self.length });
        }
        let mut groups: Vec<Group> = Vec::new();
        // From the last to the first: each counts what the later ones can make of the rest.
        for (index, &(class, minimum)) in self.classes.iter().enumerate().rev() {
            if self.classes.iter().take(index).any(|(other, _)| *other == class) {
                return Err(PolicyError::Twice(class));
            }
            let left_out =
                |c: char| self.forbidden.contains(c) || (self.unambiguous && AMBIGUOUS.contains(c));
            let characters: Vec<u8> =
                (b'!'..=b'~').filter(|&c| class.has(c) && !left_out(char::from(c))).collect();
            if characters.is_empty() {
                return Err(PolicyError::Empty(class));
            }
            let mut group = Group { characters, texts: Vec::new(), minimum };
            group.texts = (0..=self.length)
                .map(|n| group.choices(n, groups.last()).map(|(_, texts)| texts).sum())
                .collect();
            groups.push(group);
        }
        groups.reverse();
        Ok(PasswordGenerator { length: self.length, groups })
    }
}

impl Group {
    /// For n places: how many of them this class can take, and how many texts there are for each number.
    fn choices<'a>(&'a self, n: usize, later: Option<&'a Self>) -> impl Iterator<Item = (usize, f64)> + 'a {
        let size = self.characters.len() as f64;
        // C(n, k) · size^k, from one k to the next.
        let mut ways = 1.0;
        (0..=n).filter_map(move |k| {
            if k > 0 {
                ways *= size * (n - k + 1) as f64 / k as f64;
            }
            let rest = match later {
                Some(later) => later.texts.get(n - k).copied().unwrap_or(0.0),
                None if k == n => 1.0,
                None => 0.0,
            };
            (k >= self.minimum).then_some((k, ways * rest))
        })
    }
}

impl PasswordGenerator {
    /// The entropy of a password, in bits: the binary logarithm of how many there are.
    #[must_use]
    pub fn entropy_bits(&self) -> f64 {
        self.groups.first().and_then(|group| group.texts.get(self.length)).map_or(0.0, |texts| texts.log2())
    }

    /// A new password. How many characters are of which class is drawn by how many texts there are of each division;
    /// then their places and the characters are, without preference for any.
    #[must_use]
    pub fn generate(&self, world: &World) -> Secret {
        let mut dice = Dice { world, bytes: Zeroizing::new([0; 64]), used: 64 };
        let mut text = Zeroizing::new(Vec::with_capacity(self.length));
        for (index, group) in self.groups.iter().enumerate() {
            let left = self.length - text.len();
            let total = group.texts.get(left).copied().unwrap_or(0.0);
            let mut point = dice.fraction() * total;
            let mut taken = 0;
            for (count, texts) in
                group.choices(left, self.groups.get(index + 1)).filter(|(_, texts)| *texts > 0.0)
            {
                taken = count;
                if point < texts {
                    break;
                }
                point -= texts;
            }
            for _ in 0..taken {
                let chosen = group.characters.get(dice.below(group.characters.len()));
                text.extend(chosen.copied());
            }
        }
        // Fisher and Yates: every order is equally likely.
        for last in (1..text.len()).rev() {
            text.swap(last, dice.below(last + 1));
        }
        Secret::from(text.iter().map(|&c| char::from(c)).fold(
            String::with_capacity(self.length),
            |mut out, c| {
                out.push(c);
                out
            },
        ))
    }
}

/// Randomness in small numbers.
struct Dice<'a> {
    world: &'a World,
    bytes: Zeroizing<[u8; 64]>,
    used: usize,
}

impl Dice<'_> {
    fn byte(&mut self) -> u8 {
        if self.used >= self.bytes.len() {
            self.bytes = Zeroizing::new(self.world.random_bytes());
            self.used = 0;
        }
        let byte = self.bytes.get(self.used).copied().unwrap_or_default();
        self.used += 1;
        byte
    }

    /// A number below `sides`, which is at most 128; each equally likely. Bytes at or above the greatest multiple are
    /// dropped, or the first numbers would come more often.
    fn below(&mut self, sides: usize) -> usize {
        let kept = 256 - 256 % sides.max(1);
        loop {
            let byte = usize::from(self.byte());
            if byte < kept {
                return byte % sides.max(1);
            }
        }
    }

    /// A number from 0 up to 1, in steps of 2⁻⁵³.
    fn fraction(&mut self) -> f64 {
        let bits = (0..8).fold(0_u64, |bits, _| (bits << 8) | u64::from(self.byte())) >> 11;
        bits as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyreeve_base::SystemClock;
    use keyreeve_crypto::SystemRandom;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    fn world() -> World {
        World::new(Arc::new(SystemClock), Arc::new(SystemRandom))
    }

    fn policy(length: usize, classes: &[(Class, usize)]) -> PasswordPolicy {
        PasswordPolicy { length, classes: classes.to_vec(), forbidden: String::new(), unambiguous: false }
    }

    proptest! {
        #[test]
        fn every_password_satisfies_its_policy(
            length in 1_usize..=MAX_LENGTH,
            least in proptest::array::uniform4(0_usize..40),
            forbidden in "[ -~]{0,6}",
            unambiguous: bool,
        ) {
            let classes = Class::ALL.into_iter().zip(least).collect();
            let policy = PasswordPolicy { length, classes, forbidden, unambiguous };
            match policy.generator() {
                Ok(generator) => {
                    let password = generator.generate(&world());
                    let password = password.expose();
                    prop_assert_eq!(password.len(), length);
                    prop_assert!(!password.contains(|c| policy.forbidden.contains(c)));
                    prop_assert!(!unambiguous || !password.contains(|c| AMBIGUOUS.contains(c)));
                    for (class, least) in &policy.classes {
                        prop_assert!(password.bytes().filter(|&c| class.has(c)).count() >= *least);
                    }
                    prop_assert!(generator.entropy_bits().is_finite());
                }
                Err(error) => prop_assert_eq!(error, PolicyError::TooShort { wanted: least.iter().sum(), length }),
            }
        }
    }

    #[test]
    fn the_entropy_is_that_of_all_texts_that_satisfy() {
        let bits = |policy: &PasswordPolicy| policy.generator().unwrap().entropy_bits();
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(near(bits(&policy(16, &[(Class::Lower, 0)])), 16.0 * 26_f64.log2()));
        let all: Vec<_> = Class::ALL.iter().map(|&class| (class, 0)).collect();
        assert!(near(bits(&policy(MAX_LENGTH, &all)), 128.0 * 94_f64.log2()));
        // Two characters, one digit at least: 36² - 26².
        let two = policy(2, &[(Class::Lower, 0), (Class::Digit, 1)]);
        assert!(near(bits(&two), f64::from(36 * 36 - 26 * 26).log2()));
        // One of each: 4! orders.
        let each: Vec<_> = Class::ALL.iter().map(|&class| (class, 1)).collect();
        assert!(near(bits(&policy(4, &each)), f64::from(24 * 26 * 26 * 10 * 32).log2()));
    }

    #[test]
    fn no_password_is_likelier_than_another() {
        // Of the letters a and b and the digits 1 and 2, three places, one digit at least: 4³ - 2³ = 56 texts.
        let policy = PasswordPolicy {
            forbidden: "cdefghijklmnopqrstuvwxyz03456789".to_owned(),
            ..policy(3, &[(Class::Lower, 0), (Class::Digit, 1)])
        };
        let (generator, world) = (policy.generator().unwrap(), world());
        let mut seen: BTreeMap<String, u32> = BTreeMap::new();
        let expected = 1_000_u32;
        for _ in 0..56 * expected {
            *seen.entry(generator.generate(&world).expose().to_owned()).or_default() += 1;
        }
        assert_eq!(seen.len(), 56);
        // Chi-squared with 55 degrees of freedom: above 150 once in ten thousand million runs.
        let squares: f64 = seen.values().map(|&n| (f64::from(n) - 1000.0).powi(2) / 1000.0).sum();
        assert!(squares < 150.0, "{squares} {seen:?}");
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_reason() {
        let error = |policy: &PasswordPolicy| policy.generator().err().unwrap();
        assert_eq!(error(&policy(0, &[(Class::Lower, 0)])), PolicyError::Length);
        assert_eq!(error(&policy(129, &[(Class::Lower, 0)])), PolicyError::Length);
        assert_eq!(error(&policy(8, &[])), PolicyError::NoClass);
        assert_eq!(
            error(&policy(8, &[(Class::Lower, 1), (Class::Lower, 1)])),
            PolicyError::Twice(Class::Lower)
        );
        let none = PasswordPolicy { forbidden: "0123456789".to_owned(), ..policy(8, &[(Class::Digit, 0)]) };
        assert_eq!(error(&none), PolicyError::Empty(Class::Digit));
        let too_many = policy(8, &[(Class::Lower, usize::MAX), (Class::Digit, 5)]);
        assert_eq!(error(&too_many), PolicyError::TooShort { wanted: usize::MAX, length: 8 });
        assert_eq!("letters".parse::<Class>(), Err(PolicyError::UnknownClass));
    }
}

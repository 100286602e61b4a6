//! Passwords that everyone tries first, recognised by how they are made rather than by a list of millions: a word or two
//! that everyone uses, dressed up with digits, signs and look-alike letters; a walk over the keyboard; one bit repeated.
//!
//! It is a coarse sieve on purpose. What keeps guessing out is the length of the password and the throttle; this keeps out
//! `Password1234`, which is long enough.

/// Words that people build passwords from, in lower case. Short ones stand last, so that longer ones match first.
const WORDS: &[&str] = &[
    "administrator",
    "administration",
    "willkommen",
    "basketball",
    "september",
    "iloveyou",
    "keyreeve",
    "password",
    "passwort",
    "sunshine",
    "princess",
    "football",
    "baseball",
    "superman",
    "starwars",
    "internet",
    "computer",
    "changeit",
    "changeme",
    "november",
    "december",
    "dezember",
    "february",
    "business",
    "security",
    "database",
    "wachtwoord",
    "motdepasse",
    "contrasena",
    "trustno",
    "welcome",
    "letmein",
    "charlie",
    "michael",
    "jennifer",
    "jessica",
    "chelsea",
    "liverpool",
    "arsenal",
    "pokemon",
    "naruto",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "january",
    "october",
    "oktober",
    "august",
    "company",
    "manager",
    "default",
    "initial",
    "testing",
    "example",
    "service",
    "account",
    "support",
    "student",
    "teacher",
    "school",
    "batman",
    "spring",
    "summer",
    "autumn",
    "winter",
    "sommer",
    "herbst",
    "flower",
    "cheese",
    "cookie",
    "banana",
    "orange",
    "purple",
    "yellow",
    "silver",
    "golden",
    "monkey",
    "dragon",
    "shadow",
    "master",
    "soccer",
    "hockey",
    "ranger",
    "jordan",
    "hunter",
    "killer",
    "tigger",
    "buster",
    "ginger",
    "pepper",
    "maggie",
    "freedom",
    "whatever",
    "secret",
    "geheim",
    "access",
    "passwd",
    "people",
    "friend",
    "family",
    "system",
    "server",
    "qwertz",
    "qwerty",
    "azerty",
    "asdfgh",
    "zxcvbn",
    "yxcvbn",
    "abcdef",
    "google",
    "github",
    "oracle",
    "private",
    "public",
    "change",
    "enter",
    "hello",
    "hallo",
    "guest",
    "admin",
    "login",
    "mylove",
    "lovely",
    "angel",
    "peter",
    "david",
    "daniel",
    "thomas",
    "andrew",
    "robert",
    "george",
    "maria",
    "april",
    "march",
    "june",
    "july",
    "juni",
    "juli",
    "love",
    "root",
    "user",
    "demo",
    "test",
    "pass",
    "word",
    "code",
    "key",
    "new",
    "old",
    "the",
    "my",
];

/// The rows of keyboards, along which fingers walk.
const ROWS: &[&str] = &[
    "1234567890",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "qwertzuiop",
    "yxcvbnm",
    "azertyuiop",
    "qsdfghjklm",
    "wxcvbn",
];

/// Whether `password` is of the kind that is tried first.
pub(crate) fn is_common(password: &str) -> bool {
    let lower: Vec<char> = password.chars().flat_map(char::to_lowercase).collect();
    few_characters(&lower) || repeats_a_unit(&lower) || is_a_walk(&lower) || is_dressed_up(&lower)
}

/// At most three different characters.
fn few_characters(text: &[char]) -> bool {
    let mut different = text.to_vec();
    different.sort_unstable();
    different.dedup();
    different.len() <= 3
}

/// A unit of up to six characters, over and over.
fn repeats_a_unit(text: &[char]) -> bool {
    (1..=6)
        .filter(|unit| unit * 2 <= text.len())
        .any(|unit| text.iter().zip(text.iter().skip(unit)).all(|(a, b)| a == b))
}

/// Mostly steps to the same, the next or the previous character, of the alphabet or of a keyboard's row: at least three
/// of four.
fn is_a_walk(text: &[char]) -> bool {
    let steps = text.len().saturating_sub(1);
    let small = text.iter().zip(text.iter().skip(1)).filter(|(a, b)| is_near(**a, **b)).count();
    steps > 0 && small * 4 >= steps * 3
}

fn is_near(a: char, b: char) -> bool {
    u32::from(a).abs_diff(u32::from(b)) <= 1
        || ROWS.iter().any(|row| {
            let at = |wanted| row.chars().position(|c| c == wanted);
            matches!((at(a), at(b)), (Some(a), Some(b)) if a.abs_diff(b) == 1)
        })
}

/// One or two of the words and hardly a letter besides.
fn is_dressed_up(text: &[char]) -> bool {
    // Digits and signs may be decoration (`welcome2026!`) or letters in disguise (`p4ssw0rd`): try both readings.
    let letters: String = text.iter().filter(|c| c.is_alphabetic()).collect();
    let plain = text.iter().position(|c| c.is_alphabetic()).unwrap_or(0);
    let end = text.iter().rposition(|c| c.is_alphabetic()).map_or(0, |last| last + 1);
    let inner = text.get(plain..end).unwrap_or(text);
    let undisguised: String = inner.iter().copied().filter_map(undisguise).collect();
    let whole: String = text.iter().copied().filter_map(undisguise).collect();
    [letters, undisguised, whole].iter().any(|reading| is_made_of_words(reading))
}

fn undisguise(c: char) -> Option<char> {
    match c {
        '0' => Some('o'),
        '1' | '!' | '|' => Some('i'),
        '3' | '€' => Some('e'),
        '4' | '@' => Some('a'),
        '5' | '$' => Some('s'),
        '7' | '+' => Some('t'),
        c if c.is_alphabetic() => Some(c),
        _ => None,
    }
}

fn is_made_of_words(text: &str) -> bool {
    let mut rest = text.to_owned();
    let mut found = 0_usize;
    for word in WORDS {
        if rest.contains(word) {
            found += 1;
            rest = rest.replace(word, " ");
        }
    }
    (1..=2).contains(&found) && rest.chars().filter(|c| *c != ' ').count() <= 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_everyone_tries_is_recognised() {
        for password in [
            "Password1234",
            "P@ssw0rd2026!",
            "passwordpassword",
            "Welcome2026!!",
            "aaaaaaaaaaaa",
            "abababababab",
            "123456789012",
            "abcdefghijklmn",
            "qwertyuiop12",
            "QWERTZ123456",
            "iloveyou1234",
            "Sommer2026!!!",
            "admin-admin-1",
            "changeme!!!!",
            "letmein123456",
            "000000000000",
            "zyxwvutsrqpo",
            "L3tm31n!!!!!",
        ] {
            assert!(is_common(password), "{password}");
        }
    }

    #[test]
    fn what_someone_thought_of_is_not() {
        for password in [
            "correct horse battery staple",
            "Wq7-tulip-oxcart",
            "gK2!vR9#xL5@",
            "der Mond scheint 3x blau",
            "my old dragon eats brown bread",
            "läuft-bei-uns-rund",
            "kr_9fX2mQ7bT4sN",
        ] {
            assert!(!is_common(password), "{password}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,64}") {
            is_common(&text);
        }
    }
}

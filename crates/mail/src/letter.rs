//! What is written to people, in each language.
//!
//! Each letter says who writes, why, what to do, how long that works, and what to do if one did not ask for it. It names
//! the account by the name that signs it in: a display name would let strangers write a line into somebody's mailbox.

use crate::message::Message;
use keyreeve_crypto::Secret;
use std::time::Duration;
use zeroize::Zeroizing;

/// A language that letters are written in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Language {
    /// English; also for everybody whose language there is not.
    #[default]
    English,
    /// German.
    German,
}

impl Language {
    /// The language of a tag (BCP 47) such as `de-AT`; the region is not looked at.
    #[must_use]
    pub fn of_tag(tag: &str) -> Self {
        match tag.split(['-', '_']).next() {
            Some(language) if language.eq_ignore_ascii_case("de") => Self::German,
            _ => Self::English,
        }
    }

    const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }
}

/// What a letter is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetterKind {
    /// The link leads to where a new password is chosen.
    PasswordReset,
    /// The link leads to where the address is confirmed.
    EmailVerification,
}

/// A letter to be written.
pub struct Letter<'a> {
    /// What for.
    pub kind: LetterKind,
    /// The address that it goes to.
    pub to: &'a str,
    /// Who writes: the tenant's name for people.
    pub brand: &'a str,
    /// The name by which the account signs in.
    pub account: &'a str,
    /// Where to go: a whole URL.
    pub link: &'a str,
    /// How long the link works.
    pub lasts: Duration,
    /// In which language.
    pub language: Language,
}

/// The words of one kind of letter. `{brand}`, `{account}` and `{time}` are places for values.
struct Words {
    subject: &'static str,
    why: &'static str,
    act: &'static str,
    button: &'static str,
    lasts: &'static str,
    otherwise: &'static str,
    minutes: [&'static str; 2],
    hours: [&'static str; 2],
}

const ENGLISH_MINUTES: [&str; 2] = ["1 minute", "{n} minutes"];
const ENGLISH_HOURS: [&str; 2] = ["1 hour", "{n} hours"];
const GERMAN_MINUTES: [&str; 2] = ["1 Minute", "{n} Minuten"];
const GERMAN_HOURS: [&str; 2] = ["1 Stunde", "{n} Stunden"];

const fn words(kind: LetterKind, language: Language) -> Words {
    match (kind, language) {
        (LetterKind::PasswordReset, Language::English) => Words {
            subject: "Choose a new password for {brand}",
            why: "Somebody, probably you, asked {brand} for a new password for the account {account}.",
            act: "To choose it, open this link:",
            button: "Choose a new password",
            lasts: "The link works once, for {time}. If you ask again, only the newest link works.",
            otherwise: "If it was not you, you need not do anything: your password stays as it is.",
            minutes: ENGLISH_MINUTES,
            hours: ENGLISH_HOURS,
        },
        (LetterKind::PasswordReset, Language::German) => Words {
            subject: "Neues Passwort für {brand} wählen",
            why: "Jemand, wahrscheinlich Sie selbst, hat bei {brand} ein neues Passwort für das Konto {account} \
                  angefordert.",
            act: "Um es zu wählen, öffnen Sie diesen Link:",
            button: "Neues Passwort wählen",
            lasts: "Der Link funktioniert einmal, innerhalb von {time}. Wenn Sie noch einmal anfordern, gilt nur der \
                    neueste.",
            otherwise: "Falls Sie das nicht waren, müssen Sie nichts tun: Ihr Passwort bleibt, wie es ist.",
            minutes: GERMAN_MINUTES,
            hours: GERMAN_HOURS,
        },
        (LetterKind::EmailVerification, Language::English) => Words {
            subject: "Confirm your e-mail address for {brand}",
            why: "At {brand}, this address stands in the account {account}.",
            act: "To confirm that it is yours, open this link and press the button there:",
            button: "Confirm the address",
            lasts: "The link works once, for {time}. If you ask again, only the newest link works.",
            otherwise: "If you have no such account, you need not do anything: the address stays unconfirmed.",
            minutes: ENGLISH_MINUTES,
            hours: ENGLISH_HOURS,
        },
        (LetterKind::EmailVerification, Language::German) => Words {
            subject: "E-Mail-Adresse für {brand} bestätigen",
            why: "Bei {brand} steht diese Adresse im Konto {account}.",
            act: "Um zu bestätigen, dass sie Ihnen gehört, öffnen Sie diesen Link und drücken dort den Knopf:",
            button: "Adresse bestätigen",
            lasts: "Der Link funktioniert einmal, innerhalb von {time}. Wenn Sie noch einmal anfordern, gilt nur der \
                    neueste.",
            otherwise: "Falls Sie kein solches Konto haben, müssen Sie nichts tun: Die Adresse bleibt unbestätigt.",
            minutes: GERMAN_MINUTES,
            hours: GERMAN_HOURS,
        },
    }
}

impl Letter<'_> {
    /// Writes it.
    #[must_use]
    pub fn write(&self) -> Message {
        let words = words(self.kind, self.language);
        let (brand, account) = (one_line(self.brand), one_line(self.account));
        let time = words.time(self.lasts);
        let filled =
            |text: &str| fill(text, &[("{brand}", &brand), ("{account}", &account), ("{time}", &time)]);
        let (why, lasts) = (filled(words.why), filled(words.lasts));
        let link = self.link;
        let text =
            format!("{why}\n\n{}\n\n{link}\n\n{lasts}\n\n{}\n\n-- \n{brand}\n", words.act, words.otherwise);
        let [why, lasts, brand] = [&why, &lasts, &brand].map(|text| escaped(text));
        let href = Zeroizing::new(escaped(link));
        let (act, button, otherwise) = (escaped(words.act), escaped(words.button), escaped(words.otherwise));
        let html = format!(
            "<!DOCTYPE html>\n<html lang=\"{}\"><head><meta charset=\"utf-8\"><title>{}</title></head>\n\
             <body style=\"font-family:sans-serif;line-height:1.5;max-width:36em;margin:1em\">\n\
             <p>{why}</p>\n<p>{act}</p>\n\
             <p><a href=\"{}\" style=\"font-weight:bold\">{button}</a></p>\n<p style=\"word-break:break-all\">{}</p>\n\
             <p>{lasts}</p>\n<p>{otherwise}</p>\n<p>{brand}</p>\n</body></html>\n",
            self.language.tag(),
            escaped(&filled(words.subject)),
            href.as_str(),
            href.as_str(),
        );
        Message {
            to: self.to.to_owned(),
            subject: filled(words.subject),
            text: Secret::from(text),
            html: Secret::from(html),
        }
    }
}

impl Words {
    /// A span in whole hours or minutes, rounded down: what is promised is kept.
    fn time(&self, span: Duration) -> String {
        let minutes = span.as_secs() / 60;
        let (n, [one, many]) = match (minutes % 60, minutes / 60) {
            (0, hours) if hours > 0 => (hours, self.hours),
            (_, hours) if hours > 2 => (hours, self.hours),
            _ => (minutes.max(1), self.minutes),
        };
        if n == 1 { one.to_owned() } else { many.replace("{n}", &n.to_string()) }
    }
}

/// Fills the places of a text, each value as it is: one that looks like a place is not filled again.
fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(text.len().saturating_add(64));
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        filled.push_str(before);
        match values.iter().find_map(|(place, value)| Some((from.strip_prefix(place)?, value))) {
            Some((after, value)) => {
                filled.push_str(value);
                rest = after;
            }
            None => {
                filled.push('{');
                rest = from.get(1..).unwrap_or_default();
            }
        }
    }
    filled.push_str(rest);
    filled
}

/// A name that others chose, on one line, without the characters that steer how the text around it is laid out.
fn one_line(text: &str) -> String {
    let steers = |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.replace(steers, " ").trim().to_owned()
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [LetterKind; 2] = [LetterKind::PasswordReset, LetterKind::EmailVerification];

    fn letter(kind: LetterKind, language: Language) -> Letter<'static> {
        Letter {
            kind,
            to: "ada@example.org",
            brand: "Aurora",
            account: "ada",
            link: "https://id.example/reset?token=kr_pr_abc&x=1",
            lasts: Duration::from_secs(1_800),
            language,
        }
    }

    #[test]
    fn every_letter_says_who_what_and_how_long_in_both_forms() {
        for (kind, language) in
            KINDS.into_iter().flat_map(|k| [(k, Language::English), (k, Language::German)])
        {
            let message = letter(kind, language).write();
            let (text, html) = (message.text.expose(), message.html.expose());
            assert!(message.subject.contains("Aurora") && !message.subject.contains("kr_pr"));
            assert!(text.contains("https://id.example/reset?token=kr_pr_abc&x=1\n"), "{text}");
            assert!(html.contains("href=\"https://id.example/reset?token=kr_pr_abc&amp;x=1\""), "{html}");
            for form in [text, html] {
                assert!(form.contains("Aurora") && form.contains(" ada") && form.contains("30 "), "{form}");
                assert!(!form.contains('{'), "{form}");
            }
            let german = text.contains("Sie");
            assert_eq!(german, language == Language::German, "{text}");
        }
    }

    #[test]
    fn names_cannot_add_lines_markup_or_values() {
        let hostile = Letter {
            brand: "A\r\nBcc: x@evil.example\u{202e}",
            account: "{brand}<img src=x onerror=alert(1)>",
            ..letter(LetterKind::PasswordReset, Language::English)
        };
        let message = hostile.write();
        assert!(!message.subject.contains(['\r', '\n', '\u{202e}']), "{:?}", message.subject);
        assert!(!message.text.expose().contains("\nBcc"));
        assert!(message.text.expose().contains("{brand}<img"), "a value is not filled again");
        assert!(!message.html.expose().contains("<img"));
    }

    #[test]
    fn spans_are_told_in_a_fitting_unit() {
        let words = words(LetterKind::PasswordReset, Language::English);
        let of = |seconds| words.time(Duration::from_secs(seconds));
        assert_eq!((of(1_800), of(60)), ("30 minutes".to_owned(), "1 minute".to_owned()));
        assert_eq!((of(3_600), of(86_400)), ("1 hour".to_owned(), "24 hours".to_owned()));
        assert_eq!((of(5_400), of(12_000)), ("90 minutes".to_owned(), "3 hours".to_owned()));
    }

    #[test]
    fn the_language_is_that_of_the_tag() {
        assert_eq!(Language::of_tag("de-AT"), Language::German);
        assert_eq!(Language::of_tag("DE"), Language::German);
        for other in ["", "en", "fr-CH", "deu", "-de"] {
            assert_eq!(Language::of_tag(other), Language::English, "{other}");
        }
    }
}

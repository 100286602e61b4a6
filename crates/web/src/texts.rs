//! Every word that a page says, in every language that pages speak.
//!
//! [`Texts`] has one field for each text, so that a language lacking one does not compile; `en.rs` and `de.rs` fill
//! it. Templates contain no words of their own.
//!
//! To add a text, add a field here and fill it in each language. To add a language, add its file, a variant of
//! [`Locale`], and its lines in the methods of [`Locale`].

mod de;
mod en;

use std::time::Duration;

/// A language that pages are written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Locale {
    /// English; also what is shown to whoever asks for no language that there is.
    #[default]
    English,
    /// German.
    German,
}

/// More languages than this are not looked at in one request.
const MAX_WISHES: usize = 32;

impl Locale {
    /// Every language there is, in the order of `ui_locales_supported` (OpenID Connect Discovery 1.0 section 3).
    pub const ALL: [Self; 2] = [Self::English, Self::German];

    /// The language's tag (BCP 47), as `html lang` and `ui_locales_supported` want it.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }

    /// The direction of its script, as `html dir` wants it.
    #[must_use]
    pub const fn direction(self) -> &'static str {
        match self {
            Self::English | Self::German => "ltr",
        }
    }

    /// The texts in this language.
    #[must_use]
    pub const fn texts(self) -> &'static Texts {
        match self {
            Self::English => &en::TEXTS,
            Self::German => &de::TEXTS,
        }
    }

    /// The language to answer in: the first of `ui_locales` that there is (OpenID Connect Core 1.0 section 3.1.2.1:
    /// tags separated by spaces, in order of preference), else the best of the `Accept-Language` header (RFC 9110
    /// section 12.5.4), else English. What cannot be parsed is passed over.
    #[must_use]
    pub fn choose(ui_locales: Option<&str>, accept_language: Option<&str>) -> Self {
        let asked = ui_locales.unwrap_or("").split_ascii_whitespace().take(MAX_WISHES).find_map(Self::of_tag);
        asked.or_else(|| Self::accepted(accept_language.unwrap_or(""))).unwrap_or_default()
    }

    fn accepted(header: &str) -> Option<Self> {
        let mut best: Option<(u16, Self)> = None;
        for wish in header.split(',').take(MAX_WISHES) {
            let mut parts = wish.split(';');
            let Some(locale) = parts.next().and_then(|tag| Self::of_tag(tag.trim())) else { continue };
            let quality = parts.next().map_or(Some(1000), |q| quality(q.trim())).unwrap_or(0);
            // Equal wishes count in the order in which they were written.
            if quality > best.map_or(0, |(q, _)| q) {
                best = Some((quality, locale));
            }
        }
        best.map(|(_, locale)| locale)
    }

    /// The language of a tag like `de`, `de-AT` or `en_GB`; the region is not looked at.
    fn of_tag(tag: &str) -> Option<Self> {
        let language = tag.split(['-', '_']).next()?;
        Self::ALL.into_iter().find(|locale| locale.tag().eq_ignore_ascii_case(language))
    }
}

/// A quality value like `q=0.8`, in thousandths.
fn quality(text: &str) -> Option<u16> {
    let number: f32 = text.strip_prefix("q=").or_else(|| text.strip_prefix("Q="))?.parse().ok()?;
    if !(0.0..=1.0).contains(&number) {
        return None;
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 1000 by the line above"
    )]
    Some((number * 1000.0) as u16)
}

/// A sentence with one place for a value, written `{}`. Templates put the value there escaped and set apart from the
/// direction of the sentence.
#[derive(Clone, Copy, Debug)]
pub struct Phrase(pub(crate) &'static str);

impl Phrase {
    /// What stands before the value.
    #[must_use]
    pub fn before(self) -> &'static str {
        self.0.split_once("{}").map_or(self.0, |(before, _)| before)
    }

    /// What stands after the value.
    #[must_use]
    pub fn after(self) -> &'static str {
        self.0.split_once("{}").map_or("", |(_, after)| after)
    }
}

/// A sentence about a number of things, in its two forms; `{}` is the number.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    pub(crate) one: &'static str,
    pub(crate) many: &'static str,
}

impl Counted {
    /// The sentence about `n` things.
    #[must_use]
    pub fn of(self, n: u64) -> String {
        let form = if n == 1 { self.one } else { self.many };
        form.replacen("{}", &n.to_string(), 1)
    }
}

/// Lists the texts of a value for [`Texts::entries`].
trait Entry {
    fn parts(&self) -> Vec<&'static str>;
}
impl Entry for &'static str {
    fn parts(&self) -> Vec<&'static str> {
        vec![self]
    }
}
impl Entry for Phrase {
    fn parts(&self) -> Vec<&'static str> {
        vec![self.0]
    }
}
impl Entry for Counted {
    fn parts(&self) -> Vec<&'static str> {
        vec![self.one, self.many]
    }
}
impl<const N: usize> Entry for [&'static str; N] {
    fn parts(&self) -> Vec<&'static str> {
        self.to_vec()
    }
}

macro_rules! catalogue {
    ($($(#[$doc:meta])* $name:ident: $kind:ty,)*) => {
        /// The catalogue: all texts of one language. The words of the English one say what each is.
        #[allow(missing_docs, reason = "a text is its own description; groups are named where it is defined")]
        pub struct Texts {
            $($(#[$doc])* pub $name: $kind,)*
        }
        impl Texts {
            /// Every text with the name of its field, for checks of completeness.
            #[must_use]
            pub fn entries(&self) -> Vec<(&'static str, &'static str)> {
                let mut all = Vec::new();
                $(all.extend(Entry::parts(&self.$name).into_iter().map(|text| (stringify!($name), text)));)*
                all
            }
        }
    };
}

catalogue! {
    // Shared by several pages.
    title_error: &'static str,
    problem: &'static str,
    runs_on: &'static str,
    form_expired: &'static str,
    busy: &'static str,
    /// The value is one of the `wait_*` texts.
    too_many: Phrase,
    wait_seconds: Counted,
    wait_minutes: Counted,
    wait_hours: Counted,
    show: &'static str,
    hide: &'static str,
    show_password: &'static str,
    hide_password: &'static str,
    cancel: &'static str,
    signed_in_as: Phrase,
    // Sign-in.
    sign_in: &'static str,
    /// The value is an application's name.
    sign_in_to: Phrase,
    sign_in_again: &'static str,
    username_or_email: &'static str,
    password: &'static str,
    username_missing: &'static str,
    password_missing: &'static str,
    sign_in_refused: &'static str,
    // Consent.
    consent_title: &'static str,
    /// The value is an application's name.
    consent_question: Phrase,
    consent_website: &'static str,
    consent_no_website: &'static str,
    consent_asks: &'static str,
    consent_trust: &'static str,
    use_another_account: &'static str,
    allow: &'static str,
    deny: &'static str,
    scope_openid: &'static str,
    scope_openid_detail: &'static str,
    scope_profile: &'static str,
    scope_profile_detail: &'static str,
    scope_email: &'static str,
    scope_email_detail: &'static str,
    scope_address: &'static str,
    scope_address_detail: &'static str,
    scope_phone: &'static str,
    scope_phone_detail: &'static str,
    scope_offline_access: &'static str,
    scope_offline_access_detail: &'static str,
    scope_other: &'static str,
    // A device that is approved here.
    device_title: &'static str,
    device_lead: &'static str,
    device_code: &'static str,
    device_code_hint: &'static str,
    device_code_missing: &'static str,
    device_code_unknown: &'static str,
    device_warning: &'static str,
    device_confirm_title: &'static str,
    /// The value is an application's name.
    device_question: Phrase,
    device_same_code: &'static str,
    /// The value is a network address.
    device_from: Phrase,
    device_allowed: &'static str,
    device_allowed_detail: &'static str,
    device_denied: &'static str,
    device_denied_detail: &'static str,
    device_expired: &'static str,
    device_expired_detail: &'static str,
    device_again: &'static str,
    // Sign-out.
    sign_out: &'static str,
    sign_out_question: &'static str,
    /// The value is an application's name.
    sign_out_asked_by: Phrase,
    sign_out_effect: &'static str,
    stay_signed_in: &'static str,
    signed_out: &'static str,
    signed_out_detail: &'static str,
    /// The value is an application's name.
    return_to: Phrase,
    sign_in_once_more: &'static str,
    // Change of password.
    change_password: &'static str,
    choose_password: &'static str,
    choose_password_why: &'static str,
    current_password: &'static str,
    new_password: &'static str,
    repeat_password: &'static str,
    password_rules: &'static str,
    save_password: &'static str,
    current_missing: &'static str,
    current_wrong: &'static str,
    new_missing: &'static str,
    new_is_current: &'static str,
    repeat_missing: &'static str,
    repeat_differs: &'static str,
    rule_min_chars: Counted,
    rule_max_chars: Counted,
    rule_lower: Counted,
    rule_upper: Counted,
    rule_digits: Counted,
    rule_symbols: Counted,
    rule_not_recent: Counted,
    rule_not_your_name: &'static str,
    rule_not_well_known: &'static str,
    // The second factor.
    code_title: &'static str,
    code_why: &'static str,
    code: &'static str,
    code_missing: &'static str,
    code_wrong: &'static str,
    code_lost: &'static str,
    two_step: &'static str,
    two_step_manage: &'static str,
    two_step_off: &'static str,
    two_step_on: &'static str,
    two_step_remove: &'static str,
    two_step_name: &'static str,
    two_step_name_wrong: &'static str,
    two_step_usual_name: &'static str,
    two_step_add: &'static str,
    two_step_back: &'static str,
    two_step_photograph: &'static str,
    two_step_square: &'static str,
    two_step_type: &'static str,
    two_step_confirm: &'static str,
    recovery_codes: &'static str,
    recovery_why: &'static str,
    recovery_kept: &'static str,
    recovery_new: &'static str,
    recovery_left: Counted,
    // Links by mail.
    forgot_title: &'static str,
    forgot_detail: &'static str,
    forgot_send: &'static str,
    link_asked: &'static str,
    link_asked_detail: &'static str,
    link_to_sign_in: &'static str,
    link_to_account: &'static str,
    link_again: &'static str,
    link_dead: &'static str,
    reset_dead_detail: &'static str,
    verify_dead_detail: &'static str,
    /// The value is the name by which the account signs in.
    reset_account: Phrase,
    reset_done: &'static str,
    reset_done_detail: &'static str,
    verify_title: &'static str,
    /// The value is an e-mail address.
    verify_question: Phrase,
    verify_button: &'static str,
    verify_otherwise: &'static str,
    verify_done: &'static str,
    verify_done_detail: &'static str,
    // Account.
    account: &'static str,
    name: &'static str,
    username: &'static str,
    email: &'static str,
    email_unconfirmed: &'static str,
    email_confirmed: &'static str,
    email_confirm: &'static str,
    about_you: &'static str,
    sessions: &'static str,
    session_this: &'static str,
    session_last_seen: &'static str,
    session_active: &'static str,
    session_end: &'static str,
    sessions_end_others: &'static str,
    sessions_no_others: &'static str,
    device_unknown: &'static str,
    address_unknown: &'static str,
    ago_moment: &'static str,
    ago_minutes: Counted,
    ago_hours: Counted,
    ago_days: Counted,
    months: [&'static str; 12],
    notice_password_changed: &'static str,
    notice_session_ended: &'static str,
    notice_others_ended: &'static str,
    notice_verification_sent: &'static str,
    // Errors that must not be sent to an application.
    error_bad_request: &'static str,
    error_bad_request_detail: &'static str,
    error_unknown_application: &'static str,
    error_unknown_application_detail: &'static str,
    error_unregistered_redirect: &'static str,
    error_unregistered_redirect_detail: &'static str,
    error_expired: &'static str,
    error_expired_detail: &'static str,
    error_forbidden: &'static str,
    error_forbidden_detail: &'static str,
    error_not_found: &'static str,
    error_not_found_detail: &'static str,
    error_too_many: &'static str,
    error_too_many_detail: &'static str,
    error_internal: &'static str,
    error_internal_detail: &'static str,
    error_unavailable: &'static str,
    error_unavailable_detail: &'static str,
    error_what: &'static str,
    error_reference: &'static str,
    start_page: &'static str,
    // The answer to an application, and the start page.
    answer_title: &'static str,
    /// The value is an application's name.
    answer_to: Phrase,
    answer_detail: &'static str,
    continue_button: &'static str,
    start_title: &'static str,
    landing_detail: &'static str,
}

impl Texts {
    /// How long to wait, as it stands after "try again": "in 45 seconds", "in 5 minutes". Rounded up, so that whoever
    /// waits that long has waited long enough.
    #[must_use]
    pub fn wait(&self, span: Duration) -> String {
        let seconds = span.as_secs().saturating_add(u64::from(span.subsec_nanos() > 0));
        match seconds {
            0..=90 => self.wait_seconds.of(seconds.max(1)),
            91..=5400 => self.wait_minutes.of(seconds.div_ceil(60)),
            _ => self.wait_hours.of(seconds.div_ceil(3600)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Texts that are rightly the same in both languages.
    const SAME_IN_GERMAN: [&str; 2] = ["consent_website", "name"];

    fn by_name(locale: Locale) -> BTreeMap<&'static str, Vec<&'static str>> {
        let mut map: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (name, text) in locale.texts().entries() {
            map.entry(name).or_default().push(text);
        }
        map
    }

    #[test]
    fn every_language_says_everything_in_its_own_words() {
        let english = by_name(Locale::English);
        assert!(english.len() > 100);
        for locale in Locale::ALL {
            for (name, parts) in by_name(locale) {
                for text in &parts {
                    assert!(!text.trim().is_empty(), "{name} is empty in {locale:?}");
                    assert_eq!(text.trim(), *text, "{name} has white space around it in {locale:?}");
                    assert!(!text.contains(['<', '>', '&']), "{name} has markup in {locale:?}");
                }
                let same = locale != Locale::English && english.get(name) == Some(&parts);
                assert!(!same || SAME_IN_GERMAN.contains(&name), "{name} is not translated into {locale:?}");
            }
        }
    }

    #[test]
    fn places_for_values_are_the_same_in_every_language() {
        let places = |parts: &[&str]| parts.iter().map(|t| t.matches("{}").count()).max();
        let english = by_name(Locale::English);
        for locale in Locale::ALL {
            for (name, parts) in by_name(locale) {
                let wanted = english.get(name).and_then(|parts| places(parts));
                assert_eq!(places(&parts), wanted, "{name} in {locale:?}");
                assert!(wanted <= Some(1), "{name}");
            }
        }
    }

    #[test]
    fn the_language_is_chosen_by_the_application_then_by_the_browser() {
        use Locale::{English, German};
        for (ui_locales, accept_language, wanted) in [
            (None, None, English),
            (Some("fr-CA de-AT en"), None, German),
            (Some("DE"), Some("en"), German),
            (Some("fr"), Some("fr, de;q=0.8, en;q=0.7"), German),
            (None, Some("en-GB,en;q=0.9,de;q=0.8"), English),
            (None, Some("en;q=0.1, de-CH;q=0.25"), German),
            (None, Some("de;q=0, en;q=0.1"), English),
            (None, Some("de;q=0"), English),
            (None, Some("de;q=nan, ;;,,=\u{202e}"), English),
            (Some("\0 ../ de"), None, German),
        ] {
            assert_eq!(
                Locale::choose(ui_locales, accept_language),
                wanted,
                "{ui_locales:?} {accept_language:?}"
            );
        }
    }

    #[test]
    fn waiting_is_told_in_a_fitting_unit_and_never_too_short() {
        let (en, de) = (Locale::English.texts(), Locale::German.texts());
        assert_eq!(en.wait(Duration::ZERO), "in 1 second");
        assert_eq!(en.wait(Duration::from_millis(44_200)), "in 45 seconds");
        assert_eq!(en.wait(Duration::from_secs(121)), "in 3 minutes");
        assert_eq!(en.wait(Duration::from_secs(5401)), "in 2 hours");
        assert_eq!(de.wait(Duration::from_secs(300)), "in 5 Minuten");
        assert_eq!(de.wait(Duration::MAX), format!("in {} Stunden", u64::MAX.div_ceil(3600)));
    }

    #[test]
    fn a_phrase_parts_around_its_value() {
        let phrase = Phrase("before {} after");
        assert_eq!((phrase.before(), phrase.after()), ("before ", " after"));
    }
}

//! Moments as people tell them.

use crate::texts::Locale;
use keyreeve_base::Timestamp;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// How long ago `then` was; from a week on, its date in UTC.
pub(super) fn ago(locale: Locale, now: Timestamp, then: Timestamp) -> String {
    let t = locale.texts();
    let seconds = now.since(then).as_secs();
    match seconds {
        0..MINUTE => t.ago_moment.to_owned(),
        MINUTE..HOUR => t.ago_minutes.of(seconds / MINUTE),
        HOUR..DAY => t.ago_hours.of(seconds / HOUR),
        _ if seconds < 7 * DAY => t.ago_days.of(seconds / DAY),
        _ => date(locale, then),
    }
}

/// The moment in the form of HTML's `datetime`; empty for one that no calendar holds.
pub(super) fn machine(then: Timestamp) -> String {
    jiff::Timestamp::from_second(then.seconds()).map(|moment| moment.to_string()).unwrap_or_default()
}

fn date(locale: Locale, then: Timestamp) -> String {
    let Ok(moment) = jiff::Timestamp::from_second(then.seconds()) else { return machine(then) };
    let date = moment.to_zoned(jiff::tz::TimeZone::UTC).date();
    let index = usize::try_from(date.month() - 1).unwrap_or(0);
    let month = locale.texts().months.get(index).copied().unwrap_or_default();
    match locale {
        Locale::English => format!("{} {month} {}", date.day(), date.year()),
        Locale::German => format!("{}. {month} {}", date.day(), date.year()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_told_as_people_do() {
        let now = Timestamp::from_seconds(1_700_000_000);
        let told = |locale, seconds: i64| ago(locale, now, Timestamp::from_seconds(1_700_000_000 - seconds));
        for (seconds, english, german) in [
            (-5, "a moment ago", "gerade eben"),
            (59, "a moment ago", "gerade eben"),
            (60, "1 minute ago", "vor 1 Minute"),
            (3_599, "59 minutes ago", "vor 59 Minuten"),
            (7_200, "2 hours ago", "vor 2 Stunden"),
            (86_400, "yesterday", "gestern"),
            (6 * 86_400, "6 days ago", "vor 6 Tagen"),
            (7 * 86_400, "7 November 2023", "7. November 2023"),
        ] {
            assert_eq!(told(Locale::English, seconds), english);
            assert_eq!(told(Locale::German, seconds), german);
        }
        assert_eq!(machine(now), "2023-11-14T22:13:20Z");
    }

    #[test]
    fn the_ends_of_time_are_no_panic() {
        let (first, last) = (Timestamp::from_micros(i64::MIN), Timestamp::from_micros(i64::MAX));
        assert_eq!(ago(Locale::English, last, first), "");
        assert_eq!(ago(Locale::English, first, last), "a moment ago");
    }
}

//! Spans of time as Go writes them: `0s`, `45s`, `30m0s`, `3h25m19s`.

/// The span of so many seconds.
pub(crate) fn write(seconds: u64) -> String {
    let (hours, minutes, rest) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}

/// The seconds of a span: a number of them, or numbers with units (`d`, `h`, `m`, `s`).
pub(crate) fn read(text: &str) -> Option<u64> {
    if let Ok(seconds) = text.parse() {
        return Some(seconds);
    }
    let (mut rest, mut total) = (text, 0_u64);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (number, after) = rest.split_once(|c: char| !c.is_ascii_digit())?;
        let unit = rest.get(number.len()..)?.chars().next()?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(seconds)?)?;
        rest = after;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_and_read() {
        for (seconds, text) in
            [(0, "0s"), (45, "45s"), (1_800, "30m0s"), (12_319, "3h25m19s"), (90_000, "25h0m0s")]
        {
            assert_eq!((write(seconds).as_str(), read(text)), (text, Some(seconds)));
        }
        assert_eq!(
            (read("3600"), read("30m"), read("2d"), read("1h5s")),
            (Some(3_600), Some(1_800), Some(172_800), Some(3_605))
        );
        for bad in
            ["", "s", "-1s", "1x", "1.5h", "99999999999999999999h", "18446744073709551615d", "1s ", "ß", "1ß"]
        {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}

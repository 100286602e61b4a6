//! The colours of the stylesheet, by day and by night, against the contrasts that WCAG 2.2 level AA asks for.

use keyreeve_web::assets::STYLESHEET;
use std::collections::BTreeMap;

/// Text (success criterion 1.4.3): 4.5 to 1.
const TEXT: [(&str, &str); 18] = [
    ("ink", "hall"),
    ("ink", "ground"),
    ("ink", "grave-wash"),
    ("ink", "good-wash"),
    ("ink-quiet", "hall"),
    ("ink-quiet", "ground"),
    ("link", "hall"),
    ("link", "ground"),
    ("grave", "hall"),
    ("grave", "grave-wash"),
    ("on-main", "main"),
    ("on-main", "main-over"),
    ("on-wall", "wall"),
    ("on-wall", "wall-joint"),
    ("tag-ink", "tag-wash"),
    ("ink-quiet", "grave-wash"),
    ("link", "good-wash"),
    ("ink-quiet", "good-wash"),
];

/// The edges of controls and the ring around what has the focus (1.4.11): 3 to 1.
const EDGES: [(&str, &str); 8] = [
    ("edge", "hall"),
    ("grave", "hall"),
    ("grave-line", "grave-wash"),
    ("ring", "hall"),
    ("ring", "grave-wash"),
    ("main", "hall"),
    ("on-wall-edge", "wall"),
    ("wall", "ground"),
];

/// The wall is a picture by night, not a control: what stands on it has to be seen, its own edge does not.
const NOT_BY_NIGHT: [(&str, &str); 1] = [("wall", "ground")];

fn colours(block: &str) -> BTreeMap<String, [f64; 3]> {
    let mut found = BTreeMap::new();
    for line in block.lines() {
        if let Some((name, value)) = line.trim().strip_prefix("--").and_then(|rest| rest.split_once(": #")) {
            let part = |at: usize| f64::from(u8::from_str_radix(&value[at..at + 2], 16).unwrap());
            found.insert(name.to_owned(), [part(0), part(2), part(4)]);
        }
    }
    found
}

fn luminance(colour: [f64; 3]) -> f64 {
    let [r, g, b] = colour
        .map(|part| part / 255.0)
        .map(|part| if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) });
    0.2126 * r + 0.7152 * g + 0.0722 * b
}

fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[test]
fn colours_can_be_told_apart_by_day_and_by_night() {
    assert!((contrast([0.0; 3], [255.0; 3]) - 21.0).abs() < 1e-9);
    let css = String::from_utf8(STYLESHEET.bytes().to_vec()).unwrap();
    let mut blocks = css.split(":root {").skip(1).map(|rest| colours(rest.split_once('}').unwrap().0));
    let (day, night) = (blocks.next().unwrap(), blocks.next().unwrap());
    assert_eq!(day.keys().collect::<Vec<_>>(), night.keys().collect::<Vec<_>>());
    let mut poor = Vec::new();
    for (time, theme) in [("day", &day), ("night", &night)] {
        for (pairs, least) in [(&TEXT[..], 4.5), (&EDGES[..], 3.0)] {
            for pair in pairs.iter().filter(|pair| time == "day" || !NOT_BY_NIGHT.contains(pair)) {
                let reached = contrast(theme[pair.0], theme[pair.1]);
                if reached < least {
                    poor.push(format!("{} on {} by {time}: {reached:.2} of {least}", pair.0, pair.1));
                }
            }
        }
    }
    assert!(poor.is_empty(), "{poor:#?}");
}

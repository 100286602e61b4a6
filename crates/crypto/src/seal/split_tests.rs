use super::*;
use crate::random::SystemRandom;
use keyreeve_base::SystemClock;
use proptest::prelude::*;
use std::sync::Arc;

fn world() -> World {
    World::new(Arc::new(SystemClock), Arc::new(SystemRandom))
}

fn split(threshold: u8, shares: u8) -> (MasterKey, SplitPlan, Vec<Secret>) {
    let key = MasterKey::generate(&world());
    let (plan, dealt) = key.split(&world(), threshold, shares).unwrap();
    (key, plan, dealt.iter().map(Share::to_text).collect())
}

#[test]
fn any_threshold_of_shares_gives_the_key_and_fewer_do_not() {
    let (key, plan, texts) = split(3, 5);
    let read = |at: &[usize]| -> Vec<Share> {
        at.iter().map(|at| plan.accept(texts[*at].expose()).unwrap()).collect()
    };
    for chosen in [[0, 1, 2], [4, 2, 0], [1, 3, 4], [2, 3, 4]] {
        let joined = plan.join(&read(&chosen)).unwrap();
        assert_eq!(joined.to_text().expose(), key.to_text().expose(), "{chosen:?}");
    }
    assert_eq!(plan.join(&read(&[0, 1, 2, 3, 4])).unwrap().fingerprint(), key.fingerprint());
    for few in [&[][..], &[1], &[1, 4], &[1, 1, 1, 4, 4]] {
        let found = few.iter().collect::<std::collections::BTreeSet<_>>().len();
        assert_eq!(plan.join(&read(few)).err(), Some(SplitError::TooFew { found, wanted: 3 }));
    }
}

#[test]
fn two_shares_of_three_say_nothing() {
    // With one share missing, every key is as likely: for each value of the missing share there is another key, so the
    // key that was split is one among all. Shown on the first byte: the map from the missing value is one to one.
    let (_, _, texts) = split(3, 3);
    let known: Vec<Share> = texts.iter().take(2).map(|text| Share::parse(text.expose()).unwrap()).collect();
    let keys: std::collections::BTreeSet<u8> = (0..=255)
        .map(|guess| at_zero(&[(1, known[0].value[0]), (2, known[1].value[0]), (3, guess)]))
        .collect();
    assert_eq!(keys.len(), 256);
}

#[test]
fn a_share_is_read_as_people_type_it() {
    let (_, plan, texts) = split(2, 3);
    let text = texts[1].expose();
    assert!(text.starts_with("krs1-") && text.len() == 4 + 82 + 11, "{}", text.len());
    let spaced = text.replace('-', " ").to_uppercase();
    assert_eq!(plan.accept(&format!("  {spaced}\n")).unwrap().number(), 2);
}

#[test]
fn what_is_wrong_with_a_share_is_named() {
    let (key, plan, texts) = split(2, 3);
    let good = texts[0].expose();
    for (at, digit) in good.char_indices().filter(|(at, c)| *at > 4 && *c != '-') {
        let mut typed = good.to_owned();
        typed.replace_range(at..=at, if digit == '0' { "1" } else { "0" });
        assert_eq!(plan.accept(&typed).err(), Some(SplitError::Mistyped), "{at}");
    }
    for text in
        ["", "krs1", "krs2-00", &good[1..], &good[..good.len() - 1], &format!("{good}0"), &"0".repeat(9_999)]
    {
        assert_eq!(plan.accept(text).err(), Some(SplitError::Malformed), "{text}");
    }
    let (other, again) = key.split(&world(), 2, 3).unwrap();
    let foreign = plan.accept(again[0].to_text().expose()).err().unwrap();
    assert_eq!(foreign, SplitError::Foreign { found: other.set(), wanted: plan.set() });
    // A share that somebody made up, with a good check value: under a number that is used, and under one that is not.
    for number in [1, 2, 4, 255] {
        let forged = Share { set: plan.set(), number, value: Zeroizing::new([7; KEY_BYTES]) };
        assert_eq!(plan.accept(forged.to_text().expose()).err(), Some(SplitError::Forged));
    }
}

#[test]
fn the_plan_is_kept_as_text_and_holds_nothing_of_the_key() {
    let (key, plan, texts) = split(2, 32);
    let text = plan.to_text();
    assert_eq!(SplitPlan::parse(&text).unwrap(), plan);
    assert!(!text.contains(key.to_text().expose()));
    for share in &texts {
        let digits = share.expose().replace('-', "");
        assert!(!text.contains(&digits[14..78]), "the share's value stands in the plan");
    }
    assert!(text.len() < 4096);
    for damaged in
        ["", "{}", &text.replace("\"threshold\": 2", "\"threshold\": 1"), &text.replacen('"', "", 1)]
    {
        assert_eq!(SplitPlan::parse(damaged).err(), Some(SplitError::Plan));
    }
}

#[test]
fn numbers_that_make_no_sense_are_refused() {
    let key = MasterKey::generate(&world());
    for (threshold, shares) in [(0, 3), (1, 3), (4, 3), (2, 1), (2, 33), (0, 0)] {
        assert_eq!(key.split(&world(), threshold, shares).err(), Some(SplitError::Numbers));
    }
}

#[test]
fn shares_of_a_known_split_still_join() {
    // Made by an independent implementation (Python, tables of logarithms): the key's bytes are 0, 7, 14, …; the
    // polynomial of byte i is key[i] + (i + 1)·x + (255 - i)·x².
    let key: Vec<u8> = (0..32_u8).map(|i| i * 7).collect();
    let value = |x: u8| -> Vec<u8> {
        (0..32_u8).map(|i| evaluate(&[key[usize::from(i)], i + 1, 255 - i], x)).collect()
    };
    let text = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(text(&value(1)), VECTOR_AT_1);
    assert_eq!(text(&value(200)), VECTOR_AT_200);
}

const VECTOR_AT_1: &str = "fefbf0ede2dfd4c1c6c3b8b5aaa79c898e8b807d726f6451565348453a372c19";
const VECTOR_AT_200: &str = "33065470fdf0a29cb481a3970a37554f261341850825776941743602ffc280f2";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_choice_of_shares_joins(shares in 2_u8..=12, cut in any::<prop::sample::Index>(), seed in any::<u64>()) {
        let threshold = 2 + u8::try_from(cut.index(usize::from(shares) - 1)).unwrap();
        let (key, plan, texts) = split(threshold, shares);
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|at| (seed ^ (*at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)).rotate_left(17) % 1009);
        let chosen: Vec<Share> =
            order.iter().take(usize::from(threshold)).map(|at| plan.accept(texts[*at].expose()).unwrap()).collect();
        prop_assert_eq!(plan.join(&chosen).unwrap().fingerprint(), key.fingerprint());
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,200}") {
        let _ = Share::parse(&text);
        let _ = SplitPlan::parse(&text);
    }
}

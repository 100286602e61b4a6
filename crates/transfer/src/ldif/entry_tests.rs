//! LDIF as it is written, and as it should not be.

use super::*;
use proptest::prelude::*;

fn pieces(text: &[u8]) -> Vec<Piece> {
    let mut entries = Entries::new(text);
    std::iter::from_fn(|| entries.next().unwrap()).collect()
}

fn only(text: &str) -> Entry {
    match pieces(text.as_bytes()).as_slice() {
        [Piece::Entry(entry)] => entry.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn folding_encoding_and_comments_are_undone() {
    let entry = only(
        "version: 1\n\n# a comment\n#  that goes on\n  here\ndn: uid=ada,ou=people,\n dc=example,dc=org\r\nchangetype: add\nCN:: QWRhIEzDtnZlbGFjZQ==\ndescription: a\n  b\nmail:ada@example.org\ncn;lang-de: nicht\nempty:\n\n\n",
    );
    assert_eq!((entry.line, entry.dn.as_str()), (6, "uid=ada,ou=people,dc=example,dc=org"));
    let values: Vec<_> = entry.values.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(values, ["cn=Ada Lövelace", "description=a b", "mail=ada@example.org", "empty="]);
    assert!(entry.oddities.is_empty());
}

#[test]
fn what_cannot_be_read_is_said_and_the_rest_goes_on() {
    let text = b"dn: uid=a\njpegPhoto:: %%%\nphoto:< file:///etc/passwd\nsn: \xff\nno colon here\nuid: a\n\nuid: no dn\n\ndn: uid=b\nchangetype: modify\nreplace: sn\n\ndn: uid=c\nuid: c";
    let found = pieces(text);
    let [Piece::Entry(a), Piece::Odd(8, no_dn), Piece::Odd(10, modify), Piece::Entry(c)] = found.as_slice()
    else {
        panic!("{found:?}")
    };
    assert_eq!((a.values.len(), a.oddities.len(), c.dn.as_str()), (1, 4, "uid=c"));
    assert!(no_dn.contains("dn:") && modify.contains("add"));
}

#[test]
fn spellings_of_one_dn_meet() {
    let normal = "uid=ada lovelace\\, countess,dc=example";
    for spelling in
        ["UID=Ada Lovelace\\, Countess,DC=example", "uid = ada lovelace\\2c countess , dc=EXAMPLE"]
    {
        assert_eq!(normal_dn(spelling), normal, "{spelling}");
    }
    assert_ne!(normal_dn("cn=a\\,b,dc=x"), normal_dn("cn=a,b,dc=x"));
    assert_eq!(first_rdn("CN=Ada\\, Countess,dc=x"), Some(("cn".to_owned(), "Ada, Countess".to_owned())));
}

/// Writes an entry as another server would.
fn written(dn: &str, values: &[(String, String)], fold: usize) -> String {
    let mut text = String::new();
    let lines = std::iter::once(("dn".to_owned(), dn.to_owned())).chain(values.iter().cloned());
    for (name, value) in lines {
        let safe = value.is_ascii()
            && !value.starts_with([' ', ':', '<'])
            && !value.contains(['\n', '\r'])
            && !value.ends_with(' ');
        let line =
            if safe { format!("{name}: {value}") } else { format!("{name}:: {}", STANDARD.encode(&value)) };
        let bytes = line.as_bytes();
        for (place, part) in bytes.chunks(fold).enumerate() {
            if place > 0 {
                text.push_str("\n ");
            }
            text.push_str(std::str::from_utf8(part).unwrap());
        }
        text.push('\n');
    }
    text
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        entries in proptest::collection::vec(("[a-z =,]{1,40}", proptest::collection::vec(("[a-z]{1,10}", "\\PC{0,60}"), 0..6)), 1..5),
        fold in 2_usize..80,
    ) {
        let mut text = String::new();
        let mut expected = Vec::new();
        for (dn, values) in entries {
            let (dn, values): (_, Vec<_>) = (dn.trim().to_owned() + "x=y", values.into_iter().filter(|(name, _)| !["dn", "version", "changetype", "control"].contains(&name.as_str())).collect());
            text.push_str(&written(&dn, &values, fold));
            text.push('\n');
            expected.push((dn, values));
        }
        let found: Vec<_> = pieces(text.as_bytes()).into_iter().map(|piece| match piece {
            Piece::Entry(entry) => (entry.dn, entry.values),
            Piece::Odd(line, what) => panic!("{line}: {what} in {text}"),
        }).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn no_bytes_make_it_panic_or_hang(bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b' '), Just(b':'), Just(b'd'), Just(b'n'), any::<u8>()], 0..300)) {
        let count = pieces(&bytes).len();
        prop_assert!(count <= bytes.len() + 1);
    }

    #[test]
    fn no_dn_makes_it_panic(dn in "\\PC{0,60}") {
        let normal = normal_dn(&dn);
        let _ = (first_rdn(&dn), normal);
    }
}

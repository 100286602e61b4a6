//! Tests of the parser and of the printer, which is its inverse.

use super::*;
use proptest::prelude::*;

fn read(text: &str) -> Filter<Path> {
    parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn wrong(text: &str) -> (usize, String) {
    let error = parse(text).expect_err(text);
    (error.at, error.message)
}

fn eq(path: &str, value: &str) -> Filter<Path> {
    Filter::Compare(Path::new(path), Op::Eq, Value::from(value))
}

/// Every example of RFC 7644 section 3.4.2.2, figure 2 and those before it.
const EXAMPLES: [&str; 15] = [
    r#"userName eq "bjensen""#,
    r#"name.familyName co "O'Malley""#,
    r#"userName sw "J""#,
    r#"urn:ietf:params:scim:schemas:core:2.0:User:userName sw "J""#,
    "title pr",
    r#"meta.lastModified gt "2011-05-13T04:42:34Z""#,
    r#"meta.lastModified ge "2011-05-13T04:42:34Z""#,
    r#"meta.lastModified lt "2011-05-13T04:42:34Z""#,
    r#"title pr and userType eq "Employee""#,
    r#"title pr or userType eq "Intern""#,
    r#"schemas eq "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User""#,
    r#"userType eq "Employee" and (emails co "example.com" or emails.value co "example.org")"#,
    r#"userType ne "Employee" and not (emails co "example.com" or emails.value co "example.org")"#,
    r#"userType eq "Employee" and emails[type eq "work" and value co "@example.com"]"#,
    r#"emails[type eq "work" and value co "@example.com"] or ims[type eq "xmpp" and value co "@foo.com"]"#,
];

#[test]
fn the_examples_of_the_standard_are_read_and_print_as_they_were() {
    for text in EXAMPLES {
        assert_eq!(read(text).to_string(), text);
    }
    let path = Path {
        schema: Some("urn:ietf:params:scim:schemas:core:2.0:User".to_owned()),
        ..Path::new("userName")
    };
    assert_eq!(read(EXAMPLES[3]), Filter::Compare(path, Op::Sw, Value::from("J")));
}

#[test]
fn not_binds_closest_then_and_then_or() {
    let (a, b, c) = (eq("a", "1"), eq("b", "2"), eq("c", "3"));
    let or = |parts: &[&Filter<Path>]| Filter::Or(parts.iter().map(|part| (*part).clone()).collect());
    let and = |parts: &[&Filter<Path>]| Filter::And(parts.iter().map(|part| (*part).clone()).collect());
    assert_eq!(read(r#"a eq "1" or b eq "2" and c eq "3""#), or(&[&a, &and(&[&b, &c])]));
    assert_eq!(read(r#"(a eq "1" or b eq "2") and c eq "3""#), and(&[&or(&[&a, &b]), &c]));
    let not = Filter::Not(Box::new(a.clone()));
    assert_eq!(read(r#"not (a eq "1") and b eq "2""#), and(&[&not, &b]));
    assert_eq!(read(r#"a eq "1" and b eq "2" and c eq "3""#), and(&[&a, &b, &c]));
    assert_eq!(read(r#"a eq "1" and (b eq "2" and c eq "3")"#), and(&[&a, &and(&[&b, &c])]));
    assert_eq!(read(r#"((a eq "1"))"#), a);
}

#[test]
fn words_are_read_in_either_case_and_with_any_space() {
    assert_eq!(read(r#"  a  EQ "1"  AND(b Pr)OR NOT(c pr) "#), read(r#"a eq "1" and b pr or not (c pr)"#));
    assert_eq!(read("a eq TRUE"), read("a eq true"));
    assert_eq!(read("not pr and orange pr"), read("not pr and (orange pr)"));
    assert_eq!(read("andy pr and notes pr").to_string(), "andy pr and notes pr");
}

#[test]
fn values_are_those_of_json() {
    let value = |text: &str| match read(&format!("a eq {text}")) {
        Filter::Compare(_, _, value) => value,
        other => panic!("{other}"),
    };
    assert_eq!(value(r#""a\"b\\c\u00e9\/d""#), Value::from("a\"b\\cé/d"));
    assert_eq!(value(r#""] ) and""#), Value::from("] ) and"));
    assert_eq!((value("null"), value("false")), (Value::Null, Value::Bool(false)));
    assert_eq!(value("-12"), Value::Number((-12).into()));
    assert_eq!(value("1.5e3").to_string(), "1500.0");
    for bad in [r#""a"#, r#""\q""#, "\"a\nb\"", "01", "--1", "1e999", "ada", "'a'", "truely", "", "[1]", "{}"]
    {
        assert_eq!(wrong(&format!("a eq {bad}")).0, 5, "{bad}");
    }
}

#[test]
fn a_part_behind_the_brackets_is_one_inside() {
    assert_eq!(
        read(r#"emails[type eq "work"].value sw "a" and b pr"#),
        read(r#"emails[type eq "work" and value sw "a"] and b pr"#)
    );
    assert_eq!(read(r#"e[a pr or b pr].c pr"#), read("e[(a pr or b pr) and c pr]"));
}

#[test]
fn what_is_no_filter_is_refused_where_it_goes_wrong() {
    for (text, at) in [
        ("", 0),
        ("   ", 3),
        ("a", 1),
        ("a is 1", 2),
        ("a eq", 4),
        ("a eq 1 b", 7),
        ("a eq 1 and", 10),
        ("a pr or or b pr", 11),
        ("(a pr", 5),
        ("a pr)", 4),
        ("not a pr", 4),
        ("1a pr", 0),
        ("a.b.c pr", 2),
        ("a..b pr", 2),
        ("http://x:a pr", 0),
        ("urn:x: pr", 6),
        ("e[a pr", 6),
        ("e[a.b pr]", 2),
        ("e[f[a pr]]", 3),
        ("e.f[a pr]", 3),
        ("e[]", 2),
        ("a gt true", 5),
        ("a co 1", 5),
        ("a sw null", 5),
        ("a eq \"\u{e9}", 5),
        ("\u{e9} pr", 0),
    ] {
        assert_eq!(wrong(text).0, at, "{text}: {}", wrong(text).1);
    }
    assert_eq!(wrong("a gt true").1, "gt cannot compare with true");
}

/// AC-47: a deeply nested filter exhausts the stack.
#[test]
fn ac_47_length_depth_and_number_are_bounded() {
    let nested = |open: &str, close: &str, depth: usize| {
        parse(&format!("{}a pr{}", open.repeat(depth), close.repeat(depth)))
    };
    assert!(nested("(", ")", MAX_DEPTH).is_ok());
    assert!(nested("not (", ")", MAX_DEPTH).is_ok());
    assert_eq!(nested("(", ")", MAX_DEPTH + 1).unwrap_err().message, "is nested deeper than 16");
    assert_eq!(nested("not(", ")", 500).unwrap_err().message, "is nested deeper than 16");
    assert_eq!(parse(&"(".repeat(4_000)).unwrap_err().message, "is nested deeper than 16");
    assert!(nested("(", ")", MAX_DEPTH - 1).is_ok());
    assert!(parse(&format!("{}e[(a pr){}", "(".repeat(15), ")".repeat(15))).is_err());

    let wide = |terms: usize| parse(&vec!["a pr"; terms].join(" or "));
    assert!(wide(MAX_TERMS).is_ok());
    assert_eq!(wide(MAX_TERMS + 1).unwrap_err().message, "has more than 64 comparisons");
    let inside = format!("e[{}]", vec!["a pr"; 65].join(" and "));
    assert_eq!(parse(&inside).unwrap_err().message, "has more than 64 comparisons");

    let long = format!("a eq \"{}\"", "x".repeat(MAX_BYTES));
    assert_eq!(wrong(&long), (MAX_BYTES, "is longer than 4096 bytes".to_owned()));
}

fn paths() -> impl Strategy<Value = Path> {
    let name = "[a-zA-Z][a-zA-Z0-9_-]{0,6}";
    (proptest::option::of("urn:[a-z0-9.:]{1,8}"), name, proptest::option::of(name))
        .prop_map(|(schema, name, sub)| Path { schema, name, sub })
}

fn leaves(parts: bool) -> impl Strategy<Value = Filter<Path>> {
    let path =
        paths().prop_map(move |path| if parts { Path { schema: None, sub: None, ..path } } else { path });
    let text = proptest::string::string_regex("\\PC{0,8}|[\"\\\\\\]\\[()\n\t ]{0,6}")
        .expect("an expression")
        .prop_map(Value::Text);
    let value = prop_oneof![
        4 => text,
        1 => any::<i64>().prop_map(|number| Value::Number(number.into())),
    ];
    let plain = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|number| Value::Number(number.into())),
    ];
    let textual = prop_oneof![Just(Op::Co), Just(Op::Sw), Just(Op::Ew)];
    let ordered = prop_oneof![Just(Op::Gt), Just(Op::Ge), Just(Op::Lt), Just(Op::Le), Just(Op::Eq)];
    (path, value, plain, textual, ordered, 0..4_u8).prop_map(
        |(path, value, plain, textual, ordered, kind)| match kind {
            0 => Filter::Present(path),
            1 => Filter::Compare(path, Op::Ne, plain),
            2 => match value {
                Value::Text(_) => Filter::Compare(path, textual, value),
                _ => Filter::Compare(path, Op::Eq, value),
            },
            _ => Filter::Compare(path, ordered, value),
        },
    )
}

fn trees(leaf: impl Strategy<Value = Filter<Path>> + 'static) -> impl Strategy<Value = Filter<Path>> {
    leaf.prop_recursive(4, 24, 3, |inner| {
        let parts = proptest::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            parts.clone().prop_map(Filter::And),
            parts.prop_map(Filter::Or),
            inner.prop_map(|inner| Filter::Not(Box::new(inner))),
        ]
    })
}

fn filters() -> impl Strategy<Value = Filter<Path>> {
    let within = (paths(), trees(leaves(true)))
        .prop_map(|(path, inner)| Filter::Within(Path { sub: None, ..path }, Box::new(inner)));
    trees(prop_oneof![3 => leaves(false), 1 => within])
}

proptest! {
    #[test]
    fn what_is_printed_is_read_as_the_same(filter in filters()) {
        let text = filter.to_string();
        if text.len() <= MAX_BYTES {
            match parse(&text) {
                Ok(again) => prop_assert_eq!(again, filter, "{}", text),
                Err(error) => prop_assert!(error.message.starts_with("has more than"), "{}: {}", text, error),
            }
        }
    }

    #[test]
    fn no_text_makes_it_panic_and_errors_lie_in_the_text(text in "\\PC{0,80}") {
        if let Err(error) = parse(&text) {
            prop_assert!(text.is_char_boundary(error.at));
        }
    }

    #[test]
    fn nearly_filters_do_not_make_it_panic(
        text in r#"([a-c]{1,2}|[ .:\[\]()"\\-]|eq|pr|not|and|or|[0-9]|true|null|urn:|é){0,40}"#
    ) {
        match parse(&text) {
            Ok(filter) => prop_assert_eq!(parse(&filter.to_string()), Ok(filter)),
            Err(error) => prop_assert!(text.is_char_boundary(error.at)),
        }
        if let Ok(path) = crate::PatchPath::parse(&text) {
            prop_assert_eq!(crate::PatchPath::parse(&path.to_string()), Ok(path));
        }
    }
}

//! Tests of what filters mean.

use super::*;
use crate::parse;
use serde_json::json;

/// The user of RFC 7643 section 8.2, cut to what is asked for.
fn bjensen() -> Json {
    json!({
        "userName": "bjensen@Example.com",
        "name": {"familyName": "Jensen", "givenName": "Bärbara"},
        "title": null,
        "active": true,
        "logins": 7,
        "tags": [],
        "emails": [
            {"value": "bjensen@example.com", "type": "work", "primary": true},
            {"value": "babs@jensen.org", "type": "home"},
        ],
        "meta": {"lastModified": "2011-05-13T04:42:34Z"},
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"employeeNumber": "701984"},
    })
}

fn holds_for_bjensen(text: &str) -> bool {
    parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).matches_json(&bjensen())
}

#[test]
fn filters_mean_what_the_standard_says() {
    for text in [
        r#"USERNAME eq "BJENSEN@example.com""#,
        r#"userName sw "bj" and userName co "EXAMPLE" and userName ew ".COM""#,
        r#"name.givenName eq "BÄRBARA""#,
        r#"urn:ietf:params:scim:schemas:core:2.0:User:name.familyName eq "jensen""#,
        r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber gt "7""#,
        "active eq true and not (active eq false)",
        "logins gt 6.5 and logins le 7 and logins ne 8",
        r#"emails eq "babs@jensen.org" and emails.type eq "home""#,
        r#"emails[type eq "work" and value co "example"]"#,
        "emails[primary eq true]",
        r#"meta.lastModified lt "2011-05-13T06:42:34.5+02:00""#,
        r#"meta.lastModified eq "2011-05-13T06:42:34+02:00""#,
        "title eq null and tags eq null and nothing eq null and userName ne null",
        r#"title ne "x" and name pr and emails pr"#,
        r#"userName co """#,
    ] {
        assert!(holds_for_bjensen(text), "{text}");
    }
    for text in [
        r#"emails[type eq "home" and value co "example"]"#,
        r#"emails.type ne "work""#,
        "title pr or tags pr or nothing pr or emails.nothing pr",
        r#"logins eq "7" or active eq "true""#,
        "active eq null",
        r#"title lt "z" or title ge "" or title co """#,
        r#"meta.lastModified gt "2011-05-13T04:42:34Z""#,
        r#"userName.value eq "bjensen@example.com""#,
        r#"name eq "Jensen""#,
    ] {
        assert!(!holds_for_bjensen(text), "{text}");
    }
}

#[test]
fn a_resolved_filter_asks_for_the_joined_names() {
    let text = r#"emails[type eq "work" or not (value pr)] and name pr"#;
    let resolved =
        parse(text).unwrap().resolve(&mut |path| Ok::<_, String>(path.to_string().to_uppercase())).unwrap();
    assert_eq!(resolved.to_string(), r#"EMAILS[EMAILS.TYPE eq "work" or not (EMAILS.VALUE pr)] and NAME pr"#);
    let values = |name: &String| match name.as_str() {
        "EMAILS.TYPE" => vec![Value::from("WORK")],
        "NAME" => vec![Value::Null, Value::Bool(false)],
        _ => Vec::new(),
    };
    assert!(resolved.matches(&values));
    let refused = parse(text).unwrap().resolve(&mut |path| {
        if path.is("emails.value") { Err(path.to_string()) } else { Ok(()) }
    });
    assert_eq!(refused, Err("emails.value".to_owned()));
}

#[test]
fn constants_match_everything_and_nothing() {
    assert!(Filter::<Path>::always().matches_json(&json!({})));
    assert!(!Filter::<Path>::never().matches_json(&json!({})));
}

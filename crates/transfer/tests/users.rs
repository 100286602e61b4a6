//! Users come in, once, whole, and each for itself.

use crate::house::{SSHA, create, dry, house, upsert};
use keyreeve_testkit::{Engine, on_both_engines};

on_both_engines! {
    async fn a_new_user_is_as_the_line_says(engine: Engine) {
        let house = house(engine).await;
        let id = "0190b2f4-6f6e-7c3a-8f55-0f6f2f2f2f2f";
        let line = format!(r#"{{"type":"user","id":"{id}","username":"Ada","email":"ada@example.org","email_verified":true,"given_name":"Ada","attributes":{{"team":["a","b"]}},"enabled":false,"must_change_password":true,"password_hash":"{SSHA}","created_at":"2020-01-02T03:04:05.000006Z"}}"#);
        assert_eq!(house.words(create(), &line).await, ["created"]);
        let ada = house.user("ADA").await;
        assert_eq!((ada.id.to_string().as_str(), ada.enabled, ada.must_change_password, ada.email_verified), (id, false, true, true));
        assert_eq!(ada.created_at.to_string(), "2020-01-02T03:04:05.000006Z");
        assert_eq!(ada.attributes["team"], ["a", "b"]);
        let by = house.identity.users().find_by_attribute(house.tenant, ("team", "B"), None, 10).await.unwrap();
        assert_eq!(by.len(), 1);
        house.check().await;
    }

    async fn a_bad_line_fails_alone(engine: Engine) {
        let house = house(engine).await;
        let text = r#"{"type":"user","username":"a","email":"a@example.org"}
not json

{"type":"user","username":"b c"}
{"type":"user","email":"A@EXAMPLE.ORG"}
{"type":"user","username":"c","email":"a@example.org"}
{"type":"user","username":"d","password_hash":"{MD5}x"}
{"type":"user","given_name":"nobody"}
{"type":"user","username":"e","created_at":"2999-01-01T00:00:00Z"}
{"type":"user","username":"A@example.org"}
{"type":"user","username":"f"}"#;
        let expected = [
            "created",
            "failed  is no JSON object",
            "failed /username contains the character U+0020, which a name may not contain",
            "skipped",
            "failed /email is somebody else's",
            "failed /password_hash is of no kind that is known here, or too expensive",
            "failed /username or an e-mail address or an id is needed",
            "failed /created_at is in the future",
            "failed /username is somebody else's",
            "created",
        ];
        for trial in [true, false] {
            let begin = if trial { dry(create()) } else { create() };
            let (results, summary) = house.import(begin, text).await;
            let words: Vec<_> = results.iter().map(crate::house::word).collect();
            // A dry run cannot tell whose address a name of an earlier line is.
            let expected: Vec<_> = expected.iter().map(|word| match *word {
                "failed /username is somebody else's" if trial => "skipped",
                word => word,
            }).collect();
            assert_eq!(words, expected, "trial: {trial}");
            assert_eq!(results.iter().map(|result| result.line).collect::<Vec<_>>(), [1, 2, 4, 5, 6, 7, 8, 9, 10, 11]);
            assert_eq!((summary.lines, summary.counts.created), (11, 2));
            let there = house.identity.users().list(house.tenant, None, 100).await.unwrap();
            assert_eq!(there.len(), if trial { 0 } else { 2 });
        }
        house.check().await;
    }

    async fn what_is_there_is_left_or_changed_as_was_asked(engine: Engine) {
        let house = house(engine).await;
        let first = r#"{"type":"user","username":"ada","given_name":"Ada","family_name":"Byron","password_hash":"SSHA"}"#.replace("SSHA", SSHA);
        assert_eq!(house.words(create(), &first).await, ["created"]);
        let changed = r#"{"type":"user","username":"ADA","given_name":null,"family_name":"Lovelace"}"#;
        assert_eq!(house.words(create(), changed).await, ["skipped"]);
        assert_eq!(house.words(dry(upsert()), changed).await, ["updated"]);
        assert_eq!(house.user("ada").await.family_name.as_deref(), Some("Byron"));
        assert_eq!(house.words(upsert(), changed).await, ["updated"]);
        let ada = house.user("ada").await;
        assert_eq!((ada.given_name.as_deref(), ada.family_name.as_deref(), ada.username.as_deref()), (None, Some("Lovelace"), Some("ADA")));
        assert_eq!(house.words(upsert(), changed).await, ["unchanged"]);
        // By its identifier an account can be given another name; the former is free at once.
        let renamed = format!(r#"{{"type":"user","id":"{}","username":"countess","enabled":false,"password_hash":"{SSHA}"}}
{{"type":"user","username":"ada"}}
{{"type":"user","username":"ada","email":"ada@example.org"}}"#, ada.id);
        assert_eq!(house.words(upsert(), &renamed).await, ["updated", "created", "updated"]);
        let countess = house.user("countess").await;
        assert_eq!((countess.id, countess.enabled), (ada.id, false));
        assert_ne!(house.user("ada").await.id, ada.id);
        let log = house.log().await;
        for action in ["user.update success", "user.disable success"] {
            assert!(log.iter().any(|entry| entry == action), "{action} in {log:?}");
        }
        house.check().await;
    }

    async fn ac_52_an_identifier_of_another_tenant_or_of_an_archived_user_is_refused(engine: Engine) {
        let house = house(engine).await;
        let begin = || house.room.begin(house.other, create(), keyreeve_transfer::Right::Operator, &CAUSE);
        let mut import = begin().await.unwrap();
        crate::house::feed(&mut import, r#"{"type":"user","username":"eve"}"#).await.unwrap();
        let id = import.finish().await.unwrap().0[0].id.unwrap();
        let line = format!(r#"{{"type":"user","id":"{id}","username":"eve"}}"#);
        assert_eq!(house.words(upsert(), &line).await, ["failed /id is in use or was"]);
        assert_eq!(house.words(upsert(), r#"{"type":"user","username":"eve"}"#).await, ["created"]);
        let eve = house.user("eve").await;
        house.identity.users().change_state((house.tenant, eve.id), keyreeve_identity::StateChange::Archive, None, &CAUSE).await.unwrap();
        let line = format!(r#"{{"type":"user","id":"{}","username":"eve2"}}"#, eve.id);
        assert_eq!(house.words(upsert(), &line).await, ["failed /id is in use or was"]);
        house.check().await;
    }

    async fn many_lines_take_many_batches_and_each_name_is_given_once(engine: Engine) {
        let house = house(engine).await;
        let text: String = (0..2_500).map(|number| format!("{{\"type\":\"user\",\"username\":\"u{}\"}}\n", number % 2_400)).collect();
        for trial in [true, false] {
            let begin = if trial { dry(create()) } else { create() };
            let (results, summary) = house.import(begin, &text).await;
            assert_eq!(results.iter().map(|result| result.line).collect::<Vec<_>>(), (1..=2_500).collect::<Vec<u64>>());
            assert_eq!((summary.counts.created, summary.counts.skipped), (2_400, 100), "trial: {trial}");
        }
        let log = house.log().await;
        assert_eq!(log.iter().filter(|entry| *entry == "import.batch success").count(), 3);
        // A whole number of batches is that many, and no empty one after them.
        let whole: String = (0..1_000).map(|number| format!("{{\"type\":\"user\",\"username\":\"w{number}\"}}\n")).collect();
        house.import(create(), &whole).await;
        assert_eq!(house.log().await.iter().filter(|entry| *entry == "import.batch success").count(), 4);
        house.check().await;
    }

    async fn a_user_with_a_second_factor_is_not_weakened_unasked(engine: Engine) {
        let house = house(engine).await;
        let line = r#"{"type":"user","username":"ada","totp":[{"secret":"GEZDGNBVGY3TQOJQ"}]}"#;
        assert_eq!(house.words(create(), line).await, ["created"]);
        let ada = house.user("ada").await;
        let of = async || house.identity.second_factors().of(house.tenant, ada.id).await.unwrap().devices.len();
        assert_eq!(of().await, 1);
        // Who has one keeps it.
        assert_eq!(house.words(upsert(), line).await, ["unchanged"]);
        house.words(create(), r#"{"type":"user","username":"bob"}"#).await;
        let bobs = line.replace("ada", "bob");
        assert_eq!(house.words(dry(upsert()), &bobs).await, ["updated"]);
        assert_eq!(house.words(upsert(), &bobs).await, ["updated"]);
        assert_eq!((of().await, house.words(upsert(), &bobs).await), (1, vec!["unchanged".to_owned()]));
        // One that cannot be kept fails its user, unless it may be left out.
        let bad = r#"{"type":"user","username":"eve","totp":[{"secret":"GEZDGNBVGY3TQOJQ","digits":12}]}"#;
        assert_eq!(house.words(create(), bad).await, ["failed /totp/0/digits must be 6, 7 or 8"]);
        let begin = keyreeve_transfer::Begin { drop_totp: true, ..create() };
        assert_eq!(house.words(begin, bad).await, ["created"]);
        let whole = keyreeve_transfer::What { with_hashes: true, ..keyreeve_transfer::What::default() };
        assert_eq!(house.export(whole).await.matches(r#""totp":[{"secret":"GEZDGNBVGY3TQOJQ","algorithm":"SHA1","digits":6,"period":30"#).count(), 2);
        assert!(!house.export(keyreeve_transfer::What::default()).await.contains("totp"));
    }
}

static CAUSE: std::sync::LazyLock<keyreeve_identity::Cause> =
    std::sync::LazyLock::new(keyreeve_identity::Cause::operator);

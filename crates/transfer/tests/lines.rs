//! Whatever the lines are, there is an answer for each and nothing is half-written.

use crate::house::{create, house, upsert};
use keyreeve_testkit::{Engine, on_both_engines};
use keyreeve_transfer::{Line, Lines, lines::MAX_LINE_BYTES};

on_both_engines! {
    async fn every_odd_line_has_its_answer(engine: Engine) {
        let house = house(engine).await;
        let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
        let odd = [
            "null".to_owned(), "1".to_owned(), "\"user\"".to_owned(), deep,
            r#"{"type":"user","username":"a\u0000b"}"#.to_owned(),
            r#"{"type":"user","username":"x","given_name":"a\u0000"}"#.to_owned(),
            r#"{"type":"user","username":"x","attributes":{"a":["\u0000"]}}"#.to_owned(),
            r#"{"type":"group","name":"\u0000"}"#.to_owned(),
            r#"{"type":"group","name":"g","description":"\u0000"}"#.to_owned(),
            r#"{"type":"group"}"#.to_owned(),
            r#"{"type":"role","name":""}"#.to_owned(),
            r#"{"type":"user","id":"nope"}"#.to_owned(),
            r#"{"type":"membership","group":"\u0000","member":{"user":"\u0000"}}"#.to_owned(),
            r#"{"type":"role_holder","role":"\u0000","holder":{"group":"\u0000"}}"#.to_owned(),
            r#"{"type":"role","name":"r","application":"\u0000"}"#.to_owned(),
            r#"{"type":"client","client_id":"\u0000","settings":{"name":"\u0000"}}"#.to_owned(),
            format!(r#"{{"type":"user","username":"{}"}}"#, "x".repeat(10_000)),
            format!(r#"{{"type":"user","username":"x","attributes":{{"a":["{}"]}}}}"#, "x".repeat(100_000)),
        ];
        for begin in [create(), upsert()] {
            let (results, summary) = house.import(begin, &odd.join("\n")).await;
            assert_eq!(results.len(), odd.len());
            for result in &results {
                assert!(crate::house::word(result).starts_with("failed"), "{result:?}");
            }
            assert_eq!(summary.counts.failed, odd.len() as u64);
        }
        let mut import = house.begin(create()).await.unwrap();
        let mut lines = Lines::new();
        let long = vec![b' '; MAX_LINE_BYTES + 1];
        for line in [lines.push(&long), lines.push(b"\n\xff\xfe\n{\"type\":\"user\",\"username\":\"last\"}")].concat() {
            import.line(&line).await.unwrap();
        }
        import.line(&lines.end().unwrap()).await.unwrap();
        let (results, _) = import.finish().await.unwrap();
        let words: Vec<_> = results.iter().map(crate::house::word).collect();
        assert_eq!((words[0].as_str(), words[2].as_str(), words.len()), ("failed  is longer than 1 MiB", "created", 3));
        let _: Option<Line> = None;
        house.check().await;
    }
}

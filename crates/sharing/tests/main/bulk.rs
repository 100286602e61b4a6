//! Loads, exports and sweeping.

use crate::house::{House, by, house};
use keyreeve_sharing::{Delete, Line, LineOutcome, LineResult, Party};
use keyreeve_store::{Tx, params, statements};
use keyreeve_testkit::{Engine, on_both_engines};
use std::time::Duration;

statements! {
    /// How many rows there are of resources.
    RESOURCES = "SELECT COUNT(*) FROM sharing_resource";
    /// How many rows there are of grants.
    GRANTS = "SELECT COUNT(*) FROM sharing_grant";
}

async fn rows(house: &House) -> (i64, i64) {
    let count = async |tx: &mut Tx<'_>| {
        let (resources, grants) =
            (tx.scalar(&RESOURCES, &params![]).await?, tx.scalar(&GRANTS, &params![]).await?);
        Ok::<_, keyreeve_store::Error>((resources, grants))
    };
    house.test.store.read(count).await.unwrap()
}

async fn sweep(house: &House) {
    for _ in 0..1_000 {
        if house.sharing.sweep().await.unwrap().complete {
            return;
        }
    }
    panic!("it does not come to an end");
}

async fn load(house: &House, lines: &[String]) -> Vec<LineResult> {
    let lines: Vec<Line> = lines.iter().map(|line| Line::parse(line).unwrap()).collect();
    let cause = by();
    house.sharing.bulk().load(&house.admin, &cause).unwrap().batch(&lines).await.unwrap()
}

async fn export(house: &House) -> Vec<String> {
    let mut export = house.sharing.bulk().export(&house.admin).unwrap();
    let mut lines = Vec::new();
    while let Some(line) = export.next().await.unwrap() {
        lines.push(serde_json::to_string(&line).unwrap());
    }
    lines
}

fn resource(id: &str, owner: Party, parent: &str) -> String {
    let owner = serde_json::to_string(&owner).unwrap();
    let parent = if parent.is_empty() { "null".to_owned() } else { format!("{parent:?}") };
    format!(
        r#"{{"resource":{{"id":"{id}","resource_type":"FOLDER","owner":{owner},"parent":{parent},"name":"{id}"}}}}"#
    )
}

fn grant(resource: &str, subject: Party) -> String {
    let subject = serde_json::to_string(&subject).unwrap();
    format!(
        r#"{{"grant":{{"resource":"{resource}","permission":"READ","subject":{subject},"cascade":true}}}}"#
    )
}

on_both_engines! {
    async fn each_line_has_its_own_result(engine: Engine) {
        let house = house(engine).await;
        let (ada, bob) = (house.user("ada").await, house.user("bob").await);
        let nobody = Party::User(house.test.world.new_id());
        let lines = [
            r#"{"type":{"id":"FOLDER","name":"folder"}}"#.to_owned(),
            r#"{"permission":{"resource_type":"FOLDER","id":"READ","name":"read"}}"#.to_owned(),
            r#"{"permission":{"resource_type":"FOLDER","id":"OWNER","name":"mine"}}"#.to_owned(),
            resource("top", ada, ""),
            resource("sub", ada, "top"),
            resource("lost", ada, "none"),
            resource("ghost", nobody, ""),
            resource("top", bob, ""),
            grant("top", bob),
            grant("none", bob),
            grant("top", nobody),
            grant("top", bob),
        ];
        let results = load(&house, &lines).await;
        let brief: Vec<String> = results
            .iter()
            .map(|result| match result {
                Ok(LineOutcome::Created) => "made".to_owned(),
                Ok(LineOutcome::Exists) => "there".to_owned(),
                Err(error) => error.field.clone(),
            })
            .collect();
        assert_eq!(
            brief,
            ["made", "made", "id", "made", "made", "parent", "owner", "there", "made", "resource", "subject", "there"]
        );
        assert!(house.may(bob, "READ", "sub").await && house.may(ada, "OWNER", "top").await);
        let again = load(&house, &lines).await;
        assert!(again.iter().all(|result| !matches!(result, Ok(LineOutcome::Created))), "{again:?}");
        for bad in ["", "{}", "[]", r#"{"grant":{}}"#, r#"{"type":{"id":"X","name":"x","extra":1}}"#, r#"{"what":1}"#] {
            assert!(Line::parse(bad).is_err(), "{bad}");
        }
    }

    async fn lines_are_taken_in_their_order_whatever_is_written_at_once(engine: Engine) {
        let house = house(engine).await;
        house.model().await;
        let (ada, bob) = (house.user("ada").await, house.user("bob").await);
        house.folder("gone", bob, None).await;
        house.folder("below gone", bob, Some("gone")).await;
        house.sharing.resources().delete(&house.admin, "gone".into(), Delete::WithChildren, &by()).await.unwrap();
        let lines = [
            resource("below c", ada, "c"),
            resource("a", ada, ""),
            resource("b", ada, "a"),
            resource("c", ada, "b"),
            resource("c", bob, ""),
            resource("d", ada, "b"),
            resource("below gone", ada, "d"),
            resource("late", ada, "after"),
            resource("after", ada, ""),
            resource("d", bob, "gone"),
        ];
        let brief: Vec<_> = load(&house, &lines)
            .await
            .into_iter()
            .map(|result| match result {
                Ok(LineOutcome::Created) => "made".to_owned(),
                Ok(LineOutcome::Exists) => "there".to_owned(),
                Err(error) => error.field,
            })
            .collect();
        let expected = ["parent", "made", "made", "made", "there", "made", "made", "parent", "made", "parent"];
        assert_eq!(brief, expected);
        for (id, parent) in [("a", None), ("b", Some("a")), ("c", Some("b")), ("below gone", Some("d"))] {
            let found = house.sharing.resources().get(&house.admin, id).await.unwrap();
            assert_eq!((found.owner, found.parent.as_deref()), (ada, parent), "{id}");
        }
    }

    async fn what_is_written_out_can_be_taken_in_elsewhere(engine: Engine) {
        let house = house(engine).await;
        house.model().await;
        house.permission(None, "SEE", false, &[]).await.unwrap();
        let (ada, bob) = (house.user("ada").await, house.user("bob").await);
        // Below what was made later.
        house.folder("early", ada, None).await;
        house.folder("late", ada, None).await;
        house.file("doc", ada, Some("early")).await;
        house.sharing.resources().move_to(&house.admin, "early".into(), Some("late"), &by()).await.unwrap();
        house.folder("gone", ada, None).await;
        house.file("gone too", ada, Some("gone")).await;
        house.share("late", "READ", bob, true).await;
        house.share("gone too", "READ", bob, true).await;
        house.sharing.resources().delete(&house.admin, "gone".into(), Delete::WithChildren, &by()).await.unwrap();
        let lines = export(&house).await;
        assert_eq!(lines.len(), 2 + 6 + 1 + 3 + 1, "{lines:#?}");
        let second = crate::house::house(engine).await;
        // The same people, by other identifiers.
        let mut renamed = lines.join("\n");
        for (name, party) in [("ada", ada), ("bob", bob)] {
            let other = second.user(name).await;
            renamed = renamed.replace(&party.uuid().to_string(), &other.uuid().to_string());
        }
        let renamed: Vec<String> = renamed.lines().map(str::to_owned).collect();
        let results = load(&second, &renamed).await;
        assert!(results.iter().all(|result| *result == Ok(LineOutcome::Created)), "{results:?}");
        assert_eq!(export(&second).await, renamed);
    }

    /// A removal is one row, however much lies below; what is left goes in bounded steps.
    async fn ac_70_what_was_removed_is_swept_away(engine: Engine) {
        let house = house(engine).await;
        house.model().await;
        let (ada, bob) = (house.user("ada").await, house.user("bob").await);
        let mut lines = vec![resource("top", ada, ""), resource("kept", ada, "")];
        lines.extend((0..1_200).map(|n| resource(&format!("c{n}"), ada, "top")));
        lines.extend((0..50).map(|n| resource(&format!("d{n}"), ada, &format!("c{n}"))));
        lines.extend((0..100).map(|n| grant(&format!("c{n}"), bob)));
        lines.push(grant("kept", bob));
        assert!(load(&house, &lines).await.iter().all(Result::is_ok));
        house.sharing.resources().delete(&house.admin, "top".into(), Delete::WithChildren, &by()).await.unwrap();
        assert!(!house.may(ada, "OWNER", "d7").await && house.may(bob, "READ", "kept").await);
        assert_eq!(rows(&house).await, (1_252, 101));
        sweep(&house).await;
        assert_eq!(rows(&house).await, (1, 1));
        assert!(house.may(bob, "READ", "kept").await);
    }

    async fn grants_that_count_for_nothing_are_swept_away(engine: Engine) {
        use keyreeve_identity::StateChange;
        let house = house(engine).await;
        house.model().await;
        let mut people = Vec::new();
        for name in ["ada", "bob", "eve"] {
            people.push(house.user(name).await);
        }
        let [ada, bob, eve] = people[..] else { panic!() };
        let team = house.group("team", &[eve]).await;
        house.file("doc", ada, None).await;
        let end = house.test.world.now().plus(Duration::from_secs(30));
        let ends = keyreeve_sharing::NewGrant {
            expires_at: Some(end),
            ..crate::house::new_grant("doc", "SHARE", eve, false)
        };
        house.share_as(&house.admin, ends).await.unwrap();
        house.share("doc", "READ", bob, false).await;
        house.share("doc", "READ", team, false).await;
        house.share("doc", "WRITE", eve, false).await;
        house.share("doc", "READ", eve, false).await;
        let (Party::User(bob), Party::Group(team)) = (bob, team) else { panic!() };
        let users = house.identity.users();
        users.change_state((house.tenant, bob), StateChange::Archive, None, &by()).await.unwrap();
        house.identity.groups().delete((house.tenant, team), None, &by()).await.unwrap();
        let permissions = house.sharing.permissions();
        permissions.delete(&house.admin, (Some("FILE"), "WRITE").into(), &by()).await.unwrap();
        sweep(&house).await;
        assert_eq!(rows(&house).await.1, 5, "they may be new");
        house.test.clock.advance(Duration::from_secs(61));
        sweep(&house).await;
        assert_eq!(rows(&house).await.1, 1);
        assert!(house.may(eve, "READ", "doc").await);
    }

    /// To share or revoke at the top of a tree writes as many rows as at a leaf.
    async fn ac_70_a_share_is_one_row_wherever_it_is(engine: Engine) {
        let house = house(engine).await;
        house.model().await;
        let (ada, bob) = (house.user("ada").await, house.user("bob").await);
        let mut lines = vec![resource("top", ada, "")];
        lines.extend((0..500).map(|n| resource(&format!("c{n}"), ada, "top")));
        load(&house, &lines).await;
        let (resources, before) = rows(&house).await;
        for place in ["top", "c7"] {
            let grant = house.share(place, "READ", bob, true).await;
            assert_eq!(rows(&house).await, (resources, before + 1), "{place}");
            house.sharing.grants().revoke(&house.admin, grant.id, &by()).await.unwrap();
            assert_eq!(rows(&house).await, (resources, before), "{place}");
        }
    }
}

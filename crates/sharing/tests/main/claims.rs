//! Standing is made sure of where it counts: whoever has lost it can do nothing, however little the node has heard of that
//! (ABUSE-CASES AC-73, AC-74).

use crate::house::{House, by, house, new_grant};
use keyreeve_identity::{Authority, NewServiceAccount};
use keyreeve_sharing::{Delete, Error, NewResource, Party, ResourcePatch, Sharing};
use keyreeve_store::{Param, Statement, Tx, Value, statements};
use keyreeve_testkit::{Engine, on_both_engines};
use std::time::Duration;

statements! {
    /// Gives a resource away.
    GIVE_AWAY = "UPDATE sharing_resource SET owner_id = $2 WHERE id = $1";
    /// Takes a resource out of its tree.
    TAKE_OUT = "UPDATE sharing_resource SET parent_key = NULL WHERE id = $1";
    /// Revokes what a party was granted.
    REVOKE = "DELETE FROM sharing_grant WHERE party_id = $1";
    /// Has a party's grants cascade no more.
    HOLD_UP = "UPDATE sharing_grant SET cascades = false WHERE party_id = $1";
    /// Has a party's grants be over.
    END = "UPDATE sharing_grant SET expires_at = 1 WHERE party_id = $1";
    /// Has a permission let nobody share any more.
    UNSHARE = "UPDATE sharing_permission SET shares = false WHERE id = $1";
    /// Takes a party out of its groups.
    LEAVE = "DELETE FROM group_member WHERE party_id = $1";
    /// Takes groups out of theirs.
    UNNEST = "DELETE FROM group_nest WHERE child_id = $1";
    /// Locks a user out.
    LOCK = "UPDATE user_account SET locked = true WHERE id = $1";
}

impl House {
    /// Changes something in such a way that this node does not hear of it, as if another node had done it just now.
    async fn unheard(&self, statement: &'static Statement, with: Vec<Param<'static>>) {
        let write = async move |tx: &mut Tx<'_>| {
            assert!(tx.execute(statement, &with).await? > 0, "{statement:?}");
            Ok::<_, keyreeve_store::Error>(())
        };
        self.test.store.write(write).await.expect("a change");
    }
}

/// A transaction that keeps others from writing to a resource, and lets them in the order in which they came.
enum Stalled {
    Writer(std::sync::mpsc::Sender<()>, tokio::task::JoinHandle<()>),
    Row(tokio_postgres::Client),
}

impl House {
    async fn stall(&self, id: &str) -> Stalled {
        if self.test.store.engine() == Engine::Postgres {
            let client = self.test.database.client().await;
            let hold = format!("BEGIN; SELECT key FROM sharing_resource WHERE id = '{id}' FOR UPDATE");
            client.batch_execute(&hold).await.expect("a lock");
            return Stalled::Row(client);
        }
        let (go_on, wait) = std::sync::mpsc::channel();
        let wait = std::sync::Mutex::new(wait);
        let store = self.test.store.clone();
        let held = tokio::spawn(async move {
            let write = async move |_: &mut Tx<'_>| {
                wait.lock().expect("once").recv().expect("a word");
                Ok::<_, keyreeve_store::Error>(())
            };
            store.write(write).await.expect("nothing is written");
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        Stalled::Writer(go_on, held)
    }
}

impl Stalled {
    async fn go_on(self) {
        match self {
            Self::Writer(go_on, held) => {
                go_on.send(()).expect("somebody waits");
                held.await.expect("no panic");
            }
            Self::Row(client) => client.batch_execute("COMMIT").await.expect("a commit"),
        }
    }
}

#[allow(clippy::needless_pass_by_value, reason = "called with what a use case answers")]
fn gone<T: std::fmt::Debug>(result: Result<T, Error>, what: &str) {
    let refused = matches!(result, Err(Error::Denied(_) | Error::NotFound(_) | Error::VersionConflict));
    assert!(refused, "{what}: {result:?}");
}

fn text(text: &'static str) -> Param<'static> {
    Value::Text(text)
}

fn id_of(party: Party) -> Param<'static> {
    Value::Uuid(party.uuid())
}

/// All that takes ownership.
async fn owns_nothing(sharing: &Sharing, who: &Authority, id: &str, other: Party) {
    let (resources, cause) = (sharing.resources(), by());
    let patch = ResourcePatch { name: Some("mine".to_owned()), ..ResourcePatch::default() };
    let (updated, transferred, moved, deleted) = tokio::join!(
        resources.update(who, id.into(), patch, &cause),
        resources.transfer(who, id.into(), other, &cause),
        resources.move_to(who, id.into(), Some("yard"), &cause),
        resources.delete(who, id.into(), Delete::Alone, &cause),
    );
    gone(updated, "update");
    gone(transferred, "transfer");
    gone(moved, "move");
    gone(deleted, "delete");
}

/// All that takes to be let share.
async fn shares_nothing(sharing: &Sharing, who: &Authority, id: &str, other: Party) {
    let (grants, resources, cause) = (sharing.grants(), sharing.resources(), by());
    let (shared, revoked, revoked_all, made, moved) = tokio::join!(
        grants.share(who, new_grant(id, "READ", other, false), &cause),
        grants.revoke_from(who, (id, other), None, &cause),
        grants.revoke_all_on(who, id, &cause),
        resources.create(who, below(id), &cause),
        resources.move_to(who, "own".into(), Some(id), &cause),
    );
    gone(shared, "share");
    gone(revoked, "revoke from");
    gone(revoked_all, "revoke all");
    gone(made, "create");
    gone(moved, "move into");
}

fn below(id: &str) -> NewResource {
    NewResource {
        resource_type: "FILE".to_owned(),
        parent: Some(id.to_owned()),
        name: "new".to_owned(),
        ..NewResource::default()
    }
}

on_both_engines! {
    async fn ac_73_whoever_owns_a_resource_no_more_does_nothing_to_it(engine: Engine) {
        let house = house(engine).await;
        house.model().await;
        let (ada, bob, eve) = (house.user("ada").await, house.user("bob").await, house.user("eve").await);
        let team = house.group("team", &[ada]).await;
        for id in ["yard", "own"] {
            house.folder(id, ada, None).await;
        }
        house.folder("given", ada, None).await;
        house.folder("above", ada, None).await;
        house.folder("below given", bob, Some("above")).await;
        house.folder("top", ada, None).await;
        house.folder("taken out", bob, Some("top")).await;
        house.folder("of the team", team, None).await;
        let as_ada = house.as_party(ada).await;
        let ids = ["given", "below given", "taken out", "of the team"];
        for id in ids {
            let patch = ResourcePatch { name: Some("ada's".to_owned()), ..ResourcePatch::default() };
            house.sharing.resources().update(&as_ada, id.into(), patch, &by()).await.unwrap();
            house.share_as(&as_ada, new_grant(id, "READ", eve, false)).await.unwrap();
        }
        house.unheard(&GIVE_AWAY, vec![text("given"), id_of(bob)]).await;
        house.unheard(&GIVE_AWAY, vec![text("above"), id_of(bob)]).await;
        house.unheard(&TAKE_OUT, vec![text("taken out")]).await;
        house.unheard(&LEAVE, vec![id_of(ada)]).await;
        for id in ids {
            owns_nothing(&house.sharing, &as_ada, id, eve).await;
            shares_nothing(&house.sharing, &as_ada, id, eve).await;
            let there = house.sharing.resources().get(&house.admin, id).await.unwrap();
            assert_eq!((there.name.as_str(), there.version), ("ada's", 2), "{id}");
            assert!(house.may(eve, "READ", id).await, "{id}");
        }
    }

    async fn ac_73_whoever_may_share_no_more_shares_nothing(engine: Engine) {
        let losses: [(&'static Statement, &str); 7] = [
            (&REVOKE, "bob"), (&HOLD_UP, "bob"), (&END, "bob"), (&UNSHARE, "SHARE"), (&LOCK, "bob"),
            (&LEAVE, "bob in the team"), (&UNNEST, "bob in the team"),
        ];
        for (loss, what) in losses {
            let house = house(engine).await;
            house.model().await;
            let (ada, bob, eve) = (house.user("ada").await, house.user("bob").await, house.user("eve").await);
            let team = house.group("team", &[bob]).await;
            let all = house.group("all", &[]).await;
            let Party::Group(outer) = all else { panic!("no group") };
            house.join(outer, team).await;
            house.folder("top", ada, None).await;
            house.folder("doc", ada, Some("top")).await;
            house.folder("own", bob, None).await;
            let holder = if what == "bob in the team" { all } else { bob };
            house.share("top", "SHARE", holder, true).await;
            let as_bob = house.as_party(bob).await;
            house.share_as(&as_bob, new_grant("doc", "READ", eve, false)).await.unwrap();
            let with = match what {
                "SHARE" => text("SHARE"),
                _ if std::ptr::eq(loss, &raw const UNNEST) => id_of(team),
                _ => id_of(bob),
            };
            house.unheard(loss, vec![with]).await;
            shares_nothing(&house.sharing, &as_bob, "doc", eve).await;
            assert!(house.may(eve, "READ", "doc").await, "{loss:?}");
        }
    }

    /// Who asks on one node while another takes what they had is decided about as the database has it when it is written.
    async fn ac_74_two_nodes_know_one_owner(engine: Engine) {
        let house = house(engine).await;
        house.model().await;
        let (ada, bob, eve) = (house.user("ada").await, house.user("bob").await, house.user("eve").await);
        let (_, second) = house.second().await;
        let as_ada = house.as_party(ada).await;
        for round in 0..4 {
            let id = format!("doc {round}");
            house.folder(&id, ada, None).await;
            let share = new_grant(&id, "READ", eve, false);
            let grant = second.grants().share(&as_ada, share.clone(), &by()).await.unwrap().value.id;
            let stalled = house.stall(&id).await;
            let (sharing, admin, doc) = (house.sharing.clone(), house.admin.clone(), id.clone());
            let taken = tokio::spawn(async move {
                sharing.resources().transfer(&admin, doc.as_str().into(), bob, &by()).await.map(drop)
            });
            tokio::time::sleep(Duration::from_millis(150)).await;
            let (second, as_ada, doc) = (second.clone(), as_ada.clone(), id.clone());
            let asked = tokio::spawn(async move {
                let (resources, grants) = (second.resources(), second.grants());
                match round {
                    0 => resources.delete(&as_ada, doc.as_str().into(), Delete::Alone, &by()).await.map(drop),
                    1 => grants.share(&as_ada, share, &by()).await.map(drop),
                    2 => resources.transfer(&as_ada, doc.as_str().into(), eve, &by()).await.map(drop),
                    _ => grants.revoke(&as_ada, grant, &by()).await.map(drop),
                }
            });
            tokio::time::sleep(Duration::from_millis(150)).await;
            assert!(!taken.is_finished(), "round {round}");
            stalled.go_on().await;
            taken.await.unwrap().unwrap();
            gone(asked.await.unwrap(), "asked");
            assert!(house.may(bob, "OWNER", &id).await && house.may(eve, "READ", &id).await, "round {round}");
        }
    }

    /// A reason that is gone does not stand in the way of another.
    async fn whoever_has_another_reason_goes_on(engine: Engine) {
        let house = house(engine).await;
        house.model().await;
        let (ada, bob, eve) = (house.user("ada").await, house.user("bob").await, house.user("eve").await);
        let team = house.group("team", &[ada]).await;
        let (_, second) = house.second().await;
        let as_ada = house.as_party(ada).await;
        for round in 0..4 {
            let id = format!("doc {round}");
            house.folder(&id, ada, None).await;
            house.share(&id, "SHARE", team, false).await;
            second.resources().get(&as_ada, &id).await.unwrap();
            house.sharing.resources().transfer(&house.admin, id.as_str().into(), bob, &by()).await.unwrap();
            second.grants().share(&as_ada, new_grant(&id, "READ", eve, false), &by()).await.unwrap();
            let revoked = second.grants().revoke_all_on(&as_ada, &id, &by()).await.unwrap();
            assert_eq!(revoked.grants, 2, "its own grant goes last");
        }
    }

    /// All kinds of standing go into a transaction and come out of it.
    async fn every_kind_of_standing_is_found_again(engine: Engine) {
        let house = house(engine).await;
        house.model().await;
        let (ada, eve) = (house.user("ada").await, house.user("eve").await);
        let new = NewServiceAccount { name: "robot".to_owned(), owner: Some(ada), ..NewServiceAccount::default() };
        let robot = house.identity.service_accounts().create(house.tenant, new, &by()).await.unwrap().id;
        let robot = Party::Service(robot);
        let team = house.group("team", &[robot]).await;
        house.folder("top", team, None).await;
        house.folder("middle", ada, Some("top")).await;
        house.folder("doc", ada, Some("middle")).await;
        house.folder("shared", ada, None).await;
        house.share("shared", "SHARE", robot, true).await;
        let as_robot = house.as_party(robot).await;
        let resources = house.sharing.resources();
        let patch = ResourcePatch { name: Some("the robot's".to_owned()), ..ResourcePatch::default() };
        resources.update(&as_robot, "doc".into(), patch, &by()).await.unwrap();
        let made = resources.create(&as_robot, below("shared"), &by()).await.unwrap().value.id;
        house.share_as(&as_robot, new_grant(&made, "READ", eve, false)).await.unwrap();
        resources.move_to(&as_robot, "doc".into(), Some("shared"), &by()).await.unwrap();
        resources.delete(&as_robot, made.as_str().into(), Delete::Alone, &by()).await.unwrap();
        house.unheard(&LOCK, vec![id_of(ada)]).await;
        let of_a_locked_user = resources.delete(&as_robot, "top".into(), Delete::WithChildren, &by()).await;
        gone(of_a_locked_user, "a service account is as active as its owner");
    }

    /// Of a revocation and a share at one moment, one comes first.
    async fn a_revocation_under_way_is_waited_for(engine: Engine) {
        if engine == Engine::Sqlite {
            return; // One transaction writes at a time.
        }
        let house = house(engine).await;
        house.model().await;
        let (ada, bob, eve) = (house.user("ada").await, house.user("bob").await, house.user("eve").await);
        house.folder("doc", ada, None).await;
        house.share("doc", "SHARE", bob, false).await;
        let as_bob = house.as_party(bob).await;
        house.sharing.resources().get(&as_bob, "doc").await.unwrap();
        let client = house.test.database.client().await;
        let revoke = format!("BEGIN; DELETE FROM sharing_grant WHERE party_id = '{}'", bob.uuid());
        client.batch_execute(&revoke).await.unwrap();
        let sharing = house.sharing.clone();
        let share = tokio::spawn(async move {
            sharing.grants().share(&as_bob, new_grant("doc", "READ", eve, false), &by()).await.map(drop)
        });
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(!share.is_finished(), "it waits");
        client.batch_execute("COMMIT").await.unwrap();
        gone(share.await.unwrap(), "share");
        assert!(!house.may(eve, "READ", "doc").await);
    }
}

//! Subscriptions and deliveries.

use crate::house::{House, Receiver};
use base64::Engine as _;
use keyreeve_audit::Outcome;
use keyreeve_base::id::WebhookId;
use keyreeve_events::{
    DeliveryKind, DeliveryState, Error, GIVE_UP_AFTER, MAX_WEBHOOKS, NewWebhook, SharedSecret, Skip, Webhook,
    WebhookPatch, WebhookState, sign,
};
use keyreeve_identity::{Cause, Patch};
use keyreeve_testkit::{Engine, on_both_engines};
use std::time::Duration;

fn to(receiver: &Receiver) -> NewWebhook {
    NewWebhook { url: receiver.url(), ..NewWebhook::default() }
}

async fn subscribe(house: &House, new: NewWebhook) -> (Webhook, SharedSecret) {
    let made =
        house.events.webhooks().create(house.tenant, new, &Cause::operator()).await.expect("a webhook");
    house.seal().await;
    made
}

async fn now(house: &House, id: WebhookId) -> Webhook {
    house.events.webhooks().get(house.tenant, id).await.expect("the webhook")
}

async fn caught_up(house: &House, id: WebhookId) {
    house
        .deliver_until(&house.events, || async move {
            let head = house.entries().await.last().and_then(|entry| entry.seq).unwrap();
            now(house, id).await.position == head
        })
        .await;
}

fn bytes(secret: &SharedSecret) -> Vec<u8> {
    let text = secret.0.expose().strip_prefix("whsec_").expect("a prefix");
    base64::engine::general_purpose::STANDARD.decode(text).expect("base64")
}

on_both_engines! {
    async fn every_statement_is_understood(engine: Engine) {
        let house = House::new(engine).await;
        for statement in keyreeve_events::EVERY_STATEMENT {
            house.test.store.prepare(statement).await.unwrap_or_else(|e| panic!("{statement:?}: {e}"));
        }
    }

    async fn entries_arrive_once_signed_and_whole(engine: Engine) {
        let house = House::new(engine).await;
        house.happen("user.early", 3).await;
        let receiver = Receiver::start().await;
        let (webhook, secret) = subscribe(&house, to(&receiver)).await;
        house.happen("user.create", 450).await;
        caught_up(&house, webhook.id).await;
        // Its own making, and all that came after; nothing from before.
        let seqs = receiver.seqs();
        assert_eq!(seqs, (webhook.position + 1..=webhook.position + 451).collect::<Vec<_>>());
        let log = house.entries().await;
        for received in receiver.got() {
            let json = received.json();
            let entry = log.iter().find(|entry| entry.seq == Some(received.seq())).unwrap();
            assert_eq!(json["type"], entry.action);
            assert_eq!(json["timestamp"], entry.at.to_string());
            assert_eq!(json["data"]["id"], entry.id.to_string());
            let id = &received.headers["webhook-id"];
            assert_eq!(*id, entry.id.to_string());
            let at: i64 = received.headers["webhook-timestamp"].parse().unwrap();
            assert_eq!(at, house.test.world.now().seconds());
            assert_eq!(received.headers["webhook-signature"], sign(&bytes(&secret), id, at, &received.body));
            assert_eq!(received.headers["content-type"], "application/json");
        }
        assert_eq!(now(&house, webhook.id).await.state(), WebhookState::Delivering);
        let log = house.events.webhooks().deliveries((house.tenant, webhook.id), None, 200).await.unwrap();
        assert_eq!(log.len(), 200);
        assert!(log.iter().all(|line| line.state == DeliveryState::Delivered && line.status == Some(204)
            && line.attempts == 1 && line.error.is_none() && line.kind == DeliveryKind::Event));
        let before = log.last().map(|line| line.id);
        let older = house.events.webhooks().deliveries((house.tenant, webhook.id), before, 200).await.unwrap();
        assert!(older.iter().all(|line| Some(line.id) < before));
    }

    async fn only_what_is_wanted_is_sent(engine: Engine) {
        let house = House::new(engine).await;
        let receiver = Receiver::start().await;
        let wanted = NewWebhook {
            actions: vec!["user.".to_owned(), "client.create".to_owned()], outcome: Some(Outcome::Success), ..to(&receiver)
        };
        let (webhook, _) = subscribe(&house, wanted).await;
        for action in ["user.create", "username.take", "user.refuse", "client.create", "client.update"] {
            house.happen(action, 2).await;
        }
        caught_up(&house, webhook.id).await;
        let mut types: Vec<String> = receiver.got().iter().map(|got| got.json()["type"].as_str().unwrap().to_owned()).collect();
        types.sort();
        assert_eq!(types, ["client.create", "client.create", "user.create", "user.create"]);
    }

    async fn what_is_not_taken_is_tried_again_later_and_nothing_is_lost(engine: Engine) {
        let house = House::new(engine).await;
        let receiver = Receiver::start().await;
        let (webhook, _) = subscribe(&house, NewWebhook { actions: vec!["user.".to_owned()], ..to(&receiver) }).await;
        receiver.will_answer(&[503, 302]);
        house.happen("user.create", 1).await;
        for failures in 1..=2_u32 {
            house.deliver_until(&house.events, || async { now(&house, webhook.id).await.attempts == failures }).await;
            let failed = now(&house, webhook.id).await;
            assert_eq!(failed.state(), WebhookState::Retrying);
            let wait = failed.retry_at.unwrap().since(house.test.world.now());
            let (least, most) = [(4, 6), (24, 36)][failures as usize - 1];
            assert!(wait >= Duration::from_secs(least) && wait <= Duration::from_secs(most), "{wait:?}");
            // Not before its time.
            house.events.deliver().await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert_eq!(receiver.got().len(), failures as usize);
            house.test.clock.advance(wait);
        }
        house.happen("user.update", 1).await;
        caught_up(&house, webhook.id).await;
        assert_eq!(receiver.got().len(), 4);
        assert!(receiver.got().iter().all(|got| got.path.starts_with("/hook")), "no redirect is followed");
        let ids: Vec<_> = receiver.got().iter().map(|got| got.headers["webhook-id"].clone()).collect();
        // The third attempt travels beside the next entry.
        assert!(ids[0] == ids[1] && (ids[2] == ids[0]) != (ids[3] == ids[0]), "{ids:?}");
        let log = house.events.webhooks().deliveries((house.tenant, webhook.id), None, 10).await.unwrap();
        assert_eq!(log.iter().map(|line| (line.attempts, line.state)).collect::<Vec<_>>(),
            [(1, DeliveryState::Delivered), (3, DeliveryState::Delivered)]);
        assert_eq!(now(&house, webhook.id).await.state(), WebhookState::Delivering);
    }

    async fn a_receiver_that_never_takes_it_is_given_up_and_resumed(engine: Engine) {
        let house = House::new(engine).await;
        let receiver = Receiver::start().await;
        let (webhook, _) = subscribe(&house, NewWebhook { actions: vec!["user.".to_owned()], ..to(&receiver) }).await;
        receiver.will_answer(&[500; GIVE_UP_AFTER as usize]);
        house.happen("user.create", 1).await;
        for failures in 1..=GIVE_UP_AFTER {
            house.deliver_until(&house.events, || async { now(&house, webhook.id).await.attempts == failures }).await;
            house.test.clock.advance(Duration::from_secs(8 * 3_600));
        }
        let failing = now(&house, webhook.id).await;
        assert_eq!((failing.state(), failing.last_error.as_deref()), (WebhookState::Failing, Some("500")));
        house.events.deliver().await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(receiver.got().len(), GIVE_UP_AFTER as usize, "it is left alone");
        let log = house.entries().await;
        let noted = log.iter().find(|entry| entry.action == "webhook.fail").expect("an entry");
        assert_eq!(noted.target_id, Some(webhook.id.to_string()));
        let line = &house.events.webhooks().deliveries((house.tenant, webhook.id), None, 1).await.unwrap()[0];
        assert_eq!((line.state, line.attempts, line.status), (DeliveryState::Failed, GIVE_UP_AFTER, Some(500)));
        // Resumed, it begins with what was not taken.
        house.happen("user.update", 1).await;
        house.events.webhooks().resume((house.tenant, webhook.id), Skip::Nothing, &Cause::operator()).await.unwrap();
        caught_up(&house, webhook.id).await;
        let types: Vec<_> = receiver.got().iter().rev().take(2).map(|got| got.json()["type"].clone()).collect();
        assert!(types.contains(&"user.update".into()) && types.contains(&"user.create".into()), "{types:?}");
    }

    async fn what_one_receiver_cannot_take_can_be_passed_over(engine: Engine) {
        let house = House::new(engine).await;
        let receiver = Receiver::start().await;
        let (webhook, _) = subscribe(&house, NewWebhook { actions: vec!["user.".to_owned()], ..to(&receiver) }).await;
        house.happen("client.create", 2).await;
        // Gone for good: no second attempt.
        receiver.will_answer(&[410]);
        house.happen("user.poison", 1).await;
        house.deliver_until(&house.events, || async { now(&house, webhook.id).await.state() == WebhookState::Failing }).await;
        assert_eq!(receiver.got().len(), 1);
        house.happen("user.create", 1).await;
        house.events.webhooks().resume((house.tenant, webhook.id), Skip::One, &Cause::operator()).await.unwrap();
        caught_up(&house, webhook.id).await;
        assert_eq!(receiver.got().last().unwrap().json()["type"], "user.create");
        assert_eq!(receiver.got().len(), 2);
        let passed = house.events.webhooks().resume((house.tenant, webhook.id), Skip::All, &Cause::operator()).await.unwrap();
        assert!(passed.position >= now(&house, webhook.id).await.position);
    }

    async fn two_nodes_do_not_carry_the_same(engine: Engine) {
        let house = House::new(engine).await;
        let second = house.second().await;
        let receivers = [Receiver::start().await, Receiver::start().await, Receiver::start().await];
        let mut webhooks = Vec::new();
        for receiver in &receivers {
            webhooks.push(subscribe(&house, NewWebhook { actions: vec!["user.".to_owned()], ..to(receiver) }).await.0.id);
        }
        for _ in 0..5 {
            house.happen("user.create", 40).await;
            let (a, b) = tokio::join!(house.events.deliver(), second.deliver());
            a.unwrap();
            b.unwrap();
        }
        for webhook in webhooks {
            caught_up(&house, webhook).await;
        }
        for receiver in &receivers {
            let mut seqs = receiver.seqs();
            assert_eq!(seqs.len(), 200);
            seqs.dedup();
            assert_eq!(seqs.len(), 200, "nothing twice");
        }
        second.stop().await;
    }

    async fn a_node_that_dies_loses_nothing(engine: Engine) {
        let house = House::new(engine).await;
        let second = house.second().await;
        let receiver = Receiver::start().await;
        let (_, _) = subscribe(&house, NewWebhook { actions: vec!["user.".to_owned()], ..to(&receiver) }).await;
        receiver.will_answer(&[204, 204, 0, 0, 0, 0]);
        house.happen("user.create", 20).await;
        house.deliver_until(&second, || async { receiver.got().len() >= 3 }).await;
        second.stop().await;
        // The lease outlives the node; until then nobody else delivers.
        house.events.deliver().await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let sent = receiver.got().len();
        assert!(sent <= 6, "{sent}");
        house.test.clock.advance(Duration::from_secs(61));
        receiver.recovers();
        house.deliver_until(&house.events, || async { let mut s = receiver.seqs(); s.dedup(); s.len() == 20 }).await;
    }

    async fn a_secret_is_rotated_with_an_overlap(engine: Engine) {
        let house = House::new(engine).await;
        let receiver = Receiver::start().await;
        let (webhook, old) = subscribe(&house, to(&receiver)).await;
        let who = (house.tenant, webhook.id);
        let (_, new) = house.events.webhooks().rotate_secret(who, Duration::from_secs(600), &Cause::operator()).await.unwrap();
        let signatures = async || {
            let line = house.events.webhooks().ping(who, &Cause::operator()).await.expect("a ping");
            assert_eq!((line.state, line.kind), (DeliveryState::Delivered, DeliveryKind::Ping));
            let got = receiver.got().last().unwrap().clone();
            assert_eq!(got.json()["type"], "webhook.ping");
            let at = got.headers["webhook-timestamp"].parse().unwrap();
            let by = |secret: &SharedSecret| sign(&bytes(secret), &got.headers["webhook-id"], at, &got.body);
            let found: Vec<String> = got.headers["webhook-signature"].split(' ').map(ToOwned::to_owned).collect();
            (found, by(&new), by(&old))
        };
        let (found, by_new, by_old) = signatures().await;
        assert_eq!(found, [by_new, by_old]);
        house.test.clock.advance(Duration::from_secs(601));
        let (found, by_new, _) = signatures().await;
        assert_eq!(found, [by_new]);
        let long = house.events.webhooks().rotate_secret(who, Duration::from_secs(8 * 86_400), &Cause::operator()).await;
        assert!(matches!(long, Err(Error::Invalid { field: "overlap_seconds", .. })));
        // Neither secret, nor what the address holds behind its host, is in the log.
        let log = format!("{:?}", house.entries().await);
        for planted in [old.0.expose(), new.0.expose(), "in-the-query", "whsec_"] {
            assert!(!log.contains(planted), "{planted}");
        }
    }

    async fn what_was_sent_can_be_sent_again(engine: Engine) {
        let house = House::new(engine).await;
        let receiver = Receiver::start().await;
        let (webhook, _) = subscribe(&house, NewWebhook { actions: vec!["user.".to_owned()], ..to(&receiver) }).await;
        let who = (house.tenant, webhook.id);
        house.happen("user.create", 1).await;
        caught_up(&house, webhook.id).await;
        let line = house.events.webhooks().deliveries(who, None, 1).await.unwrap()[0].clone();
        receiver.will_answer(&[500]);
        let again = house.events.webhooks().redeliver(who, line.id, &Cause::operator()).await.unwrap();
        assert_eq!((again.kind, again.state, again.status), (DeliveryKind::Redelivery, DeliveryState::Failed, Some(500)));
        let got = receiver.got();
        assert_eq!(got[0].body, got[1].body);
        assert_eq!(got[0].headers["webhook-id"], got[1].headers["webhook-id"]);
        assert_eq!(now(&house, webhook.id).await.attempts, 0, "what is asked for by hand does not count");
        let ping = house.events.webhooks().ping(who, &Cause::operator()).await.unwrap();
        let none = house.events.webhooks().redeliver(who, ping.id, &Cause::operator()).await;
        assert!(matches!(none, Err(Error::NotFound(_))));
        let other = (house.test.world.new_id(), webhook.id);
        assert!(matches!(house.events.webhooks().redeliver(other, line.id, &Cause::operator()).await, Err(Error::NotFound(_))));
    }

    /// AC-50: by the address itself, by a name that means an inner host, by plain HTTP, by a redirect.
    async fn ac_50_a_webhook_reaches_no_inner_host(engine: Engine) {
        let house = House::with(engine, false).await;
        let receiver = Receiver::start().await;
        let port = receiver.port;
        for url in [
            format!("http://receiver.test:{port}/"), format!("https://127.0.0.1:{port}/"), format!("https://[::1]:{port}/"),
            "https://169.254.169.254/latest".to_owned(), "https://2130706433/".to_owned(), "file:///etc/passwd".to_owned(),
            "https://user:pw@receiver.test/".to_owned(), "not a url".to_owned(), String::new(),
        ] {
            let new = NewWebhook { url: url.clone(), ..NewWebhook::default() };
            let refused = house.events.webhooks().create(house.tenant, new, &Cause::operator()).await;
            assert!(matches!(refused, Err(Error::Invalid { field: "url", .. })), "{url}");
        }
        // A name tells nothing until it is resolved.
        let new = NewWebhook { url: format!("https://receiver.test:{port}/"), ..NewWebhook::default() };
        let (webhook, _) = subscribe(&house, new).await;
        let line = house.events.webhooks().ping((house.tenant, webhook.id), &Cause::operator()).await.unwrap();
        assert_eq!((line.state, line.error.as_deref(), line.status), (DeliveryState::Failed, Some("refused"), None));
        house.happen("user.create", 1).await;
        house.deliver_until(&house.events, || async { now(&house, webhook.id).await.attempts == 1 }).await;
        assert_eq!(now(&house, webhook.id).await.last_error.as_deref(), Some("refused"));
        assert!(receiver.got().is_empty());
        let patch = WebhookPatch { url: Some("https://10.0.0.1/".to_owned()), ..WebhookPatch::default() };
        let changed = house.events.webhooks().update((house.tenant, webhook.id), patch, None, &Cause::operator()).await;
        assert!(matches!(changed, Err(Error::Invalid { field: "url", .. })));
    }

    async fn subscriptions_are_made_changed_and_removed(engine: Engine) {
        let house = House::new(engine).await;
        let receiver = Receiver::start().await;
        let cause = Cause::operator();
        let hooks = house.events.webhooks();
        for (new, field) in [
            (NewWebhook { actions: vec!["User.*".to_owned()], ..to(&receiver) }, "actions"),
            (NewWebhook { actions: vec!["user.".to_owned(); 33], ..to(&receiver) }, "actions"),
            (NewWebhook { description: Some("x".repeat(201)), ..to(&receiver) }, "description"),
            (NewWebhook { description: Some("a\nb".to_owned()), ..to(&receiver) }, "description"),
        ] {
            let refused = hooks.create(house.tenant, new, &cause).await.map(drop);
            assert!(matches!(refused, Err(Error::Invalid { field: found, .. }) if found == field), "{refused:?}");
        }
        let (webhook, _) = subscribe(&house, NewWebhook { actions: vec!["user.".to_owned(); 2], ..to(&receiver) }).await;
        assert_eq!((webhook.actions.len(), webhook.version), (1, 1));
        let who = (house.tenant, webhook.id);
        let patch = WebhookPatch {
            description: Patch::Set("for the ledger".to_owned()), outcome: Patch::Set(Outcome::Refused), enabled: Some(false),
            actions: Some(vec![]), ..WebhookPatch::default()
        };
        assert!(matches!(hooks.update(who, patch.clone(), Some(7), &cause).await, Err(Error::VersionConflict)));
        let changed = hooks.update(who, patch.clone(), Some(1), &cause).await.unwrap();
        assert_eq!((changed.version, changed.state()), (2, WebhookState::Disabled));
        assert_eq!(hooks.update(who, patch, Some(2), &cause).await.unwrap().version, 2, "nothing changed");
        house.happen("user.refuse", 1).await;
        house.events.deliver().await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(receiver.got().is_empty(), "it is switched off");
        let on = WebhookPatch { enabled: Some(true), ..WebhookPatch::default() };
        hooks.update(who, on, None, &cause).await.unwrap();
        caught_up(&house, webhook.id).await;
        assert_eq!(receiver.got().len(), 1, "what happened meanwhile comes when it is switched on");
        // Of another tenant there is nothing.
        let other = (house.test.world.new_id(), webhook.id);
        assert!(matches!(hooks.get(other.0, other.1).await, Err(Error::NotFound(_))));
        assert!(matches!(hooks.delete(other, &cause).await, Err(Error::NotFound(_))));
        assert!(hooks.list(other.0, None, 10).await.unwrap().is_empty());
        hooks.delete(who, &cause).await.unwrap();
        assert!(matches!(hooks.delete(who, &cause).await, Err(Error::NotFound(_))));
        let actions: Vec<String> = house.entries().await.into_iter().map(|entry| entry.action).filter(|a| a.starts_with("webhook.")).collect();
        assert_eq!(actions, ["webhook.create", "webhook.update", "webhook.update", "webhook.delete"]);
        for _ in 0..MAX_WEBHOOKS {
            subscribe(&house, to(&receiver)).await;
        }
        let more = hooks.create(house.tenant, to(&receiver), &cause).await;
        assert!(matches!(more, Err(Error::TooMany { .. })));
        let first = hooks.list(house.tenant, None, 30).await.unwrap();
        let rest = hooks.list(house.tenant, first.last().map(|w| w.id), 30).await.unwrap();
        assert_eq!((first.len(), rest.len()), (30, 20));
    }

    async fn the_log_of_deliveries_is_bounded(engine: Engine) {
        let house = House::new(engine).await;
        let receiver = Receiver::start().await;
        let (webhook, _) = subscribe(&house, to(&receiver)).await;
        let who = (house.tenant, webhook.id);
        house.happen("user.create", 4).await;
        caught_up(&house, webhook.id).await;
        assert_eq!(house.events.prune().await.unwrap(), 0);
        house.test.clock.advance(Duration::from_secs(31 * 86_400));
        house.happen("user.create", 1).await;
        caught_up(&house, webhook.id).await;
        assert_eq!(house.events.prune().await.unwrap(), 5);
        assert_eq!(house.events.webhooks().deliveries(who, None, 200).await.unwrap().len(), 1);
    }
}

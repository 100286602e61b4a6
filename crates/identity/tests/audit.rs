//! Every change has its entry, in the transaction of the change; so has every refusal.

use crate::house::{OTHER_PASSWORD, PASSWORD, house, origin};
use keyreeve_crypto::Secret;
use keyreeve_identity::{Cause, Patch, ProfilePatch, StateChange, TenantPatch};
use keyreeve_testkit::{Engine, on_both_engines};

on_both_engines! {
    async fn every_use_case_that_changes_something_is_recorded(engine: Engine) {
        let house = house(engine).await;
        let cause = Cause::operator();
        assert_eq!(house.lines().await, ["tenant.create success"]);
        let (ada, lines) = house.lines_of(house.ada()).await;
        assert_eq!(lines, ["user.create success"]);
        let of = (house.id(), ada.id);
        let patch = ProfilePatch { family_name: Patch::Set("King".to_owned()), ..ProfilePatch::default() };
        let (_, lines) = house.lines_of(house.identity.users().update(of, patch, None, &cause)).await;
        assert_eq!(lines, ["user.update success"]);
        for (change, line) in [
            (StateChange::Lock, "user.lock success"),
            (StateChange::Unlock, "user.unlock success"),
            (StateChange::Disable, "user.disable success"),
            (StateChange::Enable, "user.enable success"),
        ] {
            let (_, lines) = house.lines_of(house.change_state(ada.id, change)).await;
            assert_eq!(lines, [line]);
        }
        let (done, lines) = house.lines_of(house.sign_in("ada", PASSWORD)).await;
        assert_eq!(lines, ["admission.password success", "session.create success"]);
        let (_, lines) = house.lines_of(house.session(&done.cookie)).await;
        assert!(lines.is_empty(), "the way in of every page is not recorded");
        let change = house.change_state(ada.id, StateChange::RequirePasswordChange);
        let (_, lines) = house.lines_of(change).await;
        assert_eq!(lines, ["user.password.require_change success", "session.end success"]);
        let set = house.identity.passwords().set(of, Secret::new(OTHER_PASSWORD), false, &cause);
        let (_, lines) = house.lines_of(set).await;
        assert_eq!(lines, ["user.password.change success"]);
        let patch = TenantPatch { name: Some("Renamed".to_owned()), ..TenantPatch::default() };
        let (_, lines) = house.lines_of(house.identity.tenants().update(house.id(), 1, patch, &cause)).await;
        assert_eq!(lines, ["tenant.update success"]);
        let (_, lines) = house.lines_of(house.change_state(ada.id, StateChange::Archive)).await;
        assert_eq!(lines, ["user.archive success"]);
        let patch = TenantPatch { enabled: Some(false), ..TenantPatch::default() };
        let (_, lines) = house.lines_of(house.identity.tenants().update(house.id(), 2, patch, &cause)).await;
        assert_eq!(lines, ["tenant.update success"]);
        house.check().await;
    }

    async fn an_entry_says_who_what_and_from_where(engine: Engine) {
        let house = house(engine).await;
        let ada = house.ada().await;
        house.sign_in("ada", PASSWORD).await;
        house.try_sign_in("ada", OTHER_PASSWORD).await;
        let log = house.log().await;
        let find = |action: &str, outcome: &str| {
            log.iter().find(|entry| entry.action == action && entry.outcome == outcome).unwrap()
        };
        let created = find("user.create", "success");
        assert_eq!((created.actor_kind.as_str(), created.target_kind.as_deref()), ("operator", Some("user")));
        assert_eq!(created.target_id, Some(ada.id.to_string()));
        let admitted = find("admission.password", "success");
        assert_eq!((admitted.actor_kind.as_str(), admitted.actor_id.clone()), ("user", Some(ada.id.to_string())));
        assert_eq!((admitted.address.as_deref(), admitted.user_agent.as_deref()), (Some("192.0.2.1"), Some("a browser")));
        let refused = find("admission.password", "refused");
        assert_eq!((refused.actor_kind.as_str(), refused.actor_id.clone()), ("anonymous", None));
        assert_eq!(refused.target_id, Some(ada.id.to_string()));
        assert_eq!(refused.reason.as_deref(), Some("wrong_password"));
        house.check().await;
    }

    /// AC-61, AC-76: no password, no hash, no cookie in the log.
    async fn ac_61_no_secret_is_in_the_log(engine: Engine) {
        let house = house(engine).await;
        let ada = house.ada().await;
        let done = house.sign_in("ada", PASSWORD).await;
        house.try_sign_in("ada", OTHER_PASSWORD).await;
        house.try_sign_in(OTHER_PASSWORD, PASSWORD).await;
        let (from, new) = (origin("192.0.2.1"), Secret::new(OTHER_PASSWORD));
        let changed = house.identity.passwords().change_own(&done.admitted, Secret::new(PASSWORD), new, &from);
        changed.await.unwrap().unwrap();
        let hash = house.hash_of(ada.id).await;
        let log = format!("{:?}", house.log().await).to_lowercase();
        for secret in [PASSWORD, OTHER_PASSWORD, &hash, &done.cookie, &done.device] {
            assert!(!log.contains(&secret.to_lowercase()), "{secret}");
        }
        house.check().await;
    }
}

//! Types and permissions.

use crate::house::{House, by, house};
use keyreeve_sharing::{Delete, Error, Patch, PermissionPatch, Target, TypePatch};
use keyreeve_testkit::{Engine, on_both_engines};

fn is_invalid(result: &Result<(), Error>, of: &str) -> bool {
    matches!(result, Err(Error::Invalid { field, .. }) if *field == of)
}

async fn implies(house: &House, id: &str, implied: &[&str]) -> Result<(), Error> {
    let implies = Some(implied.iter().map(ToString::to_string).collect());
    let patch = PermissionPatch { implies, ..PermissionPatch::default() };
    house.sharing.permissions().update(&house.admin, (Some("FILE"), id).into(), patch, &by()).await.map(drop)
}

on_both_engines! {
    async fn types_and_permissions_are_declared_once_under_sound_names(engine: Engine) {
        let house = house(engine).await;
        house.model().await;
        assert!(matches!(house.new_type("FILE").await, Err(Error::Taken("id"))));
        for bad in ["", " FILE", "a\nb", &"x".repeat(256)] {
            assert!(is_invalid(&house.new_type(bad).await, "id"), "{bad:?}");
        }
        for bad in ["OWNER", "owner", "Owner"] {
            assert!(is_invalid(&house.permission(Some("FILE"), bad, false, &[]).await, "id"), "{bad}");
        }
        let again = house.permission(Some("FILE"), "READ", false, &[]).await;
        assert!(matches!(again, Err(Error::Taken("id"))));
        let nowhere = house.permission(Some("NONE"), "READ", false, &[]).await;
        assert!(matches!(nowhere, Err(Error::NotFound("resource type"))));
        // What all types have, none has of its own.
        assert!(matches!(house.permission(None, "READ", false, &[]).await, Err(Error::Taken("id"))));
        house.permission(None, "SEE", false, &[]).await.unwrap();
        assert!(matches!(house.permission(Some("FILE"), "SEE", false, &[]).await, Err(Error::Taken("id"))));
        let types = house.sharing.types().list(&house.admin, None, 1).await.unwrap();
        assert_eq!(types[0].id, "FILE");
        let types = house.sharing.types().list(&house.admin, Some("FILE"), 9).await.unwrap();
        assert_eq!(types.len(), 1);
        // Nothing of it is another tenant's.
        let other = house.other_tenant().await;
        assert!(house.sharing.types().list(&other, None, 9).await.unwrap().is_empty());
        assert!(house.sharing.types().get(&other, "FILE").await.is_err());
    }

    async fn implications_lead_nowhere_back(engine: Engine) {
        let house = house(engine).await;
        house.model().await;
        house.permission(Some("FILE"), "ADMIN", false, &["WRITE"]).await.unwrap();
        for (id, implied) in [("READ", "READ"), ("READ", "WRITE"), ("READ", "ADMIN"), ("WRITE", "NONE")] {
            assert!(is_invalid(&implies(&house, id, &[implied]).await, "implies"), "{id} {implied}");
        }
        let ada = house.user("ada").await;
        let bob = house.user("bob").await;
        house.file("doc", ada, None).await;
        house.share("doc", "ADMIN", bob, false).await;
        assert!(house.may(bob, "READ", "doc").await, "by way of WRITE");
        assert!(!house.may(bob, "SHARE", "doc").await);
        implies(&house, "ADMIN", &["SHARE"]).await.unwrap();
        assert!(house.may(bob, "SHARE", "doc").await && !house.may(bob, "READ", "doc").await);
    }

    async fn what_all_types_have_is_granted_on_each(engine: Engine) {
        let house = house(engine).await;
        house.model().await;
        let (ada, bob) = (house.user("ada").await, house.user("bob").await);
        house.permission(None, "SEE", false, &[]).await.unwrap();
        house.permission(Some("FILE"), "ADMIN", false, &["SEE"]).await.unwrap();
        house.folder("top", ada, None).await;
        house.file("doc", ada, Some("top")).await;
        house.share("top", "SEE", bob, true).await;
        assert!(house.may(bob, "SEE", "top").await && house.may(bob, "SEE", "doc").await);
        house.new_type("LATER").await.unwrap();
        house.try_resource(("LATER", "new"), ada, Some("top")).await.unwrap();
        assert!(house.may(bob, "SEE", "new").await);
    }

    async fn a_permission_that_is_declared_anew_brings_no_grants_back(engine: Engine) {
        let house = house(engine).await;
        house.model().await;
        let (ada, bob) = (house.user("ada").await, house.user("bob").await);
        house.file("doc", ada, None).await;
        house.share("doc", "READ", bob, false).await;
        assert!(house.may(bob, "READ", "doc").await);
        let permissions = house.sharing.permissions();
        permissions.delete(&house.admin, (Some("FILE"), "READ").into(), &by()).await.unwrap();
        assert!(!house.may(bob, "READ", "doc").await);
        house.permission(Some("FILE"), "READ", false, &[]).await.unwrap();
        assert!(!house.may(bob, "READ", "doc").await);
        let write = permissions.get(&house.admin, Some("FILE"), "WRITE").await.unwrap();
        assert!(write.implies.is_empty(), "what it implied is gone");
    }

    async fn ac_55_nothing_is_called_as_a_step_within_a_path(engine: Engine) {
        let house = house(engine).await;
        house.model().await;
        let ada = house.user("ada").await;
        for id in [".", ".."] {
            assert!(is_invalid(&house.new_type(id).await, "id"), "{id}");
            assert!(is_invalid(&house.permission(None, id, false, &[]).await, "id"), "{id}");
            assert!(is_invalid(&house.try_resource(("FILE", id), ada, None).await, "id"), "{id}");
        }
        for id in ["...", ".a", "..%2f", "a/../b"] {
            house.file(id, ada, None).await;
            assert!(house.may(ada, "OWNER", id).await, "{id}");
        }
    }

    async fn a_type_goes_only_without_resources(engine: Engine) {
        let house = house(engine).await;
        house.model().await;
        let ada = house.user("ada").await;
        house.file("doc", ada, None).await;
        let types = house.sharing.types();
        assert!(matches!(types.delete(&house.admin, "FILE".into(), &by()).await, Err(Error::InUse(_))));
        // What was removed is in nobody's way, whether it has been cleared away or not.
        house.folder("top", ada, None).await;
        house.folder("below", ada, Some("top")).await;
        house.file("kept", ada, Some("below")).await;
        house.share("below", "READ", ada, true).await;
        house.sharing.resources().delete(&house.admin, "top".into(), Delete::WithChildren, &by()).await.unwrap();
        assert!(matches!(types.delete(&house.admin, Target::new("FOLDER", Some(7)), &by()).await, Err(Error::VersionConflict)));
        types.delete(&house.admin, Target::new("FOLDER", Some(1)), &by()).await.unwrap();
        assert!(matches!(types.get(&house.admin, "FOLDER").await, Err(Error::NotFound(_))));
        let patch = TypePatch { name: Some("paper".to_owned()), description: Patch::Set("of it".to_owned()) };
        let changed = types.update(&house.admin, Target::new("FILE", Some(1)), patch, &by()).await.unwrap().value;
        assert_eq!((changed.version, changed.name.as_str()), (2, "paper"));
        assert_eq!(types.get(&house.admin, "FILE").await.unwrap(), changed);
        let actions: Vec<String> = house.entries().await.into_iter().map(|entry| entry.action).collect();
        for action in ["resource_type.create", "resource_type.update", "resource_type.delete", "permission.create"] {
            assert!(actions.iter().any(|found| found == action), "{action}");
        }
    }
}

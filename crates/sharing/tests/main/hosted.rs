//! Resources that another room keeps.

use crate::house::{House, by, house, new_grant};
use keyreeve_sharing::{
    Delete, Error, HostedPermission, HostedType, NewHosted, NewPermission, NewResource, NewType,
    PermissionPatch, RESERVED, ResourcePatch, TypePatch,
};
use keyreeve_store::Tx;
use keyreeve_testkit::{Engine, on_both_engines};

static SAFE: HostedType = HostedType {
    id: "keyreeve.safe",
    name: "Safe",
    permissions: &[
        HostedPermission { id: "LOOK", name: "Look at it", implies: &[] },
        HostedPermission { id: "OPEN", name: "Open it", implies: &["LOOK"] },
    ],
};

async fn make(
    house: &House,
    id: &'static str,
    parent: Option<i64>,
    owner: Option<keyreeve_sharing::Party>,
) -> i64 {
    let type_key = house.sharing.hosted().ensure(house.tenant, &SAFE).await.unwrap();
    let (sharing, tenant, now) = (house.sharing.clone(), house.tenant, house.test.world.now());
    house
        .test
        .store
        .write(async move |tx: &mut Tx<'_>| {
            let new = NewHosted { tenant, id, type_key, parent, owner, name: id, now };
            sharing.hosted().make(tx, &new).await
        })
        .await
        .unwrap()
}

fn kept<T: std::fmt::Debug>(result: &Result<T, Error>) {
    assert!(matches!(result, Err(Error::Denied(_))), "{result:?}");
}

on_both_engines! {
    async fn what_a_room_keeps_is_shared_and_not_changed(engine: Engine) {
        let house = house(engine).await;
        house.model().await;
        let (ada, bob) = (house.user("ada").await, house.user("bob").await);
        let key = make(&house, "safe", None, Some(ada)).await;
        let (as_ada, as_bob) = (house.as_party(ada).await, house.as_party(bob).await);
        house.share_as(&as_ada, new_grant("safe", "OPEN", bob, false)).await.unwrap();
        assert!(house.may(bob, "LOOK", "safe").await, "what is granted implies");
        let access = house.sharing.hosted().access(&as_bob, "safe").await.unwrap().unwrap();
        assert!(access.has("OPEN") && access.has("LOOK") && !access.has("SHARE") && !access.owns());
        let access = house.sharing.hosted().access(&as_ada, "safe").await.unwrap().unwrap();
        assert!(access.has("OPEN") && access.owns());

        let (types, permissions, resources) =
            (house.sharing.types(), house.sharing.permissions(), house.sharing.resources());
        kept(&types.create(&house.admin, NewType { id: format!("{RESERVED}x"), name: "x".into(), ..NewType::default() }, &by()).await);
        kept(&types.update(&house.admin, SAFE.id.into(), TypePatch::default(), &by()).await);
        kept(&types.delete(&house.admin, SAFE.id.into(), &by()).await);
        let new = NewPermission { resource_type: Some(SAFE.id.into()), id: "X".into(), name: "x".into(), ..NewPermission::default() };
        kept(&permissions.create(&house.admin, new, &by()).await);
        let patch = PermissionPatch { implies: Some(vec!["OPEN".into()]), ..PermissionPatch::default() };
        kept(&permissions.update(&house.admin, (Some(SAFE.id), "LOOK").into(), patch, &by()).await);
        kept(&permissions.delete(&house.admin, (Some(SAFE.id), "OPEN").into(), &by()).await);
        let new = NewResource { resource_type: SAFE.id.into(), name: "x".into(), ..NewResource::default() };
        kept(&resources.create(&house.admin, new, &by()).await);
        kept(&resources.update(&as_ada, "safe".into(), ResourcePatch::default(), &by()).await);
        kept(&resources.transfer(&as_ada, "safe".into(), bob, &by()).await);
        kept(&resources.move_to(&as_ada, "safe".into(), None, &by()).await);
        kept(&resources.delete(&as_ada, "safe".into(), Delete::WithChildren, &by()).await);

        let (sharing, tenant) = (house.sharing.clone(), house.tenant);
        house.test.store.write(async move |tx: &mut Tx<'_>| {
            sharing.hosted().rename(tx, (tenant, key), "vault").await?;
            sharing.hosted().transfer(tx, (tenant, key), None).await
        }).await.unwrap();
        let access = house.sharing.hosted().access(&as_ada, "safe").await.unwrap().unwrap();
        assert!(!access.owns() && !access.has("LOOK"), "it is nobody's now");
        assert!(house.may(bob, "OPEN", "safe").await, "what was granted stays");
        let sharing = house.sharing.clone();
        house.test.store.write(async move |tx: &mut Tx<'_>| sharing.hosted().remove(tx, (tenant, key), "safe").await).await.unwrap();
        assert!(house.sharing.hosted().access(&house.admin, "safe").await.unwrap().is_none());
        assert!(!house.may(bob, "OPEN", "safe").await);
    }

    async fn what_lies_above_gives_rights_below(engine: Engine) {
        let house = house(engine).await;
        house.model().await;
        let (ada, bob) = (house.user("ada").await, house.user("bob").await);
        house.folder("top", ada, None).await;
        let (as_ada, as_bob) = (house.as_party(ada).await, house.as_party(bob).await);
        let missing = house.sharing.hosted().parent(&as_bob, "top").await;
        assert!(matches!(missing, Err(Error::NotFound("parent"))), "{missing:?}");
        let parent = house.sharing.hosted().parent(&as_ada, "top").await.unwrap();
        make(&house, "safe", Some(parent), None).await;
        assert!(house.sharing.hosted().access(&as_ada, "safe").await.unwrap().unwrap().owns());
        assert!(!house.sharing.hosted().access(&as_bob, "safe").await.unwrap().unwrap().has("LOOK"));
    }
}

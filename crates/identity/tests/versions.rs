//! Whoever names a version changes that version and no other.

use crate::house::house;
use keyreeve_identity::{Cause, Error, NewRole, NewServiceAccount, StateChange, TenantPatch};
use keyreeve_testkit::{Engine, on_both_engines};

on_both_engines! {
    async fn changes_of_another_version_are_refused(engine: Engine) {
        let house = house(engine).await;
        let (cause, tenant) = (Cause::operator(), house.id());
        let ada = house.ada().await;
        let users = house.identity.users();
        let lock = async |version| users.change_state((tenant, ada.id), StateChange::Lock, version, &cause).await;
        assert!(matches!(lock(Some(2)).await, Err(Error::VersionConflict)));
        assert!(!users.get(tenant, ada.id).await.unwrap().locked, "nothing was changed");
        assert_eq!(lock(Some(1)).await.unwrap().version, 2);
        assert_eq!(lock(None).await.unwrap().version, 3);

        let new = NewRole { name: "reader".to_owned(), description: None, application: None };
        let role = house.identity.roles().create(tenant, new, &cause).await.unwrap();
        let remove = async |version| house.identity.roles().delete((tenant, role.id), version, &cause).await;
        assert!(matches!(remove(Some(7)).await, Err(Error::VersionConflict)));
        remove(Some(1)).await.unwrap();

        let new = NewServiceAccount { name: "agent".to_owned(), ..NewServiceAccount::default() };
        let accounts = house.identity.service_accounts();
        let agent = accounts.create(tenant, new, &cause).await.unwrap();
        let remove = async |version| accounts.delete((tenant, agent.id), version, &cause).await;
        assert!(matches!(remove(Some(7)).await, Err(Error::VersionConflict)));
        remove(Some(1)).await.unwrap();

        let group = house.group("team").await;
        let remove = async |version| house.identity.groups().delete((tenant, group.id), version, &cause).await;
        assert!(matches!(remove(Some(7)).await, Err(Error::VersionConflict)));
        remove(Some(1)).await.unwrap();

        let rename = TenantPatch { name: Some("Other".to_owned()), ..TenantPatch::default() };
        let tenants = house.identity.tenants();
        let stale = tenants.update(tenant, Some(7), rename.clone(), &cause).await;
        assert!(matches!(stale, Err(Error::VersionConflict)));
        assert_eq!(tenants.update(tenant, None, rename.clone(), &cause).await.unwrap().version, 2);
        assert_eq!(tenants.update(tenant, 2, rename, &cause).await.unwrap().version, 3);
        house.check().await;
    }
}

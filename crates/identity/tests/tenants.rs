//! Tenants.

use crate::house::{PASSWORD, house, is_throttled, refusal};
use keyreeve_identity::{Cause, Error, NewTenant, Refusal, TenantPatch, TenantSettings};
use keyreeve_testkit::{Engine, on_both_engines};

fn new(slug: &str) -> NewTenant {
    NewTenant { slug: slug.to_owned(), name: "Another".to_owned(), settings: TenantSettings::default() }
}

on_both_engines! {
    async fn a_tenant_is_found_by_its_slug_for_ever(engine: Engine) {
        let house = house(engine).await;
        let tenants = house.identity.tenants();
        assert_eq!(tenants.by_slug("default").await.unwrap().as_deref(), Some(&*house.tenant));
        assert!(tenants.by_slug("nobody").await.unwrap().is_none());
        assert!(tenants.by_slug("DEFAULT' OR 1=1").await.unwrap().is_none());
        let other = tenants.create(new("team-1"), &Cause::operator()).await.unwrap();
        assert!(matches!(tenants.create(new("team-1"), &Cause::operator()).await, Err(Error::Taken("slug"))));
        assert!(matches!(tenants.create(new("Team"), &Cause::operator()).await, Err(Error::Invalid { .. })));
        let archive = TenantPatch { archive: true, ..TenantPatch::default() };
        let archived = tenants.update(other.id, 1, archive.clone(), &Cause::operator()).await.unwrap();
        assert!(!archived.is_active());
        let first = tenants.update(house.id(), house.tenant.version, archive.clone(), &Cause::operator()).await;
        assert!(matches!(first, Err(Error::Invalid { field: "tenant", .. })), "{first:?}");
        assert!(matches!(tenants.create(new("team-1"), &Cause::operator()).await, Err(Error::Taken("slug"))));
        assert!(matches!(tenants.update(other.id, 2, archive, &Cause::operator()).await, Err(Error::Invalid { .. })));
        assert_eq!(tenants.list(None, 500).await.unwrap().len(), 2);
        house.check().await;
    }

    async fn an_update_is_seen_at_once_and_minds_the_version(engine: Engine) {
        let house = house(engine).await;
        let tenants = house.identity.tenants();
        let rename = TenantPatch { name: Some("Renamed".to_owned()), ..TenantPatch::default() };
        tenants.update(house.id(), 1, rename.clone(), &Cause::operator()).await.unwrap();
        assert_eq!(tenants.get(house.id()).await.unwrap().name, "Renamed");
        let late = tenants.update(house.id(), 1, rename, &Cause::operator()).await;
        assert!(matches!(late, Err(Error::VersionConflict)));
        let mut settings = TenantSettings::default();
        settings.session.idle_s = 1;
        let bad = TenantPatch { settings: Some(settings), ..TenantPatch::default() };
        assert!(matches!(tenants.update(house.id(), 2, bad, &Cause::operator()).await, Err(Error::Invalid { .. })));
        house.check().await;
    }

    /// A tenant that is switched off admits nobody, and does not say why.
    async fn nobody_enters_a_disabled_tenant(engine: Engine) {
        let house = house(engine).await;
        house.ada().await;
        let cookie = house.sign_in("ada", PASSWORD).await.cookie;
        let off = TenantPatch { enabled: Some(false), ..TenantPatch::default() };
        house.identity.tenants().update(house.id(), 1, off, &Cause::operator()).await.unwrap();
        assert!(house.session(&cookie).await.is_none());
        let (answer, lines) = house.lines_of(house.try_sign_in("ada", PASSWORD)).await;
        assert_eq!(refusal(&answer), Refusal::Denied);
        assert_eq!(lines, ["admission.password refused tenant_inactive"]);
        assert!(!is_throttled(&answer));
        let on = TenantPatch { enabled: Some(true), ..TenantPatch::default() };
        house.identity.tenants().update(house.id(), 2, on, &Cause::operator()).await.unwrap();
        house.sign_in("ada", PASSWORD).await;
        house.check().await;
    }
}

//! AC-21: whether a name is free is told to whoever was admitted, and not without end.

use crate::house::{PASSWORD, house, house_with, origin};
use keyreeve_identity::{Cause, Error, NewTenant, Refusal, TenantSettings};
use keyreeve_testkit::{Engine, on_both_engines};
use std::time::Duration;

on_both_engines! {
    async fn ac_21_a_name_is_free_or_not_in_every_spelling(engine: Engine) {
        let house = house(engine).await;
        house.ada().await;
        let (admitted, from) = (house.sign_in("ada", PASSWORD).await.admitted, origin("192.0.2.1"));
        let admitted = house.identity.authority_of(&admitted).await.unwrap();
        let users = house.identity.users();
        for (name, free) in [("ADA", false), (" lovelace@EXAMPLE.org", false), ("ａｄａ", false), ("bob", true)] {
            assert_eq!(users.is_available(house.id(), name, &admitted, &from).await.unwrap(), Ok(free), "{name}");
        }
        let odd = users.is_available(house.id(), "a b", &admitted, &from).await;
        assert!(matches!(odd, Err(Error::Invalid { field: "identifier", .. })));
        let new = NewTenant { slug: "other".to_owned(), name: "Other".to_owned(), settings: TenantSettings::default() };
        let other = house.identity.tenants().create(new, &Cause::operator()).await.unwrap().id;
        assert_eq!(users.is_available(other, "ada", &admitted, &from).await.unwrap(), Err(Refusal::Denied));
        house.check().await;
    }

    async fn ac_21_nobody_asks_for_a_whole_directory(engine: Engine) {
        let mut settings = TenantSettings::default();
        settings.throttle.availability_asks = 3;
        let house = house_with(engine, settings).await;
        house.ada().await;
        let (admitted, users) = (house.sign_in("ada", PASSWORD).await.admitted, house.identity.users());
        let admitted = house.identity.authority_of(&admitted).await.unwrap();
        let ask = async |address: &str| {
            users.is_available(house.id(), "bob", &admitted, &origin(address)).await.unwrap()
        };
        for number in 0..3 {
            assert_eq!(ask(&format!("192.0.2.{number}")).await, Ok(true));
        }
        let (refused, lines) = house.lines_of(ask("192.0.2.9")).await;
        assert_eq!(refused, Err(Refusal::Throttled { retry_after: Duration::from_secs(900) }));
        assert_eq!(lines, ["user.availability refused throttled"]);
        house.advance(900);
        assert_eq!(ask("192.0.2.9").await, Ok(true));
        house.check().await;
    }
}

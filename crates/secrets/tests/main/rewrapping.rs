//! The keys of versions under another data key.

use crate::house::{by, house, password};
use keyreeve_testkit::{Engine, on_both_engines};

on_both_engines! {
    async fn keys_are_wrapped_anew_beside_readers_and_writers(engine: Engine) {
        let house = house(engine).await;
        let admin = &house.admin;
        let id = house.make(admin, "s", password("first")).await.id;
        for number in 2..=7 {
            house.secrets.write(admin, id, password(&format!("{number}")), None, &by()).await.unwrap();
        }
        assert_eq!(house.secrets.rewrap(house.tenant, 100).await.unwrap(), 0);
        house.identity.tenants().rotate_data_key(house.tenant, &by()).await.unwrap();
        assert_eq!(house.secrets.left_to_rewrap(house.tenant).await.unwrap(), 7);
        assert_eq!(house.secrets.rewrap(house.tenant, 3).await.unwrap(), 3);
        house.identity.tenants().rotate_data_key(house.tenant, &by()).await.unwrap();
        assert_eq!(house.secrets.left_to_rewrap(house.tenant).await.unwrap(), 7, "under two older keys");
        let (one, two, write) = tokio::join!(
            house.secrets.rewrap(house.tenant, 5),
            house.secrets.rewrap(house.tenant, 5),
            async { house.secrets.write(admin, id, password("8"), None, &by()).await },
        );
        assert!(one.unwrap() <= 5 && two.unwrap() <= 5 && write.is_ok());
        while house.secrets.rewrap(house.tenant, 2).await.unwrap() > 0 {}
        assert_eq!(house.secrets.left_to_rewrap(house.tenant).await.unwrap(), 0);
        assert_eq!(house.open_version(admin, id, Some(1)).await.unwrap(), "first");
        assert_eq!(house.open(admin, id).await.unwrap(), "8");
    }
}

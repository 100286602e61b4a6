//! IMQS Auth: behaviours of the original, replayed from outside (the numbers are those of the contract's list of them).

mod groups;
mod house;
mod lists;
mod passwords;
mod sessions;
mod transfer;
mod users;
mod walk;

pub use house::House;

/// Makes two tests of each function, each against a server of its own with the original's fixture.
macro_rules! on_imqs {
    ($($(#[$meta:meta])* async fn $name:ident($house:ident: $type:ty) $body:block)*) => {
        $crate::compat::imqs::on_imqs_with! { "{}"; $($(#[$meta])* async fn $name($house: $type) $body)* }
    };
}

/// The same with this configuration of the original.
macro_rules! on_imqs_with {
    ($config:expr; $($(#[$meta:meta])* async fn $name:ident($house:ident: $type:ty) $body:block)*) => {$(
        $(#[$meta])*
        mod $name {
            #[allow(unused_imports, reason = "the test may need nothing from around it")]
            use super::*;

            async fn test($house: $type) $body

            #[test]
            fn sqlite() {
                $crate::compat::imqs::house::run(keyreeve_acceptance::Engine::Sqlite, $config, async |house| test(house).await);
            }

            #[test]
            fn postgres() {
                $crate::compat::imqs::house::run(keyreeve_acceptance::Engine::Postgres, $config, async |house| test(house).await);
            }
        }
    )*};
}

pub(crate) use {on_imqs, on_imqs_with};

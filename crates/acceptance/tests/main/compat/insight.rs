//! Xpress Insight: its authentication from outside, as the seed describes it.

mod cycle;
mod house;
mod operations;
mod people;
mod shapes;
mod sign_in;
mod tokens;

pub use house::{House, Pair, V1};

/// Makes two tests of each function, each against a server of its own that speaks the dialect.
macro_rules! on_insight {
    ($($(#[$meta:meta])* async fn $name:ident($house:ident: $type:ty) $body:block)*) => {$(
        $(#[$meta])*
        mod $name {
            #[allow(unused_imports, reason = "the test may need nothing from around it")]
            use super::*;

            async fn test($house: $type) $body

            #[test]
            fn sqlite() {
                $crate::compat::insight::House::run(keyreeve_acceptance::Engine::Sqlite, async |house| test(house).await);
            }

            #[test]
            fn postgres() {
                $crate::compat::insight::House::run(keyreeve_acceptance::Engine::Postgres, async |house| test(house).await);
            }
        }
    )*};
}

pub(crate) use on_insight;

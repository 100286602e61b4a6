//! The handlers through their router, as browsers meet them.

mod flows;
mod house;
mod refusals;
mod two_step;

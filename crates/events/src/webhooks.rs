//! Subscriptions: what people do with them, how messages are made, how they are carried.

mod courier;
mod log;
mod message;
mod model;
mod sealed;
mod service;

pub(crate) use courier::Couriers;
pub use courier::GIVE_UP_AFTER;
pub use log::{Delivery, DeliveryKind, DeliveryState, KEPT_DAYS, KEPT_PER_WEBHOOK};
pub use message::{SharedSecret, sign};
pub use model::{NewWebhook, Skip, Webhook, WebhookPatch, WebhookState};
pub use sealed::SEALED;
pub use service::{MAX_OVERLAP, MAX_WEBHOOKS, Webhooks};

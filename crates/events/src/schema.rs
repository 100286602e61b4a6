//! Tables and statements of the events room.

use keyreeve_store::{Migration, Statement, statements};

/// The room's tables. A secret is kept sealed under its tenant's data key.
///
/// `webhook.position` is the number of the last entry that the subscription has done with. `version` counts the changes
/// that people make; what deliveries write does not touch it.
pub const MIGRATIONS: &[Migration] = &[Migration {
    id: "events/0001_webhooks",
    sql: "
CREATE TABLE webhook (
    id {uuid} PRIMARY KEY,
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    url {text} NOT NULL,
    description {text},
    actions {json} NOT NULL,
    outcome {text},
    enabled {bool} NOT NULL,
    sealed_secret {blob} NOT NULL,
    sealed_previous {blob},
    previous_until {time},
    position {int} NOT NULL,
    attempts {int} NOT NULL,
    retry_at {time},
    failing_since {time},
    last_success_at {time},
    last_failure_at {time},
    last_error {text},
    lease_by {uuid},
    lease_until {time},
    created_at {time} NOT NULL,
    updated_at {time} NOT NULL,
    version {int} NOT NULL
) {strict};
CREATE INDEX webhook_tenant ON webhook (tenant_id, id);
CREATE TABLE webhook_delivery (
    id {uuid} PRIMARY KEY,
    tenant_id {uuid} NOT NULL,
    webhook_id {uuid} NOT NULL REFERENCES webhook (id) ON DELETE CASCADE,
    kind {text} NOT NULL,
    message_id {uuid} NOT NULL,
    seq {int},
    action {text} NOT NULL,
    state {text} NOT NULL,
    attempts {int} NOT NULL,
    status {int},
    error {text},
    latency_us {int} NOT NULL,
    first_at {time} NOT NULL,
    last_at {time} NOT NULL
) {strict};
CREATE INDEX webhook_delivery_log ON webhook_delivery (webhook_id, id);
CREATE UNIQUE INDEX webhook_delivery_message ON webhook_delivery (webhook_id, message_id) WHERE kind = 'event';
CREATE INDEX webhook_delivery_age ON webhook_delivery (last_at);
",
}];

/// Every statement of the room, for the test that prepares them all on both engines.
pub static EVERY_STATEMENT: &[&Statement] = STATEMENTS;

/// The columns of a subscription, in the order in which they are read.
macro_rules! webhook {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            "id, tenant_id, url, description, actions, outcome, enabled, previous_until, position, attempts, retry_at, \
             failing_since, last_success_at, last_failure_at, last_error, created_at, updated_at, version, \
             sealed_secret, sealed_previous",
            $after
        )
    };
}

/// The columns of a line in the log of deliveries.
macro_rules! delivery {
    ($after:literal) => {
        concat!(
            "SELECT id, webhook_id, kind, message_id, seq, action, state, attempts, status, error, latency_us, \
             first_at, last_at FROM webhook_delivery WHERE tenant_id = $1 AND webhook_id = $2 AND ",
            $after
        )
    };
}

statements! {
    /// A new subscription.
    pub(crate) INSERT = "INSERT INTO webhook (id, tenant_id, url, description, actions, outcome, enabled, sealed_secret, \
        position, attempts, created_at, updated_at, version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10, $10, 1)";
    /// One.
    pub(crate) GET = webhook!("SELECT ", " FROM webhook WHERE tenant_id = $1 AND id = $2");
    /// One, about to be changed.
    pub(crate) GET_FOR_UPDATE = webhook!("SELECT ", " FROM webhook WHERE tenant_id = $1 AND id = $2 {for_update}");
    /// A tenant's, oldest first.
    pub(crate) LIST = webhook!("SELECT ", " FROM webhook WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3");
    /// How many a tenant has.
    pub(crate) COUNT = "SELECT COUNT(*) FROM webhook WHERE tenant_id = $1";
    /// Changes what people set.
    pub(crate) UPDATE = "UPDATE webhook SET url = $3, description = $4, actions = $5, outcome = $6, enabled = $7, \
        updated_at = $8, version = version + 1 WHERE tenant_id = $1 AND id = $2 AND version = $9";
    /// Gives it another secret.
    pub(crate) SET_SECRET = "UPDATE webhook SET sealed_previous = sealed_secret, previous_until = $4, sealed_secret = $3, \
        updated_at = $5, version = version + 1 WHERE tenant_id = $1 AND id = $2";
    /// Lets it go on, from there. Whoever is delivering loses the lease, and with it the word on the position.
    pub(crate) RESUME = "UPDATE webhook SET position = $3, attempts = 0, retry_at = NULL, failing_since = NULL, \
        lease_by = NULL, lease_until = NULL, updated_at = $4, version = version + 1 WHERE tenant_id = $1 AND id = $2";
    /// Removes it, with its log.
    pub(crate) DELETE = "DELETE FROM webhook WHERE tenant_id = $1 AND id = $2";
    /// Subscriptions that may be delivered to at this moment, whether or not they are behind.
    pub(crate) DUE = "SELECT id, tenant_id, position FROM webhook WHERE id > $1 AND enabled = $2 AND failing_since IS NULL \
        AND (retry_at IS NULL OR retry_at <= $3) AND (lease_until IS NULL OR lease_until <= $3) ORDER BY id LIMIT $4";
    /// Takes the lease on one of them, if nobody else has it.
    pub(crate) CLAIM = webhook!("UPDATE webhook SET lease_by = $2, lease_until = $4 WHERE id = $1 AND enabled = $5 \
        AND failing_since IS NULL AND (retry_at IS NULL OR retry_at <= $3) \
        AND (lease_until IS NULL OR lease_until <= $3) RETURNING ", "");
    /// Moves on, by whoever has the lease. Answers the version, so that a change by people is noticed.
    pub(crate) ADVANCE = "UPDATE webhook SET position = $3, attempts = 0, retry_at = NULL, last_success_at = $4, \
        last_error = NULL, lease_until = $5 WHERE id = $1 AND lease_by = $2 RETURNING version";
    /// Passes over entries that are not wanted.
    pub(crate) PASS = "UPDATE webhook SET position = $3, lease_until = $4 WHERE id = $1 AND lease_by = $2 RETURNING version";
    /// Counts a failure, gives the lease back, and says when to try again, or since when it is failing.
    pub(crate) FAIL = "UPDATE webhook SET attempts = $3, retry_at = $4, failing_since = $5, last_failure_at = $6, \
        last_error = $7, lease_by = NULL, lease_until = NULL WHERE id = $1 AND lease_by = $2";
    /// Gives the lease back.
    pub(crate) RELEASE = "UPDATE webhook SET lease_by = NULL, lease_until = NULL WHERE id = $1 AND lease_by = $2";
    /// Notes an attempt; another one at the same entry counts on in its line.
    pub(crate) LOG_EVENT = "INSERT INTO webhook_delivery (id, tenant_id, webhook_id, kind, message_id, seq, action, state, \
        attempts, status, error, latency_us, first_at, last_at) \
        VALUES ($1, $2, $3, 'event', $4, $5, $6, $7, 1, $8, $9, $10, $11, $11) \
        ON CONFLICT (webhook_id, message_id) WHERE kind = 'event' DO UPDATE SET state = excluded.state, \
        attempts = webhook_delivery.attempts + 1, status = excluded.status, error = excluded.error, \
        latency_us = excluded.latency_us, last_at = excluded.last_at";
    /// Notes an attempt that somebody asked for.
    pub(crate) LOG_BY_HAND = "INSERT INTO webhook_delivery (id, tenant_id, webhook_id, kind, message_id, seq, action, state, \
        attempts, status, error, latency_us, first_at, last_at) \
        VALUES ($1, $2, $3, $12, $4, $5, $6, $7, 1, $8, $9, $10, $11, $11)";
    /// The log of a subscription, newest first.
    pub(crate) DELIVERIES = delivery!("id < $3 ORDER BY id DESC LIMIT $4");
    /// One line of it.
    pub(crate) DELIVERY = delivery!("id = $3");
    /// Forgets lines by age.
    pub(crate) PRUNE_OLD = "DELETE FROM webhook_delivery WHERE id IN \
        (SELECT id FROM webhook_delivery WHERE last_at < $1 ORDER BY last_at LIMIT $2)";
    /// Forgets the oldest lines of a subscription that has more than enough.
    pub(crate) PRUNE_MANY = "DELETE FROM webhook_delivery WHERE webhook_id = $1 AND id <= \
        (SELECT id FROM webhook_delivery WHERE webhook_id = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)";
    /// Secrets that another data key sealed.
    pub(crate) SECRETS_TO_RESEAL = "SELECT id, sealed_secret FROM webhook WHERE tenant_id = $1 AND id > $2 \
        AND substr(sealed_secret, 2, 8) <> $3 ORDER BY id LIMIT $4";
    /// Seals one anew, if it is still the same.
    pub(crate) RESEAL_SECRET = "UPDATE webhook SET sealed_secret = $4 WHERE tenant_id = $1 AND id = $2 \
        AND sealed_secret = $3";
    /// How many there are, up to a bound.
    pub(crate) SECRETS_LEFT = "SELECT COUNT(*) FROM (SELECT 1 FROM webhook WHERE tenant_id = $1 \
        AND substr(sealed_secret, 2, 8) <> $2 LIMIT $3) AS found";
    /// Former secrets that another data key sealed.
    pub(crate) PREVIOUS_TO_RESEAL = "SELECT id, sealed_previous FROM webhook WHERE tenant_id = $1 AND id > $2 \
        AND sealed_previous IS NOT NULL AND substr(sealed_previous, 2, 8) <> $3 ORDER BY id LIMIT $4";
    /// Seals one anew, if it is still the same.
    pub(crate) RESEAL_PREVIOUS = "UPDATE webhook SET sealed_previous = $4 WHERE tenant_id = $1 AND id = $2 \
        AND sealed_previous = $3";
    /// How many there are, up to a bound.
    pub(crate) PREVIOUS_LEFT = "SELECT COUNT(*) FROM (SELECT 1 FROM webhook WHERE tenant_id = $1 \
        AND sealed_previous IS NOT NULL AND substr(sealed_previous, 2, 8) <> $2 LIMIT $3) AS found";
    /// All subscriptions, page by page.
    pub(crate) EVERY_ID = "SELECT id FROM webhook WHERE id > $1 ORDER BY id LIMIT $2";
}

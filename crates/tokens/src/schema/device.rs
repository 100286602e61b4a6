//! Devices that wait for their user's word (RFC 8628).

use keyreeve_store::{Migration, statements};

/// A device's request is found by its identifier, which its device code seals, and by the digest of its user code. Both
/// codes are kept as digests only. What it leads to is a grant of the same identifier.
pub(super) const MIGRATION: Migration = Migration {
    id: "tokens/0010_device_requests",
    sql: "
CREATE TABLE device_request (
    id {uuid} PRIMARY KEY,
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    client {uuid} NOT NULL REFERENCES oauth_client (id) ON DELETE CASCADE,
    device_digest {blob} NOT NULL,
    user_digest {blob} NOT NULL,
    scope {text} NOT NULL,
    address {text},
    state {text} NOT NULL CHECK (state IN ('waiting', 'allowed', 'denied', 'redeemed')),
    created_at {time} NOT NULL,
    expires_at {time} NOT NULL,
    interval_s {int} NOT NULL,
    next_poll_at {time} NOT NULL,
    user_id {uuid} REFERENCES user_account (id),
    session_id {uuid},
    auth_time {time},
    amr {json},
    acr {text}
) {strict};
CREATE UNIQUE INDEX device_request_code ON device_request (tenant_id, user_digest);
CREATE INDEX device_request_expiry ON device_request (expires_at);
CREATE INDEX device_request_client ON device_request (client);
",
};

/// For which resources a device began to wait (RFC 8707); none for what its client's tokens are usually for.
pub(super) const RESOURCES: Migration = Migration {
    id: "tokens/0014_device_resources",
    sql: "ALTER TABLE device_request ADD COLUMN resources {json};",
};

statements! {
    /// A device that begins to wait; zero rows mean that somebody else was given this user code.
    pub(crate) INSERT_DEVICE = "INSERT INTO device_request (id, tenant_id, client, device_digest, user_digest, scope, \
        address, state, created_at, expires_at, interval_s, next_poll_at, resources) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, 'waiting', $8, $9, $10, $8, $11) ON CONFLICT (tenant_id, user_digest) DO NOTHING";
    /// Who waits under a user code.
    pub(crate) DEVICE_BY_USER_CODE = "SELECT id, client, scope, address FROM device_request \
        WHERE tenant_id = $1 AND user_digest = $2 AND state = 'waiting' AND expires_at > $3";
    /// Who waits, by its identifier.
    pub(crate) DEVICE_WAITING = "SELECT id, client, scope, address FROM device_request \
        WHERE tenant_id = $1 AND id = $2 AND state = 'waiting' AND expires_at > $3";
    /// The user says yes: of any number of answers, one counts.
    pub(crate) ALLOW_DEVICE = "UPDATE device_request SET state = 'allowed', user_id = $4, session_id = $5, auth_time = $6, \
        amr = $7, acr = $8 WHERE tenant_id = $1 AND id = $2 AND state = 'waiting' AND expires_at > $3";
    /// The user says no.
    pub(crate) DENY_DEVICE = "UPDATE device_request SET state = 'denied' \
        WHERE tenant_id = $1 AND id = $2 AND state = 'waiting' AND expires_at > $3";
    /// What a device that asks is told by, held until the transaction ends.
    pub(crate) HOLD_DEVICE = "SELECT client, scope, state, expires_at, interval_s, next_poll_at, user_id, session_id, \
        auth_time, amr, acr, resources FROM device_request \
        WHERE tenant_id = $1 AND id = $2 AND device_digest = $3 {for_update}";
    /// When the device may ask again.
    pub(crate) PACE_DEVICE = "UPDATE device_request SET interval_s = $3, next_poll_at = $4 WHERE tenant_id = $1 AND id = $2";
    /// Redeems an approval: of any number of attempts, one gets the row.
    pub(crate) REDEEM_DEVICE = "UPDATE device_request SET state = 'redeemed' \
        WHERE tenant_id = $1 AND id = $2 AND state = 'allowed'";
    /// Forgets requests that have expired.
    pub(crate) PRUNE_DEVICES = "DELETE FROM device_request WHERE expires_at < $1";
}

//! The life of data keys: which of them are retired, and how far what they sealed has been sealed anew.

use keyreeve_store::{Migration, statements};

/// `place` is the column whose values are sealed anew, `reached` the last row of it that has been looked at.
pub(super) const MIGRATION: Migration = Migration {
    id: "identity/0024_data_key_rotation",
    sql: "
ALTER TABLE tenant_data_key ADD COLUMN retired_at {time};
CREATE INDEX tenant_data_key_retired ON tenant_data_key (tenant_id) WHERE retired_at IS NOT NULL;
CREATE INDEX totp_device_tenant ON totp_device (tenant_id, id);
CREATE INDEX outgoing_mail_sealed ON outgoing_mail (tenant_id, id) WHERE sealed IS NOT NULL;

CREATE TABLE data_key_rotation (
    tenant_id {uuid} PRIMARY KEY REFERENCES tenant (id),
    data_key {uuid} NOT NULL,
    place {text} NOT NULL,
    reached {uuid} NOT NULL,
    resealed {int} NOT NULL,
    failed {int} NOT NULL,
    total {int},
    started_at {time} NOT NULL,
    finished_at {time}
) {strict};
CREATE INDEX data_key_rotation_open ON data_key_rotation (tenant_id) WHERE finished_at IS NULL;
",
};

statements! {
    /// The keys that do not seal any more.
    pub(crate) RETIRE_DATA_KEYS = "UPDATE tenant_data_key SET retired_at = $3 WHERE tenant_id = $1 AND id <> $2 \
        AND retired_at IS NULL";
    /// A tenant's data keys as they may be shown, newest first.
    pub(crate) DATA_KEY_STATES = "SELECT id, created_at, retired_at FROM tenant_data_key WHERE tenant_id = $1 \
        ORDER BY (retired_at IS NOT NULL), created_at DESC, id DESC";
    /// Destroys a key that does not seal any more.
    pub(crate) DELETE_DATA_KEY = "DELETE FROM tenant_data_key WHERE tenant_id = $1 AND id = $2 AND retired_at IS NOT NULL";
    /// The tenants that have retired keys, a page of them.
    pub(crate) RETIRED_PAGE = "SELECT DISTINCT tenant_id FROM tenant_data_key WHERE retired_at IS NOT NULL \
        AND tenant_id > $1 ORDER BY tenant_id LIMIT $2";
    /// How many data keys each master key wraps.
    pub(crate) MASTER_KEYS = "SELECT substr(wrapped, 2, 8), COUNT(*) FROM tenant_data_key GROUP BY substr(wrapped, 2, 8)";

    /// Begins to seal anew.
    pub(crate) START_ROTATION = "INSERT INTO data_key_rotation (tenant_id, data_key, place, reached, resealed, failed, \
        started_at) VALUES ($1, $2, '', $3, 0, 0, $4) ON CONFLICT (tenant_id) DO UPDATE SET \
        data_key = excluded.data_key, place = '', reached = excluded.reached, resealed = 0, failed = 0, total = NULL, \
        started_at = excluded.started_at, finished_at = NULL";
    /// How far a tenant is.
    pub(crate) ROTATION = "SELECT data_key, place, reached, resealed, failed, total, started_at, finished_at \
        FROM data_key_rotation WHERE tenant_id = $1";
    /// The same, for whoever goes on with it.
    pub(crate) OPEN_ROTATION = "SELECT data_key, place, reached, resealed, failed, total, started_at, finished_at \
        FROM data_key_rotation WHERE tenant_id = $1 AND finished_at IS NULL {for_update}";
    /// How much there was to do at the beginning.
    pub(crate) SET_ROTATION_TOTAL = "UPDATE data_key_rotation SET total = $3 WHERE tenant_id = $1 AND data_key = $2 \
        AND total IS NULL";
    /// One batch further.
    pub(crate) ADVANCE_ROTATION = "UPDATE data_key_rotation SET place = $3, reached = $4, resealed = $5, failed = $6 \
        WHERE tenant_id = $1 AND data_key = $2";
    /// Counts what was sealed anew elsewhere.
    pub(crate) NOTE_RESEALED = "UPDATE data_key_rotation SET resealed = resealed + $2 WHERE tenant_id = $1 \
        AND finished_at IS NULL";
    /// Done with everything.
    pub(crate) FINISH_ROTATION = "UPDATE data_key_rotation SET finished_at = $3 WHERE tenant_id = $1 AND data_key = $2";
    /// From the beginning once more: something was left.
    pub(crate) REOPEN_ROTATION = "UPDATE data_key_rotation SET place = '', reached = $2, total = NULL, failed = 0, \
        finished_at = NULL WHERE tenant_id = $1";
    /// The tenants that are not done.
    pub(crate) OPEN_ROTATIONS = "SELECT tenant_id FROM data_key_rotation WHERE finished_at IS NULL ORDER BY tenant_id \
        LIMIT $1";

    // ── what this room keeps sealed ──

    /// Secrets of devices that another key sealed.
    pub(crate) TOTP_TO_RESEAL = "SELECT id, user_id, sealed_secret FROM totp_device WHERE tenant_id = $1 AND id > $2 \
        AND substr(sealed_secret, 2, 8) <> $3 ORDER BY id LIMIT $4";
    /// Seals one anew, if it is still the same.
    pub(crate) RESEAL_TOTP = "UPDATE totp_device SET sealed_secret = $4 WHERE tenant_id = $1 AND id = $2 \
        AND sealed_secret = $3";
    /// How many there are, up to a bound.
    pub(crate) TOTP_LEFT = "SELECT COUNT(*) FROM (SELECT 1 FROM totp_device WHERE tenant_id = $1 \
        AND substr(sealed_secret, 2, 8) <> $2 LIMIT $3) AS found";
    /// Mail that waits, which another key sealed.
    pub(crate) MAIL_TO_RESEAL = "SELECT id, user_id, sealed FROM outgoing_mail WHERE tenant_id = $1 AND id > $2 \
        AND sealed IS NOT NULL AND substr(sealed, 2, 8) <> $3 ORDER BY id LIMIT $4";
    /// Seals one anew, if it is still the same.
    pub(crate) RESEAL_MAIL = "UPDATE outgoing_mail SET sealed = $4 WHERE tenant_id = $1 AND id = $2 AND sealed = $3";
    /// How many there are, up to a bound.
    pub(crate) MAIL_LEFT = "SELECT COUNT(*) FROM (SELECT 1 FROM outgoing_mail WHERE tenant_id = $1 AND sealed IS NOT NULL \
        AND substr(sealed, 2, 8) <> $2 LIMIT $3) AS found";
    /// How many requests are remembered under another key, up to a bound. They are forgotten by themselves.
    pub(crate) REQUESTS_LEFT = "SELECT COUNT(*) FROM (SELECT 1 FROM request_key WHERE tenant_id = $1 \
        AND substr(fingerprint, 2, 8) <> $2 LIMIT $3) AS found";
}

//! One-time codes: the devices that make them, and the codes for the day on which the device is lost.

use keyreeve_store::{Migration, statements};

/// The tables. Secrets are sealed; recovery codes are kept as digests.
pub(crate) const MIGRATION: Migration = Migration {
    id: "identity/0020_second_factor",
    sql: "
CREATE TABLE totp_device (
    id {uuid} PRIMARY KEY,
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    user_id {uuid} NOT NULL REFERENCES user_account (id),
    name {text} NOT NULL,
    sealed_secret {blob} NOT NULL,
    algorithm {text} NOT NULL CHECK (algorithm IN ('SHA1', 'SHA256', 'SHA512')),
    digits {int} NOT NULL,
    period_s {int} NOT NULL,
    created_at {time} NOT NULL,
    confirmed_at {time},
    last_step {int},
    last_used_at {time}
) {strict};
CREATE INDEX totp_device_user ON totp_device (user_id, id);

CREATE TABLE recovery_code (
    user_id {uuid} NOT NULL REFERENCES user_account (id),
    digest {blob} NOT NULL,
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    created_at {time} NOT NULL,
    PRIMARY KEY (user_id, digest)
) {strict};
",
};

statements! {
    /// A new device.
    pub(crate) INSERT_TOTP = "INSERT INTO totp_device (id, tenant_id, user_id, name, sealed_secret, algorithm, digits, \
        period_s, created_at, confirmed_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    /// The devices of a user, oldest first.
    pub(crate) TOTP_OF = "SELECT id, name, algorithm, digits, period_s, created_at, confirmed_at, last_used_at, \
        sealed_secret FROM totp_device WHERE tenant_id = $1 AND user_id = $2 ORDER BY id";
    /// How many devices of a user are in use.
    pub(crate) TOTP_IN_USE = "SELECT COUNT(*) FROM totp_device WHERE tenant_id = $1 AND user_id = $2 \
        AND confirmed_at IS NOT NULL";
    /// Uses a step of a device's clock; zero rows mean that it, or a later one, was used before (RFC 6238 section 5.2).
    pub(crate) USE_TOTP_STEP = "UPDATE totp_device SET last_step = $4, last_used_at = $5 WHERE tenant_id = $1 \
        AND user_id = $2 AND id = $3 AND confirmed_at IS NOT NULL AND (last_step IS NULL OR last_step < $4)";
    /// Takes a device into use, by a step of its clock.
    pub(crate) CONFIRM_TOTP = "UPDATE totp_device SET confirmed_at = $5, last_step = $4, last_used_at = $5 \
        WHERE tenant_id = $1 AND user_id = $2 AND id = $3 AND confirmed_at IS NULL";
    /// Forgets a device.
    pub(crate) DELETE_TOTP = "DELETE FROM totp_device WHERE tenant_id = $1 AND user_id = $2 AND id = $3";
    /// Forgets the devices of a user that were never confirmed.
    pub(crate) DROP_UNCONFIRMED_TOTP = "DELETE FROM totp_device WHERE tenant_id = $1 AND user_id = $2 \
        AND confirmed_at IS NULL";
    /// Forgets all devices of a user.
    pub(crate) DROP_TOTP = "DELETE FROM totp_device WHERE tenant_id = $1 AND user_id = $2";
    /// A new recovery code.
    pub(crate) INSERT_RECOVERY_CODE = "INSERT INTO recovery_code (user_id, digest, tenant_id, created_at) \
        VALUES ($2, $3, $1, $4)";
    /// How many recovery codes a user has left.
    pub(crate) RECOVERY_CODES_LEFT = "SELECT COUNT(*) FROM recovery_code WHERE tenant_id = $1 AND user_id = $2";
    /// Uses a recovery code; zero rows mean that there is none such, or no longer.
    pub(crate) USE_RECOVERY_CODE = "DELETE FROM recovery_code WHERE tenant_id = $1 AND user_id = $2 AND digest = $3";
    /// Forgets all recovery codes of a user.
    pub(crate) DROP_RECOVERY_CODES = "DELETE FROM recovery_code WHERE tenant_id = $1 AND user_id = $2";
}

//! What this room keeps sealed, for a change of the data key.

use keyreeve_store::statements;

statements! {
    /// Private keys that another data key sealed.
    pub(crate) KEYS_TO_RESEAL = "SELECT id, kid, sealed_private FROM signing_key WHERE tenant_id = $1 AND id > $2 \
        AND substr(sealed_private, 2, 8) <> $3 ORDER BY id LIMIT $4";
    /// Seals one anew, if it is still the same.
    pub(crate) RESEAL_KEY = "UPDATE signing_key SET sealed_private = $4 WHERE tenant_id = $1 AND id = $2 \
        AND sealed_private = $3";
    /// How many there are, up to a bound.
    pub(crate) KEYS_LEFT = "SELECT COUNT(*) FROM (SELECT 1 FROM signing_key WHERE tenant_id = $1 \
        AND substr(sealed_private, 2, 8) <> $2 LIMIT $3) AS found";
    /// How many pushed requests wait that another key sealed, up to a bound. They are gone in a minute.
    pub(crate) PUSHED_LEFT = "SELECT COUNT(*) FROM (SELECT 1 FROM pushed_request WHERE tenant_id = $1 \
        AND substr(sealed, 2, 8) <> $2 LIMIT $3) AS found";
    /// Until when a grant of before that moment can still be used.
    pub(crate) GRANTS_UNTIL = "SELECT expires_at FROM oauth_grant WHERE tenant_id = $1 AND created_at <= $2 \
        AND revoked_at IS NULL ORDER BY expires_at DESC LIMIT 1";
}

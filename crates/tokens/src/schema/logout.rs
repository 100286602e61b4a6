//! Who is told that a session has ended (OpenID Connect Back-Channel Logout 1.0), and how that went.

use keyreeve_store::{Migration, statements};

/// A party is a client that got tokens in a session. A delivery is one notice to one client, from the moment that the
/// session's end was noticed until it is forgotten as a line of the log.
pub(super) const MIGRATION: Migration = Migration {
    id: "tokens/0013_backchannel_logout",
    sql: "
CREATE TABLE logout_party (
    session_id {uuid} NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    client {uuid} NOT NULL REFERENCES oauth_client (id) ON DELETE CASCADE,
    PRIMARY KEY (session_id, client)
) {strict};
CREATE INDEX logout_party_client ON logout_party (client);

CREATE TABLE logout_delivery (
    id {uuid} PRIMARY KEY,
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    client {uuid} NOT NULL REFERENCES oauth_client (id) ON DELETE CASCADE,
    user_id {uuid} NOT NULL,
    session_id {uuid} NOT NULL,
    state {text} NOT NULL CHECK (state IN ('waiting', 'delivered', 'failed')),
    attempts {int} NOT NULL,
    next_at {time} NOT NULL,
    created_at {time} NOT NULL,
    finished_at {time},
    status {int},
    error {text}
) {strict};
CREATE INDEX logout_delivery_due ON logout_delivery (state, next_at);
CREATE INDEX logout_delivery_client ON logout_delivery (client, id);
",
};

statements! {
    /// A client got tokens in a session.
    pub(crate) INSERT_PARTY = "INSERT INTO logout_party (session_id, client) VALUES ($1, $2) \
        ON CONFLICT (session_id, client) DO NOTHING";
    /// The clients that got tokens in a session: as noted, and by the grants that are still kept.
    pub(crate) PARTIES = "SELECT id, settings FROM oauth_client WHERE tenant_id = $1 AND id IN ( \
        SELECT client FROM logout_party WHERE session_id = $2 UNION \
        SELECT client FROM oauth_grant WHERE user_id = $3 AND session_id = $2 AND redeemed_at IS NOT NULL)";
    /// Forgets them.
    pub(crate) CLEAR_PARTIES = "DELETE FROM logout_party WHERE session_id = $1";

    /// A notice to be delivered.
    pub(crate) INSERT_DELIVERY = "INSERT INTO logout_delivery (id, tenant_id, client, user_id, session_id, state, attempts, \
        next_at, created_at) VALUES ($1, $2, $3, $4, $5, 'waiting', 0, $6, $6)";
    /// Whether any notice is due.
    pub(crate) ANY_DUE = "SELECT COUNT(*) FROM (SELECT 1 FROM logout_delivery WHERE state = 'waiting' AND next_at <= $1 \
        LIMIT 1) AS one";
    /// How many notices wait.
    pub(crate) COUNT_WAITING = "SELECT COUNT(*) FROM logout_delivery WHERE state = 'waiting'";
    /// Takes the notices that are due: nobody else takes them before $2.
    pub(crate) CLAIM_DUE = "UPDATE logout_delivery SET attempts = attempts + 1, next_at = $2 WHERE state = 'waiting' \
        AND id IN (SELECT id FROM logout_delivery WHERE state = 'waiting' AND next_at <= $1 ORDER BY next_at, id LIMIT $3 \
        {skip_locked}) RETURNING id, tenant_id, client, user_id, session_id, attempts";
    /// A notice that was delivered, or was given up.
    pub(crate) FINISH_DELIVERY = "UPDATE logout_delivery SET state = $2, finished_at = $3, status = $4, error = $5 \
        WHERE id = $1 AND state = 'waiting'";
    /// A notice that is tried again later.
    pub(crate) RETRY_DELIVERY = "UPDATE logout_delivery SET next_at = $2, status = $3, error = $4 \
        WHERE id = $1 AND state = 'waiting'";
    /// A page of the notices to a client, newest first.
    pub(crate) DELIVERIES_OF = "SELECT id, user_id, session_id, state, attempts, next_at, created_at, finished_at, status, \
        error FROM logout_delivery WHERE tenant_id = $1 AND client = $2 AND id < $3 ORDER BY id DESC LIMIT $4";
    /// Forgets old lines of the log.
    pub(crate) PRUNE_DELIVERIES = "DELETE FROM logout_delivery WHERE finished_at < $1";
}

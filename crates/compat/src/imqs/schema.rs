//! Side tables of IMQS Auth: what the rooms do not know of its users, groups and sessions.

use keyreeve_store::{Migration, statements};

/// The side tables. Rows hang on the rooms' and go with them.
///
/// `email` stands where the original's e-mail is no address, so that the room cannot have it; `permit` is the list of group
/// numbers as it was set, and absent where none ever was. What counts as membership is the room's.
pub const MIGRATIONS: &[Migration] = &[Migration {
    id: "compat_imqs/0001_tables",
    sql: "
CREATE TABLE compat_imqs_counter (
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    kind {text} NOT NULL,
    last {int} NOT NULL,
    PRIMARY KEY (tenant_id, kind)
) {strict};

CREATE TABLE compat_imqs_user (
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    serial {int} NOT NULL,
    user_id {uuid} NOT NULL REFERENCES user_account (id) ON DELETE CASCADE,
    email {text},
    email_key {text},
    internal_uuid {uuid} NOT NULL,
    external_uuid {uuid},
    kind {int} NOT NULL,
    telephone {text} NOT NULL,
    remarks {text} NOT NULL,
    permit {json},
    created_by {int} NOT NULL,
    modified_by {int} NOT NULL,
    enabled_at {time},
    disabled_at {time},
    last_login_at {time},
    failures {int} NOT NULL,
    PRIMARY KEY (tenant_id, serial)
) {strict};
CREATE UNIQUE INDEX compat_imqs_user_room ON compat_imqs_user (user_id);
CREATE UNIQUE INDEX compat_imqs_user_email ON compat_imqs_user (tenant_id, email_key) WHERE email_key IS NOT NULL;
CREATE UNIQUE INDEX compat_imqs_user_uuid ON compat_imqs_user (tenant_id, internal_uuid);

CREATE TABLE compat_imqs_group (
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    serial {int} NOT NULL,
    group_id {uuid} NOT NULL REFERENCES directory_group (id) ON DELETE CASCADE,
    permissions {json} NOT NULL,
    PRIMARY KEY (tenant_id, serial)
) {strict};
CREATE UNIQUE INDEX compat_imqs_group_room ON compat_imqs_group (group_id);

CREATE TABLE compat_imqs_session (
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    digest {blob} NOT NULL,
    session_id {uuid} NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    PRIMARY KEY (tenant_id, digest)
) {strict};
CREATE INDEX compat_imqs_session_room ON compat_imqs_session (session_id);

CREATE TABLE compat_imqs_reset (
    user_id {uuid} PRIMARY KEY REFERENCES user_account (id) ON DELETE CASCADE,
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    digest {blob} NOT NULL,
    password_version {int} NOT NULL
) {strict};

CREATE TABLE compat_imqs_notice (
    id {uuid} PRIMARY KEY,
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    body {text} NOT NULL,
    attempts {int} NOT NULL,
    due_at {time} NOT NULL
) {strict};
CREATE INDEX compat_imqs_notice_due ON compat_imqs_notice (tenant_id, due_at);
",
}];

/// The columns of a user's side row, in the order in which they are read.
macro_rules! person {
    ($after:literal) => {
        concat!(
            "SELECT serial, user_id, email, internal_uuid, external_uuid, kind, telephone, remarks, permit, created_by, \
             modified_by, enabled_at, disabled_at, last_login_at, failures FROM compat_imqs_user WHERE tenant_id = $1",
            $after
        )
    };
}

statements! {
    /// The next number of a kind.
    pub(crate) NEXT = "INSERT INTO compat_imqs_counter (tenant_id, kind, last) VALUES ($1, $2, 1) \
        ON CONFLICT (tenant_id, kind) DO UPDATE SET last = compat_imqs_counter.last + 1 RETURNING last";
    /// Has the numbers of a kind go on behind one.
    pub(crate) NUMBERS_BEHIND = "INSERT INTO compat_imqs_counter (tenant_id, kind, last) VALUES ($1, $2, $3) \
        ON CONFLICT (tenant_id, kind) DO UPDATE SET last = excluded.last WHERE compat_imqs_counter.last < excluded.last";

    /// A user's side row.
    pub(crate) PERSON = person!(" AND user_id = $2");
    /// The side row of a number.
    pub(crate) PERSON_OF_SERIAL = person!(" AND serial = $2");
    /// The side row of an e-mail that is no address.
    pub(crate) PERSON_OF_EMAIL = person!(" AND email_key = $2");
    /// Side rows behind a number.
    pub(crate) PEOPLE = person!(" AND serial > $2 ORDER BY serial LIMIT $3");
    /// A new side row; none where the user has one.
    pub(crate) INSERT_PERSON = "INSERT INTO compat_imqs_user (tenant_id, serial, user_id, email, email_key, internal_uuid, \
        external_uuid, kind, telephone, remarks, permit, created_by, modified_by, enabled_at, disabled_at, last_login_at, failures) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, 0) ON CONFLICT (user_id) DO NOTHING";
    /// Writes what an administrator can change.
    pub(crate) UPDATE_PERSON = "UPDATE compat_imqs_user SET email = $3, email_key = $4, kind = $5, telephone = $6, remarks = $7, \
        modified_by = $8 WHERE tenant_id = $1 AND user_id = $2";
    /// Writes an e-mail that is no address.
    pub(crate) RENAME_PERSON = "UPDATE compat_imqs_user SET email = $3, email_key = $4, modified_by = $5 \
        WHERE tenant_id = $1 AND user_id = $2";
    /// Writes a permit.
    pub(crate) SET_PERMIT = "UPDATE compat_imqs_user SET permit = $3, modified_by = $4, enabled_at = $5, disabled_at = $6 \
        WHERE tenant_id = $1 AND user_id = $2";
    /// Frees an archived user's e-mail.
    pub(crate) ARCHIVE_PERSON = "UPDATE compat_imqs_user SET email_key = NULL, modified_by = $3 \
        WHERE tenant_id = $1 AND user_id = $2";
    /// Counts a failure.
    pub(crate) COUNT_FAILURE = "UPDATE compat_imqs_user SET failures = failures + 1 WHERE tenant_id = $1 AND user_id = $2 \
        RETURNING failures";
    /// Forgets the failures.
    pub(crate) CLEAR_FAILURES = "UPDATE compat_imqs_user SET failures = 0 WHERE tenant_id = $1 AND user_id = $2";
    /// Notes a sign-in.
    pub(crate) NOTE_LOGIN = "UPDATE compat_imqs_user SET failures = 0, last_login_at = $3 WHERE tenant_id = $1 AND user_id = $2";

    /// The groups, in the order of their numbers.
    pub(crate) GROUPS = "SELECT serial, group_id, permissions FROM compat_imqs_group WHERE tenant_id = $1 ORDER BY serial LIMIT $2";
    /// A new group.
    pub(crate) INSERT_GROUP = "INSERT INTO compat_imqs_group (tenant_id, serial, group_id, permissions) VALUES ($1, $2, $3, $4)";
    /// Writes a group's permissions.
    pub(crate) SET_PERMISSIONS = "UPDATE compat_imqs_group SET permissions = $3 WHERE tenant_id = $1 AND group_id = $2";

    /// A new representation of a session.
    pub(crate) INSERT_SESSION = "INSERT INTO compat_imqs_session (tenant_id, digest, session_id) VALUES ($1, $2, $3)";
    /// The session of a representation.
    pub(crate) SESSION = "SELECT session_id FROM compat_imqs_session WHERE tenant_id = $1 AND digest = $2";

    /// Writes a user's reset token in place of a former one.
    pub(crate) PUT_RESET = "INSERT INTO compat_imqs_reset (user_id, tenant_id, digest, password_version) VALUES ($1, $2, $3, $4) \
        ON CONFLICT (user_id) DO UPDATE SET digest = excluded.digest, password_version = excluded.password_version";
    /// A user's reset token.
    pub(crate) RESET = "SELECT digest, password_version FROM compat_imqs_reset WHERE tenant_id = $1 AND user_id = $2";
    /// Uses a reset token up.
    pub(crate) USE_RESET = "DELETE FROM compat_imqs_reset WHERE tenant_id = $1 AND user_id = $2 AND digest = $3";
    /// Takes a user's reset token away.
    pub(crate) FORGET_RESET = "DELETE FROM compat_imqs_reset WHERE tenant_id = $1 AND user_id = $2";

    /// A notice to be sent.
    pub(crate) INSERT_NOTICE = "INSERT INTO compat_imqs_notice (id, tenant_id, body, attempts, due_at) VALUES ($1, $2, $3, 0, $4)";
    /// Takes notices that are due, each put off until `$4`, so that nobody else sends them.
    pub(crate) CLAIM_NOTICES = "UPDATE compat_imqs_notice SET due_at = $4, attempts = attempts + 1 WHERE id IN \
        (SELECT id FROM compat_imqs_notice WHERE tenant_id = $1 AND due_at <= $2 ORDER BY due_at, id LIMIT $3 {skip_locked}) \
        RETURNING id, body, attempts";
    /// Puts a notice off.
    pub(crate) PUT_NOTICE_OFF = "UPDATE compat_imqs_notice SET due_at = $2 WHERE id = $1";
    /// Forgets a notice.
    pub(crate) FORGET_NOTICE = "DELETE FROM compat_imqs_notice WHERE id = $1";
}

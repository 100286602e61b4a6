//! Tables and statements of the transfer room.

use keyreeve_store::{Migration, Statement, statements};

/// The room's tables.
pub const MIGRATIONS: &[Migration] = &[Migration {
    id: "transfer/0001_imports",
    sql: "
CREATE TABLE import_run (
    id {uuid} PRIMARY KEY,
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    mode {text} NOT NULL,
    source {text} NOT NULL,
    finished_at {time},
    lines {int} NOT NULL,
    digest {blob} NOT NULL,
    counts {json} NOT NULL,
    created_at {time} NOT NULL,
    updated_at {time} NOT NULL
) {strict};
CREATE INDEX import_run_tenant ON import_run (tenant_id, id);
",
}];

/// The tables of a trial's own database, which lives as long as the trial.
pub(crate) const TRIAL: &[Migration] = &[Migration {
    id: "trial/0001_seen",
    sql: "CREATE TABLE seen (key {blob} PRIMARY KEY, id {uuid} NOT NULL) {strict};",
}];

/// Every statement of the room that runs on the server's database, for the test that prepares them all.
pub static STATEMENTS: &[&Statement] = runs::STATEMENTS;

pub(crate) use runs::{ADVANCE, FINISH, INSERT_RUN, RUN, RUN_PAGE};
pub(crate) use trial::{KNOWN, REMEMBER};

mod runs {
    use super::statements;

    statements! {
        /// A new import; zero rows mean that there is one of this identifier.
        pub(crate) INSERT_RUN = "INSERT INTO import_run (id, tenant_id, mode, source, lines, digest, counts, created_at, \
            updated_at) VALUES ($1, $2, $3, $4, 0, $5, $6, $7, $7) ON CONFLICT (id) DO NOTHING";
        /// One import.
        pub(crate) RUN = "SELECT id, mode, source, finished_at, lines, digest, counts, created_at, updated_at \
            FROM import_run WHERE tenant_id = $1 AND id = $2";
        /// A page of a tenant's imports, newest first.
        pub(crate) RUN_PAGE = "SELECT id, mode, source, finished_at, lines, digest, counts, created_at, updated_at \
            FROM import_run WHERE tenant_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3";
        /// Notes how far an import has come, if it still is where it was: of two that run, one goes on.
        pub(crate) ADVANCE = "UPDATE import_run SET lines = $4, digest = $5, counts = $6, updated_at = $7, \
            finished_at = NULL WHERE tenant_id = $1 AND id = $2 AND lines = $3";
        /// Notes that an import has come to its end; zero rows mean that this was known.
        pub(crate) FINISH = "UPDATE import_run SET finished_at = $4, updated_at = $4 \
            WHERE tenant_id = $1 AND id = $2 AND lines = $3 AND finished_at IS NULL";
    }
}

mod trial {
    use super::statements;

    statements! {
        /// What an earlier line would have made.
        pub(crate) KNOWN = "SELECT id FROM seen WHERE key = $1";
        /// Notes what a line would have made.
        pub(crate) REMEMBER = "INSERT INTO seen (key, id) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING";
    }
}

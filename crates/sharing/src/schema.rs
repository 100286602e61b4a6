//! Tables and statements of the sharing room.

use keyreeve_store::{Migration, Statement, joined_statements};

mod bulk;
mod model;
mod read;
mod write;

pub(crate) use bulk::*;
pub(crate) use model::*;
pub(crate) use read::*;
pub(crate) use write::*;

/// How many resources, by their numbers, stand together in the index of grants by subject: 2 to this power. An index in
/// which each subject's grants stood together would have every insert of a load touch another page; this one has a load
/// in the order of the resources touch those of the present block alone, and a subject's grants found by one look into
/// each block.
pub(crate) const BLOCK_BITS: u32 = 14;

/// The room's tables. Keys are numbers that never leave the room but inside opaque texts; identifiers are the callers'.
/// A resource without an identifier was removed and waits to be swept; so does, unmarked, everything below it.
pub const MIGRATIONS: &[Migration] = &[Migration {
    id: "sharing/0001_tables",
    sql: "
CREATE TABLE sharing_tree (
    tenant_id {uuid} PRIMARY KEY REFERENCES tenant (id),
    epoch {int} NOT NULL
) {strict};

CREATE TABLE sharing_type (
    key {serial},
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    id {text} NOT NULL,
    name {text} NOT NULL,
    description {text},
    created_at {time} NOT NULL,
    updated_at {time} NOT NULL,
    version {int} NOT NULL
) {strict};
CREATE UNIQUE INDEX sharing_type_id ON sharing_type (tenant_id, id);

CREATE TABLE sharing_permission (
    key {serial},
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    type_key {int} REFERENCES sharing_type (key),
    id {text} NOT NULL,
    name {text} NOT NULL,
    description {text},
    shares {bool} NOT NULL,
    created_at {time} NOT NULL,
    updated_at {time} NOT NULL,
    version {int} NOT NULL
) {strict};
CREATE UNIQUE INDEX sharing_permission_of_type ON sharing_permission (type_key, id) WHERE type_key IS NOT NULL;
CREATE UNIQUE INDEX sharing_permission_common ON sharing_permission (tenant_id, id) WHERE type_key IS NULL;
CREATE INDEX sharing_permission_tenant ON sharing_permission (tenant_id, key);

CREATE TABLE sharing_implication (
    permission_key {int} NOT NULL REFERENCES sharing_permission (key),
    implied_key {int} NOT NULL REFERENCES sharing_permission (key),
    PRIMARY KEY (permission_key, implied_key)
) {clustered};
CREATE INDEX sharing_implication_implied ON sharing_implication (implied_key);

CREATE TABLE sharing_resource (
    key {serial},
    tenant_id {uuid} NOT NULL REFERENCES tenant (id),
    id {text},
    type_key {int} NOT NULL REFERENCES sharing_type (key),
    parent_key {int} REFERENCES sharing_resource (key),
    owner_kind {int} NOT NULL,
    owner_id {uuid} NOT NULL,
    created_at {time} NOT NULL,
    updated_at {time} NOT NULL,
    version {int} NOT NULL,
    name {text} NOT NULL,
    description {text},
    full_text {text},
    attributes {json},
    metadata {blob}
) {strict};
CREATE UNIQUE INDEX sharing_resource_id ON sharing_resource (tenant_id, id);
CREATE INDEX sharing_resource_tenant ON sharing_resource (tenant_id, key);
CREATE INDEX sharing_resource_parent ON sharing_resource (parent_key, key);
CREATE INDEX sharing_resource_type ON sharing_resource (type_key, key);
CREATE INDEX sharing_resource_owner ON sharing_resource ((key >> 14), owner_id, key);
CREATE INDEX sharing_resource_gone ON sharing_resource (key) WHERE id IS NULL;

CREATE TABLE sharing_grant (
    resource_key {int} NOT NULL REFERENCES sharing_resource (key),
    party_id {uuid} NOT NULL,
    permission_key {int} NOT NULL,
    party_kind {int} NOT NULL,
    cascades {bool} NOT NULL,
    expires_at {time},
    granted_kind {int} NOT NULL,
    granted_id {uuid},
    created_at {time} NOT NULL,
    PRIMARY KEY (resource_key, party_id, permission_key)
) {clustered};
CREATE INDEX sharing_grant_party ON sharing_grant
    ((resource_key >> 14), party_id, resource_key, permission_key, cascades, expires_at);
",
}];

const COUNT: usize =
    model::STATEMENTS.len() + read::STATEMENTS.len() + write::STATEMENTS.len() + bulk::STATEMENTS.len();
static ALL: [&Statement; COUNT] =
    joined_statements(&[model::STATEMENTS, read::STATEMENTS, write::STATEMENTS, bulk::STATEMENTS]);

/// Every statement of the room that is put together, which [`STATEMENTS`] cannot hold, for the same tests.
pub fn composed_statements() -> impl Iterator<Item = &'static Statement> {
    crate::engine::composed()
}

/// Every statement of the room, for the test that prepares them all on both engines.
pub static STATEMENTS: &[&Statement] = &ALL;

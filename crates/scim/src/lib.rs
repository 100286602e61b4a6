//! The SCIM 2.0 door (RFC 7643, RFC 7644, RFC 9865): other systems provision a tenant's users and groups through it, below
//! `/scim/v2/{tenant}`.
//!
//! | module | what |
//! |---|---|
//! | `schema` | the one table of attributes: documents, rules for requests and answers, and the meaning of paths follow from it |
//! | `document` | requests brought into one form by the schema; what of a resource an answer shows |
//! | `user`, `group` | users and groups of the room as resources and back, without I/O |
//! | `patch` | PATCH: operations, applied to a resource in the one form |
//! | `query`, `meaning`, `search` | lists: what is asked for, what its names mean to the room, the page |
//! | `resources` | what can be done: each function calls one use case of the room |
//! | `bulk` | many of these in one request |
//! | `handlers`, `call`, `body`, `answer`, `error` | HTTP |
//!
//! A caller shows an access token of the tenant with the scopes of users and groups; what it does not let its holder see is
//! not there (404). Every change is one use case of the identity room and one transaction, and minds the version that was
//! read, be it by `If-Match` or by itself.
//!
//! What it is not: it holds no rule about users and groups, and keeps nothing. What SCIM knows and the room has no field for
//! lies in the attributes of users and groups whose names begin with `scim:`.
//!
//! To add an attribute: a line in `schema/user.rs`; it is kept, shown, patched and filtered by without further ado. One for
//! which the room has a field is named in `user.rs` and `meaning.rs`. To add an endpoint: a line in [`routes`], a handler (in
//! `Called`, unless it is open to everybody), and a case in the acceptance tests, which walk the same table.

mod answer;
mod body;
mod bulk;
mod call;
mod document;
mod error;
mod group;
mod handlers;
mod limits;
mod meaning;
mod patch;
mod query;
mod resources;
mod schema;
mod search;
mod user;

pub use call::ScimState;

use call::Called;
use handlers::{Asked, Sent};
use keyreeve_http::route::{Guard, Routes};
use schema::Resource;

/// The route table of this door.
#[must_use]
pub fn routes(state: ScimState) -> Routes {
    let documents = Routes::new()
        .get(
            "/scim/v2/{tenant}/ServiceProviderConfig",
            Guard::Public,
            "scim_config",
            handlers::service_provider_config,
        )
        .get("/scim/v2/{tenant}/Schemas", Guard::Public, "scim_schemas", handlers::schemas)
        .get("/scim/v2/{tenant}/Schemas/{id}", Guard::Public, "scim_schema", handlers::schema)
        .get(
            "/scim/v2/{tenant}/ResourceTypes",
            Guard::Public,
            "scim_resource_types",
            handlers::resource_types,
        )
        .get(
            "/scim/v2/{tenant}/ResourceTypes/{id}",
            Guard::Public,
            "scim_resource_type",
            handlers::resource_type,
        );
    let own = Routes::new()
        .get("/scim/v2/{tenant}/Me", Guard::Bearer, "scim_me", Called(handlers::get_me))
        .put("/scim/v2/{tenant}/Me", Guard::Bearer, "scim_me", Called(handlers::replace_me))
        .patch("/scim/v2/{tenant}/Me", Guard::Bearer, "scim_me", Called(handlers::patch_me))
        .delete("/scim/v2/{tenant}/Me", Guard::Bearer, "scim_me", Called(handlers::delete_me));
    let all = Routes::new()
        .get("/scim/v2/{tenant}", Guard::Bearer, "scim_all", Called(handlers::list_all))
        .post("/scim/v2/{tenant}/.search", Guard::Bearer, "scim_search", Called(handlers::search_all))
        .post("/scim/v2/{tenant}/Bulk", Guard::Bearer, "scim_bulk", Called(handlers::bulk));
    // In the shape of SCIM's errors, where no other route is.
    let rest = "/scim/v2/{tenant}/{*rest}";
    let nothing = Routes::new()
        .get(rest, Guard::Public, "scim_nothing", handlers::nothing)
        .post(rest, Guard::Public, "scim_nothing", handlers::nothing)
        .put(rest, Guard::Public, "scim_nothing", handlers::nothing)
        .patch(rest, Guard::Public, "scim_nothing", handlers::nothing)
        .delete(rest, Guard::Public, "scim_nothing", handlers::nothing);
    documents.merge(own).merge(all).merge(users()).merge(groups()).merge(nothing).with_state(state)
}

fn users() -> Routes<ScimState> {
    use Resource::User;
    let (all, one, search) =
        ("/scim/v2/{tenant}/Users", "/scim/v2/{tenant}/Users/{id}", "/scim/v2/{tenant}/Users/.search");
    Routes::new()
        .get(
            all,
            Guard::Bearer,
            "scim_users",
            Called(async |call, query| handlers::list(User, call, query).await),
        )
        .post(all, Guard::Bearer, "scim_users", Called(async |sent: Sent| handlers::create(User, sent).await))
        .post(
            search,
            Guard::Bearer,
            "scim_users_search",
            Called(async |sent: Sent| handlers::search_one(User, sent).await),
        )
        .get(one, Guard::Bearer, "scim_user", Called(async |asked: Asked| handlers::get(User, asked).await))
        .put(one, Guard::Bearer, "scim_user", Called(async |sent: Sent| handlers::replace(User, sent).await))
        .patch(one, Guard::Bearer, "scim_user", Called(async |sent: Sent| handlers::patch(User, sent).await))
        .delete(
            one,
            Guard::Bearer,
            "scim_user",
            Called(async |asked: Asked| handlers::delete(User, asked).await),
        )
}

fn groups() -> Routes<ScimState> {
    use Resource::Group;
    let (all, one, search) =
        ("/scim/v2/{tenant}/Groups", "/scim/v2/{tenant}/Groups/{id}", "/scim/v2/{tenant}/Groups/.search");
    Routes::new()
        .get(
            all,
            Guard::Bearer,
            "scim_groups",
            Called(async |call, query| handlers::list(Group, call, query).await),
        )
        .post(
            all,
            Guard::Bearer,
            "scim_groups",
            Called(async |sent: Sent| handlers::create(Group, sent).await),
        )
        .post(
            search,
            Guard::Bearer,
            "scim_groups_search",
            Called(async |sent: Sent| handlers::search_one(Group, sent).await),
        )
        .get(one, Guard::Bearer, "scim_group", Called(async |asked: Asked| handlers::get(Group, asked).await))
        .put(
            one,
            Guard::Bearer,
            "scim_group",
            Called(async |sent: Sent| handlers::replace(Group, sent).await),
        )
        .patch(
            one,
            Guard::Bearer,
            "scim_group",
            Called(async |sent: Sent| handlers::patch(Group, sent).await),
        )
        .delete(
            one,
            Guard::Bearer,
            "scim_group",
            Called(async |asked: Asked| handlers::delete(Group, asked).await),
        )
}

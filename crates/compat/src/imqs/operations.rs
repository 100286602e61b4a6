//! The table of operations: those of the seed in its order, then the others of the same server.

use crate::mount::{Dialect, Input, Operation, Scheme, Verb};
use keyreeve_http::route::Guard;

/// IMQS Auth.
pub const DIALECT: Dialect = Dialect {
    name: "imqs",
    title: "IMQS Auth",
    version: "1.9.0",
    prefix: "/auth2",
    schemes: &[Scheme::Basic, Scheme::Cookie("session"), Scheme::Header("X-Imqs-Signature")],
    operations: OPERATIONS,
};

const NONE: &str = "none";
const TOKEN: &str = "a session cookie or HTTP Basic";
const ADMIN: &str =
    "a session cookie or HTTP Basic of an administrator (permissions 1 and 2), or a signed request";
const SERVICE: &str = "a request signed by a service";

/// What each operation behind a credential answers besides its own.
macro_rules! guarded {
    ($($answer:expr),* $(,)?) => {
        &[$($answer,)* (401, "no credential"), (500, "a permit cannot be read")]
    };
}

/// An operation in one call.
const fn op(
    (verb, path, name): (Verb, &'static str, &'static str),
    (guard, level): (Guard, &'static str),
    summary: &'static str,
    inputs: &'static [Input],
    answers: &'static [(u16, &'static str)],
) -> Operation {
    Operation { name, verb, path, guard, level, summary, inputs, answers }
}

const OPEN: (Guard, &str) = (Guard::Public, NONE);
const HELD: (Guard, &str) = (Guard::Client, TOKEN);
const ADMINS: (Guard, &str) = (Guard::Client, ADMIN);

const USERID: Input = Input::query("userid", true, "the number of the user");
const GROUPNAME: Input = Input::query("groupname", true, "the name of the group");
const NO_PATH: (u16, &str) = (404, "no such path");

use Verb::{Any, Get, Post, Put};

const OPERATIONS: &[Operation] = &[
    // ── the seed ──
    op((Get, "/hello", "imqs_hello"), OPEN, "Says hello", &[], &[(200, "Hello!"), NO_PATH]),
    op(
        (Get, "/ping", "imqs_ping"),
        OPEN,
        "The time in Unix seconds",
        &[],
        &[(200, "{\"Timestamp\": N}"), NO_PATH],
    ),
    op(
        (Post, "/login", "imqs_login"),
        OPEN,
        "Signs in: who it is, and a session cookie",
        &[
            Input::header("Authorization", true, "Basic"),
            Input::form("client_id", false, "the client of a passthrough sign-in"),
            Input::form("login_type", false, "msaad, with client_id"),
        ],
        &[
            (200, "signed in"),
            (400, "no Basic header, or half a passthrough"),
            (401, "not this identity and password"),
            (403, "disabled, or a client that may not pass through"),
            (429, "too many attempts"),
            NO_PATH,
        ],
    ),
    op(
        (Post, "/logout", "imqs_logout"),
        OPEN,
        "Ends the session and clears the cookie",
        &[],
        &[(200, "ended"), (401, "there was none; the cookie is cleared all the same"), NO_PATH],
    ),
    op(
        (Post, "/login_yellowfin", "imqs_login_yellowfin"),
        HELD,
        "Deprecated: signed in to a reporting server",
        &[],
        guarded![(404, "Yellowfin is disabled"), (403, "not this credential")],
    ),
    op(
        (Get, "/check", "imqs_check"),
        HELD,
        "Who the credential is",
        &[],
        guarded![
            (200, "who it is"),
            (400, "no readable Basic header"),
            (403, "not this credential"),
            NO_PATH
        ],
    ),
    op(
        (Put, "/create_user", "imqs_create_user"),
        ADMINS,
        "Makes a user",
        &[
            Input::query("email", false, "e-mail; this or username"),
            Input::query("username", false, "user name; this or email"),
            Input::query("firstname", false, "first name"),
            Input::query("lastname", false, "last name"),
            Input::query("mobilenumber", false, "mobile number"),
            Input::query("telephonenumber", false, "telephone number"),
            Input::query("remarks", false, "remarks"),
            Input::query(
                "password",
                false,
                "password; without one, a mail is sent by which the user chooses one",
            ),
            Input::query("uuid", false, "the internal UUID"),
        ],
        guarded![
            (200, "made"),
            (400, "a bad credential"),
            (403, "not an administrator; no identity; taken"),
            NO_PATH
        ],
    ),
    op(
        (Post, "/update_user", "imqs_update_user"),
        ADMINS,
        "Replaces a user's fields; what is absent is emptied",
        &[
            USERID,
            Input::query("email", false, "e-mail"),
            Input::query("username", false, "user name"),
            Input::query("firstname", false, "first name"),
            Input::query("lastname", false, "last name"),
            Input::query("mobilenumber", false, "mobile number"),
            Input::query("telephonenumber", false, "telephone number"),
            Input::query("remarks", false, "remarks"),
            Input::query("authusertype", true, "DEFAULT or 0, LDAP or 1"),
        ],
        guarded![
            (200, "written"),
            (400, "a bad number or type"),
            (403, "not an administrator; no such user; taken"),
            NO_PATH
        ],
    ),
    op(
        (Post, "/archive_user", "imqs_archive_user"),
        ADMINS,
        "Archives a user for good",
        &[USERID],
        guarded![
            (200, "archived"),
            (400, "a bad credential"),
            (403, "not an administrator; a bad number; no such user"),
            NO_PATH
        ],
    ),
    op(
        (Put, "/create_group", "imqs_create_group"),
        ADMINS,
        "Makes a group; nothing where it is there",
        &[GROUPNAME],
        guarded![
            (200, "it is there"),
            (400, "not acceptable"),
            (403, "not an administrator"),
            (406, "no name"),
            NO_PATH
        ],
    ),
    op(
        (Post, "/rename_user", "imqs_rename_user"),
        HELD,
        "Gives a user another e-mail",
        &[Input::query("old", true, "the identity"), Input::query("new", true, "the new e-mail")],
        guarded![
            (200, "renamed"),
            (400, "no such identity, or the new one is taken"),
            (403, "not one's own, without the rights"),
            NO_PATH
        ],
    ),
    op(
        (Put, "/set_group_roles", "imqs_set_group_roles"),
        ADMINS,
        "Replaces a group's permissions",
        &[GROUPNAME, Input::query("roles", false, "permission numbers, separated by commas")],
        guarded![
            (200, "what was added and removed"),
            (400, "a bad number"),
            (403, "not an administrator"),
            (404, "no such group"),
            (406, "not written")
        ],
    ),
    op(
        (Post, "/set_user_groups", "imqs_set_user_groups"),
        ADMINS,
        "Replaces a user's groups",
        &[USERID, Input::query("groups", true, "group names, separated by commas; empty for none")],
        guarded![
            (200, "set"),
            (400, "a bad credential"),
            (403, "not an administrator; a bad number; no such group"),
            NO_PATH
        ],
    ),
    op(
        (Post, "/set_password", "imqs_set_password"),
        HELD,
        "Sets one's own password, or, as an administrator, anyone's",
        &[
            USERID,
            Input::query("password", false, "the new password"),
            Input::header("X-NewPassword", false, "the new password, before the query's"),
        ],
        guarded![(200, "changed"), (400, "a bad number, or no password"), (403, "not one's own"), NO_PATH],
    ),
    op(
        (Post, "/reset_password_start", "imqs_reset_password_start"),
        OPEN,
        "Sends a mail by which a password is chosen",
        &[
            Input::query("identity", false, "e-mail or user name"),
            Input::query("email", false, "the same, after identity"),
            Input::query("userid", false, "the number of the user, after email"),
        ],
        &[
            (200, "sent"),
            (400, "no such user"),
            (403, "not possible"),
            (500, "mail is not set up"),
            (503, "mail was not taken"),
            NO_PATH,
        ],
    ),
    op(
        (Post, "/reset_password_finish", "imqs_reset_password_finish"),
        OPEN,
        "Chooses the password by the token of that mail",
        &[
            USERID,
            Input::header("X-NewPassword", true, "the new password"),
            Input::header("X-ResetToken", true, "the token"),
        ],
        &[
            (200, "chosen"),
            (400, "something is missing"),
            (403, "not this token, or not this password"),
            NO_PATH,
        ],
    ),
    op(
        (Get, "/users", "imqs_users"),
        HELD,
        "Users with their groups",
        &[],
        guarded![(200, "the users"), (403, "not this credential"), NO_PATH],
    ),
    op(
        (Get, "/userobjects", "imqs_userobjects"),
        ADMINS,
        "Users with all their fields",
        &[
            Input::query("archived", false, "true for archived users as well"),
            Input::query("permission", false, "only those who have this permission"),
        ],
        guarded![(200, "the users"), (403, "not an administrator"), NO_PATH],
    ),
    op(
        (Get, "/groups", "imqs_groups"),
        OPEN,
        "Groups with their permissions",
        &[],
        &[(200, "the groups"), (500, "not readable"), NO_PATH],
    ),
    op(
        (Get, "/hasactivedirectory", "imqs_hasactivedirectory"),
        OPEN,
        "Whether users come from a directory",
        &[],
        &[(200, "1 or 0"), NO_PATH],
    ),
    // ── further operations of the same server ──
    op((Get, "/hostname", "imqs_hostname"), OPEN, "Where links lead", &[], &[(200, "the URL")]),
    op(
        (Post, "/unlock_user", "imqs_unlock_user"),
        ADMINS,
        "Unlocks a user and forgets the failures",
        &[USERID, Input::query("username", false, "not needed")],
        guarded![(200, "unlocked"), (400, "a bad number"), (403, "not an administrator; no such user")],
    ),
    op(
        (Post, "/update_group", "imqs_update_group"),
        ADMINS,
        "Renames a group",
        &[Input::query("name", true, "its name"), Input::query("newname", true, "its new name")],
        guarded![
            (200, "renamed"),
            (400, "no such group, or taken"),
            (403, "not an administrator"),
            (406, "no name")
        ],
    ),
    op(
        (Put, "/delete_group", "imqs_delete_group"),
        ADMINS,
        "Removes a group",
        &[GROUPNAME],
        guarded![
            (200, "removed"),
            (400, "no such group"),
            (403, "not an administrator"),
            (405, "one that cannot be removed"),
            (406, "no name")
        ],
    ),
    op(
        (Post, "/update_password", "imqs_update_password"),
        OPEN,
        "Changes a password by the present one",
        &[
            Input::query("email", true, "the identity"),
            Input::header("X-OldPassword", true, "the present password"),
            Input::header("X-NewPassword", true, "the new password"),
        ],
        &[
            (200, "changed"),
            (400, "something is missing"),
            (403, "not this identity and password"),
            (429, "too many attempts"),
            (500, "used before"),
        ],
    ),
    op(
        (Post, "/check_password", "imqs_check_password"),
        OPEN,
        "Whether this is the password",
        &[Input::header("Authorization", true, "Basic")],
        &[
            (200, "it is"),
            (400, "no Basic header, or no such identity"),
            (401, "no identity"),
            (403, "it is not"),
            (429, "too many attempts"),
        ],
    ),
    op(
        (Get, "/userobject", "imqs_userobject"),
        ADMINS,
        "One user with all fields",
        &[
            Input::query("userid", false, "the number"),
            Input::query("identity", false, "e-mail or user name, after userid"),
        ],
        guarded![
            (200, "the user"),
            (400, "neither, or a bad number"),
            (403, "not an administrator"),
            (404, "no such user")
        ],
    ),
    op(
        (Get, "/exportgroups", "imqs_exportgroups"),
        ADMINS,
        "Groups and who is in them",
        &[],
        guarded![(200, "the export"), (403, "not an administrator")],
    ),
    op(
        (Post, "/importgroups", "imqs_importgroups"),
        (Guard::Operator, SERVICE),
        "Takes an export in",
        &[
            Input::json("Groups", false, "groups with ID, Name, PermList"),
            Input::json("Users", false, "users with ID and Groups"),
            Input::json("OverwriteGroups", false, "whether groups that are there get these permissions"),
        ],
        &[(200, "taken in"), (400, "not an export"), (500, "not signed by a service")],
    ),
    op(
        (Get, "/groups_perm_names", "imqs_groups_perm_names"),
        ADMINS,
        "The names of permissions",
        &[],
        guarded![(200, "the names"), (403, "not an administrator")],
    ),
    op(
        (Get, "/dynamic_permissions", "imqs_dynamic_permissions"),
        OPEN,
        "The permissions that were set up",
        &[],
        &[(200, "as they were set up")],
    ),
    op(
        (Get, "/oauth/providers", "imqs_oauth_providers"),
        OPEN,
        "Providers to sign in by",
        &[],
        &[(200, "none here")],
    ),
    op(
        (Any, "/oauth/start", "imqs_oauth_start"),
        OPEN,
        "Begins a sign-in by a provider",
        &[Input::query("provider", true, "which")],
        &[(400, "there is no such provider")],
    ),
    op(
        (Get, "/oauth/finish", "imqs_oauth_finish"),
        OPEN,
        "Ends a sign-in by a provider",
        &[Input::query("state", true, "of its beginning"), Input::query("code", true, "the provider's")],
        &[(302, "to the front page, with what went wrong")],
    ),
    op(
        (Get, "/msaad/approles", "imqs_msaad_approles"),
        ADMINS,
        "Roles at the provider",
        &[],
        guarded![(501, "there is none"), (403, "not an administrator")],
    ),
];

//! Every operation of the table, asked by nobody, with a wrong credential, by a stranger, with bad input, and as it should be.

use super::House;
use super::house::{ADMIN, JACK, JOE, basic};
use keyreeve_acceptance::{Call, Engine, PASSWORD, Setup};
use keyreeve_compat::imqs::DIALECT;
use keyreeve_compat::mount::{Operation, Verb};
use keyreeve_http::route::Guard;
use keyreeve_testkit::{MailServer, block_on};
use std::collections::BTreeSet;

/// Who asks, in the order of a case's expectations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Who {
    Nobody,
    Wrong,
    Stranger,
    Bad,
    Right,
}

const ALL: [Who; 5] = [Who::Nobody, Who::Wrong, Who::Stranger, Who::Bad, Who::Right];

struct Case {
    name: &'static str,
    /// For [`ALL`] in their order.
    expect: [u16; 5],
    /// What is sent by whoever does it right, or has no right to it.
    good: &'static [(&'static str, &'static str)],
    /// What makes no sense.
    bad: &'static [(&'static str, &'static str)],
}

const fn case(
    name: &'static str,
    expect: [u16; 5],
    good: &'static [(&'static str, &'static str)],
    bad: &'static [(&'static str, &'static str)],
) -> Case {
    Case { name, expect, good, bad }
}

/// Operations that ask for nothing answer everybody alike.
const OPEN: [u16; 5] = [200; 5];
/// Lists, whose parameters narrow and cannot be wrong.
const LIST: [u16; 5] = [401, 403, 403, 200, 200];

const CASES: &[Case] = &[
    case("imqs_hello", OPEN, &[], &[("a", "\u{0}")]),
    case("imqs_ping", OPEN, &[], &[("a", "\u{0}")]),
    case("imqs_login", [400, 401, 401, 400, 200], &[], &[("client_id", "half")]),
    case("imqs_logout", [401, 401, 401, 200, 200], &[], &[("a", "\u{0}")]),
    case("imqs_login_yellowfin", [401, 403, 403, 404, 404], &[], &[("a", "\u{0}")]),
    case("imqs_check", [401, 403, 403, 200, 200], &[], &[("a", "\u{0}")]),
    case(
        "imqs_create_user",
        [401, 403, 403, 403, 200],
        &[("email", "walker"), ("password", "x")],
        &[("email", " ")],
    ),
    case(
        "imqs_update_user",
        [401, 403, 403, 400, 200],
        &[("userid", "1"), ("authusertype", "DEFAULT"), ("email", "joe@example.org"), ("username", "joe")],
        &[("userid", "1"), ("authusertype", "7")],
    ),
    case(
        "imqs_archive_user",
        [401, 403, 403, 403, 200],
        &[("userid", "4")],
        &[("userid", "99999999999999999999")],
    ),
    case("imqs_create_group", [401, 403, 403, 406, 200], &[("groupname", "walked")], &[("groupname", " ")]),
    case(
        "imqs_rename_user",
        [401, 403, 403, 400, 200],
        &[("old", "jack"), ("new", "jack2")],
        &[("old", ""), ("new", "x")],
    ),
    case(
        "imqs_set_group_roles",
        [401, 403, 403, 400, 200],
        &[("groupname", "walked"), ("roles", "3")],
        &[("groupname", "walked"), ("roles", "1;2")],
    ),
    case(
        "imqs_set_user_groups",
        [401, 403, 403, 403, 200],
        &[("userid", "1"), ("groups", "enabled")],
        &[("userid", "1"), ("groups", "nothing")],
    ),
    case(
        "imqs_set_password",
        [401, 403, 403, 400, 200],
        &[("userid", "2"), ("password", "JACK")],
        &[("userid", "x"), ("password", "y")],
    ),
    case("imqs_reset_password_start", [200, 200, 200, 400, 200], &[("identity", "joe")], &[]),
    case("imqs_reset_password_finish", [400, 403, 403, 400, 200], &[("userid", "1")], &[("userid", "x")]),
    case("imqs_users", LIST, &[], &[("a", "\u{0}")]),
    case("imqs_userobjects", LIST, &[], &[("permission", "-1"), ("archived", "perhaps")]),
    case("imqs_groups", OPEN, &[], &[("a", "\u{0}")]),
    case("imqs_hasactivedirectory", OPEN, &[], &[("a", "\u{0}")]),
    case("imqs_hostname", OPEN, &[], &[("a", "\u{0}")]),
    case("imqs_unlock_user", [401, 403, 403, 400, 200], &[("userid", "1")], &[("userid", "one")]),
    case(
        "imqs_update_group",
        [401, 403, 403, 406, 200],
        &[("name", "walked"), ("newname", "walked2")],
        &[("name", "walked")],
    ),
    case("imqs_delete_group", [401, 403, 403, 406, 200], &[("groupname", "walked2")], &[]),
    case("imqs_update_password", [400, 403, 403, 400, 200], &[("email", "jack2")], &[]),
    case("imqs_check_password", [400, 403, 400, 200, 200], &[], &[("a", "\u{0}")]),
    case("imqs_userobject", [401, 403, 403, 400, 200], &[("userid", "1")], &[("userid", "x")]),
    case("imqs_exportgroups", LIST, &[], &[("a", "\u{0}")]),
    // With a good signature it is asked among the tests of groups.
    case("imqs_importgroups", [500; 5], &[], &[("a", "\u{0}")]),
    case("imqs_groups_perm_names", LIST, &[], &[("a", "\u{0}")]),
    case("imqs_dynamic_permissions", OPEN, &[], &[("a", "\u{0}")]),
    case("imqs_oauth_providers", OPEN, &[], &[("a", "\u{0}")]),
    case("imqs_oauth_start", [400; 5], &[("provider", "msaad")], &[]),
    case("imqs_oauth_finish", [302; 5], &[("state", "a"), ("code", "b")], &[]),
    case("imqs_msaad_approles", [401, 403, 403, 501, 501], &[], &[("a", "\u{0}")]),
];

/// What each who has; the stranger's is good, but not for this, or not for this tenant.
fn credential(operation: &Operation, who: Who) -> Option<(&'static str, &'static str)> {
    let by_admin = operation.level.contains("administrator");
    match who {
        Who::Nobody => None,
        Who::Wrong => Some(("jackUsername", "wrong")),
        Who::Stranger if by_admin || operation.name == "imqs_set_password" => Some(JOE),
        Who::Stranger if operation.name == "imqs_rename_user" => Some(JOE),
        Who::Stranger => Some(("outsider", PASSWORD)),
        Who::Bad | Who::Right => Some(ADMIN),
    }
}

fn request(house: &House, (operation, case): (&Operation, &Case), who: Who, tokens: &[String]) -> Call {
    let method = if operation.verb == Verb::Any { "POST" } else { operation.verb.text() };
    let query = if who == Who::Bad { case.bad } else { case.good };
    let mut call = house.call(method, operation.path).query(query);
    if let Some((identity, password)) = credential(operation, who) {
        call = call.header("authorization", &basic(identity, password));
    }
    match operation.name {
        "imqs_login" if who == Who::Bad => call.form(case.bad),
        "imqs_update_password" => {
            let old = match who {
                Who::Nobody => "",
                Who::Wrong | Who::Stranger => "wrong",
                Who::Bad | Who::Right => JACK.1,
            };
            call.header("x-oldpassword", old).header("x-newpassword", "JACK")
        }
        "imqs_reset_password_finish" => {
            let token = match who {
                Who::Nobody => "",
                Who::Wrong => "1.x",
                // One that was replaced by a later one.
                Who::Stranger => tokens.first().map_or("", String::as_str),
                Who::Bad | Who::Right => tokens.last().map_or("", String::as_str),
            };
            call.header("x-resettoken", token).header("x-newpassword", "JOE")
        }
        // Bodies that nobody asked for are no trouble either.
        _ if who == Who::Bad => call.body("application/json", "{\"a\":"),
        _ => call,
    }
}

async fn tokens_of(mail: &MailServer) -> Vec<String> {
    let link = |link: String| link.split("token=").nth(1).unwrap_or_default().to_owned();
    mail.wait_for(4).await.iter().map(|mail| link(mail.link())).collect()
}

fn walk(engine: Engine) {
    block_on(async {
        let mail = MailServer::start().await;
        let setup = Setup::new(engine)
            .set("KEYREEVE_SMTP_URL", &mail.url())
            .set("KEYREEVE_MAIL_FROM", "keys@id.example");
        let house = House::start(setup, "{}").await;
        house.server.expect_failures();
        house.server.user("outsider").create().await;
        // An address, so that mail can go there.
        let joe =
            [("userid", "1"), ("authusertype", "DEFAULT"), ("email", "joe@example.org"), ("username", "joe")];
        house.post(ADMIN, "/update_user", &joe).await.check(200);
        let mut failures = Vec::new();
        for (place, operation) in DIALECT.operations.iter().enumerate() {
            let case = CASES.iter().find(|case| case.name == operation.name);
            let case = case.unwrap_or_else(|| panic!("no case for {}", operation.name));
            let tokens =
                if case.name == "imqs_reset_password_finish" { tokens_of(&mail).await } else { Vec::new() };
            for (who, expected) in ALL.into_iter().zip(case.expect) {
                let from = format!("127.1.{place}.{}", who as u8 + 1);
                let answer = request(&house, (operation, case), who, &tokens).from(&from).send().await;
                if answer.status != expected {
                    failures.push(format!("{} {who:?}: {expected} was expected\n{answer}", operation.name));
                }
            }
        }
        assert!(failures.is_empty(), "{}", failures.join("\n"));
        house.server.finish().await;
    });
}

#[test]
fn every_operation_by_everybody_sqlite() {
    walk(Engine::Sqlite);
}

#[test]
fn every_operation_by_everybody_postgres() {
    walk(Engine::Postgres);
}

#[test]
fn every_operation_has_a_case_and_every_route_an_operation() {
    let operations: BTreeSet<&str> = DIALECT.operations.iter().map(|operation| operation.name).collect();
    let cases: BTreeSet<&str> = CASES.iter().map(|case| case.name).collect();
    assert_eq!(operations, cases);
    let others = BTreeSet::from(["imqs_wrong_method", "imqs_nothing", "imqs_openapi"]);
    block_on(async {
        let house = House::start(Setup::new(Engine::Sqlite), "{}").await;
        for spec in house.server.app().compat_specs() {
            assert!(spec.path.starts_with("/auth2"), "{}", spec.path);
            assert!(operations.contains(spec.name) || others.contains(spec.name), "{}", spec.name);
            let operation = DIALECT.operations.iter().find(|operation| operation.name == spec.name);
            assert!(
                operation
                    .is_none_or(|operation| operation.guard == spec.guard || spec.guard == Guard::Public)
            );
        }
        house.server.finish().await;
    });
}

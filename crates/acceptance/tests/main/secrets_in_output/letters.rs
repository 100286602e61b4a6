//! Secrets that leave the server: in links by mail, and as the keys that sign what webhooks bring.

use super::{RESET_PASSWORD, Search, USER, WRONG_PASSWORD, fields, with};
use crate::program::wire::Wire;
use crate::program::{Program, Running};
use keyreeve_testkit::{MailServer, Manner};

/// Links by mail: one that is used, one that is not, one that is dead, and one that still waits to be sent.
pub(super) async fn links(program: &Program, server: &Running, mail: &MailServer, search: &mut Search) {
    let mut wire = Wire::open(server.address).await.unwrap();
    let mut arrived = mail.mails().len();
    let page = wire.get("/forgot", "").await.unwrap().expect(200);
    let (browser, form) = (page.cookie("browser"), fields(&page, "/forgot"));
    let mut paths = Vec::new();
    for name in ["newcomer", USER] {
        wire.post("/forgot", &browser, &with(&form, &[("username", name)])).await.unwrap().expect(303);
        arrived += 1;
        paths.push(path_of_link(&mail.wait_for(arrived).await[arrived - 1].link(), search));
    }
    program.run(&["user", "send-verification", "newcomer", "--json"], "");
    arrived += 1;
    paths.push(path_of_link(&mail.wait_for(arrived).await[arrived - 1].link(), search));

    let kept = wire.get(&paths[0], &browser).await.unwrap().expect(303);
    let cookie = kept.cookie("reset");
    search.secret("a cookie", cookie.split_once('=').unwrap().1);
    let cookies = format!("{browser}; {cookie}");
    let page = wire.get("/reset", &cookies).await.unwrap().expect(200);
    let form = fields(&page, "/reset");
    let choose = |password| [("new_password", password), ("repeat_password", password)];
    let short = wire.post("/reset", &cookies, &with(&form, &choose("short"))).await.unwrap();
    search.noted("a password that is too short", short.expect(400));
    wire.post("/reset", &cookies, &with(&form, &choose(RESET_PASSWORD))).await.unwrap().expect(303);
    let again = wire.post("/reset", &cookies, &with(&form, &choose(WRONG_PASSWORD))).await.unwrap();
    search.noted("a link that is used again", again.expect(410));
    // The reset killed the other link of the same user.
    let kept = wire.get(&paths[2], &browser).await.unwrap().expect(303);
    let dead = wire.get("/verify", &format!("{browser}; {}", kept.cookie("verify"))).await.unwrap();
    search.noted("a link that is dead", dead.expect(410));

    mail.behave(Manner::RefusesContent(451));
    let before = mail.connections();
    program.run(&["user", "send-reset", USER, "--json"], "");
    mail.wait_for_connections(before + 1).await;
    search.secret("a link in a message", "reset?token=kr_pr_");
}

/// A webhook whose messages are signed and go nowhere, and whose secret is changed.
pub(super) fn webhook(program: &Program, search: &mut Search) -> String {
    let made = program.run(&["webhook", "create", "https://receiver.invalid/in", "--json"], "");
    let id = made["id"].as_str().unwrap().to_owned();
    let rotated = program.run(&["webhook", "rotate-secret", &id, "--json"], "");
    for answer in [&made, &rotated] {
        let secret = answer["secret"].as_str().unwrap();
        search.secret("a webhook's secret", secret);
        search.secret("a webhook's key", secret.strip_prefix("whsec_").unwrap());
    }
    let sent = program.run(&["webhook", "ping", &id, "--json"], "");
    assert_eq!(sent["state"], "failed", "there is no such host");
    id
}

/// The path of a link, whose token is looked for.
fn path_of_link(link: &str, search: &mut Search) -> String {
    search.secret("the token of a link", link.split_once("token=").unwrap().1);
    link.strip_prefix(crate::program::PUBLIC_URL).unwrap().to_owned()
}

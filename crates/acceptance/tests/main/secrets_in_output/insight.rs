//! Secrets of the interface of Xpress Insight: a session, a pair, tokens of it, and what was wrong.

use super::{RESET_PASSWORD, Search, WRONG_PASSWORD, WRONG_SECRET, WRONG_TOKEN};
use crate::program::wire::Wire;
use crate::program::{Program, Running};
use http::Method;
use keyreeve_store::STALENESS;
use serde_json::json;
use std::time::Instant;

/// Whose password a letter has reset.
const USER: &str = "newcomer";
const AUTH: &str = "/insightservices/rest/v1/auth";

/// From a sign-in to a token, by right and by wrong values.
pub(super) async fn pair(program: &Program, server: &Running, search: &mut Search) {
    let mut wire = Wire::open(server.address).await.unwrap();
    let wrong = [("username", USER), ("password", WRONG_PASSWORD)];
    let refused = wire.post("/insightservices/login", "", &wrong).await.unwrap().expect(401);
    search.noted("a wrong password of Insight", refused);
    let right = [("username", USER), ("password", RESET_PASSWORD)];
    let signed_in = wire.post("/insightservices/login", "", &right).await.unwrap().expect(200);
    let cookie = signed_in.cookie("insight_session");
    search.secret("a cookie of Insight", cookie.split_once('=').unwrap().1);

    let headers = [("cookie", cookie.as_str()), ("x-requested-with", "test")];
    let credentials = format!("{AUTH}/currentuser/credentials");
    let pair = wire.with((Method::POST, &credentials), &headers, "{}").await.unwrap().expect(200);
    let (client_id, secret) = (pair.text("clientId"), pair.text("secret"));
    search.secret("a secret of Insight", &secret);
    let token = format!("{AUTH}/token");
    let wanted = json!({"clientId": client_id, "secret": secret, "maxAge": 900}).to_string();
    let minted = wire.with((Method::POST, &token), &[], &wanted).await.unwrap().expect(200);
    let minted = minted.json().as_str().unwrap().to_owned();
    search.secret("a token of Insight", &minted);
    let path = format!("{AUTH}/user");
    let info = wire.send((Method::GET, &path), &minted, "").await.unwrap().expect(200);
    search.place("what is told of a token of Insight", info.body);

    // A secret in the place of the identifier, a wrong secret, a wrong token, and a body that breaks off.
    for (what, body) in [
        ("a secret in the wrong place", json!({"clientId": secret, "secret": "x"}).to_string()),
        ("a wrong secret of Insight", json!({"clientId": client_id, "secret": WRONG_SECRET}).to_string()),
        ("a broken request for a token", wanted.trim_end_matches('}').to_owned()),
        ("a secret of the wrong type", json!({"clientId": client_id, "secret": [secret]}).to_string()),
    ] {
        let answer = wire.with((Method::POST, &token), &[], &body).await.unwrap();
        search.noted(what, answer);
    }
    let refused = wire.send((Method::GET, &path), WRONG_TOKEN, "").await.unwrap().expect(401);
    search.noted("a wrong token of Insight", refused);

    // In the user's stead, by the operator: the former pair and its token end.
    let made = program.run(&["insight", "generate", USER, "--json"], "");
    assert_eq!(made["credentials_id"], 2, "{made}");
    let (client_id, secret) = (&made["client_id"], made["secret"].as_str().unwrap());
    search.secret("a secret of Insight that an operator made", secret);
    // Over PostgreSQL a command is a node of its own, of which the server hears within the bound.
    let heard = Instant::now();
    loop {
        let answer = wire.send((Method::GET, &path), &minted, "").await.unwrap();
        if answer.status == 401 {
            break;
        }
        assert!(heard.elapsed() <= STALENESS, "{answer:?}");
    }
    let wanted = json!({"clientId": client_id, "secret": secret}).to_string();
    let minted = wire.with((Method::POST, &token), &[], &wanted).await.unwrap().expect(200);
    search.secret("a token of Insight", minted.json().as_str().unwrap());
    assert_eq!(program.run(&["insight", "revoke", USER, "--json"], "")["revoked"], true);
    assert_eq!(program.run(&["insight", "revoke", USER, "--json"], "")["revoked"], false);
    wire.with((Method::POST, &token), &[], &wanted).await.unwrap().expect(401);
}

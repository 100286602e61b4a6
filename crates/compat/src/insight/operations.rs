//! The table of operations: those of the seed in its order, their names in later releases, and what signs people in.

use crate::mount::{Dialect, Input, Operation, Scheme, Verb};
use keyreeve_http::route::Guard;

/// Xpress Insight, authentication.
pub const DIALECT: Dialect = Dialect {
    name: "insight",
    title: "FICO Xpress Insight, authentication",
    version: "1",
    prefix: "",
    schemes: &[Scheme::Bearer, Scheme::Cookie(super::COOKIE)],
    operations: OPERATIONS,
};

const OPEN: (Guard, &str) = (Guard::Public, "none");
const CALLER: (Guard, &str) = (Guard::Bearer, "a session cookie or a bearer token");
const SESSION: (Guard, &str) = (Guard::Browser, "a session cookie; a bearer token is not enough");
const BEARER: (Guard, &str) = (Guard::Bearer, "a bearer token");

const NOBODY: (u16, &str) = (401, "no valid credential");
const WAIT: (u16, &str) = (429, "too many attempts; Retry-After says how long to wait");
const NOT_FROM_HERE: (u16, &str) = (403, "a bearer token, or no X-Requested-With header beside the cookie");
const NOT_ACCEPTABLE: (u16, &str) = (406, "no media type that is accepted is spoken here");

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

const REQUESTED_WITH: Input =
    Input::header("X-Requested-With", true, "anything; no foreign page can send it");
const PAIR: &[Input] = &[
    Input::json("clientId", true, "the identifier of the pair"),
    Input::json("secret", true, "its secret"),
    Input::json(
        "maxAge",
        false,
        "seconds until the token expires, as an integer; never more than the server allows",
    ),
];
const TOKEN_ANSWERS: &[(u16, &str)] = &[
    (200, "the token, as a JSON string, or as it is where text is preferred"),
    (400, "the body is no such object"),
    (401, "not this pair, or not this user any more"),
    NOT_ACCEPTABLE,
    (415, "another media type"),
    (422, "maxAge is not positive"),
    WAIT,
];

use Verb::{Delete, Get, Post};

const OPERATIONS: &[Operation] = &[
    // ── the seed ──
    op(
        (Get, "/insightservices/rest/v1/auth/currentuser", "insight_current_user"),
        CALLER,
        "The current user",
        &[],
        &[(200, "UserProfileV1"), NOBODY],
    ),
    op(
        (Get, "/insightservices/rest/v1/auth/currentuser/credentials", "insight_credentials"),
        CALLER,
        "The number and the date of the current user's REST API credentials",
        &[],
        &[(200, "RestApiCredentialsInfoV1"), NOBODY, (404, "the current user has none")],
    ),
    op(
        (Post, "/insightservices/rest/v1/auth/currentuser/credentials", "insight_generate"),
        SESSION,
        "Generates REST API credentials for the current user; former ones are revoked",
        &[REQUESTED_WITH],
        &[
            (200, "RestApiCredentialsV1, the only time that the secret is shown"),
            (400, "the body is not JSON"),
            NOBODY,
            NOT_FROM_HERE,
            (415, "a body of another media type"),
        ],
    ),
    op(
        (Delete, "/insightservices/rest/v1/auth/currentuser/credentials", "insight_revoke"),
        SESSION,
        "Revokes the current user's REST API credentials, and the tokens that were made of them",
        &[REQUESTED_WITH],
        &[(204, "revoked, or there were none"), NOBODY, NOT_FROM_HERE],
    ),
    op(
        (Post, "/insightservices/rest/v1/auth/token", "insight_token"),
        OPEN,
        "Generates a bearer token of REST API credentials",
        PAIR,
        TOKEN_ANSWERS,
    ),
    op(
        (Get, "/insightservices/rest/v1/auth/user", "insight_user"),
        BEARER,
        "The bearer token that is presented",
        &[],
        &[(200, "UserTokenInfoV1"), NOBODY],
    ),
    // ── later releases ──
    op(
        (Post, "/api/authentication/token", "insight_later_token"),
        OPEN,
        "The same as /insightservices/rest/v1/auth/token, by the media types of later releases",
        PAIR,
        TOKEN_ANSWERS,
    ),
    op(
        (Get, "/api/authentication/token", "insight_later_token_details"),
        BEARER,
        "The same as /insightservices/rest/v1/auth/user",
        &[],
        &[(200, "UserTokenInfo"), NOBODY, NOT_ACCEPTABLE],
    ),
    op(
        (Get, "/api/authentication/current-user", "insight_later_current_user"),
        CALLER,
        "The same as /insightservices/rest/v1/auth/currentuser",
        &[],
        &[(200, "the profile"), NOBODY, NOT_ACCEPTABLE],
    ),
    // ── what signs people in: not among the original's interface ──
    op(
        (Post, "/insightservices/login", "insight_login"),
        OPEN,
        "Signs in by user name and password, in JSON or as a form: a session cookie",
        &[
            Input::json("username", true, "user name or e-mail address"),
            Input::json("password", true, "password"),
            Input::json("code", false, "one-time code, where the user has a second factor"),
        ],
        &[
            (200, "UserProfileV1, and the cookie"),
            (400, "the body is no such object or form"),
            (401, "not this user and password; a one-time code is wanted"),
            (403, "a page of another site asks; the password must be changed first"),
            (415, "another media type"),
            WAIT,
        ],
    ),
    op(
        (Post, "/insightservices/logout", "insight_logout"),
        SESSION,
        "Ends the session",
        &[REQUESTED_WITH],
        &[(204, "ended"), NOBODY, NOT_FROM_HERE],
    ),
];

//! What each route is sent, and what nobody, a stranger and another tenant are answered.

use super::people::Stage;

/// An expected answer.
pub enum Expect {
    /// This status.
    Status(u16),
    /// A refusal in the shape of RFC 6749 section 5.2.
    Error(u16, &'static str),
    /// A redirect to this page of the same tenant.
    To(&'static str),
    /// This status, and this text in the body.
    Says(u16, &'static str),
}

use Expect::{Error, Says, Status, To};

/// Parameters to be sent.
pub type Sent = Vec<(&'static str, String)>;

pub struct Case {
    pub name: &'static str,
    pub method: &'static str,
    /// What is sent: something of the victim's, where the route takes such a thing.
    pub sends: fn(&Stage) -> Sent,
    /// For nobody, a stranger, another tenant.
    pub expect: [Expect; 3],
}

const fn case(
    name: &'static str,
    method: &'static str,
    sends: fn(&Stage) -> Sent,
    expect: [Expect; 3],
) -> Case {
    Case { name, method, sends, expect }
}

fn nothing(_: &Stage) -> Sent {
    Vec::new()
}

fn request(stage: &Stage) -> Sent {
    vec![("request", stage.request.clone())]
}

fn decision(stage: &Stage) -> Sent {
    vec![("request", stage.request.clone()), ("decision", "allow".to_owned())]
}

fn authorization(stage: &Stage) -> Sent {
    let pairs = [
        ("client_id", stage.portal.client_id.as_str()),
        ("redirect_uri", &stage.portal.redirect),
        ("response_type", "code"),
        ("scope", "openid"),
    ];
    pairs.map(|(name, value)| (name, value.to_owned())).to_vec()
}

/// Whose it is, says who authenticates.
fn pushed(stage: &Stage) -> Sent {
    authorization(stage).into_iter().filter(|(name, _)| *name != "client_id").collect()
}

fn session(stage: &Stage) -> Sent {
    vec![("session", stage.session.clone())]
}

fn access_token(stage: &Stage) -> Sent {
    vec![("token", stage.tokens.access.clone())]
}

fn hint(stage: &Stage) -> Sent {
    vec![("id_token_hint", stage.tokens.id().to_owned())]
}

fn code(stage: &Stage) -> Sent {
    vec![
        ("grant_type", "authorization_code".to_owned()),
        ("code", stage.code.clone()),
        ("redirect_uri", stage.portal.redirect.clone()),
        ("code_verifier", keyreeve_acceptance::VERIFIER.to_owned()),
    ]
}

fn new_password(_: &Stage) -> Sent {
    let pairs = [
        ("current_password", keyreeve_acceptance::PASSWORD),
        ("new_password", "stolen-by-a-stranger"),
        ("repeat_password", "stolen-by-a-stranger"),
    ];
    pairs.map(|(name, value)| (name, value.to_owned())).to_vec()
}

fn user_code(_: &Stage) -> Sent {
    vec![("user_code", "BCDF-GHJK".to_owned())]
}

fn name(_: &Stage) -> Sent {
    vec![("username", "ada".to_owned())]
}

fn link_token(_: &Stage) -> Sent {
    vec![("token", "kr_pr_made-up".to_owned())]
}

fn credentials(_: &Stage) -> Sent {
    vec![("username", "ada".to_owned()), ("password", keyreeve_acceptance::PASSWORD.to_owned())]
}

/// What an operation of the native API answers whoever has no token, one without its scope, and one of another tenant.
pub const API_CASE: Case = case("", "", nothing, [Status(401), Status(403), Status(401)]);

pub const CASES: &[Case] = &[
    // ── operations ──
    case("healthz", "GET", nothing, [Says(200, "ok"), Says(200, "ok"), Says(200, "ok")]),
    case("readyz", "GET", nothing, [Says(200, "ready"), Says(200, "ready"), Says(200, "ready")]),
    // The tests have no recorder; to whom a server with one shows its metrics is tested with the program.
    case("metrics", "GET", nothing, [Status(404), Status(404), Status(404)]),
    // ── what authorities publish: there is none of this name ──
    case("ssh_authority_keys", "GET", nothing, [Status(404), Status(404), Status(404)]),
    case("ssh_authority_krl", "GET", nothing, [Status(404), Status(404), Status(404)]),
    case("pki_authority_chain", "GET", nothing, [Status(404), Status(404), Status(404)]),
    case("pki_authority_crl", "GET", nothing, [Status(404), Status(404), Status(404)]),
    case("secrets_jwks", "GET", nothing, [Says(200, "keys"), Says(200, "keys"), Says(200, "keys")]),
    case("secret_jwks", "GET", nothing, [Status(404), Status(404), Status(404)]),
    // ── documents ──
    case("openid_configuration", "GET", nothing, [Status(200), Status(200), Status(200)]),
    case("oauth_metadata", "GET", nothing, [Status(200), Status(200), Status(200)]),
    case(
        "api_reference",
        "GET",
        nothing,
        [Says(200, "API reference"), Says(200, "API reference"), Says(200, "API reference")],
    ),
    case(
        "api_problems",
        "GET",
        nothing,
        [Says(200, "Problems"), Says(200, "Problems"), Says(200, "Problems")],
    ),
    case("api_style", "GET", nothing, [Status(200), Status(200), Status(200)]),
    case("openapi", "GET", nothing, [Says(200, "3.1.0"), Says(200, "3.1.0"), Says(200, "3.1.0")]),
    case("authzen_configuration", "GET", nothing, [Status(200), Status(200), Status(200)]),
    case("jwks", "GET", nothing, [Status(200), Status(200), Status(200)]),
    case("asset", "GET", nothing, [Status(200), Status(200), Status(200)]),
    // ── the front channel: somebody else's request is of no use in another browser ──
    case("authorize", "GET", authorization, [To("/signin"), To("/consent"), To("/signin")]),
    // Whoever posts without a cookie is asked to come by GET.
    case("authorize", "POST", authorization, [To("/authorize"), To("/consent"), To("/signin")]),
    case("authorize_resume", "GET", request, [Status(400), Status(400), Status(400)]),
    case("consent_page", "GET", request, [To("/signin"), Status(400), To("/signin")]),
    // Without the form's own token nothing is decided: the question is put again.
    case("consent", "POST", decision, [To("/consent"), To("/consent"), To("/consent")]),
    case("sign_in_page", "GET", nothing, [Status(200), To("/account"), Status(200)]),
    case("sign_in", "POST", credentials, [Status(400), Status(400), Status(400)]),
    // Without a ticket of the first step there is no second.
    case("sign_in_code", "POST", credentials, [Status(400), Status(400), Status(400)]),
    case("end_session", "GET", hint, [To("/signout/done"), To("/signout"), To("/signout/done")]),
    case("end_session", "POST", hint, [To("/end-session"), To("/signout"), To("/signout/done")]),
    case("sign_out_page", "GET", nothing, [To("/signout/done"), Status(200), To("/signout/done")]),
    // Without the form's own token: asked once more, and nobody is signed out.
    case("sign_out", "POST", nothing, [To("/signout/done"), Says(400, "csrf"), To("/signout/done")]),
    case("signed_out_page", "GET", nothing, [Status(200), To("/account"), Status(200)]),
    case("landing", "GET", nothing, [Status(200), Status(200), Status(200)]),
    // ── links by mail; the server of these tests can send none ──
    case("forgot_page", "GET", nothing, [Status(404), Status(404), Status(404)]),
    case("forgot", "POST", name, [Status(404), Status(404), Status(404)]),
    case("forgot_sent_page", "GET", nothing, [Status(200), Status(200), Status(200)]),
    // A token is taken out of the URL, whatever it is worth.
    case("reset_page", "GET", link_token, [To("/reset"), To("/reset"), To("/reset")]),
    case("reset", "POST", new_password, [Status(410), Status(410), Status(410)]),
    case("reset_done_page", "GET", nothing, [Status(200), Status(200), Status(200)]),
    case("verify_page", "GET", link_token, [To("/verify"), To("/verify"), To("/verify")]),
    case("verify", "POST", nothing, [Status(410), Status(410), Status(410)]),
    case("verify_done_page", "GET", nothing, [Status(200), Status(200), Status(200)]),
    case("verification_send", "POST", nothing, [To("/signin"), Status(400), To("/signin")]),
    // ── the account ──
    case("account_page", "GET", nothing, [To("/signin"), Says(200, "stranger"), To("/signin")]),
    case("password_page", "GET", nothing, [To("/signin"), Says(200, "stranger"), To("/signin")]),
    case("password_change", "POST", new_password, [To("/signin"), Status(400), To("/signin")]),
    case("two_step_page", "GET", nothing, [To("/signin"), Status(200), To("/signin")]),
    case("two_step", "POST", nothing, [To("/signin"), Status(400), To("/signin")]),
    case("session_end", "POST", session, [To("/signin"), Status(400), To("/signin")]),
    case("sessions_end_others", "POST", nothing, [To("/signin"), Status(400), To("/signin")]),
    // ── devices ──
    case("device_page", "GET", nothing, [To("/signin"), Status(200), To("/signin")]),
    // Without the form's own token no code is looked up, and nothing is decided.
    case("device_find", "POST", user_code, [To("/signin"), Status(400), To("/signin")]),
    case("device_decision", "POST", decision, [To("/signin"), Status(400), To("/signin")]),
    case(
        "device_authorization",
        "POST",
        nothing,
        [Error(401, "invalid_client"), Error(400, "unauthorized_client"), Error(401, "invalid_client")],
    ),
    // ── registration: closed unless a tenant opens it ──
    case("register", "POST", nothing, [Status(400), Status(400), Status(400)]),
    case("registered_client", "GET", nothing, [Status(401), Status(401), Status(401)]),
    case("registered_client", "PUT", nothing, [Status(401), Status(401), Status(401)]),
    case("registered_client", "DELETE", nothing, [Status(401), Status(401), Status(401)]),
    // ── tokens: what belongs to another client is not told apart from what never was ──
    case(
        "token",
        "POST",
        code,
        [Error(401, "invalid_client"), Error(400, "invalid_grant"), Error(401, "invalid_client")],
    ),
    case(
        "pushed_authorization_request",
        "POST",
        pushed,
        [Error(401, "invalid_client"), Error(400, "invalid_request"), Error(401, "invalid_client")],
    ),
    case(
        "introspect",
        "POST",
        access_token,
        [Error(401, "invalid_client"), Says(200, r#"{"active":false}"#), Error(401, "invalid_client")],
    ),
    case(
        "revoke",
        "POST",
        access_token,
        [Error(401, "invalid_client"), Status(200), Error(401, "invalid_client")],
    ),
    // A token that speaks for no user opens no account.
    case("userinfo", "GET", nothing, [Status(401), Status(403), Status(401)]),
    case("userinfo", "POST", nothing, [Status(401), Status(403), Status(401)]),
    // ── SCIM: documents for everybody, resources for tokens with its scopes ──
    case("scim_config", "GET", nothing, [Status(200), Status(200), Status(200)]),
    case("scim_schemas", "GET", nothing, [Status(200), Status(200), Status(200)]),
    case("scim_schema", "GET", nothing, [Status(404), Status(404), Status(404)]),
    case("scim_resource_types", "GET", nothing, [Status(200), Status(200), Status(200)]),
    case("scim_resource_type", "GET", nothing, [Status(404), Status(404), Status(404)]),
    // A client is no user, and has no own resource.
    case("scim_me", "GET", nothing, [Status(401), Status(404), Status(401)]),
    case("scim_me", "PUT", nothing, [Status(401), Status(415), Status(401)]),
    case("scim_me", "PATCH", nothing, [Status(401), Status(415), Status(401)]),
    case("scim_me", "DELETE", nothing, [Status(401), Status(404), Status(401)]),
    case("scim_all", "GET", nothing, [Status(401), Status(403), Status(401)]),
    case("scim_search", "POST", nothing, [Status(401), Status(415), Status(401)]),
    case("scim_bulk", "POST", nothing, [Status(401), Status(415), Status(401)]),
    case("scim_users", "GET", nothing, [Status(401), Status(403), Status(401)]),
    case("scim_users", "POST", nothing, [Status(401), Status(415), Status(401)]),
    case("scim_users_search", "POST", nothing, [Status(401), Status(415), Status(401)]),
    case("scim_user", "GET", nothing, [Status(401), Status(403), Status(401)]),
    case("scim_user", "PUT", nothing, [Status(401), Status(415), Status(401)]),
    case("scim_user", "PATCH", nothing, [Status(401), Status(415), Status(401)]),
    case("scim_user", "DELETE", nothing, [Status(401), Status(403), Status(401)]),
    case("scim_groups", "GET", nothing, [Status(401), Status(403), Status(401)]),
    case("scim_groups", "POST", nothing, [Status(401), Status(415), Status(401)]),
    case("scim_groups_search", "POST", nothing, [Status(401), Status(415), Status(401)]),
    case("scim_group", "GET", nothing, [Status(401), Status(403), Status(401)]),
    case("scim_group", "PUT", nothing, [Status(401), Status(415), Status(401)]),
    case("scim_group", "PATCH", nothing, [Status(401), Status(415), Status(401)]),
    case("scim_group", "DELETE", nothing, [Status(401), Status(403), Status(401)]),
    case("scim_nothing", "GET", nothing, [Status(404), Status(404), Status(404)]),
    case("scim_nothing", "POST", nothing, [Status(404), Status(404), Status(404)]),
    case("scim_nothing", "PUT", nothing, [Status(404), Status(404), Status(404)]),
    case("scim_nothing", "PATCH", nothing, [Status(404), Status(404), Status(404)]),
    case("scim_nothing", "DELETE", nothing, [Status(404), Status(404), Status(404)]),
    // In the words of Vault's API: no token, and one that lacks a scope, are both 403.
    case("kv_data", "GET", nothing, [Status(403), Status(403), Status(403)]),
    case("kv_data", "POST", nothing, [Status(403), Status(403), Status(403)]),
    case("kv_data", "PUT", nothing, [Status(403), Status(403), Status(403)]),
    case("kv_data", "PATCH", nothing, [Status(403), Status(403), Status(403)]),
    case("kv_data", "DELETE", nothing, [Status(403), Status(403), Status(403)]),
    case("kv_subkeys", "GET", nothing, [Status(403), Status(403), Status(403)]),
    case("kv_delete", "POST", nothing, [Status(403), Status(403), Status(403)]),
    case("kv_delete", "PUT", nothing, [Status(403), Status(403), Status(403)]),
    case("kv_undelete", "POST", nothing, [Status(403), Status(403), Status(403)]),
    case("kv_undelete", "PUT", nothing, [Status(403), Status(403), Status(403)]),
    case("kv_destroy", "POST", nothing, [Status(403), Status(403), Status(403)]),
    case("kv_destroy", "PUT", nothing, [Status(403), Status(403), Status(403)]),
    case("kv_list", "GET", nothing, [Status(403), Status(403), Status(403)]),
    case("kv_metadata", "GET", nothing, [Status(403), Status(403), Status(403)]),
    case("kv_metadata", "POST", nothing, [Status(403), Status(403), Status(403)]),
    case("kv_metadata", "PUT", nothing, [Status(403), Status(403), Status(403)]),
    case("kv_metadata", "DELETE", nothing, [Status(403), Status(403), Status(403)]),
    case("kv_metadata", "PATCH", nothing, [Status(403), Status(415), Status(403)]),
    case("kv_config", "GET", nothing, [Status(403), Status(403), Status(403)]),
    case("kv_login", "POST", nothing, [Status(400), Status(400), Status(400)]),
    case("kv_login", "PUT", nothing, [Status(400), Status(400), Status(400)]),
    case("kv_lookup_self", "GET", nothing, [Status(403), Status(200), Status(403)]),
    case("kv_lookup_self", "POST", nothing, [Status(403), Status(200), Status(403)]),
    case("kv_renew_self", "POST", nothing, [Status(403), Status(400), Status(403)]),
    case("kv_renew_self", "PUT", nothing, [Status(403), Status(400), Status(403)]),
    case("kv_revoke_self", "POST", nothing, [Status(403), Status(403), Status(403)]),
    case("kv_revoke_self", "PUT", nothing, [Status(403), Status(403), Status(403)]),
    case("kv_health", "GET", nothing, [Status(200), Status(200), Status(200)]),
    case("kv_init", "GET", nothing, [Status(200), Status(200), Status(200)]),
    case("kv_seal_status", "GET", nothing, [Status(200), Status(200), Status(200)]),
    case("kv_mounts", "GET", nothing, [Status(403), Status(403), Status(403)]),
    case("kv_mount", "GET", nothing, [Status(403), Status(403), Status(403)]),
];

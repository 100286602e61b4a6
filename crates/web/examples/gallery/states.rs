//! Every page in every state that people can see it in. The gallery shows them and the render tests walk them.

use keyreeve_base::{SessionId, Timestamp, TotpId};
use keyreeve_web::pages::*;
use keyreeve_web::texts::Locale;
use std::time::Duration;

/// A page in one state.
pub struct State {
    /// Page and state, as a part of a URL.
    pub name: &'static str,
    /// The whole document.
    pub html: String,
}

/// What strangers may call themselves: markup, quotes, a right-to-left override that is never closed, template syntax,
/// and a word that has no end.
pub const HOSTILE: &str = "<script>alert(1)</script>\"' onfocus='alert(2)\u{202e}\u{2066}evil {{ 7*7 }}<img src=x \
                           onerror=alert(3)>&lt;b&gt;Loremipsumdolorsitametconsecteturadipiscingelitseddoeiusmodtemp\
                           orincididuntutlaboreetdoloremagnaaliquautenimadminimveniamquisnostrudexercitation";

const RULES: [PasswordRule; 4] = [
    PasswordRule::MinChars(12),
    PasswordRule::NotRecent(5),
    PasswordRule::NotYourName,
    PasswordRule::NotWellKnown,
];

fn chrome(locale: Locale) -> Chrome<'static> {
    Chrome { locale, brand: PRODUCT, base: "", home: "/" }
}

fn form(action: &'static str) -> Form<'static> {
    Form { action, csrf: "c3JmLXRva2Vu.4f1a", hidden: &[("flow", "fl_7Qm2")] }
}

fn application() -> Application<'static> {
    Application::new("Aurora Notebooks", Some("https://notebooks.aurora.example/start"))
}

#[allow(clippy::expect_used, reason = "writing to a String cannot fail")]
fn state(name: &'static str, page: &impl Template) -> State {
    State { name, html: page.render().expect("pages render into memory") }
}

/// All of them.
pub fn all(locale: Locale) -> Vec<State> {
    let mut states = Vec::new();
    states.extend(sign_in(locale));
    states.extend(consent(locale));
    states.extend(device(locale));
    states.extend(sign_out(locale));
    states.extend(change_password(locale));
    states.extend(account(locale));
    states.extend(links(locale));
    states.extend(two_step(locale));
    states.extend(others(locale));
    states.extend(hostile(locale));
    states
}

fn device(locale: Locale) -> Vec<State> {
    let page = |user_code, problem| DeviceCode {
        chrome: chrome(locale),
        form: form("/device"),
        user_code,
        user: "Ada Lovelace",
        problem,
    };
    let many = Obstacle::TooMany { retry_after: Duration::from_secs(300) };
    let confirm = |name, uri| DeviceConfirm {
        chrome: chrome(locale),
        form: form("/device/decision"),
        application: Application::new(name, uri),
        user_code: "WDJB-MJHT",
        address: uri.map(|_| "192.0.2.7"),
        user: "Ada Lovelace",
        scopes: &["openid", "profile", "offline_access", "films:watch"],
    };
    let done = |outcome, again_url| DeviceDone { chrome: chrome(locale), outcome, again_url };
    vec![
        state("device-code", &page("", None)),
        state("device-code-linked", &page("WDJB-MJHT", None)),
        state("device-code-empty", &page("", Some(DeviceCodeProblem::Missing))),
        state("device-code-unknown", &page("WDJB-MJHX", Some(DeviceCodeProblem::Unknown))),
        state("device-code-too-many", &page("WDJB-MJHX", Some(DeviceCodeProblem::Obstacle(many)))),
        state("device-code-expired", &page("", Some(DeviceCodeProblem::Obstacle(Obstacle::Expired)))),
        state("device-confirm", &confirm("Aurora Notebooks", Some("https://notebooks.aurora.example/"))),
        state("device-confirm-unnamed", &confirm("Aurora Television", None)),
        state("device-allowed", &done(DeviceOutcome::Allowed, None)),
        state("device-denied", &done(DeviceOutcome::Denied, None)),
        state("device-expired", &done(DeviceOutcome::Expired, Some("/device"))),
    ]
}

fn sign_in(locale: Locale) -> Vec<State> {
    let page = |username, again, problem| SignIn {
        chrome: chrome(locale),
        form: form("/sign-in"),
        application: Some(application()),
        username,
        again,
        forgot_url: Some("/forgot"),
        problem,
    };
    let tried = |problem| page("ada.lovelace@example.org", false, Some(problem));
    let own = SignIn {
        chrome: Chrome { brand: "Northern Lights Observatory", ..chrome(locale) },
        application: None,
        forgot_url: None,
        ..page("", false, None)
    };
    let minutes = Obstacle::TooMany { retry_after: Duration::from_secs(300) };
    vec![
        state("sign-in", &page("", false, None)),
        state("sign-in-own", &own),
        state("sign-in-hint", &page("ada.lovelace@example.org", false, None)),
        state("sign-in-again", &page("ada", true, None)),
        state("sign-in-refused", &tried(SignInProblem::Refused)),
        state(
            "sign-in-empty",
            &page("", false, Some(SignInProblem::Missing { username: true, password: true })),
        ),
        state("sign-in-too-many", &tried(SignInProblem::Obstacle(minutes))),
        state("sign-in-busy", &tried(SignInProblem::Obstacle(Obstacle::Busy))),
        state("sign-in-expired", &tried(SignInProblem::Obstacle(Obstacle::Expired))),
    ]
}

fn consent(locale: Locale) -> Vec<State> {
    let page = |scopes, application| Consent {
        chrome: chrome(locale),
        form: form("/consent"),
        application,
        user: "Ada Lovelace",
        other_account_url: Some("/sign-in?other"),
        scopes,
    };
    let all =
        &["openid", "profile", "email", "address", "phone", "offline_access", "notebooks:write", "openid"];
    vec![
        state("consent", &page(&["openid", "profile", "email"], application())),
        state("consent-all", &page(all, Application::new("Aurora Notebooks", None))),
    ]
}

fn sign_out(locale: Locale) -> Vec<State> {
    let page = |application| SignOut {
        chrome: chrome(locale),
        form: form("/sign-out"),
        application,
        user: "Ada Lovelace",
        stay_url: "/account",
    };
    let done = |return_to| SignedOut { chrome: chrome(locale), return_to, sign_in_url: "/sign-in" };
    let back = WebUrl::parse("https://notebooks.aurora.example/bye").map(|url| (application(), url));
    vec![
        state("sign-out", &page(None)),
        state("sign-out-application", &page(Some(application()))),
        state("signed-out", &done(None)),
        state("signed-out-return", &done(back)),
    ]
}

fn change_password(locale: Locale) -> Vec<State> {
    let page = |problems| ChangePassword {
        chrome: chrome(locale),
        form: form("/account/password"),
        username: "ada",
        forced: false,
        by_link: false,
        ask_current: true,
        cancel_url: Some("/account"),
        rules: &RULES,
        problems,
    };
    let problems = PasswordProblems {
        current: Some(CurrentProblem::Wrong),
        new: vec![NewProblem::Breaks(RULES[0]), NewProblem::Breaks(RULES[3])],
        repeat: Some(RepeatProblem::Differs),
        obstacle: None,
    };
    let empty = PasswordProblems {
        current: Some(CurrentProblem::Missing),
        new: vec![NewProblem::Missing],
        repeat: Some(RepeatProblem::Missing),
        obstacle: None,
    };
    let wait = Obstacle::TooMany { retry_after: Duration::from_secs(40) };
    let obstacle = PasswordProblems { obstacle: Some(wait), ..PasswordProblems::default() };
    let forced =
        |problems| ChangePassword { forced: true, ask_current: false, cancel_url: None, ..page(problems) };
    let same = PasswordProblems { new: vec![NewProblem::IsCurrent], ..PasswordProblems::default() };
    vec![
        state("change-password", &page(PasswordProblems::default())),
        state("change-password-problems", &page(problems)),
        state("change-password-empty", &page(empty)),
        state("change-password-too-many", &page(obstacle)),
        state(
            "choose-password-by-link",
            &ChangePassword {
                by_link: true,
                ask_current: false,
                cancel_url: None,
                ..page(PasswordProblems::default())
            },
        ),
        state("change-password-forced", &forced(PasswordProblems::default())),
        state("change-password-forced-problem", &forced(same)),
    ]
}

const NOW: Timestamp = Timestamp::from_seconds(1_795_000_000);

fn session(
    number: u128,
    user_agent: Option<&'static str>,
    address: &str,
    seconds_ago: u64,
) -> Session<'static> {
    Session {
        id: SessionId::from_uuid(uuid::Uuid::from_u128(number)),
        user_agent,
        address: address.parse().ok(),
        last_seen: NOW.minus(Duration::from_secs(seconds_ago)),
        current: number == 1,
    }
}

fn account_page<'a>(locale: Locale, sessions: &'a [Session<'a>], notice: Option<Notice>) -> Account<'a> {
    Account {
        chrome: Chrome { brand: "Northern Lights Observatory", ..chrome(locale) },
        person: Person {
            name: Some("Ada Lovelace"),
            username: Some("ada"),
            email: Some(("ada.lovelace@example.org", false)),
        },
        now: NOW,
        sessions,
        end_session: form("/account/sessions/end"),
        end_others: form("/account/sessions/end-others"),
        sign_out: form("/sign-out"),
        send_verification: Some(form("/account/email/verify")),
        change_password_url: Some("/account/password"),
        two_step_url: "/account/two-step",
        notice,
    }
}

fn account(locale: Locale) -> Vec<State> {
    let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
    let iphone = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                  Version/19.1 Mobile/15E148 Safari/604.1";
    let sessions = [
        session(1, Some(firefox), "192.0.2.17", 0),
        session(2, Some(iphone), "2001:db8:85a3:8d3:1319:8a2e:370:7348", 11 * 60),
        session(3, None, "198.51.100.4", 3 * 86_400),
        session(4, Some(firefox), "", 40 * 86_400),
    ];
    let bare = Person { name: None, username: Some("service-desk"), email: None };
    let alone = account_page(locale, &sessions[..1], Some(Notice::OthersEnded));
    vec![
        state("account", &account_page(locale, &sessions, None)),
        state("account-password-changed", &account_page(locale, &sessions, Some(Notice::PasswordChanged))),
        state("account-session-ended", &account_page(locale, &sessions, Some(Notice::SessionEnded))),
        state(
            "account-alone",
            &Account { person: bare, change_password_url: None, send_verification: None, ..alone },
        ),
    ]
}

fn links(locale: Locale) -> Vec<State> {
    let forgot = |username, problem| Forgot {
        chrome: chrome(locale),
        form: form("/forgot"),
        username,
        cancel_url: "/sign-in",
        problem,
    };
    let minutes = Obstacle::TooMany { retry_after: Duration::from_secs(300) };
    let verify =
        VerifyEmail { chrome: chrome(locale), form: form("/verify"), address: "ada.lovelace@example.org" };
    let news = |news| LinkNews { chrome: chrome(locale), news, action_url: "/sign-in" };
    let confirmed = account_page(locale, &[], Some(Notice::VerificationSent));
    let person = Person { email: Some(("ada.lovelace@example.org", true)), ..confirmed.person };
    vec![
        state("forgot", &forgot("", None)),
        state("forgot-empty", &forgot("", Some(ForgotProblem::Missing))),
        state("forgot-too-many", &forgot("ada", Some(ForgotProblem::Obstacle(minutes)))),
        state("forgot-hostile", &forgot(HOSTILE, Some(ForgotProblem::Obstacle(Obstacle::Expired)))),
        state("verify-email", &verify),
        state("verify-email-hostile", &VerifyEmail { address: HOSTILE, ..verify }),
        state("link-asked", &news(News::Asked)),
        state("link-reset-dead", &news(News::ResetDead)),
        state("link-verify-dead", &news(News::VerifyDead)),
        state("link-password-chosen", &news(News::PasswordChosen)),
        state("link-address-confirmed", &news(News::AddressConfirmed)),
        state("account-confirmed", &Account { person, send_verification: None, ..confirmed }),
    ]
}

fn others(locale: Locale) -> Vec<State> {
    let error =
        |kind| ErrorPage { chrome: chrome(locale), kind, detail: None, reference: Some("01937c1e-5d0a") };
    let detailed = ErrorPage {
        detail: Some("code_challenge is missing; this client has to send one (RFC 7636 section 4.3)."),
        ..error(ErrorKind::BadRequest)
    };
    let landing = |signed_in| Landing { chrome: chrome(locale), sign_in_url: "/sign-in", signed_in };
    let target = "http://127.0.0.1:9/callback";
    let answer = WebUrl::parse(target).map(|redirect_uri| FormPost {
        chrome: chrome(locale),
        redirect_uri,
        application: application(),
        params: &[
            ("code", "SplxlOBeZQQYbYS6WxSbIA"),
            ("state", "af0ifjsldkj"),
            ("iss", "https://id.example.org"),
        ],
    });
    let mut states = vec![
        state("landing", &landing(None)),
        state("landing-signed-in", &landing(Some(("Ada Lovelace", "/account")))),
        state("error-detail", &detailed),
    ];
    states.extend(answer.map(|page| state("form-post", &page)));
    states.extend(ErrorKind::ALL.into_iter().map(|kind| {
        let name = match kind {
            ErrorKind::BadRequest => "error-bad-request",
            ErrorKind::UnknownApplication => "error-unknown-application",
            ErrorKind::UnregisteredRedirect => "error-unregistered-redirect",
            ErrorKind::Expired => "error-expired",
            ErrorKind::Forbidden => "error-forbidden",
            ErrorKind::NotFound => "error-not-found",
            ErrorKind::TooMany => "error-too-many",
            ErrorKind::Internal => "error-internal",
            ErrorKind::Unavailable => "error-unavailable",
        };
        state(name, &error(kind))
    }));
    states
}

fn hostile(locale: Locale) -> Vec<State> {
    let chrome = Chrome { brand: HOSTILE, ..chrome(locale) };
    let application = || Application::new(HOSTILE, Some("javascript:alert(1)"));
    let fields = [(HOSTILE, HOSTILE)];
    let form = Form { action: "/x\"onclick=\"alert(4)", csrf: HOSTILE, hidden: &fields };
    let sessions = [session(1, Some(HOSTILE), "192.0.2.17", 0), session(2, Some(HOSTILE), "192.0.2.18", 90)];
    let person = Person { name: Some(HOSTILE), username: Some(HOSTILE), email: Some((HOSTILE, false)) };
    let back = WebUrl::parse("https://x.example/\"><script>alert(5)</script>");
    let (end_session, end_others, sign_out, send_verification) = (form, form, form, Some(form));
    let mut states = vec![
        state(
            "hostile-sign-in",
            &SignIn {
                chrome,
                form,
                application: Some(application()),
                username: HOSTILE,
                again: false,
                forgot_url: Some("/forgot"),
                problem: Some(SignInProblem::Refused),
            },
        ),
        state(
            "hostile-consent",
            &Consent {
                chrome,
                form,
                application: application(),
                user: HOSTILE,
                other_account_url: Some("/?\"><script>"),
                scopes: &["openid", HOSTILE],
            },
        ),
        state(
            "hostile-device-code",
            &DeviceCode { chrome, form, user_code: HOSTILE, user: HOSTILE, problem: None },
        ),
        state(
            "hostile-device-confirm",
            &DeviceConfirm {
                chrome,
                form,
                application: application(),
                user_code: HOSTILE,
                address: Some(HOSTILE),
                user: HOSTILE,
                scopes: &["openid", HOSTILE],
            },
        ),
        state(
            "hostile-sign-out",
            &SignOut { chrome, form, application: Some(application()), user: HOSTILE, stay_url: "/" },
        ),
        state(
            "hostile-signed-out",
            &SignedOut { chrome, return_to: back.map(|url| (application(), url)), sign_in_url: "/sign-in" },
        ),
        state(
            "hostile-change-password",
            &ChangePassword {
                chrome,
                form,
                username: HOSTILE,
                forced: false,
                by_link: false,
                ask_current: true,
                cancel_url: Some("/"),
                rules: &RULES,
                problems: PasswordProblems::default(),
            },
        ),
        state(
            "hostile-account",
            &Account {
                chrome,
                person,
                end_session,
                end_others,
                sign_out,
                send_verification,
                ..account_page(locale, &sessions, Some(Notice::PasswordChanged))
            },
        ),
        state(
            "hostile-error",
            &ErrorPage {
                chrome,
                kind: ErrorKind::BadRequest,
                detail: Some(HOSTILE),
                reference: Some(HOSTILE),
            },
        ),
        state(
            "hostile-landing",
            &Landing { chrome, sign_in_url: "/sign-in", signed_in: Some((HOSTILE, "/account")) },
        ),
    ];
    states.extend(back.map(|redirect_uri| {
        state(
            "hostile-form-post",
            &FormPost { chrome, redirect_uri, application: application(), params: &fields },
        )
    }));
    states
}

fn two_step(locale: Locale) -> Vec<State> {
    let code = |problem| Code { chrome: chrome(locale), form: form("/signin/code"), problem };
    let devices = [
        CodeDevice {
            id: TotpId::from_uuid(uuid::Uuid::from_u128(1)),
            name: "Phone",
            last_used: Some(NOW.minus(Duration::from_secs(7_200))),
        },
        CodeDevice {
            id: TotpId::from_uuid(uuid::Uuid::from_u128(2)),
            name: "Tablet \u{202e}tfel",
            last_used: None,
        },
    ];
    let page = |devices, recovery_codes, problem| TwoStep {
        chrome: chrome(locale),
        form: form("/account/two-step"),
        now: NOW,
        devices,
        recovery_codes,
        back_url: "/account",
        problem,
    };
    let secret = Some((
        "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
        "otpauth://totp/Example:ada?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Example",
    ));
    let add = |secret, problem| TwoStepAdd {
        chrome: chrome(locale),
        form: form("/account/two-step"),
        secret,
        back_url: "/account/two-step",
        problem,
    };
    let codes = ["abcd-efgh-jkmn", "pqrs-tuvw-xyz2", "3456-789a-bcde"];
    let minutes = Obstacle::TooMany { retry_after: Duration::from_secs(300) };
    vec![
        state("code", &code(None)),
        state("code-wrong", &code(Some(CodeProblem::Wrong))),
        state("code-empty", &code(Some(CodeProblem::Missing))),
        state("code-too-many", &code(Some(CodeProblem::Obstacle(minutes)))),
        state("two-step-off", &page(&[], 0, None)),
        state("two-step", &page(&devices, 1, None)),
        state("two-step-refused", &page(&devices, 9, Some(TwoStepProblem::PasswordWrong))),
        state("two-step-name", &page(&[], 0, Some(TwoStepProblem::Name))),
        state("two-step-expired", &page(&[], 0, Some(TwoStepProblem::Obstacle(Obstacle::Expired)))),
        state("two-step-add", &add(secret, None)),
        state("two-step-add-wrong", &add(None, Some(CodeProblem::Wrong))),
        state(
            "recovery-codes",
            &RecoveryCodes { chrome: chrome(locale), codes: &codes, back_url: "/account/two-step" },
        ),
    ]
}

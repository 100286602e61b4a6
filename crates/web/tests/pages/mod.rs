//! The render tests.

mod contrast;
pub mod dom;

use self::dom::Page;
use crate::states::{self, HOSTILE, State};
use keyreeve_web::pages::{Application, WebUrl, fields, respond};
use keyreeve_web::texts::Locale;
use std::collections::BTreeSet;

/// Every state in every language.
fn every() -> impl Iterator<Item = (Locale, State, Page)> {
    Locale::ALL.into_iter().flat_map(|locale| {
        states::all(locale).into_iter().map(move |state| {
            let page = Page::parse(&state.html);
            (locale, state, page)
        })
    })
}

#[test]
fn every_page_has_its_landmarks_one_heading_and_its_language() {
    for (locale, State { name, .. }, page) in every() {
        for landmark in ["h1", "main", "header", "title"] {
            assert_eq!(page.all(landmark).count(), 1, "{landmark} in {name}");
        }
        let html = page.all("html").next().unwrap();
        assert_eq!((html.get("lang"), html.get("dir")), (Some(locale.tag()), Some("ltr")), "{name}");
        let title = page.all("title").next().unwrap().text.trim().to_owned();
        assert!(title.len() > 12 && !title.starts_with('–'), "{name}: {title}");
        let meta = |wanted| page.all("meta").any(|m| m.get("name") == Some(wanted));
        assert!(meta("viewport") && meta("color-scheme"), "{name}");
        // Headings go down one step at a time.
        let levels = page.elements.iter().filter_map(|e| e.tag.strip_prefix('h')?.parse::<u8>().ok());
        assert!(levels.fold(0, |last, level| { if level <= last + 1 { level } else { 99 } }) < 99, "{name}");
    }
}

/// What a policy of `'self'` without `'unsafe-inline'` would block must not be there: nor may a stranger's text have
/// brought it (ABUSE-CASES AC-51: the hostile states are among these).
#[test]
fn ac_51_no_page_has_inline_script_or_style_or_loads_from_elsewhere() {
    for (_, State { name, .. }, page) in every() {
        assert_eq!((page.all("style").count(), page.all("script").count()), (0, 1), "{name}");
        for element in &page.elements {
            for (attribute, value) in &element.attributes {
                let at = format!("{attribute} of {} in {name}", element.tag);
                assert!(
                    !attribute.starts_with("on") && attribute != "style" && attribute != "srcdoc",
                    "{at}"
                );
                match (element.tag.as_str(), attribute.as_str()) {
                    ("link", "href") | (_, "src") => assert!(value.starts_with("/assets/keyreeve."), "{at}"),
                    (_, "href" | "action" | "formaction") => {
                        let allowed =
                            ["/", "#", "http://", "https://"].iter().any(|way| value.starts_with(way));
                        assert!(allowed && !value.starts_with("//"), "{at}: {value}");
                    }
                    _ => {}
                }
            }
        }
        let script = page.all("script").next().unwrap();
        assert!(script.has("src") && script.text.is_empty(), "{name}");
    }
}

#[test]
fn every_input_has_a_label_and_every_reference_leads_somewhere() {
    let mut inputs = 0;
    for (_, State { name, .. }, page) in every() {
        let ids: Vec<_> = page.with("id").filter_map(|e| e.get("id")).collect();
        assert_eq!(ids.len(), ids.iter().collect::<BTreeSet<_>>().len(), "an id twice in {name}: {ids:?}");
        for attribute in ["aria-describedby", "aria-labelledby", "aria-controls", "for", "data-reveals"] {
            for element in page.with(attribute) {
                for id in element.get(attribute).unwrap_or("").split(' ') {
                    assert!(page.by_id(id).is_some(), "{attribute}={id} leads nowhere in {name}");
                }
            }
        }
        for link in page.all("a").filter_map(|a| a.get("href")?.strip_prefix('#')) {
            assert!(
                page.by_id(link).is_some_and(|e| e.tag == "input"),
                "#{link} leads to no input in {name}"
            );
        }
        for input in page.all("input") {
            assert!(!input.has("placeholder"), "{name}");
            if input.get("type") == Some("hidden") || input.has("hidden") {
                continue;
            }
            inputs += 1;
            let label = page.all("label").find(|l| l.get("for") == input.get("id"));
            assert!(
                input.has("id") && label.is_some_and(|l| !l.text.trim().is_empty()),
                "{input:?} in {name}"
            );
            assert_eq!(input.get("id"), input.get("name"), "{name}");
            assert!(input.has("autocomplete"), "{input:?} in {name}");
        }
    }
    assert!(inputs > 50, "the states lost their forms");
}

#[test]
fn buttons_and_links_have_a_name() {
    for (_, State { name, .. }, page) in every() {
        for element in page.all("button").chain(page.all("a")) {
            let named = !element.text.trim().is_empty() || element.has("data-show-label");
            assert!(named, "{element:?} in {name}");
        }
        for image in page.all("img") {
            assert!(image.has("alt") && image.has("width") && image.has("height"), "{name}");
        }
        for button in page.all("button") {
            assert!(button.has("type"), "{name}");
        }
    }
}

#[test]
fn every_form_that_comes_back_carries_the_token_and_no_other_does() {
    let (mut own, mut foreign) = (0, 0);
    for (_, State { name, .. }, page) in every() {
        for form in page.all("form") {
            assert_eq!(form.get("method"), Some("post"), "{name}");
            let tokens = page
                .inputs_in(form)
                .filter(|i| i.get("name") == Some(fields::CSRF) && i.get("type") == Some("hidden"))
                .filter(|i| i.get("value").is_some_and(|value| !value.is_empty()));
            if form.has("data-answer") {
                assert_eq!(tokens.count(), 0, "our token leaves for an application in {name}");
                foreign += 1;
            } else {
                assert_eq!(tokens.count(), 1, "{name}");
                assert!(form.get("action").is_some_and(|action| action.starts_with('/')), "{name}");
                own += 1;
            }
        }
    }
    assert!(own > 40 && foreign == 4, "{own} {foreign}");
}

#[test]
fn a_problem_is_said_at_once_and_at_its_field() {
    for (_, State { name, .. }, page) in every() {
        let alerts: Vec<_> = page.with("role").filter(|e| e.get("role") == Some("alert")).collect();
        let wrong: Vec<_> = page.with("aria-invalid").collect();
        assert!(wrong.is_empty() || alerts.len() == 1, "{name}");
        assert!(page.with("autofocus").count() <= 1, "two places want the focus in {name}");
        for alert in &alerts {
            assert!(alert.has("autofocus") && alert.get("tabindex") == Some("-1"), "{name}");
        }
        for input in &wrong {
            assert!(input.has("aria-describedby"), "{input:?} in {name}");
        }
        let expected = ["refused", "empty", "too-many", "busy", "expired", "problem", "problems"];
        let is_form = ["sign-in", "change-password", "forgot"].iter().any(|page| name.starts_with(page));
        if is_form && expected.iter().any(|end| name.ends_with(end)) {
            assert_eq!(alerts.len(), 1, "{name}");
            assert!(alerts[0].text.len() > 30, "{name}");
        }
    }
}

#[test]
fn forms_ask_for_what_handlers_read() {
    let names = |wanted: &str| {
        let state = states::all(Locale::English).into_iter().find(|state| state.name == wanted).unwrap();
        let page = Page::parse(&state.html);
        let inputs =
            page.all("input").chain(page.all("button")).filter_map(|e| e.get("name").map(str::to_owned));
        inputs.collect::<Vec<_>>()
    };
    assert_eq!(names("sign-in"), ["csrf", "flow", "username", "password"]);
    assert_eq!(names("consent"), ["csrf", "flow", "decision", "decision"]);
    assert_eq!(names("sign-out"), ["csrf", "flow"]);
    let password = ["csrf", "flow", "current_password", "new_password", "repeat_password"];
    assert_eq!(names("change-password"), password);
    assert_eq!(names("change-password-forced"), ["csrf", "flow", "new_password", "repeat_password"]);
    assert_eq!(names("form-post"), ["code", "state", "iss"]);
    assert_eq!(names("choose-password-by-link"), ["csrf", "flow", "new_password", "repeat_password"]);
    assert_eq!(names("forgot"), ["csrf", "flow", "username"]);
    assert_eq!(names("verify-email"), ["csrf", "flow"]);
    let session = ["csrf", "flow", "session"];
    assert_eq!(
        names("account"),
        [&["csrf", "flow"][..], &["csrf", "flow"], &session, &session, &session, &["csrf", "flow"]].concat()
    );
}

#[test]
fn password_managers_find_their_way() {
    let kinds = |wanted: &str| {
        let state = states::all(Locale::English).into_iter().find(|state| state.name == wanted).unwrap();
        let page = Page::parse(&state.html);
        page.all("input").filter_map(|i| i.get("autocomplete").map(str::to_owned)).collect::<Vec<_>>()
    };
    assert_eq!(kinds("sign-in"), ["username", "current-password"]);
    assert_eq!(kinds("change-password"), ["username", "current-password", "new-password", "new-password"]);
}

#[test]
fn ac_51_what_strangers_chose_is_shown_and_inert() {
    let shown = HOSTILE.replace(['\u{202e}', '\u{2066}'], "\u{fffd}");
    let mut seen = 0;
    for (_, State { name, html }, page) in every() {
        if !name.starts_with("hostile") {
            continue;
        }
        for (index, text) in &page.texts {
            assert!(
                !text.contains(['\u{202e}', '\u{2066}']),
                "a text steers its surroundings in {name}: {text}"
            );
            if text.contains("alert(") {
                seen += 1;
                let apart = page.within(*index, "bdi") || page.within(*index, "title");
                assert!(apart, "{name}: {text} is not set apart");
                assert!(text.contains(&shown), "{name}: {text}");
            }
        }
        assert!(!html.contains("<script>") && !html.contains("<img src=x"), "{name}");
        for input in page.all("input").filter(|i| matches!(i.get("name"), Some("csrf" | "username"))) {
            assert_eq!(input.get("value"), Some(HOSTILE), "a value was changed in {name}");
        }
    }
    assert!(seen > 30, "{seen}");
}

/// Words that stand in a template would be the same in both languages.
#[test]
fn templates_have_no_words_of_their_own() {
    let same_in_both: BTreeSet<_> = {
        let german: BTreeSet<_> =
            Locale::German.texts().entries().into_iter().map(|(_, text)| text).collect();
        Locale::English.texts().entries().into_iter().map(|(_, t)| t).filter(|t| german.contains(t)).collect()
    };
    for (english, german) in states::all(Locale::English).into_iter().zip(states::all(Locale::German)) {
        let (english_page, german_page) = (Page::parse(&english.html), Page::parse(&german.html));
        let german_texts: BTreeSet<_> = german_page.texts.iter().map(|(_, text)| text.as_str()).collect();
        for (index, text) in &english_page.texts {
            let data = english_page.within(*index, "bdi")
                || matches!(english_page.elements[*index].get("class"), Some("session-device" | "secret"));
            let letters = text.chars().any(char::is_alphabetic);
            let known = same_in_both.iter().any(|same| text.trim_end_matches(':') == *same);
            assert!(
                data || !letters || known || !german_texts.contains(text.as_str()),
                "{}: {text}",
                english.name
            );
        }
    }
}

#[test]
fn ac_04_pages_lead_to_web_addresses_only() {
    for bad in [
        "javascript:alert(1)",
        "data:text/html,x",
        "JaVaScRiPt:alert(1)",
        " javascript:1",
        "/relative",
        "",
        "file:///etc",
    ] {
        assert_eq!(WebUrl::parse(bad), None, "{bad}");
    }
    let good = "https://app.example/cb?x=1#y";
    assert_eq!(WebUrl::parse(good).map(WebUrl::as_str), Some(good));
}

#[test]
fn an_application_is_known_by_the_host_of_its_home_page() {
    let host = |uri| Application::new("App", uri).host;
    assert_eq!(host(Some("https://user:secret@app.example:8443/x?y")).as_deref(), Some("app.example"));
    assert_eq!(host(Some("https://аpple.example/")).as_deref(), Some("xn--pple-43d.example"));
    assert_eq!(host(Some("javascript:alert(1)")), None);
    assert_eq!(host(Some("app.example")), None);
    assert_eq!(host(None), None);
}

#[tokio::test]
async fn a_page_is_answered_as_html() {
    use keyreeve_web::pages::{Chrome, Landing, PRODUCT};
    let chrome = Chrome { locale: Locale::English, brand: PRODUCT, base: "/id", home: "/id/" };
    let answer =
        respond(axum::http::StatusCode::OK, &Landing { chrome, sign_in_url: "/id/sign-in", signed_in: None });
    assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
    let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    assert!(String::from_utf8(body.to_vec()).unwrap().contains("href=\"/id/assets/keyreeve."));
}

//! Known attacks, tried from outside: over HTTP, through every door at which they can be tried, in the default tenant
//! and in another. Each test bears the identifiers of its cases; `docs/security.md` tells what they are and where each
//! is tried, and `document` holds that table to the truth.
//!
//! An attack fails when it is refused, changes nothing, and is in the audit log.

mod api;
mod document;
mod guessing;
mod insight;
pub mod recovery;
mod redirects;
mod requests;
mod scim;
mod secrets;
mod sessions;
mod sharing;
mod signing;
mod stores;
mod tokens;
mod web;

use keyreeve_acceptance::{Answer, Browser, CodeFlow, Mount, Server, TestClient, TokenSet};

/// The default tenant and another one, each with ada and a client of somebody else.
pub struct Stage {
    pub mount: Mount,
    pub portal: TestClient,
}

/// Sets the stage in the default tenant and in another.
pub async fn stages(server: &Server) -> [Stage; 2] {
    let acme = server.tenant("acme").create().await;
    [Stage::set(server).await, Stage::set(&acme).await]
}

impl Stage {
    pub async fn set(mount: &Mount) -> Self {
        mount.user("ada").create().await;
        let portal = mount.client("portal").web_app().create().await;
        Self { mount: mount.clone(), portal }
    }

    pub fn flow(&self) -> CodeFlow {
        self.mount.code_flow(&self.portal)
    }

    /// A browser in which ada is signed in and has agreed to everything that the flow asks for.
    pub async fn agreed(&self) -> Browser {
        let browser = self.mount.browser();
        self.flow().walk(&browser, "ada").await;
        browser
    }

    /// Tokens of ada's.
    pub async fn tokens(&self) -> TokenSet {
        self.flow().tokens(&self.mount.browser(), "ada").await
    }
}

/// How much the audit log has of anything that grants something.
pub async fn granted(mount: &Mount) -> usize {
    let grants = ["code.issue", "consent.grant", "session.create", "session.renew"];
    let admissions = ["admission.password", "admission.code", "admission.refresh", "admission.client"];
    let entries = mount.audit().await;
    let counts = |action: &str| grants.contains(&action) || admissions.contains(&action);
    entries.iter().filter(|entry| entry.outcome == "success" && counts(&entry.action)).count()
}

/// Expects an error page that leads nowhere.
#[track_caller]
pub fn leads_nowhere(answer: &Answer) {
    answer.check(400);
    assert_eq!(answer.header("location"), None, "{answer}");
    let page = answer.page();
    assert!(page.forms.is_empty(), "{answer}");
    assert!(page.links.iter().all(|link| link.starts_with('/')), "{answer}");
}

/// A page without what differs from one showing to the next by design: the token of its form, what was typed, and the
/// identifier of the request.
#[track_caller]
pub fn stripped(answer: &Answer, typed: &str) -> String {
    let mut text = answer.text().to_owned();
    for form in answer.page().forms {
        if let Some(token) = form.get("csrf") {
            text = text.replace(token, "TOKEN");
        }
    }
    text.replace(typed, "TYPED")
}

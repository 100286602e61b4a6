//! The pages that other doors ask for.

use super::stop::with_policy;
use super::visit::locale;
use crate::pages::{self, Application, Chrome, ErrorKind, PRODUCT, WebUrl};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use keyreeve_http::browser::{BrowserPages, ErrorPage, FormPost};
use keyreeve_http::security_headers::Csp;
use url::Url;

/// Renders pages for doors that have none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pages;

impl BrowserPages for Pages {
    fn error(&self, headers: &HeaderMap, page: &ErrorPage<'_>) -> Response {
        let detail = format!("{}: {}", page.error, page.description);
        let page_of = pages::ErrorPage {
            chrome: chrome(headers, page.prefix),
            kind: kind(page.status),
            detail: Some(&detail),
            reference: None,
        };
        with_policy(pages::respond(page.status, &page_of), Csp::page())
    }

    fn form_post(&self, headers: &HeaderMap, page: &FormPost<'_>) -> Response {
        form_post(chrome(headers, page.prefix), page)
    }
}

fn chrome<'a>(headers: &HeaderMap, prefix: &'a str) -> Chrome<'a> {
    let home = if prefix.is_empty() { "/" } else { prefix };
    Chrome { locale: locale(headers, None), brand: PRODUCT, base: "", home }
}

const fn kind(status: StatusCode) -> ErrorKind {
    match status {
        StatusCode::FORBIDDEN => ErrorKind::Forbidden,
        StatusCode::NOT_FOUND => ErrorKind::NotFound,
        StatusCode::TOO_MANY_REQUESTS => ErrorKind::TooMany,
        StatusCode::SERVICE_UNAVAILABLE => ErrorKind::Unavailable,
        StatusCode::INTERNAL_SERVER_ERROR => ErrorKind::Internal,
        _ => ErrorKind::BadRequest,
    }
}

/// The page that carries an authorization response to a client. A client is named by the host that gets the response.
pub(crate) fn form_post(chrome: Chrome<'_>, page: &FormPost<'_>) -> Response {
    let web = WebUrl::parse(page.action).zip(Url::parse(page.action).ok());
    let Some((redirect_uri, url)) = web else {
        // Private-use schemes get no forms: what an app does with a post is not defined.
        let page = pages::ErrorPage {
            chrome,
            kind: ErrorKind::BadRequest,
            detail: Some("invalid_request: response_mode=form_post needs an http or https redirect URI"),
            reference: None,
        };
        return with_policy(pages::respond(StatusCode::BAD_REQUEST, &page), Csp::page());
    };
    let params: Vec<(&str, &str)> = page.fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let page = pages::FormPost {
        chrome,
        redirect_uri,
        application: Application::new(url.host_str().unwrap_or_default(), None),
        params: &params,
    };
    with_policy(pages::respond(StatusCode::OK, &page), Csp::page().form_target(&url))
}

//! Serves every page in every state, in every language, with the policy that they are meant for, so that whoever
//! works on their look can see them all: `cargo run -p keyreeve-web --example gallery [address]`.

mod states;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use keyreeve_web::assets;
use keyreeve_web::texts::Locale;
use std::fmt::Write;

/// What the server sends with its pages.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; form-action 'self'; \
                      frame-ancestors 'none'; base-uri 'none'";

#[tokio::main]
#[allow(clippy::print_stdout, reason = "it tells where to look")]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8099".to_owned());
    let listener = tokio::net::TcpListener::bind(&address).await?;
    println!("The pages are at http://{}/", listener.local_addr()?);
    let router = Router::new()
        .route("/", get(index))
        .route("/{language}/{state}", get(show))
        .route(assets::ROUTE, get(assets::serve));
    axum::serve(listener, router).await
}

async fn index() -> Html<String> {
    let mut html = "<!DOCTYPE html><html lang=en><title>Gallery</title><h1>Gallery</h1>".to_owned();
    for locale in Locale::ALL {
        let language = locale.tag();
        let _ = write!(html, "<h2>{language}</h2><ul>");
        for state in states::all(locale) {
            let _ = write!(html, "<li><a href=\"/{language}/{0}\">{0}</a>", state.name);
        }
        html.push_str("</ul>");
    }
    Html(html)
}

async fn show(Path((language, name)): Path<(String, String)>) -> Response {
    let locale = Locale::choose(Some(&language), None);
    match states::all(locale).into_iter().find(|state| state.name == name) {
        Some(state) => {
            let policy = HeaderValue::from_static(POLICY);
            ([(header::CONTENT_SECURITY_POLICY, policy)], Html(state.html)).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

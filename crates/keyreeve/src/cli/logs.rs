//! The log output of this process: structured lines on standard error.

use super::exit::Failure;
use crate::config::{Config, LogFormat};
use crate::traces::Exporter;
use keyreeve_http::current::request_id;
use keyreeve_http::front::REQUEST_SPAN;
use std::fmt;
use std::io::IsTerminal as _;
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{JsonFields, Writer, format};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The driver of PostgreSQL tells the parameters of every statement at its lower levels: hashes of passwords, digests of
/// tokens, sealed keys. No filter gets it to.
const NEVER_LOGGED: &str = "tokio_postgres=info";

/// Installs the output, and the traces where `traces` is set. A process has one; where it has one already (tests), that
/// stays.
///
/// # Errors
/// When `filter` is not a filter.
pub(super) fn install(config: &Config, filter: &str, traces: Option<&Exporter>) -> Result<(), Failure> {
    let wrong = |error: &dyn fmt::Display| Failure::usage(format!("log {error}"));
    let mut filter = EnvFilter::builder().parse(filter).map_err(|error| wrong(&error))?;
    // The span is there for the traces; lines get the identifier without it.
    for directive in [NEVER_LOGGED, &format!("{REQUEST_SPAN}=off")] {
        filter = filter.add_directive(directive.parse().map_err(|error| wrong(&error))?);
    }
    let ansi = std::io::stderr().is_terminal();
    let output = lines(config.log_format, ansi, std::io::stderr).with_filter(filter);
    let _ = tracing_subscriber::registry().with(output).with(traces.map(Exporter::layer)).try_init();
    Ok(())
}

/// What writes the lines.
fn lines<S, W>(kind: LogFormat, ansi: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let output = tracing_subscriber::fmt::layer().with_writer(writer);
    match kind {
        LogFormat::Text => {
            output.event_format(OfRequest { lines: format().with_ansi(ansi), json: false }).boxed()
        }
        LogFormat::Json => {
            let lines = format().json().flatten_event(true);
            output.event_format(OfRequest { lines, json: true }).fmt_fields(JsonFields::new()).boxed()
        }
    }
}

/// Lines that bear the identifier of the request within which they are written, as their last field.
struct OfRequest<F> {
    lines: F,
    json: bool,
}

impl<S, N, F> FormatEvent<S, N> for OfRequest<F>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(id) = request_id() else { return self.lines.format_event(context, writer, event) };
        let mut line = String::with_capacity(256);
        self.lines.format_event(context, Writer::new(&mut line), event)?;
        let line = line.trim_end();
        match line.strip_suffix('}').filter(|_| self.json) {
            Some(object) => writeln!(writer, "{object},\"request_id\":\"{}\"}}", id.as_str()),
            None => writeln!(writer, "{line} request_id={}", id.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyreeve_http::front::Front;
    use keyreeve_http::origin::TrustedProxies;
    use keyreeve_http::route::{Guard, Routes};
    use std::io::Write;
    use std::sync::{Arc, Mutex};
    use tower::ServiceExt as _;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What a request writes, and its identifier. A line is written outside of it, too.
    async fn written(kind: LogFormat) -> (Vec<String>, String) {
        let page = Page::default();
        let copy = page.clone();
        let output = lines(kind, false, move || copy.clone());
        let _guard = tracing_subscriber::registry().with(output).set_default();
        let url = url::Url::parse("https://id.example").unwrap();
        let routes = Routes::new().get("/things/{id}", Guard::Public, "things", async || {
            tracing::warn!(thing = "odd}", "within");
        });
        let front = Front::new(&crate::cli::system_world(), &url, TrustedProxies::none());
        let request = http::Request::get("/things/secret-7").body(axum::body::Body::empty()).unwrap();
        let answer = front.wrap(routes.into_router()).oneshot(request).await.unwrap();
        tracing::warn!("outside");
        let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        (text.lines().map(ToOwned::to_owned).collect(), id)
    }

    #[tokio::test]
    async fn each_line_of_a_request_bears_its_identifier() {
        let (text, id) = written(LogFormat::Text).await;
        let ending = format!("request_id={id}");
        let [within, answered, outside] = text.as_slice() else { panic!("{text:?}") };
        assert!(within.contains("WARN") && within.contains("within thing=\"odd}\""), "{within}");
        assert!(within.ends_with(&ending) && answered.ends_with(&ending), "{text:?}");
        let told = r#"answered method="GET" route="/things/{id}" status=200 us="#;
        assert!(answered.contains(told) && !answered.contains("secret-7"), "{answered}");
        assert!(outside.ends_with("outside"), "{outside}");

        let (json, id) = written(LogFormat::Json).await;
        let json: Vec<serde_json::Value> =
            json.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let [within, answered, outside] = json.as_slice() else { panic!("{json:?}") };
        assert_eq!((&within["thing"], &within["request_id"]), (&"odd}".into(), &id.as_str().into()));
        assert_eq!((&answered["route"], &answered["request_id"]), (&"/things/{id}".into(), &id.into()));
        assert_eq!((&outside["message"], outside.get("request_id")), (&"outside".into(), None));
    }
}

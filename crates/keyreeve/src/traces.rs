//! Traces for an OpenTelemetry collector, where `otlp_endpoint` is set: OTLP over HTTP with protobuf.
//!
//! A trace has the request with its route and status, the transactions of the store, each with the place in the code that
//! asked for it, waits for password hashing, background jobs and deliveries. It has no parameter, no path as it was sent,
//! no log line: what no log may hold is not in a trace either. Without the setting no span of these is made.

use crate::config::Config;
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use keyreeve_fetch::{FetchOptions, Fetcher};
use keyreeve_http::front::Traces;
use opentelemetry::KeyValue;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use std::sync::Arc;
use tokio::runtime::Runtime;
use tracing::{Metadata, Span, Subscriber};
use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt as _};
use tracing_subscriber::filter::{FilterFn, Filtered, filter_fn};
use tracing_subscriber::layer::Layer as _;
use tracing_subscriber::registry::LookupSpan;

/// The largest answer of a collector that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// What takes the traces out of the process.
pub struct Exporter {
    provider: SdkTracerProvider,
}

impl Exporter {
    /// The exporter that the configuration asks for; none where it asks for none.
    ///
    /// # Errors
    /// A sentence about what stands in the way.
    pub fn of(config: &Config) -> Result<Option<Self>, String> {
        let Some(endpoint) = &config.otlp_endpoint else { return Ok(None) };
        let endpoint = format!("{}/v1/traces", endpoint.trim_end_matches('/').trim_end_matches("/v1/traces"));
        let failed = |error: &dyn std::fmt::Display| format!("otlp_endpoint: {error}");
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client::new(config).map_err(|error| failed(&error))?)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(endpoint)
            .build()
            .map_err(|error| failed(&error))?;
        let kept = f64::from(config.trace_sample_percent) / 100.0;
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(kept)));
        let resource = Resource::builder_empty()
            .with_service_name("keyreeve")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(sampler)
            .with_resource(resource)
            .build();
        Ok(Some(Self { provider }))
    }

    /// The layer that makes traces of spans.
    pub(crate) fn layer<S>(&self) -> Traced<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("keyreeve"))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(is_ours as fn(&Metadata<'_>) -> bool))
    }

    /// Sends what is left. Blocks for as long as the collector takes, within bounds.
    pub fn finish(&self) {
        if let Err(error) = self.provider.shutdown() {
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }
}

/// The layer of traces, with what it sees of spans.
pub(crate) type Traced<S> =
    Filtered<OpenTelemetryLayer<S, SdkTracer>, FilterFn<fn(&Metadata<'_>) -> bool>, S>;

/// Spans of this program; no log lines, and nothing of the libraries.
fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.target().starts_with("keyreeve")
}

/// Lets a trace that a trusted proxy began go on here.
#[derive(Debug, Default)]
pub(crate) struct Continued(TraceContextPropagator);

impl Continued {
    /// Where traces are made.
    pub(crate) fn of(config: &Config) -> Option<Arc<dyn Traces>> {
        config.otlp_endpoint.as_ref().map(|_| Arc::new(Self::default()) as Arc<dyn Traces>)
    }
}

impl Traces for Continued {
    fn begin(&self, span: &Span, headers: Option<&HeaderMap>) {
        if let Some(headers) = headers.filter(|headers| headers.contains_key("traceparent")) {
            // A header that is none begins a trace of our own.
            let _ = span.set_parent(self.0.extract(&Headers(headers)));
        }
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

/// The client that carries traces: the operator named the collector, so it may be anywhere. It runs on a thread of its
/// own, since the batches are made on one that has no runtime.
struct Client {
    fetcher: Fetcher,
    runtime: Runtime,
}

impl Client {
    fn new(config: &Config) -> Result<Self, String> {
        let options = FetchOptions {
            allow_private: true,
            authorities: config.fetch_authorities_file.clone(),
            concurrency: 2,
            ..FetchOptions::default()
        };
        let fetcher = Fetcher::new(options).map_err(|error| error.to_string())?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(2)
            .thread_name("keyreeve-otlp")
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { fetcher, runtime })
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let mut wanted = keyreeve_fetch::Request::post(head.uri.to_string(), "application/x-protobuf", body)
            .max_body(MAX_ANSWER_BYTES);
        for (name, value) in &head.headers {
            wanted = wanted.header(name.clone(), value.clone());
        }
        let fetcher = self.fetcher.clone();
        let answer = self.runtime.spawn(async move { fetcher.send(wanted).await }).await??;
        let mut response = Response::new(answer.body);
        *response.status_mut() = answer.status;
        Ok(response)
    }
}

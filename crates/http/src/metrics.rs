//! Requests counted and timed by route. The handles are registered once, with the table of routes, so that a request
//! costs a few atomic operations and no look-up, and so that no caller can make up a label.
//!
//! Names: `keyreeve_http_requests_total` with the labels `route`, `method` and `status` (`1xx` to `5xx`), and
//! `keyreeve_http_request_seconds`, a histogram with the label `route`. Requests that match no route are not counted here.

use crate::route::RouteSpec;
use http::StatusCode;
use metrics::{Counter, Histogram, Key, Label, Level, Metadata, Recorder};
use std::time::Duration;

const REQUESTS: &str = "keyreeve_http_requests_total";
const SECONDS: &str = "keyreeve_http_request_seconds";
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The handles of one route and method.
#[derive(Debug)]
pub(crate) struct RouteMeter {
    by_class: [Counter; 5],
    seconds: Histogram,
}

impl RouteMeter {
    pub(crate) fn register(recorder: &dyn Recorder, spec: &RouteSpec) -> Self {
        let metadata = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));
        let route = Label::from_static_parts("route", spec.name);
        let method = Label::new("method", spec.method.as_str().to_owned());
        let by_class = CLASSES.map(|class| {
            let labels = vec![route.clone(), method.clone(), Label::from_static_parts("status", class)];
            recorder.register_counter(&Key::from_parts(REQUESTS, labels), &metadata)
        });
        let seconds = recorder.register_histogram(&Key::from_parts(SECONDS, vec![route]), &metadata);
        Self { by_class, seconds }
    }

    pub(crate) fn record(&self, status: StatusCode, took: Duration) {
        let class = usize::from(status.as_u16() / 100).checked_sub(1);
        if let Some(counter) = class.and_then(|class| self.by_class.get(class)) {
            counter.increment(1);
        }
        self.seconds.record(took.as_secs_f64());
    }
}

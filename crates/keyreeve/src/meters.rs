//! Every metric that `/metrics` can show: its name, what it counts, what tells its series apart. One line for each; the
//! recorder's descriptions and the table in the operators' documentation are held to it.

use metrics::{describe_counter, describe_gauge, describe_histogram};

/// What a metric does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It is what it is at the moment.
    Gauge,
    /// It counts values by their size.
    Histogram,
}

impl Kind {
    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric.
#[derive(Debug, Clone, Copy)]
pub struct Meter {
    /// Its name, which ends in its unit.
    pub name: &'static str,
    /// What it does.
    pub kind: Kind,
    /// The labels that tell its series apart.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

macro_rules! meters {
    ($($kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        /// Every metric, by name.
        pub static METERS: &[Meter] = &[$(Meter {
            name: $name,
            kind: Kind::$kind,
            labels: &[$($label),*],
            help: $help,
        }),*];
    };
}

meters! {
    Counter "keyreeve_cache_hits_total" ["cache"] "look-ups that memory answered";
    Counter "keyreeve_cache_misses_total" ["cache"] "look-ups that went to the database";
    Counter "keyreeve_claims_left_out_total" [] "claims that a mapper could not give their type";
    Counter "keyreeve_http_requests_total" ["route", "method", "status"] "requests answered, by class of status";
    Histogram "keyreeve_http_request_seconds" ["route"] "from the head of a request to the head of its answer";
    Counter "keyreeve_job_failures_total" ["job"] "rounds of background jobs that failed";
    Histogram "keyreeve_job_seconds" ["job"] "how long rounds of background jobs took";
    Counter "keyreeve_logout_deliveries_total" ["outcome"] "logout tokens that were sent to clients, by what came of it";
    Gauge "keyreeve_logout_queue_length" [] "logout tokens that wait to be sent to clients, now or later";
    Gauge "keyreeve_mail_queue_length" [] "messages that wait to be sent, now or later";
    Counter "keyreeve_mail_total" ["kind", "outcome"] "attempts to send mail";
    Counter "keyreeve_password_busy_total" [] "password hashes refused because too many waited";
    Gauge "keyreeve_password_queue_length" [] "password hashes that wait";
    Counter "keyreeve_password_refusals_total" ["reason"] "sign-ins by password that were refused";
    Histogram "keyreeve_password_wait_seconds" [] "how long password hashes waited for their turn";
    Counter "keyreeve_pruned_rows_total" ["kind"] "expired rows that were forgotten";
    Counter "keyreeve_recovery_refusals_total" ["kind", "reason"] "links from mail that were refused";
    Histogram "keyreeve_store_commit_seconds" [] "how long commits took";
    Histogram "keyreeve_store_commit_transactions" [] "transactions that one commit carried (SQLite)";
    Gauge "keyreeve_store_queue_length" [] "transactions that wait or run";
    Histogram "keyreeve_store_read_seconds" [] "how long reads took; one in sixteen is timed";
    Counter "keyreeve_store_refused_total" [] "transactions refused because too many waited";
    Counter "keyreeve_store_retries_total" [] "transactions that were run again";
    Histogram "keyreeve_store_wait_seconds" [] "how long transactions waited for a connection";
    Counter "keyreeve_tokens_issued_total" ["method"] "token answers, by how the user or program signed in";
    Gauge "keyreeve_webhook_backlog_entries" [] "audit entries that webhooks have not got to yet";
    Counter "keyreeve_webhook_deliveries_total" ["outcome"] "messages of webhooks that were sent, by what came of it";
    Histogram "keyreeve_webhook_delivery_seconds" [] "how long receivers of webhooks took";
    Gauge "process_cpu_seconds_total" [] "processor time of this process";
    Gauge "process_open_fds" [] "open file descriptors of this process";
    Gauge "process_resident_memory_bytes" [] "memory of this process in RAM";
}

/// Tells the recorder what each metric means.
pub fn describe() {
    for meter in METERS {
        match meter.kind {
            Kind::Counter => describe_counter!(meter.name, meter.help),
            Kind::Gauge => describe_gauge!(meter.name, meter.help),
            Kind::Histogram => describe_histogram!(meter.name, meter.help),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    /// The rows that the documentation must have.
    fn table() -> String {
        let row = |meter: &Meter| {
            let labels: Vec<String> = meter.labels.iter().map(|label| format!("`{label}`")).collect();
            format!(
                "| `{}` | {} | {} | {} |\n",
                meter.name,
                meter.kind.as_str(),
                labels.join(", "),
                meter.help
            )
        };
        METERS.iter().map(row).collect()
    }

    fn names_in(directory: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(directory).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                names_in(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                for start in ["counter!(", "gauge!(", "histogram!(", "REQUESTS: &str = ", "SECONDS: &str = "]
                {
                    for after in text.split(start).skip(1) {
                        let name =
                            after.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next());
                        found.extend(
                            name.filter(|name| name.starts_with("keyreeve_") || name.starts_with("process_"))
                                .map(ToOwned::to_owned),
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn every_metric_of_the_code_is_described_and_documented() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        let mut used = BTreeSet::new();
        for entry in std::fs::read_dir(root.join("crates")).unwrap().flatten() {
            let sources = entry.path().join("src");
            if sources.is_dir() {
                names_in(&sources, &mut used);
            }
        }
        let known: BTreeSet<String> = METERS.iter().map(|meter| meter.name.to_owned()).collect();
        assert_eq!(used, known, "what the code records, and what is described");
        let document = std::fs::read_to_string(root.join("docs/operating.md")).unwrap();
        assert!(document.contains(&table()), "docs/operating.md must have these rows:\n{}", table());
    }

    #[test]
    fn names_end_in_their_unit() {
        let units = ["_total", "_seconds", "_bytes", "_entries", "_length", "_transactions", "_fds"];
        for meter in METERS {
            assert!(units.iter().any(|unit| meter.name.ends_with(unit)), "{}", meter.name);
            assert!(meter.kind != Kind::Counter || meter.name.ends_with("_total"), "{}", meter.name);
        }
    }
}

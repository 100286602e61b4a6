//! What was measured, as a table for people and as JSON for scripts.

use crate::load::Measured;
use anyhow::Result;
use serde_json::{Value, json};
use std::io::Write as _;

/// One run.
#[derive(Default)]
pub struct Report {
    bare_cpu_us: f64,
    operations: Vec<(String, Measured, Option<f64>)>,
    facts: Vec<(String, f64, &'static str, Option<String>)>,
}

impl Report {
    /// A report whose multiples are those of this bare handler.
    pub fn new(bare: Measured) -> Self {
        let mut report = Self { bare_cpu_us: bare.cpu_us, ..Self::default() };
        report.operation("bare axum handler", bare, None);
        report
    }

    /// Adds an operation; `target` is the multiple of the bare handler's CPU that it should not exceed.
    pub fn operation(&mut self, name: &str, measured: Measured, target: Option<f64>) {
        let line = format!("{name}: {:.1} µs of CPU a request", measured.cpu_us);
        let _ = writeln!(std::io::stderr(), "  {line}");
        self.operations.push((name.to_owned(), measured, target));
    }

    /// Adds a single figure.
    pub fn fact(&mut self, name: &str, value: f64, unit: &'static str, target: Option<&str>) {
        let _ = writeln!(std::io::stderr(), "  {name}: {value:.2} {unit}");
        self.facts.push((name.to_owned(), value, unit, target.map(str::to_owned)));
    }

    /// Prints a Markdown table.
    pub fn print_table(&self) -> Result<()> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "| operation | requests/s | p50 µs | p99 µs | CPU µs/request | × bare | target |")?;
        writeln!(out, "|---|---:|---:|---:|---:|---:|---:|")?;
        for (name, m, target) in &self.operations {
            let target = target.map_or_else(|| "–".to_owned(), |t| format!("≤ {t}"));
            writeln!(
                out,
                "| {name} | {:.0} | {} | {} | {:.1} | {:.2} | {target} |",
                m.per_second,
                m.p50_us,
                m.p99_us,
                m.cpu_us,
                m.cpu_us / self.bare_cpu_us
            )?;
        }
        writeln!(out, "\n| figure | value | target |\n|---|---:|---:|")?;
        for (name, value, unit, target) in &self.facts {
            writeln!(out, "| {name} | {value:.2} {unit} | {} |", target.as_deref().unwrap_or("–"))?;
        }
        Ok(())
    }

    /// Prints one JSON object.
    pub fn print_json(&self) -> Result<()> {
        let operations: Vec<Value> = self
            .operations
            .iter()
            .map(|(name, m, target)| {
                json!({ "operation": name, "requests": m.requests, "per_second": m.per_second, "p50_us": m.p50_us,
                        "p99_us": m.p99_us, "cpu_us": m.cpu_us, "multiple": m.cpu_us / self.bare_cpu_us, "target": target })
            })
            .collect();
        let facts: Vec<Value> = self
            .facts
            .iter()
            .map(|(name, value, unit, target)| json!({ "figure": name, "value": value, "unit": unit, "target": target }))
            .collect();
        let mut out = std::io::stdout().lock();
        writeln!(out, "{:#}", json!({ "operations": operations, "figures": facts }))?;
        Ok(())
    }
}

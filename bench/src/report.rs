//! What was measured, as a table for people and as JSON for scripts.

use crate::load::{Measured, Round, median};
use anyhow::Result;
use serde_json::{Value, json};
use std::io::Write as _;

/// One run.
#[derive(Default)]
pub struct Report {
    bare: Vec<Round>,
    operations: Vec<Operation>,
    facts: Vec<(String, f64, &'static str, Option<String>)>,
}

struct Operation {
    name: &'static str,
    measured: Measured,
    /// Its CPU time as a multiple of the bare handler's, and what that should not exceed.
    multiple: f64,
    target: Option<f64>,
}

impl Report {
    /// Adds an operation from its rounds, each with that of the bare handler before it. `target` is the multiple of
    /// the bare handler's CPU that it should not exceed; the multiple is the median of the rounds' own. Answers its CPU for
    /// each request, in microseconds.
    pub fn operation(&mut self, name: &'static str, rounds: Vec<(Round, Round)>, target: f64) -> f64 {
        let multiple = median(rounds.iter().map(|(bare, own)| own.cpu_us / bare.cpu_us));
        let (bare, own): (Vec<_>, Vec<_>) = rounds.into_iter().unzip();
        self.bare.extend(bare);
        let measured = Measured::of(own);
        let line = format!("{name}: {:.1} µs of CPU a request, {multiple:.2} × bare", measured.cpu_us);
        let _ = writeln!(std::io::stderr(), "  {line}");
        let cpu_us = measured.cpu_us;
        self.operations.push(Operation { name, measured, multiple, target: Some(target) });
        cpu_us
    }

    /// Puts the bare handler's own figures, of all rounds together, at the head.
    pub fn finish(mut self) -> Self {
        if !self.bare.is_empty() {
            let measured = Measured::of(std::mem::take(&mut self.bare));
            let bare = Operation { name: "bare axum handler", measured, multiple: 1.0, target: None };
            self.operations.insert(0, bare);
        }
        self
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
        for Operation { name, measured: m, multiple, target } in &self.operations {
            let target = target.map_or_else(|| "–".to_owned(), |t| format!("≤ {t}"));
            writeln!(
                out,
                "| {name} | {:.0} | {} | {} | {:.1} | {multiple:.2} | {target} |",
                m.per_second, m.p50_us, m.p99_us, m.cpu_us
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
            .map(|Operation { name, measured: m, multiple, target }| {
                json!({ "operation": name, "requests": m.requests, "per_second": m.per_second, "p50_us": m.p50_us,
                        "p99_us": m.p99_us, "cpu_us": m.cpu_us, "multiple": multiple, "target": target })
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

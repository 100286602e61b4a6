//! `keyreeve audit …`

use crate::App;
use crate::cli::args::{AuditCommand, AuditFilter};
use crate::cli::client::{Api, Call, at};
use crate::cli::exit::{Exit, Failure, Output, table};
use crate::cli::input::Input;
use crate::cli::view::{self, Fields};
use keyreeve_audit::{FileVerdict, FileVerifier, Head, Report, Verdict};
use keyreeve_identity::Tenant;
use keyreeve_store::Tx;
use serde_json::json;
use std::io::BufRead as _;
use std::path::Path;
use std::sync::Arc;

pub(crate) const ENTRIES: Fields = &[
    ("NO", "/seq"),
    ("WHEN", "/at"),
    ("WHO", "/actor"),
    ("WHAT", "/action"),
    ("TO WHAT", "/target"),
    ("OUTCOME", "/outcome"),
    ("WHY", "/reason"),
    ("FROM", "/address"),
];

pub(super) async fn run(api: &Api, command: &AuditCommand, input: &Input) -> Result<Output, Failure> {
    match command {
        AuditCommand::Verify { file: Some(file), expect, .. } => {
            verify_file(&input.directory.join(file), expect.as_deref())
        }
        AuditCommand::Verify { tenant: Some(slug), expect, .. } => {
            let (app, expected) = (api.installation()?, expect.as_deref().map(head).transpose()?);
            let found = app.identity.tenants().by_slug(slug).await?;
            let tenant = found.ok_or_else(|| Failure::not_found(format!("there is no tenant {slug:?}")))?;
            let report = verify(app, &tenant, expected).await?;
            Ok(verdicts(&[(tenant.slug.clone(), report)]))
        }
        AuditCommand::Verify { tenant: None, .. } => verify_all(api.installation()?).await,
        AuditCommand::Seal => seal(api.installation()?).await,
        AuditCommand::List { tenant, filter, oldest_first, after, limit } => {
            let call = filtered(Call::get(at!["audit"]), filter)
                .query("order", oldest_first.then_some("oldest"))
                .query("after", after.as_ref())
                .query("limit", Some(limit));
            let (items, next) = api.list(&tenant.tenant, call, false).await?;
            Ok(view::page(items, next.as_deref(), ENTRIES))
        }
        AuditCommand::Export(_) | AuditCommand::Follow(_) => {
            Err(Failure::usage("this command does not work on an opened installation"))
        }
    }
}

/// Checks an exported log; touches no installation.
pub(crate) fn verify_file(path: &Path, expect: Option<&str>) -> Result<Output, Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::new(Exit::Failed, format!("{} cannot be read: {error}", path.display()))
    };
    let mut verifier = FileVerifier::new(expect.map(head).transpose()?);
    let file = std::fs::File::open(path).map_err(unreadable)?;
    for line in std::io::BufReader::new(file).lines() {
        if !verifier.line(&line.map_err(unreadable)?) {
            break;
        }
    }
    let report = verifier.finish();
    let (word, line, seq, says) = match &report.verdict {
        FileVerdict::Intact => ("intact", None, None, "intact".to_owned()),
        FileVerdict::Unreadable { line, why } => {
            ("unreadable", Some(*line), None, format!("BROKEN: line {line} is not an exported entry: {why}"))
        }
        FileVerdict::Altered { line, seq } => {
            ("altered", Some(*line), Some(*seq), format!("BROKEN: entry {seq} in line {line} was changed"))
        }
        FileVerdict::Missing { line, seq } => {
            ("missing", Some(*line), Some(*seq), format!("BROKEN: entry {seq} is missing before line {line}"))
        }
        FileVerdict::NotTheExpected { seq } => (
            "not_the_expected",
            None,
            Some(*seq),
            format!("BROKEN: it does not pass through the head noted at entry {seq}"),
        ),
    };
    let heading = report.head.as_ref().map(ToString::to_string);
    let text = format!(
        "{}: {} entries from number {}: {says}\nhead {}",
        path.display(),
        report.checked,
        report.first.unwrap_or_default(),
        heading.as_deref().unwrap_or("none"),
    );
    let output = Output::new(
        text,
        json!({
            "file": path, "intact": report.verdict == FileVerdict::Intact, "verdict": word, "line": line, "seq": seq,
            "checked": report.checked, "first": report.first, "head": heading, "tenant_id": report.tenant,
        }),
    );
    Ok(if report.verdict == FileVerdict::Intact { output } else { output.exit(Exit::Refused) })
}

async fn seal(app: &App) -> Result<Output, Failure> {
    let mut sealed = 0_usize;
    loop {
        let batch = app.store.write(async |tx: &mut Tx<'_>| keyreeve_audit::seal(tx).await).await?;
        if batch == 0 {
            return Ok(Output::new(format!("{sealed} entries were chained."), json!({"sealed": sealed})));
        }
        sealed += batch;
    }
}

/// `SEQ:HASH` as `audit verify` prints it.
fn head(text: &str) -> Result<Head, Failure> {
    let wrong =
        || Failure::usage(format!("{text:?} is not a head; give SEQ:HASH as `audit verify` printed it"));
    let (seq, hex) = text.split_once(':').ok_or_else(wrong)?;
    let digits: Option<Vec<u8>> =
        hex.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits.filter(|digits| digits.len() == 64).ok_or_else(wrong)?;
    let hash =
        digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| (byte << 4) | digit)).collect();
    Ok(Head { seq: seq.parse().map_err(|_| wrong())?, hash })
}

pub(crate) async fn verify(app: &App, tenant: &Tenant, expected: Option<Head>) -> Result<Report, Failure> {
    let (tenant, expected) = (tenant.id, Arc::new(expected));
    Ok(app
        .store
        .scan(async move |tx: &mut Tx<'_>| {
            keyreeve_audit::verify(tx, tenant, expected.as_ref().as_ref()).await
        })
        .await?)
}

async fn verify_all(app: &App) -> Result<Output, Failure> {
    let mut reports = Vec::new();
    let mut after = None;
    loop {
        let page = app.identity.tenants().list(after, 500).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for tenant in &page {
            reports.push((tenant.slug.clone(), verify(app, tenant, None).await?));
        }
    }
    Ok(verdicts(&reports))
}

/// What a verdict means, as a sentence.
pub(crate) fn sentence(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Intact => "intact".to_owned(),
        Verdict::Missing { seq } => format!("BROKEN: entry {seq} was removed"),
        Verdict::Altered { seq } => format!("BROKEN: entry {seq} was changed"),
        Verdict::HeadDiffers { recorded } => {
            format!("BROKEN: the end was cut off or replaced; the log should have {recorded} entries")
        }
        Verdict::NotTheExpected { seq } => {
            format!(
                "BROKEN: the log does not pass through the head that was noted at entry {seq}; it was rewritten"
            )
        }
    }
}

const fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Intact => "intact",
        Verdict::Missing { .. } => "missing",
        Verdict::Altered { .. } => "altered",
        Verdict::HeadDiffers { .. } => "head_differs",
        Verdict::NotTheExpected { .. } => "not_the_expected",
    }
}

fn verdicts(reports: &[(String, Report)]) -> Output {
    let intact = reports.iter().all(|(_, report)| report.verdict == Verdict::Intact);
    let rows: Vec<_> = reports
        .iter()
        .map(|(slug, report)| {
            vec![slug.clone(), report.checked.to_string(), sentence(&report.verdict), report.head.to_string()]
        })
        .collect();
    let json: Vec<_> = reports
        .iter()
        .map(|(slug, report)| {
            let seq = match report.verdict {
                Verdict::Missing { seq } | Verdict::Altered { seq } | Verdict::NotTheExpected { seq } => {
                    Some(seq)
                }
                Verdict::Intact | Verdict::HeadDiffers { .. } => None,
            };
            json!({
                "tenant": slug,
                "verdict": word(&report.verdict),
                "seq": seq,
                "checked": report.checked,
                "waiting": report.waiting,
                "head": report.head.to_string(),
            })
        })
        .collect();
    let output = Output::new(
        table(&["TENANT", "ENTRIES", "CHAIN", "HEAD"], &rows),
        json!({"intact": intact, "tenants": json}),
    );
    if intact { output } else { output.exit(Exit::Refused) }
}

/// `KIND:ID`, or the kind alone.
fn halves(text: Option<&str>) -> (Option<&str>, Option<&str>) {
    match text.and_then(|text| text.split_once(':')) {
        Some((kind, id)) => (Some(kind), Some(id)),
        None => (text, None),
    }
}

/// The part of the query that says which entries are wanted.
pub(crate) fn filtered(call: Call, filter: &AuditFilter) -> Call {
    let (actor_kind, actor_id) = halves(filter.actor.as_deref());
    let (target_kind, target_id) = halves(filter.target.as_deref());
    call.query("actor_kind", actor_kind)
        .query("actor_id", actor_id)
        .query("action", filter.action.as_ref())
        .query("target_kind", target_kind)
        .query("target_id", target_id)
        .query("outcome", filter.outcome.as_ref())
        .query("from", filter.since.as_ref())
        .query("before", filter.until.as_ref())
        .query("request_id", filter.request_id.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_reads_back_what_it_prints() {
        let noted = Head { seq: 12, hash: (0..32).collect() };
        assert_eq!(head(&noted.to_string()).unwrap(), noted);
        for bad in ["", "12", "12:", "12:abcd", "x:00", &format!("12:{}", "g".repeat(64))] {
            assert_eq!(head(bad).unwrap_err().exit, Exit::Usage, "{bad}");
        }
    }
}

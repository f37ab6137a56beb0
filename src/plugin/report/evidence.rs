//! What the checks and reviewers said: outcomes with the images they ran in, tests, coverage and measurements against
//! their targets and the base, and the reviewers' own numbers beside ours.

use std::fmt::Write as _;

use super::escape;
use crate::{
    api::{
        ReviewResult, ReviewResultStatus,
        common::{Decimal, Quantity},
        evidence::{BaseFacts, Coverage, LineCounts, Measurement, ReportFacts, ReportState, TestCounts},
        review_result::ReviewerEvidence,
    },
    plugin::text::{plain, short},
};

/// Each check, how it ended and in which image.
pub(super) fn checks(result: &ReviewResult) -> String {
    let mut text =
        "## Checks\n\n| Check | Outcome | Exit code | Said | Image |\n| --- | --- | --- | --- | --- |".to_owned();
    for check in &result.spec.checks {
        let code = check.exit_code.map_or_else(|| "-".to_owned(), |code| code.to_string());
        let unread = check.reports.iter().filter(|report| !report.message.is_empty());
        let mut said: Vec<_> = unread.map(|report| escape(&format!("{}: {}", report.path, report.message))).collect();
        if !check.message.is_empty() {
            said.insert(0, escape(&check.message));
        }
        let image = check.image_id.as_deref().map_or_else(|| "-".to_owned(), escape);
        let (name, said) = (escape(&check.name), said.join("; "));
        let _ = write!(text, "\n| {name} | {:?} | {code} | {said} | {image} |", check.outcome);
    }
    text
}

/// One line of what was measured: what, how much, what it should be, and what the base has.
struct Row {
    what: String,
    measured: String,
    target: String,
    base: String,
}

/// Tests, coverage and measurements of every report that has any.
pub(super) fn measurements(result: &ReviewResult) -> Option<String> {
    let mut text = String::new();
    for check in &result.spec.checks {
        for report in check.reports.iter().filter(|report| report.state == ReportState::Read) {
            for row in rows(report) {
                let source = escape(&format!("{} {}", check.name, report.path));
                let Row { what, measured, target, base } = row;
                let _ = write!(text, "\n| {source} | {what} | {measured} | {target} | {base} |");
            }
        }
    }
    (!text.is_empty()).then(|| {
        format!(
            "## Measurements\n\n| Source | What | Measured | Target | Base |\n| --- | --- | --- | --- | --- |{text}"
        )
    })
}

fn rows(report: &ReportFacts) -> Vec<Row> {
    let base = report.base.as_ref();
    let tests = report.tests.map(|now| tests(now, base));
    let coverage = report.coverage.into_iter().flat_map(|coverage| covered(coverage, base));
    tests.into_iter().chain(coverage).chain(report.measurements.iter().map(measured)).collect()
}

fn tests(now: TestCounts, base: Option<&BaseFacts>) -> Row {
    let words = |TestCounts { passed, failed, skipped }| format!("{passed} passed, {failed} failed, {skipped} skipped");
    Row {
        what: "tests".to_owned(),
        measured: words(now),
        target: "none failed".to_owned(),
        base: base.and_then(|base| Some(format!("{}{}", words(base.tests?), at(base)))).unwrap_or_else(nothing),
    }
}

/// The lines that the phase changed are judged; without them all are.
fn covered(coverage: Coverage, base: Option<&BaseFacts>) -> Vec<Row> {
    let Coverage { all, changed, target } = coverage;
    let before = base.and_then(|base| Some(format!("{}{}", lines(base.coverage?), at(base)))).unwrap_or_else(nothing);
    let target = format!("≥ {target} %");
    let row = |what: &str, counts, target, base| Row { what: what.to_owned(), measured: lines(counts), target, base };
    match changed {
        Some(changed) => vec![
            row("changed lines covered", changed, target, nothing()),
            row("all lines covered", all, nothing(), before),
        ],
        None => vec![row("all lines covered", all, target, before)],
    }
}

fn measured(measurement: &Measurement) -> Row {
    let Measurement { target, value } = measurement;
    let bar = |sign: &str, bar: Option<Quantity>| bar.map(|bar| format!("{sign} {bar}"));
    Row {
        what: escape(&target.metric),
        measured: value.map_or_else(|| "**missing**".to_owned(), |value| value.to_string()),
        target: bar("≥", target.at_least).or_else(|| bar("≤", target.at_most)).unwrap_or_else(nothing),
        base: nothing(),
    }
}

fn nothing() -> String {
    "-".to_owned()
}

/// ` at 0011223`.
fn at(base: &BaseFacts) -> String {
    if base.commit.is_empty() { String::new() } else { format!(" at {}", short(&base.commit)) }
}

/// `12 of 14 (85.7 %)`, cut.
fn lines(LineCounts { covered, total }: LineCounts) -> String {
    if total <= 0 {
        return "no lines".to_owned();
    }
    let permille = i128::from(covered) * 1000 / i128::from(total);
    format!("{covered} of {total} ({}.{} %)", permille / 10, permille % 10)
}

/// Each reviewer: its own number beside ours, what it examined, and its summary.
pub(super) fn reviewers(result: &ReviewResult, status: &ReviewResultStatus) -> Option<String> {
    if result.spec.reviews.is_empty() {
        return None;
    }
    let mut text = "## Reviewers\n\nA reviewer's own number is a measure of the reviewer. It is never used.\n\n\
                    | Reviewer | Its own number | Its findings come to | Said |\n| --- | --- | --- | --- |"
        .to_owned();
    for reviewer in &result.spec.reviews {
        let score =
            status.reviewers.iter().find(|score| score.name == reviewer.name && score.shadow == reviewer.shadow);
        let number = |number: Option<Decimal>| number.map_or_else(nothing, |number| number.to_string());
        let (own, ours) = (number(score.and_then(|s| s.own)), number(score.and_then(|s| s.ours)));
        let shadow = if reviewer.shadow { " (shadow)" } else { "" };
        let _ = write!(text, "\n| {}{shadow} | {own} | {ours} | {} |", escape(&reviewer.name), said(reviewer));
    }
    for reviewer in &result.spec.reviews {
        for examined in reviewer.review.iter().flat_map(|review| &review.examined) {
            let (name, category) = (escape(&reviewer.name), escape(&examined.category));
            let before = if text.ends_with('|') { "\n" } else { "" };
            let _ = write!(text, "{before}\n- {name} examined {category}: {}", escape(&examined.what));
        }
    }
    Some(text)
}

fn said(reviewer: &ReviewerEvidence) -> String {
    match &reviewer.review {
        Some(review) => escape(&review.summary),
        None if reviewer.message.is_empty() => "no review".to_owned(),
        None => format!("no review: {}", escape(&plain(&reviewer.message))),
    }
}

//! What was found: findings with what they cost and who reported them, both sides of disputes, signs of gaming, and what
//! is shown though it costs nothing.

use std::fmt::Write as _;

use super::{super::waive::short_id, escape};
use crate::{
    api::{
        ReviewResult, ReviewResultStatus,
        evidence::{GamingSign, SeverityCounts},
        phase::Waiver,
        review_result::{CriterionState, JudgedFinding, Uncharged},
    },
    plugin::{
        follow::{place, place_of},
        reading,
        text::{count, plain},
        why::{named_counts, totals},
    },
};

/// Findings that cost nothing and are named; the others are counted.
const SHOWN: usize = 5;

/// What is charged.
pub(super) fn findings(status: &ReviewResultStatus) -> String {
    let mut text = format!("## Findings: {}", totals(status));
    if reading::charged(status).next().is_none() {
        return text;
    }
    text.push_str("\n\n| Id | Severity | Place | Rule | What | Costs | Reported by |\n");
    text.push_str("| --- | --- | --- | --- | --- | --- | --- |");
    for judged in reading::charged(status) {
        let again = if judged.persisting { " (again)" } else { "" };
        let _ = write!(
            text,
            "\n| {} | {:?} | {} | {} | {}{again} | {} | {} |",
            escape(&short_id(&judged.finding.id)),
            judged.finding.severity,
            escape(&place(judged)),
            escape(&judged.finding.rule),
            what(judged),
            escape(&judged.categories.join(", ")),
            reporters(judged),
        );
    }
    text
}

/// What is wrong, what was quoted for it, and what to do about it.
fn what(judged: &JudgedFinding) -> String {
    let finding = &judged.finding;
    let mut text = escape(&finding.message);
    if !finding.evidence.is_empty() {
        let _ = write!(text, " — “{}”", escape(&finding.evidence));
    }
    if !finding.recommendation.is_empty() {
        let _ = write!(text, " **Do:** {}", escape(&finding.recommendation));
    }
    text
}

/// Who reported it. What several report is not told by one alone.
fn reporters(judged: &JudgedFinding) -> String {
    if judged.reported_by.is_empty() {
        return escape(&judged.check);
    }
    format!("{} agree: {}", judged.reported_by.len(), escape(&judged.reported_by.join(", ")))
}

/// `bandit and eyes say`.
fn accusers(judged: &JudgedFinding) -> String {
    match judged.reported_by.as_slice() {
        [] | [_] => format!("{} says", escape(&judged.check)),
        several => format!("{} say", escape(&several.join(" and "))),
    }
}

/// What the developer disputes and was found again: both sides.
pub(super) fn disputes(status: &ReviewResultStatus) -> Option<String> {
    let mut text = "## Disputes\n".to_owned();
    let mut none = true;
    for judged in status.findings.iter().filter(|judged| !judged.dispute.is_empty()) {
        none = false;
        let _ = write!(
            text,
            "\n- {} {} {}{}\n  - {}: {}\n  - the developer says: {}",
            escape(&short_id(&judged.finding.id)),
            escape(&place(judged)),
            escape(&judged.finding.rule),
            if judged.uncharged.is_some() { " (costs nothing)" } else { "" },
            accusers(judged),
            what(judged),
            escape(&judged.dispute),
        );
    }
    (!none).then_some(text)
}

/// Signs that the change weakens what judges it, with the lines that show it.
pub(super) fn signs(status: &ReviewResultStatus) -> Option<String> {
    if status.gaming_signs.is_empty() {
        return None;
    }
    let open = reading::open_signs(status).count();
    let mut text = format!("## Signs of gaming: {open} open, {} waived\n", status.gaming_signs.len() - open);
    for judged in &status.gaming_signs {
        let GamingSign { id, kind, path, line, text: shown, message } = &judged.sign;
        let place = if path.is_empty() { String::new() } else { format!(" {}", escape(&place_of(path, *line))) };
        let waived = if judged.waived { " (waived)" } else { "" };
        let (id, message) = (escape(&short_id(id)), escape(message));
        let _ = write!(text, "\n- {id} **{kind:?}**{waived}{place}: {message}");
        if !shown.is_empty() {
            let _ = write!(text, "\n{}", diff(shown));
        }
    }
    Some(text.trim_end().to_owned())
}

/// A line of a diff in a fence that it cannot close.
fn diff(line: &str) -> String {
    let line = plain(line);
    let longest = line.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("\n  {fence}diff\n  {line}\n  {fence}\n")
}

/// What persons accept: who, why and until when.
pub(super) fn waived(result: &ReviewResult, status: &ReviewResultStatus) -> Option<String> {
    let mut lines = Vec::new();
    let waiver = |id: &str| result.spec.waivers.iter().find(|waiver| waiver.findings.iter().any(|named| named == id));
    for judged in reading::spared(status, Uncharged::Waived) {
        let id = &judged.finding.id;
        let (short, place, rule) = (escape(&short_id(id)), escape(&place(judged)), escape(&judged.finding.rule));
        lines.push((format!("{short} {:?} {place} {rule}", judged.finding.severity), waiver(id)));
    }
    for judged in status.gaming_signs.iter().filter(|judged| judged.waived) {
        let GamingSign { id, kind, path, line, text: _, message: _ } = &judged.sign;
        lines.push((format!("{} {kind:?} {}", escape(&short_id(id)), escape(&place_of(path, *line))), waiver(id)));
    }
    for criterion in status.criteria.iter().filter(|criterion| criterion.state == CriterionState::Waived) {
        let waiver = result.spec.waivers.iter().find(|waiver| waiver.criteria.contains(&criterion.name));
        lines.push((format!("criterion {}", escape(&criterion.name)), waiver));
    }
    if lines.is_empty() {
        return None;
    }
    let mut text = "## Waived\n".to_owned();
    for (what, waiver) in lines {
        let _ = write!(text, "\n- {what}{}", waiver.map(by).unwrap_or_default());
    }
    Some(text)
}

/// `: ada, until 2026-12-31T00:00:00Z: the reason`.
fn by(waiver: &Waiver) -> String {
    let until = waiver.until.as_ref().map(|until| format!(", until {}", until.0)).unwrap_or_default();
    format!(": {}{until}: {}", escape(&waiver.user), escape(&waiver.reason))
}

/// Debt of the base: counts, and the first few.
pub(super) fn known(status: &ReviewResultStatus) -> Option<String> {
    let listed = reading::spared(status, Uncharged::Known);
    let counts = status.known.filter(|counts| *counts != SeverityCounts::default());
    if listed.is_empty() && counts.is_none() {
        return None;
    }
    let counts = counts.map_or_else(|| count(listed.len(), "finding"), named_counts);
    Some(format!("## Known debt: {counts}\n\nThe base has it too, so it is not charged.\n{}", some(&listed)))
}

/// What only shadow reviewers say.
pub(super) fn shadows(status: &ReviewResultStatus) -> Option<String> {
    let listed = reading::spared(status, Uncharged::Shadow);
    (!listed.is_empty()).then(|| {
        let counts = count(listed.len(), "finding");
        format!(
            "## Shadow reviewers alone: {counts}\n\nRecorded to measure the reviewers, not counted.\n{}",
            some(&listed)
        )
    })
}

/// The first few as a list.
fn some(listed: &[&JudgedFinding]) -> String {
    let line = |judged: &&JudgedFinding| {
        let finding = &judged.finding;
        let (place, rule, message) = (escape(&place(judged)), escape(&finding.rule), escape(&finding.message));
        format!("\n- {:?} {place} {rule}: {message} ({})", finding.severity, reporters(judged))
    };
    let mut text: String = listed.iter().take(SHOWN).map(line).collect();
    if listed.len() > SHOWN {
        let _ = write!(text, "\n- and {} more in the list", listed.len() - SHOWN);
    }
    text
}

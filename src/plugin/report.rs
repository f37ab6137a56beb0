//! `report`: one ReviewResult as Markdown (seed: CodeReviewAgent Workflow, steps 4 to 6). Pure.
//!
//! Here belong the decision, the scores and what changed. What was found is in `found`, what the checks and reviewers
//! said in `evidence`.

mod evidence;
mod found;

use std::fmt::Write as _;

use super::{
    decide::Refused,
    follow::place,
    reading,
    text::{count, plain, short},
};
use crate::api::{
    Phase, ReviewResult, ReviewResultStatus,
    common::Decimal,
    review_result::{CriterionState, Verdict},
};

/// Name of the ReviewResult to report: the last of an attempt, or of all.
///
/// # Errors
/// When there is none; the text names the attempts that were judged.
pub(crate) fn wanted(phase: &Phase, attempt: Option<i32>) -> Result<&str, Refused> {
    let name = reading::name(phase);
    let status = phase.status.as_ref();
    let Some(last) = status.and_then(reading::last_result) else {
        return Err(Refused(format!("{name} has not been reviewed yet: it is {:?}", reading::state(phase))));
    };
    let Some((attempt, status)) = attempt.zip(status) else { return Ok(last) };
    reading::result_of_attempt(status, attempt).ok_or_else(|| {
        let judged = reading::judged_attempts(status).iter().map(i32::to_string).collect::<Vec<_>>().join(", ");
        let judged = if judged.is_empty() { "none yet".to_owned() } else { judged };
        Refused(format!("attempt {attempt} of {name} has no judgement on record; those that have: {judged}"))
    })
}

/// The whole report. `previous` is the judgement before, if it is still there.
pub(crate) fn report(result: &ReviewResult, previous: Option<&ReviewResult>) -> String {
    let mut sections = vec![title(result)];
    let Some(status) = result.status.as_ref().filter(|status| status.verdict.is_some()) else {
        sections.push("It has not been judged yet.".to_owned());
        return end(&sections);
    };
    sections.push(decision(result, status));
    sections.push(scores(status));
    sections.extend(found::signs(status));
    sections.extend(criteria(status));
    sections.push(found::findings(status));
    sections.extend(found::disputes(status));
    sections.extend(recommendations(status));
    sections.extend(changes(status, previous));
    sections.extend(found::waived(result, status));
    sections.extend(found::known(status));
    sections.extend(found::shadows(status));
    sections.push(evidence::checks(result));
    sections.extend(evidence::measurements(result));
    sections.extend(evidence::reviewers(result, status));
    end(&sections)
}

fn end(sections: &[String]) -> String {
    let mut text = sections.join("\n\n");
    text.push('\n');
    text
}

fn title(result: &ReviewResult) -> String {
    let spec = &result.spec;
    let digest = result.status.as_ref().and_then(|status| status.evidence_digest.as_deref());
    let evidence = digest.map_or_else(String::new, |digest| format!("\n\nEvidence `{digest}`."));
    format!(
        "# Review of {}, attempt {}\n\nResult `{}`, commit `{}`, base `{}`.{evidence}",
        escape(&spec.phase),
        spec.attempt,
        result.metadata.name.as_deref().unwrap_or_default(),
        short(&spec.commit),
        short(&spec.base),
    )
}

fn decision(result: &ReviewResult, status: &ReviewResultStatus) -> String {
    let word = match status.verdict {
        Some(Verdict::Pass) => "passed",
        Some(Verdict::Fail) => "refused",
        Some(Verdict::Inconclusive) | None => "inconclusive",
    };
    let score = status.score.as_deref().unwrap_or("none");
    let mut text = format!("**Decision: {word}.** Score {score}; {} passes.\n", result.spec.rubric.passing_score);
    for reason in &status.reasons {
        let _ = write!(text, "\n- {}", escape(&reason.message));
    }
    text
}

fn scores(status: &ReviewResultStatus) -> String {
    let mut text =
        "## Scores\n\n| Category | Score | Floor | Weight | Why |\n| --- | --- | --- | --- | --- |".to_owned();
    for category in &status.categories {
        let score = category.score.map_or_else(|| "no evidence".to_owned(), |score| score.to_string());
        let low = category.score.is_none_or(|score| score < category.floor);
        let score = if low { format!("**{score}**") } else { score };
        let costly = category.evidence.iter().filter(|evidence| evidence.score.tenths() < 100);
        let why: Vec<_> = costly
            .map(|evidence| format!("{} {}: {}", escape(&evidence.source), evidence.score, escape(&evidence.why)))
            .collect();
        let _ = write!(
            text,
            "\n| {} | {score} | {} | {} | {} |",
            escape(&category.name),
            category.floor,
            category.weight,
            why.join("; ")
        );
    }
    text
}

fn criteria(status: &ReviewResultStatus) -> Option<String> {
    if status.criteria.is_empty() {
        return None;
    }
    let mut text = "## Success criteria\n".to_owned();
    for criterion in &status.criteria {
        let state = match criterion.state {
            CriterionState::Met => "met",
            CriterionState::Unmet => "**not met**",
            CriterionState::Waived => "waived",
            CriterionState::AwaitsPerson => "awaits a person",
        };
        let _ = write!(text, "\n- {}: {state}. {}", escape(&criterion.name), escape(&criterion.message));
    }
    Some(text)
}

fn recommendations(status: &ReviewResultStatus) -> Option<String> {
    let lines: Vec<_> = status.recommendations.iter().map(|text| format!("\n- {}", escape(text))).collect();
    (!lines.is_empty()).then(|| format!("## Recommendations\n{}", lines.concat()))
}

/// What changed since the judgement before: scores, and findings that are gone, that stay and that are new.
fn changes(status: &ReviewResultStatus, previous: Option<&ReviewResult>) -> Option<String> {
    let (stay, new): (Vec<_>, Vec<_>) = reading::charged(status).partition(|judged| judged.persisting);
    let before = previous.and_then(|previous| previous.status.as_ref());
    if before.is_none() && status.resolved.is_empty() && stay.is_empty() {
        return None;
    }
    let mut text = "## Since the review before\n".to_owned();
    if let Some(score) = before.and_then(|before| before.score.as_deref()) {
        let _ = write!(text, "\n- Score {score}, now {}.", status.score.as_deref().unwrap_or("none"));
    }
    for (name, then, now) in moved(status, before) {
        let _ = write!(text, "\n- {}: {then}, now {now}.", escape(name));
    }
    let _ = write!(
        text,
        "\n- {} resolved, {} open still, {} new.",
        count(status.resolved.len(), "finding"),
        stay.len(),
        new.len()
    );
    let known = before.map_or(&[][..], |before| &before.findings);
    for judged in known.iter().filter(|judged| status.resolved.contains(&judged.finding.id)) {
        let _ = write!(
            text,
            "\n- Resolved: {} {} {}",
            escape(&place(judged)),
            escape(&judged.finding.rule),
            escape(&judged.finding.message)
        );
    }
    Some(text)
}

/// Categories with another score than before.
fn moved<'a>(status: &'a ReviewResultStatus, before: Option<&ReviewResultStatus>) -> Vec<(&'a str, String, String)> {
    let words = |score: Option<Decimal>| score.map_or_else(|| "no evidence".to_owned(), |score| score.to_string());
    let then = |name: &str| {
        let categories = before.map_or(&[][..], |before| before.categories.as_slice());
        categories.iter().find(|category| category.name == name).map(|category| category.score)
    };
    let changed = status.categories.iter().filter_map(|category| {
        let then = then(&category.name).filter(|then| *then != category.score)?;
        Some((category.name.as_str(), words(then), words(category.score)))
    });
    changed.collect()
}

/// Text that tools wrote, made harmless for Markdown: no table cells, links, code or HTML of its own.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in plain(text).chars() {
        match c {
            '<' => safe.push_str("&lt;"),
            '&' => safe.push_str("&amp;"),
            '\\' | '`' | '|' | '*' | '[' | ']' => safe.extend(['\\', c]),
            _ => safe.push(c),
        }
    }
    safe
}

//! `report`: one ReviewResult as Markdown (seed: CodeReviewAgent Workflow, steps 4 to 6). Pure.

use std::fmt::Write as _;

use super::{
    follow::place,
    text::{count, plain, short},
    why::totals,
};
use crate::api::{
    ReviewResult, ReviewResultStatus,
    review_result::{CriterionState, Verdict},
};

/// The whole report. `previous` is the judgement before, if it is still there.
pub(crate) fn report(result: &ReviewResult, previous: Option<&ReviewResult>) -> String {
    let mut sections = vec![title(result)];
    let Some(status) = result.status.as_ref().filter(|status| status.verdict.is_some()) else {
        sections.push("It has not been judged yet.".to_owned());
        return end(&sections);
    };
    sections.push(decision(result, status));
    sections.push(scores(status));
    sections.extend(criteria(status));
    sections.push(checks(result));
    sections.push(findings(status));
    sections.extend(recommendations(status));
    sections.extend(changes(status, previous));
    end(&sections)
}

fn end(sections: &[String]) -> String {
    let mut text = sections.join("\n\n");
    text.push('\n');
    text
}

fn title(result: &ReviewResult) -> String {
    let spec = &result.spec;
    format!(
        "# Review of {}, attempt {}\n\nResult `{}`, commit `{}`, base `{}`.",
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

fn checks(result: &ReviewResult) -> String {
    let mut text = "## Checks\n\n| Check | Outcome | Exit code | Said |\n| --- | --- | --- | --- |".to_owned();
    for check in &result.spec.checks {
        let code = check.exit_code.map_or_else(|| "-".to_owned(), |code| code.to_string());
        let unread = check.reports.iter().filter(|report| !report.message.is_empty());
        let mut said: Vec<_> = unread.map(|report| escape(&format!("{}: {}", report.path, report.message))).collect();
        if !check.message.is_empty() {
            said.insert(0, escape(&check.message));
        }
        let _ = write!(text, "\n| {} | {:?} | {code} | {} |", escape(&check.name), check.outcome, said.join("; "));
    }
    text
}

fn findings(status: &ReviewResultStatus) -> String {
    let mut text = format!("## Findings: {}", totals(status));
    if status.findings.is_empty() {
        return text;
    }
    text.push_str("\n\n| Severity | Place | Rule | What | Check |\n| --- | --- | --- | --- | --- |");
    for judged in &status.findings {
        let again = if judged.persisting { " (again)" } else { "" };
        let _ = write!(
            text,
            "\n| {:?} | {} | {} | {}{again} | {} |",
            judged.finding.severity,
            escape(&place(judged)),
            escape(&judged.finding.rule),
            escape(&judged.finding.message),
            escape(&judged.check)
        );
    }
    text
}

fn recommendations(status: &ReviewResultStatus) -> Option<String> {
    let lines: Vec<_> = status.recommendations.iter().map(|text| format!("\n- {}", escape(text))).collect();
    (!lines.is_empty()).then(|| format!("## Recommendations\n{}", lines.concat()))
}

/// What changed since the judgement before: findings that are gone, that stay and that are new.
fn changes(status: &ReviewResultStatus, previous: Option<&ReviewResult>) -> Option<String> {
    let (stay, new): (Vec<_>, Vec<_>) = status.findings.iter().partition(|judged| judged.persisting);
    let before = previous.and_then(|previous| previous.status.as_ref());
    if before.is_none() && status.resolved.is_empty() && stay.is_empty() {
        return None;
    }
    let mut text = "## Since the review before\n".to_owned();
    if let Some(score) = before.and_then(|before| before.score.as_deref()) {
        let _ = write!(text, "\n- Score {score}, now {}.", status.score.as_deref().unwrap_or("none"));
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

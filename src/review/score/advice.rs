//! What to do about a judgement (seed: Recommendation), the most urgent first.

use super::{cut, total};
use crate::api::{
    evidence::Severity,
    review_result::{CategoryScore, JudgedFinding, ReasonType, VerdictReason},
};

/// Most recommendations of one judgement.
const MAX: usize = 64;
/// Most findings that one recommendation names.
const NAMED: usize = 5;

pub(super) fn recommendations(
    reasons: &[VerdictReason],
    categories: &[CategoryScore],
    findings: &[JudgedFinding],
) -> Vec<String> {
    let first =
        reasons.iter().filter_map(|reason| for_reason(reason.kind).map(|act| format!("{act}: {}", reason.message)));
    let mut lossy: Vec<&CategoryScore> = categories.iter().filter(|category| total::loss(category) > 0).collect();
    lossy.sort_by_key(|category| {
        let below_floor = category.score.is_some_and(|score| score < category.floor);
        (!below_floor, -total::loss(category), &category.name)
    });
    let then = lossy.into_iter().filter_map(|category| for_category(category, findings));
    first.chain(then).take(MAX).map(|text| cut(&text, 1024)).collect()
}

/// What a reason asks for. Bars are asked for by category.
const fn for_reason(kind: ReasonType) -> Option<&'static str> {
    match kind {
        ReasonType::BlockingCheckFailed => Some("make it pass"),
        ReasonType::Gamed => Some("a person looks at it, and waives it or sends it back"),
        ReasonType::ReviewMissing => Some("let the reviewer submit a review (its pod's log says why it did not)"),
        ReasonType::CheckNotStarted => {
            Some("let it start (image, quota, services), or be answered if it runs elsewhere")
        }
        ReasonType::NoEvidence => Some("let a check or a reviewer feed it"),
        ReasonType::CriterionUnmet => Some("meet it"),
        ReasonType::BelowFloor | ReasonType::BelowPassingScore | ReasonType::Passed => None,
    }
}

fn for_category(category: &CategoryScore, findings: &[JudgedFinding]) -> Option<String> {
    let worst = category.evidence.first()?;
    let source = worst.source.split(' ').next().unwrap_or_default();
    let costs = |judged: &&JudgedFinding| {
        let reported = judged.check == source || judged.reported_by.iter().any(|name| name == source);
        let charged = judged.uncharged.is_none() && judged.severity() > Severity::Info;
        reported && charged && judged.categories.contains(&category.name)
    };
    let named: Vec<String> = findings.iter().filter(costs).take(NAMED).map(place).collect();
    let what = if named.is_empty() { worst.why.clone() } else { named.join("; ") };
    Some(format!(
        "{} {} (floor {}, weight {}): mend {what}",
        category.name, worst.score, category.floor, category.weight
    ))
}

fn place(judged: &JudgedFinding) -> String {
    let finding = &judged.finding;
    let place = match (finding.path.as_str(), finding.line) {
        ("", _) => String::new(),
        (path, 0) => format!("{path} "),
        (path, line) => format!("{path}:{line} "),
    };
    let how = match finding.recommendation.as_str() {
        "" => String::new(),
        text => format!(" ({})", cut(text, 160)),
    };
    format!("{place}{} {:?}: {}{how}", finding.rule, finding.severity, cut(&finding.message, 160))
}

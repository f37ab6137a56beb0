//! The judgement: evidence and rubric in, scores, verdict and reasons out (design §7). Integers
//! only: scores in tenths, the total in thousandths, and nothing is ever rounded up.
//!
//! The same evidence gives the same judgement in whatever order it comes, and worse evidence never
//! a better one. What follows from a verdict is decided in `machine`.

mod advice;
mod criteria;
mod list;
mod piece;
mod total;

#[cfg(test)]
mod tests;

use crate::api::{
    ReviewResultSpec, ReviewResultStatus,
    agent_task::FailureClass,
    common::Decimal,
    review_result::{
        CategoryScore, CheckEvidence, CriterionJudgement, CriterionState, EvidenceScore, ReasonType, Rubric,
        RubricCategory, Verdict, VerdictReason,
    },
};

use super::{cut, evidence::bound::fitting};
use piece::{Piece, Standing};
use total::Total;

pub use total::display;

/// Most bytes of the evidence of one category, as JSON. The worst comes first and is always there.
const MAX_CATEGORY_BYTES: usize = 8 * 1024;

/// Judges the evidence of a ReviewResult. The answer is its status without `observedGeneration`
/// and conditions, which are not part of the judgement.
pub fn judge(spec: &ReviewResultSpec) -> ReviewResultStatus {
    let pieces = piece::pieces(&spec.checks);
    let categories: Vec<CategoryScore> = spec.rubric.categories.iter().map(|c| category(c, &pieces)).collect();
    let criteria = criteria::judge(&spec.criteria, &spec.checks);
    let total = total::of(&categories);
    let mut reasons = reasons(spec, &categories, &criteria, total);
    let verdict = verdict(&reasons);
    if verdict == Verdict::Pass {
        reasons.push(passed(&spec.rubric, &categories, total));
    }
    let open = list::open(spec);
    ReviewResultStatus {
        verdict: Some(verdict),
        score: total.map(|total| display(total.thousandths())),
        score_thousandths: total.map(Total::thousandths),
        recommendations: advice::recommendations(&reasons, &categories, &open.findings),
        counts: Some(open.counts),
        resolved: open.resolved,
        findings: open.findings,
        categories,
        reasons,
        criteria,
        ..ReviewResultStatus::default()
    }
}

/// Whether this check alone rules out a pass, whatever else is said of the commit: it blocks and failed, or never ran.
pub fn rules_out_pass(check: &CheckEvidence) -> bool {
    match Standing::of(check) {
        Standing::Passed => false,
        Standing::Failed(_) => check.blocking,
        Standing::NotStarted(_) => true,
    }
}

/// Which failure class a judgement amounts to; none if it passed or is not there yet.
pub fn failure_class(status: &ReviewResultStatus) -> Option<FailureClass> {
    let has = |kind| status.reasons.iter().any(|reason| reason.kind == kind);
    match status.verdict? {
        Verdict::Pass => None,
        Verdict::Inconclusive => Some(FailureClass::Inconclusive),
        Verdict::Fail if has(ReasonType::Gamed) => Some(FailureClass::Gamed),
        Verdict::Fail if has(ReasonType::BlockingCheckFailed) => Some(FailureClass::GateFailed),
        Verdict::Fail if has(ReasonType::CriterionUnmet) => Some(FailureClass::CriteriaUnmet),
        Verdict::Fail => Some(FailureClass::ReviewFailed),
    }
}

/// A category's score is the minimum over its evidence, which is listed with the worst first.
fn category(category: &RubricCategory, pieces: &[Piece<'_>]) -> CategoryScore {
    let RubricCategory { name, weight, floor, added } = category.clone();
    let mut evidence: Vec<EvidenceScore> =
        pieces.iter().filter(|piece| piece.categories.contains(&name)).map(Piece::scored).collect();
    evidence.sort_by(|a, b| (a.score, &a.source, &a.why).cmp(&(b.score, &b.source, &b.why)));
    let listed = fitting(&evidence, 64, MAX_CATEGORY_BYTES).max(1);
    evidence.truncate(listed);
    CategoryScore { name, weight, floor, added, score: evidence.first().map(|worst| worst.score), evidence }
}

/// Everything that speaks against a pass, the deciding kind first.
fn reasons(
    spec: &ReviewResultSpec,
    categories: &[CategoryScore],
    criteria: &[CriterionJudgement],
    total: Option<Total>,
) -> Vec<VerdictReason> {
    let mut reasons = Vec::new();
    for check in &spec.checks {
        match Standing::of(check) {
            Standing::Failed(why) if check.blocking => {
                reasons.push(reason(ReasonType::BlockingCheckFailed, &format!("check {} {why}", check.name)));
            }
            Standing::NotStarted(why) => {
                reasons.push(reason(ReasonType::CheckNotStarted, &format!("check {} {why}", check.name)));
            }
            Standing::Passed | Standing::Failed(_) => {}
        }
    }
    if categories.is_empty() {
        reasons.push(reason(ReasonType::NoEvidence, "no category counts, so there is nothing to score"));
    }
    for category in categories {
        let name = &category.name;
        match category.score {
            None => {
                let message = format!("{name} counts but has no evidence, and missing evidence is never a pass");
                reasons.push(reason(ReasonType::NoEvidence, &message));
            }
            Some(score) if score < category.floor => {
                let message = format!("{name} {score} is below its floor {}: {}", category.floor, why(category));
                reasons.push(reason(ReasonType::BelowFloor, &message));
            }
            Some(_) => {}
        }
    }
    for unmet in criteria.iter().filter(|criterion| criterion.state == CriterionState::Unmet) {
        let message = format!("criterion {} is not met: {}", unmet.name, unmet.message);
        reasons.push(reason(ReasonType::CriterionUnmet, &message));
    }
    reasons.extend(below_passing(&spec.rubric, categories, total));
    reasons.sort_by(|a, b| (a.kind, &a.message).cmp(&(b.kind, &b.message)));
    reasons.truncate(128);
    reasons
}

/// The total, and the total without what the Phase alone counts, must reach the passing score.
fn below_passing(rubric: &Rubric, categories: &[CategoryScore], total: Option<Total>) -> Vec<VerdictReason> {
    let passing = rubric.passing_score;
    let mut reasons = Vec::new();
    if let Some(total) = total.filter(|total| !total.reaches(passing)) {
        let shown = display(total.thousandths());
        let message = format!("{shown} is below the passing score {passing}: {}", losses(categories));
        reasons.push(reason(ReasonType::BelowPassingScore, &message));
    }
    let own: Vec<CategoryScore> = categories.iter().filter(|category| !category.added).cloned().collect();
    let own_total = total::of(&own).filter(|_| total.is_some() && own.len() < categories.len());
    if let Some(own_total) = own_total.filter(|own_total| !own_total.reaches(passing)) {
        let message = format!(
            "{} is below the passing score {passing} without the categories that only the Phase counts: {}",
            display(own_total.thousandths()),
            losses(&own)
        );
        reasons.push(reason(ReasonType::BelowPassingScore, &message));
    }
    reasons
}

/// The first rule that speaks decides (design §7): a failed blocking check, then what never ran or
/// is missing, then criteria and bars.
fn verdict(reasons: &[VerdictReason]) -> Verdict {
    let has = |kind| reasons.iter().any(|reason| reason.kind == kind);
    if has(ReasonType::BlockingCheckFailed) {
        Verdict::Fail
    } else if has(ReasonType::CheckNotStarted) || has(ReasonType::NoEvidence) {
        Verdict::Inconclusive
    } else if reasons.is_empty() {
        Verdict::Pass
    } else {
        Verdict::Fail
    }
}

fn passed(rubric: &Rubric, categories: &[CategoryScore], total: Option<Total>) -> VerdictReason {
    let score = total.map(|total| display(total.thousandths())).unwrap_or_default();
    let mut message = format!("{score} ≥ {}, and no category is below its floor", rubric.passing_score);
    let losses = losses(categories);
    if !losses.is_empty() {
        message = format!("{message}; lost: {losses}");
    }
    reason(ReasonType::Passed, &message)
}

/// Categories that lost something, the dearest for the total first.
fn losses(categories: &[CategoryScore]) -> String {
    let mut lost: Vec<(i64, &CategoryScore)> =
        categories.iter().map(|c| (total::loss(c), c)).filter(|(loss, _)| *loss > 0).collect();
    lost.sort_by(|a, b| (b.0, &a.1.name).cmp(&(a.0, &b.1.name)));
    let words = |(_, category): (i64, &CategoryScore)| {
        let score = category.score.unwrap_or(Decimal::from_tenths(0));
        format!("{} {score} (weight {}; {})", category.name, category.weight, why(category))
    };
    lost.into_iter().map(words).collect::<Vec<_>>().join("; ")
}

/// What the worst evidence of a category says.
fn why(category: &CategoryScore) -> String {
    category.evidence.first().map(|worst| format!("{}: {}", worst.source, worst.why)).unwrap_or_default()
}

fn reason(kind: ReasonType, message: &str) -> VerdictReason {
    VerdictReason { kind, message: cut(message, 1024) }
}

//! The judgement: evidence and rubric in, scores, verdict and reasons out (design §7). Integers
//! only: scores in tenths, the total in thousandths, and nothing is ever rounded up.
//!
//! The same evidence gives the same judgement in whatever order it comes, and worse evidence never
//! a better one. What follows from a verdict is decided in `machine`.

mod advice;
mod criteria;
mod gaming;
mod list;
mod piece;
mod reasons;
mod reviews;
mod total;
mod waived;

#[cfg(test)]
mod tests;

use crate::api::{
    ReviewResultSpec, ReviewResultStatus,
    agent_task::FailureClass,
    evidence::SeverityCounts,
    review_result::{CategoryScore, CheckEvidence, EvidenceScore, ReasonType, RubricCategory, Verdict, VerdictReason},
};

use super::{cut, evidence::bound::fitting};
use piece::{Piece, Standing};
use reasons::{Judged, reason};
use total::Total;
use waived::Waived;

pub use total::display;

/// Most bytes of the evidence of one category, as JSON. The worst comes first and is always there.
const MAX_CATEGORY_BYTES: usize = 8 * 1024;

/// Judges the evidence of a ReviewResult. The answer is its status without `observedGeneration`
/// and conditions, which are not part of the judgement.
pub fn judge(spec: &ReviewResultSpec) -> ReviewResultStatus {
    let waived = Waived::of(&spec.waivers);
    let mut pieces = piece::pieces(&spec.checks, &waived);
    pieces.extend(reviews::pieces(spec, &waived));
    let categories: Vec<CategoryScore> = spec.rubric.categories.iter().map(|c| category(c, &pieces)).collect();
    let criteria = criteria::judge(spec, &waived);
    let signs = gaming::signs(spec, &waived);
    let total = total::of(&categories);
    let judged = Judged { spec, categories: &categories, criteria: &criteria, signs: &signs, total };
    let mut reasons = reasons::against(&judged);
    let verdict = verdict(&reasons);
    if verdict == Verdict::Pass {
        reasons.push(reasons::passed(&spec.rubric, &categories, total));
    }
    let open = list::open(spec, &waived);
    ReviewResultStatus {
        verdict: Some(verdict),
        score: total.map(|total| display(total.thousandths())),
        score_thousandths: total.map(Total::thousandths),
        recommendations: advice::recommendations(&reasons, &categories, &open.findings),
        counts: Some(open.counts),
        known: Some(open.known).filter(|known| *known != SeverityCounts::default()),
        reviewers: reviews::scores(spec, &waived),
        gaming_signs: gaming::listed(signs),
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

/// A category's score is the minimum over its evidence, which is listed with the worst first. What can only lower it
/// is no evidence that the category was looked at.
fn category(category: &RubricCategory, pieces: &[Piece<'_>]) -> CategoryScore {
    let RubricCategory { name, weight, floor, added } = category.clone();
    let own: Vec<&Piece<'_>> = pieces.iter().filter(|piece| piece.categories.contains(&name)).collect();
    let looked_at = own.iter().any(|piece| !piece.only_lowers);
    let mut evidence: Vec<EvidenceScore> = own.into_iter().map(Piece::scored).collect();
    evidence.sort_by(|a, b| (a.score, &a.source, &a.why).cmp(&(b.score, &b.source, &b.why)));
    let listed = fitting(&evidence, 64, MAX_CATEGORY_BYTES).max(1);
    evidence.truncate(listed);
    let score = evidence.first().map(|worst| worst.score).filter(|_| looked_at);
    CategoryScore { name, weight, floor, added, score, evidence }
}

/// The first rule that speaks decides (design §7): a sign of gaming, a failed blocking check, then what never ran or
/// is missing, then criteria and bars.
fn verdict(reasons: &[VerdictReason]) -> Verdict {
    let has = |kind| reasons.iter().any(|reason| reason.kind == kind);
    if has(ReasonType::Gamed) || has(ReasonType::BlockingCheckFailed) {
        Verdict::Fail
    } else if has(ReasonType::CheckNotStarted) || has(ReasonType::ReviewMissing) || has(ReasonType::NoEvidence) {
        Verdict::Inconclusive
    } else if reasons.is_empty() {
        Verdict::Pass
    } else {
        Verdict::Fail
    }
}

//! Why a verdict is what it is: everything that speaks against a pass, and what a pass lost.

use std::collections::BTreeSet;

use super::{cut, display, gaming, piece::Standing, reviews, rules_out_pass, total, total::Total};
use crate::api::{
    ReviewResultSpec,
    common::Decimal,
    phase::Judge,
    review_result::{
        CategoryScore, CheckEvidence, CriterionJudgement, CriterionState, JudgedSign, ReasonType, Rubric, VerdictReason,
    },
};

/// Most reasons of one verdict (the limit of the API).
const MAX: usize = 128;

/// What a judgement has come to, before its verdict.
pub(super) struct Judged<'a> {
    pub(super) spec: &'a ReviewResultSpec,
    pub(super) categories: &'a [CategoryScore],
    pub(super) criteria: &'a [CriterionJudgement],
    pub(super) signs: &'a [JudgedSign],
    pub(super) total: Option<Total>,
}

/// Everything that speaks against a pass, the deciding kind first.
pub(super) fn against(judged: &Judged<'_>) -> Vec<VerdictReason> {
    let Judged { spec, categories, criteria, signs, total } = *judged;
    let mut reasons: Vec<VerdictReason> = spec.checks.iter().filter_map(of_check).collect();
    reasons.extend(of_reviewers(spec));
    if categories.is_empty() {
        reasons.push(reason(ReasonType::NoEvidence, "no category counts, so there is nothing to score"));
    }
    reasons.extend(categories.iter().filter_map(|category| of_category(category, spec)));
    reasons.extend(criteria.iter().filter_map(|criterion| of_criterion(criterion, spec)));
    reasons.extend(below_passing(&spec.rubric, categories, total));
    reasons.sort_by(|a, b| (a.kind, &a.message).cmp(&(b.kind, &b.message)));
    let mut all = gaming::reasons(signs);
    all.extend(reasons);
    all.truncate(MAX);
    all
}

fn of_check(check: &CheckEvidence) -> Option<VerdictReason> {
    match Standing::of(check) {
        Standing::Failed(why) if check.blocking => {
            Some(reason(ReasonType::BlockingCheckFailed, &format!("check {} {why}", check.name)))
        }
        Standing::NotStarted(why) => Some(reason(ReasonType::CheckNotStarted, &format!("check {} {why}", check.name))),
        Standing::Passed | Standing::Failed(_) => None,
    }
}

/// A reviewer that counts and submitted nothing. Where the checks rule out a pass it was not started, and they have
/// said so.
fn of_reviewers(spec: &ReviewResultSpec) -> Vec<VerdictReason> {
    if spec.checks.iter().any(rules_out_pass) {
        return Vec::new();
    }
    let words = |name: &str, said: &str| match said {
        "" => format!("reviewer {name} submitted no review"),
        said => format!("reviewer {name} submitted no review: {said}"),
    };
    let missing = reviews::missing(spec);
    missing.map(|silent| reason(ReasonType::ReviewMissing, &words(&silent.name, &silent.message))).collect()
}

fn of_category(category: &CategoryScore, spec: &ReviewResultSpec) -> Option<VerdictReason> {
    let name = &category.name;
    match category.score {
        // Whoever should have examined it said nothing: that has a reason already.
        None if reviews::missing(spec).any(|silent| silent.categories.contains(name)) => None,
        None => {
            let asked = reviews::counting(spec).filter(|(reviewer, _)| reviewer.categories.contains(name));
            let asked: BTreeSet<&str> = asked.map(|(reviewer, _)| reviewer.name.as_str()).collect();
            let who = if asked.is_empty() {
                String::new()
            } else {
                format!(" (not examined by {})", asked.into_iter().collect::<Vec<_>>().join(", "))
            };
            let message = format!("{name} counts but has no evidence{who}, and missing evidence is never a pass");
            Some(reason(ReasonType::NoEvidence, &message))
        }
        Some(score) if score < category.floor => {
            let message = format!("{name} {score} is below its floor {}: {}", category.floor, why(category));
            Some(reason(ReasonType::BelowFloor, &message))
        }
        Some(_) => None,
    }
}

fn of_criterion(criterion: &CriterionJudgement, spec: &ReviewResultSpec) -> Option<VerdictReason> {
    let open = criterion.state == CriterionState::Unmet && !is_unsaid(criterion, spec);
    open.then(|| {
        let message = format!("criterion {} is not met: {}", criterion.name, criterion.message);
        reason(ReasonType::CriterionUnmet, &message)
    })
}

/// Whether a criterion is open only because the reviewers that count said nothing: that has a reason already.
fn is_unsaid(criterion: &CriterionJudgement, spec: &ReviewResultSpec) -> bool {
    let mut own = spec.criteria.iter().filter(|own| own.name == criterion.name);
    own.all(|own| own.judge == Judge::Reviewer)
        && reviews::counting(spec).next().is_none()
        && reviews::missing(spec).next().is_some()
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

/// What a pass came to, and what it lost all the same.
pub(super) fn passed(rubric: &Rubric, categories: &[CategoryScore], total: Option<Total>) -> VerdictReason {
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

pub(super) fn reason(kind: ReasonType, message: &str) -> VerdictReason {
    VerdictReason { kind, message: cut(message, 1024) }
}

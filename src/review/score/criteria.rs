//! Success criteria: which are met, and why.

use super::{
    cut,
    piece::{Standing, failed_tests},
    reviews,
    waived::Waived,
};
use crate::api::{
    ReviewResultSpec,
    agent_task::Opinion,
    phase::Judge,
    review_result::{CheckEvidence, CriterionJudgement, CriterionState, CriterionToJudge},
};

/// Judges every criterion, in the order of their names.
pub(super) fn judge(spec: &ReviewResultSpec, waived: &Waived<'_>) -> Vec<CriterionJudgement> {
    let mut judged: Vec<CriterionJudgement> =
        spec.criteria.iter().map(|criterion| one(criterion, spec, waived)).collect();
    judged.sort_by(|a, b| (&a.name, &a.message).cmp(&(&b.name, &b.message)));
    judged
}

fn one(criterion: &CriterionToJudge, spec: &ReviewResultSpec, waived: &Waived<'_>) -> CriterionJudgement {
    let (state, message) = match (waived.criterion(&criterion.name), criterion.judge) {
        (Some(by), _) => (CriterionState::Waived, format!("waived by {}: {}", by.user, by.reason)),
        (None, Judge::Person) => (CriterionState::AwaitsPerson, "a person says so in an Approve decision".to_owned()),
        (None, Judge::Reviewer) => by_reviewers(&criterion.name, spec),
        (None, Judge::Checks) => by_checks(criterion, &spec.checks),
    };
    CriterionJudgement { name: criterion.name.clone(), state, message: cut(&message, 1024) }
}

fn by_checks(criterion: &CriterionToJudge, checks: &[CheckEvidence]) -> (CriterionState, String) {
    if criterion.proven_by.is_empty() {
        return (CriterionState::Unmet, "no check is named that proves it".to_owned());
    }
    let against: Vec<String> = criterion.proven_by.iter().filter_map(|name| objection(name, checks)).collect();
    if against.is_empty() {
        (CriterionState::Met, format!("passed: {}", criterion.proven_by.join(", ")))
    } else {
        (CriterionState::Unmet, against.join("; "))
    }
}

/// Why a check does not prove anything; none if it does.
fn objection(name: &str, checks: &[CheckEvidence]) -> Option<String> {
    let Some(check) = checks.iter().find(|check| check.name == name) else {
        return Some(format!("check {name} has not run"));
    };
    match Standing::of(check) {
        Standing::Failed(why) | Standing::NotStarted(why) => Some(format!("check {name} {why}")),
        Standing::Passed => {
            let failed: i32 = check.reports.iter().map(failed_tests).fold(0, i32::saturating_add);
            (failed > 0).then(|| format!("check {name} ended well, but {failed} of its tests failed"))
        }
    }
}

/// One objection of a reviewer that counts is enough. What none of them could verify is asked of a person.
fn by_reviewers(name: &str, spec: &ReviewResultSpec) -> (CriterionState, String) {
    if reviews::counting(spec).next().is_none() {
        return (CriterionState::Unmet, "no reviewer has judged it".to_owned());
    }
    let said = |wanted: Opinion| {
        let mut words: Vec<String> = reviews::counting(spec)
            .flat_map(|(reviewer, review)| review.criteria.iter().map(move |opinion| (reviewer, opinion)))
            .filter(|(_, opinion)| opinion.name == name && opinion.opinion == wanted)
            .map(|(reviewer, opinion)| format!("{} says: {}", reviewer.name, opinion.evidence))
            .collect();
        words.sort();
        words.join("; ")
    };
    let (met, unmet, unverifiable) = (said(Opinion::Met), said(Opinion::Unmet), said(Opinion::Unverifiable));
    if !unmet.is_empty() {
        (CriterionState::Unmet, unmet)
    } else if !unverifiable.is_empty() {
        (CriterionState::AwaitsPerson, format!("it could not be verified, so a person says; {unverifiable}"))
    } else if !met.is_empty() {
        (CriterionState::Met, met)
    } else {
        (CriterionState::AwaitsPerson, "no reviewer spoke of it, so a person says".to_owned())
    }
}

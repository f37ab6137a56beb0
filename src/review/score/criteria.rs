//! Success criteria: which are met, and why.

use super::{
    cut,
    piece::{Standing, failed_tests},
};
use crate::api::{
    phase::Judge,
    review_result::{CheckEvidence, CriterionJudgement, CriterionState, CriterionToJudge},
};

/// Judges every criterion, in the order of their names.
pub(super) fn judge(criteria: &[CriterionToJudge], checks: &[CheckEvidence]) -> Vec<CriterionJudgement> {
    let mut judged: Vec<CriterionJudgement> = criteria.iter().map(|criterion| one(criterion, checks)).collect();
    judged.sort_by(|a, b| a.name.cmp(&b.name));
    judged
}

fn one(criterion: &CriterionToJudge, checks: &[CheckEvidence]) -> CriterionJudgement {
    let (state, message) = match criterion.judge {
        Judge::Person => (CriterionState::AwaitsPerson, "a person says so in an Approve decision".to_owned()),
        Judge::Reviewer => (CriterionState::Unmet, "no reviewer has judged it".to_owned()),
        Judge::Checks if criterion.proven_by.is_empty() => {
            (CriterionState::Unmet, "no check is named that proves it".to_owned())
        }
        Judge::Checks => {
            let against: Vec<String> = criterion.proven_by.iter().filter_map(|name| objection(name, checks)).collect();
            if against.is_empty() {
                (CriterionState::Met, format!("passed: {}", criterion.proven_by.join(", ")))
            } else {
                (CriterionState::Unmet, against.join("; "))
            }
        }
    };
    CriterionJudgement { name: criterion.name.clone(), state, message: cut(&message, 1024) }
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

//! What a Phase and its ReviewResult say, read without panics from objects that may be partial. Pure.

use crate::api::{
    Phase, PhaseStatus, ReviewResult, ReviewResultStatus,
    evidence::GamingSign,
    phase::{BlockedReason, Judge, PhaseState, PhaseTaskState},
    review_result::{CriterionJudgement, CriterionState, JudgedFinding, Uncharged},
};

/// Name of an object; empty if it has none.
pub(crate) fn name(phase: &Phase) -> &str {
    phase.metadata.name.as_deref().unwrap_or_default()
}

/// Where a phase is; Pending before the operator has looked at it.
pub(crate) fn state(phase: &Phase) -> PhaseState {
    phase.status.as_ref().map_or(PhaseState::Pending, |status| status.state)
}

/// Attempts in all: what follows the slash of `1/3`.
pub(crate) fn limit(status: &PhaseStatus) -> Option<i32> {
    status.summary.attempt.split_once('/').and_then(|(_, limit)| limit.parse().ok())
}

/// Such as `1/3`, or `1` while the limit is not known.
pub(crate) fn attempt_of(status: &PhaseStatus, attempt: i32) -> String {
    limit(status).map_or_else(|| attempt.to_string(), |limit| format!("{attempt}/{limit}"))
}

/// Integrated tasks of the current attempt, and all of them.
pub(crate) fn tasks_done(status: &PhaseStatus) -> (usize, usize) {
    let done = status.tasks.iter().filter(|task| task.state == PhaseTaskState::Integrated).count();
    (done, status.tasks.len())
}

/// Name of the ReviewResult that was judged last.
pub(crate) fn last_result(status: &PhaseStatus) -> Option<&str> {
    let judged = status.review.as_ref().filter(|review| review.verdict.is_some()).map(|review| review.result.as_str());
    judged.or_else(|| status.history.last().map(|record| record.result.as_str()))
}

/// Name of the ReviewResult before `result`.
pub(crate) fn result_before<'a>(status: &'a PhaseStatus, result: &str) -> Option<&'a str> {
    let at = status.history.iter().position(|record| record.result == result);
    let before = at.map_or(status.history.len(), |at| at);
    before.checked_sub(1).and_then(|index| status.history.get(index)).map(|record| record.result.as_str())
}

/// Name of the last judged ReviewResult of an attempt.
pub(crate) fn result_of_attempt(status: &PhaseStatus, attempt: i32) -> Option<&str> {
    status.history.iter().rfind(|record| record.attempt == attempt).map(|record| record.result.as_str())
}

/// Attempts that have a judgement, each once.
pub(crate) fn judged_attempts(status: &PhaseStatus) -> Vec<i32> {
    let mut attempts: Vec<i32> = status.history.iter().map(|record| record.attempt).collect();
    attempts.dedup();
    attempts
}

/// A criterion that a person judges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PersonCriterion {
    pub name: String,
    pub description: String,
}

/// Criteria that a person has to judge: as they were when the commit was judged, or else as the Phase says now. Those
/// of reviewers are among them where no reviewer could verify them; those that are waived are not.
pub(crate) fn person_criteria(phase: &Phase, result: Option<&ReviewResult>) -> Vec<PersonCriterion> {
    let one =
        |name: &String, description: &String| PersonCriterion { name: name.clone(), description: description.clone() };
    let Some(result) = result else {
        let person = phase.spec.success_criteria.iter().filter(|criterion| criterion.judge == Judge::Person);
        return person.map(|criterion| one(&criterion.name, &criterion.description)).collect();
    };
    let state = |name: &str| judged_criteria(result).find(|judged| judged.name == name).map(|judged| judged.state);
    let asked = result.spec.criteria.iter().filter(|criterion| match criterion.judge {
        Judge::Person => state(&criterion.name) != Some(CriterionState::Waived),
        Judge::Reviewer => state(&criterion.name) == Some(CriterionState::AwaitsPerson),
        Judge::Checks => false,
    });
    asked.map(|criterion| one(&criterion.name, &criterion.description)).collect()
}

/// Criteria as they were judged.
pub(crate) fn judged_criteria(result: &ReviewResult) -> impl Iterator<Item = &CriterionJudgement> {
    result.status.iter().flat_map(|status| &status.criteria)
}

/// Findings that cost something.
pub(crate) fn charged(status: &ReviewResultStatus) -> impl Iterator<Item = &JudgedFinding> {
    status.findings.iter().filter(|judged| judged.uncharged.is_none())
}

/// Findings that cost nothing, for this reason.
pub(crate) fn spared(status: &ReviewResultStatus, why: Uncharged) -> Vec<&JudgedFinding> {
    status.findings.iter().filter(|judged| judged.uncharged == Some(why)).collect()
}

/// Signs of gaming that nobody accepts.
pub(crate) fn open_signs(status: &ReviewResultStatus) -> impl Iterator<Item = &GamingSign> {
    status.gaming_signs.iter().filter(|judged| !judged.waived).map(|judged| &judged.sign)
}

/// Findings that cost something and that the developer disputes.
pub(crate) fn disputed(status: &ReviewResultStatus) -> impl Iterator<Item = &JudgedFinding> {
    charged(status).filter(|judged| !judged.dispute.is_empty())
}

/// Whether the Phase is suspended, and whether its manifest says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Suspended {
    No,
    BySpec,
    ByDecision,
}

/// Whether and how a phase is suspended.
pub(crate) fn suspended(phase: &Phase) -> Suspended {
    let blocked = phase.status.iter().flat_map(|status| &status.blocked_by);
    if phase.spec.suspend {
        Suspended::BySpec
    } else if blocked.into_iter().any(|blocked| blocked.reason == BlockedReason::Suspended) {
        Suspended::ByDecision
    } else {
        Suspended::No
    }
}

/// Criteria that were judged not met or wait for a person.
pub(crate) fn open_criteria(result: &ReviewResult) -> impl Iterator<Item = (&str, CriterionState, &str)> {
    judged_criteria(result)
        .filter(|criterion| matches!(criterion.state, CriterionState::Unmet | CriterionState::AwaitsPerson))
        .map(|criterion| (criterion.name.as_str(), criterion.state, criterion.message.as_str()))
}

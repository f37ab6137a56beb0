//! What is seen of a rollback: its checks, and whether the version was raised since.

use std::sync::Arc;

use kube::ResourceExt;

use super::{evidence, task_of};
use crate::{
    api::{
        AgentTask, Phase, PhaseStatus,
        agent_task::CheckOutcome,
        phase::{EscalationReason, PhaseState},
        review_result::CheckEvidence,
    },
    controller::{context::Context, phase::build},
    machine::phase::{CheckFact, CheckWork, RollbackFact, rollback_check_task_name},
    review::{rubric::Gate, score},
};

/// Whether the spec names another tag than the one that was taken back, which stays.
pub(super) fn is_raised(phase: &Phase, status: &PhaseStatus) -> bool {
    let tag = build::line(&phase.spec).completion_tag(&phase.spec.version);
    let Some(rollback) = &status.rollback else { return false };
    tag.is_ok_and(|tag| tag.short() != rollback.tag)
}

/// The recorded rollback, with its checks while they count.
pub(super) fn fact(
    phase: &Phase,
    status: &PhaseStatus,
    gate: Option<&Gate>,
    context: &Context,
) -> Option<RollbackFact> {
    let rollback = status.rollback.as_ref()?;
    let counts = status.state == PhaseState::RollingBack && !rollback.commit.is_empty();
    let blocking = gate.filter(|_| counts).into_iter().flat_map(|gate| &gate.checks).filter(|check| check.blocking);
    let runs: Vec<(CheckEvidence, Option<Arc<AgentTask>>)> = blocking
        .map(|check| {
            let name = rollback_check_task_name(&phase.name_any(), status.attempt, rollback.number, &check.name);
            let task =
                task_of(phase, &name, context).filter(|task| task.spec.commit.as_ref() == Some(&rollback.commit));
            (build::evidence(check, task.as_deref()), task)
        })
        .collect();
    let checks = runs.iter().map(|(evidence, task)| CheckFact {
        name: evidence.name.clone(),
        work: task.as_ref().map_or(CheckWork::Missing, |task| evidence::work(task)),
        waits_for_base: false,
    });
    Some(RollbackFact {
        merge: rollback.merge.clone(),
        commit: Some(rollback.commit.clone()).filter(|commit| !commit.is_empty()),
        gate_hash: rollback.gate_hash.clone(),
        checks: checks.collect(),
        refused: refused(&runs.into_iter().map(|(evidence, _)| evidence).collect::<Vec<_>>()),
    })
}

/// Why the checks stand against the rollback: one that failed says more than one that never started.
fn refused(checks: &[CheckEvidence]) -> Option<(EscalationReason, String)> {
    let against: Vec<&CheckEvidence> = checks.iter().filter(|check| score::rules_out_pass(check)).collect();
    let names = |of: &[&CheckEvidence]| {
        of.iter().map(|check| format!("{} ({})", check.name, check.message)).collect::<Vec<_>>().join(", ")
    };
    let (unknown, failed): (Vec<&CheckEvidence>, Vec<&CheckEvidence>) =
        against.into_iter().partition(|check| check.outcome == CheckOutcome::NotStarted);
    if !failed.is_empty() {
        let message = format!(
            "without the phase the base branch fails {}; something that came later may need it. Retry runs the checks again, Abort keeps the phase",
            names(&failed)
        );
        return Some((EscalationReason::RollbackFailed, message));
    }
    (!unknown.is_empty()).then(|| {
        let message = format!("{} never started; mend that, then Retry, or Abort to keep the phase", names(&unknown));
        (EscalationReason::Inconclusive, message)
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn check(name: &str, outcome: CheckOutcome) -> CheckEvidence {
        CheckEvidence {
            name: name.to_owned(),
            task: String::new(),
            blocking: true,
            categories: Vec::new(),
            outcome,
            image_id: None,
            exit_code: None,
            message: "why".to_owned(),
            reports: Vec::new(),
        }
    }

    #[rstest]
    #[case::nothing_to_check(&[], None)]
    #[case::all_passed(&[("a", CheckOutcome::Passed)], None)]
    #[case::one_failed(&[("a", CheckOutcome::Passed), ("b", CheckOutcome::Failed)], Some((EscalationReason::RollbackFailed, "b (why)")))]
    #[case::one_never_started(&[("a", CheckOutcome::NotStarted)], Some((EscalationReason::Inconclusive, "a (why)")))]
    #[case::a_failure_says_more(
        &[("a", CheckOutcome::NotStarted), ("b", CheckOutcome::Failed)],
        Some((EscalationReason::RollbackFailed, "b (why)"))
    )]
    fn what_stands_against_a_rollback(
        #[case] checks: &[(&str, CheckOutcome)],
        #[case] expected: Option<(EscalationReason, &str)>,
    ) {
        let checks: Vec<CheckEvidence> = checks.iter().map(|(name, outcome)| check(name, *outcome)).collect();
        let refused = refused(&checks);
        assert_eq!(refused.as_ref().map(|(reason, _)| *reason), expected.map(|(reason, _)| reason));
        let said = refused.map(|(_, message)| message).unwrap_or_default();
        assert!(expected.is_none_or(|(_, names)| said.contains(names)), "{said}");
    }
}

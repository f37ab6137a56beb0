//! What the record says of one phase.

use k8s_openapi::jiff::Timestamp;

use super::{Act, Merge, ReleasedPhase, Task, Waived, merge_of, title};
use crate::{
    api::{
        Decision, Phase,
        decision::DecisionType,
        phase::{PhaseState, Waiver},
    },
    plugin::reading,
};

/// When a phase was merged. Of one that was merged by an earlier version, since when it has passed; that is unknown once it is
/// being taken back.
pub(super) fn merged_at(phase: &Phase) -> Option<Timestamp> {
    let status = phase.status.as_ref()?;
    let passed = || status.state_since.as_ref().filter(|_| status.state == PhaseState::Passed);
    status.merge.as_ref()?.at.as_ref().or_else(passed).map(|at| at.0)
}

/// A phase, as a release shows it.
pub(super) fn phase_of(phase: &Phase, decisions: &[Decision]) -> ReleasedPhase {
    let status = phase.status.as_ref();
    let merge = merge_of(phase).map(|merge| Merge { commit: merge.commit.clone(), at: merged_at(phase) });
    ReleasedPhase {
        name: reading::name(phase).to_owned(),
        title: title(phase),
        version: phase.spec.version.clone(),
        objective: phase.spec.objective.clone(),
        score: status.map(|status| status.summary.score.clone()).unwrap_or_default(),
        attempts: status.map_or(0, |status| status.attempt),
        adopted: status.is_some_and(|status| status.adopted),
        merge,
        tasks: phase
            .spec
            .tasks
            .iter()
            .map(|task| Task { name: task.name.clone(), description: task.description.clone() })
            .collect(),
        approved_by: status.and_then(|status| Some(status.approval.as_ref()?.user.clone())),
        waivers: status.iter().flat_map(|status| &status.waivers).map(waived).collect(),
        decisions: acts(phase, decisions),
    }
}

fn waived(waiver: &Waiver) -> Waived {
    let criteria = waiver.criteria.iter().map(|name| format!("criterion {name}"));
    let findings = waiver.findings.iter().map(|id| id.chars().take(12).collect());
    Waived { user: waiver.user.clone(), what: criteria.chain(findings).collect(), reason: waiver.reason.clone() }
}

/// Decisions that had an effect on the way: waivers and the approval that holds are told of by themselves.
fn acts(phase: &Phase, decisions: &[Decision]) -> Vec<Act> {
    let uid = phase.metadata.uid.as_deref().unwrap_or_default();
    let used = |decision: &&Decision| {
        let id = decision.metadata.uid.as_deref().unwrap_or_default();
        phase.status.as_ref().is_some_and(|status| status.used_decisions.iter().any(|used| used == id))
    };
    let about = decisions.iter().filter(|decision| decision.spec.phase_uid == uid).filter(used);
    let mut acts: Vec<Act> = about.filter(|decision| is_told(decision.spec.kind)).map(act).collect();
    acts.sort_by_key(|act| act.at);
    acts
}

fn is_told(kind: DecisionType) -> bool {
    match kind {
        DecisionType::Reject | DecisionType::Retry | DecisionType::Rollback => true,
        DecisionType::Approve
        | DecisionType::Waive
        | DecisionType::Suspend
        | DecisionType::Resume
        | DecisionType::Abort
        | DecisionType::Rerun
        | DecisionType::Answer => false,
    }
}

fn act(decision: &Decision) -> Act {
    let spec = &decision.spec;
    Act {
        kind: format!("{:?}", spec.kind),
        user: spec.user.clone(),
        at: decision.metadata.creation_timestamp.as_ref().map(|time| time.0),
        note: if spec.note.is_empty() { spec.reason.clone() } else { spec.note.clone() },
    }
}

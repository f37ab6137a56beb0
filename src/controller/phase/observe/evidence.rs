//! What is known of the base: which run of a check speaks of it, so that a phase is charged for what it changed.
//!
//! That is a run of the very same check on the base commit, or on the commit whose tree a phase merged as it.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use super::owned_by;
use crate::{
    api::{
        AgentTask, Phase, PhaseStatus,
        agent_task::{EvidenceRef, Role, TaskState},
        check::Check,
        evidence::ReportFormat,
    },
    controller::context::Context,
    machine::phase::{CheckFact, CheckWork, base_check_task_name},
    review::rubric::Gate,
};

/// Reports are kept for 30 days; a run that is about to lose them is not leant on.
const KEPT: SignedDuration = SignedDuration::from_hours(29 * 24);

/// What is seen of a check's AgentTask.
pub(in crate::controller::phase) fn work(task: &AgentTask) -> CheckWork {
    match task.status.as_ref().map(|status| status.state).unwrap_or_default() {
        TaskState::Pending | TaskState::Starting | TaskState::Running => CheckWork::Active,
        TaskState::Succeeded | TaskState::Failed => CheckWork::Ended,
    }
}

/// The base that a phase is compared with.
pub(in crate::controller::phase) struct Base {
    /// Its commit; none before the release branch stands.
    pub(in crate::controller::phase) commit: Option<String>,
    now: Timestamp,
}

impl Base {
    pub(super) fn of(phase: &Phase, status: &PhaseStatus, now: Timestamp) -> Self {
        let _ = phase;
        let reviewed = status.review.as_ref().filter(|review| !review.commit.is_empty());
        let commit = reviewed.map(|review| review.base.clone());
        let commit = commit.or_else(|| Some(status.release.as_ref()?.base.clone()));
        Self { commit: commit.filter(|commit| !commit.is_empty()), now }
    }

    /// The checks to compare, and how their runs on the base stand.
    pub(super) fn checks(&self, gate: &Gate, phase: &Phase, context: &Context) -> Vec<CheckFact> {
        let compared = gate.checks.iter().filter(|check| self.commit.is_some() && is_compared(check));
        let fact = |check: &Check| CheckFact {
            name: check.name.clone(),
            work: self.run(check, phase, context).map_or(CheckWork::Missing, |task| work(&task)),
            waits_for_base: false,
        };
        compared.map(fact).collect()
    }

    /// Whether a check on the head has to wait until this one has ended on the base.
    pub(super) fn is_waited_for(&self, check: &Check, phase: &Phase, context: &Context) -> bool {
        self.commit.is_some()
            && is_compared(check)
            && self.run(check, phase, context).is_none_or(|task| work(&task) != CheckWork::Ended)
    }

    /// The run whose reports speak of the base.
    pub(in crate::controller::phase) fn evidence(
        &self,
        check: &Check,
        phase: &Phase,
        context: &Context,
    ) -> Option<EvidenceRef> {
        let task = self.run(check, phase, context).filter(|task| work(task) == CheckWork::Ended)?;
        let run = task.status.as_ref().map(|status| status.run).filter(|run| *run > 0)?;
        Some(EvidenceRef { task: task.name_any(), uid: task.uid()?, run })
    }

    /// The run of this very check on the base: this phase's own, or any other's that ended, the first by name.
    fn run(&self, check: &Check, phase: &Phase, context: &Context) -> Option<Arc<AgentTask>> {
        let base = self.commit.as_deref()?;
        let own = base_check_task_name(&phase.name_any(), base, &check.name);
        let mut runs = context.stores.tasks.state_filter(|task| {
            let same = task.namespace() == phase.namespace()
                && task.spec.role == Role::Check
                && task.spec.repository == phase.spec.repository_ref.name
                && task.spec.check.as_ref() == Some(check)
                && speaks_of(task, base, context);
            let mine = owned_by(task, phase) && task.name_any() == own;
            same && (mine || (work(task) == CheckWork::Ended && self.is_kept(task)))
        });
        runs.sort_by_key(|task| (task.name_any() != own, task.name_any()));
        runs.into_iter().next()
    }

    fn is_kept(&self, task: &AgentTask) -> bool {
        let finished = task.status.as_ref().and_then(|status| status.finished_at.as_ref());
        finished.is_some_and(|finished| self.now.duration_since(finished.0) < KEPT)
    }
}

/// Whether a report of this check can say more once the base's is known.
fn is_compared(check: &Check) -> bool {
    check.external.is_none() && check.reports.iter().any(|report| report.format != ReportFormat::Metrics)
}

/// Whether the task ran on the base commit, or on what a phase merged as the base commit: its tree is the same.
fn speaks_of(task: &AgentTask, base: &str, context: &Context) -> bool {
    let Some(commit) = task.spec.commit.as_deref() else { return false };
    let merged_as_base = |phase: &Phase| {
        let status = phase.status.as_ref();
        let merge = status.and_then(|status| status.merge.as_ref()).map(|merge| merge.commit.as_str());
        let review = status.and_then(|status| status.review.as_ref()).map(|review| review.commit.as_str());
        merge == Some(base) && review == Some(commit) && owned_by(task, phase)
    };
    commit == base || context.stores.phases.find(merged_as_base).is_some()
}

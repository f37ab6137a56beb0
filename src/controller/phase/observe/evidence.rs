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
        phase::PhaseState,
    },
    controller::context::Context,
    git::flow,
    machine::phase::{CheckFact, CheckWork, base_check_task_name},
    review::rubric::Gate,
};

/// A run that is about to lose its reports is not leant on.
const KEPT: SignedDuration = SignedDuration::from_hours((flow::KEPT_DAYS - 1) * 24);

/// What is seen of a check's AgentTask.
pub(in crate::controller::phase) fn work(task: &AgentTask) -> CheckWork {
    match task.status.as_ref().map(|status| status.state).unwrap_or_default() {
        TaskState::Pending | TaskState::Starting | TaskState::Running => CheckWork::Active,
        TaskState::Succeeded | TaskState::Failed => CheckWork::Ended,
    }
}

/// The base that a phase is compared with, and the runs that speak of it.
pub(in crate::controller::phase) struct Base {
    /// Its commit; none before the release branch stands.
    pub(in crate::controller::phase) commit: Option<String>,
    /// The checks to compare, in the gate's order, each with its run.
    runs: Vec<(String, Option<Arc<AgentTask>>)>,
}

impl Base {
    /// One look at the tasks for all checks, and none where a phase starts no check.
    pub(super) fn of(
        phase: &Phase,
        status: &PhaseStatus,
        gate: Option<&Gate>,
        context: &Context,
        now: Timestamp,
    ) -> Self {
        let reviewed = status.review.as_ref().filter(|review| !review.commit.is_empty());
        let commit = reviewed.map(|review| review.base.clone());
        let commit = commit.or_else(|| Some(status.release.as_ref()?.base.clone())).filter(|commit| !commit.is_empty());
        let starts_checks = matches!(status.state, PhaseState::Developing | PhaseState::Reviewing);
        let runs = match (&commit, gate.filter(|_| starts_checks)) {
            (Some(commit), Some(gate)) => runs(phase, commit, gate, context, now),
            (_, None) | (None, _) => Vec::new(),
        };
        Self { commit, runs }
    }

    /// The checks to compare, and how their runs on the base stand.
    pub(super) fn checks(&self) -> Vec<CheckFact> {
        let fact = |(name, run): &(String, Option<Arc<AgentTask>>)| CheckFact {
            name: name.clone(),
            work: run.as_ref().map_or(CheckWork::Missing, |task| work(task)),
            waits_for_base: false,
        };
        self.runs.iter().map(fact).collect()
    }

    /// Whether a check on the head has to wait until this one has ended on the base.
    pub(super) fn is_waited_for(&self, check: &Check) -> bool {
        let compared = self.runs.iter().find(|(name, _)| *name == check.name);
        compared.is_some_and(|(_, run)| run.as_ref().is_none_or(|task| work(task) != CheckWork::Ended))
    }

    /// The run whose reports speak of the base.
    pub(in crate::controller::phase) fn evidence(&self, check: &Check) -> Option<EvidenceRef> {
        let (_, run) = self.runs.iter().find(|(name, _)| *name == check.name)?;
        let task = run.as_ref().filter(|task| work(task) == CheckWork::Ended)?;
        let run = task.status.as_ref().map(|status| status.run).filter(|run| *run > 0)?;
        Some(EvidenceRef { task: task.name_any(), uid: task.uid()?, run })
    }
}

/// The run of each compared check on the base: this phase's own, or any other's that ended, the first by name.
fn runs(
    phase: &Phase,
    base: &str,
    gate: &Gate,
    context: &Context,
    now: Timestamp,
) -> Vec<(String, Option<Arc<AgentTask>>)> {
    let compared: Vec<&Check> = gate.checks.iter().filter(|check| is_compared(check)).collect();
    if compared.is_empty() {
        return Vec::new();
    }
    let merged = context.stores.phases.state_filter(|other| merge_of(other) == Some(base));
    let mut tasks = context.stores.tasks.state_filter(|task| {
        task.namespace() == phase.namespace()
            && task.spec.role == Role::Check
            && task.spec.repository == phase.spec.repository_ref.name
            && speaks_of(task, base, &merged)
    });
    tasks.sort_by_key(|task| task.name_any());
    let run = |check: &Check| {
        let own = base_check_task_name(&phase.name_any(), base, &check.name);
        // One whose reports are gone from git by now says nothing any more: it is made anew.
        let is_own = |task: &&Arc<AgentTask>| {
            let own = task.name_any() == own && owned_by(task.as_ref(), phase);
            own && (work(task) != CheckWork::Ended || is_kept(task, now))
        };
        let is_usable = |task: &&Arc<AgentTask>| work(task) == CheckWork::Ended && is_kept(task, now);
        let mut same = tasks.iter().filter(|task| task.spec.check.as_ref() == Some(check));
        same.clone().find(is_own).or_else(|| same.find(is_usable)).cloned()
    };
    compared.into_iter().map(|check| (check.name.clone(), run(check))).collect()
}

fn is_kept(task: &AgentTask, now: Timestamp) -> bool {
    let finished = task.status.as_ref().and_then(|status| status.finished_at.as_ref());
    finished.is_some_and(|finished| now.duration_since(finished.0) < KEPT)
}

/// Whether a report of this check can say more once the base's is known.
fn is_compared(check: &Check) -> bool {
    check.external.is_none() && check.reports.iter().any(|report| report.format != ReportFormat::Metrics)
}

/// The commit that a phase was merged as.
fn merge_of(phase: &Phase) -> Option<&str> {
    Some(phase.status.as_ref()?.merge.as_ref()?.commit.as_str())
}

/// Whether the task ran on the base commit, or on what a phase merged as the base commit: its tree is the same.
fn speaks_of(task: &AgentTask, base: &str, merged: &[Arc<Phase>]) -> bool {
    let Some(commit) = task.spec.commit.as_deref() else { return false };
    let reviewed_as_base = |phase: &Arc<Phase>| {
        let review = phase.status.as_ref().and_then(|status| status.review.as_ref());
        review.is_some_and(|review| review.commit == commit) && owned_by(task, phase)
    };
    commit == base || merged.iter().any(reviewed_as_base)
}

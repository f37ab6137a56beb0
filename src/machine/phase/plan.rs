//! Which tasks a phase has, and what its children are called. Names come from the record alone, so
//! that a redo after a crash finds its own work.

use crate::api::phase::{PhaseState, PhaseStatus, PhaseTaskState, PhaseTaskStatus};

/// Name of the task that mends findings.
pub const REWORK: &str = "rework";
/// Name of the task that merges the base branch where git cannot.
pub const BASE_MERGE: &str = "base-merge";
/// Tasks that the API holds.
const MAX_TASKS: usize = 64;

/// The tasks as they should be, given the names in the spec: recorded ones go on, new ones are
/// added, and those that left the spec are dropped unless they are at work. Only while a task can
/// still be added: later the list stays as it is.
pub fn planned(status: &PhaseStatus, spec: &[String]) -> Vec<PhaseTaskStatus> {
    if status.attempt == 0 || !takes_tasks(status.state) {
        return status.tasks.clone();
    }
    let stays = |task: &&PhaseTaskStatus| {
        is_ours(&task.name) || task.state == PhaseTaskState::Working || spec.contains(&task.name)
    };
    let mut tasks: Vec<PhaseTaskStatus> = status.tasks.iter().filter(stays).cloned().collect();
    for name in spec {
        if tasks.iter().all(|task| &task.name != name) {
            tasks.push(waiting(name));
        }
    }
    // Those that do not fit follow as soon as others are done: none is forgotten.
    tasks.truncate(MAX_TASKS);
    tasks
}

/// Whether the spec has no such task.
fn is_ours(task: &str) -> bool {
    task == REWORK || task == BASE_MERGE
}

fn takes_tasks(state: PhaseState) -> bool {
    match state {
        PhaseState::Developing | PhaseState::Reviewing | PhaseState::AwaitingApproval => true,
        PhaseState::Pending
        | PhaseState::Preparing
        | PhaseState::Backoff
        | PhaseState::Merging
        | PhaseState::Passed
        | PhaseState::Escalated
        | PhaseState::RollingBack
        | PhaseState::RolledBack
        | PhaseState::Failed => false,
    }
}

/// The tasks of the next attempt: what is integrated stays in, and one rework mends the findings.
pub(super) fn of_next_attempt(status: &PhaseStatus, pushed: Option<&str>) -> Vec<PhaseTaskStatus> {
    let stays = |task: &&PhaseTaskStatus| !is_ours(&task.name) && task.state == PhaseTaskState::Integrated;
    let mut tasks: Vec<PhaseTaskStatus> = status.tasks.iter().filter(stays).cloned().collect();
    match pushed {
        Some(commit) => tasks.push(PhaseTaskStatus {
            state: PhaseTaskState::Working,
            submitted: Some(commit.to_owned()),
            ..waiting(REWORK)
        }),
        // The first one, or the first after a rollback: what was taken away is there again, and the gate judges it.
        None if status.state == PhaseState::Preparing || status.attempt == 0 => {}
        None => tasks.push(waiting(REWORK)),
    }
    tasks
}

/// The base branch, at this commit, does not merge: one task does it, also if it was done before.
pub(super) fn with_base_merge(tasks: &mut Vec<PhaseTaskStatus>, base: &str, why: String) {
    let before = tasks.iter().position(|task| task.name == BASE_MERGE).map(|index| tasks.remove(index));
    let dispatch = before.map_or(0, |task| task.dispatch);
    let conflict = Some(base.to_owned());
    tasks.push(PhaseTaskStatus { dispatch, conflict, message: why, ..waiting(BASE_MERGE) });
}

fn waiting(name: &str) -> PhaseTaskStatus {
    PhaseTaskStatus { name: name.to_owned(), ..PhaseTaskStatus::default() }
}

/// Name of the AgentTask of a task: `{phase}-{task}-{attempt}-{dispatch}`.
pub fn agent_task_name(phase: &str, task: &str, attempt: i32, dispatch: i32) -> String {
    format!("{phase}.{task}.{attempt}.{dispatch}")
}

/// The time that a task was handed out as the AgentTask of this name, if it is one of this task and attempt.
pub(super) fn dispatch_of(agent_task: &str, phase: &str, task: &str, attempt: i32) -> Option<i32> {
    let dispatch: i32 = agent_task.rsplit('.').next()?.parse().ok()?;
    (agent_task == agent_task_name(phase, task, attempt, dispatch)).then_some(dispatch)
}

/// Name of the AgentTask of a check on the base: one for each commit of the base that a phase was compared with.
pub fn base_check_task_name(phase: &str, base: &str, check: &str) -> String {
    format!("{phase}.base-{}.{check}", base.get(..12).unwrap_or(base))
}

/// Name of the AgentTask of a check or a reviewer: `{phase}-r{attempt}-{number}-{check}`, beside its ReviewResult.
pub fn check_task_name(phase: &str, attempt: i32, number: i32, check: &str) -> String {
    format!("{phase}.r{attempt}-{number}.{check}")
}

/// Name of the Sync AgentTask that pushes this commit to the upstream, after so many pushes that came to nothing.
pub fn push_task_name(phase: &str, given_up: i32, commit: &str) -> String {
    format!("{phase}.push{given_up}.{}", commit.get(..12).unwrap_or(commit))
}

/// Name of the AgentTask of a check on the n-th revert of a phase.
pub fn rollback_check_task_name(phase: &str, attempt: i32, number: i32, check: &str) -> String {
    format!("{phase}.rollback{attempt}-{number}.{check}")
}

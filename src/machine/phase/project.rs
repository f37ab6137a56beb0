//! Changes onto the status: what is recorded, what people and kstatus see of it.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::Change;
use crate::{
    api::{
        common::Backoff,
        phase::{
            ApprovalStatus, Blocked, Escalation, JudgementRecord, MergeStatus, PhaseState, PhaseStatus, PhaseTaskState,
            PhaseTaskStatus, ReleaseBranch, ReviewStatus,
        },
    },
    machine::{conditions, policy},
};

/// Name of the task that mends findings.
pub const REWORK: &str = "rework";
/// Judgements kept in the history.
const MAX_HISTORY: usize = 50;
/// Decisions remembered as used.
const MAX_USED: usize = 200;

/// Facts that are stamped onto the status.
#[derive(Clone, Debug)]
pub struct Stamp {
    /// When the decision was made.
    pub now: Timestamp,
    /// Generation of the spec that was observed.
    pub generation: i64,
    /// Name of the phase.
    pub name: String,
    /// UID of the phase: seed of the jitter.
    pub uid: String,
    /// Names of the tasks in the spec.
    pub tasks: Vec<String>,
    /// The release branch's short name.
    pub release_branch: String,
    /// Attempts allowed by the specs, without grants.
    pub max_attempts: u32,
    /// Wait between attempts.
    pub backoff: Backoff,
    /// Hash of the gate.
    pub gate_hash: String,
    /// Everything that stands against starting or going on.
    pub blocked: Vec<Blocked>,
    /// Whether a person suspended it.
    pub suspended: bool,
    /// What a person has to say before the merge: `approval`, `criterion x`.
    pub asked_of_person: Vec<String>,
}

/// The status after these changes. Without changes it is the same status, but for facts that
/// moved meanwhile.
pub fn project(before: &PhaseStatus, changes: &[Change], stamp: &Stamp) -> PhaseStatus {
    let mut status = before.clone();
    status.observed_generation = stamp.generation;
    status.blocked_by.clone_from(&stamp.blocked);
    for change in changes {
        apply(&mut status, change, stamp);
    }
    clock(&mut status, stamp);
    status.summary.attempt =
        if status.attempt == 0 { String::new() } else { format!("{}/{}", status.attempt, limit(&status, stamp)) };
    status.summary.tasks = tasks(&status, stamp);
    status.summary.waiting_for = waiting_for(&status, stamp);
    status.conditions = conditions::of_phase(before, &status, stamp.now);
    status
}

fn limit(status: &PhaseStatus, stamp: &Stamp) -> i32 {
    i32::try_from(stamp.max_attempts).unwrap_or(i32::MAX).saturating_add(status.granted_attempts)
}

fn apply(status: &mut PhaseStatus, change: &Change, stamp: &Stamp) {
    match change {
        Change::Enter(state) => enter(status, *state, stamp),
        Change::RestartClock => status.started_at = Some(Time(stamp.now)),
        Change::BeginAttempt { pushed } => begin_attempt(status, pushed.as_deref(), stamp),
        Change::Release { head, base } => {
            let base = base.clone().or_else(|| status.release.as_ref().map(|release| release.base.clone()));
            let branch = stamp.release_branch.clone();
            status.release = Some(ReleaseBranch { branch, base: base.unwrap_or_default(), head: head.clone() });
        }
        Change::TaskWorking(name) => {
            let attempt = status.attempt;
            with_task(status, name, |task| {
                task.state = PhaseTaskState::Working;
                task.dispatch += 1;
                task.agent_task = agent_task_name(&stamp.name, &task.name, attempt, task.dispatch);
            });
        }
        Change::TaskIntegrated { task, commit } => with_task(status, task, |task| {
            task.state = PhaseTaskState::Integrated;
            task.commit = Some(commit.clone());
            task.message = String::new();
        }),
        Change::TaskAnew { task, why } => with_task(status, task, |task| {
            task.state = PhaseTaskState::Waiting;
            task.submitted = None;
            task.message.clone_from(why);
        }),
        Change::TaskFailed { task, why } => with_task(status, task, |task| {
            task.state = PhaseTaskState::Failed;
            task.message = cut(why);
        }),
        Change::BeginReview { commit, tree, base } => begin_review(status, commit, tree, base, stamp),
        Change::DropReview => {
            if let Some(review) = &mut status.review {
                // The number stays, so that the next review of this attempt gets a name of its own.
                review.commit = String::new();
                review.verdict = None;
            }
        }
        Change::Judged { verdict, class, score } => {
            status.summary.score.clone_from(score);
            let Some(review) = &mut status.review else { return };
            review.verdict = Some(*verdict);
            let record = JudgementRecord {
                attempt: status.attempt,
                result: review.result.clone(),
                tree: review.tree.clone(),
                gate_hash: review.gate_hash.clone(),
                verdict: *verdict,
                score: score.clone(),
                failure_class: *class,
            };
            status.history.push(record);
            let surplus = status.history.len().saturating_sub(MAX_HISTORY);
            status.history.drain(..surplus);
        }
        Change::Approved { uid, user, commit } => {
            status.approval =
                Some(ApprovalStatus { decision_uid: uid.clone(), user: user.clone(), commit: commit.clone() });
        }
        Change::Note(note) => status.note = cut(note),
        Change::Grant(attempts) => {
            status.granted_attempts = status.granted_attempts.saturating_add(i32::try_from(*attempts).unwrap_or(0));
        }
        Change::Used { uid, remark: _ } => {
            status.used_decisions.push(uid.clone());
            let surplus = status.used_decisions.len().saturating_sub(MAX_USED);
            status.used_decisions.drain(..surplus);
        }
        Change::Blocked(reasons) => status.blocked_by.extend(reasons.iter().cloned()),
        Change::Escalate { reason, message } => {
            status.escalation = Some(Escalation { reason: *reason, from: status.state, message: cut(message) });
            enter(status, PhaseState::Escalated, stamp);
        }
        Change::Merged { commit, tag, adopted } => {
            status.merge = Some(MergeStatus { commit: commit.clone(), tag: tag.clone() });
            status.adopted = *adopted;
        }
    }
}

fn enter(status: &mut PhaseStatus, state: PhaseState, stamp: &Stamp) {
    if status.state == state {
        return;
    }
    status.state = state;
    status.state_since = Some(Time(stamp.now));
    if state != PhaseState::Escalated {
        status.escalation = None;
    }
    status.backoff_until = (state == PhaseState::Backoff).then(|| Time(backoff_end(status, stamp)));
    status.turn_since = match state {
        PhaseState::Reviewing | PhaseState::Merging => status.turn_since.take().or(Some(Time(stamp.now))),
        PhaseState::Pending
        | PhaseState::Preparing
        | PhaseState::Developing
        | PhaseState::Backoff
        | PhaseState::AwaitingApproval
        | PhaseState::Passed
        | PhaseState::Escalated
        | PhaseState::Failed => None,
    };
}

fn backoff_end(status: &PhaseStatus, stamp: &Stamp) -> Timestamp {
    let round = u32::try_from(status.attempt).unwrap_or(1);
    let seconds = |duration: crate::api::Duration| std::time::Duration::from_secs(duration.as_secs().into());
    let wait = policy::backoff(seconds(stamp.backoff.initial), seconds(stamp.backoff.max), round, &stamp.uid);
    let wait = jiff::SignedDuration::try_from(wait).unwrap_or(jiff::SignedDuration::ZERO);
    // Whole seconds survive the trip through the API server unchanged.
    let end = stamp.now + wait;
    Timestamp::from_second(end.as_second() + i64::from(end.subsec_nanosecond() > 0)).unwrap_or(end)
}

fn begin_attempt(status: &mut PhaseStatus, pushed: Option<&str>, stamp: &Stamp) {
    status.attempt += 1;
    status.review = None;
    status.approval = None;
    status.correlation_id = format!("{}-{}", stamp.uid.get(..8).unwrap_or(&stamp.uid), status.attempt);
    let waiting = |name: &str| PhaseTaskStatus { name: name.to_owned(), ..PhaseTaskStatus::default() };
    status.tasks = match pushed {
        Some(commit) => {
            let task = PhaseTaskStatus {
                state: PhaseTaskState::Working,
                submitted: Some(commit.to_owned()),
                ..waiting(REWORK)
            };
            vec![task]
        }
        None if status.attempt == 1 => stamp.tasks.iter().map(|name| waiting(name)).collect(),
        None => vec![waiting(REWORK)],
    };
}

fn begin_review(status: &mut PhaseStatus, commit: &str, tree: &str, base: &str, stamp: &Stamp) {
    let number = status.review.as_ref().map_or(0, |review| review.number) + 1;
    status.review = Some(ReviewStatus {
        number,
        commit: commit.to_owned(),
        tree: tree.to_owned(),
        base: base.to_owned(),
        gate_hash: stamp.gate_hash.clone(),
        result: format!("{}-r{}-{number}", stamp.name, status.attempt),
        verdict: None,
    });
}

/// Name of the AgentTask of a task: `{phase}-{task}-{attempt}-{dispatch}`.
pub fn agent_task_name(phase: &str, task: &str, attempt: i32, dispatch: i32) -> String {
    format!("{phase}-{task}-{attempt}-{dispatch}")
}

/// Name of the AgentTask of a check: `{phase}-r{attempt}-{number}-{check}`, beside its ReviewResult.
pub fn check_task_name(phase: &str, attempt: i32, number: i32, check: &str) -> String {
    format!("{phase}-r{attempt}-{number}-{check}")
}

fn with_task(status: &mut PhaseStatus, name: &str, change: impl FnOnce(&mut PhaseTaskStatus)) {
    if let Some(task) = status.tasks.iter_mut().find(|task| task.name == name) {
        change(task);
    }
}

/// Suspension stops the clock of the timeout: the start moves on by as long as it lasted.
fn clock(status: &mut PhaseStatus, stamp: &Stamp) {
    match (&status.suspended_at, stamp.suspended) {
        (None, true) => status.suspended_at = Some(Time(stamp.now)),
        (Some(since), false) => {
            let lasted = stamp.now.duration_since(since.0);
            status.started_at = status.started_at.as_ref().map(|started| Time(started.0 + lasted));
            status.suspended_at = None;
        }
        (None, false) | (Some(_), true) => {}
    }
}

fn tasks(status: &PhaseStatus, stamp: &Stamp) -> String {
    let of_spec = stamp.tasks.len();
    if status.attempt > 1 {
        // The features are in; a rework does not unmake them.
        return format!("{of_spec}/{of_spec}");
    }
    let integrated = status.tasks.iter().filter(|task| task.state == PhaseTaskState::Integrated).count();
    format!("{integrated}/{of_spec}")
}

fn waiting_for(status: &PhaseStatus, stamp: &Stamp) -> String {
    if let Some(first) = status.blocked_by.first() {
        let more = status.blocked_by.len() - 1;
        let rest = if more == 0 { String::new() } else { format!(" (and {more} more)") };
        return cut_to(&format!("{}{rest}", first.message), 500);
    }
    match status.state {
        PhaseState::Pending | PhaseState::Passed | PhaseState::Failed => String::new(),
        PhaseState::Preparing => "the release branch".to_owned(),
        PhaseState::Developing => {
            let working: Vec<&str> = status
                .tasks
                .iter()
                .filter(|task| task.state == PhaseTaskState::Working)
                .map(|task| task.name.as_str())
                .collect();
            cut_to(&format!("developer: {}", working.join(", ")), 500)
        }
        PhaseState::Reviewing => "checks".to_owned(),
        PhaseState::Backoff => {
            status.backoff_until.as_ref().map_or_else(String::new, |until| format!("backoff until {}", until.0))
        }
        PhaseState::AwaitingApproval => format!("you: {}", stamp.asked_of_person.join(", ")),
        PhaseState::Merging => "the merge".to_owned(),
        PhaseState::Escalated => {
            let why =
                status.escalation.as_ref().map_or_else(String::new, |escalation| format!("{:?}", escalation.reason));
            format!("you: {why}")
        }
    }
}

/// Cut to what the API takes, at a character.
fn cut(text: &str) -> String {
    cut_to(text, 1000)
}

fn cut_to(text: &str, characters: usize) -> String {
    if text.chars().count() <= characters {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(characters.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

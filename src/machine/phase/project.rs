//! Changes onto the status: what is recorded, what people and kstatus see of it.

mod rollback;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    BASE_MERGE, Change, Waived,
    plan::{agent_task_name, dispatch_of, of_next_attempt, planned, with_base_merge},
    summary::{self, cut},
};
use crate::{
    api::{
        agent_task::FailureClass,
        common::Backoff,
        phase::{
            ApprovalStatus, Blocked, BlockedReason, CategoryRecord, Escalation, JudgementRecord, MergeStatus,
            PhaseState, PhaseStatus, PhaseTaskState, PhaseTaskStatus, PushStatus, ReleaseBranch, ReviewStatus, Waiver,
        },
        review_result::Verdict,
    },
    machine::{conditions, policy, turn},
    text,
};

/// Judgements kept in the history.
const MAX_HISTORY: usize = 50;
/// Waivers kept.
const MAX_WAIVERS: usize = 50;
/// Decisions remembered as used.
pub const MAX_USED: usize = 200;
/// Reasons that the API holds.
const MAX_BLOCKED: usize = 64;

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
    /// UIDs of the Decisions about this phase that exist.
    pub decisions: Vec<String>,
    /// What a person has to say before the merge: `approval`, `criterion x`.
    pub asked_of_person: Vec<String>,
    /// Phases that depend on this one and have to stop before it is rolled back.
    pub dependants_at_work: Vec<String>,
}

/// The status after these changes. Without changes it is the same status, but for facts that
/// moved meanwhile.
pub fn project(before: &PhaseStatus, changes: &[Change], stamp: &Stamp) -> PhaseStatus {
    let mut status = before.clone();
    status.observed_generation = stamp.generation;
    status.blocked_by.clone_from(&stamp.blocked);
    status.tasks = planned(&status, &stamp.tasks);
    for change in changes {
        if is_possible(status.state, change) {
            apply(&mut status, change, stamp);
        }
    }
    status.tasks = planned(&status, &stamp.tasks);
    bound_blocked(&mut status);
    clock(before, &mut status, stamp);
    let waits = turn::asks(&status, stamp.suspended, &stamp.dependants_at_work);
    status.turn_since = waits.then(|| status.turn_since.take().unwrap_or(Time(stamp.now)));
    status.summary.attempt = summary::attempt(&status, limit(&status, stamp));
    status.summary.tasks = summary::tasks(&status, stamp);
    status.summary.waiting_for = summary::waiting_for(&status, stamp);
    status.conditions = conditions::of_phase(before, &status, stamp.now);
    status
}

/// An end is an end, but a phase that was given up and was merged all the same has passed.
fn is_possible(state: PhaseState, change: &Change) -> bool {
    let is_used = matches!(change, Change::Used { .. });
    match state {
        PhaseState::Passed => is_used || matches!(change, Change::BeginRollback { .. }),
        PhaseState::RolledBack => {
            let goes_on = matches!(change, Change::Enter(PhaseState::Preparing | PhaseState::Failed));
            is_used || goes_on || matches!(change, Change::BeginAnew | Change::RestartClock | Change::Note(_))
        }
        PhaseState::Failed => is_used || matches!(change, Change::Merged { .. } | Change::Enter(PhaseState::Passed)),
        PhaseState::Pending
        | PhaseState::Preparing
        | PhaseState::Developing
        | PhaseState::Reviewing
        | PhaseState::Backoff
        | PhaseState::AwaitingApproval
        | PhaseState::Merging
        | PhaseState::RollingBack
        | PhaseState::Escalated => true,
    }
}

fn limit(status: &PhaseStatus, stamp: &Stamp) -> i32 {
    i32::try_from(stamp.max_attempts).unwrap_or(i32::MAX).saturating_add(status.granted_attempts)
}

fn apply(status: &mut PhaseStatus, change: &Change, stamp: &Stamp) {
    match change {
        Change::Enter(state) => enter(status, *state, stamp),
        Change::RestartClock => {
            status.started_at = Some(Time(stamp.now));
            // The pause up to here belongs to the time before.
            status.suspended_at = status.suspended_at.as_ref().map(|_| Time(stamp.now));
        }
        Change::BeginAttempt { pushed } => begin_attempt(status, pushed.as_deref(), stamp),
        Change::Release { head, base } => {
            let base = base.clone().or_else(|| status.release.as_ref().map(|release| release.base.clone()));
            // It was claimed under this name; an edit of the version does not rename it.
            let claimed = status.release.as_ref().map(|release| release.branch.clone());
            let branch = claimed.unwrap_or_else(|| stamp.release_branch.clone());
            status.release = Some(ReleaseBranch { branch, base: base.unwrap_or_default(), head: head.clone() });
        }
        Change::TaskWorking(name) => {
            let attempt = status.attempt;
            with_task(status, name, |task| {
                task.state = PhaseTaskState::Working;
                task.dispatch = task.dispatch.saturating_add(1);
                task.agent_task = agent_task_name(&stamp.name, &task.name, attempt, task.dispatch);
            });
        }
        Change::TaskIntegrated { task, commit } => with_task(status, task, |task| {
            task.state = PhaseTaskState::Integrated;
            task.commit = Some(commit.clone());
            task.conflict = None;
            task.message = String::new();
        }),
        Change::WorkFound { work, commit } => work_found(status, work, commit, stamp),
        Change::TaskAnew { task, why, conflict } => with_task(status, task, |task| {
            task.state = PhaseTaskState::Waiting;
            task.agent_task = String::new();
            task.submitted = None;
            task.conflict = conflict.clone().or(task.conflict.take());
            task.message = cut(why);
        }),
        Change::BaseConflict { base, why } => with_base_merge(&mut status.tasks, base, cut(why)),
        Change::TaskPushed { task, commit } => with_task(status, task, |task| {
            task.state = PhaseTaskState::Working;
            task.agent_task = String::new();
            task.submitted = Some(commit.clone());
            task.message = String::new();
        }),
        Change::TaskFailed { task, why, conflict } => with_task(status, task, |task| {
            task.state = PhaseTaskState::Failed;
            task.conflict = conflict.clone().or(task.conflict.take());
            task.message = cut(why);
        }),
        Change::BeginReview { commit, tree, base, patch } => {
            let reviewed = ReviewStatus {
                commit: commit.clone(),
                tree: tree.clone(),
                base: base.clone(),
                patch: patch.clone(),
                ..ReviewStatus::default()
            };
            begin_review(status, reviewed, stamp);
        }
        Change::DropReview => drop_review(status),
        Change::Pushing { task, commit } => begin_push(status, task, commit),
        Change::DropPush => drop_push(status),
        Change::Judged { verdict, class, score, categories, evidence } => {
            judge(status, *verdict, *class, score, categories, evidence);
        }
        Change::Approved { uid, user, commit, criteria } => approve(status, uid, user, commit, criteria),
        Change::Waived { uid, user, what } => waived(status, uid, user, what),
        Change::Note(note) => status.note = cut(note),
        Change::Grant(attempts) => {
            status.granted_attempts = status.granted_attempts.saturating_add(i32::try_from(*attempts).unwrap_or(0));
        }
        Change::Used { uid, remark: _ } => remember(status, uid, &stamp.decisions),
        Change::Blocked(reasons) => status.blocked_by.extend(reasons.iter().cloned()),
        // The first reason is the one to mend; what came after it in the same step changes nothing.
        Change::Escalate { .. } if status.state == PhaseState::Escalated => {}
        Change::Escalate { reason, message } => {
            status.escalation = Some(Escalation { reason: *reason, from: status.state, message: cut(message) });
            enter(status, PhaseState::Escalated, stamp);
        }
        Change::Scored(score) => status.summary.score = text::cut(score, 8),
        Change::Merged { commit, tag, adopted } => {
            status.merge = Some(MergeStatus { commit: commit.clone(), tag: tag.clone(), at: Some(Time(stamp.now)) });
            status.adopted = *adopted;
            status.rollback = None;
        }
        Change::BeginRollback { uid, user, reason } => rollback::begin(status, uid, user, reason, stamp),
        Change::BeginRevert { commit, tree, base } => rollback::begin_revert(status, commit, tree, base, stamp),
        Change::DropRevert => rollback::drop_revert(status),
        Change::RolledBack { commit } => rollback::done(status, commit, stamp),
        Change::WasRolledBack { merge, tag, commit } => rollback::found(status, merge, tag, commit, stamp),
        Change::EndRollback { why: _ } => {
            status.rollback = None;
            enter(status, PhaseState::Passed, stamp);
        }
        Change::BeginAnew => rollback::begin_anew(status),
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
}

/// The verdict of the review under way, once.
fn judge(
    status: &mut PhaseStatus,
    verdict: Verdict,
    class: Option<FailureClass>,
    score: &str,
    categories: &[CategoryRecord],
    evidence: &str,
) {
    let Some(review) = status.review.as_mut().filter(|review| review.verdict.is_none()) else { return };
    review.verdict = Some(verdict);
    review.evidence_digest = text::cut(evidence, 80);
    status.summary.score = text::cut(score, 8);
    status.history.push(JudgementRecord {
        attempt: status.attempt,
        result: review.result.clone(),
        tree: review.tree.clone(),
        gate_hash: review.gate_hash.clone(),
        verdict,
        score: text::cut(score, 8),
        categories: categories.to_vec(),
        failure_class: class,
    });
    let surplus = status.history.len().saturating_sub(MAX_HISTORY);
    status.history.drain(..surplus);
}

/// Keeps the approval, and what it is good for beside its commit.
fn approve(status: &mut PhaseStatus, uid: &str, user: &str, commit: &str, criteria: &[String]) {
    let reviewed = status.review.as_ref().filter(|review| review.commit == commit);
    status.approval = Some(ApprovalStatus {
        decision_uid: uid.to_owned(),
        user: text::cut(user, 256),
        commit: commit.to_owned(),
        criteria: criteria.to_vec(),
        patch: reviewed.map(|review| review.patch.clone()).unwrap_or_default(),
    });
}

/// Keeps what a person accepted, the newest if there are too many.
fn waived(status: &mut PhaseStatus, uid: &str, user: &str, what: &Waived) {
    if status.waivers.iter().any(|known| known.decision_uid == uid) {
        return;
    }
    let Waived { findings, criteria, reason, until } = what.clone();
    status.waivers.push(Waiver {
        decision_uid: uid.to_owned(),
        user: text::cut(user, 256),
        findings,
        criteria,
        reason: text::cut(&reason, 2048),
        until: until.and_then(|seconds| Timestamp::from_second(seconds).ok()).map(Time),
    });
    let surplus = status.waivers.len().saturating_sub(MAX_WAIVERS);
    status.waivers.drain(..surplus);
}

/// Remembers a Decision as used. Room is made by those that are gone, for they cannot come again; without any nobody
/// is obeyed, and this is not called.
pub fn remember(status: &mut PhaseStatus, uid: &str, exist: &[String]) {
    if status.used_decisions.iter().any(|known| known == uid) {
        return;
    }
    if status.used_decisions.len() >= MAX_USED {
        status.used_decisions.retain(|known| exist.contains(known));
    }
    status.used_decisions.push(uid.to_owned());
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
    status.tasks = of_next_attempt(status, pushed);
    status.attempt = status.attempt.saturating_add(1);
    status.review = None;
    status.approval = None;
    drop_push(status);
    status.correlation_id = format!("{}-{}", stamp.uid.get(..8).unwrap_or(&stamp.uid), status.attempt);
}

/// The number stays, so that the next review of this attempt gets a name of its own.
fn drop_review(status: &mut PhaseStatus) {
    if let Some(review) = &mut status.review {
        review.commit = String::new();
        review.verdict = None;
        review.evidence_digest = String::new();
    }
    drop_push(status);
}

fn begin_push(status: &mut PhaseStatus, task: &str, commit: &str) {
    let given_up = status.push.as_ref().map_or(0, |push| push.given_up);
    status.push = Some(PushStatus { given_up, task: task.to_owned(), commit: commit.to_owned() });
}

/// What goes out next is another push, under a name of its own.
fn drop_push(status: &mut PhaseStatus) {
    if let Some(push) = status.push.as_mut().filter(|push| !push.task.is_empty()) {
        let given_up = push.given_up.saturating_add(1);
        *push = PushStatus { given_up, ..PushStatus::default() };
    }
}

/// The next review of this attempt, of these commits.
fn begin_review(status: &mut PhaseStatus, reviewed: ReviewStatus, stamp: &Stamp) {
    let before = status.review.as_ref();
    let number = before.map_or(0, |review| review.number).saturating_add(1);
    if before.is_some_and(|review| review.gate_hash != stamp.gate_hash) {
        // A person answered another gate: its criteria may be others now.
        status.approval = None;
    }
    status.review = Some(ReviewStatus {
        number,
        gate_hash: stamp.gate_hash.clone(),
        result: format!("{}-r{}-{number}", stamp.name, status.attempt),
        ..reviewed
    });
}

fn with_task(status: &mut PhaseStatus, name: &str, change: impl FnOnce(&mut PhaseTaskStatus)) {
    if let Some(task) = status.tasks.iter_mut().find(|task| task.name == name) {
        change(task);
    }
}

/// The work of a task of this attempt is in, though nobody has handed the task out: the record is older than the repository.
/// One that is at work goes on, and git says of its submission that it is in.
fn work_found(status: &mut PhaseStatus, work: &str, commit: &str, stamp: &Stamp) {
    // A task that the record has not heard of yet has to be in the list.
    status.tasks = planned(status, &stamp.tasks);
    let attempt = status.attempt;
    let is_it = |task: &PhaseTaskStatus| dispatch_of(work, &stamp.name, &task.name, attempt);
    let found = status.tasks.iter_mut().find_map(|task| is_it(task).map(|dispatch| (task, dispatch)));
    // One merge of the base branch says nothing of the next.
    let open = |task: &PhaseTaskStatus| task.state == PhaseTaskState::Waiting && task.name != BASE_MERGE;
    let Some((task, dispatch)) = found.filter(|(task, _)| open(task)) else { return };
    work.clone_into(&mut task.agent_task);
    task.dispatch = dispatch;
    task.state = PhaseTaskState::Integrated;
    task.commit = Some(commit.to_owned());
    task.conflict = None;
    task.message = String::new();
}

/// What stands against going on, as much of it as the API holds. Where nothing goes on, nothing stands against it; a
/// person who is waited for has to know why nobody is obeyed.
fn bound_blocked(status: &mut PhaseStatus) {
    match status.state {
        PhaseState::Passed | PhaseState::Failed => status.blocked_by.clear(),
        PhaseState::Escalated => {
            status.blocked_by.retain(|blocked| blocked.reason == BlockedReason::TooManyDecisions);
        }
        PhaseState::Pending
        | PhaseState::Preparing
        | PhaseState::Developing
        | PhaseState::Reviewing
        | PhaseState::Backoff
        | PhaseState::AwaitingApproval
        | PhaseState::RollingBack
        | PhaseState::RolledBack
        | PhaseState::Merging => {}
    }
    status.blocked_by.truncate(MAX_BLOCKED);
    for blocked in &mut status.blocked_by {
        blocked.message = cut(&blocked.message);
    }
}

/// The clock of the timeout stands still while it is suspended and while it waits for an approval:
/// the start moves on by as long as that lasted.
fn clock(before: &PhaseStatus, status: &mut PhaseStatus, stamp: &Stamp) {
    let waited = before.state == PhaseState::AwaitingApproval;
    if waited && status.state != PhaseState::AwaitingApproval {
        let pause = before.state_since.as_ref().map(|since| stamp.now.duration_since(since.0));
        move_start(status, pause);
        status.suspended_at = stamp.suspended.then_some(Time(stamp.now));
        return;
    }
    match (&status.suspended_at, stamp.suspended) {
        (None, true) => status.suspended_at = Some(Time(stamp.now)),
        (Some(since), false) => {
            // An approval waited for counts as a whole, once it is there.
            let pause = (!waited).then(|| stamp.now.duration_since(since.0));
            move_start(status, pause);
            status.suspended_at = None;
        }
        (None, false) | (Some(_), true) => {}
    }
}

fn move_start(status: &mut PhaseStatus, pause: Option<jiff::SignedDuration>) {
    if let (Some(started), Some(pause)) = (&mut status.started_at, pause) {
        started.0 = started.0.checked_add(pause).unwrap_or(started.0);
    }
}

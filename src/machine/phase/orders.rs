//! What persons decide. Each Decision is used exactly once, also when it comes too late.

use super::{
    Action, Change, Order, OrderKind, Outcome, Snapshot, TaskFact, Waived, Work,
    decide::{act, next_attempt, record, refused, review_again},
};
use crate::api::phase::{EscalationReason, PhaseState, PhaseTaskState};

/// Does what one order says, or says why not.
pub(super) fn obey(s: &Snapshot, order: &Order) -> Outcome {
    let (mut outcome, remark) = match &order.kind {
        OrderKind::Approve(answers) => ignored(s, order).map_or_else(|| approve(s, order, answers), idle),
        OrderKind::Reject => {
            ignored(s, order).map_or_else(|| (send_back(s, order), format!("sent back by {}", order.user)), idle)
        }
        OrderKind::Retry(_) if s.state != PhaseState::Escalated => {
            idle(format!("ignored: Retry is for Escalated phases, this one is {:?}", s.state))
        }
        OrderKind::Retry(_) if order.attempt != s.attempt => {
            idle(format!("ignored: it speaks of attempt {}, this is attempt {}", order.attempt, s.attempt))
        }
        OrderKind::Retry(_) if rolls_back(s) && order.commit.is_some() => {
            idle("ignored: a rollback is a plain revert, which takes no commit; Retry without one".to_owned())
        }
        OrderKind::Retry(attempts) => (retry(s, order, *attempts), format!("retried by {}", order.user)),
        OrderKind::Waive(what) => match s.state {
            PhaseState::Passed | PhaseState::RollingBack | PhaseState::RolledBack | PhaseState::Failed => {
                idle(format!("ignored: the phase is {:?} already", s.state))
            }
            PhaseState::Pending
            | PhaseState::Preparing
            | PhaseState::Developing
            | PhaseState::Reviewing
            | PhaseState::Backoff
            | PhaseState::AwaitingApproval
            | PhaseState::Merging
            | PhaseState::Escalated => (waive(s, order, what), format!("waived by {}", order.user)),
        },
        OrderKind::Rollback => rollback(s, order),
        // What has passed is not lost by that: git says first whether it was taken back, and `settle` uses the order.
        OrderKind::Abort if rolls_back(s) => return act(vec![Action::StopTasks, Action::GiveUpRollback]),
        OrderKind::Abort => match s.state {
            PhaseState::Passed | PhaseState::Failed => idle(format!("ignored: the phase is {:?} already", s.state)),
            // It may be merged already: git says so first, and `settle` uses the order.
            PhaseState::Merging => return act(vec![Action::StopTasks, Action::Claim]),
            PhaseState::Pending
            | PhaseState::Preparing
            | PhaseState::Developing
            | PhaseState::Reviewing
            | PhaseState::Backoff
            | PhaseState::AwaitingApproval
            | PhaseState::RollingBack
            | PhaseState::RolledBack
            | PhaseState::Escalated => return Outcome { actions: vec![Action::StopTasks], changes: give_up(order) },
        },
        OrderKind::Pause => idle(format!("seen; by {}", order.user)),
        OrderKind::Unsupported => idle("ignored: not implemented in this version".to_owned()),
    };
    outcome.changes.push(Change::Used { uid: order.uid.clone(), remark });
    outcome
}

/// Whether the phase is on its way out of the base branch, or stopped there.
fn rolls_back(s: &Snapshot) -> bool {
    s.state == PhaseState::RollingBack || s.escalation.is_some_and(|(_, from)| from == PhaseState::RollingBack)
}

/// The order to take a passed phase back. What passed on top of it goes first.
fn rollback(s: &Snapshot, order: &Order) -> (Outcome, String) {
    if s.state != PhaseState::Passed {
        return idle(format!("ignored: Rollback is for Passed phases, this one is {:?}", s.state));
    }
    if order.attempt != s.attempt {
        return idle(format!("ignored: it speaks of attempt {}, this is attempt {}", order.attempt, s.attempt));
    }
    if !s.dependants.passed.is_empty() {
        let names = s.dependants.passed.join(", ");
        return idle(format!("ignored: {names} passed on top of it; roll back {names} first, then this one"));
    }
    let begin = Change::BeginRollback { uid: order.uid.clone(), user: order.user.clone(), reason: order.note.clone() };
    (record(vec![begin]), format!("to be rolled back, by {}", order.user))
}

fn idle(remark: String) -> (Outcome, String) {
    (Outcome::default(), remark)
}

/// The end that a person wants.
pub(super) fn give_up(order: &Order) -> Vec<Change> {
    let remark = format!("given up by {}", order.user);
    vec![
        Change::Note(order.note.clone()),
        Change::Enter(PhaseState::Failed),
        Change::Used { uid: order.uid.clone(), remark },
    ]
}

/// Why an Approve or Reject does not speak of what is waited for, if so.
fn ignored(s: &Snapshot, order: &Order) -> Option<String> {
    if s.state != PhaseState::AwaitingApproval {
        return Some(format!("ignored: the phase is {:?}, not AwaitingApproval", s.state));
    }
    let reviewed = s.review.as_ref().map(|review| review.commit.as_str());
    if order.attempt != s.attempt || reviewed.is_none() || order.commit.as_deref() != reviewed {
        return Some("ignored: it speaks of another attempt or commit than the one that was reviewed".to_owned());
    }
    None
}

fn approve(s: &Snapshot, order: &Order, answers: &[(String, bool)]) -> (Outcome, String) {
    let unknown = |(name, _): &&(String, bool)| !s.person_criteria.contains(name);
    let unknown: Vec<&str> = answers.iter().filter(unknown).map(|(name, _)| name.as_str()).collect();
    if !unknown.is_empty() {
        return idle(format!("ignored: no criterion that a person judges is named {}", unknown.join(", ")));
    }
    let unmet: Vec<&str> = answers.iter().filter(|(_, met)| !met).map(|(name, _)| name.as_str()).collect();
    if !unmet.is_empty() {
        return (send_back(s, order), format!("sent back by {}: not met: {}", order.user, unmet.join(", ")));
    }
    let open = |name: &&String| !answers.iter().any(|(answered, _)| answered == *name);
    let missing: Vec<&str> = s.person_criteria.iter().filter(open).map(String::as_str).collect();
    if !missing.is_empty() {
        return idle(format!("ignored: no answer for {}", missing.join(", ")));
    }
    let commit = order.commit.clone().unwrap_or_default();
    let criteria = s.person_criteria.clone();
    let approved = Change::Approved { uid: order.uid.clone(), user: order.user.clone(), commit, criteria };
    (record(vec![approved, Change::Enter(PhaseState::Merging)]), format!("approved by {}", order.user))
}

fn send_back(s: &Snapshot, order: &Order) -> Outcome {
    let why = if order.note.is_empty() { format!("refused by {}", order.user) } else { order.note.clone() };
    let mut outcome = refused(s, &why);
    outcome.changes.insert(0, Change::Note(why));
    outcome
}

/// Records the waiver. What a judgement has stopped is judged again, since the gate is another one now; a review
/// under way sees that by itself.
fn waive(s: &Snapshot, order: &Order, what: &Waived) -> Outcome {
    let waived = Change::Waived { uid: order.uid.clone(), user: order.user.clone(), what: what.clone() };
    let judged = s.state == PhaseState::Backoff
        || s.escalation.is_some_and(|(reason, from)| from == PhaseState::Reviewing && is_of_judgement(reason));
    let mut changes = vec![waived];
    if judged {
        changes.push(Change::RestartClock);
        changes.extend(review_again().changes);
    }
    record(changes)
}

/// Whether a judgement led there, so that another gate may come to another end.
fn is_of_judgement(reason: EscalationReason) -> bool {
    match reason {
        EscalationReason::AttemptsExhausted
        | EscalationReason::NoProgress
        | EscalationReason::Gamed
        | EscalationReason::Disputed
        | EscalationReason::Inconclusive => true,
        EscalationReason::PhaseTimeout
        | EscalationReason::Conflict
        | EscalationReason::TagTaken
        | EscalationReason::TaskFailed
        | EscalationReason::DependencyRolledBack
        | EscalationReason::RollbackFailed
        | EscalationReason::PushRejected
        | EscalationReason::BudgetExceeded => false,
    }
}

/// Where a Retry without a commit leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryLeads {
    /// The claim is tried again.
    ToTheClaim,
    /// What failed is handed out again. No attempt is spent.
    ToTheTasks,
    /// The same work is reviewed again. No attempt is spent.
    ToTheReview,
    /// The merge is tried again.
    ToTheMerge,
    /// The revert is made and checked again.
    ToTheRollback,
    /// One more attempt begins, granted if none is left.
    ToAnAttempt,
}

/// Where a Retry leads depends on where the phase stood, and for a review on what was wrong with it.
pub const fn retry_leads(reason: EscalationReason, from: PhaseState) -> RetryLeads {
    match from {
        PhaseState::Pending | PhaseState::Preparing => RetryLeads::ToTheClaim,
        PhaseState::Developing => RetryLeads::ToTheTasks,
        PhaseState::Merging => RetryLeads::ToTheMerge,
        PhaseState::RollingBack => RetryLeads::ToTheRollback,
        PhaseState::Backoff | PhaseState::AwaitingApproval
            if matches!(reason, EscalationReason::DependencyRolledBack) =>
        {
            RetryLeads::ToTheReview
        }
        PhaseState::Reviewing if only_review_failed(reason) => RetryLeads::ToTheReview,
        PhaseState::Reviewing
        | PhaseState::Backoff
        | PhaseState::AwaitingApproval
        | PhaseState::Passed
        | PhaseState::Escalated
        | PhaseState::RolledBack
        | PhaseState::Failed => RetryLeads::ToAnAttempt,
    }
}

/// Work that is submitted or still going on is kept. A person's commit takes an attempt, unless it stands for a task.
fn retry(s: &Snapshot, order: &Order, attempts: u32) -> Outcome {
    let (reason, from) = s.escalation.unwrap_or((EscalationReason::AttemptsExhausted, PhaseState::Reviewing));
    let mut changes = vec![Change::RestartClock];
    if !order.note.is_empty() {
        changes.push(Change::Note(order.note.clone()));
    }
    changes.extend(match (retry_leads(reason, from), &order.commit) {
        // There is no release branch yet that a commit could go to.
        (RetryLeads::ToTheClaim, _) => vec![Change::Enter(PhaseState::Preparing)],
        (RetryLeads::ToTheTasks, commit) => develop_on(s, commit.as_ref()),
        (RetryLeads::ToTheRollback, _) => vec![Change::DropRevert, Change::Enter(PhaseState::RollingBack)],
        (RetryLeads::ToTheMerge, None) => vec![Change::DropPush, Change::Enter(PhaseState::Merging)],
        (RetryLeads::ToTheReview, None) => review_again().changes,
        (RetryLeads::ToTheMerge | RetryLeads::ToTheReview, Some(_)) | (RetryLeads::ToAnAttempt, _) => {
            further_attempt(s, order, attempts)
        }
    });
    record(changes)
}

/// Whether the review could not be done, rather than the code was found wanting.
const fn only_review_failed(reason: EscalationReason) -> bool {
    match reason {
        EscalationReason::Inconclusive
        | EscalationReason::PhaseTimeout
        | EscalationReason::TagTaken
        | EscalationReason::TaskFailed
        | EscalationReason::DependencyRolledBack
        | EscalationReason::Conflict => true,
        EscalationReason::AttemptsExhausted
        | EscalationReason::NoProgress
        | EscalationReason::Gamed
        | EscalationReason::Disputed
        | EscalationReason::RollbackFailed
        | EscalationReason::PushRejected
        | EscalationReason::BudgetExceeded => false,
    }
}

/// What failed is handed out anew, or is what the person pushed. No attempt is spent: nothing was judged.
fn develop_on(s: &Snapshot, pushed: Option<&String>) -> Vec<Change> {
    let unfinished = |task: &&TaskFact| match (task.state, &task.work) {
        (PhaseTaskState::Failed, _) | (PhaseTaskState::Working, Work::Failed { .. } | Work::Missing) => true,
        (PhaseTaskState::Working, Work::Active | Work::Submitted)
        | (PhaseTaskState::Waiting | PhaseTaskState::Integrated, _) => false,
    };
    let stopped: Vec<&TaskFact> = s.tasks.iter().filter(unfinished).collect();
    let change = |task: &TaskFact| match pushed {
        Some(commit) => Change::TaskPushed { task: task.name.clone(), commit: commit.clone() },
        None => Change::TaskAnew { task: task.name.clone(), why: String::new(), conflict: None },
    };
    let mut changes: Vec<Change> = stopped.iter().map(|task| change(task)).collect();
    if changes.is_empty() && pushed.is_some() {
        // Nothing failed: the person's commit stands for all that is not in yet.
        let open = |task: &&TaskFact| task.state != PhaseTaskState::Integrated;
        changes.extend(s.tasks.iter().filter(open).map(change));
    }
    changes.push(Change::Enter(PhaseState::Developing));
    changes
}

fn further_attempt(s: &Snapshot, order: &Order, attempts: u32) -> Vec<Change> {
    let mut changes = vec![Change::Grant(grant(s, attempts))];
    changes.extend(next_attempt(order.commit.clone()).changes);
    changes
}

/// Attempts to grant: as many as asked for, beyond those that are left.
fn grant(s: &Snapshot, attempts: u32) -> u32 {
    s.attempt.saturating_add(attempts.max(1)).saturating_sub(s.limit)
}

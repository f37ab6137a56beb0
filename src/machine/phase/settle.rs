//! What follows from the answer of an action.

use super::{Action, Answer, Change, OrderKind, Snapshot, decide::review_again, orders::give_up};
use crate::api::phase::{Blocked, BlockedReason, EscalationReason, PhaseState};

/// The changes that follow from what an action came to.
pub fn settle(s: &Snapshot, action: &Action, answer: Answer) -> Vec<Change> {
    match (s.state, action) {
        (PhaseState::Merging, Action::Claim) => return is_it_merged(s, answer),
        (PhaseState::Failed, Action::Claim) => return is_it_merged_after_all(answer),
        (_, _) => {}
    }
    match answer {
        Answer::Done => Vec::new(),
        Answer::Claimed { head, base } => vec![
            Change::Release { head, base: Some(base) },
            Change::BeginAttempt { pushed: None },
            Change::Enter(PhaseState::Developing),
        ],
        Answer::Adopted { commit, tag } => {
            vec![Change::Merged { commit, tag, adopted: true }, Change::Enter(PhaseState::Passed)]
        }
        Answer::NumberTaken(message) => {
            vec![Change::Blocked(vec![Blocked { reason: BlockedReason::NumberTaken, message }])]
        }
        Answer::Integrated { commit, head } => integrated(action, commit, head),
        Answer::Conflict(paths) => conflict(s, action, &paths),
        Answer::Stale { head } => vec![Change::Release { head, base: None }],
        Answer::BaseIntegrated { head, tree, base } => vec![
            Change::Release { head: head.clone(), base: Some(base.clone()) },
            Change::BeginReview { commit: head, tree, base },
        ],
        Answer::Merged { commit, tag } => merged(commit, tag),
        // Base or release branch are elsewhere: judged again as they are, no attempt spent.
        Answer::BaseMoved | Answer::NotReviewed(_) => review_again().changes,
        Answer::TagTaken(tag) => vec![tag_taken(&tag)],
        Answer::CommitMissing(commit) => commit_missing(action, &commit),
    }
}

/// A merge is not gone on with, because the gate changed or a person gave the phase up. What git
/// says decides: a merge that was done before a crash stands.
fn is_it_merged(s: &Snapshot, answer: Answer) -> Vec<Change> {
    match (answer, s.orders.first()) {
        (Answer::Adopted { commit, tag }, _) => merged(commit, tag),
        (_, Some(order)) if order.kind == OrderKind::Abort => give_up(order),
        (Answer::TagTaken(tag), _) => vec![tag_taken(&tag)],
        (_, _) => review_again().changes,
    }
}

/// The phase was given up. Its own tag and note on the base branch say that another operator had merged it: that
/// cannot be taken back.
fn is_it_merged_after_all(answer: Answer) -> Vec<Change> {
    match answer {
        Answer::Adopted { commit, tag } => merged(commit, tag),
        Answer::Done
        | Answer::Claimed { .. }
        | Answer::NumberTaken(_)
        | Answer::Integrated { .. }
        | Answer::Conflict(_)
        | Answer::Stale { .. }
        | Answer::BaseIntegrated { .. }
        | Answer::Merged { .. }
        | Answer::BaseMoved
        | Answer::TagTaken(_)
        | Answer::CommitMissing(_)
        | Answer::NotReviewed(_) => Vec::new(),
    }
}

fn merged(commit: String, tag: String) -> Vec<Change> {
    vec![Change::Merged { commit, tag, adopted: false }, Change::Enter(PhaseState::Passed)]
}

fn tag_taken(tag: &str) -> Change {
    let message = format!("tag {tag} exists and is not this phase's; remove it or raise spec.version, then Retry");
    Change::Escalate { reason: EscalationReason::TagTaken, message }
}

fn commit_missing(action: &Action, commit: &str) -> Vec<Change> {
    let message = format!(
        "the repository holds no commit {commit}; push it and Retry with it, or Retry without a commit to hand the task to the developer"
    );
    let why = format!("the repository holds no commit {commit}");
    let failed = task_of(action).map(|task| Change::TaskFailed { task: task.to_owned(), why });
    failed.into_iter().chain([Change::Escalate { reason: EscalationReason::TaskFailed, message }]).collect()
}

fn integrated(action: &Action, commit: String, head: String) -> Vec<Change> {
    let release = Change::Release { head, base: None };
    match task_of(action) {
        Some(task) => vec![Change::TaskIntegrated { task: task.to_owned(), commit }, release],
        None => vec![release],
    }
}

fn conflict(s: &Snapshot, action: &Action, paths: &[String]) -> Vec<Change> {
    let listed = paths.iter().take(20).map(String::as_str).collect::<Vec<_>>().join(", ");
    let Some(task) = task_of(action) else {
        let message = format!(
            "the base branch does not merge into the release branch: both changed {listed}; merge it by hand, push it to a bugfix branch of this phase, and Retry with that commit"
        );
        return vec![Change::Escalate { reason: EscalationReason::Conflict, message }];
    };
    let why = format!("the commit did not merge into the release branch: both sides changed {listed}");
    let fact = s.tasks.iter().find(|fact| fact.name == task);
    let (dispatched, pushed) = fact.map_or((0, false), |fact| (fact.dispatch, fact.pushed));
    if dispatched < s.max_dispatches && !pushed {
        return vec![Change::TaskAnew { task: task.to_owned(), why }];
    }
    let message = if pushed {
        format!("{why}; Retry with a commit that merges, or without one to hand task {task} to the developer")
    } else {
        format!("task {task} was handed out {dispatched} times and still conflicts: {why}; Retry hands it out again")
    };
    vec![
        Change::TaskFailed { task: task.to_owned(), why },
        Change::Escalate { reason: EscalationReason::Conflict, message },
    ]
}

fn task_of(action: &Action) -> Option<&str> {
    match action {
        Action::Integrate(task) | Action::EnsureTask(task) => Some(task),
        Action::Claim
        | Action::IntegrateBase
        | Action::EnsureCheck(_)
        | Action::EnsureBaseCheck(_)
        | Action::EnsureReviewer(_)
        | Action::EnsureResult
        | Action::Merge
        | Action::StopTasks => None,
    }
}

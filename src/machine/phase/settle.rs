//! What follows from the answer of an action.

use super::{
    Action, Answer, BASE_MERGE, Change, OrderKind, Snapshot,
    decide::{OR_BY_HAND, review_again},
    orders::give_up,
};
use crate::{
    api::phase::{Blocked, BlockedReason, EscalationReason, PhaseState},
    text,
};

/// Files that a message names.
const MAX_LISTED: usize = 20;

/// The changes that follow from what an action came to.
pub fn settle(s: &Snapshot, action: &Action, answer: Answer) -> Vec<Change> {
    match (s.state, action) {
        (PhaseState::Merging, Action::Claim) => return is_it_merged(s, answer),
        (PhaseState::Failed, Action::Claim) => return is_it_merged_after_all(answer),
        (_, Action::GiveUpRollback) => return is_it_rolled_back(s, answer),
        (_, Action::Revert) => return reverted(s, answer),
        (_, Action::RollBack) | (PhaseState::RollingBack, Action::Push) => return rolled_back(answer),
        (_, _) => {}
    }
    match answer {
        // The others answer what was returned for above.
        Answer::Done
        | Answer::Reverted { .. }
        | Answer::RolledBack { .. }
        | Answer::NotMerged
        | Answer::WithUpstream { .. } => Vec::new(),
        Answer::Claimed { head, base, works } => {
            let begun = [
                Change::Release { head, base: Some(base) },
                Change::BeginAttempt { pushed: None },
                Change::Enter(PhaseState::Developing),
            ];
            begun.into_iter().chain(found(works)).collect()
        }
        Answer::Adopted { commit, tag, score } => {
            let score = Some(score).filter(|score| !score.is_empty()).map(Change::Scored);
            let merged = [Change::Merged { commit, tag, adopted: true }, Change::Enter(PhaseState::Passed)];
            score.into_iter().chain(merged).collect()
        }
        Answer::WasRolledBack { merge, tag, commit } => vec![Change::WasRolledBack { merge, tag, commit }],
        Answer::NumberTaken(message) => {
            vec![Change::Blocked(vec![Blocked { reason: BlockedReason::NumberTaken, message }])]
        }
        Answer::Integrated { commit, head, works } => {
            integrated(action, commit, head).into_iter().chain(found(works)).collect()
        }
        Answer::Conflict { commit, paths } => conflict(s, action, &commit, &paths),
        Answer::Stale { head } => vec![Change::Release { head, base: None }],
        Answer::BaseIntegrated { head, tree, base, patch } => vec![
            Change::Release { head: head.clone(), base: Some(base.clone()) },
            Change::BeginReview { commit: head, tree, base, patch },
        ],
        Answer::Pushing { task, commit } => vec![Change::Pushing { task, commit }],
        Answer::Merged { commit, tag } => merged(commit, tag),
        // Base or release branch are elsewhere: judged again as they are, no attempt spent.
        Answer::BaseMoved | Answer::NotReviewed(_) => review_again().changes,
        Answer::TagTaken(tag) => vec![tag_taken(&tag)],
        Answer::CommitMissing(commit) => commit_missing(action, &commit),
    }
}

/// The revert is there to be checked, was merged before a crash, or cannot be made.
fn reverted(s: &Snapshot, answer: Answer) -> Vec<Change> {
    let merge = s.rollback.as_ref().map_or("", |rollback| &rollback.merge);
    let (reason, message) = match answer {
        Answer::Reverted { commit, tree, base } => return vec![Change::BeginRevert { commit, tree, base }],
        Answer::RolledBack { commit } => return vec![Change::RolledBack { commit }],
        // It was given up just before a crash.
        Answer::Done => return vec![Change::EndRollback { why: "the rollback was given up".to_owned() }],
        Answer::Conflict { commit: _, paths } => (EscalationReason::Conflict, does_not_revert(merge, &paths)),
        Answer::NotMerged => {
            let message = format!("the base branch does not hold the merge {merge}; see git log, then Retry, or Abort");
            (EscalationReason::RollbackFailed, message)
        }
        Answer::WithUpstream { upstream } => {
            let short = upstream.get(..12).unwrap_or(&upstream);
            let message = format!(
                "the upstream came in with this phase, up to {short}, because git could not join the two: a revert would take that away as well; Abort, and deliver the removal as a phase of its own"
            );
            (EscalationReason::RollbackFailed, message)
        }
        Answer::Claimed { .. }
        | Answer::Adopted { .. }
        | Answer::WasRolledBack { .. }
        | Answer::NumberTaken(_)
        | Answer::Integrated { .. }
        | Answer::Stale { .. }
        | Answer::BaseIntegrated { .. }
        | Answer::Pushing { .. }
        | Answer::Merged { .. }
        | Answer::BaseMoved
        | Answer::TagTaken(_)
        | Answer::CommitMissing(_)
        | Answer::NotReviewed(_) => return Vec::new(),
    };
    vec![Change::Escalate { reason, message }]
}

fn does_not_revert(merge: &str, paths: &[String]) -> String {
    let short = merge.get(..12).unwrap_or(merge);
    format!(
        "what came after {short} changed the same lines: {}; to see it: git revert --no-commit -m 1 {short}. Roll back what came later and Retry, or Abort and deliver the removal as a phase of its own",
        listed(paths)
    )
}

/// What the checks have passed is on the base branch, or has to be made anew on the base branch as it is now.
fn rolled_back(answer: Answer) -> Vec<Change> {
    match answer {
        Answer::RolledBack { commit } => vec![Change::RolledBack { commit }],
        Answer::BaseMoved | Answer::NotReviewed(_) => vec![Change::DropRevert],
        Answer::Pushing { task, commit } => vec![Change::Pushing { task, commit }],
        Answer::Done
        | Answer::Claimed { .. }
        | Answer::Adopted { .. }
        | Answer::WasRolledBack { .. }
        | Answer::Reverted { .. }
        | Answer::NotMerged
        | Answer::WithUpstream { .. }
        | Answer::NumberTaken(_)
        | Answer::Integrated { .. }
        | Answer::Conflict { .. }
        | Answer::Stale { .. }
        | Answer::BaseIntegrated { .. }
        | Answer::Merged { .. }
        | Answer::TagTaken(_)
        | Answer::CommitMissing(_) => Vec::new(),
    }
}

/// The rollback is given up, by a person or for what passed on top of the phase. What git says decides.
fn is_it_rolled_back(s: &Snapshot, answer: Answer) -> Vec<Change> {
    let abort = s.orders.first().filter(|order| order.kind == OrderKind::Abort);
    let used = |remark: String| abort.map(|order| Change::Used { uid: order.uid.clone(), remark });
    if let Answer::RolledBack { commit } = answer {
        let used = used("ignored: the phase was rolled back already".to_owned());
        return std::iter::once(Change::RolledBack { commit }).chain(used).collect();
    }
    let why = match abort {
        Some(order) => format!("the rollback was given up by {}", order.user),
        None => format!(
            "the rollback was given up: {} passed meanwhile; roll that back first",
            s.dependants.passed.join(", ")
        ),
    };
    std::iter::once(Change::EndRollback { why: why.clone() }).chain(used(why)).collect()
}

/// A merge is not gone on with, because the gate changed or a person gave the phase up. What git
/// says decides: a merge that was done before a crash stands.
fn is_it_merged(s: &Snapshot, answer: Answer) -> Vec<Change> {
    match (answer, s.orders.first()) {
        (Answer::Adopted { commit, tag, score: _ }, _) => merged(commit, tag),
        (Answer::WasRolledBack { merge, tag, commit }, _) => vec![Change::WasRolledBack { merge, tag, commit }],
        (_, Some(order)) if order.kind == OrderKind::Abort => give_up(order),
        (Answer::TagTaken(tag), _) => vec![tag_taken(&tag)],
        (_, _) => review_again().changes,
    }
}

/// The phase was given up. Its own tag and note on the base branch say that another operator had merged it: that
/// cannot be taken back.
fn is_it_merged_after_all(answer: Answer) -> Vec<Change> {
    match answer {
        Answer::Adopted { commit, tag, score: _ } => merged(commit, tag),
        Answer::Done
        | Answer::WasRolledBack { .. }
        | Answer::Reverted { .. }
        | Answer::RolledBack { .. }
        | Answer::NotMerged
        | Answer::WithUpstream { .. }
        | Answer::Claimed { .. }
        | Answer::NumberTaken(_)
        | Answer::Integrated { .. }
        | Answer::Conflict { .. }
        | Answer::Stale { .. }
        | Answer::BaseIntegrated { .. }
        | Answer::Pushing { .. }
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
    let message = format!(
        "tag {tag} exists, and is not this phase's or is that of an earlier version of it; raise spec.version, or remove the tag if it is nobody's, then Retry"
    );
    Change::Escalate { reason: EscalationReason::TagTaken, message }
}

fn commit_missing(action: &Action, commit: &str) -> Vec<Change> {
    let message = format!(
        "the repository holds no commit {commit}; push it and Retry with it, or Retry without a commit to hand the task to the developer"
    );
    let why = format!("the repository holds no commit {commit}");
    let failed = task_of(action).map(|task| Change::TaskFailed { task: task.to_owned(), why, conflict: None });
    failed.into_iter().chain([Change::Escalate { reason: EscalationReason::TaskFailed, message }]).collect()
}

fn found(works: Vec<(String, String)>) -> impl Iterator<Item = Change> {
    works.into_iter().map(|(work, commit)| Change::WorkFound { work, commit })
}

fn integrated(action: &Action, commit: String, head: String) -> Vec<Change> {
    let release = Change::Release { head, base: None };
    match task_of(action) {
        Some(task) => vec![Change::TaskIntegrated { task: task.to_owned(), commit }, release],
        None => vec![release],
    }
}

fn conflict(s: &Snapshot, action: &Action, commit: &str, paths: &[String]) -> Vec<Change> {
    let listed = listed(paths);
    if *action == Action::Claim {
        let message = format!(
            "what the rollback took away does not fit what came after it: both changed {listed}; roll back what came later and Retry, or delete this Phase and make it anew, so that its tasks are done again"
        );
        return vec![Change::Escalate { reason: EscalationReason::Conflict, message }];
    }
    let Some(task) = task_of(action) else { return base_conflict(s, commit, &listed) };
    // What the base branch was is what matters to its merge, however often that is done.
    let conflict = (task != BASE_MERGE).then(|| commit.to_owned());
    let why = format!("the commit did not merge into the release branch: both sides changed {listed}");
    let fact = s.tasks.iter().find(|fact| fact.name == task);
    let (dispatched, pushed) = fact.map_or((0, false), |fact| (fact.dispatch, fact.pushed));
    if dispatched < s.max_dispatches && !pushed {
        return vec![Change::TaskAnew { task: task.to_owned(), why, conflict }];
    }
    let message = if pushed {
        format!("{why}; Retry with a commit that merges, or without one to hand task {task} to the developer")
    } else {
        format!(
            "task {task} was handed out {dispatched} times and still conflicts: {why}; Retry hands it out again{OR_BY_HAND}"
        )
    };
    vec![
        Change::TaskFailed { task: task.to_owned(), why, conflict },
        Change::Escalate { reason: EscalationReason::Conflict, message },
    ]
}

/// The developer merges the base branch, no attempt is spent; where that has not helped often enough, a person does.
fn base_conflict(s: &Snapshot, base: &str, listed: &str) -> Vec<Change> {
    let why = format!("the base branch does not merge into the release branch: both changed {listed}");
    let dispatched = s.tasks.iter().find(|task| task.name == BASE_MERGE).map_or(0, |task| task.dispatch);
    let mut changes = vec![
        Change::DropReview,
        Change::Enter(PhaseState::Developing),
        Change::BaseConflict { base: base.to_owned(), why: why.clone() },
    ];
    if dispatched >= s.max_dispatches {
        let message = format!("{why}, after {dispatched} merges of it; Retry hands it out again{OR_BY_HAND}");
        let failed = Change::TaskFailed { task: BASE_MERGE.to_owned(), why, conflict: None };
        changes.extend([failed, Change::Escalate { reason: EscalationReason::Conflict, message }]);
    }
    changes
}

/// Files in words, so few that a message has room for what to do.
fn listed(paths: &[String]) -> String {
    if paths.is_empty() {
        return "what git names no file of".to_owned();
    }
    let named = text::cut(&paths.iter().take(MAX_LISTED).map(String::as_str).collect::<Vec<_>>().join(", "), 500);
    match paths.len().saturating_sub(MAX_LISTED) {
        0 => named,
        more => format!("{named}, and {more} more"),
    }
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
        | Action::Push
        | Action::Merge
        | Action::Revert
        | Action::RollBack
        | Action::GiveUpRollback
        | Action::StopTasks => None,
    }
}

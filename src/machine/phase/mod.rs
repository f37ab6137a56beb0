//! The machine of a Phase (design §5): facts in, actions and changes out.
//!
//! A reconciliation is `decide(&Snapshot)`, then its actions, then `settle` for each answer, then
//! `project` of all changes onto the status, which is written last. Every action can be repeated.

mod approval;
mod decide;
mod orders;
mod plan;
mod project;
mod settle;
mod summary;
#[cfg(test)]
mod tests;

pub use approval::is_approved;
pub use decide::decide;
pub use orders::{RetryLeads, retry_leads};
pub use plan::{
    BASE_MERGE, REWORK, agent_task_name, base_check_task_name, check_task_name, planned, push_task_name,
    rollback_check_task_name,
};
pub use project::{MAX_USED, Stamp, project, remember};
pub use settle::settle;

use crate::api::{
    agent_task::FailureClass,
    phase::{Blocked, CategoryRecord, EscalationReason, PhaseState, PhaseTaskState},
    review_result::Verdict,
};

/// Everything a decision may depend on, small and comparable.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each with a name")]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Snapshot {
    /// Recorded state.
    pub state: PhaseState,
    /// Recorded attempt; 0 before the first.
    pub attempt: u32,
    /// Attempts allowed in all: `maxAttempts` plus what Decisions granted.
    pub limit: u32,
    /// Whether anything stands against starting, or, once started, against going on.
    pub blocked: bool,
    /// Whether a person suspended it.
    pub suspended: bool,
    /// Whether it has taken longer than its timeout.
    pub timed_out: bool,
    /// Whether the recorded backoff is over.
    pub backoff_over: bool,
    /// Whether the claim was refused for this very spec: asking again would change nothing.
    pub claim_refused: bool,
    /// Decisions not acted on yet, oldest first.
    pub orders: Vec<Order>,
    /// The tasks as [`planned`].
    pub tasks: Vec<TaskFact>,
    /// Checks to run on the base, so that what it has already is known: those that nobody ran on it yet.
    pub base_checks: Vec<CheckFact>,
    /// Tasks that may be at work at the same time.
    pub parallelism: usize,
    /// Times a task may be handed out.
    pub max_dispatches: u32,
    /// Whether it is this phase's turn on its base branch.
    pub has_turn: bool,
    /// Hash of the gate as the specs have it now.
    pub gate_hash: String,
    /// The recorded review.
    pub review: Option<ReviewFact>,
    /// Whether a person must approve the merge.
    pub approval_required: bool,
    /// Criteria that a person judges, among them those that the reviewers could not verify.
    pub person_criteria: Vec<String>,
    /// Whether an approval is recorded for what was reviewed.
    pub approved: bool,
    /// Why and from which state it was escalated.
    pub escalation: Option<(EscalationReason, PhaseState)>,
    /// Whether a judgement ever let it merge: an operator that has lost its Lease may do so late.
    pub passed_once: bool,
    /// The recorded rollback and what is seen of it.
    pub rollback: Option<RollbackFact>,
    /// Whether `spec.version` names another tag than the one that was rolled back.
    pub raised: bool,
    /// What is seen of the push to the upstream.
    pub push: PushFact,
    /// The phases that depend on this one.
    pub dependants: Dependants,
    /// A phase that this one depends on was rolled back and has not passed again: its name.
    pub dependency_rolled_back: Option<String>,
}

/// What is seen of the push to the upstream, which comes before the base branch moves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum PushFact {
    /// Nothing is to go out.
    #[default]
    NotAsked,
    /// It is still to be begun.
    Missing,
    /// It is recorded; its Sync is still to be made, or to be seen.
    Recorded,
    /// It waits for its first pod.
    Waiting,
    /// It is at work, or a run of it was lost: the upstream may have it.
    Active,
    /// The upstream has it.
    Pushed,
    /// The upstream's branch holds what this does not.
    Moved,
    /// The upstream does not take it, or could not be reached; in words.
    Refused(String),
}

/// The phases that depend on a phase, by name: those that matter to its rollback.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Dependants {
    /// They passed, directly or through others: they have to be rolled back first.
    pub passed: Vec<String>,
    /// They have begun and not passed: they are escalated first.
    pub at_work: Vec<String>,
}

/// The recorded rollback and what is seen of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RollbackFact {
    /// The merge commit that is taken back.
    pub merge: String,
    /// The revert under check; none before it is made.
    pub commit: Option<String>,
    /// Hash of the gate whose checks run.
    pub gate_hash: String,
    /// The blocking checks.
    pub checks: Vec<CheckFact>,
    /// Why those that have ended stand against it, if they do.
    pub refused: Option<(EscalationReason, String)>,
}

/// A Decision of a person, as the machine sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Order {
    /// UID of the Decision.
    pub uid: String,
    /// What was decided.
    pub kind: OrderKind,
    /// Attempt it speaks of.
    pub attempt: u32,
    /// Commit it speaks of.
    pub commit: Option<String>,
    /// Who decided.
    pub user: String,
    /// Why.
    pub note: String,
}

/// What a person decided.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum OrderKind {
    /// Approve, with answers: criterion, met.
    Approve(Vec<(String, bool)>),
    /// Send back.
    Reject,
    /// Grant this many attempts.
    Retry(u32),
    /// Accept what the gate found.
    Waive(Waived),
    /// Give up.
    Abort,
    /// Take it back out of the base branch.
    Rollback,
    /// Suspend or Resume: which holds is a fact of the snapshot; the order is only acknowledged.
    Pause,
    /// A type this version does not know.
    Unsupported,
}

/// What a person accepts in spite of the gate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Waived {
    /// Ids of findings and gaming signs.
    pub findings: Vec<String>,
    /// Names of criteria.
    pub criteria: Vec<String>,
    /// Why.
    pub reason: String,
    /// Until when, in seconds since 1970-01-01 UTC; none: without end.
    pub until: Option<i64>,
}

/// A task of the current attempt.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TaskFact {
    /// Its name.
    pub name: String,
    /// Recorded state.
    pub state: PhaseTaskState,
    /// Whether the tasks it depends on are integrated.
    pub ready: bool,
    /// Times it was handed out.
    pub dispatch: u32,
    /// Whether a person's commit stands for it.
    pub pushed: bool,
    /// What its AgentTask, or the commit a person pushed, says.
    pub work: Work,
}

/// What is seen of a task's work.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Work {
    /// There is no AgentTask yet.
    Missing,
    /// It is at work or waits for a run.
    Active,
    /// A commit was submitted.
    Submitted,
    /// No run is left.
    Failed {
        /// Why.
        class: FailureClass,
        /// In words.
        message: String,
    },
}

/// The recorded review and what is seen of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReviewFact {
    /// The commit under judgement.
    pub commit: String,
    /// Hash of the gate it is judged by.
    pub gate_hash: String,
    /// Whether the same tree failed the same gate before.
    pub failed_before: bool,
    /// The checks.
    pub checks: Vec<CheckFact>,
    /// Whether the checks that have ended rule out a pass, so that no reviewer need look.
    pub checks_failed: bool,
    /// The reviewers.
    pub reviewers: Vec<CheckFact>,
    /// The judgement.
    pub judgement: Judgement,
}

/// A check or a reviewer of the review.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CheckFact {
    /// Its name.
    pub name: String,
    /// What is seen of it.
    pub work: CheckWork,
    /// Whether it cannot start before the check of the same name has ended on the base.
    pub waits_for_base: bool,
}

/// What is seen of a check's AgentTask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CheckWork {
    /// There is none yet.
    Missing,
    /// It runs or waits for a run.
    Active,
    /// It ended, one way or another.
    Ended,
}

/// What is seen of the ReviewResult.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Judgement {
    /// There is none yet.
    Missing,
    /// It is there, not judged yet.
    Pending,
    /// It is judged.
    Judged {
        /// The verdict.
        verdict: Verdict,
        /// Failure class of a Fail.
        class: Option<FailureClass>,
        /// Score, such as `9.01`; empty if there is none.
        score: String,
        /// Why, in words: the first reasons.
        reasons: String,
        /// Score of each category.
        categories: Vec<CategoryRecord>,
        /// Digest of the evidence.
        evidence: String,
        /// Whether the open findings are those of an earlier attempt: no progress, or back and forth.
        same_findings: bool,
        /// Findings that the developer disputes and that were found again, with both sides, in words.
        disputed: Option<String>,
    },
}

/// One thing to do in the world. Every one can be repeated without doing it twice.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Claim the number and start the release branch; before a merge is given up, and after, ask
    /// whether it happened.
    Claim,
    /// Make the AgentTask of this task of the current attempt.
    EnsureTask(String),
    /// Bring the submitted commit of this task into the release branch.
    Integrate(String),
    /// Bring the base branch into the release branch.
    IntegrateBase,
    /// Make the AgentTask of this check.
    EnsureCheck(String),
    /// Make the AgentTask of this check on the base.
    EnsureBaseCheck(String),
    /// Make the AgentTask of this reviewer.
    EnsureReviewer(String),
    /// Make the ReviewResult, with all evidence.
    EnsureResult,
    /// Make the merge beside the base branch and have a Sync push it to the upstream.
    Push,
    /// Merge to the base branch and tag.
    Merge,
    /// End the AgentTasks of this phase that are still at work.
    StopTasks,
    /// Make the revert of the phase's merge, beside the base branch.
    Revert,
    /// Merge the checked revert to the base branch.
    RollBack,
    /// Make sure that the revert is not merged any more, or learn that it is.
    GiveUpRollback,
}

/// What an action came to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// It is done; nothing more to say.
    Done,
    /// The number is this phase's and the release branch stands.
    Claimed {
        /// Head of the release branch.
        head: String,
        /// Head of the base branch it contains.
        base: String,
        /// AgentTasks whose work it holds already, and the commits that brought it in.
        works: Vec<(String, String)>,
    },
    /// The phase was merged and tagged in an earlier life.
    Adopted {
        /// Merge commit.
        commit: String,
        /// Tag.
        tag: String,
        /// The score that let it merge then, as its gate note has it; empty if it has none.
        score: String,
    },
    /// The phase was merged and tagged, and taken back since.
    WasRolledBack {
        /// Merge commit.
        merge: String,
        /// Tag.
        tag: String,
        /// The commit that took it back.
        commit: String,
    },
    /// The revert stands beside the base branch.
    Reverted {
        /// The revert.
        commit: String,
        /// Its tree.
        tree: String,
        /// Head of the base branch.
        base: String,
    },
    /// The base branch holds the rollback.
    RolledBack {
        /// The commit that took the phase back.
        commit: String,
    },
    /// The base branch does not hold the merge that is to be taken back.
    NotMerged,
    /// The upstream came in with the merge that is to be taken back.
    WithUpstream {
        /// What came in.
        upstream: String,
    },
    /// The number belongs to another phase, in words.
    NumberTaken(String),
    /// The submitted commit is on the release branch.
    Integrated {
        /// The commit that brought it in.
        commit: String,
        /// Head of the release branch.
        head: String,
        /// AgentTasks whose work it holds, and the commits that brought it in.
        works: Vec<(String, String)>,
    },
    /// Git cannot join the two.
    Conflict {
        /// What does not come in.
        commit: String,
        /// Files that both sides changed.
        paths: Vec<String>,
    },
    /// The release branch is elsewhere than recorded.
    Stale {
        /// Where it is.
        head: String,
    },
    /// The base branch is an ancestor of the release branch's head.
    BaseIntegrated {
        /// Head of the release branch.
        head: String,
        /// Its tree.
        tree: String,
        /// Head of the base branch.
        base: String,
        /// Identity of what the release branch changes.
        patch: String,
    },
    /// Merged and tagged.
    Merged {
        /// Merge commit.
        commit: String,
        /// The phase's tag.
        tag: String,
    },
    /// A Sync is made that pushes.
    Pushing {
        /// Name of its AgentTask.
        task: String,
        /// The merge commit.
        commit: String,
    },
    /// The base branch moved since the review.
    BaseMoved,
    /// The tag names something else.
    TagTaken(String),
    /// The repository does not hold this commit.
    CommitMissing(String),
    /// The git service says that this is not what was reviewed, and why.
    NotReviewed(String),
}

/// One change of the recorded status.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// Enter a state.
    Enter(PhaseState),
    /// Record that the timeout's clock starts anew.
    RestartClock,
    /// Begin the next attempt; a commit that a person pushed takes the place of the rework.
    BeginAttempt {
        /// The person's commit.
        pushed: Option<String>,
    },
    /// The release branch stands here.
    Release {
        /// Its head.
        head: String,
        /// Head of the base branch it contains; unchanged if none.
        base: Option<String>,
    },
    /// A task was handed out.
    TaskWorking(String),
    /// A task is on the release branch.
    TaskIntegrated {
        /// Its name.
        task: String,
        /// The commit that brought it in.
        commit: String,
    },
    /// The release branch holds the work of this AgentTask, whatever the record says of it.
    WorkFound {
        /// Name of the AgentTask.
        work: String,
        /// The commit that brought it in.
        commit: String,
    },
    /// A task waits to be handed out anew.
    TaskAnew {
        /// Its name.
        task: String,
        /// Why.
        why: String,
        /// The commit that did not merge; what is known of an earlier one stays if none.
        conflict: Option<String>,
    },
    /// The base branch does not merge into the release branch: a task has to do it.
    BaseConflict {
        /// Head of the base branch.
        base: String,
        /// Why.
        why: String,
    },
    /// A person's commit stands for a task.
    TaskPushed {
        /// Its name.
        task: String,
        /// The commit.
        commit: String,
    },
    /// A task failed for good.
    TaskFailed {
        /// Its name.
        task: String,
        /// Why.
        why: String,
        /// The commit that did not merge; what is known of an earlier one stays if none.
        conflict: Option<String>,
    },
    /// The commit to judge is known.
    BeginReview {
        /// The commit.
        commit: String,
        /// Its tree.
        tree: String,
        /// Head of the base branch.
        base: String,
        /// Identity of what the release branch changes.
        patch: String,
    },
    /// The review is void: base or gate moved.
    DropReview,
    /// The verdict is in.
    Judged {
        /// The verdict.
        verdict: Verdict,
        /// Failure class of a Fail.
        class: Option<FailureClass>,
        /// Score; empty if none.
        score: String,
        /// Score of each category.
        categories: Vec<CategoryRecord>,
        /// Digest of the evidence; empty if it has none.
        evidence: String,
    },
    /// A person approved the reviewed commit.
    Approved {
        /// UID of the Decision.
        uid: String,
        /// Who.
        user: String,
        /// The commit.
        commit: String,
        /// Names of the criteria they answered for.
        criteria: Vec<String>,
    },
    /// A person accepted what the gate found.
    Waived {
        /// UID of the Decision.
        uid: String,
        /// Who.
        user: String,
        /// What.
        what: Waived,
    },
    /// What the next rework is told beside the findings.
    Note(String),
    /// Attempts were granted.
    Grant(u32),
    /// A Decision was acted on, or cannot be; what came of it.
    Used {
        /// UID of the Decision.
        uid: String,
        /// In words.
        remark: String,
    },
    /// Something stands against going on.
    Blocked(Vec<Blocked>),
    /// Park it for a person.
    Escalate {
        /// Why.
        reason: EscalationReason,
        /// In words, with what a person can do.
        message: String,
    },
    /// A push to the upstream has begun.
    Pushing {
        /// Name of the Sync AgentTask.
        task: String,
        /// The merge commit.
        commit: String,
    },
    /// The push came to nothing; another would have to begin.
    DropPush,
    /// Merged.
    Merged {
        /// Merge commit.
        commit: String,
        /// Tag.
        tag: String,
        /// Whether that was in an earlier life.
        adopted: bool,
    },
    /// The score by which an earlier life was merged.
    Scored(String),
    /// A person wants a passed phase back out.
    BeginRollback {
        /// UID of the Decision.
        uid: String,
        /// Who.
        user: String,
        /// Why.
        reason: String,
    },
    /// The revert to check is known.
    BeginRevert {
        /// The revert.
        commit: String,
        /// Its tree.
        tree: String,
        /// Head of the base branch.
        base: String,
    },
    /// The revert is void: base or gate moved, or its checks are to run again.
    DropRevert,
    /// The base branch holds the rollback.
    RolledBack {
        /// The commit that took the phase back.
        commit: String,
    },
    /// Git says that the phase was rolled back in an earlier life.
    WasRolledBack {
        /// Merge commit.
        merge: String,
        /// Tag.
        tag: String,
        /// The commit that took it back.
        commit: String,
    },
    /// The rollback is given up: the phase has passed, as before.
    EndRollback {
        /// Why.
        why: String,
    },
    /// A phase that was rolled back begins anew, with all its attempts.
    BeginAnew,
}

/// What to do, and what to record once it is done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Outcome {
    /// In order. If one fails with an error, nothing is recorded and all is tried again.
    pub actions: Vec<Action>,
    /// Changes that do not depend on answers.
    pub changes: Vec<Change>,
}

//! The decision: total, deterministic, one match over the states of design §5.

use super::{
    Action, BASE_MERGE, Change, CheckFact, CheckWork, Judgement, Outcome, PushFact, REWORK, ReviewFact, Snapshot,
    TaskFact, Work, orders::obey,
};
use crate::{
    api::{
        agent_task::FailureClass,
        phase::{EscalationReason, PhaseState, PhaseTaskState},
        review_result::Verdict,
    },
    machine::policy::{Policy, policy},
};

/// Decides the next step of a phase.
///
/// What is on its way to the upstream comes first, for it cannot be called back. Orders of persons come first, one at a time; then suspension; then the timeout; then the state.
pub fn decide(s: &Snapshot) -> Outcome {
    if let Some(outcome) = going_out(s) {
        return outcome;
    }
    if let Some(order) = s.orders.first() {
        return obey(s, order);
    }
    if s.timed_out && !s.suspended && on_the_clock(s.state) {
        return time_out(s);
    }
    if let Some(dependency) = &s.dependency_rolled_back
        && let Some(outcome) = dependency_gone(s, dependency)
    {
        return outcome;
    }
    if ends_strays(s) {
        // A merge that was under way when it was given up may be done by now: what git says stands.
        let asks = s.state == PhaseState::Failed && s.passed_once;
        return act(std::iter::once(Action::StopTasks).chain(asks.then_some(Action::Claim)).collect());
    }
    if s.blocked || s.suspended {
        return let_go(s);
    }
    match s.state {
        PhaseState::Pending => record(vec![Change::RestartClock, Change::Enter(PhaseState::Preparing)]),
        PhaseState::Preparing if s.claim_refused => Outcome::default(),
        PhaseState::Preparing => act(vec![Action::Claim]),
        PhaseState::Developing => developing(s),
        PhaseState::Reviewing => reviewing(s),
        PhaseState::Backoff if s.backoff_over => go_on(s),
        PhaseState::AwaitingApproval => awaiting_approval(s),
        PhaseState::Merging => merging(s),
        PhaseState::RollingBack => rolling_back(s),
        PhaseState::RolledBack if s.raised => {
            record(vec![Change::BeginAnew, Change::RestartClock, Change::Enter(PhaseState::Preparing)])
        }
        PhaseState::Backoff
        | PhaseState::Passed
        | PhaseState::Escalated
        | PhaseState::RolledBack
        | PhaseState::Failed => Outcome::default(),
    }
}

/// What the upstream may have by now is waited for, and what it has is merged here too: nobody's order and no edit of a
/// spec can change that any more.
fn going_out(s: &Snapshot) -> Option<Outcome> {
    let merge = match s.state {
        PhaseState::Merging => Action::Merge,
        PhaseState::RollingBack => Action::RollBack,
        PhaseState::Pending
        | PhaseState::Preparing
        | PhaseState::Developing
        | PhaseState::Reviewing
        | PhaseState::Backoff
        | PhaseState::AwaitingApproval
        | PhaseState::Passed
        | PhaseState::Escalated
        | PhaseState::RolledBack
        | PhaseState::Failed => return None,
    };
    match s.push {
        PushFact::Active => Some(Outcome::default()),
        PushFact::Pushed => Some(act(vec![merge])),
        PushFact::NotAsked
        | PushFact::Missing
        | PushFact::Recorded
        | PushFact::Waiting
        | PushFact::Moved
        | PushFact::Refused(_) => None,
    }
}

/// What cannot go on lets go of a push that has not begun, or came to nothing: the turn, which comes with a push, is for others
/// meanwhile.
fn let_go(s: &Snapshot) -> Outcome {
    match s.push {
        PushFact::Recorded | PushFact::Waiting => {
            Outcome { actions: vec![Action::StopTasks], changes: vec![Change::DropPush] }
        }
        PushFact::Moved | PushFact::Refused(_) => record(vec![Change::DropPush]),
        PushFact::NotAsked | PushFact::Missing | PushFact::Active | PushFact::Pushed => Outcome::default(),
    }
}

/// Merges, once the upstream has it if it is to go there; begins `again` where the upstream has moved.
fn push_then(s: &Snapshot, merge: Action, again: Vec<Change>) -> Outcome {
    match &s.push {
        PushFact::NotAsked | PushFact::Pushed => act(vec![merge]),
        // What is out cannot be made anew on top of what another phase has merged meanwhile.
        PushFact::Missing if !s.has_turn => Outcome::default(),
        PushFact::Missing | PushFact::Recorded => act(vec![Action::Push]),
        PushFact::Waiting | PushFact::Active => Outcome::default(),
        PushFact::Moved => record(again),
        PushFact::Refused(words) => {
            let message = format!(
                "the upstream does not take what passed: {words}; allow it there, or set spec.upstream.deliver of the Repository to Branch or None, then Retry"
            );
            escalate(EscalationReason::PushRejected, message)
        }
    }
}

/// Whether the timeout of the phase runs: not before the start, not while a person is waited for,
/// and a merge under way is not torn.
fn on_the_clock(state: PhaseState) -> bool {
    match state {
        PhaseState::Preparing | PhaseState::Developing | PhaseState::Reviewing | PhaseState::Backoff => true,
        PhaseState::Pending
        | PhaseState::AwaitingApproval
        | PhaseState::Merging
        | PhaseState::Passed
        | PhaseState::Escalated
        | PhaseState::RollingBack
        | PhaseState::RolledBack
        | PhaseState::Failed => false,
    }
}

/// What a phase built upon is taken back: it stops, and a person says what becomes of it. What has not begun waits as
/// for any phase that has not passed.
fn dependency_gone(s: &Snapshot, dependency: &str) -> Option<Outcome> {
    match s.state {
        // It may be merged already: git says so first.
        PhaseState::Merging => Some(act(vec![Action::StopTasks, Action::Claim])),
        PhaseState::Developing | PhaseState::Reviewing | PhaseState::Backoff | PhaseState::AwaitingApproval => {
            let message = format!(
                "Phase {dependency}, which this one depends on, was rolled back; Retry once it has passed again, or Abort"
            );
            let reason = EscalationReason::DependencyRolledBack;
            Some(Outcome { actions: vec![Action::StopTasks], changes: vec![Change::Escalate { reason, message }] })
        }
        PhaseState::Pending
        | PhaseState::Preparing
        | PhaseState::Passed
        | PhaseState::Escalated
        | PhaseState::RollingBack
        | PhaseState::RolledBack
        | PhaseState::Failed => None,
    }
}

/// The way out of the base branch. No reviewer is asked and no score is computed: there is no new work in a revert. But
/// the base branch without the phase has to pass every blocking check as exactly that tree.
fn rolling_back(s: &Snapshot) -> Outcome {
    let Some(rollback) = &s.rollback else { return Outcome::default() };
    if !s.dependants.passed.is_empty() {
        // One merged in the very moment of the order.
        return act(vec![Action::StopTasks, Action::GiveUpRollback]);
    }
    if !s.dependants.at_work.is_empty() {
        return let_go(s);
    }
    if rollback.commit.is_none() {
        return if s.has_turn { act(vec![Action::Revert]) } else { Outcome::default() };
    }
    if rollback.gate_hash != s.gate_hash {
        return Outcome { actions: vec![Action::StopTasks], changes: vec![Change::DropRevert] };
    }
    if !all_ended(&rollback.checks) {
        return act(missing(&rollback.checks, Action::EnsureCheck));
    }
    match &rollback.refused {
        Some((reason, message)) => escalate(*reason, message.clone()),
        None => push_then(s, Action::RollBack, vec![Change::DropRevert]),
    }
}

/// Whether tasks may be at work that nobody waits for any more: a cache that was behind when they
/// were stopped did not show those that had just been made.
fn ends_strays(s: &Snapshot) -> bool {
    let stopped = |reason| match reason {
        EscalationReason::PhaseTimeout | EscalationReason::DependencyRolledBack => true,
        EscalationReason::AttemptsExhausted
        | EscalationReason::Inconclusive
        | EscalationReason::NoProgress
        | EscalationReason::Conflict
        | EscalationReason::TagTaken
        | EscalationReason::TaskFailed
        | EscalationReason::Gamed
        | EscalationReason::Disputed
        | EscalationReason::BudgetExceeded
        | EscalationReason::RollbackFailed
        | EscalationReason::PushRejected => false,
    };
    s.state == PhaseState::Failed || s.escalation.is_some_and(|(reason, _)| stopped(reason))
}

fn time_out(s: &Snapshot) -> Outcome {
    let message =
        format!("the phase took longer than spec.timeout, in state {:?}; Retry gives it the same time again", s.state);
    Outcome {
        actions: vec![Action::StopTasks],
        changes: vec![Change::Escalate { reason: EscalationReason::PhaseTimeout, message }],
    }
}

fn developing(s: &Snapshot) -> Outcome {
    if let Some(failed) = s.tasks.iter().find_map(failure) {
        return failed;
    }
    if all_integrated(s) {
        return record(vec![Change::DropReview, Change::Enter(PhaseState::Reviewing)]);
    }
    let mut actions = missing(&s.base_checks, Action::EnsureBaseCheck);
    actions.extend(working(s).filter(|task| task.work == Work::Submitted).map(integrate));
    // The AgentTask of a task that is recorded as working can be missing only if it was deleted.
    actions.extend(working(s).filter(|task| task.work == Work::Missing).map(ensure));
    let free = s.parallelism.saturating_sub(working(s).count());
    let started: Vec<&TaskFact> = waiting(s).filter(|task| task.ready).take(free).collect();
    actions.extend(started.iter().map(|task| ensure(task)));
    let changes = started.iter().map(|task| Change::TaskWorking(task.name.clone())).collect();
    Outcome { actions, changes }
}

fn all_integrated(s: &Snapshot) -> bool {
    s.tasks.iter().all(|task| task.state == PhaseTaskState::Integrated)
}

fn working(s: &Snapshot) -> impl Iterator<Item = &TaskFact> {
    s.tasks.iter().filter(|task| task.state == PhaseTaskState::Working)
}

fn waiting(s: &Snapshot) -> impl Iterator<Item = &TaskFact> {
    s.tasks.iter().filter(|task| task.state == PhaseTaskState::Waiting)
}

fn ensure(task: &TaskFact) -> Action {
    Action::EnsureTask(task.name.clone())
}

fn integrate(task: &TaskFact) -> Action {
    Action::Integrate(task.name.clone())
}

fn failure(task: &TaskFact) -> Option<Outcome> {
    let Work::Failed { class, message } = &task.work else { return None };
    if task.state != PhaseTaskState::Working {
        return None;
    }
    // A rework that changes nothing has nothing to say: a person has to look at the findings.
    let idle_rework = *class == FailureClass::NoChange && task.name == REWORK;
    let reason = match policy(*class) {
        Policy::AskPerson(reason) => reason,
        Policy::SpendRun if idle_rework => EscalationReason::NoProgress,
        Policy::Pause | Policy::SpendRun | Policy::Redispatch | Policy::SpendAttempt if task.name == BASE_MERGE => {
            EscalationReason::Conflict
        }
        Policy::Pause | Policy::SpendRun | Policy::Redispatch | Policy::SpendAttempt => EscalationReason::TaskFailed,
    };
    let message = no_run_left(&task.name, *class, message);
    let failed = Change::TaskFailed { task: task.name.clone(), why: message.clone(), conflict: None };
    Some(record(vec![failed, Change::Escalate { reason, message }]))
}

/// How a person goes on where no developer could merge.
pub(super) const OR_BY_HAND: &str =
    ", or merge by hand and Retry with that commit: kubectl phasegate why has the commands";

/// The task's own message begins with its class; it is said once.
fn no_run_left(task: &str, class: FailureClass, message: &str) -> String {
    let why = message.strip_prefix(&format!("{class:?}: ")).unwrap_or(message);
    let or = if task == BASE_MERGE { OR_BY_HAND } else { "" };
    format!("task {task} has no run left ({class:?}): {why}; Retry hands it out again{or}")
}

fn reviewing(s: &Snapshot) -> Outcome {
    if !all_integrated(s) {
        return Outcome { actions: vec![Action::StopTasks], changes: develop_again() };
    }
    let Some(review) = &s.review else {
        return if s.has_turn { act(vec![Action::IntegrateBase]) } else { Outcome::default() };
    };
    if review.gate_hash != s.gate_hash {
        // Checks of the old gate have nothing to say any more.
        return Outcome { actions: vec![Action::StopTasks], changes: vec![Change::DropReview] };
    }
    if review.failed_before {
        let message = "this very tree failed this very gate before; change the code, the gate, or push a fix and Retry with its commit";
        return record(vec![Change::Escalate { reason: EscalationReason::NoProgress, message: message.to_owned() }]);
    }
    match &review.judgement {
        Judgement::Missing => collect(s, review),
        Judgement::Pending => Outcome::default(),
        Judgement::Judged { verdict, class, score, reasons, categories, evidence, same_findings, disputed } => {
            let (score, categories, evidence) = (score.clone(), categories.clone(), evidence.clone());
            let judged = Change::Judged { verdict: *verdict, class: *class, score, categories, evidence };
            let mut outcome = match verdict {
                Verdict::Pass => passed_gate(s),
                Verdict::Fail => failed_gate(s, *class, reasons, *same_findings, disputed.as_deref()),
                Verdict::Inconclusive => escalate(
                    EscalationReason::Inconclusive,
                    format!("the gate could not judge: {reasons}; mend what is missing, then Retry reviews again"),
                ),
            };
            outcome.changes.insert(0, judged);
            outcome
        }
    }
}

/// The evidence, in its order: what the base has, the checks, and the reviewers if the checks leave them
/// something to say.
fn collect(s: &Snapshot, review: &ReviewFact) -> Outcome {
    if !all_ended(&review.checks) {
        let mut actions = missing(&s.base_checks, Action::EnsureBaseCheck);
        actions.extend(missing(&review.checks, Action::EnsureCheck));
        return act(actions);
    }
    if review.checks_failed || all_ended(&review.reviewers) {
        return act(vec![Action::EnsureResult]);
    }
    act(missing(&review.reviewers, Action::EnsureReviewer))
}

fn all_ended(checks: &[CheckFact]) -> bool {
    checks.iter().all(|check| check.work == CheckWork::Ended)
}

/// One action for each that can start and has not.
fn missing(checks: &[CheckFact], action: fn(String) -> Action) -> Vec<Action> {
    let startable = checks.iter().filter(|check| check.work == CheckWork::Missing && !check.waits_for_base);
    startable.map(|check| action(check.name.clone())).collect()
}

fn passed_gate(s: &Snapshot) -> Outcome {
    let person = s.approval_required || !s.person_criteria.is_empty();
    let next = if person && !s.approved { PhaseState::AwaitingApproval } else { PhaseState::Merging };
    record(vec![Change::Enter(next)])
}

fn failed_gate(
    s: &Snapshot,
    class: Option<FailureClass>,
    reasons: &str,
    same_findings: bool,
    disputed: Option<&str>,
) -> Outcome {
    // A Fail always has a class; ReviewFailed is the plainest of them.
    match policy(class.unwrap_or(FailureClass::ReviewFailed)) {
        Policy::AskPerson(reason) => escalate(reason, reasons.to_owned()),
        Policy::Pause | Policy::SpendRun | Policy::Redispatch | Policy::SpendAttempt => {
            if let Some(both_sides) = disputed {
                return escalate(EscalationReason::Disputed, both_sides.to_owned());
            }
            if same_findings && s.attempt < s.limit {
                let message = format!("the rework left the very findings of an earlier attempt: {reasons}");
                return escalate(EscalationReason::NoProgress, message);
            }
            refused(s, reasons)
        }
    }
}

/// A task was added to the spec: it is done, and then all is judged.
fn develop_again() -> Vec<Change> {
    vec![Change::DropReview, Change::Enter(PhaseState::Developing)]
}

/// An attempt is spent: wait and try again, or ask a person.
pub(super) fn refused(s: &Snapshot, why: &str) -> Outcome {
    if s.attempt < s.limit {
        return record(vec![Change::Enter(PhaseState::Backoff)]);
    }
    let message = format!("{} of {} attempts were refused; the last: {why}", s.attempt, s.limit);
    escalate(EscalationReason::AttemptsExhausted, message)
}

fn awaiting_approval(s: &Snapshot) -> Outcome {
    if !all_integrated(s) {
        return record(develop_again());
    }
    match &s.review {
        Some(review) if review.gate_hash == s.gate_hash => {
            let person = s.approval_required || !s.person_criteria.is_empty();
            if s.approved || !person { record(vec![Change::Enter(PhaseState::Merging)]) } else { Outcome::default() }
        }
        _ => review_again(),
    }
}

fn merging(s: &Snapshot) -> Outcome {
    match &s.review {
        Some(review) if review.gate_hash == s.gate_hash && all_integrated(s) => {
            push_then(s, Action::Merge, review_again().changes)
        }
        // The merge may have been done just before a crash: git says so before anything else begins.
        _ => {
            let may_begin = matches!(s.push, PushFact::Recorded | PushFact::Waiting);
            act(may_begin.then_some(Action::StopTasks).into_iter().chain([Action::Claim]).collect())
        }
    }
}

pub(super) fn review_again() -> Outcome {
    record(vec![Change::DropReview, Change::Enter(PhaseState::Reviewing)])
}

/// The wait is over. The specs may allow fewer attempts than when it began.
fn go_on(s: &Snapshot) -> Outcome {
    if s.attempt < s.limit {
        return next_attempt(None);
    }
    let message = format!("{} of {} attempts were spent; Retry grants another", s.attempt, s.limit);
    escalate(EscalationReason::AttemptsExhausted, message)
}

pub(super) fn next_attempt(pushed: Option<String>) -> Outcome {
    record(vec![Change::BeginAttempt { pushed }, Change::Enter(PhaseState::Developing)])
}

fn escalate(reason: EscalationReason, message: String) -> Outcome {
    record(vec![Change::Escalate { reason, message }])
}

pub(super) fn act(actions: Vec<Action>) -> Outcome {
    Outcome { actions, changes: Vec::new() }
}

pub(super) fn record(changes: Vec<Change>) -> Outcome {
    Outcome { actions: Vec::new(), changes }
}

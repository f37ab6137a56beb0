//! The decision: total, deterministic, one match over the states of design §5.

use super::{
    Action, Change, CheckFact, CheckWork, Judgement, Order, OrderKind, Outcome, ReviewFact, Snapshot, TaskFact, Work,
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
/// Orders of persons come first, one at a time; then suspension; then the timeout; then the state.
pub fn decide(s: &Snapshot) -> Outcome {
    if let Some(order) = s.orders.first() {
        return obey(s, order);
    }
    if s.timed_out && !s.suspended && on_the_clock(s.state) {
        return time_out(s);
    }
    if s.blocked || s.suspended {
        return Outcome::default();
    }
    match s.state {
        PhaseState::Pending => record(vec![Change::RestartClock, Change::Enter(PhaseState::Preparing)]),
        PhaseState::Preparing if s.claim_refused => Outcome::default(),
        PhaseState::Preparing => act(vec![Action::Claim]),
        PhaseState::Developing => developing(s),
        PhaseState::Reviewing => reviewing(s),
        PhaseState::Backoff if s.backoff_over => next_attempt(None),
        PhaseState::AwaitingApproval => awaiting_approval(s),
        PhaseState::Merging => merging(s),
        PhaseState::Backoff | PhaseState::Passed | PhaseState::Escalated | PhaseState::Failed => Outcome::default(),
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
        | PhaseState::Failed => false,
    }
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
    if s.tasks.iter().all(|task| task.state == PhaseTaskState::Integrated) {
        return record(vec![Change::DropReview, Change::Enter(PhaseState::Reviewing)]);
    }
    let mut actions: Vec<Action> = working(s).filter(|task| task.work == Work::Submitted).map(integrate).collect();
    // The AgentTask of a task that is recorded as working can be missing only if it was deleted.
    actions.extend(working(s).filter(|task| task.work == Work::Missing).map(ensure));
    let free = s.parallelism.saturating_sub(working(s).count());
    let started: Vec<&TaskFact> = waiting(s).filter(|task| task.ready).take(free).collect();
    actions.extend(started.iter().map(|task| ensure(task)));
    let changes = started.iter().map(|task| Change::TaskWorking(task.name.clone())).collect();
    Outcome { actions, changes }
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
    let idle_rework = *class == FailureClass::NoChange && task.name == super::project::REWORK;
    let reason = if idle_rework { EscalationReason::NoProgress } else { EscalationReason::TaskFailed };
    let message = format!("task {} has no run left ({class:?}): {message}; Retry hands it out again", task.name);
    let failed = Change::TaskFailed { task: task.name.clone(), why: message.clone() };
    Some(record(vec![failed, Change::Escalate { reason, message }]))
}

fn reviewing(s: &Snapshot) -> Outcome {
    let Some(review) = &s.review else {
        return if s.has_turn { act(vec![Action::IntegrateBase]) } else { Outcome::default() };
    };
    if review.gate_hash != s.gate_hash {
        return record(vec![Change::DropReview]);
    }
    if review.failed_before {
        let message = "this very tree failed this very gate before; change the code, the gate, or push a fix and Retry with its commit";
        return record(vec![Change::Escalate { reason: EscalationReason::NoProgress, message: message.to_owned() }]);
    }
    match &review.judgement {
        Judgement::Missing => collect(review),
        Judgement::Pending => Outcome::default(),
        Judgement::Judged { verdict, class, score, reasons, same_findings } => {
            let judged = Change::Judged { verdict: *verdict, class: *class, score: score.clone() };
            let mut outcome = match verdict {
                Verdict::Pass => passed_gate(s),
                Verdict::Fail => failed_gate(s, *class, reasons, *same_findings),
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

fn collect(review: &ReviewFact) -> Outcome {
    let missing = |check: &&CheckFact| check.work == CheckWork::Missing;
    let actions: Vec<Action> =
        review.checks.iter().filter(missing).map(|check| Action::EnsureCheck(check.name.clone())).collect();
    let ended = review.checks.iter().all(|check| check.work == CheckWork::Ended);
    if ended { act(vec![Action::EnsureResult]) } else { act(actions) }
}

fn passed_gate(s: &Snapshot) -> Outcome {
    let person = s.approval_required || !s.person_criteria.is_empty();
    let next = if person && !s.approved { PhaseState::AwaitingApproval } else { PhaseState::Merging };
    record(vec![Change::Enter(next)])
}

fn failed_gate(s: &Snapshot, class: Option<FailureClass>, reasons: &str, same_findings: bool) -> Outcome {
    // A Fail always has a class; ReviewFailed is the plainest of them.
    match policy(class.unwrap_or(FailureClass::ReviewFailed)) {
        Policy::AskPerson(reason) => escalate(reason, reasons.to_owned()),
        Policy::Pause | Policy::SpendRun | Policy::Redispatch | Policy::SpendAttempt => {
            if same_findings && s.attempt < s.limit {
                let message = format!("the rework left the very same findings: {reasons}");
                return escalate(EscalationReason::NoProgress, message);
            }
            refused(s, reasons)
        }
    }
}

/// An attempt is spent: wait and try again, or ask a person.
fn refused(s: &Snapshot, why: &str) -> Outcome {
    if s.attempt < s.limit {
        return record(vec![Change::Enter(PhaseState::Backoff)]);
    }
    let message = format!("{} of {} attempts were refused; the last: {why}", s.attempt, s.limit);
    escalate(EscalationReason::AttemptsExhausted, message)
}

fn awaiting_approval(s: &Snapshot) -> Outcome {
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
        Some(review) if review.gate_hash == s.gate_hash => act(vec![Action::Merge]),
        _ => review_again(),
    }
}

fn review_again() -> Outcome {
    record(vec![Change::DropReview, Change::Enter(PhaseState::Reviewing)])
}

fn next_attempt(pushed: Option<String>) -> Outcome {
    record(vec![Change::BeginAttempt { pushed }, Change::Enter(PhaseState::Developing)])
}

/// One order of a person. Each is used exactly once, also when it comes too late.
fn obey(s: &Snapshot, order: &Order) -> Outcome {
    let (mut outcome, remark) = match &order.kind {
        OrderKind::Approve(answers) => match ignored(s, order) {
            None => approve(s, order, answers),
            Some(why) => (Outcome::default(), why),
        },
        OrderKind::Reject => match ignored(s, order) {
            None => (send_back(s, order), format!("sent back by {}", order.user)),
            Some(why) => (Outcome::default(), why),
        },
        OrderKind::Retry(attempts) if s.state == PhaseState::Escalated => {
            (retry(s, order, *attempts), format!("retried by {}", order.user))
        }
        OrderKind::Retry(_) => {
            (Outcome::default(), format!("ignored: Retry is for Escalated phases, this one is {:?}", s.state))
        }
        OrderKind::Abort if matches!(s.state, PhaseState::Passed | PhaseState::Failed) => {
            (Outcome::default(), format!("ignored: the phase is {:?} already", s.state))
        }
        OrderKind::Abort => {
            let changes = vec![Change::Note(order.note.clone()), Change::Enter(PhaseState::Failed)];
            (Outcome { actions: vec![Action::StopTasks], changes }, format!("given up by {}", order.user))
        }
        OrderKind::Pause => (Outcome::default(), format!("seen; by {}", order.user)),
        OrderKind::Unsupported => (Outcome::default(), "ignored: not implemented in this version".to_owned()),
    };
    outcome.changes.push(Change::Used { uid: order.uid.clone(), remark });
    outcome
}

/// Why an Approve or Reject does not speak of what is waited for, if so.
fn ignored(s: &Snapshot, order: &Order) -> Option<String> {
    if s.state != PhaseState::AwaitingApproval {
        return Some(format!("ignored: the phase is {:?}, not AwaitingApproval", s.state));
    }
    let reviewed = s.review.as_ref().map(|review| review.commit.as_str());
    if order.attempt != s.attempt || order.commit.as_deref() != reviewed {
        return Some("ignored: it speaks of another attempt or commit than the one that was reviewed".to_owned());
    }
    None
}

fn approve(s: &Snapshot, order: &Order, answers: &[(String, bool)]) -> (Outcome, String) {
    let unmet: Vec<&str> = answers.iter().filter(|(_, met)| !met).map(|(name, _)| name.as_str()).collect();
    if !unmet.is_empty() {
        return (send_back(s, order), format!("sent back by {}: not met: {}", order.user, unmet.join(", ")));
    }
    let open = |name: &&String| !answers.iter().any(|(answered, _)| answered == *name);
    let missing: Vec<&str> = s.person_criteria.iter().filter(open).map(String::as_str).collect();
    if !missing.is_empty() {
        return (Outcome::default(), format!("ignored: no answer for {}", missing.join(", ")));
    }
    let commit = order.commit.clone().unwrap_or_default();
    let approved = Change::Approved { uid: order.uid.clone(), user: order.user.clone(), commit };
    (record(vec![approved, Change::Enter(PhaseState::Merging)]), format!("approved by {}", order.user))
}

fn send_back(s: &Snapshot, order: &Order) -> Outcome {
    let why = if order.note.is_empty() { format!("refused by {}", order.user) } else { order.note.clone() };
    let mut outcome = refused(s, &why);
    outcome.changes.insert(0, Change::Note(why));
    outcome
}

fn retry(s: &Snapshot, order: &Order, attempts: u32) -> Outcome {
    let (reason, from) = s.escalation.unwrap_or((EscalationReason::AttemptsExhausted, PhaseState::Reviewing));
    let mut changes = vec![Change::RestartClock];
    if !order.note.is_empty() {
        changes.push(Change::Note(order.note.clone()));
    }
    if let Some(pushed) = &order.commit {
        changes.push(Change::Grant(grant(s, attempts)));
        changes.extend(next_attempt(Some(pushed.clone())).changes);
        return record(changes);
    }
    match reason {
        EscalationReason::PhaseTimeout | EscalationReason::TaskFailed => {
            let stopped = |task: &&TaskFact| task.state != PhaseTaskState::Integrated;
            let again = |task: &TaskFact| Change::TaskAnew { task: task.name.clone(), why: String::new() };
            changes.extend(s.tasks.iter().filter(stopped).map(again));
            if from == PhaseState::Reviewing {
                changes.push(Change::DropReview);
            }
            changes.push(Change::Enter(from));
        }
        EscalationReason::TagTaken if from == PhaseState::Preparing => {
            changes.push(Change::Enter(PhaseState::Preparing));
        }
        EscalationReason::Conflict if from == PhaseState::Developing => {
            let again = |task: &TaskFact| Change::TaskAnew { task: task.name.clone(), why: String::new() };
            changes.extend(s.tasks.iter().filter(|task| task.state == PhaseTaskState::Failed).map(again));
            changes.push(Change::Enter(PhaseState::Developing));
        }
        EscalationReason::Inconclusive | EscalationReason::TagTaken | EscalationReason::Conflict => {
            changes.extend(review_again().changes);
        }
        EscalationReason::AttemptsExhausted
        | EscalationReason::NoProgress
        | EscalationReason::Gamed
        | EscalationReason::BudgetExceeded => {
            changes.push(Change::Grant(grant(s, attempts)));
            changes.extend(next_attempt(None).changes);
        }
    }
    record(changes)
}

/// Attempts to grant: as many as asked for, beyond those that are left.
fn grant(s: &Snapshot, attempts: u32) -> u32 {
    (s.attempt + attempts).saturating_sub(s.limit)
}

fn escalate(reason: EscalationReason, message: String) -> Outcome {
    record(vec![Change::Escalate { reason, message }])
}

fn act(actions: Vec<Action>) -> Outcome {
    Outcome { actions, changes: Vec::new() }
}

fn record(changes: Vec<Change>) -> Outcome {
    Outcome { actions: Vec::new(), changes }
}

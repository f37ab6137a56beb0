//! What the end of a run means, and what follows from it by the policy table.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    Action, BACKOFF_INITIAL, BACKOFF_MAX, Blocked, CIRCUIT_RUNS, DeliveryFact, MainFact, Note, Outcome, PodFact,
    Record, START_RUNS, Snapshot, after, project::cut,
};
use crate::{
    api::agent_task::{CheckOutcome, FailureClass, Resume, Role, TaskState},
    machine::policy::{Policy, Resumption, backoff, policy, resumption},
    text,
};

/// Most characters of an output in a message: with what stands around it, it fits into the message of a phase.
const MAX_OUTPUT: usize = 600;

/// How the work of a run ended.
enum Work {
    Done(String),
    Checked(CheckOutcome, String),
    Failed(FailureClass, String),
    /// Another run would come to the same.
    Hopeless(FailureClass, String),
}

/// What follows from the pod, if its work has ended.
pub(super) fn of_pod(s: &Snapshot, record: &Record, pod: &PodFact) -> Option<Outcome> {
    let code = match &pod.main {
        MainFact::Waiting => return pod.finished.then(|| before_start(s, record, pod)),
        MainFact::NotStarted(why) => return Some(never_started(s, record, &format!("container agent: {why}"))),
        MainFact::Running if !pod.finished => return None,
        MainFact::Running | MainFact::Unknown => None,
        MainFact::Exited(code) | MainFact::OutOfMemory(code) => Some(*code),
    };
    let record = &Record { exit_code: code, ..record.clone() };
    if let Some(why) = &pod.overused {
        return Some(conclude(s, record, ended_badly(s.role, FailureClass::AgentError, why)));
    }
    if let Some(why) = &pod.disrupted {
        return Some(lost(s, record, why));
    }
    match (code, &s.delivery) {
        (Some(code), Some(delivery)) => Some(conclude(s, record, judge(s, pod, code, delivery))),
        (Some(code), None) if pod.finished => {
            Some(lost(s, record, &format!("its pod ended (exit code {code}) without a delivery")))
        }
        (Some(_), None) => None,
        (None, _) => Some(lost(s, record, "its node lost sight of its main container")),
    }
}

fn before_start(s: &Snapshot, record: &Record, pod: &PodFact) -> Outcome {
    let why = pod.disrupted.as_ref().or(pod.overused.as_ref()).or(pod.failed_before.as_ref());
    let why = why.map_or("its pod ended before its work began", String::as_str);
    lost(s, record, why)
}

fn judge(s: &Snapshot, pod: &PodFact, code: i32, delivery: &DeliveryFact) -> Work {
    if delivery.timed_out || pod.deadline_exceeded {
        let why = format!("it took longer than its timeout of {} s", s.timeout);
        return ended_badly(s.role, FailureClass::Timeout, &with_output(&why, delivery));
    }
    if pod.main == MainFact::OutOfMemory(code) {
        let why = "it used more memory than its limit and was killed (OOMKilled)";
        return ended_badly(s.role, FailureClass::AgentError, &with_output(why, delivery));
    }
    if code != 0 && s.role == Role::Sync && delivery.refused {
        return Work::Hopeless(FailureClass::AgentError, with_output("the upstream is not to be had", delivery));
    }
    if code != 0 {
        let why = with_output(&format!("it ended with exit code {code}"), delivery);
        return ended_badly(s.role, FailureClass::AgentError, &why);
    }
    match s.role {
        Role::Check => Work::Checked(CheckOutcome::Passed, "passed".to_owned()),
        Role::Sync if delivery.heads => Work::Done("mirrored".to_owned()),
        Role::Sync => Work::Failed(FailureClass::Infra, with_output("no heads were mirrored", delivery)),
        // Silence is no review: nothing was found only if it says what was examined.
        Role::Reviewer => {
            Work::Failed(FailureClass::AgentError, with_output("it ended without submit_review", delivery))
        }
        Role::Developer => match &delivery.commit {
            Some(commit) => Work::Done(format!("ended well; its work is {commit}")),
            None if delivery.refused => {
                Work::Failed(FailureClass::AgentError, with_output("its work tree cannot be taken", delivery))
            }
            None if delivery.changed => {
                Work::Failed(FailureClass::Infra, with_output("its work could not be delivered", delivery))
            }
            None => Work::Failed(FailureClass::NoChange, "it ended well, but changed nothing".to_owned()),
        },
    }
}

/// A run that started and ended badly: a check has failed, our own mirroring was failed by the
/// world, an agent has failed with this class.
fn ended_badly(role: Role, class: FailureClass, why: &str) -> Work {
    match role {
        Role::Check => Work::Checked(CheckOutcome::Failed, why.to_owned()),
        Role::Sync => Work::Failed(FailureClass::Infra, why.to_owned()),
        Role::Developer | Role::Reviewer => Work::Failed(class, why.to_owned()),
    }
}

/// The last words say most, and have to survive where a message of a phase quotes this one.
fn with_output(why: &str, delivery: &DeliveryFact) -> String {
    let output = text::cut_front(delivery.message.trim(), MAX_OUTPUT);
    if output.is_empty() { why.to_owned() } else { format!("{why}: {output}") }
}

pub(super) fn say_blocked(blocked: &Blocked) -> String {
    let Blocked { container, image, reason, message } = blocked;
    let detail = if message.is_empty() { String::new() } else { format!(": {message}") };
    format!("container {container}, image {image}: {reason}{detail}")
}

fn conclude(s: &Snapshot, record: &Record, work: Work) -> Outcome {
    match work {
        Work::Done(message) => succeeded(s, record, &message),
        Work::Checked(outcome, message) => {
            let record = Record { outcome: Some(outcome), ..record.clone() };
            succeeded(s, &record, &message)
        }
        Work::Failed(class, why) => failed(s, record, class, &why),
        Work::Hopeless(class, why) => give_up(s, Record { failure_class: Some(class), ..record.clone() }, class, &why),
    }
}

/// The task ends with what was asked for.
pub(super) fn succeeded(s: &Snapshot, record: &Record, message: &str) -> Outcome {
    let record = Record { failure_class: None, ..record.clone() };
    let bad = record.outcome.filter(|outcome| *outcome != CheckOutcome::Passed);
    let note = bad.map(|outcome| Note { reason: format!("Check{outcome:?}"), message: cut(message) });
    end(s, record, TaskState::Succeeded, message, note)
}

/// A run failed for a reason of its own.
fn failed(s: &Snapshot, record: &Record, class: FailureClass, why: &str) -> Outcome {
    match policy(class) {
        Policy::Pause => paused(s, record, class, why, 0),
        Policy::SpendRun => {
            let spent = record.spent_runs + 1;
            let record = Record {
                spent_runs: spent,
                infra_runs: 0,
                start_failures: 0,
                failure_class: Some(class),
                ..record.clone()
            };
            if spent >= s.max_runs {
                give_up(s, record, class, &format!("run {} of {}: {why}", spent, s.max_runs))
            } else {
                again(s, record, class, spent, why)
            }
        }
        // Not for a task to settle: its phase does.
        Policy::Redispatch | Policy::SpendAttempt | Policy::AskPerson(_) => {
            give_up(s, Record { failure_class: Some(class), ..record.clone() }, class, why)
        }
    }
}

/// The cluster failed the run. Nothing is spent; what is left of its Job is removed.
pub(super) fn lost(s: &Snapshot, record: &Record, why: &str) -> Outcome {
    delete_job(s, paused(s, record, FailureClass::Infra, why, 0))
}

/// The run could not start, although it had time to.
pub(super) fn never_started(s: &Snapshot, record: &Record, why: &str) -> Outcome {
    let why = format!("it never started: {why}");
    delete_job(s, paused(s, record, FailureClass::Infra, &why, record.start_failures + 1))
}

fn paused(s: &Snapshot, record: &Record, class: FailureClass, why: &str, start_failures: i32) -> Outcome {
    let infra_runs = record.infra_runs + 1;
    let record = Record { infra_runs, start_failures, failure_class: Some(class), ..record.clone() };
    let hint = if start_failures >= START_RUNS {
        format!("{start_failures} runs in a row; mend the image or the container's configuration")
    } else if infra_runs >= CIRCUIT_RUNS {
        format!("{infra_runs} runs in a row were failed by the cluster; see to it")
    } else {
        return again(s, record, class, infra_runs, why);
    };
    // A check that never came to an end says nothing about the code.
    let (class, outcome) = match s.role {
        Role::Check => (FailureClass::Inconclusive, Some(CheckOutcome::NotStarted)),
        Role::Developer | Role::Reviewer | Role::Sync => (class, record.outcome),
    };
    give_up(s, Record { failure_class: Some(class), outcome, ..record }, class, &format!("{why} ({hint})"))
}

/// The next run follows after a wait.
fn again(s: &Snapshot, record: Record, class: FailureClass, failures: i32, why: &str) -> Outcome {
    let wait = backoff(BACKOFF_INITIAL, BACKOFF_MAX, u32::try_from(failures).unwrap_or(1), &s.uid);
    // The API keeps whole seconds.
    let wait = std::time::Duration::from_secs(wait.as_secs().max(1));
    let message = cut(&format!("run {} ended ({class:?}): {why}", record.run));
    // What the cluster did to a run is no matter of the next one.
    let last_failure = if policy(class) == Policy::SpendRun { message.clone() } else { record.last_failure.clone() };
    let record = Record {
        state: TaskState::Pending,
        message: message.clone(),
        last_failure,
        resume: resume(s, &record, class, &message),
        not_before: Some(Time(after(s.now, wait))),
        blocked_since: None,
        ..record
    };
    let note = Note { reason: format!("{class:?}"), message };
    Outcome { actions: Vec::new(), record, wake: Some(wait), note: Some(note) }
}

/// The saved work that the next run takes up. A run that was lost before it saved anything leaves what was there before it.
fn resume(s: &Snapshot, record: &Record, class: FailureClass, why: &str) -> Option<Resume> {
    match s.role {
        Role::Developer => {}
        Role::Check | Role::Reviewer | Role::Sync => return None,
    }
    let refused = s.delivery.as_ref().is_some_and(|delivery| delivery.refused);
    let since = match (resumption(class, refused), s.resumed) {
        (Resumption::Afresh, _) | (Resumption::ContinueOnce, true) => return None,
        (Resumption::Continue, _) => record.resume.as_ref().map_or(record.run, |before| before.since),
        // What an earlier run saved was not to be had, or this run would have begun with it.
        (Resumption::ContinueOnce, false) => record.run,
    };
    Some(Resume { since, why: why.to_owned() })
}

/// The task ends without what was asked for.
fn give_up(s: &Snapshot, record: Record, class: FailureClass, why: &str) -> Outcome {
    let message = cut(&format!("{class:?}: {why}"));
    let note = Note { reason: "Failed".to_owned(), message: message.clone() };
    end(s, record, TaskState::Failed, &message, Some(note))
}

/// A check ends without having said anything of the code.
pub(super) fn inconclusive(s: &Snapshot, record: &Record, why: &str) -> Outcome {
    let record = Record {
        outcome: Some(CheckOutcome::NotStarted),
        failure_class: Some(FailureClass::Inconclusive),
        ..record.clone()
    };
    let note = Note { reason: "Failed".to_owned(), message: cut(why) };
    end(s, record, TaskState::Failed, why, Some(note))
}

fn end(s: &Snapshot, record: Record, state: TaskState, message: &str, note: Option<Note>) -> Outcome {
    let record = Record {
        state,
        message: cut(message),
        resume: None,
        not_before: None,
        blocked_since: None,
        finished_at: Some(Time(s.now)),
        ..record
    };
    let wake = s.job.as_ref().filter(|job| !job.finished && !job.deleting).map(|_| super::AFTERMATH);
    Outcome { actions: Vec::new(), record, wake, note }
}

fn delete_job(s: &Snapshot, mut outcome: Outcome) -> Outcome {
    let over = s.job.as_ref().is_some_and(|job| job.finished || job.deleting);
    // Deleted even if the cache has none: a Job that the cache has not seen yet must not work on.
    if let Some(name) = s.record.job.clone().filter(|_| !over) {
        outcome.actions.push(Action::DeleteJob { name });
    }
    outcome
}

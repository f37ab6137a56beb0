//! A check that an outside system runs: no Job and no pod, only a wait for its answer.
//!
//! The first answer ends the task. Without one the timeout does, and then nothing is known of the code: not a
//! failure of the check, and never a pass.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Answer, External, Outcome, Record, Snapshot, after, decide::keep, ending, left, project::cut};
use crate::api::{
    Duration,
    agent_task::{CheckOutcome, TaskState},
};

/// Decides what to do about a check that runs elsewhere.
pub(super) fn decide(s: &Snapshot, external: &External) -> Outcome {
    match (s.record.state, &external.answer) {
        (TaskState::Succeeded | TaskState::Failed, _) => keep(s.record.clone(), None),
        (TaskState::Pending | TaskState::Starting | TaskState::Running, Some(answer)) => answered(s, external, answer),
        (TaskState::Pending | TaskState::Starting | TaskState::Running, None) => waits(s, external),
    }
}

fn answered(s: &Snapshot, external: &External, answer: &Answer) -> Outcome {
    let record =
        Record { run: 1, outcome: Some(answer.outcome), exit_code: answer.exit_code, ..begun(s, s.record.clone()) };
    ending::succeeded(s, &record, &said(&external.system, answer))
}

/// The words of an answer, with the place where more can be read.
fn said(system: &str, answer: &Answer) -> String {
    let message = answer.message.trim();
    let words = match (message.is_empty(), answer.outcome) {
        (false, _) => format!("{system}: {message}"),
        (true, CheckOutcome::Passed) => format!("passed, says {system}"),
        (true, CheckOutcome::Failed | CheckOutcome::NotStarted) => format!("{system} says so"),
    };
    // The address is whole or not there: half of one leads nowhere.
    let room = super::project::MAX_MESSAGE.saturating_sub(answer.url.chars().count() + " (see )".len());
    match answer.url.as_str() {
        "" => words,
        url => format!("{} (see {url})", words.chars().take(room).collect::<String>()),
    }
}

fn waits(s: &Snapshot, external: &External) -> Outcome {
    if let (TaskState::Pending, Some(hold)) = (s.record.state, &s.hold) {
        return keep(Record { message: cut(hold), ..s.record.clone() }, None);
    }
    let record = begun(s, s.record.clone());
    let since = record.started_at.as_ref().map_or(s.now, |since| since.0);
    let Some(wait) = left(s.now, after(since, std::time::Duration::from_secs(s.timeout.into()))) else {
        let why = format!("no answer from {} within {}", external.system, Duration::from_secs(s.timeout));
        return ending::inconclusive(s, &record, &why);
    };
    keep(Record { message: cut(&format!("waits for {}", external.system)), ..record }, Some(wait))
}

/// Its one run, which begins when the outside system can see it.
fn begun(s: &Snapshot, record: Record) -> Record {
    Record { state: TaskState::Running, run: 1, started_at: record.started_at.clone().or(Some(Time(s.now))), ..record }
}

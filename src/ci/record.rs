//! The one writer of answers: into the pods' part of the task's status, by compare-and-swap, so that the first answer
//! and the end of the wait exclude each other.

use std::time::Duration;

use axum::http::StatusCode;
use kube::{
    Api, Resource, ResourceExt,
    runtime::events::{Event, EventType},
};
use serde::Serialize;
use serde_json::json;

use super::{
    CiApi,
    caller::Caller,
    form::Answer,
    refusal::{Refused, bad, refuse, unavailable},
    stamp,
};
use crate::{
    api::{
        AgentTask,
        agent_task::{CheckOutcome, Delivery, ExternalAnswer, TaskState},
        check::Check,
        evidence::{ReportFacts, ReportState},
    },
    controller::status::apply,
    runner::server::RUNNER_MANAGER,
};

/// How long the API server may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often a write is tried when the task moves meanwhile: the reconciler writes once or twice.
const MAX_TRIES: usize = 8;

/// Answer to an answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Recorded {
    /// The commit it speaks of.
    pub(super) commit: String,
    /// What is on record.
    pub(super) outcome: CheckOutcome,
    /// Whether the same was on record before.
    pub(super) again: bool,
    /// Every declared report, and whether it is evidence: one that is not makes the check fail.
    reports: Vec<Read>,
}

/// What became of a report.
#[derive(Debug, Serialize)]
struct Read {
    path: String,
    state: ReportState,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
}

/// The task as the API server has it now.
pub(super) async fn read(api: &CiApi, caller: &Caller) -> Result<AgentTask, Refused> {
    let objects: Api<AgentTask> = Api::namespaced(api.client.clone(), &caller.namespace);
    match tokio::time::timeout(TIMEOUT, objects.get_opt(&caller.task)).await {
        Ok(Ok(Some(task))) => Ok(task),
        Ok(Ok(None)) => {
            let error = format!("there is no AgentTask {} in namespace {}", caller.task, caller.namespace);
            Err(refuse(StatusCode::NOT_FOUND, error, "list the checks that wait, and post where the list says"))
        }
        Ok(Err(error)) => Err(failed("read", &error, caller)),
        Err(_) => Err(unavailable("failed to read the task: the API server took too long")),
    }
}

/// The check of a task, if it is one for outside systems that this key may answer.
pub(super) fn check_of<'a>(task: &'a AgentTask, caller: &Caller) -> Result<&'a Check, Refused> {
    if !caller.key.repositories.has(&task.spec.repository) {
        let error = format!("key {} may not speak of Repository {}", caller.key.name, task.spec.repository);
        return Err(refuse(StatusCode::FORBIDDEN, error, "use the key of that Repository, or add it to the entry"));
    }
    task.spec.check.as_ref().filter(|check| check.external.is_some()).ok_or_else(|| {
        let error = format!("AgentTask {} is not a check that runs outside", caller.task);
        refuse(StatusCode::FORBIDDEN, error, "list the checks that wait, and post where the list says")
    })
}

/// Records an answer, unless another was recorded before or the check waits no longer.
pub(super) async fn record(api: &CiApi, caller: &Caller, answer: Answer) -> Result<Recorded, Refused> {
    let delivery = delivery(answer.clone(), &caller.key.name);
    for _ in 0..MAX_TRIES {
        let task = read(api, caller).await?;
        if is_known(&task, caller, &delivery)? {
            return Ok(recorded(answer, true));
        }
        if write(api, &task, caller, &delivery).await? {
            publish(api, &task, &delivery, caller).await;
            return Ok(recorded(answer, false));
        }
    }
    Err(unavailable("the task moves faster than it can be answered"))
}

fn delivery(answer: Answer, key: &str) -> Delivery {
    let Answer { commit: _, outcome, exit_code, url, message, reports } = answer;
    Delivery {
        stamp: stamp(),
        commit: None,
        changed: false,
        exit_code,
        timed_out: false,
        refused: false,
        reports,
        message,
        heads: std::collections::BTreeMap::new(),
        push: None,
        external: Some(ExternalAnswer { outcome, key: key.to_owned(), url }),
    }
}

/// Whether this very answer is on record. Refused is what cannot be recorded any more, or not yet.
fn is_known(task: &AgentTask, caller: &Caller, delivery: &Delivery) -> Result<bool, Refused> {
    check_of(task, caller)?;
    let conflict = |error: String, remedy| Err(refuse(StatusCode::CONFLICT, error, remedy));
    let status = task.status.clone().unwrap_or_default();
    if let Some(first) = status.delivery.filter(|first| first.stamp == stamp()) {
        let (Some(said), Some(says)) = (&first.external, &delivery.external) else {
            return conflict("the task holds something else".to_owned(), "see the task");
        };
        // Who repeats it does not matter.
        let mut same = delivery.clone();
        same.external = Some(ExternalAnswer { key: said.key.clone(), ..says.clone() });
        if same == first {
            return Ok(true);
        }
        let error = format!("the check was answered before, by key {}: {:?}", said.key, said.outcome);
        return conflict(error, "the first answer counts; a new one needs a new review of the phase");
    }
    match status.state {
        TaskState::Running => Ok(false),
        TaskState::Pending | TaskState::Starting => {
            let error = if status.message.is_empty() { "it was made a moment ago" } else { &status.message };
            conflict(format!("the check does not wait yet: {error}"), "answer again later")
        }
        TaskState::Succeeded | TaskState::Failed => {
            let error = format!("the check waits no longer: {}", status.message);
            conflict(error, "a person decides how the phase goes on; see kubectl phasegate why")
        }
    }
}

/// Whether it was written; not if the task has moved.
async fn write(api: &CiApi, task: &AgentTask, caller: &Caller, delivery: &Delivery) -> Result<bool, Refused> {
    let status = json!({ "delivery": delivery });
    match tokio::time::timeout(TIMEOUT, apply(&api.client, task, RUNNER_MANAGER, &status)).await {
        Ok(Ok(_)) => Ok(true),
        Ok(Err(kube::Error::Api(refusal))) if refusal.code == 409 => Ok(false),
        Ok(Err(kube::Error::Api(refusal))) if refusal.code == 422 => Err(bad(refusal.message.clone())),
        Ok(Err(error)) => Err(failed("write", &error, caller)),
        Err(_) => Err(unavailable("failed to write the task: the API server took too long")),
    }
}

/// What the API server says is for our log: it is nobody's business outside.
fn failed(what: &str, error: &kube::Error, caller: &Caller) -> Refused {
    tracing::warn!(%error, namespace = caller.namespace, task = caller.task, "failed to {what} a task");
    unavailable(format!("failed to {what} the task"))
}

/// A lost Event loses nothing: the status names outcome and key too.
async fn publish(api: &CiApi, task: &AgentTask, delivery: &Delivery, caller: &Caller) {
    let Some(said) = &delivery.external else { return };
    let place = if said.url.is_empty() { String::new() } else { format!(": {}", said.url) };
    let event = Event {
        type_: EventType::Normal,
        reason: "Answered".to_owned(),
        note: Some(format!("{:?}, says key {}{place}", said.outcome, caller.key.name)),
        action: "Answer".to_owned(),
        secondary: None,
    };
    let published = tokio::time::timeout(TIMEOUT, api.recorder.publish(&event, &task.object_ref(&()))).await;
    if !matches!(published, Ok(Ok(()))) {
        tracing::warn!(task = task.name_any(), "failed to publish an Event");
    }
}

fn recorded(answer: Answer, again: bool) -> Recorded {
    let read = |facts: ReportFacts| Read { path: facts.path, state: facts.state, message: facts.message };
    Recorded {
        commit: answer.commit,
        outcome: answer.outcome,
        again,
        reports: answer.reports.into_iter().map(read).collect(),
    }
}

//! The AgentTask reconciler: one Job per run, its pod watched to its end, the status last.
//!
//! What a fact means is decided in `machine::task`; what a pod looks like is in `controller::pod`.
//! A task is woken by itself (the runner API writes submission and delivery into its status), its
//! Jobs, their pods, and its Phase (suspension).

mod execute;
mod external;
mod facts;
mod observe;

use std::sync::Arc;

use jiff::Timestamp;
use kube::{
    Resource, ResourceExt,
    runtime::{
        controller::Action,
        events::{Event, EventType},
    },
};
use tracing::{Instrument, info, info_span, warn};

use super::{
    Error,
    context::{Context, FIELD_MANAGER},
    status::{Written, write_status},
};
use crate::{
    api::AgentTask,
    machine::task::{self, Note, Outcome, Snapshot, Status, decide, project},
};
use execute::{Done, execute};
use observe::observe;

/// Longest note of an Event, in bytes; the API allows 1024.
const MAX_NOTE: usize = 1000;

/// Brings one task a step further.
///
/// # Errors
/// If the API server cannot be reached or fails; nothing is recorded then, and the same step is
/// taken again. A Job that is refused (quota, admission) is not an error: the status says so.
pub async fn reconcile(task: Arc<AgentTask>, context: Arc<Context>) -> Result<Action, Error> {
    if task.metadata.deletion_timestamp.is_some() || context.own_writes.is_stale(task.as_ref()) {
        return Ok(Action::await_change());
    }
    let span = info_span!(
        "task",
        namespace = task.namespace(),
        name = task.name_any(),
        correlation_id = task.spec.correlation_id
    );
    step(&task, &context).instrument(span).await
}

async fn step(task: &AgentTask, context: &Context) -> Result<Action, Error> {
    let snapshot = observe(task, context, Timestamp::now());
    let outcome = act(task, &snapshot, decide(&snapshot), context).await?;
    record(task, &snapshot, outcome, context).await
}

/// Carries out what was decided. If a write is refused, that is what there is to record.
async fn act(task: &AgentTask, s: &Snapshot, outcome: Outcome, context: &Context) -> Result<Outcome, Error> {
    for action in &outcome.actions {
        let done = execute(task, action, context).await?;
        info!(?action, ?done, "done");
        if let Done::Refused(why) = done {
            return Ok(task::refused(s, &why));
        }
    }
    Ok(outcome)
}

/// Writes the status, if it differs, and says when to look again.
async fn record(task: &AgentTask, s: &Snapshot, outcome: Outcome, context: &Context) -> Result<Action, Error> {
    let before = Status::of(&task.status.clone().unwrap_or_default());
    let generation = task.metadata.generation.unwrap_or_default();
    let after = project(&before, outcome.record, generation, s.now);
    if after != before {
        match write_status(context, task, FIELD_MANAGER, &after).await? {
            Written::Stored => {
                if before.record.state != after.record.state {
                    info!(from = ?before.record.state, to = ?after.record.state, run = after.record.run, message = after.record.message, "state changed");
                }
                if let Some(note) = outcome.note {
                    publish(task, note, context).await;
                }
            }
            // The cache is behind; the watch brings the newer object and with it the next look.
            Written::Moved | Written::Gone => return Ok(Action::await_change()),
        }
    }
    Ok(outcome.wake.map_or_else(Action::await_change, Action::requeue))
}

/// A lost Event loses nothing: what it says is in the status too.
async fn publish(task: &AgentTask, note: Note, context: &Context) {
    let event = Event {
        type_: EventType::Warning,
        reason: note.reason,
        note: Some(cut(note.message)),
        action: "Reconcile".to_owned(),
        secondary: None,
    };
    if let Err(error) = context.recorder.publish(&event, &task.object_ref(&())).await {
        warn!(%error, "failed to publish an Event");
    }
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_NOTE));
    text
}

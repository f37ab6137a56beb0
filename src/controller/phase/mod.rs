//! The Phase reconciler: observe, decide, execute, settle, project, and the status last.

mod build;
mod events;
mod execute;
mod observe;
mod orders;

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use kube::{ResourceExt, runtime::controller::Action};
use tracing::{Instrument, info, info_span};

use crate::{
    api::{
        Decision, Phase, PhaseStatus,
        phase::{Blocked, BlockedReason, PhaseState},
    },
    controller::{
        Error,
        context::{Context, FIELD_MANAGER},
        decisions,
        status::{Written, write_status},
    },
    machine::phase::{Change, decide, project, settle},
};
use observe::{Observed, observe};

/// How long after it was given up a phase may be merged by an operator that has lost its Lease: no request of one lives
/// longer.
const LATE_MERGE: SignedDuration = SignedDuration::from_mins(5);

/// Brings one phase a step further.
///
/// # Errors
/// If the API server or the git service cannot be reached or refuses; nothing is recorded then,
/// and the same step is taken again.
pub async fn reconcile(phase: Arc<Phase>, context: Arc<Context>) -> Result<Action, Error> {
    if phase.metadata.deletion_timestamp.is_some() || context.own_writes.is_stale(phase.as_ref()) {
        return Ok(Action::await_change());
    }
    let correlation = phase.status.as_ref().map(|status| status.correlation_id.clone()).unwrap_or_default();
    let span =
        info_span!("phase", namespace = phase.namespace(), name = phase.name_any(), correlation_id = correlation);
    step(phase, &context).instrument(span).await
}

/// Whether a Decision is about this very phase. Its name counts as much as its UID: the name is what the admission
/// policy has authorised.
pub(super) fn speaks_of(decision: &Decision, phase: &Phase) -> bool {
    decision.namespace() == phase.namespace()
        && decision.spec.phase == phase.name_any()
        && Some(&decision.spec.phase_uid) == phase.metadata.uid.as_ref()
}

async fn step(phase: Arc<Phase>, context: &Context) -> Result<Action, Error> {
    let trusted = decisions::trusted(&phase, context).await?;
    let observed = observe(phase, context, trusted, Timestamp::now());
    let outcome = decide(&observed.snapshot);
    let mut changes = outcome.changes;
    for action in &outcome.actions {
        let answer = match execute::execute(&observed, action, context).await {
            Ok(answer) => answer,
            Err(error) => return failed(&observed, error, context).await,
        };
        info!(?action, ?answer, "done");
        changes.extend(settle(&observed.snapshot, action, answer));
    }
    record(&observed, &changes, context).await
}

/// Says in the status what could not be done, and nothing else: all of it is tried again.
async fn failed(observed: &Observed, error: Error, context: &Context) -> Result<Action, Error> {
    let mut message = error.to_string();
    if let Error::Kubernetes(kube::Error::Api(refusal)) = &error {
        message.clone_from(&refusal.message);
        if refusal.code == 403 {
            message.push_str("; if this namespace is not onboarded, add it to projects[] of the chart");
        }
    }
    let message = message.chars().take(1000).collect();
    let blocked = Blocked { reason: BlockedReason::OperationFailed, message };
    record(observed, &[Change::Blocked(vec![blocked])], context).await?;
    Err(error)
}

/// Writes the status, if it differs, and says when to look again.
async fn record(observed: &Observed, changes: &[Change], context: &Context) -> Result<Action, Error> {
    let after = project(&observed.status, changes, &observed.stamp);
    if observed.phase.status.as_ref() != Some(&after) {
        match write_status(context, observed.phase.as_ref(), FIELD_MANAGER, &after).await? {
            Written::Stored => {
                if observed.status.state != after.state {
                    info!(from = ?observed.status.state, to = ?after.state, attempt = after.attempt, "state changed");
                }
                events::publish(context, &observed.phase, &observed.status, &after, changes).await;
            }
            // The cache is behind; the watch brings the newer object and with it the next look.
            Written::Moved | Written::Gone => return Ok(Action::await_change()),
        }
    }
    Ok(wake(&after, observed))
}

/// Deadlines are the only thing that no watch announces.
fn wake(status: &PhaseStatus, observed: &Observed) -> Action {
    let now = observed.stamp.now;
    let goes_on = status.suspended_at.is_none() && status.blocked_by.is_empty();
    let backoff = status.backoff_until.as_ref().filter(|_| goes_on).map(|until| until.0);
    let started = status.started_at.as_ref().filter(|_| runs(status.state) && status.suspended_at.is_none());
    let timeout = started.and_then(|started| Some(started.0 + observe::span(observed.phase.spec.timeout?)));
    let given_up = status.state == PhaseState::Failed && observe::passed_once(status);
    let late =
        status.state_since.as_ref().filter(|_| given_up).map(|since| since.0 + LATE_MERGE).filter(|at| *at > now);
    match [backoff, timeout, late].into_iter().flatten().min() {
        Some(at) => {
            let wait = at.duration_since(now).as_secs().max(0);
            Action::requeue(Duration::from_secs(u64::try_from(wait).unwrap_or(0) + 1))
        }
        None => Action::await_change(),
    }
}

fn runs(state: PhaseState) -> bool {
    // A rollback has no timeout of its own: its checks have theirs.
    matches!(state, PhaseState::Preparing | PhaseState::Developing | PhaseState::Reviewing | PhaseState::Backoff)
}

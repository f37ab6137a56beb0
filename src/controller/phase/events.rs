//! What people see in `kubectl describe`: one Event per thing that happened, after it was recorded.

use kube::{
    Resource,
    runtime::events::{Event, EventType},
};
use tracing::warn;

use crate::{
    api::{Phase, PhaseStatus, phase::PhaseState, review_result::Verdict},
    controller::context::Context,
    machine::phase::Change,
};

/// Publishes what changed. A lost Event loses nothing: all of it is in the status too.
pub(super) async fn publish(
    context: &Context,
    phase: &Phase,
    before: &PhaseStatus,
    after: &PhaseStatus,
    changes: &[Change],
) {
    for event in events(before, after, changes) {
        if let Err(error) = context.recorder.publish(&event, &phase.object_ref(&())).await {
            warn!(%error, "failed to publish an Event");
        }
    }
}

fn events(before: &PhaseStatus, after: &PhaseStatus, changes: &[Change]) -> Vec<Event> {
    let mut events: Vec<Event> = changes.iter().filter_map(|change| of_change(change, after)).collect();
    if before.state != after.state {
        let warning = matches!(after.state, PhaseState::Escalated | PhaseState::Failed);
        let why = after.escalation.as_ref().map_or(&after.summary.waiting_for, |escalation| &escalation.message);
        let reason = after
            .escalation
            .as_ref()
            .map_or(format!("{:?}", after.state), |escalation| format!("{:?}", escalation.reason));
        events.push(event(warning, &reason, &format!("{:?} → {:?} {why}", before.state, after.state)));
    }
    if before.blocked_by != after.blocked_by {
        events.extend(
            after.blocked_by.iter().map(|blocked| event(true, &format!("{:?}", blocked.reason), &blocked.message)),
        );
    }
    events
}

fn of_change(change: &Change, after: &PhaseStatus) -> Option<Event> {
    match change {
        Change::Judged { verdict, class, score, categories: _ } => {
            let class = class.map(|class| format!(" ({class:?})")).unwrap_or_default();
            let score = if score.is_empty() { String::new() } else { format!(" with {score}") };
            let text = format!("attempt {}: {verdict:?}{class}{score}", after.summary.attempt);
            Some(event(*verdict != Verdict::Pass, "Reviewed", &text))
        }
        Change::Used { remark, .. } => Some(event(remark.starts_with("ignored"), "Decision", remark)),
        Change::Waived { user, what, .. } => {
            let what = what.findings.iter().chain(&what.criteria).map(String::as_str).collect::<Vec<_>>().join(", ");
            Some(event(false, "Waived", &format!("{user} accepts {what}")))
        }
        Change::TaskIntegrated { task, commit } => Some(event(false, "Integrated", &format!("{task} as {commit}"))),
        Change::TaskAnew { task, why } => Some(event(true, "HandedOutAnew", &format!("{task}: {why}"))),
        Change::Merged { commit, tag, adopted } => {
            let how = if *adopted { "was merged before: " } else { "merged " };
            Some(event(false, "Merged", &format!("{how}{commit}, tag {tag}")))
        }
        Change::Enter(_)
        | Change::RestartClock
        | Change::BeginAttempt { .. }
        | Change::Release { .. }
        | Change::TaskWorking(_)
        | Change::TaskPushed { .. }
        | Change::TaskFailed { .. }
        | Change::BeginReview { .. }
        | Change::DropReview
        | Change::Approved { .. }
        | Change::Note(_)
        | Change::Grant(_)
        | Change::Blocked(_)
        | Change::Escalate { .. } => None,
    }
}

fn event(warning: bool, reason: &str, note: &str) -> Event {
    Event {
        type_: if warning { EventType::Warning } else { EventType::Normal },
        reason: reason.to_owned(),
        note: Some(note.chars().take(1000).collect()),
        action: "Reconcile".to_owned(),
        secondary: None,
    }
}

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
        let warning = matches!(after.state, PhaseState::Escalated | PhaseState::Failed | PhaseState::RolledBack);
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
        Change::Judged { verdict, class, score, categories, evidence: _ } => {
            let class = class.map(|class| format!(" ({class:?})")).unwrap_or_default();
            let score = if score.is_empty() { String::new() } else { format!(" with {score}") };
            let categories: Vec<String> =
                categories.iter().map(|category| format!("{} {}", category.name, category.score)).collect();
            let of = if categories.is_empty() { String::new() } else { format!(": {}", categories.join(", ")) };
            let text = format!("attempt {}: {verdict:?}{class}{score}{of}", after.summary.attempt);
            Some(event(*verdict != Verdict::Pass, "Reviewed", &text))
        }
        Change::Used { remark, .. } => Some(event(remark.starts_with("ignored"), "Decision", remark)),
        Change::Waived { user, what, .. } => {
            let reason = &what.reason;
            let what = what.findings.iter().chain(&what.criteria).map(String::as_str).collect::<Vec<_>>().join(", ");
            Some(event(false, "Waived", &format!("{user} accepts {what}: {reason}")))
        }
        Change::TaskIntegrated { task, commit } => Some(event(false, "Integrated", &format!("{task} as {commit}"))),
        Change::TaskAnew { task, why, conflict: _ } => Some(event(true, "HandedOutAnew", &format!("{task}: {why}"))),
        Change::BaseConflict { base: _, why } => Some(event(true, "BaseConflict", why)),
        Change::Merged { commit, tag, adopted } => {
            let (reason, how) = if *adopted { ("Adopted", "was merged before: ") } else { ("Merged", "merged ") };
            Some(event(false, reason, &format!("{how}{commit}, tag {tag}")))
        }
        Change::Pushing { commit, .. } => Some(event(false, "Pushing", &format!("{commit} goes to the upstream"))),
        Change::BeginRollback { user, reason, .. } => {
            Some(event(false, "RollbackOrdered", &format!("{user}: {reason}")))
        }
        Change::RolledBack { commit } => {
            Some(event(false, "RolledBack", &format!("taken back by {commit}; the tag stays")))
        }
        Change::WasRolledBack { tag, commit, .. } => {
            Some(event(false, "RolledBack", &format!("{tag} was taken back before, by {commit}")))
        }
        Change::EndRollback { why } => Some(event(true, "RollbackGivenUp", why)),
        Change::BeginRevert { .. }
        | Change::DropRevert
        | Change::BeginAnew
        | Change::Scored(_)
        | Change::Enter(_)
        | Change::RestartClock
        | Change::BeginAttempt { .. }
        | Change::Release { .. }
        | Change::TaskWorking(_)
        | Change::WorkFound { .. }
        | Change::TaskPushed { .. }
        | Change::TaskFailed { .. }
        | Change::BeginReview { .. }
        | Change::DropReview
        | Change::DropPush
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::{
            agent_task::FailureClass,
            common::Decimal,
            phase::{CategoryRecord, Escalation, EscalationReason},
        },
        machine::phase::Waived,
    };

    fn told(changes: &[Change], after: &PhaseStatus) -> Vec<(String, String)> {
        let events = events(&PhaseStatus::default(), after, changes);
        events.into_iter().map(|event| (event.reason, event.note.unwrap_or_default())).collect()
    }

    #[test]
    fn a_judgement_is_told_with_the_score_of_each_category() {
        let mut after = PhaseStatus::default();
        after.summary.attempt = "1/3".to_owned();
        let judged = Change::Judged {
            verdict: Verdict::Fail,
            class: Some(FailureClass::ReviewFailed),
            score: "9.01".to_owned(),
            categories: vec![CategoryRecord { name: "security".to_owned(), score: Decimal::from_tenths(40) }],
            evidence: String::new(),
        };
        let text = "attempt 1/3: Fail (ReviewFailed) with 9.01: security 4.0";
        assert_eq!(told(&[judged], &after), [("Reviewed".to_owned(), text.to_owned())]);
    }

    #[test]
    fn a_waiver_is_told_with_who_what_and_why() {
        let what = Waived {
            findings: vec!["f1".to_owned()],
            criteria: vec!["docs".to_owned()],
            reason: "it is right".to_owned(),
            until: None,
        };
        let waived = Change::Waived { uid: "d".to_owned(), user: "ada".to_owned(), what };
        let text = "ada accepts f1, docs: it is right";
        assert_eq!(told(&[waived], &PhaseStatus::default()), [("Waived".to_owned(), text.to_owned())]);
    }

    #[test]
    fn an_escalation_is_a_warning_with_its_reason() {
        let message = "FewerTests: check unit has 9 tests".to_owned();
        let escalation = Escalation { reason: EscalationReason::Gamed, from: PhaseState::Reviewing, message };
        let after =
            PhaseStatus { state: PhaseState::Escalated, escalation: Some(escalation), ..PhaseStatus::default() };
        let text = "Pending → Escalated FewerTests: check unit has 9 tests";
        assert_eq!(told(&[], &after), [("Gamed".to_owned(), text.to_owned())]);
    }
}

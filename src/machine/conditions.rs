//! Conditions by which kstatus, Argo CD and `kubectl wait` understand our kinds (design §4):
//! working = Ready Unknown + Reconciling True; done = Ready True; needs a person = Ready False +
//! Stalled True.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::api::phase::{BlockedReason, PhaseState, PhaseStatus};

/// What an object is to those who wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It works or waits for something that comes by itself.
    Working,
    /// It is done.
    Done,
    /// A person is needed.
    NeedsPerson,
}

/// The three conditions, with the time of the last change kept where nothing changed.
pub fn conditions(
    before: &[Condition],
    health: Health,
    reason: &str,
    message: &str,
    generation: i64,
    now: Timestamp,
) -> Vec<Condition> {
    let (ready, reconciling, stalled) = match health {
        Health::Working => ("Unknown", "True", "False"),
        Health::Done => ("True", "False", "False"),
        Health::NeedsPerson => ("False", "False", "True"),
    };
    [("Ready", ready), ("Reconciling", reconciling), ("Stalled", stalled)]
        .into_iter()
        .map(|(kind, status)| condition(before, kind, (status, reason, message), generation, now))
        .collect()
}

/// One condition: status, reason and message, with the time of the last change kept where nothing changed.
pub fn condition(
    before: &[Condition],
    kind: &str,
    (status, reason, message): (&str, &str, &str),
    generation: i64,
    now: Timestamp,
) -> Condition {
    let since = before.iter().find(|old| old.type_ == kind && old.status == status);
    Condition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        observed_generation: Some(generation),
        last_transition_time: since.map_or(Time(now), |old| old.last_transition_time.clone()),
    }
}

/// Conditions of a Phase.
pub(super) fn of_phase(before: &PhaseStatus, after: &PhaseStatus, now: Timestamp) -> Vec<Condition> {
    let reason = reason(after);
    let message = match (&after.escalation, &after.merge, &after.rollback) {
        (Some(escalation), _, _) => escalation.message.clone(),
        (None, _, Some(rollback)) if after.state == PhaseState::RolledBack => format!(
            "{} was taken back by {}; the tag stays; raise spec.version to deliver it again",
            rollback.tag,
            rollback.reverted.as_deref().unwrap_or_default()
        ),
        (None, Some(merge), _) if after.state == PhaseState::Passed => {
            let how = if after.adopted { "was merged before: " } else { "merged " };
            format!("{how}{} and tagged {}", merge.commit, merge.tag)
        }
        (None, _, _) => after.summary.waiting_for.clone(),
    };
    conditions(&before.conditions, health(after), &reason, &message, after.observed_generation, now)
}

fn reason(status: &PhaseStatus) -> String {
    match (&status.escalation, status.blocked_by.first()) {
        (Some(escalation), _) => format!("{:?}", escalation.reason),
        (None, Some(blocked)) => format!("{:?}", blocked.reason),
        // Who made a phase anew looks here for why nothing was done.
        (None, None) if status.adopted && status.state == PhaseState::Passed => "Adopted".to_owned(),
        (None, None) => format!("{:?}", status.state),
    }
}

fn health(status: &PhaseStatus) -> Health {
    match status.state {
        PhaseState::Passed => Health::Done,
        // Nothing happens to what was rolled back until a person raises the version: whoever waits for it must not hang.
        PhaseState::Escalated | PhaseState::Failed | PhaseState::AwaitingApproval | PhaseState::RolledBack => {
            Health::NeedsPerson
        }
        PhaseState::Pending
        | PhaseState::Preparing
        | PhaseState::Developing
        | PhaseState::Reviewing
        | PhaseState::Backoff
        | PhaseState::RollingBack
        | PhaseState::Merging => {
            if status.blocked_by.iter().any(|blocked| needs_person(blocked.reason)) {
                Health::NeedsPerson
            } else {
                Health::Working
            }
        }
    }
}

fn needs_person(reason: BlockedReason) -> bool {
    match reason {
        BlockedReason::Suspended
        | BlockedReason::DependencyNotPassed
        | BlockedReason::RepositoryNotReady
        | BlockedReason::OperationFailed => false,
        BlockedReason::DependencyMissing
        | BlockedReason::DependencyCycle
        | BlockedReason::TaskCycle
        | BlockedReason::RepositoryMissing
        | BlockedReason::AgentMissing
        | BlockedReason::PodTemplateMissing
        | BlockedReason::PodTemplateInvalid
        | BlockedReason::CheckImageMissing
        | BlockedReason::CheckNameTaken
        | BlockedReason::CheckUnknown
        | BlockedReason::CriterionUnprovable
        | BlockedReason::NoEvidencePossible
        | BlockedReason::WeakensGate
        | BlockedReason::NumberTaken
        | BlockedReason::TagPromised
        | BlockedReason::WeightMissing
        | BlockedReason::TooManyDecisions => true,
    }
}

//! What persons have decided about a phase: which Decisions are still to be acted on, oldest first.

use std::sync::Arc;

use kube::ResourceExt;

use super::observe::unsigned;
use crate::{
    api::{Decision, Phase, PhaseStatus, decision::DecisionType},
    controller::context::Context,
    machine::phase::{MAX_USED, Order, OrderKind, Waived},
};

pub(super) fn decisions(phase: &Phase, context: &Context) -> Vec<Arc<Decision>> {
    let mut mine = context.stores.decisions.state_filter(|decision| super::speaks_of(decision, phase));
    mine.sort_by_key(|decision| (decision.creation_timestamp(), decision.name_any()));
    mine
}

/// The newest of Suspend and Resume holds. While Decisions cannot be believed, only those that were acted on count.
pub(super) fn suspended_by_person(decisions: &[Arc<Decision>], trusted: bool, status: &PhaseStatus) -> bool {
    let pauses = |decision: &&Arc<Decision>| {
        let believed = trusted || status.used_decisions.contains(&decision.uid().unwrap_or_default());
        believed && matches!(decision.spec.kind, DecisionType::Suspend | DecisionType::Resume)
    };
    decisions.iter().rfind(pauses).is_some_and(|newest| newest.spec.kind == DecisionType::Suspend)
}

pub(super) fn orders(decisions: &[Arc<Decision>], status: &PhaseStatus) -> Vec<Order> {
    let used = |decision: &Arc<Decision>| status.used_decisions.contains(&decision.uid().unwrap_or_default());
    // Older than all that are remembered: it was acted on, and forgotten since.
    let full = status.used_decisions.len() >= MAX_USED;
    let from = if full { decisions.iter().position(used).unwrap_or(decisions.len()) } else { 0 };
    decisions.iter().skip(from).filter(|decision| !used(decision)).map(|decision| order(decision)).collect()
}

fn order(decision: &Decision) -> Order {
    let spec = &decision.spec;
    let kind = match spec.kind {
        DecisionType::Approve => {
            OrderKind::Approve(spec.answers.iter().map(|answer| (answer.criterion.clone(), answer.met)).collect())
        }
        DecisionType::Reject => OrderKind::Reject,
        DecisionType::Retry => OrderKind::Retry(unsigned(spec.attempts.unwrap_or(1)).max(1)),
        DecisionType::Abort => OrderKind::Abort,
        DecisionType::Waive => OrderKind::Waive(Waived {
            findings: spec.findings.clone(),
            criteria: spec.criteria.clone(),
            reason: spec.reason.clone(),
            until: spec.until.as_ref().map(|until| until.0.as_second()),
        }),
        DecisionType::Suspend | DecisionType::Resume => OrderKind::Pause,
        DecisionType::Rerun | DecisionType::Rollback | DecisionType::Answer => OrderKind::Unsupported,
    };
    let answers = spec.answers.iter().filter(|answer| !answer.note.is_empty());
    let notes = answers.map(|answer| format!("{}: {}", answer.criterion, answer.note));
    let note =
        std::iter::once(spec.note.clone()).filter(|note| !note.is_empty()).chain(notes).collect::<Vec<_>>().join("; ");
    Order {
        uid: decision.uid().unwrap_or_default(),
        kind,
        attempt: unsigned(spec.attempt),
        commit: spec.commit.clone(),
        user: spec.user.clone(),
        note,
    }
}

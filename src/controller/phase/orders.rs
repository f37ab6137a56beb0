//! What persons have decided about a phase: which Decisions are still to be acted on, oldest first.
//!
//! Each is used once. That rests on the record of used ones alone, never on their order: a Decision can come to light
//! later than a younger one. So none is forgotten while it exists, and where the record is full nobody is obeyed.

use std::{collections::HashSet, sync::Arc};

use kube::ResourceExt;

use super::observe::unsigned;
use crate::{
    api::{
        Decision, Phase, PhaseStatus,
        decision::DecisionType,
        phase::{Blocked, BlockedReason},
    },
    controller::context::Context,
    machine::phase::{MAX_USED, Order, OrderKind, Waived},
};

/// The Decisions about a phase, oldest first.
pub(super) fn decisions(phase: &Phase, context: &Context) -> Vec<Arc<Decision>> {
    let mut mine = context.stores.decisions.state_filter(|decision| super::speaks_of(decision, phase));
    mine.sort_by_key(|decision| age(decision));
    mine
}

/// Times are whole seconds; within one the API server's own count tells. A Decision never changes, so it is that of
/// its creation.
fn age(decision: &Decision) -> impl Ord + use<> {
    let version = decision.resource_version().and_then(|version| version.parse::<u64>().ok());
    (decision.creation_timestamp(), version, decision.name_any())
}

/// The newest of Suspend and Resume holds. While Decisions cannot be believed, only those that were acted on count.
pub(super) fn suspended_by_person(decisions: &[Arc<Decision>], trusted: bool, status: &PhaseStatus) -> bool {
    let pauses = |decision: &&Arc<Decision>| {
        let believed = trusted || status.used_decisions.contains(&decision.uid().unwrap_or_default());
        believed && matches!(decision.spec.kind, DecisionType::Suspend | DecisionType::Resume)
    };
    decisions.iter().rfind(pauses).is_some_and(|newest| newest.spec.kind == DecisionType::Suspend)
}

/// What is still to be acted on; nothing if it could not be remembered.
pub(super) fn orders(decisions: &[Arc<Decision>], status: &PhaseStatus) -> Vec<Order> {
    let (used, open) = parted(decisions, status);
    if used < MAX_USED { open.into_iter().map(order).collect() } else { Vec::new() }
}

/// Why nobody is obeyed, if so.
pub(super) fn too_many(decisions: &[Arc<Decision>], status: &PhaseStatus) -> Option<Blocked> {
    let (used, open) = parted(decisions, status);
    let message = format!(
        "{used} Decisions about this phase were acted on and still exist; no more can be remembered, and {} wait: delete old ones (kubectl get decisions), but not the last Suspend or Resume",
        open.len()
    );
    (used >= MAX_USED && !open.is_empty()).then_some(Blocked { reason: BlockedReason::TooManyDecisions, message })
}

/// How many of the Decisions are used, and those that are not.
fn parted<'a>(decisions: &'a [Arc<Decision>], status: &PhaseStatus) -> (usize, Vec<&'a Decision>) {
    let used: HashSet<&str> = status.used_decisions.iter().map(String::as_str).collect();
    let is_used = |decision: &&Decision| decision.metadata.uid.as_deref().is_some_and(|uid| used.contains(uid));
    let (used, open): (Vec<&Decision>, Vec<&Decision>) = decisions.iter().map(AsRef::as_ref).partition(is_used);
    (used.len(), open)
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
        DecisionType::Rollback => OrderKind::Rollback,
        DecisionType::Waive => OrderKind::Waive(Waived {
            findings: spec.findings.clone(),
            criteria: spec.criteria.clone(),
            reason: spec.reason.clone(),
            until: spec.until.as_ref().map(|until| until.0.as_second()),
        }),
        DecisionType::Suspend | DecisionType::Resume => OrderKind::Pause,
        DecisionType::Rerun | DecisionType::Answer => OrderKind::Unsupported,
    };
    let answers = spec.answers.iter().filter(|answer| !answer.note.is_empty());
    let notes = answers.map(|answer| format!("{}: {}", answer.criterion, answer.note));
    let said = if spec.kind == DecisionType::Rollback { &spec.reason } else { &spec.note };
    let note =
        std::iter::once(said.clone()).filter(|note| !note.is_empty()).chain(notes).collect::<Vec<_>>().join("; ");
    Order {
        uid: decision.uid().unwrap_or_default(),
        kind,
        attempt: unsigned(spec.attempt),
        commit: spec.commit.clone(),
        user: spec.user.clone(),
        note,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    /// The Decision that was made as the n-th, at this second.
    fn made(n: usize, second: i64, kind: &str) -> Arc<Decision> {
        let created = jiff::Timestamp::from_second(second).unwrap();
        let decision = json!({
            "apiVersion": "phasegate.dev/v1alpha1", "kind": "Decision",
            // Names as they are generated say nothing of the order.
            "metadata": {"name": format!("d-{}", 1000 - n), "uid": format!("d{n}"), "creationTimestamp": created, "resourceVersion": n.to_string()},
            "spec": {"type": kind, "phase": "p", "phaseUID": "u", "attempt": 1, "user": "ada", "note": ""},
        });
        Arc::new(serde_json::from_value(decision).unwrap())
    }

    fn many(count: usize) -> Vec<Arc<Decision>> {
        (0..count).map(|n| made(n, i64::try_from(n).unwrap(), "Retry")).collect()
    }

    fn used(numbers: impl IntoIterator<Item = usize>) -> PhaseStatus {
        let used_decisions = numbers.into_iter().map(|n| format!("d{n}")).collect();
        PhaseStatus { used_decisions, ..PhaseStatus::default() }
    }

    #[rstest]
    #[case::all_of_them(many(3), used([]), &["d0", "d1", "d2"])]
    #[case::those_that_are_not_used(many(3), used([1]), &["d0", "d2"])]
    #[case::one_that_came_to_light_after_younger_ones(many(200), used(1..200), &["d0"])]
    #[case::none_that_could_not_be_remembered(many(201), used(0..200), &[])]
    #[case::none_that_was_used_out_of_turn_and_none_forgotten(many(203), used((3..203).rev()), &[])]
    #[case::one_for_which_those_that_are_gone_make_room(many(201).split_off(1), used(0..200), &["d200"])]
    fn what_is_to_be_acted_on(
        #[case] decisions: Vec<Arc<Decision>>,
        #[case] status: PhaseStatus,
        #[case] expected: &[&str],
    ) {
        let open: Vec<String> = orders(&decisions, &status).into_iter().map(|order| order.uid).collect();
        assert_eq!(open, expected);
        let waits = decisions.len() > status.used_decisions.len() && expected.is_empty();
        assert_eq!(too_many(&decisions, &status).is_some(), waits, "who is not obeyed is told why");
    }

    /// However many there are, and if one is deleted whenever there is no room: each is acted on once.
    #[test]
    fn every_one_of_a_thousand_is_acted_on_once() {
        let (mut decisions, mut status, mut obeyed) = (many(1000), PhaseStatus::default(), Vec::new());
        while obeyed.len() < 1000 {
            let Some(next) = orders(&decisions, &status).into_iter().next() else {
                assert!(too_many(&decisions, &status).is_some());
                decisions.remove(0);
                continue;
            };
            obeyed.push(next.uid.clone());
            let uids: Vec<String> = decisions.iter().filter_map(|decision| decision.uid()).collect();
            crate::machine::phase::remember(&mut status, &next.uid, &uids);
            assert!(status.used_decisions.len() <= MAX_USED);
        }
        assert_eq!(obeyed, (0..1000).map(|n| format!("d{n}")).collect::<Vec<_>>());
    }

    #[test]
    fn of_two_in_the_same_second_the_later_one_holds() {
        let mut decisions = vec![made(2, 5, "Resume"), made(1, 5, "Suspend"), made(0, 5, "Resume")];
        decisions.sort_by_key(|decision| age(decision));
        assert!(!suspended_by_person(&decisions, true, &used([])));
        decisions.remove(2);
        assert!(suspended_by_person(&decisions, true, &used([])));
    }
}

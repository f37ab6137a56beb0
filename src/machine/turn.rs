//! Whose turn it is on a base branch: one phase at a time from Reviewing to Merging, or rolling back, so that what was
//! reviewed on top of the base branch is merged on top of it (design §5).
//!
//! The turn is computed from the phases' own records, never stored: there is no lock that a crash could leave behind. It
//! is given up while a person is waited for. The base branch then moves at most once per merge of another phase, and a
//! phase that holds the turn is reviewed once for each move from outside (an approval that ends a wait, an upstream).
//! To batch several phases into one review, [`holder`] would name several.

use jiff::Timestamp;

use crate::api::phase::{BlockedReason, PhaseState, PhaseStatus};

/// The place of a phase in the queue of its base branch: what comes first, since when it waits, then its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    rank: Rank,
    since: Timestamp,
    name: String,
}

/// What goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// What is judged and approved moves the base branch next, whoever came into its way while a person was waited for: to let
    /// that go first would mean another review and another approval, again and again.
    Due,
    /// What is under review, or past it, is brought to its end: to stop it would waste what it has cost.
    UnderWay,
    /// A hotfix is what cannot wait. It does not wait for phases that have not begun their review.
    Hotfix,
    /// Everything else.
    Phase,
}

/// The place of a phase, by its record; none if it does not ask for the turn.
pub fn place(name: &str, is_hotfix: bool, status: &PhaseStatus) -> Option<Place> {
    let since = status.turn_since.as_ref().filter(|_| needs_turn(status.state))?;
    let is_due = status.state == PhaseState::Merging || is_pushed(status);
    let rank = match (is_under_way(status), is_hotfix) {
        (true, _) if is_due => Rank::Due,
        (true, _) => Rank::UnderWay,
        (false, true) => Rank::Hotfix,
        (false, false) => Rank::Phase,
    };
    Some(Place { rank, since: since.0, name: name.to_owned() })
}

/// Whether it is known what is to be merged: the base branch is integrated, or the revert is made.
fn is_under_way(status: &PhaseStatus) -> bool {
    if status.state == PhaseState::RollingBack {
        return status.rollback.as_ref().is_some_and(|rollback| !rollback.commit.is_empty());
    }
    status.review.as_ref().is_some_and(|review| !review.commit.is_empty())
}

/// Who has the turn: what is under way, then hotfixes, and among equals first come, first served.
pub fn holder(queue: impl Iterator<Item = Place>) -> Option<String> {
    queue.min().map(|first| first.name)
}

/// Whether a phase asks for the turn, or keeps it. It gives it up while it cannot go on, so that others on the same base
/// branch do not wait for a person. What is tried again by itself keeps its place.
///
/// What may be out at the upstream keeps it whatever happens: it is merged next. A rollback that waits for `dependants` to stop
/// does not ask yet: they may need the turn to come to their end.
pub fn asks(status: &PhaseStatus, suspended: bool, dependants: &[String]) -> bool {
    let stops = |reason| reason != BlockedReason::OperationFailed;
    let is_stopped = suspended || status.blocked_by.iter().any(|blocked| stops(blocked.reason));
    let waits = status.state == PhaseState::RollingBack && !dependants.is_empty();
    needs_turn(status.state) && (is_pushed(status) || !(is_stopped || waits))
}

/// Whether a push to the upstream is recorded, and the merge follows it.
fn is_pushed(status: &PhaseStatus) -> bool {
    let goes_out = matches!(status.state, PhaseState::Merging | PhaseState::RollingBack);
    goes_out && status.push.as_ref().is_some_and(|push| !push.task.is_empty())
}

fn needs_turn(state: PhaseState) -> bool {
    match state {
        PhaseState::Reviewing | PhaseState::Merging | PhaseState::RollingBack => true,
        PhaseState::Pending
        | PhaseState::Preparing
        | PhaseState::Developing
        | PhaseState::Backoff
        | PhaseState::AwaitingApproval
        | PhaseState::Passed
        | PhaseState::Escalated
        | PhaseState::RolledBack
        | PhaseState::Failed => false,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use rstest::rstest;

    use super::*;
    use crate::api::phase::{Blocked, PushStatus, ReviewStatus, RollbackStatus};

    fn phase(state: PhaseState, since: Option<i64>) -> PhaseStatus {
        let turn_since = since.map(|second| Time(Timestamp::from_second(second).unwrap()));
        PhaseStatus { state, turn_since, ..PhaseStatus::default() }
    }

    #[rstest]
    #[case::nobody(&[], None)]
    #[case::one(&[("a", PhaseState::Reviewing, Some(5))], Some("a"))]
    #[case::the_first_come(&[("a", PhaseState::Reviewing, Some(5)), ("b", PhaseState::Merging, Some(4))], Some("b"))]
    #[case::by_name_in_the_same_second(&[("b", PhaseState::Reviewing, Some(5)), ("a", PhaseState::Reviewing, Some(5))], Some("a"))]
    #[case::a_rollback_takes_its_turn_too(&[("a", PhaseState::RollingBack, Some(1)), ("b", PhaseState::Reviewing, Some(2))], Some("a"))]
    #[case::who_waits_for_a_person_does_not_hold_others(
        &[("a", PhaseState::AwaitingApproval, Some(1)), ("b", PhaseState::Reviewing, Some(2))], Some("b")
    )]
    #[case::nor_who_develops(&[("a", PhaseState::Developing, None), ("b", PhaseState::Reviewing, Some(2))], Some("b"))]
    #[case::nor_who_gave_it_up(&[("a", PhaseState::Reviewing, None), ("b", PhaseState::Reviewing, Some(2))], Some("b"))]
    fn the_turn_is_of_who_came_first(
        #[case] phases: &[(&str, PhaseState, Option<i64>)],
        #[case] expected: Option<&str>,
    ) {
        let forth = phases.iter().filter_map(|(name, state, since)| place(name, false, &phase(*state, *since)));
        let back = phases.iter().rev().filter_map(|(name, state, since)| place(name, false, &phase(*state, *since)));
        assert_eq!(holder(forth).as_deref(), expected);
        assert_eq!(holder(back).as_deref(), expected, "in any order");
    }

    /// With the base branch integrated.
    fn reviewed(since: i64) -> PhaseStatus {
        let review = Some(ReviewStatus { commit: "c".to_owned(), ..ReviewStatus::default() });
        PhaseStatus { review, ..phase(PhaseState::Reviewing, Some(since)) }
    }

    /// With the review dropped, as when the base branch has moved.
    fn dropped(since: i64) -> PhaseStatus {
        PhaseStatus { review: Some(ReviewStatus::default()), ..phase(PhaseState::Reviewing, Some(since)) }
    }

    fn reverted(since: i64) -> PhaseStatus {
        let rollback = Some(RollbackStatus { commit: "c".to_owned(), ..RollbackStatus::default() });
        PhaseStatus { rollback, ..phase(PhaseState::RollingBack, Some(since)) }
    }

    #[rstest]
    #[case::before_a_phase_that_waits(
        phase(PhaseState::Reviewing, Some(1)),
        phase(PhaseState::Reviewing, Some(9)),
        "fix"
    )]
    #[case::before_one_whose_base_moved(dropped(1), phase(PhaseState::Reviewing, Some(9)), "fix")]
    #[case::before_a_rollback_that_waits(
        phase(PhaseState::RollingBack, Some(1)),
        phase(PhaseState::Reviewing, Some(9)),
        "fix"
    )]
    #[case::after_what_is_under_review(reviewed(1), phase(PhaseState::Reviewing, Some(9)), "phase")]
    #[case::after_what_came_later_and_is_under_review(reviewed(9), phase(PhaseState::Reviewing, Some(1)), "phase")]
    #[case::after_a_revert_that_is_checked(reverted(1), phase(PhaseState::Reviewing, Some(9)), "phase")]
    #[case::once_it_is_under_review_itself(phase(PhaseState::Reviewing, Some(1)), reviewed(9), "fix")]
    #[case::not_while_it_waits_for_a_person(
        phase(PhaseState::Reviewing, Some(1)),
        phase(PhaseState::AwaitingApproval, None),
        "phase"
    )]
    #[case::past_who_waits_for_a_person(
        phase(PhaseState::AwaitingApproval, None),
        phase(PhaseState::Reviewing, Some(9)),
        "fix"
    )]
    fn a_hotfix_goes_first(#[case] other: PhaseStatus, #[case] hotfix: PhaseStatus, #[case] expected: &str) {
        let queue = [place("phase", false, &other), place("fix", true, &hotfix)];
        assert_eq!(holder(queue.into_iter().flatten()).as_deref(), Some(expected));
    }

    #[rstest]
    #[case::reviewing(PhaseState::Reviewing, false, None, true)]
    #[case::merging(PhaseState::Merging, false, None, true)]
    #[case::rolling_back(PhaseState::RollingBack, false, None, true)]
    #[case::suspended(PhaseState::Reviewing, true, None, false)]
    #[case::blocked(PhaseState::Reviewing, false, Some(BlockedReason::AgentMissing), false)]
    #[case::tried_again_by_itself(PhaseState::Merging, false, Some(BlockedReason::OperationFailed), true)]
    #[case::awaiting_approval(PhaseState::AwaitingApproval, false, None, false)]
    #[case::escalated(PhaseState::Escalated, false, None, false)]
    #[case::developing(PhaseState::Developing, false, None, false)]
    fn the_turn_is_asked_for_while_a_phase_goes_on(
        #[case] state: PhaseState,
        #[case] suspended: bool,
        #[case] reason: Option<BlockedReason>,
        #[case] expected: bool,
    ) {
        let blocked_by = reason.into_iter().map(|reason| Blocked { reason, message: String::new() }).collect();
        assert_eq!(asks(&PhaseStatus { blocked_by, ..phase(state, None) }, suspended, &[]), expected);
    }

    #[rstest]
    #[case::to_be_merged_next(PhaseState::Merging, true, &[], true)]
    #[case::to_be_taken_back_next(PhaseState::RollingBack, true, &["p2"], true)]
    #[case::of_a_review_that_was_dropped(PhaseState::Reviewing, true, &[], false)]
    fn what_may_be_out_keeps_the_turn(
        #[case] state: PhaseState,
        #[case] suspended: bool,
        #[case] dependants: &[&str],
        #[case] expected: bool,
    ) {
        let push = Some(PushStatus { task: "p.push0.m1".to_owned(), ..PushStatus::default() });
        let dependants: Vec<String> = dependants.iter().map(ToString::to_string).collect();
        assert_eq!(asks(&PhaseStatus { push, ..phase(state, None) }, suspended, &dependants), expected);
    }

    #[test]
    fn what_is_approved_moves_the_base_branch_before_what_is_still_judged() {
        let reviewed = |state, since| PhaseStatus {
            review: Some(ReviewStatus { commit: "c".to_owned(), ..ReviewStatus::default() }),
            ..phase(state, Some(since))
        };
        let (judged, approved) = (reviewed(PhaseState::Reviewing, 1), reviewed(PhaseState::Merging, 9));
        let queue = [place("judged", true, &judged), place("approved", false, &approved)];
        assert_eq!(holder(queue.into_iter().flatten()).as_deref(), Some("approved"));
    }

    #[test]
    fn a_rollback_that_waits_for_others_to_stop_does_not_keep_them_from_it() {
        let waits = |dependants: &[String]| asks(&phase(PhaseState::RollingBack, None), false, dependants);
        assert!(!waits(&["p2".to_owned()]));
        assert!(waits(&[]));
    }
}

//! What passed goes to the upstream before the base branch moves.

use rstest::rstest;

use super::bench::{Bench, merged, row};
use crate::{
    api::phase::{EscalationReason, PhaseState},
    machine::phase::{Action, Answer, CheckWork, OrderKind, PushFact},
};

fn pushing() -> (Action, Answer) {
    (Action::Push, Answer::Pushing { task: "p.push0.m1".into(), commit: "m1".into() })
}

/// A phase in Merging whose Repository delivers.
fn due() -> Bench {
    Bench::merging().with(|world| world.push = PushFact::Missing)
}

/// With a push that is seen so.
fn seen(push: PushFact) -> Bench {
    let mut bench = due();
    bench.step(&[pushing()]);
    bench.with(|world| world.push = push)
}

fn refused() -> Bench {
    seen(PushFact::Refused("main is protected".into()))
}

/// A rollback whose revert has passed its checks.
fn rollback(push: PushFact) -> Bench {
    let mut bench = Bench::merging();
    bench.step(&[(Action::Merge, merged())]);
    let mut bench = bench.order(OrderKind::Rollback, None);
    bench.step(&[]);
    bench.step(&[(Action::Revert, Answer::Reverted { commit: "v1".into(), tree: "t".into(), base: "b1".into() })]);
    bench.with(|world| {
        world.check_tasks.insert("p.rollback1-1.test".into(), CheckWork::Ended);
        world.push = push;
    })
}

#[rstest]
#[case::goes_out_before_the_base_moves(due(), vec![pushing()], &["Push", "Pushing(m1)"], PhaseState::Merging, &["Push"])]
#[case::is_made_anew_where_the_base_moved(
    due(), vec![(Action::Push, Answer::BaseMoved)], &["Push", "DropReview", "Enter(Reviewing)"], PhaseState::Reviewing, &["IntegrateBase"]
)]
#[case::was_out_before_a_crash(due(), vec![(Action::Push, merged())], &["Push", "Merged(m1)", "Enter(Passed)"], PhaseState::Passed, &[])]
#[case::waits_for_its_pod(seen(PushFact::Waiting), vec![], &[], PhaseState::Merging, &[])]
#[case::is_waited_for(seen(PushFact::Active), vec![], &[], PhaseState::Merging, &[])]
#[case::is_merged_here_once_it_is_out(
    seen(PushFact::Pushed), vec![(Action::Merge, merged())], &["Merge", "Merged(m1)", "Enter(Passed)"], PhaseState::Passed, &[]
)]
#[case::is_reviewed_again_where_the_upstream_moved(
    seen(PushFact::Moved), vec![], &["DropReview", "Enter(Reviewing)"], PhaseState::Reviewing, &["IntegrateBase"]
)]
#[case::that_is_refused_asks_a_person(refused(), vec![], &["Escalate(PushRejected)"], PhaseState::Escalated, &[])]
#[case::at_work_is_waited_for_whatever_a_person_says(
    seen(PushFact::Active).order(OrderKind::Abort, None), vec![], &[], PhaseState::Merging, &[]
)]
#[case::at_work_is_waited_for_while_suspended(
    seen(PushFact::Active).with(|w| w.suspended = true), vec![], &[], PhaseState::Merging, &[]
)]
#[case::that_is_out_is_merged_whatever_a_person_says(
    seen(PushFact::Pushed).order(OrderKind::Abort, None), vec![(Action::Merge, merged())],
    &["Merge", "Merged(m1)", "Enter(Passed)"], PhaseState::Passed, &[]
)]
#[case::that_is_out_is_merged_by_whatever_gate(
    seen(PushFact::Pushed).with(|w| w.gate_hash = "g2".into()), vec![(Action::Merge, merged())],
    &["Merge", "Merged(m1)", "Enter(Passed)"], PhaseState::Passed, &[]
)]
#[case::that_waits_is_stopped_by_another_gate(
    seen(PushFact::Waiting).with(|w| w.gate_hash = "g2".into()), vec![],
    &["StopTasks", "Claim", "DropReview", "Enter(Reviewing)"], PhaseState::Reviewing, &["IntegrateBase"]
)]
#[case::waits_for_the_turn(due().with(|w| w.has_turn = false), vec![], &[], PhaseState::Merging, &[])]
#[case::is_begun_once_it_is_recorded(
    seen(PushFact::Recorded), vec![pushing()], &["Push", "Pushing(m1)"], PhaseState::Merging, &["Push"]
)]
#[case::that_waits_is_let_go_while_suspended(
    seen(PushFact::Waiting).with(|w| w.suspended = true), vec![], &["StopTasks", "DropPush"], PhaseState::Merging, &["StopTasks"]
)]
#[case::that_came_to_nothing_is_let_go_while_suspended(
    seen(PushFact::Moved).with(|w| w.suspended = true), vec![], &["DropPush"], PhaseState::Merging, &[]
)]
#[case::that_is_refused_is_let_go_while_suspended(
    refused().with(|w| w.suspended = true), vec![], &["DropPush"], PhaseState::Merging, &[]
)]
#[case::that_is_recorded_is_let_go_while_suspended(
    seen(PushFact::Recorded).with(|w| w.suspended = true), vec![], &["StopTasks", "DropPush"], PhaseState::Merging, &["StopTasks"]
)]
#[case::that_is_recorded_is_stopped_by_another_gate(
    seen(PushFact::Recorded).with(|w| w.gate_hash = "g2".into()), vec![],
    &["StopTasks", "Claim", "DropReview", "Enter(Reviewing)"], PhaseState::Reviewing, &["IntegrateBase"]
)]
#[case::that_waits_is_stopped_before_the_phase_is_given_up(
    seen(PushFact::Waiting).order(OrderKind::Abort, None), vec![],
    &["StopTasks", "Claim", "Note()", "Enter(Failed)", "Used(given up by ada)"], PhaseState::Failed, &["StopTasks", "Claim"]
)]
#[case::of_a_revert_goes_out_before_the_base_moves(
    rollback(PushFact::Missing), vec![pushing()], &["Push", "Pushing(m1)"], PhaseState::RollingBack, &["Push"]
)]
#[case::of_a_revert_is_merged_here_once_it_is_out(
    rollback(PushFact::Pushed), vec![(Action::RollBack, Answer::RolledBack { commit: "m2".into() })],
    &["RollBack", "RolledBack(m2)"], PhaseState::RolledBack, &[]
)]
#[case::of_a_revert_is_made_anew_where_the_upstream_moved(
    rollback(PushFact::Moved), vec![], &["DropRevert"], PhaseState::RollingBack, &["Revert"]
)]
#[case::of_a_revert_that_is_refused_asks_a_person(
    rollback(PushFact::Refused("protected".into())), vec![], &["Escalate(PushRejected)"], PhaseState::Escalated, &[]
)]
fn a_push(
    #[case] bench: Bench,
    #[case] answers: Vec<(Action, Answer)>,
    #[case] told: &[&str],
    #[case] then: PhaseState,
    #[case] next: &[&str],
) {
    row(bench, &answers, told, then, next);
}

#[test]
fn a_refusal_is_told_in_the_upstreams_words_and_another_try_is_another_push() {
    let mut bench = refused();
    bench.step(&[]);
    let escalation = bench.status.escalation.clone().unwrap();
    assert_eq!(escalation.reason, EscalationReason::PushRejected);
    assert!(escalation.message.contains("main is protected"), "{}", escalation.message);
    let mut bench = bench.order(OrderKind::Retry(1), None).with(|world| world.push = PushFact::Missing);
    assert_eq!(bench.step(&[]), ["RestartClock", "DropPush", "Enter(Merging)", "Used(retried by ada)"]);
    let push = bench.status.push.clone().unwrap();
    assert_eq!((push.given_up, push.task.as_str()), (1, ""), "its AgentTask gets a name of its own");
    assert_eq!(bench.next(), ["Push"]);
    assert_eq!(bench.status.attempt, 1, "nothing was judged, so that no attempt is spent");
}

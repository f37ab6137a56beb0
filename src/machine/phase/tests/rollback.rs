//! A passed phase is taken back, what depends on it, and how it comes again.

use rstest::rstest;

use super::bench::{Bench, claimed, conflict, merged, row};
use crate::{
    api::{
        phase::{EscalationReason, PhaseState, PhaseTaskState},
        review_result::Verdict,
    },
    machine::phase::{Action, Answer, CheckWork, Dependants, OrderKind},
};

fn reverted(commit: &str) -> (Action, Answer) {
    let answer = Answer::Reverted { commit: commit.into(), tree: format!("t-{commit}"), base: "b1".into() };
    (Action::Revert, answer)
}

fn done() -> Answer {
    Answer::RolledBack { commit: "m2".into() }
}

fn passed() -> Bench {
    let mut bench = Bench::merging();
    bench.step(&[(Action::Merge, merged())]);
    bench
}

fn ordered() -> Bench {
    passed().order(OrderKind::Rollback, None)
}

/// A phase in RollingBack, before its revert is made.
fn begun() -> Bench {
    let mut bench = ordered();
    bench.step(&[]);
    bench
}

fn seen(bench: Bench, check: CheckWork) -> Bench {
    bench.with(|world| {
        world.check_tasks.insert("p.rollback1-1.test".into(), check);
    })
}

/// With a revert whose check is at work.
fn checking() -> Bench {
    let mut bench = begun();
    bench.step(&[reverted("v1")]);
    seen(bench, CheckWork::Active)
}

/// With a revert whose check has ended.
fn checked() -> Bench {
    seen(checking(), CheckWork::Ended)
}

fn refused() -> Bench {
    let mut bench =
        checked().with(|world| world.rollback_refused = Some((EscalationReason::RollbackFailed, "test failed".into())));
    bench.step(&[]);
    bench
}

fn rolled_back() -> Bench {
    let mut bench = checked();
    bench.step(&[(Action::RollBack, done())]);
    bench
}

fn on_top(passed: &[&str], at_work: &[&str]) -> Dependants {
    let names = |of: &[&str]| of.iter().map(ToString::to_string).collect();
    Dependants { passed: names(passed), at_work: names(at_work) }
}

#[rstest]
#[case::is_made_on_the_base(begun(), &[reverted("v1")], &["Revert", "BeginRevert(v1)"], PhaseState::RollingBack, &["EnsureCheck(test)"])]
#[case::waits_for_its_turn(begun().with(|w| w.has_turn = false), &[], &[], PhaseState::RollingBack, &[])]
#[case::waits_until_what_builds_upon_it_stops(
    begun().with(|w| w.dependants = on_top(&[], &["p2"])), &[], &[], PhaseState::RollingBack, &[]
)]
#[case::was_merged_before_a_crash(begun(), &[(Action::Revert, done())], &["Revert", "RolledBack(m2)"], PhaseState::RolledBack, &[])]
#[case::was_given_up_before_a_crash(begun(), &[], &["Revert", "EndRollback"], PhaseState::Passed, &[])]
#[case::conflicts_with_what_came_later(
    begun(), &[(Action::Revert, conflict(&["x"]))], &["Revert", "Escalate(Conflict)"], PhaseState::Escalated, &[]
)]
#[case::is_of_no_merge_of_the_base(
    begun(), &[(Action::Revert, Answer::NotMerged)], &["Revert", "Escalate(RollbackFailed)"], PhaseState::Escalated, &[]
)]
#[case::waits_for_its_checks(checking(), &[], &[], PhaseState::RollingBack, &[])]
#[case::is_merged_once_they_passed(
    checked(), &[(Action::RollBack, done())], &["RollBack", "RolledBack(m2)"], PhaseState::RolledBack, &[]
)]
#[case::is_made_anew_where_the_base_moved(
    checked(), &[(Action::RollBack, Answer::BaseMoved)], &["RollBack", "DropRevert"], PhaseState::RollingBack, &["Revert"]
)]
#[case::is_made_anew_where_somebody_moved_its_branch(
    checked(), &[(Action::RollBack, Answer::NotReviewed("elsewhere".into()))], &["RollBack", "DropRevert"], PhaseState::RollingBack, &["Revert"]
)]
#[case::is_checked_anew_by_another_gate(
    checking().with(|w| w.gate_hash = "g2".into()), &[], &["StopTasks", "DropRevert"], PhaseState::RollingBack, &["Revert"]
)]
#[case::starts_nothing_while_suspended(begun().with(|w| w.suspended = true), &[], &[], PhaseState::RollingBack, &[])]
#[case::merges_nothing_while_suspended(checked().with(|w| w.suspended = true), &[], &[], PhaseState::RollingBack, &[])]
#[case::is_not_on_the_clock_of_the_phase(checking().with(|w| w.timed_out = true), &[], &[], PhaseState::RollingBack, &[])]
#[case::is_given_up_for_what_passed_meanwhile(
    checked().with(|w| w.dependants = on_top(&["p2"], &[])), &[], &["StopTasks", "GiveUpRollback", "EndRollback"], PhaseState::Passed, &[]
)]
#[case::that_was_merged_stands_also_then(
    checked().with(|w| w.dependants = on_top(&["p2"], &[])), &[(Action::GiveUpRollback, done())],
    &["StopTasks", "GiveUpRollback", "RolledBack(m2)"], PhaseState::RolledBack, &[]
)]
fn a_revert(
    #[case] bench: Bench,
    #[case] answers: &[(Action, Answer)],
    #[case] told: &[&str],
    #[case] then: PhaseState,
    #[case] next: &[&str],
) {
    row(bench, answers, told, then, next);
}

#[rstest]
#[case::of_a_passed_phase(ordered(), &["BeginRollback(ada)", "Used(to be rolled back, by ada)"], PhaseState::RollingBack)]
#[case::of_one_that_others_passed_on_top_of(
    ordered().with(|w| w.dependants = on_top(&["p2", "p3"], &[])),
    &["Used(ignored: p2, p3 passed on top of it; roll back p2, p3 first, then this one)"], PhaseState::Passed
)]
#[case::of_one_that_has_not_passed(
    Bench::reviewing().order(OrderKind::Rollback, None),
    &["Used(ignored: Rollback is for Passed phases, this one is Reviewing)"], PhaseState::Reviewing
)]
#[case::of_another_attempt(
    { let mut bench = ordered(); bench.world.decisions[0].attempt = 2; bench },
    &["Used(ignored: it speaks of attempt 2, this is attempt 1)"], PhaseState::Passed
)]
#[case::again(
    begun().order(OrderKind::Rollback, None),
    &["Used(ignored: Rollback is for Passed phases, this one is RollingBack)"], PhaseState::RollingBack
)]
#[case::abort_gives_the_rollback_up(
    checking().order(OrderKind::Abort, None),
    &["StopTasks", "GiveUpRollback", "EndRollback", "Used(the rollback was given up by ada)"], PhaseState::Passed
)]
#[case::abort_of_one_that_is_refused(
    refused().order(OrderKind::Abort, None),
    &["StopTasks", "GiveUpRollback", "EndRollback", "Used(the rollback was given up by ada)"], PhaseState::Passed
)]
#[case::abort_of_one_that_is_done(
    rolled_back().order(OrderKind::Abort, None), &["StopTasks", "Note()", "Enter(Failed)", "Used(given up by ada)"], PhaseState::Failed
)]
#[case::retry_checks_anew(
    refused().order(OrderKind::Retry(1), None),
    &["RestartClock", "DropRevert", "Enter(RollingBack)", "Used(retried by ada)"], PhaseState::RollingBack
)]
#[case::retry_takes_no_commit(
    refused().order(OrderKind::Retry(1), Some("c9")),
    &["Used(ignored: a rollback is a plain revert, which takes no commit; Retry without one)"], PhaseState::Escalated
)]
fn an_order(#[case] mut bench: Bench, #[case] told: &[&str], #[case] then: PhaseState) {
    assert_eq!(bench.step(&[]), told);
    assert_eq!(bench.status.state, then);
    assert!(bench.snapshot().orders.is_empty(), "it is used once");
}

#[test]
fn an_abort_that_comes_too_late_says_so() {
    let mut bench = checked().order(OrderKind::Abort, None);
    let told = bench.step(&[(Action::GiveUpRollback, done())]);
    let late = "Used(ignored: the phase was rolled back already)";
    assert_eq!(told, ["StopTasks", "GiveUpRollback", "RolledBack(m2)", late]);
    assert_eq!(bench.status.state, PhaseState::RolledBack);
}

#[test]
fn checks_that_fail_ask_a_person_and_the_phase_stays_merged() {
    let bench = refused();
    assert_eq!((bench.status.state, bench.reason()), (PhaseState::Escalated, Some(EscalationReason::RollbackFailed)));
    assert!(bench.status.merge.is_some());
    assert_eq!(bench.settled().status.state, PhaseState::Escalated);
}

#[test]
fn the_record_says_what_was_taken_back_by_whom_and_keeps_the_tag() {
    let bench = rolled_back().settled();
    let rollback = bench.status.rollback.as_ref().unwrap();
    assert_eq!((rollback.merge.as_str(), rollback.tag.as_str(), rollback.user.as_str()), ("m1", "phase-1-v1", "ada"));
    assert_eq!(rollback.reverted.as_deref(), Some("m2"));
    assert_eq!(bench.status.merge, None);
    assert_eq!(bench.status.turn_since, None, "others have the turn");
    assert_eq!(bench.status.summary.waiting_for, "you: a raised spec.version");
    let ready = bench.status.conditions.iter().find(|condition| condition.type_ == "Stalled").unwrap();
    assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("True", "RolledBack"));
}

#[test]
fn a_raised_version_begins_anew_with_what_was_done_and_all_attempts() {
    let bench = rolled_back().with(|world| world.raised = true);
    let begin = ["BeginAnew", "RestartClock", "Enter(Preparing)"];
    let bench = row(bench, &[], &begin, PhaseState::Preparing, &["Claim"]);
    assert_eq!(bench.status.release, None, "the new branch has a name of its own");
    let claim = [(Action::Claim, claimed())];
    let told = ["Claim", "Release(c0)", "BeginAttempt()", "Enter(Developing)"];
    let mut bench = row(bench, &claim, &told, PhaseState::Developing, &[]);
    assert_eq!((bench.status.attempt, bench.status.summary.attempt.as_str()), (2, "2/4"));
    let states: Vec<_> = bench.status.tasks.iter().map(|task| (task.name.as_str(), task.state)).collect();
    assert_eq!(states, [("a", PhaseTaskState::Integrated), ("b", PhaseTaskState::Integrated)]);
    bench.step(&[]);
    assert_eq!(bench.status.state, PhaseState::Reviewing, "what was taken away is judged again");
    bench.step(&[(Action::IntegrateBase, super::bench::base_in("c9"))]);
    bench.judge(Verdict::Pass, None, false);
    bench.step(&[]);
    bench.step(&[(Action::Merge, Answer::Merged { commit: "m3".into(), tag: "phase-1-v2".into() })]);
    assert_eq!(bench.status.state, PhaseState::Passed);
    assert_eq!(bench.status.rollback, None);
}

#[test]
fn a_task_that_is_added_with_the_version_is_done_first() {
    let mut bench = rolled_back().with(|world| world.raised = true);
    bench.step(&[]);
    bench.world.spec_tasks.push("c".into());
    bench.step(&[(Action::Claim, claimed())]);
    assert_eq!(bench.next(), ["EnsureTask(c)"]);
}

#[test]
fn what_does_not_fit_any_more_asks_a_person() {
    let mut bench = rolled_back().with(|world| world.raised = true);
    bench.step(&[]);
    bench.step(&[(Action::Claim, conflict(&["x"]))]);
    assert_eq!(bench.reason(), Some(EscalationReason::Conflict));
    assert!(bench.status.escalation.as_ref().unwrap().message.contains("x; roll back what came later"));
    let mut bench = bench.order(OrderKind::Retry(1), None);
    bench.step(&[]);
    assert_eq!(bench.next(), ["Claim"]);
}

#[test]
fn a_phase_made_anew_after_its_rollback_is_rolled_back() {
    let mut bench = Bench::new();
    bench.step(&[]);
    let was = Answer::WasRolledBack { merge: "m1".into(), tag: "phase-1-v1".into(), commit: "m2".into() };
    let told = ["Claim", "WasRolledBack(m2)"];
    let bench = row(bench, &[(Action::Claim, was)], &told, PhaseState::RolledBack, &[]);
    let bench = bench.settled().with(|world| world.raised = true);
    row(bench, &[], &["BeginAnew", "RestartClock", "Enter(Preparing)"], PhaseState::Preparing, &["Claim"]);
}

const GONE: &[&str] = &["StopTasks", "Escalate(DependencyRolledBack)"];

#[rstest]
#[case::at_work(Bench::working(), GONE, PhaseState::Escalated)]
#[case::under_review(Bench::reviewing(), GONE, PhaseState::Escalated)]
#[case::between_attempts(Bench::backoff(), GONE, PhaseState::Escalated)]
#[case::before_an_approval(Bench::awaiting(), GONE, PhaseState::Escalated)]
#[case::while_suspended(Bench::working().with(|w| w.suspended = true), GONE, PhaseState::Escalated)]
// Git says first whether it is merged; if not, it is judged again, and stops there.
#[case::about_to_merge(Bench::merging(), &["StopTasks", "Claim", "DropReview", "Enter(Reviewing)"], PhaseState::Reviewing)]
fn a_phase_whose_dependency_is_taken_back_stops(#[case] bench: Bench, #[case] told: &[&str], #[case] then: PhaseState) {
    let mut bench = bench.with(|world| world.dependency_rolled_back = Some("p0".into()));
    let claimed = [(Action::Claim, Answer::NumberTaken(String::new()))];
    assert_eq!(bench.step(&claimed), told);
    assert_eq!(bench.status.state, then);
}

#[test]
fn a_phase_that_was_merged_in_the_moment_its_dependency_is_taken_back_has_passed() {
    let mut bench = Bench::merging().with(|world| world.dependency_rolled_back = Some("p0".into()));
    bench.step(&[(
        Action::Claim,
        Answer::Adopted { commit: "m1".into(), tag: "phase-1-v1".into(), score: String::new() },
    )]);
    assert_eq!(bench.settled().status.state, PhaseState::Passed);
}

#[rstest]
#[case::at_work(Bench::working(), PhaseState::Developing)]
#[case::under_review(Bench::reviewing(), PhaseState::Reviewing)]
#[case::between_attempts(Bench::backoff(), PhaseState::Reviewing)]
#[case::before_an_approval(Bench::awaiting(), PhaseState::Reviewing)]
fn a_retry_goes_on_once_the_dependency_has_passed_again(#[case] bench: Bench, #[case] then: PhaseState) {
    let mut bench = bench.with(|world| world.dependency_rolled_back = Some("p0".into()));
    bench.step(&[]);
    let mut early = bench.clone().order(OrderKind::Retry(1), None);
    early.step(&[]);
    early.step(&[]);
    assert_eq!(early.reason(), Some(EscalationReason::DependencyRolledBack), "too early it stops again");
    let mut bench = bench.with(|world| world.dependency_rolled_back = None).order(OrderKind::Retry(1), None);
    let attempt = bench.status.attempt;
    bench.step(&[]);
    assert_eq!((bench.status.state, bench.status.attempt), (then, attempt));
}

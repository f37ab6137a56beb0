//! Attempts, time, suspension, and what people see of it.

use rstest::rstest;

use super::bench::{Bench, integrate, is_in, merged, row};
use crate::{
    api::{
        agent_task::FailureClass,
        phase::{BlockedReason, EscalationReason, PhaseState},
        review_result::Verdict,
    },
    machine::phase::{Action, OrderKind, Work},
};

fn preparing() -> Bench {
    let mut bench = Bench::new();
    bench.step(&[]);
    bench
}

fn passed() -> Bench {
    let mut bench = Bench::merging();
    bench.step(&[(Action::Merge, merged())]);
    bench
}

fn waited_out() -> Bench {
    Bench::backoff().with(|w| w.backoff_over = true)
}

#[rstest]
#[case::it_waits(Bench::backoff(), &[], PhaseState::Backoff, &[])]
#[case::the_next_attempt_is_one_rework(
    waited_out(), &["BeginAttempt()", "Enter(Developing)"], PhaseState::Developing, &["EnsureTask(rework)"]
)]
#[case::attempts_that_were_taken_away_meanwhile_are_not_begun(
    waited_out().with(|w| w.max_attempts = 1), &["Escalate(AttemptsExhausted)"], PhaseState::Escalated, &[]
)]
#[case::a_suspended_phase_waits_on(waited_out().with(|w| w.suspended = true), &[], PhaseState::Backoff, &[])]
#[case::waiting_is_a_fixed_point(Bench::backoff().settled(), &[], PhaseState::Backoff, &[])]
fn a_backoff_is_waited_out(
    #[case] bench: Bench,
    #[case] told: &[&str],
    #[case] then: PhaseState,
    #[case] next: &[&str],
) {
    row(bench, &[], told, then, next);
}

#[test]
fn three_refusals_are_three_attempts_and_then_a_person_is_asked() {
    let mut bench = Bench::judged(Verdict::Fail, Some(FailureClass::ReviewFailed)).with(|w| w.backoff_over = true);
    for attempt in 2..=3 {
        bench.step(&[]);
        bench.step(&[]);
        bench.step(&[]);
        assert_eq!((bench.status.attempt, &*bench.status.summary.tasks), (attempt, "2/2"));
        let name = format!("p.rework.{attempt}.1");
        assert_eq!(bench.task("rework").agent_task, name);
        bench = bench.see(&name, Work::Submitted);
        bench.step(&[(integrate("rework"), is_in("rework"))]);
        bench.step(&[]);
        bench.step(&[(Action::IntegrateBase, super::bench::base_in(&format!("c{attempt}")))]);
        assert_eq!(bench.status.review.as_ref().unwrap().result, format!("p-r{attempt}-1"));
        bench.judge(Verdict::Fail, Some(FailureClass::ReviewFailed), false);
    }
    bench.step(&[]);
    assert_eq!(bench.reason(), Some(EscalationReason::AttemptsExhausted));
    assert_eq!((bench.status.attempt, bench.status.history.len()), (3, 3));
    assert_eq!(bench.status.summary.attempt, "3/3");
}

#[test]
fn a_task_added_in_a_later_attempt_is_done_beside_the_rework() {
    let mut bench = waited_out().with(|w| w.spec_tasks.push("c".into()));
    bench.step(&[]);
    assert_eq!(bench.next(), ["EnsureTask(rework)", "EnsureTask(c)"]);
}

#[rstest]
#[case::preparing(preparing(), true)]
#[case::developing(Bench::working(), true)]
#[case::reviewing(Bench::reviewing(), true)]
#[case::backoff(Bench::backoff(), true)]
#[case::pending(Bench::new().with(|w| w.blocked = vec![BlockedReason::DependencyNotPassed]), false)]
#[case::awaiting_approval(Bench::awaiting(), false)]
#[case::passed(passed(), false)]
#[case::escalated(Bench::exhausted(), false)]
#[case::suspended(Bench::working().with(|w| w.suspended = true), false)]
fn the_timeout_runs_only_while_the_phase_can_do_something_about_it(#[case] bench: Bench, #[case] runs: bool) {
    let state = bench.status.state;
    let mut bench = bench.with(|w| w.timed_out = true);
    let told = bench.step(&[]);
    if runs {
        assert_eq!(told, ["StopTasks", "Escalate(PhaseTimeout)"]);
        assert_eq!(bench.status.escalation.as_ref().unwrap().from, state);
        assert_eq!(bench.next(), ["StopTasks"], "strays of a stale cache are ended too");
    } else {
        assert_eq!(bench.status.state, state);
    }
    let again = bench.status.clone();
    bench.step(&[]);
    assert_eq!(bench.status, again, "deciding again changes nothing");
}

#[rstest]
#[case::pending(Bench::new())]
#[case::preparing(preparing())]
#[case::developing(Bench::working().see("p.a.1.1", Work::Submitted))]
#[case::reviewing(Bench::judged(Verdict::Pass, None))]
#[case::backoff(waited_out())]
#[case::merging(Bench::merging())]
fn a_suspended_phase_starts_nothing_and_merges_nothing(#[case] bench: Bench) {
    let state = bench.status.state;
    let bench = row(bench.with(|w| w.suspended = true), &[], &[], state, &[]);
    assert!(bench.status.suspended_at.is_some());
    assert_eq!(bench.status.turn_since, None, "others need not wait for it");
    assert_eq!(bench.status.summary.waiting_for, "Suspended");
    let bench = row(bench, &[], &[], state, &[]);
    let mut bench = bench.with(|w| w.suspended = false);
    bench.step(&[]);
    assert!(bench.status.suspended_at.is_none());
    bench.step(&[]);
    assert_ne!(bench.status.state, PhaseState::Escalated);
}

#[test]
fn suspension_and_waiting_for_an_approval_stop_the_clock() {
    let mut bench = Bench::working();
    let started = |bench: &Bench| bench.status.started_at.as_ref().unwrap().0.as_second();
    let before = started(&bench);
    bench.world.suspended = true;
    bench.step(&[]);
    bench.second += 500;
    bench.world.suspended = false;
    bench.step(&[]);
    assert_eq!(started(&bench), before + 560);

    let mut bench = Bench::awaiting();
    let (before, since) = (started(&bench), bench.status.state_since.clone().unwrap().0.as_second());
    bench.second += 5000;
    // Suspended and resumed meanwhile: counted once.
    bench.world.suspended = true;
    bench.step(&[]);
    bench.second += 70;
    bench.world.suspended = false;
    bench.step(&[]);
    let mut bench = bench.order(OrderKind::Reject, Some("c1"));
    let now = bench.second;
    bench.step(&[]);
    assert_eq!(started(&bench), before + now - since);
}

#[rstest]
#[case::works(Bench::working(), ("Unknown", "True", "False"), "Developing", "developer: a, b")]
#[case::blocked(
    Bench::new().with(|w| w.blocked = vec![BlockedReason::DependencyNotPassed]).settled(),
    ("Unknown", "True", "False"), "DependencyNotPassed", "DependencyNotPassed"
)]
#[case::blocked_by_what_a_person_must_mend(
    Bench::new().with(|w| w.blocked = vec![BlockedReason::PodTemplateMissing]).settled(),
    ("False", "False", "True"), "PodTemplateMissing", "PodTemplateMissing"
)]
#[case::waits_for_its_turn(
    Bench::integrated().with(|w| w.has_turn = false), ("Unknown", "True", "False"), "Reviewing", "its turn on the base branch"
)]
#[case::is_checked(Bench::reviewing(), ("Unknown", "True", "False"), "Reviewing", "checks")]
#[case::merges(Bench::merging(), ("Unknown", "True", "False"), "Merging", "the merge")]
#[case::waits_for_approval(Bench::awaiting(), ("False", "False", "True"), "AwaitingApproval", "you: approval")]
#[case::is_parked(Bench::exhausted(), ("False", "False", "True"), "AttemptsExhausted", "you: AttemptsExhausted")]
#[case::passed(passed(), ("True", "False", "False"), "Passed", "")]
fn people_and_kstatus_see_how_it_is(
    #[case] bench: Bench,
    #[case] expected: (&str, &str, &str),
    #[case] reason: &str,
    #[case] waiting_for: &str,
) {
    let status = |kind: &str| {
        let condition = bench.status.conditions.iter().find(|condition| condition.type_ == kind).unwrap();
        (condition.status.as_str(), condition.reason.as_str())
    };
    assert_eq!((status("Ready").0, status("Reconciling").0, status("Stalled").0), expected);
    assert_eq!(status("Ready").1, reason);
    assert_eq!(bench.status.summary.waiting_for, waiting_for);
}

#[test]
fn a_condition_keeps_its_time_while_it_stays_as_it_is() {
    let since = |bench: &Bench| bench.status.conditions[0].last_transition_time.0.as_second();
    let mut bench = Bench::new();
    bench.step(&[]);
    let first = since(&bench);
    let working = Bench::working();
    assert_eq!(since(&working), first);
    assert!(since(&passed()) > first);
}

//! What persons decide, in time, too late, and about something else.

use rstest::rstest;

use super::bench::{Bench, base_in, claimed, conflict, failed, integrate, is_in, row};
use crate::{
    api::{
        agent_task::FailureClass,
        phase::{PhaseState, PhaseTaskState},
        review_result::Verdict,
    },
    machine::phase::{Action, Answer, OrderKind, Waived, Work},
};

fn answered(answers: &[(&str, bool)]) -> Bench {
    let answers = answers.iter().map(|(name, met)| ((*name).to_owned(), *met)).collect();
    Bench::awaiting().with(|w| w.person_criteria = vec!["docs".into()]).order(OrderKind::Approve(answers), Some("c1"))
}

fn last(mut bench: Bench, change: impl FnOnce(&mut crate::machine::phase::Order)) -> Bench {
    change(bench.world.decisions.last_mut().unwrap());
    bench
}

const OTHER: &str = "Used(ignored: it speaks of another attempt or commit than the one that was reviewed)";

#[rstest]
#[case::every_criterion_is_met(answered(&[("docs", true)]), &["Approved(c1)", "Enter(Merging)", "Used(approved by ada)"], PhaseState::Merging)]
#[case::an_answer_is_missing(answered(&[]), &["Used(ignored: no answer for docs)"], PhaseState::AwaitingApproval)]
#[case::an_answer_names_nothing(
    answered(&[("dosc", true)]), &["Used(ignored: no criterion that a person judges is named dosc)"], PhaseState::AwaitingApproval
)]
#[case::a_criterion_is_not_met(
    answered(&[("docs", false)]), &["Note(refused by ada)", "Enter(Backoff)", "Used(sent back by ada: not met: docs)"], PhaseState::Backoff
)]
#[case::another_commit(Bench::awaiting().order(OrderKind::Approve(vec![]), Some("c0")), &[OTHER], PhaseState::AwaitingApproval)]
#[case::no_commit(Bench::awaiting().order(OrderKind::Approve(vec![]), None), &[OTHER], PhaseState::AwaitingApproval)]
#[case::another_attempt(
    last(Bench::awaiting().order(OrderKind::Approve(vec![]), Some("c1")), |order| order.attempt = 2), &[OTHER], PhaseState::AwaitingApproval
)]
#[case::another_state(
    Bench::reviewing().order(OrderKind::Approve(vec![]), Some("c1")),
    &["Used(ignored: the phase is Reviewing, not AwaitingApproval)"], PhaseState::Reviewing
)]
#[case::sent_back(
    Bench::awaiting().order(OrderKind::Reject, Some("c1")),
    &["Note(refused by ada)", "Enter(Backoff)", "Used(sent back by ada)"], PhaseState::Backoff
)]
#[case::sent_back_from_the_last_attempt(
    Bench::awaiting().with(|w| w.max_attempts = 1).order(OrderKind::Reject, Some("c1")),
    &["Note(refused by ada)", "Escalate(AttemptsExhausted)", "Used(sent back by ada)"], PhaseState::Escalated
)]
#[case::another_commit_is_not_sent_back(Bench::awaiting().order(OrderKind::Reject, Some("c0")), &[OTHER], PhaseState::AwaitingApproval)]
#[case::an_order_is_used_once(
    { let mut bench = answered(&[]); bench.step(&[]); bench }, &[], PhaseState::AwaitingApproval
)]
fn an_approval_or_a_refusal(#[case] bench: Bench, #[case] told: &[&str], #[case] then: PhaseState) {
    let orders = bench.snapshot().orders.len();
    let mut bench = bench;
    assert_eq!(bench.step(&[]), told);
    assert_eq!(bench.status.state, then);
    assert_eq!(bench.snapshot().orders.len(), 0, "of {orders}");
    assert_eq!(bench.status.used_decisions, ["d0"]);
}

#[rstest]
#[case::pending(Bench::new())]
#[case::developing(Bench::working())]
#[case::reviewing(Bench::reviewing())]
#[case::backoff(Bench::backoff())]
#[case::awaiting_approval(Bench::awaiting())]
#[case::escalated(Bench::exhausted())]
#[case::suspended(Bench::working().with(|w| w.suspended = true))]
fn an_abort_ends_a_phase_wherever_it_is(#[case] bench: Bench) {
    let told = ["StopTasks", "Note()", "Enter(Failed)", "Used(given up by ada)"];
    // Whether it was merged is asked of git, if that can be.
    let next: &[&str] = if bench.snapshot().passed_once { &["StopTasks", "Claim"] } else { &["StopTasks"] };
    let bench = row(bench.order(OrderKind::Abort, None), &[], &told, PhaseState::Failed, next);
    let ended = bench.clone().settled();
    assert_eq!(ended.status.state, PhaseState::Failed);
    // Nothing brings it back.
    let mut again = ended.order(OrderKind::Retry(1), None).order(OrderKind::Abort, None);
    again.step(&[]);
    again.step(&[]);
    assert_eq!((again.status.state, again.status.used_decisions.len()), (PhaseState::Failed, 3));
}

fn given_up_while_merging() -> Bench {
    let mut bench = Bench::merging().order(OrderKind::Abort, None);
    bench.step(&[(Action::Claim, claimed())]);
    assert_eq!(bench.status.state, PhaseState::Failed);
    bench
}

#[rstest]
#[case::that_was_merged_all_the_same_has_passed(
    Answer::Adopted { commit: "m1".into(), tag: "t".into(), score: String::new() }, &["StopTasks", "Claim", "Merged(m1)", "Enter(Passed)"], PhaseState::Passed, &[]
)]
#[case::that_was_not_stays_failed(claimed(), &["StopTasks", "Claim"], PhaseState::Failed, &["StopTasks", "Claim"])]
#[case::whose_tag_is_anothers_stays_failed(
    Answer::TagTaken("t".into()), &["StopTasks", "Claim"], PhaseState::Failed, &["StopTasks", "Claim"]
)]
#[case::whose_number_is_anothers_stays_failed(
    Answer::NumberTaken("x".into()), &["StopTasks", "Claim"], PhaseState::Failed, &["StopTasks", "Claim"]
)]
fn a_phase_that_was_given_up(
    #[case] answer: Answer,
    #[case] told: &[&str],
    #[case] then: PhaseState,
    #[case] next: &[&str],
) {
    let bench = row(given_up_while_merging(), &[(Action::Claim, answer)], told, then, next);
    let merged = bench.status.merge.is_some();
    assert_eq!(merged, then == PhaseState::Passed);
    assert_eq!(bench.settled().status.state, then);
}

#[test]
fn suspend_and_resume_are_seen_and_change_nothing_by_themselves() {
    let bench = Bench::working().order(OrderKind::Pause, None);
    let bench = row(bench, &[], &["Used(seen; by ada)"], PhaseState::Developing, &[]);
    row(bench, &[], &[], PhaseState::Developing, &[]);
}

#[test]
fn orders_are_used_one_at_a_time_oldest_first() {
    let mut bench = Bench::exhausted()
        .order(OrderKind::Retry(1), None)
        .order(OrderKind::Retry(1), None)
        .order(OrderKind::Unsupported, None);
    for used in 1..=3 {
        bench.step(&[]);
        assert_eq!(bench.status.used_decisions.len(), used);
    }
    assert_eq!((bench.status.attempt, bench.status.granted_attempts), (2, 1));
}

/// Escalated from Developing: `a` failed, `b` is `other`.
fn task_failed(other: Work) -> Bench {
    let mut bench = Bench::working().see("p.a.1.1", failed(FailureClass::AgentError)).see("p.b.1.1", other);
    bench.step(&[]);
    bench
}

fn retried(bench: Bench, commit: Option<&str>) -> Bench {
    bench.order(OrderKind::Retry(1), commit)
}

const BY: &str = "Used(retried by ada)";

#[rstest]
#[case::exhausted_attempts_are_granted(
    retried(Bench::exhausted(), None), &["RestartClock", "Grant(1)", "BeginAttempt()", "Enter(Developing)", BY],
    PhaseState::Developing, &["EnsureTask(rework)"]
)]
#[case::with_a_commit_that_commit_is_gated(
    retried(Bench::exhausted(), Some("c9")), &["RestartClock", "Grant(1)", "BeginAttempt(c9)", "Enter(Developing)", BY],
    PhaseState::Developing, &["Integrate(rework)"]
)]
#[case::a_failed_task_is_handed_out_anew(
    retried(task_failed(Work::Active), None), &["RestartClock", "TaskAnew(a)", "Enter(Developing)", BY],
    PhaseState::Developing, &["EnsureTask(a)"]
)]
#[case::all_failed_tasks_are(
    retried(task_failed(failed(FailureClass::Timeout)), None),
    &["RestartClock", "TaskAnew(a)", "TaskAnew(b)", "Enter(Developing)", BY],
    PhaseState::Developing, &["EnsureTask(a)", "EnsureTask(b)"]
)]
#[case::submitted_work_is_kept(
    retried(task_failed(Work::Submitted), None), &["RestartClock", "TaskAnew(a)", "Enter(Developing)", BY],
    PhaseState::Developing, &["Integrate(b)", "EnsureTask(a)"]
)]
#[case::a_commit_stands_for_the_failed_task_only(
    retried(task_failed(Work::Active), Some("c9")), &["RestartClock", "TaskPushed(a, c9)", "Enter(Developing)", BY],
    PhaseState::Developing, &["Integrate(a)"]
)]
#[case::another_attempt_is_not_meant(
    last(retried(Bench::exhausted(), None), |order| order.attempt = 0),
    &["Used(ignored: it speaks of attempt 0, this is attempt 1)"], PhaseState::Escalated, &[]
)]
#[case::a_phase_at_work_is_not_meant(
    retried(Bench::working(), None), &["Used(ignored: Retry is for Escalated phases, this one is Developing)"], PhaseState::Developing, &[]
)]
#[case::an_escalated_phase_is_a_fixed_point(Bench::exhausted().settled(), &[], PhaseState::Escalated, &[])]
fn a_retry(#[case] bench: Bench, #[case] told: &[&str], #[case] then: PhaseState, #[case] next: &[&str]) {
    row(bench, &[], told, then, next);
}

fn escalated_by(mut bench: Bench, answers: &[(Action, Answer)]) -> Bench {
    bench.step(answers);
    assert_eq!(bench.status.state, PhaseState::Escalated);
    bench
}

fn timed_out(mut bench: Bench) -> Bench {
    bench.world.timed_out = true;
    let mut bench = escalated_by(bench, &[]);
    bench.world.timed_out = false;
    bench
}

#[rstest]
#[case::a_gate_that_could_not_judge_judges_again(
    escalated_by(Bench::judged(Verdict::Inconclusive, None), &[]), &["DropReview", "Enter(Reviewing)"], PhaseState::Reviewing
)]
#[case::a_base_branch_that_conflicted_is_handed_out_again(
    escalated_by(Bench::integrated().with(|w| w.max_dispatches = 0), &[(Action::IntegrateBase, conflict(&[]))]),
    &["TaskAnew(base-merge)", "Enter(Developing)"], PhaseState::Developing
)]
#[case::a_tag_that_was_in_the_way_is_tried_again_and_the_review_holds(
    escalated_by(Bench::merging(), &[(Action::Merge, Answer::TagTaken("t".into()))]), &["DropPush", "Enter(Merging)"], PhaseState::Merging
)]
#[case::a_tag_that_was_in_the_way_of_the_claim_is_tried_again(
    { let mut bench = Bench::new(); bench.step(&[]); escalated_by(bench, &[(Action::Claim, Answer::TagTaken("t".into()))]) },
    &["Enter(Preparing)"], PhaseState::Preparing
)]
#[case::no_progress_gets_another_attempt(
    escalated_by({ let mut b = Bench::reviewing(); b.judge(Verdict::Fail, None, true); b }, &[]),
    &["Grant(0)", "BeginAttempt()", "Enter(Developing)"], PhaseState::Developing
)]
#[case::a_gamed_gate_gets_another_attempt(
    escalated_by(Bench::judged(Verdict::Fail, Some(FailureClass::Gamed)), &[]),
    &["Grant(0)", "BeginAttempt()", "Enter(Developing)"], PhaseState::Developing
)]
#[case::a_timeout_while_preparing(
    timed_out({ let mut bench = Bench::new(); bench.step(&[]); bench }), &["Enter(Preparing)"], PhaseState::Preparing
)]
#[case::a_timeout_while_developing_keeps_what_is_at_work(timed_out(Bench::working()), &["Enter(Developing)"], PhaseState::Developing)]
#[case::a_timeout_while_reviewing_reviews_again(timed_out(Bench::reviewing()), &["DropReview", "Enter(Reviewing)"], PhaseState::Reviewing)]
#[case::a_timeout_while_waiting_goes_on_at_once(
    timed_out(Bench::backoff()), &["Grant(0)", "BeginAttempt()", "Enter(Developing)"], PhaseState::Developing
)]
fn a_retry_leads_back_to_where_it_stood(#[case] bench: Bench, #[case] told: &[&str], #[case] then: PhaseState) {
    let mut bench = retried(bench, None);
    let told: Vec<&str> = ["RestartClock"].iter().chain(told).chain(&[BY]).copied().collect();
    assert_eq!(bench.step(&[]), told);
    assert_eq!(bench.status.state, then);
    assert_eq!(bench.status.escalation, None);
}

#[test]
fn a_retry_after_a_timeout_keeps_what_was_submitted_and_makes_anew_what_was_stopped() {
    let mut bench = timed_out(Bench::working().see("p.a.1.1", Work::Submitted));
    bench.world.tasks.remove("p.b.1.1");
    let mut bench = retried(bench, None);
    bench.step(&[]);
    assert_eq!(bench.next(), ["Integrate(a)", "EnsureTask(b)"]);
    bench.step(&[(integrate("a"), is_in("a"))]);
    assert_eq!(bench.task("b").agent_task, "p.b.1.2", "a branch of its own");
}

#[test]
fn a_commit_that_does_not_exist_or_merge_asks_again_and_another_takes_its_place() {
    let rework = integrate("rework");
    for answer in [Answer::CommitMissing("c8".into()), conflict(&["x"])] {
        let mut bench = retried(Bench::exhausted(), Some("c8"));
        bench.step(&[]);
        let bench = escalated_by(bench, &[(rework.clone(), answer)]);
        assert_eq!(bench.task("rework").state, PhaseTaskState::Failed);
        let mut other = retried(bench.clone(), Some("c9"));
        other.step(&[]);
        assert_eq!((other.task("rework").submitted.as_deref(), other.status.attempt), (Some("c9"), 2));
        assert_eq!(other.next(), ["Integrate(rework)"]);
        let mut handed_out = retried(bench, None);
        handed_out.step(&[]);
        assert_eq!(handed_out.next(), ["EnsureTask(rework)"]);
    }
}

#[test]
fn a_commit_cannot_be_gated_before_there_is_a_release_branch() {
    let mut bench = Bench::new();
    bench.step(&[]);
    let bench = escalated_by(bench, &[(Action::Claim, Answer::TagTaken("t".into()))]);
    let mut bench = retried(bench, Some("c9"));
    bench.step(&[]);
    assert_eq!((bench.status.state, bench.status.attempt), (PhaseState::Preparing, 0));
}

#[test]
fn a_timeout_with_a_persons_commit_gates_that_commit() {
    let mut bench = retried(timed_out(Bench::working()), Some("c9"));
    bench.step(&[]);
    assert_eq!(bench.next(), ["Integrate(a)", "Integrate(b)"]);
    bench.step(&[(integrate("a"), is_in("a")), (integrate("b"), is_in("b"))]);
    bench.step(&[]);
    bench.step(&[(Action::IntegrateBase, base_in("c10"))]);
    assert_eq!((bench.status.state, bench.status.attempt), (PhaseState::Reviewing, 1));
}

fn waived(bench: Bench) -> Bench {
    bench.order(OrderKind::Waive(Waived { findings: vec!["f1".into()], ..Waived::default() }), None)
}

fn escalated(class: FailureClass) -> Bench {
    let mut bench = Bench::judged(Verdict::Fail, Some(class));
    bench.step(&[]);
    bench
}

const TAKEN: [&str; 2] = ["Waived(f1)", "Used(waived by ada)"];
const JUDGED_AGAIN: [&str; 5] = ["Waived(f1)", "RestartClock", "DropReview", "Enter(Reviewing)", "Used(waived by ada)"];

#[rstest]
#[case::what_was_gamed_is_judged_again(escalated(FailureClass::Gamed), &JUDGED_AGAIN, PhaseState::Reviewing)]
#[case::spent_attempts_are_judged_again(Bench::exhausted(), &JUDGED_AGAIN, PhaseState::Reviewing)]
#[case::the_wait_for_a_rework_is_cut_short(Bench::backoff(), &JUDGED_AGAIN, PhaseState::Reviewing)]
#[case::a_review_under_way_sees_the_other_gate_by_itself(Bench::reviewing(), &TAKEN, PhaseState::Reviewing)]
#[case::so_does_a_phase_that_waits_for_its_approval(Bench::awaiting(), &TAKEN, PhaseState::AwaitingApproval)]
#[case::a_failed_task_is_not_mended_by_it(task_failed(Work::Active), &TAKEN, PhaseState::Escalated)]
#[case::it_holds_for_a_judgement_to_come(Bench::working(), &TAKEN, PhaseState::Developing)]
fn a_waiver_is_recorded_and_leads_to_a_new_judgement_where_one_has_stopped_the_phase(
    #[case] bench: Bench,
    #[case] told: &[&str],
    #[case] then: PhaseState,
) {
    let mut bench = waived(bench);
    let attempt = bench.status.attempt;
    assert_eq!(bench.step(&[]), told);
    assert_eq!((bench.status.state, bench.status.attempt), (then, attempt), "no attempt is spent");
    let waivers: Vec<_> = bench.status.waivers.iter().map(|waiver| waiver.findings.clone()).collect();
    assert_eq!(waivers, [vec!["f1".to_owned()]]);
    assert!(bench.snapshot().orders.is_empty(), "it is used once");
}

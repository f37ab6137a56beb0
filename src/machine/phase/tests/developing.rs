//! Pending, Preparing and Developing.

use rstest::rstest;

use super::bench::{Bench, claimed, conflict, failed, integrate, is_in, row};
use crate::{
    api::{
        agent_task::FailureClass,
        phase::{BlockedReason, EscalationReason, PhaseState, PhaseTaskState},
    },
    machine::phase::{Action, Answer, OrderKind, Work},
};

type Answers = Vec<(Action, Answer)>;

fn preparing() -> Bench {
    let mut bench = Bench::new();
    bench.step(&[]);
    bench
}

fn claim(answer: Answer) -> Answers {
    vec![(Action::Claim, answer)]
}

fn claimed_with(works: &[&str]) -> Answer {
    let works = works.iter().map(|&work| (work.to_owned(), format!("i-{work}"))).collect();
    Answer::Claimed { head: "c0".into(), base: "b0".into(), works }
}

fn adopted() -> Answer {
    Answer::Adopted { commit: "m0".into(), tag: "phase-1-v1".into(), score: "9.61".into() }
}

#[rstest]
#[case::a_phase_that_nothing_stands_against_starts(
    Bench::new(), vec![], &["RestartClock", "Enter(Preparing)"], PhaseState::Preparing, &["Claim"]
)]
#[case::a_blocked_phase_waits(
    Bench::new().with(|w| w.blocked = vec![BlockedReason::DependencyNotPassed]), vec![], &[], PhaseState::Pending, &[]
)]
#[case::a_claim_begins_the_first_attempt(
    preparing(), claim(claimed()),
    &["Claim", "Release(c0)", "BeginAttempt()", "Enter(Developing)"], PhaseState::Developing, &["EnsureTask(a)", "EnsureTask(b)"]
)]
#[case::work_that_git_holds_already_is_not_handed_out(
    preparing(), claim(claimed_with(&["p.a.1.1", "p.b.2.1", "p.rework.2.1", "other.b.1.1", "p.b.1"])),
    &["Claim", "Release(c0)", "BeginAttempt()", "Enter(Developing)", "WorkFound(p.a.1.1)", "WorkFound(p.b.2.1)", "WorkFound(p.rework.2.1)", "WorkFound(other.b.1.1)", "WorkFound(p.b.1)"],
    PhaseState::Developing, &["EnsureTask(b)"]
)]
#[case::all_work_that_git_holds_goes_to_the_review(
    preparing(), claim(claimed_with(&["p.a.1.2", "p.b.1.1"])),
    &["Claim", "Release(c0)", "BeginAttempt()", "Enter(Developing)", "WorkFound(p.a.1.2)", "WorkFound(p.b.1.1)"],
    PhaseState::Developing, &[]
)]
#[case::a_phase_that_was_merged_before_is_adopted(
    preparing(), claim(adopted()), &["Claim", "Scored(9.61)", "Merged(m0)", "Enter(Passed)"], PhaseState::Passed, &[]
)]
#[case::a_taken_number_is_named_and_asked_for_again_when_woken(
    preparing(), claim(Answer::NumberTaken("held by q".into())), &["Claim", "Blocked(NumberTaken)"], PhaseState::Preparing, &["Claim"]
)]
#[case::a_number_that_is_still_taken_is_not_asked_for_again(
    preparing().with(|w| w.claim_refused = true), vec![], &[], PhaseState::Preparing, &[]
)]
#[case::a_taken_tag_asks_a_person(
    preparing(), claim(Answer::TagTaken("phase-1-v1".into())), &["Claim", "Escalate(TagTaken)"], PhaseState::Escalated, &[]
)]
#[case::a_phase_that_waits_is_a_fixed_point(
    Bench::new().with(|w| w.blocked = vec![BlockedReason::DependencyNotPassed]).settled(), vec![], &[], PhaseState::Pending, &[]
)]
fn a_phase_starts(
    #[case] bench: Bench,
    #[case] answers: Answers,
    #[case] told: &[&str],
    #[case] then: PhaseState,
    #[case] next: &[&str],
) {
    row(bench, &answers, told, then, next);
}

#[rstest]
#[case::ready_tasks_are_handed_out(
    Bench::developing(), vec![],
    &["EnsureTask(a)", "EnsureTask(b)", "TaskWorking(a)", "TaskWorking(b)"],
    PhaseState::Developing, &["EnsureTask(a)", "EnsureTask(b)"]
)]
#[case::a_task_waits_for_those_it_depends_on(
    Bench::developing().with(|w| { w.depends_on.insert("b".into(), vec!["a".into()]); }).see("p.a.1.1", Work::Active), vec![],
    &["EnsureTask(a)", "TaskWorking(a)"], PhaseState::Developing, &[]
)]
#[case::no_more_tasks_than_agreed_work_at_once(
    Bench::developing().with(|w| w.parallelism = 1).see("p.a.1.1", Work::Active), vec![],
    &["EnsureTask(a)", "TaskWorking(a)"], PhaseState::Developing, &[]
)]
#[case::a_deleted_agent_task_is_made_again_under_its_name_and_counted_once(
    Bench::working().with(|w| { w.tasks.remove("p.a.1.1"); }), vec![],
    &["EnsureTask(a)"], PhaseState::Developing, &["EnsureTask(a)"]
)]
#[case::a_submission_is_integrated_at_once(
    Bench::working().see("p.a.1.1", Work::Submitted), vec![(integrate("a"), is_in("a"))],
    &["Integrate(a)", "TaskIntegrated(a)", "Release(i-a)"], PhaseState::Developing, &[]
)]
#[case::a_conflict_hands_the_task_out_anew(
    Bench::working().see("p.a.1.1", Work::Submitted), vec![(integrate("a"), conflict(&["x.py"]))],
    &["Integrate(a)", "TaskAnew(a)"], PhaseState::Developing, &["EnsureTask(a)"]
)]
#[case::a_conflict_that_does_not_go_away_asks_a_person(
    Bench::working().with(|w| w.max_dispatches = 1).see("p.a.1.1", Work::Submitted),
    vec![(integrate("a"), conflict(&["x.py"]))],
    &["Integrate(a)", "TaskFailed(a)", "Escalate(Conflict)"], PhaseState::Escalated, &[]
)]
#[case::two_conflicts_in_one_step_are_one_escalation(
    Bench::working().with(|w| w.max_dispatches = 1).see("p.a.1.1", Work::Submitted).see("p.b.1.1", Work::Submitted),
    vec![(integrate("a"), conflict(&[])), (integrate("b"), conflict(&[]))],
    &["Integrate(a)", "Integrate(b)", "TaskFailed(a)", "Escalate(Conflict)", "TaskFailed(b)", "Escalate(Conflict)"],
    PhaseState::Escalated, &[]
)]
#[case::a_release_branch_that_moved_is_recorded_and_tried_again(
    Bench::working().see("p.a.1.1", Work::Submitted), vec![(integrate("a"), Answer::Stale { head: "c9".into() })],
    &["Integrate(a)", "Release(c9)"], PhaseState::Developing, &["Integrate(a)"]
)]
#[case::a_task_without_runs_left_asks_a_person(
    Bench::working().see("p.a.1.1", failed(FailureClass::AgentError)), vec![],
    &["TaskFailed(a)", "Escalate(TaskFailed)"], PhaseState::Escalated, &[]
)]
#[case::a_spent_budget_says_so(
    Bench::working().see("p.a.1.1", failed(FailureClass::BudgetExceeded)), vec![],
    &["TaskFailed(a)", "Escalate(BudgetExceeded)"], PhaseState::Escalated, &[]
)]
#[case::all_in_leads_to_the_review(
    { let mut bench = Bench::working().see("p.a.1.1", Work::Submitted).see("p.b.1.1", Work::Submitted);
      bench.step(&[(integrate("a"), is_in("a")), (integrate("b"), is_in("b"))]); bench }, vec![],
    &["DropReview", "Enter(Reviewing)"], PhaseState::Reviewing, &["IntegrateBase"]
)]
#[case::tasks_at_work_are_a_fixed_point(Bench::working().settled(), vec![], &[], PhaseState::Developing, &[])]
fn tasks_are_developed(
    #[case] bench: Bench,
    #[case] answers: Answers,
    #[case] told: &[&str],
    #[case] then: PhaseState,
    #[case] next: &[&str],
) {
    row(bench, &answers, told, then, next);
}

#[test]
fn the_first_of_two_escalations_says_where_the_phase_stood() {
    let mut bench =
        Bench::working().with(|w| w.max_dispatches = 1).see("p.a.1.1", Work::Submitted).see("p.b.1.1", Work::Submitted);
    bench.step(&[(integrate("a"), conflict(&[])), (integrate("b"), conflict(&[]))]);
    assert_eq!(bench.status.escalation.unwrap().from, PhaseState::Developing);
}

#[test]
fn a_task_that_is_handed_out_anew_gets_a_name_of_its_own() {
    let mut bench = Bench::working().see("p.a.1.1", Work::Submitted);
    bench.step(&[(integrate("a"), conflict(&["x.py"]))]);
    assert_eq!((bench.task("a").state, &*bench.task("a").agent_task), (PhaseTaskState::Waiting, ""));
    assert!(bench.task("a").message.contains("x.py"));
    bench.step(&[]);
    assert_eq!((bench.task("a").dispatch, &*bench.task("a").agent_task), (2, "p.a.1.2"));
    assert_eq!(bench.task("a").conflict.as_deref(), Some("s1"), "what did not merge is known");
    let mut bench = bench.see("p.a.1.2", Work::Submitted);
    bench.step(&[(integrate("a"), is_in("a"))]);
    assert_eq!(bench.task("a").conflict, None);
}

#[test]
fn a_retry_after_conflicts_hands_the_task_out_with_the_newest_of_them() {
    let mut bench = Bench::working().with(|w| w.max_dispatches = 1).see("p.a.1.1", Work::Submitted);
    bench.step(&[(integrate("a"), conflict(&["x.py"]))]);
    assert_eq!((bench.task("a").state, bench.task("a").conflict.as_deref()), (PhaseTaskState::Failed, Some("s1")));
    let mut bench = bench.order(OrderKind::Retry(1), None);
    bench.step(&[]);
    assert_eq!((bench.task("a").state, bench.task("a").conflict.as_deref()), (PhaseTaskState::Waiting, Some("s1")));
    assert_eq!(bench.next(), ["EnsureTask(a)"]);
}

#[test]
fn a_crash_between_making_an_agent_task_and_recording_it_makes_it_once() {
    // The AgentTask is there, the record says that the task still waits.
    let before = Bench::developing();
    let mut after = before.clone().see("p.a.1.1", Work::Active).see("p.b.1.1", Work::Active);
    assert_eq!(before.next(), after.next());
    after.step(&[]);
    assert_eq!((after.task("a").dispatch, &*after.task("a").agent_task), (1, "p.a.1.1"));
    assert_eq!(after.next(), [""; 0]);
}

#[test]
fn a_task_added_to_the_spec_is_done_too() {
    let mut bench = Bench::working().with(|w| w.spec_tasks.push("c".into()));
    bench.step(&[]);
    assert_eq!((bench.task("c").state, &*bench.task("c").agent_task), (PhaseTaskState::Working, "p.c.1.1"));
}

#[test]
fn a_task_removed_before_it_started_is_dropped_and_one_at_work_goes_on() {
    let mut bench = Bench::developing().with(|w| w.parallelism = 1).see("p.a.1.1", Work::Active);
    bench.step(&[]);
    let mut bench = bench.with(|w| w.spec_tasks = vec!["c".into()]);
    bench.step(&[]);
    let names: Vec<&str> = bench.status.tasks.iter().map(|task| task.name.as_str()).collect();
    assert_eq!(names, ["a", "c"]);
    assert_eq!(bench.status.summary.tasks, "0/1");
}

#[rstest]
#[case::while_it_is_reviewed(Bench::reviewing(), &["StopTasks", "DropReview", "Enter(Developing)"])]
#[case::while_an_approval_is_open(Bench::awaiting(), &["DropReview", "Enter(Developing)"])]
fn a_task_added_later_is_done_before_anything_is_merged(#[case] bench: Bench, #[case] told: &[&str]) {
    let bench = bench.with(|w| w.spec_tasks.push("c".into()));
    let bench = row(bench, &[], told, PhaseState::Developing, &["EnsureTask(c)"]);
    assert_eq!(bench.status.summary.tasks, "2/3");
}

#[test]
fn an_idle_rework_is_no_progress_and_not_a_failed_task() {
    let mut bench = Bench::backoff().with(|w| w.backoff_over = true);
    bench.step(&[]);
    bench.step(&[]);
    let mut bench = bench.see("p.rework.2.1", failed(FailureClass::NoChange));
    bench.step(&[]);
    assert_eq!(bench.reason(), Some(EscalationReason::NoProgress));
}

#[test]
fn an_escalation_names_the_class_of_a_failed_task_once() {
    let message = "AgentError: run 4 of 4: it ended with exit code 1: no key".to_owned();
    let mut bench = Bench::working().see("p.a.1.1", Work::Failed { class: FailureClass::AgentError, message });
    bench.step(&[]);
    let words =
        "task a has no run left (AgentError): run 4 of 4: it ended with exit code 1: no key; Retry hands it out again";
    assert_eq!(bench.status.escalation.as_ref().unwrap().message, words);
    assert_eq!(bench.task("a").message, words);
}

fn rolled_back() -> Answer {
    Answer::WasRolledBack { merge: "m0".into(), tag: "phase-1-v1".into(), commit: "r0".into() }
}

/// The record is older than the repository: the API server was restored from a backup.
#[rstest]
#[case::while_it_develops(
    Bench::working().see("p.a.1.1", Work::Submitted), integrate("a"), adopted(), PhaseState::Passed
)]
#[case::before_a_review(Bench::integrated(), Action::IntegrateBase, adopted(), PhaseState::Passed)]
#[case::one_that_was_rolled_back(Bench::integrated(), Action::IntegrateBase, rolled_back(), PhaseState::RolledBack)]
fn a_phase_that_git_knows_to_be_merged_is_over(
    #[case] bench: Bench,
    #[case] action: Action,
    #[case] answer: Answer,
    #[case] then: PhaseState,
) {
    let mut bench = bench;
    bench.step(&[(action, answer)]);
    assert_eq!(bench.status.state, then);
    assert!(bench.step(&[]).is_empty(), "a fixed point");
}

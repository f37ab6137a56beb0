//! The base branch moved, and git cannot merge it into the release branch.

use rstest::rstest;

use super::bench::{Bench, base_in, conflict, failed, integrate, is_in};
use crate::{
    api::{
        agent_task::FailureClass,
        phase::{EscalationReason, PhaseState, PhaseTaskState},
    },
    machine::phase::{Action, Answer, BASE_MERGE, OrderKind, Work},
};

const BASE: Action = Action::IntegrateBase;

/// In Developing, with the merge to hand out.
fn conflicted() -> Bench {
    let mut bench = Bench::integrated();
    bench.step(&[(BASE, conflict(&["x.py"]))]);
    bench
}

/// The same, handed out.
fn at_work() -> Bench {
    let mut bench = conflicted();
    bench.step(&[]);
    bench.see("p.base-merge.1.1", Work::Active)
}

/// The same, with this answer to its integration.
fn handed_in(answer: Answer) -> Bench {
    let mut bench = at_work().see("p.base-merge.1.1", Work::Submitted);
    bench.step(&[(integrate(BASE_MERGE), answer)]);
    bench
}

/// In Reviewing once more, where the base branch does not merge again.
fn conflicted_again(bench: Bench) -> Bench {
    let mut bench = bench;
    bench.step(&[]);
    assert_eq!(bench.next(), ["IntegrateBase"]);
    bench.step(&[(BASE, Answer::Conflict { commit: "b2".into(), paths: vec!["y.py".into()] })]);
    bench
}

/// At the limit of times that it is handed out.
fn escalated() -> Bench {
    let bench = conflicted_again(handed_in(is_in(BASE_MERGE)).with(|world| world.max_dispatches = 1));
    assert_eq!((bench.status.state, bench.reason()), (PhaseState::Escalated, Some(EscalationReason::Conflict)));
    bench
}

#[test]
fn the_merge_is_a_task_with_the_head_of_the_base_branch_and_spends_no_attempt() {
    let bench = at_work();
    let task = bench.task(BASE_MERGE);
    assert_eq!((&*task.agent_task, task.dispatch, task.conflict.as_deref()), ("p.base-merge.1.1", 1, Some("s1")));
    assert!(task.message.contains("both changed x.py"), "{}", task.message);
    assert_eq!((bench.status.attempt, &*bench.status.summary.tasks), (1, "2/2"));
    assert_eq!(bench.status.summary.waiting_for, "developer: base-merge");
    assert_eq!(bench.next(), [""; 0], "nothing else happens meanwhile");
}

#[test]
fn what_it_hands_in_is_integrated_reviewed_and_merged() {
    let mut bench = handed_in(is_in(BASE_MERGE));
    assert_eq!(bench.task(BASE_MERGE).conflict, None);
    bench.step(&[]);
    bench.step(&[(BASE, base_in("c1"))]);
    assert_eq!((bench.status.state, bench.status.attempt), (PhaseState::Reviewing, 1));
    assert_eq!(bench.next(), ["EnsureCheck(test)"]);
}

#[test]
fn a_base_branch_that_moves_again_is_merged_again_under_a_name_of_its_own() {
    let mut bench = conflicted_again(handed_in(is_in(BASE_MERGE)));
    assert_eq!((bench.task(BASE_MERGE).conflict.as_deref(), &bench.task(BASE_MERGE).commit), (Some("b2"), &None));
    bench.step(&[]);
    assert_eq!(bench.task(BASE_MERGE).agent_task, "p.base-merge.1.2");
}

#[test]
fn a_release_branch_that_moved_meanwhile_has_it_made_anew_with_the_base_branch() {
    let mut bench = handed_in(conflict(&["x.py"]));
    assert_eq!(bench.task(BASE_MERGE).state, PhaseTaskState::Waiting);
    assert_eq!(bench.task(BASE_MERGE).conflict.as_deref(), Some("s1"), "the base branch, as before");
    bench.step(&[]);
    assert_eq!(bench.task(BASE_MERGE).agent_task, "p.base-merge.1.2");
}

#[test]
fn work_of_an_earlier_merge_is_not_that_of_the_next() {
    let bench = conflicted_again(handed_in(is_in(BASE_MERGE)));
    let mut bench = bench.with(|world| world.spec_tasks.push("c".into())).see("p.c.1.1", Work::Active);
    bench.step(&[]);
    // It waits while `c` is at work.
    let mut bench = bench.see("p.c.1.1", Work::Submitted).with(|world| world.parallelism = 1);
    bench.status.tasks.iter_mut().find(|task| task.name == BASE_MERGE).unwrap().state = PhaseTaskState::Waiting;
    let works = vec![("p.base-merge.1.1".to_owned(), "m1".to_owned())];
    bench.step(&[(integrate("c"), Answer::Integrated { commit: "i-c".into(), head: "i-c".into(), works })]);
    assert_eq!(bench.task(BASE_MERGE).state, PhaseTaskState::Waiting);
}

#[rstest]
#[case::it_ended_badly_too_often(FailureClass::AgentError, EscalationReason::Conflict)]
#[case::it_changed_nothing(FailureClass::NoChange, EscalationReason::Conflict)]
#[case::its_budget_is_spent(FailureClass::BudgetExceeded, EscalationReason::BudgetExceeded)]
fn without_runs_left_a_person_merges(#[case] class: FailureClass, #[case] reason: EscalationReason) {
    let mut bench = at_work().see("p.base-merge.1.1", failed(class));
    bench.step(&[]);
    assert_eq!((bench.status.state, bench.reason()), (PhaseState::Escalated, Some(reason)));
    let message = &bench.status.escalation.as_ref().unwrap().message;
    assert!(message.contains("said why; Retry hands it out again, or merge by hand"), "{message}");
    let mut bench = bench.order(OrderKind::Retry(1), Some("c9"));
    bench.step(&[]);
    assert_eq!((bench.status.attempt, bench.next()), (1, vec!["Integrate(base-merge)".to_owned()]));
}

#[test]
fn many_files_with_long_names_leave_room_for_what_to_do() {
    let paths: Vec<String> = (0..200).map(|n| format!("{}/{n}", "é".repeat(100))).collect();
    let mut bench = Bench::integrated().with(|world| world.max_dispatches = 0);
    bench.step(&[(BASE, Answer::Conflict { commit: "b2".into(), paths })]);
    let message = bench.status.escalation.unwrap().message;
    assert!(message.contains(", and 180 more, after 0 merges"), "{message}");
    assert!(message.ends_with("kubectl phasegate why has the commands"), "{message}");
}

#[test]
fn at_the_limit_a_person_is_told_how_to_go_on() {
    let message = escalated().status.escalation.unwrap().message;
    assert!(
        message.contains("both changed y.py, after 1 merges of it; Retry hands it out again, or merge by hand"),
        "{message}"
    );
}

#[test]
fn a_persons_merge_stands_for_it_is_gated_and_spends_no_attempt() {
    let mut bench = escalated().order(OrderKind::Retry(1), Some("c9"));
    bench.step(&[]);
    let task = bench.task(BASE_MERGE);
    assert_eq!((task.submitted.as_deref(), &*task.agent_task), (Some("c9"), ""));
    assert_eq!(bench.next(), ["Integrate(base-merge)"]);
    bench.step(&[(integrate(BASE_MERGE), is_in(BASE_MERGE))]);
    bench.step(&[]);
    bench.step(&[(BASE, base_in("c10"))]);
    assert_eq!((bench.status.state, bench.status.attempt), (PhaseState::Reviewing, 1));
    assert_eq!(bench.next(), ["EnsureCheck(test)"]);
}

#[test]
fn a_persons_commit_that_lacks_the_base_branch_is_found_out() {
    let mut bench = escalated().order(OrderKind::Retry(1), Some("c9"));
    bench.step(&[]);
    bench.step(&[(integrate(BASE_MERGE), is_in(BASE_MERGE))]);
    let bench = conflicted_again(bench);
    assert_eq!((bench.status.state, bench.reason()), (PhaseState::Escalated, Some(EscalationReason::Conflict)));
}

#[test]
fn a_retry_without_a_commit_hands_it_out_again() {
    let mut bench = escalated().order(OrderKind::Retry(1), None);
    bench.step(&[]);
    assert_eq!((bench.status.state, bench.status.attempt), (PhaseState::Developing, 1));
    bench.step(&[]);
    assert_eq!(bench.task(BASE_MERGE).agent_task, "p.base-merge.1.2");
}

#[test]
fn the_next_attempt_has_none_until_the_base_branch_conflicts_again() {
    let mut bench = handed_in(is_in(BASE_MERGE));
    bench.step(&[]);
    bench.step(&[(BASE, base_in("c1"))]);
    bench.judge(crate::api::review_result::Verdict::Fail, Some(FailureClass::ReviewFailed), false);
    bench.step(&[]);
    let mut bench = bench.with(|world| world.backoff_over = true);
    bench.step(&[]);
    let names: Vec<&str> = bench.status.tasks.iter().map(|task| task.name.as_str()).collect();
    assert_eq!((bench.status.attempt, names), (2, vec!["a", "b", "rework"]));
}

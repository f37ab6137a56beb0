//! Reviewing, AwaitingApproval and Merging.

use rstest::rstest;

use super::bench::{Bench, base_in, changing, conflict, merged, row};
use crate::{
    api::{
        agent_task::FailureClass,
        phase::{EscalationReason, PhaseState},
        review_result::Verdict,
    },
    machine::phase::{Action, Answer, CheckWork, Judgement, OrderKind},
};

type Answers = Vec<(Action, Answer)>;

fn checked(work: CheckWork) -> Bench {
    Bench::reviewing().with(|w| {
        w.check_tasks.insert("p.r1-1.test".into(), work);
    })
}

fn fail(class: FailureClass) -> Bench {
    Bench::judged(Verdict::Fail, Some(class))
}

/// The check is compared with the base, where it stands like this.
fn based(work: CheckWork) -> Bench {
    Bench::reviewing().with(|w| {
        w.compared = vec!["test".into()];
        w.check_tasks.insert("p.base-b0.test".into(), work);
    })
}

/// The check has ended, and the reviewer stands like this.
fn reviewed(work: Option<CheckWork>) -> Bench {
    checked(CheckWork::Ended).with(|w| {
        w.reviewers = vec!["security".into()];
        w.check_tasks.extend(work.map(|work| ("p.r1-1.security".into(), work)));
    })
}

fn disputed() -> Bench {
    let mut bench = Bench::reviewing();
    bench.judge(Verdict::Fail, Some(FailureClass::ReviewFailed), true);
    for judgement in bench.world.results.values_mut() {
        if let Judgement::Judged { disputed, .. } = judgement {
            *disputed = Some("both sides".into());
        }
    }
    bench
}

fn same_findings() -> Bench {
    let mut bench = Bench::reviewing();
    bench.judge(Verdict::Fail, Some(FailureClass::ReviewFailed), true);
    bench
}

fn base(answer: Answer) -> Answers {
    vec![(Action::IntegrateBase, answer)]
}

#[rstest]
#[case::nothing_happens_before_its_turn(
    Bench::integrated().with(|w| w.has_turn = false), vec![], &[], PhaseState::Reviewing, &[]
)]
#[case::the_base_branch_comes_in_first(
    Bench::integrated(), base(base_in("c1")),
    &["IntegrateBase", "Release(c1)", "BeginReview(c1)"], PhaseState::Reviewing, &["EnsureCheck(test)"]
)]
#[case::a_base_branch_that_does_not_merge_is_merged_by_the_developer(
    Bench::integrated(), base(conflict(&["x.py"])),
    &["IntegrateBase", "DropReview", "Enter(Developing)", "BaseConflict(s1)"], PhaseState::Developing, &["EnsureTask(base-merge)"]
)]
#[case::one_that_still_does_not_merge_asks_a_person(
    Bench::integrated().with(|w| w.max_dispatches = 0), base(conflict(&["x.py"])),
    &["IntegrateBase", "DropReview", "Enter(Developing)", "BaseConflict(s1)", "TaskFailed(base-merge)", "Escalate(Conflict)"],
    PhaseState::Escalated, &[]
)]
#[case::missing_checks_are_started(
    Bench::reviewing(), vec![], &["EnsureCheck(test)"], PhaseState::Reviewing, &["EnsureCheck(test)"]
)]
#[case::running_checks_are_waited_for(checked(CheckWork::Active), vec![], &[], PhaseState::Reviewing, &[])]
#[case::ended_checks_are_judged(checked(CheckWork::Ended), vec![], &["EnsureResult"], PhaseState::Reviewing, &["EnsureResult"])]
#[case::what_the_base_has_is_found_out_before_a_check_that_is_compared_with_it(
    Bench::reviewing().with(|w| w.compared = vec!["test".into()]), vec![],
    &["EnsureBaseCheck(test)"], PhaseState::Reviewing, &["EnsureBaseCheck(test)"]
)]
#[case::a_run_on_the_base_is_waited_for(
    based(CheckWork::Active), vec![], &[], PhaseState::Reviewing, &[]
)]
#[case::the_check_starts_once_the_base_is_known(
    based(CheckWork::Ended), vec![], &["EnsureCheck(test)"], PhaseState::Reviewing, &["EnsureCheck(test)"]
)]
#[case::reviewers_look_once_the_checks_have_ended(
    reviewed(None), vec![], &["EnsureReviewer(security)"], PhaseState::Reviewing, &["EnsureReviewer(security)"]
)]
#[case::a_review_under_way_is_waited_for(reviewed(Some(CheckWork::Active)), vec![], &[], PhaseState::Reviewing, &[])]
#[case::an_ended_review_is_judged(
    reviewed(Some(CheckWork::Ended)), vec![], &["EnsureResult"], PhaseState::Reviewing, &["EnsureResult"]
)]
#[case::reviewers_need_not_look_at_what_the_checks_refuse(
    reviewed(None).with(|w| w.checks_failed = true), vec![], &["EnsureResult"], PhaseState::Reviewing, &["EnsureResult"]
)]
#[case::a_dispute_about_what_was_found_again_is_put_before_a_person(
    disputed(), vec![], &["Judged(Fail)", "Escalate(Disputed)"], PhaseState::Escalated, &[]
)]
#[case::a_judgement_under_way_is_waited_for(
    checked(CheckWork::Ended).with(|w| { w.results.insert("p-r1-1".into(), Judgement::Pending); }), vec![], &[], PhaseState::Reviewing, &[]
)]
#[case::a_pass_leads_to_the_merge(
    Bench::judged(Verdict::Pass, None), vec![], &["Judged(Pass)", "Enter(Merging)"], PhaseState::Merging, &["Merge"]
)]
#[case::a_pass_that_needs_approval_waits_for_it(
    Bench::judged(Verdict::Pass, None).with(|w| w.approval_required = true), vec![],
    &["Judged(Pass)", "Enter(AwaitingApproval)"], PhaseState::AwaitingApproval, &[]
)]
#[case::a_pass_with_an_open_criterion_waits_for_its_answer(
    Bench::judged(Verdict::Pass, None).with(|w| w.person_criteria = vec!["docs".into()]), vec![],
    &["Judged(Pass)", "Enter(AwaitingApproval)"], PhaseState::AwaitingApproval, &[]
)]
#[case::a_failed_gate_with_attempts_left_waits_out_its_backoff(
    fail(FailureClass::GateFailed), vec![], &["Judged(Fail)", "Enter(Backoff)"], PhaseState::Backoff, &[]
)]
#[case::a_low_score_does_the_same(
    fail(FailureClass::ReviewFailed), vec![], &["Judged(Fail)", "Enter(Backoff)"], PhaseState::Backoff, &[]
)]
#[case::an_unmet_criterion_does_the_same(
    fail(FailureClass::CriteriaUnmet), vec![], &["Judged(Fail)", "Enter(Backoff)"], PhaseState::Backoff, &[]
)]
#[case::the_last_attempt_refused_asks_a_person(
    fail(FailureClass::ReviewFailed).with(|w| w.max_attempts = 1), vec![],
    &["Judged(Fail)", "Escalate(AttemptsExhausted)"], PhaseState::Escalated, &[]
)]
#[case::the_same_findings_twice_running_are_no_progress(
    same_findings(), vec![], &["Judged(Fail)", "Escalate(NoProgress)"], PhaseState::Escalated, &[]
)]
#[case::the_same_findings_in_the_last_attempt_exhaust_it(
    same_findings().with(|w| w.max_attempts = 1), vec![], &["Judged(Fail)", "Escalate(AttemptsExhausted)"], PhaseState::Escalated, &[]
)]
#[case::a_gamed_gate_asks_a_person(
    fail(FailureClass::Gamed), vec![], &["Judged(Fail)", "Escalate(Gamed)"], PhaseState::Escalated, &[]
)]
#[case::a_gate_that_cannot_judge_asks_a_person_and_spends_nothing(
    Bench::judged(Verdict::Inconclusive, Some(FailureClass::Inconclusive)), vec![],
    &["Judged(Inconclusive)", "Escalate(Inconclusive)"], PhaseState::Escalated, &[]
)]
#[case::another_gate_voids_the_review(
    Bench::reviewing().with(|w| w.gate_hash = "g2".into()), vec![], &["StopTasks", "DropReview"], PhaseState::Reviewing, &["IntegrateBase"]
)]
#[case::running_checks_are_a_fixed_point(checked(CheckWork::Active).settled(), vec![], &[], PhaseState::Reviewing, &[])]
fn a_review_is_held(
    #[case] bench: Bench,
    #[case] answers: Answers,
    #[case] told: &[&str],
    #[case] then: PhaseState,
    #[case] next: &[&str],
) {
    let attempt = bench.status.attempt;
    let bench = row(bench, &answers, told, then, next);
    assert_eq!(bench.status.attempt, attempt, "a review begins no attempt");
}

#[test]
fn a_tree_that_failed_this_gate_before_is_not_judged_again() {
    let mut bench = Bench::backoff().with(|w| w.backoff_over = true);
    bench.step(&[]);
    bench.step(&[]);
    let mut bench = bench.see("p.rework.2.1", crate::machine::phase::Work::Submitted);
    bench.step(&[(super::bench::integrate("rework"), super::bench::is_in("rework"))]);
    bench.step(&[]);
    bench.step(&[(Action::IntegrateBase, base_in("c1"))]);
    row(bench, &[], &["Escalate(NoProgress)"], PhaseState::Escalated, &[]);
}

#[test]
fn a_review_that_begins_again_never_takes_a_name_twice() {
    let mut bench = Bench::reviewing();
    assert_eq!(bench.status.review.as_ref().unwrap().result, "p-r1-1");
    for (gate, result) in [("g2", "p-r1-2"), ("g3", "p-r1-3")] {
        bench.world.gate_hash = gate.into();
        bench.step(&[]);
        bench.step(&[(Action::IntegrateBase, base_in("c1"))]);
        let review = bench.status.review.as_ref().unwrap();
        assert_eq!((&*review.result, &*review.gate_hash), (result, gate));
    }
}

#[test]
fn a_verdict_is_recorded_once() {
    let mut bench = Bench::merging();
    let record = crate::machine::phase::Change::Judged {
        verdict: Verdict::Fail,
        class: None,
        score: String::new(),
        categories: Vec::new(),
        evidence: "sha256:00".into(),
    };
    let stamp = super::bench::stamp(&bench.world, 5000);
    bench.status = crate::machine::phase::project(&bench.status, &[record], &stamp);
    assert_eq!(bench.status.history.len(), 1);
    let review = bench.status.review.unwrap();
    assert_eq!((review.verdict, &*review.evidence_digest), (Some(Verdict::Pass), "sha256:5e"));
}

fn approved() -> Bench {
    Bench::awaiting().order(OrderKind::Approve(vec![]), Some("c1"))
}

#[rstest]
#[case::it_waits(Bench::awaiting(), &[], PhaseState::AwaitingApproval, &[])]
#[case::an_approval_leads_to_the_merge(
    approved(), &["Approved(c1)", "Enter(Merging)", "Used(approved by ada)"], PhaseState::Merging, &["Merge"]
)]
#[case::no_approval_is_needed_any_more(
    Bench::awaiting().with(|w| w.approval_required = false), &["Enter(Merging)"], PhaseState::Merging, &["Merge"]
)]
#[case::another_gate_voids_the_review(
    Bench::awaiting().with(|w| w.gate_hash = "g2".into()), &["DropReview", "Enter(Reviewing)"], PhaseState::Reviewing, &["IntegrateBase"]
)]
#[case::waiting_is_a_fixed_point(Bench::awaiting().settled(), &[], PhaseState::AwaitingApproval, &[])]
fn an_approval_is_waited_for(
    #[case] bench: Bench,
    #[case] told: &[&str],
    #[case] then: PhaseState,
    #[case] next: &[&str],
) {
    row(bench, &[], told, then, next);
}

#[rstest]
#[case::the_same_change(changing("c2", "p-c1"), &[], "Enter(Merging)", PhaseState::Merging, &["Merge"])]
#[case::another_change(changing("c2", "p-c2"), &[], "Enter(AwaitingApproval)", PhaseState::AwaitingApproval, &[])]
#[case::a_service_that_does_not_say(changing("c2", ""), &[], "Enter(AwaitingApproval)", PhaseState::AwaitingApproval, &[])]
#[case::a_criterion_that_nobody_was_asked_for(
    changing("c2", "p-c1"), &["docs"], "Enter(AwaitingApproval)", PhaseState::AwaitingApproval, &[]
)]
fn an_approval_holds_while_what_was_approved_is_the_same(
    #[case] base_in: Answer,
    #[case] asked: &[&str],
    #[case] enters: &str,
    #[case] then: PhaseState,
    #[case] next: &[&str],
) {
    let mut bench = approved();
    bench.step(&[]);
    bench.step(&[(Action::Merge, Answer::BaseMoved)]);
    bench.step(&[(Action::IntegrateBase, base_in)]);
    bench.judge(Verdict::Pass, None, false);
    let bench = bench.with(|w| w.person_criteria = asked.iter().map(|name| (*name).to_owned()).collect());
    row(bench, &[], &["Judged(Pass)", enters], then, next);
}

/// Each time the base branch has moved when it is to be merged, and the next hotfix is before it in the queue.
#[test]
fn a_phase_that_hotfixes_pass_is_reviewed_on_top_of_each_and_no_attempt_is_spent() {
    let mut bench = approved();
    bench.step(&[]);
    for head in ["c2", "c3"] {
        assert_eq!(bench.next(), ["Merge"]);
        bench.step(&[(Action::Merge, Answer::BaseMoved)]);
        bench = bench.with(|w| w.has_turn = false);
        assert_eq!(bench.next(), Vec::<String>::new());
        bench = bench.with(|w| w.has_turn = true);
        bench.step(&[(Action::IntegrateBase, changing(head, "p-c1"))]);
        bench.judge(Verdict::Pass, None, false);
        bench.step(&[]);
    }
    let bench = row(bench, &merge(merged()), &["Merge", "Merged(m1)", "Enter(Passed)"], PhaseState::Passed, &[]);
    assert_eq!((bench.status.attempt, bench.status.history.len()), (1, 3));
    let review = bench.status.review.unwrap();
    assert_eq!((review.number, &*review.commit), (3, "c3"));
}

#[test]
fn an_approval_given_for_another_gate_does_not_hold() {
    let mut bench = approved();
    bench.step(&[]);
    let mut bench = bench.with(|w| w.gate_hash = "g2".into());
    bench.step(&[(Action::Claim, super::bench::claimed())]);
    bench.step(&[(Action::IntegrateBase, base_in("c1"))]);
    assert_eq!(bench.status.approval, None);
    bench.judge(Verdict::Pass, None, false);
    row(bench, &[], &["Judged(Pass)", "Enter(AwaitingApproval)"], PhaseState::AwaitingApproval, &[]);
}

fn merge(answer: Answer) -> Answers {
    vec![(Action::Merge, answer)]
}

fn another_gate() -> Bench {
    Bench::merging().with(|w| w.gate_hash = "g2".into())
}

fn was_merged() -> Answers {
    vec![(Action::Claim, Answer::Adopted { commit: "m1".into(), tag: "phase-1-v1".into(), score: String::new() })]
}

fn was_not() -> Answers {
    vec![(Action::Claim, super::bench::claimed())]
}

#[rstest]
#[case::what_passed_is_merged(Bench::merging(), merge(merged()), &["Merge", "Merged(m1)", "Enter(Passed)"], PhaseState::Passed, &[])]
#[case::a_base_branch_that_moved_is_reviewed_again(
    Bench::merging(), merge(Answer::BaseMoved), &["Merge", "DropReview", "Enter(Reviewing)"], PhaseState::Reviewing, &["IntegrateBase"]
)]
#[case::a_release_branch_that_moved_is_reviewed_again(
    Bench::merging(), merge(Answer::NotReviewed("elsewhere".into())),
    &["Merge", "DropReview", "Enter(Reviewing)"], PhaseState::Reviewing, &["IntegrateBase"]
)]
#[case::a_taken_tag_asks_a_person(
    Bench::merging(), merge(Answer::TagTaken("phase-1-v1".into())), &["Merge", "Escalate(TagTaken)"], PhaseState::Escalated, &[]
)]
#[case::another_gate_is_reviewed_by(
    another_gate(), was_not(), &["Claim", "DropReview", "Enter(Reviewing)"], PhaseState::Reviewing, &["IntegrateBase"]
)]
#[case::another_gate_comes_too_late_for_a_merge_that_was_done(
    another_gate(), was_merged(), &["Claim", "Merged(m1)", "Enter(Passed)"], PhaseState::Passed, &[]
)]
#[case::an_abort_ends_it(
    Bench::merging().order(OrderKind::Abort, None), was_not(),
    &["StopTasks", "Claim", "Note()", "Enter(Failed)", "Used(given up by ada)"], PhaseState::Failed, &["StopTasks", "Claim"]
)]
#[case::an_abort_comes_too_late_for_a_merge_that_was_done(
    Bench::merging().order(OrderKind::Abort, None), was_merged(), &["StopTasks", "Claim", "Merged(m1)", "Enter(Passed)"], PhaseState::Passed, &[]
)]
#[case::a_merge_is_not_torn_by_the_timeout(
    Bench::merging().with(|w| w.timed_out = true), merge(merged()), &["Merge", "Merged(m1)", "Enter(Passed)"], PhaseState::Passed, &[]
)]
#[case::merged_is_a_fixed_point(
    { let mut bench = Bench::merging(); bench.step(&merge(merged())); bench.settled() }, vec![], &[], PhaseState::Passed, &[]
)]
fn what_passed_is_merged(
    #[case] bench: Bench,
    #[case] answers: Answers,
    #[case] told: &[&str],
    #[case] then: PhaseState,
    #[case] next: &[&str],
) {
    row(bench, &answers, told, then, next);
}

#[test]
fn a_merge_that_was_done_here_is_not_called_adopted() {
    let mut bench = another_gate();
    bench.step(&was_merged());
    assert!(!bench.status.adopted);
    assert_eq!(bench.reason(), None::<EscalationReason>);
}

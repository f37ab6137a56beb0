//! One row per rule of design §7.

use rstest::rstest;

use super::support::*;
use crate::{
    api::{
        agent_task::FailureClass,
        evidence::{ReportState, Severity},
        phase::Judge,
        review_result::{CheckEvidence, CriterionState, ReasonType, RubricCategory, Verdict},
    },
    review::{display, failure_class, judge},
};

const ONE: [(&str, i32, u16); 1] = [("q", 1, 0)];

#[rstest]
#[case::exit_code_0(check("c", &["q"]), 100)]
#[case::no_findings(with(check("c", &["q"]), sarif(0, 0, 0, 0)), 100)]
#[case::info_costs_nothing(with(check("c", &["q"]), sarif(0, 0, 0, 900)), 100)]
#[case::one_minor(with(check("c", &["q"]), sarif(0, 0, 1, 0)), 97)]
#[case::three_minors(with(check("c", &["q"]), sarif(0, 0, 3, 0)), 91)]
#[case::minors_cost_one_point_at_most(with(check("c", &["q"]), sarif(0, 0, 4, 0)), 90)]
#[case::a_flood_of_minors(with(check("c", &["q"]), sarif(0, 0, i32::MAX, i32::MAX)), 90)]
#[case::one_major(with(check("c", &["q"]), sarif(0, 1, 0, 0)), 75)]
#[case::one_critical(with(check("c", &["q"]), sarif(1, 0, 0, 0)), 40)]
#[case::a_critical_and_a_major(with(check("c", &["q"]), sarif(1, 1, 0, 0)), 15)]
#[case::never_below_one(with(check("c", &["q"]), sarif(i32::MAX, i32::MAX, i32::MAX, 0)), 10)]
#[case::all_tests_pass(with(check("c", &["q"]), junit(3, 0)), 100)]
#[case::one_of_three_fails(with(check("c", &["q"]), junit(2, 1)), 66)]
#[case::one_of_a_million_fails(with(check("c", &["q"]), junit(999_999, 1)), 99)]
#[case::all_tests_fail(with(check("c", &["q"]), junit(0, 7)), 10)]
#[case::the_minimum_counts(with(with(check("c", &["q"]), junit(9, 1)), sarif(0, 1, 0, 0)), 75)]
#[case::failed_and_blocking(failed(check("c", &["q"]), 1), 10)]
#[case::failed_without_reports(not_blocking(failed(check("c", &["q"]), 1)), 97)]
#[case::failed_with_reports(with(not_blocking(failed(check("c", &["q"]), 1)), sarif(0, 0, 2, 0)), 94)]
#[case::failed_with_a_clean_report(with(not_blocking(failed(check("c", &["q"]), 1)), sarif(0, 0, 0, 0)), 100)]
#[case::failed_with_a_broken_report(with(not_blocking(failed(check("c", &["q"]), 2)), broken(ReportState::Missing)), 10)]
#[case::passed_with_a_broken_report(with(not_blocking(check("c", &["q"])), broken(ReportState::Invalid)), 10)]
#[case::read_without_facts(with(not_blocking(check("c", &["q"])), broken(ReportState::Read)), 10)]
#[case::no_test_ran(with(not_blocking(check("c", &["q"])), junit(0, 0)), 10)]
fn a_category_scores_the_minimum_over_its_evidence(#[case] check: CheckEvidence, #[case] tenths: u16) {
    let judged = judge(&spec(&ONE, vec![check]));
    assert_eq!(judged.categories[0].score.unwrap().tenths(), tenths, "{:?}", judged.categories[0].evidence);
}

#[rstest]
#[case::passes(vec![check("c", &["q"])], Verdict::Pass, None, ReasonType::Passed)]
#[case::blocking(
    vec![failed(check("c", &["q"]), 1)], Verdict::Fail, Some(FailureClass::GateFailed), ReasonType::BlockingCheckFailed
)]
#[case::report_missing(
    vec![with(check("c", &["q"]), broken(ReportState::Missing))],
    Verdict::Fail, Some(FailureClass::GateFailed), ReasonType::BlockingCheckFailed
)]
#[case::report_empty(
    vec![with(check("c", &["q"]), broken(ReportState::Empty))],
    Verdict::Fail, Some(FailureClass::GateFailed), ReasonType::BlockingCheckFailed
)]
#[case::not_blocking(
    vec![not_blocking(failed(check("c", &["q"]), 1))], Verdict::Pass, None, ReasonType::Passed
)]
#[case::broken_and_not_blocking(
    vec![with(not_blocking(check("c", &["q"])), broken(ReportState::Empty))],
    Verdict::Fail, Some(FailureClass::ReviewFailed), ReasonType::BelowPassingScore
)]
#[case::a_major(
    vec![with(check("c", &["q"]), sarif(0, 1, 0, 0))],
    Verdict::Fail, Some(FailureClass::ReviewFailed), ReasonType::BelowPassingScore
)]
#[case::not_started(
    vec![check("c", &["q"]), not_started(check("d", &["q"]))],
    Verdict::Inconclusive, Some(FailureClass::Inconclusive), ReasonType::CheckNotStarted
)]
#[case::not_started_is_no_excuse_for_a_failed_check(
    vec![failed(check("c", &["q"]), 1), not_started(check("d", &["q"]))],
    Verdict::Fail, Some(FailureClass::GateFailed), ReasonType::BlockingCheckFailed
)]
#[case::no_evidence(
    vec![check("c", &["other"])], Verdict::Inconclusive, Some(FailureClass::Inconclusive), ReasonType::NoEvidence
)]
#[case::no_checks(vec![], Verdict::Inconclusive, Some(FailureClass::Inconclusive), ReasonType::NoEvidence)]
fn the_first_rule_that_speaks_decides(
    #[case] checks: Vec<CheckEvidence>,
    #[case] verdict: Verdict,
    #[case] class: Option<FailureClass>,
    #[case] first: ReasonType,
) {
    let judged = judge(&spec(&ONE, checks));
    assert_eq!(judged.verdict, Some(verdict), "{:?}", judged.reasons);
    assert_eq!(failure_class(&judged), class);
    assert_eq!(judged.reasons[0].kind, first);
}

#[test]
fn a_rubric_without_categories_is_inconclusive() {
    let judged = judge(&spec(&[], vec![check("c", &["q"])]));
    assert_eq!((judged.verdict, judged.score), (Some(Verdict::Inconclusive), None));
}

#[test]
fn what_is_not_judged_yet_has_no_failure_class() {
    assert_eq!(failure_class(&crate::api::ReviewResultStatus::default()), None);
}

/// Scores are made of one Major (7.5), Minors (9.7, 9.4, 9.1, 9.0) and nothing (10.0).
#[rstest]
#[case::exactly_nine(&[("a", 1, 0), ("b", 1, 0)], (0, 4), (0, 4), "9.0", true)]
#[case::exactly_nine_from_unequal_parts(&[("a", 2, 0), ("b", 3, 0)], (1, 0), (0, 0), "9.0", true)]
#[case::a_thousandth_less(&[("a", 401, 0), ("b", 600, 0)], (1, 0), (0, 0), "8.998", false)]
#[case::less_than_a_thousandth_less(&[("a", 1000, 0), ("b", 1, 0)], (0, 4), (2, 0), "8.996", false)]
#[case::a_hair_below(&[("a", 400, 0), ("b", 599, 0)], (1, 0), (0, 0), "8.998", false)]
#[case::a_hair_above(&[("a", 400, 0), ("b", 601, 0)], (1, 0), (0, 0), "9.0", true)]
fn nine_is_exactly_nine(
    #[case] categories: &[(&str, i32, u16)],
    #[case] a: (i32, i32),
    #[case] b: (i32, i32),
    #[case] score: &str,
    #[case] passes: bool,
) {
    let checks = vec![with(check("a", &["a"]), sarif(0, a.0, a.1, 0)), with(check("b", &["b"]), sarif(0, b.0, b.1, 0))];
    let judged = judge(&spec(categories, checks));
    assert_eq!(judged.score.as_deref(), Some(score));
    assert_eq!(judged.verdict == Some(Verdict::Pass), passes);
}

#[test]
fn eight_point_nine_nine_nine_fails() {
    // 999 parts of 9.0 and one of 8.8.
    let mut judged = spec(&[("a", 999, 0), ("b", 1, 0)], vec![with(check("a", &["a"]), sarif(0, 0, 4, 0))]);
    judged.checks.push(with(check("b", &["b"]), junit(88, 12)));
    let judged = judge(&judged);
    assert_eq!((judged.score.as_deref(), judged.score_thousandths), (Some("8.999"), Some(8999)));
    assert_eq!(failure_class(&judged), Some(FailureClass::ReviewFailed));
}

#[rstest]
#[case(9010, "9.01")]
#[case(9000, "9.0")]
#[case(8999, "8.999")]
#[case(8990, "8.99")]
#[case(9100, "9.1")]
#[case(9001, "9.001")]
#[case(1000, "1.0")]
#[case(10_000, "10.0")]
fn a_score_is_shown_without_trailing_zeros(#[case] thousandths: i32, #[case] shown: &str) {
    assert_eq!(display(thousandths), shown);
}

/// Design §15: the first attempt of Alicia's first phase.
fn alicia() -> crate::api::ReviewResultSpec {
    let mut bandit = with(not_blocking(failed(check("bandit", &["security"]), 1)), sarif(1, 0, 0, 1));
    bandit.reports[0].findings = vec![
        finding("1", "B602", Severity::Critical, ("alicia/gateway.py", 41), "subprocess call with shell=True"),
        finding("2", "B404", Severity::Info, ("alicia/gateway.py", 3), "consider the implications of subprocess"),
    ];
    let mut ruff = with(not_blocking(failed(check("ruff", &["code-quality"]), 1)), sarif(0, 0, 1, 0));
    ruff.reports[0].findings =
        vec![finding("3", "E501", Severity::Minor, ("alicia/bus.py", 7), "line too long (104 > 100)")];
    let tests = with(check("tests", &["functionality"]), junit(42, 0));
    let checks = vec![tests, bandit, ruff, check("speed", &["performance"]), check("docs", &["documentation"])];
    let mut spec = spec(&SEED, checks);
    spec.criteria =
        vec![criterion("services-talk", Judge::Checks, &["tests"]), criterion("gateway-is-safe", Judge::Person, &[])];
    spec.previous_findings = vec!["2".to_owned(), "gone".to_owned()];
    spec
}

#[test]
fn a_total_above_the_bar_is_refused_by_a_floor() {
    let judged = judge(&alicia());
    assert_eq!(judged.score.as_deref(), Some("9.01"));
    assert_eq!(failure_class(&judged), Some(FailureClass::ReviewFailed));
    let kinds: Vec<ReasonType> = judged.reasons.iter().map(|reason| reason.kind).collect();
    assert_eq!(kinds, [ReasonType::BelowFloor]);
    assert!(judged.reasons[0].message.starts_with("security 4.0 is below its floor 9.0"), "{:?}", judged.reasons);
}

#[test]
fn the_whole_judgement_of_alicias_first_attempt() {
    insta::assert_yaml_snapshot!(judge(&alicia()));
}

#[rstest]
#[case::met(check("c", &["q"]), CriterionState::Met)]
#[case::met_with_tests(with(check("c", &["q"]), junit(5, 0)), CriterionState::Met)]
#[case::a_test_failed(with(check("c", &["q"]), junit(99, 1)), CriterionState::Unmet)]
#[case::failed(not_blocking(failed(check("c", &["q"]), 1)), CriterionState::Unmet)]
#[case::report_missing(with(not_blocking(check("c", &["q"])), broken(ReportState::Missing)), CriterionState::Unmet)]
#[case::not_started(not_started(check("c", &["q"])), CriterionState::Unmet)]
#[case::another_check(check("d", &["q"]), CriterionState::Unmet)]
fn a_criterion_is_met_when_all_checks_that_prove_it_passed(
    #[case] check: CheckEvidence,
    #[case] state: CriterionState,
) {
    let mut spec = spec(&ONE, vec![check]);
    spec.criteria = vec![criterion("it-works", Judge::Checks, &["c"])];
    assert_eq!(judge(&spec).criteria[0].state, state);
}

#[test]
fn an_unmet_criterion_fails_what_would_have_passed() {
    let mut spec = spec(&ONE, vec![with(check("c", &["q"]), junit(99, 1))]);
    spec.criteria = vec![criterion("it-works", Judge::Checks, &["c"]), criterion("said-so", Judge::Person, &[])];
    let judged = judge(&spec);
    assert_eq!(judged.score.as_deref(), Some("9.9"));
    assert_eq!(failure_class(&judged), Some(FailureClass::CriteriaUnmet));
    assert_eq!(judged.criteria[1].state, CriterionState::AwaitsPerson);
}

#[test]
fn a_criterion_that_only_a_person_can_judge_does_not_fail_the_gate() {
    let mut spec = spec(&ONE, vec![check("c", &["q"])]);
    spec.criteria = vec![criterion("said-so", Judge::Person, &[])];
    assert_eq!(judge(&spec).verdict, Some(Verdict::Pass));
}

#[test]
fn an_easy_category_of_the_phase_does_not_make_up_for_the_repositorys_own() {
    let mut spec =
        spec(&[("q", 10, 0), ("easy", 1000, 0)], vec![with(check("c", &["q"]), junit(85, 15)), check("e", &["easy"])]);
    assert_eq!(judge(&spec).verdict, Some(Verdict::Pass), "both are the Repository's");
    let added = RubricCategory { added: true, ..spec.rubric.categories[1].clone() };
    spec.rubric.categories[1] = added;
    let judged = judge(&spec);
    assert_eq!(judged.verdict, Some(Verdict::Fail));
    assert!(
        judged.reasons[0].message.starts_with("8.5 is below the passing score 9.0 without"),
        "{:?}",
        judged.reasons
    );
}

#[test]
fn a_floor_is_reached_by_exactly_its_score() {
    let judged = |floor| judge(&spec(&[("q", 1, floor)], vec![with(check("c", &["q"]), sarif(0, 0, 1, 0))])).verdict;
    assert_eq!(judged(97), Some(Verdict::Pass));
    assert_eq!(judged(98), Some(Verdict::Fail));
}

#[test]
fn findings_are_listed_with_the_dearest_first_and_told_apart_by_history() {
    let judged = judge(&alicia());
    let listed: Vec<(&str, bool)> =
        judged.findings.iter().map(|found| (found.finding.rule.as_str(), found.persisting)).collect();
    assert_eq!(listed, [("B602", false), ("E501", false), ("B404", true)]);
    assert_eq!(judged.resolved, ["gone"]);
}

#[test]
fn nothing_is_called_resolved_while_a_list_is_not_whole() {
    for hide in [
        |spec: &mut crate::api::ReviewResultSpec| spec.checks[1].reports[0].truncated = true,
        |spec: &mut crate::api::ReviewResultSpec| spec.checks[1].reports[0] = broken(ReportState::Missing),
        |spec: &mut crate::api::ReviewResultSpec| spec.checks[1] = not_started(spec.checks[1].clone()),
    ] {
        let mut spec = alicia();
        hide(&mut spec);
        assert_eq!(judge(&spec).resolved, [""; 0]);
    }
}

#[test]
fn a_flood_of_notes_hides_neither_a_critical_nor_the_counts() {
    let flood = |n: i32| finding(&n.to_string(), "N1", Severity::Info, ("a.py", n), "note");
    let checks = (0..8)
        .map(|n| {
            let mut check = with(check(&format!("c{n}"), &["q"]), sarif(0, 0, 0, 5000));
            check.reports[0].findings = (0..100).map(|line| flood(n * 100 + line)).collect();
            check
        })
        .chain([{
            let mut check = with(check("z", &["q"]), sarif(1, 0, 0, 0));
            check.reports[0].findings = vec![finding("x", "C1", Severity::Critical, ("a.py", 1), "hole")];
            check
        }])
        .collect();
    let judged = judge(&spec(&ONE, checks));
    assert_eq!(judged.findings.len(), 500);
    assert_eq!(judged.findings[0].finding.rule, "C1");
    let counts = judged.counts.unwrap();
    assert_eq!((counts.critical, counts.info), (1, 40_000));
}

//! What persons have waived.

use rstest::rstest;

use super::support::*;
use crate::{
    api::{
        ReviewResultSpec,
        agent_task::{FailureClass, Opinion},
        evidence::{ReportFacts, Severity},
        phase::Judge,
        review_result::{CheckEvidence, CriterionState, Uncharged, Verdict},
    },
    review::{failure_class, finding_id, judge},
};

const ONE: [(&str, i32, u16); 1] = [("q", 1, 0)];

fn waiving(check: CheckEvidence, ids: &[&str]) -> ReviewResultSpec {
    ReviewResultSpec { waivers: vec![waiver(ids, &[])], ..spec(&ONE, vec![check]) }
}

fn findings() -> ReportFacts {
    listing(vec![
        found("critical", "R", Severity::Critical),
        found("minor-1", "R", Severity::Minor),
        found("minor-2", "R", Severity::Minor),
        known(found("debt", "R", Severity::Major)),
    ])
}

/// Two failed tests of ten.
fn tests() -> ReportFacts {
    let failed = |id: &str| found(id, "test", Severity::Major);
    ReportFacts { findings: vec![failed("test-1"), failed("test-2")], ..junit(8, 2) }
}

#[rstest]
#[case::nothing(findings(), &[], 34, "1 Critical (-6.0), 2 Minor (-0.6), 1 known (no cost)")]
#[case::the_critical(findings(), &["critical"], 94, "2 Minor (-0.6), 1 known (no cost), 1 waived (no cost)")]
#[case::a_minor(findings(), &["minor-1"], 37, "1 Critical (-6.0), 1 Minor (-0.3), 1 known (no cost), 1 waived (no cost)")]
#[case::all(findings(), &["critical", "minor-1", "minor-2"], 100, "no findings, 1 known (no cost), 3 waived (no cost)")]
#[case::what_is_known_anyway(findings(), &["debt"], 34, "1 Critical (-6.0), 2 Minor (-0.6), 1 known (no cost)")]
#[case::what_is_not_there(findings(), &["other"], 34, "1 Critical (-6.0), 2 Minor (-0.6), 1 known (no cost)")]
#[case::no_test(tests(), &[], 80, "2 of 10 tests failed (-2.0)")]
#[case::a_test(tests(), &["test-1"], 88, "1 of 9 tests failed (-1.2); 1 waived (no cost)")]
#[case::both_tests(tests(), &["test-1", "test-2"], 100, "8 tests, none failed; 2 waived (no cost)")]
#[case::the_only_test(
    ReportFacts { findings: vec![found("t", "test", Severity::Major)], ..junit(0, 1) }, &["t"], 10,
    "no test passed (-9.0); 1 waived (no cost)"
)]
fn the_cost_of_what_is_waived_is_taken_out(
    #[case] report: ReportFacts,
    #[case] ids: &[&str],
    #[case] tenths: u16,
    #[case] why: &str,
) {
    let judged = judge(&waiving(not_blocking(with(failed(check("c", &["q"]), 1), report)), ids));
    assert_eq!(judged.categories[0].score.unwrap().tenths(), tenths);
    assert_eq!(judged.categories[0].evidence[0].why, why);
}

#[test]
fn only_what_a_list_names_can_be_waived() {
    let mut report = listing(vec![found("minor-1", "R", Severity::Minor)]);
    report.counts.as_mut().unwrap().major = 3;
    report.truncated = true;
    let judged = judge(&waiving(with(check("c", &["q"]), report), &["minor-1", "hidden"]));
    assert_eq!(judged.categories[0].score.unwrap().tenths(), 25);
    assert_eq!((judged.counts.unwrap().major, judged.counts.unwrap().minor), (3, 0), "the counts stay exact");
}

#[test]
fn what_is_waived_is_shown_with_the_reason_why_it_costs_nothing() {
    let judged = judge(&waiving(with(check("c", &["q"]), findings()), &["critical"]));
    let shown: Vec<(&str, Option<Uncharged>)> =
        judged.findings.iter().map(|f| (f.finding.id.as_str(), f.uncharged)).collect();
    let expected =
        [("minor-1", None), ("minor-2", None), ("critical", Some(Uncharged::Waived)), ("debt", Some(Uncharged::Known))];
    assert_eq!(shown, expected);
    assert!(judged.recommendations.iter().all(|text| !text.contains("Critical")), "{:?}", judged.recommendations);
}

#[test]
fn a_waived_test_does_not_make_its_check_pass() {
    let mut spec = waiving(with(failed(check("c", &["q"]), 1), tests()), &["test-1", "test-2"]);
    spec.criteria = vec![criterion("it-works", Judge::Checks, &["c"])];
    let judged = judge(&spec);
    assert_eq!(failure_class(&judged), Some(FailureClass::GateFailed));
    assert_eq!(judged.criteria[0].state, CriterionState::Unmet);
}

#[test]
fn a_failed_check_that_is_one_minor_can_be_waived() {
    let check = not_blocking(failed(check("c", &["q"]), 1));
    let id = finding_id("c", "", "", 0);
    let judged = judge(&waiving(check, &[&id]));
    assert_eq!(judged.categories[0].score.unwrap().tenths(), 100);
    assert_eq!(judged.findings[0].uncharged, Some(Uncharged::Waived));
    assert_eq!(judged.counts.unwrap().minor, 0);
}

#[test]
fn a_finding_of_a_reviewer_can_be_waived() {
    let mut spec = waiving(check("c", &["q"]), &["1"]);
    let findings = vec![found("1", "q", Severity::Critical), found("2", "q", Severity::Minor)];
    spec.reviews = vec![reviewer("eyes", &["q"], findings)];
    let judged = judge(&spec);
    assert_eq!(judged.categories[0].score.unwrap().tenths(), 97);
    assert_eq!((judged.counts.unwrap().critical, judged.counts.unwrap().minor), (0, 1));
    assert_eq!(judged.reviewers[0].ours.unwrap().tenths(), 97);
}

#[rstest]
#[case::checks(Judge::Checks)]
#[case::reviewer(Judge::Reviewer)]
#[case::person(Judge::Person)]
fn a_waived_criterion_never_fails(#[case] judge_of_it: Judge) {
    let mut spec = spec(&ONE, vec![check("c", &["q"])]);
    spec.criteria = vec![criterion("k", judge_of_it, &["nobody"])];
    spec.reviews = vec![saying(reviewer("eyes", &["q"], vec![]), "k", Opinion::Unmet)];
    spec.waivers = vec![waiver(&[], &["k"])];
    let judged = judge(&spec);
    assert_eq!((judged.verdict, judged.criteria[0].state), (Some(Verdict::Pass), CriterionState::Waived));
    assert_eq!(judged.criteria[0].message, "waived by ada: we know");
}

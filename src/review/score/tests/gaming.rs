//! Signs that a change weakens what judges it.

use rstest::rstest;

use super::support::*;
use crate::{
    api::{
        ReviewResultSpec,
        agent_task::FailureClass,
        evidence::{BaseFacts, GamingSignType, ReportFacts, ReportState, Severity, TestCounts},
        review_result::{CheckEvidence, ReasonType, Verdict},
    },
    review::{failure_class, finding_id, judge},
};

const ONE: [(&str, i32, u16); 1] = [("q", 1, 0)];

/// A report with passed, failed and skipped tests now and on the base.
fn tests(now: (i32, i32, i32), base: (i32, i32, i32)) -> ReportFacts {
    let counts = |(passed, failed, skipped)| Some(TestCounts { passed, failed, skipped });
    let base = Some(BaseFacts { tests: counts(base), ..BaseFacts::default() });
    ReportFacts { tests: counts(now), base, ..junit(1, 0) }
}

fn checked(report: ReportFacts) -> CheckEvidence {
    with(check("unit", &["q"]), report)
}

fn signs(spec: &ReviewResultSpec) -> Vec<GamingSignType> {
    judge(spec).gaming_signs.iter().map(|judged| judged.sign.kind).collect()
}

#[rstest]
#[case::as_many(checked(tests((10, 0, 2), (10, 0, 2))), &[])]
#[case::more(checked(tests((11, 0, 2), (10, 0, 2))), &[])]
#[case::fewer(checked(tests((9, 0, 2), (10, 0, 2))), &[GamingSignType::FewerTests])]
#[case::fewer_by_a_failing_one(checked(tests((9, 0, 0), (9, 1, 0))), &[GamingSignType::FewerTests])]
#[case::skipped_instead(checked(tests((9, 0, 3), (10, 0, 2))), &[GamingSignType::TestSkipped])]
#[case::fewer_and_more_skipped(checked(tests((5, 0, 3), (10, 0, 2))), &[GamingSignType::FewerTests, GamingSignType::TestSkipped])]
#[case::no_longer_skipped(checked(tests((12, 0, 0), (10, 0, 2))), &[])]
#[case::without_a_base(checked(junit(1, 0)), &[])]
#[case::one_that_does_not_block(not_blocking(failed(checked(tests((8, 1, 0), (10, 0, 0))), 1)), &[GamingSignType::FewerTests])]
#[case::a_run_that_broke_off(failed(checked(tests((3, 1, 0), (10, 0, 0))), 2), &[])]
#[case::a_report_that_cannot_be_read(
    not_blocking(checked(ReportFacts { state: ReportState::Invalid, ..tests((3, 0, 0), (10, 0, 0)) })), &[]
)]
fn the_counts_of_tests_show_what_is_missing(#[case] check: CheckEvidence, #[case] expected: &[GamingSignType]) {
    let spec = spec(&ONE, vec![check]);
    assert_eq!(signs(&spec), expected);
    let gamed = failure_class(&judge(&spec)) == Some(FailureClass::Gamed);
    assert_eq!(gamed, !expected.is_empty());
}

#[test]
fn a_sign_of_the_counts_names_the_check_and_both_numbers_and_keeps_its_id() {
    let of = |now| judge(&spec(&ONE, vec![checked(tests(now, (10, 0, 0)))])).gaming_signs.remove(0).sign;
    let sign = of((9, 0, 0));
    assert_eq!(sign.message, "check unit has 9 tests in junit.xml, the base has 10");
    assert_eq!(sign.id, finding_id("FewerTests", "unit/junit.xml", "", 0));
    assert_eq!(sign.id, of((8, 0, 0)).id);
}

#[test]
fn a_sign_comes_before_every_other_reason_and_is_shown_with_its_line() {
    let mut spec = spec(&ONE, vec![failed(check("c", &["q"]), 1), not_started(check("d", &["q"]))]);
    spec.gaming_signs = vec![sign("s", GamingSignType::AssertionDeleted)];
    let judged = judge(&spec);
    assert_eq!((judged.verdict, failure_class(&judged)), (Some(Verdict::Fail), Some(FailureClass::Gamed)));
    let message = "AssertionDeleted tests/test_bus.py:12: an assertion is gone: -    assert sent == 1";
    assert_eq!((judged.reasons[0].kind, judged.reasons[0].message.as_str()), (ReasonType::Gamed, message));
    assert_eq!(judged.reasons[1].kind, ReasonType::BlockingCheckFailed);
    assert!(judged.recommendations[0].starts_with("a person looks at it"), "{:?}", judged.recommendations);
}

#[test]
fn a_waived_sign_is_shown_and_refuses_nothing() {
    let mut spec = spec(&ONE, vec![checked(tests((9, 0, 0), (10, 0, 0)))]);
    spec.gaming_signs = vec![sign("s", GamingSignType::SuppressionAdded)];
    let fewer = finding_id("FewerTests", "unit/junit.xml", "", 0);
    spec.waivers = vec![waiver(&["s"], &[])];
    let judged = judge(&spec);
    assert_eq!(failure_class(&judged), Some(FailureClass::Gamed), "one is not accepted");
    let shown: Vec<(&str, bool)> =
        judged.gaming_signs.iter().map(|judged| (judged.sign.id.as_str(), judged.waived)).collect();
    assert_eq!(shown, [(fewer.as_str(), false), ("s", true)], "what is open comes first");
    spec.waivers.push(waiver(&[&fewer], &[]));
    assert_eq!(judge(&spec).verdict, Some(Verdict::Pass));
}

#[test]
fn a_flood_of_signs_does_not_hide_the_other_reasons() {
    let mut spec =
        spec(&[("q", 1, 100)], vec![with(check("c", &["q"]), listing(vec![found("1", "R", Severity::Minor)]))]);
    spec.gaming_signs = (0..100).map(|n| sign(&format!("{n:03}"), GamingSignType::TestSkipped)).collect();
    let judged = judge(&spec);
    assert_eq!(judged.reasons.iter().filter(|reason| reason.kind == ReasonType::Gamed).count(), 21);
    assert_eq!(judged.reasons[20].message, "and 80 more signs");
    assert_eq!(judged.reasons[21].kind, ReasonType::BelowFloor);
    assert_eq!(judged.gaming_signs.len(), 100);
}

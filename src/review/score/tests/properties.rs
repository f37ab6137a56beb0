//! What holds for all evidence.

use proptest::prelude::*;

use super::support::*;
use crate::{
    api::{
        ReviewResultSpec,
        agent_task::CheckOutcome,
        common::Decimal,
        evidence::{ReportFacts, ReportFormat, ReportState, SeverityCounts},
        phase::Judge,
        review_result::{CheckEvidence, Verdict},
    },
    review::judge,
};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn report() -> impl Strategy<Value = ReportFacts> {
    let count = prop_oneof![3 => 0..5_i32, 1 => 0..i32::MAX];
    let tests =
        (0..200_i32, prop_oneof![2 => Just(0), 1 => 0..200_i32]).prop_map(|(passed, failed)| junit(passed, failed));
    let findings = (0..3_i32, 0..3_i32, count.clone(), count).prop_map(|(c, ma, mi, i)| sarif(c, ma, mi, i));
    let state = prop_oneof![Just(ReportState::Missing), Just(ReportState::Empty), Just(ReportState::Invalid)];
    prop_oneof![4 => tests, 4 => findings, 1 => state.prop_map(broken)]
}

fn evidence(n: usize) -> impl Strategy<Value = CheckEvidence> {
    let outcome = prop_oneof![6 => Just(CheckOutcome::Passed), 2 => Just(CheckOutcome::Failed), 1 => Just(CheckOutcome::NotStarted)];
    let categories = prop::sample::subsequence(NAMES.to_vec(), 1..=4);
    (categories, outcome, any::<bool>(), prop::collection::vec(report(), 0..3)).prop_map(
        move |(categories, outcome, blocking, reports)| CheckEvidence {
            blocking,
            outcome,
            reports,
            ..check(&format!("check-{n}"), &categories)
        },
    )
}

fn any_spec() -> impl Strategy<Value = ReviewResultSpec> {
    let category = |n: usize| (1..1000_i32, 0..=100_u16).prop_map(move |(weight, floor)| (NAMES[n], weight, floor));
    let rubric = ((category(0), category(1), category(2), category(3)), 1..=4_usize, 0..=100_u16, 0..4_usize);
    let checks = (evidence(0), evidence(1), evidence(2), evidence(3), evidence(4));
    (rubric, checks, 0..=5_usize).prop_map(|((all, counted, passing, own), checks, ran)| {
        let categories = [all.0, all.1, all.2, all.3];
        let checks = [checks.0, checks.1, checks.2, checks.3, checks.4];
        let mut spec = spec(&categories[..counted], checks.into_iter().take(ran).collect());
        spec.rubric.passing_score = Decimal::from_tenths(passing);
        for category in spec.rubric.categories.iter_mut().skip(own.max(1)) {
            category.added = true;
        }
        spec.criteria = vec![criterion("k", Judge::Checks, &["check-0"]), criterion("p", Judge::Person, &[])];
        spec
    })
}

/// Asserts that `worse` is not judged better than `better` in any respect.
fn not_better(better: &ReviewResultSpec, worse: &ReviewResultSpec) {
    let (better, worse) = (judge(better), judge(worse));
    for (before, after) in better.categories.iter().zip(&worse.categories) {
        assert!(before.score.is_none() || after.score <= before.score, "{before:?} → {after:?}");
    }
    if let (Some(before), Some(after)) = (better.score_thousandths, worse.score_thousandths) {
        assert!(after <= before);
    }
    assert!(better.verdict == Some(Verdict::Pass) || worse.verdict != Some(Verdict::Pass));
}

proptest! {
    #[test]
    fn the_same_evidence_has_the_same_judgement_in_any_order(spec in any_spec(), seed in any::<u64>()) {
        let mut shuffled = spec.clone();
        let by = |name: &str| seed.rotate_left(u32::try_from(name.len()).unwrap_or(0)) ^ u64::from(name.as_bytes()[name.len() - 1]);
        shuffled.checks.sort_by_key(|check| by(&check.name).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        shuffled.checks.iter_mut().for_each(|check| check.reports.reverse());
        shuffled.criteria.reverse();
        prop_assert_eq!(judge(&spec), judge(&shuffled));
        prop_assert_eq!(judge(&spec), judge(&spec));
    }

    #[test]
    fn scores_are_between_one_and_ten(spec in any_spec()) {
        let judged = judge(&spec);
        for score in judged.categories.iter().filter_map(|category| category.score) {
            prop_assert!((10..=100).contains(&score.tenths()));
        }
        if let Some(total) = judged.score_thousandths {
            prop_assert!((1000..=10_000).contains(&total));
        }
    }

    #[test]
    fn the_total_is_the_weighted_mean_cut_and_passes_exactly_at_the_bar(spec in any_spec()) {
        let judged = judge(&spec);
        let scores: Option<Vec<u16>> = judged.categories.iter().map(|c| c.score.map(Decimal::tenths)).collect();
        prop_assert_eq!(scores.is_some(), judged.score.is_some());
        let Some(scores) = scores else { return Ok(()) };
        let weights: i64 = spec.rubric.categories.iter().map(|c| i64::from(c.weight)).sum();
        let sum: i64 = spec.rubric.categories.iter().zip(&scores).map(|(c, s)| i64::from(c.weight) * i64::from(*s)).sum();
        let total = i64::from(judged.score_thousandths.unwrap());
        prop_assert!(total * weights <= sum * 100 && (total + 1) * weights > sum * 100);
        if judged.verdict == Some(Verdict::Pass) {
            prop_assert!(total >= i64::from(spec.rubric.passing_score.tenths()) * 100);
            for (category, score) in spec.rubric.categories.iter().zip(&scores) {
                prop_assert!(category.floor.tenths() <= *score);
            }
        }
    }

    #[test]
    fn a_further_finding_never_raises_anything(
        mut spec in any_spec(), check in 0..5_usize, report in 0..3_usize, severity in 0..4_usize,
    ) {
        let before = spec.clone();
        let found = spec.checks.get_mut(check).and_then(|check| check.reports.get_mut(report));
        let Some(counts) = found.filter(|r| r.format == ReportFormat::Sarif).and_then(|r| r.counts.as_mut()) else {
            return Ok(());
        };
        let SeverityCounts { critical, major, minor, info } = counts;
        let count = [critical, major, minor, info].into_iter().nth(severity).unwrap();
        *count = count.saturating_add(1);
        not_better(&before, &spec);
    }

    #[test]
    fn a_test_that_fails_instead_of_passing_or_beside_the_others_never_raises_anything(
        mut spec in any_spec(), check in 0..5_usize, report in 0..3_usize, instead in any::<bool>(),
    ) {
        let before = spec.clone();
        let found = spec.checks.get_mut(check).and_then(|check| check.reports.get_mut(report));
        let Some(tests) = found.and_then(|r| r.tests.as_mut()).filter(|t| t.passed > 0) else { return Ok(()) };
        tests.failed += 1;
        tests.passed -= i32::from(instead);
        not_better(&before, &spec);
    }

    #[test]
    fn a_check_that_fails_or_loses_a_report_never_raises_anything(
        mut spec in any_spec(), check in 0..5_usize, report in 0..3_usize, loses in any::<bool>(),
    ) {
        let before = spec.clone();
        let Some(check) = spec.checks.get_mut(check).filter(|check| check.outcome == CheckOutcome::Passed) else {
            return Ok(());
        };
        match check.reports.get_mut(report) {
            Some(report) if loses => *report = broken(ReportState::Missing),
            _ => check.outcome = CheckOutcome::Failed,
        }
        not_better(&before, &spec);
    }

    #[test]
    fn a_check_that_never_started_never_passes(mut spec in any_spec(), check in 0..5_usize) {
        let Some(check) = spec.checks.get_mut(check) else { return Ok(()) };
        check.outcome = CheckOutcome::NotStarted;
        prop_assert_ne!(judge(&spec).verdict, Some(Verdict::Pass));
    }
}

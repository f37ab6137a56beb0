//! What holds for all evidence.

use proptest::prelude::*;

use super::support::*;
use crate::{
    api::{
        ReviewResultSpec, ReviewResultStatus,
        agent_task::{CheckOutcome, Opinion},
        common::Decimal,
        evidence::{
            BaseFacts, Finding, GamingSignType, ReportFacts, ReportFormat, ReportState, Severity, SeverityCounts,
            TestCounts,
        },
        phase::Judge,
        review_result::{CategoryScore, CheckEvidence, JudgedFinding, ReviewerEvidence, Uncharged, Verdict},
    },
    review::judge,
};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];
/// Ids are few, so that several sources report the same.
const IDS: [&str; 6] = ["f0", "f1", "f2", "f3", "f4", "f5"];
/// Criteria that checks, reviewers and persons judge.
const CRITERIA: [&str; 3] = ["k", "r", "p"];

fn severity() -> impl Strategy<Value = Severity> {
    prop_oneof![2 => Just(Severity::Info), 4 => Just(Severity::Minor), 2 => Just(Severity::Major), 1 => Just(Severity::Critical)]
}

/// A finding whose rule is a category, as a reviewer's is.
fn claim() -> impl Strategy<Value = Finding> {
    (prop::sample::select(&IDS[..]), prop::sample::select(&NAMES[..]), severity(), prop::bool::weighted(0.2))
        .prop_map(|(id, rule, severity, known)| Finding { known, ..found(id, rule, severity) })
}

/// Findings, each id once: as tools and reviewers list them.
fn claims() -> impl Strategy<Value = Vec<Finding>> {
    prop::collection::btree_map(prop::sample::select(&IDS[..]), claim(), 0..4)
        .prop_map(|claims| claims.into_iter().map(|(id, finding)| Finding { id: id.to_owned(), ..finding }).collect())
}

fn report() -> impl Strategy<Value = ReportFacts> {
    let count = prop_oneof![3 => 0..5_i32, 1 => 0..i32::MAX];
    let tests =
        (0..200_i32, prop_oneof![2 => Just(0), 1 => 0..200_i32]).prop_map(|(passed, failed)| junit(passed, failed));
    let findings = (0..3_i32, 0..3_i32, count.clone(), count).prop_map(|(c, ma, mi, i)| sarif(c, ma, mi, i));
    let state = prop_oneof![Just(ReportState::Missing), Just(ReportState::Empty), Just(ReportState::Invalid)];
    let compared = (0..20_i32, 0..3_i32, 0..20_i32).prop_map(|(passed, failed, before)| {
        let before = TestCounts { passed: before, failed: 0, skipped: 1 };
        let failures = (0..failed).map(|n| found(IDS[usize::try_from(n).unwrap()], "test", Severity::Major)).collect();
        let base = Some(BaseFacts { tests: Some(before), ..BaseFacts::default() });
        ReportFacts { base, findings: failures, ..junit(passed, failed) }
    });
    prop_oneof![
        4 => tests, 4 => findings, 4 => claims().prop_map(listing), 1 => compared, 1 => state.prop_map(broken)
    ]
}

fn review(n: usize) -> impl Strategy<Value = ReviewerEvidence> {
    let asked = prop::sample::subsequence(NAMES.to_vec(), 1..=4);
    let opinion = prop_oneof![Just(Opinion::Met), Just(Opinion::Unmet), Just(Opinion::Unverifiable)];
    let said = prop_oneof![5 => (claims(), 0..=4_usize, prop::option::of(opinion)).prop_map(Some), 1 => Just(None)];
    (asked, said, prop::bool::weighted(0.2)).prop_map(move |(asked, said, in_shadow)| {
        let name = format!("reviewer-{n}");
        let mut evidence = match said {
            None => silent(&name, &asked),
            Some((findings, skipped, opinion)) => {
                let mut evidence = reviewer(&name, &asked, findings);
                let review = evidence.review.as_mut().unwrap();
                // Mostly all that it was asked for.
                review.examined.truncate(if skipped == 4 { 1 } else { 4 });
                opinion.map_or(evidence.clone(), |opinion| saying(evidence, "r", opinion))
            }
        };
        evidence.shadow = in_shadow;
        evidence
    })
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
    let reviews = ((review(0), review(1), review(2)), prop_oneof![Just(0), 0..=3_usize]);
    let waived = (prop::sample::subsequence(IDS.to_vec(), 0..3), prop::sample::subsequence(CRITERIA.to_vec(), 0..2));
    let gamed = (prop::bool::weighted(0.1), prop::sample::subsequence(IDS.to_vec(), 0..=6));
    (rubric, checks, 0..=5_usize, reviews, waived, gamed).prop_map(|(rubric, checks, ran, reviews, waived, gamed)| {
        let (all, counted, passing, own) = rubric;
        let categories = [all.0, all.1, all.2, all.3];
        let checks = [checks.0, checks.1, checks.2, checks.3, checks.4];
        let mut spec = spec(&categories[..counted], checks.into_iter().take(ran).collect());
        spec.rubric.passing_score = Decimal::from_tenths(passing);
        for category in spec.rubric.categories.iter_mut().skip(own.max(1)) {
            category.added = true;
        }
        spec.criteria = vec![criterion("k", Judge::Checks, &["check-0"]), criterion("p", Judge::Person, &[])];
        let ((first, second, third), reviewing) = reviews;
        spec.reviews = [first, second, third].into_iter().take(reviewing).collect();
        if reviewing > 0 {
            spec.criteria.push(criterion("r", Judge::Reviewer, &[]));
        }
        spec.waivers = vec![waiver(&waived.0, &[]), waiver(&[], &waived.1)];
        spec.gaming_signs = gamed.0.then(|| sign("f0", GamingSignType::AssertionDeleted)).into_iter().collect();
        spec.previous_findings = gamed.1.into_iter().map(str::to_owned).collect();
        spec
    })
}

/// Orders things by their names and a seed.
fn shuffle<T>(things: &mut [T], seed: u64, name: fn(&T) -> &str) {
    let by = |name: &str| {
        let last = name.bytes().last().map_or(0, u64::from);
        (seed.rotate_left(u32::try_from(name.len()).unwrap_or(0)) ^ last).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    };
    things.sort_by_key(|thing| by(name(thing)));
}

/// A judgement without what is shown of shadow reviewers.
fn without_shadows(mut judged: ReviewResultStatus, shadows: &[String]) -> ReviewResultStatus {
    judged.reviewers.retain(|reviewer| !reviewer.shadow);
    judged.findings.retain(|judged| judged.uncharged != Some(Uncharged::Shadow));
    for finding in &mut judged.findings {
        let JudgedFinding { check, reported_by, .. } = finding;
        reported_by.retain(|name| !shadows.contains(name));
        if reported_by.as_slice() == std::slice::from_ref(check) {
            reported_by.clear();
        }
    }
    judged
}

/// What the words of a piece of evidence say was lost, in tenths.
fn lost(why: &str) -> i64 {
    let amounts =
        why.split("(-").skip(1).filter_map(|rest| rest.split(')').next()?.replace('.', "").parse::<i64>().ok());
    amounts.sum()
}

/// Whether the worst evidence of a category says what cost it every tenth: amounts that add up, or what stands for the
/// worst score.
fn is_explained(category: &CategoryScore, judged: &ReviewResultStatus) -> bool {
    let (Some(worst), Some(score)) = (category.evidence.first(), category.score) else { return false };
    let missing = 100 - i64::from(score.tenths());
    let amounts = lost(&worst.why);
    let adds_up = amounts == missing || (missing == 90 && amounts > 90 && worst.why.ends_with("not below 1.0"));
    let failed = missing == 90 && judged.reasons.iter().any(|reason| reason.message.contains(&worst.why))
        || worst.why.contains("which counts as the worst it could say");
    adds_up || failed
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
        shuffle(&mut shuffled.checks, seed, |check| &check.name);
        shuffled.checks.iter_mut().for_each(|check| check.reports.reverse());
        shuffled.checks.iter_mut().flat_map(|check| &mut check.reports).for_each(|report| report.findings.reverse());
        shuffled.criteria.reverse();
        shuffle(&mut shuffled.reviews, seed, |review| &review.name);
        for review in shuffled.reviews.iter_mut().filter_map(|reviewer| reviewer.review.as_mut()) {
            shuffle(&mut review.findings, seed, |finding| &finding.id);
            review.examined.reverse();
            review.criteria.reverse();
        }
        shuffled.waivers.reverse();
        prop_assert_eq!(judge(&spec), judge(&shuffled));
    }

    #[test]
    fn a_shadow_review_changes_nothing_but_what_is_shown_of_it(spec in any_spec(), further in review(9)) {
        let mut watched = spec.clone();
        watched.reviews.push(shadow(further));
        let shadows: Vec<String> =
            watched.reviews.iter().filter(|review| review.shadow).map(|review| review.name.clone()).collect();
        prop_assert_eq!(without_shadows(judge(&spec), &shadows), without_shadows(judge(&watched), &shadows));
    }

    #[test]
    fn a_waiver_never_lowers_anything(
        spec in any_spec(), ids in prop::sample::subsequence(IDS.to_vec(), 0..=6),
        criteria in prop::sample::subsequence(CRITERIA.to_vec(), 0..=3),
    ) {
        let mut waived = spec.clone();
        waived.waivers.push(waiver(&ids, &criteria));
        not_better(&waived, &spec);
    }

    #[test]
    fn a_further_claim_of_a_reviewer_never_raises_anything(
        mut spec in any_spec(), claim in claim(), reviewer in 0..3_usize,
    ) {
        let before = spec.clone();
        let review = spec.reviews.get_mut(reviewer).and_then(|reviewer| reviewer.review.as_mut());
        let Some(review) = review else { return Ok(()) };
        review.findings.push(Finding { id: "new".to_owned(), ..claim });
        not_better(&before, &spec);
    }

    #[test]
    fn what_turns_out_to_be_new_never_raises_anything(mut spec in any_spec(), reviewer in 0..3_usize) {
        let before = spec.clone();
        let review = spec.reviews.get_mut(reviewer).and_then(|reviewer| reviewer.review.as_mut());
        review.into_iter().flat_map(|review| &mut review.findings).for_each(|finding| finding.known = false);
        not_better(&before, &spec);
    }

    #[test]
    fn a_sign_of_gaming_that_nobody_accepts_never_passes(mut spec in any_spec()) {
        spec.gaming_signs.push(sign("unheard-of", GamingSignType::SuppressionAdded));
        prop_assert_eq!(judge(&spec).verdict, Some(Verdict::Fail));
    }

    #[test]
    fn a_reviewer_that_counts_and_says_nothing_never_passes(mut spec in any_spec(), reviewer in 0..3_usize) {
        let Some(reviewer) = spec.reviews.get_mut(reviewer).filter(|reviewer| !reviewer.shadow) else { return Ok(()) };
        reviewer.review = None;
        prop_assert_ne!(judge(&spec).verdict, Some(Verdict::Pass));
    }

    #[test]
    fn a_waived_criterion_decides_nothing(mut spec in any_spec()) {
        spec.waivers.push(waiver(&[], &CRITERIA));
        let waived = judge(&spec);
        spec.criteria.clear();
        let without = judge(&spec);
        prop_assert_eq!((waived.verdict, waived.reasons), (without.verdict, without.reasons));
    }

    #[test]
    fn every_lost_tenth_is_explained(spec in any_spec()) {
        let judged = judge(&spec);
        for category in judged.categories.iter().filter(|category| category.score.is_some_and(|s| s.tenths() < 100)) {
            prop_assert!(is_explained(category, &judged), "{category:?}");
        }
    }

    #[test]
    fn findings_that_cost_name_themselves(mut spec in any_spec()) {
        for check in &mut spec.checks {
            check.outcome = CheckOutcome::Passed;
            check.reports.retain(|report| report.base.as_ref().is_some_and(|base| base.known.is_some()));
        }
        let judged = judge(&spec);
        for category in judged.categories.iter().filter(|category| category.score.is_some_and(|s| s.tenths() < 100)) {
            let names = |judged: &JudgedFinding| {
                let charged = judged.uncharged.is_none() && judged.severity() > Severity::Info;
                charged && judged.categories.contains(&category.name)
            };
            prop_assert!(judged.findings.iter().any(names), "{category:?}");
        }
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

/// One judgement with a bit of everything, a hundred times.
#[test]
fn the_same_evidence_a_hundred_times_has_one_judgement() {
    let mut spec =
        spec(&SEED, vec![with(check("c", &["functionality"]), listing(vec![found("f0", "R", Severity::Minor)]))]);
    spec.reviews =
        (0..3).map(|n| reviewer(&format!("r{n}"), &NAMES, vec![found("f1", "security", Severity::Major)])).collect();
    spec.waivers = vec![waiver(&["f1"], &[])];
    spec.gaming_signs = vec![sign("s", GamingSignType::AssertionWeakened)];
    let first = judge(&spec);
    assert!((0..100).all(|_| judge(&spec) == first));
}

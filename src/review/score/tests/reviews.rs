//! What reviewers say, and what becomes of it.

use rstest::rstest;

use super::support::*;
use crate::{
    api::{
        ReviewResultSpec,
        agent_task::{CheckOutcome, FailureClass, FindingAnswer, FindingAnswerKind, Opinion, ReviewSubmission},
        common::Decimal,
        evidence::{Finding, Severity, SeverityCounts},
        phase::Judge,
        review_result::{
            CategoryCounts, CheckEvidence, CriterionState, JudgedFinding, ReasonType, ReviewerEvidence, Uncharged,
            Verdict,
        },
    },
    review::{failure_class, judge},
};

const TWO: [(&str, i32, u16); 2] = [("q", 1, 0), ("security", 1, 0)];

/// A check for `q`, and these reviewers.
fn reviewed(reviews: Vec<ReviewerEvidence>) -> ReviewResultSpec {
    ReviewResultSpec { reviews, ..spec(&TWO, vec![check("c", &["q"])]) }
}

fn kinds(spec: &ReviewResultSpec) -> Vec<ReasonType> {
    judge(spec).reasons.iter().map(|reason| reason.kind).collect()
}

fn scores(spec: &ReviewResultSpec) -> Vec<Option<u16>> {
    judge(spec).categories.iter().map(|category| category.score.map(Decimal::tenths)).collect()
}

#[rstest]
#[case::nothing_found(vec![], 100)]
#[case::a_minor(vec![found("1", "security", Severity::Minor)], 97)]
#[case::a_major(vec![found("1", "security", Severity::Major)], 75)]
#[case::a_critical_and_a_major(vec![found("1", "security", Severity::Critical), found("2", "security", Severity::Major)], 15)]
#[case::info_costs_nothing(vec![found("1", "security", Severity::Info)], 100)]
#[case::known_costs_nothing(vec![known(found("1", "security", Severity::Critical))], 100)]
#[case::of_another_category(vec![found("1", "q", Severity::Critical)], 100)]
fn an_examined_category_is_scored_by_its_findings(#[case] findings: Vec<Finding>, #[case] tenths: u16) {
    assert_eq!(scores(&reviewed(vec![reviewer("eyes", &["security"], findings)]))[1], Some(tenths));
}

#[test]
fn a_category_that_was_not_examined_has_no_evidence() {
    let mut spec = reviewed(vec![reviewer("eyes", &["q", "security"], vec![])]);
    spec.reviews[0].review.as_mut().unwrap().examined.pop();
    assert_eq!(scores(&spec), [Some(100), None]);
    let judged = judge(&spec);
    assert_eq!(judged.verdict, Some(Verdict::Inconclusive));
    assert!(judged.reasons[0].message.contains("not examined by eyes"), "{:?}", judged.reasons);
}

#[test]
fn a_category_that_a_reviewer_was_not_asked_for_is_not_examined_by_it() {
    let mut spec = reviewed(vec![reviewer("eyes", &["q", "security"], vec![])]);
    spec.reviews[0].categories.pop();
    assert_eq!(scores(&spec), [Some(100), None]);
}

#[test]
fn a_finding_outside_what_was_examined_lowers_a_score_but_is_no_evidence() {
    let findings = || vec![found("1", "q", Severity::Major), found("2", "security", Severity::Minor)];
    let mut spec = reviewed(vec![reviewer("eyes", &["q", "security"], findings())]);
    spec.reviews[0].review.as_mut().unwrap().examined.clear();
    assert_eq!(scores(&spec), [Some(75), None], "q has a check, security has nobody who looked");
    spec.reviews.push(reviewer("others", &["security"], vec![]));
    assert_eq!(scores(&spec), [Some(75), Some(97)]);
}

#[test]
fn findings_that_were_left_out_of_the_list_are_charged() {
    let mut spec = reviewed(vec![reviewer("eyes", &["security"], vec![])]);
    let counts = SeverityCounts { major: 1, minor: 40, ..SeverityCounts::default() };
    spec.reviews[0].left_out = vec![CategoryCounts { category: "security".to_owned(), counts }];
    let judged = judge(&spec);
    assert_eq!(judged.categories[1].score.unwrap().tenths(), 65);
    assert_eq!(judged.counts, Some(counts));
}

#[rstest]
#[case::the_checks_leave_it_something_to_say(check("c", &["q"]), Verdict::Inconclusive, &[ReasonType::ReviewMissing])]
#[case::a_check_failed(failed(check("c", &["q"]), 1), Verdict::Fail, &[ReasonType::BlockingCheckFailed])]
#[case::a_check_never_started(not_started(check("c", &["q"])), Verdict::Inconclusive, &[ReasonType::CheckNotStarted, ReasonType::NoEvidence])]
fn a_reviewer_that_says_nothing_is_missed_unless_the_checks_decide(
    #[case] check: CheckEvidence,
    #[case] verdict: Verdict,
    #[case] reasons: &[ReasonType],
) {
    let mut spec = reviewed(vec![silent("eyes", &["security"])]);
    let broken = check.outcome != CheckOutcome::Passed;
    spec.checks = vec![check];
    spec.criteria = vec![criterion("docs", Judge::Reviewer, &[])];
    let judged = judge(&spec);
    assert_eq!(judged.verdict, Some(verdict));
    // With q at 1.0 the total is below the bar too, once all categories have a score: here security has none.
    assert_eq!(kinds(&spec), reasons, "{:?}", judged.reasons);
    let class = if verdict == Verdict::Fail { FailureClass::GateFailed } else { FailureClass::Inconclusive };
    assert_eq!(failure_class(&judged), Some(class));
    assert_eq!(judged.criteria[0].state, CriterionState::Unmet);
    assert!(broken || judged.reasons[0].message == "reviewer eyes submitted no review: timed out");
}

fn only(spec: &ReviewResultSpec) -> JudgedFinding {
    let mut findings = judge(spec).findings;
    assert_eq!(findings.len(), 1, "{findings:?}");
    findings.remove(0)
}

#[test]
fn what_several_report_is_one_finding_and_a_lone_claim_is_visible() {
    let hole = || found("hole", "security", Severity::Critical);
    let mild = Finding { severity: Severity::Major, message: "another view of it".to_owned(), ..hole() };
    let mut spec = reviewed(vec![
        reviewer("zoe", &["security"], vec![mild]),
        reviewer("eyes", &["security"], vec![hole()]),
        shadow(reviewer("anna", &["security"], vec![hole()])),
    ]);
    let all = only(&spec);
    assert_eq!((all.check.as_str(), all.uncharged), ("eyes", None));
    assert_eq!(all.reported_by, ["eyes", "zoe", "anna"], "those that count come first");
    assert_eq!(all.finding, hole(), "the worst view of it is shown");
    let judged = judge(&spec);
    assert_eq!(judged.counts, Some(SeverityCounts { critical: 1, ..SeverityCounts::default() }), "counted once");
    assert_eq!(judged.categories[1].score.unwrap().tenths(), 40, "charged once");
    spec.reviews.truncate(1);
    assert_eq!((only(&spec).check.as_str(), only(&spec).reported_by), ("zoe", vec![]));
}

#[test]
fn a_tool_and_a_reviewer_that_agree_report_one_finding_in_the_categories_of_both() {
    let mut spec = reviewed(vec![reviewer("eyes", &["security"], vec![found("1", "security", Severity::Minor)])]);
    spec.checks[0] = with(check("c", &["q"]), listing(vec![found("1", "R", Severity::Minor)]));
    let one = only(&spec);
    assert_eq!(
        (one.categories, one.reported_by),
        (vec!["q".to_owned(), "security".to_owned()], vec!["c".to_owned(), "eyes".to_owned()])
    );
    assert_eq!(scores(&spec), [Some(97), Some(97)]);
    assert_eq!(judge(&spec).counts.unwrap().minor, 1);
}

#[test]
fn known_debt_is_shown_and_counted_apart() {
    let mut spec =
        reviewed(vec![reviewer("eyes", &["security"], vec![known(found("2", "security", Severity::Major))])]);
    let mut debt = listing(vec![known(found("1", "R", Severity::Minor)), found("3", "R", Severity::Minor)]);
    debt.base.as_mut().unwrap().known = Some(SeverityCounts { minor: 500, ..SeverityCounts::default() });
    spec.checks[0] = with(check("c", &["q"]), debt);
    let judged = judge(&spec);
    assert_eq!(judged.counts, Some(SeverityCounts { minor: 1, ..SeverityCounts::default() }));
    assert_eq!(judged.known, Some(SeverityCounts { major: 1, minor: 500, ..SeverityCounts::default() }));
    let shown: Vec<(&str, Option<Uncharged>)> =
        judged.findings.iter().map(|f| (f.finding.id.as_str(), f.uncharged)).collect();
    assert_eq!(shown, [("3", None), ("2", Some(Uncharged::Known)), ("1", Some(Uncharged::Known))]);
    assert_eq!(judged.categories[0].evidence[0].why, "1 Minor (-0.3), 500 known (no cost)");
}

#[test]
fn what_one_calls_known_and_another_new_is_charged() {
    let mut spec =
        reviewed(vec![reviewer("eyes", &["security"], vec![known(found("1", "security", Severity::Major))])]);
    spec.checks[0] = with(check("c", &["q"]), listing(vec![found("1", "R", Severity::Minor)]));
    let one = only(&spec);
    assert_eq!((one.uncharged, one.finding.severity, one.categories), (None, Severity::Minor, vec!["q".to_owned()]));
    let judged = judge(&spec);
    assert_eq!((judged.counts.unwrap().minor, judged.known), (1, None), "it is not counted as known too");
}

#[test]
fn a_shadow_reviewer_is_recorded_and_changes_nothing() {
    let plain = reviewed(vec![reviewer("eyes", &["security"], vec![found("1", "security", Severity::Minor)])]);
    let mut watched = plain.clone();
    let claims = vec![found("1", "security", Severity::Critical), found("2", "security", Severity::Critical)];
    watched.reviews.push(shadow(reviewer("anna", &["q", "security"], claims)));
    watched.reviews.push(shadow(silent("bert", &["q"])));
    let (before, after) = (judge(&plain), judge(&watched));
    assert_eq!((&before.categories, &before.reasons, before.counts), (&after.categories, &after.reasons, after.counts));
    let shown: Vec<(&str, Severity, Option<Uncharged>)> =
        after.findings.iter().map(|f| (f.finding.id.as_str(), f.finding.severity, f.uncharged)).collect();
    assert_eq!(shown, [("1", Severity::Minor, None), ("2", Severity::Critical, Some(Uncharged::Shadow))]);
    let own: Vec<(&str, bool, Option<u16>, Option<u16>)> = after
        .reviewers
        .iter()
        .map(|r| (r.name.as_str(), r.shadow, r.own.map(Decimal::tenths), r.ours.map(Decimal::tenths)))
        .collect();
    let expected =
        [("anna", true, Some(95), Some(10)), ("bert", true, None, None), ("eyes", false, Some(95), Some(97))];
    assert_eq!(own, expected);
}

#[rstest]
#[case::met(&[Some(Opinion::Met)], CriterionState::Met)]
#[case::met_by_one_and_not_spoken_of_by_another(&[Some(Opinion::Met), None], CriterionState::Met)]
#[case::unmet(&[Some(Opinion::Unmet)], CriterionState::Unmet)]
#[case::one_objection_is_enough(&[Some(Opinion::Met), Some(Opinion::Unmet)], CriterionState::Unmet)]
#[case::an_objection_beats_doubt(&[Some(Opinion::Unverifiable), Some(Opinion::Unmet)], CriterionState::Unmet)]
#[case::doubt_asks_a_person(&[Some(Opinion::Met), Some(Opinion::Unverifiable)], CriterionState::AwaitsPerson)]
#[case::silence_asks_a_person(&[None, None], CriterionState::AwaitsPerson)]
#[case::without_reviewers(&[], CriterionState::Unmet)]
fn a_criterion_is_what_the_reviewers_say(#[case] said: &[Option<Opinion>], #[case] state: CriterionState) {
    let mut spec = spec(&TWO[..1], vec![check("c", &["q"])]);
    spec.criteria = vec![criterion("docs", Judge::Reviewer, &[])];
    for (n, opinion) in said.iter().enumerate() {
        let reviewer = reviewer(&format!("r{n}"), &["q"], vec![]);
        spec.reviews.push(match opinion {
            Some(opinion) => saying(reviewer, "docs", *opinion),
            None => saying(reviewer, "another", Opinion::Unmet),
        });
    }
    spec.reviews.push(shadow(saying(reviewer("anna", &["q"], vec![]), "docs", Opinion::Unmet)));
    let judged = judge(&spec);
    assert_eq!(judged.criteria[0].state, state, "{:?}", judged.criteria);
    let verdict = if state == CriterionState::Unmet { Verdict::Fail } else { Verdict::Pass };
    assert_eq!(judged.verdict, Some(verdict), "a person is asked before the merge, not the gate");
}

#[test]
fn an_objection_says_who_and_why() {
    let mut spec = spec(&TWO[..1], vec![check("c", &["q"])]);
    spec.criteria = vec![criterion("docs", Judge::Reviewer, &[])];
    spec.reviews = vec![saying(reviewer("eyes", &["q"], vec![]), "docs", Opinion::Unmet)];
    let judged = judge(&spec);
    assert_eq!(judged.reasons[0].message, "criterion docs is not met: eyes says: docs is Unmet");
    assert_eq!(failure_class(&judged), Some(FailureClass::CriteriaUnmet));
}

#[rstest]
#[case::disputed_and_found_again(FindingAnswerKind::Disputed, "it cannot happen", true, "it cannot happen")]
#[case::disputed_without_a_word(FindingAnswerKind::Disputed, " ", true, "disputed without a word why")]
#[case::said_to_be_fixed(FindingAnswerKind::Fixed, "done", true, "")]
#[case::of_another_finding(FindingAnswerKind::Disputed, "it cannot happen", false, "")]
fn a_dispute_stands_beside_the_finding_that_comes_again(
    #[case] answer: FindingAnswerKind,
    #[case] note: &str,
    #[case] persists: bool,
    #[case] dispute: &str,
) {
    let mut spec = reviewed(vec![reviewer("eyes", &["security"], vec![found("1", "security", Severity::Major)])]);
    spec.previous_findings = vec![if persists { "1" } else { "2" }.to_owned()];
    spec.answers = vec![FindingAnswer { finding: "1".to_owned(), answer, note: note.to_owned() }];
    let one = only(&spec);
    assert_eq!((one.persisting, one.dispute.as_str()), (persists, dispute));
}

fn submission(spec: &mut ReviewResultSpec) -> &mut ReviewSubmission {
    spec.reviews[0].review.as_mut().unwrap()
}

type Change = fn(&mut ReviewResultSpec);
const NOTHING: Change = |_| ();
const SILENT: Change = |spec| spec.reviews[0].review = None;
const UNSEEN: Change = |spec| submission(spec).examined.clear();
const SILENT_SHADOW: Change = |spec| spec.reviews.push(shadow(silent("anna", &["q"])));
const ONLY_SHADOW: Change =
    |spec| spec.reviews.push(shadow(reviewer("anna", &["q"], vec![found("gone", "q", Severity::Minor)])));
const KNOWN: Change = |spec| submission(spec).findings.push(known(found("gone", "security", Severity::Minor)));

#[rstest]
#[case::all_said(NOTHING, &["gone"])]
#[case::a_reviewer_is_silent(SILENT, &[])]
#[case::a_category_was_not_looked_at(UNSEEN, &[])]
#[case::a_shadow_is_silent(SILENT_SHADOW, &["gone"])]
#[case::only_a_shadow_still_says_so(ONLY_SHADOW, &["gone"])]
#[case::it_is_in_the_base_by_now(KNOWN, &[])]
fn what_is_gone_is_resolved_once_everybody_looked(#[case] change: Change, #[case] resolved: &[&str]) {
    let mut spec = reviewed(vec![reviewer("eyes", &["security"], vec![found("1", "security", Severity::Minor)])]);
    spec.previous_findings = vec!["1".to_owned(), "gone".to_owned()];
    change(&mut spec);
    assert_eq!(judge(&spec).resolved, resolved);
}

#[test]
fn findings_are_ordered_by_severity_and_then_by_what_they_weigh_in_the_total() {
    let minor = |id: &str, category: &str| found(id, category, Severity::Minor);
    let mut spec = spec(&SEED, vec![]);
    let all = ["documentation", "code-quality", "security", "performance", "functionality"];
    let findings = vec![
        minor("docs", "documentation"),
        minor("code", "code-quality"),
        known(found("debt", "code-quality", Severity::Critical)),
        minor("secure", "security"),
        found("grave", "documentation", Severity::Major),
        found("accepted", "security", Severity::Critical),
    ];
    spec.reviews = vec![reviewer("eyes", &all, findings)];
    spec.waivers = vec![waiver(&["accepted"], &[])];
    let judged = judge(&spec);
    let ids: Vec<&str> = judged.findings.iter().map(|judged| judged.finding.id.as_str()).collect();
    assert_eq!(ids, ["grave", "code", "secure", "docs", "accepted", "debt"]);
}

#[test]
fn recommendations_repeat_what_the_reviewer_would_do() {
    let advice = Finding { recommendation: "use a list".to_owned(), ..found("1", "security", Severity::Major) };
    let judged = judge(&reviewed(vec![reviewer("eyes", &["security"], vec![advice])]));
    let text = "security 7.5 (floor 0.0, weight 1): mend a.py:1 security Major: it is wrong (use a list)";
    assert_eq!(judged.recommendations, [text]);
}

#[test]
fn nine_is_exactly_nine_with_reviewers_too() {
    let minors = |n: i32| (0..n).map(|n| found(&n.to_string(), "security", Severity::Minor)).collect::<Vec<_>>();
    let judged = |weights: [i32; 2], findings: Vec<Finding>| {
        let categories = [("q", weights[0], 0), ("security", weights[1], 0)];
        let mut spec = spec(&categories, vec![check("c", &["q"])]);
        spec.reviews = vec![reviewer("eyes", &["security"], findings)];
        let judged = judge(&spec);
        (judged.score.unwrap(), judged.verdict.unwrap())
    };
    let major = vec![found("1", "security", Severity::Major)];
    assert_eq!(judged([3, 2], major.clone()), ("9.0".to_owned(), Verdict::Pass));
    assert_eq!(judged([599, 400], major), ("8.998".to_owned(), Verdict::Fail));
    assert_eq!(judged([1, 1000], minors(5)), ("9.0".to_owned(), Verdict::Pass));
}

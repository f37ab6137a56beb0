//! Evidence in few words.

use crate::api::{
    ReviewResultSpec,
    agent_task::{CheckOutcome, CriterionOpinion, Examined, Opinion, ReviewSubmission, RunStamp},
    common::Decimal,
    evidence::{
        BaseFacts, Finding, GamingSign, GamingSignType, ReportFacts, ReportFormat, ReportState, Severity,
        SeverityCounts, TestCounts,
    },
    phase::{Judge, Waiver},
    review_result::{CheckEvidence, CriterionToJudge, ReviewerEvidence, Rubric, RubricCategory},
};

/// Name, weight and floor in tenths of each category; 9.0 passes.
pub(super) fn spec(categories: &[(&str, i32, u16)], checks: Vec<CheckEvidence>) -> ReviewResultSpec {
    let categories = categories
        .iter()
        .map(|(name, weight, floor)| RubricCategory {
            name: (*name).to_owned(),
            weight: *weight,
            floor: Decimal::from_tenths(*floor),
            added: false,
        })
        .collect();
    ReviewResultSpec {
        repository: "alicia".to_owned(),
        phase: "alicia-1".to_owned(),
        phase_uid: "uid".to_owned(),
        attempt: 1,
        number: 1,
        commit: "c".to_owned(),
        tree: "t".to_owned(),
        base: "b".to_owned(),
        gate_hash: "h".to_owned(),
        rubric: Rubric { passing_score: Decimal::from_tenths(90), categories },
        checks,
        reviews: Vec::new(),
        gaming_signs: Vec::new(),
        waivers: Vec::new(),
        answers: Vec::new(),
        criteria: Vec::new(),
        previous_findings: Vec::new(),
    }
}

/// The seed's five categories with the default floors.
pub(super) const SEED: [(&str, i32, u16); 5] = [
    ("code-quality", 30, 80),
    ("functionality", 25, 80),
    ("performance", 20, 70),
    ("security", 15, 90),
    ("documentation", 10, 60),
];

pub(super) fn check(name: &str, categories: &[&str]) -> CheckEvidence {
    CheckEvidence {
        name: name.to_owned(),
        task: format!("alicia-1-{name}"),
        blocking: true,
        categories: categories.iter().map(|name| (*name).to_owned()).collect(),
        outcome: CheckOutcome::Passed,
        image_id: None,
        exit_code: Some(0),
        message: String::new(),
        reports: Vec::new(),
    }
}

pub(super) fn failed(mut check: CheckEvidence, code: i32) -> CheckEvidence {
    check.outcome = CheckOutcome::Failed;
    check.exit_code = Some(code);
    check
}

pub(super) fn not_started(mut check: CheckEvidence) -> CheckEvidence {
    check.outcome = CheckOutcome::NotStarted;
    check.exit_code = None;
    check.message = "the image cannot be pulled".to_owned();
    check
}

pub(super) fn not_blocking(mut check: CheckEvidence) -> CheckEvidence {
    check.blocking = false;
    check
}

pub(super) fn with(mut check: CheckEvidence, report: ReportFacts) -> CheckEvidence {
    check.reports.push(report);
    check
}

pub(super) fn junit(passed: i32, failed: i32) -> ReportFacts {
    ReportFacts {
        tests: Some(TestCounts { passed, failed, skipped: 1 }),
        counts: Some(SeverityCounts { major: failed, ..SeverityCounts::default() }),
        ..report("junit.xml", ReportFormat::JUnit)
    }
}

/// Critical, Major, Minor and Info findings.
pub(super) fn sarif(critical: i32, major: i32, minor: i32, info: i32) -> ReportFacts {
    ReportFacts {
        counts: Some(SeverityCounts { critical, major, minor, info }),
        ..report("tool.sarif", ReportFormat::Sarif)
    }
}

pub(super) fn broken(state: ReportState) -> ReportFacts {
    ReportFacts { state, ..report("tool.sarif", ReportFormat::Sarif) }
}

pub(super) fn report(path: &str, format: ReportFormat) -> ReportFacts {
    ReportFacts {
        path: path.to_owned(),
        format,
        state: ReportState::Read,
        message: String::new(),
        tests: None,
        counts: None,
        coverage: None,
        measurements: Vec::new(),
        base: None,
        findings: Vec::new(),
        truncated: false,
    }
}

pub(super) fn finding(id: &str, rule: &str, severity: Severity, place: (&str, i32), message: &str) -> Finding {
    let (path, line) = (place.0.to_owned(), place.1);
    Finding {
        id: id.to_owned(),
        rule: rule.to_owned(),
        severity,
        path,
        line,
        message: message.to_owned(),
        evidence: String::new(),
        recommendation: String::new(),
        known: false,
    }
}

pub(super) fn criterion(name: &str, judge: Judge, proven_by: &[&str]) -> CriterionToJudge {
    CriterionToJudge {
        name: name.to_owned(),
        description: format!("{name} is so"),
        judge,
        proven_by: proven_by.iter().map(|name| (*name).to_owned()).collect(),
    }
}

/// A SARIF report that lists these findings; its counts are theirs.
pub(super) fn listing(findings: Vec<Finding>) -> ReportFacts {
    let of = |known: bool| {
        let count = |severity| {
            let same = findings.iter().filter(|finding| finding.known == known && finding.severity == severity);
            i32::try_from(same.count()).unwrap()
        };
        SeverityCounts {
            critical: count(Severity::Critical),
            major: count(Severity::Major),
            minor: count(Severity::Minor),
            info: count(Severity::Info),
        }
    };
    let base = BaseFacts { known: Some(of(true)), ..BaseFacts::default() };
    ReportFacts { counts: Some(of(false)), base: Some(base), findings, ..report("tool.sarif", ReportFormat::Sarif) }
}

/// A finding of `rule` in `a.py`, line 1.
pub(super) fn found(id: &str, rule: &str, severity: Severity) -> Finding {
    finding(id, rule, severity, ("a.py", 1), "it is wrong")
}

pub(super) fn known(finding: Finding) -> Finding {
    Finding { known: true, ..finding }
}

/// A reviewer that was asked for these categories and examined all of them.
pub(super) fn reviewer(name: &str, categories: &[&str], findings: Vec<Finding>) -> ReviewerEvidence {
    let categories: Vec<String> = categories.iter().map(|name| (*name).to_owned()).collect();
    let examined = |category: &String| Examined { category: category.clone(), what: "the diff".to_owned() };
    ReviewerEvidence {
        name: name.to_owned(),
        task: format!("alicia-1-{name}"),
        shadow: false,
        review: Some(ReviewSubmission {
            stamp: RunStamp { run: 1, pod_uid: "pod".to_owned() },
            examined: categories.iter().map(examined).collect(),
            findings,
            criteria: Vec::new(),
            own_score: Some(Decimal::from_tenths(95)),
            summary: String::new(),
        }),
        categories,
        left_out: Vec::new(),
        message: String::new(),
    }
}

/// A reviewer that submitted nothing.
pub(super) fn silent(name: &str, categories: &[&str]) -> ReviewerEvidence {
    ReviewerEvidence { review: None, message: "timed out".to_owned(), ..reviewer(name, categories, Vec::new()) }
}

pub(super) fn shadow(reviewer: ReviewerEvidence) -> ReviewerEvidence {
    ReviewerEvidence { shadow: true, ..reviewer }
}

/// The same reviewer with an opinion of a criterion.
pub(super) fn saying(mut reviewer: ReviewerEvidence, name: &str, opinion: Opinion) -> ReviewerEvidence {
    let evidence = format!("{name} is {opinion:?}");
    let said = CriterionOpinion { name: name.to_owned(), opinion, evidence };
    reviewer.review.as_mut().unwrap().criteria.push(said);
    reviewer
}

pub(super) fn waiver(findings: &[&str], criteria: &[&str]) -> Waiver {
    Waiver {
        decision_uid: format!("{}{}", findings.join("-"), criteria.join("-")).chars().take(64).collect(),
        user: "ada".to_owned(),
        findings: findings.iter().map(|id| (*id).to_owned()).collect(),
        criteria: criteria.iter().map(|name| (*name).to_owned()).collect(),
        reason: "we know".to_owned(),
        until: None,
    }
}

pub(super) fn sign(id: &str, kind: GamingSignType) -> GamingSign {
    GamingSign {
        id: id.to_owned(),
        kind,
        path: "tests/test_bus.py".to_owned(),
        line: 12,
        text: "-    assert sent == 1".to_owned(),
        message: "an assertion is gone".to_owned(),
    }
}

//! Evidence in few words.

use crate::api::{
    ReviewResultSpec,
    agent_task::CheckOutcome,
    common::Decimal,
    evidence::{Finding, ReportFacts, ReportFormat, ReportState, Severity, SeverityCounts, TestCounts},
    phase::Judge,
    review_result::{CheckEvidence, CriterionToJudge, Rubric, RubricCategory},
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

fn report(path: &str, format: ReportFormat) -> ReportFacts {
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

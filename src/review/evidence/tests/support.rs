//! Reports in few words. The work tree is `/tree`.

use std::path::PathBuf;

use crate::{
    api::evidence::{Report, ReportFacts, ReportFormat, ReportLevels, ReportState, Target},
    review::{Change, DiffParser, read_report},
};

pub(super) fn report(format: ReportFormat) -> Report {
    Report { path: "reports/r".to_owned(), format, levels: None, targets: Vec::new() }
}

pub(super) fn no_lines(_: &str, _: u32) -> Option<String> {
    None
}

pub(super) fn junit(text: &str) -> ReportFacts {
    read_report(&report(ReportFormat::JUnit), text.as_bytes(), "/tree", &no_lines)
}

pub(super) fn sarif(text: &str) -> ReportFacts {
    read_report(&report(ReportFormat::Sarif), text.as_bytes(), "/tree", &no_lines)
}

pub(super) fn leveled(levels: ReportLevels, text: &str) -> ReportFacts {
    let report = Report { levels: Some(levels), ..report(ReportFormat::Sarif) };
    read_report(&report, text.as_bytes(), "/tree", &no_lines)
}

/// Passed, failed and skipped tests of an intact report.
pub(super) fn tests(facts: &ReportFacts) -> (i32, i32, i32) {
    assert_eq!(facts.state, ReportState::Read, "{}", facts.message);
    let tests = facts.tests.unwrap();
    (tests.passed, tests.failed, tests.skipped)
}

/// Critical, Major, Minor and Info findings of an intact report.
pub(super) fn counts(facts: &ReportFacts) -> (i32, i32, i32, i32) {
    assert_eq!(facts.state, ReportState::Read, "{}", facts.message);
    let counts = facts.counts.unwrap();
    (counts.critical, counts.major, counts.minor, counts.info)
}

pub(super) fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/reports")
}

pub(super) fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(fixtures().join(name)).unwrap()
}

/// Lines of the sources that the fixtures were written from.
pub(super) fn source_lines(path: &str, line: u32) -> Option<String> {
    let text = std::fs::read_to_string(fixtures().join("source").join(path)).ok()?;
    text.lines().nth(usize::try_from(line).ok()?.checked_sub(1)?).map(str::to_owned)
}

/// A SARIF document of one run with these results, and a driver with these rules.
pub(super) fn run(rules: &str, results: &str) -> String {
    format!(
        r#"{{"version":"2.1.0","runs":[{{"results":[{results}],"tool":{{"driver":{{"name":"t","rules":[{rules}]}}}}}}]}}"#
    )
}

/// A result of rule `R` at a line of `a.py`, with further fields.
pub(super) fn result(line: u32, fields: &str) -> String {
    format!(
        r#"{{"ruleId":"R","message":{{"text":"bad"}},"locations":[{{"physicalLocation":{{"artifactLocation":{{"uri":"a.py"}},"region":{{"startLine":{line}}}}}}}]{fields}}}"#
    )
}

pub(super) fn target(metric: &str, at_least: Option<&str>, at_most: Option<&str>) -> Target {
    let quantity = |text: &str| text.parse().unwrap();
    Target { metric: metric.to_owned(), at_least: at_least.map(quantity), at_most: at_most.map(quantity) }
}

/// What a diff says.
pub(super) fn change(diff: &str) -> Change {
    let mut parser = DiffParser::default();
    parser.feed(diff.as_bytes()).unwrap();
    parser.finish().unwrap()
}

/// Covered and total lines of an intact report.
pub(super) fn covered(facts: &ReportFacts) -> (i64, i64) {
    assert_eq!(facts.state, ReportState::Read, "{}", facts.message);
    let all = facts.coverage.unwrap().all;
    (all.covered, all.total)
}

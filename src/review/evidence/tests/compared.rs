//! New against base, with the reports of real tools on two versions of one source: what is new was told
//! from the sources by hand (`expected.yaml`).

use std::collections::BTreeMap;

use rstest::rstest;
use serde_yaml::Value;

use super::support::*;
use crate::{
    api::evidence::{LineCounts, Report, ReportFacts, ReportFormat, Severity, SeverityCounts},
    review::{Around, BaseReport, Change, compare_report},
};

const ROOT: &str = "/code/tree";

/// Lines of the sources of one side.
fn lines_of(side: &'static str) -> impl Fn(&str, u32) -> Option<String> {
    move |path, line| {
        let text = std::fs::read_to_string(fixtures().join(side).join("source").join(path)).ok()?;
        text.lines().nth(usize::try_from(line).ok()?.checked_sub(1)?).map(str::to_owned)
    }
}

fn real_change() -> Change {
    change(&String::from_utf8(fixture("changes.diff")).unwrap())
}

fn base_of(report: &Report, name: &str) -> BaseReport {
    let bytes = fixture(&format!("base/{name}"));
    BaseReport::read(report, &bytes.as_slice(), &Around::new(ROOT, &lines_of("base")), "c0ffee", "house-1-base")
        .unwrap()
}

/// What the report of the head says, against the base.
fn compared(name: &str, format: ReportFormat) -> ReportFacts {
    let report = report(format);
    let (base, change, lines) = (base_of(&report, name), real_change(), lines_of("head"));
    let around = Around { change: Some(&change), base: Some(&base), ..Around::new(ROOT, &lines) };
    compare_report(&report, &fixture(&format!("head/{name}")).as_slice(), &around)
}

fn expected(kind: &str, name: &str) -> Value {
    let expected: Value = serde_yaml::from_slice(&fixture("expected.yaml")).unwrap();
    expected[kind][name].clone()
}

fn total(counts: SeverityCounts) -> i32 {
    let SeverityCounts { critical, major, minor, info } = counts;
    critical + major + minor + info
}

/// Rule and path of each, with how many there are: which of some equal lines is the new one cannot be told.
fn places<'a>(of: impl Iterator<Item = &'a str>) -> BTreeMap<String, usize> {
    let mut places = BTreeMap::new();
    for place in of {
        let place = place.rsplit_once(':').map_or(place, |(place, _)| place);
        *places.entry(place.to_owned()).or_default() += 1;
    }
    places
}

#[rstest]
#[case("ruff.sarif")]
#[case("bandit.sarif")]
#[case("semgrep.sarif")]
#[case("hadolint.sarif")]
#[case("gitleaks.sarif")]
#[case("clippy.sarif")]
fn what_is_new_is_told_from_what_moved_was_renamed_or_indented(#[case] name: &str) {
    let expected = expected("findings", name);
    let facts = compared(name, ReportFormat::Sarif);
    let listed = |key: &str| {
        let list = expected[key].as_sequence().into_iter().flatten();
        list.map(|place| place.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    // A line that was wrapped is another line: its finding counts as new.
    let new: Vec<String> = [listed("new"), listed("wrapped")].concat();
    let found = |known: bool| {
        let found = facts.findings.iter().filter(move |finding| finding.known == known);
        found.map(|finding| format!("{} {}:{}", finding.rule.rsplit('.').next().unwrap(), finding.path, finding.line))
    };
    let (found_new, found_known): (Vec<String>, Vec<String>) = (found(false).collect(), found(true).collect());
    assert_eq!(places(found_new.iter().map(String::as_str)), places(new.iter().map(String::as_str)));
    assert_eq!(places(found_known.iter().map(String::as_str)), places(listed("known").iter().map(String::as_str)));
    let known = facts.base.clone().unwrap().known.unwrap();
    assert_eq!(total(facts.counts.unwrap()), i32::try_from(new.len()).unwrap(), "only what is new is charged");
    assert_eq!(total(facts.counts.unwrap()) + total(known), i32::try_from(expected["head"].as_i64().unwrap()).unwrap());
    let first_known = facts.findings.iter().position(|finding| finding.known);
    assert!(
        facts.findings.iter().skip(first_known.unwrap_or(usize::MAX)).all(|finding| finding.known),
        "known ones last"
    );
    let base = facts.base.unwrap();
    assert_eq!((base.commit.as_str(), base.task.as_str()), ("c0ffee", "house-1-base"));
}

/// The same from the other side: what is gone is what the base has and the head has not.
#[rstest]
#[case("ruff.sarif")]
#[case("bandit.sarif")]
#[case("semgrep.sarif")]
#[case("hadolint.sarif")]
#[case("gitleaks.sarif")]
#[case("clippy.sarif")]
fn as_many_are_known_as_the_base_has_and_were_not_fixed(#[case] name: &str) {
    let expected = expected("findings", name);
    let count = |key: &str| expected[key].as_sequence().map_or(0, Vec::len);
    let base = usize::try_from(expected["base"].as_i64().unwrap()).unwrap();
    let known = compared(name, ReportFormat::Sarif).base.unwrap().known.unwrap();
    assert_eq!(usize::try_from(total(known)).unwrap(), base - count("fixed") - count("wrapped"));
}

#[rstest]
#[case("coverage.xml", ReportFormat::Cobertura)]
#[case("coverage-source.xml", ReportFormat::Cobertura)]
#[case("pytest-cov.xml", ReportFormat::Cobertura)]
#[case("llvm-cov.xml", ReportFormat::Cobertura)]
#[case("coverage.lcov", ReportFormat::Lcov)]
#[case("llvm-cov.lcov", ReportFormat::Lcov)]
fn coverage_is_counted_as_the_tools_measured_it(#[case] name: &str, #[case] format: ReportFormat) {
    let expected = expected("coverage", name);
    let counts = |key: &str| {
        let (covered, total) = expected[key].as_str().unwrap().split_once('/').unwrap();
        LineCounts { covered: covered.parse().unwrap(), total: total.parse().unwrap() }
    };
    // Each tool measures one language; the other's files are not in its report, and of another kind.
    let facts = compared(name, format);
    let coverage = facts.coverage.unwrap();
    assert_eq!((coverage.all, coverage.changed), (counts("head"), Some(counts("changed"))));
    assert_eq!(facts.base.unwrap().coverage, Some(counts("base")));
}

#[test]
fn tests_are_counted_and_the_bases_are_told_beside_them() {
    let report = report(ReportFormat::JUnit);
    let text =
        |failed: &str| format!("<testsuite><testcase name='a'>{failed}</testcase><testcase name='b'/></testsuite>");
    let around = Around::new(ROOT, &no_lines);
    let base = BaseReport::read(&report, &text("<failure/>").as_bytes(), &around, "c", "t").unwrap();
    let facts = compare_report(&report, &text("<failure/>").as_bytes(), &Around { base: Some(&base), ..around });
    assert_eq!(tests(&facts), (1, 1, 0), "what failed on the base too is no excuse");
    assert_eq!((facts.counts.unwrap().major, facts.findings[0].known), (1, false));
    let base = facts.base.unwrap();
    assert_eq!((base.tests.unwrap().failed, base.known), (1, None));
}

/// Results of rule `R` at lines of a file whose lines say their numbers.
fn at(lines: &[u32], fields: &str) -> String {
    run("", &lines.iter().map(|line| result(*line, fields)).collect::<Vec<_>>().join(","))
}

#[rstest]
#[case::the_same(&[1, 2], &[1, 2], (0, 2))]
#[case::one_more(&[1, 2], &[1, 2, 3], (1, 2))]
#[case::one_fewer(&[1, 2], &[2], (0, 1))]
#[case::others(&[1], &[2], (1, 0))]
#[case::nothing_before(&[], &[1], (1, 0))]
#[case::the_same_text_again(&[100], &[100, 200, 300], (2, 1))]
#[case::the_same_text_less_often(&[100, 200, 300], &[300], (0, 1))]
fn a_finding_is_known_by_its_rule_file_and_text(
    #[case] before: &[u32],
    #[case] after: &[u32],
    #[case] expected: (i32, i32),
) {
    let lines = |_: &str, line: u32| Some(if line < 100 { format!("line {line}") } else { "the same".to_owned() });
    let report = report(ReportFormat::Sarif);
    let around = Around::new(ROOT, &lines);
    let base = BaseReport::read(&report, &at(before, "").as_bytes(), &around, "c", "t").unwrap();
    let facts = compare_report(&report, &at(after, "").as_bytes(), &Around { base: Some(&base), ..around });
    assert_eq!((facts.counts.unwrap().minor, facts.base.unwrap().known.unwrap().minor), expected);
}

#[test]
fn what_is_known_is_known_however_severe_the_tool_calls_it_now() {
    let report = report(ReportFormat::Sarif);
    let around = Around::new(ROOT, &no_lines);
    let base = BaseReport::read(&report, &at(&[1], "").as_bytes(), &around, "c", "t").unwrap();
    let facts =
        compare_report(&report, &at(&[1], r#","level":"error""#).as_bytes(), &Around { base: Some(&base), ..around });
    assert_eq!((facts.counts.unwrap(), facts.findings[0].severity), (SeverityCounts::default(), Severity::Major));
    assert_eq!(facts.base.unwrap().known.unwrap().major, 1);
}

#[test]
fn ten_thousand_findings_are_matched_though_a_hundred_are_listed() {
    let many: Vec<u32> = (1..=10_000).collect();
    let lines = |_: &str, line: u32| Some(format!("line {line}"));
    let report = report(ReportFormat::Sarif);
    let around = Around::new(ROOT, &lines);
    let base = BaseReport::read(&report, &at(&many[..9_990], "").as_bytes(), &around, "c", "t").unwrap();
    let facts = compare_report(&report, &at(&many, "").as_bytes(), &Around { base: Some(&base), ..around });
    assert_eq!((facts.counts.unwrap().minor, facts.base.unwrap().known.unwrap().minor), (10, 9_990));
    assert_eq!((facts.findings.len(), facts.truncated), (100, true));
    assert!(facts.findings[..10].iter().all(|finding| !finding.known), "what is charged is listed first");
}

#[test]
fn a_base_that_says_nothing_says_why() {
    let around = Around::new(ROOT, &no_lines);
    for (text, why) in [("", "the file is empty"), ("{}", "no run is in it"), ("x", "not SARIF")] {
        let error = BaseReport::read(&report(ReportFormat::Sarif), &text.as_bytes(), &around, "c", "t").unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}

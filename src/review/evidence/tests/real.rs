//! Files that real tools wrote, and the counts of the typed libraries for comparison.

use rstest::rstest;

use super::support::*;
use crate::{
    api::evidence::{Report, ReportFacts, ReportFormat, ReportLevels, ReportState, Severity},
    review::read_report,
};

fn read(name: &str, format: ReportFormat) -> ReportFacts {
    read_report(&report(format), &fixture(name), "/tree", &source_lines)
}

/// Four of the tests failed: their reruns, set-ups and teardowns are further entries that look as if
/// they had passed. One passed when it ran again: it is one test.
#[rstest]
#[case::reruns("pytest.xml", (4, 4, 2))]
#[case::xunit1("pytest-xunit1.xml", (3, 5, 2))]
#[case::collection("pytest-collection-error.xml", (0, 1, 0))]
fn pytests_results_are_counted_case_by_case(#[case] name: &str, #[case] expected: (i32, i32, i32)) {
    assert_eq!(tests(&read(name, ReportFormat::JUnit)), expected);
}

#[test]
fn a_run_of_pytest_that_selects_nothing_is_empty() {
    let facts = read("pytest-none.xml", ReportFormat::JUnit);
    assert_eq!((facts.state, facts.message.as_str()), (ReportState::Empty, "no test is in it"));
}

#[test]
fn a_failed_test_is_a_finding_with_its_message_and_place() {
    let facts = read("pytest-xunit1.xml", ReportFormat::JUnit);
    let found = facts.findings.iter().find(|f| f.rule == "test_gateway::test_token_is_not_the_text").unwrap();
    assert_eq!((found.path.as_str(), found.line > 0, found.severity), ("test_gateway.py", true, Severity::Major));
    assert!(found.message.starts_with("AssertionError: tokens must not <leak> & differ"), "{}", found.message);
}

#[test]
fn bandits_levels_mean_what_the_repository_says() {
    let report = Report {
        levels: Some(ReportLevels { error: Some(Severity::Critical), ..ReportLevels::default() }),
        ..report(ReportFormat::Sarif)
    };
    assert_eq!(counts(&read("bandit.sarif", ReportFormat::Sarif)), (0, 2, 0, 1));
    let facts = read_report(&report, &fixture("bandit.sarif"), "/tree", &source_lines);
    assert_eq!(counts(&facts), (2, 0, 0, 1));
    let worst: Vec<(&str, &str, i32)> =
        facts.findings.iter().map(|f| (f.rule.as_str(), f.path.as_str(), f.line)).collect();
    assert_eq!(worst, [("B602", "gateway.py", 7), ("B324", "gateway.py", 12), ("B404", "gateway.py", 2)]);
}

#[test]
fn ruffs_absolute_addresses_become_paths_of_the_work_tree() {
    let facts = read("ruff.sarif", ReportFormat::Sarif);
    assert!(facts.findings.iter().all(|f| ["gateway.py", "test_gateway.py"].contains(&f.path.as_str())));
    let unused = facts.findings.iter().find(|f| f.rule == "F841").unwrap();
    assert_eq!((unused.path.as_str(), unused.line), ("gateway.py", 11));
}

#[rstest]
#[case("bandit-clean.sarif")]
#[case("ruff-clean.sarif")]
fn a_tool_that_found_nothing_says_so(#[case] name: &str) {
    assert_eq!(counts(&read(name, ReportFormat::Sarif)), (0, 0, 0, 0));
}

#[test]
fn ids_stay_when_lines_move_and_change_when_the_line_does() {
    let read = |change: &dyn Fn(Vec<String>) -> Vec<String>, by: i64| {
        let text = std::fs::read_to_string(fixtures().join("source/gateway.py")).unwrap();
        let moved = change(text.lines().map(str::to_owned).collect());
        let line = |_: &str, line: u32| {
            let at = usize::try_from(i64::from(line) + by - 1).ok()?;
            moved.get(at).cloned()
        };
        let facts = read_report(&report(ReportFormat::Sarif), &fixture("bandit.sarif"), "/tree", &line);
        facts.findings.into_iter().map(|f| f.id).collect::<Vec<_>>()
    };
    let before = read(&|lines| lines, 0);
    let with_three_more = |lines: Vec<String>| ["", "", ""].map(str::to_owned).into_iter().chain(lines).collect();
    assert_eq!(before, read(&with_three_more, 3));
    let indented = |lines: Vec<String>| lines.iter().map(|line| format!("    {line}")).collect();
    assert_eq!(before, read(&indented, 0));
    let other = |lines: Vec<String>| lines.iter().map(|line| line.replace("shell=True", "shell=1")).collect();
    assert_eq!(before.iter().zip(read(&other, 0)).filter(|(a, b)| *a != b).count(), 1);
}

/// The libraries count entries; what they call failed, we do.
#[rstest]
#[case("pytest.xml")]
#[case("pytest-xunit1.xml")]
#[case("pytest-collection-error.xml")]
fn junit_parser_sees_the_same_failures(#[case] name: &str) {
    let theirs = junit_parser::from_reader(fixture(name).as_slice()).unwrap();
    let cases: Vec<_> = theirs.suites.iter().flat_map(|suite| &suite.cases).collect();
    let failed = cases.iter().filter(|case| case.status.is_failure() || case.status.is_error()).count();
    let skipped = cases.iter().filter(|case| case.status.is_skipped()).count();
    let (_, our_failed, our_skipped) = tests(&read(name, ReportFormat::JUnit));
    assert_eq!((our_failed, our_skipped), (i32::try_from(failed).unwrap(), i32::try_from(skipped).unwrap()));
}

#[rstest]
#[case("bandit.sarif")]
#[case("bandit-clean.sarif")]
#[case("ruff.sarif")]
#[case("ruff-clean.sarif")]
fn serde_sarif_sees_the_same_results(#[case] name: &str) {
    let theirs: serde_sarif::sarif::Sarif = serde_json::from_slice(&fixture(name)).unwrap();
    let results = theirs.runs.iter().filter_map(|run| run.results.as_ref()).map(Vec::len).sum::<usize>();
    let (critical, major, minor, info) = counts(&read(name, ReportFormat::Sarif));
    assert_eq!(critical + major + minor + info, i32::try_from(results).unwrap());
}

/// Every way a test can end, by three runners.
#[rstest]
#[case("pytest.xml")]
#[case("pytest-xunit1.xml")]
#[case("pytest-reruns.xml")]
#[case("pytest-clean.xml")]
#[case("pytest-all-skipped.xml")]
#[case("pytest-none.xml")]
#[case("pytest-collection-error.xml")]
#[case("pytest-goes-on.xml")]
#[case("nextest.xml")]
#[case("nextest-clean.xml")]
fn tests_are_counted_as_their_runners_count_them(#[case] name: &str) {
    let expected: serde_yaml::Value = serde_yaml::from_slice(&fixture("expected.yaml")).unwrap();
    let count = |key: &str| i32::try_from(expected["junit"][name][key].as_i64().unwrap()).unwrap();
    let (passed, failed, skipped) = (count("passed"), count("failed"), count("skipped"));
    let facts = read(&format!("junit/{name}"), ReportFormat::JUnit);
    if passed + failed == 0 {
        assert_eq!(facts.state, ReportState::Empty);
    } else {
        assert_eq!(tests(&facts), (passed, failed, skipped));
    }
}

/// It says of a failing todo test that it is skipped and that it failed. What failed is not skipped here.
#[test]
fn a_todo_test_of_node_that_fails_has_failed() {
    assert_eq!(tests(&read("junit/node.xml", ReportFormat::JUnit)), (2, 3, 1));
}

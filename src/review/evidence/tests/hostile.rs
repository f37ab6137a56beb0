//! Code under judgement writes the reports: none of them panics, none costs much, none lies.

use proptest::prelude::*;
use rstest::rstest;

use super::support::*;
use crate::{
    api::evidence::{Finding, Report, ReportFacts, ReportFormat, ReportState, Severity},
    review::{
        broken_report, declared_reports,
        evidence::{MAX_FINDINGS, MAX_LISTED, MAX_REPORT_BYTES, text},
        read_report,
    },
};

/// The limits of the API.
fn bounded(facts: &ReportFacts) {
    assert!(facts.message.chars().count() <= 600);
    assert!(facts.findings.len() <= 100);
    for Finding { id, rule, severity: _, path, line, message, evidence: _, recommendation: _, known: _ } in
        &facts.findings
    {
        assert!(id.len() + rule.len() + path.len() + message.len() <= 1024);
        assert!(message.chars().count() <= 600 && rule.chars().count() <= 128 && path.chars().count() <= 512);
        assert!(*line >= 0 && id.len() == 32);
    }
    if facts.state != ReportState::Read {
        assert_eq!((facts.tests, facts.counts, facts.findings.len()), (None, None, 0));
    }
}

#[test]
fn a_file_over_the_limit_is_refused_unread() {
    let mut bytes = b"<testsuite><testcase/></testsuite>".to_vec();
    bytes.resize(MAX_REPORT_BYTES, b' ');
    assert!(text(&bytes).is_ok());
    bytes.push(b' ');
    let facts = read_report(&report(ReportFormat::JUnit), &bytes, "/tree", &no_lines);
    assert_eq!((facts.state, facts.message.contains("larger than 32 MiB")), (ReportState::Invalid, true));
}

#[rstest]
#[case(ReportFormat::JUnit, b"<testsuite name='\xe4'/>")]
#[case(ReportFormat::Sarif, b"\xff\xfe{\x00}\x00")]
fn what_is_not_utf_8_is_refused_with_the_place(#[case] format: ReportFormat, #[case] bytes: &[u8]) {
    let facts = read_report(&report(format), bytes, "/tree", &no_lines);
    assert_eq!(facts.state, ReportState::Invalid);
    assert!(facts.message.starts_with("not UTF-8 at byte"), "{}", facts.message);
}

#[test]
fn entities_are_not_expanded() {
    let bomb = "<!DOCTYPE x [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;'><!ENTITY f SYSTEM 'file:///etc/passwd'>]>\
        <testsuite><testcase name='&b;'><failure message='&f;'>&b;&f;</failure></testcase></testsuite>";
    let facts = junit(bomb);
    assert_eq!(tests(&facts), (0, 1, 0));
    assert_eq!((facts.findings[0].rule.as_str(), facts.findings[0].message.as_str()), ("&b;", "&f;"));
}

#[test]
fn depth_costs_nothing() {
    let deep = |open: &str, close: &str, n: usize| format!("{}{}", open.repeat(n), close.repeat(n));
    let facts = junit(&deep("<testsuite>", "</testsuite>", 100_000));
    assert_eq!(facts.state, ReportState::Empty);
    for text in [
        format!(r#"{{"x":{}}}"#, deep("[", "]", 100_000)),
        format!(r#"{{"runs":[{{"results":[{{"message":{}}}]}}]}}"#, deep("[", "]", 100_000)),
        format!(r#"{{"runs":[{{"results":[{{"x":{}}}]}}]}}"#, deep(r#"{"a":"#, "}", 100_000)),
    ] {
        bounded(&sarif(&text));
    }
}

#[test]
fn many_attributes_are_not_compared_with_one_another() {
    let attributes = (0..200_000).map(|n| format!(" a{n}=''")).collect::<Vec<_>>().concat();
    let facts = junit(&format!("<testsuite><testcase{attributes}/></testsuite>"));
    assert_eq!(tests(&facts), (1, 0, 0));
}

#[test]
fn a_long_list_is_cut_with_the_worst_kept_and_the_counts_exact() {
    let notes = (1..5000).map(|n| result(n, r#","level":"note""#));
    let results: Vec<String> = notes.chain([result(1, r#","level":"error""#).replace("bad", "worse")]).collect();
    let facts = sarif(&run("", &results.join(",")));
    bounded(&facts);
    assert_eq!(counts(&facts), (0, 1, 0, 4999));
    assert_eq!((facts.findings.len(), facts.truncated), (MAX_LISTED, true));
    assert_eq!(facts.findings[0].severity, Severity::Major);
}

#[test]
fn failed_tests_are_counted_beyond_the_list() {
    let cases = (0..300).map(|n| format!("<testcase name='t{n}'><failure/></testcase>")).collect::<Vec<_>>().concat();
    let facts = junit(&format!("<testsuite>{cases}</testsuite>"));
    bounded(&facts);
    assert_eq!((tests(&facts), facts.truncated), ((0, 300, 0), true));
}

#[test]
fn too_many_findings_are_refused_rather_than_held() {
    let results: Vec<String> = (0..=MAX_FINDINGS).map(|n| format!(r#"{{"ruleId":"{n}"}}"#)).collect();
    let facts = sarif(&run("", &results.join(",")));
    assert_eq!((facts.state, facts.message.contains("more than 100000 findings")), (ReportState::Invalid, true));
    let rules: Vec<String> = (0..=MAX_FINDINGS).map(|n| format!(r#"{{"id":"{n}"}}"#)).collect();
    assert_eq!(sarif(&run(&rules.join(","), "")).state, ReportState::Invalid);
}

#[test]
fn lines_are_asked_for_inside_the_tree_and_not_often() {
    let asked = std::cell::RefCell::new(Vec::new());
    let lines = |path: &str, line: u32| {
        asked.borrow_mut().push(path.to_owned());
        (line < 10).then(|| "x".repeat(1_000_000))
    };
    let uris = ["../../etc/passwd", "/etc/passwd", "a/../../x", "%2e%2e/x", "a.py"];
    let results: Vec<String> = (0..5000).map(|n| result(n, "").replace("a.py", uris[n as usize % 5])).collect();
    let text = run("", &results.join(","));
    bounded(&read_report(&report(ReportFormat::Sarif), text.as_bytes(), "/tree", &lines));
    let asked = asked.into_inner();
    assert!(asked.len() <= MAX_LISTED);
    assert!(asked.iter().all(|path| path == "a.py"), "{asked:?}");
}

#[test]
fn long_texts_are_cut_to_the_limits_of_the_api() {
    let long = "é".repeat(10_000);
    bounded(&sarif(&run(
        "",
        &result(1, "").replace("bad", &long).replace("\"R\"", &format!("\"{long}\"")).replace("a.py", &long),
    )));
    bounded(&junit(&format!(
        "<testsuite><testcase name='{long}' file='{long}'><failure message='{long}'/></testcase></testsuite>"
    )));
    bounded(&broken_report(&report(ReportFormat::Sarif), ReportState::Invalid, &long));
}

#[test]
fn each_declared_report_has_facts_and_nothing_else_does() {
    let declared: Vec<Report> =
        ["a", "b"].map(|path| Report { path: path.to_owned(), ..report(ReportFormat::JUnit) }).to_vec();
    let read = |path: &str, format| {
        let report = Report { path: path.to_owned(), ..report(format) };
        read_report(&report, b"<testsuite><testcase/></testsuite>", "/tree", &no_lines)
    };
    let delivered = [read("c", ReportFormat::JUnit), read("a", ReportFormat::JUnit), read("b", ReportFormat::Sarif)];
    let facts = declared_reports(&declared, &delivered);
    let states: Vec<(&str, ReportState)> = facts.iter().map(|facts| (facts.path.as_str(), facts.state)).collect();
    assert_eq!(states, [("a", ReportState::Read), ("b", ReportState::Missing)]);
}

/// Text that is almost a report: pieces of one in any order.
fn almost(pieces: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::collection::vec(prop_oneof![9 => prop::sample::select(pieces).prop_map(str::to_owned), 1 => ".{0,6}"], 0..40)
        .prop_map(|pieces| pieces.concat())
}

const XML: &[&str] = &[
    "<testsuites>",
    "</testsuites>",
    "<testsuite ",
    "failures='2'",
    ">",
    "/>",
    "</testsuite>",
    "<testcase name='a'",
    "<failure>",
    "</failure>",
    "<error message='&lt;'/>",
    "<skipped/>",
    "</testcase>",
    "&amp;",
    "&x;",
    "<![CDATA[",
    "]]>",
    "<!--",
    "-->",
    "é",
];
const JSON: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"runs\":[{",
    "\"results\":[",
    "\"tool\":{\"driver\":{\"rules\":[",
    "\"level\":\"error\"",
    "null",
    "\"locations\":[{\"physicalLocation\":{\"artifactLocation\":{\"uri\":\"%zz/../\"}}}]",
    "\"ruleIndex\":-5",
    "1e999",
    "\"\\ud800\"",
    "\"security-severity\":\"NaN\"",
    "\"properties\":{",
    "{\"message\":{\"text\":\"x\"}}",
    "]}]}",
];

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for format in [ReportFormat::JUnit, ReportFormat::Sarif, ReportFormat::Lcov] {
            bounded(&read_report(&report(format), &bytes, "/tree", &no_lines));
        }
    }

    #[test]
    fn no_almost_junit_panics(text in almost(XML)) {
        bounded(&junit(&text));
    }

    #[test]
    fn no_almost_sarif_panics(text in almost(JSON)) {
        bounded(&sarif(&text));
    }

    #[test]
    fn a_real_report_cut_anywhere_is_never_read(name in prop::sample::select(vec!["pytest.xml", "bandit.sarif"]), at in 0.0..1.0_f64) {
        let bytes = fixture(name);
        let whole = String::from_utf8(bytes).unwrap().trim_end().to_owned();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "any place will do")]
        let at = (whole.len() as f64 * at) as usize;
        let format = if name.ends_with("xml") { ReportFormat::JUnit } else { ReportFormat::Sarif };
        let facts = read_report(&report(format), &whole.as_bytes()[..at], "/tree", &no_lines);
        prop_assert_ne!(facts.state, ReportState::Read);
    }

    #[test]
    fn one_more_result_never_lowers_a_count(levels in prop::collection::vec(0..3_usize, 1..20), more in 0..3_usize) {
        let result_of = |(n, level): (usize, &usize)| {
            result(u32::try_from(n).unwrap(), &format!(r#","level":"{}""#, ["error", "warning", "note"][*level]))
        };
        let mut all: Vec<String> = levels.iter().enumerate().map(result_of).collect();
        let before = counts(&sarif(&run("", &all.join(","))));
        all.insert(all.len() / 2, result_of((99, &more)));
        let after = counts(&sarif(&run("", &all.join(","))));
        prop_assert!(after.1 >= before.1 && after.2 >= before.2 && after.3 >= before.3);
        prop_assert_eq!(after.1 + after.2 + after.3, before.1 + before.2 + before.3 + 1);
    }
}

//! Code under judgement writes the reports: none of them panics, none costs much, none lies.

use proptest::prelude::*;
use rstest::rstest;

use super::support::*;
use crate::{
    api::evidence::{Finding, Report, ReportFacts, ReportFormat, ReportState, Severity},
    review::{
        Around, broken_report, compare_report, declared_reports,
        evidence::{MAX_FINDINGS, MAX_LISTED, MAX_REPORT_BYTES, source::tests::Pieces},
        max_report_bytes, read_report,
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
        assert_eq!((facts.tests, facts.counts, facts.coverage), (None, None, None));
        assert_eq!((facts.findings.len(), facts.measurements.len()), (0, 0));
    }
}

#[test]
fn a_file_over_the_limit_is_refused() {
    let bytes = vec![b' '; MAX_REPORT_BYTES + 1];
    let facts = read_report(&report(ReportFormat::Sarif), &bytes, "/tree", &no_lines);
    assert_eq!((facts.state, facts.message.contains("larger than 32 MiB")), (ReportState::Invalid, true));
}

#[rstest]
#[case(ReportFormat::JUnit, 128)]
#[case(ReportFormat::Cobertura, 128)]
#[case(ReportFormat::Lcov, 128)]
#[case(ReportFormat::Sarif, 32)]
#[case(ReportFormat::Metrics, 32)]
fn what_is_held_while_it_is_read_may_be_less_than_what_is_not(#[case] format: ReportFormat, #[case] mib: u64) {
    assert_eq!(max_report_bytes(format), mib << 20);
}

#[test]
fn one_text_without_end_is_refused_rather_than_held() {
    let output = "x".repeat(33 << 20);
    let facts = junit(&format!("<testsuite><testcase/><system-out>{output}</system-out></testsuite>"));
    assert_eq!(facts.state, ReportState::Invalid);
    assert!(facts.message.contains("one tag or text is longer than 32 MiB"), "{}", facts.message);
}

#[rstest]
#[case("pytest.xml", ReportFormat::JUnit)]
#[case("bandit.sarif", ReportFormat::Sarif)]
fn a_report_says_the_same_whatever_the_pieces_it_comes_in(#[case] name: &str, #[case] format: ReportFormat) {
    let bytes = fixture(name);
    let whole = read_report(&report(format), &bytes, "/tree", &no_lines);
    for size in [1, 2, 3, 7, 100] {
        let facts = compare_report(&report(format), &Pieces(&bytes, size), &Around::new("/tree", &no_lines));
        assert_eq!(facts, whole, "pieces of {size}");
    }
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
fn lines_are_asked_for_inside_the_tree_in_order_and_once() {
    let asked = std::cell::RefCell::new(Vec::new());
    let lines = |path: &str, line: u32| {
        asked.borrow_mut().push((path.to_owned(), line));
        (line < 10).then(|| "x".repeat(1_000_000))
    };
    let uris = ["../../etc/passwd", "/etc/passwd", "a/../../x", "%2e%2e/x", "a.py", "b.py"];
    let rules = ["R", "S"];
    let results: Vec<String> = (0..3000_u32)
        .map(|n| {
            result(n % 50, "")
                .replace("a.py", uris[n as usize % 6])
                .replace("\"R\"", &format!("\"{}\"", rules[n as usize % 2]))
        })
        .collect();
    let text = run("", &results.join(","));
    bounded(&read_report(&report(ReportFormat::Sarif), text.as_bytes(), "/tree", &lines));
    let asked = asked.into_inner();
    let mut once = asked.clone();
    once.sort();
    once.dedup();
    assert_eq!(asked, once);
    assert!(asked.iter().all(|(path, _)| ["a.py", "b.py"].contains(&path.as_str())), "{asked:?}");
    assert_eq!(asked.len(), 49, "both files");
}

#[rstest]
#[case::null_is_not_nothing(r#"{"runs":[{"results":null}]}"#, "null")]
#[case::the_tool_says_that_it_failed(
    r#"{"runs":[{"results":[],"invocations":[{"executionSuccessful":true},{"executionSuccessful":false}]}]}"#,
    "did not do its work"
)]
fn a_tool_that_did_not_do_its_work_found_nothing_out(#[case] text: &str, #[case] message: &str) {
    let facts = sarif(text);
    assert_eq!(facts.state, ReportState::Invalid);
    assert!(facts.message.contains(message), "{}", facts.message);
}

/// What should come of each file that was written to break a parser, as `verdicts.yaml` has it.
#[test]
fn reports_written_to_break_a_parser_break_nothing() {
    let verdicts: serde_yaml::Value = serde_yaml::from_slice(&fixture("hostile/verdicts.yaml")).unwrap();
    let mut seen = 0;
    for (name, format) in [
        ("JUnit", ReportFormat::JUnit),
        ("Cobertura", ReportFormat::Cobertura),
        ("SARIF", ReportFormat::Sarif),
        ("LCOV", ReportFormat::Lcov),
        ("Metrics", ReportFormat::Metrics),
    ] {
        for (file, verdict) in verdicts[name].as_mapping().unwrap() {
            let file = file.as_str().unwrap();
            let targets = ["load", "big", "time", "a", "b", "c", "d"].map(|metric| target(metric, None, Some("1")));
            let report = Report { targets: targets.to_vec(), ..report(format) };
            let bytes = fixture(&format!("hostile/{file}"));
            let facts = read_report(&report, &bytes, "/code/tree", &no_lines);
            let expected = verdict["state"].as_str().unwrap();
            assert!(expected == "Any" || expected == format!("{:?}", facts.state), "{file}: {facts:?}");
            bounded(&facts);
            plain(&facts);
            let pieces = compare_report(&report, &Pieces(&bytes, 3), &Around::new("/code/tree", &no_lines));
            assert_eq!(facts.state, pieces.state, "{file} in pieces");
            seen += 1;
        }
    }
    assert!(seen > 80, "{seen} files");
}

/// Nothing of a report can move a cursor, turn a text around, or point out of the work tree.
fn plain(facts: &ReportFacts) {
    let odd = |text: &str| text.contains(|c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c));
    assert!(!odd(&facts.message), "{:?}", facts.message);
    for finding in &facts.findings {
        assert!(!odd(&finding.message) && !odd(&finding.rule) && !odd(&finding.path), "{finding:?}");
        assert!(!finding.path.starts_with('/') && !finding.path.split('/').any(|part| part == ".."), "{finding:?}");
    }
}

#[rstest]
#[case("lying-totals.xml", ReportFormat::JUnit, Some((1, 0)))]
#[case("failures-only-in-totals.xml", ReportFormat::JUnit, Some((1, 2)))]
#[case("skipped-failure.xml", ReportFormat::JUnit, Some((0, 1)))]
#[case("failure-in-output.xml", ReportFormat::JUnit, Some((1, 0)))]
#[case("hidden-in-comment.xml", ReportFormat::JUnit, Some((1, 0)))]
#[case("other-namespace.xml", ReportFormat::JUnit, Some((0, 1)))]
#[case("numbers.xml", ReportFormat::JUnit, Some((0, 2)))]
#[case("cobertura-twice.xml", ReportFormat::Cobertura, Some((1, 1)))]
#[case("cobertura-lying-rates.xml", ReportFormat::Cobertura, Some((0, 2)))]
#[case("cobertura-no-lines.xml", ReportFormat::Cobertura, None)]
#[case("cobertura-outside.xml", ReportFormat::Cobertura, None)]
#[case("cobertura-huge-numbers.xml", ReportFormat::Cobertura, None)]
#[case("lying-totals.lcov", ReportFormat::Lcov, Some((0, 2)))]
#[case("only-totals.lcov", ReportFormat::Lcov, None)]
#[case("twice.lcov", ReportFormat::Lcov, Some((1, 2)))]
#[case("outside.lcov", ReportFormat::Lcov, None)]
#[case("control.lcov", ReportFormat::Lcov, None)]
#[case("carriage-returns.lcov", ReportFormat::Lcov, Some((1, 2)))]
#[case("escaped-keys.sarif", ReportFormat::Sarif, Some((0, 1)))]
#[case("one-fingerprint.sarif", ReportFormat::Sarif, Some((0, 5)))]
#[case("not-executed.sarif", ReportFormat::Sarif, None)]
#[case("null-results.sarif", ReportFormat::Sarif, None)]
fn what_a_hostile_report_says_is_what_its_content_says(
    #[case] name: &str,
    #[case] format: ReportFormat,
    #[case] expected: Option<(i64, i64)>,
) {
    let facts = read_report(&report(format), &fixture(&format!("hostile/{name}")), "/code/tree", &no_lines);
    let said = match (facts.tests, facts.coverage, facts.counts) {
        (Some(tests), _, _) => Some((tests.passed.into(), tests.failed.into())),
        (None, Some(coverage), _) => Some((coverage.all.covered, coverage.all.total)),
        (None, None, Some(counts)) => Some((counts.critical.into(), counts.major.into())),
        (None, None, None) => None,
    };
    assert_eq!(said, expected, "{facts:?}");
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

const FORMATS: [ReportFormat; 5] =
    [ReportFormat::JUnit, ReportFormat::Sarif, ReportFormat::Cobertura, ReportFormat::Lcov, ReportFormat::Metrics];

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

const COVERAGE: &[&str] = &[
    "<coverage>",
    "</coverage>",
    "<sources><source>",
    "/tree/src",
    "</source></sources>",
    "<class filename='a.py'>",
    "</class>",
    "<line number='1' hits='2'/>",
    "<line number='-1' hits='x'/>",
    "<lines>",
    "</lines>",
    "&lt;",
    "<!DOCTYPE a [<!ENTITY b 'c'>]>",
];
const LCOV: &[&str] = &[
    "TN:\n",
    "SF:/tree/a.py\n",
    "SF:../x\n",
    "DA:1,2\n",
    "DA:0,0\n",
    "DA:1,2,abc\n",
    "DA:x\n",
    "end_of_record\n",
    "LF:9\n",
    "\n",
    "# x\n",
    "FN:1,f\n",
    ":",
    "DA:4294967295,1\n",
];
const METRICS: &[&str] = &[
    "m",
    "{",
    "}",
    "a=",
    "\"x\"",
    ",",
    " 1.5",
    " NaN",
    "\n",
    "# EOF",
    "# TYPE m gauge\n",
    " 1e5",
    ":",
    "\"m\":",
    "\\",
];

proptest! {
    #[test]
    fn no_almost_coverage_panics(xml in almost(COVERAGE), lcov in almost(LCOV), size in 1..50_usize) {
        for (format, text) in [(ReportFormat::Cobertura, &xml), (ReportFormat::Lcov, &lcov)] {
            let whole = read_report(&report(format), text.as_bytes(), "/tree", &no_lines);
            bounded(&whole);
            let pieces = Pieces(text.as_bytes(), size);
            let in_pieces = compare_report(&report(format), &pieces, &Around::new("/tree", &no_lines));
            prop_assert_eq!(whole.state, in_pieces.state);
            prop_assert_eq!(whole.coverage, in_pieces.coverage);
        }
    }

    #[test]
    fn no_almost_measurement_panics(text in almost(METRICS)) {
        let targets = vec![target("m", None, Some("1")), target("m{a=\"x\"}", Some("1"), None)];
        let report = Report { targets, ..report(ReportFormat::Metrics) };
        bounded(&read_report(&report, text.as_bytes(), "/tree", &no_lines));
        bounded(&read_report(&report, format!("{{{text}}}").as_bytes(), "/tree", &no_lines));
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for format in FORMATS {
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

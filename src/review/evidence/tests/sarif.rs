//! SARIF as tools write it, and as nobody should.

use rstest::rstest;

use super::support::{counts, leveled, result, run, sarif};
use crate::api::evidence::{ReportLevels, ReportState, Severity};

#[rstest]
#[case::error(r#","level":"error""#, "", (0, 1, 0, 0))]
#[case::warning(r#","level":"warning""#, "", (0, 0, 1, 0))]
#[case::note(r#","level":"note""#, "", (0, 0, 0, 1))]
#[case::none(r#","level":"none""#, "", (0, 0, 0, 1))]
#[case::unknown_level_is_an_error(r#","level":"fatal""#, "", (0, 1, 0, 0))]
#[case::without_a_level_it_is_a_warning("", "", (0, 0, 1, 0))]
#[case::or_what_the_rule_says("", r#"{"id":"R","defaultConfiguration":{"level":"error"}}"#, (0, 1, 0, 0))]
#[case::the_result_goes_first(r#","level":"note""#, r#"{"id":"R","defaultConfiguration":{"level":"error"}}"#, (0, 0, 0, 1))]
#[case::security_nine(r#","level":"note""#, r#"{"id":"R","properties":{"security-severity":"9.0"}}"#, (1, 0, 0, 0))]
#[case::security_almost_nine("", r#"{"id":"R","properties":{"security-severity":8.9}}"#, (0, 1, 0, 0))]
#[case::security_seven("", r#"{"id":"R","properties":{"security-severity":7}}"#, (0, 1, 0, 0))]
#[case::security_four("", r#"{"id":"R","properties":{"security-severity":" 4.0 "}}"#, (0, 0, 1, 0))]
#[case::security_less(r#","level":"error""#, r#"{"id":"R","properties":{"security-severity":"3.9"}}"#, (0, 0, 0, 1))]
#[case::security_in_words(r#","level":"error""#, r#"{"id":"R","properties":{"security-severity":"high"}}"#, (0, 1, 0, 0))]
#[case::security_as_a_list(r#","level":"error""#, r#"{"id":"R","properties":{"security-severity":[9,[9]]}}"#, (0, 1, 0, 0))]
#[case::security_of_the_result(r#","properties":{"security-severity":"9.8"}"#, "", (1, 0, 0, 0))]
#[case::rule_by_index(r#","ruleIndex":1"#, r#"{"id":"X"},{"id":"Y","defaultConfiguration":{"level":"error"}}"#, (0, 1, 0, 0))]
#[case::no_index(r#","ruleIndex":-1"#, r#"{"id":"X","defaultConfiguration":{"level":"error"}}"#, (0, 0, 1, 0))]
#[case::index_too_high(r#","ruleIndex":9"#, r#"{"id":"R","defaultConfiguration":{"level":"error"}}"#, (0, 1, 0, 0))]
#[case::kind_fail(r#","kind":"fail""#, "", (0, 0, 1, 0))]
#[case::kind_pass(r#","kind":"pass""#, "", (0, 0, 0, 0))]
#[case::kind_not_applicable(r#","kind":"notApplicable""#, "", (0, 0, 0, 0))]
#[case::kind_informational(r#","kind":"informational","level":"error""#, "", (0, 0, 0, 0))]
#[case::suppressed(r#","suppressions":[{"kind":"external"}]"#, "", (0, 0, 0, 0))]
#[case::suppression_accepted(r#","suppressions":[{"kind":"inSource","status":"accepted"}]"#, "", (0, 0, 0, 0))]
#[case::suppression_rejected(r#","suppressions":[{"status":"accepted"},{"status":"rejected"}]"#, "", (0, 0, 1, 0))]
#[case::suppression_under_review(r#","suppressions":[{"status":"underReview"}]"#, "", (0, 0, 1, 0))]
#[case::no_suppression(r#","suppressions":[]"#, "", (0, 0, 1, 0))]
#[case::gone_since_the_baseline(r#","baselineState":"absent""#, "", (0, 0, 0, 0))]
#[case::there_before(r#","baselineState":"unchanged""#, "", (0, 0, 1, 0))]
fn a_result_counts_by_its_severity(#[case] fields: &str, #[case] rules: &str, #[case] expected: (i32, i32, i32, i32)) {
    assert_eq!(counts(&sarif(&run(rules, &result(1, fields)))), expected);
}

#[rstest]
#[case::set(ReportLevels { error: Some(Severity::Critical), ..ReportLevels::default() }, (1, 0, 1, 1))]
#[case::lowered(ReportLevels { warning: Some(Severity::Info), ..ReportLevels::default() }, (0, 1, 0, 2))]
#[case::note(ReportLevels { note: Some(Severity::Minor), ..ReportLevels::default() }, (0, 1, 2, 0))]
#[case::nothing_set(ReportLevels::default(), (0, 1, 1, 1))]
fn the_repository_says_what_a_tools_levels_mean(#[case] levels: ReportLevels, #[case] expected: (i32, i32, i32, i32)) {
    let results = ["error", "warning", "note"].map(|level| result(1, &format!(r#","level":"{level}""#)));
    let results = results.iter().enumerate().map(|(n, r)| r.replace("bad", &n.to_string())).collect::<Vec<_>>();
    assert_eq!(counts(&leveled(levels, &run("", &results.join(",")))), expected);
}

#[test]
fn what_the_repository_says_goes_before_the_tools_own_number() {
    let text = run(r#"{"id":"R","properties":{"security-severity":"2.0"}}"#, &result(1, r#","level":"error""#));
    let levels = ReportLevels { error: Some(Severity::Critical), ..ReportLevels::default() };
    assert_eq!(counts(&leveled(levels, &text)), (1, 0, 0, 0));
}

#[test]
fn the_same_finding_twice_is_one_with_its_worse_severity() {
    let (note, error) = (result(1, r#","level":"note""#), result(1, r#","level":"error""#));
    for results in [[note.clone(), error.clone()], [error, note]] {
        let facts = sarif(&run("", &results.join(",")));
        assert_eq!((counts(&facts), facts.findings.len()), ((0, 1, 0, 0), 1));
        assert_eq!(facts.findings[0].severity, Severity::Major);
    }
    let other_line = run("", &[result(1, ""), result(2, ""), result(1, "")].join(","));
    assert_eq!(counts(&sarif(&other_line)), (0, 0, 2, 0));
}

#[test]
fn findings_on_lines_of_the_same_text_have_ids_of_their_own() {
    let facts = sarif(&run("", &[result(7, ""), result(1, "")].join(",")));
    assert_ne!(facts.findings[0].id, facts.findings[1].id);
    let reversed = sarif(&run("", &[result(1, ""), result(7, "")].join(",")));
    assert_eq!(facts, reversed, "the order of the file does not matter");
}

#[test]
fn every_run_counts_with_its_own_rules() {
    let one = |level: &str| {
        let rule = format!(r#"{{"id":"R","defaultConfiguration":{{"level":"{level}"}}}}"#);
        let results = result(1, "").replace("bad", level);
        format!(r#"{{"results":[{results}],"tool":{{"driver":{{"rules":[{rule}]}}}}}}"#)
    };
    let both = format!(r#"{{"runs":[{},{}]}}"#, one("error"), one("note"));
    assert_eq!(counts(&sarif(&both)), (0, 1, 0, 1), "{both}");
}

#[test]
fn a_rule_of_an_extension_is_found_by_index_and_by_hierarchical_id() {
    let text = |rule: &str| {
        format!(
            r#"{{"runs":[{{"results":[{{{rule},"message":{{"text":"m"}}}}],"tool":{{"driver":{{"rules":[{{"id":"A"}}]}},
            "extensions":[{{"rules":[]}},{{"rules":[{{"id":"E","properties":{{"security-severity":"9.1"}}}}]}}]}}}}]}}"#
        )
    };
    for rule in [r#""rule":{"index":0,"toolComponent":{"index":1}}"#, r#""ruleId":"E""#, r#""ruleId":"E/sub""#] {
        assert_eq!(counts(&sarif(&text(rule))), (1, 0, 0, 0), "{rule}");
    }
    assert_eq!(counts(&sarif(&text(r#""ruleId":"F""#))), (0, 0, 1, 0));
}

#[rstest]
#[case::relative(r#"{"uri":"src/a%20b.py"}"#, "src/a b.py", 3)]
#[case::absolute(r#"{"uri":"file:///tree/src/a.py"}"#, "src/a.py", 3)]
#[case::base(r#"{"uri":"a.py","uriBaseId":"SRC"}"#, "src/a.py", 3)]
#[case::unknown_base(r#"{"uri":"a.py","uriBaseId":"%SRCROOT%"}"#, "a.py", 3)]
#[case::bases_in_a_circle(r#"{"uri":"a.py","uriBaseId":"LOOP"}"#, "a.py", 3)]
#[case::by_index(r#"{"index":1}"#, "src/listed.py", 3)]
#[case::outside(r#"{"uri":"../../etc/passwd"}"#, "", 0)]
#[case::elsewhere(r#"{"uri":"file:///usr/lib/x.py"}"#, "", 0)]
#[case::none("null", "", 0)]
fn addresses_become_paths_below_the_work_tree(#[case] artifact: &str, #[case] path: &str, #[case] line: i32) {
    let text = format!(
        r#"{{"runs":[{{"results":[{{"ruleId":"R","message":{{"text":"m"}},"locations":[{{"physicalLocation":
        {{"artifactLocation":{artifact},"region":{{"startLine":3}}}}}}]}}],
        "artifacts":[{{}},{{"location":{{"uri":"listed.py","uriBaseId":"SRC"}}}}],
        "originalUriBaseIds":{{"SRC":{{"uri":"src/","uriBaseId":"ROOT"}},"ROOT":{{"uri":"file:///tree/"}},
        "LOOP":{{"uriBaseId":"LOOP"}}}}}}]}}"#
    );
    let facts = sarif(&text);
    assert_eq!(counts(&facts), (0, 0, 1, 0), "a finding without a place counts all the same");
    assert_eq!((facts.findings[0].path.as_str(), facts.findings[0].line), (path, line));
}

#[rstest]
#[case::no_runs(r#"{"version":"2.1.0"}"#, ReportState::Empty, "no run is in it")]
#[case::empty_runs(r#"{"runs":[]}"#, ReportState::Empty, "no run is in it")]
#[case::null_runs(r#"{"runs":null}"#, ReportState::Empty, "no run is in it")]
#[case::empty_object("{}", ReportState::Empty, "no run is in it")]
#[case::null("null", ReportState::Invalid, "not SARIF")]
#[case::list("[]", ReportState::Invalid, "not SARIF")]
#[case::null_run(r#"{"runs":[null]}"#, ReportState::Invalid, "not SARIF")]
#[case::truncated(r#"{"runs":[{"results":[{"ruleId":"a""#, ReportState::Invalid, "EOF")]
#[case::two_documents(r#"{"runs":[{"results":[]}]}{"runs":[]}"#, ReportState::Invalid, "trailing")]
#[case::results_twice(r#"{"runs":[{"results":[{}],"results":[]}]}"#, ReportState::Invalid, "twice")]
#[case::runs_twice(r#"{"runs":[{"results":[{}]}],"runs":[]}"#, ReportState::Invalid, "twice")]
#[case::results_as_an_object(r#"{"runs":[{"results":{}}]}"#, ReportState::Invalid, "instead of a list")]
#[case::result_as_text(r#"{"runs":[{"results":["x"]}]}"#, ReportState::Invalid, "not SARIF")]
#[case::xml("<testsuite/>", ReportState::Invalid, "not SARIF")]
fn what_is_no_evidence_says_why(#[case] text: &str, #[case] state: ReportState, #[case] message: &str) {
    let facts = sarif(text);
    assert_eq!(facts.state, state, "{}", facts.message);
    assert!(facts.message.contains(message), "{}", facts.message);
    assert_eq!(facts.counts, None);
}

#[rstest]
#[case::no_results(r#"{"runs":[{"tool":{"driver":{"name":"t"}}}]}"#)]
#[case::null_lists(
    r#"{"runs":[{"results":[],"tool":null,"artifacts":null,"originalUriBaseIds":null,"invocations":null}]}"#
)]
#[case::executed(r#"{"runs":[{"results":[],"invocations":[{"executionSuccessful":true},{}]}]}"#)]
#[case::byte_order_mark("\u{feff}{\"runs\":[{\"results\":[]}]}")]
fn a_run_without_results_found_nothing(#[case] text: &str) {
    assert_eq!(counts(&sarif(text)), (0, 0, 0, 0));
}

#[test]
fn a_slip_in_a_field_that_nobody_reads_does_not_cost_the_findings() {
    let odd = r#","rank":"high","fingerprints":[],"codeFlows":{"x":1},"occurrenceCount":1e99"#;
    assert_eq!(counts(&sarif(&run("", &result(1, odd)))), (0, 0, 1, 0));
}

#[test]
fn a_bare_result_is_a_finding() {
    assert_eq!(counts(&sarif(r#"{"runs":[{"results":[{}]}]}"#)), (0, 0, 1, 0));
}

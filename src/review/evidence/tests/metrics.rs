//! Measurements as tools write them, and as nobody should.

use rstest::rstest;

use super::support::*;
use crate::{
    api::evidence::{Report, ReportFacts, ReportFormat, ReportState},
    review::read_report,
};

fn measured(metric: &str, text: &str) -> ReportFacts {
    let report = Report { targets: vec![target(metric, None, Some("1"))], ..report(ReportFormat::Metrics) };
    read_report(&report, text.as_bytes(), "/tree", &no_lines)
}

/// The value of a measurement that should be at most something.
fn value(metric: &str, text: &str) -> Option<String> {
    let facts = measured(metric, text);
    assert_eq!(facts.state, ReportState::Read, "{}", facts.message);
    assert_eq!((facts.counts, facts.tests, facts.coverage), (None, None, None));
    facts.measurements[0].value.map(|value| value.to_string())
}

#[rstest]
#[case::number("p95", r#"{"p95": 0.25}"#, Some("0.25"))]
#[case::exponent("p95", r#"{"p95": 4.175519104820222e-05}"#, Some("0.000042"))]
#[case::within("latency.p95", r#"{"latency": {"p50": 1, "p95": 2}}"#, Some("2"))]
#[case::name_with_a_point("latency.p95", r#"{"latency.p95": 2}"#, Some("2"))]
#[case::name_with_spaces("seq 1000 time_mean", r#"{"seq 1000 time_mean": 3}"#, Some("3"))]
#[case::escaped("a\"b", r#"{"a\"b": 3}"#, Some("3"))]
#[case::negative_zero("x", r#"{"x": -0.0}"#, Some("0"))]
#[case::more_digits_than_a_float_has("x", r#"{"x": 123456789012.123456}"#, Some("123456789012.123456"))]
#[case::an_object_is_no_value("latency", r#"{"latency": {"p95": 2}}"#, None)]
#[case::another_name("P95", r#"{"p95": 2}"#, None)]
#[case::what_nobody_asks_for_may_be_out_of_range("x", r#"{"x": 1, "y": 1e999}"#, Some("1"))]
fn json_is_an_object_of_names_to_numbers(#[case] metric: &str, #[case] text: &str, #[case] expected: Option<&str>) {
    assert_eq!(value(metric, text).as_deref(), expected);
}

#[rstest]
#[case::bare("load", "load 0.5\n", Some("0.5"))]
#[case::with_a_timestamp("load", "load 0.5 1735689600000\n", Some("0.5"))]
#[case::labels(
    r#"latency{quantile="0.95"}"#,
    "latency{quantile=\"0.5\"} 1\nlatency{quantile=\"0.95\"} 2\n# EOF\n",
    Some("2")
)]
#[case::labels_in_another_order(r#"a{y="2",x="1"}"#, "a{ x=\"1\" , y=\"2\", } 7\n", Some("7"))]
#[case::empty_labels("a", "a{} 7\n", Some("7"))]
#[case::another_label(r#"a{x="1"}"#, "a{x=\"2\"} 7\na 8\n", None)]
#[case::escapes("a{x=\"q\\\"\\\\\\n\"}", "a{x=\"q\\\"\\\\\\n\"} 7\n", Some("7"))]
#[case::a_brace_in_a_label(r#"a{x="}"}"#, "a{x=\"}\"} 7\n", Some("7"))]
#[case::exemplar(r#"b_bucket{le="1"}"#, "b_bucket{le=\"1\"} 4 # {trace_id=\"x\"} 0.3 1.5\n", Some("4"))]
#[case::infinity_in_a_label(r#"b_bucket{le="+Inf"}"#, "b_bucket{le=\"+Inf\"} 4.0\n", Some("4"))]
#[case::what_nobody_asks_for_may_be_no_number("load", "other NaN\nother2 +Inf\nload 1\n", Some("1"))]
#[case::comments("load", "# HELP load How busy\n# TYPE load gauge\n\nload 1e-3\n# EOF\n\n", Some("0.001"))]
#[case::carriage_returns("load", "load 1\r\n# EOF\r\n", Some("1"))]
#[case::not_there("load", "other 1\n", None)]
fn text_is_a_sample_a_line(#[case] metric: &str, #[case] text: &str, #[case] expected: Option<&str>) {
    assert_eq!(value(metric, text).as_deref(), expected);
}

#[rstest]
#[case::nothing("", ReportState::Empty, "the file is empty")]
#[case::no_number("{}", ReportState::Empty, "no measurement is in it")]
#[case::only_comments("# TYPE load gauge\n# EOF\n", ReportState::Empty, "no measurement is in it")]
#[case::a_list(r#"{"load": [1, 2]}"#, ReportState::Invalid, "load is a list; a measurement is a number")]
#[case::a_text(r#"{"time": "0.5"}"#, ReportState::Invalid, "time is a text")]
#[case::null(r#"{"a": {"b": null}}"#, ReportState::Invalid, "a.b is null")]
#[case::a_truth(r#"{"up": true}"#, ReportState::Invalid, "up is true or false")]
#[case::twice(r#"{"load": 9, "load": 0}"#, ReportState::Invalid, "load is there twice")]
#[case::twice_by_two_ways(r#"{"load": 9, "other": {"x": 1}, "load": 1}"#, ReportState::Invalid, "load is there twice")]
#[case::json_nan(r#"{"load": NaN}"#, ReportState::Invalid, "not an object of names to numbers")]
#[case::out_of_range(r#"{"load": 1e30}"#, ReportState::Invalid, "load: 1e30 is out of range")]
#[case::list_at_the_top("[1]", ReportState::Invalid, "line 1 is no sample")]
#[case::cut(r#"{"load": 1"#, ReportState::Invalid, "EOF")]
#[case::two_documents(r#"{"load": 1}{"load": 2}"#, ReportState::Invalid, "trailing")]
#[case::prose("everything is fast\n", ReportState::Invalid, "line 1 has the value \"is\", which is not a number")]
#[case::text_nan("load NaN\n", ReportState::Invalid, "load: NaN cannot be judged")]
#[case::text_infinity("load +Inf\n", ReportState::Invalid, "load: +Inf cannot be judged")]
#[case::text_twice("load 0.9\nload 0.1\n", ReportState::Invalid, "load is there twice")]
#[case::after_the_end("load 0.9\n# EOF\nload 0.1\n", ReportState::Invalid, "line 3 stands after # EOF")]
#[case::no_value("load\n", ReportState::Invalid, "line 1 has no value")]
#[case::four_words("load 1 2 3\n", ReportState::Invalid, "more than a value and a timestamp")]
#[case::label_twice("load{a=\"1\",a=\"2\"} 1\n", ReportState::Invalid, "is no sample")]
#[case::label_without_end("load{a=\"1 1\n", ReportState::Invalid, "is no sample")]
#[case::hexadecimal("load 0x10\n", ReportState::Invalid, "which is not a number")]
fn what_is_no_measurement_says_why(#[case] text: &str, #[case] state: ReportState, #[case] message: &str) {
    let facts = measured("load", text);
    assert_eq!(facts.state, state, "{}", facts.message);
    assert!(facts.message.contains(message), "{}", facts.message);
    assert!(facts.measurements.is_empty());
}

#[test]
fn objects_within_one_another_have_an_end() {
    let deep = |n: usize| format!("{}1{}", r#"{"a":"#.repeat(n), "}".repeat(n));
    assert_eq!(value("a.a.a.a.a.a.a.a", &deep(8)).as_deref(), Some("1"));
    assert!(measured("a", &deep(9)).message.contains("more than 8 objects"));
    assert_eq!(measured("a", &deep(100_000)).state, ReportState::Invalid);
}

#[test]
fn a_value_is_cut_so_that_it_never_looks_better_than_it_was_measured() {
    let targets = vec![target("x", Some("1"), None), target("y", None, Some("1"))];
    let report = Report { targets, ..report(ReportFormat::Metrics) };
    let facts = read_report(&report, br#"{"x": 0.99999999, "y": 1.00000001}"#, "/tree", &no_lines);
    let values: Vec<String> = facts.measurements.iter().map(|m| m.value.unwrap().to_string()).collect();
    assert_eq!(values, ["0.999999", "1.000001"]);
}

#[rstest]
#[case::openmetrics("metrics/openmetrics.txt", r#"house_calls_total{service="lamp",outcome="ok"}"#, Some("120"))]
#[case::openmetrics_escapes(
    "metrics/openmetrics.txt",
    "house_calls_total{outcome=\"ok\",service=\"odd \\\"name\\\" \\\\ with\\nlines\"}",
    Some("1")
)]
#[case::openmetrics_exemplar("metrics/openmetrics.txt", r#"house_call_seconds_bucket{le="0.1"}"#, Some("3"))]
#[case::openmetrics_negative("metrics/openmetrics.txt", r#"house_temperature_celsius{room="cellar"}"#, Some("-4.5"))]
#[case::prometheus("metrics/prometheus.txt", "house_load_ratio", Some("0.25"))]
#[case::prometheus_sum("metrics/prometheus.txt", "house_call_seconds_sum", Some("0.454"))]
#[case::pytest_benchmark("metrics/pytest-benchmark-flat.json", "test_sorting_mean_seconds", Some("0.000042"))]
#[case::hyperfine("metrics/hyperfine-flat.json", "seq 1000 time_system_mean", Some("0.000096"))]
fn what_real_tools_measured_is_read(#[case] name: &str, #[case] metric: &str, #[case] expected: Option<&str>) {
    assert_eq!(value(metric, std::str::from_utf8(&fixture(name)).unwrap()).as_deref(), expected);
}

#[rstest]
#[case("metrics/openmetrics.txt", r#"house_temperature_celsius{room="attic"}"#, "NaN cannot be judged")]
#[case("metrics/pytest-benchmark.json", "x", "a measurement is a number")]
#[case("metrics/hyperfine.json", "x", "a measurement is a number")]
fn what_real_tools_did_not_measure_is_refused(#[case] name: &str, #[case] metric: &str, #[case] message: &str) {
    let facts = measured(metric, std::str::from_utf8(&fixture(name)).unwrap());
    assert_eq!(facts.state, ReportState::Invalid);
    assert!(facts.message.contains(message), "{}", facts.message);
}

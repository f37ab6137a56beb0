//! Cobertura and LCOV as tools write them, and as nobody should.

use rstest::rstest;

use super::support::*;
use crate::{
    api::evidence::{LineCounts, ReportFacts, ReportFormat, ReportState},
    review::{Around, compare_report, read_report},
};

fn cobertura(text: &str) -> ReportFacts {
    read_report(&report(ReportFormat::Cobertura), text.as_bytes(), "/tree", &no_lines)
}

fn lcov(text: &str) -> ReportFacts {
    read_report(&report(ReportFormat::Lcov), text.as_bytes(), "/tree", &no_lines)
}

fn class(name: &str, lines: &[(u32, &str)]) -> String {
    let lines = lines.iter().map(|(number, hits)| format!("<line number='{number}' hits='{hits}'/>"));
    format!("<class filename='{name}'><lines>{}</lines></class>", lines.collect::<String>())
}

fn document(sources: &[&str], classes: &str) -> String {
    let sources = sources.iter().map(|source| format!("<source>{source}</source>")).collect::<Vec<_>>().concat();
    format!(
        "<?xml version='1.0'?><coverage><sources>{sources}</sources><packages><package><classes>{classes}</classes></package></packages></coverage>"
    )
}

#[rstest]
#[case::hits(&class("a.py", &[(1, "0"), (2, "1"), (3, "17")]), (2, 3))]
#[case::the_same_line_twice(&class("a.py", &[(1, "0"), (1, "3"), (2, "0"), (2, "0")]), (1, 2))]
#[case::the_same_file_twice(&[class("a.py", &[(1, "0")]), class("a.py", &[(1, "1"), (2, "0")])].concat(), (1, 2))]
#[case::the_same_file_under_two_names(&[class("a.py", &[(1, "0")]), class("./x/../a.py", &[(1, "1")])].concat(), (1, 1))]
#[case::methods_repeat_lines(
    "<class filename='a.py'><methods><method><lines><line number='1' hits='1'/></lines></method></methods>\
     <lines><line number='1' hits='1'/><line number='2' hits='0'/></lines></class>", (1, 2)
)]
#[case::files_of_others_are_not_ours(&[class("/usr/lib/x.py", &[(1, "1")]), class("a.py", &[(1, "0")])].concat(), (0, 1))]
#[case::lines_outside_of_a_class(&format!("<line number='9' hits='1'/>{}", class("a.py", &[(1, "0")])), (0, 1))]
#[case::more_hits_than_a_number_holds(&class("a.py", &[(1, "99999999999999999999999")]), (1, 1))]
#[case::gcov_lost_count(&class("a.py", &[(1, "-3"), (2, "1")]), (1, 2))]
fn lines_of_classes_are_counted_once_per_file(#[case] classes: &str, #[case] expected: (i64, i64)) {
    assert_eq!(covered(&cobertura(&document(&["/tree"], classes))), expected);
}

#[rstest]
#[case::relative_to_the_tree(&[], "src/a.py", "src/a.py")]
#[case::relative_to_a_source(&["/tree/src"], "a.py", "src/a.py")]
#[case::relative_source(&["src"], "a.py", "src/a.py")]
#[case::here(&["."], "src/a.py", "src/a.py")]
#[case::absolute(&["/elsewhere"], "/tree/src/a.py", "src/a.py")]
#[case::a_source_with_a_slash(&[" /tree/src/ "], "a.py", "src/a.py")]
#[case::in_a_container_of_its_own(&["/app"], "src/a.py", "src/a.py")]
#[case::upwards_and_back(&["/tree/src"], "../lib/a.py", "lib/a.py")]
#[case::windows(&[], "src\\a.py", "src/a.py")]
#[case::the_source_that_has_it(&["/tree/lib", "/tree/src"], "a.py", "src/a.py")]
#[case::the_first_if_none_has_it(&["/tree/lib", "/tree/src"], "b.py", "lib/b.py")]
fn a_file_is_found_by_its_sources(#[case] sources: &[&str], #[case] name: &str, #[case] path: &str) {
    let lines = |path: &str, line: u32| (path == "src/a.py" && line == 1).then(String::new);
    let text = document(sources, &class(name, &[(3, "1")]));
    // The change touches the file under the one name that is expected, so its line counts as changed.
    let change = change(&format!("diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -3 +3 @@\n-a\n+b\n"));
    let around = Around { change: Some(&change), ..Around::new("/tree", &lines) };
    let facts = compare_report(&report(ReportFormat::Cobertura), &text.as_bytes(), &around);
    assert_eq!(facts.coverage.unwrap().changed, Some(LineCounts { covered: 1, total: 1 }));
}

#[rstest]
#[case::nothing("", ReportState::Empty, "the file is empty")]
#[case::no_class(
    "<coverage line-rate='1' lines-valid='9' lines-covered='9'/>",
    ReportState::Empty,
    "no line that can be covered"
)]
#[case::nothing_of_ours(&document(&["/usr/lib"], &class("/usr/lib/a.py", &[(1, "1")])), ReportState::Empty, "of any file of the work tree")]
#[case::outside(
    "<coverage><class filename='../../etc/passwd'><line number='1' hits='1'/></class></coverage>",
    ReportState::Empty,
    "no line"
)]
#[case::junit("<testsuites/>", ReportState::Invalid, "the root element is <testsuites>, not <coverage>")]
#[case::cut("<coverage><class filename='a'><line number='1' hits='1'/>", ReportState::Invalid, "ends too early")]
#[case::nameless(
    "<coverage><class><line number='1' hits='1'/></class></coverage>",
    ReportState::Invalid,
    "a class has no filename"
)]
#[case::no_number(
    "<coverage><class filename='a'><line hits='1'/></class></coverage>",
    ReportState::Invalid,
    "a: number of a line"
)]
#[case::no_hits(
    "<coverage><class filename='a'><line number='1'/></class></coverage>",
    ReportState::Invalid,
    "a: hits of a line"
)]
#[case::odd_hits(
    "<coverage><class filename='a'><line number='1' hits='yes'/></class></coverage>",
    ReportState::Invalid,
    "\"yes\""
)]
fn what_is_no_coverage_says_why(#[case] text: &str, #[case] state: ReportState, #[case] message: &str) {
    let facts = cobertura(text);
    assert_eq!(facts.state, state, "{}", facts.message);
    assert!(facts.message.contains(message), "{}", facts.message);
    assert_eq!(facts.coverage, None);
}

#[rstest]
#[case::plain("TN:\nSF:a.py\nDA:1,0\nDA:2,5\nLF:2\nLH:1\nend_of_record\n", (1, 2))]
#[case::absolute("SF:/tree/a.py\nDA:1,1\nend_of_record", (1, 1))]
#[case::carriage_returns("SF:a.py\r\nDA:1,1\r\nDA:2,0\r\nend_of_record\r\n", (1, 2))]
#[case::checksums("SF:a.py\nDA:1,1,abcdef==\nend_of_record\n", (1, 1))]
#[case::a_record_per_test("TN:one\nSF:a.py\nDA:1,0\nend_of_record\nTN:two\nSF:a.py\nDA:1,1\nend_of_record\n", (1, 1))]
#[case::newer_kinds_of_records("# generated\nSF:a.py\nVER:1\nFNL:0,1,2\nFNA:0,1,f\nMCDC:1,2,t,1,0,x\nBRDA:1,0,0,-\nDA:1,1\nend_of_record\n", (1, 1))]
#[case::totals_lie("SF:a.py\nDA:1,0\nLF:100\nLH:100\nend_of_record\n", (0, 1))]
#[case::byte_order_mark("\u{feff}SF:a.py\nDA:1,1\nend_of_record\n", (1, 1))]
#[case::names_of_functions("SF:a.rs\nFN:1,_RNvCs:weird,name\nDA:1,1\nend_of_record\n", (1, 1))]
fn lines_of_records_are_counted_once_per_file(#[case] text: &str, #[case] expected: (i64, i64)) {
    assert_eq!(covered(&lcov(text)), expected);
}

#[rstest]
#[case::prose("all is covered\n", ReportState::Invalid, "line 1 is no record")]
#[case::json("{}", ReportState::Invalid, "line 1 is no record")]
#[case::cut("SF:a.py\nDA:1,1\n", ReportState::Invalid, "ends too early: a.py has no end_of_record")]
#[case::no_file("TN:\nDA:1,1\nend_of_record\n", ReportState::Invalid, "line 2 is a DA outside of any SF")]
#[case::no_count("SF:a.py\nDA:1\nend_of_record\n", ReportState::Invalid, "line 2 is a DA without a line and a count")]
#[case::half_a_line("SF:a.py\nDA:1.5,1\nend_of_record\n", ReportState::Invalid, "line 2 is a DA without a line")]
#[case::totals_alone("SF:a.py\nLF:9\nLH:9\nend_of_record\n", ReportState::Empty, "no line that can be covered")]
#[case::nothing_of_ours("SF:/usr/a.py\nDA:1,1\nend_of_record\n", ReportState::Empty, "of any file of the work tree")]
fn what_is_no_tracefile_says_why(#[case] text: &str, #[case] state: ReportState, #[case] message: &str) {
    let facts = lcov(text);
    assert_eq!(facts.state, state, "{}", facts.message);
    assert!(facts.message.contains(message), "{}", facts.message);
}

#[test]
fn a_line_of_a_tracefile_is_not_held_however_long_it_is() {
    let facts = lcov(&format!("SF:a.py\nFN:1,{}\nDA:1,1\nend_of_record\n", "x".repeat(300 << 10)));
    assert_eq!(facts.state, ReportState::Invalid);
    assert!(facts.message.contains("line 2 is longer than 256 KiB"), "{}", facts.message);
}

#[test]
fn the_target_is_what_the_repository_says_or_ninety() {
    let text = "SF:a.py\nDA:1,1\nend_of_record\n";
    assert_eq!(lcov(text).coverage.unwrap().target, "90".parse().unwrap());
    let mut report = report(ReportFormat::Lcov);
    report.targets = vec![target("lines", Some("72.5"), None)];
    let facts = read_report(&report, text.as_bytes(), "/tree", &no_lines);
    assert_eq!(facts.coverage.unwrap().target, "72.5".parse().unwrap());
}

/// A file with lines 1 to 4, of which a change touches 2 and 3, and files that the report does not know.
#[rstest]
#[case::touched_and_measured("", "DA:1,1\nDA:2,1\nDA:3,0\nDA:4,1\n", (1, 2))]
#[case::touched_and_not_executable("", "DA:1,1\nDA:4,0\n", (0, 0))]
#[case::a_new_file_that_nothing_ran("+++ b/src/new.py\n@@ -0,0 +1,4 @@\n+import os\n+\n+# why\n+run()\n", "DA:1,1\n", (0, 2))]
#[case::of_another_language("+++ b/src/new.js\n@@ -0,0 +1 @@\n+run()\n", "DA:1,1\n", (0, 0))]
#[case::a_new_test("+++ b/tests/test_new.py\n@@ -0,0 +1 @@\n+run()\n", "DA:1,1\n", (0, 0))]
#[case::a_new_test_beside_the_source("+++ b/src/new_test.py\n@@ -0,0 +1 @@\n+run()\n", "DA:1,1\n", (0, 0))]
fn changed_lines_are_those_of_the_change_that_can_be_covered(
    #[case] more: &str,
    #[case] lines: &str,
    #[case] expected: (i64, i64),
) {
    let more = if more.is_empty() { String::new() } else { format!("diff --git a/x b/x\n--- /dev/null\n{more}") };
    let change =
        change(&format!("diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -2,2 +2,2 @@\n-a\n-b\n+c\n+d\n{more}"));
    let around = Around { change: Some(&change), ..Around::new("/tree", &no_lines) };
    let text = format!("SF:a.py\n{lines}end_of_record\n");
    let changed = compare_report(&report(ReportFormat::Lcov), &text.as_bytes(), &around).coverage.unwrap().changed;
    assert_eq!(changed.map(|counts| (counts.covered, counts.total)), Some(expected));
}
